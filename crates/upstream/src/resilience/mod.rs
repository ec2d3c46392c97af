//! What keeps calls going where a server fails, and a server going where it has too much to do: a breaker,
//! further attempts within a budget, a second request beside a slow one, several addresses, and checks.

mod balance;
mod breaker;
mod budget;
mod condition;
mod hedge;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use http::Uri;
use protocol::{Call, Method};
use tokio::time::Instant;

pub use balance::{AddressHealth, EjectOptions};
pub(crate) use balance::{Balance, Sending};
use breaker::{Breaker, Pass, Verdict};
pub use breaker::{BreakerOptions, Circuit};
use budget::RetryBudget;
use condition::Gauge;
pub use condition::{Condition, HealthOptions};
pub use hedge::HedgeAfter;
use hedge::Latencies;

use crate::{CallContext, CallError, CallErrorKind, Item, ItemStream, Line};

/// What is done for one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resilience {
    /// When it is left alone; `None`: never.
    pub breaker: Option<BreakerOptions>,
    /// How often a call is made again, at most.
    pub retries: u32,
    /// How long to wait before that, the first time; each time it doubles.
    pub backoff: Duration,
    /// Further attempts of a hundred calls.
    pub budget_percent: u64,
    /// Further attempts besides.
    pub budget_min: u64,
    /// After how long a second request is sent beside the first one; `None`: never.
    pub hedge_after: Option<HedgeAfter>,
    /// Its further addresses.
    pub urls: Vec<Uri>,
    /// When one of them is left alone.
    pub eject: EjectOptions,
    /// How it is checked without waiting for calls; `None`: it is not.
    pub health: Option<HealthOptions>,
}

impl Default for Resilience {
    fn default() -> Self {
        let eject = EjectOptions {
            after: 5,
            time: Duration::from_secs(10),
            time_max: Duration::from_secs(300),
            percent_max: 50,
        };
        Self {
            breaker: None,
            retries: 0,
            backoff: Duration::from_millis(50),
            budget_percent: 20,
            budget_min: 10,
            hedge_after: None,
            urls: Vec::new(),
            eject,
            health: None,
        }
    }
}

/// Whether a call may be made again by the gateway itself, before its client hears of a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Again {
    /// Somebody else decides, as with a task.
    Never,
    /// Where nothing was sent.
    #[default]
    Unsent,
    /// Also where it may have run: twice is as once.
    Repeatable,
}

/// What became of that.
#[derive(Debug, Default)]
pub struct ResilienceStats {
    /// Further attempts that were made.
    pub retries: AtomicU64,
    /// Further attempts that were not made because there were too many.
    pub retries_refused: AtomicU64,
    /// Second requests.
    pub hedges: AtomicU64,
    /// Of them, those that answered first.
    pub hedges_won: AtomicU64,
    /// Calls that were refused while the server is left alone.
    pub circuit_refused: AtomicU64,
    /// How often it was left alone from then on.
    pub circuit_opened: AtomicU64,
    /// How often one of its addresses was.
    pub ejections: AtomicU64,
    /// Checks that were made, of each address.
    pub checks: AtomicU64,
    /// Of them, those without a good answer.
    pub checks_failed: AtomicU64,
}

/// The state of it, for all who use the server.
#[derive(Debug)]
pub(crate) struct Keeping {
    breaker: Option<Mutex<Breaker>>,
    pub budget: RetryBudget,
    pub stats: ResilienceStats,
    pub balance: Option<Arc<Balance>>,
    /// How long calls take, where that says when a second request is sent.
    pub latencies: Option<Latencies>,
    /// What checks say of it, where it has one address.
    gauge: Option<Mutex<Gauge>>,
}

impl Keeping {
    /// `url`: its first address.
    pub fn new(options: &Resilience, url: Option<&Uri>) -> Self {
        let now = Instant::now();
        let several = url.filter(|_| !options.urls.is_empty());
        let urls = |url: &Uri| std::iter::once(url.clone()).chain(options.urls.iter().cloned());
        Self {
            breaker: options.breaker.map(|breaker| Mutex::new(Breaker::new(breaker, now))),
            budget: RetryBudget::new(options.budget_min, options.budget_percent),
            stats: ResilienceStats::default(),
            balance: several.map(|url| Arc::new(Balance::new(urls(url), options.eject))),
            latencies: (options.hedge_after == Some(HedgeAfter::P95)).then(Latencies::default),
            gauge: options.health.as_ref().map(|_| Mutex::default()),
        }
    }

