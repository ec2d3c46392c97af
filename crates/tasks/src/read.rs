//! Reading a task: from the store, or from what is known to have ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::task::{Task, TaskState};
use store::{StoreError, TaskPhase, TaskRow};

use crate::Outcome;
use crate::outcome::{self, Stored};
use crate::row;
use crate::tasks::{Inner, TaskError, View};

/// Ends that are kept in memory: they never change.
const ENDED_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What was read.
pub(crate) struct Cache {
    ended: moka::sync::Cache<String, Arc<View>>,
    reading: Mutex<HashMap<String, Arc<Reading>>>,
}

impl Default for Cache {
    fn default() -> Self {
        let weigh = |_: &String, view: &Arc<View>| {
            let outcome = match &view.outcome {
                Some(Outcome::Result(bytes) | Outcome::Error(bytes)) => bytes.len(),
                None => 0,
            };
            u32::try_from(outcome + 1_024).unwrap_or(u32::MAX)
        };
        Self {
            ended: moka::sync::Cache::builder().max_capacity(ENDED_BYTES_MAX).weigher(weigh).build(),
            reading: Mutex::default(),
        }
    }
}

type Found = Result<Arc<View>, TaskError>;

/// The reads of one task from the store. There is one at a time, and those who come meanwhile share the next
/// one: a flood of polls is few reads, and nobody hears of a state older than his question.
#[derive(Default)]
struct Reading {
    begun: AtomicU64,
    /// The last one: its number, and what it found.
    last: tokio::sync::Mutex<Option<(u64, Found)>>,
}

impl Cache {
    fn reading(&self) -> MutexGuard<'_, HashMap<String, Arc<Reading>>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, id: &str) -> Arc<Reading> {
        Arc::clone(self.reading().entry(id.to_owned()).or_default())
    }

    /// Forgets who read where nobody else does.
    fn leave(&self, id: &str, mine: Arc<Reading>) {
        let mut all = self.reading();
        // In the map, and here.
        if Arc::strong_count(&mine) <= 2 {
            all.remove(id);
        }
    }
}

/// Leaves also where the reader is dropped.
struct Joined<'a> {
    cache: &'a Cache,
    id: &'a str,
    reading: Option<Arc<Reading>>,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        if let Some(reading) = self.reading.take() {
            self.cache.leave(self.id, reading);
        }
    }
}

impl Inner {
    /// A task for its holder; `None`: for an operator.
    pub async fn read(&self, id: &str, holder: Option<&str>) -> Result<View, TaskError> {
        // What this worker knows of an open one may be old: others change it, too.
        let view = match self.cache.ended.get(id) {
            Some(view) => view,
            None => self.shared(id).await?,
        };
        self.may_see(&view.task, &view.holder, holder)?;
        Ok(View::clone(&view))
    }

    /// From the store, by a read that begins after this question.
    async fn shared(&self, id: &str) -> Found {
        let joined = Joined { cache: &self.cache, id, reading: Some(self.cache.join(id)) };
        let reading = joined.reading.as_ref().expect("it is taken with the drop");
        let asked = reading.begun.load(Ordering::Acquire);
        let mut last = reading.last.lock().await;
        if let Some((number, found)) = &*last
            && *number > asked
        {
            return found.clone();
        }
        let number = reading.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let found = self.stored(id).await.map(Arc::new);
        *last = Some((number, found.clone()));
        found
    }

    async fn stored(&self, id: &str) -> Result<View, TaskError> {
        let found = self.store.task(id).await?.ok_or(TaskError::Unknown)?;
        let task = row::task(&found)?;
        let outcome = if found.phase == TaskPhase::Ended { self.outcome(&found, &task).await? } else { None };
        let view = View { id: found.id, holder: found.holder, task, outcome };
        if found.phase == TaskPhase::Ended {
            self.cache.ended.insert(view.id.clone(), Arc::new(view.clone()));
        }
        Ok(view)
    }

    async fn outcome(&self, found: &TaskRow, task: &Task) -> Result<Option<Outcome>, TaskError> {
        if task.state == TaskState::Cancelled {
            return Ok(None);
        }
        let corrupt = |what: &str| StoreError::Corrupt(format!("task {}: {what}", found.id));
        match outcome::read(&found.outcome) {
            Some(Stored::Here(outcome)) => Ok(Some(outcome)),
            Some(Stored::Spilled(name)) => {
                let whole = self.store.blob(&name).await?;
                Ok(Some(Outcome::Result(whole.ok_or_else(|| corrupt("its large result is gone"))?)))
            }
            None => Err(corrupt("its outcome cannot be read").into()),
        }
    }

    /// The record of a row, for whoever may see it.
    pub fn visible(&self, found: &TaskRow, holder: Option<&str>) -> Result<Task, TaskError> {
        let task = row::task(found)?;
        self.may_see(&task, &found.holder, holder)?;
        Ok(task)
    }

    fn may_see(&self, task: &Task, owner: &str, holder: Option<&str>) -> Result<(), TaskError> {
        if holder.is_some_and(|holder| holder != owner) {
            return Err(TaskError::Unknown);
        }
        let now = self.now();
        if !task.is_over(now) {
            return Ok(());
        }
        // Whether it has been swept yet makes no difference.
        let told = now < task.expires.plus(self.options.load().tombstone);
        Err(if told { TaskError::Expired { at: task.expires } } else { TaskError::Unknown })
    }
}
