//! One request of a client's, from the moment it is understood until its answer is all there.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use audit::{Content, Event, Recorded};
use bytes::Bytes;
use catalog::{Endpoint, Kind, Routed};
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use memchr::memmem::Finder;
use model::{NewSpan, Span, SpanKind, TraceContext, cut};
use protocol::{Call, Method, Raw, Revision, RpcError, code};
use tokio::time::Instant;
use upstream::{
    Body, BodyStream, CallError, CallErrorKind, Ending, Item, ItemStream, Outcome, Reply, Upstream,
};

use super::{LogCalls, context, is_askers_fault};
use crate::app::{App, Exchange};
use crate::metrics::{Asked, ErrorType, Target};
use crate::note::{Exit, Noted};

/// The longest name in a log line, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// An operation under way. Dropping it before its end means that nobody wants the answer any more.
pub(crate) struct Operation(Option<Under>);

/// What is known of it.
struct Under {
    app: Arc<App>,
    endpoint: Arc<Endpoint>,
    calls: LogCalls,
    method: Method,
    /// The tool or prompt, as the client calls it.
    name: Option<Raw>,
    /// The same, where the upstream lists it.
    target: Option<Target>,
    revision: Revision,
    transport: &'static str,
    upstream: Option<Arc<Upstream>>,
    traceparent: Option<Raw>,
    start: Instant,
    span: Option<Box<dyn Span>>,
    noted: Option<Arc<Noted>>,
}

/// What is still to be written of an operation that has ended.
type Record = Option<(Arc<Noted>, Event)>;

/// Writes it. Nothing leaves before, where the operator wants it so. Gives where the record is then.
async fn settle(record: Record) -> Result<Option<Recorded>, RpcError> {
    match record {
        None => Ok(None),
        Some((noted, event)) => noted.completed(event).await,
    }
}

impl Operation {
    /// Begins with a call that was understood.
    pub fn begin(x: &Exchange, call: &Call) -> Self {
        let named = matches!(call.method, Method::ToolsCall | Method::PromptsGet);
        let name = if named { call.params.get("name") } else { None };
        let mut under = Under {
            app: Arc::clone(&x.app),
            endpoint: Arc::clone(&x.endpoint),
            calls: x.generation.watch.calls,
            method: call.method.clone(),
            name,
            target: None,
            revision: x.revision,
            transport: if x.over_http { "tcp" } else { "pipe" },
            upstream: None,
            traceparent: call.meta.trace[0].clone(),
            start: Instant::now(),
            span: None,
            noted: x.noted.clone().or_else(|| Noted::begin(x, call)),
        };
        under.open(x, call);
        Self(Some(under))
    }

    /// Begins with a request that the gateway serves itself, or refuses.
    pub fn own(x: &Exchange, method: &Method, params: Option<&Raw>) -> Self {
        let call = Call::read(method.clone(), params).or_else(|_| Call::read(method.clone(), None));
        call.map_or(Self(None), |call| Self::begin(x, &call))
    }

    /// The client turned out to speak this.
    pub fn speaks(&mut self, revision: Revision) {
        if let Some(under) = &mut self.0 {
            under.revision = revision;
        }
    }

    /// It ended like this.
    ///
    /// # Errors
    /// Where nothing may be answered without a record, and there is none.
    pub async fn over<T>(mut self, result: Result<T, RpcError>) -> Result<T, RpcError> {
        let record = match &result {
            Ok(_) => self.succeeded(None),
            Err(error) => self.failed(error),
        };
        settle(record).await.and(result)
    }

    /// It is refused with this.
    pub async fn refused(mut self, error: RpcError) -> RpcError {
        match settle(self.failed(&error)).await {
            Ok(_) => error,
            Err(unrecorded) => unrecorded,
        }
    }

