//! How long a search takes over many tools.

use std::time::Instant;

use bytes::Bytes;
use finding::{Entry, Index, Limits, Synonyms};
use protocol::Raw;

use crate::shared::{catalog, questions};

#[expect(clippy::disallowed_methods, reason = "an example that measures has no clock to take")]
fn now() -> Instant {
    Instant::now()
}

/// Prints how long this many tools take to be indexed and to be searched.
pub fn measure(wanted: usize) {
    let entries = copies(wanted);
    let mut index = Index::new(Limits::default(), Synonyms::shipped_and([]));
    let start = now();
    for (server, entries) in &entries {
        index.update(server, entries.clone());
    }
    let built = start.elapsed();
    let start = now();
    for (server, entries) in &entries {
        index.update(server, entries.clone());
    }
    let again = start.elapsed();
    let mut times: Vec<u128> = Vec::new();
    for _ in 0..3 {
        for question in questions() {
            let start = now();
            let hits = index.search(question.text, 8, None, &|_, _| true);
            times.push(start.elapsed().as_micros());
            assert!(hits.len() <= 8);
        }
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{} tools, {} bytes; built in {} ms, updated without a change in {} ms",
        index.len(),
        index.bytes(),
        built.as_millis(),
        again.as_millis()
    );
    println!(
        "{} searches: p50 {} us, p95 {} us, p99 {} us, most {} us",
        times.len(),
        at(50),
        at(95),
        at(99),
        at(100)
    );
}

/// The catalog as often as it takes, each time of other servers.
fn copies(wanted: usize) -> Vec<(String, Vec<Entry>)> {
    let catalog = catalog();
    let mut out: Vec<(String, Vec<Entry>)> = Vec::new();
    for at in 0..wanted {
        let (server, raw) = &catalog[at % catalog.len()];
        let server = format!("{server}{}", at / catalog.len());
        let mut value = raw.to_value();
        let name = format!("{}{}", value["name"].as_str().unwrap_or_default(), at / catalog.len());
        value["name"] = name.into();
        let raw = Raw::parse(Bytes::from(value.to_string()));
        let Some(entry) = raw.ok().and_then(|raw| Entry::read(&raw)) else { continue };
        match out.last_mut().filter(|(of, _)| *of == server) {
            Some((_, entries)) => entries.push(entry),
            None => out.push((server, vec![entry])),
        }
    }
    out
}
