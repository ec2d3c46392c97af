//! Tokens that the gateway has for itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use identity::*;
use jsonwebtoken::Algorithm;
use model::{ManualClock, SeededRng, Timestamp};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use crate::forge::{NOW, Network};

const SERVER: &str = "https://crm.example/mcp";
const RESOURCE: &str = "https://crm.example/.well-known/oauth-protected-resource/mcp";
const LOGIN: &str = "https://login.example";
const METADATA: &str = "https://login.example/.well-known/oauth-authorization-server";
const TOKENS: &str = "https://login.example/token";

struct Out {
    network: Arc<Network>,
    clock: Arc<ManualClock>,
    service: Arc<Service>,
}

fn out(change: impl FnOnce(&mut ServiceOptions)) -> Out {
    let network = Arc::new(Network::default());
    let clock = Arc::new(ManualClock::at(Timestamp(NOW * 1_000)));
    network.set(
        RESOURCE,
        200,
        json!({"resource": SERVER, "authorization_servers": [LOGIN], "scopes_supported": ["all"]}),
    );
    network.set(METADATA, 200, json!({"issuer": LOGIN, "token_endpoint": TOKENS}));
    network.set(TOKENS, 200, json!({"access_token": "t1", "token_type": "bearer", "expires_in": 300}));
    let mut options = ServiceOptions {
        server: SERVER.parse().unwrap(),
        issuer: Some(LOGIN.to_owned()),
        client_id: "the gateway".to_owned(),
        proof: ClientProof::Secret("not:a secret".to_owned()),
        scopes: Vec::new(),
    };
    change(&mut options);
    let (net, rng) = (Arc::clone(&network), Arc::new(SeededRng::new(1)));
    let service = Arc::new(Service::new(options, net, Arc::clone(&clock) as _, rng));
    Out { network, clock, service }
}

impl Out {
    /// What was sent to the token endpoint: headers and form.
    fn asked(&self) -> Vec<(HeaderMap, HashMap<String, String>)> {
        let requests = self.network.requests.lock().unwrap();
        let asked = requests.iter().filter(|request| request.method() == http::Method::POST);
        asked
            .map(|request| {
                let form = form_urlencoded::parse(request.body()).into_owned().collect();
                (request.headers().clone(), form)
            })
            .collect()
    }

    fn refuse(&self, status: u16, challenge: &str, used: Option<&Arc<Token>>, attempt: u32) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("www-authenticate", HeaderValue::from_str(challenge).unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        self.service.refused(status, &headers, used.map(|token| &token.header), attempt)
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_for_everybody_and_renewed_before_it_ends() {
    let out = out(|_| {});
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let service = Arc::clone(&out.service);
        all.spawn(async move { service.token().await.unwrap().unwrap() });
    }
    while let Some(token) = all.join_next().await {
        assert_eq!(token.unwrap().header, "Bearer t1");
    }
    let asked = out.asked();
    assert_eq!(asked.len(), 1);
    let (headers, form) = &asked[0];
    // Both parts are encoded before they are put together (RFC 6749, section 2.3.1).
    assert_eq!(headers["authorization"], "Basic dGhlK2dhdGV3YXk6bm90JTNBYStzZWNyZXQ=");
    assert!(headers["authorization"].is_sensitive());
    assert_eq!((&*form["grant_type"], &*form["resource"]), ("client_credentials", SERVER));
    assert_eq!(form["scope"], "all");
    assert!(!form.contains_key("client_secret"));
    out.clock.advance(Duration::from_secs(269));
    out.service.token().await.unwrap();
    assert_eq!(out.asked().len(), 1);
    out.clock.advance(Duration::from_secs(2));
    out.service.token().await.unwrap();
    assert_eq!(out.asked().len(), 2, "half a minute before it ends");
}

#[tokio::test]
async fn nothing_is_fetched_until_the_server_asks_and_then_what_it_asks_for_but_not_for_ever() {
    let out = out(|options| options.issuer = None);
    assert!(out.service.token().await.unwrap().is_none());
    assert_eq!(out.network.count(), 0);
    let elsewhere = "https://crm.example/elsewhere";
    out.network.set(elsewhere, 200, json!({"resource": SERVER, "authorization_servers": [LOGIN]}));
    let challenge = format!("Bearer scope=\"read\", resource_metadata=\"{elsewhere}\"");
    assert!(out.refuse(401, &challenge, None, 0));
    let token = out.service.token().await.unwrap().unwrap();
    assert_eq!(out.asked()[0].1["scope"], "read");
    assert_eq!(*out.network.foreign.lock().unwrap(), [METADATA, TOKENS], "named by the server alone");
    assert!(!out.refuse(401, &challenge, Some(&token), 1), "with a fresh token there is nothing left to try");
    let more = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    assert!(out.refuse(403, more, Some(&token), 0));
    let token = out.service.token().await.unwrap().unwrap();
    assert_eq!(out.asked()[1].1["scope"], "read write", "what was needed before stays");
    assert!(!out.refuse(403, more, Some(&token), 1), "all of it was asked for");
    assert!(!out.refuse(403, "Bearer error=\"other\", scope=\"x\"", Some(&token), 0));
    for number in 0..200 {
        let scopes: Vec<String> = (0..10).map(|at| format!("s{number}-{at}")).collect();
        out.refuse(
            403,
            &format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scopes.join(" ")),
            None,
            0,
        );
    }
    assert!(
        !out.refuse(403, "Bearer error=\"insufficient_scope\", scope=\"new\"", None, 0),
        "they have an end"
    );
}

