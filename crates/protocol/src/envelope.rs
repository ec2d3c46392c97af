//! A JSON-RPC message, read once and losslessly.

use bytes::{BufMut, Bytes, BytesMut};

use crate::json::{JsonError, Kind, Object, Raw, string_into};
use crate::{Method, RpcError};

/// A request's id: a string or an integer, kept in the spelling in which it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(Raw);

impl Id {
    /// An id of our own.
    #[must_use]
    pub fn number(n: u64) -> Self {
        Self(Raw::trusted(Bytes::from(n.to_string())))
    }

    /// An id of our own.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self(Raw::string(text))
    }

    /// Takes a value that is a string or an integer.
    #[must_use]
    pub fn from_raw(raw: Raw) -> Option<Self> {
        let fits = match raw.kind() {
            Kind::String => true,
            Kind::Number => raw.as_bytes().iter().all(|b| b.is_ascii_digit() || *b == b'-'),
            _ => false,
        };
        fits.then_some(Self(raw))
    }

    /// The id as a value.
    #[must_use]
    pub fn raw(&self) -> &Raw {
        &self.0
    }

    /// The id, where it is a number of ours.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.0.as_text().parse().ok()
    }
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, or JSON that we refuse: -32700.
    #[error("parse the message as JSON: {0}")]
    Json(#[from] JsonError),
    /// JSON, but no JSON-RPC 2.0 message: -32600.
    #[error("read the message as JSON-RPC 2.0: {what}")]
    Shape {
        /// What is wrong.
        what: &'static str,
        /// The id, where it could be read.
        id: Option<Id>,
    },
}

impl EnvelopeError {
    /// The error to answer with, and the id to answer to.
    #[must_use]
    pub fn to_rpc(&self) -> (Option<Id>, RpcError) {
        match self {
            Self::Json(error) => (None, RpcError::new(crate::code::PARSE, format!("Parse error: {error}"))),
            Self::Shape { what, id } => {
                (id.clone(), RpcError::invalid_request(format!("Invalid request: {what}")))
            }
        }
    }
}

/// A message of any kind.
#[derive(Debug, Clone)]
pub enum Message {
    /// Asks for an answer.
    Request(Request),
    /// Does not.
    Notification(Notification),
    /// Answers.
    Response(Response),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What its answer will carry.
    pub id: Id,
    /// What is asked.
    pub method: Method,
    /// The parameters, an object.
    pub params: Option<Raw>,
}

/// A notification.
#[derive(Debug, Clone)]
pub struct Notification {
    /// What is told.
    pub method: Method,
    /// The parameters, an object.
    pub params: Option<Raw>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The request's id; absent where the peer could not read it.
    pub id: Option<Id>,
    /// The result, or the error object.
    pub outcome: Result<Raw, Raw>,
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// [`EnvelopeError`] where it is none: not JSON, a member that stands twice, an array, a wrong
    /// version, id or params of a wrong kind, neither or both of method and outcome.
    pub fn parse(bytes: Bytes) -> Result<Self, EnvelopeError> {
        let shape = |what, id: Option<Id>| Err(EnvelopeError::Shape { what, id });
        match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'{') => {}
            _ => {
                crate::json::check(&bytes)?;
                return shape("expected an object", None);
            }
        }
        let object = Object::parse(bytes)?;
        let raw_id = object.get("id");
        let id = raw_id.clone().and_then(Id::from_raw);
        if object.get("jsonrpc").is_none_or(|v| v.as_str().as_deref() != Some("2.0")) {
            return shape("\"jsonrpc\" must be \"2.0\"", id);
        }
        let (result, error) = (object.get("result"), object.get("error"));
        let Some(method) = object.get("method") else {
            return Self::response(id, raw_id, result, error);
        };
        if result.is_some() || error.is_some() {
            return shape("a message cannot ask and answer at once", id);
        }
        let method = match method.as_str() {
            Some(text) => Method::parse(&text),
            None => return shape("\"method\" must be a string", id),
        };
        let params = object.get("params");
        if params.as_ref().is_some_and(|p| p.kind() != Kind::Object) {
            return shape("\"params\" must be an object", id);
        }
        match (raw_id, id) {
            (None, _) => Ok(Self::Notification(Notification { method, params })),
            (Some(_), Some(id)) => Ok(Self::Request(Request { id, method, params })),
            (Some(_), None) => shape("\"id\" must be a string or an integer", None),
        }
    }

    fn response(
        id: Option<Id>,
        raw_id: Option<Raw>,
        result: Option<Raw>,
        error: Option<Raw>,
    ) -> Result<Self, EnvelopeError> {
        let shape = |what, id| Err(EnvelopeError::Shape { what, id });
        if raw_id.is_some_and(|raw| !raw.is_null()) && id.is_none() {
            return shape("\"id\" must be a string or an integer", None);
        }
        match (result, error) {
            (Some(result), None) if id.is_some() => Ok(Self::Response(Response { id, outcome: Ok(result) })),
            (Some(_), None) => shape("a result needs an \"id\"", None),
            (None, Some(error)) if error.kind() == Kind::Object => {
                Ok(Self::Response(Response { id, outcome: Err(error) }))
            }
            (None, Some(_)) => shape("\"error\" must be an object", id),
            (Some(_), Some(_)) => shape("a message cannot carry a result and an error", id),
            (None, None) => shape("neither \"method\" nor \"result\" nor \"error\"", id),
        }
    }
}

