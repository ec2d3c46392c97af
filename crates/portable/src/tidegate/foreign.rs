//! What other gateways say of callers, as this one takes it.

use serde_json::json;

use crate::gateways::{self, fit_issuers, fit_limit, fit_origins, is_loopback};
use crate::model::Deployment;
use crate::report::Report;

/// Says whose tokens are taken, how much callers may do and which pages may call as it is said here. What
/// cannot be said is left out and told. `renamed`: what servers were called, and what they are called here.
pub(super) fn fit(deployment: &mut Deployment, renamed: &[(String, String)], report: &mut Report) {
    let gateway = &mut deployment.gateway;
    gateway.issuers = fit_issuers(std::mem::take(&mut gateway.issuers), report);
    let open = gateway.listen.as_deref().is_some_and(|listen| !is_loopback(listen));
    if gateway.issuers.is_empty() && open {
        let meaning = "anybody may call, as before: say who may in `auth.allow`";
        report.approximated("gateway.listen", false, meaning);
        gateway.unknown.insert("auth".to_owned(), json!({"allow": ["anonymous"]}));
    }
    if let Some(all) = &mut gateway.origins {
        let good = fit_origins(all);
        if good.len() < all.len() {
            report.approximated("gateway.origins", true, gateways::ORIGINS_LEFT_OUT);
        }
        *all = good;
    }
    limits(deployment, renamed, report);
}

fn limits(deployment: &mut Deployment, renamed: &[(String, String)], report: &mut Report) {
    let kept = &deployment.servers;
    let name = |old: &String| renamed.iter().find(|(one, _)| one == old).map(|(_, new)| new.clone());
    let mut index = 0;
    deployment.gateway.limits.retain_mut(|limit| {
        let (path, number) = (format!("gateway.limits[{index}]"), index);
        index += 1;
        if let Some(servers) = &mut limit.servers {
            *servers = servers.iter().filter_map(name).filter(|name| kept.contains_key(name)).collect();
            if servers.is_empty() {
                return false;
            }
        }
        match fit_limit(limit, number) {
            Ok(false) => true,
            Ok(true) => {
                report.approximated(path, true, gateways::EVEN_SHARE);
                true
            }
            Err(meaning) => {
                report.dropped(path, true, meaning);
                false
            }
        }
    });
}
