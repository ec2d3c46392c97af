//! The budgets of this process: what of them is here, and how more of it comes from the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use config::{Quota, QuotaTime, Rate};
use model::{Clock, Timestamp};
use store::{Budget, BudgetAsk, BudgetGrant, BudgetRow, Store, StoreError};
use tokio::sync::Mutex as AsyncMutex;

use super::share::{SLICE_MS, Share, Take, Want};
use super::window;

/// Budgets of one process, at most. Whoever comes later shares one with all others of his rule.
const KEYS_MAX: usize = 50_000;
/// How long the store may take for a lease.
const STORE_TIME: Duration = Duration::from_secs(1);
/// After a lease that failed the store is left alone for so long, in milliseconds.
const AWAY_MS: u64 = 1_000;
/// How long a leased part of a rate may be handed out, in milliseconds.
const GOOD_MS: u64 = 1_000;
/// A budget that nobody asked for in this time, in milliseconds, is given back and forgotten here.
const IDLE_MS: u64 = 5 * 60 * 1_000;
/// How long the store remembers a budget that nobody uses, in milliseconds.
const KEPT_MS: u64 = 60 * 60 * 1_000;
/// How often a lease is tried where another one was in the way.
const TRIES: u32 = 3;
/// How many expired budgets are forgotten at a time.
const SWEEP: usize = 1_000;

/// What a limit of callers counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spec {
    Rate { amount: u64, per_ms: u64, burst: u64 },
    Concurrency(u64),
    Quota { max: u64, time: QuotaTime, unit: Unit },
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Calls,
    Bytes,
    Cost,
}

impl Spec {
    /// What a rule counts. A loaded configuration has one of the three.
    pub fn of(rule: &Rate) -> Option<Self> {
        if let Some(rate) = rule.rate {
            let (amount, per_ms) = (rate.amount(), rate.per().millis());
            return Some(Self::Rate { amount, per_ms, burst: rule.burst() });
        }
        if let Some(max) = rule.concurrency {
            return Some(Self::Concurrency(max));
        }
        let Quota { calls, bytes, cost, per } = rule.quota.as_ref()?;
        let bytes = bytes.map(config::Size::bytes);
        let of = |max: Option<u64>, unit| max.map(|max| Self::Quota { max, time: *per, unit });
        of(*calls, Unit::Calls).or_else(|| of(bytes, Unit::Bytes)).or_else(|| of(*cost, Unit::Cost))
    }

    /// What the names of its budgets begin with.
    pub fn letter(self) -> char {
        match self {
            Self::Rate { .. } => 'r',
            Self::Concurrency(_) => 'c',
            Self::Quota { .. } => 'q',
        }
    }

    /// The budget at this time, and until when what is leased of it may be handed out. `slack_ms`: how
    /// much comes between two questions and must not be lost.
    pub fn budget(self, now: Timestamp, slack_ms: u64, among: u64) -> (Budget, Timestamp) {
        match self {
            Self::Rate { amount, per_ms, burst } => {
                let max = burst.saturating_add(amount.saturating_mul(slack_ms) / per_ms.max(1));
                // A share of the rate is the same amount in a time that is longer.
                let (max, per_ms) = (max.div_ceil(among), per_ms.saturating_mul(among));
                (Budget::Bucket { max, refill: amount, per_ms }, Timestamp(now.0.saturating_add(GOOD_MS)))
            }
            Self::Concurrency(max) => (Budget::Window { start: now, max }, now),
            Self::Quota { max, time, .. } => {
                let (start, end) = window::around(now, time);
                (Budget::Window { start, max }, Timestamp(end.0 - 1))
            }
        }
    }

    fn want(self, amount: u64) -> Want {
        match self {
            Self::Rate { amount: all, per_ms, .. } => {
                let slice_max = all.saturating_mul(SLICE_MS) / per_ms.max(1);
                Want { amount, least: amount, slice_max, slices: 1 }
            }
            Self::Concurrency(_) => Want { amount, least: amount, slice_max: 1, slices: 1 },
            // What a process has that dies is lost: a hundredth, and no more than five seconds of it.
            Self::Quota { max, unit, .. } => {
                let (amount, least) = if unit == Unit::Bytes { (0, 1) } else { (amount, amount) };
                Want { amount, least, slice_max: max / 100, slices: 20 }
            }
        }
    }

