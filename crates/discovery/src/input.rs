//! What a server asks of whoever sets it up.

use std::collections::BTreeMap;

use protocol::Raw;
use serde::Serialize;

use crate::fault::shown;
use crate::read::{Desk, Members, word};
use crate::write::{Extra, Out};

/// Characters of a text that is read.
pub(crate) const TEXT_CHARS_MAX: usize = 4_096;
/// Characters of a name.
pub(crate) const NAME_CHARS_MAX: usize = 256;
/// Inputs of one place: headers, arguments, variables, choices.
pub(crate) const INPUTS_MAX: usize = 100;
/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 18;

/// How a value is spelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Any text.
    #[default]
    String,
    /// A decimal number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// The name of a file or folder.
    Filepath,
}

const FORMATS: [(&str, Format); 4] = [
    ("string", Format::String),
    ("number", Format::Number),
    ("boolean", Format::Boolean),
    ("filepath", Format::Filepath),
];

/// One thing that is asked for, or given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// What it is, for a person.
    pub description: Option<String>,
    /// Whether nothing works without it.
    pub is_required: Option<bool>,
    /// Whether it may be shown to nobody.
    pub is_secret: Option<bool>,
    /// How it is spelled.
    pub format: Option<Format>,
    /// What it is where nothing is given.
    pub default: Option<String>,
    /// An example.
    pub placeholder: Option<String>,
    /// What it is, whatever is given.
    pub value: Option<String>,
    /// What it may be.
    pub choices: Vec<String>,
    /// A pattern that it matches (SEP-2742).
    pub pattern: Option<String>,
    /// How many characters it may have (SEP-2742).
    pub max_length: Option<usize>,
    /// All else.
    pub extra: Extra,
}

/// An input with a name, and the inputs that its value is made of: a header, a variable of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The input.
    pub input: Input,
    /// What stands for `{names}` in its value.
    pub variables: BTreeMap<String, Input>,
}

impl Input {
    pub(crate) fn read(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Self> {
        let mut members = Members::open(desk, at, raw)?;
        let input = Self::take(desk, &mut members);
        Some(Self { extra: members.rest(), ..input })
    }

    /// The members of an input, among others.
    pub(crate) fn take(desk: &mut Desk, members: &mut Members) -> Self {
        let mut input = Self {
            description: members.any_text(desk, "description", TEXT_CHARS_MAX),
            is_required: members.flag(desk, "isRequired"),
            is_secret: members.flag(desk, "isSecret"),
            format: None,
            default: members.any_text(desk, "default", TEXT_CHARS_MAX),
            placeholder: members.any_text(desk, "placeholder", TEXT_CHARS_MAX),
            value: members.any_text(desk, "value", TEXT_CHARS_MAX),
            choices: members.texts(desk, "choices", INPUTS_MAX, TEXT_CHARS_MAX).unwrap_or_default(),
            ..Self::default()
        };
        if let Some(format) = members.any_text(desk, "format", NAME_CHARS_MAX) {
            input.format = word(desk, &format!("{}/format", members.at), &format, &FORMATS);
        }
        if desk.auth {
            input.pattern = members.any_text(desk, "pattern", NAME_CHARS_MAX);
            input.max_length = members.take(desk, "maxLength").and_then(|found| {
                let max = found.raw.as_i64().and_then(|max| usize::try_from(max).ok());
                if max.is_none() {
                    desk.refuse(&found.at, "has to be a number from 0");
                }
                max
            });
        }
        input.look(desk, &members.at);
        input
    }

    /// What is not as it should be, and can be read all the same.
    fn look(&self, desk: &mut Desk, at: &str) {
        if self.secret() && (self.value.is_some() || self.default.is_some()) {
            desk.remark(at, "is called a secret, and its value is published here");
        }
        if let Some(default) = &self.default
            && !self.choices.is_empty()
            && !self.choices.contains(default)
        {
            desk.remark(at, format!("the default {} is none of the choices", shown(default)));
        }
    }

    pub(crate) fn write(&self, out: Out) -> Out {
        let format = self.format.map(|format| {
            FORMATS.iter().find(|(_, known)| *known == format).map_or("string", |(word, _)| *word)
        });
        let max = self.max_length.map(|max| Raw::from_value(&max.into()));
        out.some_text("description", self.description.as_deref())
            .some_flag("isRequired", self.is_required)
            .some_flag("isSecret", self.is_secret)
            .some_text("format", format)
            .some_text("default", self.default.as_deref())
            .some_text("placeholder", self.placeholder.as_deref())
            .some_text("value", self.value.as_deref())
            .texts("choices", &self.choices)
            .some_text("pattern", self.pattern.as_deref())
            .maybe("maxLength", max.as_ref())
            .extra(&self.extra)
    }

    /// Whether it may be shown to nobody.
    #[must_use]
    pub fn secret(&self) -> bool {
        self.is_secret == Some(true)
    }

    /// Whether nothing works without it.
    #[must_use]
    pub fn required(&self) -> bool {
        self.is_required == Some(true)
    }

    /// Whether this may be its value.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if value.chars().count() > self.max_length.unwrap_or(TEXT_CHARS_MAX).min(TEXT_CHARS_MAX) {
            return Err("the value is too long".to_owned());
        }
        if value.chars().any(char::is_control) {
            return Err("the value has a control character".to_owned());
        }
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == value) {
            return Err(format!("{} is none of the choices: {}", shown(value), self.choices_shown()));
        }
        let fits = match self.format.unwrap_or_default() {
            Format::String => true,
            Format::Number => is_number(value),
            Format::Boolean => matches!(value, "true" | "false"),
            Format::Filepath => !value.is_empty(),
        };
        if !fits {
            let word = self.format.unwrap_or_default();
            return Err(format!("{} is no {}", shown(value), format!("{word:?}").to_lowercase()));
        }
        let Some(pattern) = &self.pattern else { return Ok(()) };
        match regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build() {
            Ok(pattern) if pattern.is_match(value) => Ok(()),
            Ok(_) => Err(format!("{} does not match {}", shown(value), shown(pattern))),
            Err(_) => Err(format!("the pattern {} cannot be read", shown(pattern))),
        }
    }

    fn choices_shown(&self) -> String {
        self.choices.iter().take(10).map(|choice| shown(choice)).collect::<Vec<_>>().join(", ")
    }
}

