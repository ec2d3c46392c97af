//! What the upstreams count themselves.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::app::Generation;

/// What the upstreams count themselves.
pub(super) fn render(out: &mut String, generation: &Generation) {
    type Read = fn(&upstream::Stats) -> u64;
    let counters: [(&str, &str, Read); 7] = [
        ("requests", "Requests sent to upstreams", |s| s.requests.load(Ordering::Relaxed)),
        ("calls", "Calls made on upstreams", |s| s.calls.load(Ordering::Relaxed)),
        ("handshakes", "Legacy handshakes made", |s| s.handshakes.load(Ordering::Relaxed)),
        ("probes", "Era detections made", |s| s.probes.load(Ordering::Relaxed)),
        ("starts", "Processes started", |s| s.starts.load(Ordering::Relaxed)),
        ("strays", "Messages that belonged to nothing", |s| s.strays.load(Ordering::Relaxed)),
        ("sessions_refused", "Sessions that were not opened for want of a place", |s| {
            s.sessions_refused.load(Ordering::Relaxed)
        }),
    ];
    let all = generation.upstreams();
    for (name, help, read) in counters {
        let _ =
            writeln!(out, "# HELP tidegate_upstream_{name} {help}.\n# TYPE tidegate_upstream_{name} counter");
        for upstream in &all {
            let _ = writeln!(
                out,
                "tidegate_upstream_{name}_total{{upstream=\"{}\"}} {}",
                upstream.name(),
                read(upstream.stats())
            );
        }
    }
    lists(out, generation);
    resilience(out, &all);
    type ReadHealth = fn(&upstream::Health) -> u64;
    let gauges: [(&str, &str, ReadHealth); 5] = [
        ("up", "Whether the last attempt to use the upstream succeeded", |h| u64::from(h.is_up())),
        ("in_flight", "Calls under way on the upstream", |h| h.in_flight),
        ("parked", "Calls that wait for input", |h| h.parked as u64),
        ("retry_budget", "Further requests that there may be now", |h| h.budget_left),
        ("sessions", "Sessions that belong to a principal, a client or a handle", |h| h.sessions as u64),
    ];
    for (name, help, read) in gauges {
        let _ =
            writeln!(out, "# HELP tidegate_upstream_{name} {help}.\n# TYPE tidegate_upstream_{name} gauge");
        for upstream in &all {
            let _ = writeln!(
                out,
                "tidegate_upstream_{name}{{upstream=\"{}\"}} {}",
                upstream.name(),
                read(&upstream.health())
            );
        }
    }
    out.push_str("# HELP tidegate_upstream_state 1 for the state that the upstream is in.\n");
    out.push_str("# TYPE tidegate_upstream_state gauge\n");
    for upstream in &all {
        let health = upstream.health();
        let revision = health.revision.map_or("", protocol::Revision::as_str);
        let (name, state) = (upstream.name(), health.state);
        let _ = writeln!(
            out,
            "tidegate_upstream_state{{upstream=\"{name}\",state=\"{state}\",revision=\"{revision}\"}} 1"
        );
    }
}

