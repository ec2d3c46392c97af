//! The tasks that this worker has.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use model::task::Task;
use tokio::sync::watch;

/// A task that is driven here, as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub holder: String,
    pub task: Task,
    pub call: Bytes,
}

/// All of them, by name.
#[derive(Default)]
pub(crate) struct LiveTasks(Mutex<HashMap<String, watch::Sender<Live>>>);

impl LiveTasks {
    fn all(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, id: &str, live: Live) -> watch::Receiver<Live> {
        let (sender, receiver) = watch::channel(live);
        self.all().insert(id.to_owned(), sender);
        receiver
    }

    pub fn get(&self, id: &str) -> Option<Live> {
        self.all().get(id).map(|sender| sender.borrow().clone())
    }

    pub fn watch(&self, id: &str) -> Option<watch::Receiver<Live>> {
        self.all().get(id).map(watch::Sender::subscribe)
    }

    /// Puts a newer record in place of an older one.
    pub fn update(&self, id: &str, task: &Task) {
        if let Some(sender) = self.all().get(id) {
            sender.send_if_modified(|live| {
                let newer = task.version > live.task.version;
                if newer {
                    live.task = task.clone();
                }
                newer
            });
        }
    }

    /// Ends what this attempt has here; whoever waits for it learns that it is here no more.
    pub fn remove(&self, id: &str, fence: u64) {
        let mut all = self.all();
        if all.get(id).is_some_and(|sender| sender.borrow().task.fence <= fence) {
            all.remove(id);
        }
    }

    /// None is here any more.
    pub fn clear(&self) {
        self.all().clear();
    }

    pub fn versions(&self) -> Vec<(String, u64)> {
        self.all().iter().map(|(id, sender)| (id.clone(), sender.borrow().task.version)).collect()
    }

    pub fn len(&self) -> usize {
        self.all().len()
    }
}

/// Tasks that are being claimed or made by this worker: written or not, and not yet with the others.
#[derive(Default)]
pub(crate) struct Claiming(Mutex<HashSet<String>>);

impl Claiming {
    fn all(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the guard is dropped.
    pub fn begin<'a>(&'a self, id: &'a str) -> ClaimingGuard<'a> {
        self.all().insert(id.to_owned());
        ClaimingGuard { all: self, id }
    }

    pub fn has(&self, id: &str) -> bool {
        self.all().contains(id)
    }
}

pub(crate) struct ClaimingGuard<'a> {
    all: &'a Claiming,
    id: &'a str,
}

impl Drop for ClaimingGuard<'_> {
    fn drop(&mut self) {
        self.all.all().remove(self.id);
    }
}
