//! What a session is good for, and until when.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use seal::{KeyRing, SystemRng};
use store::{Fault, Faulty, Store};

use crate::place::{Desk, IDLE, SESSION, user};

const COOKIE: &str = "tidegate-operator";

#[tokio::test]
async fn each_role_may_do_what_those_below_it_may() {
    let mut desk = Desk::open().await;
    for (groups, role, acts) in [
        (&["support"][..], "viewer", 403),
        (&["oncall"], "operator", 404),
        (&["platform"], "admin", 404),
        (&["support", "oncall"], "operator", 404),
    ] {
        let browser = desk.signed_in("ann", groups).await;
        assert_eq!(browser.session().await.1["role"], role);
        let read = browser.request(Method::GET, "/v1/tasks").send().await;
        assert_eq!(read.status, 200, "{role}");
        for path in ["/v1/tasks/none/cancel", "/v1/tasks/none/retry"] {
            assert_eq!(browser.post(path).await.send().await.status, acts, "{role} {path}");
        }
        assert_eq!(browser.post("/sign-out").await.send().await.status, 303, "{role}");
    }
}

#[tokio::test]
async fn what_a_role_is_of_is_looked_up_at_each_request() {
    let mut desk = Desk::open().await;
    let browser = desk.signed_in("ann", &["oncall"]).await;
    // A replica that was started under other rules.
    let mut place = desk.place();
    let sign_in = place.sign_in.as_mut().unwrap();
    sign_in.roles.operator.clear();
    sign_in.roles.viewer.push("oncall".to_owned());
    let stricter = desk.replica(place).await;
    assert_eq!(browser.at(&stricter).session().await.1["role"], "viewer");
    let mut place = desk.place();
    place.sign_in.as_mut().unwrap().roles.operator.clear();
    let strictest = desk.replica(place).await;
    assert_eq!(browser.at(&strictest).session().await.0, 401);
    let mut place = desk.place();
    place.sign_in.as_mut().unwrap().tenant = Some("globex".to_owned());
    let other = desk.replica(place).await;
    assert_eq!(browser.at(&other).session().await.0, 401, "whose groups count is another tenant");
    desk.barred.lock().unwrap().push("corp:ann".to_owned());
    assert_eq!(browser.session().await.0, 401, "he is barred");
    desk.barred.lock().unwrap().clear();
    assert_eq!(browser.session().await.0, 200);
    desk.open.store(false, Ordering::SeqCst);
    assert_eq!(browser.session().await.0, 401, "nobody signs in there any more");
}

#[tokio::test]
async fn a_cookie_is_of_the_ring_and_the_issuer_that_sealed_it() {
    let mut desk = Desk::open().await;
    let browser = desk.signed_in("ann", &["oncall"]).await;
    let place = desk.place();
    let place = admin::Place { keys: Arc::new(KeyRing::generate(&SystemRng)), ..place };
    let stranger = desk.replica(place).await;
    assert_eq!(browser.at(&stranger).session().await.0, 401, "another ring");
    // Another issuer, whose users may be called the same; also under the same keys.
    let mut elsewhere = Desk::open().await;
    let place =
        admin::Place { keys: Arc::clone(&desk.keys), store: Arc::clone(&desk.store), ..elsewhere.place() };
    let other = elsewhere.replica(place).await;
    assert_eq!(browser.at(&other).session().await.0, 401, "another issuer");
    // What is sealed for the way is no session, nor is anything that was altered.
    let mut way = browser.clone();
    let back = desk.away(&mut way).await;
    let state = back.split_once("state=").unwrap().1.split('&').next().unwrap();
    let sealed = browser.jar[COOKIE].0.clone();
    let cut = &sealed[..sealed.len() - 1];
    for wrong in [state, cut, "", "x"] {
        let mut other = browser.clone();
        other.jar.insert(COOKIE.to_owned(), (wrong.to_owned(), true));
        assert_eq!(other.session().await.0, 401, "{wrong}");
    }
    assert_eq!(browser.session().await.0, 200);
}

