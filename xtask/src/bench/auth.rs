//! What it costs to know who calls: tokens, and proofs that whoever has one may use it.

use super::Measured;
use super::figure::{Bound, Figure, rounded};
use super::stage::{Gateway, Stage, number};
use crate::Result;
use serde_json::{Map, Value, json};

/// How callers prove who they are; the first ones prove nothing, to a gateway that asks for nothing.
const WAYS: [&str; 4] = ["none", "token", "tokens", "proofs"];

/// One client on one connection, who calls again as soon as it has its answer.
pub fn run(stage: &Stage) -> Result<Measured> {
    let upstream = [("modern".to_owned(), "modern/10/mcp".to_owned())];
    let open = stage.gateway("open", &upstream)?;
    let issuer = format!("{}/issuer", stage.upstream);
    let more = format!(
        "auth:\n  allow: [bench]\n  dpop: {{remembered_max: 1000000}}\n  issuers:\n    \
         bench: {{issuer: '{issuer}'}}\n"
    );
    let guarded = stage.gateway_with("guarded", &upstream, &more)?;
    let sites = WAYS.map(|way| (way, if way == "none" { &open } else { &guarded }));
    for (way, gateway) in &sites {
        measure(stage, gateway, way, &issuer, "0.3")?;
    }
    let seconds = stage.choose("2.5", "0.7");
    let mut rounds = Vec::new();
    for _ in 0..stage.options.rounds {
        let round = sites.iter().map(|(way, gateway)| measure(stage, gateway, way, &issuer, seconds));
        rounds.push(round.collect::<Result<Vec<_>>>()?);
    }
    let added = |way: usize| -> Vec<f64> {
        rounds.iter().filter_map(|round| Some(round.get(way)? - round.first()?)).collect()
    };
    let figure = |name: &str, what: &str, way: usize, bound| {
        Figure::of_rounds(name, &format!("added p50, {what}"), &added(way), "µs", bound)
    };
    let figures = vec![
        figure("auth_known", "a token that was seen before", 1, Bound::None),
        figure("auth_token", "a new token on every call, keys known (ES256)", 2, Bound::AtMost(60.0)),
        figure("auth_proof", "a new proof on every call (DPoP, ES256)", 3, Bound::AtMost(150.0)),
    ];
    let mut details = Map::new();
    for (at, way) in WAYS.iter().enumerate() {
        let all: Vec<Value> =
            rounds.iter().filter_map(|round| Some(json!(rounded(*round.get(at)?)))).collect();
        details.insert(format!("{way}_p50_us"), all.into());
    }
    Ok(Measured { figures, details: details.into() })
}

fn measure(stage: &Stage, gateway: &Gateway, way: &str, issuer: &str, seconds: &str) -> Result<f64> {
    let url = format!("{}/modern/mcp", gateway.url);
    let mut args =
        vec!["calls", "--url", &url, "--era", "modern", "--connections", "1", "--seconds", seconds];
    if way != "none" {
        args.extend(["--auth", way, "--issuer", issuer]);
    }
    number(&stage.client(&args)?, "/p50_us")
}
