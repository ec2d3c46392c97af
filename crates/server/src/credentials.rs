//! By what the gateway proves itself to its upstreams: what the configuration says, as [`identity`] does it.

use std::sync::Arc;

use async_trait::async_trait;
use config::{SecretText, UpstreamAuth};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use identity::{ClientProof, EgressFetch, Service, ServiceOptions, Signer};
use upstream::{Credentials, NoProof};

use crate::compose::ComposeError;
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
    async fn proof(&self) -> Result<Option<HeaderValue>, NoProof> {
        match self.service.token().await {
            Ok(token) => Ok(token.map(|token| token.header.clone())),
            Err(error) => Err(NoProof { may_pass: error.may_pass(), text: chain(&error) }),
        }
    }

    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
        attempt: u32,
    ) -> bool {
        let again = self.service.refused(status, headers, used, attempt);
        tracing::debug!(upstream = self.upstream, %status, again, "the server refuses the gateway's proof");
        again
    }
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
                let found = token.resolve(&env, &|path| std::fs::read(path));
                found.map(|text| text.expose().trim().to_owned()).map_err(|error| error.to_string())
            }))
        }
        (None, Some(secret)) if section.private_key.is_some() => {
            let algorithm = identity::algorithm(section.algorithm.as_str());
            let algorithm = algorithm.ok_or_else(|| fault("the algorithm is unknown".to_owned()))?;
            let signer = Signer::from_pem(secret.expose().as_bytes(), algorithm, section.key_id.clone());
            ClientProof::Key(Arc::new(signer.map_err(|error| fault(error.to_string()))?))
        }
        (None, Some(secret)) => ClientProof::Secret(secret.expose().to_owned()),
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
