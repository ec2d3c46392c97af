//! Reading a document: from a file, or from behind a URL where it is asked for only what is new.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use egress::{Http, ResponseBody};
use http::header::{ACCEPT, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use tokio::time::timeout;

use super::made::{Made, same_host};
use super::{Api, ApiOptions, DocumentAt};
use crate::core::Core;
use crate::http::HttpLink;
use crate::{CallError, CallErrorKind};

/// How long a document may take to arrive, however slowly its server sends.
const READ_TIME_MAX: Duration = Duration::from_secs(60);
const KINDS: HeaderValue = HeaderValue::from_static(
    "application/vnd.oai.openapi+json, application/vnd.oai.openapi, application/json, */*;q=0.5",
);

/// What of a document is known without reading it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The digest of the bytes that were read last.
    digest: Option<[u8; 32]>,
    stamp: Option<Stamp>,
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

/// What changes when a file does, also where it is replaced by a link to another one.
type Stamp = (SystemTime, u64);

/// What came of reading a document again.
#[derive(Debug)]
pub(super) enum Again {
    /// It is the same.
    Same,
    /// There is another one, from which nobody sees anything else.
    Quiet,
    /// There is another one, with these differences.
    Other(String),
}

impl Api {
    /// What is made of the document, read where nobody has.
    pub(super) async fn known(&self, own: (&Arc<Core>, &Http)) -> Result<Arc<Made>, CallError> {
        let _one_at_a_time = self.reading.lock().await;
        if let Some(made) = self.made() {
            return Ok(made);
        }
        let (bytes, seen) = self.fetch(own, &Seen::default()).await?.unwrap_or_default();
        let made = self.make(own.0, bytes).await?;
        let mut state = self.state();
        (state.made, state.seen, state.fault) = (Some(Arc::clone(&made)), seen, None);
        Ok(made)
    }

    /// Reads the document again where it has changed, and takes what is made of it if all is well.
    pub(super) async fn read_again(&self, own: (&Arc<Core>, &Http)) -> Result<Again, CallError> {
        let _one_at_a_time = self.reading.lock().await;
        let seen = self.state().seen.clone();
        let found = self.fetch(own, &seen).await;
        let read = match found {
            Ok(None) => return Ok(Again::Same),
            Ok(Some((_, now))) if now.digest == seen.digest => {
                let mut state = self.state();
                // The one in use is there again.
                (state.seen, state.fault) = (now, None);
                return Ok(Again::Same);
            }
            Ok(Some((bytes, now))) => self.make(own.0, bytes).await.map(|made| (made, now)),
            Err(error) => Err(error),
        };
        let mut state = self.state();
        match read {
            Ok((made, now)) => {
                let differs = state.made.as_ref().map(|before| made.differs(before));
                (state.made, state.seen, state.fault) = (Some(made), now, None);
                Ok(differs.flatten().map_or(Again::Quiet, Again::Other))
            }
            Err(error) => {
                let detail = error.detail.as_deref().unwrap_or_default().to_owned();
                let error = own.0.error(CallErrorKind::Document);
                let error = error.detail(format!("its tools are those of an older document: {detail}"));
                state.fault = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Parsing a large document takes seconds, in which other calls go on.
    async fn make(&self, core: &Core, bytes: Bytes) -> Result<Arc<Made>, CallError> {
        let options = self.options().clone();
        let made = tokio::task::spawn_blocking(move || Made::read(&bytes, &options)).await;
        let made = made.map_err(|_| "it cannot be read".to_owned()).and_then(|made| made);
        made.map(Arc::new).map_err(|fault| refused(core, fault))
    }

    /// Its bytes, where they may be others than those that were seen.
    async fn fetch(
        &self,
        (core, http): (&Arc<Core>, &Http),
        seen: &Seen,
    ) -> Result<Option<(Bytes, Seen)>, CallError> {
        match &self.options().document {
            DocumentAt::File(path) => {
                let (path, known) = (path.clone(), seen.stamp);
                let read = tokio::task::spawn_blocking(move || from_file(&path, known)).await;
                let read = read.unwrap_or_else(|_| Err(io::Error::other("it cannot be read")));
                let shown = || match &self.options().document {
                    DocumentAt::File(path) => path.display().to_string(),
                    DocumentAt::Url(_) => String::new(),
                };
                read.map_err(|error| refused(core, format!("read {}: {error}", shown())))
            }
            DocumentAt::Url(url) => {
                let own = link(core, http, self.options(), url);
                let read = timeout(READ_TIME_MAX.min(core.options.timeouts.total), from_url(&own, seen));
                let late = |_| Err(refused(core, "it took too long to arrive".to_owned()));
                read.await.unwrap_or_else(late)
            }
        }
    }
}

fn refused(core: &Core, fault: String) -> CallError {
    core.error(CallErrorKind::Document).detail(fault)
}

/// The way to a document. Only a host that gets the API's own headers with every request gets them for it.
fn link(core: &Arc<Core>, http: &Http, options: &ApiOptions, url: &Uri) -> HttpLink {
    let own = options.home().is_some_and(|home| same_host(home, url));
    let headers = if own { &options.headers[..] } else { &[] };
    HttpLink::new(Arc::clone(core), http.clone(), url.clone(), headers)
}

fn bytes_max() -> usize {
    openapi::Limits::default().document_bytes_max
}

fn from_file(path: &Path, known: Option<Stamp>) -> io::Result<Option<(Bytes, Seen)>> {
    let metadata = std::fs::metadata(path)?;
    let stamp = (metadata.modified()?, metadata.len());
    if known == Some(stamp) {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max() as u64 + 1).read_to_end(&mut bytes)?;
    let digest = Some(seal::sha256(&bytes));
    Ok(Some((bytes.into(), Seen { digest, stamp: Some(stamp), ..Seen::default() })))
}

async fn from_url(link: &HttpLink, seen: &Seen) -> Result<Option<(Bytes, Seen)>, CallError> {
    let mut headers = HeaderMap::from_iter([(ACCEPT, KINDS)]);
    for (name, value) in [(IF_NONE_MATCH, &seen.etag), (IF_MODIFIED_SINCE, &seen.modified)] {
        headers.extend(value.clone().map(|value| (name, value)));
    }
    let response = link.ask(Method::GET, headers, Bytes::new()).await?;
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED && seen.digest.is_some() {
        return Ok(None);
    }
    if !status.is_success() {
        return Err(refused(&link.core, not_given(link.url(), &response)));
    }
    let (head, body) = response.into_parts();
    let body: ResponseBody = body;
    let max = bytes_max();
    let bytes = body.collect(max).await.map_err(|error| match error {
        egress::EgressError::BodyTooLarge { .. } => {
            refused(&link.core, format!("it has more than {max} bytes"))
        }
        error => refused(&link.core, format!("it did not arrive whole: {error}")),
    })?;
    let digest = Some(seal::sha256(&bytes));
    let value = |name| head.headers.get(name).cloned();
    Ok(Some((bytes, Seen { digest, stamp: None, etag: value(ETAG), modified: value(LAST_MODIFIED) })))
}

/// Why there is none. Where a server sends its readers is shown without what may be secret in it.
fn not_given(url: &Uri, response: &Response<ResponseBody>) -> String {
    let status = response.status();
    let to = response.headers().get(LOCATION).filter(|_| status.is_redirection());
    let to = to.and_then(|to| to.to_str().ok()).and_then(|to| to.parse::<Uri>().ok());
    let place = |uri: &Uri| format!("{}{}", uri.host().unwrap_or_default(), uri.path());
    match to {
        Some(to) => format!(
            "{} answered {status}: it is at {}, and redirections are not followed",
            place(url),
            place(&to)
        ),
        None => format!("{} answered {status}", place(url)),
    }
}
