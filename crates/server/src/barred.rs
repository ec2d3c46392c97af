//! Who is barred, in the store, for all replicas: each reads the whole list every few seconds.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use identity::{Bar, Barred, Bars, VaultError};
use model::{Clock, Principal, Timestamp};
use store::{BarRow, Memory, Store, StoreError, UserOffice};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::follow::{self, Words};

/// How often the list is read.
const READ: Duration = Duration::from_secs(5);
/// How often bars that say nothing any more are forgotten.
const SWEEP: Duration = Duration::from_secs(300);
/// What is said of that.
const WORDS: Words = Words {
    lost: "who is barred cannot be read: those who were stay so",
    again: "who is barred is known again",
};
/// Bars that the store does not know of yet, at most.
const UNWRITTEN_MAX: usize = 1_000;

/// The list of a process. Until there is a store it lasts as long as the process.
pub struct StoreBars {
    office: ArcSwap<UserOffice>,
    list: Arc<Barred>,
    clock: Arc<dyn Clock>,
    /// What was said here and could not be written. Held while the list is read or written, so that nothing
    /// that is said meanwhile is lost.
    unwritten: Mutex<Vec<Bar>>,
}

impl std::fmt::Debug for StoreBars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreBars").field("list", &self.list).finish_non_exhaustive()
    }
}

fn of_row(row: BarRow) -> Bar {
    let BarRow { tenant, holder, grant, before, until, .. } = row;
    Bar { tenant, subject: holder, grant, before: before.unwrap_or(Timestamp(u64::MAX)), until }
}

impl StoreBars {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let list = Arc::new(Barred::new(Arc::clone(&clock)));
        let office = UserOffice::new(Arc::new(Memory::new()), Arc::clone(&clock));
        Self { office: ArcSwap::from_pointee(office), list, clock, unwritten: Mutex::default() }
    }

    /// Keeps the list in this store from now on. Once, at the start.
    pub(crate) fn keep_in(&self, store: Arc<dyn Store>) {
        self.office.store(Arc::new(UserOffice::new(store, Arc::clone(&self.clock))));
    }

    /// Users, as the store knows them.
    pub(crate) fn office(&self) -> Arc<UserOffice> {
        self.office.load_full()
    }

    /// What is known here.
    pub(crate) fn list(&self) -> &Arc<Barred> {
        &self.list
    }

    fn to_row(&self, bar: &Bar) -> BarRow {
        BarRow {
            tenant: bar.tenant.clone(),
            holder: bar.subject.clone(),
            grant: bar.grant.clone(),
            before: (bar.before != Timestamp(u64::MAX)).then_some(bar.before),
            until: bar.until,
            since: self.clock.now(),
        }
    }

    /// Reads the list. What could not be written before is written first.
    ///
    /// # Errors
    /// [`StoreError`]; what was known stays in force.
    pub(crate) async fn read(&self) -> Result<(), StoreError> {
        let mut unwritten = self.unwritten.lock().await;
        while let Some(bar) = unwritten.last() {
            self.office().bar(&self.to_row(bar)).await?;
            unwritten.pop();
        }
        let rows = self.office().barred().await?;
        self.list.replace(rows.into_iter().map(of_row));
        Ok(())
    }

    /// What was issued to somebody before now is of no use any more, and what he has granted is forgotten.
    ///
    /// # Errors
    /// In words; nothing or a part of it is done then, and it can be asked for again.
    pub(crate) async fn sign_out(&self, principal: &Principal) -> Result<(), String> {
        let done = self.office().sign_out(principal.tenant(), principal.subject()).await;
        done.map_err(|error| error.to_string())?;
        self.read().await.map_err(|error| error.to_string())
    }

    /// Reads it again and again.
    pub(crate) async fn follow(&self) {
        let mut swept = Instant::now();
        follow::follow(READ, WORDS, || {
            let due = swept.elapsed() >= SWEEP;
            if due {
                swept = Instant::now();
            }
            self.read_and_sweep(due)
        })
        .await;
    }

    async fn read_and_sweep(&self, due: bool) -> Result<(), StoreError> {
        let read = self.read().await;
        if due && let Err(error) = self.office().sweep().await {
            tracing::warn!(%error, "bars that have ended were not forgotten");
        }
        read
    }
}

