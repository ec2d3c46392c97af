//! Streams that only listen, and what they cost a process in memory.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Endpoint;
use crate::wire::{Client, Era, Target};
use crate::{Result, process};

/// How many are opened at a time.
const AT_A_TIME: usize = 32;
/// How many are opened before the process is weighed for the first time: what the first one of all costs
/// is no cost of each.
const FIRST: usize = 32;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    endpoint: Endpoint,
    /// How many to open.
    #[arg(long)]
    streams: usize,
    /// The process to weigh.
    #[arg(long)]
    pid: u32,
    /// How long to leave it alone before it is weighed.
    #[arg(long, default_value_t = 1_000)]
    settle_ms: u64,
}

pub async fn run(options: &Options) -> Result<Value> {
    let target = options.endpoint.target()?;
    let settle = Duration::from_millis(options.settle_ms);
    let mut open = streams(&target, FIRST).await?;
    tokio::time::sleep(settle).await;
    let before = process::memory_kib(options.pid, "VmRSS")?;
    open.extend(streams(&target, options.streams).await?);
    tokio::time::sleep(settle).await;
    let with = process::memory_kib(options.pid, "VmRSS")?;
    let each = with.saturating_sub(before) as f64 / options.streams.max(1) as f64;
    drop(open);
    Ok(json!({
        "streams": options.streams,
        "rss_before_kib": before,
        "rss_with_kib": with,
        "each_kib": (each * 100.0).round() / 100.0,
    }))
}

async fn streams(target: &Target, count: usize) -> Result<Vec<Client>> {
    let mut open = Vec::with_capacity(count);
    let mut tasks = JoinSet::new();
    for begun in 0..count {
        if begun >= AT_A_TIME
            && let Some(ended) = tasks.join_next().await
        {
            open.push(ended.map_err(|e| e.to_string())??);
        }
        let target = target.clone();
        tasks.spawn_local(async move { stream(&target).await });
    }
    while let Some(ended) = tasks.join_next().await {
        open.push(ended.map_err(|e| e.to_string())??);
    }
    Ok(open)
}

/// Opens one, and waits until the server has said that it listens.
async fn stream(target: &Target) -> Result<Client> {
    let mut client = Client::open(target).await?;
    match target.era {
        Era::Modern => {
            let fields = r#""notifications":{"toolsListChanged":true}"#;
            let mut template = client.template("subscriptions/listen", None, fields, None);
            client.send(&mut template).await?;
        }
        Era::Legacy => client.send_get().await?,
    }
    let head = client.connection.head().await?;
    if head.status != 200 || !head.events {
        return Err(format!("no stream of events: status {}", head.status));
    }
    if target.era == Era::Modern {
        // The first message of the stream: what was agreed.
        let piece = client.connection.piece().await?.unwrap_or_default();
        if memchr::memmem::find(piece, b"subscriptions/acknowledged").is_none() {
            return Err(format!("no acknowledgement but {}", String::from_utf8_lossy(piece)));
        }
    }
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::started;
    use tokio::task::LocalSet;

    #[tokio::test(flavor = "current_thread")]
    async fn streams_of_both_eras_open_and_stay() {
        let test = async {
            let base = started().await;
            for (era, path) in [(Era::Modern, "modern/3/mcp"), (Era::Legacy, "legacy/3/mcp")] {
                let endpoint = Endpoint { url: format!("{base}/{path}"), era };
                let options = Options { endpoint, streams: 50, pid: std::process::id(), settle_ms: 0 };
                assert_eq!(run(&options).await.unwrap()["streams"], 50);
            }
            let endpoint = Endpoint { url: format!("{base}/modern/3/mcp"), era: Era::Legacy };
            let options = Options { endpoint, streams: 1, pid: std::process::id(), settle_ms: 0 };
            assert!(run(&options).await.is_err(), "a modern server has no such stream");
        };
        LocalSet::new().run_until(test).await;
    }
}
