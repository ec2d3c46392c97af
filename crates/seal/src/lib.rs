//! Sealed handles: the only crate that holds the gateway's keys.
//!
//! A handle is what the gateway gives out and takes back: a session id, a cursor, a request state, a task id.
//! It is encrypted and authenticated (AES-256-GCM-SIV, RFC 8452, which forgives a repeated nonce) and
//! bound to tenant, principal, endpoint, purpose and expiry. A handle that was swapped between any of
//! these opens to nothing, exactly like one that was made up. A handle is no authentication: it only says
//! where to go on.
//!
//! The keys are a ring ([`KeyRing`]): one seals, and those before it open what they have sealed until they
//! retire. So every replica with the ring serves every handle, and keys are changed without an outage
//! ([`rotate`]). [`text`] is how a ring is kept.

mod handle;
mod hex;
mod key;
mod mac;
mod pair;
mod ring;
mod rotate;
mod signer;
pub mod text;
mod time;

use model::Rng;

pub use handle::{Binding, HANDLE_CHARS_MAX, Purpose};
pub use hex::{hex, hex_to, unhex};
pub use key::{KEY_BYTES, Key, KeyId, KeyIdError, State, Term, active, states};
pub use mac::{MAC_BYTES, hmac_sha256};
pub use pair::Pair;
pub use ring::{CLOCK_SKEW_MAX, Fingerprint, FingerprintError, KEYS_MAX, KeyRing, RingError};
pub use rotate::{ChangeError, FORGET_AFTER, Rotation, first, overview, retire, rotate};
pub use signer::{PUBLIC_KEY_BYTES, Signer, verify_signature};
pub use time::{time_from_text, time_to_text};

/// The machine's own cryptographically strong source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the kernel's random source never fails once it is seeded");
    }
}

/// SHA-256 of what comes in pieces.
#[derive(Clone)]
pub struct Sha256(aws_lc_rs::digest::Context);

impl Sha256 {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256))
    }

    /// A piece more.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all of it.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// A SHA-256 digest.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
