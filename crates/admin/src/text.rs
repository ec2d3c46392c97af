//! Small things with text.

use model::Rng;

pub use seal::hex;

/// What nobody may guess.
pub fn random(rng: &dyn Rng) -> String {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    hex(&bytes)
}

/// Whether two texts are one. Hashes are compared, whose bytes say nothing about the texts'.
pub fn same(a: &str, b: &str) -> bool {
    seal::sha256(a.as_bytes()) == seal::sha256(b.as_bytes())
}
