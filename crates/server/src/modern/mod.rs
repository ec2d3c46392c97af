//! The edge for clients of 2026-07-28: one POST a request, no state.

mod listen;
mod post;

pub(crate) use listen::tasks_needed;
pub(crate) use post::{is_modern, post, unknown_caller};
