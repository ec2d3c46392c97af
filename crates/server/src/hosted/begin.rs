//! A call becomes a task: at once, when it has taken long, or when its server makes it one.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use config::HostWhen;
use futures_util::StreamExt as _;
use model::Timestamp;
use protocol::{Call, Era, Method, Raw, Revision, RpcError, code};
use seal::time_from_text;
use serde_json::json;
use store::Approval;
use tasks::{Made, NewTask, Run, Tasks, View};
use tokio::time::{Instant, sleep_until};
use upstream::{CallError, Item, ItemStream, Outcome, Reply};

use super::call::{StoredCall, hex, holder};
use super::rules::makes_tasks;
use super::shape::{self, Shown};
use super::{OWN, follow, retry, runner};
use crate::app::Exchange;
use crate::handles::canonical;
use crate::modern::tasks_needed;
use crate::replay;

/// Where a client says which calls of its own are one and the same; see `docs/extensions/task-lifecycle.md`.
pub(crate) const KEY: &str = "io.tidegate/idempotency-key";
/// The same in the form of SEP-3182, which is a draft: among the parameters.
const DRAFT_KEY: &str = "idempotencyKey";
/// Where a client says when its call is to be made at the earliest.
const NOT_BEFORE: &str = "io.tidegate/not-before";
/// The longest key of a client.
const KEY_BYTES_MAX: usize = 256;

/// After so long a tool has no question to ask first.
const WITHOUT_QUESTION: Duration = Duration::from_secs(2);

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A task at once.
    Now,
    /// A task once it has taken so long.
    Slow(Duration),
}

/// Whether a client takes a task as the answer to this call: one that asks for it, or that knows what a task
/// is, by what its revision has.
pub(crate) fn takes_task(x: &Exchange, call: &Call) -> bool {
    match x.revision.era() {
        Era::Legacy => call.params.has("task"),
        Era::Modern => x.caller.capabilities.tasks,
    }
}

/// Whether a call becomes a task: only one of a client that knows what a task is.
///
/// # Errors
/// Where the operator wants no other clients, and this is one: -32021, or -32601 for a legacy client
/// (2025-11-25, "Tool-Level Negotiation").
pub(crate) fn wish(x: &Exchange, call: &Call, routed: &catalog::Routed) -> Result<Option<Wish>, RpcError> {
    let Some(tool) = call.text("name").filter(|_| call.method == Method::ToolsCall) else { return Ok(None) };
    if x.hosted.is_some() || x.app.tasks.get().is_none() {
        return Ok(None);
    }
    let hosting = &x.generation.hosting;
    let when = hosting.when(x.endpoint.name(), &tool);
    let legacy = x.revision.era() == Era::Legacy;
    if !takes_task(x, call) {
        return if hosting.requires(x.endpoint.name(), &tool) {
            Err(required(&tool, legacy))
        } else {
            Ok(None)
        };
    }
    if routed.session.is_some() {
        return Ok(None);
    }
    // A legacy client has decided by itself, for this call.
    Ok(match when {
        when if legacy => makes_tasks(when).then_some(Wish::Now),
        HostWhen::Never => None,
        HostWhen::Always => Some(Wish::Now),
        HostWhen::WhenSlow(after) => Some(Wish::Slow(after.duration())),
        HostWhen::AfterQuestions if call.params.has("inputResponses") => Some(Wish::Now),
        HostWhen::AfterQuestions => Some(Wish::Slow(WITHOUT_QUESTION)),
        HostWhen::ForUpstreamsThatNeedIt => retry::needs_task(x, routed).then_some(Wish::Now),
    })
}

fn required(tool: &str, legacy: bool) -> RpcError {
    if legacy {
        return RpcError::new(code::METHOD_NOT_FOUND, format!("The tool {tool} is called as a task alone"));
    }
    let text = format!("The tool {tool} needs the Tasks extension");
    RpcError::new(code::MISSING_CAPABILITY, text).with(tasks_needed())
}

