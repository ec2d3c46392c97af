//! Names of one upstream's tools and prompts at an endpoint: unique, short enough, reversible.

use std::borrow::Cow;
use std::collections::HashMap;

/// How an upstream's own names look at an endpoint.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// `upstream` + separator; `None` leaves names as they are.
    prefix: Option<String>,
    max: usize,
    aliases: HashMap<String, String>,
    originals: HashMap<String, String>,
}

/// The longest name that is given out, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Hexadecimal digits of the digest that ends a cut name.
const DIGEST_CHARS: usize = 8;

impl Naming {
    /// Names as they are.
    #[must_use]
    pub fn unchanged() -> Self {
        Self { max: usize::MAX, ..Self::default() }
    }

    /// Names behind `upstream` and `separator`, at most `max` characters long. An alias stands for the whole
    /// name.
    #[must_use]
    pub fn prefixed(upstream: &str, separator: &str, max: usize, aliases: HashMap<String, String>) -> Self {
        let originals = aliases.iter().map(|(own, alias)| (alias.clone(), own.clone())).collect();
        Self { prefix: Some(format!("{upstream}{separator}")), max, aliases, originals }
    }

    /// The name given out for an upstream's own. Too long ones are cut and end in a digest of the whole.
    #[must_use]
    pub fn exposed<'a>(&'a self, own: &'a str) -> Cow<'a, str> {
        if let Some(alias) = self.aliases.get(own) {
            return Cow::Borrowed(alias);
        }
        let Some(prefix) = &self.prefix else { return Cow::Borrowed(own) };
        let full = format!("{prefix}{own}");
        if full.chars().count() <= self.max {
            return Cow::Owned(full);
        }
        let digest = seal::sha256(full.as_bytes());
        let digest: String =
            digest.iter().flat_map(|b| [b >> 4, b & 15]).take(DIGEST_CHARS).map(hex).collect();
        let kept: String = full.chars().take(self.max.saturating_sub(DIGEST_CHARS + 1)).collect();
        Cow::Owned(format!("{kept}_{digest}"))
    }

    /// The upstream's own name, where it can be told from the name alone.
    #[must_use]
    pub fn own<'a>(&'a self, exposed: &'a str) -> Own<'a> {
        if let Some(own) = self.originals.get(exposed) {
            return Own::Is(own);
        }
        let Some(prefix) = &self.prefix else { return Own::Is(exposed) };
        match exposed.strip_prefix(prefix.as_str()) {
            None | Some("") => Own::NotOurs,
            // An aliased tool is known by its alias alone: two names would pass two different filters.
            Some(own) if self.aliases.contains_key(own) => Own::NotOurs,
            Some(own) if exposed.chars().count() == self.max => Own::Cut(own),
            Some(own) => Own::Is(own),
        }
    }
}

/// What a name at an endpoint says about the name upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own<'a> {
    /// It belongs to another upstream.
    NotOurs,
    /// This is it.
    Is(&'a str),
    /// It may have been cut: ask the list. If the list does not know, this is it.
    Cut(&'a str),
}

fn hex(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming() -> Naming {
        let aliases = HashMap::from([("find".to_owned(), "search".to_owned())]);
        Naming::prefixed("crm", "_", NAME_CHARS_MAX, aliases)
    }

    #[test]
    fn a_name_goes_out_and_comes_back() {
        let n = naming();
        for own in ["a", "a_b", "crm_a", "ä"] {
            let exposed = n.exposed(own).into_owned();
            assert_eq!(n.own(&exposed), Own::Is(own));
        }
        assert_eq!(n.exposed("find"), "search");
        assert_eq!(n.own("search"), Own::Is("find"));
        for other in ["crm_find", "crm_", "crm", "other_a", "a"] {
            assert_eq!(n.own(other), Own::NotOurs, "{other}");
        }
        assert_eq!(Naming::unchanged().own("crm_a"), Own::Is("crm_a"));
    }

    #[test]
    fn a_long_name_is_cut_to_the_limit_and_stays_distinct() {
        let n = naming();
        let (a, b) = (format!("{}a", "x".repeat(80)), format!("{}b", "x".repeat(80)));
        let (cut_a, cut_b) = (n.exposed(&a).into_owned(), n.exposed(&b).into_owned());
        assert_eq!((cut_a.len(), cut_b.len()), (64, 64));
        assert_ne!(cut_a, cut_b);
        assert_eq!(cut_a, naming().exposed(&a), "the same name every time");
        assert!(matches!(n.own(&cut_a), Own::Cut(_)));
    }
}
