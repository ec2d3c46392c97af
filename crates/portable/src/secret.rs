//! Secrets that stand in a configuration, found and moved out of it.

use std::fmt;

use config::suspect;
use serde_json::Value;

use crate::model::Deployment;
use crate::syntax::{Source, parse_json, parse_toml, parse_yaml};
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

/// Whether a value that stands there itself has a secret, by its name and its look.
fn is_secret(name: &str, value: &Text) -> bool {
    match value.as_plain() {
        Some(plain) => !suspect::in_value(name, plain).is_empty(),
        // `Bearer ` before a reference is no secret, whatever it is called.
        None => value.plain_pieces().any(|plain| !suspect::in_value("", plain).is_empty()),
    }
}

/// All secrets that stand in a deployment themselves, as far as names and looks tell.
#[must_use]
pub fn inline(deployment: &Deployment) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut copy = deployment.clone();
    visit(&mut copy, &mut |path, server, movable, _| {
        found.push(Inline { path: path.to_owned(), server: server.map(str::to_owned), movable });
    });
    found
}

/// A text that is shown, with `[secret]` in the place of every secret of the texts that it is about, as far
/// as their names and looks tell: JSON, TOML or YAML, or else line by line.
#[must_use]
pub fn hide(shown: &str, about: &[&str]) -> String {
    let mut secrets = Vec::new();
    for text in about {
        let Ok(source) = Source::new(text, "") else { continue };
        let read = parse_json(&source).or_else(|_| parse_toml(&source)).or_else(|_| parse_yaml(&source));
        let mut value = read.map(|root| root.to_value()).unwrap_or_default();
        without_names(&mut value);
        secrets.extend(suspect::in_tree(&value));
    }
    suspect::mask_lines(&suspect::mask(shown, &secrets))
}

/// Takes out what names a secret of ours by where it is: `{credential: NAME}`.
fn without_names(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_names),
        Value::Object(map) => {
            map.retain(|_, inner| {
                let names = inner.as_object().is_some_and(|inner| {
                    inner.contains_key("credential")
                        && inner.keys().all(|key| matches!(key.as_str(), "credential" | "prefix"))
                });
                !names
            });
            map.values_mut().for_each(without_names);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes all secrets out that can be moved, and puts in where they are: `place` names a file for the path at
/// which a secret was, or gives `None` to leave it there.
pub fn move_inline(deployment: &mut Deployment, place: &mut dyn FnMut(&str) -> Option<String>) -> Vec<Moved> {
    let mut moved = Vec::new();
    visit(deployment, &mut |path, server, movable, value| {
        let Some(plain) = value.as_plain().filter(|_| movable).map(str::to_owned) else { return };
        let Some(file) = place(path) else { return };
        // The word before a token is no part of the secret, so that the file has what others expect in it.
        let scheme = ["Bearer ", "Basic ", "Token ", "token ", "bearer "]
            .into_iter()
            .find(|scheme| plain.strip_prefix(scheme).is_some_and(|rest| !rest.contains(' ')));
        let scheme = scheme.unwrap_or_default();
        *value = Text::plain(scheme).with(Piece::File(file.clone()));
        let secret = SecretValue(plain[scheme.len()..].to_owned());
        let server = server.map(str::to_owned);
        moved.push(Moved { path: path.to_owned(), server, place: file, value: secret });
    });
    moved
}

type Visitor<'a> = dyn FnMut(&str, Option<&str>, bool, &mut Text) + 'a;

/// Calls with each text that has a secret: where it is, of which server, whether it can be moved,
/// itself.
fn visit(deployment: &mut Deployment, found: &mut Visitor<'_>) {
    for (name, server) in &mut deployment.servers {
        for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
            for (key, value) in values {
                if is_secret(key, value) {
                    let movable = value.as_plain().is_some();
                    found(&format!("servers.{name}.{part}.{key}"), Some(name), movable, value);
                }
            }
        }
        if let Some(secret) = server.oauth.as_mut().and_then(|oauth| oauth.client_secret.as_mut())
            && is_secret("client_secret", secret)
        {
            let (at, movable) = (format!("servers.{name}.oauth.client_secret"), secret.as_plain().is_some());
            found(&at, Some(name), movable, secret);
        }
        if let Some(url) = &mut server.url
            && is_secret("", url)
        {
            found(&format!("servers.{name}.url"), Some(name), false, url);
        }
        words(&mut server.argv, &format!("servers.{name}.command"), name, found);
        if let Some(container) = &mut server.container {
            words(&mut container.args, &format!("servers.{name}.container.args"), name, found);
        }
    }
    for key in &mut deployment.gateway.keys {
        if let Some(value) = key.value.as_mut().filter(|value| value.as_plain().is_some()) {
            found(&format!("gateway.keys.{}", key.name), None, true, value);
        }
    }
}

/// The same for the words of a command.
fn words(words: &mut [Text], at: &str, server: &str, found: &mut Visitor<'_>) {
    // What is looked up later is nothing here.
    let plain: Vec<&str> = words.iter().map(|word| word.as_plain().unwrap_or_default()).collect();
    let among: Vec<usize> = suspect::in_words(&plain).into_iter().map(|(index, _)| index).collect();
    for (index, word) in words.iter_mut().enumerate() {
        if among.contains(&index) || (word.as_plain().is_none() && is_secret("", word)) {
            found(&format!("{at}[{index}]"), Some(server), false, word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Server;

    #[test]
    fn what_is_shown_has_no_secret_of_any_kind_of_file() {
        let json = r#"{"a": {"command": "x", "args": ["--token", "hunter2"], "env": {"API_KEY": "hunter2"},
            "url": "https://u:hunter2@h/mcp?api_key=hunter2"}}"#;
        let toml = "[mcp.a]\nurl = \"https://h/mcp?token=hunter2\"\nbearer_token = \"hunter2\"\n";
        let yaml = "a:\n  args: [--token, hunter2]\n  headers: {Authorization: Bearer hunter2}\n";
        for text in [json, toml, yaml] {
            let shown = hide(text, &[text]);
            assert!(!shown.contains("hunter2") && shown.contains("[secret]"), "{shown}");
        }
        let named = "store:\n  url: {credential: database}\n";
        assert_eq!(hide(named, &[named]), named, "the name of a secret is none");
        // What is no such text is looked at line by line.
        assert_eq!(hide("+ \"token\": \"hunter2\",\n", &["{"]), "+ \"token\": \"[secret]\",\n");
    }

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
