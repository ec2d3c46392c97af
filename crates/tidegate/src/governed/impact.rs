//! Who gains and loses which tools, by the policies: of what a store knows of tools, and a configuration of
//! callers.

use std::collections::BTreeSet;

use config::Config;
use governor::Impact;
use model::{Clock as _, SystemClock};
use policy::{Action, Circumstances, Effect, Engine, Question, Target, ToolHints, Who};
use server::policies::Labels;
use store::PinRow;

/// Pairs of a caller and a tool that are asked about.
const PAIRS_MAX: u64 = 20_000;
/// Lines that are told of each.
const LINES_MAX: usize = 200;

/// A configuration, and what decides by it.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub config: &'a Config,
    pub engine: &'a Engine,
}

/// Somebody who may call.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Caller {
    tenant: String,
    subject: String,
    groups: Vec<String>,
    scopes: Vec<String>,
}

/// Callers that a configuration names: those with a key, and those who say nothing of themselves.
fn callers(config: &Config) -> BTreeSet<Caller> {
    let key = |key: &config::ApiKey| Caller {
        tenant: key.tenant.clone().unwrap_or_else(|| "default".to_owned()),
        subject: format!("keys:{}", key.id),
        groups: key.groups.clone(),
        scopes: key.scopes.clone(),
    };
    let mut all: BTreeSet<_> = config.auth.keys.iter().map(key).collect();
    let anonymous = config.auth.allow.as_ref().is_none_or(|ways| ways.iter().any(|way| way == "anonymous"));
    if anonymous {
        let anonymous = model::Principal::anonymous();
        let (tenant, subject) = (anonymous.tenant().to_owned(), anonymous.subject().to_owned());
        all.insert(Caller { tenant, subject, groups: Vec::new(), scopes: Vec::new() });
    }
    all
}

/// Tools by their upstream: those that were seen, and of an upstream of which nothing was seen all in one.
fn tools(known: &[PinRow], sides: [Side<'_>; 2]) -> BTreeSet<(String, String)> {
    let names: BTreeSet<&String> = sides.iter().flat_map(|side| side.config.upstreams.keys()).collect();
    let seen = known.iter().filter(|pin| pin.key.kind == "tool" && names.contains(&pin.key.upstream));
    let mut all: BTreeSet<_> = seen.map(|pin| (pin.key.upstream.clone(), pin.key.name.clone())).collect();
    for name in names {
        if !all.iter().any(|(upstream, _)| upstream == name) {
            all.insert((name.clone(), "*".to_owned()));
        }
    }
    all
}

fn may(side: Side<'_>, labels: &Labels, caller: &Caller, (upstream, name): &(String, String)) -> bool {
    let now = SystemClock.now();
    if !side.config.upstreams.get(upstream).is_some_and(|upstream| upstream.enabled) {
        return false;
    }
    // What is experimental can be used at the endpoints that offer it.
    let tries = |endpoint: &config::Endpoint| endpoint.experimental && endpoint.upstreams.contains(upstream);
    let experimental = side.config.endpoints.values().any(tries);
    if !labels.offers(upstream, name, now, experimental) {
        return false;
    }
    let anonymous = caller.subject == model::Principal::anonymous().subject();
    let decision = side.engine.decide(&Question {
        who: Who {
            tenant: &caller.tenant,
            subject: &caller.subject,
            kind: if anonymous { "anonymous" } else { "workload" },
            groups: &caller.groups,
            scopes: &caller.scopes,
            client: None,
            issuer: None,
            actors: &[],
            issued: None,
            bound: false,
        },
        action: Action::CallTool,
        target: Target {
            endpoint: server::EVERYTHING,
            upstream,
            name,
            hints: ToolHints::default(),
            labels: &labels.get(upstream, name, now),
        },
        circumstances: Circumstances { arguments: None, address: None, now, task: false },
    });
    decision.effect != Effect::Deny
}

/// Who gains and loses which tools.
pub fn of(known: &[PinRow], before: Side<'_>, after: Side<'_>) -> Impact {
    let mut impact = Impact::default();
    let labels = (Labels::of(before.config), Labels::of(after.config));
    let mut all: Vec<_> = callers(before.config).into_iter().collect();
    all.extend(callers(after.config));
    all.sort();
    all.dedup();
    let (one, other) = (callers(before.config), callers(after.config));
    for caller in &all {
        for tool in tools(known, [before, after]) {
            if impact.asked == PAIRS_MAX {
                impact.more = true;
                return impact;
            }
            impact.asked += 1;
            let could = one.contains(caller) && may(before, &labels.0, caller, &tool);
            let can = other.contains(caller) && may(after, &labels.1, caller, &tool);
            let place = match (could, can) {
                (false, true) => &mut impact.gains,
                (true, false) => &mut impact.loses,
                _ => continue,
            };
            match place.len() < LINES_MAX {
                true => place.push(format!("{}/{}: {}/{}", caller.tenant, caller.subject, tool.0, tool.1)),
                false => impact.more = true,
            }
        }
    }
    impact
}
