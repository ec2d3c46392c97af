//! How replicas know one another: whoever has the key ring is one.
//!
//! A forwarded request carries a proof over everything in it: from whom, to whom, when, its path and its
//! bytes. The answer's head carries one over the request's and its status, so that the sender knows it was
//! its peer.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use model::{ReplicaId, Rng, Timestamp};
use seal::{KeyRing, MAC_BYTES};

/// The header of both proofs.
pub(crate) const PROOF: HeaderName = HeaderName::from_static("tidegate-replica");

const REQUEST: &str = "tidegate replica request 1";
const ANSWER: &str = "tidegate replica answer 1";

/// How far two replicas' clocks may be apart, with the time that a request is on its way.
pub(crate) const SKEW_MAX: Duration = Duration::from_secs(60);

const NONCE_BYTES: usize = 16;

/// What a forwarded request says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Slip {
    pub from: ReplicaId,
    pub to: ReplicaId,
    pub at: Timestamp,
    pub nonce: [u8; NONCE_BYTES],
}

/// Why a request on the internal listener is not a peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAPeer {
    #[error("it carries no proof that can be read")]
    Unreadable,
    #[error("it is for another replica")]
    Elsewhere,
    #[error("it is too old or from the future: are the clocks right?")]
    Late,
    #[error("its proof was used before")]
    Again,
    #[error("its proof is wrong: do both replicas have the same keys?")]
    Wrong,
}

impl Slip {
    pub fn new(from: &ReplicaId, to: &ReplicaId, at: Timestamp, rng: &dyn Rng) -> Self {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill(&mut nonce);
        Self { from: from.clone(), to: to.clone(), at, nonce }
    }

    fn says(&self) -> String {
        format!("{} {} {} {}", self.from, self.to, self.at.0, seal::hex(&self.nonce))
    }

    /// The proof of a request.
    pub fn prove(&self, keys: &KeyRing, now: Timestamp, path: &str, parcel: &[u8]) -> HeaderValue {
        let says = self.says();
        let mac = mark(keys, now, REQUEST, &[says.as_bytes(), path.as_bytes(), parcel]);
        value(&format!("{says} {mac}"))
    }

    /// Reads and checks the proof of a request. `me`: whom it must be for.
    pub fn check(
        headers: &HeaderMap,
        keys: &KeyRing,
        me: &ReplicaId,
        now: Timestamp,
        (path, parcel): (&str, &[u8]),
    ) -> Result<Self, NotAPeer> {
        let mut values = headers.get_all(&PROOF).iter();
        let (Some(only), None) = (values.next(), values.next()) else { return Err(NotAPeer::Unreadable) };
        let text = only.to_str().map_err(|_| NotAPeer::Unreadable)?;
        let (says, mac) = text.rsplit_once(' ').ok_or(NotAPeer::Unreadable)?;
        let slip = Self::read(says).ok_or(NotAPeer::Unreadable)?;
        if !marked(keys, now, REQUEST, &[says.as_bytes(), path.as_bytes(), parcel], mac) {
            return Err(NotAPeer::Wrong);
        }
        if slip.to != *me {
            return Err(NotAPeer::Elsewhere);
        }
        let apart = slip.at.since(now).max(now.since(slip.at));
        if apart > SKEW_MAX { Err(NotAPeer::Late) } else { Ok(slip) }
    }

    fn read(says: &str) -> Option<Self> {
        let mut parts = says.split(' ');
        let from = ReplicaId::parse(parts.next()?)?;
        let to = ReplicaId::parse(parts.next()?)?;
        let at = Timestamp(parts.next()?.parse().ok()?);
        let nonce = seal::unhex(parts.next()?)?.try_into().ok()?;
        if parts.next().is_some() {
            return None;
        }
        let read = Self { from, to, at, nonce };
        // One spelling only: a proof is kept by its nonce to refuse a second use.
        (read.says() == says).then_some(read)
    }

    /// The proof of the answer.
    pub fn prove_answer(&self, keys: &KeyRing, now: Timestamp, status: StatusCode) -> HeaderValue {
        let says = self.says();
        value(&mark(keys, now, ANSWER, &[says.as_bytes(), status.as_str().as_bytes()]))
    }

