//! Towards a legacy server, and back from it.

mod ask;
mod result;
mod session;

pub use ask::{answer, question, url_questions};
pub use result::{error, missing_resource, notification, result};
pub use session::{discover, initialize_params, params};
