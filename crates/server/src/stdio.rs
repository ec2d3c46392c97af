//! One endpoint on standard input and output, for clients that can only start a process (transports,
//! "stdio").
//!
//! The first message decides the era: `initialize` makes it legacy for its lifetime, anything else is
//! modern. A message with modern metadata is always modern.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use egress::LineReader;
use futures_util::StreamExt as _;
use model::Principal;
use protocol::{Call, Id, Message, Method, Notification, Request, RpcError, code, envelope};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;
use upstream::{Body, Item, Outcome, Reply, Upstream};

use crate::app::{App, Exchange};
use crate::legacy::{self, LocalSession};
use crate::local::exchange;
use crate::modern;
use crate::note::aside;

/// How many messages may wait to be written.
const OUT_MAX: usize = 256;
/// The largest message that is read.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long what was said last may take to be written, once everything is over.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Serves an endpoint until the input ends, and what was asked by then is answered or has had the time of a
/// drain. Errors of the output end it too: nobody is there any more.
///
/// # Errors
/// Those of the input.
pub async fn serve<R, W>(app: Arc<App>, endpoint: &str, input: R, output: W) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (out, messages) = mpsc::channel(OUT_MAX);
    let mut writer = tokio::spawn(write(output, messages));
    let conversation = Arc::new(Conversation {
        app,
        endpoint: endpoint.to_owned(),
        out,
        running: Mutex::default(),
        session: Mutex::default(),
        calls: TaskTracker::new(),
    });
    let generation = conversation.app.generation();
    // It serves its client for as long as he is there, and what he sees may change meanwhile.
    generation.upstreams().iter().for_each(Upstream::follow_document);
    let drain_time = generation.limits.drain_time;
    let read = tokio::select! {
        read = read(Arc::clone(&conversation), input) => read,
        _ = &mut writer => Ok(()),
    };
    if !writer.is_finished() {
        conversation.calls.close();
        tokio::select! {
            _ = tokio::time::timeout(drain_time, conversation.calls.wait()) => {}
            _ = &mut writer => {}
        }
    }
    conversation.end();
    drop(conversation);
    if !writer.is_finished() && tokio::time::timeout(FLUSH_TIME, &mut writer).await.is_err() {
        writer.abort();
    }
    read
}