/// Makes a task of a call. `plain` is the call as it would be made without one.
pub(crate) async fn begin<F>(
    x: &Exchange,
    call: &Call,
    new: NewTask,
    wish: Wish,
    plain: F,
) -> Result<Reply, RpcError>
where
    F: FnOnce(Exchange) -> Pin<Box<dyn Future<Output = Result<Reply, RpcError>> + Send>>,
{
    let after = match wish {
        Wish::Now => {
            let made = hosting(x)?.create(new).await.map_err(|error| shape::refused(&error))?;
            return created(x, call, &made);
        }
        // One with a key or a time of its own is not begun before it is known to be new and due.
        Wish::Slow(_) if new.key.is_some() || new.not_before.is_some() => {
            let made = hosting(x)?.create(new).await.map_err(|error| shape::refused(&error))?;
            return created(x, call, &made);
        }
        Wish::Slow(after) => after,
    };
    let deadline = Instant::now() + after;
    let mut under_way = plain(x.hosted_here());
    tokio::select! {
        biased;
        reply = &mut under_way => match reply? {
            Reply::Ready(outcome) => Ok(Reply::Ready(outcome)),
            Reply::Stream(items) => {
                Ok(Reply::Stream(slow_stream(x.clone(), call.clone(), new, items, deadline)))
            }
        },
        () = sleep_until(deadline) => {
            let caller = x.clone();
            let begun = Box::new(move |run: Run| {
                Box::pin(async move {
                    let reply = under_way.await;
                    runner::go_on(&caller.hosted_here(), run, reply).await
                }) as futures_util::future::BoxFuture<'static, tasks::Ran>
            });
            let made = hosting(x)?.create_begun(new, begun).await.map_err(|error| shape::refused(&error))?;
            created(x, call, &made)
        }
    }
}

/// Passes notifications on until the call has taken too long, and ends with the task that it becomes then.
fn slow_stream(x: Exchange, call: Call, new: NewTask, items: ItemStream, deadline: Instant) -> ItemStream {
    struct State {
        x: Exchange,
        call: Call,
        rest: Option<(NewTask, ItemStream)>,
        deadline: Instant,
    }
    let state = State { x, call, rest: Some((new, items)), deadline };
    Box::pin(futures_util::stream::unfold(state, |mut state| async move {
        let (new, mut items) = state.rest.take()?;
        tokio::select! {
            biased;
            item = items.next() => {
                let item = item?;
                if !matches!(item, Ok(Item::Done(_)) | Err(_)) {
                    state.rest = Some((new, items));
                }
                Some((item, state))
            }
            () = sleep_until(state.deadline) => {
                let caller = state.x.clone();
                let begun = Box::new(move |run: Run| {
                    Box::pin(async move {
                        runner::go_on(&caller.hosted_here(), run, Ok(Reply::Stream(items))).await
                    }) as futures_util::future::BoxFuture<'static, tasks::Ran>
                });
                let item = match handed_over(&state.x, &state.call, new, begun).await {
                    Ok(Reply::Ready(outcome)) => Item::Done(outcome),
                    Ok(Reply::Stream(_)) => Item::Done(Outcome::Error(internal().to_raw())),
                    Err(error) => Item::Done(Outcome::Error(error.to_raw())),
                };
                Some((Ok::<_, CallError>(item), state))
            }
        }
    }))
}

async fn handed_over(
    x: &Exchange,
    call: &Call,
    new: NewTask,
    begun: tasks::Begun,
) -> Result<Reply, RpcError> {
    let made = hosting(x)?.create_begun(new, begun).await.map_err(|error| shape::refused(&error))?;
    created(x, call, &made)
}

/// Makes a task of a call that waits for somebody's yes. Nothing is done before.
pub(crate) async fn begin_waiting(
    x: &Exchange,
    call: &Call,
    routed: &catalog::Routed,
    approval: &Approval,
) -> Result<Reply, RpcError> {
    let promise = Promise { granted: "", approval: Some(approval) };
    let new = new_task(x, call, routed, &promise)?;
    let tasks = hosting(x)?;
    let made = tasks.create(new).await.map_err(|error| shape::refused(&error))?;
    if !made.repeated {
        let approval = Approval { task: Some(made.view.id.clone()), ..approval.clone() };
        if let Err(error) = crate::may::keep_approval(x, &approval).await {
            // Nobody could ever say yes to it.
            let _ = tasks.cancel(&made.view.id, None).await;
            return Err(error);
        }
    }
    created(x, call, &made)
}

