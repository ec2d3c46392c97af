//! `${name}` in values, where a configuration has variables.
//!
//! A configuration without the section `variables` has none, and `${` in it is text like any other.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Deserialize;

use super::fault::{Fault, Problem, note};
use super::path::Path;
use super::tree::{Node, Position, Value};
use super::typed::read;
use crate::advice;
use crate::load::FILE_BYTES_MAX;
use crate::section::{Variable, VariableType};

/// The key of the section.
pub(crate) const SECTION: &str = "variables";
/// The longest value of a variable.
const VALUE_BYTES_MAX: usize = 4096;

/// Where values come from that do not stand in the files.
pub(crate) struct Values<'a> {
    /// From the command line.
    pub(crate) given: &'a BTreeMap<String, String>,
    /// The environment.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
}

/// The section alone, of a file with all others.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Head {
    variables: IndexMap<String, Variable>,
}

/// A value that stands for a name.
struct Known {
    text: String,
    kind: VariableType,
}

/// Puts values in the place of names, everywhere but in the section itself.
pub(crate) fn fill(root: &mut Node, values: &Values<'_>, faults: &mut Vec<Fault>) {
    let Some(at) = root.get(SECTION).map(|entry| entry.key_at) else {
        if let Some(name) = values.given.keys().next() {
            let message = format!("a value is given for {name:?}, and there are no variables");
            let problem = Problem::other(message, Some("declare it in \"variables\"".to_owned()));
            note(faults, Fault { at: root.at, path: Path::default(), problem });
        }
        return;
    };
    let mut unread = Vec::new();
    let Some(head) = read::<Head>(root, &mut unread) else { return };
    if !unread.is_empty() {
        // They are found again where the whole is read.
        return;
    }
    let mut filling = Filling { known: BTreeMap::new(), bytes: 0, faults };
    for name in values.given.keys().filter(|name| !head.variables.contains_key(*name)) {
        let near = advice::nearest(name, head.variables.keys().map(String::as_str));
        let message = format!("a value is given for {name:?}, which is no variable");
        let problem = Problem::other(message, near.map(advice::did_you_mean));
        note(filling.faults, Fault { at, path: Path::keys([SECTION]), problem });
    }
    for (name, variable) in &head.variables {
        let path = Path::keys([SECTION, name]);
        let at = root.key_at(&path);
        filling.know(name, variable, values, (at, &path));
    }
    let Value::Map(entries) = &mut root.value else { return };
    for entry in entries.iter_mut().filter(|entry| entry.key != SECTION) {
        let path = Path::keys([&entry.key]);
        filling.node(&mut entry.value, &path);
    }
}

struct Filling<'a> {
    /// `None`: it has no value, which was said already.
    known: BTreeMap<String, Option<Known>>,
    bytes: usize,
    faults: &'a mut Vec<Fault>,
}

impl Filling<'_> {
    fn fault(&mut self, at: Position, path: &Path, message: String, hint: Option<String>) {
        note(self.faults, Fault { at, path: path.clone(), problem: Problem::other(message, hint) });
    }

    fn know(&mut self, name: &str, variable: &Variable, values: &Values<'_>, (at, path): (Position, &Path)) {
        let of_environment = || variable.env.as_deref().and_then(values.env);
        let found = values.given.get(name).cloned().or_else(of_environment).or(variable.default.clone());
        let value = match found {
            None => {
                let hint = format!("give it a default, or --set {name}=VALUE");
                self.fault(at, path, "the variable has no value".to_owned(), Some(hint));
                None
            }
            Some(text) if text.len() > VALUE_BYTES_MAX => {
                let message = format!("the value has more than {VALUE_BYTES_MAX} bytes");
                self.fault(at, path, message, None);
                None
            }
            Some(text) if typed(&text, variable.r#type).is_none() => {
                let message = format!("the value is no {}", variable.r#type.as_str());
                self.fault(at, path, message, None);
                None
            }
            Some(text) => Some(Known { text, kind: variable.r#type }),
        };
        self.known.insert(name.to_owned(), value);
    }

    fn node(&mut self, node: &mut Node, path: &Path) {
        let at = node.at;
        match &mut node.value {
            Value::Text(text) if text.contains("${") => {
                if let Some(value) = self.text(text, at, path) {
                    node.value = value;
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.node(item, &path.index(index));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.node(&mut entry.value, &path.key(&entry.key));
                }
            }
            Value::Text(_) | Value::Null | Value::Bool(_) | Value::Int(..) | Value::Float(..) => {}
        }
    }

    /// What a text is once it is filled; `None`: it stays as it is, as something is wrong with it.
    fn text(&mut self, text: &str, at: Position, path: &Path) -> Option<Value> {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
            && !name.contains(['$', '}'])
        {
            let known = self.look_up(name, at, path)?;
            return typed(&known.text, known.kind);
        }
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                let hint = "write \"$${\" where no variable is meant".to_owned();
                self.fault(at, path, "the value has \"${\" without \"}\"".to_owned(), Some(hint));
                return None;
            };
            out.push_str(&self.look_up(name, at, path)?.text);
            rest = after;
        }
        out.push_str(rest);
        self.bytes = self.bytes.saturating_add(out.len());
        if self.bytes > FILE_BYTES_MAX {
            let message = format!("with its variables, the file has more than {FILE_BYTES_MAX} bytes");
            self.fault(at, path, message, None);
            return None;
        }
        Some(Value::Text(out))
    }

    fn look_up(&mut self, name: &str, at: Position, path: &Path) -> Option<&Known> {
        if !self.known.contains_key(name) {
            let near = advice::nearest(name, self.known.keys().map(String::as_str));
            let hint =
                near.map_or("write \"$${\" where no variable is meant".to_owned(), advice::did_you_mean);
            let message = format!("there is no variable {:?}", super::tree::cut(name));
            self.fault(at, path, message, Some(hint));
        }
        self.known.get(name)?.as_ref()
    }
}

/// A value of a variable as the file would have it.
fn typed(text: &str, kind: VariableType) -> Option<Value> {
    match kind {
        VariableType::Text => Some(Value::Text(text.to_owned())),
        VariableType::Flag => text.parse().ok().map(Value::Bool),
        VariableType::Number => match text.parse::<i128>() {
            Ok(number) => Some(Value::Int(number, text.to_owned())),
            Err(_) => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
                Some(Value::Float(number, text.to_owned()))
            }
        },
    }
}
