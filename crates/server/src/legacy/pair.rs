//! HTTP+SSE (2024-11-05): everything comes on one stream, and the client posts to a second URL.

use std::sync::Arc;

use bridge::translate::down;
use futures_util::StreamExt as _;
use http::StatusCode;
use protocol::{Message, Method, Request, Revision, RpcError, code, envelope, sse};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::buffer::StreamBuffer;
use super::drive::gather;
use super::get::{farewell, write_changes};
use super::post::{Served, enter, handshake, notification, serve};
use super::session::{Opened, Session};
use crate::answer::{self, Accepts, Answer};
use crate::app::{App, Exchange};
use crate::drain::{self, Phase};
use crate::http::{Turn, shed, unavailable};
use crate::line;
use crate::note::aside::{self, Over};
use crate::overload::{Shed, Stage};

/// What a connection is: its stream, and its session once there was a handshake.
pub(crate) struct Pair {
    stream: Arc<StreamBuffer>,
    session: std::sync::Mutex<Option<Arc<Session>>>,
    principal: model::Principal,
    endpoint: String,
    /// What was asked and not answered yet.
    running: TaskTracker,
}

/// Opens the stream; its first event says where to post. `path` is that URL without its query.
pub(crate) fn open(x: &Exchange, path: &str) -> Answer {
    if !Accepts::read(&x.headers).events {
        return answer::text(StatusCode::NOT_ACCEPTABLE, "Accept must name text/event-stream.\n");
    }
    if x.app.has_reached(Phase::Draining) {
        return unavailable(None, &drain::too_late());
    }
    if x.app.memory.stage() >= Stage::Soft {
        return shed(&x.app, None, &Shed::memory());
    }
    let name = super::name::of_pair(&x.app);
    let stream = StreamBuffer::new(name.clone(), &x.generation.limits);
    let Some(reader) = stream.attach(0) else { return answer::empty(StatusCode::NO_CONTENT) };
    let pair = Pair {
        stream: Arc::clone(&stream),
        session: std::sync::Mutex::default(),
        principal: x.caller.principal.clone(),
        endpoint: x.endpoint.name().to_owned(),
        running: TaskTracker::new(),
    };
    let pair = Arc::new(pair);
    x.app.pairs.insert(name.clone(), Arc::clone(&pair));
    let drain = tokio::spawn(end_in_order(Arc::clone(&x.app), pair)).abort_handle();
    let hello = sse::named_event("endpoint", None, format!("{path}?sessionId={name}").as_bytes());
    let farewell = farewell(&x.app);
    let closing = Closing { x: x.clone(), name, drain };
    let events = futures_util::stream::unfold((reader, closing), |(mut reader, closing)| async move {
        let event = reader.next_event(false).await?;
        Some((Ok(event), (reader, closing)))
    });
    answer::events(Box::pin(futures_util::stream::iter([Ok(hello)]).chain(events).chain(farewell)))
}

/// Ends what belongs to a stream when the stream ends: this transport has no way to come back.
struct Closing {
    x: Exchange,
    name: String,
    drain: AbortHandle,
}

/// Closes the stream in a drain, once everything that was asked is answered on it.
async fn end_in_order(app: Arc<App>, pair: Arc<Pair>) {
    app.reached(Phase::Draining).await;
    pair.running.close();
    pair.running.wait().await;
    pair.stream.close();
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.drain.abort();
        if let Some(pair) = self.x.app.pairs.remove(&self.name) {
            pair.stream.close();
            let session = pair.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            if let Some(session) = session {
                session.end();
                enter(&mut self.x, &session);
                aside::session_over(&self.x, Over::Stream);
                if let Some(lines) = &session.opened.lines {
                    line::close_all(&self.x, lines);
                }
            }
        }
    }
}

