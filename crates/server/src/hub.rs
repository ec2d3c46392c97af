//! Who wants to hear of changes, and what each upstream must be listened to for.
//!
//! One stream an upstream, however many clients listen: the hub adds up what they want, tells the
//! upstreams, and hands each change to those who asked for it at an endpoint that the upstream is part of.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::mpsc;
use upstream::{Change, Interest, Upstream};

/// How many changes may wait for one subscriber; more become one [`Change::Gap`].
const CHANGES_MAX: usize = 64;

/// What one subscriber wants from one upstream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
    pub uris: BTreeSet<Arc<str>>,
}

impl Wanted {
    fn takes(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools,
            Change::Prompts => self.prompts,
            Change::Resources => self.resources,
            // A change may name a part of what was subscribed to (server/utilities/subscriptions).
            Change::Resource(uri) => self.uris.iter().any(|wanted| uri.starts_with(&**wanted)),
            Change::Gap => true,
        }
    }
}

struct Subscriber {
    wanted: HashMap<String, Wanted>,
    changes: mpsc::Sender<(String, Change)>,
    overflowed: bool,
}

/// The hub of one process.
#[derive(Default)]
pub struct Hub {
    subscribers: Mutex<HashMap<u64, Subscriber>>,
    upstreams: Mutex<HashMap<String, Weak<Upstream>>>,
    next: AtomicU64,
}

/// A place in the hub; dropping it gives it up.
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    changes: mpsc::Receiver<(String, Change)>,
}

impl Hub {
    /// Watches an upstream from now on. Must be called within a tokio runtime.
    pub fn watch(self: &Arc<Self>, upstream: &Arc<Upstream>) {
        let name = upstream.name().to_string();
        let mut changes = upstream.changes();
        self.upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.clone(), Arc::downgrade(upstream));
        let hub = Arc::downgrade(self);
        tokio::spawn(async move {
            use tokio::sync::broadcast::error::RecvError;
            loop {
                let change = match changes.recv().await {
                    Ok(change) => change,
                    Err(RecvError::Lagged(_)) => Change::Gap,
                    Err(RecvError::Closed) => return,
                };
                let Some(hub) = hub.upgrade() else { return };
                hub.publish(&name, &change);
            }
        });
    }

    fn publish(&self, upstream: &str, change: &Change) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        for subscriber in subscribers.values_mut() {
            if !subscriber.wanted.get(upstream).is_some_and(|wanted| wanted.takes(change)) {
                continue;
            }
            let change = if subscriber.overflowed { Change::Gap } else { change.clone() };
            subscriber.overflowed = subscriber.changes.try_send((upstream.to_owned(), change)).is_err();
        }
    }

    /// Takes a place. What is wanted can be changed later.
    pub(crate) fn subscribe(self: &Arc<Self>, wanted: HashMap<String, Wanted>) -> Subscription {
        let (sender, changes) = mpsc::channel(CHANGES_MAX);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let names: Vec<String> = wanted.keys().cloned().collect();
        let subscriber = Subscriber { wanted, changes: sender, overflowed: false };
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, subscriber);
        self.tell(names);
        Subscription { hub: Arc::clone(self), id, changes }
    }

    /// Tells these upstreams what is wanted of them now.
    fn tell(self: &Arc<Self>, names: Vec<String>) {
        for name in names {
            let upstream = self
                .upstreams
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&name)
                .and_then(Weak::upgrade);
            let Some(upstream) = upstream else { continue };
            let hub = Arc::clone(self);
            tokio::spawn(async move {
                let interest = hub.interest(&name);
                upstream.listen(interest).await;
            });
        }
    }

    fn interest(&self, upstream: &str) -> Interest {
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = Interest::default();
        for wanted in subscribers.values().filter_map(|s| s.wanted.get(upstream)) {
            sum.lists |= wanted.tools || wanted.prompts || wanted.resources;
            sum.uris.extend(wanted.uris.iter().cloned());
        }
        sum
    }
}

impl Subscription {
    /// The next change and the upstream that it came from. Safe to cancel.
    pub async fn next(&mut self) -> Option<(String, Change)> {
        self.changes.recv().await
    }

    /// Wants something else from now on.
    pub fn replace(&self, wanted: HashMap<String, Wanted>) {
        let mut names: BTreeSet<String> = wanted.keys().cloned().collect();
        let mut subscribers = self.hub.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(subscriber) = subscribers.get_mut(&self.id) {
            names.extend(std::mem::replace(&mut subscriber.wanted, wanted).into_keys());
        }
        drop(subscribers);
        self.hub.tell(names.into_iter().collect());
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let gone = self.hub.subscribers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        if let (Some(gone), Ok(_runtime)) = (gone, tokio::runtime::Handle::try_current()) {
            self.hub.tell(gone.wanted.into_keys().collect());
        }
    }
}
