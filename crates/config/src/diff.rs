//! What is different between two configurations in what they mean.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::layers::Origins;
use crate::section::Config;
use crate::suspect;
use crate::value::HIDDEN;

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have one, and not the same.
    Changed,
}

/// One thing that is different. A secret shows as `[secret]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The keys that lead there; an item of a list by its number, or its name or id where it has one.
    pub path: String,
    /// What became of it.
    pub change: Change,
    /// What the first has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What the second has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let (path, before, after) = (&self.path, text(&self.before), text(&self.after));
        // With all its defaults, a section is too long to be read.
        let is_section = |value: &Option<Value>| value.as_ref().is_some_and(Value::is_object);
        match self.change {
            Change::Added if is_section(&self.after) => write!(f, "+ {path}"),
            Change::Removed if is_section(&self.before) => write!(f, "- {path}"),
            Change::Added => write!(f, "+ {path}: {after}"),
            Change::Removed => write!(f, "- {path}: {before}"),
            Change::Changed => write!(f, "~ {path}: {before} -> {after}"),
        }
    }
}

/// A configuration as it is compared.
#[derive(Debug, Clone)]
pub struct Meaning<'a> {
    value: Value,
    origins: Option<&'a Origins>,
}

impl<'a> Meaning<'a> {
    /// Of a configuration. With `origins`, secrets that stand in the files are compared as well.
    #[must_use]
    pub fn of(config: &Config, origins: Option<&'a Origins>) -> Self {
        let value = serde_json::to_value(config).unwrap_or_default();
        Self::told(value, origins)
    }

    /// Of what somebody else tells of one.
    #[must_use]
    pub fn told(mut value: Value, origins: Option<&'a Origins>) -> Self {
        if let Some(map) = value.as_object_mut() {
            // What they stand for is in the values.
            map.remove("variables");
        }
        Self { value, origins }
    }

    /// The configuration, with every default and without its secrets.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The keys at which a secret stands in a file itself.
    #[must_use]
    pub fn secrets_written_out(&self) -> Vec<String> {
        let mut found = Vec::new();
        secrets(&self.value, &mut Vec::new(), &mut found);
        found
    }
}

fn secrets(value: &Value, path: &mut Vec<crate::source::Seg>, found: &mut Vec<String>) {
    use crate::source::{Path, Seg};
    match value {
        Value::String(text) if text == HIDDEN => found.push(Path::new(path.clone()).to_string()),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push(Seg::Index(at));
                secrets(item, path, found);
                path.pop();
            }
        }
        Value::Object(entries) => {
            for (key, inner) in entries {
                path.push(Seg::Key(key.clone()));
                secrets(inner, path, found);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is different: not how it is written, in which order names stand, or whether a default is spelled out.
#[must_use]
pub fn diff(before: &Meaning<'_>, after: &Meaning<'_>) -> Vec<Difference> {
    let mut comparing = Comparing { before, after, found: Vec::new() };
    comparing.values("", (&before.value, &after.value), ("", ""));
    comparing.found
}

struct Comparing<'a> {
    before: &'a Meaning<'a>,
    after: &'a Meaning<'a>,
    found: Vec<Difference>,
}

impl Comparing<'_> {
    /// `shown` is the path that is told, `at` where the value stands on each side.
    fn values(&mut self, shown: &str, (a, b): (&Value, &Value), at: (&str, &str)) {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) => self.maps(shown, (a, b), at),
            (Value::Array(one), Value::Array(other)) if one != other => match (names(one), names(other)) {
                (Some(one), Some(other)) => self.named(shown, (a, &one), (b, &other), at),
                _ => self.push(shown, Some(a), Some(b)),
            },
            (Value::String(one), Value::String(other)) if one == HIDDEN && other == HIDDEN => {
                let text =
                    |side: &Meaning<'_>, at| side.origins.map(|origins| origins.text(at).map(str::to_owned));
                let (one, other) = (text(self.before, at.0), text(self.after, at.1));
                if one.is_some() && other.is_some() && one != other {
                    self.push(shown, Some(a), Some(b));
                }
            }
            _ if a != b => self.push(shown, Some(a), Some(b)),
            _ => {}
        }
    }

    fn maps(&mut self, shown: &str, (a, b): (&Map<String, Value>, &Map<String, Value>), at: (&str, &str)) {
        let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for key in keys {
            let inner = |path: &str| match path {
                "" => key.clone(),
                _ => format!("{path}.{key}"),
            };
            match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => self.values(&inner(shown), (a, b), (&inner(at.0), &inner(at.1))),
                (a, b) => self.push(&inner(shown), a, b),
            }
        }
    }

    /// Lists whose items have names: in whatever order, as far as that says nothing.
    fn named(
        &mut self,
        shown: &str,
        (a, one): (&Value, &[String]),
        (b, other): (&Value, &[String]),
        at: (&str, &str),
    ) {
        let before = self.found.len();
        let all: BTreeSet<&String> = one.iter().chain(other).collect();
        for name in all {
            let inner = format!("{shown}[{name}]");
            let place = |list: &[String]| list.iter().position(|known| known == name);
            match (place(one), place(other)) {
                (Some(x), Some(y)) => {
                    let places = (format!("{}[{x}]", at.0), format!("{}[{y}]", at.1));
                    self.values(&inner, (&a[x], &b[y]), (&places.0, &places.1));
                }
                (x, y) => self.push(&inner, x.map(|x| &a[x]), y.map(|y| &b[y])),
            }
        }
        if self.found.len() == before {
            // The first rule that fits decides in some lists.
            let names = |list: &[String]| Value::from(list.to_vec());
            self.push(&format!("{shown} (order)"), Some(&names(one)), Some(&names(other)));
        }
    }

    fn push(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        let change = match (before, after) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ => Change::Changed,
        };
        let path = path.to_owned();
        let shown = |value: Option<&Value>| {
            let mut value = value?.clone();
            suspect::mask_shown(&mut value);
            Some(value)
        };
        self.found.push(Difference { path, change, before: shown(before), after: shown(after) });
    }
}

