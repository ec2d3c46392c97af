//! The way of an operator to his issuer, and back.

use std::time::Duration;

use http::Method;
use seal::{KeyRing, SystemRng};
use serde_json::json;

use crate::browser::Browser;
use crate::place::{Desk, user};

/// Nobody has signed in with this browser.
async fn is_out(browser: &Browser) -> bool {
    browser.session().await.0 == 401
}

#[tokio::test]
async fn an_operator_signs_in_acts_and_signs_out() {
    let mut desk = Desk::open().await;
    let mut browser = desk.browser().await;
    let page = browser.go("/", true).await;
    assert!(page.status == 200 && page.text.contains("href=\"/sign-in\""), "{}", page.text);
    let back = desk.away(&mut browser).await;
    let got = browser.go(&back, false).await;
    assert_eq!((got.status, got.location), (200, None), "a redirect would come without a strict cookie");
    let session = got.set.iter().find(|set| set.starts_with("tidegate-operator=")).unwrap();
    assert!(session.ends_with("; Path=/; Max-Age=1800; HttpOnly; SameSite=Strict"), "{session}");
    let page = browser.go("/", true).await;
    assert!(page.text.contains("acme/corp:ann, with the role operator"), "{}", page.text);
    let (status, session) = browser.session().await;
    assert_eq!(
        (status, &session["subject"], &session["role"]),
        (200, &json!("corp:ann"), &json!("operator"))
    );
    assert_eq!(session["tenant"], "acme");
    let cancelled = browser.post("/v1/tasks/none/cancel").await.send().await;
    assert_eq!(cancelled.status, 404, "there is none, and he may know");
    let form = format!("csrf={}", session["csrf"].as_str().unwrap());
    let out = browser.request(Method::POST, "/sign-out").header("origin", browser.origin());
    let out = out.header("content-type", "application/x-www-form-urlencoded").body(form);
    let kept = browser.clone();
    let got = browser.take(out.send().await).await;
    assert_eq!((got.status, got.location.as_deref()), (303, Some("/")));
    assert!(browser.jar.is_empty(), "{:?}", browser.jar);
    assert!(is_out(&browser).await && is_out(&kept).await, "also whoever has kept the cookie");
}

