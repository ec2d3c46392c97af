//! Limits of what callers may do: rates, calls at a time, quotas (the section `rates`).
//!
//! A request is counted once it is known where it goes and before anything of it runs. Parts of a budget
//! that replicas share are leased ahead of need, so that a call does not wait for the store.

mod keeper;
mod reply;
mod report;
mod rule;
mod share;
mod window;

use std::sync::Arc;

use catalog::Routed;
use config::Rate;
use model::{Fault, Retry};
use protocol::{Call, Method, RpcError, code};
use serde_json::json;

use crate::app::Exchange;
pub(crate) use keeper::Keeper;
use keeper::{Key, Spec, Unit, Wait};
pub use report::{budget_ends, budget_prefix, budget_used, budget_words};
use rule::Facts;

/// What a request takes of limits until its answer is all there.
#[derive(Default)]
pub(crate) struct Admitted(Vec<Held>);

/// A limit that has to hear of the rest of the request.
enum Held {
    /// It runs.
    Running(Arc<Key>),
    /// Its bytes are counted.
    Bytes(Arc<Key>, Arc<Keeper>),
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Running(key) = self {
            key.ended();
        }
    }
}

impl Admitted {
    fn passed(&self, bytes: usize) {
        for held in &self.0 {
            if let Held::Bytes(key, keeper) = held {
                key.charge(bytes as u64, keeper.now());
            }
        }
    }
}

/// Lets a request through that is for one upstream, or says which limit holds it back.
///
/// A call that a task makes was counted when the task was made.
pub(crate) async fn admit(x: &Exchange, call: &Call, routed: &Routed) -> Result<Admitted, RpcError> {
    if x.generation.rates.is_empty() || x.hosted.is_some() {
        return Ok(Admitted::default());
    }
    let tool = if call.method == Method::ToolsCall { routed.call.text("name") } else { None };
    let upstream = Some(routed.source.upstream().name().as_str());
    // Boxed: a gateway without limits does not carry it.
    Box::pin(admit_by(x, facts(x, call, upstream, tool.as_deref()))).await
}

/// The same for a request that is for none alone.
pub(crate) async fn admit_list(x: &Exchange, call: &Call) -> Result<Admitted, RpcError> {
    if x.generation.rates.is_empty() || x.hosted.is_some() {
        return Ok(Admitted::default());
    }
    Box::pin(admit_by(x, facts(x, call, None, None))).await
}

fn facts<'a>(x: &'a Exchange, call: &'a Call, upstream: Option<&'a str>, tool: Option<&'a str>) -> Facts<'a> {
    let who = &x.who;
    Facts {
        tenant: who.principal.tenant(),
        subject: who.principal.subject(),
        client: who.client.as_deref(),
        groups: &who.groups,
        endpoint: x.endpoint.name(),
        upstream,
        tool,
        method: call.method.as_str(),
    }
}

async fn admit_by(x: &Exchange, facts: Facts<'_>) -> Result<Admitted, RpcError> {
    let replicas = 1 + x.app.replicas.peers().len() as u64;
    let mut admitted = Admitted::default();
    let mut taken: Vec<(Arc<Key>, u64)> = Vec::new();
    for rule in x.generation.rates.iter().filter(|rule| rule::fits(rule, &facts)) {
        let Some(spec) = Spec::of(rule) else { continue };
        let amount = match spec {
            Spec::Quota { unit: Unit::Cost, .. } => rule.cost_of(facts.tool.unwrap_or_default()),
            Spec::Quota { unit: Unit::Bytes, .. } => 0,
            _ => 1,
        };
        let name = rule::name(spec.letter(), rule, &facts);
        match x.app.rates.take(spec, &name, amount, replicas).await {
            Ok(key) => match spec {
                Spec::Concurrency(_) => admitted.0.push(Held::Running(key)),
                Spec::Quota { unit: Unit::Bytes, .. } => {
                    admitted.0.push(Held::Bytes(key, Arc::clone(&x.app.rates)));
                }
                Spec::Rate { .. } | Spec::Quota { .. } => taken.push((key, amount)),
            },
            Err(wait) => {
                // Nothing runs, so nothing is used of the limits that would have let it through.
                taken.iter().for_each(|(key, amount)| key.put_back(*amount));
                x.app.metrics.limited(&rule.name);
                return Err(refusal(rule, spec, &facts, wait));
            }
        }
    }
    Ok(admitted)
}

/// What the client is told. It names the limit, and of what it counts apart only his own.
fn refusal(rule: &Rate, spec: Spec, facts: &Facts<'_>, wait: Wait) -> RpcError {
    let (reason, what) = match spec {
        Spec::Rate { .. } => {
            let pace = rule.rate.map(|rate| rate.to_string()).unwrap_or_default();
            ("rate_limited", format!("lets {pace} through"))
        }
        Spec::Concurrency(max) => ("concurrency_limited", format!("lets {max} run at a time")),
        Spec::Quota { .. } => ("quota_spent", "is spent".to_owned()),
    };
    let seconds = wait.ms.div_ceil(1_000).max(1);
    let text = format!("The limit {:?} {what}: nothing ran, try again in {seconds} s", rule.name);
    RpcError::new(code::LIMIT, text).with(json!({
        "reason": reason,
        "limit": rule.name,
        "scope": rule::scope(rule, facts),
        "retryAfterMs": wait.ms.max(1),
        "fault": Fault::Client.as_str(),
        "retry": Retry::Safe.as_str(),
    }))
}
