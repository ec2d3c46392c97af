//! What of a configuration is another thing elsewhere.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A value with a name, for values of other keys.
///
/// `${name}` in a value stands for it; a value that is nothing else takes its type. In a configuration with
/// variables, `$${` stands for the text `${`. A secret is no variable: see `{env: NAME}` and the like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Variable {
    /// What it is.
    ///
    /// A value of another type is refused, wherever it comes from. Since 0.1.
    pub r#type: VariableType,

    /// What it is where nothing else is said.
    ///
    /// `--set NAME=VALUE` goes before the environment, that before an overlay's default, and that before the
    /// default of the file below. By default a value has to be given. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalar")]
    pub default: Option<String>,

    /// The variable of the gateway's environment that has its value, where that is set.
    ///
    /// By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// What a variable is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VariableType {
    /// Text, also a duration, a size or a word.
    #[default]
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
}

impl VariableType {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Flag => "flag",
        }
    }
}

fn scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean"] })
}
