//! The token of `admin.token`, and what comes of wrong ones.

use std::time::Duration;

use http::Method;

use crate::place::{Desk, token};

#[tokio::test]
async fn wrong_tokens_and_sign_ins_are_bounded_apart() {
    let mut desk = Desk::open().await;
    let mut browser = desk.signed_in("ann", &["support"]).await;
    let with = |token: &str| {
        let request = browser.http.request(Method::GET, "/v1/tasks");
        request.header("authorization", format!("Bearer {token}"))
    };
    for count in 0..60 {
        assert_eq!(with(&format!("wrong {count}")).send().await.status, 401, "{count}");
    }
    let reply = with("another").send().await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("2")));
    assert_eq!(with(&token()).send().await.status, 429, "the right one is not looked at either");
    assert_eq!(browser.session().await.0, 200, "whoever has signed in is not concerned");
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(with(&token()).send().await.status, 200);
    assert_eq!(with(&token()).send().await.status, 200, "and what is right costs nothing");
    assert_eq!(with("another").send().await.status, 401);
    assert_eq!(with("and another").send().await.status, 429);
    // Ways that are begun, or that come back to nothing. One that was gone to its end costs nothing.
    for count in 0..30 {
        assert_eq!(browser.go("/callback?state=x&code=y", false).await.status, 400, "{count}");
        assert_eq!(browser.go("/sign-in", true).await.status, 303, "{count}");
    }
    assert_eq!(browser.go("/callback?state=x&code=y", false).await.status, 429);
    assert_eq!(browser.go("/sign-in", true).await.status, 429);
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(browser.go("/sign-in", true).await.status, 303);
    assert_eq!(browser.go("/sign-in", true).await.status, 429);
}

#[tokio::test]
async fn a_program_with_an_old_token_keeps_nobody_out() {
    let mut desk = Desk::open().await;
    let browser = desk.browser().await;
    let with = |token: &str| {
        let request = browser.http.request(Method::GET, "/v1/tasks");
        request.header("authorization", format!("Bearer {token}"))
    };
    for count in 0..100 {
        assert_eq!(with("the old one").send().await.status, 401, "{count}");
    }
    assert_eq!(with(&token()).send().await.status, 200);
}

#[tokio::test]
async fn where_there_is_no_token_none_is_right() {
    let mut desk = Desk::open().await;
    let place = admin::Place { token: None, ..desk.place() };
    let http = desk.replica(place).await;
    for given in ["", "x", &token()] {
        let reply = http.request(Method::GET, "/v1/tasks").header("authorization", format!("Bearer {given}"));
        assert_eq!(reply.send().await.status, 401, "{given}");
    }
}

#[tokio::test]
async fn where_nobody_can_sign_in_there_are_no_pages() {
    let mut desk = Desk::open().await;
    let place = admin::Place { sign_in: None, ..desk.place() };
    let http = desk.replica(place).await;
    for path in ["/", "/sign-in", "/callback"] {
        assert_eq!(http.request(Method::GET, path).send().await.status, 401, "{path}");
        let reply = http.request(Method::GET, path).header("authorization", format!("Bearer {}", token()));
        assert_eq!(reply.send().await.status, 404, "{path}");
    }
}
