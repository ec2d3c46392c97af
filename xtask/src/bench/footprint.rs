//! What the gateway takes before it does anything: memory, time to start, size on disk.

use super::Measured;
use super::figure::{Bound, Figure, rounded};
use super::program::resident_mib;
use super::stage::{Stage, Upstream};
use crate::Result;
use crate::run::answers;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const UPSTREAMS: usize = 10;
/// How long it is left alone before it is weighed.
const SETTLE: Duration = Duration::from_secs(2);

pub fn run(stage: &Stage) -> Result<Measured> {
    let upstreams: Vec<Upstream> = (0..UPSTREAMS)
        .map(|i| {
            let era = if i % 2 == 0 { "modern" } else { "legacy" };
            (format!("u{i}"), format!("{era}/20/u{i}/mcp"))
        })
        .collect();
    let (started, used) = memory(stage, &upstreams)?;
    let (start, start_details) = start(stage, &upstreams)?;
    let (size, stripped) = size(stage)?;
    let most = Bound::AtMost;
    let what = "idle with ten upstreams";
    let figures = vec![
        Figure::of_rounds("idle_memory", &format!("{what}, once all were used"), &used, "MiB", most(30.0)),
        Figure::of_rounds(
            "idle_memory_start",
            &format!("{what}, after the start"),
            &started,
            "MiB",
            Bound::None,
        ),
        Figure::of_rounds("start", "start to first answer, ten upstreams", &start, "ms", most(150.0)),
        Figure::new("binary", "release binary", size, "MiB", most(40.0)),
        Figure::new("binary_stripped", "release binary, stripped", stripped, "MiB", most(40.0)),
    ];
    Ok(Measured { figures, details: json!({"start": start_details}) })
}

/// What is resident after the start, and once every upstream was listed and called.
fn memory(stage: &Stage, upstreams: &[Upstream]) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut started, mut used) = (Vec::new(), Vec::new());
    for _ in 0..stage.options.rounds.min(3) {
        let gateway = stage.gateway("tidegate", upstreams)?;
        std::thread::sleep(SETTLE);
        started.push(resident_mib(gateway.program.pid())?);
        let url = format!("{}/mcp", gateway.url);
        stage.client(&["list", "--url", &url, "--walks", "2"])?;
        for (name, _) in upstreams {
            for era in ["modern", "legacy"] {
                let tool = format!("{name}_echo");
                stage.client(&["calls", "--url", &url, "--era", era, "--tool", &tool, "--count", "5"])?;
            }
        }
        std::thread::sleep(SETTLE);
        used.push(resident_mib(gateway.program.pid())?);
    }
    Ok((started, used))
}

fn start(stage: &Stage, upstreams: &[Upstream]) -> Result<(Vec<f64>, Value)> {
    let address = stage.address()?;
    let config = stage.config("start", &address, upstreams)?;
    let url = format!("http://{address}/mcp");
    let rounds = (stage.options.rounds * 2).to_string();
    let program = stage.programs.gateway.to_string_lossy().into_owned();
    let config = config.to_string_lossy().into_owned();
    let args = ["start", "--url", &url, "--tool", "u0_echo", "--rounds", &rounds, "--"];
    let measured = stage.client(&[&args[..], &[&program, "up", "--config", &config]].concat())?;
    let all = measured["all_us"].as_array().map(Vec::as_slice).unwrap_or_default();
    let all = all.iter().filter_map(|us| Some(us.as_f64()? / 1_000.0)).collect();
    Ok((all, measured))
}

/// As it is built, and without the names that it keeps for backtraces.
fn size(stage: &Stage) -> Result<(f64, f64)> {
    let mib = |path: &std::path::Path| {
        let metadata = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok::<_, String>(rounded(metadata.len() as f64 / 1_048_576.0))
    };
    let built = &stage.programs.gateway;
    let stripped = stage.folder.0.join("stripped");
    let worked = answers(Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(built));
    Ok((mib(built)?, mib(if worked { &stripped } else { built })?))
}
