//! A branch of a Git repository as a proposal: its commits change files or say something of them, and each is
//! signed by whoever did it. The rules, the keys and what was decided before are those of the branch that it
//! is to go into.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use governance::{
    Act, Answer, Ballot, Command, Effect, Engine, Event, EvidenceOutcome, NewProposal, Outcome, Risk, State,
    Status,
};
use governor::{Change, Desk as _, Files, Look, effect_of, hash};
use model::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};
use store::Memory;

use super::repository::{Commit, Repository};
use super::signers::Signers;
use crate::cli::{self, Output, Source};
use crate::exit::{Coded, FAILURE, REFUSED};
use crate::governed::{self, desk};
use crate::{load, out};

/// What begins the trailers of commits that mean something here.
const TRAILER: &str = "Governance-";

/// Which branch, and where everything lies in it.
#[derive(Debug, Args)]
pub struct Branch {
    /// The repository.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    repository: PathBuf,
    /// What the branch is to go into.
    #[arg(long, value_name = "COMMIT", default_value = "origin/main")]
    base: String,
    /// The branch.
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    head: String,
    /// The configuration, by its path in the repository.
    #[arg(long, value_name = "PATH", default_value = "tidegate.yaml")]
    config: String,
    /// Lay the overlay of this environment over the configuration, such as `tidegate.production.yaml`;
    /// several in their order. Overlays of others are under rules as well, each as a whole, like the ruleset.
    #[arg(long, value_name = "NAME", value_parser = cli::environment)]
    env: Vec<String>,
    /// Give a variable of the configuration its value.
    #[arg(long, value_name = "NAME=VALUE", value_parser = cli::setting)]
    set: Vec<(String, String)>,
    /// Whose keys are whose, by the path in the repository: a file of allowed signers (ssh-keygen(1)).
    #[arg(long, value_name = "PATH", default_value = "governance/signers")]
    signers: String,
    /// Public keys of OpenPGP, armoured, by the path in the repository. Whose each is, `governance.operators`
    /// of the configuration says, by `openpgp:` and the fingerprint of the primary key.
    #[arg(long, value_name = "PATH", default_value = "governance/openpgp.asc")]
    openpgp: String,
    /// What happened so far, by the path in the repository. `apply` writes it.
    #[arg(long, value_name = "PATH", default_value = "governance/events.jsonl")]
    events: String,
    /// A file that is kept between runs and says when each commit was seen first. Without it all of them are
    /// seen now, so that no time for comments passes: the date in a commit is its author's word alone.
    #[arg(long, value_name = "FILE")]
    seen: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// The branch that it is to go into, and what follows from it.
struct Base {
    commit: String,
    repository: Repository,
    files: Files,
    config: config::Config,
    engine: Arc<Engine>,
    state: State,
    desk: desk::ConfigDesk,
}

fn wrong(text: impl Into<String>) -> anyhow::Error {
    Coded::new(FAILURE, text.into()).into()
}

/// The folder of the configuration in the repository, with a slash behind it.
fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..=at])
}

/// The path of a file by its path from the configuration's folder.
fn below(config: &str, path: &str) -> String {
    format!("{}{path}", folder(config))
}

impl Branch {
    /// The files of a commit that are under rules.
    async fn files(&self, repository: &Repository, commit: &str) -> anyhow::Result<(Files, config::Config)> {
        let none = || wrong(format!("read {}: it is not in {commit}", self.config));
        let text = repository.file(commit, &self.config).await?.ok_or_else(none)?;
        let own = self.config.rsplit('/').next().unwrap_or(&self.config).to_owned();
        let mut files = Files::from([(own.clone(), text)]);
        for name in repository.names(commit, folder(&self.config)).await? {
            if load::environment_of(&own, &name).is_none() {
                continue;
            }
            if let Some(text) = repository.file(commit, &below(&self.config, &name)).await? {
                files.insert(name, text);
            }
        }
        let config = self.configuration(&own, &files)?;
        for name in desk::named(&config) {
            if let Some(text) = repository.file(commit, &below(&self.config, &name)).await? {
                files.insert(name, text);
            }
        }
        for name in [&self.signers, &self.openpgp] {
            if let Some(text) = repository.file(commit, name).await? {
                files.insert(name.clone(), text);
            }
        }
        Ok((files, config))
    }

    fn source(&self) -> Source {
        Source { env: self.env.clone(), set: self.set.clone(), ..Source::default() }
    }

