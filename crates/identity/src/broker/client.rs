//! Clients of the authorization server.

use serde_json::{Map, Value, json};

use super::redirect;

/// Addresses that one client may have.
const REDIRECTS_MAX: usize = 16;
/// Keys that one client may have in its own document.
const KEYS_MAX: usize = 16;
/// The longest name that is shown, in characters.
const NAME_CHARS_MAX: usize = 80;

/// How a client proves itself where it asks for tokens (RFC 7591, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMethod {
    /// It has nothing; PKCE alone says that it is who has begun.
    Public,
    /// By a secret in the `Authorization` header.
    Basic,
    /// By a secret in the form.
    Post,
    /// By an assertion that its key has signed.
    Key,
}

impl ClientMethod {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Public, Self::Basic, Self::Post, Self::Key];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::Key => "private_key_jwt",
        }
    }

    /// That of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

/// Where a client's public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeys {
    /// In what is known of it.
    Own(Vec<Value>),
    /// There.
    At(String),
}

/// Who has told the gateway of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientSource {
    /// The operator.
    Operator,
    /// It itself, by a document at its own URL (client id metadata documents).
    Document,
    /// It itself, by registration (RFC 7591).
    Registration,
}

/// A client, as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownClient {
    /// What it is called.
    pub id: String,
    /// Its name, for people. Nobody has checked it.
    pub name: String,
    /// Where users are sent back to.
    pub redirects: Vec<String>,
    /// How it proves itself.
    pub method: ClientMethod,
    /// SHA-256 of its secret.
    pub secret: Option<[u8; 32]>,
    /// Its keys.
    pub keys: Option<ClientKeys>,
    /// Whether it may stay signed in.
    pub refreshes: bool,
    /// Who says all that.
    pub source: ClientSource,
}

/// A name as it is shown: one line, without what turns text around or hides it.
#[must_use]
pub fn plain_name(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}' | '\u{ad}' | '\u{61c}')
    };
    text.chars().filter(|c| !odd(*c)).take(NAME_CHARS_MAX).collect::<String>().trim().to_owned()
}

impl KnownClient {
    /// Whether users may be sent back there.
    #[must_use]
    pub fn has(&self, redirect: &str) -> bool {
        self.redirects.iter().any(|known| redirect::fits(known, redirect))
    }

    /// Whether this is its secret.
    #[must_use]
    pub fn has_secret(&self, secret: &str) -> bool {
        // Hashes are compared, whose bytes say nothing about the secret's.
        self.secret.is_some_and(|known| known == seal::sha256(secret.as_bytes()))
    }

    /// What a client says of itself (RFC 7591, section 2), read strictly. `id` is what it will be called.
    ///
    /// # Errors
    /// In words; the word of the specification first.
    pub fn of_metadata(
        id: &str,
        members: &Map<String, Value>,
        source: ClientSource,
    ) -> Result<Self, (&'static str, String)> {
        let wrong = |text: String| ("invalid_client_metadata", text);
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(format!("{name} is no string"))),
        };
        let redirects = redirects(members)?;
        if text("application_type")? == Some("web") {
            // SEP-837; OpenID Connect Dynamic Client Registration, section 2.
            if let Some(local) = redirects.iter().find(|uri| redirect::is_local(uri)) {
                let text = format!("a web application cannot be at {}", redirect::shown(local));
                return Err(("invalid_redirect_uri", text));
            }
        }
        let grants = strings(members, "grant_types")?;
        let known = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"];
        if source == ClientSource::Registration
            && grants.as_ref().is_some_and(|all| !all.iter().any(|grant| known.contains(&grant.as_str())))
        {
            return Err(wrong("of grant_types none is given here".to_owned()));
        }
        // Who says nothing of it has the code alone (RFC 7591, section 2). Many forget it, and want to stay.
        let refreshes = grants.is_none_or(|all| all.iter().any(|grant| grant == "refresh_token"));
        let by_default = if source == ClientSource::Document { "none" } else { "client_secret_basic" };
        let method = text("token_endpoint_auth_method")?.unwrap_or(by_default);
        let method = ClientMethod::of_word(method)
            .ok_or_else(|| wrong("token_endpoint_auth_method is none that is taken here".to_owned()))?;
        let keys = keys(members, text("jwks_uri")?)?;
        match (method, source) {
            (ClientMethod::Basic | ClientMethod::Post, ClientSource::Document) => {
                return Err(wrong("a client with a public document has no secret".to_owned()));
            }
            (ClientMethod::Key, _) if keys.is_none() => {
                return Err(wrong("private_key_jwt needs jwks or jwks_uri".to_owned()));
            }
            _ => {}
        }
        let name = plain_name(text("client_name")?.unwrap_or_default());
        Ok(Self { id: id.to_owned(), name, redirects, method, secret: None, keys, refreshes, source })
    }

    /// What is kept of one that has registered.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let secret = self.secret.map(|hash| hash.to_vec());
        let (keys, place) = match &self.keys {
            Some(ClientKeys::Own(keys)) => (Some(keys.clone()), None),
            Some(ClientKeys::At(place)) => (None, Some(place.clone())),
            None => (None, None),
        };
        json!({
            "id": self.id, "name": self.name, "redirects": self.redirects, "method": self.method.as_str(),
            "secret": secret, "keys": keys, "jwks_uri": place, "refreshes": self.refreshes,
        })
    }

    /// One that has registered, as it was kept.
    #[must_use]
    pub fn of_value(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let secret = match value.get("secret")?.as_array() {
            None => None,
            Some(bytes) => {
                let bytes = bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok());
                Some(bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?)
            }
        };
        let own = value.get("keys").and_then(Value::as_array).map(|keys| ClientKeys::Own(keys.clone()));
        let redirects = value.get("redirects")?.as_array()?.iter().filter_map(Value::as_str);
        Some(Self {
            id: text("id")?,
            name: text("name")?,
            redirects: redirects.map(str::to_owned).collect(),
            method: ClientMethod::of_word(&text("method")?)?,
            secret,
            keys: own.or_else(|| text("jwks_uri").map(ClientKeys::At)),
            refreshes: value.get("refreshes")?.as_bool()?,
            source: ClientSource::Registration,
        })
    }
}

