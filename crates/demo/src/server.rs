//! One server: what it shares between its connections.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::config::{Builder, Config};
use crate::content::tools;
use crate::legacy::{Connection, Session};
use crate::mac::Keys;
use crate::revision::Revision;
use crate::stats::Stats;

/// How many changes a slow listener may lag behind before it misses some.
const CHANGES_MAX: usize = 1_024;

/// An MCP server. Clones are the same server: its counter, sessions and subscriptions are shared.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    keys: Keys,
    stats: Stats,
    counter: AtomicU64,
    extra: [AtomicBool; 3],
    /// Members of tools' definitions that are others than they were, by the tool's name.
    redefined: Mutex<HashMap<String, Value>>,
    /// The input schemas of the tools that mirror arguments in headers, by name.
    mirroring: HashMap<String, Value>,
    changes: broadcast::Sender<Change>,
    sessions: Mutex<Sessions>,
}

/// The legacy clients, by an id of their own. Those over HTTP are bounded by `sessions_max` each.
#[derive(Default)]
pub(crate) struct Sessions {
    pub streamable: HashMap<String, Arc<Session>>,
    pub pairs: HashMap<String, Arc<Connection>>,
    pub stdio: HashMap<String, Arc<Connection>>,
}

/// A list that can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// `tools/list`
    Tools,
    /// `resources/list`
    Resources,
    /// `prompts/list`
    Prompts,
}

impl Listing {
    pub(crate) fn notification(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
        }
    }
}

/// What listeners are told.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    List(Listing),
    /// The resource of this URI.
    Resource(String),
    /// Streams end in order.
    Closing,
    /// Streams break off.
    Dropped,
}

impl Server {
    /// Choices first.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(config: Config) -> Self {
        let inner = Inner {
            config,
            keys: Keys::default(),
            stats: Stats::new(),
            counter: AtomicU64::new(0),
            extra: Default::default(),
            redefined: Mutex::default(),
            mirroring: tools::mirroring(),
            changes: broadcast::Sender::new(CHANGES_MAX),
            sessions: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What reached it so far, and will.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.stats.clone()
    }

    /// The revisions that it speaks, oldest first.
    #[must_use]
    pub fn revisions(&self) -> &[Revision] {
        &self.inner.config.revisions
    }

    /// How often the tool `counter` ran.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.inner.counter.load(Ordering::Relaxed)
    }

    /// Tells those who subscribed to this resource that it changed, as the tool `touch` does.
    pub fn touch(&self, uri: &str) {
        self.announce(&Change::Resource(uri.to_owned()));
    }

    /// Adds or removes the entry `extra` of a list and tells everybody, as the tool `toggle` does. True: it
    /// is there now.
    pub fn toggle(&self, listing: Listing) -> bool {
        let there = !self.inner.extra[listing as usize].fetch_xor(true, Ordering::Relaxed);
        self.announce(&Change::List(listing));
        there
    }

    /// Gives a tool's definition these members in place of its own, `null` for none, and tells everybody
    /// where it is to be `told`: a server that becomes another one under the eyes of its clients. What the
    /// tool does stays the same.
    pub fn redefine(&self, tool: &str, members: Value, told: bool) {
        let mut redefined = self.inner.redefined.lock().unwrap_or_else(PoisonError::into_inner);
        redefined.insert(tool.to_owned(), members);
        drop(redefined);
        if told {
            self.announce(&Change::List(Listing::Tools));
        }
    }

    /// The definitions as they are now.
    pub(crate) fn as_redefined(&self, mut tools: Vec<Value>) -> Vec<Value> {
        let redefined = self.inner.redefined.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in &mut tools {
            let members =
                tool["name"].as_str().and_then(|name| redefined.get(name)).and_then(Value::as_object);
            for (name, value) in members.into_iter().flatten() {
                tool[name] = value.clone();
            }
        }
        tools
    }

    /// Forgets all legacy sessions over HTTP, as a restart would: their ids are unknown from now on, their
    /// streams end, their requests are cancelled.
    pub fn end_sessions(&self) {
        let streamable = std::mem::take(&mut self.sessions().streamable);
        for session in streamable.into_values() {
            session.close();
        }
        self.end_pairs();
    }

    /// The same, for the HTTP+SSE pair alone.
    pub(crate) fn end_pairs(&self) {
        let pairs = std::mem::take(&mut self.sessions().pairs);
        for connection in pairs.into_values() {
            connection.close();
        }
    }

    /// Breaks off every listen stream, and every stream that a GET of a Streamable HTTP session opened,
    /// without a last word.
    pub fn drop_streams(&self) {
        self.announce(&Change::Dropped);
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    pub(crate) fn seen(&self) -> &Stats {
        &self.inner.stats
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.inner.config.clock)()
    }

    pub(crate) fn count(&self) -> u64 {
        self.inner.counter.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn has_extra(&self, listing: Listing) -> bool {
        self.inner.extra[listing as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn mirroring_schema(&self, tool: &str) -> Option<&Value> {
        self.inner.mirroring.get(tool)
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    pub(crate) fn announce(&self, change: &Change) {
        // No modern client listens: nobody to tell.
        let _ = self.inner.changes.send(change.clone());
        let sessions: Vec<_> = {
            let sessions = self.sessions();
            let connected = sessions.pairs.values().chain(sessions.stdio.values());
            let connected = connected.filter_map(|connection| connection.session());
            sessions.streamable.values().cloned().chain(connected).collect()
        };
        for session in sessions {
            session.announce(change);
        }
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // What is done under this lock leaves the maps whole at every step.
        self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `serverInfo` as the revision has it.
    pub(crate) fn info(&self, revision: Revision) -> Value {
        let mut info = json!({ "name": self.inner.config.name, "version": env!("CARGO_PKG_VERSION") });
        if revision >= Revision::V2025_06_18 {
            info["title"] = json!("Tidegate demo");
        }
        if revision >= Revision::V2025_11_25 {
            info["description"] = json!("A small server that speaks every revision");
        }
        info
    }

    /// What it can do, as the revision has it.
    pub(crate) fn capabilities(&self, revision: Revision) -> Value {
        let config = &self.inner.config;
        let mut capabilities = json!({ "logging": {} });
        if (config.prompts || config.resources) && revision >= Revision::V2025_03_26 {
            capabilities["completions"] = json!({});
        }
        if let Some(extensions) = &config.extensions {
            capabilities["extensions"] = extensions.clone();
        }
        if config.tools {
            capabilities["tools"] = json!({ "listChanged": true });
        }
        if config.prompts {
            capabilities["prompts"] = json!({ "listChanged": true });
        }
        if config.resources {
            capabilities["resources"] = json!({ "subscribe": true, "listChanged": true });
        }
        capabilities
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
