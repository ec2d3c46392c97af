//! A catalog as a large company has it: how soon the gateway is ready, how long a search takes, and how soon
//! a change of the configuration is in force everywhere.

use super::Measured;
use super::calls::answer;
use super::figure::{Bound, Figure};
use super::stage::{Gateway, Stage, Upstream, number};
use crate::Result;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const UPSTREAMS: usize = 500;
/// Of each upstream.
const TOOLS: usize = 20;
/// Gateways that watch one file.
const REPLICAS: usize = 3;
/// How long anything may take here before the run is given up.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether something is so.
const LOOK: Duration = Duration::from_millis(10);

/// `every` has everything and is searched; `few` is changed.
fn more(hidden: &str) -> String {
    let names: Vec<String> = upstreams().into_iter().map(|(name, _)| name).collect();
    let everything = names.join(", ");
    format!(
        "endpoints:\n  every: {{find: {{}}, upstreams: [{everything}]}}\n  \
         few: {{upstreams: [u000], hide: [{hidden}]}}\n"
    )
}

fn upstreams() -> Vec<Upstream> {
    (0..UPSTREAMS).map(|i| (format!("u{i:03}"), format!("modern/{TOOLS}/u{i:03}/mcp"))).collect()
}

pub fn run(stage: &Stage) -> Result<Measured> {
    let all = upstreams();
    let (mut ready, mut listed, mut search) = (Vec::new(), Vec::new(), Vec::new());
    let mut details = Vec::new();
    for round in 0..stage.options.rounds {
        let begun = Instant::now();
        let gateway = stage.gateway_with(&format!("catalog{round}"), &all, &more(""))?;
        until(|| Ok(answer(&gateway.url, "/readyz")?.0.starts_with("HTTP/1.1 200")))?;
        ready.push(begun.elapsed().as_secs_f64());
        let found = stage.client(&["find", "--url", &format!("{}/every/mcp", gateway.url)])?;
        listed.push(ready[round] + number(&found, "/first_us")? / 1e6);
        search.push(number(&found, "/all/p50_us")? / 1_000.0);
        details.push(found);
    }
    let change = change(stage, &all)?;
    let what = format!("{} tools of {UPSTREAMS} upstreams", UPSTREAMS * TOOLS);
    let figure = |name, text: &str, rounds: &[f64], unit, bound| {
        Figure::of_rounds(name, &format!("{text}, {what}"), rounds, unit, bound)
    };
    let seconds = Bound::AtMost(3.0);
    let figures = vec![
        figure("catalog_search", "a search, p50", &search, "ms", Bound::AtMost(10.0)),
        figure("catalog_ready", "start to ready", &ready, "s", seconds),
        figure("catalog_listed", "start to the first search that sees all", &listed, "s", seconds),
        figure("catalog_change", "a change in force on 3 gateways", &change, "s", Bound::AtMost(2.0)),
    ];
    Ok(Measured { figures, details: Value::Array(details) })
}

/// From the file's change until each of the gateways that watch it lists what it says.
fn change(stage: &Stage, all: &[Upstream]) -> Result<Vec<f64>> {
    let write = |hidden: &str| stage.config_with("shared", "127.0.0.1:0", all, &more(hidden));
    let file = write("")?;
    let gateways: Vec<Gateway> = (0..REPLICAS).map(|at| start(stage, at, &file)).collect::<Result<_>>()?;
    let mut times = Vec::new();
    for round in 0..stage.options.rounds {
        let (hidden, wanted) = if round % 2 == 0 { ("u000_tool*", 3.0) } else { ("", TOOLS as f64) };
        for gateway in &gateways {
            until(|| Ok(tools(stage, gateway)? > 0.0))?;
        }
        let begun = Instant::now();
        write(hidden)?;
        for gateway in &gateways {
            until(|| Ok((tools(stage, gateway)? - wanted).abs() < 0.5))?;
        }
        times.push(begun.elapsed().as_secs_f64());
    }
    Ok(times)
}

fn start(stage: &Stage, at: usize, file: &Path) -> Result<Gateway> {
    stage.gateway_of(&format!("shared{at}"), file)
}

fn tools(stage: &Stage, gateway: &Gateway) -> Result<f64> {
    let url = format!("{}/few/mcp", gateway.url);
    number(&stage.client(&["list", "--url", &url, "--walks", "0"])?, "/tools")
}

fn until(is_so: impl Fn() -> Result<bool>) -> Result {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > LIMIT {
            return Err(format!("it is not so after {} s", LIMIT.as_secs()));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
