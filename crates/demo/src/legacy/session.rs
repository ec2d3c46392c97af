//! One legacy client: what was agreed with it, what it asked for, what it was asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::log::StreamLog;
use super::running::Running;
use crate::call::{Level, Outlet};
use crate::revision::Revision;
use crate::rpc::{self, Message, RpcError};
use crate::server::{Change, Server};
use crate::stats::{Gauge, Held};

/// How many resources one client may subscribe to.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// How many questions to one client may be open.
const ASKED_MAX: usize = 64;
/// How many requests may have a stream.
const STREAMS_MAX: usize = 1_024;
/// How many words one session remembers.
const WORDS_MAX: usize = 100;
/// How many finished streams are kept for clients that come back.
const FINISHED_MAX: usize = 16;

/// One legacy client after `initialize`.
#[derive(Debug)]
pub(crate) struct Session {
    revision: Revision,
    capabilities: Value,
    /// Where messages go that belong to no request.
    general: Outlet,
    running: Arc<Running>,
    state: Mutex<State>,
    _held: Held,
}

#[derive(Debug)]
struct State {
    initialized: bool,
    level: Level,
    subscriptions: HashSet<String>,
    asked: HashMap<i64, oneshot::Sender<Result<Value, String>>>,
    next_question: i64,
    /// The streams of requests, oldest first; over Streamable HTTP alone.
    streams: VecDeque<Arc<StreamLog>>,
    next_stream: u64,
    used: Instant,
    page_opened: bool,
    /// What the tool `remember` was given.
    words: Vec<String>,
    closed: bool,
}

impl Session {
    pub fn new(server: &Server, revision: Revision, capabilities: Value, general: Outlet) -> Arc<Self> {
        let state = State {
            initialized: false,
            level: Level::Info,
            subscriptions: HashSet::new(),
            asked: HashMap::new(),
            next_question: 0,
            streams: VecDeque::new(),
            next_stream: 1,
            used: Instant::now(),
            page_opened: false,
            words: Vec::new(),
            closed: false,
        };
        Arc::new(Self {
            revision,
            capabilities,
            general,
            running: Arc::default(),
            state: Mutex::new(state),
            _held: server.seen().hold(Gauge::Sessions),
        })
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn capabilities(&self) -> &Value {
        &self.capabilities
    }

    pub fn running(&self) -> &Arc<Running> {
        &self.running
    }

    pub fn level(&self) -> Level {
        self.state().level
    }

    pub fn set_level(&self, level: Level) {
        self.state().level = level;
    }

    /// When it was used last.
    pub fn used(&self) -> Instant {
        self.state().used
    }

    pub fn touch(&self) {
        self.state().used = Instant::now();
    }

    /// Whether the client was told of the page before; asking changes the answer.
    pub fn page_opened(&self) -> bool {
        let mut state = self.state();
        state.page_opened = !state.page_opened;
        !state.page_opened
    }

    /// Remembers a word, as far as there is room, and gives all of them.
    pub fn remember(&self, word: &str) -> Vec<String> {
        let words = &mut self.state().words;
        if words.len() < WORDS_MAX {
            words.push(word.to_owned());
        }
        words.clone()
    }

    pub fn subscribe(&self, uri: &str) -> Result<(), RpcError> {
        let subscriptions = &mut self.state().subscriptions;
        if subscriptions.len() >= SUBSCRIPTIONS_MAX && !subscriptions.contains(uri) {
            return Err(RpcError::new(rpc::INTERNAL_ERROR, "Too many subscriptions"));
        }
        subscriptions.insert(uri.to_owned());
        Ok(())
    }

    pub fn unsubscribe(&self, uri: &str) {
        self.state().subscriptions.remove(uri);
    }

    /// The log of the stream that a GET opens, where there is one.
    pub fn standalone(&self) -> Option<&Arc<StreamLog>> {
        match &self.general {
            Outlet::Log(log) => Some(log),
            Outlet::Channel(_) | Outlet::Nowhere => None,
        }
    }

    /// A new stream for a request. `None`: too many unfinished ones.
    pub fn open_stream(&self) -> Option<Arc<StreamLog>> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let finished = state.streams.iter().filter(|log| log.is_finished()).count();
        let mut surplus = finished.saturating_sub(FINISHED_MAX);
        state.streams.retain(|log| {
            let goes = surplus > 0 && log.is_finished();
            surplus -= usize::from(goes);
            !goes
        });
        if state.streams.len() >= STREAMS_MAX {
            return None;
        }
        let log = StreamLog::new(state.next_stream, self.revision >= Revision::V2025_11_25);
        state.next_stream += 1;
        state.streams.push_back(Arc::clone(&log));
        Some(log)
    }