    /// The call as it goes on, with what of its context may.
    pub fn pass_on<'c>(x: &Exchange, call: &'c Call) -> Cow<'c, Call> {
        context::pass_on(call, &x.headers, &x.generation.watch.baggage)
    }

    /// The operation's id in the audit log, where it is recorded.
    pub fn recorded_as(&self) -> Option<Arc<str>> {
        self.0.as_ref()?.noted.as_ref().map(|noted| noted.operation())
    }

    /// The place of its span, where it has one.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref()?.span.as_ref().map(|span| span.context().clone())
    }

    /// It goes to this upstream. Gives the tool's own name, where the upstream lists it.
    pub fn located(&mut self, x: &Exchange, routed: &Routed) -> Option<Arc<str>> {
        let under = self.0.as_mut()?;
        under.upstream = Some(Arc::clone(routed.source.upstream()));
        if let Some(noted) = &under.noted {
            noted.located(routed);
        }
        let (kind, make): (_, fn(Arc<str>) -> Target) = match under.method {
            Method::ToolsCall => (Kind::Tools, Target::Tool),
            Method::PromptsGet => (Kind::Prompts, Target::Prompt),
            _ => return None,
        };
        let own = routed.call.params.get("name")?;
        let (own, given) = (own.as_str()?, under.name.as_ref()?.as_str()?);
        let names = &under.app.watch.metrics.names;
        // Clients can ask for any name. Those that become labels are the ones that a catalog has.
        let listed =
            || routed.source.cached(kind, &x.caller).is_some_and(|listing| listing.get(&own).is_some());
        let known_as = names.known(&given, listed)?;
        let own = if own == given { Arc::clone(&known_as) } else { names.known(&own, || true)? };
        if let Some(span) = &mut under.span {
            span.rename(format!("{} {known_as}", under.method.as_str()));
        }
        under.target = Some(make(known_as));
        (kind == Kind::Tools).then_some(own)
    }

    /// It ends with this, or at the end of the stream that this is.
    ///
    /// # Errors
    /// Those of the reply; where nothing may be answered without a record, and there is none.
    pub async fn answer(self, reply: Result<Reply, RpcError>) -> Result<Reply, RpcError> {
        match reply {
            Err(error) => Err(self.refused(error).await),
            Ok(Reply::Ready(outcome)) => Ok(Reply::Ready(self.outcome(outcome).await)),
            Ok(Reply::Stream(items)) => Ok(Reply::Stream(self.items(items))),
        }
    }

    /// Items that take their operation along.
    fn items(self, items: ItemStream) -> ItemStream {
        Box::pin(unfold((items, Some(self)), |(mut items, operation)| async move {
            let mut operation = operation?;
            match items.next().await {
                Some(Ok(Item::Done(outcome))) => {
                    let outcome = operation.outcome(outcome).await;
                    Some((Ok(Item::Done(outcome)), (items, None)))
                }
                Some(Ok(item)) => Some((Ok(item), (items, Some(operation)))),
                Some(Err(error)) => {
                    let _ = settle(operation.failed(&error.to_rpc())).await;
                    Some((Err(error), (items, None)))
                }
                None => {
                    let broke = RpcError::new(code::UPSTREAM_BROKE, "The upstream broke off");
                    let _ = settle(operation.failed(&broke)).await;
                    None
                }
            }
        }))
    }

    async fn outcome(mut self, outcome: Outcome) -> Outcome {
        let outcome = match outcome {
            Outcome::Result(Body::Stream(chunks)) => {
                return Outcome::Result(Body::Stream(self.chunks(chunks)));
            }
            outcome => outcome,
        };
        let Some(under) = self.0.take() else { return outcome };
        let ending = Ending::of(&under.method, &outcome);
        let noted = under.noted.clone();
        let (exit, result) = match &outcome {
            Outcome::Result(Body::Whole(raw)) => {
                (exit_of(raw), noted.as_ref().map(|noted| noted.result(raw)))
            }
            _ => (Exit::Error, None),
        };
        let recorded = match settle(under.end(ending, exit, result)).await {
            Ok(recorded) => recorded,
            Err(unrecorded) => return Outcome::Error(unrecorded.to_raw()),
        };
        match (outcome, noted) {
            (Outcome::Result(Body::Whole(raw)), Some(noted)) if exit == Exit::Result => {
                Outcome::Result(Body::Whole(noted.receipted(raw, recorded.as_ref()).await))
            }
            (outcome, _) => outcome,
        }
    }

    /// A large result that takes its operation along. Its last chunk waits for the record, so that nobody has
    /// all of an answer that is in no log.
    fn chunks(self, chunks: BodyStream) -> BodyStream {
        let under = self.0.as_ref();
        let strict = under.and_then(|under| under.noted.as_ref()).is_some_and(|noted| noted.is_strict());
        let upstream = under.and_then(|under| under.upstream.clone());
        let digest = seal::Sha256::new();
        let state = Passing { chunks, operation: Some(self), upstream, strict, kept: None, digest, bytes: 0 };
        Box::pin(unfold(state, |mut state| async move {
            let chunk = state.next().await?;
            Some((chunk, state))
        }))
    }

    fn is_noted(&self) -> bool {
        self.0.as_ref().is_some_and(|under| under.noted.is_some())
    }

    fn failed(&mut self, error: &RpcError) -> Record {
        let ending = Ending::Error { code: error.code, message: error.message.clone() };
        self.0.take()?.end(ending, Exit::Error, None)
    }

    fn succeeded(&mut self, result: Option<Content>) -> Record {
        self.0.take()?.end(Ending::Result, Exit::Result, result)
    }
}

