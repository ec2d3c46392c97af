//! Documents as tools, as those who add one and those who call see them.

mod answers;
mod differences;
mod hostile;
mod properties;
mod requests;
mod schemas;
mod tools;

use openapi::{Document, Limits, Options, Tool, Tools};
use serde_json::{Value, json};

/// The tools of a document.
fn tools_of(text: &str) -> Tools {
    let document = Document::read(text.as_bytes(), &Limits::default()).expect("a document");
    document.tools(&Options::default()).expect("tools")
}

/// A document of 3.1 with these paths and components.
fn document(version: &str, paths: Value, components: Value) -> Value {
    let info = json!({ "title": "t", "version": "1" });
    json!({ "openapi": version, "info": info, "paths": paths, "components": components })
}

/// The tool of a document with this operation alone.
fn tool_at(method: &str, path: &str, operation: Value) -> Tool {
    let paths = json!({ path: { method: operation } });
    tools_of(&document("3.1.0", paths, json!({})).to_string()).tools.remove(0)
}

/// What its list entry says.
fn definition(tool: &Tool) -> Value {
    tool.definition.to_value()
}
