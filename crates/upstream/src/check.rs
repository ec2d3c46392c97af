//! Checks of a server by requests of the gateway's own, so that it is known how it is before a call has to
//! find out.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use protocol::{Call, Capabilities, Era, Method, Raw};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::detect::Connector;
use crate::http::{HttpLink, ModernHttp};
use crate::resilience::is_servers_failure;
use crate::{CallContext, CallError, CallErrorKind, Condition, HealthOptions, Upstream};

/// Addresses of one server that are checked at the same time.
const AT_A_TIME: usize = 8;
/// The first check comes within this, however long it is until the next one.
const FIRST_MAX: Duration = Duration::from_secs(5);

/// The task that checks a server, once there is one. It ends with this.
#[derive(Default)]
pub(crate) struct Checks(Mutex<Option<JoinHandle<()>>>);

impl Checks {
    /// Begins it, unless it has begun.
    pub fn start(&self, begin: impl FnOnce() -> JoinHandle<()>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(begin);
    }

    pub fn stop(&self) {
        if let Some(task) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How long to wait for the next check: not as long at each replica and each time, so that checks which fell
/// together do not stay so.
pub(crate) fn pause(interval: Duration, random: u64, first: bool) -> Duration {
    let part = u32::try_from(random % 1_024).unwrap_or(0);
    if first {
        return interval.min(FIRST_MAX) * part / 1_024;
    }
    // From nine tenths to eleven.
    interval * 9 / 10 + interval / 5 * part / 1_024
}

/// Checks again and again, one after the other, until there is nothing left to check: `random` then gives
/// nothing.
async fn repeat<F: Future<Output = ()>>(
    interval: Duration,
    random: impl Fn() -> Option<u64>,
    check: impl Fn() -> F,
) {
    let mut first = true;
    while let Some(random) = random() {
        sleep(pause(interval, random, std::mem::take(&mut first))).await;
        check().await;
    }
}

/// The task must not keep the upstream alive: it ends with it.
async fn follow(upstream: Weak<Upstream>, options: HealthOptions) {
    let random = || upstream.upgrade().map(|upstream| upstream.core().rng.next_u64());
    let check = || {
        let (upstream, options) = (upstream.upgrade(), options.clone());
        async move {
            if let Some(upstream) = upstream {
                upstream.check(&options).await;
            }
        }
    };
    repeat(options.interval, random, check).await;
}

impl Upstream {
    /// Checks the server again and again from now on, where it is to be checked, and reads its document where
    /// it has one and again when that has changed, until it is shut down. A
    /// second time changes nothing. Must be called within a tokio runtime.
    pub fn keep_checked(self: &Arc<Self>) {
        self.follow_document();
        let Some(options) = &self.options().resilience.health else { return };
        self.checks.start(|| tokio::spawn(follow(Arc::downgrade(self), options.clone())));
    }

    /// Checks all its addresses once.
    async fn check(self: &Arc<Self>, options: &HealthOptions) {
        let Some(balance) = &self.core().keeping.balance else {
            let checked = timeout(options.timeout, self.check_server(options)).await;
            return self.checked(None, checked.unwrap_or_else(|_| Err(self.late())), options);
        };
        let Some(link) = self.link() else { return };
        let all = balance.urls().into_iter().enumerate().map(|(index, url)| {
            let link = link.straight(url);
            async move {
                let checked = timeout(options.timeout, self.check_address(&link, options)).await;
                (index, link.url().clone(), checked.unwrap_or_else(|_| Err(self.late())))
            }
        });
        let mut all = futures_util::stream::iter(all.collect::<Vec<_>>()).buffer_unordered(AT_A_TIME);
        while let Some((index, url, checked)) = all.next().await {
            self.checked(Some((index, &url)), checked, options);
        }
    }

    fn late(&self) -> CallError {
        self.core().error(CallErrorKind::Timeout).detail("a check took too long")
    }

    /// Takes note of what came of a check.
    fn checked(
        &self,
        address: Option<(usize, &Uri)>,
        checked: Result<(), CallError>,
        options: &HealthOptions,
    ) {
        let well = match &checked {
            Ok(()) => true,
            Err(error) if is_servers_failure(error.kind) => false,
            Err(error) if error.kind == CallErrorKind::OtherRevision => false,
            // Nothing was learned of the server: somebody's consent is missing, or there is no place.
            Err(_) => return,
        };
        let keeping = &self.core().keeping;
        let change = keeping.checked(address.map(|(index, _)| index), well, options);
        let place = address.and_then(|(_, url)| url.authority().cloned());
        let place = place.map(|place| place.to_string()).unwrap_or_default();
        let upstream = self.name();
        match (change, checked) {
            (Some(Condition::Down), Err(error)) => {
                tracing::warn!(%upstream, address = place, %error, "checks say that it is down");
                if keeping.condition() == Some(Condition::Down) {
                    self.note(Some(error));
                }
            }
            (Some(_), _) => tracing::info!(%upstream, address = place, "checks say that it is up"),
            (None, _) => {}
        }
        // What a call has said before is no longer so.
        if well && address.is_none() && keeping.condition() == Some(Condition::Up) {
            self.note(None);
        }
    }

    /// Checks a server that has one address, or none.
    async fn check_server(self: &Arc<Self>, options: &HealthOptions) -> Result<(), CallError> {
        if let (Some(_), Some(link)) = (&options.path, self.link()) {
            let url = link.url().clone();
            return self.check_address(&link.straight(url), options).await;
        }
        // What it speaks is found out by asking it.
        let fresh = self.known().is_none();
        let found = self.connector().await?;
        if fresh {
            return Ok(());
        }
        let method = if found.revision.era() == Era::Modern { Method::Discover } else { Method::Ping };
        let call = self.own_call(method);
        let (cx, permit) = (CallContext::own(), self.place()?);
        match &found.connector {
            Connector::ModernHttp(http) => http.call(&cx, &call, permit).await,
            Connector::LegacyHttp(http) => Box::pin(http.call(&cx, &call, permit)).await,
            Connector::Pipe(pool) => Box::pin(pool.call(&cx, &call, permit)).await,
            Connector::Api(api) => api.call(&cx, &call, permit).await,
        }
        // An error of the server's own is an answer.
        .map(drop)
    }

    /// Checks one address: by a path there, or by asking a server of the modern revision what it is.
    async fn check_address(&self, link: &HttpLink, options: &HealthOptions) -> Result<(), CallError> {
        let Some(path) = &options.path else {
            let http = ModernHttp { link: link.clone() };
            let call = self.own_call(Method::Discover);
            return http.call(&CallContext::own(), &call, self.place()?).await.map(drop);
        };
        let url = at(link.url(), path).ok_or_else(|| self.core().error(CallErrorKind::Invalid))?;
        let response = link.straight(url).send(http::Method::GET, HeaderMap::new(), Bytes::new()).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            // Whatever it is, it is not what a server that is well answers.
            status => Err(self.core().error(CallErrorKind::Status(status.as_u16().max(500)))),
        }
    }

    /// A place of its own: a server that has much to do is checked as well.
    fn place(&self) -> Result<OwnedSemaphorePermit, CallError> {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned();
        place.map_err(|_| self.core().error(CallErrorKind::Busy))
    }

    fn own_call(&self, method: Method) -> Call {
        let info = &self.options().client_info;
        Call::own(method, &Raw::literal("{}"), &Capabilities::none(), info)
    }
}

/// The same server with this path.
fn at(url: &Uri, path: &str) -> Option<Uri> {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(path.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use model::{ManualClock, Rng as _, SeededRng};
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{self, Scripted};
    use crate::{Options, Resilience};

    const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete",
        "supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}"#;
    const ERROR: &str = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"not today"}}"#;

