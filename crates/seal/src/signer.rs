//! Signatures that everybody can check: of what the gateway says to others that have no key of the ring.

use std::fmt;

use aws_lc_rs::hkdf::KeyType;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use model::Timestamp;

use crate::key::KeyId;
use crate::ring::{KeyRing, Ready};

/// How many bytes a public key has.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// How many bytes it is made from.
const SEED_BYTES: usize = 32;

/// A key that signs by Ed25519 (RFC 8032), derived from a key of the ring for one use alone. So all replicas
/// have the same, and it changes with the ring. Printing one never shows the key.
pub struct Signer {
    id: KeyId,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The length of a seed, for HKDF.
struct Seed;

impl KeyType for Seed {
    fn len(&self) -> usize {
        SEED_BYTES
    }
}

impl Signer {
    fn derive(key: &Ready, label: &str) -> Self {
        let info = [b"sign ".as_slice(), label.as_bytes()];
        let mut seed = [0; SEED_BYTES];
        let derived = key.prk.expand(&info, Seed).expect("32 bytes are within HKDF's bounds");
        derived.fill(&mut seed).expect("it is as long as was asked for");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        Self { id: key.term.id, pair }
    }

    /// The key of the ring that it was derived from.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What signatures are checked with.
    #[must_use]
    pub fn public(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.pair.public_key().as_ref().try_into().expect("a public key has 32 bytes")
    }

    /// A signature of this text, 64 bytes.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }
}

/// Whether a signature by Ed25519 is one of this text by this key.
#[must_use]
pub fn verify_signature(public: &[u8; PUBLIC_KEY_BYTES], text: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(text, signature).is_ok()
}

impl KeyRing {
    /// What signs now, for a use that `label` names.
    #[must_use]
    pub fn signer(&self, now: Timestamp, label: &str) -> Signer {
        Signer::derive(self.keys().sealing(now), label)
    }

    /// The key of the ring from which [`Self::signer`] derives what signs now: whether it is still the same.
    #[must_use]
    pub fn signer_id(&self, now: Timestamp) -> KeyId {
        self.keys().sealing(now).term.id
    }

    /// Everything whose signatures are good, for a use that `label` names: keys that will sign, so that
    /// others know them before, the one that does, and those before it until they retire.
    #[must_use]
    pub fn signers(&self, now: Timestamp, label: &str) -> Vec<Signer> {
        self.keys().unretired(now).map(|key| Signer::derive(key, label)).collect()
    }

    /// One of those, by its key in the ring.
    #[must_use]
    pub fn signer_of(&self, id: KeyId, now: Timestamp, label: &str) -> Option<Signer> {
        self.keys().opening(id, now).map(|key| Signer::derive(key, label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KEY_BYTES, Key};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn key(byte: u8, active_from: u64, retired_at: Option<u64>) -> Key {
        Key::new([byte; KEY_BYTES], Timestamp(0), Timestamp(active_from), retired_at.map(Timestamp))
    }

    #[test]
    fn replicas_with_one_ring_check_one_anothers_signatures() {
        let ring = |keys: &[Key]| KeyRing::new(keys, NOW).expect("a ring");
        let keys = [key(1, 0, None), key(2, 10, None)];
        let (one, other) = (ring(&keys), ring(&keys));
        let signer = one.signer(NOW, "token");
        assert_eq!(one.signer_id(NOW), signer.id());
        let signature = signer.sign(b"text");
        let public = other.signer_of(signer.id(), NOW, "token").expect("the same key").public();
        let check = UnparsedPublicKey::new(&ED25519, public);
        assert!(check.verify(b"text", &signature).is_ok());
        assert!(verify_signature(&public, b"text", &signature));
        assert!(!verify_signature(&public, b"text", &signature[1..]));
        assert!(check.verify(b"texts", &signature).is_err());
        let elsewhere = other.signer_of(signer.id(), NOW, "receipt").expect("a key").public();
        assert!(UnparsedPublicKey::new(&ED25519, elsewhere).verify(b"text", &signature).is_err(), "label");
    }

    #[test]
    fn a_key_is_shown_before_it_signs_and_until_it_retires() {
        let ring = KeyRing::new(
            &[key(1, 0, Some(NOW.0)), key(2, 0, Some(NOW.0 + 1)), key(3, 5, None), key(4, NOW.0 + 9, None)],
            NOW,
        );
        let ring = ring.expect("a ring");
        let shown: Vec<KeyId> = ring.signers(NOW, "x").iter().map(Signer::id).collect();
        assert_eq!(shown, [2, 3, 4].map(|byte| KeyId::of(&[byte; KEY_BYTES])));
        assert_eq!(ring.signer(NOW, "x").id(), KeyId::of(&[3; KEY_BYTES]));
        assert!(ring.signer_of(KeyId::of(&[1; KEY_BYTES]), NOW, "x").is_none(), "retired");
        assert!(!format!("{:?}", ring.signer(NOW, "x")).contains("pair"));
    }
}
