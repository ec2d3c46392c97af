//! The keys one by one, found in the schema.

use serde_json::{Map, Value};

use super::schema::schema;
use crate::advice;

/// A key, or a section of keys.
pub(super) struct Key {
    /// As in `upstreams.*.timeouts.connect`; `*` stands for a name.
    pub(super) path: String,
    /// What it takes, in words.
    pub(super) kind: String,
    /// What holds without it, if the schema says so.
    pub(super) default: Option<String>,
    /// What it means.
    pub(super) text: String,
    /// The words it takes, with their meaning.
    pub(super) words: Vec<(String, String)>,
    /// Whether it opens a section.
    pub(super) section: bool,
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
        let inner = match target.get("additionalProperties").map(|each| resolved(root, each)) {
            Some(each) if each.get("properties").is_some() => Some((format!("{path}.*"), each)),
            _ if target.get("properties").is_some() => Some((path.clone(), target)),
            _ => None,
        };
        found.push(Key {
            kind: kind(root, property),
            default: property.get("default").filter(|_| inner.is_none()).map(shown),
            text: property["description"].as_str().unwrap_or_default().to_owned(),
            words: words(target),
            section: inner.is_some(),
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
        Some("#/$defs/Secret") => return "secret".to_owned(),
        Some("#/$defs/Pattern") => return "pattern".to_owned(),
        _ => {}
    }
    let target = resolved(root, schema);
    if target.get("oneOf").is_some() && target.get("properties").is_none() {
        return "word".to_owned();
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
    if kind == "text" { "texts".to_owned() } else { format!("{kind}s") }
}

fn words(target: &Value) -> Vec<(String, String)> {
    let choices = target["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |choice: &Value| {
        let text = choice["description"].as_str().unwrap_or_default();
        choice["const"].as_str().map(|word| (word.to_owned(), text.to_owned()))
    };
    choices.iter().filter_map(word).collect()
}

/// A default as it would be written in the file.
fn shown(default: &Value) -> String {
    match default {
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}

/// All key paths, as in `upstreams.*.timeouts.connect`, in the order of the file.
#[must_use]
pub fn key_paths() -> Vec<String> {
    keys(&schema()).into_iter().map(|key| key.path).collect()
}

/// What a key means, takes and defaults to, in lines for a terminal. A name may stand for the `*` of a path
/// (`upstreams.crm.url`). `None` where there is no such key.
#[must_use]
pub fn explain(key_path: &str) -> Option<String> {
    let keys = keys(&schema());
    let key = keys.iter().find(|key| is_path(&key.path, key_path))?;
    let mut lines = vec![key.path.clone(), format!("  takes    {}", key.kind)];
    if let Some(default) = &key.default {
        lines.push(format!("  default  {default}"));
    }
    lines.extend(["".to_owned(), key.text.clone()]);
    if !key.words.is_empty() {
        lines.push(String::new());
        lines.extend(key.words.iter().map(|(word, text)| format!("  {word}: {text}")));
    }
    let start = [format!("{}.", key.path), format!("{}.*.", key.path)];
    let inner: Vec<_> = keys
        .iter()
        .filter_map(|other| {
            let (rest, start) = start
                .iter()
                .rev()
                .find_map(|start| other.path.strip_prefix(start.as_str()).map(|rest| (rest, start)))?;
            (!rest.contains('.')).then(|| format!("  {start}{rest}"))
        })
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
            _ => return false,
        }
    }
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
    fn what_is_no_key_is_not_explained() {
        for path in ["", "nope", "upstreams.*", "upstreams..url", "upstreams.crm.nope", "listen.x", "listen."]
        {
            assert_eq!(explain(path), None, "{path}");
        }
        assert_eq!(nearest_key("limits.page_sise").as_deref(), Some("limits.page_size"));
        assert_eq!(nearest_key("something else"), None);
        assert_eq!(nearest_key("timeouts").as_deref(), Some("upstreams.*.timeouts"), "one key has this end");
        assert_eq!(nearest_key("command").as_deref(), Some("upstreams.*.command"));
        assert_eq!(nearest_key("url"), None, "several keys have this end");
        assert_eq!(nearest_key("upstreams"), Some("upstreams".to_owned()));
    }

    #[test]
    fn each_kind_of_value_has_a_word() {
        let schema = schema();
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
        ] {
            assert_eq!(kind(path).as_deref(), Some(expected), "{path}");
        }
    }
}
