//! Names that look like those of another server's tools, and descriptions that speak of them.

use std::collections::{HashMap, HashSet};
use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// Shorter names are alike by accident.
const ALIKE_CHARS_MIN: usize = 5;
/// Longer names are compared by their beginning.
const ALIKE_CHARS_MAX: usize = 64;
/// Warnings, at most.
const WARNINGS_MAX: usize = 500;

/// A tool or prompt, as far as it is compared with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// Whose.
    pub upstream: &'a str,
    /// Its own name there.
    pub name: &'a str,
    /// What its server says of it; empty for nothing.
    pub description: &'a str,
}

/// Something that a person should look at. It may be harmless.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Warning {
    /// Its name can be taken for another server's.
    LooksLike {
        /// Whose.
        upstream: String,
        /// Which.
        name: String,
        /// The other's server.
        other_upstream: String,
        /// The other.
        other: String,
    },
    /// Its description speaks of another server's.
    SpeaksOf {
        /// Whose.
        upstream: String,
        /// Which.
        name: String,
        /// The other's server.
        other_upstream: String,
        /// The other.
        other: String,
    },
}

impl Warning {
    /// Its word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::LooksLike { .. } => "looks_like",
            Self::SpeaksOf { .. } => "speaks_of",
        }
    }

    /// Whose, which, and the other's server and name.
    #[must_use]
    pub fn parts(&self) -> (&str, &str, &str, &str) {
        let (Self::LooksLike { upstream, name, other_upstream, other }
        | Self::SpeaksOf { upstream, name, other_upstream, other }) = self;
        (upstream, name, other_upstream, other)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (upstream, name, other_upstream, other) = self.parts();
        match self {
            Self::LooksLike { .. } => {
                write!(f, "{upstream}: the name {name:?} looks like {other:?} of {other_upstream}")
            }
            Self::SpeaksOf { .. } => {
                write!(f, "{upstream}: the description of {name:?} speaks of {other:?} of {other_upstream}")
            }
        }
    }
}

/// What a person may take a name for: compatible forms as one (NFKC), letters that look the same as one, and
/// neither case nor separators.
fn skeleton(name: &str) -> String {
    let plain = name.nfkc().flat_map(char::to_lowercase).filter_map(|char| match char {
        '_' | '-' | '.' | ' ' | '/' => None,
        '0' | 'о' | 'ο' | 'օ' => Some('o'),
        '1' | 'l' | 'і' | 'ι' | 'ı' | '|' | 'ӏ' => Some('i'),
        'а' | 'α' => Some('a'),
        'е' | 'ε' => Some('e'),
        'р' | 'ρ' => Some('p'),
        'с' => Some('c'),
        'у' | 'γ' => Some('y'),
        'х' | 'χ' => Some('x'),
        'ѕ' | '5' => Some('s'),
        'к' | 'κ' => Some('k'),
        'т' | 'τ' => Some('t'),
        'н' => Some('h'),
        'м' => Some('m'),
        'в' | 'β' => Some('b'),
        'ј' => Some('j'),
        'ν' | 'ѵ' => Some('v'),
        'ω' | 'ԝ' => Some('w'),
        'ԁ' => Some('d'),
        'ɡ' => Some('g'),
        'հ' | 'һ' => Some('h'),
        'ո' | 'п' => Some('n'),
        'ս' | 'υ' => Some('u'),
        other => Some(other),
    });
    plain.take(ALIKE_CHARS_MAX).collect()
}

/// The text, and the text without each one of its characters: two that share any are one apart, or nearly.
fn neighbours(skeleton: &str) -> HashSet<String> {
    let chars: Vec<char> = skeleton.chars().collect();
    let without = |gone: usize| {
        chars.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, char)| *char).collect::<String>()
    };
    let mut all: HashSet<String> = (0..chars.len()).map(without).collect();
    all.insert(skeleton.to_owned());
    all
}

/// Whether one inserted, removed or changed character makes one of the other.
fn is_one_apart(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    if long.len() - short.len() > 1 {
        return false;
    }
    let same = short.iter().zip(long.iter()).take_while(|(x, y)| x == y).count();
    let rest = if short.len() == long.len() { same + 1 } else { same };
    short.get(rest..).unwrap_or_default() == long.get(same + 1..).unwrap_or_default()
}

/// What a person should look at among things of several servers: names that look alike, and descriptions
/// that speak of another server's. The same name at two servers is no reason; the gateway keeps them apart.
#[must_use]
pub fn warnings(all: &[Named<'_>]) -> Vec<Warning> {
    let mut found = HashSet::new();
    looks(all, &mut found);
    speaks(all, &mut found);
    let mut found: Vec<Warning> = found.into_iter().collect();
    found.sort_unstable();
    found.truncate(WARNINGS_MAX);
    found
}

fn looks(all: &[Named<'_>], found: &mut HashSet<Warning>) {
    let skeletons: Vec<String> = all.iter().map(|one| skeleton(one.name)).collect();
    let mut near: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, skeleton) in skeletons.iter().enumerate() {
        for neighbour in neighbours(skeleton) {
            near.entry(neighbour).or_default().push(at);
        }
    }
    for places in near.values().filter(|places| places.len() > 1) {
        // Whoever offers thousands of names that are alike is named often enough by the first of them.
        for (at, one) in places.iter().take(16).enumerate() {
            for other in places.iter().take(16).skip(at + 1) {
                let (a, b) = (&all[*one], &all[*other]);
                let (x, y) = (&skeletons[*one], &skeletons[*other]);
                let long = x.chars().count().min(y.chars().count()) >= ALIKE_CHARS_MIN;
                let alike = x == y || (long && is_one_apart(x, y));
                if a.upstream != b.upstream && a.name != b.name && alike {
                    found.insert(Warning::LooksLike {
                        upstream: b.upstream.to_owned(),
                        name: b.name.to_owned(),
                        other_upstream: a.upstream.to_owned(),
                        other: a.name.to_owned(),
                    });
                }
            }
        }
    }
}

/// Whether a name is one in a description too, and not a word.
fn is_telling(name: &str) -> bool {
    let mixed = name.chars().any(|char| matches!(char, '_' | '-' | '.') || char.is_ascii_digit())
        || name.chars().skip(1).any(char::is_uppercase);
    mixed && name.chars().count() >= ALIKE_CHARS_MIN
}

fn speaks(all: &[Named<'_>], found: &mut HashSet<Warning>) {
    let mut owners: HashMap<&str, Vec<&Named<'_>>> = HashMap::new();
    for one in all.iter().filter(|one| is_telling(one.name)) {
        owners.entry(one.name).or_default().push(one);
    }
    let part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.');
    for one in all {
        for word in one.description.split(|char| !part(char)) {
            let word = word.trim_matches(['.', '-']);
            // With the prefix under which the gateway gives it out, too.
            let own = word.split_once('_').map_or("", |(_, own)| own);
            for named in [word, own] {
                let Some(others) = owners.get(named) else { continue };
                // What it has itself, it may speak of.
                if others.iter().any(|other| other.upstream == one.upstream) {
                    continue;
                }
                let Some(other) = others.first() else { continue };
                found.insert(Warning::SpeaksOf {
                    upstream: one.upstream.to_owned(),
                    name: one.name.to_owned(),
                    other_upstream: other.upstream.to_owned(),
                    other: other.name.to_owned(),
                });
            }
        }
    }
}
