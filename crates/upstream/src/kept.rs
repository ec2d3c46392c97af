//! Sessions and processes that were opened for somebody, and what is known of them here.
//!
//! A session with an HTTP server is named by what the server calls it, so every replica can use it; the
//! replica that opened it counts it, and ends it when it is no longer used. A process lives where it was
//! started.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use model::Timestamp;
use protocol::Revision;
use protocol::headers::{SESSION, VERSION};

use crate::core::{Core, Stats};
use crate::http::HttpLink;
use crate::legacy::Handshake;
use crate::pipe::Channel;
use crate::{CallError, CallErrorKind};

/// How long the word that ends a session may take.
const END_TIME: Duration = Duration::from_secs(5);

/// Who shares a session with a legacy server, or a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody, as far as it goes.
    #[default]
    Shared,
    /// Each principal has its own.
    PerPrincipal,
    /// Each client session has its own, see [`Line`].
    PerClient,
    /// Each handle has its own, see [`Line`].
    Handle,
}

/// In which of an upstream's sessions a call runs. A modern server has none, so it does not matter there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Line {
    /// In the one that is for such calls, by [`crate::Options::sharing`].
    #[default]
    Usual,
    /// In one of its own, which ends with the call.
    Fresh,
    /// In one that was opened before.
    Kept(Kept),
}

/// A session that was opened for one client or one handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What the gateway's replicas call it.
    pub name: String,
    /// Where it is.
    pub place: Place,
}

/// Where a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At a server behind a URL: every replica can use it.
    Server {
        /// What the server calls it; `None` for a server that keeps none.
        session: Option<String>,
        /// What is spoken in it.
        revision: Revision,
        /// Whether the server was told of a client that can be asked something.
        asks: bool,
    },
    /// In the process that opened it.
    Process,
}

/// The headers that every request of a session repeats.
pub(crate) fn headers_of(session: Option<&str>, revision: Revision) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(VERSION, HeaderValue::from_static(revision.as_str()));
    if let Some(session) = session.and_then(|session| HeaderValue::from_str(session).ok()) {
        headers.insert(SESSION, session);
    }
    headers
}

/// Ends a session at its server, where the server calls it something. Best effort, and not for long.
pub(crate) async fn end_at_server(link: &HttpLink, headers: &HeaderMap) {
    if headers.contains_key(SESSION) {
        let delete = link.send(http::Method::DELETE, headers.clone(), bytes::Bytes::new());
        let _ = tokio::time::timeout(END_TIME, delete).await;
    }
}

/// What is kept here of one of them.
pub(crate) enum What {
    /// On its way.
    Opening,
    /// Its server, and for as long as it lasts, its handshake.
    Session { link: HttpLink, headers: HeaderMap, _handshake: Option<Handshake> },
    /// The channel itself.
    Channel(Arc<Channel>),
}

struct Entry {
    used: Timestamp,
    what: What,
}

/// The sessions that were opened here.
pub(crate) struct Registry {
    entries: Mutex<HashMap<String, Entry>>,
    max: usize,
    idle: Duration,
}

