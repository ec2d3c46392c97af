//! Servers and authorization servers that mean harm: what they say is not believed, and nobody is sent to
//! them.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use identity::*;
use serde_json::{Value, json};

use crate::users::*;

/// Where nobody's browser is sent, whoever says so.
const NO_PAGES: [&str; 44] = [
    "",
    " ",
    "/authorize",
    "//login.example/authorize",
    "login.example/authorize",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "javascript://login.example/%0aalert(1)",
    " javascript:alert(1)",
    "java\tscript:alert(1)",
    "java\nscript://login.example/x",
    "data:text/html,<script>alert(1)</script>",
    "data://login.example/text/html,x",
    "file:///etc/passwd",
    "file://login.example/share",
    "vbscript:x",
    "blob:https://login.example/x",
    "about:blank",
    "view-source:https://login.example/",
    "ms-msdt:/id",
    "smb://login.example/x",
    "ftp://login.example/x",
    "ws://login.example/x",
    "mcp://login.example/x",
    "ssh://-oProxyCommand=calc/x",
    "http://login.example/authorize",
    "http://10.0.0.1/authorize",
    "http://127.0.0.1/authorize",
    "http://localhost:8080/authorize",
    "http://[::1]/authorize",
    "https://",
    "https:///authorize",
    "https:login.example",
    "https://login.example@evil.example/authorize",
    "https://ann:secret@login.example/authorize",
    "https://login.example/auth orize",
    "https://login.example/\r\nset-cookie: a=b",
    "https://login.example/a\u{0}b",
    "https://login.example/`id`\n",
    "https://login.example\\@evil.example/",
    "https://login.example:99999999/",
    "https://[::1/authorize",
    "https://log\u{202e}in.example/",
    "$(calc)",
];

#[tokio::test]
async fn nobody_is_sent_to_a_place_that_is_no_https_page() {
    let out = out(|_| {});
    for place in NO_PAGES {
        let mut hostile = metadata();
        hostile["authorization_endpoint"] = json!(place);
        out.network.set(METADATA, 200, hostile);
        assert!(out.away(&ann()).await.is_err(), "{place:?}");
    }
    for odd in
        [json!(7), json!(["https://login.example/authorize"]), json!({"url": "https://a"}), json!(true)]
    {
        let mut hostile = metadata();
        hostile["authorization_endpoint"] = odd.clone();
        out.network.set(METADATA, 200, hostile);
        assert!(out.away(&ann()).await.is_err(), "{odd}");
    }
    assert!(out.forms().is_empty());
    // What a shell or a page would read as something else is encoded in what the gateway adds itself.
    out.network.set(METADATA, 200, metadata());
    let shell = "Bearer scope=\"a`id`$(id);&|'<b>\"";
    assert_eq!(out.refuse(401, shell, None, 0), Refused::Consent);
    let (url, _) = out.away(&ann()).await.unwrap();
    let text = url.to_string();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    assert!(!text.contains(['`', '$', '(', ';', '|', '\'', '<', '>', '"']), "{text}");
}

#[tokio::test]
async fn a_page_may_have_parameters_of_its_own_and_none_of_them_stands_for_one_of_ours() {
    let out = out(|_| {});
    let mut own = metadata();
    own["authorization_endpoint"] = json!("https://login.example/authorize?tenant=a");
    out.network.set(METADATA, 200, own);
    let (url, _) = out.away(&ann()).await.unwrap();
    let asked = query(&url);
    assert_eq!((&*asked["tenant"], &*asked["redirect_uri"]), ("a", BACK));
}

