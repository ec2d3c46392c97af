//! Several replicas behind nginx: what they do together, and what that costs.
//!
//! Three replicas run all the time, and three balancers stand before one, two and three of them; so rounds
//! can be interleaved, and what is compared is compared within a round.

mod idle;
mod plot;

use super::figure::{Bound, Figure, median, rounded};
use super::program::{command, cpu_time};
use super::stage::{Stage, both_eras, number};
use super::{Options, build, machine, nginx, report};
use crate::cluster::balancer::{Balancer, Options as Balance};
use crate::cluster::{Ground, Replica};
use crate::workspace::Workspace;
use crate::{Result, build as programs};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// How many replicas there are at most.
const REPLICAS: usize = 3;
const CONNECTIONS: &str = "64";
const RATE: &str = "1000";
/// How long the traffic of all revisions lasts, in minutes.
const MIX_MINUTES: &str = "0.6";
/// The figures, the plot and the page, in the folder of all figures.
const NAMES: [&str; 3] = ["replicas.json", "replicas.svg", "replicas.md"];

/// Replicas, and a balancer before the first, the first two and all of them.
pub struct World {
    balancers: Vec<Balancer>,
    replicas: Vec<Replica>,
    _ground: Ground,
}

impl World {
    fn start(workspace: &Workspace, stage: &Stage) -> Result<Self> {
        let folder = &stage.folder.0;
        let ground = Ground::start(workspace, &stage.programs.gateway, folder, "bench")?;
        let mut sections = "drain_timeout: 1s\nupstreams:\n".to_owned();
        for (name, path) in both_eras() {
            let _ = writeln!(sections, "  {name}:\n    url: {}/{path}", stage.upstream);
        }
        let mut replicas = Vec::new();
        for number in 1..=REPLICAS {
            replicas.push(ground.replica_by(number, &sections, command(&stage.programs.gateway))?);
        }
        let mut balancers = Vec::new();
        for count in 1..=REPLICAS {
            let names: Vec<_> = replicas.iter().take(count).map(|r| r.address.as_str()).collect();
            let options = Balance { keep: true, workers: 2, silence: Duration::from_secs(60) };
            balancers.push(Balancer::start(&names, &options, &folder.join(format!("balancer{count}")))?);
        }
        Ok(Self { balancers, replicas, _ground: ground })
    }

    /// What all replicas together have used of the processors, in seconds.
    fn cpu_seconds(&self) -> Result<f64> {
        self.replicas.iter().map(|r| Ok(cpu_time(r.running.id())?.as_secs_f64())).sum()
    }

    /// How many requests were sent on to another replica so far.
    fn forwarded(&self) -> Result<f64> {
        let read = |replica: &Replica| {
            let text = super::calls::get(&format!("http://{}", replica.address), "/metrics")?;
            let lines = text.lines().filter_map(|l| l.strip_prefix("tidegate_forwarded_requests_total"));
            Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).fold(0.0, |a, b| a + b))
        };
        self.replicas.iter().map(read).sum()
    }
}

/// What one measurement gave.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    per_second: f64,
    p99_us: f64,
    /// Of a call, in all replicas together.
    cpu_us: f64,
    /// The p99 at a rate that leaves the machine time.
    paced_p99_us: f64,
    /// Requests sent on, as a share of those made.
    forwarded: f64,
}

/// Measures, prints, and writes the results.
pub fn run(workspace: &Workspace, options: &Options) -> Result {
    nginx::found()?;
    let built = build(workspace, options)?;
    let [soak] = programs::programs(workspace, ["tidegate-soak"])?;
    let mut facts = machine::facts(workspace)?;
    let stage = Stage::start(built, options)?;
    let world = World::start(workspace, &stage)?;
    let (mut figures, mut details) = (Vec::new(), Map::new());
    for era in ["modern", "legacy"] {
        let samples = measure(&stage, &world, era)?;
        figures.extend(of_samples(era, &samples));
        details.insert(era.to_owned(), to_json(&samples));
    }
    figures.iter().for_each(|figure| println!("{figure}"));
    let idle = idle::run(&stage, &world)?;
    idle.figures.iter().for_each(|figure| println!("{figure}"));
    figures.extend(idle.figures);
    details.insert("idle".to_owned(), idle.details);
    drop(world);
    let mix = mix(workspace, &stage, &soak)?;
    for (count, share) in (1..).zip(&mix) {
        let what = format!("requests sent on, all revisions with questions and streams, {}", replicas(count));
        let figure = Figure::new(&format!("mix_forwarded_{count}"), &what, share * 100.0, "%", Bound::None);
        println!("{figure}");
        figures.push(figure);
    }
    details.insert("mix".to_owned(), json!(mix));
    facts["load_average_after"] = machine::load_average();
    let results = json!({
        "machine": facts,
        "run": {"rounds": options.rounds, "quick": options.quick},
        "figures": figures.iter().map(Figure::to_json).collect::<Vec<_>>(),
        "details": details,
    });
    let folder = write(workspace, options.whole(), &results)?;
    println!("\n{} figures; written to {folder}", figures.len());
    Ok(())
}

fn replicas(count: u32) -> String {
    format!("{count} replica{}", if count == 1 { "" } else { "s" })
}

