//! What is taken out of a list of what is allowed never lets anybody in, and what is unknown is nothing.

use config::{ApiKey, Config, Endpoint, EndpointAuth, Glob, Issuer as IssuerSection};
use demo::Server;
use identity::NewKey;
use model::{Rng as _, SeededRng};
use serde_json::{Value, json};
use testkit::http::Http;
use testkit::issuer::Issuer;
use testkit::{Client, Revision, World};

const URL: &str = "https://gw.example";
/// The beginning of every test, in seconds.
const NOW: u64 = 1_785_196_800;
const WAYS: [&str; 4] = ["corp", "partner", "keys", "anonymous"];

/// All subsets of a list, by the bits of a number.
fn subset<T: Clone>(all: &[T], bits: usize) -> Vec<T> {
    all.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, one)| one.clone()).collect()
}

/// Holds that whoever is let in by some of a list is let in by all lists that have more, and nobody by none.
fn only_grows(admitted: &[Vec<bool>], what: &str) {
    assert!(admitted[0].iter().all(|one| !one), "{what}: an empty list lets nobody in");
    assert!(admitted.iter().any(|all| all.contains(&true)), "{what}: somebody comes in at all");
    for (bits, own) in admitted.iter().enumerate() {
        for entry in (0..WAYS.len()).filter(|entry| bits >> entry & 1 == 1) {
            let without = &admitted[bits & !(1 << entry)];
            let widened = without.iter().zip(own).any(|(without, with)| *without && !with);
            assert!(!widened, "{what}: {bits:04b} without {entry} lets more in: {without:?}, {own:?}");
        }
    }
}

fn initialize() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}})
    .to_string()
}

/// An API key for these endpoints, and what the configuration has of it.
fn key(rng: &SeededRng, endpoints: Vec<String>) -> (String, ApiKey) {
    let NewKey { text, id, hash } = NewKey::generate(rng);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let tenant = Some("acme".to_owned());
    (text, ApiKey { id, hash: format!("sha256:{hash}"), tenant, endpoints, ..ApiKey::default() })
}

/// Whether each caller comes in at an endpoint.
async fn admitted(world: &World, endpoint: &str, tokens: &[Option<String>]) -> Vec<bool> {
    let mut all = Vec::new();
    for token in tokens {
        let mut request = Http::new(world.address()).post(&format!("/{endpoint}/mcp"), initialize());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let status = request.header("host", "gw.example").send().await.status;
        assert!(matches!(status, 200 | 401), "{endpoint}: {status}");
        all.push(status == 200);
    }
    all
}

/// One endpoint for each subset of a list, `e0` to `e15`.
fn endpoints(config: &mut Config, change: impl Fn(usize, &mut Endpoint, &mut EndpointAuth)) {
    for bits in 0..1 << WAYS.len() {
        let name = format!("e{bits}");
        let mut endpoint = Endpoint { upstreams: vec!["demo".to_owned()], ..Endpoint::default() };
        let mut auth = EndpointAuth::default();
        change(bits, &mut endpoint, &mut auth);
        config.endpoints.insert(name.clone(), endpoint);
        config.auth.endpoints.insert(name, auth);
    }
}

fn guard(config: &mut Config, issuers: [&Issuer; 2]) {
    config.hosts = Some(vec!["gw.example".to_owned()]);
    config.auth.url = Some(URL.to_owned());
    for (name, issuer) in WAYS.iter().zip(issuers) {
        let section = IssuerSection { issuer: issuer.url.clone(), ..IssuerSection::default() };
        config.auth.issuers.insert((*name).to_owned(), section);
    }
}

fn token(issuer: &Issuer, audience: Value) -> String {
    issuer.token(&json!({"aud": audience, "sub": "ann", "iat": NOW, "exp": NOW + 600, "client_id": "c"}))
}

#[tokio::test]
async fn no_entry_that_is_taken_out_of_a_list_of_who_may_call_lets_anybody_in() {
    let (corp, partner) = (Issuer::start().await, Issuer::start().await);
    let all: Vec<String> = (0..16).map(|bits| format!("e{bits}")).collect();
    let (text, key) = key(&SeededRng::new(3), all.clone());
    let world = World::builder().demo("demo", Server::builder()).config(|config| {
        guard(config, [&corp, &partner]);
        config.auth.keys = vec![key];
        config.auth.allow = Some(WAYS.map(str::to_owned).to_vec());
        endpoints(config, |bits, _, auth| auth.allow = Some(subset(&WAYS.map(str::to_owned), bits)));
    });
    let world = world.start().await;
    let mut found = Vec::new();
    for endpoint in &all {
        let audience = json!(format!("{URL}/{endpoint}/mcp"));
        let stranger = Issuer::start().await;
        let tokens = [
            Some(token(&corp, audience.clone())),
            Some(token(&partner, audience.clone())),
            Some(text.clone()),
            None,
            Some(token(&stranger, audience)),
            Some("nonsense".to_owned()),
        ];
        let own = admitted(&world, endpoint, &tokens).await;
        // Who may come as nobody may leave away what he has.
        found.push(own.iter().map(|one| *one || own[3]).collect::<Vec<_>>());
    }
    only_grows(&found, "allow");
    for (bits, own) in found.iter().enumerate() {
        let open = bits >> 3 == 1;
        let named: Vec<bool> = (0..WAYS.len()).map(|entry| open || bits >> entry & 1 == 1).collect();
        assert_eq!(own[..4], named, "each entry lets in those alone whom it names");
        assert_eq!(own[4..], [open, open], "{bits:04b}");
    }
}

