//! The one place where a request becomes a caller, or is denied.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use model::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::barred::Barred;
use crate::broker::Tokens;
use crate::caller::Caller;
use crate::certificate::{Certificate, Certificates, MTLS};
use crate::denied::{Challenge, Denied, Reason};
use crate::dpop::{Dpop, DpopError, ProofOf};
use crate::explain::{Explanation, Terms, Told};
use crate::introspection;
use crate::issuer::{Issuer, IssuerError};
use crate::jose::{Claims, JoseError, Jws, TOKEN_BYTES_MAX};
use crate::keys::ApiKeys;
use crate::seen::Seen;
use crate::token::{TokenError, TokenRules, check_claims, check_kind};

/// Tokens that were found good and are remembered for a moment.
const KNOWN_MAX: u64 = 50_000;
/// For so long, at most. A key that its issuer withdraws is believed as long.
const KNOWN: Duration = Duration::from_secs(60);
/// The same for a token about which its issuer was asked.
const ASKED: Duration = Duration::from_secs(30);
/// For so long a token is bad that its issuer does not know.
const REFUSED: Duration = Duration::from_secs(5);
/// Questions to issuers at a time: whoever floods the gateway with tokens floods nobody else.
const ASKING_MAX: usize = 16;
/// Where a proof of possession travels.
const DPOP: HeaderName = HeaderName::from_static("dpop");
/// Where a nonce for the next one travels.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What somebody is told who is barred.
const LOST: &str = "the user was disabled, or has lost this grant";

/// By what somebody may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// By a token of this issuer.
    Issuer(String),
    /// By a token of the gateway's own authorization server.
    Own,
    /// By an API key.
    Keys,
    /// By a client certificate.
    Certificate,
    /// By nothing.
    Anonymous,
}

/// What is made of proofs of possession.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Possession {
    /// A token that is bound to a key needs one; others need none.
    #[default]
    Taken,
    /// Nobody comes in by a token alone.
    Required,
}

/// Who may come in at an endpoint.
#[derive(Debug, Clone, Default)]
pub struct EndpointRules {
    /// The paths that it is reached by. With what the gateway is reached by before them, they are what tokens
    /// for it are for. The first one is its name.
    pub paths: Vec<String>,
    /// By what somebody may come in. Nothing: nobody does.
    pub allow: Vec<Allowed>,
    /// What every token must grant.
    pub scopes: Vec<String>,
    /// What is made of proofs of possession.
    pub possession: Possession,
}

/// What all endpoints have in common.
pub struct GateOptions {
    /// How far the clocks of issuers may be apart from ours.
    pub skew: Duration,
    /// Issuers that are trusted somewhere.
    pub issuers: Vec<Arc<Issuer>>,
    /// What knows tokens of the gateway's own authorization server; `None`: there is none.
    pub tokens: Option<Arc<Tokens>>,
    /// API keys.
    pub keys: ApiKeys,
    /// Who holders of client certificates are; `None`: no connection has one.
    pub certificates: Option<Certificates>,
    /// Rules, by the endpoint's name.
    pub endpoints: HashMap<String, EndpointRules>,
}

/// What of a request somebody proves himself by.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// What clients reach the gateway by, without a path: `https://gw.example`. Never what a request says
    /// of that alone.
    pub base: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its path.
    pub path: &'a str,
    /// What follows its path.
    pub query: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The client certificate of the connection that it came by. Never what a request says of that.
    pub certificate: Option<&'a Arc<Certificate>>,
}

/// A token that was found good.
#[derive(Clone)]
struct Known {
    caller: Arc<Caller>,
    until: Timestamp,
}

/// The gate.
pub struct Gate {
    options: GateOptions,
    barred: Arc<Barred>,
    seen: Arc<Seen>,
    dpop: Arc<Dpop>,
    clock: Arc<dyn Clock>,
    anonymous: Arc<Caller>,
    known: moka::sync::Cache<([u8; 32], String), Known>,
    /// Tokens that their issuers do not know, and why they are refused.
    refused: moka::sync::Cache<([u8; 32], String), String>,
    /// Tokens that are asked about right now: whoever comes with the same one waits for that answer.
    asking: Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
    turns: Semaphore,
}