async fn write<W: AsyncWrite + Unpin>(mut output: W, mut messages: mpsc::Receiver<Bytes>) {
    while let Some(message) = messages.recv().await {
        let mut line = Vec::with_capacity(message.len() + 1);
        line.extend(message.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
        line.push(b'\n');
        if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

async fn read<R: AsyncRead + Unpin>(conversation: Arc<Conversation>, mut input: R) -> std::io::Result<()> {
    let mut lines = LineReader::new(LINE_BYTES_MAX);
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let size = input.read(&mut chunk).await?;
        let complete: Vec<_> = match size {
            // The end may stand for the last line's end.
            0 => lines.finish().into_iter().collect(),
            _ => lines.feed(&chunk[..size]).collect(),
        };
        for line in complete {
            match line {
                Ok(line) => conversation.on_line(line).await,
                Err(error) => {
                    let error = RpcError::new(code::PARSE, format!("Parse error: {error}")).to_raw();
                    conversation.say(envelope::error(None, &error)).await;
                }
            }
        }
        if size == 0 {
            return Ok(());
        }
    }
}

struct Conversation {
    app: Arc<App>,
    endpoint: String,
    out: mpsc::Sender<Bytes>,
    /// Modern requests under way, for cancellation.
    running: Mutex<HashMap<Id, Arc<Notify>>>,
    /// Set once there was a legacy handshake.
    session: Mutex<Option<Arc<LocalSession>>>,
    /// Requests that are not answered yet; those that only listen are not among them.
    calls: TaskTracker,
}

impl Conversation {
    async fn say(&self, message: Bytes) {
        // A client that is gone reads nothing.
        let _ = self.out.send(message).await;
    }

    fn end(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().for_each(|cancel| cancel.notify_one());
        self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn session(&self) -> Option<Arc<LocalSession>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn exchange(&self) -> Option<Exchange> {
        exchange(&self.app, &self.endpoint, modern::unknown_caller(Principal::anonymous()))
    }

    async fn on_line(self: &Arc<Self>, line: Bytes) {
        let message = match Message::parse(line) {
            Ok(message) => message,
            Err(error) => {
                let (id, error) = error.to_rpc();
                return self.say(envelope::error(id.as_ref(), &error.to_raw())).await;
            }
        };
        let Some(x) = self.exchange() else { return };
        let modern = modern::is_modern(&http::HeaderMap::new(), &message);
        match (message, self.session()) {
            (Message::Request(request), _) if modern || request.method == Method::Discover => {
                self.start(x, request);
            }
            (Message::Request(request), None) if request.method == Method::Initialize => {
                let conversation = Arc::clone(self);
                let session = LocalSession::initialize(x, request, self.out.clone()).await;
                *conversation.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
            }
            (message, Some(session)) if !modern => session.take(x, message, &self.calls).await,
            (Message::Request(request), _) => {
                let error =
                    RpcError::invalid_params("Invalid params: _meta lacks the protocol version").to_raw();
                self.say(envelope::error(Some(&request.id), &error)).await;
            }
            (Message::Notification(note), _) => {
                if aside::may_take(&x, &note).await {
                    self.cancel(&note);
                }
            }
            (Message::Response(_), _) => {}
        }
    }

    fn cancel(&self, note: &Notification) {
        let id = note.params.as_ref().and_then(|p| p.get("requestId")).and_then(Id::from_raw);
        if let (Method::Cancelled, Some(id)) = (&note.method, id) {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(cancel) = running.get(&id) {
                cancel.notify_one();
            }
        }
    }

    /// Starts a modern request in a task of its own.
    fn start(self: &Arc<Self>, x: Exchange, request: Request) {
        let cancel = Arc::new(Notify::new());
        let id = request.id.clone();
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Arc::clone(&cancel));
        let conversation = Arc::clone(self);
        let listens = request.method == Method::Listen;
        let work = async move {
            tokio::select! {
                () = conversation.answer(x, request) => {}
                () = cancel.notified() => {}
            }
            conversation.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        };
        if listens {
            tokio::spawn(work);
        } else {
            self.calls.spawn(work);
        }
    }

    async fn answer(&self, mut x: Exchange, request: Request) {
        let id = request.id.clone();
        // Any error to this probe would make a dual-era client take the process for a legacy one for good.
        let lenient = request.method == Method::Discover;
        let call = match Call::read(request.method, request.params.as_ref()) {
            Ok(call) => call,
            Err(error) => {
                let error = RpcError::invalid_params(format!("Invalid params: {error}")).to_raw();
                return self.say(envelope::error(Some(&id), &error)).await;
            }
        };
        if let Err(error) = modern::check_body(&call)
            && !lenient
        {
            return self.say(envelope::error(Some(&id), &error.to_raw())).await;
        }
        let call = crate::extensions::narrowed(&x, call);
        modern::enter(&mut x, &call);
        if call.method == Method::Listen {
            return self.listen(x, id, &call).await;
        }
        if !modern::served(&x, &call.method) {
            let error = RpcError::method_not_found(call.method.as_str()).to_raw();
            return self.say(envelope::error(Some(&id), &error)).await;
        }
        x.request_id = Some(id.clone());
        match crate::pipeline::execute(&x, &call).await {
            Ok(reply) => self.pass(&id, reply).await,
            Err(error) => self.say(envelope::error(Some(&id), &error.to_raw())).await,
        }
    }

    async fn listen(&self, x: Exchange, id: Id, call: &Call) {
        match modern::open_stream(x, id.clone(), call).await {
            Ok(mut stream) => {
                while let Some(message) = stream.next_message().await {
                    self.say(message).await;
                }
            }
            Err(error) => self.say(envelope::error(Some(&id), &error.to_raw())).await,
        }
    }

    async fn pass(&self, id: &Id, reply: Reply) {
        let outcome = match reply {
            Reply::Ready(outcome) => outcome,
            Reply::Stream(mut items) => loop {
                match items.next().await {
                    Some(Ok(Item::Done(outcome))) => break outcome,
                    Some(Ok(Item::Notification { method, params })) => {
                        self.say(envelope::notification(method.as_str(), params.as_ref())).await;
                    }
                    Some(Ok(Item::HungUp)) => {}
                    Some(Err(error)) => break Outcome::Error(error.to_rpc().to_raw()),
                    None => {
                        let error = RpcError::new(code::UPSTREAM_BROKE, "The upstream broke off");
                        break Outcome::Error(error.to_raw());
                    }
                }
            },
        };
        let message = match outcome {
            Outcome::Result(Body::Whole(result)) => envelope::result(id, &result),
            Outcome::Error(error) => envelope::error(Some(id), &error),
            Outcome::Result(Body::Stream(chunks)) => match legacy::gather(chunks).await {
                Ok(result) => envelope::result(id, &result),
                Err(error) => envelope::error(Some(id), &error.to_raw()),
            },
        };
        self.say(message).await;
    }
}
