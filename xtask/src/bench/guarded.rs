//! What policies, limits and the audit log cost: the same calls through the same gateway without them, with
//! policies and limits, and with a log of either mode.

use super::Measured;
use super::figure::{Bound, Figure, rounded};
use super::stage::{Gateway, Stage, number};
use crate::Result;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

const CONNECTIONS: &str = "64";
const POLICIES: usize = 500;

/// A way to run the gateway.
struct Way {
    name: &'static str,
    /// Of the configuration.
    guards: bool,
    audit: &'static str,
    /// Most of the throughput without any of it that it may cost; `None`: it is what others are held to.
    cost_max: Option<f64>,
}

const WAYS: [Way; 4] = [
    Way { name: "plain", guards: false, audit: "off", cost_max: None },
    Way { name: "guarded", guards: true, audit: "off", cost_max: Some(0.15) },
    Way { name: "relaxed", guards: true, audit: "relaxed", cost_max: Some(0.15) },
    Way { name: "strict", guards: true, audit: "strict", cost_max: Some(0.40) },
];

pub fn run(stage: &Stage) -> Result<Measured> {
    let policies = stage.folder.0.join("many.cedar");
    std::fs::write(&policies, many()).map_err(|error| format!("{}: {error}", policies.display()))?;
    let gateways: Vec<Gateway> =
        WAYS.iter().map(|way| start(stage, way, &policies)).collect::<Result<_>>()?;
    let seconds = stage.choose("5", "1.5");
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for _ in 0..stage.options.rounds {
        let mut round = Vec::new();
        for gateway in &gateways {
            let url = format!("{}/modern/mcp", gateway.url);
            let measured = stage.client(&[
                "calls",
                "--url",
                &url,
                "--seconds",
                seconds,
                "--connections",
                CONNECTIONS,
            ])?;
            round.push(number(&measured, "/per_second")?);
        }
        rounds.push(round);
    }
    let figure = |(at, way): (usize, &Way)| {
        let least = 1.0 - way.cost_max?;
        let shares: Vec<f64> = rounds.iter().map(|round| round[at] / round[0]).collect();
        let text = match way.audit {
            "off" => "calls with 500 policies and a limit, of calls without".to_owned(),
            mode => format!("calls with those and a {mode} log, of calls without"),
        };
        Some(Figure::of_rounds(&format!("guarded_{}", way.name), &text, &shares, "×", Bound::AtLeast(least)))
    };
    let figures = WAYS.iter().enumerate().filter_map(figure).collect();
    let each: Vec<Value> = rounds
        .iter()
        .map(|round| {
            let named =
                WAYS.iter().zip(round).map(|(way, found)| (way.name.to_owned(), rounded(*found).into()));
            Value::Object(named.collect())
        })
        .collect();
    Ok(Measured { figures, details: json!({"policies": POLICIES, "rounds": each}) })
}

fn start(stage: &Stage, way: &Way, policies: &Path) -> Result<Gateway> {
    let file = stage.folder.0.join(format!("{}.db", way.name));
    let mut more = format!("store: {{url: \"sqlite:{}\"}}\naudit: {{mode: {}}}\n", file.display(), way.audit);
    if way.guards {
        let _ =
            writeln!(more, "policy: {{presets: [everyone], files: [{:?}]}}", policies.display().to_string());
        more.push_str("rates: [{name: all, rate: 1000000/s, per: [principal, tool]}]\n");
    }
    stage.gateway_with(way.name, &[("modern".to_owned(), "modern/10/mcp".to_owned())], &more)
}

/// Policies of other teams, tools and arguments, as a company has them.
fn many() -> String {
    let mut text = String::new();
    for at in 0..POLICIES - 1 {
        let (principal, resource, when) = match at % 3 {
            0 => (format!(" in Group::\"default/team{at}\""), String::new(), String::new()),
            1 => (String::new(), format!(" == Tool::\"modern/tool{at}\""), String::new()),
            _ => {
                let when = format!(" when {{ resource.labels.contains(\"label{at}\") }}");
                (String::new(), String::new(), when)
            }
        };
        let action = "action == Action::\"call_tool\"";
        let _ = writeln!(
            text,
            "@id(\"p{at}\") forbid(principal{principal}, {action}, resource{resource}){when};"
        );
    }
    text
}
