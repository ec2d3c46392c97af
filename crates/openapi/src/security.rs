//! What an operation demands of who calls: named, never taken from arguments.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::operation::Place;
use crate::refs::Doc;

/// How a credential is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// A key in a header, the query or a cookie.
    ApiKey {
        /// Where.
        place: Place,
        /// Under which name.
        name: String,
    },
    /// `Authorization: Basic …`
    Basic,
    /// `Authorization: Bearer …`
    Bearer,
    /// Another scheme of HTTP.
    Http(String),
    /// A token of OAuth 2.0. The addresses are the document's claim, for a person to look at.
    OAuth2 {
        /// Where tokens are asked for, as the document says, by flow.
        token_urls: BTreeMap<String, String>,
        /// What can be asked for, with what it is said to mean.
        scopes: BTreeMap<String, String>,
    },
    /// A token of OpenID Connect.
    OpenIdConnect {
        /// Where its configuration is, as the document says.
        url: String,
    },
    /// A certificate of the connection.
    MutualTls,
    /// Something that the document does not say in a way that is known.
    Unknown,
}

/// One scheme that is needed, with scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The scheme's name in the document.
    pub scheme: String,
    /// The scopes of the token.
    pub scopes: Vec<String>,
}

/// All of these are needed at once. None: anybody may.
pub type Requirement = Vec<Need>;

impl Scheme {
    /// The word for what is needed.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::ApiKey { .. } => "api_key",
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Http(_) => "http",
            Self::OAuth2 { .. } => "oauth2",
            Self::OpenIdConnect { .. } => "openid_connect",
            Self::MutualTls => "mutual_tls",
            Self::Unknown => "unknown",
        }
    }

    fn read(object: &Map<String, Value>) -> Self {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "apiKey" => match (text("in"), text("name")) {
                (_, "") => Self::Unknown,
                ("header", name) => Self::ApiKey { place: Place::Header, name: name.to_owned() },
                ("query", name) => Self::ApiKey { place: Place::Query, name: name.to_owned() },
                ("cookie", name) => Self::ApiKey { place: Place::Cookie, name: name.to_owned() },
                _ => Self::Unknown,
            },
            "http" => match text("scheme").to_ascii_lowercase().as_str() {
                "" => Self::Unknown,
                "basic" => Self::Basic,
                "bearer" => Self::Bearer,
                other => Self::Http(other.to_owned()),
            },
            "oauth2" => Self::oauth2(object.get("flows").and_then(Value::as_object)),
            "openIdConnect" => Self::OpenIdConnect { url: text("openIdConnectUrl").to_owned() },
            "mutualTLS" => Self::MutualTls,
            _ => Self::Unknown,
        }
    }

    fn oauth2(flows: Option<&Map<String, Value>>) -> Self {
        let (mut token_urls, mut scopes) = (BTreeMap::new(), BTreeMap::new());
        for (flow, value) in flows.into_iter().flatten().take(8) {
            if let Some(url) = value.get("tokenUrl").and_then(Value::as_str) {
                token_urls.insert(flow.clone(), url.to_owned());
            }
            for (scope, meaning) in value.get("scopes").and_then(Value::as_object).into_iter().flatten() {
                scopes.insert(scope.clone(), meaning.as_str().unwrap_or_default().to_owned());
            }
        }
        Self::OAuth2 { token_urls, scopes }
    }
}

/// The schemes of a document by name.
pub(crate) fn schemes(doc: &Doc) -> BTreeMap<String, Scheme> {
    let declared = doc.root.pointer("/components/securitySchemes").and_then(Value::as_object);
    let read = |(name, value): (&String, &Value)| {
        (name.clone(), doc.resolve(value).map_or(Scheme::Unknown, Scheme::read))
    };
    declared.into_iter().flatten().map(read).collect()
}

/// What one operation demands: any one of these. An empty list demands nothing.
pub(crate) fn requirements(root: &Value, operation: &Map<String, Value>) -> Vec<Requirement> {
    let list = operation.get("security").or_else(|| root.get("security")).and_then(Value::as_array);
    let need = |(scheme, scopes): (&String, &Value)| {
        let scopes = scopes.as_array().into_iter().flatten().filter_map(Value::as_str);
        Need { scheme: scheme.clone(), scopes: scopes.map(str::to_owned).collect() }
    };
    let requirement = |value: &Value| value.as_object().into_iter().flatten().map(need).collect();
    list.into_iter().flatten().map(requirement).collect()
}

/// The demands as they stand in a definition.
pub(crate) fn value(requirements: &[Requirement], schemes: &BTreeMap<String, Scheme>) -> Value {
    let need = |need: &Need| {
        let kind = schemes.get(&need.scheme).map_or("unknown", Scheme::word);
        let mut out = json!({ "scheme": need.scheme, "kind": kind });
        if !need.scopes.is_empty() {
            out["scopes"] = json!(need.scopes);
        }
        out
    };
    requirements.iter().map(|all| Value::Array(all.iter().map(need).collect())).collect()
}
