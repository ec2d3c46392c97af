//! A crawl: from domains to their catalogs, from there to cards, and where that is wanted to the servers.
//!
//! Who is asked when is decided by `discovery::polite`; here it is done. First all documents, then all
//! servers, each within the same manners.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use discovery::card::{self, CARD_BYTES_MAX};
use discovery::catalog::{self, CATALOG_BYTES_MAX};
use discovery::polite::{Crawl, Fate, Job, Kept, Manners, NotTaken, Outcome, Step};
use discovery::{Address, CARD_SUFFIX};
use model::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fetch::{Fetcher, Got, Wanted};
use crate::gist::{Told, is_askable, links, words};
use crate::keep::{Keep, KeepError};
use crate::live::{Answered, Standing, ask};
use crate::report::{Maker, Report};
use crate::seed::Seed;

/// Documents that lead one to another, redirects among them.
const DEPTH_MAX: u32 = 8;
/// Entries of catalogs that are kept.
const LINKS_MAX: usize = 500_000;
/// The time between two writings of the state, at least.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// The time that the writing of the state may take of all.
const SAVE_SHARE: u32 = 20;
const STATE: &str = "crawl.json";
const ACCEPT: &str = "application/ai-catalog+json, application/mcp-server-card+json, application/json;q=0.9";

/// What a crawl does, and how much of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether servers are asked themselves.
    pub live: bool,
    /// Whether declarations of authentication are read, as their draft has them.
    pub auth: bool,
    /// Who is asked when.
    pub manners: Manners,
    /// Bytes of cards that are held.
    pub bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        let manners = Manners { tries: 2, patience: Duration::from_secs(60), ..Manners::default() };
        Self { live: false, auth: false, manners, bytes_max: 256 << 20 }
    }
}

/// How far a crawl is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What there is to ask, as far as is known by now.
    pub known: usize,
    /// What came.
    pub finished: u64,
    /// What did not.
    pub given_up: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    format: u32,
    mark: String,
    done: bool,
    documents: Crawl,
    servers: Crawl,
    pages: BTreeMap<String, Told>,
    live: BTreeMap<String, Answered>,
}

const FORMAT: u32 = 1;

/// A crawl and all that it has found.
pub struct Crawler {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    options: Options,
    keep: Option<Keep>,
    seeds: Vec<Seed>,
    state: State,
    bytes: usize,
    links: usize,
    next_save: Instant,
}

enum Came {
    Document(Got),
    Live(Answered),
}

impl Crawler {
    /// A crawl from these seeds. In a folder in which the same one was not finished it goes on, and in one in
    /// which another was, nothing is fetched again that did not change.
    ///
    /// # Errors
    /// [`KeepError`]
    pub fn new(
        fetcher: Fetcher,
        clock: Arc<dyn Clock>,
        options: Options,
        keep: Option<Keep>,
        seeds: Vec<Seed>,
    ) -> Result<Self, KeepError> {
        let mark = mark(&seeds, &options);
        let old: Option<State> = keep.as_ref().map(|keep| keep.state(STATE)).transpose()?.flatten();
        let old = old.filter(|old| old.format == FORMAT).unwrap_or_default();
        let mut crawler = Self {
            fetcher,
            clock,
            options,
            keep,
            seeds,
            state: old,
            bytes: 0,
            links: 0,
            next_save: Instant::now() + SAVE_EVERY,
        };
        if !crawler.go_on(&mark) {
            let documents = std::mem::take(&mut crawler.state.documents).again();
            crawler.state = State { format: FORMAT, mark, documents, ..State::default() };
            crawler.bytes = 0;
            crawler.begin();
        }
        Ok(crawler)
    }

    /// Takes up what was not finished. Whether that can be.
    fn go_on(&mut self, mark: &str) -> bool {
        if self.state.done || self.state.mark != mark {
            return false;
        }
        let Some(keep) = &self.keep else { return false };
        for (url, told) in &mut self.state.pages {
            match told {
                Told::Card { bytes, inline, .. } => {
                    let text = inline.clone().map(Bytes::from).or_else(|| keep.document(url));
                    let Some(text) = text else { return false };
                    self.bytes += text.len();
                    *bytes = text;
                }
                Told::Catalog { links, .. } => self.links += links.len(),
                _ => {}
            }
        }
        let (documents, servers) = (&mut self.state.documents, &mut self.state.servers);
        *documents = std::mem::take(documents).resumed(&self.options.manners);
        *servers = std::mem::take(servers).resumed(&self.options.manners);
        true
    }

