//! The keywords of JSON Schema 2020-12 that are handed on, and what each holds.

use serde_json::Value;

/// What a keyword holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Schema,
    Schemas,
    SchemaMap,
    Text,
    Flag,
    Number,
    Count,
    Values,
    TextList,
    TextListMap,
    Any,
}

/// `None`: not a keyword of schemas that a client should see. `$id` and its like are refused elsewhere.
pub(crate) fn holds(keyword: &str) -> Option<Holds> {
    Some(match keyword {
        "additionalProperties"
        | "contains"
        | "contentSchema"
        | "else"
        | "if"
        | "items"
        | "not"
        | "propertyNames"
        | "then"
        | "unevaluatedItems"
        | "unevaluatedProperties" => Holds::Schema,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::Schemas,
        "dependentSchemas" | "patternProperties" | "properties" => Holds::SchemaMap,
        "contentEncoding" | "contentMediaType" | "description" | "format" | "pattern" | "title" => {
            Holds::Text
        }
        "deprecated" | "readOnly" | "uniqueItems" | "writeOnly" => Holds::Flag,
        "exclusiveMaximum" | "exclusiveMinimum" | "maximum" | "minimum" | "multipleOf" => Holds::Number,
        "maxContains" | "maxItems" | "maxLength" | "maxProperties" | "minContains" | "minItems"
        | "minLength" | "minProperties" => Holds::Count,
        "enum" | "examples" => Holds::Values,
        "required" => Holds::TextList,
        "dependentRequired" => Holds::TextListMap,
        "const" | "default" => Holds::Any,
        _ => return None,
    })
}

impl Holds {
    /// Whether a value without schemas has the form that the keyword demands. A list with one that has not is
    /// thrown away whole by clients that compile schemas.
    pub(crate) fn fits(self, value: &Value) -> bool {
        let texts = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
        match self {
            Self::Schema => value.is_object() || value.is_boolean(),
            Self::Schemas => value.as_array().is_some_and(|items| !items.is_empty()),
            Self::SchemaMap => value.is_object(),
            Self::Text => value.is_string(),
            Self::Flag => value.is_boolean(),
            Self::Number => value.is_number(),
            Self::Count => {
                value.as_u64().is_some() || value.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0)
            }
            Self::Values => value.as_array().is_some_and(|items| !items.is_empty()),
            Self::TextList => texts(value),
            Self::TextListMap => value.as_object().is_some_and(|map| map.values().all(texts)),
            Self::Any => true,
        }
    }
}

/// The names of types.
pub(crate) const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
