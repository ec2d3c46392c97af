//! TOML.

use toml_edit::{Array, Document, InlineTable, Item, TableLike, Value as TomlValue};

use super::{Kind, Member, Node, Source};
use crate::format::{DEPTH_MAX, Fault};

/// What is wrong with a text that is no TOML.
pub(crate) fn unreadable(source: &Source<'_>, error: &toml_edit::TomlError) -> Fault {
    let at = error.span().map_or(0, |span| span.start);
    let words = error.message().lines().next().unwrap_or_default().to_owned();
    // What stands in the text is not repeated.
    let words = if words.contains('`') || words.contains('"') { "unexpected text".to_owned() } else { words };
    source.fault(at, "", format!("this is no TOML: {words}"))
}

/// Reads a text.
///
/// # Errors
/// Where it is no TOML.
pub(crate) fn parse(source: &Source<'_>) -> Result<Node, Fault> {
    let document = Document::parse(source.text).map_err(|error| unreadable(source, &error))?;
    let kind = table(source, document.as_table(), 0)?;
    Ok(Node { at: 0, kind })
}

fn table(source: &Source<'_>, table: &dyn TableLike, depth: usize) -> Result<Kind, Fault> {
    let mut members = Vec::new();
    for (name, value) in table.iter() {
        let at = table.key(name).and_then(toml_edit::Key::span).map_or(0, |span| span.start);
        members.push(Member { key: name.to_owned(), at, value: item(source, value, depth + 1)? });
    }
    Ok(Kind::Map(members))
}

fn item(source: &Source<'_>, value: &Item, depth: usize) -> Result<Node, Fault> {
    let at = value.span().map_or(0, |span| span.start);
    if depth > DEPTH_MAX {
        return Err(source.fault(at, "", format!("it is nested more than {DEPTH_MAX} deep")));
    }
    let kind = match value {
        Item::None => Kind::Null,
        Item::Table(inner) => table(source, inner, depth)?,
        Item::ArrayOfTables(tables) => {
            let nodes = tables.iter().map(|inner| {
                let at = inner.span().map_or(at, |span| span.start);
                Ok(Node { at, kind: table(source, inner, depth + 1)? })
            });
            Kind::List(nodes.collect::<Result<_, Fault>>()?)
        }
        Item::Value(value) => scalar(source, value, depth)?,
    };
    Ok(Node { at, kind })
}

fn scalar(source: &Source<'_>, value: &TomlValue, depth: usize) -> Result<Kind, Fault> {
    let at = value.span().map_or(0, |span| span.start);
    Ok(match value {
        TomlValue::String(text) => Kind::Text(text.value().clone()),
        TomlValue::Integer(number) => Kind::Number((*number.value()).into()),
        TomlValue::Float(number) => match serde_json::Number::from_f64(*number.value()) {
            Some(number) => Kind::Number(number),
            None => return Err(source.fault(at, "", "expected a finite number")),
        },
        TomlValue::Boolean(flag) => Kind::Bool(*flag.value()),
        TomlValue::Datetime(time) => Kind::Text(time.value().to_string()),
        TomlValue::InlineTable(inner) => table(source, inner, depth)?,
        TomlValue::Array(items) => {
            let nodes = items.iter().map(|value| item(source, &Item::Value(value.clone()), depth + 1));
            Kind::List(nodes.collect::<Result<_, _>>()?)
        }
    })
}

/// A value as TOML. Null has none.
pub(crate) fn to_item(value: &serde_json::Value) -> Option<TomlValue> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(flag) => TomlValue::from(*flag),
        serde_json::Value::String(text) => TomlValue::from(text.as_str()),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => TomlValue::from(whole),
            None => TomlValue::from(number.as_f64()?),
        },
        serde_json::Value::Array(items) => {
            TomlValue::Array(items.iter().filter_map(to_item).collect::<Array>())
        }
        serde_json::Value::Object(members) => {
            let pairs = members.iter().filter_map(|(key, value)| Some((key.as_str(), to_item(value)?)));
            TomlValue::InlineTable(pairs.collect::<InlineTable>())
        }
    })
}
