//! This process among others that serve the same clients.
//!
//! Any replica serves any request. What lives in one process (a stream, a parked call, an open question) has
//! a name that says in which; a request about it goes whole to that replica, over an internal listener,
//! in one hop: a forwarded request is never forwarded again.

mod forward;
mod inside;
mod parcel;
mod proof;
mod word;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egress::{Guard, Http, HttpOptions};
use http::Uri;
use model::{Clock, ReplicaId, Rng};
use seal::KeyRing;
use tokio::sync::Notify;

pub(crate) use forward::{Received, forward, say, tell_others};
pub(crate) use inside::Inside;
pub(crate) use word::Word;

/// Another replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub id: ReplicaId,
    /// Where its internal listener is: scheme, host and port.
    pub url: Uri,
}

/// This replica, and the others that live.
pub struct Replicas {
    me: ReplicaId,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    http: Http,
    peers: ArcSwap<HashMap<ReplicaId, Peer>>,
    changed: Notify,
}

impl Replicas {
    /// This one, which knows of no others yet.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, egress::EgressError> {
        // The directory of replicas is the operator's: its addresses are private ones.
        let http = Http::new(HttpOptions { guard: Guard::Operator, ..HttpOptions::default() })?;
        let me = ReplicaId::random(&*rng);
        Ok(Self { me, keys, clock, rng, http, peers: ArcSwap::default(), changed: Notify::new() })
    }

    /// This replica's name.
    #[must_use]
    pub fn me(&self) -> &ReplicaId {
        &self.me
    }

    /// The others that live, in no order.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.peers.load().values().cloned().collect()
    }

    /// Whether there are no others.
    pub(crate) fn is_alone(&self) -> bool {
        self.peers.load().is_empty()
    }

    /// Says who lives, without this one.
    pub fn set_peers(&self, peers: impl IntoIterator<Item = Peer>) {
        let peers: HashMap<_, _> =
            peers.into_iter().filter(|p| p.id != self.me).map(|p| (p.id.clone(), p)).collect();
        self.peers.store(Arc::new(peers));
        self.changed.notify_waiters();
    }

    fn peer(&self, id: &ReplicaId) -> Option<Peer> {
        self.peers.load().get(id).cloned()
    }

    /// Whether this replica is among those that live.
    pub(crate) fn lives(&self, id: &ReplicaId) -> bool {
        self.peers.load().contains_key(id)
    }

    /// Where the thing of this name lives, if that is another replica.
    pub(crate) fn elsewhere(&self, name: &str) -> Option<ReplicaId> {
        ReplicaId::owner_of(name).filter(|owner| *owner != self.me)
    }

    /// Waits until this replica is no longer among those that live. Safe to cancel.
    pub(crate) async fn gone(&self, id: &ReplicaId) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.peer(id).is_none() {
                return;
            }
            changed.await;
        }
    }
}
