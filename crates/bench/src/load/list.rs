//! All tools of an endpoint, page by page.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::{Endpoint, Quantiles};
use crate::Result;
use crate::wire::Client;

/// The most pages of one walk.
const PAGES_MAX: usize = 10_000;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    endpoint: Endpoint,
    /// How often to walk through all pages.
    #[arg(long, default_value_t = 20)]
    walks: usize,
}

/// What one walk saw.
#[derive(Debug, Default)]
struct Walk {
    first: Duration,
    all: Duration,
    pages: usize,
    tools: usize,
    bytes: usize,
}

pub async fn run(options: &Options) -> Result<Value> {
    let mut client = Client::open(&options.endpoint.target()?).await?;
    // The first walk fills the cache.
    let cold = walk(&mut client).await?;
    let (mut first, mut all) = (Quantiles::default(), Quantiles::default());
    for _ in 0..options.walks {
        let seen = walk(&mut client).await?;
        if seen.tools != cold.tools {
            return Err(format!("{} tools, and before {}", seen.tools, cold.tools));
        }
        first.add(seen.first);
        all.add(seen.all);
    }
    Ok(json!({
        "tools": cold.tools,
        "pages": cold.pages,
        "bytes": cold.bytes,
        "first_page": first.to_json(),
        "all_pages": all.to_json(),
    }))
}

/// Only the time between request and answer counts, not the reading of it here.
async fn walk(client: &mut Client) -> Result<Walk> {
    let mut seen = Walk::default();
    let mut cursor: Option<Value> = None;
    let mut body = Vec::new();
    while seen.pages < PAGES_MAX {
        let fields = cursor.map_or_else(String::new, |cursor| format!(r#""cursor":{cursor}"#));
        let mut template = client.template("tools/list", None, &fields, None);
        let begun = Instant::now();
        client.exchange(&mut template, &mut body).await?;
        let took = begun.elapsed();
        if seen.pages == 0 {
            seen.first = took;
        }
        seen.all += took;
        seen.pages += 1;
        seen.bytes += body.len();
        let mut page: Value = serde_json::from_slice(&body).map_err(|e| format!("a page: {e}"))?;
        seen.tools += page["result"]["tools"].as_array().map_or(0, Vec::len);
        cursor = Some(page["result"]["nextCursor"].take()).filter(|cursor| !cursor.is_null());
        if cursor.is_none() {
            return Ok(seen);
        }
    }
    Err(format!("more than {PAGES_MAX} pages"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::started;
    use crate::wire::Era;
    use tokio::task::LocalSet;

    #[tokio::test(flavor = "current_thread")]
    async fn a_walk_sees_every_tool() {
        let test = async {
            let url = format!("{}/legacy/120/mcp", started().await);
            let options = Options { endpoint: Endpoint { url, era: Era::Legacy }, walks: 2 };
            let measured = run(&options).await.unwrap();
            assert_eq!((&measured["tools"], &measured["pages"]), (&json!(120), &json!(1)));
        };
        LocalSet::new().run_until(test).await;
    }
}