    /// The configuration with the overlays that are asked for.
    fn configuration(&self, own: &str, files: &Files) -> anyhow::Result<config::Config> {
        let source = self.source();
        let layer =
            |name: &str| files.get(name).map(|text| (below(&self.config, name), text.clone().into_bytes()));
        let mut layers: Vec<_> = layer(own).into_iter().collect();
        for env in self.env.iter().map(String::as_str).chain([load::LOCAL]) {
            let name = load::overlay(Path::new(own), env).display().to_string();
            match layer(&name) {
                Some(layer) => layers.push(layer),
                None if env == load::LOCAL => {}
                None => return Err(wrong(format!("lay {name} over {own}: it is not in the commit"))),
            }
        }
        Ok(load::compose(&source, &layers)?.config)
    }

    async fn base(&self) -> anyhow::Result<Base> {
        let repository = Repository::new(&self.repository);
        let commit = repository.commit(&self.base).await?;
        let (files, config) = self.files(&repository, &commit).await?;
        let rules = config.governance.as_ref().and_then(|section| section.rules.as_ref());
        let text = match rules.and_then(|path| path.to_str()) {
            None => governance::preset("solo").map(|preset| preset.text.to_owned()).unwrap_or_default(),
            Some(path) => {
                files.get(path).cloned().ok_or_else(|| wrong(format!("read the ruleset {path:?}")))?
            }
        };
        let engine =
            governed::engine(&text).map_err(|error| Coded::config(format!("use the rules: {error}")))?;
        let past = repository.file(&commit, &self.events).await?.unwrap_or_default();
        let mut state = None;
        for (number, line) in past.lines().enumerate() {
            let event: Event = serde_json::from_str(line)
                .map_err(|error| wrong(format!("read {}:{}: {error}", self.events, number + 1)))?;
            state.get_or_insert_with(|| State { at: event.at, ..State::default() }).apply(&event);
        }
        let store: Arc<dyn store::Store> = Arc::new(Memory::new());
        let desk = desk::ConfigDesk::new(Path::new(&self.config), store);
        let desk = desk.with_rules(BTreeSet::from([self.signers.clone(), self.openpgp.clone()]));
        let desk = desk.with_overlays(&self.source()).with_other_overlays();
        Ok(Base { commit, repository, files, config, engine, state: state.unwrap_or_default(), desk })
    }

    /// When each commit was seen first. New ones are seen now.
    fn seen(&self, commits: &[Commit], now: Timestamp) -> anyhow::Result<BTreeMap<String, Timestamp>> {
        let Some(file) = &self.seen else {
            return Ok(commits.iter().map(|commit| (commit.hash.clone(), now)).collect());
        };
        let mut seen: BTreeMap<String, u64> = match std::fs::read(file) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("read {}", file.display()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        };
        let mut last = 0;
        for commit in commits {
            let at = seen.entry(commit.hash.clone()).or_insert(now.0);
            // What comes later was not seen earlier.
            *at = (*at).max(last).min(now.0);
            last = *at;
        }
        let text = serde_json::to_string_pretty(&seen)?;
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
        Ok(seen.into_iter().map(|(hash, at)| (hash, Timestamp(at))).collect())
    }
}

/// A branch on its way through the rules.
struct Course<'a> {
    branch: &'a Branch,
    base: &'a Base,
    /// Before the branch.
    begun: State,
    state: State,
    events: Vec<Event>,
    id: Option<u64>,
    /// The files that were proposed last.
    files: Files,
    look: Option<Look>,
    /// What was done, and what was refused, in words.
    told: Vec<String>,
}

