//! Texts with `{names}` in them, and what comes of them.

use std::fmt;

use serde::{Serialize, Serializer};

/// A text in which some `{names}` stand for values. A name that is not declared is text like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As it stands.
    Text(String),
    /// What is put here.
    Name(String),
}

impl Template {
    /// Splits a text. Values are put in once: what a value brings along is never a name.
    #[must_use]
    pub fn parse(text: &str, declared: impl Fn(&str) -> bool) -> Self {
        Self::split(text, "{", declared)
    }

    /// The same with names as bundles write them: `${name}`.
    pub(crate) fn parse_dollar(text: &str, declared: impl Fn(&str) -> bool) -> Self {
        Self::split(text, "${", declared)
    }

    fn split(text: &str, mark: &str, declared: impl Fn(&str) -> bool) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find(mark) {
            let after = &rest[open + mark.len()..];
            let name = after.find('}').map(|close| &after[..close]).filter(|name| declared(name));
            let Some(name) = name else {
                plain.push_str(&rest[..open + mark.len()]);
                rest = after;
                continue;
            };
            plain.push_str(&rest[..open]);
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Name(name.to_owned()));
            rest = &after[name.len() + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self(pieces)
    }

    /// The names in it, in their order, as often as they stand there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Whether it begins with a value that is put in.
    pub(crate) fn begins_with_name(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Name(_)))
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Puts values in. `None`: one of them is missing.
    #[must_use]
    pub fn fill(&self, mut value: impl FnMut(&str) -> Option<Value>) -> Option<Value> {
        let mut out = Value::default();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push(Part::Text(text.clone())),
                Piece::Name(name) => value(name)?.0.into_iter().for_each(|part| out.push(part)),
            }
        }
        Some(out)
    }
}

/// A part of a value.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// The secret of this name. Secrets themselves never come here.
    Secret(String),
}

/// What is put into an argument, a variable or a header.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Value(Vec<Part>);

impl Value {
    /// A plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// A secret by its name.
    #[must_use]
    pub fn secret(name: impl Into<String>) -> Self {
        Self(vec![Part::Secret(name.into())])
    }

    pub(crate) fn of(parts: Vec<Part>) -> Self {
        let mut value = Self::default();
        parts.into_iter().for_each(|part| value.push(part));
        value
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    fn push(&mut self, part: Part) {
        match (self.0.last_mut(), part) {
            (Some(Part::Text(last)), Part::Text(more)) => last.push_str(&more),
            (_, part) => self.0.push(part),
        }
    }

    /// The text, where there is no secret in it.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The names of its secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }
}

impl fmt::Display for Value {
    /// `Bearer [secret API_KEY]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Secret(name) => write!(f, "[secret {name}]"),
        })
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Value(vec![self.clone()]), f)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str, values: &[(&str, &str)]) -> String {
        let value = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let template = Template::parse(text, |name| value(name).is_some());
        template.fill(|name| value(name).map(Value::text)).expect("all there").to_string()
    }

    #[test]
    fn a_name_that_nobody_declared_stays_as_it_stands() {
        for (text, result) in [
            ("https://x/{region}/mcp", "https://x/eu/mcp"),
            ("{region}{region}", "eueu"),
            ("{other}", "{other}"),
            ("{", "{"),
            ("}", "}"),
            ("{}", "{}"),
            ("{{region}}", "{eu}"),
            ("{region", "{region"),
            ("{ region }", "{ region }"),
            ("${region}", "$eu"),
            ("", ""),
        ] {
            assert_eq!(filled(text, &[("region", "eu")]), result, "{text}");
        }
    }

    #[test]
    fn a_value_that_looks_like_a_name_is_not_looked_up_again() {
        assert_eq!(filled("{a}-{b}", &[("a", "{b}"), ("b", "{a}")]), "{b}-{a}");
        assert_eq!(filled("{{a}}", &[("a", "b"), ("b", "no")]), "{b}");
    }

    #[test]
    fn a_secret_is_shown_by_its_name_alone() {
        let template = Template::parse("Bearer {t}", |name| name == "t");
        let value = template.fill(|name| Some(Value::secret(name))).expect("there");
        assert_eq!(value.to_string(), "Bearer [secret t]");
        assert_eq!(value.as_text(), None);
        assert_eq!(value.secrets().collect::<Vec<_>>(), ["t"]);
    }

    proptest! {
        #[test]
        fn without_declared_names_every_text_is_itself(text in ".{0,60}") {
            prop_assert_eq!(filled(&text, &[]), text);
        }
    }
}
