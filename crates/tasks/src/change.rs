//! Changing a record: read, apply, write where nobody else has written meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Retry;
use model::task::{Change, Command, Refusal, Task};
use store::{StoreError, TaskPut};

use crate::claim;
use crate::options::Counters;
use crate::outcome::Written;
use crate::row;
use crate::tasks::{Inner, TaskError};

/// How often a change is tried that others are in the way of.
const TRIES: u32 = 64;
/// The pause while the store cannot be used, doubled up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

impl Inner {
    /// Changes a task that this worker has. Goes on trying while the store cannot be used: what was reached
    /// is not to be lost.
    ///
    /// # Errors
    /// [`Refusal::Fenced`] where the claim is lost; others where the command is not possible.
    pub async fn change_held(
        &self,
        id: &str,
        command: Command,
        outcome: Option<&Written>,
    ) -> Result<Task, Refusal> {
        let mut tried: Option<Bytes> = None;
        let mut pause = PAUSE_MIN;
        loop {
            let Some(live) = self.live.get(id) else { return Err(Refusal::Fenced) };
            let next = match live.task.apply(self.now(), command.clone())? {
                Change::Same => return Ok(live.task),
                Change::To(next) => *next,
            };
            let Some(holding) = self.holding.borrow().clone() else { return Err(Refusal::Fenced) };
            match self.put(id, &next, outcome, Some(&holding)).await {
                Ok(TaskPut::Done) => {
                    self.changed(id, &next);
                    return Ok(next);
                }
                Ok(TaskPut::Fenced) => {
                    Counters::add(&self.counters.fenced, 1);
                    claim::lost_lease(self, &holding);
                    return Err(Refusal::Fenced);
                }
                Ok(TaskPut::Stale) => match self.store.task(id).await {
                    // A commit whose answer was lost.
                    Ok(Some(found)) if tried.as_ref() == Some(&found.head) => {
                        let task = row::task(&found).map_err(|_| Refusal::Fenced)?;
                        self.changed(id, &task);
                        return Ok(task);
                    }
                    Ok(Some(found)) => match row::task(&found) {
                        Ok(task) if task.fence == live.task.fence => {
                            self.live.update(id, &task);
                            tried = None;
                            continue;
                        }
                        _ => {
                            Counters::add(&self.counters.fenced, 1);
                            return Err(Refusal::Fenced);
                        }
                    },
                    Ok(None) => return Err(Refusal::Fenced),
                    Err(error) => tracing::warn!(task = id, %error, "a task was not read"),
                },
                Err(StoreError::TooLarge { what, max }) => {
                    tracing::error!(task = id, what, max, "a record does not fit into the store");
                    return Err(Refusal::TooMany);
                }
                Err(error) => {
                    if error.retry() == Retry::MayHaveRun {
                        tried = Some(row::head(&next));
                    }
                    tracing::warn!(task = id, %error, "what became of a task is not written yet");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Changes a task for somebody else than its worker.
    ///
    /// # Errors
    /// As of reading it. The inner error where the command is not possible, with the task as it is.
    pub async fn change(
        &self,
        id: &str,
        holder: Option<&str>,
        command: Command,
    ) -> Result<Result<Task, (Refusal, Task)>, TaskError> {
        for _ in 0..TRIES {
            let found = self.store.task(id).await?.ok_or(TaskError::Unknown)?;
            let task = self.visible(&found, holder)?;
            let next = match task.apply(self.now(), command.clone()) {
                Ok(Change::Same) => return Ok(Ok(task)),
                Ok(Change::To(next)) => *next,
                Err(refusal) => return Ok(Err((refusal, task))),
            };
            if self.put(id, &next, None, None).await? == TaskPut::Done {
                self.changed(id, &next);
                return Ok(Ok(next));
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Writes a record in the place of the one before.
    pub async fn put(
        &self,
        id: &str,
        next: &Task,
        outcome: Option<&Written>,
        holding: Option<&claim::Holding>,
    ) -> Result<TaskPut, StoreError> {
        let change = row::change(id, next, outcome.map(|written| written.bytes.clone()));
        let mut tx = self.store.begin().await?;
        let done = tx.task_put(&change, holding.map(claim::Holding::guard)).await?;
        if done != TaskPut::Done {
            return Ok(done);
        }
        if let Some(written) = outcome {
            written.keep(&mut *tx, next.expires).await?;
        }
        tx.commit().await?;
        Ok(TaskPut::Done)
    }

    /// Everyone here who wants to know learns of a change that was made.
    pub fn changed(&self, id: &str, task: &Task) {
        self.live.update(id, task);
        self.watched.tell(id, task.version);
    }
}

/// Ends a task that nobody was told of.
pub(crate) async fn withdraw(inner: Arc<Inner>, id: String) {
    let mut pause = PAUSE_MIN;
    loop {
        match inner.change(&id, None, Command::Cancel).await {
            Ok(_) | Err(TaskError::Unknown | TaskError::Expired { .. }) => return,
            Err(error) => tracing::warn!(task = id, %error, "a task that nobody knows of is not ended yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
