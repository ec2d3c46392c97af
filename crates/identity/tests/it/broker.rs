//! The gateway's own authorization server, as clients meet it: good ones, and those that try.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use http::HeaderMap;
use identity::*;
use model::{Clock as _, ManualClock, Principal, Timestamp};
use seal::{KeyRing, SystemRng};
use serde_json::{Map, Value, json};

use crate::forge::{CORP, CRM, Forge, NOW, Network, URL, headers};
use crate::vault::Chest;

const VERIFIER: &str = "a verifier that is long enough for RFC 7636, and known to its client alone";
const BACK: &str = "https://editor.example/cb";
const DOCUMENT: &str = "https://editor.example/client.json";

/// Those who were barred.
#[derive(Default)]
struct List(Mutex<Vec<Bar>>);

#[async_trait]
impl Bars for List {
    fn bars(&self, principal: &Principal, grant: Option<&str>, issued: Timestamp) -> bool {
        self.0.lock().unwrap().iter().any(|bar| {
            let whose = bar.tenant == principal.tenant() && bar.subject == principal.subject();
            let what = match &bar.grant {
                Some(barred) => grant == Some(barred),
                None => issued < bar.before,
            };
            whose && what
        })
    }

    async fn bar(&self, bar: Bar) -> Result<(), VaultError> {
        self.0.lock().unwrap().push(bar);
        Ok(())
    }
}

struct Desk {
    broker: Arc<Broker>,
    gate: Gate,
    clock: Arc<ManualClock>,
    network: Arc<Network>,
    chest: Arc<Chest>,
    bars: Arc<List>,
    forge: Forge,
}

fn known(id: &str, method: ClientMethod, secret: Option<&str>) -> Arc<KnownClient> {
    Arc::new(KnownClient {
        id: id.to_owned(),
        name: id.to_owned(),
        redirects: vec![BACK.to_owned(), "http://127.0.0.1/cb".to_owned()],
        method,
        secret: secret.map(|secret| seal::sha256(secret.as_bytes())),
        keys: None,
        refreshes: true,
        source: ClientSource::Operator,
    })
}

fn desk() -> Desk {
    desk_with(|_| {})
}

fn corp() -> IssuerOptions {
    IssuerOptions {
        name: "corp".to_owned(),
        issuer: CORP.to_owned(),
        jwks_url: None,
        algorithms: vec![Algorithm::ES256],
        audiences: Vec::new(),
        typed: false,
        mapping: Mapping { groups: Some(Claim("groups".to_owned())), ..Mapping::default() },
        introspection: None,
        stale_max: Duration::from_secs(3_600),
    }
}

fn desk_with(change: impl FnOnce(&mut BrokerOptions)) -> Desk {
    let clock = Arc::new(ManualClock::at(Timestamp(NOW * 1_000)));
    let (network, chest) = (Arc::new(Network::default()), Arc::new(Chest::default()));
    let bars = Arc::new(List::default());
    let forge = Forge::new(Algorithm::ES256, "k1");
    let well_known = "https://login.corp.example/.well-known/oauth-authorization-server";
    network.set(well_known, 200, json!({"issuer": CORP, "jwks_uri": "https://login.corp.example/jwks"}));
    network.set("https://login.corp.example/jwks", 200, json!({"keys": [forge.jwk()]}));
    let issuer = corp();
    let issuer = Issuer::new(issuer, Arc::clone(&network) as _, Arc::clone(&clock) as _);
    let resource = Resource { scopes: vec!["mcp".to_owned()], bound: false };
    let bound = Resource { scopes: Vec::new(), bound: true };
    let mut options = BrokerOptions {
        clients: vec![
            known("editor", ClientMethod::Public, None),
            known("other", ClientMethod::Public, None),
            known("desk", ClientMethod::Basic, Some("s p:a%ce")),
        ],
        registration: true,
        documents: true,
        hosts: Vec::new(),
        token_time: Duration::from_secs(300),
        refresh_time: Duration::from_secs(86_400),
        vouching: vec![issuer],
        resources: HashMap::from([
            ("/crm/mcp".to_owned(), resource.clone()),
            ("/mcp".to_owned(), resource),
            ("/bank/mcp".to_owned(), bound),
        ]),
        scopes: HashMap::from([("pay".to_owned(), vec!["finance".to_owned()])]),
        groups: None,
    };
    change(&mut options);
    let ring = Arc::new(KeyRing::generate(&SystemRng));
    let dpop = Arc::new(Dpop::new(DpopOptions::default(), Arc::clone(&ring)));
    let parts = BrokerParts {
        vault: Arc::clone(&chest) as _,
        bars: Arc::clone(&bars) as _,
        fetch: Arc::clone(&network) as _,
        clock: Arc::clone(&clock) as _,
        rng: Arc::new(SystemRng),
        keys: ring,
        dpop: Arc::clone(&dpop),
    };
    let broker = Arc::new(Broker::new(options, parts));
    let rules = |paths: &str| EndpointRules {
        paths: vec![paths.to_owned()],
        allow: vec![Allowed::Own],
        scopes: vec!["mcp".to_owned()],
        possession: Possession::Taken,
    };
    let gate = GateOptions {
        skew: Duration::from_secs(60),
        issuers: Vec::new(),
        tokens: Some(broker.tokens()),
        keys: ApiKeys::default(),
        certificates: None,
        endpoints: HashMap::from([
            ("crm".to_owned(), rules("/crm/mcp")),
            ("hr".to_owned(), rules("/hr/mcp")),
            ("none".to_owned(), EndpointRules { allow: vec![Allowed::Keys], ..rules("/none/mcp") }),
        ]),
    };
    let gate = Gate::new(gate, dpop, Arc::clone(&clock) as _);
    Desk { broker, gate, clock, network, chest, bars, forge }
}

