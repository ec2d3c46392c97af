//! What types cannot say: names that must exist, values that must fit together.
//!
//! Each file holds the rules of one section. All of them run, and all of what they find is reported.

mod admin;
mod audit;
mod auth;
mod broker;
mod checks;
mod credentials;
mod discovery;
mod endpoint;
mod extensions;
mod governance;
mod lifecycle;
mod limits;
mod listener;
mod mtls;
mod names;
mod openapi;
mod policy;
mod rates;
mod replicas;
mod report;
mod resilience;
mod retries;
mod sandbox;
mod tasks;
mod upstream;
mod url;

pub(crate) use admin::{listen_fault as admin_listen_fault, token_fault as admin_token_fault};
pub(crate) use replicas::{listen_fault as replica_listen_fault, url_of_replica_fault as replica_url_fault};
pub(crate) use report::Report;

use crate::section::Config;
use crate::source::Path;

/// How many upstreams, and how many endpoints, there may be.
const SECTIONS_MAX: usize = 1000;

/// Runs every rule.
pub(crate) fn run(config: &Config, report: &mut Report<'_>) {
    for (section, count) in [("upstreams", config.upstreams.len()), ("endpoints", config.endpoints.len())] {
        if count > SECTIONS_MAX {
            let message = format!("there are {count} of them, and there may be {SECTIONS_MAX}");
            return report.key(&Path::keys([section]), message, None);
        }
    }
    listener::check(config, report);
    names::check(config, report);
    replicas::check(config, report);
    admin::check(config, report);
    auth::check(config, report);
    discovery::check(config, report);
    extensions::check(config, report);
    mtls::check(config, report);
    limits::check(config, report);
    tasks::check(&config.tasks, report);
    rates::check(config, report);
    policy::check(config.policy.as_ref(), report);
    governance::check(config.governance.as_ref(), report);
    audit::check(&config.audit, report);
    checks::check(&config.checks, report);
    for (name, upstream) in &config.upstreams {
        upstream::check(name, upstream, config, report);
    }
    for (name, endpoint) in &config.endpoints {
        endpoint::check(name, endpoint, config, report);
    }
}

pub(crate) use names::{NAME_MAX, name_fault};
