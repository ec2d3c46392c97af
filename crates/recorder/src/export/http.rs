//! By HTTP: each batch is the body of a POST, and an answer from 200 to 299 says that it was taken.

use ::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use ::http::{Request, Uri};
use async_trait::async_trait;
use bytes::Bytes;
use egress::{EgressError, Guard, Http, HttpOptions, Timeouts, TlsOptions};
use store::AuditEntryRow;

use super::{Refused, Sending, Taker};
use crate::Format;

/// The largest answer that is read. A good one has a few bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What goes along with each request. Secrets are marked as sensitive.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

pub(super) struct Post {
    http: Http,
    url: Uri,
    headers: Headers,
    kind: HeaderValue,
    timeouts: Timeouts,
}

impl Post {
    pub(super) fn new(
        url: Uri,
        headers: Headers,
        ca: Option<Vec<u8>>,
        sending: &Sending,
    ) -> Result<Self, EgressError> {
        // The operator wrote the URL: any address is allowed.
        let http = Http::new(HttpOptions {
            guard: Guard::Operator,
            pool_max_idle_per_host: 1,
            tls: TlsOptions { extra_ca_pem: ca, ..TlsOptions::default() },
            ..HttpOptions::default()
        })?;
        let kind = match sending.format {
            Format::JsonLines | Format::Ocsf => HeaderValue::from_static("application/x-ndjson"),
            Format::Cef => HeaderValue::from_static("text/plain; charset=utf-8"),
        };
        let timeouts = Timeouts { total: Some(sending.timeout), ..Timeouts::default() };
        Ok(Self { http, url, headers, kind, timeouts })
    }
}

#[async_trait]
impl Taker for Post {
    async fn take(&self, _: &[AuditEntryRow], lines: &[String]) -> Result<(), Refused> {
        let mut body = lines.join("\n");
        body.push('\n');
        let mut request = Request::new(Bytes::from(body).into());
        *request.method_mut() = ::http::Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(CONTENT_TYPE, self.kind.clone());
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let response = self.http.send(request, &self.timeouts).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(Refused::Status(status.as_u16()));
        }
        // It was taken; that the connection can be used again is all that the body is read for.
        drop(response.into_body().collect(ANSWER_BYTES_MAX).await);
        Ok(())
    }
}
