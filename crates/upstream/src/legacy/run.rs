//! One call on a legacy server, from its request to its response, questions included.

use std::sync::Arc;
use std::time::Duration;

use bridge::{UpAction, UpCall};
use bytes::Bytes;
use http::HeaderMap;
use protocol::json::Object;
use protocol::{Call, Id, Message, Raw, envelope};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Session, SideIncoming};
use crate::core::{Core, deadline};
use crate::http::{Answer, EventStream, HttpLink, Reconnect};
use crate::observe::Hop;
use crate::pipe::{Pipe, PipeIncoming};
use crate::{Body, CallContext, CallError, CallErrorKind, Item, Outcome, Reply};

/// How often one call's stream is picked up again after it broke.
const RESUMES_MAX: u32 = 64;
/// How long a response waits for what a server says beside the call's stream.
const ASIDE_TIME: Duration = Duration::from_millis(20);

/// Where the call's messages come from.
pub(crate) enum Incoming {
    /// The call's own stream, which can be picked up again where it broke.
    Http {
        events: EventStream,
        link: HttpLink,
        headers: HeaderMap,
        resumes_left: u32,
        side: Option<SideIncoming>,
        reconnect: Option<Reconnect>,
        /// The response, held back for what the server said beside the call's stream before it.
        held: Option<Message>,
        /// Whether the server says things there.
        talks_aside: bool,
        /// Lasts as long as the call, and with it its own stream.
        _session: Arc<Session>,
    },
    /// Its share of a channel.
    Pipe(PipeIncoming),
}

/// What came.
enum Came {
    Message(Message),
    /// The stream broke in a place from which it can go on.
    HungUp,
    End,
}

impl Incoming {
    /// A call's own stream and what comes beside it; `logs` says that the client asked for log messages.
    pub fn http(
        events: EventStream,
        link: &HttpLink,
        session: &Arc<Session>,
        side: Option<SideIncoming>,
        logs: bool,
    ) -> Self {
        Self::Http {
            events,
            link: link.clone(),
            headers: session.headers.clone(),
            _session: Arc::clone(session),
            resumes_left: RESUMES_MAX,
            reconnect: None,
            held: None,
            // What is logged there may come after the response; a question never does.
            talks_aside: logs && side.as_ref().is_some_and(SideIncoming::tells),
            side,
        }
    }

    async fn next(&mut self) -> Result<Came, CallError> {
        match self {
            Self::Pipe(pipe) => Ok(pipe.next().await?.map_or(Came::End, Came::Message)),
            Self::Http {
                events, link, headers, resumes_left, side, reconnect, held, talks_aside, ..
            } => {
                if let (Some(response), Some(side)) = (held.take(), side.as_mut()) {
                    // The two streams are not ordered: what was said before the response may arrive after it.
                    return Ok(match timeout(ASIDE_TIME, side.next()).await {
                        Ok(message) => {
                            *held = Some(response);
                            Came::Message(message)
                        }
                        Err(_quiet) => Came::Message(response),
                    });
                }
                if let Some(at) = reconnect.take() {
                    tokio::time::sleep(at.after).await;
                    events.resume(resume(link, headers, &at.last_event_id).await?);
                }
                let message = match side {
                    None => events.message().await,
                    Some(side) => tokio::select! {
                        biased;
                        message = events.message() => message,
                        message = side.next() => {
                            *talks_aside = true;
                            return Ok(Came::Message(message));
                        }
                    },
                };
                let broken = match message {
                    Ok(Some(response @ Message::Response(_))) if *talks_aside => {
                        *held = Some(response);
                        return Box::pin(self.next()).await;
                    }
                    Ok(Some(message)) => return Ok(Came::Message(message)),
                    Ok(None) => Ok(Came::End),
                    Err(error) if error.kind == CallErrorKind::Broke => Err(error),
                    Err(error) => return Err(error),
                };
                let Some(at) = events.reconnect().filter(|_| *resumes_left > 0) else { return broken };
                *resumes_left -= 1;
                *reconnect = Some(at);
                Ok(Came::HungUp)
            }
        }
    }
}