    /// The stream of that number, the standalone one included.
    pub fn stream(&self, number: u64) -> Option<Arc<StreamLog>> {
        let standalone = self.standalone().filter(|log| log.number() == number);
        standalone
            .cloned()
            .or_else(|| self.state().streams.iter().find(|log| log.number() == number).cloned())
    }

    /// Forgets a stream whose answer went out as one document.
    pub fn forget_stream(&self, number: u64) {
        self.state().streams.retain(|log| log.number() != number);
    }

    /// Asks the client and waits. The error is in words.
    pub async fn ask(
        &self,
        outlet: &Outlet,
        method: &str,
        params: Option<Value>,
        timeout: Duration,
    ) -> Result<Value, String> {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut state = self.state();
            if state.closed || state.asked.len() >= ASKED_MAX {
                return Err("too many open questions".to_owned());
            }
            let id = state.next_question;
            state.next_question += 1;
            state.asked.insert(id, sender);
            id
        };
        let asked = Asked { session: self, id };
        if !outlet.send(rpc::request(id, method, params)).await {
            return Err("the client is gone".to_owned());
        }
        match tokio::time::timeout(timeout, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("the session ended".to_owned()),
            Err(_) => {
                drop(asked);
                let params = json!({ "requestId": id, "reason": "no answer in time" });
                outlet.offer(rpc::notification("notifications/cancelled", Some(params)));
                Err(format!("no answer to {method} in time"))
            }
        }
    }

    /// Takes a notification or a response of the client.
    pub fn receive(&self, message: &Message) {
        let params = message.params();
        match message.method() {
            "notifications/initialized" => self.state().initialized = true,
            "notifications/cancelled" => self.running.cancel(&params["requestId"]),
            "" => self.receive_answer(message),
            _ => {}
        }
    }

    fn receive_answer(&self, message: &Message) {
        let asked = message.id().as_i64().and_then(|id| self.state().asked.remove(&id));
        let Some(asked) = asked else { return };
        let whole = message.whole();
        let answer = match whole.get("error") {
            None => Ok(whole["result"].clone()),
            Some(error) => Err(format!(
                "the client answered with error {}: {}",
                error["code"],
                error["message"].as_str().unwrap_or("no message")
            )),
        };
        // Whoever asked may have gone meanwhile.
        let _ = asked.send(answer);
    }

    /// Tells the client of a change, if it is one that concerns it.
    pub fn announce(&self, change: &Change) {
        let message = {
            let state = self.state();
            match change {
                Change::List(listing) if state.initialized => rpc::notification(listing.notification(), None),
                Change::Resource(uri) if state.subscriptions.contains(uri) => {
                    rpc::notification("notifications/resources/updated", Some(json!({ "uri": uri })))
                }
                Change::List(_) | Change::Resource(_) => return,
                Change::Closing => return self.standalone().map_or((), |log| log.finish()),
                Change::Dropped => return self.standalone().map_or((), |log| log.break_off()),
            }
        };
        self.general.offer(message);
    }

    /// Ends it: open requests are cancelled, streams end, open questions stay unanswered.
    pub fn close(&self) {
        let (streams, asked) = {
            let mut state = self.state();
            state.closed = true;
            (std::mem::take(&mut state.streams), std::mem::take(&mut state.asked))
        };
        drop(asked);
        self.running.cancel_all();
        for log in streams.iter().chain(self.standalone()) {
            log.finish();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change under this lock is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open question, forgotten when dropped.
struct Asked<'a> {
    session: &'a Session,
    id: i64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.session.state().asked.remove(&self.id);
    }
}
