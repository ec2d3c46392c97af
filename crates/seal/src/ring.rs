//! The ring: several keys, of which one seals. It can be replaced while it is used.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use model::{Rng, Timestamp};

use crate::handle::Purpose;
use crate::key::{KEY_BYTES, Key, KeyId, State, Term, states};

/// The most keys of a ring.
pub const KEYS_MAX: usize = 64;
/// How far the clocks of two replicas may be apart.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(30);

/// What HKDF (RFC 5869) starts from.
const SALT: &[u8] = b"tidegate keys v1";

/// Keys that are no ring. The text completes "failed to …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingError {
    /// There is no key.
    Empty,
    /// There are more than [`KEYS_MAX`].
    Many(usize),
    /// Two keys have this id.
    Twice(KeyId),
    /// No key seals, nor will within [`CLOCK_SKEW_MAX`].
    NoneActive,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("use a ring without keys"),
            Self::Many(count) => write!(f, "use a ring of {count} keys: there may be {KEYS_MAX}"),
            Self::Twice(id) => write!(f, "use a ring that has the key {id} twice"),
            Self::NoneActive => f.write_str("use a ring of which no key is active"),
        }
    }
}

impl std::error::Error for RingError {}

/// A key with what is derived from it once, when it is loaded.
pub(crate) struct Ready {
    pub(crate) term: Term,
    /// One for each purpose, in the order of [`Purpose::ALL`].
    aead: [LessSafeKey; Purpose::ALL.len()],
    pub(crate) prk: Prk,
}

impl Ready {
    fn new(key: &Key) -> Self {
        let prk = Salt::new(HKDF_SHA256, SALT).extract(key.secret());
        let aead = Purpose::ALL.map(|purpose| {
            let info = [b"handle ".as_slice(), purpose.as_str().as_bytes()];
            let derived = prk.expand(&info, &AES_256_GCM_SIV).expect("32 bytes are within HKDF's bounds");
            LessSafeKey::new(UnboundKey::from(derived))
        });
        Self { term: *key.term(), aead, prk }
    }

    pub(crate) fn aead(&self, purpose: Purpose) -> &LessSafeKey {
        &self.aead[purpose as usize]
    }
}

/// The keys of one moment.
pub(crate) struct Keys(Vec<Ready>);

impl Keys {
    /// Keys in the order in which they become active.
    fn new(keys: &[Key], now: Timestamp) -> Result<Self, RingError> {
        check(keys, now)?;
        Ok(Self::ready(keys))
    }

    fn ready(keys: &[Key]) -> Self {
        let mut ready: Vec<Ready> = keys.iter().map(Ready::new).collect();
        ready.sort_by_key(|key| (key.term.active_from, key.term.id));
        Self(ready)
    }

    /// The key that seals. Where none is active, because time went by or the clock is behind, it is the one
    /// that will be, and else the newest, whose handles then never open.
    pub(crate) fn sealing(&self, now: Timestamp) -> &Ready {
        let active = self.0.iter().rev().find(|key| key.term.may_seal(now));
        let next = || self.0.iter().find(|key| !key.term.is_retired(now));
        active.or_else(next).or(self.0.last()).expect("a ring has a key")
    }

    /// The key with this id, if it opens.
    pub(crate) fn opening(&self, id: KeyId, now: Timestamp) -> Option<&Ready> {
        self.0.iter().find(|key| key.term.id == id && !key.term.is_retired(now))
    }

    /// All that have not retired, in the order in which they become active.
    pub(crate) fn unretired(&self, now: Timestamp) -> impl Iterator<Item = &Ready> {
        self.0.iter().filter(move |key| !key.term.is_retired(now))
    }

    fn terms(&self) -> Vec<Term> {
        self.0.iter().map(|key| key.term).collect()
    }
}

/// Whether these keys make a ring.
///
/// # Errors
/// [`RingError`]
pub fn check(keys: &[Key], now: Timestamp) -> Result<(), RingError> {
    if keys.is_empty() {
        return Err(RingError::Empty);
    }
    if keys.len() > KEYS_MAX {
        return Err(RingError::Many(keys.len()));
    }
    let mut ids: Vec<KeyId> = keys.iter().map(|key| key.term().id).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(RingError::Twice(pair[0]));
    }
    let soon = now.plus(CLOCK_SKEW_MAX);
    let seals = |key: &Key| key.term().active_from <= soon && !key.term().is_retired(now);
    if keys.iter().any(seals) { Ok(()) } else { Err(RingError::NoneActive) }
}

/// The keys that seal and open handles. Printing one never shows a key.
///
/// All replicas of a gateway have the same ring. Nothing here waits or locks; a ring may be replaced at any
/// time, and what is under way goes on with the one that it began with.
pub struct KeyRing {
    keys: ArcSwap<Keys>,
    generation: AtomicU64,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing([secret])")
    }
}

