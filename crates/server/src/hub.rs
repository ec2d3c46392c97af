//! Who wants to hear of changes, and what each upstream must be listened to for.
//!
//! One stream an upstream, however many clients listen: the hub adds up what they want, tells the
//! upstreams, and hands each change to those who asked for it at an endpoint that the upstream is part of.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use model::UpstreamName;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::task::JoinHandle;
use upstream::{Change, Interest, Upstream};

use crate::replica::{self, Replicas, Word};

/// How many changes may wait for one subscriber; more become one [`Change::Gap`].
const CHANGES_MAX: usize = 64;
/// How long a subscriber waits for the upstreams to agree. Most do at once; what one that does not changes
/// meanwhile is not heard.
const AGREE_WAIT: Duration = Duration::from_secs(1);

/// What one subscriber wants from one upstream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
    pub uris: BTreeSet<Arc<str>>,
    pub tasks: BTreeSet<Arc<str>>,
}

impl Wanted {
    fn takes(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools,
            Change::Prompts => self.prompts,
            Change::Resources => self.resources,
            Change::Resource(uri) => self.uris.iter().any(|wanted| is_within(uri, wanted)),
            Change::Task(id, _) => self.tasks.contains(id),
            Change::Gap => true,
        }
    }
}

/// Whether a change of `uri` is one of `wanted`: it may name a part of what was subscribed to
/// (server/utilities/subscriptions).
pub(crate) fn is_within(uri: &str, wanted: &str) -> bool {
    let part = |rest: &str| rest.is_empty() || wanted.ends_with('/') || rest.starts_with(['/', '?', '#']);
    uri.strip_prefix(wanted).is_some_and(part)
}

struct Subscriber {
    wanted: HashMap<String, Wanted>,
    changes: mpsc::Sender<Heard>,
    lost: Arc<AtomicBool>,
}

/// A change and the upstream that it came from.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// `None`: of any of them.
    pub upstream: Option<Arc<str>>,
    pub change: Change,
}

/// The hub of one process.
#[derive(Default)]
pub struct Hub {
    subscribers: Mutex<HashMap<u64, Subscriber>>,
    upstreams: Mutex<HashMap<String, Weak<Upstream>>>,
    next: AtomicU64,
    /// Those who must hear of a change before clients do; set once.
    replicas: OnceLock<Arc<Replicas>>,
}

/// A place in the hub; dropping it gives it up.
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    changes: mpsc::Receiver<Heard>,
    lost: Arc<AtomicBool>,
}

impl Hub {
    /// Watches an upstream from now on. Must be called within a tokio runtime.
    pub fn watch(self: &Arc<Self>, upstream: &Arc<Upstream>) {
        let name: Arc<str> = Arc::from(upstream.name().as_str());
        let mut changes = upstream.changes();
        self.upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_string(), Arc::downgrade(upstream));
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
                hub.warn_others(&name, &change).await;
                hub.publish(&name, &change);
            }
        });
    }

    /// Something is another one of which the gateway itself decides: as if the upstream had told of it, so
    /// that what is kept of it ends first.
    pub(crate) fn changed(&self, upstream: &str, change: Change) {
        let upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        let upstream = upstreams.get(upstream).and_then(Weak::upgrade);
        drop(upstreams);
        if let Some(upstream) = upstream {
            upstream.changed(change);
        }
    }

    /// Says who else must hear of changes.
    pub(crate) fn join(&self, replicas: &Arc<Replicas>) {
        // A second time would be the same ones: a hub belongs to one process.
        let _ = self.replicas.set(Arc::clone(replicas));
    }

    /// A client that hears of a change may look again at another replica, which must not give it what was
    /// there before.
    async fn warn_others(&self, upstream: &Arc<str>, change: &Change) {
        let Some(replicas) = self.replicas.get() else { return };
        let told =
            self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).values().any(|subscriber| {
                subscriber.wanted.get(&**upstream).is_some_and(|wanted| wanted.takes(change))
            });
        let Ok(name) = UpstreamName::new(upstream) else { return };
        if told && !matches!(change, Change::Task(..)) {
            replica::say(replicas, &Word::Changed(name, change.clone())).await;
        }
    }

    fn publish(&self, upstream: &Arc<str>, change: &Change) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        for subscriber in subscribers.values_mut() {
            if !subscriber.wanted.get(&**upstream).is_some_and(|wanted| wanted.takes(change)) {
                continue;
            }
            let heard = Heard { upstream: Some(Arc::clone(upstream)), change: change.clone() };
            if subscriber.changes.try_send(heard).is_err() {
                subscriber.lost.store(true, Ordering::Release);
            }
        }
    }

    /// Takes a place. What is wanted can be changed later. Ready once the upstreams have agreed, as far as
    /// they do so soon: what changes from then on is heard.
    pub(crate) async fn subscribe(self: &Arc<Self>, wanted: HashMap<String, Wanted>) -> Subscription {
        let (sender, changes) = mpsc::channel(CHANGES_MAX);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let names: Vec<String> = wanted.keys().cloned().collect();
        let lost = Arc::new(AtomicBool::new(false));
        let subscriber = Subscriber { wanted, changes: sender, lost: Arc::clone(&lost) };
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, subscriber);
        let subscription = Subscription { hub: Arc::clone(self), id, changes, lost };
        agreed(self.tell(names)).await;
        subscription
    }

    /// Tells these upstreams what is wanted of them now, each in a task of its own.
    fn tell(self: &Arc<Self>, names: Vec<String>) -> Vec<JoinHandle<()>> {
        let mut telling = Vec::with_capacity(names.len());
        for name in names {
            let upstream = self
                .upstreams
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&name)
                .and_then(Weak::upgrade);
            let Some(upstream) = upstream else { continue };
            let hub = Arc::clone(self);
            telling.push(tokio::spawn(async move {
                let interest = hub.interest(&name);
                upstream.listen(interest).await;
            }));
        }
        telling
    }

    fn interest(&self, upstream: &str) -> Interest {
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = Interest::default();
        for wanted in subscribers.values().filter_map(|s| s.wanted.get(upstream)) {
            sum.lists |= wanted.tools || wanted.prompts || wanted.resources;
            sum.uris.extend(wanted.uris.iter().cloned());
            sum.tasks.extend(wanted.tasks.iter().cloned());
        }
        sum
    }
}