impl Registry {
    pub fn new(max: usize, idle: Duration) -> Self {
        Self { entries: Mutex::default(), max, idle }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Takes a place for one more; the place is given back unless it is filled.
    pub fn reserve<'a>(&'a self, core: &'a Core, name: &'a str) -> Result<Reserved<'a>, CallError> {
        self.sweep(core.clock.now());
        let mut entries = self.entries();
        if entries.len() >= self.max {
            Stats::add(&core.stats.sessions_refused);
            return Err(core.error(CallErrorKind::SessionLimit));
        }
        entries.insert(name.to_owned(), Entry { used: core.clock.now(), what: What::Opening });
        Ok(Reserved { registry: self, name, filled: false })
    }

    /// The channel of this name, which is in use from now on.
    pub fn channel(&self, name: &str, now: Timestamp) -> Option<Arc<Channel>> {
        let mut entries = self.entries();
        let entry = entries.get_mut(name)?;
        let What::Channel(channel) = &entry.what else { return None };
        if channel.pipe.is_closed() {
            entries.remove(name);
            return None;
        }
        entry.used = now;
        Some(Arc::clone(channel))
    }

    /// Notes that it is in use. `false`: it is not one of those that were opened here.
    pub fn touch(&self, name: &str, now: Timestamp) -> bool {
        self.entries().get_mut(name).map(|entry| entry.used = now).is_some()
    }

    /// Forgets it and gives what was kept. A channel is stopped.
    pub fn remove(&self, name: &str) -> bool {
        match self.entries().remove(name) {
            Some(entry) => {
                if let What::Channel(channel) = entry.what {
                    channel.stop();
                }
                true
            }
            None => false,
        }
    }

    /// Ends what was not used for long.
    pub fn sweep(&self, now: Timestamp) {
        let idle = self.idle;
        let late: Vec<Entry> = {
            let mut entries = self.entries();
            let late: Vec<String> = entries
                .iter()
                .filter(|(_, entry)| entry.is_late(now, idle))
                .map(|(name, _)| name.clone())
                .collect();
            late.iter().filter_map(|name| entries.remove(name)).collect()
        };
        for entry in late {
            match entry.what {
                What::Opening => {}
                What::Channel(channel) => channel.stop(),
                What::Session { link, headers, _handshake } => {
                    tokio::spawn(async move { end_at_server(&link, &headers).await });
                }
            }
        }
    }

    /// Stops the processes. Sessions at servers go on: other replicas may use them.
    pub fn stop(&self) {
        for (_, entry) in self.entries().drain() {
            if let What::Channel(channel) = entry.what {
                channel.stop();
            }
        }
    }
}

impl Entry {
    fn is_late(&self, now: Timestamp, idle: Duration) -> bool {
        match &self.what {
            What::Opening => false,
            What::Session { .. } => self.used.plus(idle) <= now,
            What::Channel(channel) => {
                channel.pipe.is_closed() || (!channel.is_busy() && self.used.plus(idle) <= now)
            }
        }
    }
}

/// A place for a session that is being opened.
pub(crate) struct Reserved<'a> {
    registry: &'a Registry,
    name: &'a str,
    filled: bool,
}

impl Reserved<'_> {
    pub fn fill(mut self, what: What) {
        self.filled = true;
        if let Some(entry) = self.registry.entries().get_mut(self.name) {
            entry.what = what;
        }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.filled {
            self.registry.entries().remove(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Clock as _, ManualClock, SeededRng};

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn what_is_used_elsewhere_stays_and_what_is_not_makes_room() {
        let clock = Arc::new(ManualClock::default());
        let mut options = testing::options(http::Uri::from_static("http://127.0.0.1:1/mcp"));
        (options.limits.kept_max, options.limits.kept_idle) = (2, Duration::from_secs(10));
        let rng = Arc::new(SeededRng::new(1));
        let core = Arc::new(Core::new(options, Arc::clone(&clock) as _, rng, Arc::default()));
        let open = |name: &str| {
            let link = HttpLink::new(Arc::clone(&core), testing::http(), http::Uri::default(), &[]);
            let headers = headers_of(None, Revision::V2025_11_25);
            core.kept
                .reserve(&core, name)
                .map(|place| place.fill(What::Session { link, headers, _handshake: None }))
        };
        open("a").expect("room");
        drop(core.kept.reserve(&core, "given up").expect("room"));
        open("b").expect("the place was given back");
        assert_eq!(open("c").map_err(|error| error.kind), Err(CallErrorKind::SessionLimit));
        clock.advance(Duration::from_secs(6));
        assert!(core.kept.touch("b", clock.now()) && !core.kept.touch("c", clock.now()));
        clock.advance(Duration::from_secs(6));
        open("c").expect("the first one was idle for 12 s");
        assert!(!core.kept.remove("a") && core.kept.remove("b") && core.kept.remove("c"));
        assert_eq!(core.kept.len(), 0);
    }
}
