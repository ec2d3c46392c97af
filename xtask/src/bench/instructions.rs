//! Instructions of a call, which no other work on the machine changes.

use super::Measured;
use super::calls::PAIRS;
use super::figure::{Bound, Figure, rounded};
use super::program::{Program, command};
use super::stage::{Stage, both_eras, endpoint};
use crate::Result;
use serde_json::{Map, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Everything takes tens of times as long there.
const START: Duration = Duration::from_secs(120);

/// What valgrind says it is; `None` where it is missing.
pub fn version() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("valgrind-").to_owned();
    output.status.success().then_some(text)
}

pub fn run(stage: &Stage) -> Result<Measured> {
    if version().is_none() {
        println!("   left out: valgrind is missing (apt-get install valgrind)");
        return Ok(Measured { figures: Vec::new(), details: json!({"left_out": "valgrind is missing"}) });
    }
    let calls: u32 = stage.choose(1_000, 200);
    let (mut figures, mut details) = (Vec::new(), Map::new());
    for (client, upstream) in PAIRS {
        // What the start takes is in both and goes out.
        let once = count(stage, client, upstream, calls)?;
        let twice = count(stage, client, upstream, 2 * calls)?;
        let each = (twice - once) / f64::from(calls);
        let what = format!("instructions of a call, {client} client, {upstream} upstream");
        let name = format!("instructions_{client}_{upstream}");
        figures.push(Figure::new(&name, &what, each / 1_000.0, "thousand", Bound::None));
        let json = json!({"calls": calls, "once": once, "twice": twice, "each": rounded(each)});
        details.insert(format!("{client}_{upstream}"), json);
    }
    Ok(Measured { figures, details: details.into() })
}

/// All instructions of a gateway that starts, serves so many calls and stops.
fn count(stage: &Stage, client: &str, upstream: &str, calls: u32) -> Result<f64> {
    let config = stage.config("callgrind", "127.0.0.1:0", &both_eras())?;
    let out = stage.folder.0.join("callgrind.out");
    let mut own = command(Path::new("valgrind"));
    own.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    own.arg(&stage.programs.gateway).arg("up").arg("--config").arg(config);
    own.env("XDG_STATE_HOME", &stage.folder.0);
    let mut program = Program::start("callgrind", &mut own, &stage.folder.0)?;
    let url = program.wait_for("its endpoint", START, endpoint)? + "/mcp";
    let (tool, calls) = (format!("{upstream}_echo"), calls.to_string());
    stage.client(&["calls", "--url", &url, "--era", client, "--tool", &tool, "--count", &calls])?;
    program.stop()?;
    let text = std::fs::read_to_string(&out).map_err(|e| format!("callgrind's output: {e}"))?;
    total(&text).ok_or_else(|| "callgrind's output has no total".to_owned())
}

fn total(text: &str) -> Option<f64> {
    let mut totals =
        text.lines().filter_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    totals.next_back()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_at_the_end() {
        assert_eq!(total("events: Ir\nfn=(1)\n1 2\n\ntotals: 12345\n"), Some(12_345.0));
        assert_eq!(total("events: Ir\n"), None);
    }
}
