//! What clients do that has no answer: their notifications, and the ends of their sessions and streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::{Event, Recorder};
use model::Principal;
use protocol::{Notification, RpcError, code};
use serde_json::json;

use super::{client, cut, new_operation};
use crate::app::{App, Exchange};

/// The subjects of one stream's notifications are few words; a name that is none of them is counted so.
const CLASSES_MAX: usize = 16;

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Its client says so.
    Deleted,
    /// The stream that it was is over.
    Stream,
    /// A session with a server that belonged to it is gone.
    Upstream,
    /// Nobody has used it until it was good no more.
    Expired,
}

impl Over {
    fn word(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Stream => "stream",
            Self::Upstream => "upstream",
            Self::Expired => "expired",
        }
    }
}

fn event(x: &Exchange, kind: &'static str) -> Event {
    let principal = &x.caller.principal;
    let mut event = Event::new(kind, x.app.clock.now(), principal.tenant(), principal.subject());
    event.operation = new_operation(x);
    event.actors.clone_from(&x.who.actors);
    event.client = client(x);
    event.endpoint = Some(Arc::from(x.endpoint.name()));
    event.address = x.address;
    event.details.insert("revision", x.revision.as_str().to_owned());
    event
}

async fn write(x: &Exchange, event: Event) -> Result<(), RpcError> {
    let Some(recorder) = x.app.recorder() else { return Ok(()) };
    if !recorder.is_strict() {
        recorder.note(event);
        return Ok(());
    }
    recorder.record(event).await.map(drop).map_err(|error| {
        tracing::error!(%error, "a client is refused: nothing is done without its record");
        let text = "The audit log takes no record, and nothing is done without one";
        let data = json!({"reason": "unrecorded", "fault": "gateway", "retry": "safe"});
        RpcError::new(code::UNRECORDED, text).with(data)
    })
}

/// A client has sent a notification.
///
/// # Errors
/// Where nothing may be done without a record, and there is none.
pub(crate) async fn notified(x: &Exchange, note: &Notification) -> Result<(), RpcError> {
    // Another replica that only helps has been told by the one that it came to.
    if x.app.recorder().is_none() || x.forwarded {
        return Ok(());
    }
    let mut event = event(x, "notification");
    event.details.insert("method", cut(note.method.as_str()).to_owned());
    write(x, event).await
}

/// A client ends its session.
///
/// # Errors
/// Where nothing may be done without a record, and there is none.
pub(crate) async fn session_deleted(x: &Exchange) -> Result<(), RpcError> {
    if x.app.recorder().is_none() {
        return Ok(());
    }
    write(x, closed(x, Over::Deleted)).await
}

/// A session is over, and nobody waits to hear it.
pub(crate) fn session_over(x: &Exchange, over: Over) {
    if let Some(recorder) = x.app.recorder() {
        recorder.note(closed(x, over));
    }
}

fn closed(x: &Exchange, over: Over) -> Event {
    let mut event = event(x, "session_close");
    event.details.insert("why", over.word().to_owned());
    event
}

/// Where ends of sessions are recorded that are seen apart from any request.
pub(crate) struct Expiries {
    pub recorder: Arc<dyn Recorder>,
    pub clock: Arc<dyn model::Clock>,
}

impl Expiries {
    /// Nobody has used a session until it was good no more.
    pub fn note(&self, principal: &Principal, endpoint: &Arc<str>, revision: &str) {
        let now = self.clock.now();
        let mut event = Event::new("session_close", now, principal.tenant(), principal.subject());
        event.endpoint = Some(Arc::clone(endpoint));
        event.details.insert("revision", revision.to_owned());
        event.details.insert("why", Over::Expired.word().to_owned());
        self.recorder.note(event);
    }
}

/// What one stream of changes has told its client.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The operation that opened it.
    pub operation: Option<Arc<str>>,
    classes: BTreeMap<&'static str, u64>,
}

impl Told {
    /// It has told of a change of this kind.
    pub fn count(&mut self, method: &'static str) {
        if self.classes.len() < CLASSES_MAX || self.classes.contains_key(method) {
            *self.classes.entry(method).or_default() += 1;
        }
    }

    /// The stream is over.
    pub fn over(&self, x: &Exchange) {
        let (Some(recorder), Some(operation)) = (x.app.recorder(), &self.operation) else { return };
        let mut event = event(x, "listen_close");
        event.operation = Arc::clone(operation);
        let told: Vec<_> = self.classes.iter().map(|(class, count)| format!("{class} {count}")).collect();
        event.details.insert("told", told.join(", "));
        recorder.note(event);
    }
}

/// Says in the log that a notification was not taken, for want of anybody to tell.
pub(crate) async fn may_take(x: &Exchange, note: &Notification) -> bool {
    notified(x, note).await.is_ok()
}

/// What the process sees of sessions by itself is recorded from now on.
pub(crate) fn expiries(app: &App, recorder: &Arc<dyn Recorder>) -> Expiries {
    Expiries { recorder: Arc::clone(recorder), clock: Arc::clone(&app.clock) }
}
