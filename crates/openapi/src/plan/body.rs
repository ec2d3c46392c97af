//! Bodies of requests: as they came, as forms, in parts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use protocol::Raw;
use protocol::json::{Kind, Object};

use super::style::{Spelling, pairs, scalar};
use super::{Payload, encode};
use crate::ArgumentFault;
use crate::limits::PAIRS_MAX;
use crate::operation::{Body, Field, Form, Parameter, Place, Style};

const FORM: Spelling = Spelling { name: encode::form, value: encode::form, space: "+" };

/// The body that an argument becomes.
pub(super) fn payload(body: &Body, value: &Raw, max: usize) -> Result<Payload, ArgumentFault> {
    let fault = |what| ArgumentFault::value(&body.argument, what);
    if value.as_bytes().len() > max {
        return Err(ArgumentFault::TooLarge { what: "body", max });
    }
    let mut media_type = body.media_type.clone();
    let bytes = match body.form {
        // Number spellings and all.
        Form::Json => value.bytes(),
        Form::Text => Bytes::from(scalar(value).ok_or_else(|| fault("must be text"))?),
        Form::Bytes => Bytes::from(decoded(&body.argument, value)?),
        Form::UrlEncoded => Bytes::from(url_encoded(body, &object(body, value)?)?),
        Form::Multipart => {
            let parts = parts(body, &object(body, value)?)?;
            let boundary = boundary(&parts);
            media_type = format!("{media_type}; boundary={boundary}");
            Bytes::from(multipart(&parts, &boundary))
        }
    };
    if bytes.len() > max {
        return Err(ArgumentFault::TooLarge { what: "body", max });
    }
    Ok(Payload { media_type, bytes })
}

fn object(body: &Body, value: &Raw) -> Result<Object, ArgumentFault> {
    let object = value.object().map_err(|_| ArgumentFault::value(&body.argument, "has a name twice"))?;
    let object = object.ok_or_else(|| ArgumentFault::value(&body.argument, "must be an object"))?;
    match object.len() > PAIRS_MAX {
        true => Err(ArgumentFault::value(&body.argument, "has too many members")),
        false => Ok(object),
    }
}

fn decoded(argument: &str, value: &Raw) -> Result<Vec<u8>, ArgumentFault> {
    let text = value.as_str().ok_or_else(|| ArgumentFault::value(argument, "must be text in base64"))?;
    STANDARD.decode(text.as_bytes()).map_err(|_| ArgumentFault::value(argument, "is not base64"))
}

fn url_encoded(body: &Body, object: &Object) -> Result<String, ArgumentFault> {
    let mut out: Vec<String> = Vec::new();
    for (name, value) in object.iter() {
        if value.is_null() {
            continue;
        }
        let field = body.fields.get(name.as_ref());
        let style = field.and_then(|field| field.style);
        let nested = value.kind() == Kind::Object
            || value.items().is_some_and(|items| items.iter().any(|item| scalar(item).is_none()));
        let all = match style {
            // What is not flat goes as JSON unless the document says how.
            None if nested => vec![(encode::form(&name), encode::form(value.as_text()))],
            style => {
                let (style, explode) = style.unwrap_or((Style::Form, true));
                let parameter = Parameter {
                    argument: body.argument.clone(),
                    name: name.into_owned(),
                    place: Place::Body,
                    style,
                    explode,
                    required: false,
                    reserved: false,
                    json: false,
                };
                pairs(&parameter, &value, FORM)?
            }
        };
        out.extend(all.into_iter().map(|(name, value)| format!("{name}={value}")));
    }
    Ok(out.join("&"))
}

/// A part of a body in parts.
struct Part {
    name: String,
    file: bool,
    media_type: Option<String>,
    bytes: Vec<u8>,
}

fn parts(body: &Body, object: &Object) -> Result<Vec<Part>, ArgumentFault> {
    let mut out = Vec::new();
    let plain = Field::default();
    for (name, value) in object.iter() {
        let field = body.fields.get(name.as_ref()).unwrap_or(&plain);
        let values = match value.items() {
            Some(items) if field.base64 || items.iter().all(|item| scalar(item).is_some()) => items,
            _ if value.is_null() => Vec::new(),
            _ => vec![value],
        };
        for value in values {
            if out.len() == PAIRS_MAX {
                return Err(ArgumentFault::value(&body.argument, "has too many parts"));
            }
            out.push(part(body, &name, field, &value)?);
        }
    }
    Ok(out)
}

fn part(body: &Body, name: &str, field: &Field, value: &Raw) -> Result<Part, ArgumentFault> {
    let said = field.media_type.clone();
    let (bytes, media_type) = match scalar(value) {
        _ if field.base64 => {
            (decoded(&body.argument, value)?, said.or_else(|| Some("application/octet-stream".to_owned())))
        }
        Some(text) => (text.into_bytes(), said),
        None => (value.as_bytes().to_vec(), said.or_else(|| Some("application/json".to_owned()))),
    };
    Ok(Part { name: name.to_owned(), file: field.base64, media_type, bytes })
}

/// A line that is in no part: whoever wants to write one must know the hash of what he writes it into.
fn boundary(parts: &[Part]) -> String {
    let mut digest = seal::Sha256::new();
    for part in parts {
        digest.update(&(part.bytes.len() as u64).to_be_bytes());
        digest.update(part.name.as_bytes());
        digest.update(&part.bytes);
    }
    format!("tidegate-{}", seal::hex(&digest.finish()[..24]))
}

/// A name between quotes.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn multipart(parts: &[Part], boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let name = quoted(&part.name);
        let file = if part.file { format!("; filename=\"{name}\"") } else { String::new() };
        out.extend(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n").bytes(),
        );
        if let Some(media_type) = &part.media_type {
            out.extend(format!("Content-Type: {media_type}\r\n").bytes());
        }
        out.extend(b"\r\n");
        out.extend(&part.bytes);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{boundary}--\r\n").bytes());
    out
}