/// Takes a message; what follows from it comes on the stream.
pub(crate) async fn post(mut x: Exchange, query: &str, message: Message) -> Turn {
    let id = query.split('&').find_map(|part| part.strip_prefix("sessionId="));
    if let Some(owner) = id.and_then(|id| x.elsewhere(id)) {
        return Turn::owner(owner, |_| unknown());
    }
    let pair = id.and_then(|id| x.app.pairs.get(id));
    // Somebody else's stream is as unknown as one that never was.
    let own = |pair: &Arc<Pair>| pair.principal == x.caller.principal && pair.endpoint == x.endpoint.name();
    let Some(pair) = pair.filter(own) else { return Turn::Here(unknown()) };
    let session = pair.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    match (message, session) {
        (Message::Request(request), None) if request.method == Method::Initialize => {
            let running = pair.running.clone();
            running.spawn(initialize(x, pair, request));
        }
        (Message::Request(request), None) => {
            let error = RpcError::new(code::SERVER_LEGACY, "initialize first").to_raw();
            // A client that is gone gets nothing.
            let _ = pair.stream.push(envelope::error(Some(&request.id), &error)).await;
        }
        (Message::Request(request), Some(session)) => {
            enter(&mut x, &session);
            pair.running.spawn(answer_on(x, session, Arc::clone(&pair.stream), request));
        }
        (Message::Notification(note), Some(session)) => {
            enter(&mut x, &session);
            if aside::may_take(&x, &note).await {
                notification(&session, &note);
            }
        }
        (Message::Response(response), Some(session)) => {
            if let Some(id) = &response.id {
                session.answer(id, response.outcome);
            }
        }
        (Message::Notification(_) | Message::Response(_), None) => {}
    }
    Turn::Here(answer::text(StatusCode::ACCEPTED, "Accepted"))
}

fn unknown() -> Answer {
    let error = RpcError::new(code::SERVER_LEGACY, "Session not found: open the stream again").to_raw();
    answer::error_with(StatusCode::NOT_FOUND, None, &error)
}

async fn initialize(mut x: Exchange, pair: Arc<Pair>, request: Request) {
    let answer = match handshake(&x, &request).await {
        Ok((opened, result)) => {
            // A client of this transport may ask for a newer revision; it gets what this transport has.
            let opened = Opened { revision: opened.revision.max(Revision::V2024_11_05), ..opened };
            let session = x.app.sessions.local(pair.stream.name().to_owned(), opened);
            enter(&mut x, &session);
            *pair.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                Some(Arc::clone(&session));
            forward_changes(&x, &session, &pair.stream).await;
            envelope::result(&request.id, &result)
        }
        Err(error) => envelope::error(Some(&request.id), &error.to_raw()),
    };
    let _ = pair.stream.push(answer).await;
}

/// Changes have a stream of their own inside, which is copied onto the one stream of the connection.
async fn forward_changes(x: &Exchange, session: &Arc<Session>, to: &Arc<StreamBuffer>) {
    let changes = StreamBuffer::new(format!("{}c", to.name()), &x.generation.limits);
    write_changes(x, session, &changes, false).await;
    let to = Arc::clone(to);
    if let Some(mut reader) = changes.attach(0) {
        tokio::spawn(async move {
            while let Some((_, message)) = reader.next().await {
                if to.push(message).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn answer_on(x: Exchange, session: Arc<Session>, stream: Arc<StreamBuffer>, request: Request) {
    let (id, method, revision) = (request.id.clone(), request.method.clone(), session.opened.revision);
    let limits = x.generation.limits;
    let name = format!("{}-{}", stream.name(), session.next_number());
    match serve(x, session, request, || StreamBuffer::copied(name, &limits)).await {
        Served::Response(bytes) | Served::Ended(bytes) | Served::Later(bytes, _) => {
            let _ = stream.push(bytes).await;
        }
        Served::Cancelled => {}
        Served::Large(chunks) => {
            let message = match gather(chunks).await {
                Ok(result) => envelope::result(&id, &down::result(&method, revision, result)),
                Err(error) => envelope::error(Some(&id), &error.to_raw()),
            };
            let _ = stream.push(message).await;
        }
        Served::Stream(own) => {
            let Some(mut reader) = own.attach(0) else { return };
            while let Some((_, message)) = reader.next().await {
                if stream.push(message).await.is_err() {
                    return;
                }
            }
        }
    }
}
