//! Values that may be secret: written out, or named by where they are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Span;

/// What is shown in place of a value.
pub(crate) const HIDDEN: &str = "[secret]";

/// The longest secret in a file, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// A value that may be secret.
///
/// In text: either the value itself, or where it is: `{env: NAME}`, `{file: PATH}`, `{credential: NAME}` or
/// `{command: [PROGRAM, …]}`, with `prefix: "Bearer "` for what stands before it. It is never shown, not even
/// where it was written out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret {
    place: Place,
    prefix: String,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Here(String),
    Env(String),
    File(PathBuf),
    Credential(String),
    Command(SecretCommand),
}

/// A program that prints a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretCommand {
    /// The program and its arguments. No shell reads them.
    pub command: Vec<String>,
    /// The variables of the gateway's environment that it gets besides the usual ones.
    pub pass: Vec<String>,
    /// How long it may take.
    pub timeout: Span,
}

/// Where bytes of a secret are that is no variable.
#[derive(Debug, Clone, Copy)]
pub enum SecretPlace<'a> {
    /// In this file.
    File(&'a Path),
    /// In what this program prints.
    Command(&'a SecretCommand),
}

/// Gets the bytes of a secret, at most one more than [`SECRET_BYTES_MAX`].
pub type Fetch<'a> = dyn Fn(SecretPlace<'_>) -> io::Result<Vec<u8>> + 'a;

/// The variable that names the folder of a service's credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// How long a program may take where nothing is said.
const COMMAND_TIMEOUT: Span = Span::from_secs(10);
/// The longest time that may be given to one.
const COMMAND_TIMEOUT_MAX: Span = Span::from_secs(60);
/// How many arguments it may have, and how many variables it may get.
const COMMAND_PARTS_MAX: usize = 64;

/// A secret that was looked up. It is never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretText(String);

/// A secret that cannot be had. The text completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[error("read the value of {at}")]
pub struct SecretError {
    /// The key that the secret belongs to, as in `headers.authorization`.
    pub at: String,
    /// Why not.
    #[source]
    pub kind: SecretErrorKind,
}

/// Why a secret cannot be had. Never contains any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretErrorKind {
    /// There is no such variable, or its value is not UTF-8.
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("the file {path} cannot be read", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The program was not started, failed, or took too long.
    #[error("the program {program} gives no value")]
    Command {
        /// Which program.
        program: String,
        /// What the system says; never what the program printed.
        #[source]
        source: io::Error,
    },
    /// The variable or the file is empty, which is nearly always a mistake in the deployment.
    #[error("it is empty")]
    Empty,
    /// The file has more than [`SECRET_BYTES_MAX`] bytes.
    #[error("it has more than {SECRET_BYTES_MAX} bytes")]
    Long,
    /// The file is not text.
    #[error("it is not UTF-8")]
    NotText,
    /// It has characters that a header or a variable cannot carry.
    #[error("it has characters that cannot be sent")]
    Unsendable,
}

impl Secret {
    /// A value that is written out.
    #[must_use]
    pub fn plain(value: impl Into<String>) -> Self {
        Self { place: Place::Here(value.into()), prefix: String::new() }
    }

    /// A value in a variable of the gateway's environment.
    #[must_use]
    pub fn env(name: impl Into<String>) -> Self {
        Self { place: Place::Env(name.into()), prefix: String::new() }
    }

