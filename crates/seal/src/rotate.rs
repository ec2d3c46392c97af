//! Changes of a ring: from keys to keys, whatever they are kept in.

use std::fmt;
use std::time::Duration;

use model::{Rng, Timestamp};

use crate::key::{Key, KeyId, Term, active, states};
use crate::ring::KEYS_MAX;

/// How long a retired key is still shown before it is forgotten. It does nothing in that time.
pub const FORGET_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// When a new key takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// How long until it seals. By then every replica has read it.
    pub after: Duration,
    /// How long the keys before it open from then on: as long as a handle lives.
    pub keep: Duration,
}

/// Why a ring is left as it is. The text completes "failed to …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeError {
    /// The ring is full of keys that still open.
    Full,
    /// There is no key with this id.
    Unknown(KeyId),
    /// No other key would seal.
    Last(KeyId),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => {
                write!(f, "add a key: the ring has {KEYS_MAX} and none of them can be forgotten yet")
            }
            Self::Unknown(id) => write!(f, "find the key {id} in the ring"),
            Self::Last(id) => {
                write!(f, "retire the key {id}: no other key would seal; add one that does at once first")
            }
        }
    }
}

impl std::error::Error for ChangeError {}

/// A first ring: one key that seals at once.
#[must_use]
pub fn first(rng: &dyn Rng, now: Timestamp) -> Vec<Key> {
    vec![Key::generate(rng, now, now)]
}

/// Adds a key. Those before it retire once the handles that they sealed are over, unless they do so sooner
/// anyway; those that are retired for long are forgotten.
///
/// # Errors
/// [`ChangeError::Full`]
pub fn rotate(
    keys: &[Key],
    rng: &dyn Rng,
    now: Timestamp,
    rotation: Rotation,
) -> Result<Vec<Key>, ChangeError> {
    let active_from = now.plus(rotation.after);
    let over = active_from.plus(rotation.keep);
    let forgotten = |term: &Term| term.retired_at.is_some_and(|at| at.plus(FORGET_AFTER) <= now);
    let kept = keys.iter().filter(|key| !forgotten(key.term()));
    let mut keys: Vec<Key> = kept
        .map(|key| match key.term().retired_at {
            Some(_) => key.clone(),
            // One that becomes active only after the new key seals until then at least.
            None => key.clone().retired_at(over.max(key.term().active_from.plus(rotation.keep))),
        })
        .collect();
    if keys.len() >= KEYS_MAX {
        return Err(ChangeError::Full);
    }
    let new = loop {
        let new = Key::generate(rng, now, active_from);
        if keys.iter().all(|key| key.term().id != new.term().id) {
            break new;
        }
    };
    keys.push(new);
    Ok(keys)
}

/// Retires a key at once: what it sealed is unknown from now on.
///
/// # Errors
/// [`ChangeError::Unknown`]; [`ChangeError::Last`], where nothing would seal without it.
pub fn retire(keys: &[Key], id: KeyId, now: Timestamp) -> Result<Vec<Key>, ChangeError> {
    let mut keys = keys.to_vec();
    let key = keys.iter_mut().find(|key| key.term().id == id).ok_or(ChangeError::Unknown(id))?;
    if key.term().is_retired(now) {
        return Ok(keys);
    }
    *key = key.clone().retired_at(now);
    let terms: Vec<Term> = keys.iter().map(|key| *key.term()).collect();
    match active(&terms, now) {
        Some(_) => Ok(keys),
        None => Err(ChangeError::Last(id)),
    }
}

/// Each key's term and state, in the order in which they become active.
#[must_use]
pub fn overview(keys: &[Key], now: Timestamp) -> Vec<(Term, crate::State)> {
    let mut terms: Vec<Term> = keys.iter().map(|key| *key.term()).collect();
    terms.sort_by_key(|term| (term.active_from, term.id));
    let states = states(&terms, now);
    terms.into_iter().zip(states).collect()
}

#[cfg(test)]
mod tests {
    use model::{Principal, SeededRng};

    use super::*;
    use crate::{Binding, KeyRing, Purpose, State};

