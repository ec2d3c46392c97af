//! Arguments as a request.

mod body;
mod encode;
mod style;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{HeaderName, HeaderValue, Method};
use protocol::Raw;
use protocol::json::Object;

pub(crate) use encode::fixed as encode_fixed;

use crate::operation::{Operation, Parameter, Piece, Place, Style};
use crate::{ArgumentFault, Limits, Scheme};
use style::{Shape, Spelling, brings_names, pairs, whole};

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What it is.
    pub media_type: String,
    /// It.
    pub bytes: Bytes,
}

/// A request that somebody else sends, to a server of their choice.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    /// The method.
    pub method: Method,
    /// The path, which begins with a stroke and goes behind that of the server.
    pub path: String,
    /// The headers, `Accept` and `Content-Type` among them, and no credential but those that were attached.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Option<Payload>,
    query: Vec<String>,
    cookies: Vec<String>,
    secret: Vec<String>,
}

impl fmt::Debug for Plan {
    /// Without the query and cookies, which may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Plan")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &headers)
            .field("body", &self.body.as_ref().map(|body| body.bytes.len()))
            .finish_non_exhaustive()
    }
}

/// A credential that cannot be shown this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a credential cannot be shown as {0}")]
pub struct AttachFault(&'static str);

const QUERY: Spelling = Spelling { name: encode::value, value: encode::value, space: "%20" };
const RESERVED: Spelling = Spelling { value: encode::reserved, ..QUERY };

impl Operation {
    /// Makes a request of a call's arguments.
    ///
    /// # Errors
    /// [`ArgumentFault`] where one is missing, unknown, or cannot be sent.
    pub fn plan(&self, arguments: Option<&Raw>, limits: &Limits) -> Result<Plan, ArgumentFault> {
        let arguments = match arguments {
            None => Object::empty(),
            Some(raw) => raw.object().ok().flatten().ok_or(ArgumentFault::NoObject)?,
        };
        self.refuse_unknown(&arguments)?;
        let values = self.values(&arguments)?;
        let mut plan = Plan {
            method: self.method.clone(),
            path: self.path_of(&values)?,
            headers: vec![(
                ACCEPT,
                HeaderValue::from_str(&self.accept).map_err(|_| ArgumentFault::NoObject)?,
            )],
            body: None,
            query: self.fixed_query.iter().cloned().collect(),
            cookies: Vec::new(),
            secret: Vec::new(),
        };
        for (parameter, value) in self.parameters.iter().zip(&values) {
            if let Some(value) = value {
                self.add(&mut plan, parameter, value)?;
            }
        }
        if let Some(body) = &self.body {
            match arguments.get(&body.argument) {
                Some(value) => plan.body = Some(body::payload(body, &value, limits.body_bytes_max)?),
                None if body.required => return Err(ArgumentFault::Missing(body.argument.clone())),
                None => {}
            }
        }
        if let Some(payload) = &plan.body {
            let value = HeaderValue::from_str(&payload.media_type)
                .map_err(|_| ArgumentFault::value("body", "has no media type that can be said"))?;
            plan.headers.push((CONTENT_TYPE, value));
        }
        if plan.target().len() > limits.target_bytes_max {
            return Err(ArgumentFault::TooLarge { what: "path and query", max: limits.target_bytes_max });
        }
        Ok(plan)
    }

    fn refuse_unknown(&self, arguments: &Object) -> Result<(), ArgumentFault> {
        let known = |name: &str| self.places().any(|(argument, ..)| argument == name);
        match arguments.iter().find(|(name, _)| !known(name)) {
            Some((name, _)) => Err(ArgumentFault::Unknown(name.chars().take(64).collect())),
            None => Ok(()),
        }
    }

    /// The values of the parameters; null is as if nothing was said.
    fn values(&self, arguments: &Object) -> Result<Vec<Option<Raw>>, ArgumentFault> {
        let value = |parameter: &Parameter| {
            let value = arguments.get(&parameter.argument).filter(|value| !value.is_null());
            match value {
                None if parameter.required => Err(ArgumentFault::Missing(parameter.argument.clone())),
                value => Ok(value),
            }
        };
        self.parameters.iter().map(value).collect()
    }

    fn path_of(&self, values: &[Option<Raw>]) -> Result<String, ArgumentFault> {
        let mut path = String::new();
        let mut last = "";
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => path.push_str(text),
                Piece::Value(at) => {
                    let (Some(parameter), Some(Some(value))) = (self.parameters.get(*at), values.get(*at))
                    else {
                        return Err(ArgumentFault::NoObject);
                    };
                    last = &parameter.argument;
                    path.push_str(&segment(parameter, value)?);
                }
            }
        }
        // Two values beside one another may be together what neither is alone.
        match path.split('/').any(|segment| matches!(segment, "." | "..")) {
            true => Err(ArgumentFault::value(last, "would lead out of the path")),
            false => Ok(path),
        }
    }

    fn add(&self, plan: &mut Plan, parameter: &Parameter, value: &Raw) -> Result<(), ArgumentFault> {
        let spelling = if parameter.reserved { RESERVED } else { QUERY };
        if brings_names(parameter, value) {
            self.refuse_others(parameter, value)?;
        }
        match parameter.place {
            Place::Path | Place::Body => {}
            Place::Query => {
                let all = match parameter.json {
                    true => vec![(encode::value(&parameter.name), encode::value(value.as_text()))],
                    false => pairs(parameter, value, spelling)?,
                };
                plan.query.extend(all.into_iter().map(|(name, value)| format!("{name}={value}")));
            }
            Place::Cookie => {
                let all = match parameter.json {
                    true => vec![(parameter.name.clone(), encode::value(value.as_text()))],
                    false => pairs(parameter, value, QUERY)?,
                };
                plan.cookies.extend(all.into_iter().map(|(name, value)| format!("{name}={value}")));
            }
            Place::Header => plan.headers.push(header(parameter, value)?),
        }
        Ok(())
    }

    /// An object whose members become parameters by their own names must not say what another one says.
    fn refuse_others(&self, parameter: &Parameter, value: &Raw) -> Result<(), ArgumentFault> {
        let object = value.object().ok().flatten().unwrap_or_else(Object::empty);
        let same = |name: &str| {
            self.parameters.iter().any(|p| p.place == parameter.place && p.name == name && p != parameter)
        };
        match object.iter().any(|(name, _)| same(&name)) {
            true => Err(ArgumentFault::value(
                &parameter.argument,
                "has a member that is called like another parameter",
            )),
            false => Ok(()),
        }
    }
}