/// How a token was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

impl Gate {
    /// A gate. `dpop` remembers proofs, also when rules change.
    #[must_use]
    pub fn new(options: GateOptions, dpop: Arc<Dpop>, clock: Arc<dyn Clock>) -> Self {
        let known = moka::sync::Cache::builder().max_capacity(KNOWN_MAX).time_to_live(KNOWN).build();
        let refused = moka::sync::Cache::builder().max_capacity(KNOWN_MAX).time_to_live(REFUSED).build();
        let (asking, turns) = (Mutex::default(), Semaphore::new(ASKING_MAX));
        let anonymous = Arc::new(Caller::anonymous());
        let (barred, seen) = (Arc::new(Barred::new(Arc::clone(&clock))), Arc::default());
        Self { options, barred, seen, dpop, clock, anonymous, known, refused, asking, turns }
    }

    /// The same, which asks with everybody whether he is barred.
    #[must_use]
    pub fn barring(self, barred: Arc<Barred>) -> Self {
        Self { barred, ..self }
    }

    /// The same, which remembers for a moment whom it let in by a token.
    #[must_use]
    pub fn seeing(self, seen: Arc<Seen>) -> Self {
        Self { seen, ..self }
    }

    /// Lets somebody in, or says why not.
    ///
    /// # Errors
    /// [`Denied`]
    pub async fn admit(&self, endpoint: &str, presented: &Presented<'_>) -> Result<Arc<Caller>, Denied> {
        self.decide(endpoint, presented, &mut Told::default()).await
    }

    /// The same decision, told step by step. A token that is bound to a key needs no proof here, as whoever
    /// asks has none. Keys of issuers are fetched where they are not known; a token goes nowhere, but as the
    /// terms say.
    pub async fn explain(&self, endpoint: &str, presented: &Presented<'_>, terms: Terms) -> Explanation {
        let mut told = Told::all();
        let rules = self.options.endpoints.get(endpoint);
        let mut issuers = rules.into_iter().flat_map(|rules| self.issuers(rules));
        let opaque = !terms.ask
            && issuers.any(|issuer| issuer.options.introspection.is_some())
            && matches!(credentials(presented), Ok(Some((_, token)))
                if !ApiKeys::is_key(token) && Jws::parse(token).is_err());
        if opaque {
            let found = "it says nothing itself, and its issuer was not to be asked";
            told.failed("token", found);
            return Explanation { steps: told.steps(), caller: None };
        }
        let decided = self.decide(endpoint, presented, &mut told).await;
        let caller = match decided {
            Ok(caller) => Some((*caller).clone()),
            Err(denied) => {
                told.failed("decision", &denied.text);
                None
            }
        };
        Explanation { steps: told.steps(), caller }
    }

    /// What a client finds at the endpoint's well-known place (RFC 9728); `None` where nobody comes in by a
    /// token.
    #[must_use]
    pub fn metadata(&self, endpoint: &str, base: &str, path: &str) -> Option<Value> {
        let rules = self.options.endpoints.get(endpoint)?;
        let own = self.own_tokens(rules).map(|_| base);
        let others = self.issuers(rules).map(|issuer| issuer.options.issuer.as_str());
        let servers: Vec<&str> = own.into_iter().chain(others).collect();
        if servers.is_empty() {
            return None;
        }
        let mut document = json!({
            "resource": format!("{base}{path}"),
            "authorization_servers": servers,
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": self.dpop.algorithms().split(' ').collect::<Vec<_>>(),
        });
        if !rules.scopes.is_empty() {
            document["scopes_supported"] = json!(rules.scopes);
        }
        if self.options.certificates.is_some() {
            document["tls_client_certificate_bound_access_tokens"] = json!(true);
        }
        if rules.possession == Possession::Required {
            document["dpop_bound_access_tokens_required"] = json!(true);
        }
        Some(document)
    }

