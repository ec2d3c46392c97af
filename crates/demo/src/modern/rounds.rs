//! Questions as results: what was asked, and what was answered so far.
//!
//! A call runs from the start each time, with the answers that it has by then. Answers of earlier rounds
//! travel in `requestState`, which is sealed and bound to the request that it belongs to.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::call::{Asking, Call, Question};
use crate::rpc::{Message, RpcError};
use crate::server::Server;

const PURPOSE: &str = "requestState";

/// The answers that come with a request, if its method is one that may ask.
pub(crate) fn read(server: &Server, message: &Message) -> Result<Asking, RpcError> {
    if !matches!(message.method(), "tools/call" | "resources/read" | "prompts/get") {
        return Ok(Asking::Rounds { given: Map::new(), used: Mutex::default() });
    }
    let mut given = match &message.params()["requestState"] {
        Value::Null => Map::new(),
        Value::String(sealed) => open(server, message, sealed)?,
        _ => return Err(RpcError::invalid_params("requestState is a string")),
    };
    match &message.params()["inputResponses"] {
        Value::Null => {}
        Value::Object(responses) => given.extend(responses.clone()),
        _ => return Err(RpcError::invalid_params("inputResponses is an object")),
    }
    Ok(Asking::Rounds { given, used: Mutex::default() })
}

/// The result that asks.
pub(crate) fn ask(call: &Call, questions: Vec<(&'static str, Question)>) -> Value {
    let used = match &call.asking {
        Asking::Rounds { used, .. } => used.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        Asking::Live(_) | Asking::Never => BTreeMap::new(),
    };
    let expiry_ms = call.server.now_ms().saturating_add(call.server.config().state_ttl_ms);
    let state = json!({ "of": digest(&call.server, &call.message), "until": expiry_ms, "answers": used });
    let mut requests = Map::new();
    for (key, question) in questions {
        let mut request = json!({ "method": question.method });
        if let Some(params) = question.params {
            request["params"] = params;
        }
        requests.insert(key.to_owned(), request);
    }
    json!({
        "resultType": "input_required",
        "inputRequests": requests,
        "requestState": call.server.keys().seal(PURPOSE, state.to_string().as_bytes()),
    })
}

fn open(server: &Server, message: &Message, sealed: &str) -> Result<Map<String, Value>, RpcError> {
    let state = server.keys().open(PURPOSE, sealed);
    let state = state.and_then(|state| serde_json::from_slice::<Value>(&state).ok());
    let Some(mut state) = state.filter(|state| state["of"] == digest(server, message).as_str()) else {
        return Err(RpcError::invalid_params("requestState is not what this server gave for this request"));
    };
    if state["until"].as_u64().is_none_or(|until| until < server.now_ms()) {
        return Err(RpcError::invalid_params("requestState has expired"));
    }
    match state["answers"].take() {
        Value::Object(answers) => Ok(answers),
        _ => Ok(Map::new()),
    }
}

/// What a request is about, whatever the order of its members.
fn digest(server: &Server, message: &Message) -> String {
    let params = message.params();
    let mut text = String::new();
    for part in [&message.whole()["method"], &params["name"], &params["uri"], &params["arguments"]] {
        canonical(part, &mut text);
        text.push('\n');
    }
    server.keys().digest(text.as_bytes())
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            text.push('{');
            for (name, member) in sorted {
                text.push_str(&Value::from(name.as_str()).to_string());
                canonical(member, text);
            }
            text.push('}');
        }
        Value::Array(entries) => {
            text.push('[');
            for entry in entries {
                canonical(entry, text);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}
