//! The keys one by one, found in the schema.

use serde_json::{Map, Value};

use super::overlay::merges_kind;
use super::schema::plain_schema;
use crate::advice;

/// A key, or a section of keys.
#[derive(Clone)]
pub(super) struct Key {
    /// As in `upstreams.*.timeouts.connect`; `*` stands for a name, and `[]` for any item of a list.
    pub(super) path: String,
    /// What it takes, in words.
    pub(super) kind: String,
    /// What holds without it, if the schema says so.
    pub(super) default: Option<String>,
    /// What it means.
    pub(super) text: String,
    /// The words it takes, or the items of its list, with their meaning.
    pub(super) words: Vec<(String, String)>,
    /// If it opens a section: the path of that, as in `upstreams.*` and `upstreams.*.retries[]`.
    pub(super) section: Option<String>,
}

impl Key {
    /// Its name, if it stands in this section and in none inside.
    pub(super) fn name_in(&self, section: &str) -> Option<&str> {
        let rest = match section {
            "" => Some(self.path.as_str()),
            _ => self.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')),
        };
        rest.filter(|name| !name.contains('.'))
    }
}

/// All keys, in the order of the file: a section before its keys.
pub(super) fn keys(schema: &Value) -> Vec<Key> {
    let mut found = Vec::new();
    collect(schema, schema, "", &mut found);
    found
}

fn collect(root: &Value, object: &Value, path: &str, found: &mut Vec<Key>) {
    let none = Map::new();
    for (name, property) in object["properties"].as_object().unwrap_or(&none) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let target = resolved(root, property);
        let part = |name: &str| target.get(name).map(|each| resolved(root, each));
        let inner = match (part("additionalProperties"), part("items")) {
            (Some(each), _) if each.get("properties").is_some() => Some((format!("{path}.*"), each)),
            (_, Some(each)) if each.get("properties").is_some() => Some((format!("{path}[]"), each)),
            _ if target.get("properties").is_some() => Some((path.clone(), target)),
            _ => None,
        };
        let kind = kind(root, property);
        let chosen = ["word", "choice", "list of words", "list of choices"].contains(&kind.as_str());
        found.push(Key {
            default: property.get("default").filter(|_| inner.is_none()).map(shown),
            text: property["description"].as_str().unwrap_or_default().to_owned(),
            words: if chosen { words(root, part("items").unwrap_or(target)) } else { Vec::new() },
            kind,
            section: inner.as_ref().map(|(start, _)| start.clone()),
            path,
        });
        if let Some((path, object)) = inner {
            collect(root, object, &path, found);
        }
    }
}

/// What a `$ref` points at, or the schema itself.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

/// What a value is, in words.
fn kind(root: &Value, schema: &Value) -> String {
    // These are explained once, in the page's introduction.
    match schema["$ref"].as_str() {
        Some("#/$defs/Duration") => return "duration".to_owned(),
        Some("#/$defs/Size") => return "size".to_owned(),
        Some("#/$defs/Address") => return "address".to_owned(),
        Some("#/$defs/Secret") => return "secret".to_owned(),
        Some("#/$defs/Pattern") => return "pattern".to_owned(),
        _ => {}
    }
    let target = resolved(root, schema);
    if target.get("oneOf").is_some() && target.get("properties").is_none() {
        let constant = |choice: &Value| choice.get("const").is_some();
        let words = target["oneOf"].as_array().is_some_and(|choices| choices.iter().all(constant));
        return if words { "word" } else { "choice" }.to_owned();
    }
    match target["type"].as_str() {
        Some("array") => format!("list of {}", plural(&kind(root, &target["items"]))),
        Some("object") if target.get("properties").is_some() => "section".to_owned(),
        Some("object") => format!("map of names to {}", plural(&kind(root, &target["additionalProperties"]))),
        Some("integer") => "number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        _ => "text".to_owned(),
    }
}

fn plural(kind: &str) -> String {
    match kind.strip_prefix("list of ") {
        Some(inner) => format!("lists of {inner}"),
        None => format!("{kind}s"),
    }
}