/// A large result on its way.
struct Passing {
    chunks: BodyStream,
    operation: Option<Operation>,
    upstream: Option<Arc<Upstream>>,
    strict: bool,
    /// The chunk that waits for the next one.
    kept: Option<Bytes>,
    digest: seal::Sha256,
    bytes: u64,
}

impl Passing {
    async fn next(&mut self) -> Option<Result<Bytes, CallError>> {
        loop {
            let operation = self.operation.as_mut()?;
            match self.chunks.next().await {
                Some(Ok(chunk)) => {
                    if operation.is_noted() {
                        self.digest.update(&chunk);
                    }
                    self.bytes += chunk.len() as u64;
                    let passed = if self.strict { self.kept.replace(chunk) } else { Some(chunk) };
                    if let Some(chunk) = passed {
                        return Some(Ok(chunk));
                    }
                }
                Some(Err(error)) => {
                    let _ = settle(operation.failed(&error.to_rpc())).await;
                    self.operation = None;
                    return Some(Err(error));
                }
                None => {
                    let digest = std::mem::take(&mut self.digest).finish();
                    let content = Content { digest, bytes: self.bytes, captured: None };
                    let written = settle(operation.succeeded(Some(content))).await;
                    self.operation = None;
                    let last = self.kept.take()?;
                    return Some(match (written, &self.upstream) {
                        (Err(error), Some(upstream)) => {
                            Err(CallError::new(upstream.name(), CallErrorKind::Broke).detail(error.message))
                        }
                        _ => Ok(last),
                    });
                }
            }
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some((noted, event)) =
            self.0.take().and_then(|under| under.end(Ending::Cancelled, Exit::Cancelled, None))
        {
            noted.left(event);
        }
    }
}

/// By which exit a result leaves.
fn exit_of(result: &Raw) -> Exit {
    if is_question(result) {
        return Exit::Questions;
    }
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"task\""));
    let made = FINDER.find(result.as_bytes()).is_some()
        && result.get("resultType").is_some_and(|kind| kind.as_bytes() == b"\"task\"");
    if made { Exit::Task } else { Exit::Result }
}

/// Whether a result asks the client something.
fn is_question(result: &Raw) -> bool {
    const WORD: &[u8] = b"\"input_required\"";
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(WORD));
    FINDER.find(result.as_bytes()).is_some()
        && result.get("resultType").is_some_and(|kind| kind.as_bytes() == WORD)
}

impl Under {
    /// Opens the span, where there is somebody to collect it.
    fn open(&mut self, x: &Exchange, call: &Call) {
        let Some(tracer) = &x.app.watch.tracer else { return };
        let incoming = context::incoming(call, &x.headers);
        let method = crate::metrics::method_word(&call.method);
        let mut span = tracer.start(NewSpan {
            kind: SpanKind::Server,
            name: method.to_owned(),
            parent: incoming.parent.as_ref(),
            link: incoming.ambient.as_ref(),
        });
        if span.is_recording() {
            span.set("mcp.method.name", call.method.as_str().to_owned().into());
            span.set("network.transport", self.transport.into());
            if x.over_http {
                span.set("network.protocol.name", "http".into());
            }
            if let Some(id) = &x.request_id {
                let id = id.raw();
                span.set(
                    "jsonrpc.request.id",
                    id.as_str().map_or_else(|| id.to_string(), Cow::into_owned).into(),
                );
            }
            span.set("tidegate.endpoint", x.endpoint.name().to_owned().into());
            describe(&mut *span, call);
        }
        self.span = Some(span);
    }

