//! Sessions that belong to a client's session: opened and closed with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Routed, Source};
use futures_util::future::join_all;
use model::ReplicaId;
use protocol::{Capabilities, Era, Raw, RpcError, code};
use serde_json::{Value, json};
use upstream::{Kept, Line, Sharing};

use super::{gone, lives_elsewhere, sealed};
use crate::app::Exchange;

/// How much the sessions of one client may take in its session id, in bytes.
const LINES_BYTES_MAX: usize = 3 * 1024;

/// The sessions of one client session, by their upstreams' names. `None`: it could not be opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lines(BTreeMap<String, Option<Kept>>);

impl Lines {
    /// As they are sealed.
    pub fn write(&self) -> Value {
        self.0.iter().map(|(name, kept)| (name.clone(), kept.as_ref().map(sealed::write))).collect()
    }

    /// Those of an id.
    pub fn read(raw: Option<&Raw>) -> Self {
        let members = raw.and_then(|raw| raw.object().ok().flatten());
        let all = members.iter().flat_map(|members| members.iter());
        Self(all.map(|(name, kept)| (name.to_string(), sealed::read(&kept))).collect())
    }

    /// How much they take where they are sealed.
    pub fn size(&self) -> usize {
        if self.0.is_empty() { 0 } else { self.write().to_string().len() }
    }

    fn get(&self, upstream: &str) -> Option<&Option<Kept>> {
        self.0.get(upstream)
    }

    /// Whether one of them lives in another process.
    pub fn any_elsewhere(&self, x: &Exchange) -> bool {
        self.0.values().flatten().any(|kept| lives_elsewhere(x, kept).is_some())
    }

    /// Where the session with this upstream lives, if that is another process.
    pub fn elsewhere(&self, x: &Exchange, upstream: &str) -> Option<ReplicaId> {
        lives_elsewhere(x, self.get(upstream)?.as_ref()?)
    }
}

/// Opens a session with each upstream of the endpoint where clients have their own.
///
/// # Errors
/// -31006 for more than fit into a session id, and where an upstream has as many as allowed. That one cannot
/// be reached is no error: its calls fail, and others work.
pub(crate) async fn open_all(x: &Exchange, able: &Capabilities) -> Result<Arc<Lines>, RpcError> {
    let own = |source: &&Arc<Source>| source.upstream().options().sharing == Sharing::PerClient;
    let sources: Vec<_> = x.endpoint.parts().iter().map(|part| &part.source).filter(own).collect();
    if sources.is_empty() {
        return Ok(Arc::default());
    }
    let opened = join_all(sources.iter().map(|source| open(x, source, able))).await;
    let mut lines = Lines::default();
    let mut refused = None;
    for (source, kept) in sources.iter().zip(opened) {
        let name = source.upstream().name().to_string();
        match kept {
            Ok(Some(kept)) => drop(lines.0.insert(name, Some(kept))),
            Ok(None) => {}
            Err(error) if error.code == code::LIMIT => refused = Some(error),
            Err(_) => drop(lines.0.insert(name, None)),
        }
    }
    if lines.size() > LINES_BYTES_MAX {
        let text =
            "this endpoint has more upstreams with a session for each client than fit into a session id";
        refused = Some(RpcError::new(code::LIMIT, text));
    }
    match refused {
        Some(error) => {
            close_all(x, &Arc::new(lines));
            Err(error)
        }
        None => Ok(Arc::new(lines)),
    }
}

async fn open(x: &Exchange, source: &Source, able: &Capabilities) -> Result<Option<Kept>, RpcError> {
    let opened = source.upstream().open_session(able, x.app.session_name()).await;
    opened.map_err(|error| {
        tracing::warn!(%error, "a client has no session with the upstream");
        error.to_rpc()
    })
}

/// Ends the sessions of a client that ends its own. Nobody waits for it.
pub(crate) fn close_all(x: &Exchange, lines: &Arc<Lines>) {
    if lines.0.is_empty() {
        return;
    }
    let (x, lines) = (x.clone(), Arc::clone(lines));
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        let closed = lines.0.iter().filter_map(|(upstream, kept)| {
            let (kept, upstream) = (kept.as_ref()?, x.generation.sources.get(upstream)?.upstream());
            super::say(&x, upstream.name(), kept, true);
            Some(upstream.close_session(kept))
        });
        join_all(closed).await;
    });
}

/// The line of a call of this client.
pub(super) async fn line(x: &Exchange, routed: &Routed) -> Result<Line, RpcError> {
    let upstream = routed.source.upstream();
    // A client without a session has nothing that a session could belong to.
    let Some(lines) = &x.lines else { return Ok(Line::Fresh) };
    match lines.get(upstream.name().as_str()) {
        Some(Some(kept)) => Ok(super::kept(x, routed, kept.clone())),
        Some(None) => Err(unopened(upstream.name())),
        None => {
            let found = upstream.discovery().await.map_err(|error| error.to_rpc())?;
            match found.revision.era() {
                Era::Modern => Ok(Line::Usual),
                // The upstream was not there, or had no sessions, when the client's began.
                Era::Legacy => Err(gone(upstream.name())),
            }
        }
    }
}

fn unopened(upstream: &model::UpstreamName) -> RpcError {
    let text = format!(
        "Upstream {upstream} could not be reached when this session began: initialize again to try again"
    );
    RpcError::new(code::UPSTREAM_UNREACHABLE, text).with(json!({
        "upstream": upstream.as_str(),
        "reason": "session_unopened",
        "fault": model::Fault::Upstream.as_str(),
        "retry": model::Retry::Useless.as_str(),
    }))
}

#[cfg(test)]
mod tests {
    use upstream::Place;

    use super::*;

    #[test]
    fn a_clients_sessions_are_read_as_they_were_written() {
        let kept = Kept { name: "0123456789ab-x".to_owned(), place: Place::Process };
        let all = BTreeMap::from([("a".to_owned(), Some(kept)), ("b".to_owned(), None)]);
        let lines = Lines(all);
        assert_eq!(Lines::read(Some(&Raw::from_value(&lines.write()))), lines);
        assert_eq!(Lines::read(None), Lines::default());
        assert_eq!(Lines::default().size(), 0);
    }
}
