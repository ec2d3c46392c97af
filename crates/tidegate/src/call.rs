//! `tidegate call`: one tool call, with its progress and its questions.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::StreamExt as _;
use protocol::{Method, Raw, RpcError};
use serde_json::{Map, Value, json};
use upstream::{Body, Item, Outcome, Reply};

use crate::cli::{Output, Use};
use crate::exit::{Coded, TOOL_FAILED, USAGE};
use crate::{ask, embedded};

/// What to call.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The tool's name at the endpoint.
    name: String,
    /// An argument; the value is read as JSON where it is some, else as text.
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    args: Vec<String>,
    /// All arguments as one JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "args")]
    json: Option<String>,
    #[command(flatten)]
    wanted: Use,
}

/// A person at a terminal can answer forms and open URLs.
const ON_TERMINAL: &str = r#"{"elicitation":{"form":{},"url":{}}}"#;

/// Calls the tool and prints its result.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let values = read_arguments(&arguments)?;
    let gateway = embedded::start(&arguments.wanted.source).await?;
    let interactive = std::io::stdin().is_terminal();
    let capabilities = if interactive { ON_TERMINAL } else { "{}" };
    let endpoint = embedded::endpoint(&gateway, &arguments.wanted.endpoint, capabilities)?;
    let mut params = json!({"name": arguments.name, "arguments": values, "_meta": {"progressToken": 1}});
    let result = loop {
        let reply = endpoint.call(Method::ToolsCall, &Raw::from_value(&params)).await;
        let result = outcome(reply).await.map_err(|error| embedded::refused(&arguments.name, &error))?;
        if result["resultType"] != "input_required" {
            break result;
        }
        answer(&mut params, &result)?;
    };
    gateway.stop().await;
    print(&result, arguments.wanted.output)?;
    Ok(if result["isError"] == json!(true) { TOOL_FAILED } else { 0 })
}

fn read_arguments(arguments: &Arguments) -> anyhow::Result<Value> {
    let usage = |text: String| Coded { code: USAGE, text };
    if let Some(text) = &arguments.json {
        return match serde_json::from_str(text) {
            Ok(Value::Object(values)) => Ok(Value::Object(values)),
            Ok(_) => Err(usage("read --json: it must be an object".to_owned()).into()),
            Err(error) => Err(usage(format!("read --json: {error}")).into()),
        };
    }
    let mut values = Map::new();
    for arg in &arguments.args {
        let Some((name, value)) = arg.split_once('=') else {
            return Err(usage(format!("read --arg {arg:?}: write NAME=VALUE")).into());
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        values.insert(name.to_owned(), value);
    }
    Ok(Value::Object(values))
}

/// Waits for the outcome and shows what comes before it on stderr.
async fn outcome(reply: Result<Reply, RpcError>) -> Result<Value, RpcError> {
    let outcome = match reply? {
        Reply::Ready(outcome) => outcome,
        Reply::Stream(mut items) => loop {
            match items.next().await {
                Some(Ok(Item::Done(outcome))) => break outcome,
                Some(Ok(Item::Notification { method, params })) => show(&method, params.as_ref()),
                Some(Ok(Item::HungUp)) => {}
                Some(Err(error)) => return Err(error.to_rpc()),
                None => return Err(RpcError::new(protocol::code::UPSTREAM_BROKE, "the upstream broke off")),
            }
        },
    };
    match outcome {
        Outcome::Result(Body::Whole(result)) => Ok(result.to_value()),
        Outcome::Error(error) => Err(RpcError::read(&error)),
        Outcome::Result(Body::Stream(mut chunks)) => {
            let mut all = Vec::new();
            while let Some(chunk) = chunks.next().await {
                all.extend_from_slice(&chunk.map_err(|error| error.to_rpc())?);
            }
            let parsed = serde_json::from_slice(&all);
            parsed.map_err(|error| RpcError::new(protocol::code::UPSTREAM_INVALID, error.to_string()))
        }
    }
}

fn show(method: &Method, params: Option<&Raw>) {
    let params = params.map(Raw::to_value).unwrap_or_default();
    match method {
        Method::Progress => {
            let total = params.get("total").map(|total| format!(" of {total}")).unwrap_or_default();
            let text = params["message"].as_str().unwrap_or_default();
            eprintln!("progress: {}{total} {text}", params["progress"]);
        }
        other => eprintln!("{other}: {params}"),
    }
}

/// Asks the questions and puts the answers into the next call.
fn answer(params: &mut Value, result: &Value) -> anyhow::Result<()> {
    let mut answers = Map::new();
    for (key, question) in result["inputRequests"].as_object().into_iter().flatten() {
        if question["method"] != "elicitation/create" {
            bail!(
                "answer the server's question: {} is nothing that a terminal can answer",
                question["method"]
            );
        }
        answers.insert(key.clone(), ask::elicitation(&question["params"])?);
    }
    params["inputResponses"] = Value::Object(answers);
    match result.get("requestState") {
        Some(state) => params["requestState"] = state.clone(),
        None => drop(params.as_object_mut().map(|p| p.remove("requestState"))),
    }
    Ok(())
}

fn print(result: &Value, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output == Output::Json {
        return writeln!(out, "{}", serde_json::to_string_pretty(result)?).context("print the result");
    }
    for block in result["content"].as_array().into_iter().flatten() {
        match block["type"].as_str() {
            Some("text") => writeln!(out, "{}", block["text"].as_str().unwrap_or_default())?,
            Some(kind) => {
                let what = block["uri"].as_str().or_else(|| block["mimeType"].as_str()).unwrap_or_default();
                writeln!(out, "[{kind} {what}]")?;
            }
            None => {}
        }
    }
    Ok(())
}
