//! The meta-tools: a small list in place of a large one.

use protocol::Raw;
use serde_json::{Value, json};

use crate::limits::{DESCRIBED_MAX, FOUND_MAX, QUERY_BYTES_MAX};
use crate::{Entry, Hit};

/// The name of the tool that finds others.
pub const SEARCH: &str = "search";
/// The name of the tool that describes others.
pub const DESCRIBE: &str = "describe";
/// The name of the tool that calls others.
pub const CALL: &str = "call";

/// How many tools are found unless somebody says otherwise.
pub const FOUND: usize = 8;

/// The entries of the meta-tools, by name. What `call` does depends on what is called, so its hints claim the
/// worst; whoever decides about a call must decide about the tool inside. `usual` is how many tools are found
/// where nobody says otherwise.
#[must_use]
pub fn definitions(usual: usize) -> [Raw; 3] {
    let reads = json!({
        "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false
    });
    let call = json!({
        "name": CALL,
        "title": "Call a tool",
        "description": "Calls a tool that `search` found, with arguments as `describe` says.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "name": { "type": "string", "description": "The tool's name, as found." },
                "arguments": { "type": "object", "description": "The tool's arguments." },
            },
            "required": ["name"],
            "additionalProperties": false,
        },
        "annotations": {
            "readOnlyHint": false, "destructiveHint": true, "idempotentHint": false, "openWorldHint": true
        },
    });
    let describe = json!({
        "name": DESCRIBE,
        "title": "Describe tools",
        "description": "Says what tools do and which arguments they take.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "names": {
                    "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": DESCRIBED_MAX,
                    "description": "Names, as `search` found them.",
                },
            },
            "required": ["names"],
            "additionalProperties": false,
        },
        "annotations": reads,
    });
    [call, describe, search(&reads, usual)].map(|entry| Raw::from_value(&entry))
}

fn search(reads: &Value, usual: usize) -> Value {
    json!({
        "name": SEARCH,
        "title": "Search for tools",
        "description": "Finds tools by what they are to do, best first; `describe` says how to call them.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {
                    "type": "string", "minLength": 1, "maxLength": QUERY_BYTES_MAX,
                    "description": "What is to be done, in a few words: \"create a calendar event\".",
                },
                "limit": { "type": "integer", "minimum": 1, "maximum": FOUND_MAX, "default": usual },
                "server": { "type": "string", "description": "Only tools of this server." },
            },
            "required": ["query"],
            "additionalProperties": false,
        },
        "outputSchema": {
            "type": "object",
            "properties": { "tools": { "type": "array", "items": {
                "type": "object",
                "properties": {
                    "name": { "type": "string" }, "server": { "type": "string" },
                    "title": { "type": "string" }, "summary": { "type": "string" },
                },
                "required": ["name", "server", "summary"],
            } } },
            "required": ["tools"],
        },
        "annotations": reads,
    })
}

/// What a call of a meta-tool asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Tools that do something.
    Search {
        /// What.
        query: String,
        /// At most how many, where he says so.
        limit: Option<usize>,
        /// Of which server alone.
        server: Option<String>,
    },
    /// What these are.
    Describe {
        /// Their names.
        names: Vec<String>,
    },
    /// A call of another tool.
    Call {
        /// Its name.
        name: String,
        /// Its arguments, as they came.
        arguments: Option<Raw>,
    },
}

