//! One document, from wherever somebody says that it is.

use std::time::Duration;

use bytes::Bytes;
use discovery::{Address, shown};
use egress::{Body, EgressError, Guard, Http, HttpOptions, Timeouts, TlsOptions};
use http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
    RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode};

/// The longest that a document counts as fresh, whatever its server says.
const FRESH_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The longest ETag that is kept.
const ETAG_BYTES_MAX: usize = 512;
/// Connections that are kept for one host.
const IDLE_PER_HOST_MAX: usize = 2;

/// Where one may go, and how long everything may take.
#[derive(Debug, Clone)]
pub struct Reaching {
    /// Whether private addresses, this machine and plain HTTP are allowed: for an own network and for tests.
    pub private: bool,
    /// For a connection.
    pub connect: Duration,
    /// For a whole exchange.
    pub total: Duration,
}

impl Default for Reaching {
    fn default() -> Self {
        Self { private: false, connect: Duration::from_secs(5), total: Duration::from_secs(20) }
    }
}

/// A client that fetches documents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    http: Http,
    times: Timeouts,
    private: bool,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where.
    pub url: &'a Address,
    /// The media types that are read.
    pub accept: &'static str,
    /// The mark of what is kept of it.
    pub etag: Option<&'a str>,
    /// How many bytes it may have.
    pub bytes_max: usize,
    /// By what one proves who one is.
    pub authorization: Option<&'a HeaderValue>,
}

/// A document that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its mark.
    pub etag: Option<String>,
    /// Its media type, as the server says.
    pub media_type: String,
    /// How long it need not be asked for again.
    pub fresh_for: Duration,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// The document.
    Document(Document),
    /// It is as it was.
    NotModified {
        /// How long it need not be asked for again.
        fresh_for: Duration,
    },
    /// It is elsewhere. Nobody went there yet.
    Moved(Address),
    /// There is none, and to ask again is useless.
    Refused {
        /// The status, where there was an answer.
        status: Option<u16>,
        /// Why, for an operator.
        why: String,
        /// What the server said.
        body: Bytes,
    },
    /// The server is busy or did not answer.
    Later {
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
        /// Why, for an operator.
        why: String,
    },
}

/// A client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("make a client")]
pub struct FetchError(#[from] EgressError);

/// Bytes of an error that are read.
const ERROR_BYTES_MAX: usize = 65_536;

impl Fetcher {
    /// A client that goes where `reaching` says.
    ///
    /// # Errors
    /// [`FetchError`]
    pub fn new(reaching: &Reaching) -> Result<Self, FetchError> {
        let options = HttpOptions {
            connect_timeout: reaching.connect,
            pool_idle_timeout: Duration::from_secs(5),
            pool_max_idle_per_host: IDLE_PER_HOST_MAX,
            guard: if reaching.private { Guard::Operator } else { Guard::Public },
            tls: TlsOptions::default(),
            ..HttpOptions::default()
        };
        let total = Some(reaching.total);
        let times = Timeouts { first_byte: total, idle: total, total };
        Ok(Self { http: Http::new(options)?, times, private: reaching.private })
    }

    /// Whether private addresses and plain HTTP are allowed.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Sends any request under the same limits.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<http::Response<egress::ResponseBody>, EgressError> {
        self.http.send(request, &self.times).await
    }

    /// Fetches a document. Redirects are not followed: whoever asks decides.
    pub async fn get(&self, wanted: &Wanted<'_>) -> Got {
        if !wanted.url.is_https() && !self.private {
            return refused("not over https");
        }
        let mut request = Request::get(wanted.url.as_str()).header(ACCEPT, wanted.accept);
        if let Some(etag) = wanted.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(authorization) = wanted.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = match request.body(Body::default()) {
            Ok(request) => request,
            Err(error) => return refused(&error.to_string()),
        };
        let response = match self.send(request).await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let (head, body) = response.into_parts();
        let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match head.status {
            StatusCode::OK if kind.to_ascii_lowercase().starts_with("text/event-stream") => {
                // It has no end, and is no document.
                let why = "the server answers with a stream of events".to_owned();
                Got::Refused { status: Some(200), why, body: Bytes::new() }
            }
            StatusCode::OK => match body.limit(wanted.bytes_max as u64).collect(wanted.bytes_max).await {
                Ok(bytes) => document(&head.headers, bytes),
                Err(error) => failed(&error),
            },
            StatusCode::NOT_MODIFIED if wanted.etag.is_some() => {
                Got::NotModified { fresh_for: fresh_for(&head.headers) }
            }
            status if status.is_redirection() => self.moved(wanted.url, &head.headers),
            status if is_busy(status) => {
                let retry_after = seconds(head.headers.get(RETRY_AFTER));
                Got::Later { retry_after, why: format!("the server answers with {}", status.as_u16()) }
            }
            status => {
                let body = body.collect(ERROR_BYTES_MAX).await.unwrap_or_default();
                let why = format!("the server answers with {}", status.as_u16());
                Got::Refused { status: Some(status.as_u16()), why, body }
            }
        }
    }

    fn moved(&self, from: &Address, headers: &HeaderMap) -> Got {
        let Some(to) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
            return refused("a redirect to nowhere");
        };
        match resolve(from, to) {
            Ok(url) if from.is_https() && !url.is_https() && !self.private => {
                refused("a redirect from https to plain HTTP")
            }
            Ok(url) => Got::Moved(url),
            Err(why) => refused(&format!("a redirect: {why}")),
        }
    }
}

