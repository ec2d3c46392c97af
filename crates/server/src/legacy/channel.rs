//! A legacy client behind a channel of its own: the session lives as long as the channel.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Message, Method, Request, RpcError, envelope};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::buffer::StreamBuffer;
use super::drive::gather;
use super::get::write_changes;
use super::post::{Served, enter, handshake, notification, serve};
use super::session::Session;
use crate::app::Exchange;
use crate::line;
use crate::note::aside::{self, Over};

/// A client of a legacy revision on a channel.
pub(crate) struct LocalSession {
    session: Arc<Session>,
    out: mpsc::Sender<Bytes>,
    /// As it was when the session began.
    x: Exchange,
}

impl LocalSession {
    /// Answers `initialize`. `None`: it was refused, and the client was told.
    pub async fn initialize(
        mut x: Exchange,
        request: Request,
        out: mpsc::Sender<Bytes>,
    ) -> Option<Arc<Self>> {
        match handshake(&x, &request).await {
            Ok((opened, result)) => {
                let session = Session::unkept(opened);
                enter(&mut x, &session);
                // A client that is gone reads nothing, here and below.
                let _ = out.send(envelope::result(&request.id, &result)).await;
                let changes = StreamBuffer::new("changes".to_owned(), &x.generation.limits);
                write_changes(&x, &session, &changes, false).await;
                tokio::spawn(copy(changes, out.clone()));
                Some(Arc::new(Self { session, out, x }))
            }
            Err(error) => {
                let _ = out.send(envelope::error(Some(&request.id), &error.to_raw())).await;
                None
            }
        }
    }

    /// Takes a message; what follows from it comes on the channel, by a task among `calls` for a request.
    pub async fn take(self: &Arc<Self>, mut x: Exchange, message: Message, calls: &TaskTracker) {
        enter(&mut x, &self.session);
        match message {
            Message::Request(request) if request.method == Method::Initialize => {
                let error = RpcError::invalid_request("there was an initialize already").to_raw();
                let _ = self.out.send(envelope::error(Some(&request.id), &error)).await;
            }
            Message::Request(request) => {
                let own = Arc::clone(self);
                calls.spawn(async move { own.answer(x, request).await });
            }
            Message::Notification(note) => {
                if aside::may_take(&x, &note).await {
                    notification(&self.session, &note);
                }
            }
            Message::Response(response) => {
                if let Some(id) = &response.id {
                    self.session.answer(id, response.outcome);
                }
            }
        }
    }

    async fn answer(&self, x: Exchange, request: Request) {
        let id = request.id.clone();
        let limits = x.generation.limits;
        let name = format!("c{}", self.session.next_number());
        match serve(x, Arc::clone(&self.session), request, || StreamBuffer::copied(name, &limits)).await {
            Served::Response(bytes) | Served::Ended(bytes) | Served::Later(bytes, _) => {
                drop(self.out.send(bytes).await)
            }
            Served::Cancelled => {}
            Served::Large(chunks) => {
                let message = match gather(chunks).await {
                    Ok(result) => envelope::result(&id, &result),
                    Err(error) => envelope::error(Some(&id), &error.to_raw()),
                };
                drop(self.out.send(message).await);
            }
            Served::Stream(stream) => copy(stream, self.out.clone()).await,
        }
    }
}

impl Drop for LocalSession {
    fn drop(&mut self) {
        self.session.end();
        aside::session_over(&self.x, Over::Stream);
        if let Some(lines) = &self.session.opened.lines {
            line::close_all(&self.x, lines);
        }
    }
}

/// Copies a stream's messages onto the channel.
async fn copy(stream: Arc<StreamBuffer>, out: mpsc::Sender<Bytes>) {
    let Some(mut reader) = stream.attach(0) else { return };
    while let Some((_, message)) = reader.next().await {
        if out.send(message).await.is_err() {
            return;
        }
    }
}
