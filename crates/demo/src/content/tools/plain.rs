//! Tools that answer at once.

use serde_json::{Value, json};

use super::{Arguments, structured, text};
use crate::call::{Outcome, Stop};
use crate::content::resources::{LOGO, LOGO_PNG, README, readme};
use crate::rpc::RpcError;

/// How large a result of `big` is at most, in bytes.
const BIG_BYTES_MAX: u64 = 256 << 20;

/// What `rpc_error` answers unless told: a code of the application's own range.
const OWN_CODE: i64 = 1_001;

const REGIONS: [(&str, &str); 3] = [("eu", "Frankfurt"), ("us", "Ohio"), ("ap", "Tokyo")];

pub(super) fn definitions() -> Vec<Value> {
    vec![echo_definition(), add_definition(), big_definition(), attach_definition(), lookup_definition()]
        .into_iter()
        .chain(error_definitions())
        .collect()
}

fn echo_definition() -> Value {
    json!({
        "name": "echo",
        "title": "Echo",
        "description": "Answers with the text it was given",
        "icons": [{
            "src": format!("data:image/png;base64,{LOGO_PNG}"),
            "mimeType": "image/png",
            "sizes": ["8x8"],
        }],
        "inputSchema": {
            "type": "object",
            "properties": { "text": { "type": "string", "description": "What to say back" } },
            "required": ["text"],
        },
        "annotations": { "readOnlyHint": true, "idempotentHint": true, "openWorldHint": false },
    })
}

fn add_definition() -> Value {
    json!({
        "name": "add",
        "title": "Add",
        "description": "Adds two numbers",
        "inputSchema": {
            "type": "object",
            "properties": { "a": { "type": "number" }, "b": { "type": "number" } },
            "required": ["a", "b"],
        },
        "outputSchema": {
            "type": "object",
            "properties": { "sum": { "type": "number" } },
            "required": ["sum"],
        },
        "annotations": { "readOnlyHint": true, "idempotentHint": true, "openWorldHint": false },
    })
}

fn big_definition() -> Value {
    json!({
        "name": "big",
        "title": "Big",
        "description": "Answers with a text of the given size",
        "inputSchema": {
            "type": "object",
            "properties": { "bytes": { "type": "integer", "minimum": 0, "maximum": BIG_BYTES_MAX } },
            "required": ["bytes"],
        },
        "annotations": { "readOnlyHint": true },
    })
}

fn attach_definition() -> Value {
    json!({
        "name": "attach",
        "title": "Attach",
        "description": "Answers with every kind of content: text, a picture, a link, an embedded resource",
        "inputSchema": { "type": "object" },
        "annotations": { "readOnlyHint": true },
    })
}

fn lookup_definition() -> Value {
    json!({
        "name": "lookup_region",
        "title": "Look up a region",
        "description": "Tells where a region is; over HTTP the argument is mirrored in a header",
        "inputSchema": {
            "type": "object",
            "properties": {
                "region": { "type": "string", "description": "eu, us or ap", "x-mcp-header": "Region" },
            },
            "required": ["region"],
        },
        "annotations": { "readOnlyHint": true, "idempotentHint": true },
    })
}

fn error_definitions() -> [Value; 2] {
    let fail = json!({
        "name": "fail",
        "title": "Fail",
        "description": "Answers with a result that says that the tool failed",
        "inputSchema": { "type": "object", "properties": { "message": { "type": "string" } } },
    });
    let rpc_error = json!({
        "name": "rpc_error",
        "title": "Protocol error",
        "description": "Answers with a JSON-RPC error",
        "inputSchema": {
            "type": "object",
            "properties": {
                "code": { "type": "integer", "default": OWN_CODE },
                "message": { "type": "string" },
            },
        },
    });
    [fail, rpc_error]
}

pub(super) fn echo(arguments: Arguments<'_>) -> Outcome {
    Ok(text(Arguments::required("text", arguments.text("text")?)?))
}

pub(super) fn add(arguments: Arguments<'_>) -> Outcome {
    let number = |name| {
        let number = arguments.get(name, "a number", |value| value.as_number().cloned())?;
        Arguments::required(name, number)
    };
    let (a, b) = (number("a")?, number("b")?);
    let whole = a.as_i64().zip(b.as_i64()).and_then(|(a, b)| a.checked_add(b));
    let sum = match (whole, a.as_f64(), b.as_f64()) {
        (Some(sum), ..) => json!(sum),
        (None, Some(a), Some(b)) if (a + b).is_finite() => json!(a + b),
        _ => return Err(Stop::failed("The sum is out of range.")),
    };
    Ok(structured(json!({ "sum": sum })))
}

pub(super) fn big(arguments: Arguments<'_>) -> Outcome {
    let bytes = Arguments::required("bytes", arguments.count("bytes", BIG_BYTES_MAX)?)?;
    let bytes = usize::try_from(bytes).map_err(|_| Stop::failed("Too many bytes for this machine."))?;
    let mut filler = "0123456789abcdef".repeat(bytes.div_ceil(16));
    filler.truncate(bytes);
    Ok(json!({ "content": [{ "type": "text", "text": filler }] }))
}

pub(super) fn attach() -> Value {
    json!({
        "content": [
            { "type": "text", "text": "The readme, and a logo:", "annotations": { "audience": ["user"] } },
            { "type": "image", "data": LOGO_PNG, "mimeType": "image/png" },
            { "type": "resource_link", "uri": LOGO, "name": "logo", "mimeType": "image/png" },
            { "type": "resource_link", "uri": README, "name": "readme", "mimeType": "text/markdown" },
            { "type": "resource", "resource": readme(), "annotations": { "priority": 0.5 } },
        ],
    })
}

pub(super) fn lookup_region(arguments: Arguments<'_>) -> Outcome {
    let region = Arguments::required("region", arguments.text("region")?)?;
    match REGIONS.iter().find(|(known, _)| *known == region) {
        Some((_, place)) => Ok(text(&format!("{region} is in {place}."))),
        None => Err(Stop::failed(format!("There is no region {region}."))),
    }
}

pub(super) fn fail(arguments: Arguments<'_>) -> Outcome {
    Err(Stop::failed(arguments.text("message")?.unwrap_or("It failed, as it was asked to.")))
}

pub(super) fn rpc_error(arguments: Arguments<'_>) -> Outcome {
    let code = arguments.get("code", "an integer", Value::as_i64)?.unwrap_or(OWN_CODE);
    let message = arguments.text("message")?.unwrap_or("An error, as it was asked for");
    Err(RpcError::new(code, message).with_data(json!({ "tool": "rpc_error" })).into())
}
