//! Who comes in: a request becomes a caller before anything of it is read, or is told why not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use config::{CertificateName, Config};
use egress::EgressError;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use identity::{
    Accepts, Allowed, ApiKey, ApiKeys, Barred, Broker, BrokerOptions, BrokerParts, Caller, Certificate,
    Certificates, Claim, Client, ClientKeys, ClientMethod, ClientProof, ClientSource, Denied, Dpop,
    DpopOptions, EgressFetch, EndpointRules, Explanation, Gate, GateOptions, Groups, Introspection, Issuer,
    IssuerOptions, KnownClient, Mapping, NameKind, Possession, Presented, Resource, SignIn, Step, Tenant,
    Terms, Tokens, Vault, plain_name, redirect_fault,
};
use model::{Clock, Principal};
use protocol::RpcError;
use seal::KeyRing;
use serde_json::json;

use crate::answer::{self, Answer};
use crate::app::{App, EVERYTHING, Generation};
use crate::compose::Shared;
use crate::handles::Handles;
use crate::tls;

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
    tokens: Option<Arc<Tokens>>,
    before: Option<&Generation>,
) -> Result<(Gate, Issuers), DoorError> {
    let auth = &config.auth;
    let rules = endpoint_rules(config)?;
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
    let options = GateOptions {
        skew: auth.clock_skew.duration(),
        endpoints: rules,
        issuers: issuers.values().map(|(_, issuer)| Arc::clone(issuer)).collect(),
        tokens,
        keys: ApiKeys::new(keys?),
        certificates: auth.mtls.as_ref().map(certificates),
    };
    Ok((Gate::new(options, Arc::clone(dpop), Arc::clone(clock)), issuers))
}

/// Who may come in at each endpoint.
pub(crate) fn endpoint_rules(config: &Config) -> Result<HashMap<String, EndpointRules>, DoorError> {
    let auth = &config.auth;
    let by_default = match &auth.allow {
        Some(ways) => ways.clone(),
        None if config.listen.ip().is_loopback() => vec!["anonymous".to_owned()],
        None => return Err(DoorError::Open(config.listen)),
    };
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
    Ok(rules.collect())
}

/// Groups as issuers said them last of users who have signed in.
struct NewestGroups(HashMap<String, SignIn>);

#[async_trait]
impl Groups for NewestGroups {
    async fn groups(&self, issuer: &str, principal: &Principal) -> Option<Vec<String>> {
        self.0.get(issuer)?.known_groups(principal).await
    }
}

/// The gateway as an authorization server, where the configuration makes it one.
pub(crate) fn broker(
    config: &Config,
    shared: &Shared,
    issuers: &Issuers,
    sign_ins: &HashMap<String, SignIn>,
) -> Result<Option<Arc<Broker>>, DoorError> {
    let Some(own) = &config.auth.broker else { return Ok(None) };
    let mut resources = HashMap::new();
    for (name, rules) in endpoint_rules(config)? {
        if rules.allow.contains(&Allowed::Own) {
            let bound = rules.possession == Possession::Required;
            let resource = Resource { scopes: rules.scopes.clone(), bound };
            resources.extend(paths(&name).into_iter().map(|path| (path, resource.clone())));
        }
    }
    let clients: Result<Vec<_>, DoorError> = own.clients.iter().map(known_client).collect();
    let vouching = own.enterprise.iter().filter_map(|name| issuers.get(name));
    let options = BrokerOptions {
        clients: clients?,
        registration: own.registration,
        documents: own.client_documents,
        hosts: own.client_hosts.clone(),
        token_time: own.token_ttl.duration(),
        refresh_time: own.refresh_ttl.duration(),
        vouching: vouching.map(|(_, issuer)| Arc::clone(issuer)).collect(),
        resources,
        scopes: own.scope_groups.clone().into_iter().collect(),
        groups: Some(Arc::new(NewestGroups(sign_ins.clone()))),
    };
    let fetch = EgressFetch::new(None).map_err(|error| DoorError::Value(format!("broker: {error}")))?;
    let handles = &shared.handles;
    let parts = BrokerParts {
        vault: Arc::clone(&shared.vault) as Arc<dyn Vault>,
        bars: Arc::clone(&shared.barred) as Arc<dyn identity::Bars>,
        fetch: Arc::new(fetch),
        clock: Arc::clone(&handles.clock),
        rng: Arc::clone(&handles.rng),
        keys: Arc::clone(&handles.keys),
        dpop: Arc::clone(&shared.dpop),
    };
    Ok(Some(Arc::new(Broker::new(options, parts))))
}

