//! Searches among the tools of an endpoint that offers `search` (docs/finding.md).

use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::quantiles::micros;
use super::{Endpoint, Quantiles};
use crate::Result;
use crate::wire::Client;

/// What is asked for: words that every tool of [`crate::upstream`] has in its description, which is the most
/// that an index can be asked for, and names, which one tool or two of each server have.
const QUERIES: [&str; 6] = [
    "tools of this server with a description",
    "many tools, length of the description",
    "say a text of some bytes",
    "tool00007",
    "echo a text",
    "events count of server u123",
];

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    endpoint: Endpoint,
    /// How often to ask for each of the words.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
}

pub async fn run(options: &Options) -> Result<Value> {
    let mut client = Client::open(&options.endpoint.target()?).await?;
    let mut body = Vec::new();
    // The first search waits for the lists of all servers and for the index.
    let begun = Instant::now();
    search(&mut client, QUERIES[0], &mut body).await?;
    let first = begun.elapsed();
    let mut all = Quantiles::default();
    let mut each = serde_json::Map::new();
    for query in QUERIES {
        let mut own = Quantiles::default();
        for _ in 0..options.rounds {
            let begun = Instant::now();
            search(&mut client, query, &mut body).await?;
            own.add(begun.elapsed());
            all.add(begun.elapsed());
        }
        each.insert(query.to_owned(), own.to_json());
    }
    Ok(json!({"first_us": micros(first), "all": all.to_json(), "each": each}))
}

async fn search(client: &mut Client, query: &str, body: &mut Vec<u8>) -> Result<()> {
    let fields = format!(r#""name":"search","arguments":{{"query":{}}}"#, json!(query));
    let mut template = client.template("tools/call", Some("search"), &fields, None);
    client.exchange(&mut template, body).await?;
    let answer: Value = serde_json::from_slice(body).map_err(|e| format!("an answer: {e}"))?;
    let found = answer.pointer("/result/structuredContent/tools").and_then(Value::as_array);
    match found.map(Vec::len) {
        Some(1..) => Ok(()),
        _ => Err(format!("{query:?} finds nothing: {answer}")),
    }
}