fn ann() -> User {
    User {
        principal: Principal::new("acme", "corp:ann"),
        issuer: "corp".to_owned(),
        groups: vec!["sales".to_owned()],
        since: Timestamp(NOW * 1_000),
    }
}

type Pairs<'a> = Vec<(&'a str, String)>;

fn encoded(pairs: &[(&str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn asked(client: &str) -> Pairs<'static> {
    let challenge = BASE64.encode(seal::sha256(VERIFIER.as_bytes()));
    vec![
        ("client_id", client.to_owned()),
        ("redirect_uri", BACK.to_owned()),
        ("response_type", "code".to_owned()),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".to_owned()),
        ("state", "s1".to_owned()),
        ("resource", CRM.to_owned()),
        ("scope", "mcp pay unknown offline_access".to_owned()),
    ]
}

/// The same with one parameter changed, or left out.
fn with<'a>(mut pairs: Pairs<'a>, name: &'a str, value: Option<&str>) -> Pairs<'a> {
    pairs.retain(|(known, _)| *known != name);
    pairs.extend(value.map(|value| (name, value.to_owned())));
    pairs
}

fn redeemed(client: &str, code: &str) -> Pairs<'static> {
    vec![
        ("grant_type", "authorization_code".to_owned()),
        ("client_id", client.to_owned()),
        ("code", code.to_owned()),
        ("redirect_uri", BACK.to_owned()),
        ("code_verifier", VERIFIER.to_owned()),
        ("resource", CRM.to_owned()),
    ]
}

fn refreshed(client: &str, token: &str) -> Pairs<'static> {
    vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", client.to_owned()),
        ("refresh_token", token.to_owned()),
    ]
}

fn answer(url: &str) -> HashMap<String, String> {
    let query = url.split_once('?').expect("a query").1;
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl Desk {
    async fn request(&self, pairs: &[(&str, String)]) -> Result<AuthRequest, Unasked> {
        self.broker.request(URL, &encoded(pairs)).await
    }

    async fn code_of(&self, user: &User, pairs: &[(&str, String)]) -> String {
        let request = self.request(pairs).await.expect("a good request");
        let url = self.broker.approve(URL, user, &request).await.expect("a vault");
        assert!(url.starts_with("https://editor.example/cb?"), "{url}");
        let all = answer(&url);
        assert_eq!((all["state"].as_str(), all["iss"].as_str()), ("s1", URL));
        all["code"].clone()
    }

    async fn code(&self) -> String {
        self.code_of(&ann(), &asked("editor")).await
    }

    async fn tokens(&self, pairs: &[(&str, String)]) -> Result<Value, OAuthError> {
        self.tokens_with(pairs, &HeaderMap::new()).await
    }

    async fn tokens_with(&self, pairs: &[(&str, String)], headers: &HeaderMap) -> Result<Value, OAuthError> {
        let form = encoded(pairs);
        self.broker.token(&TokenRequest { base: URL, headers, form: &form }).await
    }

    async fn error(&self, pairs: &[(&str, String)]) -> &'static str {
        self.tokens(pairs).await.expect_err("no tokens for this").error
    }

    async fn comes_in(&self, endpoint: &str, token: &str) -> Result<Arc<Caller>, Denied> {
        let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
        let path = format!("/{endpoint}/mcp");
        let presented = Presented {
            base: URL,
            method: "POST",
            path: &path,
            query: None,
            headers: &headers,
            certificate: None,
        };
        self.gate.admit(endpoint, &presented).await
    }
}

