//! Keyed tags and ids that cannot be guessed.
//!
//! The standard library's keyed SipHash with keys that it draws at random, twice, for 128 bits. Enough for a
//! demo that keeps no secrets, and no cryptography of its own to look after.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The keys of one server.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    halves: [RandomState; 2],
    drawn: AtomicU64,
}

impl Keys {
    /// An id that was not given out before.
    pub fn id(&self) -> String {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        hex(self.tag("id", &number.to_le_bytes()))
    }

    /// The payload with its tag, as text.
    pub fn seal(&self, purpose: &str, payload: &[u8]) -> String {
        let tag = self.tag(purpose, payload);
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(payload), hex(tag))
    }

    /// The payload of [`Keys::seal`], if it is what was sealed for this purpose.
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<Vec<u8>> {
        let (payload, tag) = sealed.rsplit_once('.')?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        (hex(self.tag(purpose, &payload)) == tag).then_some(payload)
    }

    /// A short name for some bytes.
    pub fn digest(&self, bytes: &[u8]) -> String {
        hex(self.tag("digest", bytes))
    }

    fn tag(&self, purpose: &str, payload: &[u8]) -> [u64; 2] {
        [0, 1].map(|half: usize| {
            let mut hasher = self.halves[half].build_hasher();
            hasher.write_usize(purpose.len());
            hasher.write(purpose.as_bytes());
            hasher.write(payload);
            hasher.finish()
        })
    }
}

fn hex(tag: [u64; 2]) -> String {
    format!("{:016x}{:016x}", tag[0], tag[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_its_purpose_alone() {
        let keys = Keys::default();
        let sealed = keys.seal("state", b"payload");
        assert_eq!(keys.open("state", &sealed).as_deref(), Some(&b"payload"[..]));
        assert_eq!(keys.open("cursor", &sealed), None);
        assert_eq!(Keys::default().open("state", &sealed), None, "another server's keys");
    }

    #[test]
    fn a_changed_seal_does_not_open() {
        let keys = Keys::default();
        let sealed = keys.seal("state", b"payload");
        let other = keys.seal("state", b"other");
        let (_, tag) = sealed.split_once('.').unwrap();
        let (payload, _) = other.split_once('.').unwrap();
        for text in ["", ".", "x", &format!("{payload}.{tag}"), &format!("{sealed}0"), &sealed[1..]] {
            assert_eq!(keys.open("state", text), None, "{text}");
        }
    }

    #[test]
    fn ids_differ() {
        let keys = Keys::default();
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| keys.id()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
