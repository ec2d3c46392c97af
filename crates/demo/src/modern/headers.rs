//! Headers that mirror the body, and have to agree with it.

use ::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::rpc::{self, Message, RpcError};
use crate::server::Server;

const VERSION: &str = "mcp-protocol-version";

/// The version that the header names, if it can be read.
pub(crate) fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get(VERSION)?.to_str().ok()
}

/// The version header is there, once, and agrees with the body, as far as that names a version.
pub(crate) fn check_version(headers: &HeaderMap, body: &Value) -> Result<(), RpcError> {
    let header =
        single(headers, VERSION)?.ok_or_else(|| mismatch("the header MCP-Protocol-Version is missing"))?;
    if body.as_str().is_some_and(|body| body.as_bytes() != header.as_bytes()) {
        return Err(mismatch("MCP-Protocol-Version differs from the body"));
    }
    Ok(())
}

/// `Mcp-Method`, and `Mcp-Name` where the method has one.
pub(crate) fn check_method(headers: &HeaderMap, message: &Message) -> Result<(), RpcError> {
    let method =
        single(headers, "mcp-method")?.ok_or_else(|| mismatch("the header Mcp-Method is missing"))?;
    if method.as_bytes() != message.method().as_bytes() {
        return Err(mismatch("Mcp-Method differs from the body"));
    }
    let member = match message.method() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    let name = single(headers, "mcp-name")?.ok_or_else(|| mismatch("the header Mcp-Name is missing"))?;
    let name = decode(name).ok_or_else(|| mismatch("the header Mcp-Name cannot be decoded"))?;
    if message.params()[member].as_str() != Some(&name) {
        return Err(mismatch(format!("Mcp-Name differs from the {member} in the body")));
    }
    Ok(())
}

/// `Mcp-Param-*` for the arguments that the tool's schema mirrors.
pub(crate) fn check_arguments(
    headers: &HeaderMap,
    server: &Server,
    message: &Message,
) -> Result<(), RpcError> {
    if message.method() != "tools/call" {
        return Ok(());
    }
    let schema = message.params()["name"].as_str().and_then(|name| server.mirroring_schema(name));
    match schema {
        Some(schema) => check_properties(headers, schema, &message.params()["arguments"]),
        None => Ok(()),
    }
}

fn check_properties(headers: &HeaderMap, schema: &Value, arguments: &Value) -> Result<(), RpcError> {
    for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
        let argument = &arguments[property];
        check_properties(headers, schema, argument)?;
        let Some(name) = schema["x-mcp-header"].as_str() else { continue };
        let header = single(headers, &format!("mcp-param-{}", name.to_ascii_lowercase()))?;
        match (header, argument) {
            (None, Value::Null) => {}
            (None, _) => return Err(mismatch(format!("the header Mcp-Param-{name} is missing"))),
            (Some(_), Value::Null) => {
                return Err(mismatch(format!("Mcp-Param-{name} is there without the argument {property}")));
            }
            (Some(header), argument) => {
                let header = decode(header);
                if !header.is_some_and(|header| mirrors(&header, argument)) {
                    return Err(mismatch(format!("Mcp-Param-{name} differs from the argument {property}")));
                }
            }
        }
    }
    Ok(())
}

fn mirrors(header: &str, argument: &Value) -> bool {
    match argument {
        Value::String(text) => text == header,
        Value::Bool(flag) => header == if *flag { "true" } else { "false" },
        Value::Number(number) => match (header.parse::<i64>(), number.as_i64()) {
            (Ok(header), Some(number)) => header == number,
            _ => header.parse::<f64>().is_ok_and(|header| Some(header) == number.as_f64()),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The value of a header that may come once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, RpcError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(mismatch(format!("the header {name} comes more than once"))),
    }
}

/// The text that a header stands for. `None`: it stands for none.
fn decode(value: &HeaderValue) -> Option<String> {
    let plain = value.to_str().ok()?;
    match plain.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok(),
        None => Some(plain.to_owned()),
    }
}

fn mismatch(why: impl Into<String>) -> RpcError {
    RpcError::new(rpc::HEADER_MISMATCH, format!("Header mismatch: {}", why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>()
    }

    #[test]
    fn a_mirrored_value_may_be_encoded() {
        let schema = json!({ "properties": { "r": { "x-mcp-header": "R" } } });
        let check = |value: &str, argument: Value| {
            check_properties(&headers(&[("mcp-param-r", value)]), &schema, &json!({ "r": argument })).is_ok()
        };
        assert!(check("eu", json!("eu")));
        assert!(check("=?base64?w6Q=?=", json!("ä")));
        assert!(!check("=?BASE64?w6Q=?=", json!("ä")));
        assert!(!check("=?base64?w6Q?=", json!("ä")), "the padding is part of it");
        assert!(check("42", json!(42)) && check("42.0", json!(42)) && check("true", json!(true)));
        assert!(!check("EU", json!("eu")) && !check("43", json!(42)) && !check("True", json!(true)));
        assert!(!check("eu", Value::Null) && !check("x", json!(["x"])));
    }

    #[test]
    fn a_nested_argument_is_mirrored_too() {
        let schema = json!({ "properties": { "o": { "properties": { "r": { "x-mcp-header": "R" } } } } });
        let check = |pairs: &[(&'static str, &str)], arguments: Value| {
            check_properties(&headers(pairs), &schema, &arguments).is_ok()
        };
        assert!(check(&[("mcp-param-r", "1")], json!({ "o": { "r": "1" } })));
        assert!(!check(&[], json!({ "o": { "r": "1" } })));
        assert!(check(&[], json!({ "o": {} })) && check(&[], Value::Null));
    }

    #[test]
    fn a_header_that_comes_twice_is_refused() {
        let mut twice = headers(&[("mcp-protocol-version", "2026-07-28")]);
        assert!(check_version(&twice, &json!("2026-07-28")).is_ok());
        twice.append("mcp-protocol-version", "2026-07-28".parse().unwrap());
        assert_eq!(check_version(&twice, &json!("2026-07-28")).unwrap_err().code, rpc::HEADER_MISMATCH);
    }
}
