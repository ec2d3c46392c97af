//! OpenAPI documents as tools, and back: definitions for lists, requests made of arguments, results made of
//! answers.
//!
//! Pure: a document is bytes, a request is a [`Plan`] that somebody else sends, an answer is a status,
//! headers and bytes. What a document says is believed as far as it can do no harm: it never names where
//! credentials go, never leaves the path it declares, and never makes a list that clients cannot read.

mod answer;
mod diff;
mod document;
mod fault;
mod keywords;
mod limits;
mod names;
mod operation;
mod paging;
mod parameters;
mod plan;
mod read;
mod refs;
mod schema;
mod security;
mod servers;
mod text;
mod tool;

pub use answer::{Answer, Outcome, Received, answer};
pub use diff::{Changed, Difference, diff};
pub use document::{Document, LeftOut, Options, Tools, View};
pub use fault::{ArgumentFault, Fault, Reason};
pub use limits::Limits;
pub use operation::{Operation, Place};
pub use plan::{AttachFault, Payload, Plan};
pub use read::Version;
pub use security::{Need, Requirement, Scheme};
pub use servers::{Server, ServerFault, Variable};
pub use tool::{META, Tool};
