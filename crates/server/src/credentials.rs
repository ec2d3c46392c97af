//! By what the gateway proves itself to its upstreams: what the configuration says, as [`identity`] does it.

use std::sync::Arc;

use async_trait::async_trait;
use config::{SecretText, UpstreamAuth};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use identity::{
    Client, ClientProof, EgressFetch, Enterprise, Identity, NoToken, Refused, Service, ServiceOptions,
    Signer, UserProof, Users, UsersOptions, Vault, Vouching,
};
use model::Principal;
use upstream::{Credentials, Next, NoProof, Proof, Why};

use crate::compose::ComposeError;
use crate::consent::{CLIENT, NAME};
use crate::handles::Handles;

/// The gateway's own token for one upstream.
struct OwnToken {
    upstream: String,
    service: Service,
}

impl std::fmt::Debug for OwnToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnToken").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

#[async_trait]
impl Credentials for OwnToken {
    async fn proof(&self, _method: &Method, _url: &Uri) -> Result<Option<Proof>, NoProof> {
        match self.service.token().await {
            Ok(token) => {
                Ok(token.map(|token| Proof { authorization: token.header.clone(), possession: None }))
            }
            Err(error) => {
                let why = if error.may_pass() { Why::Passing } else { Why::Lasting };
                Err(NoProof { why, text: chain(&error) })
            }
        }
    }

    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
        attempt: u32,
    ) -> Next {
        let again = self.service.refused(status, headers, used, attempt);
        tracing::debug!(upstream = self.upstream, %status, again, "the server refuses the gateway's proof");
        if again { Next::Again } else { Next::GiveUp }
    }
}

/// The token of one user for one upstream.
struct UserToken {
    upstream: String,
    users: Arc<Users>,
    principal: Principal,
}

impl std::fmt::Debug for UserToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserToken").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

#[async_trait]
impl Credentials for UserToken {
    async fn proof(&self, method: &Method, url: &Uri) -> Result<Option<Proof>, NoProof> {
        let proof = self.users.proof(&self.principal, (method, url)).await.map_err(|error| {
            let why = match &error {
                NoToken::Consent => Why::Consent,
                NoToken::Service(error) if error.may_pass() => Why::Passing,
                NoToken::Service(_) => Why::Lasting,
            };
            NoProof { why, text: chain(&error) }
        })?;
        Ok(proof.map(|UserProof { authorization, possession }| Proof { authorization, possession }))
    }

    fn answered(&self, headers: &HeaderMap) {
        self.users.answered(&self.principal, headers);
    }

    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
        attempt: u32,
    ) -> Next {
        let next = self.users.refused(&self.principal, status, headers, used, attempt);
        tracing::debug!(upstream = self.upstream, %status, ?next, "the server refuses a user's proof");
        match next {
            Refused::Final => Next::GiveUp,
            Refused::Again => Next::Again,
            Refused::Consent => Next::Consent,
        }
    }
}

/// By what this user proves himself.
pub(crate) fn of_user(upstream: &str, users: &Arc<Users>, principal: &Principal) -> Arc<dyn Credentials> {
    let (upstream, users) = (upstream.to_owned(), Arc::clone(users));
    Arc::new(UserToken { upstream, users, principal: principal.clone() })
}

/// By what the gateway proves itself where only users can: by nothing.
pub(crate) fn of_nobody(upstream: &str, users: &Arc<Users>) -> Arc<dyn Credentials> {
    of_user(upstream, users, &Principal::new("gateway", "gateway"))
}

/// The users of an upstream whose section says that each proves himself. `url` is what clients reach the
/// gateway by, where the operator says so.
pub(crate) fn users(
    upstream: &str,
    section: &UpstreamAuth,
    (server, ca): (&Uri, Option<Vec<u8>>),
    secret: Option<&SecretText>,
    (url, handles, vault): (Option<&str>, &Handles, Arc<dyn Vault>),
    enterprise: Option<Enterprise>,
) -> Result<Arc<Users>, ComposeError> {
    let own_document = url.filter(|url| url.starts_with("https:")).map(|url| format!("{url}{CLIENT}"));
    let proof = secret.map(|secret| client_proof(upstream, section, secret)).transpose()?;
    let registered = (!section.client_id.is_empty()).then(|| Client {
        id: section.client_id.clone(),
        method: proof.is_none().then(|| "none".to_owned()),
        proof,
    });
    let options = UsersOptions {
        upstream: upstream.to_owned(),
        server: server.clone(),
        issuer: section.issuer.clone(),
        identity: Identity {
            registered,
            document: section.client_metadata.clone().or(own_document),
            name: NAME.to_owned(),
        },
        scopes: section.scopes.clone(),
        enterprise,
    };
    let fetch = EgressFetch::new(ca)
        .map_err(|source| ComposeError::Egress { upstream: upstream.to_owned(), source })?;
    let (clock, rng) = (Arc::clone(&handles.clock), Arc::clone(&handles.rng));
    Ok(Users::new(options, Arc::new(fetch), vault, clock, rng))
}

