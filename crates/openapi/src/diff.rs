//! What is different in another document.

use std::collections::HashMap;

use serde_json::Value;

use crate::{Tool, Tools};

/// What is different.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Tools that there were not before.
    pub added: Vec<String>,
    /// Tools that there are no more.
    pub removed: Vec<String>,
    /// Tools for the same operation that are called otherwise now: before, and after.
    pub renamed: Vec<(String, String)>,
    /// Tools of the same name that are different.
    pub changed: Vec<Changed>,
}

/// A tool that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// The members of its definition that are, and `request` and `security` for what no definition shows.
    pub what: Vec<String>,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares the tools of a document with those of an earlier one.
#[must_use]
pub fn diff(before: &Tools, after: &Tools) -> Difference {
    let mut out = Difference::default();
    for tool in &after.tools {
        match before.get(&tool.name) {
            None => out.added.push(tool.name.clone()),
            Some(old) if old.hash != tool.hash => {
                out.changed.push(Changed { name: tool.name.clone(), what: what(old, tool) });
            }
            Some(_) => {}
        }
    }
    let gone = before.tools.iter().filter(|tool| after.get(&tool.name).is_none());
    out.removed = gone.map(|tool| tool.name.clone()).collect();
    rename(before, after, &mut out);
    out
}

/// The same method and path under another name.
fn rename(before: &Tools, after: &Tools, out: &mut Difference) {
    let key = |tool: &Tool| (tool.operation.method.clone(), tool.operation.path.clone());
    let removed: HashMap<_, _> =
        out.removed.iter().filter_map(|name| before.get(name)).map(|tool| (key(tool), tool)).collect();
    for name in std::mem::take(&mut out.added) {
        let old = after.get(&name).and_then(|tool| removed.get(&key(tool)));
        match old {
            Some(old) => out.renamed.push((old.name.clone(), name)),
            None => out.added.push(name),
        }
    }
    let renamed: Vec<&String> = out.renamed.iter().map(|(old, _)| old).collect();
    out.removed.retain(|name| !renamed.contains(&name));
}

fn what(before: &Tool, after: &Tool) -> Vec<String> {
    let (old, new) = (before.definition.to_value(), after.definition.to_value());
    let mut out: Vec<String> = Vec::new();
    let names = [&old, &new].into_iter().filter_map(Value::as_object).flat_map(|object| object.keys());
    for name in names {
        if old.get(name) != new.get(name) && !out.contains(name) {
            out.push(name.clone());
        }
    }
    if before.operation != after.operation {
        out.push("request".to_owned());
    }
    if before.requirements != after.requirements {
        out.push("security".to_owned());
    }
    out
}
