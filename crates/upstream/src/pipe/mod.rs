//! Upstreams behind one channel that carries every message: a process's standard streams, or HTTP+SSE.

mod pool;
mod sse_pair;
mod stdio;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use protocol::latest::meta;
use protocol::{Id, Message, Method, Notification, Raw, Request, Response, RpcError, envelope};
use tokio::sync::{mpsc, oneshot};

use crate::core::{Change, Core, Stats};
use crate::http::{Answer, HttpLink};
use crate::{CallError, CallErrorKind};

pub(crate) use pool::{Channel, Dial, Lease, PipePool, Spoken};

/// How many messages of one call may wait to be read; notifications beyond are dropped and counted.
const ROUTE_MESSAGES_MAX: usize = 256;

/// The writing end.
pub(crate) enum Writer {
    /// A process's standard input.
    Child(Arc<egress::Child>),
    /// A POST for each message.
    Post(HttpLink),
}

struct Route {
    messages: mpsc::Sender<Message>,
    response: Option<oneshot::Sender<Response>>,
    /// A listen request: a stream of changes, and no call that a question could belong to.
    background: bool,
}

/// One channel, and who waits for what on it.
pub(crate) struct Pipe {
    core: Arc<Core>,
    writer: Writer,
    routes: Mutex<HashMap<Id, Route>>,
    closed: AtomicBool,
}

impl Pipe {
    pub fn new(core: Arc<Core>, writer: Writer) -> Arc<Self> {
        Arc::new(Self { core, writer, routes: Mutex::new(HashMap::new()), closed: AtomicBool::new(false) })
    }

    fn routes(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Route>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends every wait: the other side is gone.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.routes().clear();
    }

    /// Sends one message.
    pub async fn send(&self, bytes: Bytes) -> Result<(), CallError> {
        match &self.writer {
            Writer::Child(child) => {
                let gone = |error| self.core.error(CallErrorKind::Unreachable).detail(error);
                child.send_line(one_line(bytes)).await.map_err(gone)
            }
            Writer::Post(link) => match link.post(http::HeaderMap::new(), bytes, None).await?.0 {
                Answer::Refused(refusal) => {
                    Err(self.core.error(CallErrorKind::Status(refusal.status.as_u16())))
                }
                _ => Ok(()),
            },
        }
    }

    /// Sends a request and gives the place where its messages arrive.
    pub async fn request(
        self: &Arc<Self>,
        id: &Id,
        bytes: Bytes,
        background: bool,
    ) -> Result<PipeIncoming, CallError> {
        let (messages, notes) = mpsc::channel(ROUTE_MESSAGES_MAX);
        let (response, done) = oneshot::channel();
        self.routes().insert(id.clone(), Route { messages, response: Some(response), background });
        let incoming =
            PipeIncoming { pipe: Arc::clone(self), id: id.clone(), notes, done: Some(done), lease: None };
        if self.is_closed() {
            return Err(self.core.error(CallErrorKind::Unreachable));
        }
        if matches!(self.writer, Writer::Child(_)) {
            Stats::add(&self.core.stats.requests);
        }
        self.send(bytes).await?;
        Ok(incoming)
    }

    /// Takes a message from the other side.
    pub fn on_message(self: &Arc<Self>, bytes: Bytes) {
        match Message::parse(bytes) {
            Ok(Message::Response(response)) => self.on_response(response),
            Ok(Message::Notification(note)) => self.on_notification(note),
            Ok(Message::Request(request)) => self.on_request(request),
            // A line that is no message: servers that print to stdout exist, and must not stop the others.
            Err(_) => Stats::add(&self.core.stats.strays),
        }
    }

    fn on_response(&self, response: Response) {
        let Some(id) = &response.id else { return Stats::add(&self.core.stats.strays) };
        let waiting = self.routes().get_mut(id).and_then(|route| route.response.take());
        if waiting.is_none_or(|waiting| waiting.send(response).is_err()) {
            Stats::add(&self.core.stats.strays);
        }
    }