    /// A question to the store for nothing of it yet.
    fn ask(self, name: &str, now: Timestamp) -> BudgetAsk<'_> {
        let (budget, _) = self.budget(now, SLICE_MS, 1);
        BudgetAsk { name, budget, want: 0, now, expires: self.forgettable(now, budget) }
    }

    /// From when on it makes no difference whether it is known how much was used.
    fn forgettable(self, now: Timestamp, budget: Budget) -> Timestamp {
        let time = match (self, budget) {
            (Self::Quota { time, .. }, _) => window::around(now, time).1.0 - now.0,
            (_, Budget::Bucket { max, refill, per_ms }) => max.saturating_mul(per_ms) / refill.max(1),
            (_, Budget::Window { .. }) => 0,
        };
        Timestamp(now.0.saturating_add(time).saturating_add(KEPT_MS))
    }

    fn is_quota(self) -> bool {
        matches!(self, Self::Quota { .. })
    }
}

/// A budget as it is here.
#[derive(Debug, Default)]
pub(super) struct Key {
    state: Mutex<State>,
    /// One asks the store at a time, and the others wait for what he gets.
    asking: AsyncMutex<()>,
}

#[derive(Debug, Default)]
struct State {
    share: Share,
    /// What is counted here alone, where there is no other replica or no store.
    alone: Option<BudgetRow>,
    /// What is handed out while the store is away.
    away: Option<BudgetRow>,
    spec: Option<Spec>,
    running: u64,
    used_at: Timestamp,
}

impl Key {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of those that ran is over.
    pub fn ended(&self) {
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
    }

    /// What was taken is not used after all.
    pub fn put_back(&self, amount: u64) {
        let mut state = self.state();
        match &mut state.alone {
            Some(row) => row.used = row.used.saturating_sub(amount.saturating_mul(row.unit)),
            None => state.share.put_back(amount),
        }
    }

    /// So much has passed.
    pub fn charge(&self, amount: u64, now: Timestamp) {
        let mut state = self.state();
        match &mut state.alone {
            Some(row) => row.used = row.used.saturating_add(amount.saturating_mul(row.unit)),
            None => state.share.charge(amount, now),
        }
    }
}

/// How long somebody who is refused should wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub ms: u64,
}

/// The budgets of a process.
pub(crate) struct Keeper {
    clock: Arc<dyn Clock>,
    store: OnceLock<Arc<dyn Store>>,
    keys: Mutex<HashMap<String, Arc<Key>>>,
    away_until: Mutex<Timestamp>,
}

