//! What passes through must not stay: large results, long streams, and many that only listen.

use super::Measured;
use super::calls::PAIRS;
use super::figure::{Bound, Figure};
use super::stage::{Gateway, Stage, both_eras, number};
use crate::Result;
use serde_json::{Map, Value, json};

const MIB: u64 = 1 << 20;
/// What may be more at the peak of a result a hundred times as large: noise of the allocator and of buffers.
const GROWTH_MAX_MIB: f64 = 4.0;

/// One answer to pass through.
struct Load<'a> {
    tool: &'a str,
    bytes: u64,
    events: u64,
    pause_ms: u64,
}

/// The most memory that was resident while one answer passed, against that for a small one.
pub fn transfer(stage: &Stage) -> Result<Measured> {
    let (mut figures, mut details) = (Vec::new(), Map::new());
    let (large, long) = (stage.choose(100 * MIB, 20 * MIB), stage.choose(10_000, 2_000));
    let load = |tool, bytes, events, pause_ms| Load { tool, bytes, events, pause_ms };
    let result = format!("a {} MiB result", large / MIB);
    let kinds = [
        ("result", result.clone(), load("large", MIB, 0, 0), load("large", large, 0, 0)),
        ("slow", result + " to a slow client", load("large", MIB, 0, 0), load("large", large, 0, 1_500)),
        ("events", format!("{long} events"), load("events", 0, 100, 0), load("events", 0, long, 0)),
    ];
    for (name, what, small, large) in kinds {
        let (mut worst, mut all) = (Vec::new(), Vec::new());
        for _ in 0..stage.options.rounds.min(3) {
            let (growth, pairs) = growth(stage, &small, &large)?;
            worst.push(growth);
            all.push(pairs);
        }
        let what = format!("memory at the peak of {what}, over that of a small one");
        let name = format!("transfer_{name}_growth");
        let bound = Bound::AtMost(GROWTH_MAX_MIB);
        figures.push(Figure::of_rounds(&name, &what, &worst, "MiB", bound));
        details.insert(name, all.into());
    }
    Ok(Measured { figures, details: details.into() })
}

/// How much more is resident at the peak of the large one, in the worst of the four pairs; and each of them.
fn growth(stage: &Stage, small: &Load<'_>, large: &Load<'_>) -> Result<(f64, Value)> {
    let (mut worst, mut pairs) = (f64::MIN, Map::new());
    for (client, upstream) in PAIRS {
        // Each pair has a gateway of its own: what one leaves behind would hide what the next one takes.
        let gateway = stage.gateway("tidegate", &both_eras())?;
        let measure = |load: &Load<'_>| pass(stage, &gateway, client, upstream, load);
        measure(small)?;
        let (small, large) = (measure(small)?, measure(large)?);
        worst = worst.max((number(&large, "/peak_kib")? - number(&small, "/peak_kib")?) / 1024.0);
        pairs.insert(format!("{client}_{upstream}"), json!({"small": small, "large": large}));
    }
    Ok((worst, pairs.into()))
}

fn pass(stage: &Stage, gateway: &Gateway, client: &str, upstream: &str, load: &Load<'_>) -> Result<Value> {
    let (url, tool) = (format!("{}/mcp", gateway.url), format!("{upstream}_{}", load.tool));
    let numbers = [load.bytes, load.events, u64::from(gateway.program.pid()), load.pause_ms];
    let [bytes, events, pid, pause] = numbers.map(|number| number.to_string());
    let what = ["--bytes", &bytes, "--events", &events, "--pid", &pid, "--pause-ms", &pause];
    stage.client(&[&["transfer", "--url", &url, "--era", client, "--tool", &tool][..], &what].concat())
}

/// Thousands of streams that only listen.
pub fn idle(stage: &Stage) -> Result<Measured> {
    let streams: u32 = stage.choose(5_000, 1_000);
    let rounds = stage.options.rounds.min(3);
    let (mut figures, mut details) = (Vec::new(), Map::new());
    for (era, bound) in [("modern", Bound::AtMost(40.0)), ("legacy", Bound::AtMost(40.0))] {
        let (mut each, mut all) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let gateway = stage.gateway("tidegate", &both_eras())?;
            let (url, pid) = (format!("{}/mcp", gateway.url), gateway.program.pid().to_string());
            let (count, args) = (streams.to_string(), ["idle", "--era", era, "--url", &url, "--pid", &pid]);
            let measured = stage.client(&[&args[..], &["--streams", &count]].concat())?;
            each.push(number(&measured, "/each_kib")?);
            all.push(measured);
        }
        let what = format!("memory of one of {streams} idle streams, {era} clients");
        figures.push(Figure::of_rounds(&format!("idle_stream_{era}"), &what, &each, "KiB", bound));
        details.insert(era.to_owned(), all.into());
    }
    Ok(Measured { figures, details: details.into() })
}