    fn on_notification(&self, note: Notification) {
        if let Some(change) = change_of(&note.method, note.params.as_ref()) {
            self.core.changed(change);
            return;
        }
        let owner = match note.method {
            Method::Progress => {
                note.params.as_ref().and_then(|p| p.get("progressToken")).and_then(Id::from_raw)
            }
            _ => note
                .params
                .as_ref()
                .and_then(|p| p.get("_meta"))
                .and_then(|m| m.get(meta::SUBSCRIPTION_ID))
                .and_then(Id::from_raw)
                .or_else(|| self.only_call()),
        };
        let routes = self.routes();
        let sent = owner
            .and_then(|id| routes.get(&id))
            .map(|route| route.messages.try_send(Message::Notification(note)));
        if !matches!(sent, Some(Ok(()))) {
            Stats::add(&self.core.stats.strays);
        }
    }

    /// The call that a message without an address belongs to: the one under way, if it is the only one.
    fn only_call(&self) -> Option<Id> {
        let routes = self.routes();
        let mut calls = routes.iter().filter(|(_, route)| !route.background);
        match (calls.next(), calls.next()) {
            (Some((id, _)), None) => Some(id.clone()),
            _ => None,
        }
    }

    fn on_request(self: &Arc<Self>, request: Request) {
        let id = request.id.clone();
        if request.method != Method::Ping
            && let Some(owner) = self.only_call()
            && let Some(route) = self.routes().get(&owner)
            && route.messages.try_send(Message::Request(request.clone())).is_ok()
        {
            return;
        }
        let answer = if request.method == Method::Ping {
            envelope::result(&id, &Raw::literal("{}"))
        } else {
            let text = "no single call is under way that this request could belong to";
            envelope::error(Some(&id), &RpcError::new(protocol::code::METHOD_NOT_FOUND, text).to_raw())
        };
        let pipe = Arc::clone(self);
        tokio::spawn(async move {
            let _ = pipe.send(answer).await;
        });
    }
}

/// What a notification says about changes.
pub(crate) fn change_of(method: &Method, params: Option<&Raw>) -> Option<Change> {
    Some(match method {
        Method::ToolsChanged => Change::Tools,
        Method::PromptsChanged => Change::Prompts,
        Method::ResourcesChanged => Change::Resources,
        Method::ResourceUpdated => {
            let uri = params.and_then(|p| p.get("uri"))?;
            Change::Resource(Arc::from(&*uri.as_str()?))
        }
        Method::TaskChanged => {
            let id = params.and_then(|p| p.get("taskId"))?;
            Change::Task(Arc::from(&*id.as_str()?), params?.clone())
        }
        _ => return None,
    })
}

/// JSON without line breaks: outside of strings they mean nothing, and inside they do not occur.
fn one_line(bytes: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &bytes).is_none() {
        return bytes;
    }
    let mut line = BytesMut::from(&*bytes);
    for byte in line.iter_mut().filter(|b| matches!(b, b'\n' | b'\r')) {
        *byte = b' ';
    }
    line.freeze()
}

/// The messages of one request.
pub(crate) struct PipeIncoming {
    pipe: Arc<Pipe>,
    id: Id,
    notes: mpsc::Receiver<Message>,
    done: Option<oneshot::Receiver<Response>>,
    /// Keeps the process from being stopped, or given to somebody else.
    pub lease: Option<Lease>,
}

impl PipeIncoming {
    /// The next message. `None`: there was the response already.
    pub async fn next(&mut self) -> Result<Option<Message>, CallError> {
        let Some(done) = &mut self.done else { return Ok(None) };
        tokio::select! {
            biased;
            Some(message) = self.notes.recv() => Ok(Some(message)),
            response = done => {
                self.done = None;
                match response {
                    Ok(response) => Ok(Some(Message::Response(response))),
                    Err(_gone) => Err(self.pipe.core.error(CallErrorKind::Broke)),
                }
            }
        }
    }

    /// The response alone.
    pub async fn response(mut self) -> Result<Result<Raw, Raw>, CallError> {
        while let Some(message) = self.next().await? {
            if let Message::Response(response) = message {
                return Ok(response.outcome);
            }
        }
        Err(self.pipe.core.error(CallErrorKind::Broke))
    }
}

impl Drop for PipeIncoming {
    fn drop(&mut self) {
        self.pipe.routes().remove(&self.id);
    }
}
