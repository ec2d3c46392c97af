//! What is known of a task.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TaskRules;
use crate::Timestamp;

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Nobody works on it: its first attempt, or the next one, begins when it is due.
    Waiting,
    /// A worker has it, and the call may have been sent.
    Running,
    /// A worker has it and waits for answers.
    Asking,
    /// Ended with a result, which may be a tool's own failure.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because its client asked for that.
    Cancelled,
    /// Its time is over: only that it was there is known.
    Gone,
}

impl TaskState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Running,
        Self::Asking,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Gone,
    ];

    /// The word of our own, for operators: one for each.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Asking => "asking",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Gone => "gone",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// The word of the protocol (SEP-2663 and 2025-11-25, "Task status").
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Waiting | Self::Running => "working",
            Self::Asking => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled | Self::Gone => "cancelled",
        }
    }

    /// Whether it may still become something else than gone.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Running | Self::Asking)
    }
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionState {
    /// Nobody has answered it.
    Open,
    /// The answer, as JSON.
    Answered(String),
    /// The attempt that asked it is over.
    Superseded,
}

/// A question that came up while a task ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its name for the client, of which there is one in the life of a task.
    pub key: String,
    /// Its name for the server.
    pub own: String,
    /// The attempt that asked it first.
    pub attempt: u32,
    /// The request, as JSON.
    pub ask: String,
    /// What became of it.
    pub state: QuestionState,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFailure {
    /// In one word, as `unreachable` or `timeout`.
    pub class: String,
    /// The error object, as JSON.
    pub error: String,
    /// Whether the call may have run.
    pub may_have_run: bool,
}

/// A task, but for the call that it makes and what that came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Where it is.
    pub state: TaskState,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Counted up with each change.
    pub version: u64,
    /// Counted up with each claim: who changes what he has claimed gives the number of his claim.
    pub fence: u64,
    /// Who has it: `None` while it waits, and at the end.
    pub owner: Option<String>,
    /// How many attempts have begun.
    pub attempts: u32,
    /// When it may be claimed, while it waits.
    pub due: Timestamp,
    /// When it is gone.
    pub expires: Timestamp,
    /// Whether its last owner was lost in the middle of an attempt that must not be made again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// What the server says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// All questions that were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// The server's own task, where it hosts one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_task: Option<String>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<AttemptFailure>,
    /// What was decided for it.
    pub rules: TaskRules,
    /// What whoever made it wants to know of it again, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Task {
    /// A task that waits until it is due.
    #[must_use]
    pub fn waiting(now: Timestamp, due: Timestamp, rules: TaskRules) -> Self {
        Self {
            state: TaskState::Waiting,
            created: now,
            updated: now,
            version: 1,
            fence: 0,
            owner: None,
            attempts: 0,
            due,
            expires: rules.expires_open(now),
            interrupted: false,
            message: None,
            questions: Vec::new(),
            upstream_task: None,
            failure: None,
            rules,
            labels: BTreeMap::new(),
        }
    }

    /// A task whose first attempt has begun with whoever makes it.
    #[must_use]
    pub fn running(now: Timestamp, worker: &str, rules: TaskRules) -> Self {
        let waiting = Self::waiting(now, now, rules);
        Self { state: TaskState::Running, fence: 1, owner: Some(worker.to_owned()), attempts: 1, ..waiting }
    }

    /// The same task with these labels.
    #[must_use]
    pub fn labelled(self, labels: BTreeMap<String, String>) -> Self {
        Self { labels, ..self }
    }

    /// The questions that wait for an answer.
    pub fn open_questions(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|question| question.state == QuestionState::Open)
    }

    /// How long it lives, from its creation on.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.expires.since(self.created)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.state == TaskState::Gone || now >= self.expires
    }

    /// How soon it is worth asking again: seldom for one that has long been at it, soon before something is
    /// due to happen.
    #[must_use]
    pub fn poll_interval(&self, now: Timestamp, least: Duration, most: Duration) -> Duration {
        let aged = now.since(self.created) / 10;
        let ends = self.expires.since(now) / 4;
        let next = match self.state {
            TaskState::Waiting if self.due > now => self.due.since(now),
            _ => most,
        };
        aged.min(ends).min(next).clamp(least, most.max(least))
    }
}
