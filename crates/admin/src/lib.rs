//! The operators' interface: what an operator sees and does over HTTP, apart from clients.
//!
//! An extension with a listener of its own, on the loopback interface alone, so that no route of a client
//! leads here. Whoever comes proves it: a program by a token with each request, somebody with a browser by a
//! session that begins where he signs in. Others can reach a loopback address too, such as pages in a
//! browser, so what comes with a cookie must show that a page of this listener asks. `docs/admin.md`
//! describes what is served.

mod admit;
mod approvals_api;
mod bound;
mod config_api;
mod home;
mod ledger;
mod listener;
mod note;
mod page;
mod pins_api;
mod policy_api;
mod problem;
mod proposals_api;
mod report;
mod role;
mod route;
mod session;
mod sign_in;
mod tasks_api;
mod text;
mod upstreams_api;
mod users_api;

pub use approvals_api::approval_report;
pub use config_api::ConfigInForce;
pub use listener::{Admin, Place, Policies};
pub use pins_api::{pin_diff, pin_report};
pub use policy_api::{Explained, Explains};
pub use proposals_api::{Governs, OperatorName, act_word};
pub use report::task as task_report;
pub use role::{Role, Roles};
pub use route::{Right, rights, routes};
pub use session::SignInPlace;
pub use upstreams_api::{AddressState, UpstreamState, Upstreams};
pub use users_api::{bar_report, enabled_report, grant_report, user_report};
