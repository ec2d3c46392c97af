//! The records that a configuration is made of: what is proposed, owned and versioned by itself.

use std::collections::{BTreeMap, BTreeSet};

use config::Config;
use governance::Risk;
use governor::hash;
use serde_json::{Map, Value};

/// Sections by which others come in, or are believed.
const CREDENTIALS: [&str; 9] =
    ["auth", "keys", "admin", "tls", "store", "replica", "hosts", "origins", "takeover"];

/// Kinds of what a change touches, the strictest first: who may decide on a mixture is who may decide on
/// that.
pub const KINDS: [&str; 8] =
    ["ruleset", "credential", "policy", "client", "extension", "upstream", "endpoint", "tool"];

/// A configuration, taken apart.
#[derive(Debug, Default)]
pub struct Parts {
    /// By kind and name.
    entries: BTreeMap<(&'static str, String), Value>,
    /// What is left, by section.
    sections: Map<String, Value>,
}

/// What there is to say of something that is another one.
pub struct Turn {
    /// `kind`, `name`.
    pub record: (&'static str, String),
    /// What it becomes; `None`: it goes.
    pub after: Option<String>,
    /// The least harm that it can do.
    pub risk: Risk,
    /// In words.
    pub about: String,
}

fn taken(value: &mut Value, steps: &[&str]) -> Value {
    let Some((last, way)) = steps.split_last() else { return Value::Null };
    let mut at = value;
    for step in way {
        let Some(next) = at.get_mut(*step) else { return Value::Null };
        at = next;
    }
    at.as_object_mut().and_then(|object| object.remove(*last)).unwrap_or_default()
}

fn section_kind(name: &str) -> &'static str {
    match name {
        "governance" => "ruleset",
        other if CREDENTIALS.contains(&other) => "credential",
        _ => "policy",
    }
}

impl Parts {
    /// Takes a configuration apart. Secrets are in no text of it.
    ///
    /// # Errors
    /// What serde has to say.
    pub fn of(config: &Config) -> Result<Self, String> {
        let mut rest = serde_json::to_value(config).map_err(|error| error.to_string())?;
        let mut entries = BTreeMap::new();
        let places: [(&str, &[&str]); 3] = [
            ("upstream", &["upstreams"]),
            ("endpoint", &["endpoints"]),
            ("extension", &["extensions", "named"]),
        ];
        for (kind, place) in places {
            if let Value::Object(named) = taken(&mut rest, place) {
                entries.extend(named.into_iter().map(|(name, value)| ((kind, name), value)));
            }
        }
        if let Value::Array(clients) = taken(&mut rest, &["auth", "broker", "clients"]) {
            for client in clients {
                let name = client["client_id"].as_str().unwrap_or_default().to_owned();
                entries.insert(("client", name), client);
            }
        }
        let sections = match rest {
            Value::Object(sections) => sections,
            _ => Map::new(),
        };
        Ok(Self { entries, sections })
    }

    /// All records and a hash of each.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let of = |value: &Value| hash(value.to_string().as_bytes());
        let entries = self.entries.iter().map(|((kind, name), value)| (format!("{kind}:{name}"), of(value)));
        let sections = self.sections.iter();
        let sections = sections.map(|(name, value)| (format!("{}:{name}", section_kind(name)), of(value)));
        let tools = self.entries.iter().filter(|((kind, _), _)| *kind == "upstream").flat_map(
            |((_, upstream), value)| {
                let labels = labels(value).into_iter();
                labels.map(move |(tool, labels)| {
                    (format!("tool:{upstream}/{tool}"), of(&Value::from(Vec::from_iter(labels))))
                })
            },
        );
        entries.chain(sections).chain(tools).collect()
    }

    /// What is another one in `after`, in the order of sections and then of entries.
    pub fn turns(&self, after: &Self) -> Vec<Turn> {
        let mut turns = Vec::new();
        let names: BTreeSet<&String> = self.sections.keys().chain(after.sections.keys()).collect();
        for name in names.into_iter().filter(|name| self.sections.get(*name) != after.sections.get(*name)) {
            turns.push(Turn {
                record: (section_kind(name), name.clone()),
                after: after.sections.get(name).map(Value::to_string),
                risk: Risk::High,
                about: format!("section {name} is another one"),
            });
        }
        let keys: BTreeSet<_> = self.entries.keys().chain(after.entries.keys()).collect();
        for key in keys {
            let (old, new) = (self.entries.get(key), after.entries.get(key));
            if old == new {
                continue;
            }
            match (key.0, old, new) {
                ("upstream", Some(old), Some(new)) if without_labels(old) == without_labels(new) => {
                    turns.extend(relabelled(&key.1, old, new));
                }
                (kind, old, new) => turns.push(entry((kind, &key.1), old, new)),
            }
        }
        turns
    }
}