impl Keeper {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, store: OnceLock::new(), keys: Mutex::default(), away_until: Mutex::default() }
    }

    /// Shares budgets by this store from now on. Once, at the start.
    pub fn keep_in(&self, store: Arc<dyn Store>) {
        // A second one would have nothing to do: a process has one store.
        let _ = self.store.set(store);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Arc<Key>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, name: &str) -> Arc<Key> {
        let mut keys = self.keys();
        if let Some(key) = keys.get(name) {
            return Arc::clone(key);
        }
        // Those who come when there is no room for a budget of their own have one together.
        let name = match name.rsplit_once('/') {
            Some((rule, _)) if keys.len() >= KEYS_MAX => format!("{rule}/*"),
            _ => name.to_owned(),
        };
        Arc::clone(keys.entry(name).or_default())
    }

    /// Takes something of a budget. `replicas`: how many share it.
    pub(super) async fn take(
        self: &Arc<Self>,
        spec: Spec,
        name: &str,
        amount: u64,
        replicas: u64,
    ) -> Result<Arc<Key>, Wait> {
        let key = self.key(name);
        if let Spec::Concurrency(max) = spec {
            return run(key, (max / replicas).max(1), self.now());
        }
        let shared = self.store.get().filter(|_| replicas > 1 || spec.is_quota());
        let Some(store) = shared else {
            let taken = alone(&key, spec, name, amount, self.now());
            return taken.map(|()| key);
        };
        if let Some(done) = self.done(&key, (spec, name), amount) {
            return done;
        }
        let asking = key.asking.lock().await;
        // Whoever had the turn before may have brought enough.
        let want = match self.decide(&key, spec, amount) {
            Take::Ask(want) => want,
            take => return self.followed(&key, (spec, name), take),
        };
        if !self.lease_apart(store, (&key, spec, name), want).await {
            return self.while_away((&key, spec, name), amount, replicas).map(|()| Arc::clone(&key));
        }
        drop(asking);
        let take = key.state().share.take_measured(spec.want(amount), self.now());
        match take {
            Take::Ask(_) => Err(Wait { ms: SLICE_MS }),
            // It was asked a moment ago.
            Take::Taken { .. } => Ok(key),
            Take::Refused { wait_ms } => Err(Wait { ms: wait_ms }),
        }
    }

    /// What becomes of it without a question to the store; `None`: one is needed.
    fn done(
        self: &Arc<Self>,
        key: &Arc<Key>,
        (spec, name): (Spec, &str),
        amount: u64,
    ) -> Option<Result<Arc<Key>, Wait>> {
        match self.decide(key, spec, amount) {
            Take::Ask(_) => None,
            take => Some(self.followed(key, (spec, name), take)),
        }
    }

    fn followed(
        self: &Arc<Self>,
        key: &Arc<Key>,
        (spec, name): (Spec, &str),
        take: Take,
    ) -> Result<Arc<Key>, Wait> {
        match take {
            Take::Refused { wait_ms } => Err(Wait { ms: wait_ms }),
            Take::Ask(_) => Err(Wait { ms: SLICE_MS }),
            Take::Taken { ahead } => {
                if let Some(want) = ahead {
                    self.lease_ahead(key, spec, name, want);
                }
                Ok(Arc::clone(key))
            }
        }
    }

    fn decide(&self, key: &Key, spec: Spec, amount: u64) -> Take {
        let now = self.now();
        let mut state = key.state();
        state.used_at = now;
        state.alone = None;
        state.spec = Some(spec);
        if spec.is_quota() {
            state.share.turn(now);
        }
        let take = state.share.take(spec.want(amount), now);
        if matches!(take, Take::Taken { ahead: Some(_) }) {
            state.share.begin_asking();
        }
        take
    }

    /// Asks the store. Whether there was an answer.
    async fn lease(&self, store: &Arc<dyn Store>, (key, spec, name): (&Key, Spec, &str), want: u64) -> bool {
        let now = self.now();
        if now < *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) {
            key.state().share.not_asked();
            return false;
        }
        let (_, until) = spec.budget(now, SLICE_MS, 1);
        let ask = BudgetAsk { want, ..spec.ask(name, now) };
        match tokio::time::timeout(STORE_TIME, ask_store(store, &ask)).await {
            Ok(Ok(grant)) => {
                let mut state = key.state();
                state.share.granted(want, grant, now, until);
                state.away = None;
                true
            }
            failed => {
                key.state().share.not_asked();
                let away = Timestamp(now.0.saturating_add(AWAY_MS));
                *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = away;
                let why = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "no answer in time".to_owned(),
                };
                tracing::warn!(%why, "limits cannot be shared: each replica keeps to its share");
                false
            }
        }
    }

    /// The same in a task of its own: what comes back is not lost where the caller gives up meanwhile.
    async fn lease_apart(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        (key, spec, name): (&Arc<Key>, Spec, &str),
        want: u64,
    ) -> bool {
        let (keeper, store, key) = (Arc::clone(self), Arc::clone(store), Arc::clone(key));
        let name = name.to_owned();
        let leasing = tokio::spawn(async move { keeper.lease(&store, (&key, spec, &name), want).await });
        leasing.await.unwrap_or(false)
    }

    fn lease_ahead(self: &Arc<Self>, key: &Arc<Key>, spec: Spec, name: &str, want: u64) {
        let (keeper, key, name) = (Arc::clone(self), Arc::clone(key), name.to_owned());
        tokio::spawn(async move {
            if let Some(store) = keeper.store.get() {
                let _asking = key.asking.lock().await;
                keeper.lease(store, (&key, spec, &name), want).await;
            }
        });
    }

    /// While the store is away each replica has an equal share of a rate. Of a quota it has what it leased
    /// before, and nothing more: who pays for what is used is to be asked.
    fn while_away(
        &self,
        (key, spec, name): (&Key, Spec, &str),
        amount: u64,
        replicas: u64,
    ) -> Result<(), Wait> {
        if spec.is_quota() {
            return Err(Wait { ms: 5 * AWAY_MS });
        }
        let now = self.now();
        let (budget, _) = spec.budget(now, 0, replicas);
        let mut state = key.state();
        let (row, taken) = of_row(state.away.as_ref(), (budget, name), amount, now);
        state.away = row.or_else(|| state.away.take());
        taken
    }

    /// Gives back what was leased of quotas and not used. At the end, or of what nobody asks for any more.
    pub async fn give_back(&self, all: bool) {
        let now = self.now();
        // One that an answer under way still counts in is not idle.
        let idle = |key: &Arc<Key>| {
            let state = key.state();
            let long_ago = now.0.saturating_sub(state.used_at.0) >= IDLE_MS;
            all || (state.running == 0 && Arc::strong_count(key) == 1 && long_ago)
        };
        let old: Vec<(String, Arc<Key>)> = {
            let mut keys = self.keys();
            // What is counted here alone is known nowhere else.
            let old = keys.iter().filter(|(_, key)| idle(key) && (all || key.state().is_forgettable(now)));
            let old: Vec<_> = old.map(|(name, key)| (name.clone(), Arc::clone(key))).collect();
            if !all {
                old.iter().for_each(|(name, _)| drop(keys.remove(name)));
            }
            old
        };
        let Some(store) = self.store.get() else { return };
        for (name, key) in old {
            let (spec, left, owed) = {
                let mut state = key.state();
                let owed = state.share.owed(now);
                (state.spec, state.share.give_back(now), owed)
            };
            let Some(spec) = spec.filter(|spec| spec.is_quota() && left + owed > 0) else { continue };
            let (budget, _) = spec.budget(now, 0, 1);
            let back = give_back(store, &name, (budget, left));
            let back = async {
                back.await?;
                let ask = BudgetAsk { want: owed, ..spec.ask(&name, now) };
                if owed > 0 { ask_store(store, &ask).await.map(drop) } else { Ok(()) }
            };
            let back = tokio::time::timeout(STORE_TIME, back).await;
            if !matches!(back, Ok(Ok(()))) {
                tracing::warn!(budget = name, "what was left of a quota is not given back");
            }
        }
    }

    /// Forgets what nobody needs any more, here and in the store.
    pub async fn tend(&self) {
        self.give_back(false).await;
        let Some(store) = self.store.get() else { return };
        let swept = async {
            let mut tx = store.begin().await?;
            tx.budget_sweep(self.now(), SWEEP).await?;
            tx.commit().await
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "budgets that have expired were not forgotten");
        }
    }
}

