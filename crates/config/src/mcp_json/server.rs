//! One server of a client's file, as the section of an upstream.

use super::variable::{self, Found};
use crate::advice;
use crate::source::{Entry, Fault, Node, Path, Position, Problem, Value, note};

/// Collects what is found on the way, and makes nodes.
pub(super) struct Translation {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    next_id: u32,
}

/// How many warnings are kept. Some clients keep much else in the same file.
const WARNINGS_MAX: usize = 1000;

impl Translation {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        // Far above what the limits on a document let its own nodes have.
        Self { faults, warnings: Vec::new(), next_id: 1 << 31 }
    }

    pub(super) fn node(&mut self, at: Position, value: Value) -> Node {
        self.next_id = self.next_id.saturating_add(1);
        Node { id: self.next_id, at, value }
    }

    pub(super) fn text(&mut self, at: Position, text: &str) -> Node {
        self.node(at, Value::Text(text.to_owned()))
    }

    pub(super) fn fault(&mut self, at: Position, path: &Path, message: &str, hint: Option<&str>) {
        let problem = Problem::other(message, hint.map(str::to_owned));
        note(&mut self.faults, Fault { at, path: path.clone(), problem });
    }

    pub(super) fn warn(&mut self, at: Position, path: &Path, message: &str) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(Fault { at, path: path.clone(), problem: Problem::other(message, None) });
        }
    }
}

/// What `type` says, beside what the configuration calls it.
const TYPES: [(&str, Option<&str>); 6] = [
    ("stdio", None),
    ("http", Some("streamable-http")),
    ("streamable-http", Some("streamable-http")),
    ("streamableHttp", Some("streamable-http")),
    ("streamable_http", Some("streamable-http")),
    ("sse", Some("http-sse")),
];

/// The keys for a URL, as different clients have them.
const URLS: [&str; 3] = ["url", "serverUrl", "httpUrl"];

/// The section of an upstream for `server`. `None` where there is nothing to make one of.
pub(super) fn upstream(server: &Entry, path: &Path, translation: &mut Translation) -> Option<Node> {
    if !matches!(server.value.value, Value::Map(_)) {
        let message = format!("expected a map, found {}", server.value.describe());
        translation.fault(server.value.at, path, &message, None);
        return None;
    }
    let faults_before = translation.faults.len();
    let mut section = Section { path, translation, entries: Vec::new(), url: None };
    for entry in server.value.entries() {
        if !matches!(entry.value.value, Value::Null) {
            section.add(entry);
        }
    }
    section.command(&server.value);
    section.transport(&server.value);
    section.drop_foreign();
    let entries = section.entries;
    let has_target = entries.iter().any(|entry| matches!(entry.key.as_str(), "url" | "command"));
    if !has_target && translation.faults.len() > faults_before {
        // That it has neither would only repeat what was said.
        return None;
    }
    Some(translation.node(server.value.at, Value::Map(entries)))
}

struct Section<'a, 'b> {
    path: &'a Path,
    translation: &'a mut Translation,
    entries: Vec<Entry>,
    url: Option<&'b str>,
}

