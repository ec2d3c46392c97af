//! Patterns for names: `crm_*`, `files_read_?`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use wildmatch::WildMatch;

/// The longest pattern, in bytes. The names it is held against are as short.
pub const GLOB_BYTES_MAX: usize = 256;

/// A pattern for the names of tools and prompts: `*` is any text, also none, and `?` is any one character.
///
/// Everything else stands for itself, and case counts. The whole name must match.
#[derive(Clone)]
pub struct Glob {
    text: Box<str>,
    matcher: WildMatch,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It would match only the empty name.
    #[error("a pattern cannot be empty")]
    Empty,
    /// It is longer than any name.
    #[error("a pattern has at most {GLOB_BYTES_MAX} bytes")]
    Long,
    /// It uses what means something in other kinds of patterns, or what no name has.
    #[error("{0:?} cannot stand in a pattern; \"*\" is any text and \"?\" any one character")]
    Character(char),
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors [`GlobError`], where the text is empty, too long, or uses characters that other kinds of
    /// patterns give a meaning (`[`, `]`, `{`, `}`, `!`, `\`), white space or control characters.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.len() > GLOB_BYTES_MAX {
            return Err(GlobError::Long);
        }
        let bad =
            |c: &char| matches!(c, '[' | ']' | '{' | '}' | '!' | '\\') || c.is_whitespace() || c.is_control();
        match text.chars().find(bad) {
            Some(c) => Err(GlobError::Character(c)),
            None => Ok(Self { text: text.into(), matcher: WildMatch::new(text) }),
        }
    }

    /// The pattern that everything matches: `*`.
    #[must_use]
    pub fn all() -> Self {
        Self { text: "*".into(), matcher: WildMatch::new("*") }
    }

    /// Reads a pattern for a text of any kind, in which all but `*` and `?` stands for itself.
    ///
    /// # Errors [`GlobError`], where it is empty or too long.
    pub fn of_text(text: &str) -> Result<Self, GlobError> {
        match text.len() {
            0 => Err(GlobError::Empty),
            1..=GLOB_BYTES_MAX => Ok(Self { text: text.into(), matcher: WildMatch::new(text) }),
            _ => Err(GlobError::Long),
        }
    }

    /// Whether the whole `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matcher.matches(name)
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({:?})", self.text)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl Hash for Glob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        Self::new(text)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Glob {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A pattern for names: `*` is any text, `?` any one character.",
            "minLength": 1,
            "maxLength": GLOB_BYTES_MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let cases = [
            ("crm_*", "crm_lookup", true),
            ("crm_*", "crm_", true),
            ("crm_*", "crm", false),
            ("crm_*", "my_crm_x", false),
            ("*_read", "files_read", true),
            ("files_?ead", "files_read", true),
            ("files_?ead", "files_ead", false),
            ("*", "", true),
            ("a.b", "axb", false),
            ("Crm_*", "crm_x", false),
            ("**a**", "bab", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Glob::new(pattern).expect(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_for_a_text_takes_what_no_name_has() {
        let pattern = Glob::of_text("*[busy] try\\later!*").expect("a valid pattern");
        assert!(pattern.matches("all lines are [busy] try\\later!\n") && !pattern.matches("busy"));
        assert_eq!(Glob::of_text(""), Err(GlobError::Empty));
        assert_eq!(Glob::of_text(&"x".repeat(257)), Err(GlobError::Long));
        assert!(Glob::all().matches("") && Glob::all().matches("a b"));
    }

    #[test]
    fn a_pattern_of_another_language_is_refused() {
        assert_eq!(Glob::new(""), Err(GlobError::Empty));
        assert_eq!(Glob::new(&"x".repeat(257)), Err(GlobError::Long));
        for (pattern, c) in [("crm_[ab]", '['), ("{a,b}", '{'), ("!crm", '!'), ("a b", ' '), ("a\\*", '\\')] {
            assert_eq!(Glob::new(pattern), Err(GlobError::Character(c)), "{pattern}");
        }
    }
}
