//! Who comes in: a request becomes a caller before anything of it is read, or is told why not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use config::Config;
use egress::EgressError;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use identity::{
    Allowed, ApiKey, ApiKeys, Barred, Caller, Claim, Client, ClientProof, Denied, Dpop, DpopOptions,
    EgressFetch, EndpointRules, Explanation, Gate, GateOptions, Introspection, Issuer, IssuerOptions,
    Mapping, Possession, Presented, SignIn, Tenant, Terms, Vault,
};
use model::Clock;
use protocol::RpcError;
use serde_json::json;

use crate::answer::{self, Answer};
use crate::app::{App, EVERYTHING, Generation};
use crate::handles::Handles;

/// Issuers by name, with what they were made of, so that one that did not change keeps what it knows.
pub type Issuers = HashMap<String, (config::Issuer, Arc<Issuer>)>;

/// Why nobody can be let in as the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Others can come, and nothing says who may.
    #[error("others can reach {0}, and nothing says who may call: give auth.allow")]
    Open(SocketAddr),
    /// A secret could not be had.
    #[error("resolve auth.issuers.{issuer}.introspection.client_secret")]
    Secret {
        /// Whose.
        issuer: String,
        /// Why.
        source: config::SecretErrorKind,
    },
    /// The same for signing in.
    #[error("resolve auth.issuers.{issuer}.sign_in.client_secret")]
    SignIn {
        /// Whose.
        issuer: String,
        /// Why.
        source: config::SecretErrorKind,
    },
    /// A file could not be read.
    #[error("read {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Certificates cannot be used.
    #[error("trust auth.issuers.{issuer}.ca")]
    Certificates {
        /// Whose.
        issuer: String,
        /// Why.
        source: EgressError,
    },
    /// A value that the loader let through.
    #[error("use auth.{0}")]
    Value(String),
}

/// The gate of a configuration.
pub(crate) fn gate(
    config: &Config,
    clock: &Arc<dyn Clock>,
    dpop: &Arc<Dpop>,
    before: Option<&Generation>,
) -> Result<(Gate, Issuers), DoorError> {
    let auth = &config.auth;
    let by_default = match &auth.allow {
        Some(ways) => ways.clone(),
        None if config.listen.ip().is_loopback() => vec!["anonymous".to_owned()],
        None => return Err(DoorError::Open(config.listen)),
    };
    let mut issuers = Issuers::new();
    for (name, section) in &auth.issuers {
        let known = before.and_then(|g| g.issuers.get(name)).filter(|(known, _)| known == section);
        let issuer = match known {
            Some((_, issuer)) => Arc::clone(issuer),
            None => issuer(name, section, clock)?,
        };
        issuers.insert(name.clone(), (section.clone(), issuer));
    }
    let keys: Result<Vec<ApiKey>, DoorError> = auth.keys.iter().map(key).collect();
    let names = config.upstreams_enabled().map(|(name, _)| name);
    let names = names.chain(config.endpoints.keys().map(String::as_str)).chain([EVERYTHING]);
    let rules = names.map(|name| {
        let own = auth.endpoints.get(name);
        let ways = own.and_then(|own| own.allow.as_ref()).unwrap_or(&by_default);
        let required = own.and_then(|own| own.require_dpop).unwrap_or(auth.dpop.required);
        let rules = EndpointRules {
            paths: paths(name),
            allow: ways.iter().map(|way| allowed(way)).collect(),
            scopes: own.and_then(|own| own.scopes.clone()).unwrap_or_else(|| auth.scopes.clone()),
            possession: if required { Possession::Required } else { Possession::Taken },
        };
        (name.to_owned(), rules)
    });
    let options = GateOptions {
        skew: auth.clock_skew.duration(),
        endpoints: rules.collect(),
        issuers: issuers.values().map(|(_, issuer)| Arc::clone(issuer)).collect(),
        keys: ApiKeys::new(keys?),
    };
    Ok((Gate::new(options, Arc::clone(dpop), Arc::clone(clock)), issuers))
}

