//! A web API that an OpenAPI document describes. To the rest of the gateway it is a modern server that has
//! tools and nothing else.
//!
//! The document is read when the gateway begins to serve and again where it has changed, never for a call.
//! One that cannot be used leaves what was made of the one before.

mod call;
mod document;
mod follow;
mod made;
mod shown;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use tokio::sync::Mutex as AsyncMutex;

use crate::CallError;
use crate::http::HttpLink;
use document::Seen;
use made::Made;

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentAt {
    /// In a file.
    File(PathBuf),
    /// Behind a URL.
    Url(Uri),
}

/// Whether an operation becomes a tool.
pub type Select = Arc<dyn Fn(&openapi::View<'_>) -> bool + Send + Sync>;

/// What is said of a web API before its document is read.
#[derive(Clone)]
pub struct ApiOptions {
    /// Where its document is.
    pub document: DocumentAt,
    /// Where the API is; `None`: where the document says, which must be where the document itself is.
    pub server: Option<Uri>,
    /// Which operations become tools.
    pub select: Select,
    /// Whether answers are described.
    pub outputs: bool,
    /// How often it is looked whether the document has changed.
    pub refresh: Duration,
    /// Sent with every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Credentials by the name of their scheme in the document.
    pub keys: BTreeMap<String, String>,
    /// Whether the gateway proves itself besides, by tokens.
    pub proves: bool,
}

impl fmt::Debug for ApiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiOptions")
            .field("document", &self.document)
            .field("server", &self.server)
            .field("refresh", &self.refresh)
            .field("keys", &self.keys.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl ApiOptions {
    /// An address of the host that requests go to.
    fn home(&self) -> Option<&Uri> {
        match (&self.server, &self.document) {
            (Some(server), _) => Some(server),
            (None, DocumentAt::Url(url)) => Some(url),
            (None, DocumentAt::File(_)) => None,
        }
    }
}

/// A web API, with what was made of its document: one for all who use it.
#[derive(Debug)]
pub struct Api {
    options: ApiOptions,
    state: Mutex<State>,
    reading: AsyncMutex<()>,
}

#[derive(Debug, Default)]
struct State {
    made: Option<Arc<Made>>,
    seen: Seen,
    /// Why the document that is there now is not the one in use.
    fault: Option<CallError>,
}

impl Api {
    /// One whose document nobody has read yet.
    #[must_use]
    pub fn new(options: ApiOptions) -> Arc<Self> {
        Arc::new(Self { options, state: Mutex::default(), reading: AsyncMutex::default() })
    }

    /// What it was told at its start.
    #[must_use]
    pub fn options(&self) -> &ApiOptions {
        &self.options
    }

    /// An address of the host that requests go to, where it is known without the document.
    #[must_use]
    pub fn home(&self) -> Option<&Uri> {
        self.options.home()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) -> Option<Arc<Made>> {
        self.state().made.clone()
    }

    /// Why the document that is there now is not the one in use.
    pub(crate) fn fault(&self) -> Option<CallError> {
        self.state().fault.clone()
    }
}

/// The connector.
pub(crate) struct ApiHttp {
    api: Arc<Api>,
    /// The way to the host on which the gateway shows nothing but what each request is given.
    link: HttpLink,
    /// The way on which it proves itself by tokens.
    proving: Option<HttpLink>,
}
