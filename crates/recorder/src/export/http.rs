//! By HTTP: each batch is the body of a POST, and an answer from 200 to 299 says that it was taken.

use std::time::Duration;

use ::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use ::http::{Request, StatusCode, Uri};
use async_trait::async_trait;
use bytes::Bytes;
use egress::{EgressError, Guard, Http, HttpOptions, Timeouts, TlsOptions};

use super::{Batch, Refused, Sending, Taker};
use crate::Format;

/// The largest answer that is read. A good one has a few bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What goes along with each request. Secrets are marked as sensitive.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// A client for what the operator wrote: any address is allowed.
pub(super) struct Client {
    http: Http,
    timeouts: Timeouts,
}

impl Client {
    /// `ca`: certificate authorities to trust besides the system's, as PEM.
    pub(super) fn new(ca: Option<Vec<u8>>, timeout: Duration) -> Result<Self, EgressError> {
        let http = Http::new(HttpOptions {
            guard: Guard::Operator,
            pool_max_idle_per_host: 1,
            tls: TlsOptions { extra_ca_pem: ca, ..TlsOptions::default() },
            ..HttpOptions::default()
        })?;
        Ok(Self { http, timeouts: Timeouts { total: Some(timeout), ..Timeouts::default() } })
    }

    /// Sends a request. Gives the status and the beginning of what was answered; none, where that broke off.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<(StatusCode, Bytes), EgressError> {
        let response = self.http.send(request.map(Into::into), &self.timeouts).await?;
        let status = response.status();
        // The status decides. That the connection can be used again is the other thing that this is read for.
        let body = response.into_body().collect(ANSWER_BYTES_MAX).await.unwrap_or_default();
        Ok((status, body))
    }
}

/// A POST with these headers.
pub(super) fn post(url: &Uri, kind: &'static str, headers: &Headers, body: String) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = ::http::Method::POST;
    *request.uri_mut() = url.clone();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in headers {
        request.headers_mut().insert(name, value.clone());
    }
    request
}

/// What lines of a format are called.
pub(super) fn kind(format: Format) -> &'static str {
    match format {
        Format::JsonLines | Format::Ocsf => "application/x-ndjson",
        Format::Cef => "text/plain; charset=utf-8",
    }
}

pub(super) struct Post {
    client: Client,
    url: Uri,
    headers: Headers,
    kind: &'static str,
}

impl Post {
    pub(super) fn new(
        url: Uri,
        headers: Headers,
        ca: Option<Vec<u8>>,
        sending: &Sending,
    ) -> Result<Self, EgressError> {
        let client = Client::new(ca, sending.timeout)?;
        Ok(Self { client, url, headers, kind: kind(sending.format) })
    }
}

#[async_trait]
impl Taker for Post {
    async fn take(&self, batch: &Batch<'_>) -> Result<u64, Refused> {
        let request = post(&self.url, self.kind, &self.headers, batch.text());
        let (status, _) = self.client.send(request).await?;
        if status.is_success() { Ok(0) } else { Err(Refused::Status(status.as_u16())) }
    }
}
