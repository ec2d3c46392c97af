//! Tasks for an operator who runs no worker: looked at, cancelled, tried again at once.

use std::sync::Arc;

use model::Clock;
use model::task::{Change, Command, Refusal, Task};
use store::{Store, StoreError, TaskFilter, TaskPut, TaskRow};

use crate::Outcome;
use crate::outcome::{self, Stored};
use crate::row;
use crate::tasks::{TaskError, View};

/// How often a change is tried that others are in the way of.
const TRIES: u32 = 64;

/// The tasks in a store. Workers that run meanwhile learn of what is changed here.
pub struct Office {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Office {
    /// Those of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Tasks that fit, the newest first, after this one; without their outcomes.
    ///
    /// # Errors
    /// [`TaskError::Store`]
    pub async fn find(
        &self,
        filter: &TaskFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<View>, TaskError> {
        let rows = self.store.tasks(filter, after, limit).await?;
        let view = |found: TaskRow| {
            let task = row::task(&found)?;
            Ok(View { id: found.id, holder: found.holder, task, outcome: None })
        };
        Ok(rows.into_iter().map(view).collect::<Result<_, StoreError>>()?)
    }

    /// A task and what it came to, also one that has expired and of which anything is known.
    ///
    /// # Errors
    /// [`TaskError::Unknown`], [`TaskError::Store`]
    pub async fn inspect(&self, id: &str) -> Result<View, TaskError> {
        let found = self.store.task(id).await?.ok_or(TaskError::Unknown)?;
        let task = row::task(&found)?;
        let outcome = match outcome::read(&found.outcome) {
            Some(Stored::Here(outcome)) => Some(outcome),
            Some(Stored::Spilled(name)) => self.store.blob(&name).await?.map(Outcome::Result),
            None => None,
        };
        Ok(View { id: found.id, holder: found.holder, task, outcome })
    }

    /// Cancels a task. The inner error where it has ended.
    ///
    /// # Errors
    /// [`TaskError::Unknown`], [`TaskError::Store`]
    pub async fn cancel(&self, id: &str) -> Result<Result<Task, Refusal>, TaskError> {
        self.change(id, &Command::Cancel).await
    }

    /// Lets the next attempt of a task begin now. The inner error where none waits.
    ///
    /// # Errors
    /// [`TaskError::Unknown`], [`TaskError::Store`]
    pub async fn hasten(&self, id: &str) -> Result<Result<Task, Refusal>, TaskError> {
        self.change(id, &Command::Hasten).await
    }

    async fn change(&self, id: &str, command: &Command) -> Result<Result<Task, Refusal>, TaskError> {
        for _ in 0..TRIES {
            let found = self.store.task(id).await?.ok_or(TaskError::Unknown)?;
            let task = row::task(&found)?;
            let next = match task.apply(self.clock.now(), command.clone()) {
                Ok(Change::Same) => return Ok(Ok(task)),
                Ok(Change::To(next)) => *next,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let mut tx = self.store.begin().await?;
            if tx.task_put(&row::change(id, &next, None), None).await? == TaskPut::Done {
                tx.commit().await?;
                return Ok(Ok(next));
            }
        }
        Err(StoreError::Conflict.into())
    }
}
