//! An operation as a tool.

use std::collections::BTreeMap;

use http::Method;
use protocol::Raw;
use serde_json::{Map, Value, json};

use crate::document::Options;
use crate::names::arguments;
use crate::operation::{Body, Form, Operation, Parameter, Piece, Place, Style, is_idempotency_key};
use crate::paging::{Paging, recognise};
use crate::parameters::{BodyOf, Declared, body, essence, is_json, parameters};
use crate::plan::encode_fixed;
use crate::refs::Doc;
use crate::schema::{Detail, Translator, Way, Work};
use crate::security::{self, Requirement, Scheme};
use crate::{Limits, Reason, text};

/// The key of `_meta` under which a definition and a result say where they come from.
pub const META: &str = "io.tidegate/openapi";

/// A tool that stands for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name: unique in the document, and the same whatever the document's order.
    pub name: String,
    /// Its entry in a list.
    pub definition: Raw,
    /// How arguments become a request.
    pub operation: Operation,
    /// What it demands of who calls: any one of these.
    pub requirements: Vec<Requirement>,
    /// Whether the document advises against it.
    pub deprecated: bool,
    /// What of the operation was left away.
    pub notes: Vec<String>,
    /// The SHA-256 of all that makes a difference, in hexadecimal digits.
    pub hash: String,
}

/// One operation where it stands in a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'d> {
    pub(crate) method: &'d str,
    pub(crate) path: &'d str,
    pub(crate) item: &'d Map<String, Value>,
    pub(crate) operation: &'d Map<String, Value>,
}

/// Makes a tool of an operation.
pub(crate) fn tool(
    doc: &Doc,
    work: &Work,
    found: Found<'_>,
    name: String,
    schemes: &BTreeMap<String, Scheme>,
    options: &Options<'_>,
) -> Result<Tool, Reason> {
    let limits = &options.limits;
    let mut notes = Vec::new();
    let mut declared = parameters(doc, found.item, found.operation, schemes, limits, &mut notes)?;
    let method = method(found.method)?;
    let (pieces, fixed_query) = pieces(found.path, &mut declared, &mut notes)?;
    let body = body(doc, found.operation)?;
    let names = arguments_of(&declared, body.is_some());
    let input = within(limits, "input", |detail| {
        Translator::run(doc, work, (Way::In, detail), |t| input(t, &declared, &names, body.as_ref()))
    })?;
    let answers = Answers::read(doc, found.operation)?;
    let output = match answers.object.filter(|_| options.outputs) {
        Some(schema) => output(doc, work, schema, limits, &mut notes)?,
        None => None,
    };
    let operation = Operation {
        method,
        path: found.path.to_owned(),
        pieces,
        fixed_query,
        parameters: declared.iter().zip(&names).map(|(d, name)| parameter(d, name)).collect(),
        body: body.map(|(body, ..)| Body { argument: names.last().cloned().unwrap_or_default(), ..body }),
        accept: answers.accept,
        gives_object: output.is_some(),
    };
    let requirements = security::requirements(&doc.root, found.operation);
    let about = About { found, requirements: &requirements, schemes, members: &answers.members };
    let definition = Raw::from_value(&definition(&name, &operation, &about, input, output, limits));
    let deprecated = about.deprecated();
    let hash = hash(&definition, &operation, &requirements);
    Ok(Tool { name, definition, operation, requirements, deprecated, notes, hash })
}

fn hash(definition: &Raw, operation: &Operation, requirements: &[Requirement]) -> String {
    let mut digest = seal::Sha256::new();
    digest.update(definition.as_bytes());
    // What is derived of these types says all their fields.
    digest.update(format!("\n{operation:?}\n{requirements:?}").as_bytes());
    seal::hex(&digest.finish())
}

fn method(word: &str) -> Result<Method, Reason> {
    match word {
        "get" => Ok(Method::GET),
        "head" => Ok(Method::HEAD),
        "options" => Ok(Method::OPTIONS),
        "put" => Ok(Method::PUT),
        "post" => Ok(Method::POST),
        "patch" => Ok(Method::PATCH),
        "delete" => Ok(Method::DELETE),
        other => Err(Reason::form(format!("its method {other} is not called"))),
    }
}

