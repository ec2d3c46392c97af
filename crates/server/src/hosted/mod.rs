//! Tasks of the gateway's own: which calls become one, and what clients see of it.
//!
//! A call that becomes a task is stored as the client made it, and made by a worker in the client's name.
//! The client asks for it by a sealed name, at any replica, in the form of its own revision.

mod begin;
mod call;
mod feed;
mod follow;
mod lists;
mod retry;
mod rules;
mod runner;
mod serve;
mod shape;

pub(crate) use begin::{Promise, Wish, adopt, begin, begin_waiting, new_task, takes_task, wish};
pub(crate) use call::{hex, holder};
pub(crate) use feed::{Feed, News};
pub(crate) use lists::{advertise, legacy_capability, mark_tools};
pub(crate) use retry::{equip, headers};
pub(crate) use rules::Hosting;
pub(crate) use runner::TaskRunner;
pub(crate) use serve::{list, serve};

/// In the place of an upstream's name, in the name of a task that is the gateway's own.
pub(crate) const OWN: &str = "";
