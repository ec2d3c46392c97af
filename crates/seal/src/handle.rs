//! Handles: sealed by a ring, bound to whom they were given, where and what for.

use aws_lc_rs::aead::{Aad, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Principal, Rng, Timestamp};

use crate::key::KeyId;
use crate::ring::KeyRing;

/// What a handle is for. A handle of one purpose never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A legacy `Mcp-Session-Id`.
    Session,
    /// The place in a list.
    Cursor,
    /// The state of a call that asked a question.
    RequestState,
    /// A task.
    Task,
    /// The place in a stream, for `Last-Event-ID`.
    EventId,
    /// A session with a legacy upstream.
    UpstreamSession,
    /// The way of a user to somebody who issues tokens, and back.
    Consent,
    /// Somebody who has signed in with a browser.
    SignedIn,
    /// What a user has granted.
    Grant,
    /// What a client of the gateway's authorization server gets tokens for, once.
    Code,
    /// What it gets further ones for.
    Refresh,
    /// An operator who has signed in, and his way there.
    OperatorSession,
}

impl Purpose {
    /// All purposes. Each has a key of its own, derived from the ring's.
    pub const ALL: [Self; 12] = [
        Self::Session,
        Self::Cursor,
        Self::RequestState,
        Self::Task,
        Self::EventId,
        Self::UpstreamSession,
        Self::Consent,
        Self::SignedIn,
        Self::Grant,
        Self::Code,
        Self::Refresh,
        Self::OperatorSession,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Cursor => "cursor",
            Self::RequestState => "request-state",
            Self::Task => "task",
            Self::EventId => "event-id",
            Self::UpstreamSession => "upstream-session",
            Self::Consent => "consent",
            Self::SignedIn => "signed-in",
            Self::Grant => "grant",
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::OperatorSession => "operator-session",
        }
    }
}

/// What a handle is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Who it was given to.
    pub principal: &'a Principal,
    /// Where: the endpoint's name.
    pub endpoint: &'a str,
    /// What for.
    pub purpose: Purpose,
}

impl Binding<'_> {
    /// The authenticated bytes: each part with its length, so that no two bindings read alike.
    fn aad(&self) -> Vec<u8> {
        let parts = [self.purpose.as_str(), self.principal.tenant(), self.principal.subject(), self.endpoint];
        let mut aad = Vec::with_capacity(64);
        for part in parts {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        aad
    }
}

/// The first byte of every handle. A format has one meaning for ever.
const FORMAT: u8 = 2;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = 1 + KeyId::BYTES + NONCE_BYTES;
const EXPIRY_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
/// The longest handle that is looked at, in characters.
pub const HANDLE_CHARS_MAX: usize = 64 * 1024;

impl KeyRing {
    /// Seals `payload` until `expires`, with the key that is active `now`. The handle is URL-safe text.
    #[must_use]
    pub fn seal(
        &self,
        rng: &dyn Rng,
        now: Timestamp,
        binding: &Binding<'_>,
        expires: Timestamp,
        payload: &[u8],
    ) -> String {
        let keys = self.keys();
        let key = keys.sealing(now);
        let mut nonce = [0; NONCE_BYTES];
        rng.fill(&mut nonce);
        let mut handle = Vec::with_capacity(HEAD_BYTES + EXPIRY_BYTES + payload.len() + TAG_BYTES);
        handle.push(FORMAT);
        handle.extend_from_slice(&key.term.id.bytes());
        handle.extend_from_slice(&nonce);
        handle.extend_from_slice(&expires.0.to_be_bytes());
        handle.extend_from_slice(payload);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aead = key.aead(binding.purpose);
        let tag = aead
            .seal_in_place_separate_tag(nonce, Aad::from(binding.aad()), &mut handle[HEAD_BYTES..])
            .expect("a payload of a few kilobytes is within the algorithm's bounds");
        handle.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(handle)
    }

    /// Whether a handle was sealed with the key that seals now. It says nothing of whether it opens.
    #[must_use]
    pub fn is_of_the_active_key(&self, now: Timestamp, handle: &str) -> bool {
        let id = self.keys().sealing(now).term.id.bytes();
        let bytes = URL_SAFE_NO_PAD.decode(handle).unwrap_or_default();
        bytes.get(1..=KeyId::BYTES).is_some_and(|found| found == id)
    }

    /// Opens a handle. `None`: made up, altered, bound to something else, expired, of a foreign or a retired
    /// key; nobody learns which.
    #[must_use]
    pub fn open(&self, binding: &Binding<'_>, now: Timestamp, handle: &str) -> Option<Vec<u8>> {
        self.open_with_expiry(binding, now, handle).map(|(payload, _)| payload)
    }