    /// A value in a file; the end of the last line does not belong to it.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::File(path.into()), prefix: String::new() }
    }

    /// The same with `prefix` before the value, as in `Bearer `.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Whether the value stands somewhere else.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        !matches!(self.place, Place::Here(_))
    }

    /// The value, where it is written out, for checks that do not show it.
    pub(crate) fn written_out(&self) -> Option<&str> {
        match &self.place {
            Place::Here(value) => Some(value),
            Place::Env(_) | Place::File(_) | Place::Credential(_) | Place::Command(_) => None,
        }
    }

    /// What stands before the value.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Makes a relative path start at `folder`.
    pub(crate) fn anchor(&mut self, folder: &Path) {
        if let Place::File(path) = &mut self.place {
            *path = folder.join(&*path);
        }
    }

    /// Looks the value up: a variable with `env`, what a file holds or a program prints with `fetch`.
    ///
    /// # Errors
    /// [`SecretErrorKind`]; it never contains any of the value.
    pub fn resolve(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        fetch: &Fetch<'_>,
    ) -> Result<SecretText, SecretErrorKind> {
        let value = match &self.place {
            Place::Here(value) => return Ok(SecretText(format!("{}{value}", self.prefix))),
            Place::Env(name) => env(name).ok_or_else(|| SecretErrorKind::NoVariable(name.clone()))?,
            Place::File(path) => from_file(path, fetch)?,
            Place::Credential(name) => {
                let folder = env(CREDENTIALS).filter(|folder| !folder.is_empty());
                let folder = folder.ok_or_else(|| SecretErrorKind::NoVariable(CREDENTIALS.to_owned()))?;
                from_file(&Path::new(&folder).join(name), fetch)?
            }
            Place::Command(command) => {
                let program = command.command.first().cloned().unwrap_or_default();
                let failed = |source| SecretErrorKind::Command { program, source };
                text(fetch(SecretPlace::Command(command)).map_err(failed)?)?
            }
        };
        if value.is_empty() {
            return Err(SecretErrorKind::Empty);
        }
        Ok(SecretText(format!("{}{value}", self.prefix)))
    }
}

fn from_file(path: &Path, fetch: &Fetch<'_>) -> Result<String, SecretErrorKind> {
    let failed = |source| SecretErrorKind::File { path: path.to_owned(), source };
    text(fetch(SecretPlace::File(path)).map_err(failed)?)
}

/// A value of these bytes, without the ends of lines behind it.
fn text(bytes: Vec<u8>) -> Result<String, SecretErrorKind> {
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(SecretErrorKind::Long);
    }
    let mut text = String::from_utf8(bytes).map_err(|_| SecretErrorKind::NotText)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

impl SecretText {
    /// A value that is not shown from now on.
    pub(crate) fn new(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// The value itself, to be sent and not to be shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    /// A reference as it was written, a value as `[secret]`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.written_out().is_some() {
            return serializer.serialize_str(HIDDEN);
        }
        let mut map = serializer.serialize_map(None)?;
        match &self.place {
            Place::Here(_) => {}
            Place::Env(name) => map.serialize_entry("env", name)?,
            Place::File(path) => map.serialize_entry("file", &path.display().to_string())?,
            Place::Credential(name) => map.serialize_entry("credential", name)?,
            Place::Command(SecretCommand { command, pass, timeout }) => {
                map.serialize_entry("command", command)?;
                if !pass.is_empty() {
                    map.serialize_entry("pass", pass)?;
                }
                if *timeout != COMMAND_TIMEOUT {
                    map.serialize_entry("timeout", timeout)?;
                }
            }
        }
        if !self.prefix.is_empty() {
            map.serialize_entry("prefix", &self.prefix)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `any`: so a number comes as it was written, and `0755` stays `0755`.
        deserializer.deserialize_str(TextOrReference)
    }
}

/// Where a value is.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Reference {
    env: Option<String>,
    file: Option<PathBuf>,
    credential: Option<String>,
    command: Option<Vec<String>>,
    pass: Option<Vec<String>>,
    timeout: Option<Span>,
    prefix: String,
}

