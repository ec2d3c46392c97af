//! A remote: where a server is reached over HTTP.

use std::collections::BTreeMap;

use protocol::Raw;
use serde::Serialize;

use crate::address::{Address, URL_BYTES_MAX};
use crate::auth::Auth;
use crate::input::{INPUTS_MAX, Input, NAME_CHARS_MAX, Named, variables, write_variables};
use crate::read::{Desk, Members, word};
use crate::template::{Piece, Template, Value};
use crate::write::{Extra, Out};

/// How a remote speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum RemoteKind {
    /// Streamable HTTP.
    #[default]
    #[serde(rename = "streamable-http")]
    StreamableHttp,
    /// HTTP with server-sent events, as in 2024-11-05.
    #[serde(rename = "sse")]
    Sse,
}

const KINDS: [(&str, RemoteKind); 2] =
    [("streamable-http", RemoteKind::StreamableHttp), ("sse", RemoteKind::Sse)];

impl RemoteKind {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(_, known)| *known == self).map_or("streamable-http", |(word, _)| *word)
    }

    /// The kind of this word.
    pub(crate) fn of(desk: &mut Desk, at: &str, text: &str) -> Option<Self> {
        word(desk, at, text, &KINDS)
    }
}

/// Where a server is reached over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// How it speaks.
    pub kind: RemoteKind,
    /// Its URL, with `{names}` of variables.
    pub url: String,
    /// The headers it wants.
    pub headers: Vec<Named>,
    /// What stands for names in its URL.
    pub variables: BTreeMap<String, Input>,
    /// The revisions it says it speaks.
    pub supported_protocol_versions: Vec<String>,
    /// How it wants to be asked, where the draft about it is read.
    pub auth: Option<Auth>,
    /// All else.
    pub extra: Extra,
}

impl Remote {
    pub(crate) fn read(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Self> {
        let mut members = Members::open(desk, at, raw)?;
        let kind = members.needed(desk, "type", NAME_CHARS_MAX)?;
        Self::finish(desk, members, &kind)
    }

    fn finish(desk: &mut Desk, mut members: Members, kind: &str) -> Option<Self> {
        let kind = RemoteKind::of(desk, &format!("{}/type", members.at), kind);
        let url = members.needed(desk, "url", URL_BYTES_MAX);
        let headers = Named::list(desk, &mut members, "headers");
        check_headers(desk, &format!("{}/headers", members.at), &headers);
        let variables = variables(desk, &mut members);
        if let Some(url) = &url
            && let Err(what) = check_template(url, |name| variables.contains_key(name))
        {
            desk.refuse(&format!("{}/url", members.at), what);
        }
        let versions = members.texts(desk, "supportedProtocolVersions", INPUTS_MAX, NAME_CHARS_MAX);
        let auth = if desk.auth { Auth::member(desk, &mut members) } else { None };
        Some(Self {
            kind: kind?,
            url: url?,
            headers,
            variables,
            supported_protocol_versions: versions.unwrap_or_default(),
            auth,
            extra: members.rest(),
        })
    }

    /// The member `remotes`.
    pub(crate) fn list(desk: &mut Desk, members: &mut Members) -> Vec<Self> {
        let items = members.items(desk, "remotes", INPUTS_MAX).unwrap_or_default();
        items.iter().filter_map(|item| Self::read(desk, &item.at, &item.raw)).collect()
    }

    pub(crate) fn write(&self) -> Raw {
        let out = Out::new().text("type", self.kind.word()).text("url", &self.url);
        let out = write_variables(out, &self.variables)
            .list("headers", self.headers.iter().map(Named::write))
            .texts("supportedProtocolVersions", &self.supported_protocol_versions);
        let auth = self.auth.as_ref().map(Auth::write);
        out.maybe("auth", auth.as_ref()).extra(&self.extra).finish()
    }

    /// The URL where nothing has to be filled in, or where the defaults fill it in.
    #[must_use]
    pub fn plain_url(&self) -> Option<Address> {
        let template = Template::parse(&self.url, |name| self.variables.contains_key(name));
        let value = |name: &str| {
            let input = self.variables.get(name)?;
            input.value.clone().or_else(|| input.default.clone()).map(Value::text)
        };
        Address::parse(template.fill(value)?.as_text()?).ok()
    }
}

/// What is wrong with the template of a URL: with something plain in it, it has to be a plain URL.
pub(crate) fn check_template(url: &str, declared: impl Fn(&str) -> bool) -> Result<(), String> {
    let template = Template::parse(url, &declared);
    let mut text = String::new();
    for piece in template.pieces() {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            // Something plain of the kind that can stand there: a whole URL, a port, a word.
            Piece::Name(_) if text.is_empty() => text.push_str("https://a.example"),
            Piece::Name(_) if text.ends_with(':') => text.push('1'),
            Piece::Name(_) => text.push('a'),
        }
    }
    // A name that nobody declared stays as it stands, which is no URL: it is looked at without its braces.
    let text = text.replace(['{', '}'], "");
    Address::parse(&text).map(|_| ()).map_err(|error| error.to_string())
}

/// Headers that belong to the connection or the protocol, and that nobody's document sets.
const RESERVED: [&str; 16] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "proxy-authorization",
    "proxy-connection",
    "accept",
    "expect",
    "cookie",
    "last-event-id",
];

fn check_headers(desk: &mut Desk, at: &str, headers: &[Named]) {
    for (n, header) in headers.iter().enumerate() {
        let name = header.name.to_ascii_lowercase();
        let at = format!("{at}/{n}/name");
        if headers[..n].iter().any(|before| before.name.eq_ignore_ascii_case(&name)) {
            desk.refuse(&at, "a header that stands twice");
        } else if let Some(what) = header_fault(&name) {
            desk.refuse(&at, what);
        }
    }
}

/// What is wrong with a header's name.
pub(crate) fn header_fault(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(token) || name.is_empty() {
        Some("no name of a header")
    } else if RESERVED.contains(&name.as_str()) || name.starts_with("mcp-") {
        Some("a header that the connection or the protocol sets")
    } else {
        None
    }
}
