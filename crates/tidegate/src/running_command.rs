//! `tidegate upstreams --running`: what the gateway that runs on this machine has seen of its upstreams.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use egress::{Body, Guard, Http, HttpOptions, Timeouts};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode, Uri};
use serde_json::Value;

use crate::cli::{Output, Source};
use crate::exit::{self, Coded};
use crate::{list, load, operators, out, table};

/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What is asked for.
const PATH: &str = "/v1/upstreams";

/// Which upstreams, and whose word for it.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Ask the gateway that runs here, by its listener for operators, and not the upstreams themselves.
    #[arg(long)]
    running: bool,
    /// Ask at this address, and not at `admin.listen`.
    #[arg(long, value_name = "HOST:PORT", requires = "running")]
    admin: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Shows them.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let Arguments { source, running, admin, output } = arguments;
    if !running {
        return list::upstreams(&source, output).await;
    }
    let found = ask_running(&source, admin.as_deref(), PATH).await?;
    let all = found["upstreams"].as_array().cloned().unwrap_or_default();
    match output {
        Output::Json => out::line(serde_json::to_string_pretty(&all)?),
        Output::Table => out::line(shown(&all)),
    }
    // One that nobody has asked yet is not known to fail.
    let well = |one: &Value| one["state"] == "up" || one["state"] == "untried";
    Ok(if all.iter().all(well) { 0 } else { exit::REFUSED })
}

/// Asks the gateway that runs on this machine, by its listener for operators, or that at an address.
pub async fn ask_running(source: &Source, admin: Option<&str>, path: &str) -> anyhow::Result<Value> {
    let config = load::load(source)?.config;
    let Some(place) = operators::place(&config)? else {
        let text = "ask the gateway that runs here: the configuration has no \"admin.listen\"";
        return Err(Coded::config(text.to_owned()).into());
    };
    let Some(token) = place.token else {
        let text = "ask the gateway that runs here: the configuration has no \"admin.token\"";
        return Err(Coded::config(text.to_owned()).into());
    };
    let address = admin.map_or_else(|| place.listen.to_string(), str::to_owned);
    let found = ask(&address, path, token.expose()).await;
    found.with_context(|| format!("ask the gateway at {address}"))
}

async fn ask(address: &str, path: &str, token: &str) -> anyhow::Result<Value> {
    let url: Uri = format!("http://{address}{path}").parse()?;
    let options = HttpOptions { connect_timeout: PATIENCE, guard: Guard::Operator, ..HttpOptions::default() };
    let timeouts = Timeouts { total: Some(PATIENCE), ..Timeouts::default() };
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))?;
    bearer.set_sensitive(true);
    let request = Request::get(url).header(AUTHORIZATION, bearer).body(Body::default())?;
    let response = Http::new(options)?.send(request, &timeouts).await?;
    let status = response.status();
    let body = response.into_body().collect(ANSWER_BYTES_MAX).await?;
    if status != StatusCode::OK {
        bail!("{}", status.as_u16());
    }
    Ok(serde_json::from_slice(&body)?)
}

/// A table, with what is left alone and what is wrong below.
fn shown(all: &[Value]) -> String {
    let mut rows =
        table::new(&["upstream", "state", "breaker", "checks", "retry budget", "in flight", "addresses"]);
    let word = |value: &Value| match value {
        Value::String(text) => out::plain(text).replace('_', " "),
        Value::Number(number) => number.to_string(),
        _ => "-".to_owned(),
    };
    let mut below = Vec::new();
    for one in all {
        let addresses: Vec<&Value> = one["addresses"].as_array().into_iter().flatten().collect();
        let is_left = |address: &&&Value| address["ejected"] == true || address["health"] == "down";
        let left: Vec<_> = addresses.iter().filter(is_left).collect();
        let used = addresses.len() - left.len();
        let used =
            if addresses.is_empty() { "-".to_owned() } else { format!("{used} of {}", addresses.len()) };
        // A name is as it was written.
        let name = out::plain(one["name"].as_str().unwrap_or_default()).into_owned();
        let mut row = vec![name.clone()];
        let keys = ["state", "circuit", "health", "retryBudget", "inFlight"];
        row.extend(keys.map(|key| word(&one[key])));
        row.push(used);
        rows.add_row(row);
        for address in left {
            let why = if address["health"] == "down" { "down" } else { "left alone after failures" };
            below.push(format!(" {name}: {} is {why}", word(&address["address"])));
        }
        if let Some(error) = one["error"].as_str() {
            below.push(format!(" {name}: {}", out::plain(error)));
        }
    }
    let gap = if below.is_empty() { "" } else { "\n" };
    format!("{}{gap}{}", table::text(&rows), below.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn address(name: &str, ejected: bool, health: &str) -> Value {
        json!({"address": name, "pending": 0, "ejected": ejected, "health": health})
    }

    #[test]
    fn what_is_left_alone_is_named_below_the_table() {
        let addresses =
            [address("a:1", false, "up"), address("b:1", true, "up"), address("c:1", false, "down")];
        let all = [
            json!({"name": "geo", "state": "circuit_open", "error": "it\u{1b}[31m broke off",
                "circuit": "open", "health": "up", "retryBudget": 3, "inFlight": 0, "addresses": addresses}),
            json!({"name": "my_own", "state": "up", "error": null, "circuit": null, "health": null,
                "retryBudget": 10, "inFlight": 2, "addresses": []}),
        ];
        let text = shown(&all);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["geo", "circuit", "open", "open", "up", "3", "0", "1", "of", "3"]);
        assert_eq!(lines[2], ["my_own", "up", "-", "-", "10", "2", "-"]);
        assert_eq!(lines[3].join(" "), "geo: b:1 is left alone after failures");
        assert_eq!(lines[4].join(" "), "geo: c:1 is down");
        assert!(text.lines().last().is_some_and(|line| line.contains("broke off")), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