/// Writes a request.
#[must_use]
pub fn request(id: &Id, method: &str, params: Option<&Raw>) -> Bytes {
    let size = params.map_or(0, |p| p.as_bytes().len());
    let mut out = BytesMut::with_capacity(size + method.len() + 80);
    out.put_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.put_slice(id.raw().as_bytes());
    method_and_params(&mut out, method, params);
    out.freeze()
}

/// Writes a notification.
#[must_use]
pub fn notification(method: &str, params: Option<&Raw>) -> Bytes {
    let size = params.map_or(0, |p| p.as_bytes().len());
    let mut out = BytesMut::with_capacity(size + method.len() + 56);
    out.put_slice(b"{\"jsonrpc\":\"2.0\"");
    method_and_params(&mut out, method, params);
    out.freeze()
}

fn method_and_params(out: &mut BytesMut, method: &str, params: Option<&Raw>) {
    out.put_slice(b",\"method\":");
    string_into(out, method);
    if let Some(params) = params {
        out.put_slice(b",\"params\":");
        out.put_slice(params.as_bytes());
    }
    out.put_u8(b'}');
}

/// The bytes of a result response before the result itself; a `}` follows it.
#[must_use]
pub fn result_head(id: &Id) -> Bytes {
    let mut out = BytesMut::with_capacity(id.raw().as_bytes().len() + 40);
    put_result_head(&mut out, id);
    out.freeze()
}

fn put_result_head(out: &mut BytesMut, id: &Id) {
    out.put_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.put_slice(id.raw().as_bytes());
    out.put_slice(b",\"result\":");
}

/// Writes a result response.
#[must_use]
pub fn result(id: &Id, result: &Raw) -> Bytes {
    let mut out = BytesMut::with_capacity(result.as_bytes().len() + id.raw().as_bytes().len() + 48);
    put_result_head(&mut out, id);
    out.put_slice(result.as_bytes());
    out.put_u8(b'}');
    out.freeze()
}

/// Writes an error response; without an id where the request's could not be read.
#[must_use]
pub fn error(id: Option<&Id>, error: &Raw) -> Bytes {
    let mut out = BytesMut::with_capacity(error.as_bytes().len() + 64);
    out.put_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        out.put_slice(b",\"id\":");
        out.put_slice(id.raw().as_bytes());
    }
    out.put_slice(b",\"error\":");
    out.put_slice(error.as_bytes());
    out.put_u8(b'}');
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Message, EnvelopeError> {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_request_keeps_the_spelling_of_its_id_and_params() {
        let text =
            r#"{"id":9007199254740993,"x":1,"jsonrpc":"2.0","params":{"a": 1.0},"method":"tools/call"}"#;
        let Ok(Message::Request(request)) = parse(text) else { panic!("a request") };
        assert_eq!(request.id.raw().as_text(), "9007199254740993");
        assert_eq!(request.method, Method::ToolsCall);
        assert_eq!(request.params.expect("params").as_text(), r#"{"a": 1.0}"#);
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_id_where_there_is_one() {
        for (text, code, id) in [
            ("", -32700, None),
            ("{", -32700, None),
            ("[]", -32600, None),
            ("1", -32600, None),
            (r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}"#, -32700, None),
            (r#"{"id":1,"method":"ping"}"#, -32600, Some("1")),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600, Some("1")),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":1e3,"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":"a","method":1}"#, -32600, Some("\"a\"")),
            (r#"{"jsonrpc":"2.0","id":"a","method":"ping","params":[]}"#, -32600, Some("\"a\"")),
            (r#"{"jsonrpc":"2.0","id":"a","method":"ping","result":{}}"#, -32600, Some("\"a\"")),
            (r#"{"jsonrpc":"2.0","id":"a"}"#, -32600, Some("\"a\"")),
            (r#"{"jsonrpc":"2.0","id":"a","result":{},"error":{}}"#, -32600, Some("\"a\"")),
            (r#"{"jsonrpc":"2.0","result":{}}"#, -32600, None),
        ] {
            let (got_id, error) = parse(text).expect_err(text).to_rpc();
            assert_eq!(error.code, code, "{text}");
            assert_eq!(got_id.as_ref().map(|i| i.raw().as_text()), id, "{text}");
        }
    }

    #[test]
    fn an_error_without_an_id_is_a_response() {
        for text in
            [r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#, r#"{"jsonrpc":"2.0","error":{"code":1}}"#]
        {
            let Ok(Message::Response(response)) = parse(text) else { panic!("{text}") };
            assert!(response.id.is_none() && response.outcome.is_err());
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let id = Id::string("a\"b");
        let bytes = request(&id, "tools/list", Some(&Raw::literal("{}")));
        let Ok(Message::Request(read)) = Message::parse(bytes) else { panic!("a request") };
        assert_eq!((read.id.clone(), read.method), (id.clone(), Method::ToolsList));
        for bytes in [result(&id, &Raw::literal("[1]")), error(Some(&id), &Raw::literal("{}"))] {
            let Ok(Message::Response(read)) = Message::parse(bytes) else { panic!("a response") };
            assert_eq!(read.id.as_ref(), Some(&id));
        }
    }
}
