//! Proposals in the store: what is proposed, what is said of it, what became of it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use governance::{Act, Ballot, EvidenceOutcome, Outcome, Risk, Stage, Status};
use governor::{Actor, Draft, Files, GovernError, Office, Via};
use serde_json::Value;
use store::Store;

use super::files::text;
use crate::by_hand::ByHand;
use crate::cli::Output;
use crate::exit::{Coded, FAILURE, REFUSED, USAGE};
use crate::governed::Governed;
use crate::store_command::{self, Chosen};
use crate::{out, table};

/// The largest file of a change.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Characters of a hash that are enough to say which one is meant.
const HASH_CHARS_MIN: usize = 8;

/// Who acts, and where.
#[derive(Debug, Args)]
pub struct By {
    #[command(flatten)]
    chosen: Chosen,
    /// Who does it, as the rules name him; it is written down. Where one decides alone, it is he.
    #[arg(long = "as", value_name = "NAME", env = "USER")]
    by: Option<String>,
}

/// Files as they are to be.
#[derive(Debug, Args)]
pub struct Changed {
    /// The configuration as it is to be.
    #[arg(long, value_name = "FILE")]
    new: Option<PathBuf>,
    /// Another file as it is to be, by its name in the configuration's folder:
    /// `policies/team.cedar=new.cedar`.
    #[arg(long = "file", value_name = "NAME=FILE")]
    files: Vec<String>,
    /// A file that goes.
    #[arg(long = "remove", value_name = "NAME")]
    removed: Vec<String>,
}

/// What is proposed.
#[derive(Debug, Args)]
pub struct Propose {
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    changed: Changed,
    /// What it is about.
    #[arg(long)]
    title: String,
    /// How much harm it can do; never less than what is found.
    #[arg(long, value_enum)]
    risk: Option<HowMuch>,
    /// To which area of work it belongs.
    #[arg(long)]
    area: Option<String>,
    /// What becomes of what it touches, where the change itself does not say it.
    #[arg(long, value_enum)]
    effect: Option<WhatFor>,
    /// What takes the place of what is deprecated, as `kind:name`.
    #[arg(long, value_name = "RECORD", requires = "effect")]
    replacement: Option<String>,
    /// Security does not allow to wait as long as usual with what is deprecated.
    #[arg(long)]
    expedited: bool,
    /// Whoever else wrote it.
    #[arg(long = "author", value_name = "NAME")]
    authors: Vec<String>,
    /// A proposal whose place it takes.
    #[arg(long, value_name = "ID")]
    supersedes: Option<u64>,
    /// Propose nothing: show the change, what is found, and who gains and loses what.
    #[arg(long)]
    dry_run: bool,
}

/// How much harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HowMuch {
    /// Easily undone, seen by few.
    Low,
    /// The usual.
    Medium,
    /// Data leaves, money moves, many are cut off.
    High,
}

/// What becomes of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhatFor {
    /// They stay where they are in their life.
    Change,
    /// They come in, for those who try them.
    Experimental,
    /// They come in, for everybody.
    Active,
    /// They are to go.
    Deprecate,
    /// They stay after all.
    Restore,
}

/// Which proposal, and what is said of it.
#[derive(Debug, Args)]
pub struct Review {
    #[command(flatten)]
    by: By,
    /// Its number.
    id: u64,
    /// Say something.
    #[arg(long, value_name = "TEXT", group = "said")]
    comment: Option<String>,
    /// Stand for it.
    #[arg(long, group = "said")]
    sponsor: bool,
    /// Show something of this kind for the revision of `--hash`: `security-scan`.
    #[arg(long, value_name = "KIND", group = "said", requires = "about", requires = "hash")]
    evidence: Option<String>,
    /// Where it is found, or what it says.
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// It speaks against the revision.
    #[arg(long, requires = "evidence")]
    failed: bool,
    /// Object to the revision of `--hash`, where silence would accept it.
    #[arg(long, value_name = "OBJECTION", group = "said", requires = "alternative", requires = "hash")]
    block: Option<String>,
    /// What to do instead.
    #[arg(long, value_name = "TEXT")]
    alternative: Option<String>,
    /// Object no longer.
    #[arg(long, group = "said")]
    unblock: bool,
    /// Confirm what was put in force in an emergency, with a note.
    #[arg(long, value_name = "NOTE", group = "said", requires = "hash")]
    confirm: Option<String>,
    /// Do not: it is taken back.
    #[arg(long, value_name = "NOTE", group = "said", requires = "hash")]
    reject: Option<String>,
    /// Find a delegated decision sound that was chosen to be looked at again.
    #[arg(long, value_name = "NOTE", group = "said")]
    sound: Option<String>,
    /// Find it unsound.
    #[arg(long, value_name = "NOTE", group = "said")]
    unsound: Option<String>,
    /// The beginning of the hash of the revision that is meant.
    #[arg(long)]
    hash: Option<String>,
}

