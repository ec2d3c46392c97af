//! Which replicas live, judged by what they write and never by their clocks.

use std::collections::HashMap;
use std::time::Duration;

use model::{ReplicaId, Timestamp};
use store::ReplicaRow;

/// How long after its last sign by its own clock a replica that was never seen to write is still believed:
/// the clocks may be apart that far.
const SKEW_MAX: Duration = Duration::from_secs(30);

/// What is known of the replicas in the directory.
///
/// A replica writes a number that grows. It lives as long as that is seen to grow within the time of
/// [`Lives::new`], measured here, over looks that succeeded: while the store cannot be reached nobody is
/// declared dead.
#[derive(Debug)]
pub struct Lives {
    lost_after: Duration,
    /// The most that one look adds to an age.
    step_max: Duration,
    known: HashMap<ReplicaId, Sign>,
}

#[derive(Debug)]
struct Sign {
    beat: u64,
    age: Duration,
}

impl Lives {
    /// A replica is lost that has not written for `lost_after`, over looks that are normally `every` apart.
    #[must_use]
    pub fn new(lost_after: Duration, every: Duration) -> Self {
        Self { lost_after, step_max: every * 2, known: HashMap::new() }
    }

    /// A look that came `since` after the one before, at `now` by this machine's clock. Those that live.
    pub fn look(&mut self, since: Duration, now: Timestamp, rows: Vec<ReplicaRow>) -> Vec<ReplicaRow> {
        let step = since.min(self.step_max);
        let mut known = HashMap::with_capacity(rows.len());
        let mut living = Vec::with_capacity(rows.len());
        for row in rows {
            let age = match self.known.get(&row.id) {
                Some(sign) if sign.beat == row.beat => sign.age + step,
                Some(_) => Duration::ZERO,
                // Seen for the first time: what a dead one left behind is told by its time.
                None if now.since(row.at) > self.lost_after + SKEW_MAX => self.lost_after,
                None => Duration::ZERO,
            };
            known.insert(row.id.clone(), Sign { beat: row.beat, age });
            if age < self.lost_after {
                living.push(row);
            }
        }
        self.known = known;
        living
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const NOW: Timestamp = Timestamp(1_000_000);

    fn row(id: char, beat: u64) -> ReplicaRow {
        ReplicaRow {
            id: ReplicaId::parse(&format!("00000000000{id}")).expect("a name"),
            url: String::new(),
            started: NOW,
            at: NOW,
            beat,
            version: String::new(),
            keys: String::new(),
            draining: false,
        }
    }

    fn look(lives: &mut Lives, since: Duration, rows: &[(char, u64)]) -> String {
        let rows = rows.iter().map(|(id, beat)| row(*id, *beat)).collect();
        lives.look(since, NOW, rows).iter().map(|row| row.id.as_str().chars().last().unwrap_or(' ')).collect()
    }

    #[test]
    fn a_replica_lives_as_long_as_its_number_grows() {
        let mut lives = Lives::new(S * 5, S * 2);
        assert_eq!(look(&mut lives, S, &[('a', 1), ('b', 1)]), "ab");
        assert_eq!(look(&mut lives, S * 2, &[('a', 2), ('b', 1)]), "ab");
        assert_eq!(look(&mut lives, S * 2, &[('a', 3), ('b', 1)]), "ab");
        assert_eq!(look(&mut lives, S * 2, &[('a', 4), ('b', 1)]), "a");
        assert_eq!(look(&mut lives, S * 2, &[('a', 5), ('b', 2)]), "ab", "it had only been stopped");
        assert_eq!(look(&mut lives, S * 2, &[('b', 3)]), "b", "the other one has left");
    }

    #[test]
    fn a_look_after_a_long_gap_declares_nobody_dead() {
        let mut lives = Lives::new(S * 5, S * 2);
        look(&mut lives, S, &[('a', 1)]);
        // The store was away, for everybody.
        assert_eq!(look(&mut lives, S * 600, &[('a', 1)]), "a");
        assert_eq!(look(&mut lives, S * 2, &[('a', 2)]), "a");
    }

    #[test]
    fn what_a_dead_one_left_behind_is_not_believed_and_clocks_may_be_apart() {
        let mut lives = Lives::new(S * 5, S * 2);
        let at = |seconds: i64| {
            let at = Timestamp(NOW.0.saturating_add_signed(seconds * 1_000));
            ReplicaRow { at, ..row('a', 7) }
        };
        for (seconds, believed) in [(-36, 0), (-34, 1), (30, 1), (3_600, 1)] {
            let mut lives = Lives::new(S * 5, S * 2);
            assert_eq!(lives.look(S, NOW, vec![at(seconds)]).len(), believed, "{seconds}");
        }
        lives.look(S, NOW, vec![at(-36)]);
        assert_eq!(lives.look(S, NOW, vec![ReplicaRow { beat: 8, ..at(-34) }]).len(), 1, "it writes");
    }
}
