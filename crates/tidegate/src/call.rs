//! `tidegate call`: one tool call, with its progress and its questions.

use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::StreamExt as _;
use protocol::{Method, Raw, RpcError};
use serde_json::{Map, Value, json};
use server::{Embedded, Local};
use upstream::{Body, Item, Outcome, Reply};

use crate::arguments::{self, Given};
use crate::cli::{Output, Use};
use crate::embedded::Recorded;
use crate::exit::{Coded, REFUSED, TOOL_FAILED};
use crate::{ask, embedded, list, out};

/// What to call.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The tool's name at the endpoint.
    pub name: String,
    /// An argument; the value is text where the tool says so, JSON where it is some, else text.
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    pub args: Vec<String>,
    /// All arguments as one JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "args")]
    pub json: Option<String>,
    #[command(flatten)]
    wanted: Use,
}

/// A person at a terminal can answer forms and open URLs.
const ON_TERMINAL: &str = r#"{"elicitation":{"form":{},"url":{}}}"#;

/// How large an answer may be that is held here as a whole, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often one call may ask before it is given up.
const ROUNDS_MAX: usize = 64;

/// Calls the tool and prints its result.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let given = arguments::read(&arguments)?;
    let recorded = Recorded::start(&arguments.wanted.source, true).await?;
    let called = call(&recorded.gateway, &arguments, given).await;
    recorded.stop().await;
    let result = called?;
    print(&result, arguments.wanted.output)?;
    Ok(if result["isError"] == json!(true) { TOOL_FAILED } else { 0 })
}

/// The tool's result.
async fn call(gateway: &Embedded, arguments: &Arguments, given: Given) -> anyhow::Result<Value> {
    let interactive = std::io::stdin().is_terminal();
    let capabilities = if interactive { ON_TERMINAL } else { "{}" };
    let endpoint = embedded::endpoint(gateway, &arguments.wanted.endpoint, capabilities)?;
    let values = match given {
        Given::Whole(values) => values,
        Given::Each(texts) => arguments::typed(texts, schema(&endpoint, &arguments.name).await.as_ref()),
    };
    let mut params = json!({"name": arguments.name, "arguments": values, "_meta": {"progressToken": 1}});
    for _ in 0..ROUNDS_MAX {
        let reply = endpoint.call(Method::ToolsCall, &Raw::from_value(&params)).await;
        let result = match outcome(reply, show).await {
            Ok(result) => result,
            Err(error) => {
                return Err(refused(gateway, &endpoint, &arguments.name, interactive, &error).await);
            }
        };
        if result["resultType"] == "input_required" {
            // A person may take any time, and must be able to leave meanwhile.
            params = tokio::task::spawn_blocking(move || answer(params, &result)).await??;
            continue;
        }
        return Ok(result);
    }
    let text = format!("call {}: it has asked {ROUNDS_MAX} times and is not done", arguments.name);
    Err(Coded::new(REFUSED, text).into())
}

/// The input schema of a tool. `None`: it cannot be had, and the arguments are read without.
async fn schema(endpoint: &Local, name: &str) -> Option<Value> {
    let tools = list::pages(endpoint, list::TOOLS).await.ok()?.items;
    tools.into_iter().find(|tool| tool["name"] == name).map(|mut tool| tool["inputSchema"].take())
}

/// The error, with what to do about it where that is known.
async fn refused(
    gateway: &Embedded,
    endpoint: &Local,
    name: &str,
    interactive: bool,
    error: &RpcError,
) -> anyhow::Error {
    let mut error = error.clone();
    if error.code == protocol::code::MISSING_CAPABILITY && !interactive {
        error.message.push_str("; it asks questions, and standard input is no terminal");
    }
    if error.code == protocol::code::INVALID_PARAMS
        && let Ok(tools) = list::pages(endpoint, list::TOOLS).await
    {
        let names: Vec<&str> = tools.items.iter().filter_map(|tool| tool["name"].as_str()).collect();
        if !names.contains(&name)
            && let Some(near) = arguments::meant(name, &names)
        {
            error.message.push_str(&format!("; did you mean {near:?}?"));
        }
    }
    embedded::refused(gateway, &format!("call {name}"), &error)
}

/// Waits for the outcome; what comes before it is given to `before`.
///
/// # Errors
/// What the gateway or the server says in place of a result.
pub async fn outcome(
    reply: Result<Reply, RpcError>,
    before: impl Fn(&Method, Option<&Raw>),
) -> Result<Value, RpcError> {
    let outcome = match reply? {
        Reply::Ready(outcome) => outcome,
        Reply::Stream(mut items) => loop {
            match items.next().await {
                Some(Ok(Item::Done(outcome))) => break outcome,
                Some(Ok(Item::Notification { method, params })) => before(&method, params.as_ref()),
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
                let chunk = chunk.map_err(|error| error.to_rpc())?;
                if all.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                    let text = format!("the answer is too large: it has more than {ANSWER_BYTES_MAX} bytes");
                    return Err(RpcError::new(protocol::code::UPSTREAM_INVALID, text));
                }
                all.extend_from_slice(&chunk);
            }
            let parsed = serde_json::from_slice(&all);
            parsed.map_err(|error| RpcError::new(protocol::code::UPSTREAM_INVALID, error.to_string()))
        }
    }
}

/// Shows what comes before the outcome on stderr.
fn show(method: &Method, params: Option<&Raw>) {
    let params = params.map(Raw::to_value).unwrap_or_default();
    match method {
        Method::Progress => {
            let total = params.get("total").map(|total| format!(" of {total}")).unwrap_or_default();
            let text = params["message"].as_str().map(|text| format!(": {}", out::plain(text)));
            eprintln!("progress {}{total}{}", params["progress"], text.unwrap_or_default());
        }
        other => eprintln!("{other}: {params}"),
    }
}

/// Asks the questions and puts the answers into the next call.
fn answer(mut params: Value, result: &Value) -> anyhow::Result<Value> {
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
    Ok(params)
}

fn print(result: &Value, output: Output) -> anyhow::Result<()> {
    if output == Output::Json {
        out::line(serde_json::to_string_pretty(result).context("print the result")?);
        return Ok(());
    }
    let blocks = result["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    for block in blocks {
        let kind = block["type"].as_str().unwrap_or_default();
        let within = if kind == "resource" { &block["resource"] } else { block };
        if kind != "text" {
            let what = within["uri"].as_str().or_else(|| within["mimeType"].as_str()).unwrap_or_default();
            out::foreign(&format!("[{kind} {what}]"));
        }
        if let Some(text) = within["text"].as_str() {
            out::foreign(text);
        }
    }
    if blocks.is_empty() && !result["structuredContent"].is_null() {
        out::line(&result["structuredContent"]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_without_an_end_is_given_up() {
        let chunk = vec![b' '; 1024 * 1024];
        let endless = futures_util::stream::repeat_with(move || Ok(chunk.clone().into()));
        let reply = Reply::Ready(Outcome::Result(Body::Stream(Box::pin(endless))));
        let error = outcome(Ok(reply), |_, _| {}).await.expect_err("it has no end");
        assert_eq!(error.code, protocol::code::UPSTREAM_INVALID);
        assert!(error.message.contains("too large"), "{error:?}");
    }
}
