//! An index, as those who ask and those who keep it see it.

#[path = "../../examples/measure/shared.rs"]
mod shared;

mod meta;
mod properties;
mod searches;
mod shipped;
mod updates;

use bytes::Bytes;
use finding::{Entry, Index, Limits, Synonyms};
use protocol::Raw;
use serde_json::json;

/// A tool with this name and description.
fn entry(name: &str, description: &str) -> Entry {
    let value = json!({ "name": name, "description": description, "inputSchema": { "type": "object" } });
    Entry::read(&Raw::parse(Bytes::from(value.to_string())).expect("JSON")).expect("a tool")
}

/// An index over tools of one server.
fn index_of(tools: &[(&str, &str)]) -> Index {
    let mut index = Index::new(Limits::default(), Synonyms::shipped_and([]));
    index.update("s", tools.iter().map(|(name, description)| entry(name, description)).collect());
    index
}

/// The names of what is found, best first.
fn names(index: &Index, question: &str) -> Vec<String> {
    let hits = index.search(question, 10, None, &|_, _| true);
    hits.iter().map(|hit| hit.entry.name.clone()).collect()
}