    fn options(path: Option<&str>) -> HealthOptions {
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(10));
        HealthOptions { interval, timeout, path: path.map(str::to_owned), down_after: 2, up_after: 2 }
    }

    fn upstream(url: Uri, urls: Vec<Uri>, health: &HealthOptions) -> Arc<Upstream> {
        let resilience = Resilience { urls, health: Some(health.clone()), ..Resilience::default() };
        let options = Options { resilience, ..testing::options(url) };
        let (clock, rng) = (Arc::new(ManualClock::default()), Arc::new(SeededRng::new(1)));
        Upstream::new(options, testing::http(), clock, rng, Arc::default())
    }

    /// Checks once, in a task of its own.
    fn check(upstream: &Arc<Upstream>, options: &HealthOptions) -> JoinHandle<()> {
        let (upstream, options) = (Arc::clone(upstream), options.clone());
        tokio::spawn(async move { upstream.check(&options).await })
    }

    fn seen(upstream: &Upstream) -> (&'static str, Option<Condition>) {
        let health = upstream.health();
        (health.state, health.condition)
    }

    #[tokio::test(start_paused = true)]
    async fn checks_come_about_once_an_interval_never_two_at_a_time_and_end_with_what_they_check() {
        let (interval, long) = (Duration::from_secs(60), Duration::from_secs(7));
        let (rng, begun) = (SeededRng::new(3), Instant::now());
        let times = Mutex::new(Vec::new());
        let left = AtomicU64::new(200);
        let random = || {
            let left = left.fetch_sub(1, Ordering::Relaxed);
            (left > 0).then(|| rng.next_u64())
        };
        let check = || async {
            times.lock().unwrap().push(begun.elapsed());
            sleep(long).await;
        };
        repeat(interval, random, check).await;
        let times = times.into_inner().unwrap();
        assert_eq!(times.len(), 200);
        assert!(times[0] < FIRST_MAX, "{:?}", times[0]);
        let pauses: Vec<_> = times.windows(2).map(|two| two[1] - two[0] - long).collect();
        let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(*least >= interval * 9 / 10 && *most <= interval * 11 / 10, "{least:?} {most:?}");
        assert!(*most - *least > interval / 10, "they do not come all alike: {least:?} {most:?}");
    }

    #[tokio::test]
    async fn a_server_is_down_after_failures_in_a_row_and_up_again_after_good_answers() {
        let (mut server, health) = (Scripted::start().await, options(None));
        let upstream = upstream(server.url(), Vec::new(), &health);
        assert_eq!(seen(&upstream), ("untried", Some(Condition::Unknown)));
        for (status, body, now) in [
            ("200 OK", DISCOVER, ("up", Condition::Up)),
            ("503 Service Unavailable", "", ("up", Condition::Up)),
            ("200 OK", ERROR, ("up", Condition::Up)),
            ("503 Service Unavailable", "", ("up", Condition::Up)),
            ("503 Service Unavailable", "", ("unhealthy", Condition::Down)),
            ("200 OK", ERROR, ("unhealthy", Condition::Down)),
            ("200 OK", DISCOVER, ("up", Condition::Up)),
        ] {
            let checking = check(&upstream, &health);
            let asked = server.next().await;
            assert!(asked.body.contains("server/discover"), "{}", asked.body);
            asked.answer(status, body).await;
            checking.await.expect("no panic");
            assert_eq!(seen(&upstream), (now.0, Some(now.1)), "{status} {body}");
        }
        let stats = upstream.resilience();
        let counts = [&stats.checks, &stats.checks_failed].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counts, [7, 3]);
    }

    #[tokio::test]
    async fn a_path_is_got_from_each_address_and_one_that_is_down_gets_no_calls() {
        let (mut a, mut b) = (Scripted::start().await, Scripted::start().await);
        let health = options(Some("/healthz?deep=1"));
        let upstream = upstream(a.url(), vec![b.url()], &health);
        for _ in 0..2 {
            let checking = check(&upstream, &health);
            for (server, status) in [(&mut a, "404 Not Found"), (&mut b, "204 No Content")] {
                let asked = server.next().await;
                assert!(asked.head.starts_with("GET /healthz?deep=1 HTTP/1.1"), "{}", asked.head);
                let host = server.url().authority().expect("a host").to_string();
                assert!(asked.head.to_lowercase().contains(&format!("host: {host}")), "{}", asked.head);
                asked.answer(status, "").await;
            }
            checking.await.expect("no panic");
        }
        let health = upstream.health();
        let conditions: Vec<_> = health.addresses.iter().map(|address| address.condition).collect();
        assert_eq!(conditions, [Condition::Down, Condition::Up]);
        assert_eq!(health.condition, Some(Condition::Up), "one address is enough");
        // Without checks it would be the turn of the first.
        let asking = tokio::spawn(async move { upstream.discovery().await.map(drop) });
        b.next().await.answer("200 OK", DISCOVER).await;
        asking.await.expect("no panic").expect("an answer of the other address");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_silent_costs_a_check_its_time_and_no_more() {
        let (server, health) = (Scripted::start().await, options(Some("/healthz")));
        let upstream = upstream(server.url(), Vec::new(), &health);
        let begun = Instant::now();
        for _ in 0..2 {
            // It takes the connection, and nobody ever answers.
            upstream.check(&health).await;
        }
        assert_eq!(begun.elapsed(), health.timeout * 2);
        assert_eq!(seen(&upstream), ("unhealthy", Some(Condition::Down)));
        assert_eq!(upstream.health().error.map(|error| error.kind), Some(CallErrorKind::Timeout));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_is_shut_down_is_checked_no_more() {
        let health = options(Some("/healthz"));
        let upstream = upstream(Scripted::start().await.url(), Vec::new(), &health);
        upstream.keep_checked();
        let count = || upstream.resilience().checks.load(Ordering::Relaxed);
        while count() < 3 {
            sleep(health.interval).await;
        }
        upstream.shutdown().await;
        let before = count();
        upstream.keep_checked();
        sleep(health.interval * 10).await;
        assert_eq!(count(), before);
    }
}
