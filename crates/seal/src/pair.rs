//! Key pairs by which the gateway proves that it holds one (RFC 9449).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

/// A pair on the curve P-256 that signs by ES256 (RFC 7518, section 3.4). Printing one never shows the key.
pub struct Pair {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
    point: ([u8; 32], [u8; 32]),
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair([secret])")
    }
}

impl Pair {
    /// A new pair; `None` where the machine's random source fails.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::read(made.ok()?.as_ref())
    }

    /// A pair that was written before; `None` where it is none.
    #[must_use]
    pub fn read(pkcs8: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
        // An uncompressed point (SEC 1, section 2.3.3).
        let (x, y) = pair.public_key().as_ref().strip_prefix(&[4])?.split_at_checked(32)?;
        let point = (x.try_into().ok()?, y.try_into().ok()?);
        Some(Self { pair, pkcs8: pkcs8.to_vec(), point })
    }

    /// The pair as it is kept (PKCS #8). It is a secret.
    #[must_use]
    pub fn write(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The coordinates of what everybody may know of it.
    #[must_use]
    pub fn point(&self) -> (&[u8; 32], &[u8; 32]) {
        (&self.point.0, &self.point.1)
    }

    /// A signature of this text, 64 bytes; `None` where the machine's random source fails.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        Some(self.pair.sign(&SystemRandom::new(), text).ok()?.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_pair_that_was_written_signs_as_before() {
        let pair = Pair::generate().expect("random bytes");
        let again = Pair::read(pair.write()).expect("a pair");
        let (x, y) = pair.point();
        assert_eq!(again.point(), (x, y));
        let point = [&[4][..], x, y].concat();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
        let signature = again.sign(b"text").expect("a signature");
        assert!(public.verify(b"text", &signature).is_ok());
        assert!(public.verify(b"another", &signature).is_err());
        assert!(Pair::read(&pair.write()[1..]).is_none());
        assert_eq!(format!("{pair:?}"), "Pair([secret])");
    }
}