    fn begin(&mut self) {
        for seed in self.seeds.clone() {
            let what = match (seed.is_domain, tries(&seed).len()) {
                (true, _) => "catalog",
                (false, 1) => "any",
                (false, _) => "probe",
            };
            let first = tries(&seed).swap_remove(0);
            self.add(&first, what, 0);
        }
    }

    /// Does all that is left to do, and tells how far it is.
    ///
    /// # Errors
    /// [`KeepError`]; what was found is still there.
    pub async fn run(&mut self, told: &mut (dyn FnMut(Progress) + Send)) -> Result<(), KeepError> {
        self.drive(false, told).await?;
        if self.options.live {
            self.servers();
            self.drive(true, told).await?;
        }
        self.state.done = true;
        match &self.keep {
            Some(keep) => keep.put_state(STATE, &self.state),
            None => Ok(()),
        }
    }

    /// What was found by now.
    #[must_use]
    pub fn report(&self) -> Report {
        let (pages, live, auth) = (&self.state.pages, &self.state.live, self.options.auth);
        Maker { pages, live, auth }.report(&self.seeds, tries)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let (a, b) = (self.state.documents.progress(), self.state.servers.progress());
        Progress { known: a.0 + b.0, finished: a.1 + b.1, given_up: a.2 + b.2 }
    }

    async fn drive(&mut self, live: bool, told: &mut (dyn FnMut(Progress) + Send)) -> Result<(), KeepError> {
        let mut running: JoinSet<(u64, Job, Came)> = JoinSet::new();
        let manners = self.options.manners;
        loop {
            let now = self.clock.now();
            let crawl = if live { &mut self.state.servers } else { &mut self.state.documents };
            let wait = match crawl.next(now, &manners) {
                Step::Fetch { id, job, etag } => {
                    self.start(&mut running, live, id, job, etag);
                    continue;
                }
                Step::Done => return Ok(()),
                Step::Busy => None,
                Step::Wait(at) => Some(at.since(now)),
            };
            let done = match wait {
                Some(wait) => tokio::select! {
                    done = running.join_next(), if !running.is_empty() => done,
                    () = tokio::time::sleep(wait) => None,
                },
                None => running.join_next().await,
            };
            // A task that panicked would hang its host for ever; none of ours does.
            if let Some(done) = done {
                let (id, job, came) = done.expect("a fetch ends");
                self.take(live, id, job, came)?;
                told(self.progress());
                self.save()?;
            }
        }
    }

    fn start(
        &self,
        running: &mut JoinSet<(u64, Job, Came)>,
        live: bool,
        id: u64,
        job: Job,
        etag: Option<String>,
    ) {
        let fetcher = self.fetcher.clone();
        // What is not there any more cannot be said to be as it was.
        let etag = etag.filter(|_| self.kept(&job.url).is_some());
        running.spawn(async move {
            let Ok(url) = Address::parse(&job.url) else {
                let why = "no URL any more".to_owned();
                let got = Got::Refused { status: None, why, body: Bytes::new() };
                return (id, job, Came::Document(got));
            };
            if live {
                let answered = ask(&fetcher, &url).await;
                return (id, job, Came::Live(answered));
            }
            let bytes_max = if job.what == "card" { CARD_BYTES_MAX } else { CATALOG_BYTES_MAX };
            let etag = etag.as_deref();
            let wanted = Wanted { url: &url, accept: ACCEPT, etag, bytes_max, authorization: None };
            let got = fetcher.get(&wanted).await;
            (id, job, Came::Document(got))
        });
    }

    /// The bytes of a document that was kept, where they are still those.
    fn kept(&self, url: &str) -> Option<Bytes> {
        let address = Address::parse(url).ok()?;
        let kept = self.state.documents.kept(&address)?;
        let bytes = self.keep.as_ref()?.document(url)?;
        (digest(&bytes) == kept.digest).then_some(bytes)
    }

