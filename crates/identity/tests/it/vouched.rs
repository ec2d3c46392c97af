//! Tokens of users for whom their identity provider vouches: by assertions (SEP-990) and by token exchange
//! (RFC 8693). Each user signs in at the identity provider first, with the gateway as the client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use identity::*;
use model::{Clock as _, ManualClock, Principal, SeededRng, Timestamp};
use serde_json::{Value, json};

use crate::forge::{CORP, Forge, NOW, Network};
use crate::vault::Chest;

const SERVER: &str = "https://crm.example/mcp";
const RESOURCE: &str = "https://crm.example/.well-known/oauth-protected-resource/mcp";
const METADATA: &str = "https://login.corp.example/.well-known/oauth-authorization-server";
const KEYS: &str = "https://login.corp.example/jwks";
const TOKENS: &str = "https://login.corp.example/token";
const THERE: &str = "https://login.crm.example";
const THERE_METADATA: &str = "https://login.crm.example/.well-known/oauth-authorization-server";
const THERE_TOKENS: &str = "https://login.crm.example/token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

type Form = HashMap<String, String>;

struct Corp {
    network: Arc<Network>,
    clock: Arc<ManualClock>,
    chest: Arc<Chest>,
    forge: Forge,
    sign_in: SignIn,
    users: Arc<Users>,
}

/// What the identity provider issues: a token of some type.
fn issued(kind: &str, token: &str) -> Value {
    json!({"issued_token_type": kind, "access_token": token, "token_type": "Bearer", "expires_in": 300})
}