impl Reference {
    /// Where the value is; or what is wrong.
    fn place(self) -> Result<Place, &'static str> {
        let Self { env, file, credential, command, pass, timeout, .. } = self;
        let is_command = command.is_some();
        let given = [env.is_some(), file.is_some(), credential.is_some(), is_command];
        match given.iter().filter(|given| **given).count() {
            0 => return Err("say where the value is: {env: NAME} or {file: PATH}"),
            1 => {}
            _ => return Err("give one of \"env\", \"file\", \"credential\" and \"command\", not several"),
        }
        if !is_command && (pass.is_some() || timeout.is_some()) {
            return Err("\"pass\" and \"timeout\" are for a \"command\"");
        }
        if let Some(name) = env {
            let wrong = name.is_empty() || name.contains(['=', '\0']);
            return if wrong { Err("\"env\" must be the name of a variable") } else { Ok(Place::Env(name)) };
        }
        if let Some(path) = file {
            let wrong = path.as_os_str().is_empty();
            return if wrong { Err("\"file\" must be the path of a file") } else { Ok(Place::File(path)) };
        }
        if let Some(name) = credential {
            let wrong = name.is_empty() || name.contains(['/', '\0']) || name == "." || name == "..";
            let message = "\"credential\" must be the name of a credential, without a folder";
            return if wrong { Err(message) } else { Ok(Place::Credential(name)) };
        }
        let (command, pass) = (command.unwrap_or_default(), pass.unwrap_or_default());
        let timeout = timeout.unwrap_or(COMMAND_TIMEOUT);
        if command.first().is_none_or(String::is_empty) || command.len() > COMMAND_PARTS_MAX {
            return Err("\"command\" must be a program with at most 63 arguments");
        }
        if command.iter().any(|part| part.contains('\0')) {
            return Err("\"command\" has a character that no argument can have");
        }
        if pass.len() > COMMAND_PARTS_MAX
            || pass.iter().any(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err("\"pass\" must be at most 64 names of variables");
        }
        if timeout < Span::from_millis(1) || timeout > COMMAND_TIMEOUT_MAX {
            return Err("\"timeout\" must be more than nothing and at most 1m");
        }
        Ok(Place::Command(SecretCommand { command, pass, timeout }))
    }
}

struct TextOrReference;