fn redirects(members: &Map<String, Value>) -> Result<Vec<String>, (&'static str, String)> {
    let wrong = |text: String| ("invalid_redirect_uri", text);
    let all = strings(members, "redirect_uris").map_err(|(_, text)| wrong(text))?.unwrap_or_default();
    if all.is_empty() || all.len() > REDIRECTS_MAX {
        return Err(wrong(format!("redirect_uris has none, or more than {REDIRECTS_MAX}")));
    }
    match all.iter().find_map(|uri| redirect::fault(uri)) {
        Some(fault) => Err(wrong(format!("one of redirect_uris cannot be used: {fault}"))),
        None => Ok(all),
    }
}

fn strings(members: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, (&'static str, String)> {
    let wrong = || ("invalid_client_metadata", format!("{name} is no list of strings"));
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let all = value.as_array().ok_or_else(wrong)?.iter();
            all.map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect::<Result<_, _>>()
                .map(Some)
        }
    }
}

fn keys(
    members: &Map<String, Value>,
    place: Option<&str>,
) -> Result<Option<ClientKeys>, (&'static str, String)> {
    let wrong = |text: &str| ("invalid_client_metadata", text.to_owned());
    match (members.get("jwks"), place) {
        (Some(_), Some(_)) => Err(wrong("jwks and jwks_uri exclude one another")),
        (Some(set), None) => {
            let all = set.get("keys").and_then(Value::as_array).filter(|all| all.len() <= KEYS_MAX);
            Ok(Some(ClientKeys::Own(all.ok_or_else(|| wrong("jwks is no set of keys"))?.clone())))
        }
        (None, Some(place)) if place.starts_with("https://") => Ok(Some(ClientKeys::At(place.to_owned()))),
        (None, Some(_)) => Err(wrong("jwks_uri is no https URL")),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(members: Value, source: ClientSource) -> Result<KnownClient, (&'static str, String)> {
        let Value::Object(members) = members else { panic!("an object") };
        KnownClient::of_metadata("c", &members, source)
    }

    #[test]
    fn what_a_client_says_of_itself_is_read_strictly() {
        let good = json!({
            "redirect_uris": ["http://127.0.0.1/cb"], "client_name": " Ed\u{202e}itor\n ",
            "token_endpoint_auth_method": "none", "application_type": "native", "unknown": [1],
        });
        let client = read(good, ClientSource::Registration).expect("a client");
        assert_eq!((client.name.as_str(), client.method), ("Editor", ClientMethod::Public));
        assert!(client.refreshes);
        assert_eq!(KnownClient::of_value(&client.to_value()), Some(client));
        let uri = json!(["https://a.example/cb"]);
        for (members, word) in [
            (json!({}), "invalid_redirect_uri"),
            (json!({"redirect_uris": []}), "invalid_redirect_uri"),
            (json!({"redirect_uris": "https://a.example/"}), "invalid_redirect_uri"),
            (json!({"redirect_uris": ["javascript:alert(1)"]}), "invalid_redirect_uri"),
            (
                json!({"redirect_uris": ["http://127.0.0.1/"], "application_type": "web"}),
                "invalid_redirect_uri",
            ),
            (json!({"redirect_uris": vec!["https://a.example/"; 17]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": uri, "client_name": 1}), "invalid_client_metadata"),
            (json!({"redirect_uris": uri, "grant_types": ["password"]}), "invalid_client_metadata"),
            (json!({"redirect_uris": uri, "grant_types": "x"}), "invalid_client_metadata"),
            (json!({"redirect_uris": uri, "token_endpoint_auth_method": "tls"}), "invalid_client_metadata"),
            (
                json!({"redirect_uris": uri, "token_endpoint_auth_method": "private_key_jwt"}),
                "invalid_client_metadata",
            ),
            (json!({"redirect_uris": uri, "jwks_uri": "http://a.example/"}), "invalid_client_metadata"),
            (
                json!({"redirect_uris": uri, "jwks_uri": "https://a.example/", "jwks": {"keys": []}}),
                "invalid_client_metadata",
            ),
            (json!({"redirect_uris": uri, "jwks": []}), "invalid_client_metadata"),
        ] {
            let found = read(members.clone(), ClientSource::Registration).map_err(|(word, _)| word);
            assert_eq!(found, Err(word), "{members}");
        }
        let secret = json!({"redirect_uris": uri, "token_endpoint_auth_method": "client_secret_post"});
        assert!(read(secret, ClientSource::Document).is_err(), "a secret that everybody can read");
    }
}