fn words(root: &Value, target: &Value) -> Vec<(String, String)> {
    let choices = target["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |choice: &Value| {
        let entry = choice["properties"].as_object().and_then(|entries| entries.iter().next());
        let entry = entry.map(|(name, value)| format!("{{{name}: {}}}", kind(root, value)));
        let plain = |key: &str| choice[key].as_str().map(str::to_owned);
        let word = plain("const").or_else(|| plain("title")).or(entry)?;
        // A comment in the source has its own lines.
        let text = choice["description"].as_str().unwrap_or_default();
        Some((word, text.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    choices.iter().filter_map(word).collect()
}

/// A default as it would be written in the file.
fn shown(default: &Value) -> String {
    match default {
        // To YAML a bare `*` begins a reference.
        Value::String(text) if !text.is_empty() && !text.starts_with('*') => text.clone(),
        other => other.to_string(),
    }
}

/// All key paths, as in `upstreams.*.timeouts.connect`, in the order of the file.
#[must_use]
pub fn key_paths() -> Vec<String> {
    keys(&plain_schema()).into_iter().map(|key| key.path).collect()
}

/// What a key means, takes and defaults to, in lines for a terminal. A name may stand for the `*` of a path
/// (`upstreams.crm.url`), and a number or nothing for the `[]` of a list (`tasks.host[0].tools`). `None`
/// where there is no such key.
#[must_use]
pub fn explain(key_path: &str) -> Option<String> {
    let keys = keys(&plain_schema());
    let find = |given: &str| keys.iter().find(|key| is_path(&key.path, given));
    // One value of a map of names, such as a header.
    let of_map = || {
        let (map, name) = key_path.rsplit_once('.')?;
        let is_map = |key: &&Key| key.kind.starts_with("map of ") && key.section.is_none();
        let key = find(map).filter(is_map).filter(|_| !name.is_empty())?;
        let (path, kind) = (format!("{}.*", key.path), format!("one of a {}", key.kind));
        Some(Key { path, kind, default: None, section: None, ..key.clone() })
    };
    let key = find(key_path).cloned().or_else(of_map)?;
    let mut lines = vec![key.path.clone(), format!("  takes    {}", key.kind)];
    if let Some(default) = &key.default {
        lines.push(format!("  default  {default}"));
    }
    if merges_kind(&key.kind) {
        lines.push("  overlay  the keys of both files, one by one".to_owned());
    } else if key.kind.starts_with("list of ") {
        lines.push("  overlay  stands in place of the whole list".to_owned());
    }
    lines.extend(["".to_owned(), key.text.clone()]);
    if !key.words.is_empty() {
        lines.push(String::new());
        lines.extend(key.words.iter().map(|(word, text)| format!("  {word}: {text}")));
    }
    let inner: Vec<_> = keys
        .iter()
        .filter(|other| key.section.as_ref().is_some_and(|section| other.name_in(section).is_some()))
        .map(|other| format!("  {}", other.path))
        .collect();
    if !inner.is_empty() {
        lines.extend(["".to_owned(), "Keys:".to_owned()]);
        lines.extend(inner);
    }
    Some(lines.join("\n"))
}

/// The key path that is nearest to one that there is not, for a "did you mean".
#[must_use]
pub fn nearest_key(key_path: &str) -> Option<String> {
    let paths = key_paths();
    let near = advice::nearest(key_path, paths.iter().map(String::as_str));
    // Somebody who knows the key alone leaves its sections out.
    let mut ends = paths.iter().filter(|path| path.ends_with(&format!(".{key_path}")));
    let only = match (ends.next(), ends.next()) {
        (Some(only), None) => Some(only.as_str()),
        _ => None,
    };
    near.or(only).map(str::to_owned)
}

/// Whether `given` is `path`, where a name in `given` may stand for a `*` in `path`.
fn is_path(path: &str, given: &str) -> bool {
    let (mut path, mut given) = (path.split('.'), given.split('.'));
    loop {
        match (path.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(name)) if !name.is_empty() => {}
            (Some(key), Some(name)) if key == name => {}
            (Some(key), Some(name)) if key.strip_suffix("[]").is_some_and(|list| is_item(list, name)) => {}
            _ => return false,
        }
    }
}

/// Whether `given` is the name of a list, or an item of it as a fault has it: `retries` or `retries[0]`.
fn is_item(list: &str, given: &str) -> bool {
    let Some(item) = given.strip_prefix(list) else { return false };
    let index = item.strip_prefix('[').and_then(|item| item.strip_suffix(']'));
    item.is_empty() || index.is_some_and(|index| index.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_explained() {
        let expected = "upstreams.*.timeouts.connect\n  takes    duration\n  default  5s\n\n\
                        For a connection with TLS, or for a started program's first answer.\n\nSince 0.1.";
        assert_eq!(explain("upstreams.*.timeouts.connect").as_deref(), Some(expected));
        assert_eq!(explain("upstreams.crm.timeouts.connect").as_deref(), Some(expected));
    }

    #[test]
    fn a_section_is_explained_with_its_keys() {
        let text = explain("upstreams.*.timeouts").expect("a section");
        assert!(text.ends_with(
            "Keys:\n  upstreams.*.timeouts.connect\n  upstreams.*.timeouts.first_byte\n  \
             upstreams.*.timeouts.idle\n  upstreams.*.timeouts.total"
        ));
        let text = explain("upstreams").expect("a section");
        assert!(text.contains("\n  upstreams.*.url\n"), "{text}");
        assert!(!text.contains("upstreams.*.timeouts.connect"), "{text}");
    }

    #[test]
    fn a_word_is_explained_with_its_meaning() {
        let text = explain("telemetry.log_format").expect("a key");
        assert!(text.contains("\n  takes    word\n  default  auto\n"), "{text}");
        assert!(text.contains("\n  json: One JSON object a line."), "{text}");
    }

    #[test]
    fn a_key_of_an_item_is_explained_by_its_list() {
        let text = explain("upstreams.*.retries[].backoff").expect("a key");
        assert!(text.contains("\n  takes    duration\n  default  500ms\n"), "{text}");
        for path in ["upstreams.crm.retries[3].backoff", "upstreams.crm.retries.backoff"] {
            assert_eq!(explain(path).as_ref(), Some(&text), "{path}");
        }
        let list = explain("tasks.host").expect("a list");
        assert!(list.contains("\n  takes    list of sections\n"), "{list}");
        assert!(
            list.ends_with("\n  tasks.host[].tools\n  tasks.host[].when\n  tasks.host[].required"),
            "{list}"
        );
        assert_eq!(nearest_key("max_attempts").as_deref(), Some("upstreams.*.retries[].max_attempts"));
    }

    #[test]
    fn what_a_choice_takes_is_listed() {
        let text = explain("tasks.host[].when").expect("a key");
        assert!(text.contains("\n  takes    choice\n") && text.contains("\n  always: At once.\n"), "{text}");
        assert!(text.contains("\n  {when_slow: duration}: When it has taken so long."), "{text}");
        let text = explain("upstreams.*.retries[].retry_on").expect("a key");
        assert!(text.contains("\n  takes    list of choices\n") && text.contains("\n  CODE: "), "{text}");
        assert!(text.contains("\n  503: The server cannot serve now.\n"), "{text}");
        assert!(text.contains("\n  {is_error: pattern}: "), "{text}");
        let text = explain("store.url").expect("a key");
        assert!(text.ends_with("Since 0.1."), "a secret is explained once: {text}");
    }

    #[test]
    fn what_is_no_key_is_not_explained() {
        for path in [
            "",
            "nope",
            "upstreams.*",
            "upstreams..url",
            "upstreams.crm.nope",
            "listen.x",
            "listen.",
            "listen[0]",
            "tasks.host[x].tools",
            "tasks.host[0",
            "tasks.hosts.tools",
            "tasks.host[0]",
        ] {
            assert_eq!(explain(path), None, "{path}");
        }
        let header = explain("upstreams.crm.headers.authorization").expect("one of the headers");
        assert!(header.starts_with("upstreams.*.headers.*\n  takes    one of a map of names to secrets\n"));
        assert_eq!(nearest_key("limits.page_sise").as_deref(), Some("limits.page_size"));
        assert_eq!(nearest_key("something else"), None);
        assert_eq!(nearest_key("timeouts").as_deref(), Some("upstreams.*.timeouts"), "one key has this end");
        assert_eq!(nearest_key("command").as_deref(), Some("upstreams.*.command"));
        assert_eq!(nearest_key("url"), None, "several keys have this end");
        assert_eq!(nearest_key("upstreams"), Some("upstreams".to_owned()));
    }

    #[test]
    fn each_kind_of_value_has_a_word() {
        let schema = plain_schema();
        let kind = |path: &str| keys(&schema).into_iter().find(|key| key.path == path).map(|key| key.kind);
        for (path, expected) in [
            ("listen", "text"),
            ("tls", "section"),
            ("hosts", "list of texts"),
            ("upstreams", "map of names to sections"),
            ("upstreams.*.headers", "map of names to secrets"),
            ("upstreams.*.aliases", "map of names to texts"),
            ("upstreams.*.expose", "list of patterns"),
            ("upstreams.*.revision", "word"),
            ("upstreams.*.enabled", "true or false"),
            ("upstreams.*.list_ttl", "duration"),
            ("limits.request_bytes_max", "size"),
            ("limits.page_size", "number"),
            ("tasks.host", "list of sections"),
            ("tasks.host[].when", "choice"),
            ("upstreams.*.tasks", "word"),
            ("upstreams.*.retries[].retry_on", "list of choices"),
        ] {
            assert_eq!(kind(path).as_deref(), Some(expected), "{path}");
        }
    }
}