fn known_client(section: &config::BrokerClient) -> Result<Arc<KnownClient>, DoorError> {
    let wrong = |fault: String| DoorError::Value(format!("broker.clients: {}: {fault}", section.client_id));
    if let Some(fault) = section.redirect_uris.iter().find_map(|uri| redirect_fault(uri)) {
        return Err(wrong(format!("a redirect URI cannot be used: {fault}")));
    }
    let env = |name: &str| std::env::var(name).ok();
    let secret = section.client_secret.as_ref().map(|secret| secret.resolve(&env, &crate::secret::fetch));
    let secret = secret.transpose().map_err(|error| wrong(format!("client_secret: {error}")))?;
    let method = match (&secret, &section.jwks_uri) {
        (Some(_), _) => ClientMethod::Basic,
        (None, Some(_)) => ClientMethod::Key,
        (None, None) => ClientMethod::Public,
    };
    Ok(Arc::new(KnownClient {
        id: section.client_id.clone(),
        name: plain_name(section.name.as_deref().unwrap_or(&section.client_id)),
        redirects: section.redirect_uris.clone(),
        method,
        secret: secret.map(|secret| seal::sha256(secret.expose().as_bytes())),
        keys: section.jwks_uri.clone().map(ClientKeys::At),
        refreshes: true,
        source: ClientSource::Operator,
    }))
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
        let secret = own.client_secret.as_ref().map(|secret| secret.resolve(&env, &crate::secret::fetch));
        let secret =
            secret.transpose().map_err(|source| DoorError::SignIn { issuer: name.clone(), source })?;
        let proof = secret.map(|secret| ClientProof::Secret(secret.expose().to_owned()));
        let method = proof.is_none().then(|| "none".to_owned());
        let vouches = config.upstreams_enabled().filter_map(|(_, upstream)| upstream.auth.as_ref());
        let mut vouches = vouches.filter_map(config::UpstreamAuth::voucher);
        let vouched = vouches.any(|own| own.issuer == name && own.subject_token.is_none());
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
        "broker" => Allowed::Own,
        "keys" => Allowed::Keys,
        "mtls" => Allowed::Certificate,
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
        let secret = secret.resolve(&env, &crate::secret::fetch);
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

fn certificates(section: &config::Mtls) -> Certificates {
    let accepts = section
        .identities
        .clone()
        .map(|globs| -> Accepts { Arc::new(move |name: &str| globs.iter().any(|glob| glob.matches(name))) });
    Certificates {
        subject: match section.subject {
            CertificateName::SanUri => NameKind::Uri,
            CertificateName::SanDns => NameKind::Dns,
            CertificateName::SanEmail => NameKind::Email,
            CertificateName::Cn => NameKind::Common,
        },
        accepts,
        tenant: section.tenant.clone().unwrap_or_else(|| "default".to_owned()),
        scopes: section.scopes.clone(),
    }
}

/// A request at an endpoint, as it comes in.
#[derive(Clone, Copy)]
pub(crate) struct Knock<'a> {
    pub endpoint: &'a str,
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    /// That of the connection that it came by.
    pub certificate: Option<&'a Arc<Certificate>>,
}