    /// The answer to a caller whose token does not grant what an operation needs: all of these.
    #[must_use]
    pub fn insufficient(&self, endpoint: &str, presented: &Presented<'_>, scopes: &[String]) -> Denied {
        let place = metadata_place(presented);
        let possession = self.options.endpoints.get(endpoint).map(|rules| rules.possession);
        let algorithms = self.dpop.algorithms();
        let required = possession == Some(Possession::Required);
        let challenge = Challenge {
            metadata: Some(&place),
            scopes,
            dpop: required.then_some(algorithms.as_str()),
            bearer: !required,
            max_age: None,
        };
        challenge.deny(Reason::Scope, "the token does not grant what this needs")
    }

    /// The answer to a caller who was barred after he was let in.
    #[must_use]
    pub fn barred(&self, endpoint: &str, presented: &Presented<'_>) -> Denied {
        let nobody = EndpointRules::default();
        let rules = self.options.endpoints.get(endpoint).unwrap_or(&nobody);
        self.deny(rules, presented, Reason::BadToken, LOST.to_owned())
    }

    /// The challenge to a caller who signed in too long ago for what he asks (RFC 9470); `None`: nobody's
    /// tokens are taken at this endpoint.
    #[must_use]
    pub fn stale(&self, endpoint: &str, presented: &Presented<'_>, max_age: Duration) -> Option<Denied> {
        let rules = self.options.endpoints.get(endpoint)?;
        let has_issuers = self.own_tokens(rules).is_some() || self.issuers(rules).next().is_some();
        let (place, algorithms) = (metadata_place(presented), self.dpop.algorithms());
        let challenge = Challenge {
            metadata: Some(&place),
            scopes: &rules.scopes,
            dpop: Some(&algorithms),
            bearer: rules.possession != Possession::Required,
            max_age: Some(max_age),
        };
        has_issuers.then(|| challenge.deny(Reason::Stale, "a more recent sign-in is required"))
    }

    /// What knows the gateway's own tokens, where they are taken.
    fn own_tokens(&self, rules: &EndpointRules) -> Option<&Arc<Tokens>> {
        self.options.tokens.as_ref().filter(|_| rules.allow.contains(&Allowed::Own))
    }

    fn issuers<'a>(&'a self, rules: &'a EndpointRules) -> impl Iterator<Item = &'a Arc<Issuer>> {
        rules.allow.iter().filter_map(|allowed| match allowed {
            Allowed::Issuer(name) => self.options.issuers.iter().find(|issuer| issuer.options.name == *name),
            _ => None,
        })
    }

    /// Whether a caller who was let in would be let in by the rules as they are now, had he come with the
    /// same. For streams that outlive a configuration.
    #[must_use]
    pub fn still(&self, endpoint: &str, caller: &Caller) -> bool {
        let Some(rules) = self.options.endpoints.get(endpoint) else { return false };
        let way = match caller.issuer.as_deref() {
            _ if caller.grant.is_some() => Allowed::Own,
            None => Allowed::Anonymous,
            Some("keys") => Allowed::Keys,
            Some(MTLS) => Allowed::Certificate,
            Some(name) => Allowed::Issuer(name.to_owned()),
        };
        let known = match &way {
            Allowed::Anonymous => true,
            Allowed::Own => self.own_tokens(rules).is_some(),
            Allowed::Keys => self.options.keys.has(&caller.fingerprint),
            Allowed::Certificate => self.by_certificate(caller.certificate.as_ref()).as_ref() == Some(caller),
            Allowed::Issuer(name) => self.issuers(rules).any(|issuer| issuer.options.name == *name),
        };
        let anybody = rules.allow.iter().all(|way| *way == Allowed::Anonymous);
        let proved = rules.possession != Possession::Required
            || caller.key.is_some()
            || matches!(way, Allowed::Keys | Allowed::Certificate);
        let granted = way == Allowed::Anonymous || caller.lacks(&rules.scopes).is_empty();
        let open = caller.expires.is_none_or(|expires| self.clock.now() < expires.plus(self.options.skew));
        open && known
            && !self.barred.refuses(caller)
            && ((rules.allow.contains(&way) && proved && granted) || (anybody && !rules.allow.is_empty()))
    }

