//! A stream of messages over HTTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use egress::ResponseBody;
use futures_util::StreamExt as _;
use protocol::Message;
use protocol::sse::{Event, Reader};

use super::link::egress_error;
use crate::core::Core;
use crate::{CallError, CallErrorKind};

/// Where to go on after the stream broke (legacy only).
#[derive(Debug, Clone)]
pub(crate) struct Reconnect {
    pub last_event_id: String,
    pub after: Duration,
}

/// Server-sent events as they come.
pub(crate) struct EventStream {
    core: Arc<Core>,
    body: ResponseBody,
    reader: Reader,
    ready: VecDeque<Event>,
    last_event_id: Option<String>,
    retry_ms: Option<u64>,
}

/// How long to wait before reconnecting where the server says nothing.
const RETRY_MS_DEFAULT: u64 = 1_000;
/// The longest wait that a server may ask for.
const RETRY_MS_MAX: u64 = 30_000;

impl EventStream {
    pub fn new(core: Arc<Core>, body: ResponseBody) -> Self {
        let reader = Reader::new(core.options.limits.message_bytes_max);
        Self { core, body, reader, ready: VecDeque::new(), last_event_id: None, retry_ms: None }
    }

    /// The next event. `None`: the stream ended.
    pub async fn event(&mut self) -> Result<Option<Event>, CallError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if event.id.as_ref().is_some_and(|id| !id.is_empty()) {
                    self.last_event_id.clone_from(&event.id);
                }
                self.retry_ms = event.retry_ms.or(self.retry_ms);
                return Ok(Some(event));
            }
            let Some(chunk) = self.body.next().await else { return Ok(None) };
            let chunk = chunk.map_err(|error| egress_error(&self.core, &error))?;
            let mut events = Vec::new();
            let fed = self.reader.feed(chunk, &mut events);
            self.ready.extend(events);
            fed.map_err(|error| self.core.error(CallErrorKind::Invalid).detail(error))?;
        }
    }

    /// The next message. `None`: the stream ended.
    pub async fn message(&mut self) -> Result<Option<Message>, CallError> {
        while let Some(event) = self.event().await? {
            if event.data.is_empty() || event.event.as_deref().is_some_and(|kind| kind != "message") {
                continue;
            }
            return match Message::parse(event.data) {
                Ok(message) => Ok(Some(message)),
                Err(error) => Err(self.core.error(CallErrorKind::Invalid).detail(error)),
            };
        }
        Ok(None)
    }

    /// Where to go on, if the server gave its events ids.
    pub fn reconnect(&self) -> Option<Reconnect> {
        let last_event_id = self.last_event_id.clone()?;
        let after = Duration::from_millis(self.retry_ms.unwrap_or(RETRY_MS_DEFAULT).min(RETRY_MS_MAX));
        Some(Reconnect { last_event_id, after })
    }

    /// Goes on with another connection's body; a new stream, the same place.
    pub fn resume(&mut self, body: ResponseBody) {
        self.body = body;
        self.reader = Reader::new(self.core.options.limits.message_bytes_max);
    }
}
