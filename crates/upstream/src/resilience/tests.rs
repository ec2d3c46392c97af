//! Against a server that is told what to answer, request by request.

use std::sync::atomic::Ordering;

use model::{ManualClock, SeededRng};
use protocol::{Capabilities, Raw};

use super::*;
use crate::testing::{self, Asked, Scripted};
use crate::{Reply, Upstream};

const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete",
    "supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}"#;
const DONE: &str = r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete"}}"#;
const BUSY: &str = "503 Service Unavailable";

fn upstream(url: Uri, resilience: Resilience) -> Arc<Upstream> {
    let options = crate::Options { resilience, ..testing::options(url) };
    let (clock, rng) = (Arc::new(ManualClock::default()), Arc::new(SeededRng::new(1)));
    Upstream::new(options, testing::http(), clock, rng, Arc::default())
}

/// Calls a tool, in a task of its own.
fn call(upstream: &Arc<Upstream>, again: Again) -> tokio::task::JoinHandle<Result<Reply, CallError>> {
    let upstream = Arc::clone(upstream);
    tokio::spawn(async move {
        let (params, info) = (Raw::literal(r#"{"name":"t"}"#), Raw::literal("{}"));
        let call = Call::own(Method::ToolsCall, &params, &Capabilities::none(), &info);
        upstream.call(&CallContext { again, ..CallContext::own() }, &call).await
    })
}

async fn connected(server: &mut Scripted, resilience: Resilience) -> Arc<Upstream> {
    let upstream = upstream(server.url(), resilience);
    let asking = call(&upstream, Again::Never);
    server.next().await.answer("200 OK", DISCOVER).await;
    server.next().await.answer("200 OK", DONE).await;
    asking.await.expect("no panic").expect("a result");
    upstream
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_server_that_fails_too_often_is_left_alone_and_whoever_calls_hears_that_nothing_ran() {
    let mut server = Scripted::start().await;
    let breaker = BreakerOptions {
        failures_percent: 60,
        calls_min: 4,
        window: Duration::from_secs(60),
        open: Duration::from_millis(80),
        probes: 1,
    };
    let breaker = Resilience { breaker: Some(breaker), ..Resilience::default() };
    let upstream = connected(&mut server, breaker).await;
    for _ in 0..3 {
        let asking = call(&upstream, Again::Never);
        server.next().await.answer(BUSY, "").await;
        asking.await.expect("no panic").expect_err("it is busy");
    }
    assert_eq!((upstream.health().state, upstream.health().circuit), ("circuit_open", Some(Circuit::Open)));
    let error = call(&upstream, Again::Never).await.expect("no panic").expect_err("nobody is asked");
    let data = error.to_rpc().data.expect("data");
    let said = [&data["reason"], &data["fault"], &data["retry"], &data["upstream"]];
    assert_eq!(said, ["circuit_open", "upstream", "safe", "scripted"]);
    assert!(data["retryAfterMs"].as_u64().expect("a time") <= 80, "{data}");
    // Once it was left alone for long enough, one call tries it.
    while upstream.health().circuit == Some(Circuit::Open) {
        tokio::task::yield_now().await;
    }
    let probe = call(&upstream, Again::Never);
    let asked = server.next().await;
    let error = call(&upstream, Again::Never).await.expect("no panic").expect_err("another one tries");
    assert_eq!(error.kind, CallErrorKind::CircuitOpen);
    asked.answer("200 OK", DONE).await;
    probe.await.expect("no panic").expect("a result");
    assert_eq!(upstream.health().circuit, Some(Circuit::Closed));
    let stats = upstream.resilience();
    assert_eq!((count(&stats.circuit_opened), count(&stats.circuit_refused)), (1, 2));
}

fn retrying(retries: u32) -> Resilience {
    Resilience { retries, backoff: Duration::from_millis(1), ..Resilience::default() }
}

/// A request that reached the server, which hangs up.
fn hang_up(asked: Asked) {
    drop(asked);
}

#[tokio::test]
async fn a_call_that_may_have_run_is_made_again_only_where_twice_is_as_once() {
    let mut server = Scripted::start().await;
    let upstream = connected(&mut server, retrying(2)).await;
    let asking = call(&upstream, Again::Repeatable);
    hang_up(server.next().await);
    server.next().await.answer(BUSY, "").await;
    server.next().await.answer("200 OK", DONE).await;
    asking.await.expect("no panic").expect("a result");
    assert_eq!(count(&upstream.resilience().retries), 2);
    for again in [Again::Unsent, Again::Never] {
        let asking = call(&upstream, again);
        server.next().await.answer(BUSY, "").await;
        asking.await.expect("no panic").expect_err("it may have run");
    }
    assert_eq!(count(&upstream.resilience().retries), 2);
}

#[tokio::test]
async fn there_are_no_more_further_attempts_than_the_budget_has() {
    let mut server = Scripted::start().await;
    let few = Resilience { budget_min: 2, budget_percent: 0, ..retrying(5) };
    let upstream = connected(&mut server, few).await;
    let asking = call(&upstream, Again::Repeatable);
    for _ in 0..3 {
        server.next().await.answer(BUSY, "").await;
    }
    asking.await.expect("no panic").expect_err("the budget is spent");
    let stats = upstream.resilience();
    assert_eq!((count(&stats.retries), count(&stats.retries_refused)), (2, 1));
}

#[tokio::test]
async fn beside_a_slow_request_a_second_one_is_sent_and_the_first_answer_counts() {
    let mut server = Scripted::start().await;
    let hedging = Resilience {
        hedge_after: Some(HedgeAfter::Fixed(Duration::from_millis(1))),
        ..Resilience::default()
    };
    let upstream = connected(&mut server, hedging).await;
    let asking = call(&upstream, Again::Repeatable);
    let slow = server.next().await;
    server.next().await.answer("200 OK", DONE).await;
    asking.await.expect("no panic").expect("a result");
    drop(slow);
    let stats = upstream.resilience();
    assert_eq!((count(&stats.hedges), count(&stats.hedges_won)), (1, 1));
    // One that may not run twice has one request, however slow.
    let asking = call(&upstream, Again::Unsent);
    let slow = server.next().await;
    while upstream.health().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    slow.answer("200 OK", DONE).await;
    asking.await.expect("no panic").expect("a result");
    assert_eq!(count(&stats.hedges), 1);
}

#[tokio::test]
async fn once_enough_calls_were_answered_one_that_is_slower_than_most_of_them_is_sent_a_second_time() {
    let mut server = Scripted::start().await;
    let hedging = Resilience { hedge_after: Some(HedgeAfter::P95), ..Resilience::default() };
    let upstream = connected(&mut server, hedging).await;
    for _ in 0..20 {
        let asking = call(&upstream, Again::Repeatable);
        server.next().await.answer("200 OK", DONE).await;
        asking.await.expect("no panic").expect("a result");
    }
    let stats = upstream.resilience();
    assert_eq!(count(&stats.hedges), 0, "nobody knew what is slow");
    let asking = call(&upstream, Again::Repeatable);
    let slow = server.next().await;
    server.next().await.answer("200 OK", DONE).await;
    asking.await.expect("no panic").expect("a result");
    drop(slow);
    assert_eq!((count(&stats.hedges), count(&stats.hedges_won)), (1, 1));
}

#[tokio::test]
async fn of_several_addresses_one_that_is_gone_is_left_alone_and_no_call_fails_for_it() {
    let (mut server, gone) = (Scripted::start().await, Scripted::start().await.url());
    let eject = EjectOptions { after: 2, ..Resilience::default().eject };
    let several = Resilience { urls: vec![server.url()], eject, ..retrying(3) };
    let upstream = upstream(gone.clone(), several);
    let asking = call(&upstream, Again::Never);
    // It cannot be found out what it speaks where nobody answers.
    asking.await.expect("no panic").expect_err("the first address is gone");
    let asking = call(&upstream, Again::Unsent);
    server.next().await.answer("200 OK", DISCOVER).await;
    server.next().await.answer("200 OK", DONE).await;
    asking.await.expect("no panic").expect("a result");
    for _ in 0..6 {
        let asking = call(&upstream, Again::Unsent);
        server.next().await.answer("200 OK", DONE).await;
        asking.await.expect("no panic").expect("a result");
    }
    let health = upstream.health();
    let ejected: Vec<_> = health.addresses.iter().filter(|a| a.ejected).map(|a| a.url.clone()).collect();
    assert_eq!(ejected, [gone]);
    assert_eq!(count(&upstream.resilience().ejections), 1);
    assert!(health.addresses.iter().all(|address| address.pending == 0), "{health:?}");
}