#[tokio::test]
async fn a_session_ends_without_use_and_at_last_with_it() {
    let mut desk = Desk::open().await;
    let idle = desk.signed_in("ann", &["oncall"]).await;
    let mut busy = desk.signed_in("ben", &["oncall"]).await;
    desk.clock.advance(IDLE - Duration::from_millis(1));
    assert_eq!(idle.session().await.0, 200, "he comes in time, and does not keep what he is told");
    let first = busy.jar[COOKIE].clone();
    assert_eq!(busy.go("/v1/session", true).await.status, 200);
    assert_ne!(busy.jar[COOKIE], first, "whoever comes is told so");
    desk.clock.advance(Duration::from_millis(1));
    assert_eq!(idle.session().await.0, 401);
    let mut spent = IDLE;
    while spent + IDLE / 2 < SESSION {
        spent += IDLE / 2;
        desk.clock.advance(IDLE / 2);
        let got = busy.go("/v1/session", true).await;
        assert_eq!(got.status, 200, "after {spent:?}");
    }
    desk.clock.advance(SESSION - spent - Duration::from_millis(1));
    assert_eq!(busy.go("/v1/session", true).await.status, 200);
    desk.clock.advance(Duration::from_millis(1));
    assert_eq!(busy.go("/v1/session", true).await.status, 401, "whatever he does");
}

#[tokio::test]
async fn a_cookie_is_not_sent_anew_with_every_answer() {
    let mut desk = Desk::open().await;
    let mut browser = desk.signed_in("ann", &["oncall"]).await;
    assert!(browser.go("/v1/tasks", true).await.set.is_empty());
    desk.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.go("/v1/tasks", true).await.set.len(), 1);
    assert!(browser.go("/v1/tasks", true).await.set.is_empty());
    // Nor does it come back with the answer to whoever signs out.
    desk.clock.advance(Duration::from_secs(60));
    let out = browser.post("/sign-out").await.send().await;
    let got = browser.take(out).await;
    assert_eq!((got.set.len(), browser.jar.len()), (1, 0));
}

#[tokio::test]
async fn who_signs_out_at_one_replica_is_out_at_all() {
    let mut desk = Desk::open().await;
    let browser = desk.signed_in("ann", &["oncall"]).await;
    let other = desk.signed_in("ann", &["oncall"]).await;
    let place = desk.place();
    let second = desk.replica(place).await;
    let there = browser.at(&second);
    assert_eq!(there.session().await.0, 200);
    desk.clock.advance(Duration::from_secs(60));
    let mut renewed = there.clone();
    assert_eq!(renewed.go("/v1/tasks", true).await.set.len(), 1);
    assert_eq!(browser.post("/sign-out").await.send().await.status, 303);
    for (what, gone) in [("there", &there), ("here", &browser), ("told anew", &renewed)] {
        assert_eq!(gone.session().await.0, 401, "{what}");
    }
    assert_eq!(other.session().await.0, 200, "a session of another browser goes on");
}

#[tokio::test]
async fn nobody_is_let_in_while_the_store_cannot_say_who_has_signed_out() {
    let mut desk = Desk::open().await;
    let browser = desk.signed_in("ann", &["oncall"]).await;
    let store = Arc::new(Faulty::new(Arc::clone(&desk.store)));
    let place = admin::Place { store: Arc::clone(&store) as Arc<dyn Store>, ..desk.place() };
    let shaky = desk.replica(place).await;
    let there = browser.at(&shaky);
    assert_eq!(there.session().await.0, 200);
    store.faults().down(Some(Fault::Before));
    assert_eq!(there.session().await.0, 503);
    desk.issuer.signs_in(Some(user("ben", &["oncall"])));
    let mut late = browser.at(&shaky);
    late.jar.clear();
    let back = desk.away(&mut late).await;
    assert_eq!(late.go(&back, false).await.status, 503);
}
