//! What is known of an operation when it is called.

use std::collections::BTreeMap;

use http::Method;

/// Where in a request something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
    /// In a cookie.
    Cookie,
    /// It is the body.
    Body,
}

impl Place {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body",
        }
    }

    /// The place of this word, where parameters stand.
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Path, Self::Query, Self::Header, Self::Cookie].into_iter().find(|place| place.word() == word)
    }
}

/// How lists and objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    Space,
    Pipe,
    Deep,
}

impl Style {
    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Label => "label",
            Self::Matrix => "matrix",
            Self::Form => "form",
            Self::Space => "spaceDelimited",
            Self::Pipe => "pipeDelimited",
            Self::Deep => "deepObject",
        }
    }

    /// The style of this word at this place; what does not exist there is as if nothing was said.
    pub(crate) fn read(word: Option<&str>, place: Place) -> Self {
        match (place, word) {
            (Place::Path, Some("label")) => Self::Label,
            (Place::Path, Some("matrix")) => Self::Matrix,
            (Place::Path | Place::Header, _) => Self::Simple,
            (Place::Query | Place::Body, Some("spaceDelimited")) => Self::Space,
            (Place::Query | Place::Body, Some("pipeDelimited")) => Self::Pipe,
            (Place::Query | Place::Body, Some("deepObject")) => Self::Deep,
            (Place::Query | Place::Cookie | Place::Body, _) => Self::Form,
        }
    }
}

/// One argument that goes to one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// What the tool calls it.
    pub(crate) argument: String,
    /// What the server calls it.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) style: Style,
    pub(crate) explode: bool,
    pub(crate) required: bool,
    /// Reserved characters stay as they are, where they cannot end the value.
    pub(crate) reserved: bool,
    /// It is written as JSON.
    pub(crate) json: bool,
}

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As it is, encoded.
    Fixed(String),
    /// The value of the parameter at this place.
    Value(usize),
}

/// How the body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    UrlEncoded,
    Multipart,
    Text,
    /// The argument is base64.
    Bytes,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) argument: String,
    pub(crate) required: bool,
    pub(crate) media_type: String,
    pub(crate) form: Form,
    pub(crate) fields: BTreeMap<String, Field>,
}

/// What is said of a member of a form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Field {
    pub(crate) style: Option<(Style, bool)>,
    pub(crate) media_type: Option<String>,
    pub(crate) base64: bool,
}

/// An operation: how arguments become a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path as the document has it.
    pub path: String,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) fixed_query: Option<String>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<Body>,
    pub(crate) accept: String,
    /// What the answer to a success is declared as.
    pub(crate) gives_object: bool,
}

/// Whether a parameter is a key by which the server knows a request that it has had before (the draft
/// "Idempotency-Key" of the IETF).
pub(crate) fn is_idempotency_key(place: Place, name: &str) -> bool {
    place == Place::Header && name.eq_ignore_ascii_case("idempotency-key")
}

impl Operation {
    /// Whether the request only reads (RFC 9110, section 9.2.1).
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.method.is_safe()
    }

    /// Whether twice is as once, whatever the server (RFC 9110, section 9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// The argument that holds a key by which the server knows a request that it has had before.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        let key = self.parameters.iter().find(|p| is_idempotency_key(p.place, &p.name));
        key.map(|key| key.argument.as_str())
    }

    /// Where all arguments go and how, as sixteen hexadecimal digits: a definition may stay as it is while
    /// its request becomes another one.
    pub(crate) fn digest(&self) -> String {
        let mut words: Vec<String> = vec![format!("{} {}", self.method, self.path)];
        words.extend(self.parameters.iter().map(|p| {
            let flags = (p.explode, p.reserved, p.json);
            format!("{} {} {} {} {flags:?}", p.argument, p.place.word(), p.name, p.style.word())
        }));
        words.extend(self.body.iter().map(|body| format!("{} body {}", body.argument, body.media_type)));
        let digest = seal::sha256(words.join("\n").as_bytes());
        seal::hex(&digest[..8])
    }

    /// Where each argument goes, in the order of the definition.
    pub fn places(&self) -> impl Iterator<Item = (&str, Place, &str)> {
        let parameters = self.parameters.iter().map(|p| (p.argument.as_str(), p.place, p.name.as_str()));
        parameters.chain(self.body.iter().map(|body| (body.argument.as_str(), Place::Body, "")))
    }
}