#[tokio::test]
async fn a_code_becomes_a_token_that_is_good_at_its_endpoint_alone() {
    let desk = desk();
    let issued = desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens");
    assert_eq!((issued["token_type"].as_str(), issued["expires_in"].as_u64()), (Some("Bearer"), Some(300)));
    // What only finance may do is not granted to sales.
    assert_eq!(issued["scope"], "mcp");
    let token = issued["access_token"].as_str().expect("a token");
    let caller = desk.comes_in("crm", token).await.expect("it is for this one");
    assert_eq!((caller.principal.tenant(), caller.principal.subject()), ("acme", "corp:ann"));
    assert_eq!((caller.client.as_deref(), caller.issuer.as_deref()), (Some("editor"), Some("corp")));
    assert_eq!(
        (caller.groups.as_slice(), caller.scopes.as_slice()),
        (&["sales".into()][..], &["mcp".into()][..])
    );
    assert!(caller.grant.is_some() && caller.issued == Some(Timestamp(NOW * 1_000)));
    assert!(caller.signed_in.is_some_and(|at| Some(at) <= caller.issued), "{:?}", caller.signed_in);
    assert!(desk.gate.still("crm", &caller) && !desk.gate.still("none", &caller));
    for other in ["hr", "none", "elsewhere"] {
        assert_eq!(
            desk.comes_in(other, token).await.expect_err("not for this").status().as_u16(),
            401,
            "{other}"
        );
    }
    desk.clock.advance(Duration::from_secs(361));
    assert!(desk.comes_in("crm", token).await.is_err(), "its time is over");
    assert_eq!(desk.network.count(), 0, "nobody was asked");
}

#[tokio::test]
async fn finance_is_granted_what_only_finance_may_do() {
    let desk = desk();
    let user = User { groups: vec!["finance".to_owned()], ..ann() };
    let code = desk.code_of(&user, &asked("editor")).await;
    assert_eq!(desk.tokens(&redeemed("editor", &code)).await.expect("tokens")["scope"], "mcp pay");
}

#[tokio::test]
async fn a_token_that_was_changed_or_signed_by_another_is_no_token() {
    let (desk, foreign) = (desk(), desk());
    let token = |issued: Value| issued["access_token"].as_str().expect("a token").to_owned();
    let own = token(desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens"));
    let other = token(foreign.tokens(&redeemed("editor", &foreign.code().await)).await.expect("tokens"));
    assert!(desk.comes_in("crm", &other).await.is_err(), "another gateway's");
    let parts: Vec<&str> = own.split('.').collect();
    let claims: Value = serde_json::from_slice(&BASE64.decode(parts[1]).expect("base64")).expect("JSON");
    let mut more = claims.clone();
    more["sub"] = json!("corp:boss");
    let forged = format!("{}.{}.{}", parts[0], BASE64.encode(more.to_string()), parts[2]);
    assert!(desk.comes_in("crm", &forged).await.is_err(), "another subject");
    for header in [
        json!({"alg": "none", "typ": "at+jwt"}),
        json!({"alg": "HS256", "typ": "at+jwt"}),
        json!({"alg": "EdDSA", "typ": "JWT"}),
    ] {
        let forged = format!("{}.{}.{}", BASE64.encode(header.to_string()), parts[1], parts[2]);
        assert!(desk.comes_in("crm", &forged).await.is_err(), "{header}");
    }
    // A key of somebody else's, under a name of the ring's.
    let forge = Forge::new(Algorithm::EdDSA, "k");
    let kid =
        serde_json::from_slice::<Value>(&BASE64.decode(parts[0]).expect("base64")).expect("JSON")["kid"]
            .clone();
    let signed =
        forge.sign(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "jwk": forge.bare()}), &claims);
    assert!(desk.comes_in("crm", &signed).await.is_err(), "another key");
    assert!(desk.comes_in("crm", &own).await.is_ok());
}

#[tokio::test]
async fn a_code_is_good_once_and_its_second_use_ends_what_the_first_has_begun() {
    let desk = desk();
    let code = desk.code().await;
    let first = desk.tokens(&redeemed("editor", &code)).await.expect("tokens");
    assert_eq!(desk.error(&redeemed("editor", &code)).await, "invalid_grant");
    let refresh = first["refresh_token"].as_str().expect("a refresh token");
    assert_eq!(desk.error(&refreshed("editor", refresh)).await, "invalid_grant");
    let bars = desk.bars.0.lock().unwrap();
    assert_eq!(bars.len(), 1);
    assert_eq!((bars[0].tenant.as_str(), bars[0].subject.as_str()), ("acme", "corp:ann"));
    assert!(bars[0].grant.is_some() && bars[0].until > desk.clock.now().plus(Duration::from_secs(300)));
}

