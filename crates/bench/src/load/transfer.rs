//! One call whose answer is large or long, and the most memory that a process took meanwhile.

use std::time::{Duration, Instant};

use clap::Args;
use memchr::memmem;
use serde_json::{Value, json};

use super::Endpoint;
use super::quantiles::micros;
use crate::wire::Client;
use crate::{Result, process};

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    endpoint: Endpoint,
    /// What the endpoint calls the tool: `large` or `events` of the upstream.
    #[arg(long)]
    tool: String,
    /// How much text to ask for.
    #[arg(long, default_value_t = 0)]
    bytes: u64,
    /// How many notifications of progress to ask for.
    #[arg(long, default_value_t = 0)]
    events: u64,
    /// The process whose memory is watched.
    #[arg(long)]
    pid: u32,
    /// Read nothing for so long once the answer begins, as a slow client would.
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
}

/// Counts a needle in a text that comes in pieces.
#[derive(Debug)]
struct Counter {
    needle: &'static [u8],
    /// The end of what came before, too short for a whole needle.
    rest: Vec<u8>,
    count: u64,
}

impl Counter {
    fn new(needle: &'static [u8]) -> Self {
        Self { needle, rest: Vec::new(), count: 0 }
    }

    fn add(&mut self, piece: &[u8]) {
        let keep = self.needle.len() - 1;
        let seam = self.rest.len();
        self.rest.extend_from_slice(piece.get(..keep.min(piece.len())).unwrap_or_default());
        self.count += memmem::find_iter(&self.rest, self.needle).count() as u64;
        self.count += memmem::find_iter(piece, self.needle).count() as u64;
        if piece.len() >= keep {
            self.rest.clear();
            self.rest.extend_from_slice(piece.get(piece.len() - keep..).unwrap_or_default());
        } else {
            // All of it stands in the rest now; what no longer can begin a needle goes.
            self.rest.drain(..(seam + piece.len()).saturating_sub(keep));
        }
    }
}

pub async fn run(options: &Options) -> Result<Value> {
    let mut client = Client::open(&options.endpoint.target()?).await?;
    let arguments = format!(r#"{{"bytes":{},"count":{}}}"#, options.bytes, options.events);
    let fields = format!(r#""name":"{}","arguments":{arguments}"#, options.tool);
    let token = (options.events > 0).then_some("bench-progress");
    let mut template = client.template("tools/call", Some(&options.tool), &fields, token);
    process::forget_peak(options.pid)?;
    let before = process::memory_kib(options.pid, "VmRSS")?;
    let begun = Instant::now();
    client.send(&mut template).await?;
    let head = client.connection.head().await?;
    tokio::time::sleep(Duration::from_millis(options.pause_ms)).await;
    let mut size = 0;
    let mut events = Counter::new(b"notifications/progress");
    let mut results = Counter::new(b"\"result\":");
    while let Some(piece) = client.connection.piece().await? {
        size += piece.len() as u64;
        events.add(piece);
        results.add(piece);
    }
    let took = begun.elapsed();
    if head.status != 200 || results.count != 1 || size < options.bytes || events.count != options.events {
        let (results, events) = (results.count, events.count);
        return Err(format!("status {}, {size} bytes, {events} events, {results} results", head.status));
    }
    Ok(json!({
        "bytes": size,
        "took_us": micros(took),
        "rss_before_kib": before,
        "peak_kib": process::memory_kib(options.pid, "VmHWM")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::started;
    use crate::wire::Era;
    use tokio::task::LocalSet;

    #[test]
    fn a_needle_is_counted_once_wherever_the_text_is_cut() {
        let text = b"xabcabcxxabc";
        for size in 1..=text.len() {
            let mut counter = Counter::new(b"abc");
            text.chunks(size).for_each(|piece| counter.add(piece));
            assert_eq!(counter.count, 3, "in pieces of {size}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn large_and_long_answers_arrive_whole_in_both_eras() {
        let test = async {
            let base = started().await;
            // Another process than this one, whose peak another test looks at.
            let mut watched = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            for (era, path) in [(Era::Modern, "modern/3/mcp"), (Era::Legacy, "legacy/3/mcp")] {
                for (tool, bytes, events) in [("large", 300_000, 0), ("events", 0, 1_000)] {
                    let url = format!("{base}/{path}");
                    let (tool, pid) = (tool.to_owned(), watched.id());
                    let endpoint = Endpoint { url, era };
                    let options = Options { endpoint, tool, bytes, events, pid, pause_ms: 1 };
                    let measured = run(&options).await.unwrap();
                    assert!(measured["peak_kib"].as_u64() > Some(0), "{measured}");
                }
            }
            watched.kill().unwrap();
            watched.wait().unwrap();
        };
        LocalSet::new().run_until(test).await;
    }
}