impl Course<'_> {
    fn decide(&mut self, command: &Command, at: Timestamp) -> Result<(), String> {
        let events =
            self.base.engine.decide(&self.state, command, at).map_err(|refusal| refusal.to_string())?;
        events.iter().for_each(|event| self.state.apply(event));
        self.events.extend(events);
        Ok(())
    }

    fn say(&mut self, commit: &Commit, who: &str, what: &str) {
        let short: String = commit.hash.chars().take(12).collect();
        self.told.push(format!("{short} {who}: {what}"));
    }

    /// The person that a commit's signer is to the rules.
    fn person(&self, commit: &Commit) -> Option<String> {
        let signer = commit.signer.as_ref()?;
        let section = self.base.config.governance.as_ref();
        let named = section.and_then(|section| section.operators.get(signer));
        Some(named.unwrap_or(signer).clone())
    }

    async fn commit(&mut self, commit: &Commit, at: Timestamp) -> anyhow::Result<()> {
        let (files, _) = self.branch.files(&self.base.repository, &commit.hash).await?;
        if self.base.repository.differs(&self.base.commit, &commit.hash, &self.branch.events).await? {
            let text = format!(
                "use the branch: {} changes {}, which `apply` alone writes",
                commit.hash, self.branch.events
            );
            return Err(Coded::new(REFUSED, text).into());
        }
        let changes = files != self.files;
        let Some(person) = self.person(commit) else {
            if changes {
                let text = format!(
                    "use the branch: {} is not signed by a key of {} or {}",
                    commit.hash, self.branch.signers, self.branch.openpgp
                );
                return Err(Coded::new(REFUSED, text).into());
            }
            self.say(commit, "(nobody)", "is signed by no known key, and says nothing");
            return Ok(());
        };
        if changes {
            self.changed(commit, &person, files, at).await?;
        }
        for (key, value) in &commit.trailers {
            let Some(word) = key.strip_prefix(TRAILER) else { continue };
            let Some(id) = self.id else { continue };
            let hash =
                self.state.proposals.get(&id).map(|proposal| proposal.hash().to_owned()).unwrap_or_default();
            let Some(act) = act(word, value, hash) else { continue };
            let what = format!("{} {value}", word.to_lowercase());
            match self.decide(&Command::On { id, by: person.clone(), act }, at) {
                Ok(()) => self.say(commit, &person, &what),
                Err(refusal) => self.say(commit, &person, &format!("{what}: refused, {refusal}")),
            }
        }
        Ok(())
    }

    /// A commit that changes files proposes, or puts something else in place of what was proposed.
    async fn changed(
        &mut self,
        commit: &Commit,
        person: &str,
        files: Files,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let look = self.base.desk.look(&self.base.files, &files).await;
        let look = look.map_err(|error| Coded::new(REFUSED, format!("use {}: {error}", commit.hash)))?;
        let hash = hash(&serde_json::to_vec(&Change::between(&self.base.files, &files))?);
        let refused = |refusal: String| Coded::new(REFUSED, format!("use {}: {refusal}", commit.hash));
        let effect = effect_of(&self.base.engine, &self.state, &look, None, at).map_err(refused)?;
        let trailer = |word: &str| {
            let named = |(key, _): &&(String, String)| key.strip_prefix(TRAILER) == Some(word);
            commit.trailers.iter().find(named).map(|(_, value)| value.clone())
        };
        match self.id.filter(|id| self.is_same(*id, &look, &effect)) {
            Some(id) => {
                let command = Command::On { id, by: person.to_owned(), act: Act::Revise { hash } };
                self.decide(&command, at).map_err(refused)?;
                self.say(commit, person, "revises it");
            }
            None => {
                let risk =
                    trailer("Risk").and_then(|word| serde_json::from_value::<Risk>(Value::String(word)).ok());
                let new = NewProposal {
                    title: trailer("Title").unwrap_or_else(|| commit.subject.clone()),
                    kind: look.kind.clone(),
                    records: look.records.keys().cloned().collect(),
                    risk: risk.unwrap_or_default().max(look.risk),
                    area: trailer("Area"),
                    effect,
                    hash,
                    ..NewProposal::default()
                };
                // What touches something else, or comes after what was accepted, is another proposal, and
                // nothing that was said before counts.
                let again = self.id.is_some();
                if again {
                    self.state = self.begun.clone();
                    self.events.clear();
                }
                self.decide(&Command::Propose { by: person.to_owned(), new: Box::new(new) }, at)
                    .map_err(refused)?;
                self.id = Some(self.state.last);
                self.say(
                    commit,
                    person,
                    if again { "revises it, and it begins anew" } else { "proposes it" },
                );
            }
        }
        (self.files, self.look) = (files, Some(look));
        Ok(())
    }

    fn is_same(&self, id: u64, look: &Look, effect: &Effect) -> bool {
        let Some(proposal) = self.state.proposals.get(&id) else { return false };
        // It was accepted as it was before. A veto is not got around by another commit: that is refused.
        if matches!(proposal.status, Status::Accepted | Status::Final) {
            return false;
        }
        let records: BTreeSet<&String> = proposal.new.records.iter().collect();
        records.iter().copied().eq(look.records.keys())
            && proposal.new.kind == look.kind
            && proposal.new.effect == *effect
            && proposal.new.risk >= look.risk
    }
}