    async fn decide(
        &self,
        endpoint: &str,
        presented: &Presented<'_>,
        told: &mut Told,
    ) -> Result<Arc<Caller>, Denied> {
        let nobody = EndpointRules::default();
        let rules = self.options.endpoints.get(endpoint).unwrap_or(&nobody);
        let deny = |reason, text: String| self.deny(rules, presented, reason, text);
        if rules.allow.iter().all(|allowed| *allowed == Allowed::Anonymous) && !rules.allow.is_empty() {
            told.passed("endpoint", || "anybody is let in, whatever he proves".to_owned());
            return Ok(Arc::clone(&self.anonymous));
        }
        let sent = match credentials(presented) {
            Ok(Some(sent)) => sent,
            Ok(None) => {
                let found = self.by_connection(rules, presented, told);
                let caller = found.map_err(|(reason, text)| deny(reason, text))?;
                return self.granted(rules, presented, caller, told);
            }
            Err((reason, text)) => return Err(deny(reason, text.to_owned())),
        };
        told.passed("credentials", || format!("{:?}", sent.0));
        let caller = if ApiKeys::is_key(sent.1) {
            self.by_key(rules, endpoint, sent, told).map_err(|text| deny(Reason::BadToken, text))?
        } else {
            let found = self.by_token(rules, (endpoint, presented.base), sent.1, told).await;
            let caller = found.map_err(|(reason, text)| deny(reason, text))?;
            let unproved = told.is_wanted()
                && (caller.key.is_some() && !presented.headers.contains_key(&DPOP)
                    || caller.bound_certificate.is_some() && presented.certificate.is_none());
            if !unproved && let Err(error) = self.possession(rules, &caller, sent, presented) {
                return Err(self.no_proof(rules, presented, &error));
            }
            told.passed("possession", || possession_in_words(&caller, unproved));
            caller
        };
        // Also where he was let in a moment ago by the same.
        if self.barred.refuses(&caller) {
            return Err(deny(Reason::BadToken, LOST.to_owned()));
        }
        self.granted(rules, presented, caller, told)
    }

    /// Whether somebody who was found may do anything here.
    fn granted(
        &self,
        rules: &EndpointRules,
        presented: &Presented<'_>,
        caller: Arc<Caller>,
        told: &mut Told,
    ) -> Result<Arc<Caller>, Denied> {
        // Nobody in particular was granted nothing.
        if caller.issuer.is_none() {
            return Ok(caller);
        }
        let lacks = caller.lacks(&rules.scopes);
        if !lacks.is_empty() {
            let what = if caller.certificate.is_some() { "certificate" } else { "token" };
            let text = format!("the {what} does not grant {}", lacks.join(" "));
            return Err(self.deny(rules, presented, Reason::Scope, text));
        }
        told.passed("scopes", || format!("{:?}", caller.scopes));
        Ok(caller)
    }

    fn deny(&self, rules: &EndpointRules, presented: &Presented<'_>, reason: Reason, text: String) -> Denied {
        let has_issuers = self.own_tokens(rules).is_some() || self.issuers(rules).next().is_some();
        let (place, algorithms) = (metadata_place(presented), self.dpop.algorithms());
        let challenge = Challenge {
            metadata: has_issuers.then_some(place.as_str()),
            scopes: &rules.scopes,
            dpop: has_issuers.then_some(algorithms.as_str()),
            bearer: rules.possession != Possession::Required,
            max_age: None,
        };
        challenge.deny(reason, text)
    }

