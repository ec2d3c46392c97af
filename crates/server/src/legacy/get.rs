//! A legacy GET, which opens or resumes a stream, and DELETE, which ends a session.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _};
use http::StatusCode;
use protocol::headers::SESSION;
use protocol::{Id, Message, Notification, Revision, RpcError, code, envelope, sse};
use serde_json::json;
use upstream::Change;

use super::buffer::{Gone, Reader, StreamBuffer, split_event_id};
use super::post::{enter, session_of, unshared};
use super::session::Session;
use super::shared::SessionChange;
use crate::answer::{self, Accepts, Answer, BodyError};
use crate::app::{App, Exchange};
use crate::changes::{Lists, Watch};
use crate::drain::{self, Phase};
use crate::hosted::Feed;
use crate::http::{Turn, shed, unavailable};
use crate::hub::{Heard, Subscription};
use crate::note::aside;
use crate::overload::{Shed, Stage};
use crate::{line, modern};

/// How soon a client should come back after the server hung up.
const RETRY_MS: u64 = 500;

/// Opens the session's own stream, or goes on with one that broke.
pub(crate) async fn get(mut x: Exchange) -> Turn {
    if !Accepts::read(&x.headers).events {
        return Turn::Here(answer::text(StatusCode::NOT_ACCEPTABLE, "Accept must name text/event-stream.\n"));
    }
    if !x.headers.contains_key(SESSION) {
        let text = "There is no stream without a session.\n";
        return Turn::Here(answer::text(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    let session = match found(&x).await {
        Ok(session) => session,
        Err(answer) => return Turn::Here(*answer),
    };
    enter(&mut x, &session);
    let revision = session.opened.revision;
    let last = x.headers.get("last-event-id").and_then(|v| v.to_str().ok().map(str::to_owned));
    let wanted = last.as_deref().and_then(split_event_id);
    if let Some((name, _)) = wanted
        && let Some(owner) = x.elsewhere(name)
    {
        match super::name::call_of(name) {
            // The call ran there. What it kept of the stream stands in for it.
            Some(call) => {
                let (session, name) = (Arc::clone(&session), name.to_owned());
                let after = wanted.map_or(0, |(_, number)| number);
                let rest = async move { rest(&session, &name, after, &call, &modern::gone(false)).await };
                return Turn::Owner(owner, Box::new(move |_| rest.boxed()));
            }
            None if x.app.replicas.lives(&owner) => {
                let here = async move { own_answer(&x, &session, true).await };
                return Turn::Owner(owner, Box::new(move |_| here.boxed()));
            }
            // Changes can be heard from here on just as well; those that were missed are told as a gap.
            None => {}
        }
    }
    let resumed = wanted.and_then(|(name, seq)| stream_answer(&x.app, &session.stream(name)?, seq, revision));
    let call = wanted.and_then(|(name, after)| Some((name, after, super::name::call_of(name)?)));
    Turn::Here(match (resumed, call) {
        (Some(answer), _) => answer,
        // It waits for the end of that call, which the session's own stream would never bring.
        (None, Some((name, after, call))) => rest(&session, name, after, &call, &late()).await,
        (None, None) => own_answer(&x, &session, last.is_some()).await,
    })
}

/// The session's own stream, begun anew.
async fn own_answer(x: &Exchange, session: &Arc<Session>, missed: bool) -> Answer {
    if x.app.has_reached(Phase::Draining) {
        return unavailable(None, &drain::too_late());
    }
    if x.app.memory.stage() >= Stage::Soft {
        return shed(&x.app, None, &Shed::memory());
    }
    let stream = open_own(x, session, missed).await;
    stream_answer(&x.app, &stream, 0, session.opened.revision).unwrap_or_else(nothing)
}

fn nothing() -> Answer {
    answer::empty(StatusCode::NO_CONTENT)
}

/// What a client hears that came back when its call had been given up, or its stream forgotten.
pub(super) fn late() -> RpcError {
    let text = "The stream of this call is no longer kept. \
                The call may have run: make it again only if that does no harm";
    RpcError::new(code::PARKED_GONE, text).with(json!({
        "reason": "stream_gone",
        "fault": model::Fault::Gateway.as_str(),
        "retry": model::Retry::MayHaveRun.as_str(),
    }))
}

/// The end of a call whose stream is not here, for the client that comes back to its stream: what was kept of
/// it, and an error where it had not come to its end.
async fn rest(session: &Session, name: &str, after: u64, call: &Id, error: &RpcError) -> Answer {
    let message = envelope::error(Some(call), &error.to_raw());
    let lost = futures_util::stream::iter([Ok(sse::event(None, &message))]);
    match super::kept::resume(session, name, after).await {
        Some((kept, true)) => answer::events(Box::pin(kept.map(Ok))),
        Some((kept, false)) => answer::events(Box::pin(kept.map(Ok).chain(lost))),
        None => answer::events(Box::pin(lost)),
    }
}

async fn found(x: &Exchange) -> Result<Arc<Session>, Box<Answer>> {
    // A message that never comes: the rules for finding a session are those of any message.
    let nothing = Message::Notification(Notification { method: protocol::Method::Initialized, params: None });
    session_of(x, &nothing).await
}

/// Ends a session.
pub(crate) async fn delete(x: &Exchange) -> Answer {
    if !x.headers.contains_key(SESSION) {
        return answer::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "There is nothing to delete without a session.\n",
        );
    }
    match found(x).await {
        Ok(session) => match ended(x, &session).await {
            Ok(()) => {
                if let Some(lines) = &session.opened.lines {
                    line::close_all(x, lines);
                }
                answer::empty(StatusCode::NO_CONTENT)
            }
            Err(error) => answer::error_with(StatusCode::SERVICE_UNAVAILABLE, None, &error.to_raw()),
        },
        Err(answer) => *answer,
    }
}

/// Ends a session for its client, in a way that is on record.
async fn ended(x: &Exchange, session: &Session) -> Result<(), RpcError> {
    let mut x = x.clone();
    enter(&mut x, session);
    aside::session_deleted(&x).await?;
    session.change(SessionChange::End).await.map(drop).map_err(|error| unshared(&error))
}

/// The stream from after an event as an answer. `None`: that event is no longer there.
pub(super) fn stream_answer(
    app: &Arc<App>,
    stream: &Arc<StreamBuffer>,
    after: u64,
    revision: Revision,
) -> Option<Answer> {
    let reader = stream.attach(after)?;
    let polled = revision.features().polled_streams;
    let with_ids = revision > Revision::V2024_11_05;
    let until =
        app.generation().limits.poll_after.filter(|_| polled).map(|time| tokio::time::Instant::now() + time);
    let events = futures_util::stream::unfold((reader, until), move |(mut reader, until)| async move {
        let event = next_until(&mut reader, with_ids, until).await?;
        Some((Ok(event), (reader, until)))
    });
    // The first event only carries an id: a client that loses the connection before anything came can
    // resume (SEP-1699).
    let priming =
        (polled && after == 0).then(|| sse::priming(&format!("{}.0", stream.name()), Some(RETRY_MS)));
    let priming = futures_util::stream::iter(priming.map(Ok));
    // Who comes back for the rest of a call is not to wait.
    let farewell = farewell(app).take(usize::from(super::name::call_of(stream.name()).is_none()));
    Some(answer::events(Box::pin(priming.chain(events).chain(farewell))))
}

/// What follows on a stream at its end: in a drain, when to come back.
pub(super) fn farewell(
    app: &Arc<App>,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, BodyError>> + use<> {
    let app = Arc::clone(app);
    futures_util::stream::once(async move { app.farewell() })
        .filter_map(|farewell| std::future::ready(farewell.map(Ok)))
}

/// The next event; `None` also once it is time for the client to poll.
async fn next_until(
    reader: &mut Reader,
    with_ids: bool,
    until: Option<tokio::time::Instant>,
) -> Option<bytes::Bytes> {
    match until {
        None => reader.next_event(with_ids).await,
        Some(until) => tokio::time::timeout_at(until, reader.next_event(with_ids)).await.ok().flatten(),
    }
}

/// Starts the stream that carries changes. `missed`: the client lost one, so anything may have changed
/// meanwhile.
pub(super) async fn open_own(x: &Exchange, session: &Arc<Session>, missed: bool) -> Arc<StreamBuffer> {
    let stream = StreamBuffer::new(super::name::of_stream(&x.app), &x.generation.limits);
    write_changes(x, session, &stream, missed).await;
    session.keep(&stream);
    stream
}

/// Writes changes to this stream from now on, in place of the one that was written to before.
pub(super) async fn write_changes(
    x: &Exchange,
    session: &Arc<Session>,
    stream: &Arc<StreamBuffer>,
    missed: bool,
) {
    let offered = offered(x).await;
    let tasks = Feed::of_all(x).await;
    let writer = {
        let (session, stream) = (Arc::clone(session), Arc::clone(stream));
        Writer { x: x.unplaced(), session, stream, offered, tasks }
    };
    let number = session.uris_number();
    let watch = writer.watch().await;
    let changes = x.app.hub.subscribe(watch.wanted()).await;
    session.uris_heard(number);
    let task = tokio::spawn(writer.run(watch, changes, missed));
    session.set_own(Some((Arc::clone(stream), task.abort_handle())));
}

async fn offered(x: &Exchange) -> Lists {
    match x.endpoint.discover(&x.caller.principal).await {
        Ok(discover) => {
            Lists::offered(&discover.get("capabilities").map(|c| c.to_value()).unwrap_or_default())
        }
        Err(_) => Lists::default(),
    }
}

struct Writer {
    x: Exchange,
    session: Arc<Session>,
    stream: Arc<StreamBuffer>,
    offered: Lists,
    /// The client's own.
    tasks: Option<Feed>,
}

/// The next change of a task. Safe to cancel.
async fn status(tasks: &mut Option<Feed>) -> protocol::Raw {
    match tasks {
        Some(tasks) => tasks.next().await,
        None => std::future::pending().await,
    }
}

impl Writer {
    async fn run(mut self, mut watch: Watch, mut changes: Subscription, missed: bool) {
        let gap = Heard { upstream: None, change: Change::Gap };
        if missed && self.tell(&watch, &gap).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                heard = changes.next() => match heard {
                    Some(heard) => if self.tell(&watch, &heard).await.is_err() { return },
                    None => return,
                },
                status = status(&mut self.tasks) => {
                    let method = "notifications/tasks/status";
                    if self.stream.push(envelope::notification(method, Some(&status))).await.is_err() {
                        return;
                    }
                }
                () = self.session.uris_changed() => {
                    let number = self.session.uris_number();
                    watch = self.watch().await;
                    changes.replace(watch.wanted()).await;
                    self.session.uris_heard(number);
                }
                generation = self.x.app.newer(self.x.generation.number) => {
                    if !self.x.move_to(generation) {
                        break;
                    }
                    self.offered = offered(&self.x).await;
                    watch = self.watch().await;
                    changes.replace(watch.wanted()).await;
                    if self.tell(&watch, &gap).await.is_err() {
                        return;
                    }
                }
                () = self.stream.abandoned() => break,
                () = self.x.expired() => break,
                () = self.x.app.reached(Phase::Draining) => break,
            }
        }
        self.stream.close();
        self.session.drop_stream(self.stream.name());
    }

    async fn watch(&self) -> Watch {
        Watch::find(&self.x, self.offered, self.session.uris().into_iter().map(Arc::from)).await
    }

    async fn tell(&self, watch: &Watch, heard: &Heard) -> Result<(), Gone> {
        for (method, params) in watch.messages(heard) {
            self.stream.push(envelope::notification(method, params.as_ref())).await?;
        }
        Ok(())
    }
}