fn corp(vouching: Vouching, change: impl FnOnce(&mut UsersOptions, &mut Enterprise)) -> Corp {
    let network = Arc::new(Network::default());
    let clock = Arc::new(ManualClock::at(Timestamp(NOW * 1_000)));
    let (chest, rng) = (Arc::new(Chest::default()), Arc::new(SeededRng::new(1)));
    let forge = Forge::new(Algorithm::ES256, "k1");
    network.set(RESOURCE, 200, json!({"resource": SERVER, "authorization_servers": [THERE]}));
    network.set(
        METADATA,
        200,
        json!({"issuer": CORP, "authorization_endpoint": "https://login.corp.example/authorize",
            "token_endpoint": TOKENS, "jwks_uri": KEYS, "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "offline_access"]}),
    );
    network.set(KEYS, 200, json!({"keys": [forge.jwk()]}));
    let there = json!({"issuer": THERE, "authorization_endpoint": "https://login.crm.example/authorize",
        "token_endpoint": THERE_TOKENS, "code_challenge_methods_supported": ["S256"]});
    network.set(THERE_METADATA, 200, there);
    let options = IssuerOptions {
        name: "corp".to_owned(),
        issuer: CORP.to_owned(),
        jwks_url: None,
        algorithms: vec![Algorithm::ES256],
        audiences: Vec::new(),
        typed: false,
        mapping: Mapping::default(),
        introspection: None,
        stale_max: Duration::from_secs(3_600),
    };
    let issuer = Issuer::new(options, Arc::clone(&network) as _, Arc::clone(&clock) as _);
    let proof = Some(ClientProof::Secret("own secret".to_owned()));
    let client = Client { id: "the gateway".to_owned(), proof, method: None };
    let sign_in = SignIn {
        issuer: Arc::clone(&issuer),
        client: client.clone(),
        scopes: Vec::new(),
        keeps: Some(Arc::clone(&chest) as _),
        recheck: None,
        barred: Arc::new(Barred::new(Arc::clone(&clock) as _)),
        clock: Arc::clone(&clock) as _,
        rng: Arc::clone(&rng) as _,
    };
    let mut enterprise = Enterprise { issuer, vouching, client, subject: None };
    let registered = Client { id: "there".to_owned(), proof: None, method: Some("none".to_owned()) };
    let mut options = UsersOptions {
        upstream: "crm".to_owned(),
        server: SERVER.parse().unwrap(),
        issuer: None,
        identity: Identity { registered: Some(registered), ..Identity::default() },
        scopes: Vec::new(),
        enterprise: None,
    };
    change(&mut options, &mut enterprise);
    options.enterprise = Some(enterprise);
    let (net, vault) = (Arc::clone(&network) as Arc<dyn Fetch>, Arc::clone(&chest) as Arc<dyn Vault>);
    let users = Users::new(options, net, vault, Arc::clone(&clock) as _, rng);
    Corp { network, clock, chest, forge, sign_in, users }
}

fn exchanging() -> Corp {
    corp(Vouching::Token { audience: None }, |_, _| {})
}

impl Corp {
    /// An ID token of the identity provider.
    fn id_token(&self, subject: &str, nonce: &str) -> String {
        let now = self.clock.now().0 / 1_000;
        self.forge.token(&json!({
            "iss": CORP, "aud": "the gateway", "sub": subject, "nonce": nonce, "iat": now, "exp": now + 600,
        }))
    }

    /// Signs somebody in with a browser. Who he is then, and his ID token.
    async fn sign_in(&self, subject: &str) -> (Principal, String) {
        let seal = |flow: &Flow| flow.to_value().to_string();
        let url = self.sign_in.begin("https://gw.example/oauth/callback", &seal).await.unwrap();
        let query: Form = form_urlencoded::parse(url.query().unwrap().as_bytes()).into_owned().collect();
        let flow = Flow::of_value(&serde_json::from_str(&query["state"]).unwrap()).unwrap();
        let id_token = self.id_token(subject, &flow.nonce);
        let answer = json!({"access_token": "of the sign-in", "token_type": "Bearer", "id_token": id_token,
            "refresh_token": format!("stays {subject}")});
        self.network.once(TOKENS, 200, answer);
        let caller = self.sign_in.finish(&flow, &Returned::of_query("code=c")).await.unwrap();
        (caller.principal.clone(), id_token)
    }

    async fn proof(&self, who: &Principal) -> Result<Option<UserProof>, NoToken> {
        self.users.proof(who, (&Method::POST, &SERVER.parse().unwrap())).await
    }

    async fn header(&self, who: &Principal) -> String {
        let proof = self.proof(who).await.unwrap().unwrap();
        assert!(proof.authorization.is_sensitive());
        proof.authorization.to_str().unwrap().to_owned()
    }

    fn refuse(&self, who: &Principal, status: u16, text: &str, used: Option<&str>, attempt: u32) -> Refused {
        let used = used.map(|text| HeaderValue::from_str(text).unwrap());
        let challenge = HeaderValue::from_str(text).unwrap();
        let headers = HeaderMap::from_iter([(http::header::WWW_AUTHENTICATE, challenge)]);
        self.users.refused(who, StatusCode::from_u16(status).unwrap(), &headers, used.as_ref(), attempt)
    }

    /// The forms of a grant that a token endpoint got.
    fn forms(&self, url: &str, grant: &str) -> Vec<Form> {
        let requests = self.network.requests.lock().unwrap();
        let posts = requests.iter().filter(|r| *r.uri() == *url && r.method() == Method::POST);
        let forms = posts.map(|r| form_urlencoded::parse(r.body()).into_owned().collect::<Form>());
        forms.filter(|form| form["grant_type"].ends_with(grant)).collect()
    }

    fn exchanges(&self) -> Vec<Form> {
        self.forms(TOKENS, "token-exchange")
    }
}

#[tokio::test]
async fn what_a_user_has_signed_in_with_is_exchanged_for_a_token_for_the_server() {
    let corp = exchanging();
    let (ann, id_token) = corp.sign_in("ann").await;
    assert!(corp.proof(&ann).await.unwrap().is_none(), "the server may want nothing");
    assert_eq!(corp.refuse(&ann, 401, "Bearer scope=\"read\"", None, 0), Refused::Again);
    corp.network.set(TOKENS, 200, issued(ACCESS_TOKEN, "t1"));
    assert_eq!(corp.header(&ann).await, "Bearer t1");
    assert_eq!(corp.header(&ann).await, "Bearer t1");
    let forms = corp.exchanges();
    assert_eq!(forms.len(), 1, "it is kept");
    let form = &forms[0];
    assert_eq!(form["subject_token"], id_token);
    assert_eq!(form["subject_token_type"], "urn:ietf:params:oauth:token-type:id_token");
    assert_eq!((&*form["requested_token_type"], &*form["resource"]), (ACCESS_TOKEN, SERVER));
    assert_eq!(form["scope"], "read", "another token is had by another exchange, not by a refresh token");
    assert!(!form.contains_key("audience"));
    let asked: Vec<Uri> = corp.network.requests.lock().unwrap().iter().map(|r| r.uri().clone()).collect();
    assert!(asked.iter().all(|url| url.host() != Some("login.crm.example")), "one step: {asked:?}");
}

#[tokio::test]
async fn who_has_not_signed_in_is_asked_to_and_nobody_is_vouched_for_by_anothers_sign_in() {
    let corp = exchanging();
    let (ann, _) = corp.sign_in("ann").await;
    let bob = Principal::new(ann.tenant(), "corp:bob");
    let other = Principal::new("other", ann.subject());
    corp.network.set(TOKENS, 200, issued(ACCESS_TOKEN, "t1"));
    for who in [&bob, &other] {
        assert_eq!(corp.refuse(who, 401, "Bearer", None, 0), Refused::Again);
        assert!(matches!(corp.proof(who).await, Err(NoToken::Consent)), "{who}");
        assert!(!corp.users.is_granted(who).await.unwrap());
    }
    assert!(corp.exchanges().is_empty());
    assert_eq!(corp.refuse(&ann, 401, "Bearer", None, 0), Refused::Again);
    assert_eq!(corp.header(&ann).await, "Bearer t1");
    assert!(matches!(corp.proof(&bob).await, Err(NoToken::Consent)));
}

#[tokio::test]
async fn a_token_that_ends_is_had_anew_by_one_exchange_for_all_who_wait() {
    let corp = exchanging();
    let (ann, _) = corp.sign_in("ann").await;
    let _ = corp.refuse(&ann, 401, "Bearer", None, 0);
    let mut answer = issued(ACCESS_TOKEN, "t1");
    // Nobody uses it: the identity provider is to decide each time.
    answer["refresh_token"] = json!("r1-that-nobody-keeps");
    corp.network.set(TOKENS, 200, answer);
    assert_eq!(corp.header(&ann).await, "Bearer t1");
    corp.clock.advance(Duration::from_secs(280));
    corp.network.set(TOKENS, 200, issued(ACCESS_TOKEN, "t2"));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (users, ann) = (Arc::clone(&corp.users), ann.clone());
        all.spawn(async move { users.proof(&ann, (&Method::GET, &SERVER.parse().unwrap())).await });
    }
    while let Some(proof) = all.join_next().await {
        assert_eq!(proof.unwrap().unwrap().unwrap().authorization, "Bearer t2");
    }
    assert_eq!(corp.exchanges().len(), 2);
    assert!(corp.forms(TOKENS, "refresh_token").is_empty());
    assert!(!corp.chest.texts().iter().any(|text| text.contains("r1-that-nobody-keeps")));
    // One that the server refuses is had anew, too.
    corp.network.set(TOKENS, 200, issued(ACCESS_TOKEN, "t3"));
    let refused = corp.refuse(&ann, 401, "Bearer error=\"invalid_token\"", Some("Bearer t2"), 0);
    assert_eq!(refused, Refused::Again);
    assert_eq!(corp.header(&ann).await, "Bearer t3");
}

#[tokio::test]
async fn the_identity_provider_may_know_the_server_by_a_name_of_its_own() {
    let audience = Some("crm-api".to_owned());
    let corp = corp(Vouching::Token { audience }, |options, _| options.scopes = vec!["crm".to_owned()]);
    // What the server says of others is not needed, nor believed.
    corp.network.set(RESOURCE, 200, json!({"resource": "https://evil.example/mcp"}));
    let (ann, _) = corp.sign_in("ann").await;
    let _ = corp.refuse(&ann, 401, "Bearer", None, 0);
    corp.network.set(TOKENS, 200, issued(ACCESS_TOKEN, "t1"));
    assert_eq!(corp.header(&ann).await, "Bearer t1");
    let form = corp.exchanges().pop().unwrap();
    assert_eq!((&*form["audience"], &*form["scope"]), ("crm-api", "crm"));
    assert!(!form.contains_key("resource"), "two names would be two servers");
}

#[tokio::test]
async fn a_sign_in_that_is_over_is_renewed_for_the_exchange_and_then_by_the_user() {
    let corp = exchanging();
    let (ann, first) = corp.sign_in("ann").await;
    let _ = corp.refuse(&ann, 401, "Bearer", None, 0);
    corp.clock.advance(Duration::from_secs(700));
    let second = corp.id_token("ann", "");
    // RFC 8693, section 2.2.2: this is its word for a subject token that is over.
    corp.network.once(TOKENS, 400, json!({"error": "invalid_request"}));
    corp.network.once(
        TOKENS,
        200,
        json!({"access_token": "x", "token_type": "Bearer", "id_token": second, "refresh_token": "stays 2"}),
    );
    corp.network.once(TOKENS, 200, issued(ACCESS_TOKEN, "t1"));
    assert_eq!(corp.header(&ann).await, "Bearer t1");
    let sent: Vec<String> = corp.exchanges().iter().map(|form| form["subject_token"].clone()).collect();
    assert_eq!(sent, [first, second]);
    assert_eq!(corp.forms(TOKENS, "refresh_token")[0]["refresh_token"], "stays ann");
    corp.clock.advance(Duration::from_secs(700));
    corp.network.set(TOKENS, 400, json!({"error": "invalid_grant"}));
    assert!(matches!(corp.proof(&ann).await, Err(NoToken::Consent)), "he has to sign in again");
}

#[tokio::test]
async fn a_refusal_by_policy_is_told_and_is_no_reason_to_sign_in_again() {
    let corp = exchanging();
    let (ann, _) = corp.sign_in("ann").await;
    let _ = corp.refuse(&ann, 401, "Bearer", None, 0);
    for error in ["invalid_target", "invalid_scope", "unauthorized_client", "invalid_request"] {
        corp.network.set(TOKENS, 400, json!({"error": error, "error_description": "SECRET?"}));
        let Err(NoToken::Service(told)) = corp.proof(&ann).await else { panic!("{error} is no consent") };
        assert!(told.to_string().contains(error) && !told.to_string().contains("SECRET"), "{told}");
    }
    assert!(corp.forms(TOKENS, "refresh_token").is_empty());
}

#[tokio::test]
async fn what_is_no_token_for_the_server_is_not_sent_to_it() {
    let corp = exchanging();
    let (ann, _) = corp.sign_in("ann").await;
    let _ = corp.refuse(&ann, 401, "Bearer", None, 0);
    let id_token = "urn:ietf:params:oauth:token-type:id_token";
    for wrong in [
        issued(ID_JAG, "t"),
        issued(id_token, "t"),
        json!({"access_token": "t", "token_type": "Bearer"}),
        json!({"issued_token_type": ACCESS_TOKEN, "access_token": "t", "token_type": "N_A"}),
        json!({"issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}),
        json!({"issued_token_type": ACCESS_TOKEN, "access_token": "a\nb", "token_type": "Bearer"}),
    ] {
        corp.network.set(TOKENS, 200, &wrong);
        assert!(matches!(corp.proof(&ann).await, Err(NoToken::Service(_))), "{wrong}");
    }
}

#[tokio::test]
async fn a_gateway_of_one_user_exchanges_what_it_is_given() {
    let corp = corp(Vouching::Token { audience: None }, |_, enterprise| {
        enterprise.subject = Some(Arc::new(|| Ok("an ID token".to_owned())));
    });
    let anybody = Principal::new("default", "keys:desk");
    let _ = corp.refuse(&anybody, 401, "Bearer", None, 0);
    corp.network.set(TOKENS, 200, issued(ACCESS_TOKEN, "t1"));
    assert_eq!(corp.header(&anybody).await, "Bearer t1");
    assert_eq!(corp.exchanges()[0]["subject_token"], "an ID token");
}

#[tokio::test]
async fn an_exchanged_token_is_bound_to_a_key_where_the_server_asks_for_that() {
    let corp = exchanging();
    corp.network.set(
        METADATA,
        200,
        json!({"issuer": CORP, "authorization_endpoint": "https://login.corp.example/authorize",
            "token_endpoint": TOKENS, "jwks_uri": KEYS, "dpop_signing_alg_values_supported": ["ES256"]}),
    );
    let (ann, _) = corp.sign_in("ann").await;
    let _ = corp.refuse(&ann, 401, "DPoP algs=\"ES256\"", None, 0);
    let mut answer = issued(ACCESS_TOKEN, "t1");
    answer["token_type"] = json!("DPoP");
    corp.network.set(TOKENS, 200, answer);
    let proof = corp.proof(&ann).await.unwrap().unwrap();
    assert_eq!(proof.authorization, "DPoP t1");
    assert!(proof.possession.is_some());
}

#[tokio::test]
async fn an_assertion_is_for_the_authorization_server_which_gives_the_token() {
    let corp = corp(Vouching::Assertion, |_, _| {});
    let (ann, id_token) = corp.sign_in("ann").await;
    let _ = corp.refuse(&ann, 401, "Bearer scope=\"read\"", None, 0);
    let mut assertion = issued(ID_JAG, "the assertion");
    assertion["token_type"] = json!("N_A");
    corp.network.set(TOKENS, 200, assertion);
    corp.network.set(THERE_TOKENS, 200, json!({"access_token": "t1", "token_type": "Bearer"}));
    assert_eq!(corp.header(&ann).await, "Bearer t1");
    let form = corp.exchanges().pop().unwrap();
    assert_eq!((&*form["requested_token_type"], &*form["subject_token"]), (ID_JAG, &*id_token));
    assert_eq!((&*form["audience"], &*form["resource"], &*form["scope"]), (THERE, SERVER, "read"));
    let form = corp.forms(THERE_TOKENS, "jwt-bearer").pop().unwrap();
    assert_eq!(form["assertion"], "the assertion");
    // A token that is given at once is no assertion.
    corp.network.set(TOKENS, 200, issued(ACCESS_TOKEN, "t2"));
    let refused = corp.refuse(&ann, 401, "Bearer", Some("Bearer t1"), 0);
    assert_eq!(refused, Refused::Again);
    assert!(matches!(corp.proof(&ann).await, Err(NoToken::Service(_))));
}