    /// Opens a handle, and tells until when it opens with the keys that there are: until it expires, or
    /// its key retires. `None` as [`KeyRing::open`].
    ///
    /// A text that opens is the only one for its handle: no other spelling of it does.
    #[must_use]
    pub fn open_with_expiry(
        &self,
        binding: &Binding<'_>,
        now: Timestamp,
        handle: &str,
    ) -> Option<(Vec<u8>, Timestamp)> {
        if handle.len() > HANDLE_CHARS_MAX {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(handle).ok()?;
        let (head, sealed) = bytes.split_at_mut_checked(HEAD_BYTES)?;
        let (id, nonce) = head[1..].split_at(KeyId::BYTES);
        if head[0] != FORMAT {
            return None;
        }
        let keys = self.keys();
        let key = keys.opening(KeyId::from_bytes(id.try_into().ok()?), now)?;
        let nonce = Nonce::assume_unique_for_key(nonce.try_into().ok()?);
        let aead = key.aead(binding.purpose);
        let opened = aead.open_in_place(nonce, Aad::from(binding.aad()), sealed).ok()?;
        let (expires, payload) = opened.split_at_checked(EXPIRY_BYTES)?;
        let expires = Timestamp(u64::from_be_bytes(expires.try_into().ok()?));
        let good_until = key.term.retired_at.map_or(expires, |retired| retired.min(expires));
        (now < good_until).then(|| (payload.to_vec(), good_until))
    }
}

#[cfg(test)]
mod tests {
    use model::SeededRng;

    use super::*;
    use crate::key::{KEY_BYTES, Key};

    const NOW: Timestamp = Timestamp(1_000_000);
    const LATER: Timestamp = Timestamp(2_000_000);

    fn binding<'a>(principal: &'a Principal, endpoint: &'a str, purpose: Purpose) -> Binding<'a> {
        Binding { principal, endpoint, purpose }
    }

    fn key(byte: u8, active_from: u64, retired_at: Option<u64>) -> Key {
        Key::new([byte; KEY_BYTES], Timestamp(0), Timestamp(active_from), retired_at.map(Timestamp))
    }

    fn ring(keys: &[Key]) -> KeyRing {
        KeyRing::new(keys, NOW).expect("a ring")
    }

    #[test]
    fn a_handle_opens_to_what_was_sealed_until_it_expires() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let ring = KeyRing::generate(&rng);
        for purpose in Purpose::ALL {
            let b = binding(&me, "all", purpose);
            let handle = ring.seal(&rng, NOW, &b, LATER, b"payload");
            assert_eq!(ring.open_with_expiry(&b, NOW, &handle), Some((b"payload".to_vec(), LATER)));
            assert_eq!(ring.open(&b, Timestamp(LATER.0 - 1), &handle).as_deref(), Some(&b"payload"[..]));
            assert_eq!(ring.open(&b, LATER, &handle), None);
        }
    }

    #[test]
    fn a_handle_swapped_between_principals_tenants_endpoints_or_purposes_is_unknown() {
        let (rng, me, other) = (SeededRng::new(1), Principal::new("t", "me"), Principal::new("t", "you"));
        let ring = KeyRing::generate(&rng);
        let tenant = Principal::new("u", "me");
        let shifted = Principal::new("tm", "e");
        for purpose in Purpose::ALL {
            let handle = ring.seal(&rng, NOW, &binding(&me, "a", purpose), LATER, b"x");
            for wrong in [
                binding(&other, "a", purpose),
                binding(&tenant, "a", purpose),
                binding(&shifted, "a", purpose),
                binding(&me, "b", purpose),
                binding(&me, "", purpose),
            ] {
                assert_eq!(ring.open(&wrong, NOW, &handle), None, "{wrong:?}");
            }
            for other in Purpose::ALL {
                let opened = ring.open(&binding(&me, "a", other), NOW, &handle);
                assert_eq!(opened.is_some(), other == purpose, "{purpose:?} as {other:?}");
            }
        }
    }

