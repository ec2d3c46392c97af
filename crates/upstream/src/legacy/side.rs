//! A session's own stream: changes, and questions that the server did not put on the call's stream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use protocol::{Id, Message, Method, Raw, RpcError, code, envelope};
use tokio::sync::{mpsc, watch};

use super::Peer;
use crate::core::Stats;
use crate::http::{EventStream, HttpLink};
use crate::pipe::change_of;

/// How many messages a call may have waiting beside its own stream.
const SIDE_MESSAGES_MAX: usize = 16;
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The calls of one session that take questions from beside.
#[derive(Default)]
pub(crate) struct SideCalls {
    calls: Mutex<HashMap<Id, mpsc::Sender<Message>>>,
    /// Whether the server has ever told a call something here instead of on the call's stream.
    tells: AtomicBool,
}

/// The receiving end of one call.
pub(crate) struct SideIncoming {
    calls: Arc<SideCalls>,
    id: Id,
    messages: mpsc::Receiver<Message>,
}

impl SideCalls {
    /// Announces a call.
    pub fn join(self: &Arc<Self>, id: &Id) -> SideIncoming {
        let (sender, messages) = mpsc::channel(SIDE_MESSAGES_MAX);
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
        SideIncoming { calls: Arc::clone(self), id: id.clone(), messages }
    }

    /// Hands a message to the only call there is. Gives it back where there is none or more than one: to
    /// guess would be to show one call's question in another.
    fn offer(&self, message: Message) -> Result<(), Message> {
        if matches!(message, Message::Notification(_)) {
            self.tells.store(true, Ordering::Relaxed);
        }
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = calls.values();
        match (all.next(), all.next()) {
            (Some(only), None) => only.try_send(message).map_err(mpsc::error::TrySendError::into_inner),
            _ => Err(message),
        }
    }
}

impl SideIncoming {
    /// Whether this server has told calls things here before.
    pub fn tells(&self) -> bool {
        self.calls.tells.load(Ordering::Relaxed)
    }

    /// The next message; waits for ever where there is none.
    pub async fn next(&mut self) -> Message {
        match self.messages.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}

impl Drop for SideIncoming {
    fn drop(&mut self) {
        self.calls.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Reads the session's stream until the task is aborted or the server says that there is none. `tried` hears
/// once the server has answered to the first attempt, whatever it said.
pub(crate) async fn read(
    link: HttpLink,
    headers: HeaderMap,
    calls: Arc<SideCalls>,
    tried: watch::Sender<bool>,
) {
    let mut wait = RETRY_MIN;
    let mut last: Option<String> = None;
    loop {
        let opened = open(&link, &headers, last.as_deref()).await;
        tried.send_replace(true);
        match opened {
            Opened::Stream(mut events) => {
                wait = RETRY_MIN;
                while let Ok(Some(message)) = events.message().await {
                    take(&link, &headers, &calls, message).await;
                }
                match events.reconnect() {
                    Some(at) => {
                        last = Some(at.last_event_id);
                        wait = at.after;
                    }
                    // Without event ids whatever was sent meanwhile is lost.
                    None => link.core.changed(crate::Change::Gap),
                }
            }
            Opened::None => return,
            Opened::Failed => wait = (wait * 2).min(RETRY_MAX),
        }
        tokio::time::sleep(wait).await;
    }
}

enum Opened {
    Stream(EventStream),
    None,
    Failed,
}

async fn open(link: &HttpLink, headers: &HeaderMap, last: Option<&str>) -> Opened {
    let mut headers = headers.clone();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
        headers.insert("last-event-id", last);
    }
    match link.send(http::Method::GET, headers, Bytes::new()).await {
        Err(_) => Opened::Failed,
        Ok(response) if response.status() == StatusCode::OK => {
            Opened::Stream(EventStream::new(Arc::clone(&link.core), response.into_body()))
        }
        // A conflict: the session has such a stream, which another replica is about to close.
        Ok(response) if response.status().is_server_error() || response.status() == StatusCode::CONFLICT => {
            Opened::Failed
        }
        Ok(_) => Opened::None,
    }
}

async fn take(link: &HttpLink, headers: &HeaderMap, calls: &SideCalls, message: Message) {
    match message {
        Message::Notification(note) => match change_of(&note.method, note.params.as_ref()) {
            Some(change) => link.core.changed(change),
            None => drop(calls.offer(Message::Notification(note))),
        },
        Message::Response(_) => Stats::add(&link.core.stats.strays),
        Message::Request(request) => {
            let id = request.id.clone();
            let answer = if request.method == Method::Ping {
                envelope::result(&id, &Raw::literal("{}"))
            } else if calls.offer(Message::Request(request)).is_ok() {
                return;
            } else {
                let text = "no single call is under way that this request could belong to";
                envelope::error(Some(&id), &RpcError::new(code::METHOD_NOT_FOUND, text).to_raw())
            };
            let peer = Peer::Http { link: link.clone(), headers: headers.clone() };
            // A server that does not take the answer will time out by itself.
            let _ = peer.send(answer).await;
        }
    }
}
