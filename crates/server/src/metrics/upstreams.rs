//! What the upstreams count themselves.

use std::fmt::Write as _;
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
    type ReadHealth = fn(&upstream::Health) -> u64;
    let gauges: [(&str, &str, ReadHealth); 4] = [
        ("up", "Whether the last attempt to use the upstream succeeded", |h| u64::from(h.state == "up")),
        ("in_flight", "Calls under way on the upstream", |h| h.in_flight),
        ("parked", "Calls that wait for input", |h| h.parked as u64),
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
