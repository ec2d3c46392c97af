//! In which of an upstream's sessions a call runs.
//!
//! A legacy server may remember things between the calls of a session. Where the operator says so, each
//! client session has sessions of its own with its upstreams, or clients open and close them by handles. What
//! such a session is called goes along under our seal, in the client's session id or in the handle, so any
//! replica can use it; a process lives in one replica, and requests about it are sent there.

mod client;
mod handle;
mod owner;
mod sealed;

use catalog::Routed;
use http::StatusCode;
use model::ReplicaId;
use protocol::{Raw, RpcError, code};
use serde_json::json;
use upstream::{Kept, Line, Place, Sharing};

use crate::answer::{self, Answer};
use crate::app::Exchange;
use crate::replica::{self, Word};

pub(crate) use client::{Lines, close_all, open_all};
pub(crate) use handle::unknown_handle;
pub(crate) use owner::{owner, owner_of_batch};

/// How a call goes on.
pub(crate) enum Way {
    /// At the upstream.
    On(Line),
    /// The gateway itself has the result.
    Answered(Raw),
}

/// Finds out in which session a call runs, and takes out of it what is meant for the gateway.
///
/// # Errors
/// The session is gone or cannot be had; nothing ran.
pub(crate) async fn way(x: &Exchange, routed: &mut Routed) -> Result<Way, RpcError> {
    match routed.source.upstream().options().sharing {
        Sharing::Shared | Sharing::PerPrincipal => Ok(Way::On(Line::Usual)),
        Sharing::PerClient => Box::pin(client::line(x, routed)).await.map(Way::On),
        Sharing::Handle => Box::pin(handle::way(x, routed)).await,
    }
}

/// The line of a session that was opened before. Its opener hears now and then that it is used elsewhere.
fn kept(x: &Exchange, routed: &Routed, kept: Kept) -> Line {
    if matches!(kept.place, Place::Server { .. }) && x.app.replicas.elsewhere(&kept.name).is_some() {
        let first = x.app.told.entry(kept.name.clone()).or_insert(()).is_fresh();
        if first {
            say(x, routed.source.upstream().name(), &kept, false);
        }
    }
    Line::Kept(kept)
}

/// Tells the replica that opened a session that it is used here, or was closed.
fn say(x: &Exchange, upstream: &model::UpstreamName, kept: &Kept, closed: bool) {
    if x.app.replicas.elsewhere(&kept.name).is_none() {
        return;
    }
    let word = Word::Session { upstream: upstream.clone(), name: kept.name.clone(), closed };
    let replicas = std::sync::Arc::clone(&x.app.replicas);
    tokio::spawn(async move { replica::say(&replicas, &word).await });
}

/// The replica in whose process a session lives, if that is another one.
fn lives_elsewhere(x: &Exchange, kept: &Kept) -> Option<ReplicaId> {
    matches!(kept.place, Place::Process).then(|| x.app.replicas.elsewhere(&kept.name)).flatten()
}

/// The error of a call whose session is gone, for clients that begin again when they hear it.
pub(crate) fn gone(upstream: &model::UpstreamName) -> RpcError {
    let text = format!("The session with upstream {upstream} is gone: nothing ran, initialize again");
    RpcError::new(code::SESSION_GONE, text).with(json!({
        "upstream": upstream.as_str(),
        "reason": "session_gone",
        "fault": model::Fault::Gateway.as_str(),
        "retry": model::Retry::Useless.as_str(),
    }))
}

/// The answer over HTTP by which a legacy client begins again (2025-11-25, "Session Management").
pub(crate) fn begin_again(id: Option<&protocol::Id>) -> Answer {
    let error = RpcError::new(code::SERVER_LEGACY, "Session not found: initialize again").to_raw();
    answer::error_with(StatusCode::NOT_FOUND, id, &error)
}