/// Arguments that no meta-tool takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskFault {
    /// There is no such meta-tool.
    #[error("there is no tool {0:?} here")]
    NoTool(String),
    /// The arguments are not as they are declared.
    #[error("{tool}: {what}")]
    Arguments {
        /// Of which tool.
        tool: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

impl Ask {
    /// Reads a call of a meta-tool.
    ///
    /// # Errors
    /// [`AskFault`] where there is no such tool, or where its arguments are not as declared.
    pub fn read(tool: &str, arguments: Option<&Raw>) -> Result<Self, AskFault> {
        let (tool, allowed): (_, &[&str]) = match tool {
            SEARCH => (SEARCH, &["query", "limit", "server"]),
            DESCRIBE => (DESCRIBE, &["names"]),
            CALL => (CALL, &["name", "arguments"]),
            other => return Err(AskFault::NoTool(other.chars().take(64).collect())),
        };
        let fault = |what| AskFault::Arguments { tool, what };
        let object = arguments.and_then(|raw| raw.object().ok().flatten());
        let object = object.ok_or_else(|| fault("the arguments must be an object without repeated names"))?;
        if object.iter().any(|(name, _)| !allowed.contains(&name.as_ref())) {
            return Err(fault("there is an argument that it does not have"));
        }
        let text = |name: &str| object.get(name).as_ref().and_then(Raw::as_str).map(|text| text.into_owned());
        match tool {
            SEARCH => Ok(Self::Search {
                query: text("query")
                    .filter(|query| !query.trim().is_empty() && query.len() <= QUERY_BYTES_MAX)
                    .ok_or_else(|| fault("\"query\" must be text of at most 1024 bytes"))?,
                limit: match object.get("limit") {
                    None => None,
                    Some(limit) => Some(
                        limit
                            .as_i64()
                            .and_then(|limit| usize::try_from(limit).ok())
                            .filter(|limit| (1..=FOUND_MAX).contains(limit))
                            .ok_or_else(|| fault("\"limit\" must be from 1 to 50"))?,
                    ),
                },
                server: match object.get("server") {
                    None => None,
                    Some(_) => Some(text("server").ok_or_else(|| fault("\"server\" must be text"))?),
                },
            }),
            DESCRIBE => {
                let names = object.get("names").and_then(|names| names.items()).unwrap_or_default();
                let names: Option<Vec<String>> =
                    names.iter().map(|name| name.as_str().map(|name| name.into_owned())).collect();
                names
                    .filter(|names| (1..=DESCRIBED_MAX).contains(&names.len()))
                    .map(|names| Self::Describe { names })
                    .ok_or_else(|| fault("\"names\" must be 1 to 20 names"))
            }
            _ => Ok(Self::Call {
                name: text("name").ok_or_else(|| fault("\"name\" must be text"))?,
                arguments: match object.get("arguments") {
                    Some(arguments) if arguments.object().ok().flatten().is_none() => {
                        return Err(fault("\"arguments\" must be an object without repeated names"));
                    }
                    arguments => arguments,
                },
            }),
        }
    }
}

/// The result of a search.
#[must_use]
pub fn found(hits: &[Hit<'_>]) -> Raw {
    let tool = |hit: &Hit<'_>| {
        let Entry { name, title, .. } = hit.entry;
        let mut out = json!({ "name": name, "server": hit.group, "summary": hit.entry.summary() });
        if !title.is_empty() {
            out["title"] = title.as_str().into();
        }
        out
    };
    let tools: Vec<Value> = hits.iter().map(tool).collect();
    let structured = json!({ "tools": tools });
    let text = match hits.is_empty() {
        true => "No tool was found. Ask in other words, or for less at once.".to_owned(),
        false => structured.to_string(),
    };
    Raw::from_value(&json!({
        "resultType": "complete",
        "content": [{ "type": "text", "text": text }],
        "structuredContent": structured,
    }))
}

/// The result of a description: the entries as they stand in lists, and the names of what there is not.
#[must_use]
pub fn described(names: &[String], entries: &[&Raw]) -> Raw {
    let known: Vec<Option<String>> = entries
        .iter()
        .map(|entry| entry.get("name").as_ref().and_then(Raw::as_str).map(|n| n.into_owned()))
        .collect();
    let missing: Vec<&String> =
        names.iter().filter(|name| !known.iter().flatten().any(|k| k == *name)).collect();
    let list = protocol::json::array(entries.iter().copied());
    let mut blocks = vec![json!({ "type": "text", "text": list.as_text() })];
    if !missing.is_empty() {
        blocks.push(json!({ "type": "text", "text": format!("There is no tool {missing:?}.") }));
    }
    let mut out = json!({ "resultType": "complete", "content": blocks });
    if entries.is_empty() {
        out["isError"] = true.into();
    }
    Raw::from_value(&out)
}
