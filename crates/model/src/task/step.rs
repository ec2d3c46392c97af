//! The commands and what each of them does to a task.

use super::{AttemptFailure, Question, QuestionState, Task, TaskState};
use crate::Timestamp;

/// Questions that a task may ask in its life.
const QUESTIONS_MAX: usize = 256;

/// How an attempt ends a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a result.
    Completed,
    /// With an error.
    Failed,
}

/// What is to happen to a task. A `fence` is the number of the claim of whoever asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A worker takes it: one that is due, or one whose owner is known to be lost.
    Claim {
        /// Who.
        worker: String,
        /// Whether its owner is lost.
        lost: bool,
    },
    /// The server asks: each question has the server's name for it and its text as JSON.
    Ask {
        /// Of the claim.
        fence: u64,
        /// Name and text.
        questions: Vec<(String, String)>,
    },
    /// The client answers, by the keys that it was given.
    Answer {
        /// Key and answer, as JSON.
        answers: Vec<(String, String)>,
    },
    /// The server hosts the task itself, under this name.
    Follow {
        /// Of the claim.
        fence: u64,
        /// The server's name for it.
        upstream_task: String,
    },
    /// What the server says of how it goes.
    Say {
        /// Of the claim.
        fence: u64,
        /// Its words.
        message: Option<String>,
    },
    /// The attempt failed, and another one is to be made.
    Retry {
        /// Of the claim.
        fence: u64,
        /// When.
        at: Timestamp,
        /// Why it failed.
        failure: AttemptFailure,
    },
    /// The attempt ends it.
    End {
        /// Of the claim.
        fence: u64,
        /// How.
        how: Ending,
        /// Why, where it failed.
        failure: Option<AttemptFailure>,
    },
    /// The client does not want it any more.
    Cancel,
    /// The next attempt is not waited for.
    Hasten,
    /// Its time is over.
    Expire,
}

/// Why nothing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has ended.
    #[error("the task has ended")]
    Ended,
    /// Another one has claimed it since.
    #[error("the claim is lost")]
    Fenced,
    /// It is not yet due, or somebody works on it.
    #[error("the task is not due")]
    NotDue,
    /// It is not its turn to do this.
    #[error("the task is not there yet")]
    OutOfTurn,
    /// It has asked as much as a task may.
    #[error("the task has asked too often")]
    TooMany,
}

/// What comes of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The task as it is.
    Same,
    /// The task as it becomes.
    To(Box<Task>),
}

/// What a worker does with a task that it has just claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Makes the call.
    Run,
    /// Goes on with the task that the server hosts.
    Follow,
    /// Ends it: the call may have run, and must not run twice.
    GiveUp,
}

impl Task {
    /// Applies a command.
    ///
    /// # Errors
    /// [`Refusal`] where it is not possible; the task stays as it is.
    pub fn apply(&self, now: Timestamp, command: Command) -> Result<Change, Refusal> {
        if let Command::Expire = command {
            return self.expire(now);
        }
        if !self.state.is_open() {
            return Err(Refusal::Ended);
        }
        let mut task = self.clone();
        task.version += 1;
        task.updated = now.max(self.updated);
        match command {
            Command::Claim { worker, lost } => task.claim(now, worker, lost)?,
            Command::Ask { fence, questions } => {
                self.held(fence)?;
                task.ask(questions)?;
            }
            Command::Answer { answers } => {
                if !task.answer(answers) {
                    return Ok(Change::Same);
                }
            }
            Command::Follow { fence, upstream_task } => {
                self.held(fence)?;
                task.upstream_task = Some(upstream_task);
            }
            Command::Say { fence, message } => {
                self.held(fence)?;
                if message == self.message {
                    return Ok(Change::Same);
                }
                task.message = message;
            }
            Command::Retry { fence, at, failure } => {
                self.held(fence)?;
                task.release();
                task.upstream_task = None;
                (task.state, task.due, task.failure) = (TaskState::Waiting, at, Some(failure));
            }
            Command::End { fence, how, failure } => {
                self.held(fence)?;
                task.failure = failure;
                task.end(
                    now,
                    if how == Ending::Completed { TaskState::Completed } else { TaskState::Failed },
                );
            }
            Command::Cancel => task.end(now, TaskState::Cancelled),
            Command::Hasten => {
                if self.state != TaskState::Waiting {
                    return Err(Refusal::OutOfTurn);
                }
                task.due = now;
            }
            Command::Expire => {}
        }
        Ok(Change::To(Box::new(task)))
    }