impl State {
    /// Whether nothing is lost with it.
    fn is_forgettable(&self, now: Timestamp) -> bool {
        self.alone.as_ref().is_none_or(|row| now >= row.expires)
    }
}

fn run(key: Arc<Key>, max: u64, now: Timestamp) -> Result<Arc<Key>, Wait> {
    {
        let mut state = key.state();
        state.used_at = now;
        if state.running >= max {
            return Err(Wait { ms: AWAY_MS });
        }
        state.running += 1;
    }
    Ok(key)
}

/// Takes of what is counted in this process alone.
fn alone(key: &Key, spec: Spec, name: &str, amount: u64, now: Timestamp) -> Result<(), Wait> {
    let (budget, until) = spec.budget(now, 0, 1);
    let mut state = key.state();
    state.used_at = now;
    let want = spec.want(amount);
    let (row, taken) = of_row(state.alone.as_ref(), (budget, name), want.least, now);
    let mut row = row.or_else(|| state.alone.take());
    if let Some(row) = &mut row {
        if taken.is_ok() {
            // What had to be there and is counted later.
            row.used = row.used.saturating_sub((want.least - want.amount).saturating_mul(row.unit));
        }
        row.expires = spec.forgettable(now, budget);
    }
    state.alone = row;
    taken.map_err(|wait| if spec.is_quota() { Wait { ms: until.0 + 1 - now.0 } } else { wait })
}

/// Takes all of it or nothing.
fn of_row(
    row: Option<&BudgetRow>,
    (budget, name): (Budget, &str),
    want: u64,
    now: Timestamp,
) -> (Option<BudgetRow>, Result<(), Wait>) {
    let ask = BudgetAsk { name, budget, want, now, expires: now };
    let (next, grant) = BudgetRow::lease(row, &ask);
    if grant.granted >= want {
        return (Some(next), Ok(()));
    }
    (None, Err(Wait { ms: grant.wait_ms.unwrap_or(AWAY_MS).max(1) }))
}

async fn ask_store(store: &Arc<dyn Store>, ask: &BudgetAsk<'_>) -> Result<BudgetGrant, StoreError> {
    let mut tries = 1;
    loop {
        let asked = async {
            let mut tx = store.begin().await?;
            let grant = tx.budget_lease(ask).await?;
            tx.commit().await.map(|()| grant)
        };
        match asked.await {
            Err(StoreError::Conflict | StoreError::Busy) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn give_back(
    store: &Arc<dyn Store>,
    name: &str,
    (budget, amount): (Budget, u64),
) -> Result<(), StoreError> {
    if amount == 0 {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    tx.budget_return(name, budget, amount).await?;
    tx.commit().await
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
