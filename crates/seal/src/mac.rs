//! Marks that only who has the ring can make: how replicas know one another.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use model::Timestamp;

use crate::key::KeyId;
use crate::ring::{KeyRing, Ready};

/// How many bytes a mark has.
pub const MAC_BYTES: usize = 32;

impl KeyRing {
    /// Marks `parts` for a use that `label` names: HMAC-SHA256 (RFC 2104) with a key that is derived from the
    /// active one for this label alone (HKDF-SHA256, RFC 5869). Which bytes belong to which part counts.
    ///
    /// A mark says that its maker has the ring, and nothing of when it was made: what must not be sent twice
    /// has a time or a number among its parts.
    #[must_use]
    pub fn mac(&self, now: Timestamp, label: &str, parts: &[&[u8]]) -> (KeyId, [u8; MAC_BYTES]) {
        let keys = self.keys();
        let key = keys.sealing(now);
        (key.term.id, mark(key, label, parts))
    }

    /// Whether a mark was made from this label and these parts with the key that `id` names. A foreign or a
    /// retired key is as good as a wrong mark. Takes the same time for any mark of one key.
    #[must_use]
    pub fn verify_mac(&self, now: Timestamp, label: &str, parts: &[&[u8]], id: KeyId, mac: &[u8]) -> bool {
        let keys = self.keys();
        let key = keys.opening(id, now);
        key.is_some_and(|key| verify_slices_are_equal(&mark(key, label, parts), mac).is_ok())
    }
}

impl KeyRing {
    /// As [`KeyRing::verify_mac`], of a mark of which only the first 16 bytes or more travel, which is as
    /// much as HMAC may be cut to (RFC 2104, section 5).
    #[must_use]
    pub fn verify_mac_start(
        &self,
        now: Timestamp,
        label: &str,
        parts: &[&[u8]],
        id: KeyId,
        start: &[u8],
    ) -> bool {
        let keys = self.keys();
        let Some(key) = keys.opening(id, now).filter(|_| start.len() >= MAC_BYTES / 2) else { return false };
        let whole = mark(key, label, parts);
        whole.get(..start.len()).is_some_and(|own| verify_slices_are_equal(own, start).is_ok())
    }
}

/// HMAC-SHA256 (RFC 2104) of `parts` as one text, with a key that somebody else gave out.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; MAC_BYTES] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn mark(key: &Ready, label: &str, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
    let info = [b"mac ".as_slice(), label.as_bytes()];
    let derived = key.prk.expand(&info, hmac::HMAC_SHA256).expect("32 bytes are within HKDF's bounds");
    let mut context = hmac::Context::with_key(&hmac::Key::from(derived));
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KEY_BYTES, Key};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn key(byte: u8, active_from: u64, retired_at: Option<u64>) -> Key {
        Key::new([byte; KEY_BYTES], Timestamp(0), Timestamp(active_from), retired_at.map(Timestamp))
    }

    fn ring(keys: &[Key]) -> KeyRing {
        KeyRing::new(keys, NOW).expect("a ring")
    }

    #[test]
    fn a_foreign_keys_mac_is_that_of_the_rfc_however_the_text_is_cut() {
        // RFC 4231, section 4.3.
        let mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for parts in
            [&[b"what do ya want ".as_slice(), b"for nothing?"][..], &[b"what do ya want for nothing?"]]
        {
            assert_eq!(hex(&hmac_sha256(b"Jefe", parts)), mac);
        }
        assert_ne!(hex(&hmac_sha256(b"jefe", &[b"what do ya want for nothing?"])), mac);
    }

    #[test]
    fn a_mark_is_good_for_its_label_its_parts_and_its_key_alone() {
        let ring = ring(&[key(1, 0, None), key(2, 10, None)]);
        let (id, mac) = ring.mac(NOW, "forward", &[b"ab", b"c"]);
        assert_eq!(id, KeyId::of(&[2; KEY_BYTES]));
        assert!(ring.verify_mac(NOW, "forward", &[b"ab", b"c"], id, &mac));
        assert!(!ring.verify_mac(NOW, "forwards", &[b"ab", b"c"], id, &mac), "another label");
        for other in [&[b"a".as_slice(), b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[b"ab"], &[]] {
            assert!(!ring.verify_mac(NOW, "forward", other, id, &mac), "other parts: {other:?}");
        }
        let other = KeyId::of(&[1; KEY_BYTES]);
        assert!(!ring.verify_mac(NOW, "forward", &[b"ab", b"c"], other, &mac), "another key of the ring");
        for bit in 0..MAC_BYTES * 8 {
            let mut altered = mac;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(!ring.verify_mac(NOW, "forward", &[b"ab", b"c"], id, &altered), "bit {bit}");
        }
        assert!(!ring.verify_mac(NOW, "forward", &[b"ab", b"c"], id, &mac[..31]), "cut");
        assert!(!ring.verify_mac(NOW, "forward", &[b"ab", b"c"], id, b""), "empty");
    }

    #[test]
    fn a_mark_of_an_old_key_is_good_until_that_key_retires_and_one_of_a_foreign_key_never() {
        let ring = ring(&[key(1, 0, None)]);
        let (id, mac) = ring.mac(NOW, "x", &[b"y"]);
        ring.replace(&[key(1, 0, Some(NOW.0 + 1)), key(2, NOW.0, None)], NOW).expect("a ring");
        assert!(ring.verify_mac(NOW, "x", &[b"y"], id, &mac));
        assert!(!ring.verify_mac(Timestamp(NOW.0 + 1), "x", &[b"y"], id, &mac), "retired");
        let (id, mac) = KeyRing::from_key(&[3; KEY_BYTES]).mac(NOW, "x", &[b"y"]);
        assert!(!ring.verify_mac(NOW, "x", &[b"y"], id, &mac), "foreign");
    }
}
