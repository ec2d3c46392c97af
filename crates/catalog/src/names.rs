//! Names of one upstream's tools and prompts at an endpoint: unique, short enough, reversible.

use std::collections::HashMap;

/// How an upstream's own names look at an endpoint: other names by the operator, then a prefix, then other
/// names at this endpoint alone.
#[derive(Debug, Clone)]
pub struct Naming {
    prefix: String,
    max: usize,
    own: Renames,
    here: Renames,
}

/// Names in place of others, both ways.
#[derive(Debug, Clone, Default)]
struct Renames {
    new: HashMap<String, String>,
    old: HashMap<String, String>,
}

impl Renames {
    fn read(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let new: HashMap<String, String> = pairs.into_iter().collect();
        let old = new.iter().map(|(old, new)| (new.clone(), old.clone())).collect();
        Self { new, old }
    }

    fn apply<'a>(&'a self, old: &'a str) -> &'a str {
        self.new.get(old).map_or(old, String::as_str)
    }

    /// `None`: a renamed thing is known by its new name alone; two names would pass two different filters.
    fn undo<'a>(&'a self, new: &'a str) -> Option<&'a str> {
        match self.old.get(new) {
            Some(old) => Some(old),
            None if self.new.contains_key(new) => None,
            None => Some(new),
        }
    }
}

/// The longest name that is given out where several upstreams meet, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Hexadecimal digits of the digest that ends a cut name.
const DIGEST_CHARS: usize = 8;

impl Naming {
    /// Names as they are, but for the operator's other names.
    pub fn direct(own: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { prefix: String::new(), max: usize::MAX, own: Renames::read(own), here: Renames::default() }
    }

    /// Names behind `prefix`, at most `max` characters long. `own` gives other names for the upstream's
    /// own, `here` for prefixed ones.
    pub fn prefixed(
        prefix: String,
        max: usize,
        own: impl IntoIterator<Item = (String, String)>,
        here: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self { prefix, max, own: Renames::read(own), here: Renames::read(here) }
    }

    /// The name with its prefix, which filters go by. Too long ones are cut and end in a digest of the whole.
    #[must_use]
    pub fn full(&self, own: &str) -> String {
        let full = format!("{}{}", self.prefix, self.own.apply(own));
        if self.prefix.is_empty() || full.chars().count() <= self.max {
            return full;
        }
        let digest = seal::sha256(full.as_bytes());
        let digest: String =
            digest.iter().flat_map(|b| [b >> 4, b & 15]).take(DIGEST_CHARS).map(hex).collect();
        let kept: String = full.chars().take(self.max.saturating_sub(DIGEST_CHARS + 1)).collect();
        format!("{kept}_{digest}")
    }

    /// The name given out for an upstream's own.
    #[must_use]
    pub fn exposed(&self, own: &str) -> String {
        let full = self.full(own);
        self.here.new.get(&full).cloned().unwrap_or(full)
    }

    /// The upstream's own name, where it can be told from the name alone.
    #[must_use]
    pub fn own<'a>(&'a self, exposed: &'a str) -> Own<'a> {
        let Some(full) = self.here.undo(exposed) else { return Own::NotOurs };
        let Some(own) = full.strip_prefix(self.prefix.as_str()).filter(|own| !own.is_empty()) else {
            return Own::NotOurs;
        };
        let cut = !self.prefix.is_empty() && full.chars().count() == self.max;
        match self.own.undo(own) {
            None => Own::NotOurs,
            Some(own) if cut => Own::Cut(own),
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

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    fn naming() -> Naming {
        let (own, here) = (pairs(&[("find_by_id", "find")]), pairs(&[("crm_list", "customers")]));
        Naming::prefixed("crm_".to_owned(), NAME_CHARS_MAX, own, here)
    }

    #[test]
    fn a_name_goes_out_and_comes_back() {
        let n = naming();
        for (own, exposed) in [
            ("a", "crm_a"),
            ("crm_a", "crm_crm_a"),
            ("ä", "crm_ä"),
            ("find_by_id", "crm_find"),
            ("list", "customers"),
        ] {
            assert_eq!(n.exposed(own), exposed);
            assert_eq!(n.own(exposed), Own::Is(own));
        }
        for other in ["crm_find_by_id", "crm_list", "crm_", "crm", "other_a", "a"] {
            assert_eq!(n.own(other), Own::NotOurs, "{other}");
        }
        let direct = Naming::direct(pairs(&[("a", "b")]));
        assert_eq!(
            (direct.own("crm_a"), direct.own("b"), direct.own("a")),
            (Own::Is("crm_a"), Own::Is("a"), Own::NotOurs)
        );
        assert_eq!(direct.own(&"x".repeat(64)), Own::Is(&"x".repeat(64)));
    }

    #[test]
    fn a_long_name_is_cut_to_the_limit_and_stays_distinct() {
        let n = naming();
        let (a, b) = (format!("{}a", "x".repeat(80)), format!("{}b", "x".repeat(80)));
        let (cut_a, cut_b) = (n.exposed(&a), n.exposed(&b));
        assert_eq!((cut_a.len(), cut_b.len()), (64, 64));
        assert_ne!(cut_a, cut_b);
        assert_eq!(cut_a, naming().exposed(&a), "the same name every time");
        assert!(matches!(n.own(&cut_a), Own::Cut(_)));
    }
}
