//! Tokens that users have granted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use identity::*;
use model::{ManualClock, Principal, SeededRng, Timestamp};
use serde_json::{Value, json};

use crate::forge::{NOW, Network};
use crate::vault::Chest;

pub const SERVER: &str = "https://crm.example/mcp";
pub const RESOURCE: &str = "https://crm.example/.well-known/oauth-protected-resource/mcp";
pub const LOGIN: &str = "https://login.example";
pub const METADATA: &str = "https://login.example/.well-known/oauth-authorization-server";
pub const TOKENS: &str = "https://login.example/token";
pub const REGISTER: &str = "https://login.example/register";
pub const BACK: &str = "https://gw.example/oauth/callback";

pub struct Out {
    pub network: Arc<Network>,
    pub clock: Arc<ManualClock>,
    pub chest: Arc<Chest>,
    pub users: Arc<Users>,
}

pub fn metadata() -> Value {
    json!({
        "issuer": LOGIN, "authorization_endpoint": "https://login.example/authorize",
        "token_endpoint": TOKENS, "registration_endpoint": REGISTER,
        "code_challenge_methods_supported": ["S256"], "scopes_supported": ["read", "write", "offline_access"],
    })
}

pub fn token(name: &str) -> Value {
    let refresh = format!("r-{name}");
    json!({"access_token": name, "token_type": "Bearer", "expires_in": 300, "refresh_token": refresh})
}

pub fn out(change: impl FnOnce(&mut UsersOptions)) -> Out {
    let network = Arc::new(Network::default());
    let clock = Arc::new(ManualClock::at(Timestamp(NOW * 1_000)));
    network.set(RESOURCE, 200, json!({"resource": SERVER, "authorization_servers": [LOGIN]}));
    network.set(METADATA, 200, metadata());
    network.set(REGISTER, 201, json!({"client_id": "made", "client_secret": "s"}));
    network.set(TOKENS, 200, token("t1"));
    let mut options = UsersOptions {
        upstream: "crm".to_owned(),
        server: SERVER.parse().unwrap(),
        issuer: None,
        identity: Identity { name: "Tidegate".to_owned(), ..Identity::default() },
        scopes: Vec::new(),
        enterprise: None,
    };
    change(&mut options);
    let (chest, rng) = (Arc::new(Chest::default()), Arc::new(SeededRng::new(1)));
    let (net, vault) = (Arc::clone(&network) as Arc<dyn Fetch>, Arc::clone(&chest) as Arc<dyn Vault>);
    let users = Users::new(options, net, vault, Arc::clone(&clock) as _, rng);
    Out { network, clock, chest, users }
}

pub fn ann() -> Principal {
    Principal::new("acme", "corp:ann")
}

pub fn query(url: &Uri) -> HashMap<String, String> {
    form_urlencoded::parse(url.query().unwrap().as_bytes()).into_owned().collect()
}

pub fn challenge(text: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap())])
}

impl Out {
    /// Sends a user away. Where to, and what is known when he comes back.
    pub async fn away(&self, who: &Principal) -> Result<(Uri, Flow), ServiceError> {
        let seal = |flow: &Flow| flow.to_value().to_string();
        let url = self.users.begin(who, &self.users.wanted(who), BACK, &seal).await?;
        let flow = serde_json::from_str(&query(&url)["state"]).unwrap();
        Ok((url, Flow::of_value(&flow).unwrap()))
    }

    pub async fn grant(&self, who: &Principal) {
        let (_, flow) = self.away(who).await.unwrap();
        self.users.finish(who, &flow, &Returned::of_query("code=c")).await.unwrap();
    }

    pub async fn proof(&self, who: &Principal) -> Result<Option<UserProof>, NoToken> {
        self.users.proof(who, (&Method::POST, &SERVER.parse().unwrap())).await
    }

    pub async fn header(&self, who: &Principal) -> String {
        let proof = self.proof(who).await.unwrap().unwrap();
        assert!(proof.authorization.is_sensitive());
        proof.authorization.to_str().unwrap().to_owned()
    }

