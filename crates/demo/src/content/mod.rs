//! What the server offers: the same in every revision, as the newest has it.

mod complete;
pub(crate) mod pages;
mod prompts;
pub(crate) mod resources;
pub(crate) mod tools;

use serde_json::{Value, json};

use crate::call::{Call, Need, Outcome, Question, Stop};
use crate::rpc::RpcError;
use crate::server::Server;

/// Whether a method of this module exists, given what the server offers.
pub(crate) fn has_method(server: &Server, method: &str) -> bool {
    let config = server.config();
    match method {
        "tools/list" | "tools/call" => config.tools,
        "resources/list" | "resources/templates/list" | "resources/read" => config.resources,
        "prompts/list" | "prompts/get" => config.prompts,
        "completion/complete" => config.prompts || config.resources,
        _ => false,
    }
}

/// Runs a request.
pub(crate) async fn run(call: &Call) -> Outcome {
    if !has_method(&call.server, call.method()) {
        return Err(RpcError::method_not_found(call.method()).into());
    }
    match call.method() {
        "tools/list" => pages::list(call, "tools", tools::list(&call.server)),
        "tools/call" => tools::call(call).await,
        "resources/list" => pages::list(call, "resources", resources::list(&call.server)),
        "resources/templates/list" => pages::list(call, "resourceTemplates", resources::templates()),
        "resources/read" => resources::read(call).await,
        "prompts/list" => pages::list(call, "prompts", prompts::list(&call.server)),
        "prompts/get" => prompts::get(call).await,
        "completion/complete" => complete::complete(call),
        other => Err(RpcError::method_not_found(other).into()),
    }
}

/// A string among the parameters of a request.
fn text_param<'a>(call: &'a Call, name: &str) -> Result<&'a str, Stop> {
    let text = call.params()[name].as_str();
    text.ok_or_else(|| RpcError::invalid_params(format!("{name} is a string")).into())
}

/// A form to fill in.
fn form(message: &str, properties: Value, required: &[&str], fits: fn(&Value) -> bool) -> Question {
    let params = json!({
        "mode": "form",
        "message": message,
        "requestedSchema": { "type": "object", "properties": properties, "required": required },
    });
    Question { method: "elicitation/create", params: Some(params), needs: Need::Form, fits }
}

/// Whether an answer to a form says no.
fn is_refusal(answer: &Value) -> bool {
    matches!(answer["action"].as_str(), Some("decline" | "cancel"))
}
