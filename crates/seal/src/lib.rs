//! Sealed handles: the only crate that holds the gateway's keys.
//!
//! A handle is what the gateway gives out and takes back: a session id, a cursor, a request state, a task id.
//! It is encrypted and authenticated (AES-256-GCM-SIV, RFC 8452, which forgives a repeated nonce) and
//! bound to tenant, principal, endpoint, purpose and expiry. A handle that was swapped between any of
//! these opens to nothing, exactly like one that was made up. A handle is no authentication: it only says
//! where to go on.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Principal, Rng, Timestamp};

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
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Cursor => "cursor",
            Self::RequestState => "request-state",
            Self::Task => "task",
            Self::EventId => "event-id",
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

/// The first byte of every handle.
const FORMAT: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = 1 + NONCE_BYTES;
/// The longest handle that is looked at, in characters.
pub const HANDLE_CHARS_MAX: usize = 64 * 1024;

/// The machine's own cryptographically strong source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the kernel's random source never fails once it is seeded");
    }
}

/// The keys that seal and open handles. Printing one never shows a key.
pub struct KeyRing {
    key: LessSafeKey,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing([secret])")
    }
}

impl KeyRing {
    /// A ring with one new key: handles live as long as the process.
    #[must_use]
    pub fn generate(rng: &dyn Rng) -> Self {
        let mut bytes = [0; KEY_BYTES];
        rng.fill(&mut bytes);
        Self::from_key(&bytes)
    }

    /// A ring with this key.
    #[must_use]
    pub fn from_key(bytes: &[u8; KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes).expect("the length fits the algorithm");
        Self { key: LessSafeKey::new(key) }
    }

    /// Seals `payload` until `expires`. The handle is URL-safe text.
    #[must_use]
    pub fn seal(&self, rng: &dyn Rng, binding: &Binding<'_>, expires: Timestamp, payload: &[u8]) -> String {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill(&mut nonce);
        let mut sealed = Vec::with_capacity(8 + payload.len());
        sealed.extend_from_slice(&expires.0.to_be_bytes());
        sealed.extend_from_slice(payload);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(binding.aad()),
                &mut sealed,
            )
            .expect("a payload of a few kilobytes is within the algorithm's bounds");
        let mut handle = Vec::with_capacity(HEAD_BYTES + sealed.len() + 16);
        handle.push(FORMAT);
        handle.extend_from_slice(&nonce);
        handle.extend_from_slice(&sealed);
        handle.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(handle)
    }

    /// Opens a handle. `None`: made up, altered, bound to something else, or expired; nobody learns which.
    #[must_use]
    pub fn open(&self, binding: &Binding<'_>, now: Timestamp, handle: &str) -> Option<Vec<u8>> {
        self.open_with_expiry(binding, now, handle).map(|(payload, _)| payload)
    }

    /// Opens a handle, and tells until when it is good. `None` as [`KeyRing::open`].
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
        let bytes = URL_SAFE_NO_PAD.decode(handle).ok()?;
        if bytes.len() < HEAD_BYTES || bytes[0] != FORMAT {
            return None;
        }
        let nonce: [u8; NONCE_BYTES] = bytes[1..HEAD_BYTES].try_into().ok()?;
        let mut sealed = bytes[HEAD_BYTES..].to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(binding.aad()), &mut sealed).ok()?;
        let (expires, payload) = opened.split_at_checked(8)?;
        let expires = Timestamp(u64::from_be_bytes(expires.try_into().ok()?));
        (now < expires).then(|| (payload.to_vec(), expires))
    }
}

/// A SHA-256 digest.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use model::SeededRng;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const LATER: Timestamp = Timestamp(2_000_000);

    fn binding<'a>(principal: &'a Principal, endpoint: &'a str, purpose: Purpose) -> Binding<'a> {
        Binding { principal, endpoint, purpose }
    }

    #[test]
    fn a_handle_opens_to_what_was_sealed_until_it_expires() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let ring = KeyRing::generate(&rng);
        let b = binding(&me, "all", Purpose::Cursor);
        let handle = ring.seal(&rng, &b, LATER, b"payload");
        assert_eq!(ring.open(&b, NOW, &handle).as_deref(), Some(&b"payload"[..]));
        assert_eq!(ring.open(&b, LATER, &handle), None);
    }

    #[test]
    fn a_swapped_binding_is_the_same_as_an_unknown_handle() {
        let (rng, me, other) = (SeededRng::new(1), Principal::new("t", "me"), Principal::new("t", "you"));
        let ring = KeyRing::generate(&rng);
        let handle = ring.seal(&rng, &binding(&me, "a", Purpose::Cursor), LATER, b"x");
        let tenant = Principal::new("u", "me");
        let shifted = Principal::new("tm", "e");
        for wrong in [
            binding(&other, "a", Purpose::Cursor),
            binding(&tenant, "a", Purpose::Cursor),
            binding(&shifted, "a", Purpose::Cursor),
            binding(&me, "b", Purpose::Cursor),
            binding(&me, "a", Purpose::Session),
        ] {
            assert_eq!(ring.open(&wrong, NOW, &handle), None, "{wrong:?}");
        }
        let stranger = KeyRing::generate(&SeededRng::new(2));
        assert_eq!(stranger.open(&binding(&me, "a", Purpose::Cursor), NOW, &handle), None);
    }

    #[test]
    fn an_altered_or_made_up_handle_opens_to_nothing() {
        let (rng, me) = (SeededRng::new(1), Principal::anonymous());
        let ring = KeyRing::generate(&rng);
        let b = binding(&me, "a", Purpose::Session);
        let handle = ring.seal(&rng, &b, LATER, b"payload");
        for at in 0..handle.len() {
            let mut altered = handle.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert_eq!(ring.open(&b, NOW, &altered), None, "altered at {at}");
            assert_eq!(ring.open(&b, NOW, &handle[..at]), None, "cut at {at}");
        }
        for made_up in ["", "A", "!!!", "AQ", "é"] {
            assert_eq!(ring.open(&b, NOW, made_up), None);
        }
        assert_eq!(ring.open(&b, NOW, &"A".repeat(HANDLE_CHARS_MAX + 1)), None);
    }

    #[test]
    fn a_printed_ring_shows_no_key() {
        assert_eq!(format!("{:?}", KeyRing::from_key(&[7; 32])), "KeyRing([secret])");
    }
}