/// A vote.
#[derive(Debug, Args)]
pub struct Vote {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
    /// What is said.
    #[arg(value_enum)]
    ballot: Says,
    /// The beginning of the hash of the revision that is voted on, as `review` shows it.
    #[arg(long)]
    hash: String,
}

/// What is said in a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Says {
    /// For it.
    Yes,
    /// Against it.
    No,
    /// Neither.
    Abstain,
}

/// A veto.
#[derive(Debug, Args)]
pub struct Veto {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
    /// Why.
    #[arg(long)]
    reason: String,
}

/// A decision.
#[derive(Debug, Args)]
pub struct Decide {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
    /// What is to become of it.
    #[arg(value_enum)]
    outcome: Becomes,
    /// The beginning of the hash of the revision that is decided on, as `review` shows it.
    #[arg(long)]
    hash: String,
    /// Why.
    #[arg(long)]
    rationale: String,
}

/// What somebody decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Becomes {
    /// It goes on, if all else is there.
    Advance,
    /// It goes back to be worked on.
    Revise,
    /// It is over.
    Reject,
}

/// Whose history.
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    chosen: Chosen,
    /// The proposal's number; all where none is given.
    id: Option<u64>,
    /// So many entries at most.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    limit: usize,
}

/// Which proposals.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    chosen: Chosen,
    /// Only those in this state: `in_review`, `accepted`, `vetoed` and so on.
    #[arg(long)]
    status: Option<String>,
    /// So many at most.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
}

/// Another change of a proposal.
#[derive(Debug, Args)]
pub struct Revise {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
    #[command(flatten)]
    changed: Changed,
}

/// What is taken back.
#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
    /// Why.
    #[arg(long)]
    reason: String,
}

/// What goes to a level above.
#[derive(Debug, Args)]
pub struct Escalate {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
    /// Why.
    #[arg(long)]
    reason: String,
}

/// What a level above says.
#[derive(Debug, Args)]
pub struct Answer {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
    /// What is to become of it.
    #[arg(value_enum)]
    answer: Answers,
    /// Why.
    #[arg(long)]
    rationale: String,
}

/// What a level above says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Answers {
    /// The domain goes on, knowing what was said.
    Return,
    /// The core decides.
    TakeOver,
    /// It is over.
    Reject,
}

/// An emergency.
#[derive(Debug, Args)]
pub struct Emergency {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
    /// The beginning of the hash of the revision that is put in force.
    #[arg(long)]
    hash: String,
    /// Why it cannot wait.
    #[arg(long)]
    reason: String,
}

/// What its author takes back.
#[derive(Debug, Args)]
pub struct Withdraw {
    #[command(flatten)]
    by: By,
    /// The proposal's number.
    id: u64,
}

/// Where what fell due happens.
#[derive(Debug, Args)]
pub struct Tick {
    #[command(flatten)]
    chosen: Chosen,
}

/// Where a command does something.
pub(super) struct Desk {
    pub(super) office: Arc<Office>,
    store: Arc<dyn Store>,
}

pub(super) async fn open(chosen: &Chosen) -> anyhow::Result<Desk> {
    let loaded = chosen.load()?;
    let no_file = "propose a change: there is no configuration file that could be under rules";
    let own = loaded.file.filter(|_| chosen.source().mcp_json.is_none());
    let file = own.ok_or_else(|| Coded::new(USAGE, no_file.to_owned()))?;
    let store = store_command::open_in_use(chosen).await?;
    let governed = Governed::new(chosen.source(), &file, Arc::clone(&store));
    let faulty = |error| Coded::config(format!("use the rules: {error}"));
    let section = governed.section().map_err(faulty)?.unwrap_or_default();
    Ok(Desk { office: governed.office(&section).map_err(faulty)?, store })
}