#[tokio::test]
async fn a_code_is_of_no_use_to_anybody_else_and_not_for_long() {
    let desk = desk();
    for (name, value, error) in [
        ("client_id", Some("other"), "invalid_grant"),
        ("client_id", Some("nobody"), "invalid_client"),
        ("client_id", None, "invalid_request"),
        ("code", Some("made up"), "invalid_grant"),
        ("code", None, "invalid_request"),
        ("code_verifier", Some("another verifier that is also long enough for RFC 7636"), "invalid_grant"),
        ("code_verifier", Some("short"), "invalid_grant"),
        ("code_verifier", None, "invalid_grant"),
        ("redirect_uri", Some("https://editor.example/cb2"), "invalid_grant"),
        ("resource", Some("https://gw.example/hr/mcp"), "invalid_target"),
        ("grant_type", Some("password"), "unsupported_grant_type"),
        ("grant_type", None, "invalid_request"),
        ("client_secret", Some("x"), "invalid_client"),
    ] {
        let code = desk.code().await;
        let pairs = with(redeemed("editor", &code), name, value);
        assert_eq!(desk.error(&pairs).await, error, "{name} {value:?}");
        // Whatever was wrong has not used it up.
        assert!(desk.tokens(&redeemed("editor", &code)).await.is_ok(), "{name} {value:?}");
    }
    let mut twice = redeemed("editor", &desk.code().await);
    twice.push(("client_id", "editor".to_owned()));
    assert_eq!(desk.error(&twice).await, "invalid_request");
    let code = desk.code().await;
    desk.clock.advance(Duration::from_secs(61));
    assert_eq!(desk.error(&redeemed("editor", &code)).await, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_changes_with_each_use_and_a_used_one_ends_all() {
    let desk = desk();
    let first = desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens");
    let old = first["refresh_token"].as_str().expect("one").to_owned();
    assert_eq!(desk.error(&refreshed("other", &old)).await, "invalid_grant", "another client's");
    let more = with(refreshed("editor", &old), "scope", Some("mcp admin"));
    assert_eq!(desk.error(&more).await, "invalid_scope");
    let elsewhere = with(refreshed("editor", &old), "resource", Some("https://gw.example/hr/mcp"));
    assert_eq!(desk.error(&elsewhere).await, "invalid_target");
    let second = desk.tokens(&refreshed("editor", &old)).await.expect("tokens");
    let new = second["refresh_token"].as_str().expect("one").to_owned();
    assert_ne!(old, new);
    assert!(desk.comes_in("crm", second["access_token"].as_str().expect("one")).await.is_ok());
    // Programs that do several things at a time come twice at the same moment, and lose nothing.
    let together = desk.tokens(&refreshed("editor", &old)).await.expect("tokens");
    assert!(desk.comes_in("crm", together["access_token"].as_str().expect("one")).await.is_ok());
    desk.clock.advance(Duration::from_secs(11));
    assert_eq!(desk.error(&refreshed("editor", &old)).await, "invalid_grant", "it was used");
    assert_eq!(desk.error(&refreshed("editor", &new)).await, "invalid_grant", "its heir is gone with it");
    assert_eq!(desk.bars.0.lock().unwrap().len(), 1);
    for made_up in ["", "x", &format!("{new}x")] {
        let error = desk.error(&refreshed("editor", made_up)).await;
        assert!(matches!(error, "invalid_grant" | "invalid_request"), "{made_up}");
    }
}

#[tokio::test]
async fn what_a_used_token_gave_cannot_be_passed_over() {
    let desk = desk();
    let first = desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens");
    let refresh = |issued: &Value| issued["refresh_token"].as_str().expect("one").to_owned();
    let second = desk.tokens(&refreshed("editor", &refresh(&first))).await.expect("tokens");
    desk.tokens(&refreshed("editor", &refresh(&second))).await.expect("tokens");
    // Whoever comes with the first one now is somebody else than who has used the second.
    assert_eq!(desk.error(&refreshed("editor", &refresh(&first))).await, "invalid_grant");
    assert_eq!(desk.error(&refreshed("editor", &refresh(&second))).await, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_ends_with_its_grant_and_is_given_back() {
    let desk = desk();
    let first = desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens");
    let refresh = first["refresh_token"].as_str().expect("one").to_owned();
    let revoke =
        |client: &str, token: &str| encoded(&[("client_id", client.to_owned()), ("token", token.to_owned())]);
    let none = HeaderMap::new();
    for (client, ends) in [("other", false), ("editor", true)] {
        let form = revoke(client, &refresh);
        desk.broker.revoke(&TokenRequest { base: URL, headers: &none, form: &form }).await.expect("done");
        assert_eq!(!desk.bars.0.lock().unwrap().is_empty(), ends, "{client}");
    }
    assert_eq!(desk.error(&refreshed("editor", &refresh)).await, "invalid_grant");
    // By its access token as well; what is unknown is as good as given back.
    let second = desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens");
    for token in [second["access_token"].as_str().expect("one"), "unknown"] {
        let form = revoke("editor", token);
        desk.broker.revoke(&TokenRequest { base: URL, headers: &none, form: &form }).await.expect("done");
    }
    let refresh = second["refresh_token"].as_str().expect("one");
    assert_eq!(desk.error(&refreshed("editor", refresh)).await, "invalid_grant");
    let third = desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens");
    desk.clock.advance(Duration::from_secs(86_401));
    let refresh = third["refresh_token"].as_str().expect("one");
    assert_eq!(desk.error(&refreshed("editor", refresh)).await, "invalid_grant", "its time is over");
}

#[tokio::test]
async fn a_request_that_is_wrong_is_told_to_the_client_only_where_that_is_sure_who_it_is() {
    let desk = desk();
    for (name, value) in [
        ("client_id", None),
        ("client_id", Some("nobody")),
        ("redirect_uri", Some("https://editor.example/cb/")),
        ("redirect_uri", Some("https://evil.example/cb")),
        ("redirect_uri", Some("http://127.0.0.1:1/cb2")),
        ("redirect_uri", None),
        ("client_id", Some("https://editor.example/unknown.json")),
    ] {
        let found = desk.request(&with(asked("editor"), name, value)).await;
        assert!(matches!(found, Err(Unasked::Told(_))), "{name} {value:?}: {found:?}");
    }
    for (name, value, error) in [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", None, "unsupported_response_type"),
        ("response_mode", Some("fragment"), "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("resource", Some("https://elsewhere.example/mcp"), "invalid_target"),
        ("resource", Some("https://gw.example/hr/mcp"), "invalid_target"),
        ("resource", Some("https://gw.example"), "invalid_target"),
        ("scope", Some("admin root"), "invalid_scope"),
        ("request", Some("x"), "request_not_supported"),
        ("request_uri", Some("https://a.example/"), "request_uri_not_supported"),
        ("prompt", Some("none login"), "invalid_request"),
    ] {
        match desk.request(&with(asked("editor"), name, value)).await {
            Err(Unasked::Sent(url)) => {
                let all = answer(&url);
                assert!(url.starts_with(BACK), "{url}");
                assert_eq!((all["error"].as_str(), all["iss"].as_str()), (error, URL), "{name} {value:?}");
                assert!(!all.contains_key("code"));
            }
            other => panic!("{name} {value:?}: {other:?}"),
        }
    }
    let local = with(asked("editor"), "redirect_uri", Some("http://127.0.0.1:33418/cb"));
    assert!(desk.request(&local).await.expect("any port of one's own machine").is_local());
    let silent = with(asked("editor"), "resource", None);
    assert_eq!(desk.request(&silent).await.expect("before 2025-06-18").resource, "https://gw.example/mcp");
}

#[tokio::test]
async fn a_client_with_a_secret_proves_itself_by_it_alone() {
    let desk = desk();
    let basic = |id: &str, secret: &str| {
        let part = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = STANDARD.encode(format!("{}:{}", part(id), part(secret)));
        headers(&[("authorization", &format!("Basic {pair}"))])
    };
    let code = desk.code_of(&ann(), &asked("desk")).await;
    let form = with(redeemed("desk", &code), "client_id", None);
    for wrong in [
        basic("desk", "s"),
        basic("editor", ""),
        headers(&[("authorization", "Bearer x")]),
        headers(&[("authorization", "Basic !")]),
    ] {
        let error = desk.tokens_with(&form, &wrong).await.expect_err("no proof");
        assert_eq!(error.error, "invalid_client", "{wrong:?}");
    }
    assert_eq!(desk.error(&redeemed("desk", &code)).await, "invalid_client", "without its secret");
    let both = with(form.clone(), "client_secret", Some("s p:a%ce"));
    let error = desk.tokens_with(&both, &basic("desk", "s p:a%ce")).await.expect_err("two ways at once");
    assert_eq!(error.error, "invalid_request");
    let other = with(form.clone(), "client_id", Some("editor"));
    let error = desk.tokens_with(&other, &basic("desk", "s p:a%ce")).await.expect_err("two names");
    assert_eq!(error.error, "invalid_request");
    assert!(desk.tokens_with(&form, &basic("desk", "s p:a%ce")).await.is_ok());
}

#[tokio::test]
async fn a_client_is_known_by_the_document_at_its_url_alone() {
    let desk = desk();
    let good = json!({"client_id": DOCUMENT, "client_name": "Editor", "redirect_uris": [BACK]});
    desk.network.set(DOCUMENT, 200, &good);
    let request = desk.request(&asked(DOCUMENT)).await.expect("a client");
    assert_eq!((request.name.as_str(), request.source), ("Editor", ClientSource::Document));
    assert!(desk.request(&asked(DOCUMENT)).await.is_ok());
    assert_eq!(desk.network.count(), 1, "it is remembered");
    assert_eq!(*desk.network.foreign.lock().unwrap(), [DOCUMENT], "and fetched as a stranger's");
    let mut more = good.clone();
    more["token_endpoint_auth_method"] = json!("client_secret_post");
    let mut other = good.clone();
    other["client_id"] = json!("https://editor.example/other.json");
    let large = json!({"client_id": DOCUMENT, "redirect_uris": [BACK], "x": "y".repeat(6_000)});
    for document in [json!([1]), json!("x"), more, other, large, json!({"client_id": DOCUMENT})] {
        let desk = desk_with(|_| {});
        desk.network.set(DOCUMENT, 200, &document);
        assert!(matches!(desk.request(&asked(DOCUMENT)).await, Err(Unasked::Told(_))), "{document}");
        assert!(matches!(desk.request(&asked(DOCUMENT)).await, Err(Unasked::Told(_))));
        assert_eq!(desk.network.count(), 1, "a failure is remembered for a moment");
    }
    for id in [
        "https://editor.example",
        "https://editor.example/",
        "https://editor.example/a/../b",
        "https://editor.example/a?b",
        "https://user@editor.example/a",
        "http://editor.example/a",
        "https://editor.example/a#b",
    ] {
        let desk = desk_with(|_| {});
        desk.network.set(id, 200, json!({"client_id": id, "redirect_uris": [BACK]}));
        let found = desk.request(&asked(id)).await;
        // Plain http is the fetcher's to refuse.
        assert!(found.is_err() || id.starts_with("http:"), "{id}: {found:?}");
    }
    let closed = desk_with(|options| options.documents = false);
    assert!(closed.request(&asked(DOCUMENT)).await.is_err());
    assert_eq!(closed.network.count(), 0);
}

#[tokio::test]
async fn a_client_that_registers_is_known_to_all_replicas_and_so_many_do_at_once() {
    let desk = desk();
    let members = |value: Value| value.as_object().expect("an object").clone();
    let asks: Map<String, Value> = members(json!({
        "redirect_uris": [BACK], "client_name": "Mine", "token_endpoint_auth_method": "none",
    }));
    let known = desk.broker.registration(&asks).await.expect("a client");
    assert!(known.get("client_secret").is_none());
    let id = known["client_id"].as_str().expect("an id").to_owned();
    let code = desk.code_of(&ann(), &asked(&id)).await;
    assert!(desk.tokens(&redeemed(&id, &code)).await.is_ok());
    let secret =
        desk.broker.registration(&members(json!({"redirect_uris": [BACK]}))).await.expect("a client");
    let (id, text) =
        (secret["client_id"].as_str().expect("one"), secret["client_secret"].as_str().expect("one"));
    assert!(!desk.chest.texts().iter().any(|row| row.contains(text)), "its hash alone is kept");
    let code = desk.code_of(&ann(), &asked(id)).await;
    assert_eq!(desk.error(&redeemed(id, &code)).await, "invalid_client");
    assert!(desk.tokens(&with(redeemed(id, &code), "client_secret", Some(text))).await.is_ok());
    let wrong = desk.broker.registration(&members(json!({"redirect_uris": ["javascript:x"]}))).await;
    assert_eq!(wrong.expect_err("no").error, "invalid_redirect_uri");
    let mut last = Ok(Value::Null);
    for _ in 0..100 {
        last = desk.broker.registration(&asks).await;
    }
    assert_eq!(last.expect_err("too many").error, "slow_down");
    let closed = desk_with(|options| options.registration = false);
    assert_eq!(closed.broker.registration(&asks).await.expect_err("no").error, "access_denied");
    assert!(closed.broker.metadata(URL).get("registration_endpoint").is_none());
}

#[tokio::test]
async fn a_registered_client_that_goes_on_renewing_is_kept_for_longer_each_time() {
    let desk = desk();
    let asks = json!({"redirect_uris": [BACK], "token_endpoint_auth_method": "none"});
    let known = desk.broker.registration(asks.as_object().expect("an object")).await.expect("a client");
    let id = known["client_id"].as_str().expect("an id").to_owned();
    let written = || {
        let (rows, name) = (desk.chest.rows.lock().unwrap(), format!("\"id\":\"{id}\""));
        let row = rows.values().find(|kept| String::from_utf8_lossy(&kept.data).contains(&name));
        row.expect("it is known").version
    };
    assert_eq!(written(), 1);
    let issued = desk.tokens(&redeemed(&id, &desk.code_of(&ann(), &asked(&id)).await)).await.expect("tokens");
    assert_eq!(written(), 2);
    let refresh = issued["refresh_token"].as_str().expect("one");
    assert!(desk.tokens(&refreshed(&id, refresh)).await.is_ok());
    assert_eq!(written(), 3);
}

fn vouched(change: impl FnOnce(&mut Value)) -> (Value, Value) {
    let mut claims = json!({
        "iss": CORP, "sub": "ann", "aud": URL, "client_id": "desk", "jti": "j1", "iat": NOW, "exp": NOW + 300,
        "resource": CRM, "scope": "mcp other", "groups": ["sales"],
    });
    change(&mut claims);
    (json!({"alg": "ES256", "kid": "k1", "typ": "oauth-id-jag+jwt"}), claims)
}

#[tokio::test]
async fn an_identity_provider_vouches_for_its_user_once_for_one_client_here() {
    let desk = desk();
    let form = |assertion: &str| -> Pairs<'static> {
        vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
            ("assertion", assertion.to_owned()),
            ("client_id", "desk".to_owned()),
            ("client_secret", "s p:a%ce".to_owned()),
        ]
    };
    let (header, claims) = vouched(|_| {});
    let good = desk.forge.sign(&header, &claims);
    let issued = desk.tokens(&form(&good)).await.expect("a token");
    assert_eq!(issued["scope"], "mcp");
    assert!(issued.get("refresh_token").is_none());
    let caller =
        desk.comes_in("crm", issued["access_token"].as_str().expect("one")).await.expect("it is good");
    assert_eq!(caller.principal.subject(), "corp:ann");
    assert_eq!(desk.error(&form(&good)).await, "invalid_grant", "it was used");
    let mut refused = Vec::new();
    for (index, change) in [
        |c: &mut Value| c["aud"] = json!("https://other.example"),
        |c: &mut Value| c["aud"] = json!([URL, "https://other.example"]),
        |c: &mut Value| c["client_id"] = json!("editor"),
        |c: &mut Value| c["iss"] = json!("https://evil.example"),
        |c: &mut Value| c["exp"] = json!(NOW - 61),
        |c: &mut Value| c["exp"] = json!(NOW + 100_000),
        |c: &mut Value| c["iat"] = json!(NOW + 100),
        |c: &mut Value| c["exp"] = Value::Null,
        |c: &mut Value| c["jti"] = Value::Null,
        |c: &mut Value| c["sub"] = Value::Null,
    ]
    .into_iter()
    .enumerate()
    {
        let (header, claims) = vouched(|c| {
            c["jti"] = json!(format!("n{index}"));
            change(c);
        });
        refused.push(desk.forge.sign(&header, &claims));
    }
    let (_, claims) = vouched(|c| c["jti"] = json!("typ"));
    refused.push(desk.forge.sign(&json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), &claims));
    let thief = Forge::new(Algorithm::ES256, "k1");
    refused.push(thief.sign(&header, &claims));
    for (index, assertion) in refused.iter().enumerate() {
        assert_eq!(desk.error(&form(assertion)).await, "invalid_grant", "{index}");
    }
    let (header, claims) =
        vouched(|c| (c["jti"], c["resource"]) = (json!("r"), json!("https://gw.example/hr/mcp")));
    assert_eq!(desk.error(&form(&desk.forge.sign(&header, &claims))).await, "invalid_target");
    let untrusting = desk_with(|options| options.vouching.clear());
    assert_eq!(untrusting.error(&form(&good)).await, "unsupported_grant_type");
    assert!(untrusting.broker.metadata(URL).get("authorization_grant_profiles_supported").is_none());
}

#[tokio::test]
async fn a_token_is_bound_to_the_key_that_its_client_proves() {
    let desk = desk();
    let key = Forge::new(Algorithm::ES256, "d");
    let proof = |forge: &Forge| {
        let text = forge.proof("", |_, claims| {
            claims["htu"] = json!(format!("{URL}/oauth/token"));
            claims.as_object_mut().expect("claims").remove("ath");
        });
        headers(&[("dpop", &text)])
    };
    let bank = with(asked("editor"), "resource", Some("https://gw.example/bank/mcp"));
    let bank = with(bank, "scope", None);
    let code = desk.code_of(&ann(), &bank).await;
    let form = with(redeemed("editor", &code), "resource", None);
    assert_eq!(desk.error(&form).await, "invalid_dpop_proof", "it takes none without");
    let issued = desk.tokens_with(&form, &proof(&key)).await.expect("tokens");
    assert_eq!(issued["token_type"], "DPoP");
    let claims = issued["access_token"].as_str().and_then(|token| token.split('.').nth(1)).expect("claims");
    let claims: Value = serde_json::from_slice(&BASE64.decode(claims).expect("base64")).expect("JSON");
    assert_eq!(claims["cnf"]["jkt"], key.thumbprint());
    let refresh = refreshed("editor", issued["refresh_token"].as_str().expect("one"));
    assert_eq!(desk.error(&refresh).await, "invalid_dpop_proof");
    let thief = Forge::new(Algorithm::ES256, "t");
    let error = desk.tokens_with(&refresh, &proof(&thief)).await.expect_err("another key");
    assert_eq!(error.error, "invalid_dpop_proof");
    assert!(desk.tokens_with(&refresh, &proof(&key)).await.is_ok());
    // A client may say before whose tokens they will be.
    let said = with(asked("editor"), "dpop_jkt", Some(&key.thumbprint()));
    let form = redeemed("editor", &desk.code_of(&ann(), &said).await);
    assert_eq!(
        desk.tokens_with(&form, &proof(&thief)).await.expect_err("another key").error,
        "invalid_dpop_proof"
    );
    assert!(desk.tokens_with(&form, &proof(&key)).await.is_ok());
}

#[tokio::test]
async fn what_a_user_has_let_a_client_do_is_remembered_for_that_and_can_be_taken_back() {
    let desk = desk();
    let user = ann();
    let request = desk.request(&asked("editor")).await.expect("a request");
    assert!(!desk.broker.has_approved(&user, &request).await.expect("known"));
    let first = desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens");
    assert!(desk.broker.has_approved(&user, &request).await.expect("known"));
    let other = User { principal: Principal::new("acme", "corp:bob"), ..user.clone() };
    assert!(!desk.broker.has_approved(&other, &request).await.expect("known"), "another user");
    for (name, value) in [
        ("client_id", "other"),
        ("redirect_uri", "http://127.0.0.1:9/cb"),
        ("resource", "https://gw.example/mcp"),
    ] {
        let pairs = with(asked("editor"), name, Some(value));
        let request = desk.request(&pairs).await.expect("a request");
        assert!(!desk.broker.has_approved(&user, &request).await.expect("known"), "{name}");
    }
    let approved = desk.broker.approved(&user.principal).await.expect("a list");
    assert_eq!((approved.len(), approved[0].client.as_str()), (1, "editor"));
    assert!(!desk.broker.take_back(&other.principal, &approved[0].record).await.expect("done"), "not his");
    assert!(desk.broker.take_back(&user.principal, &approved[0].record).await.expect("done"));
    assert!(!desk.broker.has_approved(&user, &request).await.expect("known"));
    let refresh = first["refresh_token"].as_str().expect("one");
    assert_eq!(desk.error(&refreshed("editor", refresh)).await, "invalid_grant");
    assert_eq!(desk.bars.0.lock().unwrap().len(), 1, "its access token is of no use either");
}

#[tokio::test]
async fn whoever_is_disabled_has_granted_nothing_any_more() {
    let desk = desk();
    let issued = desk.tokens(&redeemed("editor", &desk.code().await)).await.expect("tokens");
    let code = desk.code().await;
    let (tenant, subject) = ("acme".to_owned(), "corp:ann".to_owned());
    let before = Timestamp(NOW * 1_000 + 1);
    desk.bars
        .bar(Bar { tenant, subject, grant: None, before, until: Timestamp(u64::MAX) })
        .await
        .expect("done");
    assert_eq!(desk.error(&redeemed("editor", &code)).await, "invalid_grant");
    let refresh = issued["refresh_token"].as_str().expect("one");
    assert_eq!(desk.error(&refreshed("editor", refresh)).await, "invalid_grant");
    let bob = User { principal: Principal::new("acme", "corp:bob"), ..ann() };
    let code = desk.code_of(&bob, &asked("editor")).await;
    assert!(desk.tokens(&redeemed("editor", &code)).await.is_ok(), "another one has");
}

#[test]
fn what_it_says_of_itself_is_what_it_does() {
    let desk = desk();
    let document = desk.broker.metadata(URL);
    assert_eq!(document["issuer"], URL);
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(document["scopes_supported"], json!(["mcp", "pay"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    assert_eq!(document["client_id_metadata_document_supported"], true);
    let keys = desk.broker.jwks();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(1));
    assert!(keys["keys"][0].get("d").is_none());
}