fn entry((kind, name): (&'static str, &str), old: Option<&Value>, new: Option<&Value>) -> Turn {
    let word = match (old, new) {
        (None, _) => "comes in",
        (_, None) => "goes",
        _ => "is another one",
    };
    // A process runs on the gateway's own machine, with whatever that can reach.
    let command = |value: Option<&Value>| value.map(|value| value["command"].clone());
    let is_run_anew = new.is_some_and(|value| !value["command"].is_null()) && command(old) != command(new);
    let risk = match kind {
        // Who may ask users for their consent, and is believed to be whom.
        "client" => Risk::High,
        "extension" => Risk::Medium,
        _ if is_run_anew => Risk::High,
        _ => Risk::Low,
    };
    let about = format!("{kind} {name} {word}");
    Turn { record: (kind, name.to_owned()), after: new.map(Value::to_string), risk, about }
}

/// The labels of each pattern of tools.
fn labels(upstream: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (label, patterns) in upstream["labels"].as_object().into_iter().flatten() {
        for pattern in patterns.as_array().into_iter().flatten().filter_map(Value::as_str) {
            all.entry(pattern.to_owned()).or_default().insert(label.clone());
        }
    }
    all
}

fn without_labels(upstream: &Value) -> Value {
    let mut rest = upstream.clone();
    if let Some(object) = rest.as_object_mut() {
        object.remove("labels");
    }
    rest
}

/// Tools of which something else is to be known: policies may go by it.
fn relabelled(upstream: &str, old: &Value, new: &Value) -> Vec<Turn> {
    let (old, new) = (labels(old), labels(new));
    let tools: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let turn = |tool: &String| Turn {
        record: ("tool", format!("{upstream}/{tool}")),
        after: new.get(tool).map(|labels| Value::from(Vec::from_iter(labels.clone())).to_string()),
        risk: Risk::Medium,
        about: format!("other labels are on the tools {tool} of {upstream}"),
    };
    tools.into_iter().filter(|tool| old.get(*tool) != new.get(*tool)).map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Parts {
        let config = config::load_str(text, "f").unwrap_or_else(|faults| panic!("{faults}"));
        Parts::of(&config).expect("a tree")
    }

    fn turns(before: &str, after: &str) -> Vec<(String, Risk)> {
        let turns = parts(before).turns(&parts(after));
        turns.into_iter().map(|turn| (format!("{}:{}", turn.record.0, turn.record.1), turn.risk)).collect()
    }

    const BASE: &str = "upstreams:\n  crm: {url: 'http://crm'}\n";

    #[test]
    fn an_extension_is_a_record_of_its_own_and_what_holds_for_the_rest_is_policy() {
        let refused = "extensions: {named: {com.example/a: {state: refused}}}\n";
        let found = turns(BASE, &format!("{BASE}{refused}"));
        assert_eq!(found, [("extension:com.example/a".to_owned(), Risk::Medium)]);
        let found = turns(BASE, &format!("{BASE}extensions: {{others: refused}}\n"));
        assert_eq!(found, [("policy:extensions".to_owned(), Risk::High)]);
    }

    #[test]
    fn a_client_that_the_operator_knows_is_a_record_of_its_own() {
        let with = |clients: &str| {
            format!(
                "{BASE}auth:\n  url: https://gateway.example\n  allow: [broker]\n  issuers:\n    \
                 corp: {{issuer: 'https://corp.example', sign_in: {{client_id: t}}}}\n  broker: \
                 {{sign_in: [corp], clients: [{clients}]}}\n"
            )
        };
        let one = "{client_id: ci, redirect_uris: ['https://a.example/cb']}";
        let other = "{client_id: ci, redirect_uris: ['https://b.example/cb']}";
        for (before, after) in [("", one), (one, other), (one, "")] {
            let found = turns(&with(before), &with(after));
            assert_eq!(found, [("client:ci".to_owned(), Risk::High)], "{before} -> {after}");
        }
    }

    #[test]
    fn labels_are_of_tools_where_nothing_else_of_their_upstream_changes() {
        let with = |more: &str| format!("upstreams:\n  crm: {{url: 'http://crm', {more}}}\n");
        let found = turns(BASE, &with("labels: {pii: ['export_*'], money: [pay]}"));
        let expected = ["tool:crm/export_*", "tool:crm/pay"].map(|name| (name.to_owned(), Risk::Medium));
        assert_eq!(found, expected);
        let found = turns(BASE, &with("labels: {pii: ['export_*']}, description: a"));
        assert_eq!(found, [("upstream:crm".to_owned(), Risk::Low)]);
        let known = parts(&with("labels: {pii: ['export_*']}")).versions();
        assert!(known.contains_key("tool:crm/export_*") && known.contains_key("upstream:crm"), "{known:?}");
    }

    #[test]
    fn every_record_has_a_version_that_is_another_one_when_it_changes() {
        let (one, other) =
            (parts(BASE).versions(), parts("upstreams:\n  crm: {url: 'http://b'}\n").versions());
        assert_ne!(one["upstream:crm"], other["upstream:crm"]);
        assert_eq!(one["credential:auth"], other["credential:auth"]);
    }
}
