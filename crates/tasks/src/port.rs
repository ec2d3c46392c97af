//! What a task runs: the side of whoever uses tasks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::task::{Command, Next, QuestionState, Refusal, Task};

use crate::tasks::Inner;

/// Makes the calls of tasks.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Makes an attempt. Dropped, it ends the call upstream: its task was cancelled, has expired or belongs
    /// to another worker now.
    async fn run(&self, run: Run) -> Ran;
}

/// An attempt.
pub struct Run {
    /// The task's name.
    pub id: String,
    /// Who may ask for it, as it was given at its creation.
    pub holder: String,
    /// The call, as it was given at its creation.
    pub call: Bytes,
    /// The task as it was when the attempt began.
    pub task: Task,
    /// Whether the call is made, or a task that the server hosts is gone on with.
    pub next: Next,
    /// For what happens meanwhile.
    pub tell: Teller,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// A result; `transient` says why it is worth another attempt, where it is.
    Result {
        /// The result, as JSON.
        result: Bytes,
        /// In one word.
        transient: Option<&'static str>,
    },
    /// No result.
    Failed(Failed),
    /// The claim was lost meanwhile: nothing is to be written.
    Lost,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// In one word, as `unreachable` or `timeout`.
    pub class: &'static str,
    /// The error object, as JSON.
    pub error: Bytes,
    /// Whether the call may have run.
    pub may_have_run: bool,
    /// Whether the operator wants another attempt after this kind of failure.
    pub transient: bool,
    /// How long the server asks to wait before.
    pub retry_after: Option<Duration>,
}

/// What a task came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A result, as JSON.
    Result(Bytes),
    /// An error object, as JSON.
    Error(Bytes),
}

/// The claim of an attempt is lost: what it does is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task belongs to another worker, or has ended")]
pub struct Lost;

/// Tells of what happens during an attempt.
#[derive(Clone)]
pub struct Teller {
    pub(crate) inner: Arc<Inner>,
    pub(crate) id: String,
    pub(crate) fence: u64,
}

impl Teller {
    /// Asks the client and waits for its answers: to each question, by the server's name for it, as JSON.
    ///
    /// # Errors
    /// [`Lost`]; [`Refusal::TooMany`] is told as the inner error.
    pub async fn ask(
        &self,
        questions: Vec<(String, String)>,
    ) -> Result<Result<Vec<(String, String)>, Refusal>, Lost> {
        let names: Vec<String> = questions.iter().map(|(own, _)| own.clone()).collect();
        let mut now = self.inner.live.watch(&self.id).ok_or(Lost)?;
        match self.change(Command::Ask { fence: self.fence, questions }).await? {
            Ok(()) => {}
            Err(refusal) => return Ok(Err(refusal)),
        }
        loop {
            if let Some(answers) = answers(&now.borrow_and_update().task, &names) {
                return Ok(Ok(answers));
            }
            now.changed().await.map_err(|_| Lost)?;
        }
    }

    /// Says that the server hosts the task itself, under this name.
    ///
    /// # Errors
    /// [`Lost`]
    pub async fn follow(&self, upstream_task: &str) -> Result<(), Lost> {
        let command = Command::Follow { fence: self.fence, upstream_task: upstream_task.to_owned() };
        self.change(command).await?.map_err(|_| Lost)
    }

    /// Says how it goes, in the server's words.
    ///
    /// # Errors
    /// [`Lost`]
    pub async fn say(&self, message: Option<String>) -> Result<(), Lost> {
        self.change(Command::Say { fence: self.fence, message }).await?.map_err(|_| Lost)
    }

    async fn change(&self, command: Command) -> Result<Result<(), Refusal>, Lost> {
        match self.inner.change_held(&self.id, command, None).await {
            Ok(_) => Ok(Ok(())),
            Err(Refusal::TooMany) => Ok(Err(Refusal::TooMany)),
            Err(_) => Err(Lost),
        }
    }
}

/// The newest answer to each of these, once all are there.
fn answers(task: &Task, names: &[String]) -> Option<Vec<(String, String)>> {
    let of = |name: &String| {
        let asked = |q: &&model::task::Question| q.own == *name && q.attempt == task.attempts;
        match &task.questions.iter().rev().find(asked)?.state {
            QuestionState::Answered(answer) => Some((name.clone(), answer.clone())),
            QuestionState::Open | QuestionState::Superseded => None,
        }
    };
    names.iter().map(of).collect()
}
