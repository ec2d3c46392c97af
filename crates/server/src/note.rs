//! The audit records of an operation: one before anything is done, one at each exit.
//!
//! What the record says is put together as it comes to be known, by whoever knows it. Where the operator
//! wants it so, nothing leaves before its record is durable.

pub(crate) mod aside;

use std::sync::{Arc, Mutex, PoisonError};

use audit::{Content, Decided, Event, Outcome, Phase, Recorded, Recorder};
use catalog::Routed;
use http::StatusCode;
use model::Principal;
use protocol::json::Object;
use protocol::{Call, Method, Raw, RpcError, code};
use serde_json::json;
use upstream::Ending;

use crate::answer::{self, Answer};
use crate::app::{App, Exchange};

/// The longest name that is recorded, in bytes.
const NAME_BYTES_MAX: usize = 512;
/// As much as a record says of checks, in bytes.
const CHECKS_BYTES_MAX: usize = 2_048;
/// Where a client asks for a receipt, and gets it (docs/extensions/audit-receipt.md).
const RECEIPT: &str = "io.tidegate/audit-receipt";

/// What is known of an operation under way.
pub(crate) struct Noted {
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn model::Clock>,
    known: Mutex<Known>,
}

struct Known {
    event: Event,
    /// How it ends, where that is known better than by its answer.
    outcome: Option<Outcome>,
    begun: bool,
    /// Whether what is said and answered is kept.
    captures: bool,
    /// Whether the client wants to be shown that it is recorded.
    wants_receipt: bool,
}

impl Known {
    fn is_denied(&self) -> bool {
        self.event.decided.as_ref().is_some_and(|decided| decided.effect == "deny")
    }
}

/// By which exit an operation is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Result,
    Questions,
    Task,
    Error,
    Cancelled,
}

