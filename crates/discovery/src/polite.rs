//! Who is asked when, in a crawl of thousands of hosts.
//!
//! A host is asked by few at a time, with a pause in between, and left alone as long as it says. What was
//! fetched before is asked for by its ETag. The state can be written down at any time: what was under way is
//! asked for again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::address::Address;

/// How polite a crawl is, and how much it takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// Requests at once, to all hosts.
    pub at_once: usize,
    /// Requests at once to one host.
    pub at_once_per_host: usize,
    /// Time between the beginnings of two requests to one host.
    pub pause: Duration,
    /// How often one URL is asked for.
    pub tries: u32,
    /// The longest that a host can ask to be left alone within this crawl; of one that asks for more, the URL
    /// is given up.
    pub patience: Duration,
    /// URLs of one host.
    pub urls_per_host: usize,
    /// URLs of the whole crawl.
    pub urls: usize,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            at_once: 64,
            at_once_per_host: 2,
            pause: Duration::from_millis(200),
            tries: 3,
            patience: Duration::from_secs(300),
            urls_per_host: 500,
            urls: 1_000_000,
        }
    }
}

/// One URL that is asked for, and how it came to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The URL in its one spelling.
    pub url: String,
    /// What it is asked for: a word of the one who added it.
    pub what: String,
    /// How many documents led to it.
    pub depth: u32,
    /// How often it was asked for.
    pub tries: u32,
}

/// What is kept of a document that was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its ETag.
    pub etag: Option<String>,
    /// A digest of its bytes.
    pub digest: String,
    /// Until when it need not be asked for again.
    pub fresh_until: Timestamp,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Fetch this, with the ETag of what is kept of it.
    Fetch {
        /// The number to answer with.
        id: u64,
        /// What.
        job: Job,
        /// The ETag for `If-None-Match`.
        etag: Option<String>,
    },
    /// Nothing before this moment, unless something that is under way ends.
    Wait(Timestamp),
    /// Nothing until something that is under way ends.
    Busy,
    /// Nothing is left.
    Done,
}

/// What came of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A document.
    Fetched(Kept),
    /// The same as before.
    NotModified {
        /// Until when it need not be asked for again.
        fresh_until: Timestamp,
    },
    /// There is none, and asking again is useless.
    Refused,
    /// The host is too busy or did not answer.
    Later {
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Finished,
    /// It is asked for again.
    Again,
    /// It is given up.
    GivenUp,
    /// Nobody asked for it.
    Unknown,
}

/// Why a URL is not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It was taken on before.
    #[error("was asked for before")]
    Known,
    /// What is kept of it is fresh.
    #[error("is still fresh")]
    Fresh,
    /// Too many of its host.
    #[error("the host has too many URLs")]
    HostFull,
    /// Too many.
    #[error("the crawl has too many URLs")]
    Full,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Host {
    waiting: VecDeque<Job>,
    running: usize,
    taken: usize,
    not_before: Timestamp,
    failures: u32,
}

/// A crawl.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crawl {
    hosts: BTreeMap<String, Host>,
    /// Hosts that may be asked from some moment on, in this order.
    ready: BTreeSet<(Timestamp, String)>,
    running: BTreeMap<u64, (String, Job)>,
    known: BTreeSet<String>,
    kept: BTreeMap<String, Kept>,
    next_id: u64,
    finished: u64,
    given_up: u64,
}

const BACKOFF_FIRST: Duration = Duration::from_secs(2);

