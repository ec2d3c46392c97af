//! Users who have signed in, and what their issuer says of them afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, Uri};
use identity::*;
use model::{Clock, ManualClock, Principal, SeededRng, Timestamp};
use serde_json::{Value, json};

use crate::forge::{CORP, Forge, NOW, Network};
use crate::vault::Chest;

const TOKENS: &str = "https://login.corp.example/token";
const BACK: &str = "https://gw.example/oauth/callback";
const EVERY: Duration = Duration::from_secs(30);

struct Out {
    network: Arc<Network>,
    chest: Arc<Chest>,
    forge: Forge,
    sign_in: SignIn,
}

fn ann() -> Principal {
    Principal::new("default", "corp:ann")
}

fn out() -> Out {
    let clock = Arc::new(ManualClock::at(Timestamp(NOW * 1_000))) as Arc<dyn Clock>;
    let (network, chest) = (Arc::new(Network::default()), Arc::new(Chest::default()));
    let forge = Forge::new(Algorithm::ES256, "k1");
    let well_known = "https://login.corp.example/.well-known/oauth-authorization-server";
    let metadata = json!({
        "issuer": CORP, "jwks_uri": "https://login.corp.example/jwks", "token_endpoint": TOKENS,
        "authorization_endpoint": "https://login.corp.example/authorize",
        "scopes_supported": ["openid", "offline_access"],
    });
    network.set(well_known, 200, metadata);
    network.set("https://login.corp.example/jwks", 200, json!({"keys": [forge.jwk()]}));
    let options = IssuerOptions {
        name: "corp".to_owned(),
        issuer: CORP.to_owned(),
        jwks_url: None,
        algorithms: vec![Algorithm::ES256],
        audiences: Vec::new(),
        typed: false,
        mapping: Mapping { groups: Some(Claim("groups".to_owned())), ..Mapping::default() },
        introspection: None,
        stale_max: Duration::from_secs(3_600),
    };
    let sign_in = SignIn {
        issuer: Issuer::new(options, Arc::clone(&network) as _, Arc::clone(&clock)),
        client: Client { id: "gateway".to_owned(), proof: None, method: Some("none".to_owned()) },
        scopes: vec!["profile".to_owned()],
        keeps: Some(Arc::clone(&chest) as Arc<dyn Vault>),
        recheck: Some(EVERY),
        barred: Arc::new(Barred::new(Arc::clone(&clock))),
        clock,
        rng: Arc::new(SeededRng::new(1)),
    };
    Out { network, chest, forge, sign_in }
}

fn query(url: &Uri) -> HashMap<String, String> {
    form_urlencoded::parse(url.query().unwrap().as_bytes()).into_owned().collect()
}

impl Out {
    fn id_token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": CORP, "aud": "gateway", "sub": "ann", "iat": NOW, "exp": NOW + 300, "groups": ["sales"],
        });
        change(&mut claims);
        self.forge.token(&claims)
    }

    /// What the token endpoint says from now on.
    fn issues(&self, refresh: &str, id_token: Option<String>) {
        let mut said = json!({"access_token": "a", "token_type": "Bearer", "refresh_token": refresh});
        if let Some(id_token) = id_token {
            said["id_token"] = json!(id_token);
        }
        self.network.set(TOKENS, 200, said);
    }

    async fn signs_in(&self) -> Result<Caller, SignInError> {
        let seal = |flow: &Flow| flow.to_value().to_string();
        let url = self.sign_in.begin(BACK, &seal).await.unwrap();
        let asked = query(&url);
        assert_eq!(asked["scope"], "openid profile offline_access");
        let flow = Flow::of_value(&serde_json::from_str(&asked["state"]).unwrap()).unwrap();
        self.issues("r1", Some(self.id_token(|claims| claims["nonce"] = json!(asked["nonce"]))));
        self.sign_in.finish(&flow, &Returned::of_query("code=c")).await
    }

    async fn rechecked(&self) -> Result<Rechecked, ServiceError> {
        self.chest.turns_end();
        self.sign_in.recheck(&ann(), EVERY).await
    }

    /// The refresh tokens that were sent.
    fn refreshes(&self) -> Vec<String> {
        let requests = self.network.requests.lock().unwrap();
        let posts = requests.iter().filter(|r| r.method() == Method::POST);
        let forms = posts.map(|r| form_urlencoded::parse(r.body()).into_owned().collect::<HashMap<_, _>>());
        forms.filter_map(|mut form| form.remove("refresh_token")).collect()
    }

    fn kept(&self) -> Value {
        let texts = self.chest.texts();
        assert_eq!(texts.len(), 1);
        serde_json::from_str(&texts[0]).unwrap()
    }
}

