//! Durable tasks: how many are made a second, what that adds to a call, and how fast they are asked for.

use super::Measured;
use super::figure::{Bound, Figure, median, rounded};
use super::stage::{Gateway, Stage, number};
use crate::Result;
use serde_json::{Value, json};
use std::path::Path;

/// Every call of a client that knows tasks becomes one, as many as there are.
const HOSTING: &str = "\
tasks: {host: [{when: always}], tasks_per_tenant_max: 100000000, bytes_per_tenant_max: 1000GiB, \
running_max: 4096}\n";

/// What one round measured.
struct Round {
    plain: (f64, f64),
    single: (f64, f64),
    ten: f64,
    get: f64,
}

/// All on SQLite, with `synchronous=FULL`.
pub fn run(stage: &Stage) -> Result<Measured> {
    let rounds: Vec<Round> = (0..stage.options.rounds)
        .map(|at| {
            let file = stage.folder.0.join(format!("tasks{at}.db"));
            round(stage, &start(stage, &file)?)
        })
        .collect::<Result<_>>()?;
    let all = |read: fn(&Round) -> f64| -> Vec<f64> { rounds.iter().map(read).collect() };
    let (least, most) = (Bound::AtLeast, Bound::AtMost);
    let mut figures = vec![
        Figure::of_rounds(
            "tasks_single",
            "tasks made by one client",
            &all(|r| r.single.0),
            "/s",
            least(450.0),
        ),
        Figure::of_rounds("tasks_ten", "tasks made by ten clients", &all(|r| r.ten), "/s", least(2_000.0)),
        Figure::of_rounds(
            "tasks_added_p99",
            "p99 that a task adds to a call, one client",
            &all(|r| (r.single.1 - r.plain.1) / 1_000.0),
            "ms",
            most(25.0),
        ),
        Figure::of_rounds(
            "tasks_get",
            "tasks/get, of plain proxied calls, one client",
            &all(|r| r.get / r.plain.0),
            "×",
            least(0.7),
        ),
    ];
    let (filled, details) = filled(stage, &rounds)?;
    figures.extend(filled);
    let each: Vec<Value> = rounds
        .iter()
        .map(|r| {
            json!({
                "plain_per_second": rounded(r.plain.0), "plain_p99_us": rounded(r.plain.1),
                "single_per_second": rounded(r.single.0), "single_p99_us": rounded(r.single.1),
                "ten_per_second": rounded(r.ten), "get_per_second": rounded(r.get),
            })
        })
        .collect();
    Ok(Measured { figures, details: json!({"rounds": each, "filled": details}) })
}

fn start(stage: &Stage, file: &Path) -> Result<Gateway> {
    let more = format!("store: {{url: \"sqlite:{}\"}}\n{HOSTING}", file.display());
    stage.gateway_with("tasks", &[("modern".to_owned(), "modern/10/mcp".to_owned())], &more)
}

fn round(stage: &Stage, gateway: &Gateway) -> Result<Round> {
    let url = format!("{}/modern/mcp", gateway.url);
    let seconds = stage.choose("5", "1.5");
    let measure = |more: &[&str]| -> Result<(f64, f64)> {
        let own = ["calls", "--url", &url, "--seconds", seconds];
        let measured = stage.client(&[&own[..], more].concat())?;
        Ok((number(&measured, "/per_second")?, number(&measured, "/p99_us")?))
    };
    Ok(Round {
        plain: measure(&[])?,
        single: measure(&["--tasks", "create"])?,
        ten: measure(&["--tasks", "create", "--connections", "10"])?.0,
        get: measure(&["--tasks", "get"])?.0,
    })
}

/// With many tasks in the store: the time to start, and what making and asking then take of what they take
/// with none.
fn filled(stage: &Stage, empty: &[Round]) -> Result<(Vec<Figure>, Value)> {
    let fill = |name: &str, ended: &str, in_flight: &str| -> Result<std::path::PathBuf> {
        let file = stage.folder.0.join(name);
        let path = file.display().to_string();
        stage.client(&["fill", "--file", &path, "--ended", ended, "--in-flight", in_flight])?;
        Ok(file)
    };
    let file = fill("hundred-thousand.db", "100000", "2000")?;
    let address = stage.address()?;
    let more = format!("store: {{url: \"sqlite:{}\"}}\n{HOSTING}", file.display());
    let upstreams = [("modern".to_owned(), "modern/10/mcp".to_owned())];
    let config = stage.config_with("tasks-start", &address, &upstreams, &more)?;
    let url = format!("http://{address}/modern/mcp");
    let (program, config) = (stage.programs.gateway.display().to_string(), config.display().to_string());
    let started = stage.client(&[
        "start", "--url", &url, "--tool", "echo", "--rounds", "3", "--", &program, "up", "--config", &config,
    ])?;
    let ready = number(&started, "/p50_us")? / 1e6;
    let count = stage.choose("1000000", "100000");
    let file = fill("million.db", count, "0")?;
    let gateway = start(stage, &file)?;
    let full: Vec<Round> =
        (0..stage.options.rounds.min(3)).map(|_| round(stage, &gateway)).collect::<Result<_>>()?;
    let of = |rounds: &[Round], read: fn(&Round) -> f64| median(rounds.iter().map(read));
    let create = of(empty, |r| r.single.0) / of(&full, |r| r.single.0);
    let get = of(empty, |r| r.get) / of(&full, |r| r.get);
    let figures = vec![
        Figure::new(
            "tasks_start",
            "start to first answer with 100,000 tasks and 2,000 of a dead worker",
            ready,
            "s",
            Bound::AtMost(2.0),
        ),
        Figure::new(
            "tasks_million_create",
            "time to make one with a million stored, of that with none",
            create,
            "×",
            Bound::AtMost(1.5),
        ),
        Figure::new(
            "tasks_million_get",
            "time to ask for one with a million stored, of that with none",
            get,
            "×",
            Bound::AtMost(1.5),
        ),
    ];
    Ok((figures, json!({"stored": count, "start": started})))
}
