//! The gate alone, in this process: what it takes to make a caller of a request, without a network, a
//! runtime's threads or another process in between.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use identity::{
    Algorithm, Allowed, ApiKeys, Dpop, DpopOptions, EndpointRules, Fetch, FetchError, Gate, GateOptions,
    IssuerOptions, Mapping, Possession, Presented,
};
use model::SystemClock;
use seal::{KeyRing, SystemRng};
use serde_json::{Map, Value, json};

use super::Quantiles;
use crate::Result;
use crate::upstream::issuer::Issuer;

/// What the gateway is reached by, its guarded endpoint, and one that asks nobody.
const BASE: &str = "http://127.0.0.1:7400";
const PATH: &str = "/crm/mcp";
const NAME: &str = "crm";
const OPEN: &str = "open";
const ISSUER: &str = "http://127.0.0.1:7500/issuer";

/// Ways to prove who calls, and what the authorization server calls what they bring.
const WAYS: [(&str, &str); 5] = [
    ("none", ""),
    ("token", "tokens"),
    ("tokens", "tokens"),
    ("tokens-eddsa", "tokens-eddsa"),
    ("proofs", "proofs"),
];

/// What the least of it is on this machine, at this time: one signature, checked by the same library.
const SIGNATURES: [&str; 4] =
    ["signature", "signature-key-parsed", "signature-eddsa", "signature-eddsa-key-parsed"];

/// As long as what is signed of a token.
const SIGNED_BYTES: usize = 400;

#[derive(Debug, Args)]
pub struct Options {
    /// How many requests of each kind are judged in a round.
    #[arg(long, default_value_t = 20_000)]
    count: usize,
    /// How often, one kind after the other.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// The authorization server, as near as can be.
struct Near(Mutex<Issuer>);

#[async_trait]
impl Fetch for Near {
    async fn send(
        &self,
        request: Request<Bytes>,
        _: bool,
    ) -> std::result::Result<Response<Bytes>, FetchError> {
        let issuer = self.0.lock().expect("nobody panics with it");
        let found = issuer.published(ISSUER, request.uri().path());
        Ok(Response::new(found.unwrap_or_default().to_string().into()))
    }
}

fn gate(near: &Arc<Near>) -> Gate {
    let clock = Arc::new(SystemClock);
    let options = IssuerOptions {
        name: "bench".to_owned(),
        issuer: ISSUER.to_owned(),
        jwks_url: None,
        algorithms: vec![Algorithm::ES256, Algorithm::EdDSA],
        audiences: Vec::new(),
        typed: false,
        mapping: Mapping::default(),
        introspection: None,
        stale_max: Duration::from_secs(3_600),
    };
    let issuer = identity::Issuer::new(options, Arc::clone(near) as Arc<dyn Fetch>, Arc::clone(&clock) as _);
    let rules = |name: &str, way| EndpointRules {
        paths: vec![format!("/{name}/mcp"), format!("/{name}/sse")],
        allow: vec![way],
        scopes: Vec::new(),
        possession: Possession::Taken,
    };
    let endpoints = HashMap::from([
        (NAME.to_owned(), rules(NAME, Allowed::Issuer("bench".to_owned()))),
        (OPEN.to_owned(), rules(OPEN, Allowed::Anonymous)),
    ]);
    let options = GateOptions {
        skew: Duration::from_secs(60),
        tokens: None,
        issuers: vec![issuer],
        keys: ApiKeys::default(),
        certificates: None,
        endpoints,
    };
    let dpop = DpopOptions { seen_max: 1_000_000, ..DpopOptions::default() };
    let ring = Arc::new(KeyRing::generate(&SystemRng));
    Gate::new(options, Arc::new(Dpop::new(dpop, ring)), clock)
}

/// A block of headers as a request has them.
fn headers(block: &str) -> Result<HeaderMap> {
    let lines = block.split("\r\n").filter_map(|line| line.split_once(": "));
    let header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
        Ok((name, HeaderValue::from_str(value).map_err(|e| e.to_string())?))
    };
    lines.map(header).collect()
}

