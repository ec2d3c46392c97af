//! Changes of JSON texts: comments, order and everything else stay.

use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::{Map, Value};

use super::{Source, json};
use crate::format::Fault;

/// A change at a path of keys.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// The members of the map at the path are set, and those of `remove` go.
    Members { path: &'a [&'a str], members: Map<String, Value>, remove: &'a [String] },
    /// The value at the path is set.
    Value { path: &'a [&'a str], value: Value },
}

/// The text with the changes. What is as it should be is not touched.
///
/// # Errors
/// Where the text is no JSON, where there is something else than a map on the way, or where the result would
/// mean something else than what was meant.
pub(crate) fn edit(text: &str, file: &str, changes: &[Change<'_>]) -> Result<String, Fault> {
    let source = Source::new(text, file)?;
    let mark = text.len() - source.text.len();
    let mut meant = json::parse(&source)?.to_value();
    let unusable = |message: &str| source.fault(0, "", message);
    let root = CstRootNode::parse(source.text, &json::options()).map_err(|_| unusable("this is no JSON"))?;
    let top = match root.value() {
        None => root.object_value_or_set(),
        Some(_) => root.object_value().ok_or_else(|| unusable("expected a map"))?,
    };
    for change in changes {
        let (path, last) = match change {
            Change::Members { path, .. } => (*path, None),
            Change::Value { path, .. } => match path.split_last() {
                Some((last, path)) => (path, Some(*last)),
                None => continue,
            },
        };
        let mut place = top.clone();
        let mut mirror = &mut meant;
        for key in path {
            place = place.object_value_or_create(key).ok_or_else(|| unusable("expected a map on the way"))?;
            let map = mirror.as_object_mut().ok_or_else(|| unusable("expected a map on the way"))?;
            mirror = map.entry((*key).to_owned()).or_insert_with(|| Value::Object(Map::new()));
        }
        let map = mirror.as_object_mut().ok_or_else(|| unusable("expected a map on the way"))?;
        match change {
            Change::Value { value, .. } => set(&place, map, last.unwrap_or_default(), value),
            Change::Members { members, remove, .. } => {
                take_out(&place, map, members, remove);
                for (name, value) in members {
                    set(&place, map, name, value);
                }
            }
        }
    }
    let new = format!("{}{root}", &text[..mark]);
    let read = Source::new(&new, file).and_then(|source| json::parse(&source));
    match read {
        Ok(read) if read.to_value() == meant => Ok(new),
        _ => Err(unusable("it cannot be changed without changing more; change it by hand")),
    }
}

fn take_out(
    place: &CstObject,
    map: &mut Map<String, Value>,
    members: &Map<String, Value>,
    remove: &[String],
) {
    for property in place.properties() {
        let name = property.decoded_name().unwrap_or_default();
        if remove.contains(&name) && !members.contains_key(&name) {
            property.remove();
            map.shift_remove(&name);
        }
    }
}

fn set(place: &CstObject, map: &mut Map<String, Value>, name: &str, value: &Value) {
    if map.get(name) == Some(value) {
        return;
    }
    map.insert(name.to_owned(), value.clone());
    match place.get(name) {
        Some(property) => property.set_value(input(value)),
        None => {
            place.append(name, input(value));
        }
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(members) => {
            CstInputValue::Object(members.iter().map(|(key, value)| (key.clone(), input(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(text: &str, members: Value, remove: &[&str]) -> Result<String, Fault> {
        let Value::Object(members) = members else { panic!("a map") };
        let remove: Vec<String> = remove.iter().map(|name| (*name).to_owned()).collect();
        edit(text, "f", &[Change::Members { path: &["servers"], members, remove: &remove }])
    }

    #[test]
    fn comments_order_and_line_ends_stay() {
        let old = "\u{feff}{\r\n  // ours\r\n  \"servers\": {\r\n    \"a\": {\"url\": \"x\"}, // the \
         first\r\n\
                     },\r\n  \"z\": 1.50,\r\n}\r\n";
        let new = change(old, json!({"b": {"url": "y"}}), &[]).expect("changed");
        assert!(new.starts_with("\u{feff}{\r\n  // ours\r\n"), "{new}");
        assert!(new.contains("// the first") && new.contains("\"z\": 1.50,\r\n}\r\n"), "{new}");
        assert!(!new.replace("\r\n", "").contains('\n'), "{new:?}");
        assert_eq!(change(old, json!({"a": {"url": "x"}}), &[]).as_deref(), Ok(old), "nothing to do");
    }

    #[test]
    fn the_others_go_where_only_some_are_meant() {
        let old = "{\"servers\": {\"a\": {}, /* b */ \"b\": {}}, \"c\": 1}";
        let new = change(old, json!({"d": {}}), &["a", "b"]).expect("changed");
        let read: Value = serde_json::from_str(&new.replace("/* b */", "")).expect("JSON");
        assert_eq!(read, json!({"servers": {"d": {}}, "c": 1}));
        assert!(change("{\"servers\": 1}", json!({"d": {}}), &["a", "b"]).is_err());
        assert!(change("[]", json!({"d": {}}), &["a", "b"]).is_err());
        assert!(change("", json!({"d": {}}), &["a", "b"]).expect("made").contains("\"d\""));
    }
}
