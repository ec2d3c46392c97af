//! Schemas of a document as schemas of a tool: JSON Schema 2020-12 that needs nothing else.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::keywords::{Holds, TYPES, holds};
use crate::limits::{INLINE_DEPTH_MAX, SCHEMA_DEPTH_MAX, SCHEMA_NODES_MAX};
use crate::names::clean;
use crate::refs::Doc;
use crate::{Reason, Version};

/// Which way what the schema describes goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the server: what only it writes is not asked for.
    In,
    /// From the server: what only we write does not come.
    Out,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::In => "input",
            Self::Out => "output",
        }
    }

    fn hides(self) -> &'static str {
        match self {
            Self::In => "readOnly",
            Self::Out => "writeOnly",
        }
    }
}

/// How much of a schema is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Full,
    /// Without examples, and with descriptions of what is near the top alone.
    Short,
}

/// How deep descriptions are kept in a short schema.
const SHORT_DEPTH: usize = 3;

/// How many schemas may still be looked at for all tools of a document.
#[derive(Debug)]
pub(crate) struct Work(pub(crate) Cell<usize>);

impl Work {
    fn one_more(&self) -> Result<(), Reason> {
        let left = self.0.get().checked_sub(1).ok_or(Reason::Work)?;
        self.0.set(left);
        Ok(())
    }
}

/// Translates one schema of a tool with all that it refers to.
pub(crate) struct Translator<'d> {
    doc: &'d Doc,
    work: &'d Work,
    way: Way,
    detail: Detail,
    /// How often each target is referred to; filled by a first pass.
    uses: HashMap<&'d str, usize>,
    counting: bool,
    names: HashMap<&'d str, String>,
    taken: HashSet<String>,
    waiting: Vec<&'d str>,
    nodes: usize,
}

impl<'d> Translator<'d> {
    /// Makes a schema of `build`, which is called twice: what is used in one place is put there, what is
    /// used in several or contains itself stands in `$defs`.
    pub(crate) fn run(
        doc: &'d Doc,
        work: &'d Work,
        (way, detail): (Way, Detail),
        build: impl Fn(&mut Self) -> Result<Value, Reason>,
    ) -> Result<Value, Reason> {
        let mut first = Self::new(doc, work, (way, detail), HashMap::new(), true);
        build(&mut first)?;
        first.definitions()?;
        let mut second = Self::new(doc, work, (way, detail), first.uses, false);
        let mut schema = build(&mut second)?;
        let definitions = second.definitions()?;
        if let (false, Value::Object(object)) = (definitions.is_empty(), &mut schema) {
            object.insert("$defs".to_owned(), Value::Object(definitions));
        }
        Ok(schema)
    }

    fn new(
        doc: &'d Doc,
        work: &'d Work,
        (way, detail): (Way, Detail),
        uses: HashMap<&'d str, usize>,
        counting: bool,
    ) -> Self {
        Self {
            doc,
            work,
            way,
            detail,
            uses,
            counting,
            names: HashMap::new(),
            taken: HashSet::new(),
            waiting: Vec::new(),
            nodes: 0,
        }
    }

    fn definitions(&mut self) -> Result<Map<String, Value>, Reason> {
        let mut out = Map::new();
        let mut at = 0;
        while let Some(reference) = self.waiting.get(at).copied() {
            at += 1;
            self.refuse_circle(reference)?;
            let schema = self.schema(self.doc.target(reference)?, 2)?;
            if let Some(name) = self.names.get(reference) {
                out.insert(name.clone(), schema);
            }
        }
        Ok(out)
    }

    /// A schema that is itself before anything of the value is looked at keeps validators busy for ever.
    fn refuse_circle(&self, reference: &'d str) -> Result<(), Reason> {
        let mut seen = HashSet::new();
        let mut waiting = vec![self.doc.target(reference)?];
        while let Some(Value::Object(object)) = waiting.pop() {
            self.work.one_more()?;
            if let Some(Value::String(next)) = object.get("$ref") {
                if next == reference {
                    return Err(Reason::Circle(crate::refs::short(reference)));
                }
                if seen.insert(next.as_str()) {
                    waiting.push(self.doc.target(next)?);
                }
            }
            for keyword in ["allOf", "anyOf", "oneOf"] {
                waiting.extend(object.get(keyword).and_then(Value::as_array).into_iter().flatten());
            }
            waiting.extend(["not", "if", "then", "else"].iter().filter_map(|keyword| object.get(*keyword)));
        }
        Ok(())
    }

