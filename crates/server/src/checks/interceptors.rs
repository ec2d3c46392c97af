//! A check by the interceptors of an MCP server (SEP-2624, a draft).
//!
//! What goes to a server is changed and then validated; what comes from one is validated and then changed.
//! Validators are asked at once and all of them, and only an error blocks. Changes follow one another by
//! their priority, and are made all or not at all.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use config::CheckInterceptors;
use futures_util::future::join_all;
use model::UpstreamName;
use protocol::json::Object;
use protocol::{Call, Capabilities, Method, Raw, RpcError};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use upstream::{
    Body, CallContext, HttpTransport, Limits, Options, Outcome, Resilience, Sharing, Target, Timeouts,
    Upstream, Watched,
};

use super::descriptor::{Descriptor, Does, Verdict};
use super::passing::{Phase, Shape, nothing};
use super::remote::{About, Answered, CheckError, Failure, Said, Turns, client, kind_of};
use crate::compose::Shared;

/// How long a list of interceptors is good.
const LIST_TIME: Duration = Duration::from_secs(60);
/// How many interceptors one server may have, and how many pages its list.
const INTERCEPTORS_MAX: usize = 256;
const PAGES_MAX: usize = 16;
/// What is around a text in a request and in an answer.
const WRAP_BYTES_MAX: usize = 64 * 1024;
/// What a client that knows interceptors says of itself.
const KNOWN: &str = r#"{"extensions":{"io.modelcontextprotocol/interceptors":{}}}"#;

pub(super) struct Interceptors {
    server: Arc<Upstream>,
    me: Raw,
    names: Option<Vec<String>>,
    timeout: Duration,
    pub(super) bytes_max: usize,
    turns: Turns,
    /// Since when the list is known, and the list. One asks for it, and others wait for him.
    listed: Mutex<Option<(Instant, Arc<[Descriptor]>)>>,
}

/// One event, and what it is about.
struct Event<'a> {
    name: Cow<'a, str>,
    phase: Phase,
    payload: Raw,
}

/// What a chain came to.
struct Ran {
    payload: Raw,
    denied: Option<Said>,
}

impl Interceptors {
    pub(super) fn new(own: &CheckInterceptors, index: usize, shared: &Shared) -> Result<Self, CheckError> {
        let env = |name: &str| std::env::var(name).ok();
        let read = crate::secret::fetch;
        let headers = own.resolve(&env, &read)?;
        let (timeout, bytes_max) = (own.timeout.duration(), own.bytes_max.as_usize());
        let (url, http) = client(&own.url, own.ca.as_ref(), (timeout, own.concurrency_max))?;
        let options = Options {
            name: UpstreamName::new(&format!("check-{index}"))?,
            target: Target::Http { url, transport: HttpTransport::Streamable, headers, credentials: None },
            pin: None,
            timeouts: Timeouts { connect: timeout, first_byte: timeout, idle: timeout, total: timeout },
            concurrency_max: own.concurrency_max,
            limits: Limits {
                response_buffer_bytes_max: bytes_max,
                message_bytes_max: bytes_max + WRAP_BYTES_MAX,
                park_time_max: timeout,
                ..Limits::default()
            },
            sharing: Sharing::Shared,
            resilience: Resilience::default(),
            client_info: shared.server_info.clone(),
        };
        let (clock, rng) = (Arc::clone(&shared.handles.clock), Arc::clone(&shared.handles.rng));
        Ok(Self {
            server: Upstream::new(options, http, clock, rng, Arc::new(AtomicUsize::new(0))),
            me: shared.server_info.clone(),
            names: own.names.clone(),
            timeout,
            bytes_max,
            turns: Turns::new(own.concurrency_max),
            listed: Mutex::new(None),
        })
    }