/// The gateway's record of a task that an upstream hosts; `own` is the upstream's name for it.
pub(crate) async fn adopt(
    x: &Exchange,
    call: &Call,
    routed: &catalog::Routed,
    own: String,
) -> Result<Raw, RpcError> {
    let new = new_task(x, call, routed, &Promise::default())?;
    let (caller, upstream) = (x.clone(), routed.source.upstream().name().to_string());
    let begun = Box::new(move |run: Run| {
        Box::pin(async move { follow::begin(&caller.hosted_here(), &upstream, &own, &run).await })
            as futures_util::future::BoxFuture<'static, tasks::Ran>
    });
    let made = hosting(x)?.create_begun(new, begun).await.map_err(|error| shape::refused(&error))?;
    Ok(shown(x, &made.view, None).created())
}

pub(super) fn hosting(x: &Exchange) -> Result<&Tasks, RpcError> {
    x.app.tasks.get().ok_or_else(internal)
}

fn internal() -> RpcError {
    RpcError::new(code::INTERNAL, "This gateway hosts no tasks")
}

/// The task for its client, under the name that it used, or a new one.
pub(super) fn shown<'a>(x: &'a Exchange, view: &'a View, given: Option<&'a str>) -> Owned<'a> {
    let id = given.map_or_else(|| x.app.handles.seal_task(x.holder(), OWN, &view.id), str::to_owned);
    Owned { x, view, id }
}

/// A task with its name.
pub(super) struct Owned<'a> {
    x: &'a Exchange,
    view: &'a View,
    id: String,
}

impl Owned<'_> {
    pub fn with<T>(&self, show: impl FnOnce(&Shown<'_>) -> T) -> T {
        let polls = self.x.generation.hosting.polls();
        show(&Shown { id: &self.id, view: self.view, now: self.x.app.clock.now(), polls })
    }

    pub fn created(&self) -> Raw {
        let legacy = self.x.revision.era() == Era::Legacy;
        self.with(|shown| if legacy { shown.legacy_created() } else { shown.created() })
    }
}

/// The answer to a call that became a task.
fn created(x: &Exchange, call: &Call, made: &Made) -> Result<Reply, RpcError> {
    if made.repeated && made.view.task.labels.get("digest") != Some(&digest(call)) {
        let text = "Invalid params: this idempotency key belongs to another call";
        return Err(RpcError::invalid_params(text).with(json!({
            "reason": "idempotency_key", "fault": "client", "retry": "useless",
        })));
    }
    if !made.repeated {
        x.app.task_news.tell(&made.view.holder, &made.view.id);
    }
    Ok(Reply::result(shown(x, &made.view, None).created()))
}

/// What was decided on a call before it became a task.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Promise<'a> {
    /// For what somebody has said yes.
    pub granted: &'a str,
    /// Whose yes it waits for.
    pub approval: Option<&'a Approval>,
}