#[tokio::test]
async fn nothing_else_shows_or_frames_the_pages() {
    let mut desk = Desk::open().await;
    let browser = desk.signed_in("ann", &["support"]).await;
    for path in ["/", "/v1/session", "/v1/tasks", "/callback", "/nothing"] {
        let reply = browser.request(Method::GET, path).send().await;
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    // What is no page is not asked for as one.
    for path in ["/", "/sign-in", "/callback"] {
        for kind in ["image", "iframe", "empty", "script"] {
            let reply = browser.http.request(Method::GET, path).header("sec-fetch-dest", kind);
            assert_eq!(reply.send().await.status, 403, "{path} as {kind}");
        }
    }
}

#[tokio::test]
async fn a_way_back_is_good_once_at_all_replicas() {
    let mut desk = Desk::open().await;
    let mut browser = desk.browser().await;
    let place = desk.place();
    let other = desk.replica(place).await;
    let back = desk.away(&mut browser).await;
    let thief = browser.clone();
    assert_eq!(browser.go(&back, false).await.status, 200);
    for http in [thief.http.clone(), other] {
        // With the cookie of the browser that began it, under the name that it began at.
        let mut again = thief.at(&http);
        let request = again.request(Method::GET, &back).header("host", thief.here());
        let got = again.take(request.send().await).await;
        assert_eq!(got.status, 400, "{}", got.text);
        assert!(!got.set.iter().any(|set| set.starts_with("tidegate-operator=")), "{:?}", got.set);
    }
}

#[tokio::test]
async fn only_the_browser_that_went_comes_back() {
    let mut desk = Desk::open().await;
    let mut browser = desk.browser().await;
    let back = desk.away(&mut browser).await;
    let mut other = Browser::new(&browser.http);
    assert_eq!(other.go(&back, false).await.status, 400, "without the cookie");
    // One that is on a way of its own.
    let own = desk.away(&mut other).await;
    assert_eq!(other.go(&back, false).await.status, 400, "with the cookie of another way");
    // One that was given the value under its own name.
    let stolen = browser.jar.values().next().unwrap().clone();
    let name = other.jar.keys().next().unwrap().clone();
    let mut mixed = other.clone();
    mixed.jar.insert(name, stolen);
    assert_eq!(mixed.go(&back, false).await.status, 400);
    assert_eq!(other.go(&own, false).await.status, 200, "and its own is as good as before");
    assert_eq!(browser.go(&back, false).await.status, 200);
}

#[tokio::test]
async fn a_state_that_is_old_or_altered_or_that_of_another_ring_is_of_no_use() {
    let mut desk = Desk::open().await;
    let mut browser = desk.browser().await;
    let back = desk.away(&mut browser).await;
    let (start, rest) = back.split_once("state=").unwrap();
    let (state, rest) = rest.split_once('&').unwrap();
    let mut altered = state.to_owned().into_bytes();
    altered[40] = if altered[40] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    for wrong in [altered.as_str(), "", "x", &state[..state.len() - 1]] {
        let got = browser.clone().go(&format!("{start}state={wrong}&{rest}"), false).await;
        assert_eq!(got.status, 400, "{wrong}");
    }
    let twice = format!("{back}&state={state}");
    assert_eq!(browser.clone().go(&twice, false).await.status, 502, "it says something twice");
    let back = desk.away(&mut browser).await;
    let mut late = browser.clone();
    desk.clock.advance(Duration::from_secs(599));
    assert_eq!(browser.go(&back, false).await.status, 200);
    let back = desk.away(&mut late).await;
    desk.clock.advance(Duration::from_secs(600));
    assert_eq!(late.go(&back, false).await.status, 400, "ten minutes are over");
    let stranger = admin::Place { keys: KeyRing::generate(&SystemRng).into(), ..desk.place() };
    let stranger = desk.replica(stranger).await;
    let back = desk.away(&mut late).await;
    let there = late.at(&stranger).request(Method::GET, &back).header("host", late.here());
    assert_eq!(there.send().await.status, 400, "sealed by another ring");
    assert_eq!(late.go(&back, false).await.status, 200);
}

#[tokio::test]
async fn what_the_issuer_says_must_be_of_this_very_sign_in() {
    let mut desk = Desk::open().await;
    let mut browser = desk.browser().await;
    let with = |name: &str, value: serde_json::Value| {
        let mut user = user("ann", &["platform"]);
        user[name] = value;
        Some(user)
    };
    for (what, user) in [
        ("another nonce", with("nonce", json!("n"))),
        ("another client", with("aud", json!("other"))),
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("an old token", with("exp", json!(1_000))),
        ("no subject", with("sub", json!(""))),
        ("nobody", None),
    ] {
        desk.issuer.signs_in(user);
        let got = desk.signs_in(&mut browser).await;
        assert_eq!(got.status, 502, "{what}: {}", got.text);
        assert!(is_out(&browser).await, "{what}");
        assert!(browser.jar.is_empty(), "{what}: {:?}", browser.jar);
    }
    // An answer in the name of another issuer.
    desk.issuer.signs_in(with("sub", json!("ann")));
    let back = desk.away(&mut browser).await;
    let foreign = back.replace("iss=http", "iss=https");
    assert_ne!(foreign, back);
    assert_eq!(browser.go(&foreign, false).await.status, 502);
    assert!(is_out(&browser).await);
}

#[tokio::test]
async fn who_has_no_role_is_not_let_in() {
    let mut desk = Desk::open().await;
    let mut browser = desk.browser().await;
    let mut elsewhere = user("ann", &["platform"]);
    elsewhere["tid"] = json!("globex");
    for (what, user) in [
        ("no group", user("ann", &[])),
        ("other groups", user("ann", &["sales", "Platform", "platform "])),
        ("the groups of another tenant", elsewhere),
    ] {
        desk.issuer.signs_in(Some(user));
        let got = desk.signs_in(&mut browser).await;
        assert_eq!(got.status, 403, "{what}");
        assert!(is_out(&browser).await && browser.jar.is_empty(), "{what}: {:?}", browser.jar);
    }
    desk.barred.lock().unwrap().push("corp:ann".to_owned());
    desk.issuer.signs_in(Some(user("ann", &["platform"])));
    assert_eq!(desk.signs_in(&mut browser).await.status, 403, "barred");
}

#[tokio::test]
async fn each_sign_in_has_a_session_of_its_own() {
    let mut desk = Desk::open().await;
    // Somebody plants the cookie of a session that he knows.
    let planted = desk.signed_in("mallory", &["support"]).await;
    let mut browser = planted.clone();
    desk.issuer.signs_in(Some(user("ann", &["platform"])));
    let back = desk.away(&mut browser).await;
    assert_eq!(browser.go(&back, false).await.status, 200);
    assert_ne!(browser.jar["tidegate-operator"], planted.jar["tidegate-operator"]);
    assert_eq!(browser.session().await.1["subject"], "corp:ann");
    assert!(is_out(&planted).await, "what was planted has ended with the new sign-in");
    // Two sign-ins of one person are two sessions.
    let other = desk.signed_in("ann", &["platform"]).await;
    let (one, two) = (browser.session().await.1, other.session().await.1);
    assert_ne!(one["csrf"], two["csrf"]);
    // Of two cookies, one is somebody else's.
    let both = format!("tidegate-operator={}; {}", planted.jar["tidegate-operator"].0, "tidegate-operator=x");
    let reply = other.request(Method::GET, "/v1/session").header("cookie", both);
    assert_eq!(reply.send().await.status, 401);
}

#[tokio::test]
async fn behind_a_proxy_with_tls_everything_is_of_its_url() {
    let mut desk = Desk::open().await;
    let place = admin::Place { url: Some("https://Ops.example:443".to_owned()), ..desk.place() };
    let mut browser = Browser::new(&desk.replica(place).await);
    browser.host = Some("ops.example".to_owned());
    let got = desk.signs_in(&mut browser).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let name = "__Host-tidegate-operator";
    let set = got.set.iter().find(|set| set.starts_with(name)).unwrap();
    assert!(set.ends_with("; Path=/; Max-Age=1800; HttpOnly; SameSite=Strict; Secure"), "{set}");
    assert_eq!(browser.post("/v1/tasks/none/retry").await.send().await.status, 404);
    let plain = browser.post("/v1/tasks/none/retry").await.header("origin", "http://ops.example");
    assert_eq!(plain.send().await.status, 403);
    for (host, status) in [("ops.example:443", 200), ("evil.ops.example", 403), ("ops.example.evil", 403)] {
        let request = browser.request(Method::GET, "/v1/session").header("host", host);
        assert_eq!(request.send().await.status, status, "{host}");
    }
    // A plain page cannot set it, and one that has lost its prefix is another one.
    let value = &browser.jar[name].0;
    let unnamed = browser.request(Method::GET, "/v1/session");
    let unnamed = unnamed.header("cookie", format!("tidegate-operator={value}"));
    assert_eq!(unnamed.send().await.status, 401);
}
