//! `tidegate limits`: the rules of the section `rates`, and what of them the store says is used.

use clap::Args;
use config::Rate;
use model::{Clock as _, SystemClock};
use seal::time_to_text;
use serde_json::{Value, json};
use store::Store;

use crate::cli::Output;
use crate::exit::Coded;
use crate::store_command::{self, Chosen};
use crate::{out, table};

/// How many budgets are shown of each rule, unless asked otherwise.
const SHOWN: usize = 20;

/// Which limits.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Only the rule of this name.
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// So many budgets of each rule at most, in the order of their names.
    #[arg(long, default_value_t = SHOWN, value_name = "COUNT")]
    limit: usize,
}

/// Shows them.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let Arguments { chosen, rule: wanted, limit } = arguments;
    let config = chosen.load()?.config;
    let rules: Vec<&Rate> =
        config.rates.iter().filter(|r| wanted.as_ref().is_none_or(|w| *w == r.name)).collect();
    if let Some(wanted) = wanted.filter(|_| rules.is_empty()) {
        return Err(Coded::config(format!("show the limit {wanted}: there is no such rule")).into());
    }
    let store = store_command::open_in_use(&chosen).await?;
    let mut lines = Vec::new();
    for rule in rules {
        lines.extend(of_rule(&*store, rule, limit).await?);
    }
    match chosen.output() {
        Output::Json => lines.iter().for_each(out::line),
        Output::Table if lines.is_empty() => out::line("there are no limits: the section \"rates\" is empty"),
        Output::Table => out::line(shown(&lines)),
    }
    Ok(0)
}

/// A rule with each of its budgets; one that nobody has used yet has a line of its own.
async fn of_rule(store: &dyn Store, rule: &Rate, limit: usize) -> anyhow::Result<Vec<Value>> {
    let now = SystemClock.now();
    let prefix = server::budget_prefix(rule);
    let found = store.budgets(&prefix, None, limit).await.map_err(|error| Coded::store(&error))?;
    let line = |of: Option<&str>, used: Option<u64>| {
        let mut line = json!({"rule": rule.name, "limit": server::budget_words(rule)});
        if let Some(of) = of {
            line["of"] = json!(of);
        }
        if let Some(used) = used {
            line["used"] = json!(used);
        }
        if let Some(until) = server::budget_ends(rule, now) {
            line["until"] = json!(time_to_text(until));
        }
        line
    };
    if found.is_empty() {
        return Ok(vec![line(None, None)]);
    }
    let budgets = found.iter().map(|row| {
        let of = row.name.strip_prefix(&prefix).unwrap_or_default();
        line(Some(if of.is_empty() { "all" } else { of }), server::budget_used(rule, row, now))
    });
    Ok(budgets.collect())
}

fn shown(lines: &[Value]) -> String {
    let text = |line: &Value, key: &str| match &line[key] {
        Value::String(text) => out::plain(text).into_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let keys = ["rule", "limit", "of", "used", "until"];
    let mut rows = table::new(&keys);
    for line in lines {
        rows.add_row(keys.map(|key| text(line, key)).to_vec());
    }
    table::text(&rows)
}
