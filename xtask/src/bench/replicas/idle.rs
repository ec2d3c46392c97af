//! Thousands of streams that only listen, over two replicas and for minutes.

use super::World;
use crate::Result;
use crate::bench::Measured;
use crate::bench::figure::{Bound, Figure};
use crate::bench::program::resident_mib;
use crate::bench::stage::{Stage, number};
use serde_json::{Value, json};

/// How many replicas share them.
const REPLICAS: usize = 2;

/// Half of them modern, half legacy.
pub fn run(stage: &Stage, world: &World) -> Result<Measured> {
    let (streams, seconds): (u32, u32) = stage.choose((8_000, 600), (1_000, 20));
    let balancer = world.balancers.get(REPLICAS - 1).ok_or("no balancer before two replicas")?;
    let (url, half, hold) = (format!("{}/mcp", balancer.url), (streams / 2).to_string(), seconds.to_string());
    let pids: Vec<_> = world.replicas.iter().take(REPLICAS).map(|replica| replica.running.id()).collect();
    println!("   {streams} streams for {seconds} s");
    let before: f64 = pids.iter().map(|pid| resident_mib(*pid)).sum::<Result<_>>()?;
    let client = |era: &str| {
        let mut args = vec!["idle", "--era", era, "--url", &url, "--streams", &half, "--hold-seconds", &hold];
        let texts: Vec<String> = pids.iter().map(u32::to_string).collect();
        texts.iter().for_each(|pid| args.extend(["--pid", pid]));
        stage.client(&args)
    };
    // The second one begins when all of the first are open, so both are open when the first one weighs.
    let (modern, legacy) = std::thread::scope(|scope| {
        let legacy = scope.spawn(|| client("legacy"));
        let modern = client("modern");
        (modern, legacy.join().unwrap_or_else(|_| Err("the client failed".to_owned())))
    });
    let both = [modern?, legacy?];
    let sum = |pointer: &str| -> Result<f64> { both.iter().map(|one| number(one, pointer)).sum() };
    // Whoever weighs first has all of them open.
    let after = both.iter().map(|one| number(one, "/rss_after_kib")).collect::<Result<Vec<_>>>()?;
    let most = after.into_iter().fold(0.0, f64::max);
    let each = (most - before * 1024.0).max(0.0) / f64::from(streams);
    let open = format!("{streams} idle streams over {REPLICAS} replicas for {seconds} s");
    let figures = vec![
        Figure::new("idle_dropped", &format!("dropped of {open}"), sum("/dropped")?, "", Bound::AtMost(0.0)),
        Figure::new("idle_silent", &format!("silent of {open}"), sum("/silent")?, "", Bound::AtMost(0.0)),
        Figure::new("idle_each", &format!("memory of each of {open}"), each, "KiB", Bound::AtMost(40.0)),
    ];
    let details: Value =
        json!({"streams": streams, "seconds": seconds, "before_mib": before, "clients": both});
    Ok(Measured { figures, details })
}
