//! Learning of changes that others make.
//!
//! Changes made here are told at once. Those of other processes are found by asking for the versions of what
//! somebody waits for, when the store wakes us, and now and then, as wake-ups are hints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::StoreError;
use tokio::sync::watch;

use crate::row;
use crate::tasks::Inner;

/// Wake-ups that come together are answered with one look.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How often is looked without a wake-up where few wait.
const LOOK_FEW: Duration = Duration::from_millis(100);
const FEW: usize = 200;
/// How often where many do.
const LOOK: Duration = Duration::from_secs(1);
/// Names in one question to the store.
const NAMES_MAX: usize = 1_000;

/// Who waits for which task.
#[derive(Default)]
pub(crate) struct Watched(Mutex<HashMap<String, watch::Sender<u64>>>);

impl Watched {
    fn all(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn watch(&self, id: &str) -> watch::Receiver<u64> {
        self.all().entry(id.to_owned()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    pub fn tell(&self, id: &str, version: u64) {
        if let Some(sender) = self.all().get(id) {
            sender.send_if_modified(|known| {
                let newer = version > *known;
                *known = (*known).max(version);
                newer
            });
        }
    }

    /// What somebody waits for; the rest is forgotten.
    fn names(&self) -> Vec<String> {
        let mut all = self.all();
        all.retain(|_, sender| sender.receiver_count() > 0);
        all.keys().cloned().collect()
    }
}

/// Looks for ever.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut wakes = inner.store.wakes();
    loop {
        let few = inner.live.len() + inner.watched.all().len() <= FEW;
        tokio::select! {
            biased;
            woken = wakes.changed() => {
                if woken.is_err() {
                    tokio::time::sleep(LOOK).await;
                }
                tokio::time::sleep(DEBOUNCE).await;
            }
            () = tokio::time::sleep(if few { LOOK_FEW } else { LOOK }) => {}
        }
        if let Err(error) = look(&inner).await {
            tracing::debug!(%error, "changes of tasks were not looked for");
            tokio::time::sleep(LOOK_FEW).await;
        }
    }
}

async fn look(inner: &Arc<Inner>) -> Result<(), StoreError> {
    let live: HashMap<String, u64> = inner.live.versions().into_iter().collect();
    let mut names: Vec<String> = live.keys().cloned().collect();
    names.extend(inner.watched.names().into_iter().filter(|name| !live.contains_key(name)));
    for names in names.chunks(NAMES_MAX) {
        for (id, version) in inner.store.task_versions(names).await? {
            if live.get(&id).is_some_and(|known| version > *known) {
                reload(inner, &id).await?;
            } else {
                inner.watched.tell(&id, version);
            }
        }
    }
    Ok(())
}

/// A task that is driven here was changed by somebody else.
async fn reload(inner: &Arc<Inner>, id: &str) -> Result<(), StoreError> {
    if let Some(found) = inner.store.task(id).await? {
        inner.changed(id, &row::task(&found)?);
    }
    Ok(())
}