    const NOW: Timestamp = Timestamp(1_795_416_480_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const ROTATION: Rotation = Rotation { after: Duration::from_secs(300), keep: DAY };

    fn states_at(keys: &[Key], now: Timestamp) -> String {
        let all = overview(keys, now);
        all.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_new_key_waits_until_all_have_read_it_and_the_old_one_goes_when_its_handles_have() {
        let rng = SeededRng::new(1);
        let keys = first(&rng, NOW);
        assert_eq!(states_at(&keys, NOW), "active");
        let keys = rotate(&keys, &rng, NOW, ROTATION).expect("there is room");
        let takes_over = NOW.plus(5 * MINUTE);
        let over = takes_over.plus(DAY);
        assert_eq!(states_at(&keys, NOW), "active next");
        assert_eq!(states_at(&keys, Timestamp(takes_over.0 - 1)), "active next");
        assert_eq!(states_at(&keys, takes_over), "opens active");
        assert_eq!(states_at(&keys, Timestamp(over.0 - 1)), "opens active");
        assert_eq!(states_at(&keys, over), "retired active");
        assert_eq!(keys[1].term().retired_at, None);
        // The next rotation but one forgets what is long retired.
        let later = over.plus(FORGET_AFTER);
        let keys = rotate(&keys, &rng, later, ROTATION).expect("there is room");
        assert_eq!((keys.len(), &*states_at(&keys, later)), (2, "active next"));
    }

    #[test]
    fn two_rotations_in_a_row_lose_no_key_and_move_no_end() {
        let rng = SeededRng::new(1);
        let one = rotate(&first(&rng, NOW), &rng, NOW, ROTATION).expect("there is room");
        let two = rotate(&one, &rng, NOW.plus(MINUTE), ROTATION).expect("there is room");
        assert_eq!(states_at(&two, NOW.plus(MINUTE)), "active next next");
        assert_eq!(two[0], one[0]);
        assert_eq!(two[1].term().retired_at, Some(NOW.plus(6 * MINUTE).plus(DAY)));
        // One that takes over before the one before it: that one still has its time.
        let at_once = Rotation { after: Duration::ZERO, keep: MINUTE };
        let three = rotate(&one, &rng, NOW, at_once).expect("there is room");
        assert_eq!(three[1].term().retired_at, Some(NOW.plus(6 * MINUTE)));
    }

    #[test]
    fn no_handle_is_lost_in_a_rotation_read_at_different_times() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let b = Binding { principal: &me, endpoint: "a", purpose: Purpose::Session };
        let before = first(&rng, NOW);
        let after = rotate(&before, &rng, NOW, ROTATION).expect("there is room");
        let (late, early) =
            (KeyRing::new(&before, NOW).expect("a ring"), KeyRing::new(&after, NOW).expect("a ring"));
        for minute in 0..24 * 60 + 10 {
            let now = NOW.plus(minute * MINUTE);
            if minute == 4 {
                late.replace(&after, now).expect("a ring");
            }
            let until = now.plus(DAY);
            for (from, to) in [(&late, &early), (&early, &late)] {
                let handle = from.seal(&rng, now, &b, until, b"x");
                assert_eq!(to.open_with_expiry(&b, now, &handle), Some((b"x".to_vec(), until)), "{minute}");
            }
        }
    }

    #[test]
    fn a_key_is_retired_at_once_unless_nothing_would_seal_without_it() {
        let rng = SeededRng::new(1);
        let keys = rotate(&first(&rng, NOW), &rng, NOW, ROTATION).expect("there is room");
        let (old, new) = (keys[0].term().id, keys[1].term().id);
        assert_eq!(retire(&keys, old, NOW), Err(ChangeError::Last(old)));
        let unknown = KeyId::from_bytes([0; 4]);
        assert_eq!(retire(&keys, unknown, NOW), Err(ChangeError::Unknown(unknown)));
        let then = NOW.plus(5 * MINUTE);
        let retired = retire(&keys, old, then).expect("the new key seals");
        assert_eq!(states_at(&retired, then), "retired active");
        assert_eq!(retire(&retired, old, then.plus(MINUTE)), Ok(retired), "once is enough");
        let given_up = retire(&keys, new, NOW).expect("the old key seals");
        let states: Vec<State> = overview(&given_up, then).into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, [State::Active, State::Retired]);
    }

    #[test]
    fn a_full_ring_is_left_as_it_is() {
        let rng = SeededRng::new(1);
        let mut keys = first(&rng, NOW);
        for _ in 1..KEYS_MAX {
            keys = rotate(&keys, &rng, NOW, ROTATION).expect("there is room");
        }
        assert_eq!(keys.len(), KEYS_MAX);
        assert_eq!(rotate(&keys, &rng, NOW, ROTATION), Err(ChangeError::Full));
        assert!(KeyRing::new(&keys, NOW).is_ok(), "as many are a ring");
        let years = NOW.plus(3 * DAY);
        assert_eq!(rotate(&keys, &rng, years, ROTATION).map(|keys| keys.len()), Ok(2), "they are forgotten");
    }
}