/// What a method says of an operation. Of POST nothing is claimed but that it changes something: whoever
/// reads no hint assumes the worst.
fn annotations(method: &Method) -> Value {
    let mut out = json!({ "openWorldHint": true });
    let (reads, destroys, repeats) = match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => (true, Some(false), true),
        Method::PUT | Method::DELETE => (false, Some(true), true),
        Method::PATCH => (false, Some(true), false),
        _ => (false, None, false),
    };
    out["readOnlyHint"] = reads.into();
    if let Some(destroys) = destroys {
        out["destructiveHint"] = destroys.into();
    }
    out["idempotentHint"] = repeats.into();
    out
}

fn parameter(declared: &Declared<'_>, argument: &str) -> Parameter {
    Parameter {
        argument: argument.to_owned(),
        name: declared.name.clone(),
        place: declared.place,
        style: declared.style,
        explode: declared.explode,
        required: declared.required,
        reserved: declared.reserved,
        json: declared.json,
    }
}

fn arguments_of(declared: &[Declared<'_>], body: bool) -> Vec<String> {
    let mut all: Vec<(Place, String)> = declared.iter().map(|d| (d.place, d.name.clone())).collect();
    all.extend(body.then(|| (Place::Body, "body".to_owned())));
    arguments(&all)
}

/// Takes a path apart. A value that nothing declares is text, as those who write by hand often have it.
fn pieces(
    path: &str,
    declared: &mut Vec<Declared<'_>>,
    notes: &mut Vec<String>,
) -> Result<(Vec<Piece>, Option<String>), Reason> {
    // No server ever sees a fragment. Some documents tell operations of one path apart by it.
    let path = path.split('#').next().unwrap_or_default();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Reason::form("its path leads out of itself"));
    }
    let mut names: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    let mut rest = path;
    while let Some((fixed, after)) = rest.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| Reason::form("its path has an open brace"))?;
        out.push(Piece::Fixed(encode_fixed(fixed)));
        out.push(Piece::Value(names.len()));
        names.push(name);
        rest = after;
    }
    out.push(Piece::Fixed(encode_fixed(rest)));
    declared.retain(|d| {
        let keeps = d.place != Place::Path || names.contains(&d.name.as_str());
        if !keeps {
            notes.push(format!("the path has no place for the parameter {:?}", d.name));
        }
        keeps
    });
    for name in &names {
        if !declared.iter().any(|d| d.place == Place::Path && d.name == *name) {
            declared.insert(0, implied(name));
        }
    }
    declared.sort_by_key(|d| d.place);
    for piece in &mut out {
        if let Piece::Value(at) = piece {
            let found = declared.iter().position(|d| d.place == Place::Path && d.name == names[*at]);
            *at = found.ok_or_else(|| Reason::form("its path has a value without a name"))?;
        }
    }
    Ok((out, query.map(encode_fixed)))
}

fn implied(name: &str) -> Declared<'static> {
    Declared {
        name: name.to_owned(),
        place: Place::Path,
        required: true,
        style: Style::Simple,
        explode: false,
        reserved: false,
        json: false,
        schema: None,
        description: None,
        deprecated: false,
    }
}

/// A schema in full, or short where it would be too large.
fn within(
    limits: &Limits,
    what: &'static str,
    make: impl Fn(Detail) -> Result<Value, Reason>,
) -> Result<Value, Reason> {
    for detail in [Detail::Full, Detail::Short] {
        let schema = make(detail)?;
        if schema.to_string().len() <= limits.schema_bytes_max {
            return Ok(schema);
        }
    }
    Err(Reason::TooLarge { what, max: limits.schema_bytes_max, unit: "bytes" })
}

