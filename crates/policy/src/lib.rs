//! May this principal do this? One decision for MCP, the operators' interface, the console and the command
//! line.
//!
//! Pure: policies are text, facts are arguments, and a decision says which policies made it. What cannot be
//! decided is denied.

mod arguments;
pub mod content;
mod decision;
mod duty;
mod engine;
mod explain;
mod facts;
mod fault;
mod index;
mod lens;
pub mod limits;
mod names;
pub mod pins;
mod presets;
mod question;
mod reads;
mod schema;
mod source;
mod text;

pub use arguments::ArgumentType;
pub use decision::{Ask, Decision, Duties, Effect, Requirement, Whom};
pub use duty::{ANNOTATIONS, STANDS, STANDS_MAX};
pub use engine::Engine;
pub use explain::{Change, Explanation, Near, Place, diff, report};
pub use fault::Fault;
pub use lens::Lens;
pub use presets::{PRESETS, Preset, preset};
pub use question::{Action, Circumstances, Question, Target, ToolHints, Who};
pub use schema::schema_text;
pub use source::{Options, PolicyFile};
