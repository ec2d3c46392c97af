//! Where people propose, vote, stop and look back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use governance::{Act, Command, Effect, Engine, Event, NewProposal, Proposal, Refusal, Risk, State, Status};
use model::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};
use tokio::sync::{Mutex, MutexGuard};

use crate::change::{CHANGE_BYTES_MAX, Change, Conflict};
use crate::desk::{Check, Desk, Files, Impact, Look};
use crate::life::effect_of;
use crate::log::{Done, DoneWhat, End, Entry, Log, Via, hash};

/// How often a change is tried that others are in the way of.
const TRIES: u32 = 8;
/// How long between.
const PAUSE: Duration = Duration::from_millis(25);
/// Who puts changes into the files holds this lease for so long.
const LEASE_TIME: Duration = Duration::from_secs(30);
/// How often is asked for it, where another one has it.
const LEASE_TRIES: u32 = 40;

/// Somebody who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// As the rules name him.
    pub person: String,
    /// Who that is to the operators' interface, or to the system.
    pub operator: String,
    /// By which way he comes.
    pub via: Via,
}

/// What somebody says of the change that he proposes. What the change itself says counts more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// What it is about.
    pub title: String,
    /// How much harm it can do; never less than what is found.
    pub risk: Option<Risk>,
    /// To which area of work it belongs.
    pub area: Option<String>,
    /// What it does to the life of its records.
    pub effect: Option<Effect>,
    /// Whoever else wrote it.
    pub authors: Vec<String>,
    /// A proposal whose place it takes.
    pub supersedes: Option<u64>,
}

