//! Secrets that stand in a configuration, found and moved out of it.

use std::fmt;

use crate::model::Deployment;
use crate::text::{Piece, Text};

/// A secret that stands in a configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// Where: `servers.files.env.API_KEY`.
    pub path: String,
    /// The server that has it; `None`: it is a key that is taken.
    pub server: Option<String>,
    /// Whether it can be moved elsewhere and named by where it is: in `env`, `headers` and the OAuth client's
    /// secret it can, in a command or a URL it cannot.
    pub movable: bool,
}

/// A secret that was moved out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Where it was.
    pub path: String,
    /// The server that had it; `None`: it is a key that is taken.
    pub server: Option<String>,
    /// Where it belongs now, as the caller named it.
    pub place: String,
    /// The secret.
    pub value: SecretValue,
}

/// A secret. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// The value itself, to be stored and not to be shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What well-known secrets begin with, and how long they are at least.
const BEGINNINGS: [(&str, usize); 22] = [
    ("sk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xapp-", 16),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 30),
    ("npm_", 20),
    ("pypi-", 20),
    ("hf_", 20),
    ("eyJ", 40),
    ("ntn_", 20),
    ("-----BEGIN", 20),
];

/// Words in the names of what is secret.
const NAMES: [&str; 14] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "private_key",
    "credential",
    "authorization",
    "cookie",
];

/// Whether a text has the form of a well-known kind of secret.
#[must_use]
pub fn looks_secret(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.+/".contains(c);
    text.split(|c: char| !is_word(c))
        .any(|word| BEGINNINGS.iter().any(|(start, len)| word.len() >= *len && word.starts_with(start)))
        || text.contains("-----BEGIN")
}

/// Whether a variable, a header or an option of this name has a secret.
fn names_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let ends = ["_key", "-key", "_pat", "_pass", "_pwd", "_auth", "_dsn"];
    NAMES.iter().any(|word| lower.contains(word))
        || ends.iter().any(|end| lower.ends_with(end))
        || matches!(lower.as_str(), "key" | "pat" | "pass" | "pwd" | "auth" | "pin")
}

/// Values that are no secrets whatever they are called: switches, and places of secrets.
fn is_harmless(value: &str) -> bool {
    let word = value.trim();
    word.is_empty()
        || matches!(word.to_ascii_lowercase().as_str(), "true" | "false" | "0" | "1" | "none" | "null")
        || (word.starts_with('/') && !word.contains(char::is_whitespace) && word.len() < 200)
        || (word.starts_with('<') && word.ends_with('>'))
}

/// Whether a value that stands there itself is a secret, by its name and its look.
fn is_secret(name: &str, value: &Text) -> bool {
    let has_reference = value.as_plain().is_none();
    value.plain_pieces().any(|plain| {
        // `Bearer ` before a reference is no secret.
        let named = names_secret(name) && !has_reference && !is_harmless(plain);
        named || looks_secret(plain) || has_password(plain)
    })
}

/// Whether a URL has a user's password: `postgres://user:password@host`.
fn has_password(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        user.is_some_and(|(_, password)| !password.is_empty())
    })
}

/// Whether a URL's query has a value whose name says that it is a secret.
fn has_secret_query(text: &str) -> bool {
    let Some((_, query)) = text.split_once('?') else { return false };
    query.split(['&', '#']).any(|pair| {
        pair.split_once('=').is_some_and(|(name, value)| names_secret(name) && !is_harmless(value))
    })
}

/// All secrets that stand in a deployment themselves, as far as names and looks tell.
#[must_use]
pub fn inline(deployment: &Deployment) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut copy = deployment.clone();
    visit(&mut copy, &mut |path, server, movable, _, _| {
        found.push(Inline { path: path.to_owned(), server: server.map(str::to_owned), movable });
    });
    found
}

/// Takes all secrets out that can be moved, and puts in where they are: `place` names a file for the path at
/// which a secret was, or gives `None` to leave it there.
pub fn move_inline(deployment: &mut Deployment, place: &mut dyn FnMut(&str) -> Option<String>) -> Vec<Moved> {
    let mut moved = Vec::new();
    visit(deployment, &mut |path, server, movable, name, value| {
        let Some(plain) = value.as_plain().filter(|_| movable).map(str::to_owned) else { return };
        let Some(file) = place(path) else { return };
        // The word before a token is no part of the secret, so that the file has what others expect in it.
        let scheme = ["Bearer ", "Basic ", "Token ", "token ", "bearer "]
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case("authorization") && plain.starts_with(scheme));
        let scheme = scheme.unwrap_or_default();
        *value = Text::plain(scheme).with(Piece::File(file.clone()));
        let secret = SecretValue(plain[scheme.len()..].to_owned());
        let server = server.map(str::to_owned);
        moved.push(Moved { path: path.to_owned(), server, place: file, value: secret });
    });
    moved
}

