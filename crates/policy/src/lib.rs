//! May this principal do this? One decision for MCP, the operators' interface, the console and the command
//! line.
//!
//! Pure: policies are text, facts are arguments, and a decision says which policies made it. What cannot be
//! decided is denied.

pub mod content;
mod decision;
pub mod pins;
mod question;

pub use decision::{Ask, Decision, Duties, Effect, Requirement, Whom};
pub use question::{Action, Circumstances, Question, Target, ToolHints, Who};