    fn take(&mut self, live: bool, id: u64, job: Job, came: Came) -> Result<(), KeepError> {
        let (now, manners) = (self.clock.now(), self.options.manners);
        match came {
            Came::Live(answered) => {
                let crawl = &mut self.state.servers;
                let outcome = match answered.standing {
                    Standing::Unreachable => Outcome::Later { retry_after: None },
                    _ => Outcome::Fetched(nothing_kept(now)),
                };
                if crawl.done(now, &manners, id, outcome) != Fate::Again {
                    self.state.live.insert(job.url, answered);
                }
            }
            Came::Document(_) if live => {
                self.state.servers.done(now, &manners, id, Outcome::Refused);
            }
            Came::Document(got) => self.take_document(now, id, &job, got)?,
        }
        Ok(())
    }

    fn take_document(&mut self, now: Timestamp, id: u64, job: &Job, got: Got) -> Result<(), KeepError> {
        let manners = self.options.manners;
        let crawl = &mut self.state.documents;
        match got {
            Got::Document(document) => {
                let kept = Kept {
                    etag: document.etag,
                    digest: digest(&document.bytes),
                    fresh_until: now.plus(document.fresh_for),
                };
                crawl.done(now, &manners, id, Outcome::Fetched(kept));
                if let Some(keep) = &self.keep {
                    keep.put_document(&job.url, &document.bytes)?;
                }
                self.read(&job.url, &job.what, job.depth, document.bytes);
            }
            Got::NotModified { fresh_for } => {
                let fresh_until = now.plus(fresh_for);
                crawl.done(now, &manners, id, Outcome::NotModified { fresh_until });
                if let Some(bytes) = self.kept(&job.url) {
                    self.read(&job.url, &job.what, job.depth, bytes);
                }
            }
            Got::Moved(to) => {
                crawl.done(now, &manners, id, Outcome::Fetched(nothing_kept(now)));
                self.put(job.url.clone(), Told::Moved { to: to.normal() });
                self.add(&to, &job.what, job.depth + 1);
            }
            Got::Refused { status, why, .. } => {
                crawl.done(now, &manners, id, Outcome::Refused);
                let told = match status {
                    Some(_) => Told::Absent { why },
                    None => Told::Refused { faults: vec![why] },
                };
                self.put(job.url.clone(), told);
                self.fall_back(job);
            }
            Got::Later { retry_after, why } => {
                if crawl.done(now, &manners, id, Outcome::Later { retry_after }) != Fate::Again {
                    self.put(job.url.clone(), Told::Unreachable { why });
                }
            }
        }
        Ok(())
    }

    /// Where an endpoint has no card beside it, the URL may be one of a document itself.
    fn fall_back(&mut self, job: &Job) {
        if job.what == "probe"
            && let Some(base) = job.url.strip_suffix(CARD_SUFFIX)
            && let Ok(url) = Address::parse(base)
        {
            self.add(&url, "any", job.depth);
        }
    }

    fn put(&mut self, url: String, told: Told) {
        self.state.pages.insert(url, told);
    }

    /// Asks for a document, unless it was asked for before. What is kept and fresh is read at once.
    fn add(&mut self, url: &Address, what: &str, depth: u32) {
        if depth > DEPTH_MAX {
            return;
        }
        let (now, manners) = (self.clock.now(), self.options.manners);
        match self.state.documents.add(now, &manners, url, what, depth) {
            Err(NotTaken::Fresh) => {
                let text = url.normal();
                if self.state.pages.contains_key(&text) {
                    return;
                }
                match self.kept(&text) {
                    Some(bytes) => self.read(&text, what, depth, bytes),
                    None => {
                        self.state.documents.forget(url);
                        let _ = self.state.documents.add(now, &manners, url, what, depth);
                    }
                }
            }
            Ok(()) | Err(NotTaken::Known | NotTaken::HostFull | NotTaken::Full) => {}
        }
    }