fn segment(parameter: &Parameter, value: &Raw) -> Result<String, ArgumentFault> {
    let fault = |what| ArgumentFault::value(&parameter.argument, what);
    let shape = match parameter.json {
        true => Shape::One(value.as_text().to_owned()),
        false => Shape::read(&parameter.argument, value)?,
    };
    let texts: Vec<&String> = match &shape {
        Shape::One(text) => vec![text],
        Shape::List(items) => items.iter().collect(),
        Shape::Pairs(pairs) => pairs.iter().flat_map(|(name, value)| [name, value]).collect(),
    };
    if texts.iter().any(|text| text.chars().any(char::is_control)) {
        return Err(fault("has control characters"));
    }
    if texts.iter().any(|text| encode::leads_out(text)) {
        return Err(fault("would lead out of the path"));
    }
    let written = whole(parameter, &shape, encode::value);
    match written.is_empty() || (parameter.style != Style::Simple && texts.is_empty()) {
        // Without it the path would be another.
        true => Err(fault("must not be empty")),
        false => Ok(written),
    }
}

fn header(parameter: &Parameter, value: &Raw) -> Result<(HeaderName, HeaderValue), ArgumentFault> {
    let fault = |what| ArgumentFault::value(&parameter.argument, what);
    let text = match parameter.json {
        true => value.as_text().to_owned(),
        false => whole(parameter, &Shape::read(&parameter.argument, value)?, str::to_owned),
    };
    if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(fault("goes into a header, which has visible ASCII characters alone"));
    }
    let name = HeaderName::from_bytes(parameter.name.as_bytes()).map_err(|_| fault("has no header"))?;
    Ok((name, HeaderValue::from_str(text.trim()).map_err(|_| fault("cannot be said in a header"))?))
}

impl Plan {
    /// The path with the query, which goes behind the server's own path.
    #[must_use]
    pub fn target(&self) -> String {
        let query: Vec<&str> = self.query.iter().chain(&self.secret).map(String::as_str).collect();
        match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, query.join("&")),
        }
    }

    /// All headers, the cookies as one of them.
    #[must_use]
    pub fn all_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut out = self.headers.clone();
        if let (false, Ok(mut value)) =
            (self.cookies.is_empty(), HeaderValue::from_str(&self.cookies.join("; ")))
        {
            value.set_sensitive(true);
            out.push((COOKIE, value));
        }
        out
    }

    /// Shows a credential as its scheme demands: a key, a token, or `name:password` for Basic.
    ///
    /// # Errors
    /// [`AttachFault`] where no request can show it.
    pub fn attach(&mut self, scheme: &Scheme, secret: &str) -> Result<(), AttachFault> {
        let fault = AttachFault(scheme.word());
        let (name, text) = match scheme {
            Scheme::ApiKey { place: Place::Query, name } => {
                self.secret.push(format!("{}={}", encode::value(name), encode::value(secret)));
                return Ok(());
            }
            Scheme::ApiKey { place: Place::Cookie, name } => {
                self.cookies.push(format!("{name}={}", encode::value(secret)));
                return Ok(());
            }
            Scheme::ApiKey { name, .. } => {
                (HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault)?, secret.to_owned())
            }
            Scheme::Basic => (AUTHORIZATION, format!("Basic {}", STANDARD.encode(secret))),
            Scheme::Bearer | Scheme::OAuth2 { .. } | Scheme::OpenIdConnect { .. } => {
                (AUTHORIZATION, format!("Bearer {secret}"))
            }
            Scheme::Http(_) | Scheme::MutualTls | Scheme::Unknown => return Err(fault),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| fault)?;
        value.set_sensitive(true);
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        Ok(())
    }
}