pub(super) fn failed(error: GovernError) -> Coded {
    match error {
        GovernError::Store(error) => Coded::store(&error),
        GovernError::Refused(_) => Coded::new(REFUSED, format!("do it: {error}")),
        error => Coded::new(FAILURE, error.to_string()),
    }
}

impl By {
    fn actor(&self, office: &Office) -> anyhow::Result<Actor> {
        let nobody = || Coded::new(USAGE, "know who does it: say --as NAME".to_owned());
        let by = self.by.as_deref().or(office.alone()).ok_or_else(nobody)?;
        let person = office.alone().unwrap_or(by).to_owned();
        let uid = rustix::process::getuid().as_raw();
        Ok(Actor { person, operator: format!("{by} (uid {uid})"), via: Via::CommandLine })
    }

    async fn open(&self, command: &str, target: &str) -> anyhow::Result<(Arc<Office>, Actor, ByHand)> {
        let Desk { office, store } = open(&self.chosen).await?;
        let actor = self.actor(&office)?;
        let doing = ByHand::begin(self.chosen.source(), &store, command, target).await?;
        let doing = doing.says("as", &actor.person).says("rules", office.rules());
        Ok((office, actor, doing))
    }

    /// Does something about a proposal, and tells where that led.
    async fn act(
        &self,
        command: &str,
        id: u64,
        act: impl FnOnce(String) -> anyhow::Result<Act>,
    ) -> anyhow::Result<u8> {
        let (office, actor, doing) = self.open(command, &id.to_string()).await?;
        let done = async {
            let (_, hash) = office.standing(id).await.map_err(failed)?;
            office.act(&actor, id, act(hash)?).await.map_err(failed)?;
            anyhow::Ok(office.standing(id).await.map_err(failed)?)
        };
        let done = done.await;
        let doing = match &done {
            Ok((status, hash)) => doing.says("revision", hash).says("proposal_status", status.as_str()),
            Err(_) => doing,
        };
        doing.end(done).await?;
        told(&self.chosen, &office, id).await
    }
}

/// The revision that counts, if that is the one that is meant.
fn meant(hash: String, given: &str) -> anyhow::Result<String> {
    let digits = hash.strip_prefix("sha256:").unwrap_or(&hash);
    let given_digits = given.strip_prefix("sha256:").unwrap_or(given);
    if given_digits.len() < HASH_CHARS_MIN {
        let text =
            format!("find the revision {given:?}: write at least {HASH_CHARS_MIN} characters of its hash");
        return Err(Coded::new(USAGE, text).into());
    }
    if digits.starts_with(given_digits) {
        return Ok(hash);
    }
    let text =
        format!("find the revision {given:?}: the one that counts is {hash}; look at it with `review`");
    Err(Coded::new(REFUSED, text).into())
}

async fn told(chosen: &Chosen, office: &Office, id: u64) -> anyhow::Result<u8> {
    let report = office.show(id).await.map_err(failed)?;
    match chosen.output() {
        Output::Json => out::line(serde_json::to_string_pretty(&report)?),
        Output::Table => {
            let text = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
            let files = match (report["files"]["inForce"].as_bool(), report["files"]["error"].as_str()) {
                (_, Some(error)) => format!("; not as it should be in the files: {error}"),
                (Some(true), None) => "; in force".to_owned(),
                _ => String::new(),
            };
            let line = format!("proposal {id} is {}{files}\nrevision {}", text("status"), text("hash"));
            out::line(out::plain(&line));
        }
    }
    Ok(0)
}

impl Changed {
    fn apply(&self, files: &Files, config: &str) -> anyhow::Result<Files> {
        let mut after = files.clone();
        if let Some(new) = &self.new {
            after.insert(config.to_owned(), text(new, FILE_BYTES_MAX)?);
        }
        for pair in &self.files {
            let wrong = || Coded::new(USAGE, format!("read --file {pair:?}: write NAME=FILE"));
            let (name, file) = pair.split_once('=').ok_or_else(wrong)?;
            after.insert(name.to_owned(), text(file.as_ref(), FILE_BYTES_MAX)?);
        }
        for name in &self.removed {
            if after.remove(name).is_none() {
                return Err(Coded::new(USAGE, format!("remove {name:?}: it is no file under rules")).into());
            }
        }
        Ok(after)
    }
}