    pub(super) async fn ask(&self, about: &About<'_>, text: &Raw, open: bool) -> Result<Answered, Failure> {
        let shown = about.shape.shown(text);
        if shown.as_bytes().len() > self.bytes_max {
            return Err(Failure::TooLarge);
        }
        let all = self.known().await?;
        let mut notes = Vec::new();
        let method = about.method.as_str();
        let of = |name: &'static str| Event {
            name: Cow::Borrowed(name),
            phase: Phase::Response,
            payload: nothing(),
        };
        let made = match about.shape {
            Shape::Member(call, member) => {
                let payload = Shape::wrapped(call, member, &shown);
                let event = Event { name: Cow::Borrowed(method), phase: Phase::Request, payload };
                let ran = self.chain((about, open), &all, event, &mut notes).await?;
                if let Some(said) = ran.denied {
                    return Ok(Answered { said, notes });
                }
                Shape::unwrapped(call, member, &ran.payload)?
            }
            Shape::Result | Shape::Error | Shape::List(_) => {
                let event =
                    Event { name: Cow::Borrowed(method), phase: Phase::Response, payload: shown.clone() };
                let ran = self.chain((about, open), &all, event, &mut notes).await?;
                if let Some(said) = ran.denied {
                    return Ok(Answered { said, notes });
                }
                ran.payload
            }
            Shape::Questions | Shape::Answers => {
                let mut entries = shown.object().ok().flatten().ok_or(Failure::Unfit("no object"))?;
                for (name, entry) in shown.object().ok().flatten().iter().flat_map(Object::iter) {
                    let mut entry = entry;
                    let asks = matches!(about.shape, Shape::Questions);
                    let events = if asks { vec![asked(&entry)] } else { answered(&entry).map(of).collect() };
                    for event in events {
                        let payload = if asks { event.payload.clone() } else { entry.clone() };
                        let event = Event { payload, ..event };
                        let before = event.payload.clone();
                        let ran = self.chain((about, open), &all, event, &mut notes).await?;
                        if let Some(said) = ran.denied {
                            return Ok(Answered { said, notes });
                        }
                        if ran.payload != before {
                            entry = if asks { with_params(&entry, ran.payload)? } else { ran.payload };
                        }
                    }
                    entries = entries.edit().set(name.into_owned(), entry).finish_object();
                }
                entries.raw()
            }
        };
        let said = if made == shown { Said::Pass } else { Said::Changed(about.shape.put(text, made)?) };
        Ok(Answered { said, notes })
    }

    /// Runs what is interested in an event.
    async fn chain(
        &self,
        (about, open): (&About<'_>, bool),
        all: &[Descriptor],
        mut event: Event<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Ran, Failure> {
        let wanting: Vec<&Descriptor> =
            all.iter().filter(|one| one.wants(&event.name, event.phase)).collect();
        let mut denied = None;
        if event.phase == Phase::Response {
            denied = self.validate((about, open), &wanting, &event, notes).await?;
        }
        if denied.is_none() {
            event.payload = self.mutate((about, open), &wanting, &event, notes).await?;
        }
        if event.phase == Phase::Request {
            denied = self.validate((about, open), &wanting, &event, notes).await?;
        }
        Ok(Ran { payload: event.payload, denied })
    }

    /// Asks all validators at once. The verdict waits for all of them.
    async fn validate(
        &self,
        (about, open): (&About<'_>, bool),
        wanting: &[&Descriptor],
        event: &Event<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Said>, Failure> {
        let validators: Vec<&Descriptor> =
            wanting.iter().copied().filter(|one| one.does == Does::Validate).collect();
        let verdicts =
            join_all(validators.iter().map(|one| self.invoke(about, one, event, &event.payload))).await;
        let (mut denied, mut failed) = (None, None);
        for (one, verdict) in validators.into_iter().zip(verdicts) {
            match verdict {
                Ok(Verdict::Good | Verdict::Made(_)) => {}
                Ok(Verdict::Warned) => notes.push(format!("{} warned", one.name)),
                Ok(Verdict::Bad(_)) if one.audit => notes.push(format!("{} would have denied", one.name)),
                Ok(Verdict::Bad(reason)) => {
                    notes.push(format!("{} denied", one.name));
                    denied = denied.or(Some(Said::Denied { reason, code: None }));
                }
                Err(failure) => {
                    notes.push(format!("{} failed", one.name));
                    if !(open || one.fail_open || one.audit) {
                        failed = failed.or(Some(failure));
                    }
                }
            }
        }
        match failed.filter(|_| denied.is_none()) {
            Some(failure) => Err(failure),
            None => Ok(denied),
        }
    }

    /// Changes one after another. Where one fails that may not, nothing was changed.
    async fn mutate(
        &self,
        (about, open): (&About<'_>, bool),
        wanting: &[&Descriptor],
        event: &Event<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Raw, Failure> {
        let mut mutators: Vec<&Descriptor> =
            wanting.iter().copied().filter(|one| one.does == Does::Mutate).collect();
        mutators.sort_by(|a, b| a.order(event.phase).cmp(&b.order(event.phase)));
        let mut payload = event.payload.clone();
        for one in mutators {
            match self.invoke(about, one, event, &payload).await {
                Ok(Verdict::Made(_)) if one.audit => notes.push(format!("{} would have changed", one.name)),
                Ok(Verdict::Made(made)) => {
                    notes.push(format!("{} changed", one.name));
                    payload = made;
                }
                Ok(Verdict::Good | Verdict::Warned | Verdict::Bad(_)) => {}
                Err(failure) => {
                    notes.push(format!("{} failed", one.name));
                    if !(open || one.fail_open || one.audit) {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(payload)
    }

    /// Asks one. Any error is a failure: whether it was a crash or a refusal does not say.
    async fn invoke(
        &self,
        about: &About<'_>,
        one: &Descriptor,
        event: &Event<'_>,
        payload: &Raw,
    ) -> Result<Verdict, Failure> {
        let failed = |why: String| Failure::Interceptor { name: one.name.clone(), why };
        if payload.as_bytes().len() > self.bytes_max {
            return Err(Failure::TooLarge);
        }
        let params = Raw::from_value(&json!({
            "name": one.name,
            "event": event.name,
            "phase": event.phase.word(),
            "timeoutMs": u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            "context": context(about),
        }));
        let params = params.object().ok().flatten().unwrap_or_else(Object::empty);
        let params = params.edit().set("payload", payload.clone()).finish();
        let answer = self.call("interceptor/invoke", &params, about).await?;
        let answer = answer.map_err(|error| failed(format!("it answered with the error {}", error.code)))?;
        one.verdict(&answer).ok_or_else(|| failed("its answer makes no sense".to_owned()))
    }

    /// The interceptors that are asked.
    async fn known(&self) -> Result<Arc<[Descriptor]>, Failure> {
        let late = |_elapsed| Failure::Late;
        let mut listed = tokio::time::timeout(self.timeout, self.listed.lock()).await.map_err(late)?;
        if let Some((since, known)) = &*listed
            && since.elapsed() < LIST_TIME
        {
            return Ok(Arc::clone(known));
        }
        // What was known is not good for ever: whoever is gone from the list was taken out by somebody.
        let all = tokio::time::timeout(self.timeout, self.list()).await.map_err(late)??;
        let known: Arc<[Descriptor]> = match &self.names {
            None => all.into(),
            Some(names) => {
                for name in names {
                    if !all.iter().any(|one| one.name == *name) {
                        return Err(Failure::NoInterceptor(name.clone()));
                    }
                }
                all.into_iter().filter(|one| names.contains(&one.name)).collect()
            }
        };
        *listed = Some((Instant::now(), Arc::clone(&known)));
        Ok(known)
    }

    async fn list(&self) -> Result<Vec<Descriptor>, Failure> {
        let mut all: Vec<Descriptor> = Vec::new();
        let mut cursor: Option<Raw> = None;
        for _ in 0..PAGES_MAX {
            let params = Object::empty().edit().put("cursor", cursor.take()).finish();
            let page = self.plain("interceptors/list", &params).await?;
            let page = page.map_err(|error| Failure::Interceptor {
                name: "interceptors/list".to_owned(),
                why: format!("it answered with the error {}", error.code),
            })?;
            let items = page.get("interceptors").and_then(|items| items.items());
            let items = items.ok_or(Failure::Garbage("it lists no interceptors"))?;
            for item in &items {
                all.extend(Descriptor::read(item)?);
            }
            if all.len() > INTERCEPTORS_MAX {
                return Err(Failure::Garbage("it lists too many interceptors"));
            }
            match page.get("nextCursor").filter(|cursor| !cursor.is_null()) {
                None => return Ok(all),
                next => cursor = next,
            }
        }
        Err(Failure::Garbage("its list does not end"))
    }

    async fn call(
        &self,
        method: &str,
        params: &Raw,
        about: &About<'_>,
    ) -> Result<Result<Raw, RpcError>, Failure> {
        let watched = Watched { parent: about.x.caller.trace.clone(), tool: None };
        self.send(method, params, watched).await
    }

    async fn plain(&self, method: &str, params: &Raw) -> Result<Result<Raw, RpcError>, Failure> {
        self.send(method, params, Watched::default()).await
    }

    /// Sends a request, when it is its turn, and gives its result or its error.
    async fn send(
        &self,
        method: &str,
        params: &Raw,
        watched: Watched,
    ) -> Result<Result<Raw, RpcError>, Failure> {
        let call = Call::own(Method::parse(method), params, &known_capabilities(), &self.me);
        let cx = CallContext { watched, ..CallContext::own() };
        // Boxed without its type: it is asked through all that a call goes through, from within a call.
        let asked: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(async {
            let _turn = self.turns.take().await?;
            let reply = self.server.call(&cx, &call).await;
            let reply = reply.map_err(|error| Failure::Unreachable(error.to_string()))?;
            let outcome = reply.outcome().await.map_err(|error| Failure::Unreachable(error.to_string()))?;
            match outcome {
                Some(Outcome::Result(Body::Whole(result))) => Ok(Ok(result)),
                Some(Outcome::Result(Body::Stream(_))) => Err(Failure::AnswerTooLarge),
                Some(Outcome::Error(error)) => Ok(Err(RpcError::read(&error))),
                None => Err(Failure::Garbage("it broke off")),
            }
        });
        tokio::time::timeout(self.timeout, asked).await.map_err(|_elapsed| Failure::Late)?
    }
}

fn known_capabilities() -> Capabilities {
    Capabilities::read(Some(&Raw::literal(KNOWN)))
}

/// What an interceptor hears of whoever calls: what he is and what he is called. No claim, no token, no
/// session.
fn context(about: &About<'_>) -> serde_json::Value {
    let x = about.x;
    let mut context = json!({
        "principal": {"type": kind_of(x), "id": x.caller.principal.subject()},
        "timestamp": seal::time_to_text(x.app.clock.now()),
    });
    if let Some(trace) = &x.caller.trace {
        context["traceId"] = json!(trace.trace_id_text());
    }
    context
}

/// A question as an event.
fn asked(question: &Raw) -> Event<'static> {
    let method = question.get("method").and_then(|method| method.as_str().map(|text| text.into_owned()));
    let payload = question.get("params").unwrap_or_else(nothing);
    Event { name: Cow::Owned(method.unwrap_or_default()), phase: Phase::Request, payload }
}

/// The question with other parameters.
fn with_params(question: &Raw, params: Raw) -> Result<Raw, Failure> {
    let question = question.object().ok().flatten().ok_or(Failure::Unfit("no question"))?;
    Ok(question.edit().set("params", params).finish())
}

/// To which questions this may be the answer, by its members. The client writes it: what fits several kinds
/// is shown as each, so that nobody gets past an interceptor by a member too many.
fn answered(answer: &Raw) -> impl Iterator<Item = &'static str> {
    let has = |name: &str| answer.get(name).is_some();
    let sampled = has("role") || has("model");
    let elicited = has("action") || !(sampled || has("roots"));
    let kinds = [
        elicited.then_some("elicitation/create"),
        sampled.then_some("sampling/createMessage"),
        has("roots").then_some("roots/list"),
    ];
    kinds.into_iter().flatten()
}