    fn breaker(&self) -> Option<MutexGuard<'_, Breaker>> {
        Some(self.breaker.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the breaker lets happen; `None`: there is none.
    pub fn circuit(&self) -> Option<Circuit> {
        Some(self.breaker()?.circuit(Instant::now()))
    }

    /// What checks say; `None`: there are none. Of several addresses one that is up is enough.
    pub fn condition(&self) -> Option<Condition> {
        let gauge = self.gauge.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(self.balance.as_ref().map_or(gauge.condition(), |balance| balance.condition()))
    }

    /// Takes note of a check of the server, or of the address of this number, and gives what is so from now
    /// on where it was not before.
    pub fn checked(&self, address: Option<usize>, well: bool, options: &HealthOptions) -> Option<Condition> {
        self.stats.checks.fetch_add(1, Ordering::Relaxed);
        self.stats.checks_failed.fetch_add(u64::from(!well), Ordering::Relaxed);
        match (&self.balance, address) {
            (Some(balance), Some(index)) => balance.checked(index, well, options),
            _ => {
                let gauge = self.gauge.as_ref()?;
                gauge.lock().unwrap_or_else(PoisonError::into_inner).learn(well, options)
            }
        }
    }

    /// Lets a call through, or says how long the server is left alone.
    pub fn admit(self: &Arc<Self>) -> Result<Passing, Duration> {
        let pass = match self.breaker() {
            None => None,
            Some(mut breaker) => Some(breaker.admit(Instant::now()).inspect_err(|_| {
                self.stats.circuit_refused.fetch_add(1, Ordering::Relaxed);
            })?),
        };
        Ok(Passing(pass.map(|pass| (Arc::clone(self), pass))))
    }
}

/// A call that was let through. Dropped, it says nothing of the server.
pub(crate) struct Passing(Option<(Arc<Keeping>, Pass)>);

impl Passing {
    /// An answer came, or this error in its place.
    pub fn ended(mut self, error: Option<&CallError>) {
        let verdict = match error {
            None => Verdict::Succeeded,
            Some(error) if is_servers_failure(error.kind) => Verdict::Failed,
            Some(_) => Verdict::Unknown,
        };
        self.say(verdict);
    }

    /// The same items, by whose end it is known.
    pub fn over(self, items: ItemStream) -> ItemStream {
        let Self(Some(_)) = &self else { return items };
        let mut passing = Some(self);
        Box::pin(items.inspect(move |item| match item {
            Ok(Item::Done(_)) => drop(passing.take().map(|passing| passing.ended(None))),
            Err(error) => drop(passing.take().map(|passing| passing.ended(Some(error)))),
            Ok(Item::Notification { .. } | Item::HungUp) => {}
        }))
    }

    fn say(&mut self, verdict: Verdict) {
        let Some((keeping, pass)) = self.0.take() else { return };
        let opened = keeping.breaker().is_some_and(|mut b| b.ended(pass, verdict, Instant::now()));
        keeping.stats.circuit_opened.fetch_add(u64::from(opened), Ordering::Relaxed);
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.say(Verdict::Unknown);
    }
}

/// Whether a failure says that the server is not well.
pub(crate) fn is_servers_failure(kind: CallErrorKind) -> bool {
    match kind {
        CallErrorKind::Unreachable
        | CallErrorKind::Broke
        | CallErrorKind::Timeout
        | CallErrorKind::Invalid => true,
        CallErrorKind::Status(status) => status >= 500 || status == 429,
        _ => false,
    }
}

/// Whether this call may be made again after this failure.
pub(crate) fn may_again(cx: &CallContext, call: &Call, error: &CallError) -> bool {
    let passing = is_servers_failure(error.kind) || error.kind == CallErrorKind::Busy;
    match (cx.again, error.retry()) {
        (Again::Never, _) => false,
        (_, model::Retry::Safe) => passing && error.kind != CallErrorKind::Busy,
        // A server that says that there are too many requests has not taken this one (RFC 6585, section 4).
        (_, _) if error.kind == CallErrorKind::Status(429) => true,
        (again, model::Retry::MayHaveRun) => passing && again == Again::Repeatable && is_free(cx, call),
        (_, model::Retry::Useless) => false,
    }
}

/// Whether twice is as once wherever it goes, and it belongs to no session and no earlier round.
pub(crate) fn is_free(cx: &CallContext, call: &Call) -> bool {
    cx.line == Line::Usual && !call.params.has("requestState") && !call.params.has("inputResponses")
}

/// Whether a method only reads (server/*, "Idempotency" of each).
#[must_use]
pub fn reads(method: &Method) -> bool {
    matches!(
        method,
        Method::ToolsList
            | Method::PromptsList
            | Method::ResourcesList
            | Method::TemplatesList
            | Method::ResourcesRead
            | Method::PromptsGet
            | Method::Complete
            | Method::Discover
    )
}

#[cfg(test)]
mod tests;