impl<'b> Section<'_, 'b> {
    fn put(&mut self, key: &str, key_at: Position, value: Node) {
        self.entries.push(Entry { key: key.to_owned(), key_at, value });
    }

    fn add(&mut self, entry: &'b Entry) {
        let path = self.path.key(&entry.key);
        match entry.key.as_str() {
            // Made together below.
            "command" | "args" | "type" | "transport" => {}
            key if URLS.contains(&key) => match self.url {
                Some(first) => {
                    let message = format!("the server has a {first:?} too");
                    self.translation.fault(entry.key_at, &path, &message, Some("take one of them out"));
                }
                None => {
                    self.url = Some(key);
                    self.without_variables(&entry.value, &path);
                    self.put("url", entry.key_at, entry.value.clone());
                }
            },
            "cwd" => {
                self.without_variables(&entry.value, &path);
                self.put("cwd", entry.key_at, entry.value.clone());
            }
            "env" | "headers" => self.secrets(entry, &path),
            "description" => self.put("description", entry.key_at, entry.value.clone()),
            "enabled" => self.put("enabled", entry.key_at, entry.value.clone()),
            "disabled" => match entry.value.value {
                Value::Bool(disabled) => {
                    let value = self.translation.node(entry.value.at, Value::Bool(!disabled));
                    self.put("enabled", entry.key_at, value);
                }
                _ => {
                    let message = format!("expected true or false, found {}", entry.value.describe());
                    self.translation.fault(entry.value.at, &path, &message, None);
                }
            },
            _ => self.translation.warn(entry.key_at, &path, "unknown key, left out"),
        }
    }

    /// `command` and `args` as one list.
    fn command(&mut self, server: &Node) {
        let Some(command) = server.get("command").filter(|entry| !matches!(entry.value.value, Value::Null))
        else {
            if let Some(args) = server.get("args").filter(|entry| !matches!(entry.value.value, Value::Null)) {
                let path = self.path.key("args");
                self.translation.fault(args.key_at, &path, "there is no \"command\" to give these to", None);
            }
            return;
        };
        let mut argv = match &command.value.value {
            Value::List(words) => words.clone(),
            _ => vec![command.value.clone()],
        };
        match server.get("args").map(|args| (args, &args.value.value)) {
            None | Some((_, Value::Null)) => {}
            Some((_, Value::List(words))) => argv.extend(words.iter().cloned()),
            Some((args, _)) => {
                let message = format!("expected a list, found {}", args.value.describe());
                self.translation.fault(args.value.at, &self.path.key("args"), &message, None);
            }
        }
        let path = self.path.key("command");
        for (index, word) in argv.iter().enumerate() {
            self.without_variables(word, &if index == 0 { path.clone() } else { self.path.key("args") });
        }
        let value = self.translation.node(command.value.at, Value::List(argv));
        self.put("command", command.key_at, value);
    }

    /// What `type` (some write `transport`) says about the server.
    fn transport(&mut self, server: &Node) {
        let Some(entry) = ["type", "transport"]
            .iter()
            .find_map(|key| server.get(key).filter(|entry| !matches!(entry.value.value, Value::Null)))
        else {
            return;
        };
        let path = self.path.key(&entry.key);
        let known = entry.value.text().and_then(|text| TYPES.iter().find(|(name, _)| *name == text));
        let Some((name, transport)) = known else {
            let names: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
            let near = entry.value.text().and_then(|text| advice::nearest(text, names.iter().copied()));
            let hint = near.map_or_else(
                || format!("use {}", advice::one_of(&["stdio", "http", "sse"])),
                advice::did_you_mean,
            );
            let message = format!("expected a kind of server, found {}", entry.value.describe());
            return self.translation.fault(entry.value.at, &path, &message, Some(&hint));
        };
        let needed = if transport.is_some() { "url" } else { "command" };
        if !self.entries.iter().any(|entry| entry.key == needed) {
            let message = format!("a server of the type {name:?} needs a {needed:?}");
            return self.translation.fault(entry.value.at, &path, &message, None);
        }
        if let Some(transport) = transport {
            let value = self.translation.text(entry.value.at, transport);
            self.put("transport", entry.key_at, value);
        }
    }

    /// What programs write into every server, also where it means nothing.
    fn drop_foreign(&mut self) {
        let has = |key: &str| self.entries.iter().any(|entry| entry.key == key);
        let foreign: &[&str] = match (has("url"), has("command")) {
            (true, false) => &["env", "cwd"],
            (false, true) => &["headers"],
            _ => return,
        };
        let (dropped, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry| foreign.contains(&entry.key.as_str()));
        self.entries = kept;
        for entry in dropped {
            let empty = matches!(&entry.value.value, Value::Map(entries) if entries.is_empty());
            if !empty {
                let path = self.path.key(&entry.key);
                self.translation.warn(entry.key_at, &path, "means nothing for this kind of server, left out");
            }
        }
    }

    /// `env` and `headers`: their variables become references.
    fn secrets(&mut self, entry: &Entry, path: &Path) {
        let Value::Map(values) = &entry.value.value else {
            return self.put(&entry.key, entry.key_at, entry.value.clone());
        };
        let mut found = Vec::new();
        for inner in values {
            if let Some(value) = self.secret(&inner.value, &path.key(&inner.key)) {
                found.push(Entry { key: inner.key.clone(), key_at: inner.key_at, value });
            }
        }
        let value = self.translation.node(entry.value.at, Value::Map(found));
        self.put(&entry.key, entry.key_at, value);
    }

    fn secret(&mut self, value: &Node, path: &Path) -> Option<Node> {
        let text = match &value.value {
            Value::Text(text) => text,
            Value::Map(_) => {
                self.translation.fault(value.at, path, "expected text, found a map", None);
                return None;
            }
            _ => return Some(value.clone()),
        };
        match variable::find(text) {
            Found::Plain => Some(value.clone()),
            Found::Variable { prefix, name } => {
                let mut keys = vec![("env", name)];
                if !prefix.is_empty() {
                    keys.push(("prefix", prefix));
                }
                let mut entries = Vec::new();
                for (key, text) in keys {
                    let text = self.translation.text(value.at, &text);
                    entries.push(Entry { key: key.to_owned(), key_at: value.at, value: text });
                }
                Some(self.translation.node(value.at, Value::Map(entries)))
            }
            Found::Unreadable { message, hint } => {
                self.translation.fault(value.at, path, message, Some(hint));
                None
            }
        }
    }

    fn without_variables(&mut self, value: &Node, path: &Path) {
        if value.text().is_some_and(|text| text.contains("${")) {
            let hint = Some("write the value itself; only \"env\" and \"headers\" can have them");
            self.translation.fault(value.at, path, "variables are not replaced here", hint);
        }
    }
}
