//! What the server offers.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::Body;
use super::rpc;
use crate::wire::Era;

/// The most tools that one path offers.
pub const TOOLS_MAX: usize = 10_000;
/// The most events, and the most bytes of text, of one answer.
const COUNT_MAX: u64 = 1 << 30;

/// The tools that can be called; all others are only there to be listed.
const CALLABLE: [&str; 3] = ["echo", "large", "events"];

pub fn initialized() -> &'static str {
    concat!(
        r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"#,
        r#""serverInfo":{"name":"tidegate-bench","version":"1"}}"#
    )
}

pub fn discovered() -> &'static str {
    concat!(
        r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
        r#""capabilities":{"tools":{"listChanged":true}},"ttlMs":3600000,"cacheScope":"public","#,
        r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"tidegate-bench","version":"1"}}}"#
    )
}

/// The list of tools; made once, as it may be large.
pub fn tools(era: Era, count: usize) -> Rc<String> {
    thread_local! {
        static LISTS: RefCell<HashMap<(bool, usize), Rc<String>>> = RefCell::default();
    }
    let key = (era == Era::Modern, count);
    LISTS.with_borrow_mut(|lists| Rc::clone(lists.entry(key).or_insert_with(|| Rc::new(list(era, count)))))
}

fn list(era: Era, count: usize) -> String {
    let mut text = String::from(r#"{"tools":["#);
    for index in 0..count.max(CALLABLE.len()) {
        let comma = if index == 0 { "" } else { "," };
        let name = CALLABLE.get(index).map_or_else(|| format!("tool{index:05}"), |name| (*name).to_owned());
        let schema = concat!(
            r#"{"type":"object","properties":{"text":{"type":"string","description":"what to say"},"#,
            r#""bytes":{"type":"integer","minimum":0},"count":{"type":"integer","minimum":0}}}"#
        );
        let description = "One of many tools of this server, with a description of the length that they have";
        let _ = write!(
            text,
            r#"{comma}{{"name":"{name}","title":"Tool {index}","description":"{description}.","#
        );
        let _ = write!(text, r#""inputSchema":{schema},"annotations":{{"readOnlyHint":true}}}}"#);
    }
    text.push(']');
    if era == Era::Modern {
        text.push_str(r#","resultType":"complete","ttlMs":3600000,"cacheScope":"public""#);
    }
    text.push('}');
    text
}

#[derive(Debug, Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Arguments<'a>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Meta<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    bytes: Option<u64>,
    count: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
}

pub fn call(era: Era, id: &RawValue, params: Option<&RawValue>) -> Response<Body> {
    let params = params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok());
    let Some(params) = params else {
        return rpc::error(StatusCode::OK, Some(id), -32602, "no parameters of a call");
    };
    let Arguments { text, bytes, count } = params.arguments;
    let kind = if era == Era::Modern { r#""resultType":"complete","# } else { "" };
    match &*params.name {
        "echo" => {
            let text = text.map_or("\"\"", RawValue::get);
            rpc::result(id, &format!(r#"{{{kind}"content":[{{"type":"text","text":{text}}}]}}"#))
        }
        "large" => {
            let bytes = usize::try_from(bytes.unwrap_or(0).min(COUNT_MAX)).unwrap_or(0);
            let before = format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{{kind}"content":[{{"type":"text","text":""#,
                id.get()
            );
            rpc::of_kind(
                StatusCode::OK,
                "application/json",
                Body::large(before.into(), bytes, "\"}]}}".into()),
            )
        }
        "events" => {
            let count = count.unwrap_or(0).min(COUNT_MAX);
            let result = format!(r#"{{{kind}"content":[{{"type":"text","text":"{count} events"}}]}}"#);
            let last = format!(
                "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}\n\n",
                id.get()
            );
            // Without a token there is nobody to tell.
            let Some(token) = params.meta.token else { return rpc::events(Body::whole(last.into())) };
            rpc::events(Body::progress(token.get().to_owned(), count, last.into()))
        }
        _ => rpc::error(StatusCode::OK, Some(id), -32602, "unknown tool"),
    }
}

/// A stream of changes of which there are none.
pub fn listen(id: &RawValue) -> Response<Body> {
    let id = id.get();
    let meta = format!(r#"{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
    let params = format!(r#"{{"notifications":{{"toolsListChanged":true}},"_meta":{meta}}}"#);
    let method = "notifications/subscriptions/acknowledged";
    let message = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
    rpc::events(Body::open(format!("event: message\ndata: {message}\n\n").into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_list_has_as_many_tools_as_asked_for_and_no_name_twice() {
        for era in [Era::Modern, Era::Legacy] {
            let value: Value = serde_json::from_str(&list(era, 500)).unwrap();
            let names: std::collections::HashSet<_> =
                value["tools"].as_array().unwrap().iter().map(|tool| tool["name"].to_string()).collect();
            assert_eq!(names.len(), 500);
            assert_eq!(value.get("ttlMs").is_some(), era == Era::Modern);
        }
    }
}