fn input<'d>(
    translator: &mut Translator<'d>,
    declared: &[Declared<'d>],
    names: &[String],
    body: Option<&BodyOf<'d>>,
) -> Result<Value, Reason> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (parameter, name) in declared.iter().zip(names) {
        let mut schema = match parameter.schema {
            Some(schema) => translator.schema(schema, 2)?,
            None => json!({ "type": "string" }),
        };
        if let (Value::Object(schema), Some(description)) = (&mut schema, parameter.description) {
            schema.insert("description".to_owned(), text::cut(&text::plain(description), 512).into());
        }
        if let (Value::Object(schema), true) = (&mut schema, parameter.deprecated) {
            schema.insert("deprecated".to_owned(), Value::Bool(true));
        }
        properties.insert(name.clone(), schema);
        // Whoever sends the request has one where the caller does not care.
        if parameter.required && !is_idempotency_key(parameter.place, &parameter.name) {
            required.push(Value::String(name.clone()));
        }
    }
    if let (Some((body, schema, description)), Some(name)) = (body, names.last()) {
        let mut schema = match (body.form, schema) {
            (Form::Bytes, _) => json!({ "type": "string", "contentEncoding": "base64" }),
            (Form::Text, _) => json!({ "type": "string" }),
            (_, Some(schema)) => translator.schema(schema, 2)?,
            (Form::Json, None) => json!({}),
            (Form::UrlEncoded | Form::Multipart, None) => json!({ "type": "object" }),
        };
        let sent = (body.form != Form::Json).then(|| format!("Sent as {}.", essence(&body.media_type)));
        let said = description.map(|description| text::cut(&text::plain(description), 512));
        let words: Vec<String> = said.into_iter().chain(sent).filter(|words| !words.is_empty()).collect();
        if let (Value::Object(schema), false) = (&mut schema, words.is_empty()) {
            schema.insert("description".to_owned(), words.join(" ").into());
        }
        properties.insert(name.clone(), schema);
        if body.required {
            required.push(Value::String(name.clone()));
        }
    }
    let mut out = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(properties)),
    ]);
    if !required.is_empty() {
        out.insert("required".to_owned(), Value::Array(required));
    }
    out.insert("additionalProperties".to_owned(), Value::Bool(false));
    Ok(Value::Object(out))
}

/// What an operation answers with when all is well.
struct Answers<'d> {
    accept: String,
    /// The schema, where the only such answer is an object in JSON.
    object: Option<&'d Value>,
    /// The members of that object, and those of objects in it.
    members: Vec<String>,
}

impl<'d> Answers<'d> {
    fn read(doc: &'d Doc, operation: &'d Map<String, Value>) -> Result<Self, Reason> {
        let responses = operation.get("responses").and_then(Value::as_object);
        let good = |status: &str| status.starts_with('2') && status.len() == 3;
        let successes: Vec<&Value> = responses
            .into_iter()
            .flatten()
            .filter(|(status, _)| good(status))
            .map(|(_, value)| value)
            .collect();
        let mut types: Vec<&str> = Vec::new();
        let mut object = None;
        let mut members = Vec::new();
        for response in &successes {
            let content = doc.resolve(response)?.get("content").and_then(Value::as_object);
            for (media_type, media) in content.into_iter().flatten().take(16) {
                types.push(media_type);
                let Some(schema) = media.get("schema").filter(|_| is_json(media_type)) else { continue };
                if is_object(doc, schema, 0, &mut members) {
                    object = Some(schema);
                }
            }
        }
        let all_json = types.iter().all(|media_type| is_json(media_type));
        let object = object.filter(|_| successes.len() == 1 && all_json);
        Ok(Self { accept: accept(&types), object, members })
    }
}

fn accept(types: &[&str]) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut add = |text: String| {
        if !out.contains(&text) && out.len() < 8 && text.parse::<http::HeaderValue>().is_ok() {
            out.push(text);
        }
    };
    types.iter().filter(|t| is_json(t)).for_each(|t| add(essence(t)));
    if types.is_empty() {
        add("application/json".to_owned());
    }
    add("application/problem+json".to_owned());
    types.iter().filter(|t| !is_json(t)).for_each(|t| add(format!("{};q=0.8", essence(t))));
    add("*/*;q=0.1".to_owned());
    out.join(", ")
}

