//! A call of a tool as one request.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use egress::{Http, ResponseBody};
use http::header::HOST;
use http::{HeaderMap, HeaderName};
use model::Rng;
use openapi::{ArgumentFault, Limits, Plan, Received, Tool};
use protocol::json::Object;
use protocol::{Call, Method, Raw, Revision, RpcError, code};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;

use super::made::Made;
use super::shown::Shown;
use super::{Api, ApiHttp};
use crate::core::{Core, deadline};
use crate::detect::{Connector, Found};
use crate::http::{HttpLink, egress_error, retry_after, trace_headers};
use crate::observe::Hop;
use crate::resilience::is_free;
use crate::{Again, CallContext, CallError, CallErrorKind, Credentials, Outcome, Reply};

/// What a web API can do.
const DISCOVER: &str = concat!(
    r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
    r#""capabilities":{"tools":{"listChanged":true}},"ttlMs":0,"cacheScope":"public"}"#
);

impl ApiHttp {
    /// The connector, once the document is read.
    pub async fn find(
        api: &Arc<Api>,
        (core, http): (&Arc<Core>, &Http),
        credentials: Option<Arc<dyn Credentials>>,
    ) -> Result<Found, CallError> {
        let home = api.home().cloned().ok_or_else(|| core.error(CallErrorKind::Document))?;
        let made = api.known((core, http)).await?;
        let (tools, left_out) = made.counts();
        let (upstream, title) = (&core.options.name, &made.title);
        match left_out {
            0 => tracing::info!(%upstream, title, tools, "its document is read"),
            _ => tracing::warn!(
                %upstream, title, tools, left_out, first = ?made.left_out(),
                "its document is read; not every operation becomes a tool"
            ),
        }
        let link = HttpLink::new(Arc::clone(core), http.clone(), home, &api.options().headers);
        let proving = credentials.map(|credentials| link.proving(Some(credentials)));
        let connector = Connector::Api(Self { api: Arc::clone(api), link, proving });
        let discover = Raw::literal(DISCOVER);
        Ok(Found { connector, revision: Revision::NEWEST, discover, tasks: None })
    }

    /// Makes a call.
    pub async fn call(
        &self,
        cx: &CallContext,
        call: &Call,
        _permit: OwnedSemaphorePermit,
    ) -> Result<Reply, CallError> {
        let core = &self.link.core;
        let made = self.api.made().ok_or_else(|| core.error(CallErrorKind::Document))?;
        match &call.method {
            Method::Discover => Ok(Reply::result(Raw::literal(DISCOVER))),
            Method::ToolsList => Ok(Reply::result(made.list.clone())),
            Method::ToolsCall => self.tool(cx, call, &made).await,
            other => {
                let text = format!("A web API has no {}", other.as_str());
                Ok(Reply::Ready(Outcome::Error(RpcError::new(code::METHOD_NOT_FOUND, text).to_raw())))
            }
        }
    }

    async fn tool(&self, cx: &CallContext, call: &Call, made: &Made) -> Result<Reply, CallError> {
        let core = &self.link.core;
        let name = call.target().unwrap_or_default();
        let Some((tool, shown)) = made.tool(&name) else {
            let error = RpcError::new(code::INVALID_PARAMS, format!("Unknown tool: {name}"));
            return Ok(Reply::Ready(Outcome::Error(error.to_raw())));
        };
        let call = with_key(call, tool, &*core.rng);
        let limits = limits(core);
        let plan = match tool.operation.plan(call.params.get("arguments").as_ref(), &limits) {
            Ok(plan) => plan,
            Err(fault) => return Ok(Reply::result(not_made(&fault))),
        };
        let mut hop = Hop::begin(core, cx, &call, &core.next_id(), Revision::NEWEST);
        let call = hop.carry(&call);
        let sent = async {
            let way = Way { shown, made, headers: headers(cx, &call) };
            let (head, body, cut) = self.send(plan, way, limits.answer_bytes_max).await?;
            let received = Received { status: head.status, headers: &head.headers, body: &body, cut };
            self.outcome(cx, tool, shown, (&received, &limits))
        };
        let reply = timeout_at(deadline(core.options.timeouts.total), sent).await;
        hop.reply(reply.unwrap_or_else(|_| Err(core.error(CallErrorKind::Timeout))))
    }

    async fn send(
        &self,
        mut plan: Plan,
        way: Way<'_>,
        max: usize,
    ) -> Result<(http::response::Parts, Bytes, bool), CallError> {
        let core = &self.link.core;
        let unsendable = |detail: String| core.error(CallErrorKind::Unauthorized).detail(detail).unsent();
        for name in &way.shown.schemes {
            let given = way.made.schemes.get(name).zip(self.api.options().keys.get(name));
            let (scheme, key) = given.ok_or_else(|| unsendable(format!("nothing is given for {name:?}")))?;
            plan.attach(scheme, key).map_err(|fault| unsendable(format!("{name:?}: {fault}")))?;
        }
        let url = way.made.url(&plan.target()).ok_or_else(|| core.error(CallErrorKind::Invalid).unsent())?;
        let mut headers = way.headers;
        for (name, value) in plan.all_headers() {
            headers.insert(name, value);
        }
        let link = self.proving.as_ref().filter(|_| way.shown.proof).unwrap_or(&self.link).at(url);
        let body = plan.body.map(|body| body.bytes).unwrap_or_default();
        let (head, body) = link.ask(plan.method, headers, body).await?.into_parts();
        let (body, cut) = collect(core, body, max).await?;
        Ok((head, body, cut))
    }

