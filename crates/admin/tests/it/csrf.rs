//! Other pages, which a browser sends the cookie of its user for.

use http::Method;

use crate::place::{Desk, token};

const CANCEL: &str = "/v1/tasks/none/cancel";

#[tokio::test]
async fn what_changes_something_needs_the_mark_of_its_session() {
    let mut desk = Desk::open().await;
    let browser = desk.signed_in("ann", &["platform"]).await;
    let other = desk.signed_in("ann", &["platform"]).await;
    let theirs = other.session().await.1["csrf"].as_str().unwrap().to_owned();
    let mine = browser.session().await.1["csrf"].as_str().unwrap().to_owned();
    assert_eq!(browser.post(CANCEL).await.send().await.status, 404, "with the mark");
    let last = if mine.ends_with('0') { "1" } else { "0" };
    let altered = format!("{}{last}", &mine[..mine.len() - 1]);
    for wrong in [theirs.as_str(), &altered, &mine[..40], &format!("{mine}00"), "", "é", &mine.to_uppercase()]
    {
        let request = browser.post(CANCEL).await.header("x-csrf-token", wrong);
        // In capitals it is the same number, unless its key's name has letters.
        let same = wrong == mine.to_uppercase() && mine[..8] == mine[..8].to_uppercase();
        assert_eq!(request.send().await.status, if same { 404 } else { 403 }, "{wrong}");
    }
    let twice = browser.post(CANCEL).await.also("x-csrf-token", &mine);
    assert_eq!(twice.send().await.status, 403);
    let missing = browser.post(CANCEL).await.without("x-csrf-token");
    assert_eq!(missing.send().await.status, 403);
    // In a form alone, and there once.
    let form = |kind: &str, body: String| {
        let request = browser.request(Method::POST, CANCEL).header("origin", browser.origin());
        request.header("content-type", kind).body(body)
    };
    const FORM: &str = "application/x-www-form-urlencoded";
    for (kind, body, status) in [
        (FORM, format!("csrf={mine}"), 404),
        ("application/x-www-form-urlencoded; charset=utf-8", format!("a=b&csrf={mine}"), 404),
        (FORM, format!("csrf={mine}&csrf={mine}"), 403),
        (FORM, format!("csrf={theirs}"), 403),
        (FORM, format!("{}&csrf={mine}", "a".repeat(4_096)), 403),
        ("text/plain", format!("csrf={mine}"), 403),
        ("multipart/form-data; boundary=x", format!("csrf={mine}"), 403),
    ] {
        assert_eq!(form(kind, body.clone()).send().await.status, status, "{kind}: {body:.80}");
    }
    // Signing out, too.
    let out = browser.post("/sign-out").await.without("x-csrf-token");
    assert_eq!(out.send().await.status, 403);
    assert_eq!(browser.session().await.0, 200);
}

#[tokio::test]
async fn what_another_page_asks_for_is_refused() {
    let mut desk = Desk::open().await;
    let browser = desk.signed_in("ann", &["platform"]).await;
    let own = browser.origin();
    let port = browser.http.address().port();
    let foreign = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        "http://127.0.0.1".to_owned(),
        format!("http://localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("{own}/"),
    ];
    for origin in &foreign {
        for path in [CANCEL, "/sign-out"] {
            let request = browser.post(path).await.header("origin", origin);
            assert_eq!(request.send().await.status, 403, "{path} from {origin}");
        }
        let read = browser.request(Method::GET, "/v1/session").header("origin", origin);
        assert_eq!(read.send().await.status, 403, "{origin}");
    }
    let twice = browser.post(CANCEL).await.also("origin", "https://evil.example");
    assert_eq!(twice.send().await.status, 403);
    // A browser that says where a request comes from is believed; one that says nothing is not.
    for (site, origin, status) in [
        (Some("same-origin"), None, 404),
        (None, Some(&own), 404),
        (None, None, 403),
        (Some("none"), None, 403),
        (Some("same-site"), Some(&own), 403),
        (Some("cross-site"), Some(&own), 403),
        (Some("x"), Some(&own), 403),
    ] {
        let mut request = browser.post(CANCEL).await.without("sec-fetch-site").without("origin");
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        assert_eq!(request.send().await.status, status, "{site:?} {origin:?}");
    }
    for (site, status) in [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)] {
        let read = browser.request(Method::GET, "/v1/session").header("sec-fetch-site", site);
        assert_eq!(read.send().await.status, status, "{site}");
    }
}

#[tokio::test]
async fn a_program_with_the_token_needs_no_mark_and_is_no_page() {
    let mut desk = Desk::open().await;
    let browser = desk.signed_in("ann", &["support"]).await;
    let bearer = format!("Bearer {}", token());
    let post = browser.http.request(Method::POST, CANCEL).header("authorization", &bearer);
    assert_eq!(post.clone().send().await.status, 404, "no such task");
    assert_eq!(post.header("origin", browser.origin()).send().await.status, 403);
    // Whoever proves himself by the token is that one, whatever cookie comes with it.
    let both = browser.request(Method::GET, "/v1/session").header("authorization", &bearer);
    let told = both.send().await.json().await;
    assert_eq!((&told["subject"], &told["role"]), (&"admin.token".into(), &"admin".into()));
    let wrong = browser.request(Method::GET, "/v1/session").header("authorization", "Bearer x");
    assert_eq!(wrong.send().await.status, 401);
    let out = browser.http.request(Method::POST, "/sign-out").header("authorization", &bearer);
    assert_eq!(out.send().await.status, 409);
    // A page whose user has not signed in.
    let nobody = browser.http.request(Method::POST, CANCEL).header("origin", browser.origin());
    assert_eq!(nobody.send().await.status, 403);
}