impl Crawl {
    /// Takes on a URL.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub fn add(
        &mut self,
        now: Timestamp,
        manners: &Manners,
        url: &Address,
        what: &str,
        depth: u32,
    ) -> Result<(), NotTaken> {
        let text = url.normal();
        if self.known.contains(&text) {
            return Err(NotTaken::Known);
        }
        if self.kept.get(&text).is_some_and(|kept| now < kept.fresh_until) {
            return Err(NotTaken::Fresh);
        }
        if self.known.len() >= manners.urls {
            return Err(NotTaken::Full);
        }
        let origin = url.host();
        let host = self.hosts.entry(origin.clone()).or_default();
        if host.taken >= manners.urls_per_host {
            return Err(NotTaken::HostFull);
        }
        host.taken += 1;
        host.waiting.push_back(Job { url: text.clone(), what: what.to_owned(), depth, tries: 0 });
        self.known.insert(text);
        self.set_ready(&origin, manners);
        Ok(())
    }

    /// A host is in `ready` exactly when it has something to ask and a place for it.
    fn set_ready(&mut self, name: &str, manners: &Manners) {
        let Some(host) = self.hosts.get(name) else { return };
        let key = (host.not_before, name.to_owned());
        if !host.waiting.is_empty() && host.running < manners.at_once_per_host {
            self.ready.insert(key);
        } else {
            self.ready.remove(&key);
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Timestamp, manners: &Manners) -> Step {
        if self.running.len() >= manners.at_once {
            return Step::Busy;
        }
        let Some((at, name)) = self.ready.first().cloned() else {
            return if self.running.is_empty() { Step::Done } else { Step::Busy };
        };
        if at > now {
            return Step::Wait(at);
        }
        self.ready.pop_first();
        let host = self.hosts.get_mut(&name).expect("a host that is ready is there");
        let mut job = host.waiting.pop_front().expect("a host that is ready has a job");
        job.tries += 1;
        host.running += 1;
        host.not_before = now.plus(manners.pause);
        let id = self.next_id;
        self.next_id += 1;
        self.running.insert(id, (name.clone(), job.clone()));
        self.set_ready(&name, manners);
        let etag = self.kept.get(&job.url).and_then(|kept| kept.etag.clone());
        Step::Fetch { id, job, etag }
    }

    /// Takes what came of a fetch.
    pub fn done(&mut self, now: Timestamp, manners: &Manners, id: u64, outcome: Outcome) -> Fate {
        let Some((name, job)) = self.running.remove(&id) else { return Fate::Unknown };
        let host = self.hosts.get_mut(&name).expect("the host of a job is there");
        self.ready.remove(&(host.not_before, name.clone()));
        host.running -= 1;
        let fate = match outcome {
            Outcome::Later { retry_after } => {
                let own = BACKOFF_FIRST.saturating_mul(1 << host.failures.min(8));
                host.failures = host.failures.saturating_add(1);
                let wait = own.max(retry_after.unwrap_or_default());
                host.not_before = host.not_before.max(now.plus(wait.min(manners.patience)));
                if job.tries < manners.tries && wait <= manners.patience {
                    host.waiting.push_front(job);
                    Fate::Again
                } else {
                    Fate::GivenUp
                }
            }
            Outcome::Refused => {
                host.failures = 0;
                self.kept.remove(&job.url);
                Fate::GivenUp
            }
            Outcome::Fetched(kept) => {
                host.failures = 0;
                self.kept.insert(job.url, kept);
                Fate::Finished
            }
            Outcome::NotModified { fresh_until } => {
                host.failures = 0;
                if let Some(kept) = self.kept.get_mut(&job.url) {
                    kept.fresh_until = fresh_until;
                }
                Fate::Finished
            }
        };
        match fate {
            Fate::Finished => self.finished += 1,
            Fate::GivenUp => self.given_up += 1,
            Fate::Again | Fate::Unknown => {}
        }
        self.set_ready(&name, manners);
        fate
    }

    /// Takes up a state that was written down: what was under way is asked for again, and no try is counted.
    #[must_use]
    pub fn resumed(mut self, manners: &Manners) -> Self {
        for (name, mut job) in std::mem::take(&mut self.running).into_values() {
            job.tries = job.tries.saturating_sub(1);
            self.hosts.entry(name).or_default().waiting.push_front(job);
        }
        self.ready.clear();
        for host in self.hosts.values_mut() {
            host.running = 0;
        }
        let names: Vec<String> = self.hosts.keys().cloned().collect();
        names.iter().for_each(|name| self.set_ready(name, manners));
        self
    }

    /// Begins a new round: everything may be asked for again, and what is kept of it stays.
    #[must_use]
    pub fn again(self) -> Self {
        Self { kept: self.kept, next_id: self.next_id, ..Self::default() }
    }

    /// Forgets what is kept of a URL: whoever kept the document has lost it.
    pub fn forget(&mut self, url: &Address) {
        self.kept.remove(&url.normal());
    }

    /// What is kept of a URL.
    #[must_use]
    pub fn kept(&self, url: &Address) -> Option<&Kept> {
        self.kept.get(&url.normal())
    }

    /// How many were taken on, finished and given up.
    #[must_use]
    pub fn progress(&self) -> (usize, u64, u64) {
        (self.known.len(), self.finished, self.given_up)
    }
}