    pub fn refuse(&self, status: u16, text: &str, used: Option<&str>, attempt: u32) -> Refused {
        let used = used.map(|text| HeaderValue::from_str(text).unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        self.users.refused(&ann(), status, &challenge(text), used.as_ref(), attempt)
    }

    /// The forms that were sent to token endpoints.
    pub fn forms(&self) -> Vec<HashMap<String, String>> {
        let requests = self.network.requests.lock().unwrap();
        let posts = requests.iter().filter(|r| r.method() == Method::POST && r.uri().path() == "/token");
        posts.map(|r| form_urlencoded::parse(r.body()).into_owned().collect()).collect()
    }
}

#[tokio::test]
async fn a_user_goes_and_comes_back_and_what_he_granted_is_his_alone() {
    let out = out(|_| {});
    let bob = Principal::new("acme", "corp:bob");
    assert!(out.proof(&ann()).await.unwrap().is_none(), "the server may want nothing");
    assert_eq!(out.refuse(401, "Bearer scope=\"read\"", None, 0), Refused::Consent);
    let count = out.network.count();
    assert!(matches!(out.proof(&ann()).await, Err(NoToken::Consent)));
    assert_eq!(out.network.count(), count, "nobody is asked for what is known");
    let (url, flow) = out.away(&ann()).await.unwrap();
    assert!(url.to_string().starts_with("https://login.example/authorize?"), "{url}");
    let asked = query(&url);
    assert_eq!((&*asked["client_id"], &*asked["redirect_uri"]), ("made", BACK));
    assert_eq!((&*asked["resource"], &*asked["code_challenge_method"]), (SERVER, "S256"));
    // To stay signed in is asked for where that is a scope (SEP-2207).
    assert_eq!((&*asked["scope"], &*asked["prompt"]), ("read offline_access", "consent"));
    assert_ne!(asked["code_challenge"], flow.verifier, "what redeems the code stays here");
    out.users
        .finish(&ann(), &flow, &Returned::of_query("code=c&iss=https%3A%2F%2Flogin.example"))
        .await
        .unwrap();
    let form = out.forms().pop().unwrap();
    assert_eq!((&*form["grant_type"], &*form["code"]), ("authorization_code", "c"));
    assert_eq!((&*form["resource"], &*form["code_verifier"]), (SERVER, &*flow.verifier));
    assert_eq!(out.header(&ann()).await, "Bearer t1");
    assert!(out.proof(&bob).await.unwrap().is_none(), "another one has nothing of it");
    let other = Principal::new("other", "corp:ann");
    assert!(out.proof(&other).await.unwrap().is_none(), "nor who is called the same elsewhere");
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_not_looked_at() {
    let out = out(|_| {});
    let (_, flow) = out.away(&ann()).await.unwrap();
    let wrong = [
        "code=c&iss=https%3A%2F%2Flogin.example%2F",
        "code=c&iss=https%3A%2F%2FLOGIN.example",
        "code=c&iss=",
        "error=access_denied&iss=https%3A%2F%2Fevil.example",
        "code=c&code=d",
        "iss=https%3A%2F%2Flogin.example",
        "code=",
    ];
    for query in wrong {
        let refused = out.users.finish(&ann(), &flow, &Returned::of_query(query)).await.unwrap_err();
        assert!(matches!(refused, ServiceError::Wrong { .. }), "{query}: {refused}");
        assert!(!refused.to_string().contains("access_denied"), "{refused}");
    }
    let denied = Returned::of_query("error=access_denied&iss=https%3A%2F%2Flogin.example");
    let refused = out.users.finish(&ann(), &flow, &denied).await.unwrap_err();
    assert!(matches!(refused, ServiceError::Refused { error, .. } if error == "access_denied"));
    // Who says that it names itself must.
    let mut promised = metadata();
    promised["authorization_response_iss_parameter_supported"] = json!(true);
    out.network.set(METADATA, 200, promised);
    assert!(out.users.finish(&ann(), &flow, &Returned::of_query("code=c")).await.is_err());
    assert!(out.forms().is_empty(), "no code was sent anywhere");
}

#[tokio::test]
async fn who_issues_tokens_must_be_fit_for_it() {
    let out = out(|_| {});
    for (member, value) in [
        ("registration_endpoint", Value::Null),
        ("code_challenge_methods_supported", json!(["plain"])),
        ("code_challenge_methods_supported", Value::Null),
        ("issuer", json!("https://login.example/")),
        ("authorization_endpoint", json!("http://login.example/authorize")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("authorization_endpoint", Value::Null),
    ] {
        let mut unfit = metadata();
        unfit[member] = value.clone();
        out.network.set(METADATA, 200, unfit);
        assert!(out.away(&ann()).await.is_err(), "{member}: {value}");
    }
    out.network.set(METADATA, 200, metadata());
    out.network.set(
        RESOURCE,
        200,
        json!({"resource": "https://evil.example/mcp", "authorization_servers": [LOGIN]}),
    );
    assert!(out.away(&ann()).await.is_err(), "the metadata of another server");
    out.network.set(RESOURCE, 404, json!({}));
    assert!(out.away(&ann()).await.is_err(), "nobody says who issues tokens");
}

#[tokio::test]
async fn a_token_is_renewed_once_for_everybody_and_what_renews_it_is_never_used_twice() {
    let out = out(|_| {});
    out.grant(&ann()).await;
    out.clock.advance(Duration::from_secs(280));
    out.network.set(TOKENS, 200, token("t2"));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let users = Arc::clone(&out.users);
        all.spawn(async move { users.proof(&ann(), (&Method::GET, &SERVER.parse().unwrap())).await });
    }
    while let Some(proof) = all.join_next().await {
        assert_eq!(proof.unwrap().unwrap().unwrap().authorization, "Bearer t2");
    }
    out.clock.advance(Duration::from_secs(280));
    assert_eq!(out.header(&ann()).await, "Bearer t2", "the issuer gives the same once more");
    let used: Vec<_> = out.forms().iter().filter_map(|form| form.get("refresh_token").cloned()).collect();
    assert_eq!(used, ["r-t1", "r-t2"]);
    assert!(out.chest.texts().iter().any(|text| text.contains("r-t2")));
    assert!(!out.chest.texts().iter().any(|text| text.contains("r-t1")), "what was used is gone");
}

#[tokio::test]
async fn an_issuer_that_is_away_ends_no_grant_and_one_that_ends_it_is_believed() {
    let out = out(|_| {});
    out.grant(&ann()).await;
    out.clock.advance(Duration::from_secs(400));
    out.network.set(TOKENS, 503, json!({"error": "temporarily_unavailable"}));
    assert!(matches!(out.proof(&ann()).await, Err(NoToken::Service(error)) if error.may_pass()));
    out.network.set(TOKENS, 200, token("t2"));
    assert_eq!(out.header(&ann()).await, "Bearer t2");
    out.clock.advance(Duration::from_secs(400));
    out.network.set(TOKENS, 400, json!({"error": "invalid_grant"}));
    assert!(matches!(out.proof(&ann()).await, Err(NoToken::Consent)));
    assert!(!out.users.is_granted(&ann()).await.unwrap());
    assert!(!out.chest.texts().iter().any(|text| text.contains("r-t2")));
}

#[tokio::test]
async fn what_is_taken_back_is_gone_within_a_minute() {
    let out = out(|_| {});
    out.grant(&ann()).await;
    assert_eq!(out.header(&ann()).await, "Bearer t1");
    out.chest.revoke("acme/corp:ann");
    out.clock.advance(Duration::from_secs(20));
    assert!(out.proof(&ann()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_and_then_the_user_is_asked() {
    let out = out(|_| {});
    out.grant(&ann()).await;
    let first = out.header(&ann()).await;
    assert_eq!(out.refuse(401, "Bearer error=\"invalid_token\"", Some(&first), 0), Refused::Again);
    out.network.set(TOKENS, 200, token("t2"));
    let second = out.header(&ann()).await;
    assert_eq!(second, "Bearer t2");
    // A late answer to the first one says nothing of the second.
    assert_eq!(out.refuse(401, "Bearer", Some(&first), 0), Refused::Again);
    assert_eq!(out.header(&ann()).await, second);
    assert_eq!(out.refuse(401, "Bearer", Some(&second), 1), Refused::Consent);
    assert!(matches!(out.proof(&ann()).await, Err(NoToken::Consent)));
    out.network.set(TOKENS, 200, token("t3"));
    out.grant(&ann()).await;
    assert_eq!(out.header(&ann()).await, "Bearer t3");
}

#[tokio::test]
async fn more_is_asked_for_with_what_was_granted_and_once() {
    let out = out(|_| {});
    assert_eq!(out.refuse(401, "Bearer scope=\"read\"", None, 0), Refused::Consent);
    out.grant(&ann()).await;
    let used = out.header(&ann()).await;
    let more = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    assert_eq!(out.refuse(403, more, Some(&used), 0), Refused::Consent);
    assert!(matches!(out.proof(&ann()).await, Err(NoToken::Consent)));
    let (url, flow) = out.away(&ann()).await.unwrap();
    assert_eq!(query(&url)["scope"], "read offline_access write");
    out.network.set(TOKENS, 200, token("t2"));
    out.users.finish(&ann(), &flow, &Returned::of_query("code=c")).await.unwrap();
    let used = out.header(&ann()).await;
    assert_eq!(out.refuse(403, more, Some(&used), 0), Refused::Final, "all of it was asked for");
    assert_eq!(out.refuse(403, "Bearer error=\"other\", scope=\"x\"", Some(&used), 0), Refused::Final);
}

#[tokio::test]
async fn who_takes_no_scopes_where_clients_register_is_asked_without() {
    let out = out(|options| options.scopes = vec!["read".to_owned()]);
    out.network.once(REGISTER, 400, json!({"error": "invalid_client_metadata"}));
    let (url, _) = out.away(&ann()).await.unwrap();
    assert_eq!(query(&url)["client_id"], "made");
    let requests = out.network.requests.lock().unwrap();
    let asked = requests.iter().filter(|request| request.uri() == REGISTER);
    let asked: Vec<Value> = asked.map(|request| serde_json::from_slice(request.body()).unwrap()).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].get("scope").is_some() && asked[1].get("scope").is_none());
    assert_eq!(asked[0]["redirect_uris"], asked[1]["redirect_uris"]);
}

#[tokio::test]
async fn a_registration_is_for_one_issuer() {
    let out = out(|_| {});
    out.grant(&ann()).await;
    let other = "https://other.example";
    out.network.set(RESOURCE, 200, json!({"resource": SERVER, "authorization_servers": [other]}));
    let mut own = metadata();
    for member in ["issuer", "authorization_endpoint", "token_endpoint", "registration_endpoint"] {
        own[member] = json!(own[member].as_str().unwrap().replace(LOGIN, other));
    }
    out.network.set("https://other.example/.well-known/oauth-authorization-server", 200, own);
    out.network.set("https://other.example/register", 201, json!({"client_id": "made elsewhere"}));
    out.network.set("https://other.example/token", 200, token("t2"));
    let (url, flow) = out.away(&ann()).await.unwrap();
    assert_eq!(query(&url)["client_id"], "made elsewhere");
    out.users.finish(&ann(), &flow, &Returned::of_query("code=c")).await.unwrap();
    let requests = out.network.requests.lock().unwrap();
    let there = requests.iter().filter(|request| request.uri().host() == Some("other.example"));
    for request in there {
        let body = String::from_utf8_lossy(request.body());
        assert!(
            !body.contains("client_id=made&") && !request.headers().contains_key("authorization"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_token_is_bound_to_a_key_where_the_server_asks_for_that() {
    let out = out(|_| {});
    let mut binds = metadata();
    binds["dpop_signing_alg_values_supported"] = json!(["ES256"]);
    out.network.set(METADATA, 200, binds);
    out.network.set(TOKENS, 200, json!({"access_token": "t1", "token_type": "DPoP", "expires_in": 300}));
    assert_eq!(out.refuse(401, "DPoP algs=\"ES256\"", None, 0), Refused::Consent);
    out.grant(&ann()).await;
    let asked = |uri: &str| {
        let requests = out.network.requests.lock().unwrap();
        let found = requests.iter().rev().find(|request| *request.uri() == *uri).unwrap();
        found.headers()["dpop"].to_str().unwrap().to_owned()
    };
    let claims = |proof: &str| {
        let jws = Jws::parse(proof).unwrap();
        let key = Key::of_jwk(jws.jwk.as_ref().unwrap()).unwrap();
        assert!(jws.is_signed_by(&key) && jws.typ.as_deref() == Some("dpop+jwt"));
        (jws.claims().unwrap(), key.thumbprint())
    };
    let (first, key) = claims(&asked(TOKENS));
    assert_eq!((first["htm"].as_str(), first["htu"].as_str()), (Some("POST"), Some(TOKENS)));
    assert!(!first.contains_key("ath"));
    let proof = out.proof(&ann()).await.unwrap().unwrap();
    assert_eq!(proof.authorization, "DPoP t1");
    let (second, same) = claims(proof.possession.unwrap().to_str().unwrap());
    assert_eq!(same, key, "the key that the token is bound to");
    assert_eq!((second["htu"].as_str(), second.contains_key("ath")), (Some(SERVER), true));
    assert_ne!(first["jti"], second["jti"]);
    // A server that wants a nonce gets it in the next proof.
    let mut headers = challenge("DPoP error=\"use_dpop_nonce\"");
    headers.insert(HeaderName::from_static("dpop-nonce"), HeaderValue::from_static("n1"));
    out.users.answered(&ann(), &headers);
    let used = HeaderValue::from_static("DPoP t1");
    let again = out.users.refused(&ann(), StatusCode::UNAUTHORIZED, &headers, Some(&used), 0);
    assert_eq!(again, Refused::Again);
    let proof = out.proof(&ann()).await.unwrap().unwrap();
    assert_eq!(claims(proof.possession.unwrap().to_str().unwrap()).0["nonce"], "n1");
}

#[tokio::test]
async fn a_server_of_the_first_revision_is_its_own_issuer() {
    let out = out(|_| {});
    out.network.set(RESOURCE, 404, json!({}));
    out.network.set("https://crm.example/.well-known/oauth-protected-resource", 404, json!({}));
    for kind in ["oauth-authorization-server", "openid-configuration"] {
        out.network.set(&format!("https://crm.example/.well-known/{kind}"), 404, json!({}));
    }
    out.network.set("https://crm.example/register", 201, json!({"client_id": "made"}));
    out.network.set("https://crm.example/token", 200, token("t1"));
    let (url, flow) = out.away(&ann()).await.unwrap();
    assert!(url.to_string().starts_with("https://crm.example/authorize?"), "{url}");
    out.users.finish(&ann(), &flow, &Returned::of_query("code=c")).await.unwrap();
    assert_eq!(out.header(&ann()).await, "Bearer t1");
}