    /// Who sends nothing is known by the certificate of his connection, or is nobody in particular.
    fn by_connection(
        &self,
        rules: &EndpointRules,
        presented: &Presented<'_>,
        told: &mut Told,
    ) -> Result<Arc<Caller>, (Reason, String)> {
        let own = self.options.certificates.as_ref().filter(|_| rules.allow.contains(&Allowed::Certificate));
        if let (Some(own), Some(certificate)) = (own, presented.certificate) {
            let caller = own.caller(certificate, self.clock.now());
            let caller = caller.map_err(|error| (Reason::BadCertificate, error.to_string()))?;
            told.passed("certificate", || caller.principal.to_string());
            return Ok(Arc::new(caller));
        }
        if rules.allow.contains(&Allowed::Anonymous) {
            told.passed("endpoint", || "who proves nothing is let in as nobody in particular".to_owned());
            return Ok(Arc::clone(&self.anonymous));
        }
        Err((Reason::NoCredentials, "this endpoint asks who calls".to_owned()))
    }

    fn by_certificate(&self, certificate: Option<&Arc<Certificate>>) -> Option<Caller> {
        self.options.certificates.as_ref()?.caller(certificate?, self.clock.now()).ok()
    }

    fn by_key(
        &self,
        rules: &EndpointRules,
        endpoint: &str,
        (scheme, key): (Scheme, &str),
        told: &mut Told,
    ) -> Result<Arc<Caller>, String> {
        if !rules.allow.contains(&Allowed::Keys) {
            return Err("API keys are not taken at this endpoint".to_owned());
        }
        if scheme != Scheme::Bearer {
            return Err("an API key is a bearer token".to_owned());
        }
        let found = self.options.keys.caller(key, endpoint, self.clock.now());
        let caller = found.map_err(|error| error.to_string())?;
        told.passed("API key", || caller.principal.to_string());
        Ok(Arc::new(caller))
    }

    async fn by_token(
        &self,
        rules: &EndpointRules,
        (endpoint, base): (&str, &str),
        token: &str,
        told: &mut Told,
    ) -> Result<Arc<Caller>, (Reason, String)> {
        let resources: Vec<String> = rules.paths.iter().map(|path| format!("{base}{path}")).collect();
        let (now, fingerprint) = (self.clock.now(), seal::sha256(token.as_bytes()));
        let name = (fingerprint, endpoint.to_owned());
        if let Some(known) = self.known.get(&name).filter(|known| now < known.until) {
            told.passed("token", || "it was found good a moment ago".to_owned());
            return Ok(known.caller);
        }
        let bad = |error: TokenError| (Reason::BadToken, error.to_string());
        let (caller, time) = match Jws::parse(token) {
            Ok(jws) => (self.by_jwt((rules, &resources, base), &jws, told).await?, KNOWN),
            // One that is not signed at all may still be known to its issuer.
            Err(JoseError::NotSigned) if self.issuers(rules).any(|it| it.options.introspection.is_some()) => {
                let turn = Turn::take(self, fingerprint);
                let _one = turn.lock.lock().await;
                if let Some(known) = self.known.get(&name).filter(|known| now < known.until) {
                    return Ok(known.caller);
                }
                if let Some(text) = self.refused.get(&name) {
                    return Err((Reason::BadToken, text));
                }
                let asked = self.by_asking((rules, &resources), token, told).await;
                if let Err((Reason::BadToken, text)) = &asked {
                    self.refused.insert(name.clone(), text.clone());
                }
                (asked?, ASKED)
            }
            Err(error) => return Err(bad(error.into())),
        };
        let caller = Arc::new(Caller { fingerprint, ..caller });
        let expires = caller.expires.map_or(now, |expires| expires.plus(self.options.skew));
        let known = Known { caller: Arc::clone(&caller), until: now.plus(time).min(expires) };
        self.known.insert(name, known);
        // Here and not with each request, which is often enough.
        self.seen.saw(&caller);
        Ok(caller)
    }

