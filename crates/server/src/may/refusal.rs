//! What a caller hears who may not.

use protocol::{Call, Method, Raw, RpcError, code};
use serde_json::{Value, json};
use upstream::Reply;

/// The metadata of an answer that says that nothing ran, and what could be done (SEP-2643, a draft).
pub(crate) const AUTHORIZATION: &str = "io.modelcontextprotocol/authorization";

/// Whether anything can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    Unavailable,
    /// Something can, and a client that can neither show a URL nor wait for a task is not told how.
    Undisclosed,
}

impl Remedy {
    fn word(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Undisclosed => "undisclosed",
        }
    }
}

pub(super) fn envelope(remedy: Remedy) -> Value {
    json!({"reason": "insufficient_authorization", "remediation": remedy.word()})
}

/// The result of a tool that did not run.
pub(super) fn result(remedy: Remedy, text: &str) -> Raw {
    let content = json!([{"type": "text", "text": format!("{text} Nothing was done.")}]);
    let meta = json!({AUTHORIZATION: envelope(remedy)});
    Raw::from_value(&json!({"resultType": "complete", "content": content, "isError": true, "_meta": meta}))
}

/// The answer to a call that is not made.
///
/// # Errors
/// Where its result has no word for that.
pub(super) fn answer(call: &Call, remedy: Remedy, text: &str) -> Result<Reply, RpcError> {
    if call.method == Method::ToolsCall {
        return Ok(Reply::result(result(remedy, text)));
    }
    Err(denied_error(remedy.word(), text))
}

/// The error of what has no result to say it in.
pub(crate) fn denied_error(remediation: &str, text: &str) -> RpcError {
    RpcError::new(code::DENIED, format!("{text} Nothing was done.")).with(json!({
        "reason": "insufficient_authorization", "fault": "client", "retry": "useless",
        AUTHORIZATION: {"reason": "insufficient_authorization", "remediation": remediation},
    }))
}

/// The answer to a name that means nothing here, or nothing to whoever asks: nobody learns which.
pub(super) fn unknown(call: &Call) -> RpcError {
    let text = |member: &str| call.text(member).unwrap_or_default();
    match call.method {
        Method::ToolsCall => catalog::unknown("tool", &text("name")),
        Method::PromptsGet => catalog::unknown("prompt", &text("name")),
        _ => catalog::unknown_resource(&text("uri")),
    }
}