pub async fn run(options: &Options) -> Result<Value> {
    let near = Arc::new(Near(Mutex::new(Issuer::new())));
    let gate = gate(&near);
    let asked = || near.0.lock().expect("nobody panics with it").asked();
    // Keys are fetched before anything is measured.
    for (way, kind) in WAYS {
        round(&gate, &near, (way, kind), 1).await?;
    }
    let before = asked();
    let mut rounds: HashMap<&str, Vec<Value>> = HashMap::new();
    for _ in 0..options.rounds {
        for (way, kind) in WAYS {
            let took = round(&gate, &near, (way, kind), options.count).await?;
            rounds.entry(way).or_default().push(took);
        }
        for (name, took) in SIGNATURES.into_iter().zip(signatures(options.count)?) {
            rounds.entry(name).or_default().push(took);
        }
    }
    let mut measured = Map::new();
    for way in WAYS.into_iter().map(|(way, _)| way).chain(SIGNATURES) {
        measured.insert(way.to_owned(), rounds.remove(way).unwrap_or_default().into());
    }
    measured.insert("asked".to_owned(), json!(asked() - before));
    Ok(measured.into())
}

/// Judges so many requests that were made beforehand.
async fn round(gate: &Gate, near: &Near, (way, kind): (&str, &str), count: usize) -> Result<Value> {
    let issued = match way {
        "none" => vec![String::new()],
        "token" => issue(near, kind, 1)?,
        _ => issue(near, kind, count)?,
    };
    let all: Vec<HeaderMap> = issued.iter().map(|block| headers(block)).collect::<Result<_>>()?;
    let endpoint = if way == "none" { OPEN } else { NAME };
    let mut took = Quantiles::default();
    let begun = Instant::now();
    for headers in all.iter().cycle().take(count) {
        let presented =
            Presented { base: BASE, method: "POST", path: PATH, query: None, headers, certificate: None };
        let at = Instant::now();
        let admitted = gate.admit(endpoint, &presented).await;
        took.add(at.elapsed());
        admitted.map_err(|denied| format!("{way}: {}", denied.text))?;
    }
    let all = begun.elapsed();
    let mut measured = took.to_json();
    measured["mean_us"] = json!(all.as_secs_f64() * 1e6 / count.max(1) as f64);
    Ok(measured)
}

/// Checks one signature again and again: of each algorithm with a key that is read each time, as it comes
/// with a key set, and with one that was read before.
fn signatures(count: usize) -> Result<[Value; 4]> {
    let failed = |_| "a signature cannot be made".to_owned();
    let signed = [b'x'; SIGNED_BYTES];
    let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let by_ecdsa = ecdsa.sign(&SystemRandom::new(), &signed).map_err(failed)?;
    let eddsa = Ed25519KeyPair::generate().map_err(failed)?;
    let by_eddsa = eddsa.sign(&signed);
    let check = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8], signature: &[u8]| {
        let unparsed = UnparsedPublicKey::new(algorithm, key);
        let parsed = unparsed.parse().map_err(|error| error.to_string())?;
        let read_each_time = each(count, || unparsed.verify(&signed, signature).is_ok())?;
        Ok::<_, String>([read_each_time, each(count, || parsed.verify_sig(&signed, signature).is_ok())?])
    };
    let [a, b] = check(&ECDSA_P256_SHA256_FIXED, ecdsa.public_key().as_ref(), by_ecdsa.as_ref())?;
    let [c, d] = check(&ED25519, eddsa.public_key().as_ref(), by_eddsa.as_ref())?;
    Ok([a, b, c, d])
}

fn each(count: usize, check: impl Fn() -> bool) -> Result<Value> {
    let mut took = Quantiles::default();
    for _ in 0..count {
        let at = Instant::now();
        if !check() {
            return Err("a good signature was refused".to_owned());
        }
        took.add(at.elapsed());
    }
    Ok(took.to_json())
}

fn issue(near: &Near, kind: &str, count: usize) -> Result<Vec<String>> {
    let issuer = near.0.lock().map_err(|e| e.to_string())?;
    issuer.blocks(kind, ISSUER, &format!("{BASE}{PATH}"), count).ok_or_else(|| format!("no {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn every_way_is_let_in_and_nobody_is_asked_again() {
        let measured = run(&Options { count: 20, rounds: 2 }).await.unwrap();
        for way in WAYS.into_iter().map(|(way, _)| way).chain(SIGNATURES) {
            assert_eq!(measured[way].as_array().map(Vec::len), Some(2), "{measured}");
            assert!(measured[way][0]["p50_us"].as_f64().is_some(), "{measured}");
        }
        assert_eq!(measured["asked"], 0, "{measured}");
    }
}
