//! Tools that change something about the server.

use serde_json::{Value, json};

use super::{Arguments, structured, text};
use crate::call::{Call, Outcome, Stop};
use crate::content::resources::CLOCK;
use crate::server::Listing;

pub(super) fn definitions() -> Vec<Value> {
    let counter = json!({
        "name": "counter",
        "title": "Counter",
        "description": "Counts how often it was called, by anybody",
        "inputSchema": { "type": "object" },
        "outputSchema": {
            "type": "object",
            "properties": { "count": { "type": "integer" } },
            "required": ["count"],
        },
        "annotations": { "readOnlyHint": false, "idempotentHint": false, "destructiveHint": false },
    });
    let toggle = json!({
        "name": "toggle",
        "title": "Toggle",
        "description": "Adds an entry `extra` to a list, or removes it, and says so to those who listen",
        "inputSchema": {
            "type": "object",
            "properties": {
                "what": { "type": "string", "enum": ["tools", "resources", "prompts"], "default": "tools" },
            },
        },
    });
    let touch = json!({
        "name": "touch",
        "title": "Touch",
        "description": "Tells those who subscribed to a resource that it changed",
        "inputSchema": {
            "type": "object",
            "properties": { "uri": { "type": "string", "default": CLOCK } },
        },
    });
    vec![counter, toggle, touch]
}

pub(super) fn counter(call: &Call) -> Value {
    structured(json!({ "count": call.server.count() }))
}

pub(super) fn toggle(call: &Call, arguments: Arguments<'_>) -> Outcome {
    let (name, listing) = match arguments.text("what")? {
        None | Some("tools") => ("tools", Listing::Tools),
        Some("resources") => ("resources", Listing::Resources),
        Some("prompts") => ("prompts", Listing::Prompts),
        Some(_) => return Err(Stop::failed("The argument what is tools, resources or prompts.")),
    };
    let state = if call.server.toggle(listing) { "there" } else { "gone" };
    Ok(text(&format!("The extra entry among the {name} is {state}.")))
}

pub(super) fn touch(call: &Call, arguments: Arguments<'_>) -> Outcome {
    let uri = arguments.text("uri")?.unwrap_or(CLOCK);
    call.server.touch(uri);
    Ok(text(&format!("Touched {uri}.")))
}
