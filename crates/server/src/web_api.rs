//! Upstreams that are web APIs: from the configuration to what the connector is told.

use std::sync::Arc;

use config::{OpenApi, SecretText};
use http::{HeaderName, HeaderValue, Uri};
use upstream::{Api, ApiOptions, DocumentAt};

use crate::compose::ComposeError;

/// The web API of a section, whose document is read later: what is wrong with it is no reason to do without
/// the other upstreams.
pub(crate) fn api(
    name: &str,
    section: &OpenApi,
    headers: &[(HeaderName, HeaderValue)],
    credentials: &[(String, SecretText)],
    proves: bool,
) -> Result<Arc<Api>, ComposeError> {
    let url = |url: &str| -> Result<Uri, ComposeError> {
        url.parse().map_err(|source| ComposeError::Url { upstream: name.to_owned(), source })
    };
    let document = match section.is_url() {
        true => DocumentAt::Url(url(&section.document)?),
        false => DocumentAt::File(section.document.clone().into()),
    };
    let choice = section.clone();
    Ok(Api::new(ApiOptions {
        document,
        server: section.server.as_deref().map(url).transpose()?,
        select: Arc::new(move |view| choice.selects(view.operation_id, view.method, view.path, view.tags)),
        outputs: section.outputs,
        refresh: section.refresh().duration(),
        headers: headers.to_vec(),
        keys: credentials.iter().map(|(name, key)| (name.clone(), key.expose().to_owned())).collect(),
        proves,
    }))
}

/// Where an upstream is, to which tokens are sent: the URL of the server or of the API.
pub(crate) fn place(section: &config::Upstream) -> Option<&str> {
    let api = section.openapi.as_ref().and_then(|section| section.server.as_deref());
    section.url.as_deref().or(api)
}
