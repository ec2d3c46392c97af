//! Tasks: what may become of one, and nothing else.
//!
//! A task is a call that outlives its client. Whoever changes one reads its record, applies a [`Command`] and
//! writes what comes of it, if nobody else has written meanwhile. So each rule stands in one place, whatever
//! store and whichever replica: an end is final, a worker that lost its claim changes nothing, a question has
//! its key for ever.

mod record;
mod rules;
mod step;

#[cfg(test)]
mod tests;

pub use record::{AttemptFailure, Question, QuestionState, Task, TaskState};
pub use rules::TaskRules;
pub use step::{Change, Command, Ending, Next, Refusal};