/// The task that a call becomes.
///
/// # Errors
/// -32602 where the client asks for it in a wrong way.
pub(crate) fn new_task(
    x: &Exchange,
    call: &Call,
    routed: &catalog::Routed,
    promise: &Promise<'_>,
) -> Result<NewTask, RpcError> {
    let upstream = routed.source.upstream().name().as_str();
    let tool = routed.call.text("name").unwrap_or_default();
    let hosting = &x.generation.hosting;
    let rule = hosting.retry(upstream, &tool);
    let (key, not_before) = wishes(call, hosting.takes_draft_keys())?;
    // Who says yes or no lets it begin at once; where nobody does, it is over then.
    let not_before = not_before.max(promise.approval.map(|approval| approval.expires));
    let mut rules = hosting.rules(rule, replay::may_repeat(x, routed));
    if let Some(ttl) = wished_ttl(call) {
        rules.ttl_ms = rules.ttl_ms.min(ttl.max(1));
    }
    if let Some(at) = not_before {
        // Its time begins with its first attempt.
        let wait = u64::try_from(at.since(x.app.clock.now()).as_millis()).unwrap_or(u64::MAX);
        if wait >= rules.retention_max_ms {
            let text =
                format!("Invalid params: {NOT_BEFORE} is later than any task is kept (tasks.retention_max)");
            return Err(RpcError::invalid_params(text));
        }
        rules.ttl_ms = rules.ttl_ms.saturating_add(wait).min(rules.retention_max_ms);
        rules.deadline_ms = rules.deadline_ms.map(|deadline| deadline.saturating_add(wait));
    }
    let holder = holder(&x.caller.principal, x.endpoint.name());
    let mut labels = BTreeMap::from([
        ("endpoint".to_owned(), x.endpoint.name().to_owned()),
        ("upstream".to_owned(), upstream.to_owned()),
        ("tool".to_owned(), call.text("name").unwrap_or_default()),
        ("tenant".to_owned(), x.caller.principal.tenant().to_owned()),
        ("subject".to_owned(), x.caller.principal.subject().to_owned()),
        ("digest".to_owned(), digest(call)),
    ]);
    if let Some(key) = &key {
        labels.insert("idempotencyKey".to_owned(), key.clone());
    }
    if let Some(approval) = promise.approval {
        labels.insert("approval".to_owned(), approval.id.clone());
    }
    // What the upstream knows the attempts by: of this call alone.
    let mut random = [0; 16];
    x.app.rng.fill(&mut random);
    let key_upstream = Some(hex(&[&random])[..32].to_owned());
    let stored = StoredCall {
        granted: (!promise.granted.is_empty()).then(|| promise.granted.to_owned()),
        approval: promise.approval.map(|approval| approval.id.clone()),
        ..StoredCall::of(x, call, key_upstream)
    };
    Ok(NewTask {
        tenant: x.caller.principal.tenant().to_owned(),
        key: key.map(|key| hex(&[holder.as_bytes(), key.as_bytes()])),
        holder,
        call: stored.write(),
        rules,
        not_before,
        labels,
    })
}

/// What a client says of the task that it wants: the key and the time.
fn wishes(call: &Call, drafts: bool) -> Result<(Option<String>, Option<Timestamp>), RpcError> {
    let entries = call.params.get("_meta").and_then(|m| m.object().ok().flatten());
    let invalid =
        |name: &str, what: &str| RpcError::invalid_params(format!("Invalid params: {name} must be {what}"));
    let entry = |name: &str| entries.as_ref().and_then(|entries| entries.get(name));
    let draft = || call.params.get(DRAFT_KEY).filter(|_| drafts);
    let key = match entry(KEY).or_else(draft) {
        None => None,
        Some(raw) => match raw.as_str() {
            Some(key) if !key.is_empty() && key.len() <= KEY_BYTES_MAX => Some(key.into_owned()),
            _ => return Err(invalid(KEY, "a string of 1 to 256 bytes")),
        },
    };
    let not_before = match entry(NOT_BEFORE) {
        None => None,
        Some(raw) => match raw.as_str().and_then(|text| time_from_text(&text)) {
            Some(at) => Some(at),
            None => return Err(invalid(NOT_BEFORE, "a time in UTC, as 2026-11-23T06:48:00Z")),
        },
    };
    Ok((key, not_before))
}

/// The time to live that a legacy client asks for, in milliseconds (2025-11-25, "Task").
fn wished_ttl(call: &Call) -> Option<u64> {
    u64::try_from(call.params.get("task")?.get("ttl")?.as_i64()?).ok()
}

/// What makes two calls the same one: the tool and its arguments.
fn digest(call: &Call) -> String {
    let mut text = String::new();
    for name in ["name", "arguments"] {
        canonical(&call.params.get(name).map(|raw| raw.to_value()).unwrap_or_default(), &mut text);
        text.push('\n');
    }
    hex(&[text.as_bytes()])
}

/// The revision that a task's call is made in: the one inside.
pub(super) const INSIDE: Revision = Revision::NEWEST;