impl Knock<'_> {
    fn presented<'a>(&'a self, base: &'a str) -> Presented<'a> {
        Presented {
            base,
            method: self.method.as_str(),
            path: self.uri.path(),
            query: self.uri.query(),
            headers: self.headers,
            certificate: self.certificate,
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

/// Whether somebody who proves who he is would be let in at an endpoint. Nobody is refused by that.
pub(crate) async fn would_admit(app: &App, generation: &Generation, knock: &Knock<'_>) -> bool {
    let base = base(app, generation, knock.headers);
    let admitted = generation.gate.admit(knock.endpoint, &knock.presented(&base)).await;
    admitted.is_ok_and(|who| who.issuer.is_some())
}

/// What somebody is told who was let in, and was barred before there was an answer.
pub(crate) fn barred(app: &App, generation: &Generation, knock: &Knock<'_>) -> Answer {
    let base = base(app, generation, knock.headers);
    let denied = generation.gate.barred(knock.endpoint, &knock.presented(&base));
    app.metrics.refused(denied.reason.as_str());
    refusal(&denied)
}

/// The answer; where the user signed in longer ago than he may, with a challenge to do it anew, if one can
/// still be given. What it says stays what it is.
pub(crate) fn unless_stale(
    app: &App,
    generation: &Generation,
    knock: &Knock<'_>,
    max_age: Option<&Duration>,
    mut answer: Answer,
) -> Answer {
    let Some(max_age) = max_age else { return answer };
    let base = base(app, generation, knock.headers);
    let denied = generation.gate.stale(knock.endpoint, &knock.presented(&base), *max_age);
    let Some(denied) = denied.filter(|_| !answer::streams(&answer)) else { return answer };
    app.metrics.refused(denied.reason.as_str());
    *answer.status_mut() = denied.status();
    for (name, value) in denied.headers {
        answer.headers_mut().append(name, value);
    }
    answer
}

/// What somebody shows whose case is explained.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// A token or an API key.
    pub token: Option<String>,
    /// A file with a client certificate, and those between it and its authority.
    pub certificate: Option<PathBuf>,
}

/// What a configuration makes of a token or a certificate at an endpoint, step by step; whether there is
/// such an endpoint is not looked at. The gateway's own tokens are known by its ring. Must be called within a
/// tokio runtime.
///
/// # Errors
/// [`DoorError`]
pub async fn explain(
    config: &Config,
    (clock, ring): (Arc<dyn Clock>, Option<Arc<KeyRing>>),
    endpoint: &str,
    shown: &Shown,
    terms: Terms,
) -> Result<Explanation, DoorError> {
    let tokens = ring.as_ref().map(|ring| Arc::new(Tokens::new(Arc::clone(ring))));
    let keys = ring.unwrap_or_else(|| Arc::new(KeyRing::generate(&seal::SystemRng)));
    let dpop = Arc::new(Dpop::new(DpopOptions::default(), keys));
    let (gate, _) = gate(config, &clock, &dpop, tokens, None)?;
    let base = config.auth.url.clone().unwrap_or_else(|| {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", config.listen)
    });
    let certificate = match verified(config, shown, &*clock) {
        Ok(certificate) => certificate,
        Err(found) => {
            let steps = vec![Step { what: "certificate", found, passed: false }];
            return Ok(Explanation { steps, caller: None });
        }
    };
    let mut headers = HeaderMap::new();
    if let Some(token) = &shown.token {
        headers.insert(AUTHORIZATION, authorization(token)?);
    }
    let path = paths(endpoint).swap_remove(0);
    let presented = Presented {
        base: &base,
        method: "POST",
        path: &path,
        query: None,
        headers: &headers,
        certificate: certificate.as_ref(),
    };
    Ok(gate.explain(endpoint, &presented, terms).await)
}

/// The certificate that is shown, if a handshake would take it.
fn verified(config: &Config, shown: &Shown, clock: &dyn Clock) -> Result<Option<Arc<Certificate>>, String> {
    match (&shown.certificate, &config.auth.mtls) {
        (None, _) => Ok(None),
        (Some(_), None) => Err("no client is asked for one: there is no auth.mtls".to_owned()),
        (Some(file), Some(mtls)) => tls::verified(file, &mtls.ca, clock).map(Some),
    }
}

fn authorization(token: &str) -> Result<HeaderValue, DoorError> {
    let scheme = if is_bound(token) { "DPoP" } else { "Bearer" };
    let mut value = HeaderValue::from_str(&format!("{scheme} {token}"))
        .map_err(|_| DoorError::Value("token: it has characters that no header can have".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
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