/// How users of issuers sign in with a browser.
pub(crate) fn sign_ins(
    config: &Config,
    handles: &Handles,
    issuers: &Issuers,
    (vault, barred): (&Arc<dyn Vault>, &Arc<Barred>),
) -> Result<HashMap<String, SignIn>, DoorError> {
    let mut all = HashMap::new();
    for (name, section) in &config.auth.issuers {
        let (Some(own), Some((_, issuer))) = (&section.sign_in, issuers.get(name)) else { continue };
        let env = |name: &str| std::env::var(name).ok();
        let secret =
            own.client_secret.as_ref().map(|secret| secret.resolve(&env, &|path| std::fs::read(path)));
        let secret =
            secret.transpose().map_err(|source| DoorError::SignIn { issuer: name.clone(), source })?;
        let proof = secret.map(|secret| ClientProof::Secret(secret.expose().to_owned()));
        let method = proof.is_none().then(|| "none".to_owned());
        let vouches = config.upstreams_enabled().filter_map(|(_, upstream)| upstream.auth.as_ref());
        let mut vouches = vouches.filter_map(|auth| auth.enterprise.as_ref());
        let vouched = vouches.any(|own| own.issuer == *name && own.subject_token.is_none());
        let recheck = Some(own.recheck.duration()).filter(|every| !every.is_zero());
        let keeps = vouched || recheck.is_some();
        let sign_in = SignIn {
            recheck,
            barred: Arc::clone(barred),
            keeps: keeps.then(|| Arc::clone(vault)),
            issuer: Arc::clone(issuer),
            client: Client { id: own.client_id.clone(), proof, method },
            scopes: own.scopes.clone(),
            clock: Arc::clone(&handles.clock),
            rng: Arc::clone(&handles.rng),
        };
        all.insert(name.clone(), sign_in);
    }
    Ok(all)
}

fn allowed(way: &str) -> Allowed {
    match way {
        "anonymous" => Allowed::Anonymous,
        "keys" => Allowed::Keys,
        issuer => Allowed::Issuer(issuer.to_owned()),
    }
}

/// Where an endpoint is.
fn paths(name: &str) -> Vec<String> {
    let start = if name == EVERYTHING { String::new() } else { format!("/{name}") };
    vec![format!("{start}/mcp"), format!("{start}/sse")]
}

fn issuer(name: &str, section: &config::Issuer, clock: &Arc<dyn Clock>) -> Result<Arc<Issuer>, DoorError> {
    let wrong = |key: &str| DoorError::Value(format!("issuers.{name}.{key}"));
    let url = |key: &str, text: &Option<String>| -> Result<Option<Uri>, DoorError> {
        text.as_ref().map(|text| text.parse().map_err(|_| wrong(key))).transpose()
    };
    let algorithms = section.algorithms.iter().map(|known| identity::algorithm(known.as_str()));
    let introspection = section.introspection.as_ref().map(|own| {
        let env = |name: &str| std::env::var(name).ok();
        let secret = own.client_secret.as_ref().ok_or_else(|| wrong("introspection.client_secret"))?;
        let secret = secret.resolve(&env, &|path| std::fs::read(path));
        let secret = secret.map_err(|source| DoorError::Secret { issuer: name.to_owned(), source })?;
        Ok::<_, DoorError>(Introspection {
            url: url("introspection.url", &own.url)?,
            client_id: own.client_id.clone(),
            client_secret: secret.expose().to_owned(),
        })
    });
    let read = |path: &Path| {
        let failed = |source| DoorError::File { path: path.display().to_string(), source };
        std::fs::read(path).map_err(failed)
    };
    let ca = section.ca.as_deref().map(read).transpose()?;
    let fetch =
        EgressFetch::new(ca).map_err(|source| DoorError::Certificates { issuer: name.to_owned(), source })?;
    let claim = |name: &String| Claim(name.clone());
    let tenant = match &section.tenant_claim {
        Some(name) => Tenant::Claim(claim(name)),
        None => Tenant::Fixed(section.tenant.clone().unwrap_or_else(|| "default".to_owned())),
    };
    let options = IssuerOptions {
        name: name.to_owned(),
        issuer: section.issuer.clone(),
        jwks_url: url("jwks_url", &section.jwks_url)?,
        algorithms: algorithms.collect::<Option<_>>().ok_or_else(|| wrong("algorithms"))?,
        audiences: section.audiences.clone(),
        typed: section.typed,
        mapping: Mapping {
            tenant,
            subject: claim(&section.subject_claim),
            groups: section.groups_claim.as_ref().map(claim),
        },
        introspection: introspection.transpose()?,
        stale_max: section.keys_stale_max.duration(),
    };
    Ok(Issuer::new(options, Arc::new(fetch), Arc::clone(clock)))
}

fn key(section: &config::ApiKey) -> Result<ApiKey, DoorError> {
    let wrong = |key: &str| DoorError::Value(format!("keys: the {key} of {}", section.id));
    let mut hash = [0; 32];
    let hex = section.hash.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.is_ascii());
    let hex = hex.ok_or_else(|| wrong("hash"))?;
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| wrong("hash"))?;
    }
    let time = |key: &str, text: &Option<String>| {
        text.as_ref().map(|text| seal::time_from_text(text).ok_or_else(|| wrong(key))).transpose()
    };
    Ok(ApiKey {
        id: section.id.clone(),
        hash,
        tenant: section.tenant.clone().unwrap_or_else(|| "default".to_owned()),
        groups: section.groups.clone(),
        scopes: section.scopes.clone(),
        endpoints: section.endpoints.clone(),
        not_before: time("not_before", &section.not_before)?,
        expires: time("expires", &section.expires)?,
    })
}