#[async_trait]
impl Bars for StoreBars {
    fn bars(&self, principal: &Principal, grant: Option<&str>, issued: Timestamp) -> bool {
        self.list.bars(principal, grant, Some(issued))
    }

    async fn bar(&self, bar: Bar) -> Result<(), VaultError> {
        let mut unwritten = self.unwritten.lock().await;
        self.list.add(&bar);
        let written = self.office().bar(&self.to_row(&bar)).await;
        written.map_err(|error| {
            if unwritten.len() < UNWRITTEN_MAX {
                unwritten.push(bar);
            }
            VaultError { text: error.to_string() }
        })
    }
}

#[cfg(test)]
mod tests {
    use model::ManualClock;
    use store::{Fault, Faulty};

    use super::*;

    const NOW: Timestamp = Timestamp(1_785_196_800_000);

    fn replica(store: &Arc<Faulty>) -> StoreBars {
        let bars = StoreBars::new(Arc::new(ManualClock::at(NOW)));
        bars.keep_in(Arc::clone(store) as Arc<dyn Store>);
        bars
    }

    fn faulty() -> Arc<Faulty> {
        Arc::new(Faulty::new(Arc::new(Memory::new())))
    }

    fn ann(grant: Option<&str>) -> Bar {
        let (tenant, subject) = ("acme".to_owned(), "corp:ann".to_owned());
        let (before, until) = (Timestamp(u64::MAX), NOW.plus(Duration::from_secs(60)));
        Bar { tenant, subject, grant: grant.map(str::to_owned), before, until }
    }

    fn is_barred(bars: &StoreBars, grant: Option<&str>) -> bool {
        bars.list().bars(&Principal::new("acme", "corp:ann"), grant, Some(NOW))
    }

    #[tokio::test]
    async fn what_one_replica_says_holds_there_at_once_and_elsewhere_once_it_is_read() {
        let store = faulty();
        let (one, other) = (replica(&store), replica(&store));
        one.bar(ann(Some("g"))).await.expect("it is written");
        assert!(is_barred(&one, Some("g")) && !is_barred(&one, None));
        assert!(!is_barred(&other, Some("g")));
        other.read().await.expect("a list");
        assert!(is_barred(&other, Some("g")) && !is_barred(&other, None));
        one.read().await.expect("a list");
        assert!(is_barred(&one, Some("g")));
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_cannot_be_read_those_who_were_barred_stay_so() {
        let store = faulty();
        let (one, other) = (replica(&store), Arc::new(replica(&store)));
        one.bar(ann(None)).await.expect("it is written");
        let follower = tokio::spawn({
            let other = Arc::clone(&other);
            async move { other.follow().await }
        });
        tokio::time::sleep(READ / 2).await;
        assert!(is_barred(&other, None));
        store.faults().down(Some(Fault::Before));
        tokio::time::sleep(READ * 3).await;
        assert!(is_barred(&other, None));
        store.faults().heal();
        other.office().enable("acme", "corp:ann").await.expect("it is written");
        other.office().enable("acme", "corp:ann").await.expect("it is written");
        tokio::time::sleep(READ).await;
        assert!(!is_barred(&other, None), "it goes on once the store does");
        follower.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_written_holds_here_and_is_written_later() {
        let store = faulty();
        let (one, other) = (replica(&store), replica(&store));
        store.faults().down(Some(Fault::Before));
        one.bar(ann(None)).await.expect_err("others do not know");
        assert!(is_barred(&one, None));
        one.read().await.expect_err("the store is down");
        assert!(is_barred(&one, None));
        store.faults().heal();
        one.read().await.expect("a list");
        assert!(is_barred(&one, None));
        other.read().await.expect("a list");
        assert!(is_barred(&other, None));
    }
}