impl<'de> Visitor<'de> for TextOrReference {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, {env: NAME} or {file: PATH}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        if text == HIDDEN {
            return Err(E::custom(
                "\"[secret]\" is what is shown in place of a value; write the value itself",
            ));
        }
        Ok(Secret::plain(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
        let reference = Reference::deserialize(MapAccessDeserializer::new(map))?;
        let prefix = reference.prefix.clone();
        let place = reference.place().map_err(de::Error::custom)?;
        Ok(Secret { place, prefix })
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value, or where it is: `{env: NAME}`, `{file: PATH}`, `{credential: NAME}` or \
                            `{command: [PROGRAM, …]}`, with `prefix` for what stands before it.",
            "oneOf": [
                { "type": ["string", "number", "boolean"] },
                {
                    "type": "object",
                    "properties": {
                        "env": {
                            "type": "string",
                            "description": "A variable of the gateway's environment.",
                        },
                        "file": {
                            "type": "string",
                            "description": "A file; the end of the last line does not belong to the value.",
                        },
                        "credential": {
                            "type": "string",
                            "description": "A credential that systemd gives the service: a file in \
                                            `$CREDENTIALS_DIRECTORY`.",
                        },
                        "command": {
                            "type": "array",
                            "items": { "type": "string" },
                            "minItems": 1,
                            "description": "A program that prints the value, and its arguments; no shell \
                                            reads them.",
                        },
                        "pass": {
                            "type": "array",
                            "items": { "type": "string" },
                            "description": "The variables of the gateway's environment that the program gets \
                                            besides `PATH`, `HOME`, `LANG`, `TMPDIR` and `USER`.",
                        },
                        "timeout": {
                            "type": "string",
                            "description": "How long the program may take, at most `1m`; `10s` where nothing \
                                            is said.",
                        },
                        "prefix": { "type": "string", "description": "What stands before the value." },
                    },
                    "oneOf": [
                        { "required": ["env"] },
                        { "required": ["file"] },
                        { "required": ["credential"] },
                        { "required": ["command"] },
                    ],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("hunter2".to_owned()),
            "EMPTY" => Some(String::new()),
            "CREDENTIALS_DIRECTORY" => Some("/run/creds".to_owned()),
            _ => None,
        }
    }

    fn read(place: SecretPlace<'_>) -> io::Result<Vec<u8>> {
        let path = match place {
            SecretPlace::File(path) => path,
            SecretPlace::Command(command) => return Ok(command.command.join(" ").into_bytes()),
        };
        match path.to_str() {
            Some("/run/creds/token") => Ok(b"hunter4\n".to_vec()),
            Some("/token") => Ok(b"hunter2\r\n".to_vec()),
            Some("/newline") => Ok(b"\n".to_vec()),
            Some("/binary") => Ok(vec![0xff]),
            Some("/large") => Ok(vec![b'x'; SECRET_BYTES_MAX + 1]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn resolved(secret: &Secret) -> Result<String, String> {
        secret.resolve(&env, &read).map(|text| text.expose().to_owned()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_secret_is_found_where_it_is() {
        assert_eq!(resolved(&Secret::plain("x")), Ok("x".to_owned()));
        assert_eq!(resolved(&Secret::plain("")), Ok(String::new()));
        assert_eq!(resolved(&Secret::env("TOKEN")), Ok("hunter2".to_owned()));
        assert_eq!(resolved(&Secret::file("/token")), Ok("hunter2".to_owned()));
        let read = |text: &str| {
            let config = crate::load_str(&format!("store: {{url: {text}}}"), "f");
            config.map(|config| config.store.url.expect("a URL")).map_err(|faults| faults.to_string())
        };
        let credential = read(r#"{"credential": "token"}"#).expect("a reference");
        assert_eq!(resolved(&credential), Ok("hunter4".to_owned()));
        let command = read(r#"{"command": ["vault", "read"], "pass": ["A"], "prefix": "x "}"#);
        assert_eq!(resolved(&command.expect("a reference")), Ok("x vault read".to_owned()));
        for (text, said) in [
            ("{}", "say where the value is"),
            (r#"{"env": "A", "file": "b"}"#, "not several"),
            (r#"{"env": "A", "pass": ["B"]}"#, "are for a \"command\""),
            (r#"{"credential": "../a"}"#, "without a folder"),
            (r#"{"credential": ".."}"#, "without a folder"),
            (r#"{"command": []}"#, "must be a program"),
            (r#"{"command": [""]}"#, "must be a program"),
            (r#"{"command": ["a"], "pass": ["B=c"]}"#, "names of variables"),
            (r#"{"command": ["a"], "timeout": "2m"}"#, "at most 1m"),
            (r#"{"command": ["a"], "timeout": "0s"}"#, "at most 1m"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
        let bearer = Secret::env("TOKEN").with_prefix("Bearer ");
        assert_eq!(resolved(&bearer), Ok("Bearer hunter2".to_owned()));
    }

    #[test]
    fn a_secret_that_is_missing_says_what_is_missing() {
        let cases = [
            (Secret::env("NOPE"), "the environment variable NOPE is not set"),
            (Secret::env("EMPTY"), "it is empty"),
            (Secret::file("/nope"), "the file /nope cannot be read"),
            (Secret::file("/newline"), "it is empty"),
            (Secret::file("/binary"), "it is not UTF-8"),
            (Secret::file("/large"), "it has more than 65536 bytes"),
        ];
        for (secret, expected) in cases {
            assert_eq!(resolved(&secret), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let plain = Secret::plain("hunter2").with_prefix("hunter3");
        let found = plain.resolve(&env, &read).expect("it is written out");
        for shown in [format!("{plain:?}"), plain.to_string(), format!("{found:?}"), found.to_string()] {
            assert_eq!(shown, "[secret]");
        }
        assert_eq!(serde_json::to_string(&plain).expect("it is text"), "\"[secret]\"");
        let reference = Secret::file("/token").with_prefix("Bearer ");
        let shown = serde_json::to_string(&reference).expect("it is text");
        assert_eq!(shown, r#"{"file":"/token","prefix":"Bearer "}"#);
    }
}
