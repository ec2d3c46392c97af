//! A server that speaks 2026-07-28 over HTTP: one POST a call, no state.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use protocol::headers::{METHOD, NAME, VERSION, encode};
use protocol::latest::{self, meta};
use protocol::{Call, Revision};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;

use super::{Answer, EventStream, HttpLink};
use crate::core::deadline;
use crate::modern_run::{ModernRun, Source, whole};
use crate::observe::Hop;
use crate::outbound;
use crate::{Body, CallContext, CallError, CallErrorKind, Outcome, Reply};

/// The connector.
#[derive(Clone)]
pub(crate) struct ModernHttp {
    pub link: HttpLink,
}

impl ModernHttp {
    /// Makes a call.
    pub async fn call(
        &self,
        cx: &CallContext,
        call: &Call,
        permit: OwnedSemaphorePermit,
    ) -> Result<Reply, CallError> {
        let core = &self.link.core;
        let until = deadline(core.options.timeouts.total);
        let id = core.next_id();
        let mut hop = Hop::begin(core, cx, call, &id, Revision::NEWEST);
        let call = hop.carry(call);
        let out = outbound::modern(&call, id);
        let headers = headers_of(cx, &call);
        let answer = timeout_at(until, self.link.post(headers, out.bytes, Some(&out.id))).await;
        let answer = answer.unwrap_or_else(|_| Err(core.error(CallErrorKind::Timeout)));
        let (answer, _) = answer.map_err(|error| hop.fail(error))?;
        match answer {
            Answer::Outcome(outcome) => Ok(Reply::Ready(hop.done(whole(outcome)))),
            Answer::Large(body) => Ok(Reply::Ready(Outcome::Result(hop.stream(hold(body, permit))))),
            Answer::Events(events) => {
                let source = Source::Http(events);
                ModernRun::new(Arc::clone(core), source, (out.id, out.tokens), hop, permit).start().await
            }
            Answer::Accepted => {
                Err(hop.fail(core.error(CallErrorKind::Invalid).detail("no answer to a request")))
            }
            Answer::Refused(refusal) => match refusal.error {
                Some(error) => Ok(Reply::Ready(hop.done(Outcome::Error(error)))),
                None => {
                    let error = core.error(refused_kind(refusal.status.as_u16()));
                    Err(hop.fail(error.after(refusal.retry_after)))
                }
            },
        }
    }

    /// Opens a stream of changes; the first message of it is the acknowledgement.
    pub async fn listen(&self, cx: &CallContext, call: &Call) -> Result<EventStream, CallError> {
        let core = &self.link.core;
        let out = outbound::modern(call, core.next_id());
        match self.link.post(headers_of(cx, call), out.bytes, Some(&out.id)).await?.0 {
            Answer::Events(events) => Ok(events),
            Answer::Refused(refusal) => Err(core.error(refused_kind(refusal.status.as_u16()))),
            _ => Err(core.error(CallErrorKind::Invalid).detail("no stream for subscriptions/listen")),
        }
    }
}

/// What a status without a JSON-RPC error in its body means.
pub(crate) fn refused_kind(status: u16) -> CallErrorKind {
    match status {
        401 | 403 => CallErrorKind::Unauthorized,
        404 | 405 => CallErrorKind::OtherRevision,
        status => CallErrorKind::Status(status),
    }
}

/// The headers that repeat the body, the tool's arguments among them, beside what the client may pass on.
fn headers_of(cx: &CallContext, call: &Call) -> HeaderMap {
    let mut all = cx.headers.clone();
    all.insert(VERSION, HeaderValue::from_static(latest::DATE));
    let value = |text: &str| HeaderValue::from_str(&encode(text)).ok();
    if let Some(method) = value(call.method.as_str()) {
        all.insert(METHOD, method);
    }
    if call.method.mirrored().is_some()
        && let Some(name) = value(&call.target().unwrap_or_default())
    {
        all.insert(NAME, name);
    }
    for rule in cx.rules.iter().flat_map(|rules| rules.iter()) {
        let arguments = call.params.get("arguments");
        match rule.value(arguments.as_ref()).as_deref().and_then(value) {
            Some(text) => drop(all.insert(rule.header.clone(), text)),
            None => drop(all.remove(&rule.header)),
        }
    }
    trace_headers(call, &mut all);
    all
}

/// W3C trace context goes as headers too, for servers that read only those (SEP-414).
pub(crate) fn trace_headers(call: &Call, all: &mut HeaderMap) {
    for (name, value) in meta::TRACE.into_iter().zip(&call.meta.trace) {
        let text = value.as_ref().and_then(|v| v.as_str());
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            all.insert(http::HeaderName::from_static(name), value);
        }
    }
}

/// Keeps the slot until the body has passed.
fn hold(body: Body, permit: OwnedSemaphorePermit) -> Body {
    match body {
        Body::Whole(raw) => Body::Whole(raw),
        Body::Stream(stream) => Body::Stream(Box::pin(futures_util::StreamExt::map(stream, move |chunk| {
            let _held = &permit;
            chunk
        }))),
    }
}
