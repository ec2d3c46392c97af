//! What it costs to know who calls: tokens, and proofs that whoever has one may use it.

use super::Measured;
use super::calls::get;
use super::figure::{Bound, Figure, median, rounded};
use super::stage::{Gateway, Stage, number};
use crate::Result;
use serde_json::{Map, Value, json};

/// How callers prove who they are. The first ones prove nothing, at an endpoint of the same gateway that asks
/// for nothing.
const WAYS: [&str; 5] = ["none", "token", "tokens", "tokens-eddsa", "proofs"];

/// What is held against what the first ones take: its name, what it is, and the most that it may add.
const HELD: [(&str, &str, Bound); 4] = [
    ("known", "a token that was seen before", Bound::AtMost(60.0)),
    ("token", "a new token on every call, keys known (ES256)", Bound::AtMost(60.0)),
    ("token_eddsa", "a new token on every call, keys known (EdDSA)", Bound::AtMost(60.0)),
    ("proof", "a new proof on every call (DPoP, ES256)", Bound::AtMost(150.0)),
];

/// Signatures that are checked by themselves, to tell what of it is theirs on this machine.
const SIGNATURES: [(&str, &str); 2] = [("signature", "ES256"), ("signature-eddsa", "EdDSA")];

/// One client on one connection, who calls again as soon as it has its answer; and the gate alone.
pub fn run(stage: &Stage) -> Result<Measured> {
    let issuer = format!("{}/issuer", stage.upstream);
    let more = format!(
        "auth:\n  allow: [bench]\n  dpop: {{remembered_max: 1000000}}\n  issuers:\n    bench: {{issuer: \
         '{issuer}'}}\n  endpoints: {{open: {{allow: [anonymous]}}}}\n"
    );
    let upstreams = ["guarded", "open"].map(|name| (name.to_owned(), "modern/10/mcp".to_owned()));
    let gateway = stage.gateway_with("auth", &upstreams, &more)?;
    for way in WAYS {
        measure(stage, &gateway, way, &issuer, "0.3")?;
    }
    let asked = asked(stage)?;
    let seconds = stage.choose("2.5", "0.7");
    let mut rounds = Vec::new();
    for _ in 0..stage.options.rounds {
        let round = WAYS.iter().map(|way| measure(stage, &gateway, way, &issuer, seconds));
        rounds.push(round.collect::<Result<Vec<_>>>()?);
    }
    let asked = self::asked(stage)? - asked;
    let mut figures = Vec::new();
    for (at, (name, what, bound)) in HELD.into_iter().enumerate() {
        let added = rounds.iter().filter_map(|round| Some(round.get(at + 1)? - round.first()?));
        let (name, what) = (format!("auth_{name}"), format!("added p50, {what}"));
        figures.push(Figure::of_rounds(&name, &what, &added.collect::<Vec<_>>(), "µs", bound));
    }
    let what = "requests to the issuer while these calls were made";
    figures.push(Figure::new("auth_asked", what, asked, "", Bound::AtMost(0.0)));
    let mut details = Map::new();
    for (at, way) in WAYS.iter().enumerate() {
        let all = rounds.iter().filter_map(|round| Some(json!(rounded(*round.get(at)?))));
        details.insert(format!("{way}_p50_us"), all.collect::<Vec<Value>>().into());
    }
    details.insert("gate".to_owned(), gate(stage, &mut figures)?);
    Ok(Measured { figures, details: details.into() })
}

/// The gate in a process of its own, without a network: what a busy machine does to every hop is not in it.
fn gate(stage: &Stage, figures: &mut Vec<Figure>) -> Result<Value> {
    let (rounds, count) = (stage.options.rounds.to_string(), stage.choose("20000", "2000"));
    let measured = stage.client(&["admit", "--rounds", &rounds, "--count", count])?;
    let all = |way: &str, key: &str| -> Vec<f64> {
        let rounds = measured[way].as_array().map(Vec::as_slice).unwrap_or_default();
        rounds.iter().filter_map(|round| round[key].as_f64()).collect()
    };
    for (way, (name, what, _)) in WAYS.iter().skip(1).zip(HELD) {
        let added: Vec<f64> =
            all(way, "p50_us").iter().zip(all("none", "p50_us")).map(|(own, none)| own - none).collect();
        let (name, what) = (format!("auth_gate_{name}"), format!("of that in the gate, {what}"));
        figures.push(Figure::of_rounds(&name, &what, &added, "µs", Bound::None));
    }
    for (name, algorithm) in SIGNATURES {
        let (key, what) = (name.replace('-', "_"), format!("one signature checked by itself ({algorithm})"));
        figures.push(Figure::of_rounds(
            &format!("auth_{key}"),
            &what,
            &all(name, "p50_us"),
            "µs",
            Bound::None,
        ));
    }
    let what = "requests to the issuer while the gate alone judged";
    figures.push(Figure::new("auth_gate_asked", what, number(&measured, "/asked")?, "", Bound::AtMost(0.0)));
    let table = WAYS.iter().map(|way| {
        let middle = |key: &str| rounded(median(all(way, key)));
        let row = json!({
            "p50_us": middle("p50_us"), "p99_us": middle("p99_us"), "mean_us": middle("mean_us"),
            "p50_us_rounds": all(way, "p50_us"),
        });
        ((*way).to_owned(), row)
    });
    Ok(Value::Object(table.collect()))
}

/// How often the gateway has asked the authorization server for something.
fn asked(stage: &Stage) -> Result<f64> {
    let stats = serde_json::from_str(&get(&stage.upstream, "/stats")?).map_err(|e| e.to_string())?;
    number(&stats, "/issuer_asked")
}

fn measure(stage: &Stage, gateway: &Gateway, way: &str, issuer: &str, seconds: &str) -> Result<f64> {
    let endpoint = if way == "none" { "open" } else { "guarded" };
    let url = format!("{}/{endpoint}/mcp", gateway.url);
    let mut args =
        vec!["calls", "--url", &url, "--era", "modern", "--connections", "1", "--seconds", seconds];
    if way != "none" {
        args.extend(["--auth", way, "--issuer", issuer]);
    }
    number(&stage.client(&args)?, "/p50_us")
}