    fn end(mut self, ending: Ending, exit: Exit, result: Option<Content>) -> Record {
        let took = self.start.elapsed();
        let status = match &ending {
            Ending::Error { code, .. } => Some(*code),
            _ => None,
        };
        let error = match &ending {
            Ending::Error { code, .. } if is_askers_fault(*code) => ErrorType::None,
            ending => ErrorType::of(ending),
        };
        let asked = Asked {
            method: &self.method,
            target: self.target.as_ref(),
            revision: self.revision,
            transport: self.transport,
        };
        self.app.watch.metrics.served(&asked, self.endpoint.name(), &error, status, took);
        if let Some(span) = self.span.as_mut().filter(|span| span.is_recording()) {
            span.set("mcp.protocol.version", self.revision.as_str().into());
            if let Some(upstream) = &self.upstream {
                span.set("tidegate.upstream", upstream.name().as_str().to_owned().into());
            }
            finish(&mut **span, &ending, &error);
        }
        let bad = matches!(ending, Ending::ToolError | Ending::Error { .. } | Ending::Failed(_));
        if self.calls == LogCalls::All || (self.calls == LogCalls::Failed && bad) {
            self.log(&ending, exit == Exit::Questions, status, took);
        }
        let noted = self.noted.take()?;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let event = noted.ended(exit, &ending, took_us, result);
        Some((noted, event))
    }

    /// One line. No arguments, no results, no words of the upstream's: any of them may be a secret.
    fn log(&self, ending: &Ending, asks: bool, status: Option<i64>, took: std::time::Duration) {
        let trace = match &self.span {
            Some(span) => Some(span.context().trace_id_text()),
            None => {
                let parent = self.traceparent.as_ref().and_then(|t| t.as_str());
                parent.and_then(|p| TraceContext::parse(&p, None)).map(|c| c.trace_id_text())
            }
        };
        let name = self.name.as_ref().and_then(|n| n.as_str());
        let short = name.as_deref().map(|name| cut(name, NAME_BYTES_MAX));
        let (tool, prompt) = match self.method {
            Method::ToolsCall => (short, None),
            _ => (None, short),
        };
        let spoken = self.upstream.as_ref().and_then(|u| u.health().revision);
        let outcome = match ending {
            Ending::Result if asks => "input_required",
            Ending::Result => "ok",
            Ending::ToolError => "tool_error",
            Ending::Error { .. } | Ending::Failed(_) => "error",
            Ending::Cancelled => "cancelled",
        };
        tracing::info!(
            target: "tidegate::calls",
            method = cut(self.method.as_str(), NAME_BYTES_MAX),
            tool,
            prompt,
            endpoint = self.endpoint.name(),
            upstream = self.upstream.as_ref().map(|u| u.name().as_str()),
            client_revision = self.revision.as_str(),
            upstream_revision = spoken.map(Revision::as_str),
            outcome,
            code = status,
            duration_ms = took.as_secs_f64() * 1000.0,
            trace_id = trace.as_deref(),
            "call"
        );
    }
}

/// What a call is about, in the words of the conventions.
pub(super) fn describe(span: &mut dyn Span, call: &Call) {
    let text = |name: &str| call.text(name);
    match call.method {
        Method::ToolsCall => {
            span.set("gen_ai.operation.name", "execute_tool".into());
            if let Some(name) = text("name") {
                span.set("gen_ai.tool.name", name.into());
            }
        }
        Method::PromptsGet => {
            if let Some(name) = text("name") {
                span.set("gen_ai.prompt.name", name.into());
            }
        }
        Method::ResourcesRead => {
            if let Some(uri) = text("uri") {
                span.set("mcp.resource.uri", uri.into());
            }
        }
        _ => {}
    }
}

/// How it ended, in the words of the conventions.
pub(super) fn finish(span: &mut dyn Span, ending: &Ending, error: &ErrorType) {
    if let Ending::Error { code, .. } = ending {
        span.set("rpc.response.status_code", code.to_string().into());
    }
    let message = match ending {
        Ending::Error { message, .. } => message.clone(),
        Ending::Failed(error) => error.kind.to_string(),
        Ending::ToolError => "the tool failed".to_owned(),
        Ending::Cancelled => "cancelled".to_owned(),
        Ending::Result => String::new(),
    };
    if let Some(kind) = error.word() {
        span.fail(&kind, &message);
    }
}