impl KeyRing {
    /// A ring of these keys.
    ///
    /// # Errors
    /// [`RingError`]
    pub fn new(keys: &[Key], now: Timestamp) -> Result<Self, RingError> {
        Ok(Self::of(Keys::new(keys, now)?))
    }

    /// A ring with one new key, active since ever: handles live as long as the process.
    #[must_use]
    pub fn generate(rng: &dyn Rng) -> Self {
        let mut bytes = [0; KEY_BYTES];
        rng.fill(&mut bytes);
        Self::from_key(&bytes)
    }

    /// A ring with this key, active since ever.
    #[must_use]
    pub fn from_key(bytes: &[u8; KEY_BYTES]) -> Self {
        Self::of(Keys::ready(&[Key::new(*bytes, Timestamp(0), Timestamp(0), None)]))
    }

    fn of(keys: Keys) -> Self {
        Self { keys: ArcSwap::from_pointee(keys), generation: AtomicU64::new(1) }
    }

    /// Puts other keys in the place of these.
    ///
    /// # Errors
    /// [`RingError`]; the keys in use stay.
    pub fn replace(&self, keys: &[Key], now: Timestamp) -> Result<(), RingError> {
        let keys = Keys::new(keys, now)?;
        self.keys.store(keys.into());
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Grows with each [`KeyRing::replace`]. Who keeps what a handle opened to reads this **before** it opens
    /// the handle, and opens it anew once this has grown.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn keys(&self) -> arc_swap::Guard<std::sync::Arc<Keys>> {
        self.keys.load()
    }

    /// Which keys there are and when they are used, in the order in which they become active.
    #[must_use]
    pub fn terms(&self) -> Vec<Term> {
        self.keys().terms()
    }

    /// How many keys are in each state, in the order of [`State::ALL`].
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> [(State, usize); State::ALL.len()] {
        let states = states(&self.terms(), now);
        State::ALL.map(|state| (state, states.iter().filter(|found| **found == state).count()))
    }

    /// What other replicas must share, without any key.
    #[must_use]
    pub fn fingerprint(&self, now: Timestamp) -> Fingerprint {
        let keys = self.keys();
        let sealing = keys.sealing(now).term.id;
        let mut others: Vec<KeyId> = keys
            .0
            .iter()
            .filter(|key| key.term.id != sealing && !key.term.is_retired(now))
            .map(|key| key.term.id)
            .collect();
        others.sort_unstable();
        Fingerprint { sealing, others }
    }

    /// Whether this ring and that of another replica can serve the same clients now: each opens what the
    /// other one seals. Two replicas of which one has not read a rotation yet still can.
    #[must_use]
    pub fn shares_with(&self, theirs: &Fingerprint, now: Timestamp) -> bool {
        let ours = self.fingerprint(now);
        ours.has(theirs.sealing) && theirs.has(ours.sealing)
    }

    /// The keys that another replica opens with and this ring does not. Where there are some although
    /// [`KeyRing::shares_with`], handles will stop to work here or there unless this ring is brought up to
    /// date.
    #[must_use]
    pub fn lacks(&self, theirs: &Fingerprint, now: Timestamp) -> Vec<KeyId> {
        let ours = self.fingerprint(now);
        theirs.ids().filter(|id| !ours.has(*id)).collect()
    }
}

/// The ids of the keys that a ring opens with, and which of them seals.
///
/// In text: the ids with `,` between, the one that seals first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    sealing: KeyId,
    others: Vec<KeyId>,
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FingerprintError;

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected ids of keys with commas between")
    }
}

impl std::error::Error for FingerprintError {}

impl Fingerprint {
    fn ids(&self) -> impl Iterator<Item = KeyId> {
        std::iter::once(self.sealing).chain(self.others.iter().copied())
    }

