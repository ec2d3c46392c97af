//! How a remote wants to be asked, as a draft would have it declared (SEP-2742). A hint and no more: what
//! counts is what the server's protected-resource metadata says.

use protocol::Raw;

use crate::address::URL_BYTES_MAX;
use crate::input::{INPUTS_MAX, NAME_CHARS_MAX, Named};
use crate::read::{Desk, Members, word};
use crate::write::{Extra, Out};

/// Whether one has to say who one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Posture {
    /// Nobody is asked.
    None,
    /// One may.
    Optional,
    /// One must.
    #[default]
    Required,
}

const POSTURES: [(&str, Posture); 3] =
    [("none", Posture::None), ("optional", Posture::Optional), ("required", Posture::Required)];

impl Posture {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        POSTURES.iter().find(|(_, known)| *known == self).map_or("required", |(word, _)| *word)
    }
}

/// How a client becomes known to the authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// It registers itself (RFC 7591).
    Dynamic,
    /// Its id is the URL of a document about it.
    ClientMetadata,
    /// It was registered before.
    Static,
}

const REGISTRATIONS: [(&str, Registration); 3] = [
    ("dynamic", Registration::Dynamic),
    ("client-metadata", Registration::ClientMetadata),
    ("static", Registration::Static),
];

/// How a client proves who it is.
const CREDENTIALS: [(&str, ()); 4] =
    [("none", ()), ("client_secret", ()), ("private_key_jwt", ()), ("tls_client_auth", ())];

/// One way to say who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A token of an authorization server.
    Oauth {
        /// How a client becomes known.
        registration: Registration,
        /// The client's id, where it was registered before.
        client_id: Option<String>,
        /// How it proves who it is.
        client_credential: Option<String>,
        /// Where to ask, if discovery fails.
        endpoints: Option<(String, String)>,
        /// Further headers.
        headers: Vec<Named>,
        /// All else.
        extra: Extra,
    },
    /// Headers that somebody fills in.
    Headers {
        /// The headers.
        headers: Vec<Named>,
        /// All else.
        extra: Extra,
    },
    /// A way that the draft did not know, as it came. It is never taken.
    Other(Raw),
}

impl Method {
    /// Its word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Oauth { .. } => "oauth",
            Self::Headers { .. } => "headers",
            Self::Other(_) => "other",
        }
    }
}

/// What a remote declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// Whether one has to say who one is.
    pub posture: Posture,
    /// The method to take where there are several.
    pub preferred: Option<String>,
    /// The methods, at most one of each type.
    pub methods: Vec<Method>,
    /// All else.
    pub extra: Extra,
}

impl Auth {
    /// The member `auth`.
    pub(crate) fn member(desk: &mut Desk, members: &mut Members) -> Option<Self> {
        let found = members.take(desk, "auth")?;
        let mut members = Members::open(desk, found.at, &found.raw)?;
        let posture = members.any_text(desk, "posture", NAME_CHARS_MAX);
        let at = format!("{}/posture", members.at);
        let posture = posture.and_then(|text| word(desk, &at, &text, &POSTURES)).unwrap_or_default();
        let preferred = members.any_text(desk, "preferred", NAME_CHARS_MAX);
        let mut methods: Vec<Method> = Vec::new();
        for item in members.items(desk, "methods", INPUTS_MAX).unwrap_or_default() {
            let Some(method) = read_method(desk, &item.at, &item.raw) else { continue };
            let known = !matches!(method, Method::Other(_));
            if known && methods.iter().any(|other| other.word() == method.word()) {
                desk.refuse(&item.at, format!("a second method of the type {}", method.word()));
            }
            methods.push(method);
        }
        if let Some(preferred) = &preferred
            && !methods.iter().any(|method| method.word() == preferred)
        {
            desk.refuse(&format!("{}/preferred", members.at), "is none of the methods");
        }
        if posture == Posture::None && !methods.is_empty() {
            desk.refuse(&members.at.clone(), "asks nobody who he is, and says how to answer");
        }
        Some(Self { posture, preferred, methods, extra: members.rest() })
    }