/// The client's secret or private key.
fn client_proof(
    upstream: &str,
    section: &UpstreamAuth,
    secret: &SecretText,
) -> Result<ClientProof, ComposeError> {
    let fault = |fault: String| ComposeError::Credentials { upstream: upstream.to_owned(), fault };
    if section.private_key.is_none() {
        return Ok(ClientProof::Secret(secret.expose().to_owned()));
    }
    let algorithm = identity::algorithm(section.algorithm.as_str());
    let algorithm = algorithm.ok_or_else(|| fault("the algorithm is unknown".to_owned()))?;
    let signer = Signer::from_pem(secret.expose().as_bytes(), algorithm, section.key_id.clone());
    Ok(ClientProof::Key(Arc::new(signer.map_err(|error| fault(error.to_string()))?)))
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

/// What an upstream's section says. `secret` is the client's secret or private key, looked up.
pub(crate) fn credentials(
    upstream: &str,
    section: &UpstreamAuth,
    (url, ca): (&Uri, Option<Vec<u8>>),
    secret: Option<&SecretText>,
    handles: &Handles,
) -> Result<Arc<dyn Credentials>, ComposeError> {
    let fault = |fault: String| ComposeError::Credentials { upstream: upstream.to_owned(), fault };
    let proof = match (&section.workload_token, secret) {
        (Some(token), _) => {
            let token = token.clone();
            ClientProof::Workload(Arc::new(move || {
                let env = |name: &str| std::env::var(name).ok();
                let found = token.resolve(&env, &crate::secret::fetch);
                found.map(|text| text.expose().trim().to_owned()).map_err(|error| error.to_string())
            }))
        }
        (None, Some(secret)) => client_proof(upstream, section, secret)?,
        (None, None) => return Err(fault("there is nothing to prove it by".to_owned())),
    };
    let options = ServiceOptions {
        server: url.clone(),
        issuer: section.issuer.clone(),
        client_id: section.client_id.clone(),
        proof,
        scopes: section.scopes.clone(),
    };
    let fetch = EgressFetch::new(ca)
        .map_err(|source| ComposeError::Egress { upstream: upstream.to_owned(), source })?;
    let (clock, rng) = (Arc::clone(&handles.clock), Arc::clone(&handles.rng));
    let service = Service::new(options, Arc::new(fetch), clock, rng);
    Ok(Arc::new(OwnToken { upstream: upstream.to_owned(), service }))
}

/// The identity provider that vouches for the users of an upstream. `known` is the issuer that its section
/// names, with its own section.
pub(crate) fn enterprise(
    upstream: &str,
    section: &UpstreamAuth,
    known: Option<&(config::Issuer, Arc<identity::Issuer>)>,
) -> Result<Option<Enterprise>, ComposeError> {
    let Some(own) = section.voucher() else { return Ok(None) };
    let fault = |fault: String| ComposeError::Credentials { upstream: upstream.to_owned(), fault };
    let (issuer, at) = known.ok_or_else(|| fault(format!("there is no issuer {}", own.issuer)))?;
    let env = |name: &str| std::env::var(name).ok();
    let sign_in = issuer.sign_in.as_ref();
    let (id, secret) = match own.client_id {
        Some(id) => (id.to_owned(), own.client_secret),
        None => (
            sign_in.map(|sign_in| sign_in.client_id.clone()).unwrap_or_default(),
            sign_in.and_then(|sign_in| sign_in.client_secret.as_ref()),
        ),
    };
    let secret = secret.map(|secret| secret.resolve(&env, &crate::secret::fetch));
    let secret = secret.transpose().map_err(|error| fault(format!("{}.client_secret: {error}", own.key)))?;
    let proof = secret.map(|secret| ClientProof::Secret(secret.expose().to_owned()));
    let method = proof.is_none().then(|| "none".to_owned());
    let subject = own.subject_token.cloned().map(|token| -> identity::SubjectToken {
        Arc::new(move || {
            let env = |name: &str| std::env::var(name).ok();
            let found = token.resolve(&env, &crate::secret::fetch);
            found.map(|text| text.expose().trim().to_owned()).map_err(|error| error.to_string())
        })
    });
    let exchange = section.exchange.as_ref().filter(|_| section.enterprise.is_none());
    let vouching =
        exchange.map_or(Vouching::Assertion, |own| Vouching::Token { audience: own.audience.clone() });
    let client = Client { id, proof, method };
    Ok(Some(Enterprise { issuer: Arc::clone(at), vouching, client, subject }))
}