    async fn by_jwt(
        &self,
        (rules, resources, base): (&EndpointRules, &[String], &str),
        jws: &Jws<'_>,
        told: &mut Told,
    ) -> Result<Caller, (Reason, String)> {
        let bad = |error: TokenError| (Reason::BadToken, error.to_string());
        let claims = jws.claims().map_err(|error| bad(error.into()))?;
        let named = claims.get("iss").and_then(Value::as_str);
        if let Some(tokens) = self.own_tokens(rules).filter(|_| named == Some(base)) {
            return self.by_own((tokens, resources), jws, &claims, told).map_err(bad);
        }
        let issuer = self.issuers(rules).find(|issuer| Some(issuer.options.issuer.as_str()) == named);
        let issuer = issuer.ok_or_else(|| bad(TokenError::Issuer))?;
        let options = &issuer.options;
        told.passed("issuer", || format!("{} ({})", options.issuer, options.name));
        if !options.algorithms.contains(&jws.algorithm) {
            return Err(bad(TokenError::Algorithm));
        }
        check_kind(jws, &claims, options.typed).map_err(bad)?;
        told.passed("kind", || format!("{:?}, {}", jws.algorithm, jws.typ.as_deref().unwrap_or("untyped")));
        match issuer.has_signed(jws).await {
            Ok(true) => told.passed("signature", || jws.kid.clone().unwrap_or_else(|| "no kid".to_owned())),
            Ok(false) => return Err(bad(TokenError::Signature)),
            Err(error @ IssuerError::UnknownKey) => return Err((Reason::BadToken, error.to_string())),
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "a caller could not be let in");
                return Err((
                    Reason::Unavailable,
                    "the issuer's keys cannot be had now; try again".to_owned(),
                ));
            }
        }
        self.checked(resources, issuer, &claims, told)
    }

    /// A token of the gateway's own.
    fn by_own(
        &self,
        (tokens, resources): (&Tokens, &[String]),
        jws: &Jws<'_>,
        claims: &Claims,
        told: &mut Told,
    ) -> Result<Caller, TokenError> {
        told.passed("issuer", || "the gateway itself".to_owned());
        check_kind(jws, claims, true)?;
        told.passed("kind", || format!("{:?}, {}", jws.algorithm, jws.typ.as_deref().unwrap_or("untyped")));
        if !tokens.has_signed(jws, self.clock.now()) {
            return Err(TokenError::Signature);
        }
        told.passed("signature", || jws.kid.clone().unwrap_or_default());
        let held = TokenRules {
            audiences: resources,
            also: &[],
            algorithms: &[jws.algorithm],
            // Its issuer's clock is that of a replica.
            skew: self.options.skew,
            typed: true,
        };
        let expires = check_claims(claims, &held, self.clock.now())?;
        told.passed("audience", || claims.get("aud").map(Value::to_string).unwrap_or_default());
        told.passed("time", || format!("until {}", seal::time_to_text(expires)));
        let caller = Tokens::caller(claims)?;
        told.passed("mapping", || format!("{} ({})", caller.principal, caller.kind.as_str()));
        let (key, bound_certificate) = bound_to(claims)?;
        Ok(Caller { expires: Some(expires), key, bound_certificate, ..caller })
    }

    /// What a token says that is good by itself.
    fn checked(
        &self,
        resources: &[String],
        issuer: &Issuer,
        claims: &Claims,
        told: &mut Told,
    ) -> Result<Caller, (Reason, String)> {
        let options = &issuer.options;
        let held = TokenRules {
            audiences: resources,
            also: &options.audiences,
            algorithms: &options.algorithms,
            skew: self.options.skew,
            typed: options.typed,
        };
        let expires = check_claims(claims, &held, self.clock.now());
        let expires = expires.map_err(|error| (Reason::BadToken, error.to_string()))?;
        told.passed("audience", || claims.get("aud").map(Value::to_string).unwrap_or_default());
        told.passed("time", || format!("until {}", seal::time_to_text(expires)));
        let mapped = options.mapping.caller(&options.name, claims);
        let caller = mapped.map_err(|error| (Reason::BadToken, error.to_string()))?;
        told.passed("mapping", || format!("{} ({})", caller.principal, caller.kind.as_str()));
        let (key, bound_certificate) =
            bound_to(claims).map_err(|error| (Reason::BadToken, error.to_string()))?;
        Ok(Caller { expires: Some(expires), key, bound_certificate, ..caller })
    }

    async fn by_asking(
        &self,
        (rules, resources): (&EndpointRules, &[String]),
        token: &str,
        told: &mut Told,
    ) -> Result<Caller, (Reason, String)> {
        // It is closed by nobody.
        let _turn = self.turns.acquire().await;
        for issuer in self.issuers(rules) {
            let Some(own) = &issuer.options.introspection else { continue };
            let asked = async {
                let place = match &own.url {
                    Some(url) => (url.clone(), true),
                    None => {
                        let metadata = issuer.metadata().await?;
                        let url = metadata.url("introspection_endpoint")?;
                        let is_own = metadata.is_own(&url);
                        (url, is_own)
                    }
                };
                introspection::ask(issuer.fetch(), place, own, token).await
            };
            match asked.await {
                Ok(Some(mut claims)) => {
                    // A client's own token has no user; it is its own subject (RFC 9068, section 2.2). Where
                    // there is a user who is only not named by `sub`, all users of a client would be one.
                    let nobody = !claims.contains_key("sub") && !claims.contains_key("username");
                    if let Some(client) = claims.get("client_id").filter(|_| nobody).cloned() {
                        claims.insert("sub".to_owned(), client);
                    }
                    let named = claims.get("iss").and_then(Value::as_str);
                    if named.is_some_and(|named| named != issuer.options.issuer) {
                        continue;
                    }
                    told.passed("introspection", || format!("active, says {}", issuer.options.name));
                    return self.checked(resources, issuer, &claims, told);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn Error, "a caller could not be let in");
                    let text = "the issuer cannot be asked about the token now; try again";
                    return Err((Reason::Unavailable, text.to_owned()));
                }
            }
        }
        Err((Reason::BadToken, TokenError::Inactive.to_string()))
    }

    fn possession(
        &self,
        rules: &EndpointRules,
        caller: &Caller,
        (scheme, token): (Scheme, &str),
        presented: &Presented<'_>,
    ) -> Result<(), ProofError> {
        if let Some(thumbprint) = &caller.bound_certificate {
            let now = self.clock.now();
            let own = presented.certificate.filter(|own| now < own.expires());
            if own.is_none_or(|own| own.thumbprint() != thumbprint) {
                return Err(ProofError::Certificate);
            }
        }
        let bound = caller.key.as_ref();
        let key = match (scheme, bound) {
            // A token that was bound to a key by its issuer and is sent like any other was taken from
            // somebody.
            (Scheme::Bearer, Some(_)) => return Err(ProofError::Missing),
            (Scheme::Bearer, None) if rules.possession == Possession::Required => {
                return Err(ProofError::Unbound);
            }
            (Scheme::Bearer, None) => return Ok(()),
            (Scheme::Dpop, None) => return Err(ProofError::Unbound),
            (Scheme::Dpop, Some(key)) => key,
        };
        let mut proofs = presented.headers.get_all(&DPOP).iter();
        let (Some(proof), None) = (proofs.next(), proofs.next()) else { return Err(ProofError::Missing) };
        let proof = proof.to_str().map_err(|_| ProofError::Missing)?;
        let url = format!("{}{}", presented.base, presented.path);
        let of = ProofOf { method: presented.method, url: &url, token: Some(token) };
        let proved = self.dpop.check(proof, &of, self.clock.now())?;
        if proved == *key { Ok(()) } else { Err(ProofError::OtherKey) }
    }

    fn no_proof(&self, rules: &EndpointRules, presented: &Presented<'_>, error: &ProofError) -> Denied {
        let reason = match error {
            ProofError::Proof(DpopError::Nonce) => Reason::Nonce,
            ProofError::Proof(DpopError::Full) => Reason::Unavailable,
            // RFC 8705, section 3.
            ProofError::Unbound | ProofError::Certificate => Reason::BadToken,
            _ => Reason::BadProof,
        };
        let mut denied = self.deny(rules, presented, reason, error.to_string());
        if (self.dpop.wants_nonces() || reason == Reason::Nonce)
            && let Ok(nonce) = self.dpop.nonce(self.clock.now()).parse()
        {
            denied.headers.push((DPOP_NONCE, nonce));
        }
        denied
    }
}