    /// Translates a schema that stands `depth` levels deep.
    pub(crate) fn schema(&mut self, value: &'d Value, depth: usize) -> Result<Value, Reason> {
        self.work.one_more()?;
        self.nodes += 1;
        if self.nodes > SCHEMA_NODES_MAX {
            let what = self.way.word();
            return Err(Reason::TooLarge { what, max: SCHEMA_NODES_MAX, unit: "parts" });
        }
        if depth > SCHEMA_DEPTH_MAX {
            let what = self.way.word();
            return Err(Reason::TooLarge { what, max: SCHEMA_DEPTH_MAX, unit: "levels" });
        }
        let object = match value {
            Value::Object(object) => object,
            Value::Bool(flag) => return Ok(Value::Bool(*flag)),
            _ => return Ok(Value::Object(Map::new())),
        };
        self.refuse(object)?;
        match object.get("$ref") {
            Some(Value::String(reference)) => self.reference(reference, object, depth),
            _ => self.object(object, depth).map(Value::Object),
        }
    }

    /// What changes the meaning of references around it.
    fn refuse(&self, object: &Map<String, Value>) -> Result<(), Reason> {
        if self.doc.version == Version::V30 {
            return Ok(());
        }
        for keyword in ["$id", "$dynamicRef"] {
            if object.get(keyword).is_some_and(Value::is_string) {
                return Err(Reason::Keyword(keyword.to_owned()));
            }
        }
        match object.get("$schema").and_then(Value::as_str) {
            Some(dialect) if !known_dialect(dialect) => Err(Reason::Dialect(crate::refs::short(dialect))),
            _ => Ok(()),
        }
    }

    fn reference(
        &mut self,
        reference: &'d str,
        object: &'d Map<String, Value>,
        depth: usize,
    ) -> Result<Value, Reason> {
        let target = self.doc.target(reference)?;
        if target.is_object() {
            self.doc.resolve(target)?;
        }
        let beside = self.beside(object, depth)?;
        if self.counting {
            *self.uses.entry(reference).or_default() += 1;
        }
        let once = !self.counting && self.uses.get(reference) == Some(&1);
        if once && depth < INLINE_DEPTH_MAX {
            return Ok(joined(self.schema(target, depth)?, beside));
        }
        let name = self.name(reference);
        let mut out = Map::from_iter([("$ref".to_owned(), Value::String(format!("#/$defs/{name}")))]);
        out.extend(beside);
        Ok(Value::Object(out))
    }

    /// What stands beside a reference. In 3.0 it is to be ignored; a description does no harm.
    fn beside(&mut self, object: &'d Map<String, Value>, depth: usize) -> Result<Map<String, Value>, Reason> {
        if object.len() == 1 {
            return Ok(Map::new());
        }
        if self.doc.version == Version::V31 {
            return self.object(object, depth);
        }
        let description = object.get("description").filter(|text| text.is_string() && self.keeps(depth));
        Ok(description.map(|text| ("description".to_owned(), text.clone())).into_iter().collect())
    }

    fn name(&mut self, reference: &'d str) -> String {
        if let Some(name) = self.names.get(reference) {
            return name.clone();
        }
        let last = reference.rsplit('/').next().unwrap_or_default();
        let base = match clean(last) {
            base if base.is_empty() => "schema".to_owned(),
            base => base,
        };
        let mut name = base.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{base}_{number}");
            number += 1;
        }
        self.names.insert(reference, name.clone());
        self.waiting.push(reference);
        name
    }

    fn keeps(&self, depth: usize) -> bool {
        self.detail == Detail::Full || depth <= SHORT_DEPTH
    }

    fn object(&mut self, object: &'d Map<String, Value>, depth: usize) -> Result<Map<String, Value>, Reason> {
        let mut out = Map::new();
        for (keyword, value) in object {
            match keyword.as_str() {
                "type" => {
                    if let Some(types) = types(value) {
                        out.insert("type".to_owned(), types);
                    }
                }
                "example" if self.detail == Detail::Full => {
                    out.entry("examples").or_insert_with(|| json!([value]));
                }
                "examples" if self.detail == Detail::Short => {}
                "description" | "title" if !self.keeps(depth) => {}
                "items" if value.is_array() => {
                    // As older drafts wrote tuples.
                    if let Some(items) = self.list(value, depth)? {
                        out.insert("prefixItems".to_owned(), items);
                    }
                }
                _ => {
                    if let Some(value) = self.keyword(keyword, value, depth)? {
                        out.insert(keyword.clone(), value);
                    }
                }
            }
        }
        if self.way == Way::In && object.get("format").and_then(Value::as_str) == Some("binary") {
            // Arguments are JSON, which has no bytes.
            out.insert("contentEncoding".to_owned(), json!("base64"));
            out.remove("format");
        }
        self.hide(object, &mut out);
        if self.doc.version == Version::V30 {
            exclusive(object, &mut out);
            return Ok(nullable(object, out));
        }
        Ok(out)
    }

    fn keyword(&mut self, keyword: &str, value: &'d Value, depth: usize) -> Result<Option<Value>, Reason> {
        let Some(kind) = holds(keyword).filter(|kind| kind.fits(value)) else { return Ok(None) };
        match kind {
            Holds::Schema => self.schema(value, depth + 1).map(Some),
            Holds::Schemas => self.list(value, depth),
            Holds::SchemaMap => {
                let mut out = Map::new();
                for (name, schema) in value.as_object().into_iter().flatten() {
                    if keyword == "properties" && self.hidden(schema) {
                        continue;
                    }
                    out.insert(name.clone(), self.schema(schema, depth + 2)?);
                }
                Ok(Some(Value::Object(out)))
            }
            Holds::TextList => Ok(Some(without_twins(value))),
            _ if keyword == "enum" => Ok(Some(without_twins(value))),
            _ => Ok(Some(value.clone())),
        }
    }

    fn list(&mut self, value: &'d Value, depth: usize) -> Result<Option<Value>, Reason> {
        let items = value.as_array().into_iter().flatten();
        let items: Result<Vec<_>, _> = items.map(|item| self.schema(item, depth + 2)).collect();
        Ok(Some(Value::Array(items?)).filter(|items| items.as_array().is_some_and(|i| !i.is_empty())))
    }

    /// Whether a property goes the other way only.
    fn hidden(&self, schema: &Value) -> bool {
        let flagged = |object: &Map<String, Value>| object.get(self.way.hides()) == Some(&Value::Bool(true));
        match schema {
            Value::Object(object) if flagged(object) => true,
            Value::Object(object) if object.contains_key("$ref") => {
                self.doc.resolve(schema).is_ok_and(flagged)
            }
            _ => false,
        }
    }

    /// Nobody can be asked for what was left out.
    fn hide(&self, object: &Map<String, Value>, out: &mut Map<String, Value>) {
        let Some(properties) = object.get("properties").and_then(Value::as_object) else { return };
        let Some(Value::Array(required)) = out.get_mut("required") else { return };
        required.retain(|name| {
            let property = name.as_str().and_then(|name| properties.get(name));
            property.is_none_or(|property| !self.hidden(property))
        });
        if required.is_empty() {
            out.remove("required");
        }
    }
}

