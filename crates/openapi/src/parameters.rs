//! Parameters and bodies as a document declares them.

use std::collections::{BTreeMap, HashSet};

use http::HeaderName;
use serde_json::{Map, Value};

use crate::operation::{Body, Field, Form, Place, Style};
use crate::refs::Doc;
use crate::security::Scheme;
use crate::{Limits, Reason};

/// A parameter before it has an argument.
#[derive(Debug)]
pub(crate) struct Declared<'d> {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) required: bool,
    pub(crate) style: Style,
    pub(crate) explode: bool,
    pub(crate) reserved: bool,
    pub(crate) json: bool,
    pub(crate) schema: Option<&'d Value>,
    pub(crate) description: Option<&'d str>,
    pub(crate) deprecated: bool,
}

/// Headers that belong to the connection, to credentials or to the gateway. No argument says what is in them.
const OWN_HEADERS: [&str; 25] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

fn is_own(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OWN_HEADERS.contains(&name.as_str()) || name.starts_with("x-forwarded-") || name.starts_with("mcp-")
}

/// The parameters of an operation. What cannot be an argument is left away and said in `notes`.
pub(crate) fn parameters<'d>(
    doc: &'d Doc,
    item: &'d Map<String, Value>,
    operation: &'d Map<String, Value>,
    schemes: &BTreeMap<String, Scheme>,
    limits: &Limits,
    notes: &mut Vec<String>,
) -> Result<Vec<Declared<'d>>, Reason> {
    let mut out: Vec<Declared<'d>> = Vec::new();
    let mut seen = HashSet::new();
    // What an operation says goes before what its path says.
    for list in [operation, item] {
        for value in list.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let object = doc.resolve(value)?;
            let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
            let (Some(place), name) = (Place::of(text("in")), text("name")) else {
                return Err(Reason::form(format!("a parameter is in {:?}", text("in"))));
            };
            if !seen.insert((place, name.to_owned())) {
                continue;
            }
            if let Some(why) = unsuitable(place, name, schemes) {
                notes.push(format!("the {} parameter {name:?} is left away: {why}", place.word()));
                continue;
            }
            if out.len() == limits.parameters_max {
                let max = limits.parameters_max;
                return Err(Reason::TooLarge { what: "input", max, unit: "parameters" });
            }
            out.push(declared(object, place, name));
        }
    }
    // Stable, so that the document's order holds within a place.
    out.sort_by_key(|parameter| parameter.place);
    Ok(out)
}

fn declared<'d>(object: &'d Map<String, Value>, place: Place, name: &str) -> Declared<'d> {
    let flag = |name: &str| object.get(name).and_then(Value::as_bool);
    let style = Style::read(object.get("style").and_then(Value::as_str), place);
    let content = object.get("content").and_then(Value::as_object).and_then(|content| content.iter().next());
    let json = content.is_some_and(|(media_type, _)| is_json(media_type));
    Declared {
        name: name.to_owned(),
        place,
        required: flag("required") == Some(true) || place == Place::Path,
        style,
        explode: flag("explode").unwrap_or(style == Style::Form || style == Style::Deep),
        reserved: flag("allowReserved") == Some(true),
        json,
        schema: content.map_or(object.get("schema"), |(_, media)| media.get("schema")),
        description: object.get("description").and_then(Value::as_str),
        deprecated: flag("deprecated") == Some(true),
    }
}

/// Why a parameter cannot be an argument.
fn unsuitable(place: Place, name: &str, schemes: &BTreeMap<String, Scheme>) -> Option<&'static str> {
    let same = |other: &str| match place {
        Place::Header => other.eq_ignore_ascii_case(name),
        _ => other == name,
    };
    let secret = schemes.values().any(|scheme| match scheme {
        Scheme::ApiKey { place: at, name: other } => *at == place && same(other),
        _ => false,
    });
    match place {
        _ if name.is_empty() => Some("it has no name"),
        _ if secret => Some("it is a credential"),
        Place::Header if is_own(name) => Some("this header is not the caller's"),
        Place::Header if HeaderName::from_bytes(name.as_bytes()).is_err() => Some("no header is called so"),
        Place::Cookie if !is_token(name) => Some("no cookie is called so"),
        _ => None,
    }
}