#[tokio::test]
async fn who_sends_users_to_another_host_than_he_redeems_codes_at_has_to_name_himself() {
    let mixed = |named: bool| {
        let mut mixed = metadata();
        mixed["token_endpoint"] = json!("https://evil.example/token");
        mixed["authorization_response_iss_parameter_supported"] = json!(named);
        mixed
    };
    let found = out(|_| {});
    found.network.set(METADATA, 200, mixed(false));
    let refused = found.away(&ann()).await.err().unwrap();
    assert!(refused.to_string().contains("auth.issuer"), "{refused}");
    found.network.set(METADATA, 200, mixed(true));
    let (_, flow) = found.away(&ann()).await.unwrap();
    // The honest server that the user was sent to says nothing, or its own name.
    for answer in ["code=honest", "code=honest&iss=https%3A%2F%2Fhonest.example"] {
        let finished = found.users.finish(&ann(), &flow, &Returned::of_query(answer)).await;
        assert!(matches!(finished, Err(ServiceError::Wrong { .. })), "{answer}");
    }
    let asked = found.network.requests.lock().unwrap().iter().any(|r| r.uri().path() == "/token");
    assert!(!asked, "no code was sent anywhere");
    // Whom the operator wrote is not suspected.
    let written = out(|options| options.issuer = Some(LOGIN.to_owned()));
    written.network.set(METADATA, 200, mixed(false));
    written.away(&ann()).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_belongs_to_another_way_is_of_no_use() {
    let out = out(|_| {});
    let (_, flow) = out.away(&ann()).await.unwrap();
    // The same user is sent to another server meanwhile, which answers with its own code.
    let other = "https://other.example";
    let mut second = flow.clone();
    second.issuer = other.to_owned();
    let own = Returned::of_query("code=c&iss=https%3A%2F%2Flogin.example");
    let mut elsewhere = metadata();
    for member in ["issuer", "authorization_endpoint", "token_endpoint"] {
        elsewhere[member] = json!(elsewhere[member].as_str().unwrap().replace(LOGIN, other));
    }
    out.network.set("https://other.example/.well-known/oauth-authorization-server", 200, elsewhere);
    let mixed = out.users.finish(&ann(), &second, &own).await.unwrap_err();
    assert!(matches!(mixed, ServiceError::Wrong { .. }), "{mixed}");
    // An error of the other one is no more believed than a code of his, and not repeated to anybody.
    let error = Returned::of_query("error=%3Cscript%3E&iss=https%3A%2F%2Fother.example");
    let mixed = out.users.finish(&ann(), &flow, &error).await.unwrap_err();
    assert!(!mixed.to_string().contains("script"), "{mixed}");
    let error = Returned::of_query("error=%3Cscript%3Ea%20b%0a&iss=https%3A%2F%2Flogin.example");
    let told = out.users.finish(&ann(), &flow, &error).await.unwrap_err().to_string();
    assert!(!told.contains(['\n', ' ']) || !told.contains("a b"), "{told}");
    assert!(out.forms().is_empty());
}

#[tokio::test]
async fn documents_of_wrong_types_or_without_an_end_are_refused_and_nothing_breaks() {
    let deep = |count: usize| format!("{{\"issuer\":{}1{}}}", "[".repeat(count), "]".repeat(count));
    let mut pages = vec![deep(200), deep(100_000), "[".repeat(200_000), "{\"a\":".repeat(50_000)];
    let odd = [
        "",
        "null",
        "[]",
        "7",
        "\"x\"",
        "<html>",
        "{",
        "{}",
        "{\"issuer\":7}",
        "\u{feff}{}",
        "{\"a\":1e999}",
    ];
    pages.extend(odd.map(str::to_owned));
    for page in pages {
        let shown: String = page.chars().take(30).collect();
        for place in [RESOURCE, METADATA, REGISTER, TOKENS] {
            let out = out(|_| {});
            out.network.set(place, 200, &page);
            let gone = match out.away(&ann()).await {
                Err(_) => continue,
                Ok((_, flow)) => out.users.finish(&ann(), &flow, &Returned::of_query("code=c")).await,
            };
            assert!(gone.is_err(), "{place}: {shown}");
            assert!(out.proof(&ann()).await.is_ok_and(|proof| proof.is_none()), "{place}: {shown}");
        }
    }
    for (member, value) in [
        ("token_endpoint", json!(["https://login.example/token"])),
        ("token_endpoint", json!("javascript:alert(1)")),
        ("token_endpoint", json!("file:///etc/passwd")),
        ("registration_endpoint", json!({"url": REGISTER})),
        ("registration_endpoint", json!("gopher://login.example/")),
        ("code_challenge_methods_supported", json!("S256")),
        ("code_challenge_methods_supported", json!({"S256": true})),
        ("issuer", json!([LOGIN])),
        ("issuer", json!("https://login.example.evil.example")),
    ] {
        let out = out(|_| {});
        let mut hostile = metadata();
        hostile[member] = value.clone();
        out.network.set(METADATA, 200, hostile);
        assert!(out.away(&ann()).await.is_err(), "{member}: {value}");
        assert!(out.forms().is_empty());
    }
}

#[tokio::test]
async fn authorization_servers_that_are_no_names_of_https_are_not_asked() {
    for name in [
        json!("http://login.example"),
        json!("https://login.example?x=1"),
        json!("https://login.example#x"),
        json!("https://u@login.example"),
        json!("file:///etc/passwd"),
        json!("javascript:alert(1)"),
        json!("login.example"),
        json!(""),
        json!(7),
        json!({"issuer": LOGIN}),
    ] {
        let out = out(|_| {});
        let asked = name.as_str().is_some_and(|name| name.starts_with("http://"));
        out.network.set(RESOURCE, 200, json!({"resource": SERVER, "authorization_servers": [name]}));
        assert!(out.away(&ann()).await.is_err(), "{name}");
        // That one is refused by whoever would fetch it: see `reach`.
        assert!(asked || out.network.count() == 1, "{name}");
    }
}

#[tokio::test]
async fn a_server_that_always_wants_more_gets_no_further_than_the_user_lets_it() {
    let out = out(|_| {});
    out.grant(&ann()).await;
    let mut before = out.network.count();
    for round in 0..200 {
        let used = out.header(&ann()).await;
        let more = format!("Bearer error=\"insufficient_scope\", scope=\"s{round} t{round}\"");
        // Each time it is up to the user: nothing is asked of anybody without him.
        let next = out.refuse(403, &more, Some(&used), 0);
        assert_ne!(next, Refused::Again);
        assert_eq!(out.network.count(), before, "round {round}");
        if next == Refused::Final {
            break;
        }
        out.network.set(TOKENS, 200, token(&format!("t{round}")));
        let (url, flow) = out.away(&ann()).await.unwrap();
        assert!(query(&url)["scope"].split(' ').count() <= 64, "what is asked for has an end");
        out.users.finish(&ann(), &flow, &Returned::of_query("code=c")).await.unwrap();
        out.clock.advance(Duration::from_secs(21));
        let _ = out.header(&ann()).await;
        before = out.network.count();
    }
    // One that refuses every token is not asked for ever either.
    let used = out.header(&ann()).await;
    assert_eq!(out.refuse(401, "Bearer", Some(&used), 0), Refused::Again);
    let used = out.header(&ann()).await;
    assert_eq!(out.refuse(401, "Bearer", Some(&used), 1), Refused::Consent);
}

#[tokio::test]
async fn a_server_that_always_wants_another_nonce_is_given_up() {
    let out = out(|_| {});
    let mut binds = metadata();
    binds["dpop_signing_alg_values_supported"] = json!(["ES256"]);
    out.network.set(METADATA, 200, binds);
    out.network.set(TOKENS, 200, json!({"access_token": "t1", "token_type": "DPoP", "expires_in": 300}));
    assert_eq!(out.refuse(401, "DPoP algs=\"ES256\"", None, 0), Refused::Consent);
    out.grant(&ann()).await;
    let mut headers = challenge("DPoP error=\"use_dpop_nonce\"");
    headers.insert(HeaderName::from_static("dpop-nonce"), HeaderValue::from_static("n"));
    assert_eq!(out.header(&ann()).await, "DPoP t1");
    let used = HeaderValue::from_static("DPoP t1");
    let again = |attempt| out.users.refused(&ann(), StatusCode::UNAUTHORIZED, &headers, Some(&used), attempt);
    assert_eq!(again(0), Refused::Again);
    assert_ne!(again(1), Refused::Again);
    // A nonce that no header can have, or that is too long, is not kept.
    let mut long = challenge("DPoP error=\"use_dpop_nonce\"");
    long.insert(HeaderName::from_static("dpop-nonce"), HeaderValue::from_str(&"n".repeat(10_000)).unwrap());
    out.users.answered(&ann(), &long);
    out.grant(&ann()).await;
    out.clock.advance(Duration::from_secs(21));
    let proof = out.users.proof(&ann(), (&Method::POST, &SERVER.parse::<Uri>().unwrap())).await;
    let proof = proof.unwrap().unwrap().possession.unwrap();
    assert!(proof.len() < 2_000, "{}", proof.len());
}

#[tokio::test]
async fn a_challenge_of_any_size_and_shape_is_read_to_its_end() {
    let out = out(|_| {});
    let scopes = (0..5_000).map(|n| format!("s{n}")).collect::<Vec<_>>().join(" ");
    for text in [
        format!("Bearer scope=\"{scopes}\""),
        "Bearer ".repeat(900),
        ",".repeat(8_000),
        "Bearer scope=\"".to_owned() + &"\\\"".repeat(3_000),
        "Bearer resource_metadata=\"javascript:alert(1)\"".to_owned(),
        "Bearer resource_metadata=\"file:///etc/passwd\"".to_owned(),
        "Bearer resource_metadata=\"http://169.254.169.254/latest/meta-data/\"".to_owned(),
    ] {
        assert_eq!(out.refuse(401, &text, None, 0), Refused::Consent);
        assert!(out.users.wanted(&ann()).scopes.len() <= 64);
        if text.contains("resource_metadata") {
            assert!(out.away(&ann()).await.is_err(), "{text}");
        }
    }
    let foreign: Vec<Value> = out.network.foreign.lock().unwrap().iter().map(|url| json!(url)).collect();
    // Whatever was asked for it was asked as a stranger: see `reach`.
    assert!(foreign.contains(&json!("http://169.254.169.254/latest/meta-data/")), "{foreign:?}");
}

#[tokio::test]
async fn a_vault_that_answers_nobody_gives_nobody_a_token_and_takes_no_grant() {
    let broken = out(|_| {});
    broken.grant(&ann()).await;
    broken.chest.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(matches!(broken.proof(&ann()).await, Err(NoToken::Service(ServiceError::Vault(_)))));
    assert!(broken.users.is_granted(&ann()).await.is_err());
    assert!(broken.away(&ann()).await.is_err());
    broken.chest.broken.store(false, std::sync::atomic::Ordering::SeqCst);
    let (_, flow) = broken.away(&ann()).await.unwrap();
    broken.chest.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(broken.users.finish(&ann(), &flow, &Returned::of_query("code=c")).await.is_err());
}