/// Asks for the rest of a stream (transports, "Resumability and Redelivery").
async fn resume(link: &HttpLink, headers: &HeaderMap, last: &str) -> Result<egress::ResponseBody, CallError> {
    let mut headers = headers.clone();
    headers.insert(http::header::ACCEPT, http::HeaderValue::from_static("text/event-stream"));
    if let Ok(value) = http::HeaderValue::from_str(last) {
        headers.insert("last-event-id", value);
    }
    let response = link.send(http::Method::GET, headers, Bytes::new()).await?;
    if response.status().is_success() {
        Ok(response.into_body())
    } else {
        Err(link.core.error(CallErrorKind::Broke).detail(format!("resuming gave {}", response.status())))
    }
}

/// The way back to the server that asks.
#[derive(Clone)]
pub(crate) enum Peer {
    Http { link: HttpLink, headers: HeaderMap },
    Pipe(Arc<Pipe>),
}

impl Peer {
    /// Sends a response or a notification.
    pub async fn send(&self, bytes: Bytes) -> Result<(), CallError> {
        match self {
            Self::Pipe(pipe) => pipe.send(bytes).await,
            Self::Http { link, headers } => match link.post(headers.clone(), bytes, None).await?.0 {
                Answer::Refused(refusal) => {
                    Err(link.core.error(CallErrorKind::Status(refusal.status.as_u16())))
                }
                _ => Ok(()),
            },
        }
    }

    /// Tells the server that a request is no longer wanted; its stream closes after the word is out. Best
    /// effort: the server may be gone already.
    pub fn cancel(&self, id: &Id, stream: Option<Incoming>) {
        let params = format!(r#"{{"requestId":{},"reason":"no longer wanted"}}"#, id.raw());
        let params = Raw::trusted(Bytes::from(params));
        let bytes = envelope::notification("notifications/cancelled", Some(&params));
        let peer = self.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = peer.send(bytes).await;
                drop(stream);
            });
        }
    }
}

/// A request that is on its way and has no answer yet. Dropping this tells the server that the answer is no
/// longer wanted: to close the connection is no cancellation before 2026-07-28.
pub(crate) struct Unwanted(Option<(Peer, Id)>);

impl Unwanted {
    pub fn new(peer: Peer, id: &Id) -> Self {
        Self(Some((peer, id.clone())))
    }

    /// There is an answer, or somebody else who sees to it.
    pub fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        if let Some((peer, id)) = self.0.take() {
            peer.cancel(&id, None);
        }
    }
}

/// Everything that a run starts with.
pub(crate) struct RunStart {
    pub machine: UpCall,
    pub incoming: Incoming,
    pub peer: Peer,
    pub permit: OwnedSemaphorePermit,
    pub hop: Hop,
}

/// A call under way. Dropping it before its end tells the server that it is no longer wanted.
pub(crate) struct LegacyRun {
    core: Arc<Core>,
    machine: UpCall,
    incoming: Option<Incoming>,
    peer: Peer,
    cx: CallContext,
    until: Instant,
    ended: bool,
    permit: Option<OwnedSemaphorePermit>,
    /// The request lasts as long as the run, also where the run waits for answers.
    hop: Hop,
}

impl LegacyRun {
    pub fn new(core: Arc<Core>, cx: &CallContext, start: RunStart) -> Box<Self> {
        let until = deadline(core.options.timeouts.total);
        Box::new(Self {
            core,
            machine: start.machine,
            incoming: Some(start.incoming),
            peer: start.peer,
            cx: cx.clone(),
            until,
            ended: false,
            permit: Some(start.permit),
            hop: start.hop,
        })
    }

    /// Runs to the first thing worth telling.
    pub async fn start(mut self: Box<Self>) -> Result<Reply, CallError> {
        match self.next().await? {
            Step::Notification(item) => {
                let first = futures_util::stream::iter([Ok(item)]);
                Ok(Reply::Stream(Box::pin(futures_util::StreamExt::chain(first, self.rest()))))
            }
            Step::Ask => Ok(Reply::Ready(self.park()?)),
            Step::Done(outcome) => Ok(Reply::Ready(outcome)),
        }
    }

