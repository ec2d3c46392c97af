//! `tidegate tools`, `resources`, `prompts` and `upstreams`.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::{Method, Raw, RpcError};
use serde_json::{Value, json};
use server::Local;
use upstream::{Body, Outcome};

use crate::cli::{Output, Source, Use};
use crate::{embedded, out, table};

/// One kind of list.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    method: &'static str,
    member: &'static str,
    key: &'static str,
}

/// Tools.
pub const TOOLS: Listed = Listed { method: "tools/list", member: "tools", key: "name" };
/// Prompts.
pub const PROMPTS: Listed = Listed { method: "prompts/list", member: "prompts", key: "name" };
/// Resources.
pub const RESOURCES: Listed = Listed { method: "resources/list", member: "resources", key: "uri" };
/// Resource templates.
pub const TEMPLATES: Listed =
    Listed { method: "resources/templates/list", member: "resourceTemplates", key: "uriTemplate" };

/// A list from its first page to its last.
#[derive(Debug, Default)]
pub struct Whole {
    /// Its entries.
    pub items: Vec<Value>,
    /// Why entries are missing: one line an upstream.
    missing: BTreeSet<String>,
}

impl Whole {
    /// Why entries are missing: one line an upstream.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().map(String::as_str)
    }
}

/// Lists and prints.
pub async fn run(wanted: &Use, kinds: &[Listed]) -> anyhow::Result<u8> {
    let gateway = embedded::start(&wanted.source).await?;
    let endpoint = embedded::endpoint(&gateway, &wanted.endpoint, "{}")?;
    let (mut all, mut missing) = (Vec::new(), BTreeSet::new());
    for kind in kinds {
        match pages(&endpoint, *kind).await {
            Ok(whole) => {
                all.extend(whole.items.into_iter().map(|item| (*kind, item)));
                missing.extend(whole.missing);
            }
            // Whoever has nothing of the kind need not know the method.
            Err(error) if error.code == protocol::code::METHOD_NOT_FOUND => {}
            Err(error) => {
                return Err(embedded::refused(&gateway, &format!("list {}", kinds[0].member), &error));
            }
        }
    }
    for why in &missing {
        eprintln!("warning: the list is not whole: {why} (`tidegate upstreams` says more)");
    }
    match wanted.output {
        Output::Json => {
            let items: Vec<&Value> = all.iter().map(|(_, item)| item).collect();
            out::line(serde_json::to_string_pretty(&items)?);
        }
        Output::Table if all.is_empty() => {
            eprintln!("the endpoint {:?} offers no {}", wanted.endpoint, kinds[0].member);
        }
        Output::Table => print(kinds, &all),
    }
    gateway.stop().await;
    Ok(0)
}

fn print(kinds: &[Listed], all: &[(Listed, Value)]) {
    let mut rows = table::new(&[kinds[0].key, "title", "description"]);
    for (kind, item) in all {
        let text = |name: &str| out::plain(item[name].as_str().unwrap_or_default()).into_owned();
        // Older servers keep a tool's title among its annotations.
        let title = item["title"].as_str().or_else(|| item["annotations"]["title"].as_str());
        let title = out::plain(title.unwrap_or_default()).into_owned();
        rows.add_row(vec![text(kind.key), first_line(&title), first_line(&text("description"))]);
    }
    out::line(table::text(&rows));
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// All pages of a list.
///
/// # Errors
/// What the endpoint has to say against it.
pub async fn pages(endpoint: &Local, kind: Listed) -> Result<Whole, RpcError> {
    let mut whole = Whole::default();
    let mut params = Raw::literal("{}");
    loop {
        let reply = endpoint.call(Method::parse(kind.method), &params).await?;
        let mut result = match reply.outcome().await.map_err(|error| error.to_rpc())? {
            Some(Outcome::Result(Body::Whole(result))) => result.to_value(),
            Some(Outcome::Error(error)) => return Err(RpcError::read(&error)),
            _ => return Err(RpcError::new(protocol::code::INTERNAL, "a list came in pieces")),
        };
        if let Value::Array(items) = result[kind.member].take() {
            whole.items.extend(items);
        }
        let missing = result["_meta"]["io.tidegate/missing"].as_array().into_iter().flatten();
        whole.missing.extend(missing.filter_map(|one| one["message"].as_str()).map(str::to_owned));
        match result.get("nextCursor").filter(|c| c.is_string()) {
            Some(cursor) => params = Raw::from_value(&json!({"cursor": cursor})),
            None => return Ok(whole),
        }
    }
}

/// Shows the upstreams.
pub async fn upstreams(source: &Source, output: Output) -> anyhow::Result<u8> {
    let gateway = embedded::start(source).await?;
    // Each has its own deadlines, and whoever asks for this wants to know how it ends.
    let rows = server::survey(&gateway.app().generation(), Duration::MAX).await;
    match output {
        Output::Table => out::line(table::upstreams(&rows)),
        Output::Json => {
            let rows: Vec<Value> = rows
                .iter()
                .map(|row| {
                    json!({
                        "name": row.name,
                        "transport": row.transport,
                        "era": row.revision.map(|r| r.era().to_string()),
                        "revision": row.revision.map(|r| r.to_string()),
                        "tools": row.tools,
                        "resources": row.resources,
                        "prompts": row.prompts,
                        "state": row.state,
                        "error": row.error,
                        "latencyMs": row.latency.map(|l| l.as_secs_f64() * 1_000.0),
                    })
                })
                .collect();
            out::line(serde_json::to_string_pretty(&rows)?);
        }
    }
    let all_up = rows.iter().all(|row| row.state == "up");
    gateway.stop().await;
    Ok(if all_up { 0 } else { crate::exit::REFUSED })
}
