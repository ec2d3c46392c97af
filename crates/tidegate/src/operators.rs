//! The operators' interface, beside what clients are served.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use admin::{AddressState, Admin, Place, Policies, Roles, SignInPlace, UpstreamState, Upstreams};
use anyhow::Context as _;
use config::{AdminPlace, AdminRoles, AdminSignIn, Config, Meaning};
use model::SystemClock;
use seal::{KeyRing, SystemRng};
use serde_json::Value;
use server::App;
use store::Store;
use tokio::task::JoinHandle;

use crate::exit::Coded;
use crate::governed::Governed;
use crate::question;

/// How often is tried to listen where the process whose place this one takes still does.
const AGAIN: Duration = Duration::from_millis(250);

/// Where the configuration has operators come in.
pub fn place(config: &Config) -> anyhow::Result<Option<AdminPlace>> {
    let env = |name: &str| std::env::var(name).ok();
    let place = config.admin.place(&env, &server::fetch_secret);
    Ok(place.map_err(|error| Coded::of_config(&error))?)
}

/// The configuration in force, as it is told to operators: without its secrets.
#[derive(Debug, Clone, Default)]
pub struct InForce(Arc<Mutex<Value>>);

impl InForce {
    /// Another one is.
    pub fn put(&self, config: &Config) {
        let value = Meaning::of(config, None).value().clone();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    fn get(&self) -> Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The operators' interface, which ends with this.
#[derive(Default)]
pub struct Operators {
    served: Option<JoinHandle<()>>,
    address: Option<SocketAddr>,
}

impl Operators {
    /// Serves operators at a place, where there is one.
    pub async fn start(
        config: &Config,
        place: Option<AdminPlace>,
        (app, store, keys): (&Arc<App>, &Arc<dyn Store>, &Arc<KeyRing>),
        governed: Option<&Arc<Governed>>,
        in_force: &InForce,
    ) -> anyhow::Result<Self> {
        let Some(AdminPlace { listen, token }) = place else { return Ok(Self::default()) };
        let (app, store, keys) = (Arc::clone(app), Arc::clone(store), Arc::clone(keys));
        let governed = governed.cloned();
        let in_force = in_force.clone();
        let (url, how) = (config.admin.url.clone(), config.admin.sign_in.clone());
        let place = move || Place {
            store: Arc::clone(&store),
            clock: Arc::new(SystemClock),
            rng: Arc::new(SystemRng),
            keys: Arc::clone(&keys),
            token: token.as_ref().map(|token| token.expose().to_owned()),
            url: url.clone(),
            sign_in: how.as_ref().map(|how| sign_in(how, &app)),
            recorder: app.recorder().cloned(),
            policy: policies(&app),
            explain: Arc::new(question::InForce(Arc::clone(&app))),
            config: config_in_force(&in_force),
            upstreams: upstreams(&app),
            governs: governed.clone().map(|governed| governed as Arc<dyn admin::Governs>),
        };
        match Admin::bind(listen, place()).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && config.takeover.is_some() => {
                tracing::info!(%listen, "admin.listen is still in use; operators are served here later");
                let served = tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(AGAIN).await;
                        if let Ok(admin) = Admin::bind(listen, place()).await {
                            return admin.run().await;
                        }
                    }
                });
                Ok(Self { served: Some(served), address: Some(listen) })
            }
            bound => {
                let admin = bound.with_context(|| format!("listen on {listen} for operators"))?;
                let address = admin.address().context("know where operators are served")?;
                Ok(Self { served: Some(tokio::spawn(admin.run())), address: Some(address) })
            }
        }
    }

    /// Where they are served.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

fn config_in_force(in_force: &InForce) -> admin::ConfigInForce {
    let in_force = in_force.clone();
    Arc::new(move || in_force.get())
}

/// The policies of the configuration in force.
fn policies(app: &Arc<App>) -> Policies {
    let app = Arc::clone(app);
    Arc::new(move || app.generation().policy().cloned())
}

/// The upstreams of the configuration in force.
fn upstreams(app: &Arc<App>) -> Upstreams {
    let app = Arc::clone(app);
    Arc::new(move || app.generation().upstreams().iter().map(|upstream| upstream_state(upstream)).collect())
}

fn upstream_state(upstream: &upstream::Upstream) -> UpstreamState {
    let health = upstream.health();
    let condition = health.condition.map(upstream::Condition::as_str);
    let address = |address: upstream::AddressHealth| AddressState {
        // A path may be a secret.
        address: address.url.authority().map(ToString::to_string).unwrap_or_default(),
        pending: address.pending,
        ejected: address.ejected,
        health: condition.map(|_| address.condition.as_str()),
    };
    UpstreamState {
        name: upstream.name().to_string(),
        state: health.state,
        error: health.error.map(|error| error.to_string()),
        circuit: health.circuit.map(upstream::Circuit::as_str),
        health: condition,
        retry_budget: health.budget_left,
        in_flight: health.in_flight,
        addresses: health.addresses.into_iter().map(address).collect(),
    }
}

/// How operators sign in: by the rules of the start, at their issuer as the configuration in force has it.
fn sign_in(how: &AdminSignIn, app: &Arc<App>) -> SignInPlace {
    let AdminSignIn { issuer, tenant, roles, session, idle } = how.clone();
    let AdminRoles { admin, operator, viewer } = roles;
    let (app, name) = (Arc::clone(app), issuer.clone());
    let known = Arc::clone(&app);
    SignInPlace {
        at: Arc::new(move || app.generation().sign_in(&issuer)),
        name,
        tenant,
        roles: Roles { admin, operator, viewer },
        session: session.duration(),
        idle: idle.duration(),
        barred: Arc::new(move |caller| known.is_barred(caller)),
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        if let Some(served) = &self.served {
            served.abort();
        }
    }
}
