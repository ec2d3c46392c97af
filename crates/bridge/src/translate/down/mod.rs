//! Towards a legacy client, and back from it.

mod ask;
mod result;
mod session;

pub use ask::{answer, question};
pub use result::{error, notification, result};
pub use session::{CallMeta, call, client_capabilities, initialize_result};