#[tokio::test]
async fn no_entry_that_is_taken_out_of_a_keys_endpoints_or_of_an_issuers_audiences_lets_anybody_in() {
    let (corp, partner) = (Issuer::start().await, Issuer::start().await);
    let places = ["e0", "e1", "e2", "e3"].map(str::to_owned);
    let rng = SeededRng::new(4);
    let keys: Vec<(String, ApiKey)> = (0..16).map(|bits| key(&rng, subset(&places, bits))).collect();
    let texts: Vec<Option<String>> = keys.iter().map(|(text, _)| Some(text.clone())).collect();
    let world = World::builder().demo("demo", Server::builder()).config(|config| {
        guard(config, [&corp, &partner]);
        config.auth.keys = keys.into_iter().map(|(_, key)| key).collect();
        config.auth.allow = Some(vec!["keys".to_owned()]);
        endpoints(config, |_, _, _| {});
    });
    let world = world.start().await;
    let mut found = vec![Vec::new(); 16];
    for place in &places {
        for (bits, one) in admitted(&world, place, &texts).await.into_iter().enumerate() {
            found[bits].push(one);
        }
    }
    only_grows(&found, "endpoints of a key");
    // What an issuer says for an endpoint's URL: without it, that URL alone is taken.
    let names = ["a", "b", "c", "d"].map(str::to_owned);
    let mut found = Vec::new();
    for bits in 0..16 {
        let world = World::builder().demo("demo", Server::builder()).config(|config| {
            guard(config, [&corp, &partner]);
            config.auth.allow = Some(vec!["corp".to_owned()]);
            config.auth.issuers.get_mut("corp").unwrap().audiences = subset(&names, bits);
        });
        let world = world.start().await;
        let tokens: Vec<_> = names.iter().map(|name| Some(token(&corp, json!(name)))).collect();
        found.push(admitted(&world, "demo", &tokens).await);
    }
    only_grows(&found, "audiences");
}

#[tokio::test]
async fn no_pattern_that_is_taken_out_of_what_is_offered_offers_more() {
    let patterns = ["echo", "count*", "?dd", "*"].map(|text| Glob::new(text).expect("a pattern"));
    let world = World::builder().demo("demo", Server::builder()).config(|config| {
        endpoints(config, |bits, endpoint, _| {
            endpoint.expose = Some(subset(&patterns, bits));
            // Names as they are within one endpoint of one upstream.
            endpoint.hide = Vec::new();
        });
        config.auth.endpoints.clear();
    });
    let world = world.start().await;
    let names = |client: Client| async move {
        let list = client.request("tools/list", json!({})).await;
        let tools = list.result()["tools"].as_array().cloned().unwrap_or_default();
        tools.iter().map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let everything = names(world.client("demo", Revision::V2025_06_18).await).await;
    let mut found = Vec::new();
    for bits in 0..16 {
        let offered = names(world.client(&format!("e{bits}"), Revision::V2025_06_18).await).await;
        let own = everything.iter().map(|name| offered.iter().any(|one| one.ends_with(name)));
        found.push(own.collect::<Vec<_>>());
    }
    only_grows(&found, "expose");
}

#[tokio::test]
async fn no_host_that_is_taken_out_of_the_list_is_answered() {
    let names = ["a.example", "b.example", "c.example", "d.example"].map(str::to_owned);
    let tries: Vec<String> = names
        .iter()
        .cloned()
        .chain(["e.example", "0.0.0.0", "a.example.evil.example"].map(str::to_owned))
        .collect();
    let mut found = Vec::new();
    for bits in 0..16 {
        let world = World::builder()
            .demo("demo", Server::builder())
            .config(|config| config.hosts = Some(subset(&names, bits)))
            .start()
            .await;
        let mut own = Vec::new();
        for host in &tries {
            let request = Http::new(world.address()).post("/demo/mcp", initialize()).header("host", host);
            own.push(request.send().await.status == 200);
        }
        assert_eq!(own[4..], [false; 3], "{bits:04b}");
        found.push(own);
    }
    only_grows(&found, "hosts");
}

#[tokio::test]
async fn ten_thousand_names_that_nobody_gave_are_no_endpoint_and_reach_no_tool() {
    let world = World::builder().demo("demo", Server::builder()).start().await;
    let rng = SeededRng::new(7);
    let http = Http::new(world.address());
    let known = ["demo", "mcp"];
    let odd = ["", ".", "..", "%2e%2e", "demo%2f", "Demo", "demo ", "*", "default", "all", "null", "0", "-1"];
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789-_.~%2f";
    let before = world.demo("demo").server.stats().requests_total();
    let (mut lists, mut tried) = (0, 0);
    while tried < 10_000 {
        let mut bytes = [0; 12];
        rng.fill(&mut bytes);
        let length = usize::from(bytes[0]) % 11 + 1;
        let random: String =
            bytes[1..=length].iter().map(|byte| char::from(letters[usize::from(*byte) % 38])).collect();
        let name = if tried < odd.len() { odd[tried].replace(' ', "%20") } else { random };
        tried += 1;
        if known.contains(&name.as_str()) {
            continue;
        }
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"}}}});
        let request = http.post(&format!("/{name}/mcp"), list);
        let request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/list");
        let reply = request.send().await;
        let status = reply.status;
        lists += usize::from(reply.text().await.contains("\"tools\""));
        assert!(matches!(status, 400 | 404), "{name}: {status}");
    }
    assert_eq!((lists, tried), (0, 10_000));
    assert_eq!(world.demo("demo").server.stats().requests_total(), before, "nobody was asked");
}
