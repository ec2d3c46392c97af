//! What a caller hears who may not.

use catalog::{Kind, Routed};
use futures_util::StreamExt as _;
use protocol::{Call, Method, Raw, RpcError, code};
use serde_json::{Value, json};
use upstream::{Body, Item, Outcome, Reply};

use crate::app::Exchange;

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

/// Where policies decide who sees what, something that its server does not have is told of in the same words
/// as what may not be seen: the server's own would tell the two apart. Of tools and prompts it is what the
/// server does not list, and then whatever error comes of it.
pub(crate) async fn as_unknown(x: &Exchange, call: &Call, routed: &Routed, reply: Reply) -> Reply {
    let kind = match call.method {
        Method::ResourcesRead => None,
        Method::ToolsCall => Some(Kind::Tools),
        Method::PromptsGet => Some(Kind::Prompts),
        _ => return reply,
    };
    if x.generation.policy().is_none() {
        return reply;
    }
    let none = move |error: &Raw| {
        let code = RpcError::read(error).code;
        code == code::INVALID_PARAMS || kind.is_some() && code == code::METHOD_NOT_FOUND
    };
    let failed = |result: &Raw| result.get("isError").and_then(|flag| flag.as_bool()) == Some(true);
    let is_well = match &reply {
        Reply::Ready(Outcome::Error(error)) => !none(error),
        Reply::Ready(Outcome::Result(Body::Whole(result))) => kind != Some(Kind::Tools) || !failed(result),
        Reply::Ready(Outcome::Result(_)) => true,
        Reply::Stream(_) => false,
    };
    if is_well {
        return reply;
    }
    if let Some(kind) = kind
        && Box::pin(may_be_there(x, kind, routed)).await
    {
        return reply;
    }
    let ours = unknown(call).to_raw();
    let told = move |outcome| match outcome {
        Outcome::Error(error) if none(&error) => Outcome::Error(ours.clone()),
        // Many servers say so in a result.
        Outcome::Result(Body::Whole(result)) if kind == Some(Kind::Tools) && failed(&result) => {
            Outcome::Error(ours.clone())
        }
        outcome => outcome,
    };
    match reply {
        Reply::Ready(outcome) => Reply::Ready(told(outcome)),
        Reply::Stream(items) => Reply::Stream(Box::pin(items.map(move |item| match item {
            Ok(Item::Done(outcome)) => Ok(Item::Done(told(outcome))),
            item => item,
        }))),
    }
}

/// Whether a server lists what it is asked for by name, or its list cannot be had.
async fn may_be_there(x: &Exchange, kind: Kind, routed: &Routed) -> bool {
    let listing = match routed.source.cached(kind, &x.caller) {
        None => routed.source.known(kind, &x.caller).await.ok(),
        cached => cached,
    };
    let name = routed.call.text("name").unwrap_or_default();
    listing.is_none_or(|listing| listing.get(&name).is_some())
}