impl Exit {
    fn word(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Questions => "questions",
            Self::Task => "task",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a request of this method is called in the log. `None`: it is not recorded.
fn kind(method: &Method) -> Option<&'static str> {
    Some(match method {
        Method::ToolsCall => "tool_call",
        Method::PromptsGet => "prompt_get",
        Method::ResourcesRead => "resource_read",
        Method::Complete => "completion",
        Method::ToolsList | Method::PromptsList | Method::ResourcesList | Method::TemplatesList => {
            "list_disclosure"
        }
        Method::TasksGet => "task_read",
        Method::TasksResult => "task_result",
        Method::TasksUpdate => "task_update",
        Method::TasksCancel => "task_cancel",
        Method::TasksList => "task_list",
        Method::Listen => "listen",
        Method::Subscribe => "subscribe",
        Method::Unsubscribe => "unsubscribe",
        Method::Initialize => "session_open",
        Method::Other(_) => "other",
        _ => return None,
    })
}

impl Noted {
    /// An operation that begins. `None`: nobody records it.
    pub fn begin(x: &Exchange, call: &Call) -> Option<Arc<Self>> {
        let recorder = x.app.recorder.get()?;
        let kind = kind(&call.method)?;
        let principal = &x.caller.principal;
        let mut event = Event::new(kind, x.app.clock.now(), principal.tenant(), principal.subject());
        event.operation = match x.hosted.as_ref().and_then(|hosted| hosted.operation.clone()) {
            Some(operation) => operation,
            None => new_operation(x),
        };
        event.actors.clone_from(&x.who.actors);
        event.client = client(x);
        event.endpoint = Some(Arc::from(x.endpoint.name()));
        event.address = x.address;
        event.trace = call.meta.trace[0].as_ref().and_then(|t| t.as_str()).map(|t| Arc::from(cut(&t)));
        event.arguments = arguments(call);
        event.target = target(call);
        if let Some(turn) = turn(call) {
            event.details.insert("turn", turn);
        }
        if x.through {
            event.details.insert("through", finding::CALL.to_owned());
        }
        if x.hosted.is_some() {
            event.details.insert("attempt_of", "task".to_owned());
        }
        let known =
            Known { event, outcome: None, begun: false, captures: false, wants_receipt: wants_receipt(call) };
        let (recorder, clock) = (Arc::clone(recorder), Arc::clone(&x.app.clock));
        Some(Arc::new(Self { recorder, clock, known: Mutex::new(known) }))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The operation's id.
    pub fn operation(&self) -> Arc<str> {
        self.change(|known| Arc::clone(&known.event.operation))
    }

    /// It tells its caller of tools, as lists do.
    pub fn discloses(&self) {
        self.change(|known| known.event.kind = "list_disclosure");
    }

    /// It goes on with an operation that was begun before.
    pub fn resumed(&self, operation: &str) {
        if !operation.is_empty() {
            self.change(|known| known.event.operation = Arc::from(operation));
        }
    }

    /// It goes to this upstream, under the upstream's own names.
    pub fn located(&self, routed: &Routed) {
        self.change(|known| {
            known.event.upstream = Some(Arc::from(routed.source.upstream().name().as_str()));
            known.event.target = target(&routed.call);
        });
    }

    /// This was decided on it, by policies of this version.
    pub fn decided(&self, decision: &policy::Decision, version: &str) {
        let effect = match decision.effect {
            policy::Effect::Allow => "allow",
            policy::Effect::Deny => "deny",
            policy::Effect::Ask(_) => "ask",
        };
        let reason = decision.fault.clone().or_else(|| decision.reason.clone());
        let (policies, version) = (Arc::clone(&decision.policies), Arc::from(version));
        let decided = Decided { effect, policies, version, reason };
        self.change(|known| known.event.decided = Some(decided));
    }

    /// What is said and answered is to be kept: these arguments, as they will run, and the result.
    pub fn captures(&self, call: &Call) {
        let arguments = call.params.get("arguments").map(|raw| kept(&raw));
        self.change(|known| {
            known.captures = true;
            known.event.arguments = arguments;
        });
    }

    /// What the record says of a result.
    pub fn result(&self, raw: &Raw) -> Content {
        if self.change(|known| known.captures) { kept(raw) } else { content(raw) }
    }

    /// The result with what shows that its record is in the log, where the client wants that and there is
    /// such a thing.
    pub async fn receipted(&self, result: Raw, recorded: Option<&Recorded>) -> Raw {
        let wanted = recorded.filter(|_| self.change(|known| known.wants_receipt));
        let Some(recorded) = wanted else { return result };
        let receipt = self.recorder.receipt(recorded).await;
        let Some(receipt) = receipt.and_then(|receipt| serde_json::to_value(&receipt).ok()) else {
            return result;
        };
        let Ok(Some(object)) = result.object() else { return result };
        let meta = object.get("_meta").and_then(|meta| meta.object().ok().flatten());
        let meta = meta.unwrap_or_else(Object::empty);
        let meta = meta.edit().set(RECEIPT, Raw::from_value(&receipt)).finish();
        object.edit().set("_meta", meta).finish()
    }

    /// It ends like this, whatever its answer looks like.
    pub fn ends(&self, outcome: Outcome) {
        self.change(|known| known.outcome = Some(outcome));
    }

    /// Something more that is known of it.
    pub fn detail(&self, name: &'static str, value: impl Into<String>) {
        self.change(|known| known.event.details.insert(name, value.into()));
    }

    /// What a check made of it.
    pub fn checked(&self, what: &str) {
        self.change(|known| {
            let said = known.event.details.entry("checks").or_default();
            let before = if said.is_empty() { "" } else { "; " };
            let left = CHECKS_BYTES_MAX.saturating_sub(said.len() + before.len());
            if left > 0 {
                said.push_str(before);
                said.push_str(model::cut(what, left));
            }
        });
    }

    /// Writes that it begins: before anything is done.
    ///
    /// # Errors
    /// Where nothing may be done without a record, and there is none.
    pub async fn started(&self) -> Result<(), RpcError> {
        let event = self.change(|known| {
            known.begun = true;
            Event { phase: Phase::Started, ..known.event.clone() }
        });
        self.write(event, "safe").await.map(drop)
    }

    /// What is to be written at its end.
    pub fn ended(&self, exit: Exit, ending: &Ending, took_us: u64, result: Option<Content>) -> Event {
        self.change(|known| {
            let mut event = known.event.clone();
            event.phase = if known.begun { Phase::Completed } else { Phase::Single };
            event.at = self.clock.now();
            event.took_us = Some(took_us);
            event.result = result;
            if known.begun && known.captures {
                // They are kept with its beginning. A digest without salt would tell of them for ever.
                event.arguments = None;
            }
            event.details.insert("exit", exit.word().to_owned());
            if let Ending::Error { code, .. } = ending {
                event.code = Some(*code);
            }
            event.outcome = known.outcome.unwrap_or(match (exit, ending) {
                (_, Ending::Error { code: code::DENIED, .. }) => Outcome::Denied,
                // Whom a name is hidden from is told that there is none; the log says why.
                (_, Ending::Error { .. }) if known.is_denied() => Outcome::Denied,
                (Exit::Questions | Exit::Task, _) => Outcome::Deferred,
                (_, Ending::Result) => Outcome::Allowed,
                _ => Outcome::Error,
            });
            event
        })
    }

    /// Writes how it ended. Nothing leaves before. Gives where the record is, where that is waited for.
    ///
    /// # Errors
    /// Where nothing may leave without a record, and there is none.
    pub async fn completed(&self, event: Event) -> Result<Option<Recorded>, RpcError> {
        let retry = if self.change(|known| known.begun) { "may_have_run" } else { "safe" };
        self.write(event, retry).await
    }

    /// Writes how it ended where nobody waits for it any more.
    pub fn left(&self, event: Event) {
        self.recorder.note(event);
    }

    /// Whether nothing may leave without a record.
    pub fn is_strict(&self) -> bool {
        self.recorder.is_strict()
    }

    async fn write(&self, event: Event, retry: &'static str) -> Result<Option<Recorded>, RpcError> {
        if !self.recorder.is_strict() {
            self.recorder.note(event);
            return Ok(None);
        }
        match self.recorder.record(event).await {
            Ok(recorded) => Ok(Some(recorded)),
            Err(error) => {
                tracing::error!(%error, "a call is refused: nothing is answered without its record");
                let text = "The audit log takes no record, and nothing is answered without one";
                let data = json!({"reason": "unrecorded", "fault": "gateway", "retry": retry});
                Err(RpcError::new(code::UNRECORDED, text).with(data))
            }
        }
    }
}

fn new_operation(x: &Exchange) -> Arc<str> {
    let mut random = [0; 12];
    x.app.rng.fill(&mut random);
    Arc::from(audit::hex(&random))
}

fn cut(text: &str) -> &str {
    model::cut(text, NAME_BYTES_MAX)
}

/// The client: as its token says, else as it says itself.
fn client(x: &Exchange) -> Option<Arc<str>> {
    if let Some(client) = &x.who.client {
        return Some(Arc::from(cut(client)));
    }
    let name = x.caller.client_info.get("name")?;
    Some(Arc::from(cut(&name.as_str()?)))
}

fn target(call: &Call) -> Option<Arc<str>> {
    let member = match call.method {
        Method::ToolsCall | Method::PromptsGet => "name",
        Method::ResourcesRead | Method::Subscribe | Method::Unsubscribe => "uri",
        _ => return None,
    };
    Some(Arc::from(cut(&call.text(member)?)))
}

fn arguments(call: &Call) -> Option<Content> {
    let raw = call.params.get("arguments")?;
    Some(content(&raw))
}

/// The digest of what is said, and its size.
fn content(raw: &Raw) -> Content {
    let bytes = raw.as_bytes();
    Content { digest: seal::sha256(bytes), bytes: bytes.len() as u64, captured: None }
}

/// The same, with what is said itself.
fn kept(raw: &Raw) -> Content {
    Content { captured: Some(Arc::from(raw.as_bytes())), ..content(raw) }
}

/// Whether a client asks for the receipt of its record.
fn wants_receipt(call: &Call) -> bool {
    let wanted = call.params.get("_meta").and_then(|meta| meta.get(RECEIPT));
    wanted.is_some_and(|wanted| wanted.as_bytes() == b"true")
}

/// What the client's model was at (SEP-2817, a draft): the one member that may be repeated.
fn turn(call: &Call) -> Option<String> {
    let meta = call.params.get("_meta")?;
    let turn = meta.get("io.modelcontextprotocol/aiInvocation")?.get("turnId")?;
    Some(cut(&turn.as_str()?).to_owned())
}

/// Tells of something that is of no call. Where nothing is answered without a record, whoever answers writes
/// one after it, and both are durable then.
pub(crate) fn happened(app: &App, event: Event) {
    if let Some(recorder) = app.recorder.get() {
        recorder.note(event);
    }
}

/// What happened to somebody now, without length.
pub(crate) fn event(app: &App, kind: &'static str, principal: &Principal) -> Event {
    Event::new(kind, app.clock.now(), principal.tenant(), principal.subject())
}

/// Whose actions those of the process itself are.
const OWN: &str = "@tidegate";
/// The tenant of what belongs to none.
const EVERYBODY: &str = "default";

/// What the process itself did.
pub(crate) fn own_event(app: &App, kind: &'static str) -> Event {
    Event::new(kind, app.clock.now(), EVERYBODY, OWN)
}

/// Records that one of the gateway's own pages or forms was answered, before the answer leaves.
pub(crate) async fn form_answered(
    app: &App,
    (kind, client): (&'static str, Option<&str>),
    address: Option<std::net::IpAddr>,
    answer: Answer,
) -> Answer {
    let subject =
        client.map_or_else(|| "client:unknown".to_owned(), |client| format!("client:{}", cut(client)));
    let mut event = Event::new(kind, app.clock.now(), EVERYBODY, &subject);
    event.client = client.map(|client| Arc::from(cut(client)));
    event.address = address;
    answered(app, event, answer).await
}

/// Records what was answered to a form, before the answer leaves.
pub(crate) async fn answered(app: &App, mut event: Event, answer: Answer) -> Answer {
    let Some(recorder) = app.recorder.get() else { return answer };
    let status = answer.status();
    event.outcome = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Denied,
        status if status.is_client_error() || status.is_server_error() => Outcome::Error,
        _ => Outcome::Allowed,
    };
    event.details.insert("status", status.as_u16().to_string());
    if !recorder.is_strict() {
        recorder.note(event);
        return answer;
    }
    match recorder.record(event).await {
        Ok(_) => answer,
        Err(error) => {
            tracing::error!(%error, "a form is refused: nothing is answered without its record");
            let text = "The audit log takes no record, and nothing is answered without one.\n";
            answer::text(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}