#[tokio::test]
async fn a_user_stays_as_long_as_his_issuer_takes_what_he_signed_in_with() {
    let out = out();
    assert_eq!(out.rechecked().await.unwrap(), Rechecked::Unasked, "he has not signed in");
    assert_eq!(out.signs_in().await.unwrap().principal, ann());
    out.issues("r2", None);
    assert_eq!(out.rechecked().await.unwrap(), Rechecked::Stays);
    out.issues("r3", None);
    assert_eq!(out.rechecked().await.unwrap(), Rechecked::Stays);
    assert_eq!(out.refreshes(), ["r1", "r2"], "each is used once");
    assert_eq!(out.kept()["refresh"], "r3");
    out.network.set(TOKENS, 400, json!({"error": "invalid_grant"}));
    assert_eq!(out.rechecked().await.unwrap(), Rechecked::Gone);
}

#[tokio::test]
async fn all_replicas_together_ask_once_in_a_while() {
    let out = out();
    out.signs_in().await.unwrap();
    out.issues("r2", None);
    assert_eq!(out.rechecked().await.unwrap(), Rechecked::Stays);
    // The turn of another replica has not ended.
    assert_eq!(out.sign_in.recheck(&ann(), EVERY).await.unwrap(), Rechecked::Stays);
    assert_eq!(out.refreshes(), ["r1"]);
}

#[tokio::test]
async fn an_issuer_that_says_nothing_of_the_user_changes_nothing() {
    let out = out();
    out.signs_in().await.unwrap();
    let before = out.kept();
    out.network.down.store(true, Ordering::SeqCst);
    assert!(out.rechecked().await.unwrap_err().may_pass());
    out.network.down.store(false, Ordering::SeqCst);
    for (status, said) in [
        (500, json!({})),
        (503, json!({"error": "temporarily_unavailable"})),
        (401, json!({"error": "invalid_client"})),
        (400, json!({"error": "unauthorized_client"})),
        (200, json!({"no": "token"})),
        (404, json!({})),
    ] {
        out.network.set(TOKENS, status, &said);
        assert!(out.rechecked().await.is_err(), "{status} {said}");
    }
    assert_eq!(out.kept(), before);
    out.issues("r2", None);
    assert_eq!(out.rechecked().await.unwrap(), Rechecked::Stays, "it can be asked again");
}

#[tokio::test]
async fn groups_are_those_that_the_issuer_named_last() {
    let out = out();
    assert_eq!(out.sign_in.known_groups(&ann()).await, None);
    out.signs_in().await.unwrap();
    assert_eq!(out.sign_in.known_groups(&ann()).await, Some(vec!["sales".to_owned()]));
    out.issues("r2", Some(out.id_token(|claims| claims["groups"] = json!(["ops", "leads"]))));
    assert_eq!(out.rechecked().await.unwrap(), Rechecked::Stays);
    assert_eq!(out.sign_in.known_groups(&ann()).await.unwrap(), ["ops", "leads"]);
    // One that is not his, or not of the issuer, is passed over; what he can be asked about with is kept.
    let other = Forge::new(Algorithm::ES256, "k1");
    let forged = other.token(&json!({"iss": CORP, "sub": "ann", "groups": ["admin"]}));
    let bens = out.id_token(|claims| claims["sub"] = json!("ben"));
    for (refresh, id_token) in [("r3", forged), ("r4", bens), ("r5", "no token".to_owned())] {
        out.issues(refresh, Some(id_token));
        assert_eq!(out.rechecked().await.unwrap(), Rechecked::Stays);
        assert_eq!(out.sign_in.known_groups(&ann()).await.unwrap(), ["ops", "leads"], "{refresh}");
        assert_eq!(out.kept()["refresh"], refresh);
    }
}

#[tokio::test]
async fn who_signed_in_anew_meanwhile_is_not_gone() {
    let out = out();
    out.signs_in().await.unwrap();
    let principal = &ann();
    let (name, kept) = {
        let rows = out.chest.rows.lock().unwrap();
        let ((_, _, name), kept) = rows.iter().next().unwrap();
        (name.clone(), kept.clone())
    };
    // The issuer refuses the old one once there is a new one, which comes while it is asked.
    out.network.set(TOKENS, 400, json!({"error": "invalid_grant"}));
    out.chest.turns_end();
    let before = out.network.count();
    let anew = async {
        while out.network.count() == before {
            tokio::task::yield_now().await;
        }
        let place = Place { principal, upstream: "corp", name: &name };
        assert!(out.chest.put(place, kept.version, &kept.data, EVERY).await.unwrap());
    };
    let (rechecked, ()) = tokio::join!(out.sign_in.recheck(principal, EVERY), anew);
    assert_eq!(rechecked.unwrap(), Rechecked::Stays);
}

#[tokio::test]
async fn who_is_disabled_cannot_sign_in_and_nothing_of_it_is_kept() {
    let out = out();
    let (tenant, subject) = ("default".to_owned(), "corp:ann".to_owned());
    let end = Timestamp(u64::MAX);
    out.sign_in.barred.add(&Bar { tenant, subject, grant: None, before: end, until: end });
    assert!(matches!(out.signs_in().await, Err(SignInError::Barred)));
    assert!(out.chest.texts().is_empty());
}