/// A list in which each value stands once, as some validators demand.
fn without_twins(value: &Value) -> Value {
    let mut seen = HashSet::new();
    let items = value.as_array().into_iter().flatten();
    items.filter(|item| seen.insert(item.to_string())).cloned().collect()
}

/// The dialects that mean what is read here.
pub(crate) fn known_dialect(dialect: &str) -> bool {
    let dialect = dialect.trim_end_matches('#');
    dialect == "https://json-schema.org/draft/2020-12/schema"
        || dialect.starts_with("https://spec.openapis.org/oas/3.1/dialect/")
}

/// A schema with what stood beside the reference to it.
fn joined(schema: Value, beside: Map<String, Value>) -> Value {
    if beside.is_empty() {
        return schema;
    }
    let note = |name: &String| {
        ["default", "deprecated", "description", "examples", "title"].contains(&name.as_str())
    };
    match schema {
        Value::Object(mut object) if beside.keys().all(note) => {
            object.extend(beside);
            Value::Object(object)
        }
        other => with_all_of(other, beside),
    }
}

fn with_all_of(schema: Value, mut beside: Map<String, Value>) -> Value {
    match beside.get_mut("allOf") {
        Some(Value::Array(items)) => items.push(schema),
        _ => {
            beside.insert("allOf".to_owned(), Value::Array(vec![schema]));
        }
    }
    Value::Object(beside)
}

/// Types that exist; `None` where there is none.
fn types(value: &Value) -> Option<Value> {
    let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    match value {
        Value::Array(items) => {
            let mut kept: Vec<Value> = Vec::new();
            for item in items.iter().filter(|item| known(item)) {
                if !kept.contains(item) {
                    kept.push(item.clone());
                }
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        value => known(value).then(|| value.clone()),
    }
}

/// In 3.0 a flag says that the other keyword's number is no longer part of the range.
fn exclusive(object: &Map<String, Value>, out: &mut Map<String, Value>) {
    for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if object.get(flag) == Some(&Value::Bool(true))
            && let Some(number) = out.remove(bound)
        {
            out.insert(flag.to_owned(), number);
        }
    }
}

/// In 3.0 a flag says that null will do as well. Many write it beside `allOf` or `enum`, where by the letter
/// it means nothing, and mean it.
fn nullable(object: &Map<String, Value>, mut out: Map<String, Value>) -> Map<String, Value> {
    if object.get("nullable") != Some(&Value::Bool(true)) {
        return out;
    }
    if let Some(Value::Array(values)) = out.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    let composed =
        ["allOf", "anyOf", "oneOf", "not", "$ref"].iter().any(|keyword| out.contains_key(*keyword));
    match out.get("type").cloned() {
        Some(Value::String(name)) if !composed => {
            out.insert("type".to_owned(), json!([name, "null"]));
            out
        }
        None if !composed => out,
        _ => Map::from_iter([("anyOf".to_owned(), json!([out, { "type": "null" }]))]),
    }
}
