//! Durable tasks: a call that outlives its client, its connection and its replica.
//!
//! [`Tasks`] keeps the records in a store and drives them: a worker in each replica claims what is due, holds
//! a lease, makes attempts through a [`Runner`], and writes what they come to under the number of its claim.
//! What may become of a task is decided in `model::task`; what a call is, the runner alone knows.
//!
//! A task that was acknowledged is in the store. A worker that lost its lease writes nothing. An attempt that
//! may have run is made again only where its rules say that this does no harm.

mod change;
mod claim;
mod drive;
mod live;
mod office;
mod options;
mod outcome;
mod port;
mod read;
mod row;
mod sweep;
mod tasks;
mod watch;

pub use office::Office;
pub use options::{Figures, Options};
pub use port::{Failed, Lost, Outcome, Ran, Run, Runner, Teller};
pub use tasks::{Begun, Made, NewTask, TaskError, Tasks, View};