    fn has(&self, id: KeyId) -> bool {
        self.ids().any(|known| known == id)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sealing)?;
        self.others.iter().try_for_each(|id| write!(f, ",{id}"))
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let ids = text.split(',').take(KEYS_MAX + 1).map(|id| id.parse().map_err(|_| FingerprintError));
        let mut ids: Vec<KeyId> = ids.collect::<Result<_, _>>()?;
        if ids.len() > KEYS_MAX {
            return Err(FingerprintError);
        }
        let sealing = ids.remove(0);
        Ok(Self { sealing, others: ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn key(byte: u8, active_from: u64, retired_at: Option<u64>) -> Key {
        Key::new([byte; KEY_BYTES], Timestamp(0), Timestamp(active_from), retired_at.map(Timestamp))
    }

    fn ring(keys: &[Key]) -> KeyRing {
        KeyRing::new(keys, NOW).expect("a ring")
    }

    #[test]
    fn keys_that_are_no_ring_are_refused_and_the_old_ones_stay() {
        let ring = ring(&[key(1, 0, None)]);
        let before = ring.fingerprint(NOW);
        let many: Vec<Key> = (0..=64).map(|n| key(n, 0, None)).collect();
        for (keys, error) in [
            (&[][..], RingError::Empty),
            (&[key(2, 0, None), key(2, 5, None)], RingError::Twice(key(2, 0, None).term().id)),
            (&[key(2, NOW.0 + 30_001, None), key(3, 0, Some(NOW.0))], RingError::NoneActive),
            (&many, RingError::Many(65)),
        ] {
            assert_eq!(ring.replace(keys, NOW), Err(error));
            assert_eq!(KeyRing::new(keys, NOW).err(), Some(error));
        }
        assert_eq!((ring.fingerprint(NOW), ring.generation()), (before, 1));
    }

    #[test]
    fn a_key_that_was_just_made_by_a_clock_that_is_ahead_makes_a_ring() {
        let made = NOW.plus(CLOCK_SKEW_MAX);
        let ring = KeyRing::new(&[Key::new([1; KEY_BYTES], made, made, None)], NOW).expect("a ring");
        assert_eq!(ring.counts(NOW)[0], (State::Next, 1));
        assert_eq!(ring.keys().sealing(NOW).term.id, KeyId::of(&[1; KEY_BYTES]));
    }

    #[test]
    fn the_generation_grows_with_each_replacement() {
        let ring = ring(&[key(1, 0, None)]);
        assert_eq!(ring.generation(), 1);
        ring.replace(&[key(1, 0, None), key(2, NOW.0, None)], NOW).expect("a ring");
        assert_eq!(ring.generation(), 2);
        ring.replace(&[key(1, 0, None)], NOW).expect("a ring");
        assert_eq!(ring.generation(), 3);
    }

    #[test]
    fn a_ring_out_of_time_seals_with_what_opens_for_longest_and_never_panics() {
        let ring = ring(&[key(1, 0, Some(NOW.0 + 10)), key(2, NOW.0 + 20, Some(NOW.0 + 30))]);
        let sealing = |at: u64| ring.keys().sealing(Timestamp(NOW.0 + at)).term.id;
        let (one, two) = (key(1, 0, None).term().id, key(2, 0, None).term().id);
        assert_eq!((sealing(9), sealing(10), sealing(20), sealing(30)), (one, two, two, two));
    }

    #[test]
    fn keys_are_counted_by_their_state() {
        let keys = [key(1, 0, Some(5)), key(2, 10, None), key(3, 20, None), key(4, NOW.0 + 1, None)];
        let counts = ring(&keys).counts(NOW).map(|(state, count)| (state.as_str(), count));
        assert_eq!(counts, [("next", 1), ("active", 1), ("opens", 1), ("retired", 1)]);
    }

    #[test]
    fn replicas_share_a_ring_all_through_a_rotation() {
        let old = ring(&[key(1, 0, None)]);
        let at = NOW.plus(300 * SECOND);
        let new = ring(&[key(1, 0, Some(at.0 + 1_000_000)), key(2, at.0, None)]);
        let share = |a: &KeyRing, a_now, b: &KeyRing, b_now| {
            let both =
                (a.shares_with(&b.fingerprint(b_now), a_now), b.shares_with(&a.fingerprint(a_now), b_now));
            assert_eq!(both.0, both.1, "both see the same");
            both.0
        };
        // One has read the rotation and the other has not: it lacks a key, which does no harm yet.
        assert!(share(&old, NOW, &new, NOW));
        assert_eq!(old.lacks(&new.fingerprint(NOW), NOW), [key(2, 0, None).term().id]);
        assert_eq!(new.lacks(&old.fingerprint(NOW), NOW), []);
        // Both have read it, and their clocks are apart.
        assert!(share(&new, at, &new, Timestamp(at.0 - 30_000)));
        // The other one never read it.
        assert!(!share(&old, at, &new, at));
        assert!(!share(&ring(&[key(7, 0, None)]), NOW, &new, NOW), "another ring");
    }

    #[test]
    fn a_fingerprint_is_read_as_it_was_written() {
        let print = ring(&[key(1, 0, None), key(2, 10, None), key(3, NOW.0 + 1, None)]).fingerprint(NOW);
        let text = print.to_string();
        assert!(text.starts_with(&key(2, 0, None).term().id.to_string()), "{text}");
        assert_eq!((text.len(), text.parse()), (26, Ok(print)));
        let long = vec!["0001abff"; KEYS_MAX + 1].join(",");
        for wrong in ["", ",", "0001abff,", "0001abff 0001abff", &long] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError), "{wrong}");
        }
    }

    #[test]
    fn a_printed_ring_shows_no_key() {
        assert_eq!(format!("{:?}", KeyRing::from_key(&[7; KEY_BYTES])), "KeyRing([secret])");
    }
}