    /// What a server's answer comes to: a result, or an error where the call may be made again.
    fn outcome(
        &self,
        cx: &CallContext,
        tool: &Tool,
        shown: &Shown,
        (received, limits): (&Received<'_>, &Limits),
    ) -> Result<Reply, CallError> {
        let core = &self.link.core;
        let status = received.status.as_u16();
        let answer = openapi::answer(tool, received, limits);
        match answer.outcome {
            openapi::Outcome::Unauthorized if !shown.is_nothing() => Err(core
                .error(CallErrorKind::Unauthorized)
                .detail(format!("it answered {}", received.status))),
            openapi::Outcome::Later { after_s: Some(_) } => {
                Err(core.error(CallErrorKind::Status(status)).after(retry_after(received.headers)))
            }
            openapi::Outcome::Later { after_s: None } | openapi::Outcome::Failed
                if status >= 500 || status == 429 =>
            {
                // A task has its own rules for these, and reads them from the error.
                let ruled = cx.again == Again::Never && matches!(status, 429 | 502 | 503 | 504);
                let result = (!ruled).then_some(answer.result);
                Err(core.error(CallErrorKind::Status(status)).instead(result))
            }
            _ => Ok(Reply::result(answer.result)),
        }
    }
}

/// What a request goes with beside its own.
struct Way<'a> {
    shown: &'a Shown,
    made: &'a Made,
    headers: HeaderMap,
}

impl Api {
    /// Whether a call only reads.
    pub(crate) fn only_reads(&self, call: &Call) -> bool {
        let reads = |made: Arc<Made>| Some(made.tool(&call.target()?)?.0.operation.is_safe());
        call.method != Method::ToolsCall || self.made().and_then(reads) == Some(true)
    }

    /// The call as one of which twice is as once, where HTTP says so of its method or where it has a key by
    /// which the server knows it. `None`: it stays as it is.
    pub(crate) fn made_twice(
        &self,
        cx: &CallContext,
        call: &Call,
        core: &Core,
    ) -> Option<(CallContext, Call)> {
        if cx.again != Again::Unsent || call.method != Method::ToolsCall || !is_free(cx, call) {
            return None;
        }
        let made = self.made()?;
        let (tool, _) = made.tool(&call.target()?)?;
        if !tool.operation.is_idempotent() && tool.operation.idempotency_key().is_none() {
            return None;
        }
        let call = with_key(call, tool, &*core.rng).into_owned();
        Some((CallContext { again: Again::Repeatable, ..cx.clone() }, call))
    }
}

/// The call with a key of its own, where the operation takes one and the caller has given none.
fn with_key<'c>(call: &'c Call, tool: &Tool, rng: &dyn Rng) -> Cow<'c, Call> {
    let Some(name) = tool.operation.idempotency_key() else { return Cow::Borrowed(call) };
    let arguments = match call.params.get("arguments") {
        None => Object::empty(),
        Some(raw) => match raw.object() {
            Ok(Some(arguments)) => arguments,
            _ => return Cow::Borrowed(call),
        },
    };
    if arguments.get(name).is_some_and(|value| !value.is_null()) {
        return Cow::Borrowed(call);
    }
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    let key: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let arguments = arguments.edit().set(name.to_owned(), Raw::string(&key)).finish();
    Cow::Owned(call.with("arguments", Some(arguments)))
}

/// What of the client's request goes along, and the trace.
fn headers(cx: &CallContext, call: &Call) -> HeaderMap {
    let mut out = HeaderMap::new();
    let ours = |name: &HeaderName| *name == HOST || name.as_str().starts_with("mcp-");
    for (name, value) in cx.headers.iter().filter(|(name, _)| !ours(name)) {
        out.append(name.clone(), value.clone());
    }
    trace_headers(call, &mut out);
    out
}

fn limits(core: &Core) -> Limits {
    let limits = Limits::default();
    let max = core.options.limits.message_bytes_max;
    Limits {
        answer_bytes_max: limits.answer_bytes_max.min(max),
        binary_bytes_max: limits.binary_bytes_max.min(max),
        ..limits
    }
}

/// As much of a body as is handed on, and whether there is more.
async fn collect(core: &Core, mut body: ResponseBody, max: usize) -> Result<(Bytes, bool), CallError> {
    let mut out = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk.map_err(|error| egress_error(core, &error))?;
        if out.len() + chunk.len() > max {
            return Ok((out.freeze(), true));
        }
        out.extend_from_slice(&chunk);
    }
    Ok((out.freeze(), false))
}

/// Arguments that cannot be sent: a model reads it and calls again (tools, "Error Handling").
fn not_made(fault: &ArgumentFault) -> Raw {
    let text = format!("The call was not made: {fault}.");
    Raw::from_value(&json!({
        "resultType": "complete",
        "content": [{"type": "text", "text": text}],
        "isError": true,
    }))
}
