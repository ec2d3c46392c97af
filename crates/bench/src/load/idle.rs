//! Streams that only listen, and what they cost processes in memory.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

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
    /// The processes to weigh, all together.
    #[arg(long, required = true)]
    pid: Vec<u32>,
    /// How long to leave it alone before it is weighed.
    #[arg(long, default_value_t = 1_000)]
    settle_ms: u64,
    /// How long to keep them open then, and see that they stay.
    #[arg(long, default_value_t = 0.0)]
    hold_seconds: f64,
}

pub async fn run(options: &Options) -> Result<Value> {
    let target = options.endpoint.target()?;
    let settle = Duration::from_millis(options.settle_ms);
    let mut open = streams(&target, FIRST).await?;
    tokio::time::sleep(settle).await;
    let before = resident_kib(&options.pid)?;
    open.extend(streams(&target, options.streams).await?);
    tokio::time::sleep(settle).await;
    let with = resident_kib(&options.pid)?;
    let each = |with: u64| {
        let each = with.saturating_sub(before) as f64 / options.streams.max(1) as f64;
        (each * 100.0).round() / 100.0
    };
    let mut measured = json!({
        "streams": options.streams,
        "rss_before_kib": before,
        "rss_with_kib": with,
        "each_kib": each(with),
    });
    if options.hold_seconds > 0.0 {
        let held = hold(open, Duration::from_secs_f64(options.hold_seconds), &options.pid).await?;
        measured["rss_after_kib"] = json!(held.resident_kib);
        measured["each_after_kib"] = json!(each(held.resident_kib));
        measured["dropped"] = json!(held.dropped);
        measured["silent"] = json!(held.silent);
        measured["held_seconds"] = json!(options.hold_seconds);
    }
    Ok(measured)
}

fn resident_kib(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| process::memory_kib(*pid, "VmRSS")).sum()
}

/// What became of streams that were kept open.
#[derive(Debug)]
struct Held {
    /// How many ended before their time.
    dropped: usize,
    /// How many were open at the end, and silent for longer than keep-alives are apart.
    silent: usize,
    resident_kib: u64,
}

/// Longer than a living stream is ever silent.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Reads all streams for so long; at the end they are weighed again, while they are still open.
async fn hold(open: Vec<Client>, time: Duration, pids: &[u32]) -> Result<Held> {
    let begun = Instant::now();
    let heard: Vec<_> = open.iter().map(|_| Rc::new(Cell::new(begun))).collect();
    let mut tasks = JoinSet::new();
    for (mut client, heard) in open.into_iter().zip(heard.iter().cloned()) {
        tasks.spawn_local(async move {
            while let Ok(Some(_)) = client.connection.piece().await {
                heard.set(Instant::now());
            }
        });
    }
    tokio::time::sleep(time).await;
    let mut dropped = 0;
    while tasks.try_join_next().is_some() {
        dropped += 1;
    }
    let silent = heard.iter().filter(|heard| heard.get().elapsed() > SILENCE_MAX).count();
    let resident_kib = resident_kib(pids)?;
    // Those that ended fell silent, too.
    let silent = silent.saturating_sub(dropped);
    drop(tasks);
    Ok(Held { dropped, silent, resident_kib })
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

    fn own() -> Vec<u32> {
        vec![std::process::id()]
    }

    #[tokio::test(flavor = "current_thread")]
    async fn streams_of_both_eras_open_and_stay() {
        let test = async {
            let base = started().await;
            for (era, path) in [(Era::Modern, "modern/3/mcp"), (Era::Legacy, "legacy/3/mcp")] {
                let endpoint = Endpoint { url: format!("{base}/{path}"), era };
                let options = Options { endpoint, streams: 50, pid: own(), settle_ms: 0, hold_seconds: 0.2 };
                let measured = run(&options).await.unwrap();
                assert_eq!((&measured["streams"], &measured["dropped"]), (&json!(50), &json!(0)));
            }
            let endpoint = Endpoint { url: format!("{base}/modern/3/mcp"), era: Era::Legacy };
            let options = Options { endpoint, streams: 1, pid: own(), settle_ms: 0, hold_seconds: 0.0 };
            assert!(run(&options).await.is_err(), "a modern server has no such stream");
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_stream_that_ends_before_its_time_is_counted() {
        let test = async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let authority = listener.local_addr().unwrap().to_string();
            tokio::task::spawn_local(async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked";
                let first = "subscriptions/acknowledged";
                let all = format!("{head}\r\n\r\n{:x}\r\n{first}\r\n0\r\n\r\n", first.len());
                stream.write_all(all.as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            });
            let target = Target::new(&format!("http://{authority}/mcp"), Era::Modern).unwrap();
            let open = streams(&target, 1).await.unwrap();
            let held = hold(open, Duration::from_millis(200), &own()).await.unwrap();
            assert_eq!((held.dropped, held.silent), (1, 0), "its end came, though its connection is open");
        };
        LocalSet::new().run_until(test).await;
    }
}