    #[test]
    fn a_handle_with_any_one_bit_flipped_is_unknown() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let ring = ring(&[key(1, 0, None), key(2, 10, None)]);
        let b = binding(&me, "a", Purpose::Session);
        let handle = ring.seal(&rng, NOW, &b, LATER, b"payload");
        let bytes = URL_SAFE_NO_PAD.decode(&handle).expect("it is base64url");
        assert_eq!(bytes.len(), HEAD_BYTES + EXPIRY_BYTES + 7 + TAG_BYTES);
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ring.open(&b, NOW, &URL_SAFE_NO_PAD.encode(altered)), None, "bit {bit}");
        }
        // And in its text: no other spelling opens, nor a part of it, nor more than it.
        for at in 0..handle.len() {
            let mut altered = handle.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert_eq!(ring.open(&b, NOW, &altered), None, "altered at {at}");
            assert_eq!(ring.open(&b, NOW, &handle[..at]), None, "cut at {at}");
        }
        for longer in
            [format!("{handle}A"), format!("{handle}="), format!(" {handle}"), format!("{handle}\n")]
        {
            assert_eq!(ring.open(&b, NOW, &longer), None, "{longer}");
        }
    }

    #[test]
    fn a_handle_that_names_another_key_of_the_ring_is_unknown() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let ring = ring(&[key(1, 0, None), key(2, 10, None)]);
        let b = binding(&me, "a", Purpose::Session);
        let mut bytes = URL_SAFE_NO_PAD.decode(ring.seal(&rng, NOW, &b, LATER, b"x")).expect("base64url");
        assert_eq!(bytes[1..5], KeyId::of(&[2; KEY_BYTES]).bytes());
        bytes[1..5].copy_from_slice(&KeyId::of(&[1; KEY_BYTES]).bytes());
        assert_eq!(ring.open(&b, NOW, &URL_SAFE_NO_PAD.encode(bytes)), None);
    }

    #[test]
    fn a_made_up_handle_is_unknown() {
        let (ring, me) = (KeyRing::from_key(&[1; KEY_BYTES]), Principal::anonymous());
        let b = binding(&me, "a", Purpose::Session);
        // Of the format before, without a key id.
        let old = URL_SAFE_NO_PAD.encode([&[1][..], &[0; 60]].concat());
        let id = KeyId::of(&[1; KEY_BYTES]).bytes();
        let bare = URL_SAFE_NO_PAD.encode([&[FORMAT][..], &id, &[0; NONCE_BYTES]].concat());
        for made_up in ["", "A", "!!!", "AQ", "Ag", "é", &old, &bare, &"A".repeat(HANDLE_CHARS_MAX + 1)] {
            assert_eq!(ring.open(&b, NOW, made_up), None, "{made_up:.40}");
        }
    }

    #[test]
    fn a_handle_of_an_old_key_opens_until_that_key_retires() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let b = binding(&me, "a", Purpose::Session);
        let ring = ring(&[key(1, 0, None)]);
        let handle = ring.seal(&rng, NOW, &b, LATER, b"x");
        ring.replace(&[key(1, 0, Some(NOW.0 + 500)), key(2, NOW.0, None)], NOW).expect("a ring");
        let retires = Timestamp(NOW.0 + 500);
        assert_eq!(ring.open_with_expiry(&b, NOW, &handle), Some((b"x".to_vec(), retires)));
        assert!(ring.open(&b, Timestamp(NOW.0 + 499), &handle).is_some());
        assert_eq!(ring.open(&b, retires, &handle), None, "retired");
        let new = ring.seal(&rng, NOW, &b, LATER, b"x");
        assert!(ring.open(&b, retires, &new).is_some(), "the new key seals since then");
        ring.replace(&[key(2, NOW.0, None)], NOW).expect("a ring");
        assert_eq!(ring.open(&b, NOW, &handle), None, "taken out");
    }

    #[test]
    fn a_handle_of_a_foreign_key_is_unknown() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let b = binding(&me, "a", Purpose::Session);
        let handle = ring(&[key(1, 0, None)]).seal(&rng, NOW, &b, LATER, b"x");
        assert_eq!(ring(&[key(2, 0, None), key(3, 1, None)]).open(&b, NOW, &handle), None);
    }

    #[test]
    fn a_key_that_is_known_and_not_active_yet_does_not_seal_and_does_open() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let b = binding(&me, "a", Purpose::Session);
        let keys = [key(1, 0, None), key(2, NOW.0 + 30_000, None)];
        // Clocks that are 30 s apart: one replica has begun to use the new key, the other has not.
        let (behind, ahead) = (NOW, Timestamp(NOW.0 + 30_000));
        let (here, there) = (ring(&keys), ring(&keys));
        let old = here.seal(&rng, behind, &b, LATER, b"old");
        let new = there.seal(&rng, ahead, &b, LATER, b"new");
        let named = |handle: &str| URL_SAFE_NO_PAD.decode(handle).expect("base64url")[1..5].to_vec();
        assert_eq!(named(&old), KeyId::of(&[1; KEY_BYTES]).bytes());
        assert_eq!(named(&new), KeyId::of(&[2; KEY_BYTES]).bytes());
        for (ring, now) in [(&here, behind), (&there, ahead)] {
            assert_eq!(ring.open(&b, now, &old).as_deref(), Some(&b"old"[..]));
            assert_eq!(ring.open(&b, now, &new).as_deref(), Some(&b"new"[..]));
        }
    }

    #[test]
    fn the_same_nonce_and_payload_give_the_same_handle_while_one_key_is_active() {
        let (ring, me) = (KeyRing::from_key(&[1; KEY_BYTES]), Principal::anonymous());
        let b = binding(&me, "a", Purpose::Task);
        let seal = |seed, payload| ring.seal(&SeededRng::new(seed), NOW, &b, LATER, payload);
        assert_eq!(seal(1, b"x"), seal(1, b"x"));
        assert_ne!(seal(1, b"x"), seal(2, b"x"));
        assert_ne!(seal(1, b"x"), seal(1, b"y"));
    }
}