impl Propose {
    fn draft(&self) -> Draft {
        // Only what is deprecated can be so in a hurry.
        let said = self.effect.or(self.expedited.then_some(WhatFor::Deprecate));
        let effect = said.map(|effect| match effect {
            WhatFor::Change => governance::Effect::Change,
            WhatFor::Experimental => governance::Effect::Introduce { stage: Stage::Experimental },
            WhatFor::Active => governance::Effect::Introduce { stage: Stage::Active },
            WhatFor::Deprecate => governance::Effect::Deprecate {
                replacement: self.replacement.clone(),
                expedited: self.expedited,
            },
            WhatFor::Restore => governance::Effect::Restore,
        });
        let risk = self.risk.map(|risk| match risk {
            HowMuch::Low => Risk::Low,
            HowMuch::Medium => Risk::Medium,
            HowMuch::High => Risk::High,
        });
        let (title, area, authors) = (self.title.clone(), self.area.clone(), self.authors.clone());
        Draft { title, risk, area, effect, authors, supersedes: self.supersedes }
    }
}

/// The name of the configuration among the files.
fn config_name(chosen: &Chosen) -> anyhow::Result<String> {
    let file = chosen.load()?.file.unwrap_or_default();
    Ok(file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

/// Proposes.
pub async fn propose(arguments: Propose) -> anyhow::Result<u8> {
    let Propose { by, changed, .. } = &arguments;
    if arguments.dry_run {
        let Desk { office, .. } = open(&by.chosen).await?;
        let after = changed.apply(&office.files().map_err(failed)?, &config_name(&by.chosen)?)?;
        let (change, look) = office.look(&after).await.map_err(failed)?;
        match by.chosen.output() {
            Output::Json => out::line(serde_json::to_string_pretty(&look)?),
            Output::Table => {
                out::line(out::plain(change.text().trim_end()));
                let records: Vec<_> = look.records.keys().cloned().collect();
                let what = format!("kind {}, risk at least {}", look.kind, look.risk.as_str());
                out::line(out::plain(&format!("\n{what}: {}", records.join(", "))));
                impact(&serde_json::to_value(&look.impact)?);
            }
        }
        return Ok(0);
    }
    let (office, actor, doing) = by.open("propose", &arguments.title).await?;
    let done = async {
        let after = changed.apply(&office.files().map_err(failed)?, &config_name(&by.chosen)?)?;
        let id = office.propose(&actor, arguments.draft(), &after).await.map_err(failed)?;
        let (status, hash) = office.standing(id).await.map_err(failed)?;
        anyhow::Ok((id, status, hash))
    };
    let done = done.await;
    let doing = match &done {
        Ok((id, status, hash)) => doing
            .says("proposal", &id.to_string())
            .says("revision", hash)
            .says("proposal_status", status.as_str()),
        Err(_) => doing,
    };
    let (id, ..) = doing.end(done).await?;
    told(&by.chosen, &office, id).await
}

/// Revises.
pub async fn revise(arguments: Revise) -> anyhow::Result<u8> {
    let Revise { by, id, changed } = &arguments;
    let (office, actor, doing) = by.open("governance revise", &id.to_string()).await?;
    let done = async {
        let after = changed.apply(&office.files().map_err(failed)?, &config_name(&by.chosen)?)?;
        office.revise(&actor, *id, &after).await.map_err(failed)?;
        anyhow::Ok(office.standing(*id).await.map_err(failed)?.1)
    };
    let done = done.await;
    let doing = match &done {
        Ok(hash) => doing.says("revision", hash),
        Err(_) => doing,
    };
    doing.end(done).await?;
    told(&by.chosen, &office, *id).await
}

impl Review {
    /// What is said; `None` where it is only looked at.
    fn act(&self, hash: String) -> anyhow::Result<Option<Act>> {
        let hash = match &self.hash {
            Some(given) => meant(hash, given)?,
            None => hash,
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Ok(Some(if let Some(text) = &self.comment {
            Act::Comment { text: text.clone() }
        } else if self.sponsor {
            Act::Sponsor
        } else if let Some(kind) = &self.evidence {
            let outcome = if self.failed { EvidenceOutcome::Failed } else { EvidenceOutcome::Passed };
            Act::Attach { hash, kind: kind.clone(), outcome, about: text(&self.about) }
        } else if let Some(objection) = &self.block {
            Act::Block { hash, objection: objection.clone(), alternative: text(&self.alternative) }
        } else if self.unblock {
            Act::LiftBlock
        } else if let Some(note) = &self.confirm {
            Act::Review { hash, confirms: true, note: note.clone() }
        } else if let Some(note) = &self.reject {
            Act::Review { hash, confirms: false, note: note.clone() }
        } else if let Some(note) = &self.sound {
            Act::Audit { sound: true, note: note.clone() }
        } else if let Some(note) = &self.unsound {
            Act::Audit { sound: false, note: note.clone() }
        } else {
            return Ok(None);
        }))
    }
}

/// Shows, or says something.
pub async fn review(arguments: Review) -> anyhow::Result<u8> {
    if arguments.act(String::new()).is_ok_and(|act| act.is_none()) {
        return look(&arguments.by.chosen, arguments.id).await;
    }
    let nothing = || Coded::new(USAGE, "say something of it".to_owned()).into();
    arguments.by.act("review", arguments.id, |hash| arguments.act(hash)?.ok_or_else(nothing)).await
}

async fn look(chosen: &Chosen, id: u64) -> anyhow::Result<u8> {
    let Desk { office, .. } = open(chosen).await?;
    let mut report = office.show(id).await.map_err(failed)?;
    let hash = report["hash"].as_str().unwrap_or_default().to_owned();
    let content = office.content(&hash).await.map_err(failed)?;
    if chosen.output() == Output::Json {
        report["diff"] = Value::String(content.change.text());
        out::line(serde_json::to_string_pretty(&report)?);
        return Ok(0);
    }
    out::line(out::plain(&office.why(id).await.map_err(failed)?));
    out::line(out::plain(&format!("\nrevision {hash}\n{}", content.change.text().trim_end())));
    impact(&report["impact"]);
    for comment in report["comments"].as_array().into_iter().flatten() {
        let text = |key: &str| comment[key].as_str().unwrap_or_default().to_owned();
        out::line(out::plain(&format!("{} said at {}: {}", text("by"), text("at"), text("text"))));
    }
    Ok(0)
}

/// Who gains and loses what.
fn impact(impact: &Value) {
    let list = |key: &str| impact[key].as_array().cloned().unwrap_or_default();
    out::line("");
    for line in list("summary") {
        out::line(out::plain(line.as_str().unwrap_or_default()));
    }
    for (word, key) in [("gains", "gains"), ("loses", "loses")] {
        for line in list(key) {
            let (who, what) = line.as_str().and_then(|line| line.split_once(": ")).unwrap_or_default();
            out::line(out::plain(&format!("{who} {word} {what}")));
        }
    }
    if impact["more"] == true {
        out::line("and others");
    }
}

/// Votes.
pub async fn vote(arguments: Vote) -> anyhow::Result<u8> {
    let ballot = match arguments.ballot {
        Says::Yes => Ballot::Yes,
        Says::No => Ballot::No,
        Says::Abstain => Ballot::Abstain,
    };
    let act = |hash| Ok(Act::Vote { hash: meant(hash, &arguments.hash)?, ballot });
    arguments.by.act("vote", arguments.id, act).await
}

/// Stops.
pub async fn veto(arguments: Veto) -> anyhow::Result<u8> {
    arguments.by.act("veto", arguments.id, |_| Ok(Act::Veto { reason: arguments.reason.clone() })).await
}

/// Decides.
pub async fn decide(arguments: Decide) -> anyhow::Result<u8> {
    let outcome = match arguments.outcome {
        Becomes::Advance => Outcome::Advance,
        Becomes::Revise => Outcome::Revise,
        Becomes::Reject => Outcome::Reject,
    };
    let rationale = arguments.rationale.clone();
    let act = |hash| Ok(Act::Decide { hash: meant(hash, &arguments.hash)?, outcome, rationale });
    arguments.by.act("decide", arguments.id, act).await
}

/// Takes back.
pub async fn rollback(arguments: Rollback) -> anyhow::Result<u8> {
    let reason = arguments.reason.clone();
    arguments.by.act("governance rollback", arguments.id, |_| Ok(Act::Rollback { reason })).await
}

/// Turns to a level above.
pub async fn escalate(arguments: Escalate) -> anyhow::Result<u8> {
    let reason = arguments.reason.clone();
    arguments.by.act("governance escalate", arguments.id, |_| Ok(Act::Escalate { reason })).await
}

/// Answers.
pub async fn answer(arguments: Answer) -> anyhow::Result<u8> {
    let answer = match arguments.answer {
        Answers::Return => governance::Answer::Return,
        Answers::TakeOver => governance::Answer::TakeOver,
        Answers::Reject => governance::Answer::Reject,
    };
    let rationale = arguments.rationale.clone();
    arguments.by.act("governance answer", arguments.id, |_| Ok(Act::Answer { answer, rationale })).await
}

/// Puts in force before anybody has decided.
pub async fn emergency(arguments: Emergency) -> anyhow::Result<u8> {
    let reason = arguments.reason.clone();
    let act = |hash| Ok(Act::Emergency { hash: meant(hash, &arguments.hash)?, reason });
    arguments.by.act("governance emergency", arguments.id, act).await
}

/// Takes back what is proposed.
pub async fn withdraw(arguments: Withdraw) -> anyhow::Result<u8> {
    arguments.by.act("governance withdraw", arguments.id, |_| Ok(Act::Withdraw)).await
}

/// Lets happen what fell due.
pub async fn tick(arguments: Tick) -> anyhow::Result<u8> {
    let Desk { office, store } = open(&arguments.chosen).await?;
    let doing = ByHand::begin(arguments.chosen.source(), &store, "governance tick", "").await?;
    let happened = doing.end(office.tick().await.map_err(failed)).await?;
    out::line(format!("{happened} {} happened", if happened == 1 { "thing" } else { "things" }));
    Ok(0)
}

/// Lists.
pub async fn list(arguments: List) -> anyhow::Result<u8> {
    let status: Option<Status> = arguments
        .status
        .as_deref()
        .map(|word| serde_json::from_value(Value::String(word.to_owned())))
        .transpose()
        .map_err(|error| Coded::new(USAGE, format!("read --status: {error}")))?;
    let Desk { office, .. } = open(&arguments.chosen).await?;
    let found = office.list(status, arguments.limit).await.map_err(failed)?;
    match arguments.chosen.output() {
        Output::Json => out::line(serde_json::to_string_pretty(&found)?),
        Output::Table if found.is_empty() => out::line("nothing was proposed"),
        Output::Table => {
            let mut rows = table::new(&["id", "status", "by", "risk", "domain", "since", "title"]);
            for one in &found {
                let keys = ["id", "status", "by", "risk", "domain", "since", "title"];
                rows.add_row(keys.map(|key| match &one[key] {
                    Value::Null => "-".to_owned(),
                    Value::String(text) => out::plain(text).into_owned(),
                    value => value.to_string(),
                }));
            }
            out::line(table::text(&rows));
        }
    }
    Ok(0)
}

/// Shows what happened.
pub async fn history(arguments: History) -> anyhow::Result<u8> {
    let Desk { office, .. } = open(&arguments.chosen).await?;
    let found = office.history(arguments.id, 0, arguments.limit).await.map_err(failed)?;
    if arguments.chosen.output() == Output::Json {
        out::line(serde_json::to_string_pretty(&found)?);
        return Ok(0);
    }
    for entry in &found {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        for event in entry["events"].as_array().into_iter().flatten() {
            let what = event["what"].as_object().and_then(|what| what.iter().next());
            let (word, about) =
                what.map(|(word, about)| (word.as_str(), about)).unwrap_or(("", &Value::Null));
            let more = ["status", "ballot", "outcome", "hash", "reason", "rationale", "text", "person"];
            let more = more.iter().filter_map(|key| about[*key].as_str()).collect::<Vec<_>>().join(", ");
            let at = event["at"].as_str().unwrap_or_default();
            out::line(out::plain(&format!("{at}  {}  {word} {more}", text("by"))));
        }
        if let Some(what) = entry["files"]["what"].as_str() {
            let error = entry["files"]["error"].as_str().map(|error| format!(": failed, {error}"));
            out::line(out::plain(&format!("{}  (files)  {what}{}", text("at"), error.unwrap_or_default())));
        }
    }
    Ok(0)
}
