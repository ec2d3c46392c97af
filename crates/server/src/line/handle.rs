//! Sessions that clients open and close, and name by a handle in the arguments of a call.

use catalog::{Routed, SessionUse};
use protocol::json::Object;
use protocol::{Call, Raw, RpcError, code};
use serde_json::json;
use upstream::{Kept, Line};

use super::{Way, sealed};
use crate::app::Exchange;

/// How a call with or without a handle goes on.
pub(super) async fn way(x: &Exchange, routed: &mut Routed) -> Result<Way, RpcError> {
    let Some(session) = routed.session.clone() else { return Ok(Way::On(Line::Usual)) };
    let Some(argument) = session.argument() else { return open(x, routed).await.map(Way::Answered) };
    let (given, call) = take_out(&routed.call, argument);
    let kept = given.as_ref().map(|handle| find(x, routed, handle));
    match (session, kept) {
        (SessionUse::Runs(_), None) => {
            routed.call = call;
            Ok(Way::On(Line::Fresh))
        }
        (SessionUse::Runs(_), Some(Some(kept))) => {
            routed.call = call;
            Ok(Way::On(super::kept(x, routed, kept)))
        }
        (SessionUse::Close, Some(Some(kept))) => {
            let upstream = routed.source.upstream();
            upstream.close_session(&kept).await;
            super::say(x, upstream.name(), &kept, true);
            Ok(Way::Answered(closed()))
        }
        (SessionUse::Open, _) | (_, Some(None) | None) => Ok(Way::Answered(unknown_handle())),
    }
}

/// The argument that names a session, and the call without it. What is null is not given.
fn take_out(call: &Call, argument: &str) -> (Option<Raw>, Call) {
    let arguments = call.params.get("arguments").and_then(|raw| raw.object().ok().flatten());
    match arguments.as_ref().and_then(|arguments| Some((arguments, arguments.get(argument)?))) {
        None => (None, call.clone()),
        Some((arguments, given)) => {
            let rest = arguments.edit().remove(argument).finish();
            (Some(given).filter(|given| !given.is_null()), call.with("arguments", Some(rest)))
        }
    }
}

/// The session of a handle, if it was given to this principal at this endpoint and for this upstream.
fn find(x: &Exchange, routed: &Routed, handle: &Raw) -> Option<Kept> {
    let (upstream, kept) = read(x, handle)?;
    (upstream == routed.source.upstream().name().as_str()).then_some(kept)
}

/// What a handle names, for this principal at this endpoint: the upstream's name and the session.
pub(super) fn read(x: &Exchange, handle: &Raw) -> Option<(String, Kept)> {
    let payload = x.app.handles.open_session(x.holder(), &handle.as_str()?)?;
    let payload = Raw::parse(payload.into()).ok()?;
    let upstream = payload.get("u")?.as_str()?.into_owned();
    Some((upstream, sealed::read(&payload.get("k")?)?))
}

async fn open(x: &Exchange, routed: &Routed) -> Result<Raw, RpcError> {
    let upstream = routed.source.upstream();
    let opened = upstream.open_session(&x.caller.capabilities, x.app.session_name()).await;
    let kept = opened.map_err(|error| {
        tracing::warn!(%error, "a session was not opened");
        error.to_rpc()
    })?;
    let Some(kept) = kept else {
        return Err(RpcError::new(
            code::UPSTREAM_REVISION,
            format!("Upstream {} has no sessions", upstream.name()),
        ));
    };
    let payload = json!({"u": upstream.name().as_str(), "k": sealed::write(&kept)}).to_string();
    let time = x.generation.limits.session_time;
    let handle = x.app.handles.seal_session(x.holder(), payload.as_bytes(), time);
    let content = json!({"session": handle});
    Ok(Raw::from_value(&json!({
        "resultType": "complete",
        "content": [{"type": "text", "text": content.to_string()}],
        "structuredContent": content,
    })))
}

fn closed() -> Raw {
    Raw::literal(r#"{"resultType":"complete","content":[{"type":"text","text":"The session is closed."}]}"#)
}

/// The result for every handle that is none: made up, closed, expired, or somebody else's. Nobody learns
/// which.
pub(crate) fn unknown_handle() -> Raw {
    Raw::literal(concat!(
        r#"{"resultType":"complete","content":[{"type":"text","text":"Unknown session: nothing ran. "#,
        r#"Open another session and pass its handle."}],"isError":true}"#
    ))
}

/// The handles that may be among a call's arguments, wherever the tool has that argument.
pub(super) fn candidates(arguments: &Object) -> impl Iterator<Item = Raw> {
    let named = |name: &str| catalog::ARGUMENTS.iter().any(|known| name.starts_with(known));
    arguments.iter().filter(move |(name, _)| named(name)).map(|(_, value)| value)
}
