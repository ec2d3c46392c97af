//! The records of a configuration.

use clap::Args;
use serde_json::Value;

use super::acts::{Desk, failed, open};
use crate::cli::Output;
use crate::store_command::Chosen;
use crate::{out, table};

/// Characters of a version in a table.
const VERSION_CHARS: usize = 12;

/// Which records.
#[derive(Debug, Args)]
pub struct Records {
    #[command(flatten)]
    chosen: Chosen,
    /// Only those of this kind: `upstream`, `endpoint`, `tool`, `extension`, `client`, `policy`,
    /// `credential`, `ruleset`.
    #[arg(long)]
    kind: Option<String>,
}

/// Lists them.
pub async fn records(arguments: Records) -> anyhow::Result<u8> {
    let Desk { office, .. } = open(&arguments.chosen).await?;
    let mut found = office.catalog().await.map_err(failed)?;
    let of =
        |record: &Value| record["record"].as_str().and_then(|name| name.split(':').next()).map(str::to_owned);
    found.retain(|record| arguments.kind.is_none() || of(record) == arguments.kind);
    match arguments.chosen.output() {
        Output::Json => out::line(serde_json::to_string_pretty(&found)?),
        Output::Table if found.is_empty() => out::line("there are no such records"),
        Output::Table => {
            let keys = ["record", "version", "domain", "owners", "stage", "since"];
            let mut rows = table::new(&keys);
            for one in &found {
                rows.add_row(keys.map(|key| match &one[key] {
                    Value::String(text) if key == "version" => short(text),
                    Value::String(text) => out::plain(text).into_owned(),
                    _ if key == "version" => "gone".to_owned(),
                    _ => "-".to_owned(),
                }));
            }
            out::line(table::text(&rows));
        }
    }
    Ok(0)
}

fn short(version: &str) -> String {
    let digits = version.strip_prefix("sha256:").unwrap_or(version);
    digits.chars().take(VERSION_CHARS).collect()
}
