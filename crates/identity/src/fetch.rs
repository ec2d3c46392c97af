//! Documents of other servers: keys, metadata, answers of token endpoints.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use egress::{EgressError, Guard, Http, HttpOptions, Timeouts, TlsOptions};
use http::{Request, Response, Uri};
use http_body_util::Full;

/// The largest document that is read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// How long one may take.
const TIME: Duration = Duration::from_secs(10);

/// Why a document cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// It would be fetched without TLS, from another machine.
    #[error("{url} is neither https nor on this machine")]
    Plain {
        /// Which.
        url: String,
    },
    /// The other side cannot be reached, or not in time, or says too much.
    #[error("reach {url}")]
    Egress {
        /// Which.
        url: String,
        /// Why.
        #[source]
        source: EgressError,
    },
}

/// Fetches documents. Redirects are answers like others.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Sends a request and gives the whole answer. `trusted`: the operator wrote the host, which may then be
    /// in a private network.
    ///
    /// # Errors
    /// [`FetchError`]
    async fn send(&self, request: Request<Bytes>, trusted: bool) -> Result<Response<Bytes>, FetchError>;
}

/// Over the network, by [`egress`].
#[derive(Debug)]
pub struct EgressFetch {
    trusted: Http,
    public: Http,
}

impl EgressFetch {
    /// One that also trusts these certificates.
    ///
    /// # Errors
    /// [`EgressError::Options`] where they are none.
    pub fn new(extra_ca_pem: Option<Vec<u8>>) -> Result<Self, EgressError> {
        let tls = TlsOptions { extra_ca_pem, ..TlsOptions::default() };
        let http = |guard| Http::new(HttpOptions { guard, tls: tls.clone(), ..HttpOptions::default() });
        Ok(Self { trusted: http(Guard::Operator)?, public: http(Guard::Public)? })
    }
}

#[async_trait]
impl Fetch for EgressFetch {
    async fn send(&self, request: Request<Bytes>, trusted: bool) -> Result<Response<Bytes>, FetchError> {
        let url = shown(request.uri());
        if !is_guarded(request.uri(), trusted) {
            return Err(FetchError::Plain { url });
        }
        let failed = |source| FetchError::Egress { url: url.clone(), source };
        let http = if trusted { &self.trusted } else { &self.public };
        let times = Timeouts { first_byte: Some(TIME), idle: Some(TIME), total: Some(TIME) };
        let response = http.send(request.map(Full::new), &times).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let body = body.collect(DOCUMENT_BYTES_MAX).await.map_err(failed)?;
        Ok(Response::from_parts(head, body))
    }
}

/// A URL without its query, which may have a secret.
fn shown(url: &Uri) -> String {
    let text = url.to_string();
    text.split('?').next().unwrap_or_default().to_owned()
}

/// Whether a document may be fetched from there: with TLS, or from this machine where the operator says so.
pub fn is_guarded(url: &Uri, trusted: bool) -> bool {
    match url.scheme_str() {
        Some("https") => true,
        Some("http") => trusted && url.host().is_some_and(is_loopback),
        _ => false,
    }
}

/// Whether a host is this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