    /// What whoever has just claimed it does next.
    #[must_use]
    pub fn next(&self) -> Next {
        match (self.interrupted, &self.upstream_task) {
            (true, _) => Next::GiveUp,
            (false, Some(_)) => Next::Follow,
            (false, None) => Next::Run,
        }
    }

    fn held(&self, fence: u64) -> Result<(), Refusal> {
        match self.state {
            TaskState::Running | TaskState::Asking if fence == self.fence => Ok(()),
            _ => Err(Refusal::Fenced),
        }
    }

    fn claim(&mut self, now: Timestamp, worker: String, lost: bool) -> Result<(), Refusal> {
        match self.state {
            TaskState::Waiting if self.due <= now => self.attempts += 1,
            TaskState::Running | TaskState::Asking if lost => {
                let again = self.rules.repeatable && self.attempts_left(now);
                match (&self.upstream_task, again) {
                    (Some(_), _) => {}
                    (None, true) => self.attempts += 1,
                    (None, false) => self.interrupted = true,
                }
            }
            _ => return Err(Refusal::NotDue),
        }
        // One that waits for answers goes on to: whoever takes it over asks the same again.
        if self.state == TaskState::Waiting {
            self.state = TaskState::Running;
        }
        self.fence += 1;
        self.owner = Some(worker);
        Ok(())
    }

    /// An attempt that was lost with its worker is made again at least once where that does no harm, whatever
    /// the number of attempts: nothing was wrong with it.
    fn attempts_left(&self, now: Timestamp) -> bool {
        let rules = &self.rules;
        rules.allows_another(self.created, self.attempts.min(rules.max_attempts.saturating_sub(1)), now)
    }

    fn ask(&mut self, questions: Vec<(String, String)>) -> Result<(), Refusal> {
        for (own, ask) in questions {
            // A call that is made again asks the same again: the key stays, and so does an answer. One that
            // asks the same twice means it.
            let attempt = self.attempts;
            let again = |known: &&mut Question| {
                known.own == own
                    && known.ask == ask
                    && match known.state {
                        QuestionState::Open => true,
                        QuestionState::Answered(_) => known.attempt != attempt,
                        QuestionState::Superseded => false,
                    }
            };
            if let Some(known) = self.questions.iter_mut().find(again) {
                known.attempt = attempt;
                continue;
            }
            if self.questions.len() >= QUESTIONS_MAX {
                return Err(Refusal::TooMany);
            }
            let key = format!("q{}", self.questions.len() + 1);
            let state = QuestionState::Open;
            self.questions.push(Question { key, own, attempt: self.attempts, ask, state });
        }
        self.settle_questions();
        Ok(())
    }

    /// Whether any answer was taken.
    fn answer(&mut self, answers: Vec<(String, String)>) -> bool {
        let mut taken = false;
        for (key, answer) in answers {
            let open = self.questions.iter_mut().find(|q| q.key == key && q.state == QuestionState::Open);
            if let Some(question) = open {
                question.state = QuestionState::Answered(answer);
                taken = true;
            }
        }
        self.settle_questions();
        taken
    }

    fn settle_questions(&mut self) {
        if matches!(self.state, TaskState::Running | TaskState::Asking) {
            let asks = self.open_questions().next().is_some();
            self.state = if asks { TaskState::Asking } else { TaskState::Running };
        }
    }

    /// Nobody has it any more, and what was not answered never will be.
    fn release(&mut self) {
        self.owner = None;
        self.message = None;
        for question in self.questions.iter_mut().filter(|q| q.state == QuestionState::Open) {
            question.state = QuestionState::Superseded;
        }
    }

    fn end(&mut self, now: Timestamp, state: TaskState) {
        self.release();
        self.state = state;
        self.expires = self.rules.expires_ended(self.created, now);
    }

    fn expire(&self, now: Timestamp) -> Result<Change, Refusal> {
        if self.state == TaskState::Gone {
            return Ok(Change::Same);
        }
        if now < self.expires {
            return Err(Refusal::NotDue);
        }
        let mut task = self.clone();
        task.release();
        task.questions.clear();
        (task.state, task.failure) = (TaskState::Gone, None);
        (task.version, task.updated) = (self.version + 1, now);
        Ok(Change::To(Box::new(task)))
    }
}
