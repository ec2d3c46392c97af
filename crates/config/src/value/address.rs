//! Addresses that may differ from one machine to the next under the same configuration.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::SecretErrorKind;

/// An address or a URL of this machine's own: written out, or in a variable of the gateway's environment, as
/// in `{env: NAME}`. So one file serves all replicas. It is no secret, and is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// The text itself.
    Here(String),
    /// The name of the variable.
    Env(String),
}

impl Address {
    /// The text, where it is written out.
    pub(crate) fn written_out(&self) -> Option<&str> {
        match self {
            Self::Here(text) => Some(text),
            Self::Env(_) => None,
        }
    }

    /// Looks the text up: a variable with `env`.
    ///
    /// # Errors
    /// [`SecretErrorKind::NoVariable`] and [`SecretErrorKind::Empty`].
    pub fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<String, SecretErrorKind> {
        match self {
            Self::Here(text) => Ok(text.clone()),
            Self::Env(name) => match env(name) {
                None => Err(SecretErrorKind::NoVariable(name.clone())),
                Some(text) if text.is_empty() => Err(SecretErrorKind::Empty),
                Some(text) => Ok(text),
            },
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Here(text) => serializer.serialize_str(text),
            Self::Env(name) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("env", name)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The reader gives a map to whoever asks for text and can take it.
        deserializer.deserialize_str(TextOrVariable)
    }
}

/// Where the text is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    env: String,
}

struct TextOrVariable;

impl<'de> Visitor<'de> for TextOrVariable {
    type Value = Address;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or {env: NAME}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
        Ok(Address::Here(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Address, A::Error> {
        let Variable { env } = Variable::deserialize(MapAccessDeserializer::new(map))?;
        if env.is_empty() || env.contains(['=', '\0']) {
            return Err(de::Error::custom("\"env\" must be the name of a variable"));
        }
        Ok(Address::Env(env))
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An address or a URL, or the variable that has it: `{env: NAME}`.",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": {
                        "env": {
                            "type": "string",
                            "description": "A variable of the gateway's environment.",
                        },
                    },
                    "required": ["env"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_where_it_is_and_is_shown_as_it_was_written() {
        let env = |name: &str| match name {
            "URL" => Some("http://10.0.0.7:1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let found = |address: &Address| address.resolve(&env).map_err(|error| error.to_string());
        for (address, text, shown) in [
            (Address::Here("http://a:1".to_owned()), Ok("http://a:1".to_owned()), r#""http://a:1""#),
            (Address::Env("URL".to_owned()), Ok("http://10.0.0.7:1".to_owned()), r#"{"env":"URL"}"#),
            (Address::Env("EMPTY".to_owned()), Err("it is empty".to_owned()), r#"{"env":"EMPTY"}"#),
            (
                Address::Env("NOPE".to_owned()),
                Err("the environment variable NOPE is not set".to_owned()),
                r#"{"env":"NOPE"}"#,
            ),
        ] {
            assert_eq!(found(&address), text);
            assert_eq!(serde_json::to_string(&address).expect("it is text"), shown);
        }
    }
}
