//! Sets of people, by what they are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// People, as a rule names them: `role:core`, `group:security, owners`. Empty is nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Body(pub Vec<Part>);

/// A part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// Everybody in the ruleset.
    Anyone,
    /// Whoever wrote the proposal or a revision of it.
    Authors,
    /// Whoever sponsors the proposal.
    Sponsors,
    /// The group to which the proposal's domain is delegated, or else the one that owns it.
    Owners,
    /// A role of the ladder, and those above it.
    Role(String),
    /// A group.
    Group(String),
    /// One person.
    Person(String),
}

impl Body {
    /// Nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Body {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(part).collect::<Result<_, _>>().map(Self)
    }
}

fn part(text: &str) -> Result<Part, String> {
    match (text, text.split_once(':')) {
        ("anyone", _) => Ok(Part::Anyone),
        ("authors", _) => Ok(Part::Authors),
        ("sponsors", _) => Ok(Part::Sponsors),
        ("owners", _) => Ok(Part::Owners),
        (_, Some(("role", name))) => Ok(Part::Role(name.to_owned())),
        (_, Some(("group", name))) => Ok(Part::Group(name.to_owned())),
        (_, Some(("person", name))) => Ok(Part::Person(name.to_owned())),
        _ => Err(format!(
            "{text:?} names nobody: write \"role:NAME\", \"group:NAME\", \"person:NAME\", \"owners\", \
             \"sponsors\", \"authors\" or \"anyone\""
        )),
    }
}

impl TryFrom<String> for Body {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Body> for String {
    fn from(body: Body) -> Self {
        body.to_string()
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match part {
                Part::Anyone => f.write_str("anyone")?,
                Part::Authors => f.write_str("authors")?,
                Part::Sponsors => f.write_str("sponsors")?,
                Part::Owners => f.write_str("owners")?,
                Part::Role(name) => write!(f, "role:{name}")?,
                Part::Group(name) => write!(f, "group:{name}")?,
                Part::Person(name) => write!(f, "person:{name}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_written_as_it_is_read() {
        for text in ["", "anyone", "role:core, group:security", "owners, sponsors, authors, person:ann"] {
            assert_eq!(text.parse::<Body>().expect(text).to_string(), text);
        }
        for text in ["core", "role", "everyone", "roles:core"] {
            assert!(text.parse::<Body>().is_err(), "{text}");
        }
    }
}
