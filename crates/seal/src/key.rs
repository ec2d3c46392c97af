//! One key: its id, its bytes, and when it is used.

use std::fmt;
use std::str::FromStr;

use model::{Rng, Timestamp};

use crate::sha256;

/// How many bytes a key has.
pub const KEY_BYTES: usize = 32;
/// What is hashed before a key to get its id.
const ID_CONTEXT: &[u8] = b"tidegate key id v1";

/// Which key: the first four bytes of SHA-256 over a fixed text and the key. It says nothing about the key.
///
/// In text: eight hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KeyId::BYTES]);

/// A text that is no key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyIdError;

impl fmt::Display for KeyIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected the id of a key: eight of 0-9 and a-f")
    }
}

impl std::error::Error for KeyIdError {}

impl KeyId {
    /// How many bytes an id has.
    pub const BYTES: usize = 4;

    /// The id of a key.
    #[must_use]
    pub fn of(secret: &[u8; KEY_BYTES]) -> Self {
        let digest = sha256(&[ID_CONTEXT, secret].concat());
        Self([digest[0], digest[1], digest[2], digest[3]])
    }

    /// An id as it travels.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The id as it travels.
    #[must_use]
    pub const fn bytes(self) -> [u8; Self::BYTES] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 2 * Self::BYTES || !text.bytes().all(digit) {
            return Err(KeyIdError);
        }
        u32::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| KeyIdError)
    }
}

/// What may be told of a key: which one, and when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Which.
    pub id: KeyId,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it seals, until a newer one does.
    pub active_from: Timestamp,
    /// From when on it no longer opens anything. `None`: not decided yet.
    pub retired_at: Option<Timestamp>,
}

impl Term {
    /// Whether it no longer opens anything.
    #[must_use]
    pub fn is_retired(&self, now: Timestamp) -> bool {
        self.retired_at.is_some_and(|at| at <= now)
    }

    /// Whether it may seal, if no newer one does.
    pub(crate) fn may_seal(&self, now: Timestamp) -> bool {
        self.active_from <= now && !self.is_retired(now)
    }
}

/// What a key of a ring is good for at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It will seal, and opens what replicas whose clocks are ahead have sealed.
    Next,
    /// It seals and opens.
    Active,
    /// It opens what it has sealed.
    Opens,
    /// It does nothing any more.
    Retired,
}

impl State {
    /// All states, in the order in which a key goes through them.
    pub const ALL: [Self; 4] = [Self::Next, Self::Active, Self::Opens, Self::Retired];

    /// The state in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Opens => "opens",
            Self::Retired => "retired",
        }
    }
}

/// Which of these keys seals: the one with the newest `active_from` that has come, and of two equal ones the
/// one with the greater id. `None`: none of them does.
#[must_use]
pub fn active(terms: &[Term], now: Timestamp) -> Option<usize> {
    let may = terms.iter().enumerate().filter(|(_, term)| term.may_seal(now));
    may.max_by_key(|(_, term)| (term.active_from, term.id)).map(|(at, _)| at)
}

/// The state of each key of a ring.
#[must_use]
pub fn states(terms: &[Term], now: Timestamp) -> Vec<State> {
    let active = active(terms, now);
    let state = |(at, term): (usize, &Term)| match term {
        term if term.is_retired(now) => State::Retired,
        _ if active == Some(at) => State::Active,
        term if term.active_from > now => State::Next,
        _ => State::Opens,
    };
    terms.iter().enumerate().map(state).collect()
}

/// A key with its bytes. Printing it never shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    term: Term,
    secret: [u8; KEY_BYTES],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("term", &self.term).field("secret", &"[secret]").finish()
    }
}

impl Key {
    /// A new key, made at `created`.
    #[must_use]
    pub fn generate(rng: &dyn Rng, created: Timestamp, active_from: Timestamp) -> Self {
        let mut secret = [0; KEY_BYTES];
        rng.fill(&mut secret);
        Self::new(secret, created, active_from, None)
    }

    /// A key with these bytes. Times after the year 9999, which have no text form, become its end.
    #[must_use]
    pub fn new(
        secret: [u8; KEY_BYTES],
        created: Timestamp,
        active_from: Timestamp,
        retired_at: Option<Timestamp>,
    ) -> Self {
        let within = |at: Timestamp| at.min(crate::time::LAST);
        let term = Term {
            id: KeyId::of(&secret),
            created: within(created),
            active_from: within(active_from),
            retired_at: retired_at.map(within),
        };
        Self { term, secret }
    }

    /// Which, and when it is used.
    #[must_use]
    pub const fn term(&self) -> &Term {
        &self.term
    }

    /// The same key, no longer good from `at` on.
    #[must_use]
    pub fn retired_at(self, at: Timestamp) -> Self {
        Self::new(self.secret, self.term.created, self.term.active_from, Some(at))
    }

    /// Its bytes, for who keeps the ring.
    #[must_use]
    pub const fn secret(&self) -> &[u8; KEY_BYTES] {
        &self.secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(id: u8, active_from: u64, retired_at: Option<u64>) -> Term {
        Term {
            id: KeyId::from_bytes([id, 0, 0, 0]),
            created: Timestamp(0),
            active_from: Timestamp(active_from),
            retired_at: retired_at.map(Timestamp),
        }
    }

    #[test]
    fn an_id_follows_from_its_key_and_is_written_as_hexadecimal_digits() {
        let id = KeyId::of(&[7; KEY_BYTES]);
        assert_eq!(id, KeyId::of(&[7; KEY_BYTES]));
        assert_ne!(id, KeyId::of(&[8; KEY_BYTES]));
        assert_eq!(KeyId::from_bytes([0, 1, 0xab, 0xff]).to_string(), "0001abff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "0001abf", "0001abfff", "0001ABFF", "+001abff", "0001abfg", "ééég"] {
            assert_eq!(text.parse::<KeyId>(), Err(KeyIdError), "{text}");
        }
    }

    #[test]
    fn the_newest_key_whose_time_has_come_is_active() {
        let terms = [term(1, 10, Some(100)), term(2, 20, None), term(3, 30, None)];
        let words = |now| {
            let all = states(&terms, Timestamp(now));
            all.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(9), "next next next");
        assert_eq!(words(10), "active next next");
        assert_eq!(words(20), "opens active next");
        assert_eq!(words(30), "opens opens active");
        assert_eq!(words(99), "opens opens active");
        assert_eq!(words(100), "retired opens active");
    }

    #[test]
    fn of_two_keys_of_one_moment_the_one_with_the_greater_id_is_active() {
        assert_eq!(active(&[term(2, 10, None), term(1, 10, None)], Timestamp(10)), Some(0));
        assert_eq!(active(&[term(1, 10, None), term(2, 10, None)], Timestamp(10)), Some(1));
    }

    #[test]
    fn a_key_that_was_retired_hands_back_to_the_one_before() {
        let terms = [term(1, 10, None), term(2, 20, Some(25))];
        assert_eq!(active(&terms, Timestamp(24)), Some(1));
        assert_eq!(active(&terms, Timestamp(25)), Some(0));
    }

    #[test]
    fn a_printed_key_does_not_show_its_bytes() {
        let key = Key::new([0x5a; KEY_BYTES], Timestamp(1), Timestamp(2), None);
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.term().id.to_string()) && shown.contains("[secret]"), "{shown}");
        assert!(!shown.contains("90, 90") && !shown.contains("5a5a"), "{shown}");
    }
}
