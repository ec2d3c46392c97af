//! The configuration in force.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::listener::Own;
use crate::problem::{Answer, Problem, document};

/// Gives the configuration in force, with every default, and `[secret]` where a secret stands in the file.
pub type ConfigInForce = Arc<dyn Fn() -> Value + Send + Sync>;

/// `GET /v1/config`
pub fn show(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    if query.is_some_and(|query| !query.is_empty()) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "unknown parameter; there are none"));
    }
    Ok(document(StatusCode::OK, &json!({"config": (own.config)()})))
}
