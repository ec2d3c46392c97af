//! The tools.

mod asking;
mod changing;
mod memory;
mod plain;
mod talking;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::text_param;
use crate::call::{Call, Outcome, Stop};
use crate::rpc::RpcError;
use crate::server::{Listing, Server};

pub(crate) fn list(server: &Server) -> Vec<Value> {
    let mut tools = Vec::with_capacity(20 + server.config().extra_tools);
    tools.extend(plain::definitions());
    tools.extend(talking::definitions());
    tools.extend(asking::definitions());
    tools.extend(changing::definitions());
    if server.has_extra(Listing::Tools) {
        tools.push(json!({
            "name": "extra",
            "description": "There while it is toggled on",
            "inputSchema": { "type": "object" },
        }));
    }
    if server.config().memory {
        tools.extend(memory::definitions());
    }
    tools.extend((0..server.config().extra_tools).map(numbered));
    server.as_redefined(tools)
}

pub(crate) async fn call(call: &Call) -> Outcome {
    let name = text_param(call, "name")?;
    let arguments = &call.params()["arguments"];
    if !(arguments.is_object() || arguments.is_null()) {
        return Err(RpcError::invalid_params("arguments is an object").into());
    }
    let arguments = Arguments(arguments);
    let outcome = match name {
        "echo" => plain::echo(arguments),
        "add" => plain::add(arguments),
        "big" => plain::big(arguments),
        "attach" => Ok(plain::attach()),
        "lookup_region" => plain::lookup_region(arguments),
        "fail" => plain::fail(arguments),
        "rpc_error" => plain::rpc_error(arguments),
        "slow" => talking::slow(call, arguments).await,
        "log_something" => talking::log_something(call, arguments).await,
        "confirm_order" => asking::confirm_order(call, arguments).await,
        "ask_model" => asking::ask_model(call, arguments).await,
        "list_my_roots" => asking::list_my_roots(call).await,
        "interview" => asking::interview(call).await,
        "open_page" => asking::open_page(call, arguments).await,
        "counter" => Ok(changing::counter(call)),
        "toggle" => changing::toggle(call, arguments),
        "touch" => changing::touch(call, arguments),
        "remember" if call.server.config().memory => memory::remember(call, arguments),
        "guess" if call.server.config().memory => memory::guess(call).await,
        "extra" if call.server.has_extra(Listing::Tools) => Ok(text("There while it is toggled on.")),
        name if is_numbered(name, call.server.config().extra_tools) => {
            Ok(text(&format!("{name} {}", arguments.0)))
        }
        _ if call.server.config().unknown_in_results => {
            Err(Stop::failed(format!("There is no tool {name}.")))
        }
        _ => return Err(RpcError::invalid_params(format!("Unknown tool: {name}")).into()),
    };
    match outcome {
        Err(Stop::Failed(why)) => Ok(error(&why)),
        other => other,
    }
}

/// The input schemas of the tools that mirror arguments in headers, by name.
pub(crate) fn mirroring() -> HashMap<String, Value> {
    let tools = plain::definitions().into_iter().filter_map(|mut tool| {
        let schema = tool["inputSchema"].take();
        let mirrors = schema.to_string().contains("\"x-mcp-header\"");
        Some((tool["name"].as_str().filter(|_| mirrors)?.to_owned(), schema))
    });
    tools.collect()
}

/// A result that says that the tool failed.
pub(crate) fn error(why: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": why }], "isError": true })
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

/// A structured result, and the same as text for clients that read only that.
fn structured(value: Value) -> Value {
    json!({ "content": [{ "type": "text", "text": value.to_string() }], "structuredContent": value })
}

fn numbered(number: usize) -> Value {
    json!({
        "name": format!("tool_{number:04}"),
        "description": format!("Tool number {number}, which answers with its name and its arguments"),
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": { "type": "string", "description": "Anything" },
                "limit": { "type": "integer", "minimum": 1, "maximum": 100 },
            },
        },
        "annotations": { "readOnlyHint": true },
    })
}

fn is_numbered(name: &str, count: usize) -> bool {
    let number = name.strip_prefix("tool_").and_then(|number| number.parse::<usize>().ok());
    number.is_some_and(|number| number < count && name == format!("tool_{number:04}"))
}

/// The arguments of a tool. What does not fit is said in the tool's result, where the model sees it.
#[derive(Debug, Clone, Copy)]
struct Arguments<'a>(&'a Value);

impl<'a> Arguments<'a> {
    fn get<T>(
        self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Stop> {
        match &self.0[name] {
            Value::Null => Ok(None),
            value => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(Stop::failed(format!("The argument {name} is {kind}."))),
            },
        }
    }

    fn text(self, name: &str) -> Result<Option<&'a str>, Stop> {
        self.get(name, "a string", Value::as_str)
    }

    fn flag(self, name: &str) -> Result<bool, Stop> {
        Ok(self.get(name, "a boolean", Value::as_bool)?.unwrap_or(false))
    }

    fn count(self, name: &str, max: u64) -> Result<Option<u64>, Stop> {
        let read = |value: &Value| value.as_u64().filter(|count| *count <= max);
        self.get(name, &format!("an integer from 0 to {max}"), read)
    }

    fn required<T>(name: &str, value: Option<T>) -> Result<T, Stop> {
        value.ok_or_else(|| Stop::failed(format!("The argument {name} is missing.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_tool_has_a_name_of_its_own_and_an_object_schema() {
        let tools = list(&Server::builder().extra_tools(3).build());
        let names: std::collections::HashSet<_> = tools.iter().map(|tool| tool["name"].to_string()).collect();
        assert_eq!(names.len(), tools.len());
        assert!(tools.iter().all(|tool| tool["inputSchema"]["type"] == "object"));
        assert_eq!(tools.last().unwrap()["name"], "tool_0002");
    }

    #[test]
    fn a_numbered_tool_has_one_spelling() {
        assert!(is_numbered("tool_0002", 3));
        assert!(is_numbered("tool_12345", 20_000));
        for name in ["tool_0003", "tool_2", "tool_00002", "tool_+002", "tool_", "2"] {
            assert!(!is_numbered(name, 3), "{name}");
        }
    }
}