/// For each number of replicas a sample of every round.
fn measure(stage: &Stage, world: &World, era: &str) -> Result<Vec<Vec<Sample>>> {
    let mut samples = vec![Vec::new(); REPLICAS];
    for round in 0..=stage.options.rounds {
        for (balancer, samples) in world.balancers.iter().zip(&mut samples) {
            let sample = sample(stage, world, balancer, era)?;
            // The first round warms everything up.
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

fn sample(stage: &Stage, world: &World, balancer: &Balancer, era: &str) -> Result<Sample> {
    let url = format!("{}/mcp", balancer.url);
    let seconds = stage.choose("2.5", "0.7");
    let args = ["calls", "--url", &url, "--era", era, "--tool", "modern_echo", "--connections", CONNECTIONS];
    let args = [&args[..], &["--seconds", seconds]].concat();
    let (cpu, sent_on) = (world.cpu_seconds()?, world.forwarded()?);
    let flat = stage.client(&args)?;
    let made = number(&flat, "/made")?.max(1.0);
    let (cpu, sent_on) = (world.cpu_seconds()? - cpu, world.forwarded()? - sent_on);
    let paced = stage.client(&[&args[..], &["--rate", RATE]].concat())?;
    Ok(Sample {
        per_second: number(&flat, "/per_second")?,
        p99_us: number(&flat, "/p99_us")?,
        cpu_us: cpu * 1e6 / made,
        paced_p99_us: number(&paced, "/p99_us")?,
        forwarded: sent_on / made,
    })
}

/// What is made of a sample: its name, what it is, its unit, and the number.
type Column = (&'static str, &'static str, &'static str, fn(&Sample) -> f64);

const COLUMNS: [Column; 5] = [
    ("per_second", "calls a second, 64 connections", "/s", |s| s.per_second),
    ("p99", "p99 of a call, 64 connections", "µs", |s| s.p99_us),
    ("paced_p99", "p99 of a call at 1,000 calls/s", "µs", |s| s.paced_p99_us),
    ("cpu", "processor time of a call in all replicas", "µs", |s| s.cpu_us),
    ("forwarded", "requests sent on of plain calls", "%", |s| s.forwarded * 100.0),
];

fn of_samples(era: &str, samples: &[Vec<Sample>]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (name, what, unit, of) in COLUMNS {
        for (count, samples) in (1..).zip(samples) {
            // Whatever lives in one process is not on the way of a plain call.
            let bound = if name == "forwarded" { Bound::AtMost(0.0) } else { Bound::None };
            let values: Vec<_> = samples.iter().map(of).collect();
            let what = format!("{what}, {era} clients, {}", replicas(count));
            figures.push(Figure::of_rounds(&format!("{name}_{era}_{count}"), &what, &values, unit, bound));
        }
    }
    figures
}

fn to_json(samples: &[Vec<Sample>]) -> Value {
    let row = |samples: &Vec<Sample>| {
        let values = COLUMNS
            .iter()
            .map(|(name, _, _, of)| ((*name).to_owned(), json!(rounded(median(samples.iter().map(of))))));
        Value::Object(values.collect())
    };
    samples.iter().map(row).collect()
}

/// The share of requests that were sent on, in traffic of all revisions with questions and streams, for one
/// replica and more.
fn mix(workspace: &Workspace, stage: &Stage, soak: &Path) -> Result<Vec<f64>> {
    let mut shares = Vec::new();
    for count in 1..=REPLICAS {
        let report = stage.folder.0.join("mix.json");
        let options = crate::soak::Options::calm(count, MIX_MINUTES, &report)?;
        crate::soak::run_with(workspace, &options, &stage.programs.gateway, soak)?;
        let text = std::fs::read_to_string(&report).map_err(|e| format!("{}: {e}", report.display()))?;
        let told: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        shares.push(rounded(number(&told, "/forwarded")? / number(&told, "/requests")?.max(1.0)));
    }
    Ok(shares)
}

fn write(workspace: &Workspace, kept: bool, results: &Value) -> Result<&'static str> {
    let folder = if kept { super::FOLDER } else { super::SCRATCH };
    let path = workspace.root.join(folder);
    let fail = |e: std::io::Error| format!("{folder}: {e}");
    let [figures, picture, page] = NAMES;
    std::fs::create_dir_all(&path).map_err(fail)?;
    let text = serde_json::to_string_pretty(results).map_err(|e| e.to_string())?;
    std::fs::write(path.join(figures), text + "\n").map_err(fail)?;
    std::fs::write(path.join(picture), plot::draw(results)).map_err(fail)?;
    if kept {
        let page = path.join(page);
        let text = std::fs::read_to_string(&page).map_err(fail)?;
        std::fs::write(page, report::insert(&text, results)?).map_err(fail)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_replicas_has_its_medians() {
        let sample = |per_second| Sample { per_second, ..Sample::default() };
        let samples = [vec![sample(1.0), sample(3.0), sample(2.0)], vec![sample(5.0)]];
        let json = to_json(&samples);
        assert_eq!((&json[0]["per_second"], &json[1]["per_second"]), (&json!(2.0), &json!(5.0)));
        let figures = of_samples("modern", &samples);
        assert_eq!(figures.len(), 2 * COLUMNS.len());
        let sent_on = figures.iter().find(|figure| figure.name == "forwarded_modern_2").expect("a figure");
        assert_eq!(sent_on.met(), Some(true));
    }
}
