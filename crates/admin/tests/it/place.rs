//! Replicas with one store and one ring of keys, and the issuer at which their operators sign in.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use admin::{Admin, Explained, Explains, Place, Roles, SignInPlace};
use bytes::Bytes;
use identity::{
    Algorithm, Claim, Client, ClientProof, EgressFetch, Issuer as Known, IssuerOptions, Mapping, SignIn,
    Tenant,
};
use model::{Clock, ManualClock, Rng, SystemClock};
use seal::{KeyRing, SystemRng};
use serde_json::{Value, json};
use store::{Memory, Store};
use testkit::http::Http;
use testkit::issuer::Issuer;
use tokio::task::JoinHandle;

use crate::browser::{Browser, Got};

pub const SESSION: Duration = Duration::from_secs(8 * 3_600);
pub const IDLE: Duration = Duration::from_secs(1_800);

/// Not a token of anybody.
pub fn token() -> String {
    "for-a-test-alone-".repeat(2)
}

pub struct Desk {
    pub issuer: Issuer,
    pub clock: Arc<ManualClock>,
    pub store: Arc<dyn Store>,
    pub keys: Arc<KeyRing>,
    /// Subjects that are let in no more.
    pub barred: Arc<Mutex<Vec<String>>>,
    /// Whether the configuration in force has a sign-in.
    pub open: Arc<AtomicBool>,
    roles: Roles,
    running: Vec<JoinHandle<()>>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|&one| one.to_owned()).collect()
}

/// Claims of somebody in these groups, whose ID token outlives the test.
pub fn user(subject: &str, groups: &[&str]) -> Value {
    json!({"sub": subject, "groups": groups, "tid": "acme", "exp": 4_000_000_000_u64})
}

/// Knows no policies.
struct Nothing;

#[async_trait::async_trait]
impl Explains for Nothing {
    async fn explain(&self, _question: Bytes) -> Result<Explained, String> {
        Err("there are none".to_owned())
    }
}

impl Desk {
    pub async fn open() -> Self {
        let issuer = Issuer::start().await;
        issuer.signs_in(Some(user("ann", &["oncall"])));
        Self {
            issuer,
            clock: Arc::new(ManualClock::at(SystemClock.now())),
            store: Arc::new(Memory::new()),
            keys: Arc::new(KeyRing::generate(&SystemRng)),
            barred: Arc::default(),
            open: Arc::new(AtomicBool::new(true)),
            roles: Roles {
                admin: names(&["platform"]),
                operator: names(&["oncall"]),
                viewer: names(&["support"]),
            },
            running: Vec::new(),
        }
    }

    fn known(&self) -> Arc<Known> {
        let mapping = Mapping {
            tenant: Tenant::Claim(Claim("tid".to_owned())),
            subject: Claim("sub".to_owned()),
            groups: Some(Claim("groups".to_owned())),
        };
        let options = IssuerOptions {
            name: "corp".to_owned(),
            issuer: self.issuer.url.clone(),
            jwks_url: None,
            algorithms: vec![Algorithm::ES256],
            audiences: Vec::new(),
            typed: false,
            mapping,
            introspection: None,
            stale_max: Duration::from_secs(3_600),
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Known::new(options, Arc::new(EgressFetch::new(None).unwrap()), clock)
    }

    fn sign_in(&self) -> SignInPlace {
        let (known, clock, open) = (self.known(), Arc::clone(&self.clock), Arc::clone(&self.open));
        let at = move || {
            let proof = Some(ClientProof::Secret("s3cret".to_owned()));
            let sign_in = SignIn {
                issuer: Arc::clone(&known),
                client: Client { id: "console".to_owned(), proof, method: None },
                scopes: names(&["groups"]),
                keeps: None,
                recheck: None,
                barred: Arc::new(identity::Barred::new(Arc::clone(&clock) as Arc<dyn Clock>)),
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                rng: Arc::new(SystemRng),
            };
            open.load(Ordering::SeqCst).then_some(sign_in)
        };
        let barred = Arc::clone(&self.barred);
        SignInPlace {
            at: Arc::new(at),
            name: "corp".to_owned(),
            tenant: Some("acme".to_owned()),
            roles: self.roles.clone(),
            session: SESSION,
            idle: IDLE,
            barred: Arc::new(move |caller| {
                barred.lock().unwrap().iter().any(|one| one == caller.principal.subject())
            }),
        }
    }

    /// What a replica has, which a test may change.
    pub fn place(&self) -> Place {
        Place {
            recorder: None,
            policy: Arc::new(|| None),
            explain: Arc::new(Nothing),
            upstreams: Arc::new(Vec::new),
            config: Arc::new(|| serde_json::json!({})),
            governs: None,
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            rng: Arc::new(SystemRng) as Arc<dyn Rng>,
            keys: Arc::clone(&self.keys),
            token: Some(token()),
            url: None,
            sign_in: Some(self.sign_in()),
        }
    }

    /// Starts a replica.
    pub async fn replica(&mut self, place: Place) -> Http {
        let admin = Admin::bind(SocketAddr::from(([127, 0, 0, 1], 0)), place).await.unwrap();
        let http = Http::new(admin.address().unwrap());
        self.running.push(tokio::spawn(admin.run()));
        http
    }

    /// A replica and a browser at it.
    pub async fn browser(&mut self) -> Browser {
        let place = self.place();
        Browser::new(&self.replica(place).await)
    }

    /// Sends a browser to the issuer. The path at which it comes back.
    pub async fn away(&self, browser: &mut Browser) -> String {
        let sent = browser.go("/sign-in", true).await;
        assert_eq!(sent.status, 303, "{}", sent.text);
        let to = sent.location.unwrap();
        let path = to.strip_prefix(&self.issuer.url).unwrap_or_else(|| panic!("elsewhere: {to}"));
        let address = self.issuer.url.strip_prefix("http://").unwrap().parse::<SocketAddr>().unwrap();
        let reply = Http::new(address).request(http::Method::GET, path).send().await;
        let back = reply.header("location").unwrap().to_owned();
        back.strip_prefix(&browser.origin()).unwrap_or_else(|| panic!("elsewhere: {back}")).to_owned()
    }

    /// Signs a browser in.
    pub async fn signs_in(&self, browser: &mut Browser) -> Got {
        let back = self.away(browser).await;
        browser.go(&back, false).await
    }

    /// A browser in which somebody of these groups has signed in.
    pub async fn signed_in(&mut self, subject: &str, groups: &[&str]) -> Browser {
        let mut browser = self.browser().await;
        self.issuer.signs_in(Some(user(subject, groups)));
        let got = self.signs_in(&mut browser).await;
        assert_eq!(got.status, 200, "{}", got.text);
        browser
    }
}