/// A decimal number, with nothing that only some readers take for one.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.len() < 40 && part.bytes().all(|b| b.is_ascii_digit());
    all(whole) && all(fraction)
}

impl Named {
    pub(crate) fn read(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Self> {
        let mut members = Members::open(desk, at, raw)?;
        let name = members.needed(desk, "name", NAME_CHARS_MAX);
        let input = Input::take(desk, &mut members);
        let variables = variables(desk, &mut members);
        let input = Input { extra: members.rest(), ..input };
        Some(Self { name: name?, input, variables })
    }

    /// A list of them.
    pub(crate) fn list(desk: &mut Desk, members: &mut Members, name: &str) -> Vec<Self> {
        let items = members.items(desk, name, INPUTS_MAX).unwrap_or_default();
        items.iter().filter_map(|item| Self::read(desk, &item.at, &item.raw)).collect()
    }

    pub(crate) fn write(&self) -> Raw {
        write_variables(self.input.write(Out::new().text("name", &self.name)), &self.variables).finish()
    }
}

/// The member `variables`.
pub(crate) fn variables(desk: &mut Desk, members: &mut Members) -> BTreeMap<String, Input> {
    let mut variables = BTreeMap::new();
    for (name, found) in members.entries(desk, "variables", INPUTS_MAX).unwrap_or_default() {
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.contains(['{', '}']) {
            desk.refuse(&found.at, "a name that cannot stand in a template");
        } else if let Some(input) = Input::read(desk, &found.at, &found.raw) {
            variables.insert(name, input);
        }
    }
    variables
}

pub(crate) fn write_variables(out: Out, variables: &BTreeMap<String, Input>) -> Out {
    if variables.is_empty() {
        return out;
    }
    let inner = variables
        .iter()
        .fold(Out::new(), |inner, (name, input)| inner.raw(name, &input.write(Out::new()).finish()));
    out.raw("variables", &inner.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_to_be_what_was_asked_for() {
        let number = Input { format: Some(Format::Number), ..Input::default() };
        for (value, fits) in [("1", true), ("-1.5", true), ("1e9", false), ("NaN", false), ("0x1", false)] {
            assert_eq!(number.check(value).is_ok(), fits, "{value}");
        }
        for (value, fits) in [("", false), ("-", false), (".5", false), ("1.", false), ("1;ls", false)] {
            assert_eq!(number.check(value).is_ok(), fits, "{value}");
        }
        let flag = Input { format: Some(Format::Boolean), ..Input::default() };
        assert!(flag.check("true").is_ok() && flag.check("yes").is_err() && flag.check("True").is_err());
        let choice = Input { choices: vec!["eu".to_owned(), "us".to_owned()], ..Input::default() };
        assert!(choice.check("eu").is_ok() && choice.check("eu ").is_err());
        assert!(Input::default().check("a\nb").is_err());
        assert!(Input::default().check(&"x".repeat(TEXT_CHARS_MAX + 1)).is_err());
        let path = Input { format: Some(Format::Filepath), ..Input::default() };
        assert!(path.check("/srv/data").is_ok() && path.check("").is_err());
    }

    #[test]
    fn a_pattern_is_kept_and_one_that_cannot_be_read_lets_nothing_through() {
        let input = Input { pattern: Some("^[a-z]+$".to_owned()), max_length: Some(4), ..Input::default() };
        assert!(input.check("abc").is_ok() && input.check("abcde").is_err() && input.check("a1").is_err());
        for pattern in ["(", "(?=a)", "a{1000}{1000}{1000}"] {
            let input = Input { pattern: Some(pattern.to_owned()), ..Input::default() };
            assert!(input.check("a").is_err(), "{pattern}");
        }
    }
}
