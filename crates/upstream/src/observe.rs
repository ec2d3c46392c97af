//! Watching what goes to an upstream: what is asked, how it ends, and its span in a trace.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use memchr::memmem::Finder;
use model::{Span, TraceContext, UpstreamName};
use protocol::latest::meta;
use protocol::{Call, Id, Method, Raw, Revision, RpcError};
use tokio::time::Instant;

use crate::core::Core;
use crate::{Body, CallContext, CallError, Options, Outcome, Reply};

/// What a caller knows of a call that whoever watches wants to know too.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The span that the call is a part of.
    pub parent: Option<TraceContext>,
    /// The tool's own name, where the upstream lists it: a word from a small set.
    pub tool: Option<Arc<str>>,
}

/// A request that is about to leave.
#[derive(Debug)]
pub struct Request<'a> {
    /// To whom.
    pub upstream: &'a Options,
    /// What is asked.
    pub call: &'a Call,
    /// Its id on this hop.
    pub id: &'a Id,
    /// What is spoken.
    pub revision: Revision,
    /// The tool's own name, where the upstream lists it.
    pub tool: Option<&'a str>,
    /// The span that it is a part of.
    pub parent: Option<&'a TraceContext>,
}

/// A request that is over.
#[derive(Debug)]
pub struct Ended<'a> {
    /// By whom it was answered.
    pub upstream: &'a Options,
    /// What was asked.
    pub method: &'a Method,
    /// The tool's own name, where the upstream lists it.
    pub tool: Option<&'a Arc<str>>,
    /// What was spoken.
    pub revision: Revision,
    /// How it ended.
    pub ending: &'a Ending,
    /// From the request to the end of its answer.
    pub took: Duration,
}

/// How a request ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// With a result.
    Result,
    /// With a tool's result that says that the tool failed.
    ToolError,
    /// With an error of the upstream's own.
    Error {
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// Without an answer.
    Failed(CallError),
    /// Nobody wanted the answer any more.
    Cancelled,
}

/// Hears of every request to an upstream. Must return at once.
pub trait Observer: Send + Sync {
    /// A request leaves. The span, where there is one, goes along and is ended for the observer.
    fn leaves(&self, request: &Request<'_>) -> Option<Box<dyn Span>>;

    /// A request is over; `span` is the one that [`Observer::leaves`] gave.
    fn ended(&self, ended: &Ended<'_>, span: Option<Box<dyn Span>>);

    /// A session with a legacy upstream is over.
    fn session_ended(&self, upstream: &UpstreamName, revision: Revision, lasted: Duration);
}

impl Ending {
    /// What an outcome says; a result that is not all there is taken for a good one.
    #[must_use]
    pub fn of(method: &Method, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Result(Body::Whole(result)) if *method == Method::ToolsCall && says_failed(result) => {
                Self::ToolError
            }
            Outcome::Result(_) => Self::Result,
            Outcome::Error(error) => Self::error(error),
        }
    }

    fn error(error: &Raw) -> Self {
        let error = RpcError::read(error);
        Self::Error { code: error.code, message: error.message }
    }
}

/// Whether a `CallToolResult` says that the tool failed.
fn says_failed(result: &Raw) -> bool {
    // Most results do not have the member: a search is cheaper than splitting them.
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"isError\""));
    FINDER.find(result.as_bytes()).is_some()
        && result.get("isError").is_some_and(|e| e.as_bool() == Some(true))
}

/// One request on its way, for whoever watches. Dropping it before its end means that nobody wants the
/// answer.
pub(crate) struct Hop(Option<Watch>);

struct Watch {
    core: Arc<Core>,
    method: Method,
    tool: Option<Arc<str>>,
    revision: Revision,
    start: Instant,
    span: Option<Box<dyn Span>>,
}

impl Hop {
    /// A request that is about to leave.
    pub fn begin(core: &Arc<Core>, cx: &CallContext, call: &Call, id: &Id, revision: Revision) -> Self {
        let Some(observer) = core.observer.get() else { return Self(None) };
        let parent = cx.watched.parent.as_ref();
        let span = observer.leaves(&Request {
            upstream: &core.options,
            call,
            id,
            revision,
            tool: cx.watched.tool.as_deref(),
            parent,
        });
        Self(Some(Watch {
            core: Arc::clone(core),
            method: call.method.clone(),
            tool: cx.watched.tool.clone(),
            revision,
            start: Instant::now(),
            span,
        }))
    }