    fn rest(self: Box<Self>) -> impl futures_util::Stream<Item = Result<Item, CallError>> + Send {
        futures_util::stream::unfold(Some(self), |run| async move {
            let mut run = run?;
            match run.next().await {
                Ok(Step::Notification(item)) => Some((Ok(item), Some(run))),
                Ok(Step::Ask) => Some((run.park().map(Item::Done), None)),
                Ok(Step::Done(outcome)) => Some((Ok(Item::Done(outcome)), None)),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Step, CallError> {
        match self.step().await {
            Ok(Step::Done(outcome)) => Ok(Step::Done(self.hop.done(outcome))),
            Ok(step) => Ok(step),
            Err(error) => Err(self.hop.fail(begun(error))),
        }
    }

    async fn step(&mut self) -> Result<Step, CallError> {
        loop {
            let Some(incoming) = &mut self.incoming else {
                return Err(self.core.error(CallErrorKind::Stopped));
            };
            let message = timeout_at(self.until, incoming.next()).await;
            let message = message.map_err(|_| self.core.error(CallErrorKind::Timeout))??;
            let message = match message {
                Came::Message(message) => message,
                Came::HungUp if self.cx.polls => return Ok(Step::Notification(Item::HungUp)),
                Came::HungUp => continue,
                Came::End => {
                    self.ended = true;
                    return Err(self.core.error(CallErrorKind::Broke));
                }
            };
            match self.machine.on_message(message) {
                None => {}
                Some(UpAction::Notify { method, params }) => {
                    if let Some(change) = crate::pipe::change_of(&method, params.as_ref()) {
                        self.core.changed(change);
                        continue;
                    }
                    return Ok(Step::Notification(Item::Notification { method, params }));
                }
                Some(UpAction::Answer { id, outcome }) => self.answer(&id, outcome).await?,
                Some(UpAction::Ask) => return Ok(Step::Ask),
                // The server still works: it is told when the run is dropped.
                Some(UpAction::GiveUp(error)) => return Ok(Step::Done(Outcome::Error(error))),
                Some(UpAction::Done(outcome)) => {
                    self.ended = true;
                    return Ok(Step::Done(match outcome {
                        Ok(result) => Outcome::Result(Body::Whole(result)),
                        Err(error) => Outcome::Error(error),
                    }));
                }
            }
        }
    }

    async fn answer(&self, id: &Id, outcome: Result<Raw, Raw>) -> Result<(), CallError> {
        let bytes = match outcome {
            Ok(result) => envelope::result(id, &result),
            Err(error) => envelope::error(Some(id), &error),
        };
        self.peer.send(bytes).await.map_err(begun)
    }

    /// Sets the call aside and gives the result that asks the client.
    fn park(mut self: Box<Self>) -> Result<Outcome, CallError> {
        // Waiting for a person takes no slot of the upstream's.
        self.permit = None;
        let name = self.core.random_name();
        let questions = self.machine.questions(&name);
        let (core, principal) = (Arc::clone(&self.core), self.cx.principal.clone());
        let now = core.clock.now();
        let until = self.cx.waits_until;
        match core.lot.park(name, &principal, now, until, self) {
            Ok(()) => Ok(Outcome::Result(Body::Whole(questions))),
            Err(_refused) => Err(core.error(CallErrorKind::ParkLimit)),
        }
    }

    /// Goes on with the answers of a retry.
    pub async fn resume(
        mut self: Box<Self>,
        call: &Call,
        permit: OwnedSemaphorePermit,
    ) -> Result<Reply, CallError> {
        self.permit = Some(permit);
        self.until = deadline(self.core.options.timeouts.total);
        self.machine.set_progress_token(call.meta.progress_token.clone());
        let answers = call.params.get("inputResponses").and_then(|a| a.object().ok().flatten());
        for action in self.machine.on_answers(&answers.unwrap_or_else(Object::empty)) {
            if let UpAction::Answer { id, outcome } = action {
                self.answer(&id, outcome).await?;
            }
        }
        if self.machine.is_asking() { Ok(Reply::Ready(self.park()?)) } else { self.start().await }
    }
}

/// What an error means once the call was sent: it may have run, also where its server is gone by now.
fn begun(error: CallError) -> CallError {
    match error.kind {
        CallErrorKind::Unreachable => CallError { kind: CallErrorKind::Broke, ..error },
        _ => error,
    }
}

enum Step {
    Notification(Item),
    Ask,
    Done(Outcome),
}

impl Drop for LegacyRun {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.peer.cancel(self.machine.id(), self.incoming.take());
    }
}