/// Where a `Location` leads.
fn resolve(from: &Address, to: &str) -> Result<Address, String> {
    let to = to.split('#').next().unwrap_or_default();
    let text = if to.starts_with("http://") || to.starts_with("https://") {
        to.to_owned()
    } else if to.starts_with("//") {
        format!("{}:{to}", if from.is_https() { "https" } else { "http" })
    } else if to.starts_with('/') {
        format!("{}{to}", from.origin())
    } else if to.is_empty() || to.contains(':') {
        return Err(format!("{} is no place to go to", shown(to)));
    } else {
        let path = from.path_and_query();
        let path = path.split('?').next().unwrap_or_default();
        let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
        format!("{}{folder}{to}", from.origin())
    };
    Address::parse(&text).map_err(|error| error.to_string())
}

fn document(headers: &HeaderMap, bytes: Bytes) -> Got {
    if headers.contains_key(CONTENT_ENCODING) {
        return refused("it is compressed, which nobody asked for");
    }
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let etag = headers.get(ETAG).and_then(text).filter(|etag| etag.len() <= ETAG_BYTES_MAX);
    let media_type = headers.get(CONTENT_TYPE).and_then(text).unwrap_or_default();
    let media_type = media_type.chars().take(200).collect();
    Got::Document(Document { bytes, etag, media_type, fresh_for: fresh_for(headers) })
}

/// How long a document is fresh: not at all where nothing is said.
fn fresh_for(headers: &HeaderMap) -> Duration {
    let mut fresh = Duration::ZERO;
    for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
        for word in value.split(',').map(|word| word.trim().to_ascii_lowercase()) {
            if word == "no-store" || word == "no-cache" {
                return Duration::ZERO;
            }
            if let Some(age) = word.strip_prefix("max-age=").and_then(|age| age.parse().ok()) {
                fresh = Duration::from_secs(age).min(FRESH_MAX);
            }
        }
    }
    fresh
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status.as_u16(), 408 | 425 | 429)
}

/// `Retry-After` in seconds. A date is passed over: it would be of another clock.
fn seconds(value: Option<&HeaderValue>) -> Option<Duration> {
    value?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn refused(why: &str) -> Got {
    Got::Refused { status: None, why: why.to_owned(), body: Bytes::new() }
}

/// What an error means for whoever might ask again.
fn failed(error: &EgressError) -> Got {
    let why = words(error);
    match error {
        EgressError::Connect { .. }
        | EgressError::ConnectTimeout { .. }
        | EgressError::FirstByteTimeout { .. }
        | EgressError::IdleTimeout { .. }
        | EgressError::TotalTimeout { .. }
        | EgressError::Closed { .. } => Got::Later { retry_after: None, why },
        EgressError::Resolve { source, .. } if source.to_string().contains("already looking up") => {
            Got::Later { retry_after: None, why }
        }
        _ => refused(&why),
    }
}

/// An error in the words of an operator, in one line.
pub(crate) fn words(error: &EgressError) -> String {
    let mut text = format!("failed to {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Address {
        Address::parse(url).expect("a URL")
    }

    #[test]
    fn a_redirect_leads_to_one_plain_place_or_nowhere() {
        let from = at("https://a.example/x/y?z=1");
        for (to, place) in [
            ("https://b.example/c", Some("https://b.example/c")),
            ("//b.example/c", Some("https://b.example/c")),
            ("/c", Some("https://a.example/c")),
            ("c#part", Some("https://a.example/x/c")),
            ("", None),
            ("../c", None),
            ("javascript:alert(1)", None),
            ("file:///etc/passwd", None),
            ("https://user@b.example/", None),
            ("https://127.1/", None),
        ] {
            assert_eq!(resolve(&from, to).ok().map(|url| url.normal()).as_deref(), place, "{to}");
        }
    }

    #[test]
    fn how_long_a_document_is_fresh_is_what_its_server_says_within_a_day() {
        let fresh = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(text));
            fresh_for(&headers).as_secs()
        };
        assert_eq!(fresh("public, max-age=3600"), 3_600);
        assert_eq!(fresh("max-age=99999999999"), 24 * 3_600);
        for text in ["", "no-store", "max-age=60, no-cache", "max-age=-1", "max-age=x", "public"] {
            assert_eq!(fresh(text), 0, "{text}");
        }
    }
}
