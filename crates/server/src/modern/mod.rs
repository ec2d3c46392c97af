//! The edge for clients of 2026-07-28: one POST a request, no state.

mod listen;
mod post;

pub(crate) use listen::{open as open_stream, tasks_needed};
pub(crate) use post::{check_body, enter, gone, is_modern, post, served, unknown_caller};
