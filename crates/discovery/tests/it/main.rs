//! What is published by others and by us, as those see it who read and write it.

mod bundles;
mod cards;
mod catalogs;
mod contradictions;
mod crawl;
mod field;
mod launches;
mod mirrors;
mod properties;
mod published;
mod remotes;
mod schema;
mod servers;
mod shelves;

use bytes::Bytes;
use discovery::Fault;
use serde_json::Value;

/// The bytes of a document.
fn bytes(document: &Value) -> Bytes {
    Bytes::from(document.to_string())
}

/// All faults as lines.
fn lines(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// A document with the value at a pointer replaced, added or, for `null`, taken away.
fn with(document: &Value, pointer: &str, value: Value) -> Value {
    let mut document = document.clone();
    let (above, name) = pointer.rsplit_once('/').expect("a pointer");
    let name = &name.replace("~1", "/").replace("~0", "~");
    let place = document.pointer_mut(above).expect("a place");
    match place {
        Value::Object(members) if value.is_null() => {
            members.remove(name);
        }
        Value::Object(members) => {
            members.insert(name.clone(), value);
        }
        Value::Array(items) => items[name.parse::<usize>().expect("a number")] = value,
        _ => panic!("no place at {pointer}"),
    }
    document
}
