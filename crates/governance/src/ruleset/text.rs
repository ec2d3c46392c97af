//! Patterns.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text with `*` for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// A pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text that fits it.
    #[must_use]
    pub fn example(&self) -> String {
        self.0.replace(['*', '?'], "x")
    }

    /// Whether it fits the whole of a text.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last star was, and how much of the text it has taken: only the last one ever takes more.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(b'?') => (p, t) = (p + 1, t + 1),
                Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
                _ => match &mut star {
                    Some((at, taken)) => {
                        *taken += 1;
                        (p, t) = (*at + 1, *taken);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_anything_and_a_question_mark_one() {
        for (pattern, text, fits) in [
            ("upstream:pay-*", "upstream:pay-eu", true),
            ("upstream:pay-*", "upstream:crm", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xxaxxbxxb", true),
            ("*a*b", "xxaxxbxx", false),
            ("", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).fits(text), fits, "{pattern} {text}");
        }
        let glob = Glob::new("tool:pay-*/?");
        assert!(glob.fits(&glob.example()));
    }

    #[test]
    fn many_stars_take_no_time() {
        let glob = Glob::new(&"*a".repeat(40));
        assert!(!glob.fits(&"a".repeat(30)));
        assert!(!Glob::new(&format!("{}b", "a*".repeat(200))).fits(&"a".repeat(4_000)));
    }
}