/// The names of all items, where each has one of its own.
fn names(items: &[Value]) -> Option<Vec<String>> {
    let name = |item: &Value| {
        let found = ["id", "name"].iter().find_map(|key| item.get(key)?.as_str());
        found.map(str::to_owned)
    };
    let names: Vec<String> = items.iter().map(name).collect::<Option<_>>()?;
    let distinct: BTreeSet<&String> = names.iter().collect();
    (distinct.len() == names.len()).then_some(names)
}

/// Something that a configuration refers to and does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The key.
    pub key: String,
    /// `env`, `file`, `credential` or `command`.
    pub kind: String,
    /// The variable, the path, the credential or the program.
    pub name: String,
}

impl Meaning<'_> {
    /// All that is somewhere else: secrets, addresses, the key ring.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        references(&self.value, &crate::source::Path::default(), &mut found);
        found
    }
}

/// The keys that references have besides the one that says where.
const BESIDE: [&str; 3] = ["prefix", "pass", "timeout"];

fn references(value: &Value, path: &crate::source::Path, found: &mut Vec<Reference>) {
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                references(item, &path.index(at), found);
            }
        }
        Value::Object(entries) => {
            let mut places = entries.iter().filter(|(key, _)| !BESIDE.contains(&key.as_str()));
            if let (Some((kind, place)), None) = (places.next(), places.next())
                && ["env", "file", "credential", "command"].contains(&kind.as_str())
            {
                let name = place.as_str().or_else(|| place.get(0)?.as_str());
                if let Some(name) = name {
                    let (key, kind, name) = (path.to_string(), kind.clone(), name.to_owned());
                    return found.push(Reference { key, kind, name });
                }
            }
            for (key, inner) in entries {
                references(inner, &path.key(key), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Parts of names by which a value of an environment or a header is taken for a secret, where the value is
/// not known.
const TELLING: [&str; 9] =
    ["auth", "cookie", "credential", "key", "pass", "pwd", "secret", "session", "token"];
/// Maps whose values are mostly no secrets.
const OPEN: [&str; 2] = [".headers.", ".env."];

impl Meaning<'_> {
    /// The keys at which a secret stands in the files themselves, as far as that can be told: also in a
    /// command or a URL, and not the values of headers and of a program's environment whose names and looks
    /// say nothing of secrets, nor a store's path.
    #[must_use]
    pub fn secrets_at_risk(&self) -> Vec<String> {
        let text = |key: &str| self.origins.and_then(|origins| origins.text(key)).unwrap_or_default();
        let is_harmless = |key: &String| {
            if key == "store.url" {
                return text(key).starts_with("sqlite:") || text(key) == "memory:";
            }
            OPEN.iter().any(|map| {
                key.rsplit_once(map).is_some_and(|(_, name)| match text(key) {
                    // What it is, is not known here: then its name decides.
                    "" => !TELLING.iter().any(|telling| name.to_lowercase().contains(telling)),
                    value => suspect::in_value(name, value).is_empty(),
                })
            })
        };
        let mut found: Vec<String> =
            self.secrets_written_out().into_iter().filter(|key| !is_harmless(key)).collect();
        shown_secrets(&self.value, &crate::source::Path::default(), &mut found);
        found
    }
}

/// Secrets in what is no value for secrets: the words of a command, a URL.
fn shown_secrets(value: &Value, path: &crate::source::Path, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text != HIDDEN && !suspect::in_value("", text).is_empty() => {
            found.push(path.to_string());
        }
        Value::Array(items) => {
            let words: Vec<&str> = items.iter().map(|item| item.as_str().unwrap_or_default()).collect();
            let mut among: Vec<usize> = suspect::in_words(&words).into_iter().map(|(at, _)| at).collect();
            among.dedup();
            found.extend(among.into_iter().map(|at| path.index(at).to_string()));
            for (at, item) in items.iter().enumerate().filter(|(_, item)| !item.is_string()) {
                shown_secrets(item, &path.index(at), found);
            }
        }
        Value::Object(entries) => {
            entries.iter().for_each(|(key, inner)| shown_secrets(inner, &path.key(key), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
