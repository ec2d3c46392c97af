//! Upstreams, as the process that answers has them: whether calls go to them, and what is left alone.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::listener::Own;
use crate::problem::{Answer, Problem, document};

/// Gives the upstreams of the configuration in force, by their names.
pub type Upstreams = Arc<dyn Fn() -> Vec<UpstreamState> + Send + Sync>;

/// An upstream as one process has it: another one may have seen it fail, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamState {
    /// Its name.
    pub name: String,
    /// In one word: `up`, `untried`, or why it is not used.
    pub state: &'static str,
    /// More of that.
    pub error: Option<String>,
    /// What its breaker lets happen; `None`: it has none.
    pub circuit: Option<&'static str>,
    /// What checks say; `None`: there are none.
    pub health: Option<&'static str>,
    /// Further requests that there may be now.
    pub retry_budget: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// Its addresses, where it has several.
    pub addresses: Vec<AddressState>,
}

/// One of several addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressState {
    /// Host and port.
    pub address: String,
    /// Requests that wait for its answers.
    pub pending: usize,
    /// Whether it is left alone after failures.
    pub ejected: bool,
    /// What checks say; `None`: there are none.
    pub health: Option<&'static str>,
}

fn report(state: &UpstreamState) -> Value {
    let address = |address: &AddressState| {
        json!({
            "address": address.address,
            "pending": address.pending,
            "ejected": address.ejected,
            "health": address.health,
        })
    };
    json!({
        "name": state.name,
        "state": state.state,
        "error": state.error,
        "circuit": state.circuit,
        "health": state.health,
        "retryBudget": state.retry_budget,
        "inFlight": state.in_flight,
        "addresses": state.addresses.iter().map(address).collect::<Vec<_>>(),
    })
}

/// `GET /v1/upstreams`
pub fn list(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    if query.is_some_and(|query| !query.is_empty()) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "unknown parameter; there are none"));
    }
    let all: Vec<Value> = (own.upstreams)().iter().map(report).collect();
    Ok(document(StatusCode::OK, &json!({"upstreams": all})))
}
