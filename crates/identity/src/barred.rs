//! Who is not let in any more, although what he proves himself by is still good.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use model::{Clock, Principal, Timestamp};
use tokio::sync::watch;

use crate::caller::Caller;
use crate::vault::VaultError;

/// Somebody, or one grant, that is barred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The tenant.
    pub tenant: String,
    /// The subject inside it.
    pub subject: String,
    /// One grant of his at the gateway's own authorization server; `None`: all that he has, by whomever.
    pub grant: Option<String>,
    /// What was issued before is of no use; [`Timestamp`]'s last: whatever there is.
    pub before: Timestamp,
    /// When nothing that was issued before can still be good.
    pub until: Timestamp,
}

/// Where everybody who lets others in learns of that: a port, for others to implement.
#[async_trait]
pub trait Bars: Send + Sync {
    /// Bars somebody, or a grant, at all replicas: here at once, elsewhere within seconds.
    ///
    /// # Errors
    /// [`VaultError`]: others do not know of it yet. It is in force here, and they are told as soon as they
    /// can be.
    async fn bar(&self, bar: Bar) -> Result<(), VaultError>;
}

impl Bar {
    /// Whether it bars one whose proof is of this grant, and was issued then.
    fn fits(&self, grant: Option<&str>, issued: Option<Timestamp>, now: Timestamp) -> bool {
        let fits = match &self.grant {
            // What does not say when it was issued may have been issued before.
            None => issued.is_none_or(|issued| issued < self.before),
            Some(barred) => grant == Some(barred),
        };
        fits && now < self.until
    }
}

/// Everybody who is barred, as far as it is known here.
///
/// It is asked with every request, and nobody waits for another one by it.
pub struct Barred {
    all: ArcSwap<HashMap<Principal, Vec<Bar>>>,
    changes: watch::Sender<()>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Barred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Barred").field("users", &self.all.load().len()).finish_non_exhaustive()
    }
}

fn by_user(bars: impl IntoIterator<Item = Bar>) -> HashMap<Principal, Vec<Bar>> {
    let mut all: HashMap<Principal, Vec<Bar>> = HashMap::new();
    for bar in bars {
        all.entry(Principal::new(&bar.tenant, &bar.subject)).or_default().push(bar);
    }
    all
}

impl Barred {
    /// Nobody is, until it is said.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { all: ArcSwap::default(), changes: watch::Sender::default(), clock }
    }

    /// Whether a caller is refused.
    #[must_use]
    pub fn refuses(&self, caller: &Caller) -> bool {
        self.bars(&caller.principal, caller.grant.as_deref(), caller.issued)
    }

    /// Whether one is refused whose proof is of this grant, and was issued then.
    #[must_use]
    pub fn bars(&self, principal: &Principal, grant: Option<&str>, issued: Option<Timestamp>) -> bool {
        let all = self.all.load();
        if all.is_empty() {
            return false;
        }
        let now = self.clock.now();
        all.get(principal).is_some_and(|bars| bars.iter().any(|bar| bar.fits(grant, issued, now)))
    }

    /// Waits until a caller is refused. Safe to cancel.
    pub async fn refused(&self, caller: &Caller) {
        let mut changes = self.changes.subscribe();
        while !self.refuses(caller) {
            // It cannot be gone while it is waited on.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// These are barred from now on, and nobody else. Whoever waits looks again, if it says anything new.
    pub fn replace(&self, bars: impl IntoIterator<Item = Bar>) {
        let new = by_user(bars);
        if **self.all.load() != new {
            self.all.store(Arc::new(new));
            self.changes.send_replace(());
        }
    }

    /// One more is barred.
    pub fn add(&self, bar: &Bar) {
        self.all.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.entry(Principal::new(&bar.tenant, &bar.subject)).or_default().push(bar.clone());
            all
        });
        self.changes.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use model::ManualClock;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn bar(grant: Option<&str>, before: Timestamp) -> Bar {
        let (tenant, subject) = ("acme".to_owned(), "corp:ann".to_owned());
        let until = NOW.plus(Duration::from_secs(60));
        Bar { tenant, subject, grant: grant.map(str::to_owned), before, until }
    }

    fn caller(subject: &str, grant: Option<&str>, issued: Option<u64>) -> Caller {
        Caller {
            principal: Principal::new("acme", subject),
            grant: grant.map(str::to_owned),
            issued: issued.map(Timestamp),
            ..Caller::anonymous()
        }
    }

    fn barred(bars: impl IntoIterator<Item = Bar>) -> (Barred, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(NOW));
        let barred = Barred::new(Arc::clone(&clock) as Arc<dyn Clock>);
        barred.replace(bars);
        (barred, clock)
    }

    #[test]
    fn who_is_disabled_is_refused_whatever_he_has() {
        let (barred, _) = barred([bar(None, Timestamp(u64::MAX))]);
        for (grant, issued) in [(None, None), (Some("g"), Some(1)), (None, Some(9_999_999))] {
            assert!(barred.refuses(&caller("corp:ann", grant, issued)), "{grant:?} {issued:?}");
        }
        assert!(!barred.refuses(&caller("corp:bob", None, None)), "another one is not");
        let elsewhere = Principal::new("other", "corp:ann");
        assert!(!barred.refuses(&Caller { principal: elsewhere, ..caller("", None, None) }));
    }

    #[test]
    fn of_who_is_signed_out_what_was_issued_before_is_of_no_use_and_what_says_nothing_of_that() {
        let (barred, _) = barred([bar(None, NOW)]);
        assert!(barred.refuses(&caller("corp:ann", None, Some(NOW.0 - 1))));
        assert!(barred.refuses(&caller("corp:ann", None, None)));
        assert!(!barred.refuses(&caller("corp:ann", None, Some(NOW.0))));
    }

    #[test]
    fn one_grant_is_refused_and_no_other_one() {
        let (barred, _) = barred([bar(Some("g"), Timestamp(u64::MAX))]);
        assert!(barred.refuses(&caller("corp:ann", Some("g"), Some(9_999_999))));
        assert!(!barred.refuses(&caller("corp:ann", Some("h"), None)));
        assert!(!barred.refuses(&caller("corp:ann", None, None)));
    }

    #[test]
    fn a_bar_ends_by_itself() {
        let (barred, clock) = barred([bar(None, Timestamp(u64::MAX))]);
        clock.advance(Duration::from_secs(59));
        assert!(barred.refuses(&caller("corp:ann", None, None)));
        clock.advance(Duration::from_secs(1));
        assert!(!barred.refuses(&caller("corp:ann", None, None)));
    }

    #[tokio::test]
    async fn who_waits_hears_of_a_bar_that_comes_later_and_of_one_that_is_there() {
        let (barred, _) = barred([]);
        let ann = caller("corp:ann", None, None);
        let mut waits = std::pin::pin!(barred.refused(&ann));
        assert!((&mut waits).now_or_never().is_none());
        barred.add(&Bar { subject: "corp:bob".to_owned(), ..bar(None, NOW) });
        assert!((&mut waits).now_or_never().is_none(), "another one is meant");
        barred.add(&bar(None, NOW));
        assert!((&mut waits).now_or_never().is_some());
        assert!(barred.refused(&ann).now_or_never().is_some());
    }

    #[test]
    fn a_list_that_says_the_same_wakes_nobody() {
        let (barred, _) = barred([bar(None, NOW)]);
        let mut changes = barred.changes.subscribe();
        changes.mark_unchanged();
        barred.replace([bar(None, NOW)]);
        assert!(!changes.has_changed().expect("it is there"));
        barred.replace([]);
        assert!(changes.has_changed().expect("it is there"));
    }
}
