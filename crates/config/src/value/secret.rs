//! Values that may be secret: written out, or named by where they are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What is shown in place of a value.
const HIDDEN: &str = "[secret]";

/// The longest secret in a file, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// A value that may be secret.
///
/// In text: either the value itself, or where it is: `{env: NAME}` or `{file: PATH}`, with `prefix: "Bearer
/// "` for what stands before it. It is never shown, not even where it was written out.
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
}

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
            Place::Env(_) | Place::File(_) => None,
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

    /// Looks the value up: a variable with `env`, a file with `read`.
    ///
    /// # Errors
    /// [`SecretErrorKind`]; it never contains any of the value.
    pub fn resolve(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<SecretText, SecretErrorKind> {
        let value = match &self.place {
            Place::Here(value) => return Ok(SecretText(format!("{}{value}", self.prefix))),
            Place::Env(name) => env(name).ok_or_else(|| SecretErrorKind::NoVariable(name.clone()))?,
            Place::File(path) => {
                let failed = |source| SecretErrorKind::File { path: path.clone(), source };
                let bytes = read(path).map_err(failed)?;
                if bytes.len() > SECRET_BYTES_MAX {
                    return Err(SecretErrorKind::Long);
                }
                let mut text = String::from_utf8(bytes).map_err(|_| SecretErrorKind::NotText)?;
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
                text
            }
        };
        if value.is_empty() {
            return Err(SecretErrorKind::Empty);
        }
        Ok(SecretText(format!("{}{value}", self.prefix)))
    }
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
        let (key, value) = match &self.place {
            Place::Here(_) => return serializer.serialize_str(HIDDEN),
            Place::Env(name) => ("env", name.clone()),
            Place::File(path) => ("file", path.display().to_string()),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(key, &value)?;
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
    prefix: String,
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
        let Reference { env, file, prefix } = Reference::deserialize(MapAccessDeserializer::new(map))?;
        let secret = match (env, file) {
            (Some(name), None) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(de::Error::custom("\"env\" must be the name of a variable"))
            }
            (Some(name), None) => Ok(Secret::env(name)),
            (None, Some(path)) if path.as_os_str().is_empty() => {
                Err(de::Error::custom("\"file\" must be the path of a file"))
            }
            (None, Some(path)) => Ok(Secret::file(path)),
            (None, None) => Err(de::Error::custom("say where the value is: {env: NAME} or {file: PATH}")),
            (Some(_), Some(_)) => Err(de::Error::custom("give either \"env\" or \"file\", not both")),
        }?;
        Ok(secret.with_prefix(prefix))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value, or where it is: `{env: NAME}` or `{file: PATH}`, with `prefix` for what \
                            stands before it.",
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
                        "prefix": { "type": "string", "description": "What stands before the value." },
                    },
                    "oneOf": [{ "required": ["env"] }, { "required": ["file"] }],
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
            _ => None,
        }
    }

    fn read(path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
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