type Visitor<'a> = dyn FnMut(&str, Option<&str>, bool, &str, &mut Text) + 'a;

/// Calls with each text that has a secret: where it is, of which server, whether it can be moved, its name,
/// itself.
fn visit(deployment: &mut Deployment, found: &mut Visitor<'_>) {
    for (name, server) in &mut deployment.servers {
        for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
            for (key, value) in values {
                if is_secret(key, value) {
                    let movable = value.as_plain().is_some();
                    found(&format!("servers.{name}.{part}.{key}"), Some(name), movable, key, value);
                }
            }
        }
        if let Some(secret) = server.oauth.as_mut().and_then(|oauth| oauth.client_secret.as_mut())
            && is_secret("client_secret", secret)
        {
            let (at, movable) = (format!("servers.{name}.oauth.client_secret"), secret.as_plain().is_some());
            found(&at, Some(name), movable, "", secret);
        }
        if let Some(url) = &mut server.url {
            let has = |plain: &str| has_secret_query(plain) || has_password(plain) || looks_secret(plain);
            if url.plain_pieces().any(has) {
                found(&format!("servers.{name}.url"), Some(name), false, "", url);
            }
        }
        words(&mut server.argv, &format!("servers.{name}.command"), name, found);
        if let Some(container) = &mut server.container {
            words(&mut container.args, &format!("servers.{name}.container.args"), name, found);
        }
    }
    for key in &mut deployment.gateway.keys {
        if let Some(value) = key.value.as_mut().filter(|value| value.as_plain().is_some()) {
            found(&format!("gateway.keys.{}", key.name), None, true, "", value);
        }
    }
}

/// The same for the words of a command.
fn words(words: &mut [Text], at: &str, server: &str, found: &mut Visitor<'_>) {
    let mut option = String::new();
    for (index, word) in words.iter_mut().enumerate() {
        let plain = word.as_plain().unwrap_or_default().to_owned();
        let (name_of, value) = plain.split_once('=').unwrap_or((option.as_str(), plain.as_str()));
        let after_option = name_of.starts_with('-') && names_secret(name_of) && !is_harmless(value);
        let is_value = after_option && !value.starts_with('-');
        if is_value || word.plain_pieces().any(|p| looks_secret(p) || has_password(p)) {
            found(&format!("{at}[{index}]"), Some(server), false, "", word);
        }
        option = plain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Server;

    #[test]
    fn secrets_are_found_by_their_names_and_looks() {
        let mut server =
            Server::program(&["srv", "--api-key", "hunter2", "--token=hunter2", "--verbose", "x"]);
        server.env = [
            ("API_KEY", Text::plain("hunter2")),
            ("LEVEL", Text::plain("debug")),
            ("TOKEN_FILE", Text::plain("/run/secrets/token")),
            ("TOKEN", Text::env("TOKEN")),
            ("DB", Text::plain("postgres://u:hunter2@db/x")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut deployment = Deployment::default();
        deployment.servers.insert("a".to_owned(), server);
        let found: Vec<_> = inline(&deployment).into_iter().map(|one| (one.path, one.movable)).collect();
        assert_eq!(
            found,
            [
                ("servers.a.env.API_KEY".to_owned(), true),
                ("servers.a.env.DB".to_owned(), true),
                ("servers.a.command[2]".to_owned(), false),
                ("servers.a.command[3]".to_owned(), false),
            ]
        );
    }

    #[test]
    fn a_secret_that_is_moved_leaves_where_it_is() {
        let mut server = Server::at("https://example.com/mcp");
        server.headers.insert("Authorization".to_owned(), Text::plain("Bearer hunter2"));
        let mut deployment = Deployment::default();
        deployment.servers.insert("a".to_owned(), server);
        let moved = move_inline(&mut deployment, &mut |_| Some("secrets/a".to_owned()));
        assert_eq!(moved[0].value.expose(), "hunter2");
        assert!(!format!("{moved:?}{deployment:?}").contains("hunter"));
        let left = &deployment.servers["a"].headers["Authorization"];
        assert_eq!(left, &Text::plain("Bearer ").with(Piece::File("secrets/a".to_owned())));
        assert!(inline(&deployment).is_empty());
    }
}
