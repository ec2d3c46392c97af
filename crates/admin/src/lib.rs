//! The operators' interface: what an operator sees and does over HTTP, apart from clients.
//!
//! An extension with a listener of its own, on the loopback interface alone, so that no route of a client
//! leads here. Whoever comes proves it by a token with each request: others can reach a loopback address too,
//! such as pages in a browser. `docs/admin.md` describes what is served.

mod listener;
mod problem;
mod report;
mod route;
mod tasks_api;
mod users_api;

pub use listener::{Admin, Place};
pub use report::task as task_report;
pub use route::routes;
pub use users_api::{bar_report, enabled_report, grant_report, user_report};