/// What was done where they failed.
fn resilience(out: &mut String, all: &[Arc<upstream::Upstream>]) {
    type Read = fn(&upstream::ResilienceStats) -> u64;
    let counters: [(&str, &str, Read); 9] = [
        ("retries", "Calls made again before their clients heard of a failure", |s| {
            s.retries.load(Ordering::Relaxed)
        }),
        ("retries_refused", "Further requests that the budget did not have", |s| {
            s.retries_refused.load(Ordering::Relaxed)
        }),
        ("hedges", "Second requests beside slow ones", |s| s.hedges.load(Ordering::Relaxed)),
        ("hedges_won", "Second requests that answered first", |s| s.hedges_won.load(Ordering::Relaxed)),
        ("circuit_opened", "Times that the upstream was left alone", |s| {
            s.circuit_opened.load(Ordering::Relaxed)
        }),
        ("circuit_refused", "Calls refused while the upstream was left alone", |s| {
            s.circuit_refused.load(Ordering::Relaxed)
        }),
        ("ejections", "Times that one of its addresses was left alone", |s| {
            s.ejections.load(Ordering::Relaxed)
        }),
        ("checks", "Checks made by requests of the gateway's own", |s| s.checks.load(Ordering::Relaxed)),
        ("checks_failed", "Checks without a good answer", |s| s.checks_failed.load(Ordering::Relaxed)),
    ];
    for (name, help, read) in counters {
        let _ =
            writeln!(out, "# HELP tidegate_upstream_{name} {help}.\n# TYPE tidegate_upstream_{name} counter");
        for upstream in all {
            let (own, count) = (upstream.name(), read(upstream.resilience()));
            let _ = writeln!(out, "tidegate_upstream_{name}_total{{upstream=\"{own}\"}} {count}");
        }
    }
    out.push_str("# HELP tidegate_upstream_circuit 1 for the state of the upstream's breaker.\n");
    out.push_str("# TYPE tidegate_upstream_circuit gauge\n");
    for upstream in all {
        let Some(circuit) = upstream.health().circuit else { continue };
        let (name, state) = (upstream.name(), circuit.as_str());
        let _ = writeln!(out, "tidegate_upstream_circuit{{upstream=\"{name}\",state=\"{state}\"}} 1");
    }
    health(out, all);
    out.push_str("# HELP tidegate_upstream_address_ejected Whether an address is left alone.\n");
    out.push_str("# TYPE tidegate_upstream_address_ejected gauge\n");
    for upstream in all {
        for address in upstream.health().addresses {
            let (name, ejected) = (upstream.name(), u64::from(address.ejected));
            let place = address.url.authority().map(ToString::to_string).unwrap_or_default();
            let labels = format!("upstream=\"{name}\",address=\"{place}\"");
            let _ = writeln!(out, "tidegate_upstream_address_ejected{{{labels}}} {ejected}");
        }
    }
}

/// What checks say, and what is left of the budget.
fn health(out: &mut String, all: &[Arc<upstream::Upstream>]) {
    out.push_str("# HELP tidegate_upstream_health 1 for what checks say of the upstream.\n");
    out.push_str("# TYPE tidegate_upstream_health gauge\n");
    for upstream in all {
        let Some(condition) = upstream.health().condition else { continue };
        let (name, health) = (upstream.name(), condition.as_str());
        let _ = writeln!(out, "tidegate_upstream_health{{upstream=\"{name}\",health=\"{health}\"}} 1");
    }
    out.push_str("# HELP tidegate_upstream_address_up Whether checks say that an address is up.\n");
    out.push_str("# TYPE tidegate_upstream_address_up gauge\n");
    for upstream in all {
        let health = upstream.health();
        for address in health.addresses {
            let up = match address.condition {
                upstream::Condition::Unknown => continue,
                upstream::Condition::Up => 1,
                upstream::Condition::Down => 0,
            };
            let place = address.url.authority().map(ToString::to_string).unwrap_or_default();
            let labels = format!("upstream=\"{}\",address=\"{place}\"", upstream.name());
            let _ = writeln!(out, "tidegate_upstream_address_up{{{labels}}} {up}");
        }
    }
}

/// How often lists were known.
fn lists(out: &mut String, generation: &Generation) {
    type Read = fn(&catalog::ListStats) -> u64;
    let counters: [(&str, &str, Read); 2] = [
        ("hits", "Lists that were needed and still known", |s| s.hits.load(Ordering::Relaxed)),
        ("misses", "Lists that had to be fetched", |s| s.misses.load(Ordering::Relaxed)),
    ];
    let mut sources: Vec<_> = generation.sources.iter().collect();
    sources.sort_by_key(|(name, _)| *name);
    for (name, help, read) in counters {
        let _ = writeln!(
            out,
            "# HELP tidegate_list_cache_{name} {help}.\n# TYPE tidegate_list_cache_{name} counter"
        );
        for (upstream, source) in &sources {
            let count = read(source.stats());
            let _ = writeln!(out, "tidegate_list_cache_{name}_total{{upstream=\"{upstream}\"}} {count}");
        }
    }
}