    pub(crate) fn write(&self) -> Raw {
        Out::new()
            .text("posture", self.posture.word())
            .some_text("preferred", self.preferred.as_deref())
            .list("methods", self.methods.iter().map(write_method))
            .extra(&self.extra)
            .finish()
    }
}

fn read_method(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Method> {
    let mut members = Members::open(desk, at, raw)?;
    let kind = members.needed(desk, "type", NAME_CHARS_MAX)?;
    match kind.as_str() {
        "oauth" => read_oauth(desk, members),
        "headers" => {
            let headers = Named::list(desk, &mut members, "headers");
            if headers.is_empty() {
                desk.refuse(at, "headers without one");
            }
            Some(Method::Headers { headers, extra: members.rest() })
        }
        _ => {
            // A draft grows.
            desk.remark(at, "a method that is not known here");
            Some(Method::Other(raw.clone()))
        }
    }
}

fn read_oauth(desk: &mut Desk, mut members: Members) -> Option<Method> {
    let registration = members.needed(desk, "registration", NAME_CHARS_MAX)?;
    let registration = word(desk, &format!("{}/registration", members.at), &registration, &REGISTRATIONS)?;
    let client_id = members.text(desk, "clientId", URL_BYTES_MAX);
    let client_credential = members.any_text(desk, "clientCredential", NAME_CHARS_MAX);
    if let Some(credential) = &client_credential {
        word(desk, &format!("{}/clientCredential", members.at), credential, &CREDENTIALS);
    }
    let endpoints = members.take(desk, "endpoints").and_then(|found| {
        let mut inner = Members::open(desk, found.at, &found.raw)?;
        let authorization = inner.needed(desk, "authorization", URL_BYTES_MAX)?;
        let token = inner.needed(desk, "token", URL_BYTES_MAX)?;
        if let Err(what) = endpoints_fit(&authorization, &token) {
            desk.refuse(&inner.at.clone(), what);
        }
        Some((authorization, token))
    });
    let headers = Named::list(desk, &mut members, "headers");
    if headers.iter().any(|header| header.name.eq_ignore_ascii_case("authorization")) {
        desk.refuse(&format!("{}/headers", members.at), "Authorization is what the token is for");
    }
    let extra = members.rest();
    Some(Method::Oauth { registration, client_id, client_credential, endpoints, headers, extra })
}

/// Both relative to the origin, or both of one origin over https: a token never goes to somebody else.
fn endpoints_fit(authorization: &str, token: &str) -> Result<(), String> {
    use crate::address::Address;
    let relative = |text: &str| text.starts_with('/') && !text.starts_with("//");
    match (relative(authorization), relative(token)) {
        (true, true) => {
            for path in [authorization, token] {
                Address::parse(&format!("https://example.com{path}")).map_err(|error| error.to_string())?;
            }
            Ok(())
        }
        (false, false) => {
            let read = |text| Address::parse(text).map_err(|error| error.to_string());
            let (authorization, token) = (read(authorization)?, read(token)?);
            if !authorization.is_https() || authorization.origin() != token.origin() {
                return Err("endpoints have to be of one origin, over https".to_owned());
            }
            Ok(())
        }
        _ => Err("one endpoint is relative and the other one is not".to_owned()),
    }
}

fn write_method(method: &Method) -> Raw {
    match method {
        Method::Other(raw) => raw.clone(),
        Method::Headers { headers, extra } => Out::new()
            .text("type", "headers")
            .list("headers", headers.iter().map(Named::write))
            .extra(extra)
            .finish(),
        Method::Oauth { registration, client_id, client_credential, endpoints, headers, extra } => {
            let known = REGISTRATIONS.iter().find(|(_, known)| known == registration);
            let endpoints = endpoints.as_ref().map(|(authorization, token)| {
                Out::new().text("authorization", authorization).text("token", token).finish()
            });
            Out::new()
                .text("type", "oauth")
                .text("registration", known.map_or("dynamic", |(word, _)| *word))
                .some_text("clientId", client_id.as_deref())
                .some_text("clientCredential", client_credential.as_deref())
                .maybe("endpoints", endpoints.as_ref())
                .list("headers", headers.iter().map(Named::write))
                .extra(extra)
                .finish()
        }
    }
}