    /// Reads what came, and asks for what it leads to.
    fn read(&mut self, url: &str, what: &str, depth: u32, bytes: Bytes) {
        let as_catalog = if what == "card" || what == "probe" { None } else { Some(catalog::read(&bytes)) };
        match as_catalog {
            Some(Ok(read)) => {
                let faults = words(&read.remarks);
                let (mut found, inline, others) = links(url, &read.value);
                found.truncate(LINKS_MAX.saturating_sub(self.links));
                self.links += found.len();
                let next: Vec<_> = found
                    .iter()
                    .filter(|link| !link.inline)
                    .filter_map(|link| Some((Address::parse(&link.url).ok()?, link.catalog)))
                    .collect();
                self.put(url.to_owned(), Told::Catalog { faults, links: found, others });
                for (place, bytes) in inline {
                    self.inline(&place, depth + 1, bytes);
                }
                for (url, catalog) in next {
                    self.add(&url, if catalog { "catalog" } else { "card" }, depth + 1);
                }
            }
            Some(Err(faults)) if what == "catalog" => {
                self.put(url.to_owned(), Told::Refused { faults: words(&faults) });
            }
            Some(Err(_)) | None => self.card(url, bytes, false),
        }
    }

    /// What stands in a catalog itself.
    fn inline(&mut self, place: &str, depth: u32, bytes: Bytes) {
        if depth > DEPTH_MAX {
            return;
        }
        if card::read(&bytes, self.as_card()).is_ok() {
            self.card(place, bytes, true);
        } else {
            self.read(place, "any", depth, bytes);
        }
    }

    fn as_card(&self) -> card::Options {
        card::Options { auth: self.options.auth }
    }

    fn card(&mut self, url: &str, bytes: Bytes, inline: bool) {
        let told = match card::read(&bytes, self.as_card()) {
            Ok(_) if self.bytes + bytes.len() > self.options.bytes_max => {
                Told::Refused { faults: vec!["the crawl holds as many cards as it may".to_owned()] }
            }
            Ok(read) => {
                self.bytes += bytes.len();
                let inline = inline.then(|| read.raw.as_text().to_owned());
                Told::Card { faults: words(&read.remarks), bytes, inline }
            }
            Err(faults) => Told::Refused { faults: words(&faults) },
        };
        self.put(url.to_owned(), told);
    }

    /// All servers that cards lead to.
    fn servers(&mut self) {
        let (now, manners, options) = (self.clock.now(), self.options.manners, self.as_card());
        for told in self.state.pages.values() {
            let Told::Card { bytes, .. } = told else { continue };
            let Ok(read) = card::read(bytes, options) else { continue };
            for remote in read.value.remotes.iter().filter(|remote| is_askable(remote)) {
                if let Some(url) = remote.plain_url() {
                    // One that was asked, or is one too many, is not asked again.
                    let _ = self.state.servers.add(now, &manners, &url, "live", 0);
                }
            }
        }
    }

    /// Writes the state down, now and then.
    fn save(&mut self) -> Result<(), KeepError> {
        let begun = Instant::now();
        let Some(keep) = self.keep.as_ref().filter(|_| begun >= self.next_save) else { return Ok(()) };
        keep.put_state(STATE, &self.state)?;
        self.next_save = Instant::now() + SAVE_EVERY.max(begun.elapsed() * SAVE_SHARE);
        Ok(())
    }
}

impl Drop for Crawler {
    /// One that is interrupted is gone on with later.
    fn drop(&mut self) {
        if let Some(keep) = self.keep.as_ref().filter(|_| !self.state.done) {
            let _ = keep.put_state(STATE, &self.state);
        }
    }
}

fn nothing_kept(now: Timestamp) -> Kept {
    Kept { etag: None, digest: String::new(), fresh_until: now }
}

/// What is asked for of a seed, one after the other until something is there.
fn tries(seed: &Seed) -> Vec<Address> {
    let url = &seed.url;
    let path = url.path_and_query();
    let itself = seed.is_domain
        || path.contains('?')
        || path.ends_with(".json")
        || path.ends_with(CARD_SUFFIX)
        || path.ends_with('/');
    let beside = if itself { None } else { Address::parse(&format!("{}{CARD_SUFFIX}", url.normal())).ok() };
    beside.into_iter().chain([url.clone()]).collect()
}

fn digest(bytes: &[u8]) -> String {
    seal::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A mark of what is asked for: only the same crawl is gone on with.
fn mark(seeds: &[Seed], options: &Options) -> String {
    let mut text = format!("{} {}\n", options.live, options.auth);
    for seed in seeds {
        text.push_str(&seed.url.normal());
        text.push('\n');
    }
    digest(text.as_bytes())
}
