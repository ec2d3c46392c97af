//! JSON with comments and last commas.

use jsonc_parser::ast;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{Kind, Member, Node, Source};
use crate::format::{DEPTH_MAX, Fault};

/// What is read over: comments and last commas, as editors write them.
pub(super) fn options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: false,
        allow_trailing_commas: true,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Reads a text. One without a value is an empty map, as editors make such files.
///
/// # Errors
/// Where it is no JSON, a key is there twice, or it is nested too deep.
pub(crate) fn parse(source: &Source<'_>) -> Result<Node, Fault> {
    read(source, None)
}

/// As [`parse`]; what is wrong inside one member of the map at `place` makes that member alone
/// [`Kind::Unusable`].
///
/// # Errors
/// As [`parse`] for all else.
pub(crate) fn parse_apart(source: &Source<'_>, place: &[&str]) -> Result<Node, Fault> {
    read(source, Some(place))
}

fn read(source: &Source<'_>, apart: Option<&[&str]>) -> Result<Node, Fault> {
    if let Some(at) = too_deep(source.text) {
        return Err(source.fault(at, "", format!("it is nested more than {DEPTH_MAX} deep")));
    }
    let parsed = parse_to_ast(source.text, &CollectOptions::default(), &options());
    let parsed = parsed.map_err(|error| {
        let words = error.kind().to_string();
        source.fault(error.range().start, "", format!("this is no JSON: {}", words.to_lowercase()))
    })?;
    match parsed.value {
        None => Ok(Node { at: 0, kind: Kind::Map(Vec::new()) }),
        Some(value) => node(source, &value, "", apart),
    }
}

/// Where a bracket opens that is one too many. What is in strings and comments does not count.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'"', _) => {
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes.get(at) == Some(&b'\\') { 2 } else { 1 };
                }
            }
            (b'/', Some(b'/')) => {
                while bytes.get(at).is_some_and(|byte| *byte != b'\n') {
                    at += 1;
                }
            }
            (b'/', Some(b'*')) => {
                at += 2;
                while at < bytes.len() && !bytes.get(at..).is_some_and(|rest| rest.starts_with(b"*/")) {
                    at += 1;
                }
                at += 1;
            }
            (b'{' | b'[', _) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Some(at);
                }
            }
            (b'}' | b']', _) => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

fn node(
    source: &Source<'_>,
    value: &ast::Value<'_>,
    path: &str,
    apart: Option<&[&str]>,
) -> Result<Node, Fault> {
    let at = value.range().start;
    let kind = match value {
        ast::Value::NullKeyword(_) => Kind::Null,
        ast::Value::BooleanLit(flag) => Kind::Bool(flag.value),
        ast::Value::NumberLit(number) => match serde_json::from_str(number.value) {
            Ok(number) => Kind::Number(number),
            Err(_) => return Err(source.fault(at, path, "this is no number of JSON")),
        },
        ast::Value::StringLit(text) => Kind::Text(text.value.clone().into_owned()),
        ast::Value::Array(array) => {
            let items = array.elements.iter().enumerate();
            let items = items.map(|(index, item)| node(source, item, &format!("{path}[{index}]"), None));
            Kind::List(items.collect::<Result<_, _>>()?)
        }
        ast::Value::Object(object) => Kind::Map(members(source, object, path, apart)?),
    };
    Ok(Node { at, kind })
}

fn members(
    source: &Source<'_>,
    object: &ast::Object<'_>,
    path: &str,
    apart: Option<&[&str]>,
) -> Result<Vec<Member>, Fault> {
    let mut members = Vec::with_capacity(object.properties.len());
    let mut seen = std::collections::HashSet::new();
    for property in &object.properties {
        let (key, at) = (property.name.as_str().to_owned(), property.range.start);
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if !seen.insert(key.clone()) {
            let hint = "programs do not agree on which of them holds: take one out";
            return Err(source.hinted(at, &path, "this key is there twice", hint));
        }
        let below = apart.and_then(<[&str]>::split_first).filter(|(first, _)| **first == key);
        let value = node(source, &property.value, &path, below.map(|(_, rest)| rest));
        let value = match value {
            Err(fault) if apart.is_some_and(<[&str]>::is_empty) => {
                Node { at: property.value.range().start, kind: Kind::Unusable(Box::new(fault)) }
            }
            value => value?,
        };
        members.push(Member { value, key, at });
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<serde_json::Value, String> {
        let source = Source::new(text, "f").map_err(|fault| fault.to_string())?;
        parse(&source).map(|node| node.to_value()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn comments_and_last_commas_are_read_over_and_nothing_else() {
        assert_eq!(
            read("\u{feff}{/* a */ \"a\": [1, 2.50,], // b\r\n}"),
            Ok(serde_json::json!({"a": [1, 2.5]}))
        );
        assert_eq!(read("// only a comment"), Ok(serde_json::json!({})));
        for bad in ["{'a': 1}", "{a: 1}", "{\"a\": 0x1}", "{\"a\" 1}", "{\"a\": 1} {}", "{\"a\": 1 \"b\": 2}"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_named_with_its_line() {
        let fault = read("{\"a\": {\"b\": 1,\n  \"b\": 2}}").expect_err("twice");
        assert!(fault.starts_with("f:2:3: a.b: this key is there twice"), "{fault}");
    }

    #[test]
    fn what_is_wrong_inside_one_member_keeps_the_others() {
        let source = Source::new("{\"s\": {\"a\": {\"x\": 1, \"x\": 2}, \"b\": {}}}", "f").expect("a text");
        let root = parse_apart(&source, &["s"]).expect("read");
        let servers = root.get("s").expect("there");
        assert!(matches!(&servers.get("a").expect("a").kind, Kind::Unusable(fault) if fault.path == "s.a.x"));
        assert!(matches!(servers.get("b").expect("b").kind, Kind::Map(_)));
        let source = Source::new("{\"s\": {\"a\": {}, \"a\": {}}}", "f").expect("a text");
        assert!(parse_apart(&source, &["s"]).is_err(), "which server is meant is not known");
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_before_it_is_read() {
        let deep = "[".repeat(100_000);
        assert!(read(&deep).expect_err("deep").contains("nested"));
        let string = format!("[\"{}\"]", "[".repeat(1000));
        assert!(read(&string).is_ok());
    }
}
