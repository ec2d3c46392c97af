//! Sessions of a legacy server as clients of a stateless revision can use them: two tools that open and close
//! one, and an argument of every other tool that names it.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::Raw;
use protocol::json::Object;
use serde_json::json;

use crate::listing::Item;

/// The names that are tried for the argument, in this order; then the last one with a number.
pub const ARGUMENTS: [&str; 2] = ["session", "tidegate_session"];

/// What a call of a tool has to do with sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionUse {
    /// It opens one.
    Open,
    /// It closes the one that the argument names.
    Close,
    /// It runs in the one that this argument names, if it is given; the upstream does not know the argument.
    Runs(Arc<str>),
}

impl SessionUse {
    /// The argument that names a session.
    #[must_use]
    pub fn argument(&self) -> Option<&str> {
        match self {
            Self::Open => None,
            Self::Close => Some(ARGUMENTS[0]),
            Self::Runs(argument) => Some(argument),
        }
    }
}

/// An upstream's tools with the argument, and the two more tools.
pub(crate) fn offer(mut items: Vec<Item>) -> Vec<Item> {
    let taken: HashSet<Arc<str>> = items.iter().map(|item| Arc::clone(&item.key)).collect();
    let free = |name: &str| {
        if taken.contains(name) { format!("tidegate_{name}") } else { name.to_owned() }
    };
    let (open, close) = (free("session_open"), free("session_close"));
    for item in &mut items {
        with_argument(item, &open);
    }
    items.push(own(&open, SessionUse::Open, opens(&open)));
    items.push(own(&close, SessionUse::Close, closes(&close)));
    items
}

fn own(name: &str, session: SessionUse, tool: serde_json::Value) -> Item {
    Item { key: Arc::from(name), raw: Raw::from_value(&tool), rules: None, session: Some(session), pin: None }
}

fn with_argument(item: &mut Item, open: &str) {
    let object = |raw: Option<Raw>| raw.and_then(|raw| raw.object().ok().flatten());
    let Ok(Some(tool)) = item.raw.object() else { return };
    let schema = object(tool.get("inputSchema"));
    let properties = schema.as_ref().and_then(|schema| object(schema.get("properties")));
    let properties = properties.unwrap_or_else(Object::empty);
    let name = argument_beside(&properties);
    let description = json!({
        "type": "string",
        "description": format!(
            "The session to run in, as the tool {open} gave it. Without it the call runs in a session of its \
             own, which ends with the call."
        ),
    });
    let properties = properties.edit().set(&name, Raw::from_value(&description)).finish();
    let schema = match schema {
        Some(schema) => schema.edit().set("properties", properties).finish(),
        None => Object::empty()
            .edit()
            .set("type", Raw::literal(r#""object""#))
            .set("properties", properties)
            .finish(),
    };
    item.raw = tool.edit().set("inputSchema", schema).finish();
    item.session = Some(SessionUse::Runs(Arc::from(name)));
}

/// A name that is no argument of the tool's own.
fn argument_beside(properties: &Object) -> String {
    let known = ARGUMENTS.iter().find(|name| !properties.has(name)).map(|name| (*name).to_owned());
    known.unwrap_or_else(|| {
        let numbered = (2..).map(|n: u32| format!("{}_{n}", ARGUMENTS[1]));
        numbered.into_iter().find(|name| !properties.has(name)).unwrap_or_default()
    })
}

fn opens(name: &str) -> serde_json::Value {
    json!({
        "name": name,
        "title": "Open a session",
        "description": "Opens a session with this server, in which it remembers what was done before. Give \
                        the result's \"session\" to its other tools, and close it when you are done.",
        "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
        "outputSchema": {
            "type": "object",
            "properties": { "session": { "type": "string", "description": "Names the session" } },
            "required": ["session"],
        },
        "annotations": {
            "readOnlyHint": false,
            "destructiveHint": false,
            "idempotentHint": false,
            "openWorldHint": false,
        },
    })
}

fn closes(name: &str) -> serde_json::Value {
    json!({
        "name": name,
        "title": "Close a session",
        "description": "Closes a session with this server. What the server remembered in it is gone.",
        "inputSchema": {
            "type": "object",
            "properties": { "session": { "type": "string", "description": "Names the session" } },
            "required": ["session"],
            "additionalProperties": false,
        },
        "annotations": {
            "readOnlyHint": false,
            "destructiveHint": true,
            "idempotentHint": true,
            "openWorldHint": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(tool: &str) -> Item {
        let raw = Raw::parse(tool.to_owned().into()).expect("JSON");
        let key = raw.get("name").and_then(|name| name.as_str().map(|name| Arc::from(&*name)));
        Item { key: key.expect("a name"), raw, rules: None, session: None, pin: None }
    }

    #[test]
    fn every_tool_gets_an_argument_that_is_not_its_own_and_two_more_tools_have_names_of_their_own() {
        let all = offer(vec![
            item(r#"{"name":"a","inputSchema":{"type":"object"},"x":1.0}"#),
            item(r#"{"name":"b","inputSchema":{"type":"object","properties":{"session":{"type":"null"}}}}"#),
            item(concat!(
                r#"{"name":"session_open","inputSchema":"#,
                r#"{"properties":{"session":{},"tidegate_session":{}}}}"#
            )),
            item(r#"{"name":"c"}"#),
        ]);
        let names: Vec<&str> = all.iter().map(|item| &*item.key).collect();
        assert_eq!(names, ["a", "b", "session_open", "c", "tidegate_session_open", "session_close"]);
        let arguments: Vec<_> =
            all.iter().map(|item| item.session.as_ref().and_then(SessionUse::argument)).collect();
        let expected = ["session", "tidegate_session", "tidegate_session_2", "session"].map(Some).into_iter();
        assert_eq!(arguments, expected.chain([None, Some("session")]).collect::<Vec<_>>());
        for (item, argument) in all.iter().zip(&arguments) {
            let tool = item.raw.to_value();
            let schema = &tool["inputSchema"]["properties"];
            assert_eq!(schema[argument.unwrap_or("none")]["type"] == "string", argument.is_some(), "{tool}");
        }
        assert!(all[0].raw.to_string().ends_with(r#""x":1.0}"#), "{}", all[0].raw);
        assert_eq!(all[1].raw.to_value()["inputSchema"]["properties"]["session"]["type"], "null");
    }
}