fn is_token(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether this is JSON.
pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// A media type in small letters without its parameters.
pub(crate) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body with its schema and its description.
pub(crate) type BodyOf<'d> = (Body, Option<&'d Value>, Option<&'d str>);

/// The body that an operation takes.
pub(crate) fn body<'d>(
    doc: &'d Doc,
    operation: &'d Map<String, Value>,
) -> Result<Option<BodyOf<'d>>, Reason> {
    let Some(declared) = operation.get("requestBody") else { return Ok(None) };
    let object = doc.resolve(declared)?;
    let content = object.get("content").and_then(Value::as_object);
    let Some((media_type, media)) = content.and_then(chosen) else { return Ok(None) };
    let form = form(media_type);
    let schema = media.get("schema");
    let body = Body {
        argument: String::new(),
        required: object.get("required") == Some(&Value::Bool(true)),
        media_type: match essence(media_type).as_str() {
            "*/*" | "application/*" => "application/json".to_owned(),
            essence if essence.contains('*') => "application/octet-stream".to_owned(),
            _ => media_type.trim().to_owned(),
        },
        form,
        fields: match form {
            Form::UrlEncoded | Form::Multipart => fields(doc, media, schema)?,
            _ => BTreeMap::new(),
        },
    };
    if body.media_type.parse::<http::HeaderValue>().is_err() {
        return Err(Reason::form("its body has a media type that no header can say"));
    }
    Ok(Some((body, schema, object.get("description").and_then(Value::as_str))))
}

/// The best way to send a body: what loses nothing before what does.
fn chosen(content: &Map<String, Value>) -> Option<(&String, &Value)> {
    let rank = |media_type: &str| match form(media_type) {
        Form::Json => 0,
        Form::UrlEncoded => 1,
        Form::Multipart => 2,
        Form::Text => 3,
        Form::Bytes => 4,
    };
    // Of equal ones the first, as the document has them.
    content.iter().filter(|(_, media)| media.is_object()).min_by_key(|(media_type, _)| rank(media_type))
}

fn form(media_type: &str) -> Form {
    match essence(media_type).as_str() {
        "*/*" | "application/*" => Form::Json,
        "application/x-www-form-urlencoded" => Form::UrlEncoded,
        "multipart/form-data" => Form::Multipart,
        essence if is_json(essence) => Form::Json,
        "application/xml"
        | "application/yaml"
        | "application/x-yaml"
        | "application/graphql"
        | "application/x-ndjson"
        | "application/sql" => Form::Text,
        essence if essence.starts_with("text/") || essence.ends_with("+xml") => Form::Text,
        _ => Form::Bytes,
    }
}

fn fields(doc: &Doc, media: &Value, schema: Option<&Value>) -> Result<BTreeMap<String, Field>, Reason> {
    let mut out: BTreeMap<String, Field> = BTreeMap::new();
    let resolved = schema.map(|schema| doc.resolve(schema)).transpose()?;
    let properties = resolved.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let Ok(property) = doc.resolve(property) else { continue };
        let items = property.get("items").and_then(|items| doc.resolve(items).ok());
        if is_binary(property) || items.is_some_and(is_binary) {
            out.entry(name.clone()).or_default().base64 = true;
        }
    }
    let encoding = media.get("encoding").and_then(Value::as_object);
    for (name, value) in encoding.into_iter().flatten() {
        let field = out.entry(name.clone()).or_default();
        let word = value.get("style").and_then(Value::as_str);
        let explode = value.get("explode").and_then(Value::as_bool);
        if word.is_some() || explode.is_some() {
            let style = Style::read(word, Place::Body);
            field.style = Some((style, explode.unwrap_or(style == Style::Form)));
        }
        let media_type = value.get("contentType").and_then(Value::as_str);
        // Of several the first; a pattern says nothing that could be sent.
        let first = media_type.and_then(|list| list.split(',').next()).map(str::trim);
        field.media_type = first.filter(|one| !one.contains('*') && is_media_type(one)).map(str::to_owned);
    }
    Ok(out)
}

fn is_media_type(text: &str) -> bool {
    text.contains('/') && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

fn is_binary(schema: &Map<String, Value>) -> bool {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    text("format") == Some("binary")
        || text("contentMediaType") == Some("application/octet-stream") && text("contentEncoding").is_none()
}
