//! What one tenant notices of another that asks for more than its share.

use super::Measured;
use super::figure::{Bound, Figure, rounded};
use super::stage::{Gateway, Stage, number};
use crate::Result;
use serde_json::json;

/// Sixteen places, of which one tenant gets twelve. A call takes 20 ms, so twelve places serve 600 a second.
const LIMITS: &str = "limits: {calls_max: 16, calls_per_tenant_max: 12, queue_max: 64, queue_time_max: 2s}\n";
/// What the noisy tenant asks for: 1,000 a second, whatever becomes of them.
const NOISE: [&str; 5] = ["--rate", "1000", "--connections", "256", "--refusals"];
/// What the quiet one asks for: about two calls at a time.
const QUIET: [&str; 6] = ["--rate", "100", "--connections", "16", "--warmup", "1"];

/// The quiet tenant's calls without and with the noisy one beside it, round by round.
pub fn run(stage: &Stage) -> Result<Measured> {
    let upstreams = ["quiet", "noisy"].map(|name| (name.to_owned(), "modern/10/after-20/mcp".to_owned()));
    let gateway = stage.gateway_with("tenants", &upstreams, LIMITS)?;
    let seconds = stage.choose("10", "4");
    let (mut alone, mut beside, mut shed) = (Vec::new(), Vec::new(), Vec::new());
    measure(stage, &gateway, "1")?;
    for _ in 0..stage.options.rounds {
        alone.push(measure(stage, &gateway, seconds)?);
        let before = refused(&gateway)?;
        let url = format!("{}/noisy/mcp", gateway.url);
        let noise = stage
            .background("noise", &[&["calls", "--url", &url, "--era", "modern"], &NOISE[..]].concat())?;
        beside.push(measure(stage, &gateway, seconds)?);
        shed.push(refused(&gateway)? - before);
        drop(noise);
    }
    if shed.contains(&0.0) {
        return Err("the noisy tenant was never at its limit".to_owned());
    }
    let ratio: Vec<f64> = alone.iter().zip(&beside).map(|(alone, beside)| beside.1 / alone.1).collect();
    let p99 = |all: &[(f64, f64)]| -> Vec<f64> { all.iter().map(|(_, p99)| p99 / 1_000.0).collect() };
    let beside_what = "p99 of a quiet tenant beside a noisy one, of that alone";
    let figures = vec![
        Figure::of_rounds("tenants_p99_ratio", beside_what, &ratio, "×", Bound::AtMost(1.2)),
        Figure::of_rounds(
            "tenants_p99_alone",
            "p99 of a quiet tenant alone",
            &p99(&alone),
            "ms",
            Bound::None,
        ),
        Figure::of_rounds(
            "tenants_p99",
            "p99 of a quiet tenant beside a noisy one",
            &p99(&beside),
            "ms",
            Bound::None,
        ),
    ];
    let json = |all: &[(f64, f64)]| -> Vec<_> {
        all.iter().map(|(p50, p99)| json!({"p50_us": rounded(*p50), "p99_us": rounded(*p99)})).collect()
    };
    let details = json!({"alone": json(&alone), "beside": json(&beside), "refused_to_the_noisy_one": shed});
    Ok(Measured { figures, details })
}

/// The quiet tenant's p50 and p99, in microseconds. A call of it that is refused fails the run.
fn measure(stage: &Stage, gateway: &Gateway, seconds: &str) -> Result<(f64, f64)> {
    let url = format!("{}/quiet/mcp", gateway.url);
    let own = ["calls", "--url", &url, "--era", "modern", "--seconds", seconds];
    let measured = stage.client(&[&own, &QUIET[..]].concat())?;
    Ok((number(&measured, "/p50_us")?, number(&measured, "/p99_us")?))
}

/// How many calls the gateway has turned away.
fn refused(gateway: &Gateway) -> Result<f64> {
    let text = super::calls::get(&gateway.url, "/metrics")?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("tidegate_shed_calls_total{"));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}
