//! `initialize`, and what it tells.

use std::sync::Arc;

use bridge::translate::up;
use bytes::Bytes;
use protocol::{Capabilities, Id, Raw, Revision, RpcError, envelope};

use crate::core::Core;
use crate::observe::SessionWatch;
use crate::{CallError, CallErrorKind};

/// What a legacy server said in its handshake.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    pub revision: Revision,
    /// The `InitializeResult` as a `DiscoverResult`.
    pub discover: Raw,
    /// The experimental tasks of 2025-11-25, which have no place in a `DiscoverResult`.
    pub tasks: Option<Raw>,
    /// Held as long as the session.
    _watch: Arc<SessionWatch>,
}

/// The part of a client's declaration that a legacy session depends on: sessions are shared within a class.
///
/// A legacy server learns capabilities once, at `initialize`, and decides by them what it lists and asks.
pub(crate) fn class_of(revision: Revision, capabilities: &Capabilities, client_info: &Raw) -> Raw {
    up::initialize_params(revision, &capabilities.raw, client_info)
}

/// The `initialize` request of a class.
pub(crate) fn initialize(id: &Id, class: &Raw) -> Bytes {
    envelope::request(id, "initialize", Some(class))
}

/// Reads the answer to `initialize`.
pub(crate) fn handshake_result(core: &Arc<Core>, outcome: Result<Raw, Raw>) -> Result<Handshake, CallError> {
    let result = match outcome {
        Ok(result) => result,
        Err(error) => return Err(core.error(CallErrorKind::OtherRevision).detail(in_words(&error))),
    };
    let version = result.get("protocolVersion");
    let text = version.as_ref().and_then(|v| v.as_str()).unwrap_or_default();
    let Some(revision) = Revision::parse(&text).filter(|r| r.era() == protocol::Era::Legacy) else {
        let text = format!("the server chose protocol version {text:?}");
        return Err(core.error(CallErrorKind::OtherRevision).detail(text));
    };
    if core.options.pin.is_some_and(|pin| pin != revision) {
        let text = format!("the server chose {revision}");
        return Err(core.error(CallErrorKind::OtherRevision).detail(text));
    }
    let tasks = result.get("capabilities").and_then(|c| c.get("tasks")).filter(|_| revision.features().tasks);
    let watch = Arc::new(SessionWatch::begin(core, revision));
    Ok(Handshake { revision, discover: up::discover(revision, &result), tasks, _watch: watch })
}

/// A server's error for the operator.
pub(crate) fn in_words(error: &Raw) -> String {
    let error = RpcError::read(error);
    let supported = error.data.as_ref().map(|data| &data["supported"]).filter(|s| s.is_array());
    let supported = supported.map(|versions| format!(" (it supports {versions})")).unwrap_or_default();
    format!("the server gave error {}: {}{supported}", error.code, error.message)
}