    /// Whether an answer is our peer's.
    pub fn check_answer(
        &self,
        keys: &KeyRing,
        now: Timestamp,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> bool {
        let Some(mac) = headers.get(&PROOF).and_then(|v| v.to_str().ok()) else { return false };
        marked(keys, now, ANSWER, &[self.says().as_bytes(), status.as_str().as_bytes()], mac)
    }
}

/// A mark of the ring as text: its key, and the mark.
fn mark(keys: &KeyRing, now: Timestamp, label: &str, parts: &[&[u8]]) -> String {
    let (key, mark) = keys.mac(now, label, parts);
    format!("{key}.{}", seal::hex(&mark))
}

fn marked(keys: &KeyRing, now: Timestamp, label: &str, parts: &[&[u8]], text: &str) -> bool {
    let Some((key, mark)) = text.split_once('.') else { return false };
    let mark = seal::unhex(mark).and_then(|mark| <[u8; MAC_BYTES]>::try_from(mark).ok());
    let (Ok(key), Some(mark)) = (key.parse(), mark) else { return false };
    keys.verify_mac(now, label, parts, key, &mark)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits, letters, blanks and dots")
}

#[cfg(test)]
mod tests {
    use model::SeededRng;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    struct Two {
        keys: KeyRing,
        slip: Slip,
        headers: HeaderMap,
    }

    fn two() -> Two {
        let rng = SeededRng::new(3);
        let keys = KeyRing::generate(&rng);
        let slip = Slip::new(&ReplicaId::random(&rng), &ReplicaId::random(&rng), NOW, &rng);
        let headers = HeaderMap::from_iter([(PROOF, slip.prove(&keys, NOW, "/p", b"parcel"))]);
        Two { keys, slip, headers }
    }

    #[test]
    fn a_proof_holds_for_its_bytes_its_receiver_and_its_time() {
        let Two { keys, slip, headers } = two();
        let check =
            |to: &ReplicaId, now, parcel: &[u8]| Slip::check(&headers, &keys, to, now, ("/p", parcel));
        let apart = |ms: u64| Timestamp(NOW.0 + ms);
        assert_eq!(check(&slip.to, apart(30_000), b"parcel"), Ok(slip.clone()));
        assert_eq!(check(&slip.to, NOW, b"parcels"), Err(NotAPeer::Wrong));
        assert_eq!(
            Slip::check(&headers, &keys, &slip.to, NOW, ("/q", b"parcel")),
            Err(NotAPeer::Wrong),
            "another path"
        );
        assert_eq!(check(&slip.from, NOW, b"parcel"), Err(NotAPeer::Elsewhere));
        assert_eq!(check(&slip.to, apart(61_000), b"parcel"), Err(NotAPeer::Late));
        assert_eq!(check(&slip.to, Timestamp(NOW.0 - 61_000), b"parcel"), Err(NotAPeer::Late));
        let stranger = KeyRing::generate(&SeededRng::new(9));
        assert_eq!(Slip::check(&headers, &stranger, &slip.to, NOW, ("/p", b"parcel")), Err(NotAPeer::Wrong));
    }

    #[test]
    fn a_proof_with_one_character_altered_is_none() {
        let Two { keys, slip, headers } = two();
        let text = headers[&PROOF].to_str().expect("text").to_owned();
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
            let headers = HeaderMap::from_iter([(PROOF, HeaderValue::from_bytes(&altered).expect("text"))]);
            assert!(
                Slip::check(&headers, &keys, &slip.to, NOW, ("/p", b"parcel")).is_err(),
                "altered at {at}"
            );
        }
        assert_eq!(
            Slip::check(&HeaderMap::new(), &keys, &slip.to, NOW, ("/p", b"parcel")),
            Err(NotAPeer::Unreadable)
        );
    }

    #[test]
    fn an_answer_is_proved_for_its_request_and_its_status() {
        let Two { keys, slip, .. } = two();
        let headers = HeaderMap::from_iter([(PROOF, slip.prove_answer(&keys, NOW, StatusCode::OK))]);
        assert!(slip.check_answer(&keys, NOW, StatusCode::OK, &headers));
        assert!(!slip.check_answer(&keys, NOW, StatusCode::ACCEPTED, &headers));
        assert!(!slip.check_answer(&keys, NOW, StatusCode::OK, &HeaderMap::new()));
        let other = Slip { nonce: [0; NONCE_BYTES], ..slip };
        assert!(!other.check_answer(&keys, NOW, StatusCode::OK, &headers));
    }
}