/// The right to ask about one token, forgotten once nobody wants it.
struct Turn<'a> {
    gate: &'a Gate,
    fingerprint: [u8; 32],
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> Turn<'a> {
    fn take(gate: &'a Gate, fingerprint: [u8; 32]) -> Self {
        let mut all = gate.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(all.entry(fingerprint).or_default());
        Self { gate, fingerprint, lock }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut all = self.gate.asking.lock().unwrap_or_else(PoisonError::into_inner);
        // In the map, and here.
        if Arc::strong_count(&self.lock) <= 2 {
            all.remove(&self.fingerprint);
        }
    }
}

/// Where the metadata of an endpoint is (RFC 9728, section 3.1).
fn metadata_place(presented: &Presented<'_>) -> String {
    let Presented { base, path, .. } = presented;
    // Clients of HTTP+SSE know an endpoint by where they listen.
    match path.strip_suffix("messages") {
        Some(start) => format!("{base}/.well-known/oauth-protected-resource{start}sse"),
        None => format!("{base}/.well-known/oauth-protected-resource{path}"),
    }
}

/// Why possession is not proved.
#[derive(Debug, thiserror::Error)]
enum ProofError {
    #[error("the token is bound to a key: send it as DPoP, with one proof")]
    Missing,
    #[error("the token is bound to no key; here one must be")]
    Unbound,
    #[error("the proof is by another key than the token is bound to")]
    OtherKey,
    #[error("the token is bound to a certificate, by which the connection was not made")]
    Certificate,
    #[error(transparent)]
    Proof(#[from] DpopError),
}

/// What a request proves its sender by.
fn credentials<'a>(presented: &Presented<'a>) -> Result<Option<(Scheme, &'a str)>, (Reason, &'static str)> {
    let in_query =
        |query: &str| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token");
    if presented.query.is_some_and(in_query) {
        return Err((Reason::BadRequest, "a token does not belong into a URL; send it as a header"));
    }
    let mut values = presented.headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => {
            return Err((Reason::BadRequest, "there is more than one Authorization header"));
        }
    };
    let form = (Reason::BadRequest, "expected one token in the Authorization header");
    let text = value.to_str().map_err(|_| form)?;
    let (scheme, token) = text.split_once(' ').ok_or(form)?;
    let token = token.trim();
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || token.contains([' ', ',']) {
        return Err(form);
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some((Scheme::Bearer, token)))
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Ok(Some((Scheme::Dpop, token)))
    } else {
        Err((Reason::NoCredentials, "expected the scheme Bearer or DPoP"))
    }
}

