//! `tidegate tools`, `resources`, `prompts` and `upstreams`.

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

/// Lists and prints.
pub async fn run(wanted: &Use, kinds: &[Listed]) -> anyhow::Result<u8> {
    let gateway = embedded::start(&wanted.source).await?;
    let endpoint = embedded::endpoint(&gateway, &wanted.endpoint, "{}")?;
    let mut all = Vec::new();
    for kind in kinds {
        match pages(&endpoint, *kind).await {
            Ok(items) => all.extend(items.into_iter().map(|item| (*kind, item))),
            // Nothing of the kind is an empty list to whoever asked for two kinds at once.
            Err(error) if error.code == protocol::code::METHOD_NOT_FOUND => {}
            Err(error) => return Err(embedded::refused(kind.method, &error)),
        }
    }
    match wanted.output {
        Output::Json => {
            let items: Vec<&Value> = all.iter().map(|(_, item)| item).collect();
            out::line(serde_json::to_string_pretty(&items)?);
        }
        Output::Table => print(kinds, &all),
    }
    gateway.stop().await;
    Ok(0)
}

fn print(kinds: &[Listed], all: &[(Listed, Value)]) {
    let mut table = table::new(&[kinds[0].key, "title", "description"]);
    for (kind, item) in all {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        table.add_row(vec![text(kind.key), text("title"), first_line(&text("description"))]);
    }
    out::line(table);
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// All pages of a list.
async fn pages(endpoint: &Local, kind: Listed) -> Result<Vec<Value>, RpcError> {
    let mut items = Vec::new();
    let mut params = Raw::literal("{}");
    loop {
        let reply = endpoint.call(Method::parse(kind.method), &params).await?;
        let result = match reply.outcome().await.map_err(|error| error.to_rpc())? {
            Some(Outcome::Result(Body::Whole(result))) => result.to_value(),
            Some(Outcome::Error(error)) => return Err(RpcError::read(&error)),
            _ => return Err(RpcError::new(protocol::code::INTERNAL, "a list came in pieces")),
        };
        items.extend(result[kind.member].as_array().cloned().unwrap_or_default());
        if let Some(missing) = result["_meta"]["io.tidegate/missing"].as_array() {
            for one in missing {
                eprintln!("warning: {} is missing: {}", one["upstream"], one["message"]);
            }
        }
        match result.get("nextCursor").filter(|c| c.is_string()) {
            Some(cursor) => params = Raw::from_value(&json!({"cursor": cursor})),
            None => return Ok(items),
        }
    }
}

/// Shows the upstreams.
pub async fn upstreams(source: &Source, output: Output) -> anyhow::Result<u8> {
    let gateway = embedded::start(source).await?;
    let rows = server::survey(&gateway.app().generation()).await;
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