#[tokio::test]
async fn hostile_metadata_gets_neither_a_secret_nor_a_second_question() {
    for (place, page, said) in [
        (
            RESOURCE,
            json!({"resource": "https://evil.example/mcp", "authorization_servers": [LOGIN]}),
            "another server",
        ),
        (RESOURCE, json!({"resource": SERVER}), "no authorization server"),
        (RESOURCE, json!(["x"]), "no JSON object"),
        (
            METADATA,
            json!({"issuer": "https://login.example/", "token_endpoint": TOKENS}),
            "issuer is another one",
        ),
        (METADATA, json!({"issuer": LOGIN, "token_endpoint": "file:///etc/passwd"}), "token_endpoint"),
        (METADATA, json!({"issuer": LOGIN}), "token_endpoint is missing"),
        (
            METADATA,
            json!({"issuer": LOGIN, "token_endpoint": TOKENS,
                "token_endpoint_auth_methods_supported": ["none"]}),
            "does not support",
        ),
    ] {
        let out = out(|options| options.issuer = None);
        out.network.set(place, 200, &page);
        assert!(out.refuse(401, "Bearer", None, 0));
        let error = out.service.token().await.unwrap_err();
        let (asked, text) = (out.network.count(), chain(&error));
        assert!(text.contains(said), "{text}");
        assert!(out.asked().is_empty(), "{page}: nothing was proved to anybody");
        assert!(out.service.token().await.is_err());
        assert_eq!(out.network.count(), asked, "{page}: nobody is asked again at once");
        out.clock.advance(Duration::from_secs(31));
        assert!(out.service.token().await.is_err());
        assert!(out.network.count() > asked);
    }
}

#[tokio::test]
async fn what_a_token_endpoint_says_is_a_token_or_an_error_in_its_words() {
    for (status, page, said, may_pass) in [
        (400, json!({"error": "invalid_client", "error_description": "SECRET?"}), "invalid_client", false),
        (503, json!({"error": "temporarily_unavailable"}), "temporarily_unavailable", true),
        (500, json!("x"), "500", false),
        (200, json!({}), "no access_token", false),
        (200, json!({"access_token": "t"}), "not Bearer", false),
        (200, json!({"access_token": "t", "token_type": "mac"}), "not Bearer", false),
        (200, json!({"access_token": "a\nb", "token_type": "Bearer"}), "cannot be sent", false),
    ] {
        let out = out(|_| {});
        out.network.set(TOKENS, status, &page);
        let error = out.service.token().await.unwrap_err();
        let text = chain(&error);
        assert!(text.contains(said) && !text.contains("SECRET"), "{text}");
        assert_eq!(error.may_pass(), may_pass, "{text}");
    }
}

#[tokio::test]
async fn an_assertion_is_signed_and_is_for_the_issuer_alone() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = pair.serialize_pem();
    let signer = Signer::from_pem(pem.as_bytes(), Algorithm::ES256, Some("k7".to_owned())).unwrap();
    assert!(!format!("{signer:?}").contains("PRIVATE"));
    for wrong in [Algorithm::EdDSA, Algorithm::RS256, Algorithm::ES384] {
        assert!(Signer::from_pem(pem.as_bytes(), wrong, None).is_err(), "{wrong:?}");
    }
    let out = out(|options| options.proof = ClientProof::Key(Arc::new(signer)));
    let methods = json!(["private_key_jwt"]);
    let document =
        json!({"issuer": LOGIN, "token_endpoint": TOKENS, "token_endpoint_auth_methods_supported": methods});
    out.network.set(METADATA, 200, document);
    out.service.token().await.unwrap();
    let (headers, form) = &out.asked()[0];
    assert!(!headers.contains_key("authorization") && !form.contains_key("client_id"));
    let jws = Jws::parse(&form["client_assertion"]).unwrap();
    assert_eq!(jws.kid.as_deref(), Some("k7"));
    let claims = Value::Object(jws.claims().unwrap());
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("the gateway"), &json!("the gateway")));
    assert_eq!(claims["aud"], LOGIN);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    let (x, y) = pair.public_key_raw()[1..].split_at(32);
    let text =
        |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)});
    assert!(jws.is_signed_by(&Key::of_jwk(&jwk).unwrap()));
}

#[tokio::test]
async fn a_workload_proves_itself_by_what_its_platform_says_at_that_moment() {
    let said = Arc::new(std::sync::Mutex::new(Ok("first".to_owned())));
    let read = Arc::clone(&said);
    let out = out(|options| {
        options.proof = ClientProof::Workload(Arc::new(move || read.lock().unwrap().clone()));
        options.scopes = vec!["own".to_owned()];
    });
    out.service.token().await.unwrap();
    *said.lock().unwrap() = Ok("second".to_owned());
    out.clock.advance(Duration::from_secs(300));
    out.service.token().await.unwrap();
    let sent: Vec<String> = out.asked().iter().map(|(_, form)| form["assertion"].clone()).collect();
    assert_eq!(sent, ["first", "second"]);
    let (_, form) = &out.asked()[0];
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!(form["scope"], "own", "what the operator says comes first");
    *said.lock().unwrap() = Err("there is no file".to_owned());
    out.clock.advance(Duration::from_secs(300));
    assert!(chain(&out.service.token().await.unwrap_err()).contains("there is no file"));
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
