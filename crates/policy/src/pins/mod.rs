//! Definitions that were approved: what of one counts, its hash, and what is different in another.

mod diff;
mod likeness;

use std::fmt;

use protocol::Raw;

pub use diff::{Change, Difference, Fragment, diff, diff_text, visible};
pub use likeness::{Named, Warning, warnings};
pub use protocol::json::canonical;

/// What is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource template.
    Template,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tool, Self::Prompt, Self::Template];

    /// Its word, as in a path and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Template => "template",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The members that count. All others, icons among them, may change without anybody being asked.
    fn members(self) -> &'static [&'static str] {
        match self {
            Self::Tool => &["name", "title", "description", "inputSchema", "outputSchema", "annotations"],
            Self::Prompt => &["name", "title", "description", "arguments"],
            Self::Template => &["uriTemplate", "name", "title", "description", "mimeType", "annotations"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What begins a hash: which members count and how they are spelled is a part of what it says.
const VERSION: &str = "pin1:";
/// The members of `_meta` that count, and what they are called in a text: the one that refers to a user
/// interface, the same as older servers write it, and what a call of a web API's tool sends where.
const META: [(&str, &str); 3] =
    [("ui", "_meta.ui"), ("ui/resourceUri", "_meta.ui/uri"), ("io.tidegate/openapi", "_meta.openapi")];

/// What of a definition counts, in its canonical spelling, with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Of what.
    pub kind: Kind,
    /// The members that count: an object in canonical spelling.
    pub text: String,
    /// The version, and the SHA-256 of the kind and the text in hexadecimal digits.
    pub hash: String,
}

impl Definition {
    /// Reads an entry of a list as it came.
    #[must_use]
    pub fn read(kind: Kind, entry: &Raw) -> Self {
        let Ok(Some(object)) = entry.object() else {
            // An entry that is no plain object is the same only if it is spelled the same.
            return Self::hashed(kind, canonical(entry));
        };
        let mut parts: Vec<(&str, Raw)> = Vec::with_capacity(8);
        for member in kind.members() {
            if let Some(value) = object.get(member) {
                parts.push((member, value));
            }
        }
        let meta = object.get("_meta");
        for (member, called) in META.iter().filter(|_| kind == Kind::Tool) {
            if let Some(value) = meta.as_ref().and_then(|meta| meta.get(member)) {
                parts.push((called, value));
            }
        }
        parts.sort_unstable_by_key(|(name, _)| *name);
        let mut text = String::from("{");
        for (at, (name, value)) in parts.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push('"');
            text.push_str(name);
            text.push_str("\":");
            text.push_str(&canonical(value));
        }
        text.push('}');
        Self::hashed(kind, text)
    }

    fn hashed(kind: Kind, text: String) -> Self {
        let digest = seal::sha256(format!("{VERSION}{kind}\n{text}").as_bytes());
        let mut hash = String::with_capacity(VERSION.len() + 64);
        hash.push_str(VERSION);
        for byte in digest {
            hash.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            hash.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        Self { kind, text, hash }
    }
}

/// What detectors find in a definition that was approved or is to be: hidden text, and words that talk to a
/// model (a heuristic). The kinds, with where they stand; a definition that cannot be looked at says so.
#[must_use]
pub fn suspicions(text: &str) -> Vec<String> {
    let raw = Raw::parse(bytes::Bytes::copy_from_slice(text.as_bytes()));
    let detectors = crate::content::Detectors::named(["hidden", "injection", "secrets"]);
    let (Ok(raw), Ok(detectors)) = (raw, detectors) else { return vec!["it cannot be read".to_owned()] };
    let report = detectors.scan(&raw, crate::content::SCANNED_BYTES_MAX);
    let mut found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if report.unscanned > 0 {
        found.push(format!("{} bytes were not looked at", report.unscanned));
    }
    found.into_iter().map(|found| visible(&found)).collect()
}

#[cfg(test)]
mod tests;