    /// An `initialize` that is about to leave. What comes of it is for many calls, so it is a part of none.
    pub fn greeting(core: &Arc<Core>, params: &Raw, id: &Id, revision: Revision) -> Self {
        let call = Call::read(Method::Initialize, Some(params));
        call.map_or(Self(None), |call| Self::begin(core, &CallContext::own(), &call, id, revision))
    }

    /// The call with the trace context of this hop (SEP-414).
    pub fn carry<'c>(&self, call: &'c Call) -> Cow<'c, Call> {
        let Some(span) = self.0.as_ref().and_then(|watch| watch.span.as_ref()) else {
            return Cow::Borrowed(call);
        };
        let context = span.context();
        let parent = Raw::string(&context.traceparent());
        let state = context.state.as_deref().map(Raw::string);
        let old = call.params.get("_meta").and_then(|m| m.object().ok().flatten());
        let old = old.unwrap_or_else(protocol::json::Object::empty);
        let entries = old.edit().set(meta::TRACE[0], parent.clone()).put(meta::TRACE[1], state.clone());
        let mut carried = call.with("_meta", Some(entries.finish()));
        carried.meta.trace[0] = Some(parent);
        carried.meta.trace[1] = state;
        Cow::Owned(carried)
    }

    /// It ended like this.
    pub fn done(&mut self, outcome: Outcome) -> Outcome {
        self.saw(&outcome);
        outcome
    }

    /// It ended like this, if it did not become a stream.
    pub fn reply(&mut self, reply: Result<Reply, CallError>) -> Result<Reply, CallError> {
        match &reply {
            Ok(Reply::Ready(outcome)) => self.saw(outcome),
            Ok(Reply::Stream(_)) => {}
            Err(error) => drop(self.fail(error.clone())),
        }
        reply
    }

    /// It ended like this.
    pub fn saw(&mut self, outcome: &Outcome) {
        if let Some(watch) = self.0.take() {
            let ending = Ending::of(&watch.method, outcome);
            watch.end(&ending);
        }
    }

    /// It was answered with this result or error.
    pub fn answered(&mut self, outcome: &Result<Raw, Raw>) {
        if let Some(watch) = self.0.take() {
            let ending = match outcome {
                Ok(_) => Ending::Result,
                Err(error) => Ending::error(error),
            };
            watch.end(&ending);
        }
    }

    /// It came to nothing.
    pub fn fail(&mut self, error: CallError) -> CallError {
        if let Some(watch) = self.0.take() {
            watch.end(&Ending::Failed(error.clone()));
        }
        error
    }

    /// It ends with the last byte of this result.
    pub fn stream(self, body: Body) -> Body {
        let Body::Stream(chunks) = body else { return body };
        if self.0.is_none() {
            return Body::Stream(chunks);
        }
        let chunks = futures_util::stream::unfold((chunks, self), |(mut chunks, mut hop)| async move {
            match chunks.next().await {
                Some(Ok(chunk)) => Some((Ok(chunk), (chunks, hop))),
                Some(Err(error)) => Some((Err(hop.fail(error)), (chunks, hop))),
                None => {
                    if let Some(watch) = hop.0.take() {
                        watch.end(&Ending::Result);
                    }
                    None
                }
            }
        });
        Body::Stream(Box::pin(chunks))
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        if let Some(watch) = self.0.take() {
            watch.end(&Ending::Cancelled);
        }
    }
}

impl Watch {
    fn end(self, ending: &Ending) {
        let Self { core, method, tool, revision, start, span } = self;
        let Some(observer) = core.observer.get() else { return };
        let ended = Ended {
            upstream: &core.options,
            method: &method,
            tool: tool.as_ref(),
            revision,
            ending,
            took: start.elapsed(),
        };
        observer.ended(&ended, span);
    }
}

/// A session with a legacy server, for whoever wants to know how long they last.
pub(crate) struct SessionWatch {
    core: Arc<Core>,
    revision: Revision,
    start: Instant,
}

impl SessionWatch {
    /// One that has just begun.
    pub fn begin(core: &Arc<Core>, revision: Revision) -> Self {
        Self { core: Arc::clone(core), revision, start: Instant::now() }
    }
}

impl std::fmt::Debug for SessionWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionWatch").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Drop for SessionWatch {
    fn drop(&mut self) {
        if let Some(observer) = self.core.observer.get() {
            observer.session_ended(&self.core.options.name, self.revision, self.start.elapsed());
        }
    }
}
