//! What this replica has leased of a budget and not handed out, and when it is worth asking for more.

use model::Timestamp;
use store::BudgetGrant;

/// Over which time it is measured how much is wanted, in milliseconds, and for which a lease of a rate is.
pub(super) const SLICE_MS: u64 = 250;
/// A budget of which there was nothing is not asked again before this, in milliseconds.
const ASK_MS: u64 = 200;

/// What is left here. The default has nothing, and asks at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Share {
    /// Below zero: more has gone out than was leased, as with bytes, which are counted once they have passed.
    left: i64,
    /// Until when what is left may be handed out.
    until: Timestamp,
    ask_at: Timestamp,
    wanted: u64,
    wanted_from: Timestamp,
    demand: u64,
    asking: bool,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    /// So much goes out.
    pub amount: u64,
    /// So much has to be there; more than `amount` where the rest is counted later.
    pub least: u64,
    /// How much is leased at once, at most.
    pub slice_max: u64,
    /// For how many times [`SLICE_MS`] a lease is.
    pub slices: u64,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// It is handed out. So much should be leased before it is needed.
    Taken { ahead: Option<u64> },
    /// There is too little, and so much should be asked for.
    Ask(u64),
    /// There is too little, and none is to be had for so many milliseconds.
    Refused { wait_ms: u64 },
}

impl Share {
    /// Hands something out, or says what has to be done first.
    pub fn take(&mut self, want: Want, now: Timestamp) -> Take {
        self.measure(want.amount.max(u64::from(want.least > 0)), now);
        self.take_measured(want, now)
    }

    /// The same for what was wanted before.
    pub fn take_measured(&mut self, want: Want, now: Timestamp) -> Take {
        self.expire(now);
        let amount = i64::try_from(want.amount).unwrap_or(i64::MAX);
        let least = i64::try_from(want.least.max(want.amount)).unwrap_or(i64::MAX);
        let slice = self.slice(want);
        if self.left >= least {
            self.left -= amount;
            let low = u64::try_from(self.left).unwrap_or(0) < slice.div_ceil(2);
            let more = low && !self.asking && now >= self.ask_at;
            return Take::Taken { ahead: more.then(|| self.short_of(slice)) };
        }
        if now < self.ask_at {
            return Take::Refused { wait_ms: self.ask_at.0 - now.0 };
        }
        Take::Ask(self.short_of(slice.max(want.least)))
    }

    /// What was taken is not used after all.
    pub fn put_back(&mut self, amount: u64) {
        self.left = self.left.saturating_add_unsigned(amount);
    }

    /// So much has gone out that nobody asked for before.
    pub fn charge(&mut self, amount: u64, now: Timestamp) {
        self.measure(amount, now);
        self.left = self.left.saturating_sub_unsigned(amount);
    }

    /// Somebody asks now: no other has to.
    pub fn begin_asking(&mut self) {
        self.asking = true;
    }

    /// He got this, good until then.
    pub fn granted(&mut self, asked: u64, grant: BudgetGrant, now: Timestamp, until: Timestamp) {
        self.asking = false;
        self.expire(now);
        self.left = self.left.saturating_add_unsigned(grant.granted);
        self.until = until;
        if grant.granted < asked {
            let wait = grant.wait_ms.unwrap_or_else(|| until.0.saturating_sub(now.0));
            self.ask_at = now.max(Timestamp(now.0.saturating_add(wait.max(ASK_MS))));
        }
    }

    /// He got no answer.
    pub fn not_asked(&mut self) {
        self.asking = false;
    }

    /// How much more has gone out than was leased.
    pub fn owed(&mut self, now: Timestamp) -> u64 {
        self.turn(now);
        u64::try_from(self.left.saturating_neg()).unwrap_or(0)
    }

    /// What is left and can be given back; it is gone from here.
    pub fn give_back(&mut self, now: Timestamp) -> u64 {
        self.expire(now);
        u64::try_from(std::mem::take(&mut self.left)).unwrap_or(0)
    }