/// A request at an endpoint, as it comes in.
pub(crate) struct Knock<'a> {
    pub endpoint: &'a str,
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
}

impl Knock<'_> {
    fn presented<'a>(&'a self, base: &'a str) -> Presented<'a> {
        Presented {
            base,
            method: self.method.as_str(),
            path: self.uri.path(),
            query: self.uri.query(),
            headers: self.headers,
        }
    }
}

/// Lets somebody in, or says why not.
pub(crate) async fn admit(
    app: &App,
    generation: &Generation,
    knock: &Knock<'_>,
) -> Result<Arc<Caller>, Box<Answer>> {
    let base = base(app, generation, knock.headers);
    let presented = knock.presented(&base);
    generation.gate.admit(knock.endpoint, &presented).await.map_err(|denied| {
        app.metrics.refused(denied.reason.as_str());
        Box::new(refusal(&denied))
    })
}

/// What somebody is told who was let in, and was barred before there was an answer.
pub(crate) fn barred(app: &App, generation: &Generation, knock: &Knock<'_>) -> Answer {
    let base = base(app, generation, knock.headers);
    let denied = generation.gate.barred(knock.endpoint, &knock.presented(&base));
    app.metrics.refused(denied.reason.as_str());
    refusal(&denied)
}

/// What a configuration makes of a token at an endpoint, step by step; whether there is such an endpoint is
/// not looked at. Must be called within a tokio runtime.
///
/// # Errors
/// [`DoorError`]
pub async fn explain(
    config: &Config,
    clock: Arc<dyn Clock>,
    endpoint: &str,
    token: &str,
    terms: Terms,
) -> Result<Explanation, DoorError> {
    let ring = seal::KeyRing::new(&seal::first(&seal::SystemRng, clock.now()), clock.now());
    let keys = Arc::new(ring.map_err(|error| DoorError::Value(error.to_string()))?);
    let dpop = Arc::new(Dpop::new(DpopOptions::default(), keys));
    let (gate, _) = gate(config, &clock, &dpop, None)?;
    let base = config.auth.url.clone().unwrap_or_else(|| {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", config.listen)
    });
    let mut headers = HeaderMap::new();
    let scheme = if is_bound(token) { "DPoP" } else { "Bearer" };
    let mut value = HeaderValue::from_str(&format!("{scheme} {token}"))
        .map_err(|_| DoorError::Value("token: it has characters that no header can have".to_owned()))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    let path = paths(endpoint).swap_remove(0);
    let presented = Presented { base: &base, method: "POST", path: &path, query: None, headers: &headers };
    Ok(gate.explain(endpoint, &presented, terms).await)
}

/// Whether a token says that it is bound to a key. Nothing of it is believed by that.
fn is_bound(token: &str) -> bool {
    let claims = identity::Jws::parse(token).ok().and_then(|jws| jws.claims().ok());
    claims.is_some_and(|claims| claims.get("cnf").is_some_and(|cnf| cnf.get("jkt").is_some()))
}

/// What somebody who is not let in is told.
fn refusal(denied: &Denied) -> Answer {
    let error = RpcError::new(protocol::code::INVALID_REQUEST, format!("Not let in: {}", denied.text));
    let retry = if denied.status() == StatusCode::SERVICE_UNAVAILABLE { "safe" } else { "useless" };
    let error = error.with(json!({"reason": denied.reason.as_str(), "fault": "client", "retry": retry}));
    let mut answer = answer::error_with(denied.status(), None, &error.to_raw());
    for (name, value) in &denied.headers {
        answer.headers_mut().append(name.clone(), value.clone());
    }
    answer
}

/// What a client finds where a challenge sends it (RFC 9728).
pub(crate) fn metadata(
    app: &App,
    generation: &Generation,
    (endpoint, path): (&str, &str),
    headers: &HeaderMap,
) -> Answer {
    let document = generation.gate.metadata(endpoint, &base(app, generation, headers), path);
    let Some(document) = document else {
        return answer::text(StatusCode::NOT_FOUND, "No tokens are asked for there.\n");
    };
    let mut answer = answer::json(StatusCode::OK, Bytes::from(document.to_string()));
    let headers = answer.headers_mut();
    // It is meant for everybody, and pages of any origin need it to sign their user in.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    answer
}

/// What clients reach the gateway by. Of what a request says of that, one of this machine's own names is
/// believed where the operator says nothing, as nobody else is meant by those.
pub(crate) fn base(app: &App, generation: &Generation, headers: &HeaderMap) -> String {
    if let Some(url) = &generation.url {
        return url.clone();
    }
    let Some((address, tls)) = app.place.get() else { return String::new() };
    let scheme = if *tls { "https" } else { "http" };
    let local = format!("localhost:{}", address.port());
    let said = headers.get(HOST).is_some_and(|host| host.as_bytes() == local.as_bytes());
    if said { format!("{scheme}://{local}") } else { format!("{scheme}://{address}") }
}