/// What a revision is: what its hash is the hash of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What becomes of the files.
    pub change: Change,
    /// Of which kind it is.
    pub kind: String,
    /// What it touches, and what becomes of each.
    pub records: BTreeMap<String, String>,
    /// What was looked at when it was written.
    pub checks: Vec<Check>,
    /// Who gained and lost what, when it was written.
    pub impact: Impact,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum GovernError {
    /// The rules forbid it.
    #[error("refused by {0}")]
    Refused(#[from] Refusal),
    /// There is no such proposal.
    #[error("find proposal {0}: there is none")]
    Unknown(u64),
    /// Nothing would be another one.
    #[error("propose a change: the files are as they were")]
    Nothing,
    /// It is too large.
    #[error("propose a change of more than {CHANGE_BYTES_MAX} bytes")]
    TooLarge,
    /// The files cannot be had so.
    #[error("use the files: {0}")]
    Files(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of the log, up to some entry.
#[derive(Default)]
struct Known {
    end: End,
    state: Option<State>,
    /// What was last done to the files, of each proposal.
    done: BTreeMap<u64, Done>,
}

impl Known {
    fn take(&mut self, entries: &[Entry], end: End) {
        for entry in entries {
            let state = self.state.get_or_insert_with(|| State { at: entry.at, ..State::default() });
            entry.events.iter().for_each(|event| state.apply(event));
            if let Some(done) = &entry.done {
                self.done.insert(done.proposal, done.clone());
            }
        }
        self.end = end;
    }

    fn state(&self, now: Timestamp) -> State {
        self.state.clone().unwrap_or_else(|| State { at: now, ..State::default() })
    }
}

/// Where people propose, vote, stop and look back, under one ruleset.
pub struct Office {
    pub(crate) engine: Arc<Engine>,
    /// The hash of the ruleset.
    rules: String,
    pub(crate) log: Log,
    store: Arc<dyn Store>,
    desk: Arc<dyn Desk>,
    clock: Arc<dyn Clock>,
    /// Whoever else has the lease is another one.
    owner: String,
    lease: String,
    known: Mutex<Known>,
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Office {
    /// For the proposals of this store, under a ruleset whose text has this hash. `owner` is a name of this
    /// process and no other.
    #[must_use]
    pub fn new(
        (engine, rules): (Arc<Engine>, String),
        store: Arc<dyn Store>,
        desk: Arc<dyn Desk>,
        clock: Arc<dyn Clock>,
        owner: String,
    ) -> Self {
        let name = engine.rules().name.clone();
        let (log, lease) =
            (Log::new(Arc::clone(&store), &name), format!("governance/{}", hash(name.as_bytes())));
        Self { engine, rules, log, store, desk, clock, owner, lease, known: Mutex::new(Known::default()) }
    }

    /// The rules.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The hash of the ruleset's text.
    #[must_use]
    pub fn rules(&self) -> &str {
        &self.rules
    }

    /// The person that an operator of this name is, under rules by which one decides alone: he himself.
    #[must_use]
    pub fn alone(&self) -> Option<&str> {
        let rules = self.engine.rules();
        match (&rules.people[..], rules.solo) {
            ([only], true) => Some(&only.name),
            _ => None,
        }
    }

    async fn catch_up(&self) -> Result<MutexGuard<'_, Known>, StoreError> {
        let mut known = self.known.lock().await;
        if self.log.seq().await? != known.end.seq {
            let (entries, end) = self.log.behind(&known.end).await?;
            known.take(&entries, end);
        }
        Ok(known)
    }

    /// What was decided so far, with all that fell due by now, and what was done to the files.
    pub(crate) async fn now(&self) -> Result<(State, BTreeMap<u64, Done>, Timestamp), StoreError> {
        let known = self.catch_up().await?;
        let now = self.clock.now();
        let mut state = known.state(now);
        for command in [Command::Adopt, Command::Tick] {
            for event in self.engine.decide(&state, &command, now).unwrap_or_default() {
                state.apply(&event);
            }
        }
        Ok((state, known.done.clone(), now))
    }

    /// Proposes that the files become these. Gives the number of the proposal.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn propose(&self, who: &Actor, draft: Draft, after: &Files) -> Result<u64, GovernError> {
        let (content, bytes, look) = self.content_of(after).await?;
        let hash = hash(&bytes);
        let (state, _, now) = self.now().await?;
        let effect = effect_of(&self.engine, &state, &look, draft.effect, now);
        let new = NewProposal {
            title: draft.title,
            kind: look.kind,
            records: content.records.keys().cloned().collect(),
            risk: draft.risk.unwrap_or_default().max(look.risk),
            area: draft.area,
            authors: draft.authors,
            effect: effect.map_err(GovernError::Files)?,
            supersedes: draft.supersedes,
            hash: hash.clone(),
        };
        let command = Command::Propose { by: who.person.clone(), new: Box::new(new) };
        let events = self.run(who, &command, Some((&hash, &bytes))).await?;
        let id = events.iter().find_map(|event| match &event.what {
            governance::What::Proposed { id, .. } => Some(*id),
            _ => None,
        });
        self.settle().await?;
        id.ok_or(GovernError::Unknown(0))
    }

    /// Puts another change in place of that of a proposal. It has to be of the same kind, touch the same
    /// records and do no more harm: what else would need others to accept it is another proposal.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn revise(&self, who: &Actor, id: u64, after: &Files) -> Result<(), GovernError> {
        let (content, bytes, look) = self.content_of(after).await?;
        let (state, _, now) = self.now().await?;
        let before = &state.proposals.get(&id).ok_or(GovernError::Unknown(id))?.new;
        let effect = effect_of(&self.engine, &state, &look, Some(before.effect.clone()), now);
        effect.map_err(GovernError::Files)?;
        let same =
            content.records.keys().eq(before.records.iter().collect::<std::collections::BTreeSet<_>>());
        if !same || look.kind != before.kind || look.risk > before.risk {
            let text = "it touches other records, is of another kind or can do more harm than what was \
                        proposed: propose it as another one";
            return Err(GovernError::Files(text.to_owned()));
        }
        let hash = hash(&bytes);
        self.act_with(who, id, Act::Revise { hash: hash.clone() }, Some((&hash, &bytes))).await
    }

    /// Does something about a proposal.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn act(&self, who: &Actor, id: u64, act: Act) -> Result<(), GovernError> {
        self.act_with(who, id, act, None).await
    }

    async fn act_with(
        &self,
        who: &Actor,
        id: u64,
        act: Act,
        text: Option<(&str, &[u8])>,
    ) -> Result<(), GovernError> {
        let (state, ..) = self.now().await?;
        if !state.proposals.contains_key(&id) {
            return Err(GovernError::Unknown(id));
        }
        self.run(who, &Command::On { id, by: who.person.clone(), act }, text).await?;
        self.settle().await
    }

    /// Does what is about no proposal: people, grants, nominations.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn command(&self, who: &Actor, command: &Command) -> Result<(), GovernError> {
        self.run(who, command, None).await?;
        self.settle().await
    }

    /// Lets happen what fell due, and puts into the files what is in force. Says how much happened.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn tick(&self) -> Result<usize, GovernError> {
        let clock = Actor { person: String::new(), operator: String::new(), via: Via::Clock };
        let happened = self.run(&clock, &Command::Tick, None).await?.len();
        self.settle().await?;
        Ok(happened)
    }

    /// What a change to these files would be.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn look(&self, after: &Files) -> Result<(Change, Look), GovernError> {
        let (content, _, look) = self.content_of(after).await?;
        Ok((content.change, look))
    }

    /// The files as they are.
    ///
    /// # Errors
    /// [`GovernError::Files`]
    pub fn files(&self) -> Result<Files, GovernError> {
        self.desk.files().map_err(GovernError::Files)
    }

    /// The records that stand in the files now, and their versions.
    ///
    /// # Errors
    /// [`GovernError::Files`]
    pub(crate) fn standing_records(&self) -> Result<BTreeMap<String, String>, GovernError> {
        self.desk.records(&self.files()?).map_err(GovernError::Files)
    }

    async fn content_of(&self, after: &Files) -> Result<(Content, Vec<u8>, Look), GovernError> {
        let before = self.desk.files().map_err(GovernError::Files)?;
        let change = Change::between(&before, after);
        if change.0.is_empty() {
            return Err(GovernError::Nothing);
        }
        let look = self.desk.look(&before, after).await.map_err(GovernError::Files)?;
        let Look { kind, records, checks, impact, .. } = look.clone();
        let content = Content { change, kind, records, checks, impact };
        let bytes = serde_json::to_vec(&content).map_err(|error| GovernError::Files(error.to_string()))?;
        if bytes.len() > CHANGE_BYTES_MAX {
            return Err(GovernError::TooLarge);
        }
        Ok((content, bytes, look))
    }

    /// What a revision is.
    ///
    /// # Errors
    /// [`GovernError::Store`]
    pub async fn content(&self, hash: &str) -> Result<Content, GovernError> {
        let gone = || StoreError::Corrupt(format!("the change {hash} is not there"));
        let bytes = self.log.text(hash).await?.ok_or_else(gone)?;
        Ok(serde_json::from_slice(&bytes).map_err(|_| gone())?)
    }

    /// Decides, and writes what comes of it. What fell due before is written first, as what nobody did.
    async fn run(
        &self,
        who: &Actor,
        command: &Command,
        text: Option<(&str, &[u8])>,
    ) -> Result<Vec<Event>, GovernError> {
        let clock = Actor { person: String::new(), operator: String::new(), via: Via::Clock };
        for tries in 0..TRIES {
            let mut known = self.catch_up().await?;
            let now = self.clock.now();
            let mut state = known.state(now);
            let mut entries = Vec::new();
            let mut all = Vec::new();
            let steps = [(&clock, &Command::Adopt), (&clock, &Command::Tick), (who, command)];
            for (actor, step) in steps {
                let events = self.engine.decide(&state, step, now)?;
                events.iter().for_each(|event| state.apply(event));
                if !events.is_empty() {
                    entries.push(self.entry(actor, now, events.clone(), None));
                }
                all.extend(events);
            }
            if entries.is_empty() {
                return Ok(Vec::new());
            }
            match self.log.append(&known.end, entries, text).await {
                Ok(Some((written, end))) => {
                    known.take(&written, end);
                    return Ok(all);
                }
                Ok(None) | Err(StoreError::Conflict | StoreError::Busy) => {
                    drop(known);
                    tokio::time::sleep(PAUSE * (tries + 1)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Busy.into())
    }

    fn entry(&self, who: &Actor, at: Timestamp, events: Vec<Event>, done: Option<Done>) -> Entry {
        let Actor { person, operator, via } = who.clone();
        let (seq, prev, rules) = (0, String::new(), self.rules.clone());
        Entry { seq, prev, at, by: person, operator, via, rules, events, done }
    }

    /// Puts into the files what is in force and is not there, and takes out what no longer is. One process
    /// does it at a time.
    async fn settle(&self) -> Result<(), GovernError> {
        if self.unsettled().await?.is_empty() {
            return Ok(());
        }
        for _ in 0..LEASE_TRIES {
            let now = self.clock.now();
            let mut tx = self.store.begin().await?;
            let fence = tx.lease_take(&self.lease, &self.owner, now, now.plus(LEASE_TIME)).await?;
            tx.commit().await?;
            let Some(fence) = fence else {
                tokio::time::sleep(PAUSE * 2).await;
                continue;
            };
            let settled = self.settle_all().await;
            let mut tx = self.store.begin().await?;
            tx.lease_release(&self.lease, &self.owner, fence).await?;
            tx.commit().await?;
            return settled;
        }
        Ok(())
    }

    async fn settle_all(&self) -> Result<(), GovernError> {
        for (id, what, hash) in self.unsettled().await? {
            let content = self.content(&hash).await?;
            let error = self.put(&content, what).await.err();
            if let Some(error) = &error {
                tracing::warn!(proposal = id, %error, "a change that was decided is not in the files");
            }
            let done = Done { proposal: id, what, hash, error };
            self.note(done).await?;
        }
        Ok(())
    }

    /// What is to be done to the files: first what is taken back, then what was accepted, in that order.
    async fn unsettled(&self) -> Result<Vec<(u64, DoneWhat, String)>, GovernError> {
        let known = self.catch_up().await?;
        let Some(state) = &known.state else { return Ok(Vec::new()) };
        let mut all: Vec<(&Proposal, DoneWhat, String)> = Vec::new();
        for proposal in state.proposals.values() {
            let done = known.done.get(&proposal.id);
            let there = done.filter(|done| match (done.what, &done.error) {
                (DoneWhat::Applied, None) | (DoneWhat::TakenBack, Some(_)) => true,
                (DoneWhat::Applied, Some(_)) | (DoneWhat::TakenBack, None) => false,
            });
            match (proposal.applied, there) {
                (true, None) => all.push((proposal, DoneWhat::Applied, proposal.hash().to_owned())),
                (false, Some(done)) => all.push((proposal, DoneWhat::TakenBack, done.hash.clone())),
                _ => {}
            }
        }
        all.sort_by_key(|(proposal, what, _)| (*what == DoneWhat::Applied, proposal.accepted, proposal.id));
        Ok(all.into_iter().map(|(proposal, what, hash)| (proposal.id, what, hash)).collect())
    }

    async fn put(&self, content: &Content, what: DoneWhat) -> Result<(), String> {
        let before = self.desk.files()?;
        let change = match what {
            DoneWhat::Applied => content.change.clone(),
            DoneWhat::TakenBack => content.change.reversed(),
        };
        let after = match change.apply(&before) {
            Ok(after) => after,
            // A process that ended between the files and the log has done it.
            Err(_) if change.reversed().apply(&before).is_ok() => return Ok(()),
            Err(conflict) => return Err(Conflict::to_string(&conflict)),
        };
        let look = self.desk.look(&before, &after).await?;
        if what == DoneWhat::Applied && (look.records != content.records || look.kind != content.kind) {
            let text = "with what was put in force since, it would be another change than the one that was \
                        decided on";
            return Err(text.to_owned());
        }
        self.desk.write(&before, &after)
    }

    /// Writes down what was done to the files, once.
    async fn note(&self, done: Done) -> Result<(), GovernError> {
        for tries in 0..TRIES {
            let mut known = self.catch_up().await?;
            if known.done.get(&done.proposal) == Some(&done) {
                return Ok(());
            }
            let clock = Actor { person: String::new(), operator: self.owner.clone(), via: Via::Clock };
            let entry = self.entry(&clock, self.clock.now(), Vec::new(), Some(done.clone()));
            match self.log.append(&known.end, vec![entry], None).await {
                Ok(Some((written, end))) => {
                    known.take(&written, end);
                    return Ok(());
                }
                Ok(None) | Err(StoreError::Conflict | StoreError::Busy) => {
                    drop(known);
                    tokio::time::sleep(PAUSE * (tries + 1)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Proposals by their state, for figures.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn counts(&self) -> Result<BTreeMap<Status, u64>, StoreError> {
        let (state, ..) = self.now().await?;
        let mut counts = BTreeMap::new();
        for proposal in state.proposals.values() {
            *counts.entry(proposal.status).or_default() += 1;
        }
        Ok(counts)
    }
}
