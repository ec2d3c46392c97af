//! JSON-RPC 2.0 as MCP uses it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

pub(crate) const PARSE_ERROR: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL_ERROR: i64 = -32603;
/// What older SDKs answer to a request outside a session.
pub(crate) const BAD_REQUEST: i64 = -32000;
/// What older SDKs answer to a session that they do not know.
pub(crate) const SESSION_NOT_FOUND: i64 = -32001;
pub(crate) const RESOURCE_NOT_FOUND: i64 = -32002;
pub(crate) const HEADER_MISMATCH: i64 = -32020;
pub(crate) const MISSING_CAPABILITY: i64 = -32021;
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;
/// 2025-11-25 only.
pub(crate) const URL_ELICITATION_REQUIRED: i64 = -32042;

/// The error object of a response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RpcError {
    pub code: i64,
    pub message: String,
    pub data: Option<Value>,
}

impl RpcError {
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    pub fn method_not_found(method: &str) -> Self {
        Self::new(METHOD_NOT_FOUND, format!("Method not found: {method}"))
    }
}

/// One message, checked for its outer form only.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    whole: Arc<Value>,
    kind: Kind,
}

/// Something that is no message.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Its id, where it could be read, for the answer.
    pub id: Option<Value>,
    pub error: Box<RpcError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Notification,
    Response,
}

impl Message {
    /// Checks the envelope.
    pub fn new(whole: Value) -> Result<Self, Malformed> {
        let invalid = |id: Option<&Value>, why: &str| {
            let id = id.filter(|id| is_id(id)).cloned();
            let error = RpcError::new(INVALID_REQUEST, format!("Invalid request: {why}"));
            Err(Malformed { id, error: Box::new(error) })
        };
        let Value::Object(members) = &whole else { return invalid(None, "a message is an object") };
        let id = members.get("id");
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return invalid(id, "jsonrpc is \"2.0\"");
        }
        if id.is_some_and(|id| !is_id(id)) {
            return invalid(id, "an id is a string or an integer");
        }
        let kind = match (members.get("method"), id) {
            (Some(Value::String(_)), Some(_)) => Kind::Request,
            (Some(Value::String(_)), None) => Kind::Notification,
            (Some(_), _) => return invalid(id, "a method is a string"),
            (None, Some(_)) if members.contains_key("result") != members.contains_key("error") => {
                Kind::Response
            }
            (None, _) => return invalid(id, "neither a request nor a response"),
        };
        if members.get("params").is_some_and(|params| !params.is_object()) {
            return invalid(id, "params is an object");
        }
        Ok(Self { whole: Arc::new(whole), kind })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn whole(&self) -> &Arc<Value> {
        &self.whole
    }

    /// The id of a request or response; `null` for a notification.
    pub fn id(&self) -> &Value {
        &self.whole["id"]
    }

    /// The method; empty for a response.
    pub fn method(&self) -> &str {
        self.whole["method"].as_str().unwrap_or_default()
    }

    /// The parameters; `null` if there are none.
    pub fn params(&self) -> &Value {
        &self.whole["params"]
    }

    /// A member of `params._meta`; `null` if there is none.
    pub fn meta(&self, key: &str) -> &Value {
        &self.params()["_meta"][key]
    }
}

/// Whether it can be the id of a message.
fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

pub(crate) fn success(id: &Value, result: Value) -> Value {
    let mut message = Map::new();
    message.insert("jsonrpc".to_owned(), json!("2.0"));
    message.insert("id".to_owned(), id.clone());
    message.insert("result".to_owned(), result);
    Value::Object(message)
}

/// An error response. Without an id the member is left out, as 2026-07-28 has it; older servers write `null`.
pub(crate) fn failure(id: Option<&Value>, error: &RpcError) -> Value {
    let mut body = json!({ "code": error.code, "message": error.message });
    if let Some(data) = &error.data {
        body["data"] = data.clone();
    }
    let mut message = json!({ "jsonrpc": "2.0" });
    if let Some(id) = id {
        message["id"] = id.clone();
    }
    message["error"] = body;
    message
}

pub(crate) fn answer(id: &Value, answer: Result<Value, RpcError>) -> Value {
    match answer {
        Ok(result) => success(id, result),
        Err(error) => failure(Some(id), &error),
    }
}

pub(crate) fn notification(method: &str, params: Option<Value>) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "method": method });
    if let Some(params) = params {
        message["params"] = params;
    }
    message
}

pub(crate) fn request(id: i64, method: &str, params: Option<Value>) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "id": id, "method": method });
    if let Some(params) = params {
        message["params"] = params;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Result<Kind, i64> {
        Message::new(serde_json::from_str(text).unwrap())
            .map(|m| m.kind())
            .map_err(|malformed| malformed.error.code)
    }

    #[test]
    fn messages_are_told_apart_by_their_members() {
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#), Ok(Kind::Request));
        assert_eq!(kind(r#"{"jsonrpc":"2.0","method":"x","params":{}}"#), Ok(Kind::Notification));
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#), Ok(Kind::Response));
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":"a","error":{}}"#), Ok(Kind::Response));
    }

    #[test]
    fn what_is_no_message_is_an_invalid_request() {
        for text in [
            "1",
            "[]",
            "{}",
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        ] {
            assert_eq!(kind(text), Err(INVALID_REQUEST), "{text}");
        }
    }

    #[test]
    fn a_faulty_request_keeps_its_id() {
        let malformed = Message::new(json!({ "jsonrpc": "2.0", "id": 7, "method": [] })).unwrap_err();
        assert_eq!(malformed.id, Some(json!(7)));
        let malformed = Message::new(json!({ "jsonrpc": "2.0", "id": {}, "method": "x" })).unwrap_err();
        assert_eq!(malformed.id, None);
    }
}