/// Waits until the upstreams have agreed, though not for long.
async fn agreed(telling: Vec<JoinHandle<()>>) {
    let _ = tokio::time::timeout(AGREE_WAIT, futures_util::future::join_all(telling)).await;
}

impl Subscription {
    /// The next change. Safe to cancel.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.changes.try_recv() {
            Ok(heard) => return Some(heard),
            // What did not fit was later than all that did.
            Err(TryRecvError::Empty) if self.lost.swap(false, Ordering::AcqRel) => {
                return Some(Heard { upstream: None, change: Change::Gap });
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return None,
        }
        self.changes.recv().await
    }

    /// Wants something else from now on. Ready as [`Hub::subscribe`] is.
    pub async fn replace(&self, wanted: HashMap<String, Wanted>) {
        let mut names: BTreeSet<String> = wanted.keys().cloned().collect();
        {
            let mut subscribers = self.hub.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(subscriber) = subscribers.get_mut(&self.id) {
                names.extend(std::mem::replace(&mut subscriber.wanted, wanted).into_keys());
            }
        }
        agreed(self.hub.tell(names.into_iter().collect())).await;
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

#[cfg(test)]
mod tests {
    use protocol::Raw;

    use super::*;

    async fn subscribed(hub: &Arc<Hub>, uri: &str) -> Subscription {
        let wanted = Wanted { tools: true, uris: BTreeSet::from([Arc::from(uri)]), ..Wanted::default() };
        hub.subscribe(HashMap::from([("crm".to_owned(), wanted)])).await
    }

    #[test]
    fn a_change_below_a_resource_is_one_of_it_and_one_beside_it_is_not() {
        assert!(is_within("file:///a", "file:///a"));
        assert!(is_within("file:///a/b", "file:///a"));
        assert!(is_within("file:///a/b", "file:///a/"));
        assert!(is_within("x://a?part=1", "x://a"));
        assert!(!is_within("file:///ab", "file:///a"));
        assert!(!is_within("file:///", "file:///a"));
    }

    #[tokio::test]
    async fn changes_that_do_not_fit_are_told_of_as_one_gap_at_the_end() {
        let hub = Arc::new(Hub::default());
        let mut subscription = subscribed(&hub, "x://a").await;
        let crm: Arc<str> = Arc::from("crm");
        for _ in 0..=CHANGES_MAX {
            hub.publish(&crm, &Change::Tools);
        }
        for _ in 0..CHANGES_MAX {
            assert_eq!(subscription.next().await.map(|h| h.change), Some(Change::Tools));
        }
        let gap = subscription.next().await.expect("the gap is told of");
        assert_eq!((gap.change, gap.upstream), (Change::Gap, None));
        hub.publish(&crm, &Change::Tools);
        assert_eq!(subscription.next().await.map(|h| h.change), Some(Change::Tools));
    }

    #[tokio::test]
    async fn a_subscriber_hears_of_its_upstreams_and_resources_alone() {
        let hub = Arc::new(Hub::default());
        let mut subscription = subscribed(&hub, "x://a").await;
        hub.publish(&Arc::from("other"), &Change::Tools);
        hub.publish(&Arc::from("crm"), &Change::Prompts);
        hub.publish(&Arc::from("crm"), &Change::Resource(Arc::from("x://b")));
        hub.publish(&Arc::from("crm"), &Change::Task(Arc::from("t"), Raw::literal("{}")));
        hub.publish(&Arc::from("crm"), &Change::Resource(Arc::from("x://a")));
        let heard = subscription.next().await.expect("the change of its own resource");
        assert_eq!(heard.change, Change::Resource(Arc::from("x://a")));
    }
}