/// What a trailer says; `None`: nothing that is done.
fn act(word: &str, value: &str, hash: String) -> Option<Act> {
    let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
    let parsed = |text: &str| Value::String(text.to_owned());
    let rest = || rest.trim().to_owned();
    Some(match word {
        "Vote" => Act::Vote { hash, ballot: serde_json::from_value::<Ballot>(parsed(first)).ok()? },
        "Sponsor" => Act::Sponsor,
        "Comment" => Act::Comment { text: value.to_owned() },
        "Block" => {
            let (objection, alternative) = value.split_once('|')?;
            let (objection, alternative) = (objection.trim().to_owned(), alternative.trim().to_owned());
            Act::Block { hash, objection, alternative }
        }
        "Unblock" => Act::LiftBlock,
        "Evidence" | "Evidence-Failed" => {
            let passed = word == "Evidence";
            let outcome = if passed { EvidenceOutcome::Passed } else { EvidenceOutcome::Failed };
            Act::Attach { hash, kind: first.to_owned(), outcome, about: rest() }
        }
        "Decide" => {
            let outcome = serde_json::from_value::<Outcome>(parsed(first)).ok()?;
            Act::Decide { hash, outcome, rationale: rest() }
        }
        "Veto" => Act::Veto { reason: value.to_owned() },
        "Escalate" => Act::Escalate { reason: value.to_owned() },
        "Answer" => {
            let answer = serde_json::from_value::<Answer>(parsed(first)).ok()?;
            Act::Answer { answer, rationale: rest() }
        }
        _ => return None,
    })
}

/// Says what a branch needs; `apply`: and writes down what happened, where it is accepted.
pub async fn run(branch: &Branch, apply: bool) -> anyhow::Result<u8> {
    let base = branch.base().await?;
    let head = base.repository.commit(&branch.head).await?;
    let text = |name: &String| base.files.get(name).map(String::as_str);
    let signers = Signers::write(text(&branch.signers).unwrap_or_default(), text(&branch.openpgp)).await?;
    let commits = base.repository.commits(&base.commit, &head, &signers).await?;
    let now = SystemClock.now();
    let seen = branch.seen(&commits, now)?;
    let (files, state) = (base.files.clone(), base.state.clone());
    let mut course = Course {
        branch,
        base: &base,
        begun: State::default(),
        state,
        events: Vec::new(),
        id: None,
        files,
        look: None,
        told: Vec::new(),
    };
    let first = commits.first().and_then(|commit| seen.get(&commit.hash)).copied().unwrap_or(now);
    let start = course.state.clone();
    let adopted = base.engine.decide(&start, &Command::Adopt, first).unwrap_or_default();
    adopted.iter().for_each(|event| course.state.apply(event));
    course.begun = course.state.clone();
    for commit in &commits {
        let at = seen.get(&commit.hash).copied().unwrap_or(now);
        course.commit(commit, at).await?;
    }
    let _ = course.decide(&Command::Tick, now);
    // A branch that came back to where it began proposes nothing.
    let id = course.id.filter(|_| course.files != base.files);
    let Some(id) = id else {
        out::line("the branch changes nothing that is under rules");
        return Ok(0);
    };
    let accepted = course.state.proposals.get(&id).is_some_and(|proposal| {
        proposal.applied && matches!(proposal.status, Status::Accepted | Status::Final)
    });
    print(&course, id, now, accepted)?;
    if apply && accepted {
        let all: Vec<Event> = adopted.into_iter().chain(std::mem::take(&mut course.events)).collect();
        write(&branch.repository.join(&branch.events), &all)?;
    }
    Ok(if accepted { 0 } else { REFUSED })
}

fn print(course: &Course<'_>, id: u64, now: Timestamp, accepted: bool) -> anyhow::Result<()> {
    let why = course.base.engine.why(&course.state, id, now).context("know what it needs")?;
    let change = Change::between(&course.base.files, &course.files);
    match course.branch.output {
        Output::Json => {
            let report = json!({
                "accepted": accepted, "needs": why, "commits": course.told, "diff": change.text(),
                "found": course.look,
            });
            out::line(serde_json::to_string_pretty(&report)?);
        }
        Output::Table => {
            let mut text = format!("{}\n\n", why.text(&course.base.engine.rules().calendar));
            course.told.iter().for_each(|line| {
                let _ = writeln!(text, "{line}");
            });
            let _ = write!(text, "\n{}", change.text().trim_end());
            let found = course.look.as_ref().map(|look| look.impact.clone()).unwrap_or_default();
            found.summary.iter().for_each(|line| {
                let _ = write!(text, "\n{line}");
            });
            found.gains.iter().for_each(|line| {
                let _ = write!(text, "\ngains {line}");
            });
            found.loses.iter().for_each(|line| {
                let _ = write!(text, "\nloses {line}");
            });
            out::line(out::plain(&text));
        }
    }
    Ok(())
}

fn write(file: &Path, events: &[Event]) -> anyhow::Result<()> {
    let cannot = || format!("write {}", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(cannot)?;
    }
    let mut lines = String::new();
    for event in events {
        lines.push_str(&serde_json::to_string(event)?);
        lines.push('\n');
    }
    let mut opened = std::fs::OpenOptions::new().create(true).append(true).open(file).with_context(cannot)?;
    opened.write_all(lines.as_bytes()).with_context(cannot)
}