/// Whether a schema describes an object; adds what its members are called.
fn is_object(doc: &Doc, schema: &Value, depth: usize, members: &mut Vec<String>) -> bool {
    let Ok(object) = doc.resolve(schema) else { return false };
    if depth > 4 || object.get("nullable") == Some(&Value::Bool(true)) {
        return false;
    }
    let properties = object.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten().take(64) {
        members.push(name.clone());
        if depth < 1 {
            let inner =
                doc.resolve(property).ok().and_then(|p| p.get("properties")).and_then(Value::as_object);
            members.extend(inner.into_iter().flatten().take(32).map(|(inner, _)| format!("{name}.{inner}")));
        }
    }
    match object.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(_) => false,
        None => {
            let parts =
                |name: &str| object.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
            let mut all = |list: &Vec<Value>, any: bool| {
                let kinds: Vec<bool> = list.iter().map(|s| is_object(doc, s, depth + 1, members)).collect();
                if any { kinds.contains(&true) } else { !kinds.contains(&false) }
            };
            properties.is_some()
                || parts("allOf").is_some_and(|list| all(list, true))
                || ["oneOf", "anyOf"].iter().any(|name| parts(name).is_some_and(|list| all(list, false)))
        }
    }
}

/// The output schema. One that cannot be made is no reason to lose the tool.
fn output(
    doc: &Doc,
    work: &Work,
    schema: &Value,
    limits: &Limits,
    notes: &mut Vec<String>,
) -> Result<Option<Value>, Reason> {
    let made = within(limits, "output", |detail| {
        Translator::run(doc, work, (Way::Out, detail), |t| t.schema(schema, 1).map(rooted))
    });
    match made {
        Ok(schema) => Ok(Some(schema)),
        Err(Reason::Work) => Err(Reason::Work),
        Err(reason) => {
            notes.push(format!("it has no output schema: {reason}"));
            Ok(None)
        }
    }
}

/// Older clients want to read `type` at the root.
fn rooted(schema: Value) -> Value {
    let Value::Object(object) = schema else { return json!({ "type": "object" }) };
    let mut out = Map::from_iter([("type".to_owned(), json!("object"))]);
    out.extend(object);
    out.insert("type".to_owned(), json!("object"));
    Value::Object(out)
}

/// What a definition says beside schemas.
struct About<'a> {
    found: Found<'a>,
    requirements: &'a [Requirement],
    schemes: &'a BTreeMap<String, Scheme>,
    members: &'a [String],
}

impl About<'_> {
    fn deprecated(&self) -> bool {
        self.found.operation.get("deprecated") == Some(&Value::Bool(true))
    }

    fn said(&self, name: &str) -> Option<String> {
        let own = self.found.operation.get(name).or_else(|| self.found.item.get(name));
        own.and_then(Value::as_str).map(text::plain).filter(|said| !said.is_empty())
    }

    fn paging(&self, operation: &Operation) -> Option<Paging> {
        if operation.method != Method::GET {
            return None;
        }
        let query = operation.parameters.iter().filter(|p| p.place == Place::Query);
        let query: Vec<(&str, &str)> = query.map(|p| (p.name.as_str(), p.argument.as_str())).collect();
        recognise(&query, self.members)
    }
}

fn definition(
    name: &str,
    operation: &Operation,
    about: &About<'_>,
    input: Value,
    output: Option<Value>,
    limits: &Limits,
) -> Value {
    let (summary, description) = (about.said("summary"), about.said("description"));
    let paging = about.paging(operation);
    let mut words: Vec<String> = Vec::new();
    if about.deprecated() {
        words.push("Deprecated.".to_owned());
    }
    let own = description.or_else(|| summary.clone());
    let own = own.unwrap_or_else(|| format!("{} {}", operation.method, operation.path));
    words.push(text::cut(&own, limits.description_chars_max));
    words.extend(paging.as_ref().map(Paging::sentence));
    let mut out = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(title) = summary {
        out.insert("title".to_owned(), text::cut(&title, 128).trim_end_matches('.').into());
    }
    out.insert("description".to_owned(), words.join("\n\n").into());
    out.insert("inputSchema".to_owned(), input);
    out.extend(output.map(|output| ("outputSchema".to_owned(), output)));
    out.insert("annotations".to_owned(), annotations(&operation.method));
    let mut meta = json!({
        "method": operation.method.as_str(),
        "path": operation.path,
        "request": operation.digest(),
    });
    if about.deprecated() {
        meta["deprecated"] = Value::Bool(true);
    }
    if let Some(paging) = paging {
        meta["paging"] = paging.value();
    }
    if !about.requirements.is_empty() {
        meta["security"] = security::value(about.requirements, about.schemes);
    }
    out.insert("_meta".to_owned(), json!({ META: meta }));
    Value::Object(out)
}
