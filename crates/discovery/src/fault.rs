//! What is wrong with a document, where, and who caused it.

use std::fmt;

use serde::Serialize;

/// Who caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Whoever wrote the document.
    Publisher,
    /// The registry or catalog that handed it on.
    Registry,
    /// Whoever runs this gateway: a value that was given, a record of ours.
    Operator,
}

impl By {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Registry => "registry",
            Self::Operator => "operator",
        }
    }
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Worth to be told; the document is read.
    Remark,
    /// The document, or the plan, is refused.
    Refused,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Fault {
    /// Where, as JSON pointer; empty for the document as a whole.
    pub pointer: String,
    /// What is wrong. Foreign text in it is quoted, bounded and without anything that a terminal acts on.
    pub what: String,
    /// Who caused it.
    pub by: By,
    /// What follows.
    pub weight: Weight,
}

impl fmt::Display for Fault {
    /// `/remotes/0/url: a URL with a user name (publisher)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "document" } else { &self.pointer };
        write!(f, "{place}: {} ({})", self.what, self.by.word())
    }
}

impl Fault {
    /// A reason to refuse.
    pub(crate) fn refused(by: By, pointer: impl Into<String>, what: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), what: what.into(), by, weight: Weight::Refused }
    }

    /// Something to tell.
    pub(crate) fn remark(by: By, pointer: impl Into<String>, what: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), what: what.into(), by, weight: Weight::Remark }
    }
}

/// Characters of foreign text that are shown.
const SHOWN_CHARS_MAX: usize = 80;

/// Foreign text in quotes: cut, and with everything spelled out that is not seen or that a terminal acts on.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::from("\"");
    for (at, c) in text.chars().enumerate() {
        if at == SHOWN_CHARS_MAX {
            out.push('…');
            break;
        }
        out.extend(c.escape_debug());
    }
    out.push('"');
    out
}

/// One step further in a JSON pointer.
pub(crate) fn step(pointer: &str, name: &str) -> String {
    // A name may be as long as its author likes.
    let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let name: String = name.chars().flat_map(char::escape_debug).collect();
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_reaches_a_terminal_as_a_command_or_turns_a_line_around() {
        assert_eq!(shown("a\u{1b}[2J\n\u{202e}b\u{200b}"), r#""a\u{1b}[2J\n\u{202e}b\u{200b}""#);
        assert!(shown(&"x".repeat(5_000)).chars().count() < 90);
        assert_eq!(step("/a", "b/c~d\u{7}"), "/a/b~1c~0d\\u{7}");
    }

    #[test]
    fn a_fault_says_where_what_and_who() {
        let fault = Fault::refused(By::Registry, "/servers/3", "no server");
        assert_eq!(fault.to_string(), "/servers/3: no server (registry)");
        assert_eq!(Fault::remark(By::Publisher, "", "late").to_string(), "document: late (publisher)");
    }
}