    /// What is left is good until then at the latest: another window has begun.
    pub fn turn(&mut self, now: Timestamp) {
        if now > self.until {
            (self.left, self.ask_at) = (0, Timestamp::default());
        }
    }

    fn expire(&mut self, now: Timestamp) {
        if now > self.until {
            self.left = self.left.min(0);
        }
    }

    /// As much as is wanted in the time that a lease is for.
    fn slice(&self, want: Want) -> u64 {
        let demand = self.demand.max(self.wanted).saturating_mul(want.slices);
        demand.clamp(want.least.max(1), want.slice_max.max(want.least).max(1))
    }

    fn short_of(&self, slice: u64) -> u64 {
        let more = i64::try_from(slice).unwrap_or(i64::MAX).saturating_sub(self.left);
        u64::try_from(more).unwrap_or(1).max(1)
    }

    fn measure(&mut self, amount: u64, now: Timestamp) {
        let passed = now.0.saturating_sub(self.wanted_from.0);
        if passed >= SLICE_MS {
            self.demand = self.wanted.saturating_mul(SLICE_MS) / passed;
            (self.wanted, self.wanted_from) = (0, now);
        }
        self.wanted = self.wanted.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Want = Want { amount: 1, least: 1, slice_max: 100, slices: 1 };

    fn grant(granted: u64, wait_ms: Option<u64>) -> BudgetGrant {
        BudgetGrant { granted, left: 0, wait_ms }
    }

    #[test]
    fn a_lease_grows_with_what_is_wanted_and_is_asked_for_ahead() {
        let mut share = Share::default();
        assert_eq!(share.take(ONE, Timestamp(1_000)), Take::Ask(1));
        share.granted(1, grant(1, Some(0)), Timestamp(1_000), Timestamp(9_000));
        assert_eq!(share.take(ONE, Timestamp(1_001)), Take::Taken { ahead: Some(2) });
        share.begin_asking();
        share.granted(2, grant(2, Some(0)), Timestamp(1_002), Timestamp(9_000));
        for at in 1_002..1_240 {
            if let Take::Ask(n) | Take::Taken { ahead: Some(n) } = share.take(ONE, Timestamp(at)) {
                share.granted(n, grant(n, Some(0)), Timestamp(at), Timestamp(9_000));
            }
        }
        let Take::Taken { ahead } = share.take(ONE, Timestamp(1_250)) else { panic!("there is some") };
        assert!(ahead.is_none_or(|n| n > 20), "{ahead:?}");
    }

    #[test]
    fn whoever_got_nothing_does_not_ask_for_a_while() {
        let mut share = Share::default();
        assert_eq!(share.take(ONE, Timestamp(1_000)), Take::Ask(1));
        share.granted(1, grant(0, Some(600)), Timestamp(1_000), Timestamp(9_000));
        assert_eq!(share.take(ONE, Timestamp(1_100)), Take::Refused { wait_ms: 500 });
        assert!(matches!(share.take(ONE, Timestamp(1_600)), Take::Ask(_)));
    }

    #[test]
    fn a_lease_that_is_too_old_is_not_handed_out() {
        let mut share = Share::default();
        share.granted(5, grant(5, Some(0)), Timestamp(1_000), Timestamp(2_000));
        assert!(matches!(share.take(ONE, Timestamp(2_001)), Take::Ask(_)));
        assert_eq!(share.give_back(Timestamp(2_001)), 0);
    }

    #[test]
    fn what_passed_before_it_was_counted_is_asked_for_with_the_next_lease() {
        let peek = Want { amount: 0, least: 1, slice_max: 1_000, slices: 1 };
        let mut share = Share::default();
        share.granted(100, grant(100, Some(0)), Timestamp(1_000), Timestamp(9_000));
        assert!(matches!(share.take(peek, Timestamp(1_000)), Take::Taken { .. }));
        share.charge(400, Timestamp(1_000));
        let Take::Ask(asked) = share.take(peek, Timestamp(1_001)) else { panic!("too much has gone out") };
        assert!(asked >= 301, "{asked}");
        assert_eq!(share.give_back(Timestamp(1_001)), 0);
    }
}
