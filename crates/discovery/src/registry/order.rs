//! Which of two versions is the later one.

use std::cmp::Ordering;

use model::Timestamp;
use semver::Version;

/// The order of versions as registries have it: semantic versions by their precedence; any of them after all
/// that are none; those that are none by when they were published.
#[must_use]
pub fn newest(a: (&str, Timestamp), b: (&str, Timestamp)) -> Ordering {
    let order = match (semantic(a.0), semantic(b.0)) {
        // What differs in build metadata alone has one precedence, and then the later one is later.
        (Some(x), Some(y)) => x.cmp_precedence(&y).then(a.1.cmp(&b.1)),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => a.1.cmp(&b.1),
    };
    // Some order there has to be, and the same one at every replica.
    order.then_with(|| a.0.cmp(b.0))
}

fn semantic(version: &str) -> Option<Version> {
    Version::parse(version.strip_prefix('v').unwrap_or(version)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semantic_versions_come_after_all_others_and_follow_their_precedence() {
        let order = [
            ("2026.05", 9),
            ("nightly", 10),
            ("1.0.0-alpha.2", 0),
            ("1.0.0-alpha.10", 0),
            ("1.0.0-beta", 0),
            ("1.0.0", 5),
            ("1.0.0+build", 6),
            ("v1.2.0", 0),
            ("1.10.0", 0),
            ("2.0.0", 0),
        ];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                let found = newest((a.0, Timestamp(a.1)), (b.0, Timestamp(b.1)));
                assert_eq!(found, i.cmp(&j), "{} against {}", a.0, b.0);
            }
        }
    }
}
