//! Chances that a seed decides.

/// SplitMix64: small, and good enough to choose what happens next.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// One of its own for each user of a seed.
    pub fn new(seed: u64, user: u64) -> Self {
        let mut random = Self(seed ^ user.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `from` up to and without `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from).max(1)
    }

    /// One of some things, each with its weight.
    pub fn weighed<T: Copy>(&mut self, all: &[(u64, T)]) -> Option<T> {
        let total: u64 = all.iter().map(|(weight, _)| weight).sum();
        let mut at = self.between(0, total);
        for (weight, thing) in all {
            if at < *weight {
                return Some(*thing);
            }
            at -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_user_decide_everything() {
        let row = |seed, user| {
            let mut random = Random::new(seed, user);
            (0..8).map(|_| random.between(0, 100)).collect::<Vec<_>>()
        };
        assert_eq!(row(1, 2), row(1, 2));
        assert_ne!(row(1, 2), row(1, 3));
        assert_ne!(row(1, 2), row(2, 2));
    }

    #[test]
    fn weights_are_kept_to() {
        let mut random = Random::new(7, 0);
        let heads = (0..4_000).filter(|_| random.weighed(&[(3, true), (1, false)]) == Some(true)).count();
        assert!((2_800..3_200).contains(&heads), "{heads}");
        assert_eq!(random.weighed::<u8>(&[]), None);
    }
}