/// The key and the certificate that a token is bound to (RFC 7800; RFC 9449, section 6; RFC 8705, section
/// 3.1). One that is bound to something else could not be checked, and is not good.
fn bound_to(claims: &Claims) -> Result<(Option<String>, Option<String>), TokenError> {
    let Some(confirmation) = claims.get("cnf") else { return Ok((None, None)) };
    let bad = TokenError::Form("cnf");
    let members = confirmation.as_object().filter(|members| !members.is_empty()).ok_or(bad.clone())?;
    let (mut key, mut certificate) = (None, None);
    for (name, value) in members {
        let place = match name.as_str() {
            "jkt" => &mut key,
            "x5t#S256" => &mut certificate,
            _ => return Err(bad),
        };
        *place = Some(value.as_str().ok_or(bad.clone())?.to_owned());
    }
    Ok((key, certificate))
}

fn possession_in_words(caller: &Caller, unproved: bool) -> String {
    let bound = [
        caller.key.as_ref().map(|key| format!("the key {key}")),
        caller.bound_certificate.as_ref().map(|own| format!("the certificate {own}")),
    ];
    let bound: Vec<String> = bound.into_iter().flatten().collect();
    match bound.join(" and ") {
        none if none.is_empty() => "the token is bound to no key".to_owned(),
        bound if unproved => format!("a request needs a proof by {bound}"),
        bound => format!("proved, by {bound}"),
    }
}
