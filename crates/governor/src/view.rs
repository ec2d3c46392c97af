//! What is told of proposals: the same over HTTP and on the command line. Times are as in RFC 3339.

use std::collections::{BTreeMap, BTreeSet};

use governance::{Escalated, Proposal, Route, State, Status, Why};
use model::Timestamp;
use seal::time_to_text;
use serde_json::{Value, json};

use crate::log::{Done, End, Entry, Via};
use crate::office::{GovernError, Office};

/// Whether what is in force is in the files.
fn files(proposal: &Proposal, done: Option<&Done>) -> Value {
    let error = done.and_then(|done| done.error.as_deref());
    json!({"inForce": proposal.applied, "error": error})
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(time_to_text(at)))
}

fn route(route: &Route) -> &str {
    match route {
        Route::Core => "core",
        Route::Domain { grant } => grant,
    }
}

/// Enough of a proposal for a list.
fn short(proposal: &Proposal, done: Option<&Done>) -> Value {
    json!({
        "id": proposal.id,
        "title": proposal.new.title,
        "status": proposal.status.as_str(),
        "by": proposal.by,
        "kind": proposal.new.kind,
        "risk": proposal.new.risk.as_str(),
        "records": proposal.new.records,
        "domain": proposal.domain,
        "hash": proposal.hash(),
        "since": time_to_text(proposal.entered),
        "files": files(proposal, done),
    })
}

fn whole(proposal: &Proposal, done: Option<&Done>) -> Value {
    let mut report = short(proposal, done);
    let of = |revision: usize| proposal.revisions.get(revision).map(|revision| revision.hash.as_str());
    report["track"] = json!(proposal.track);
    report["area"] = json!(proposal.new.area);
    report["effect"] = json!(proposal.new.effect);
    report["authors"] = json!(proposal.authors);
    report["sponsors"] = json!(proposal.sponsors);
    report["accepted"] = time(proposal.accepted);
    let revision = |r: &governance::Revision| json!({"hash": r.hash, "by": r.by, "at": time_to_text(r.at)});
    report["revisions"] = proposal.revisions.iter().map(revision).collect();
    let vote = |v: &governance::Vote| {
        let (hash, at) = (of(v.revision), time_to_text(v.at));
        json!({"by": v.by, "ballot": v.ballot, "hash": hash, "in": v.stage, "at": at})
    };
    report["votes"] = proposal.votes.iter().map(vote).collect();
    let block = |b: &governance::Block| {
        let (hash, objection) = (of(b.revision), &b.objection);
        json!({"by": b.by, "objection": objection, "alternative": b.alternative, "hash": hash})
    };
    report["blocks"] = proposal.blocks.iter().map(block).collect();
    let comment = |c: &governance::Comment| json!({"by": c.by, "text": c.text, "at": time_to_text(c.at)});
    report["comments"] = proposal.comments.iter().map(comment).collect();
    let shown = |e: &governance::Evidence| {
        let (hash, outcome) = (of(e.revision), e.outcome);
        json!({"kind": e.kind, "by": e.by, "outcome": outcome, "about": e.about, "hash": hash})
    };
    report["evidence"] = proposal.evidence.iter().map(shown).collect();
    let ruling = |r: &governance::Ruling| {
        let (hash, outcome) = (of(r.revision), r.outcome);
        json!({"by": r.by, "outcome": outcome, "rationale": r.rationale, "hash": hash})
    };
    report["decisions"] = proposal.rulings.iter().map(ruling).collect();
    let escalated = |e: &Escalated| json!({"level": e.level, "due": time_to_text(e.due), "answer": e.answer});
    report["escalated"] = proposal.escalated.as_ref().map(escalated).unwrap_or_default();
    report["reviewDue"] = time(proposal.review_due);
    report
}

fn needs(why: &Why) -> Value {
    let demand = |d: &governance::Demand| {
        json!({
            "rule": d.rule, "demands": d.demands, "have": d.have, "met": d.met,
            "until": time(d.next), "failed": d.failed,
        })
    };
    json!({
        "then": why.then,
        "acceptedBy": route(&why.route),
        "because": why.route_reason,
        "priority": why.priority,
        "demands": why.demands.iter().map(demand).collect::<Vec<_>>(),
        "next": time(why.next),
        "vetoUntil": time(why.veto_until),
    })
}

impl Office {
    /// Proposals in short, the newest first: those in this state, or all.
    ///
    /// # Errors
    /// [`GovernError::Store`]
    pub async fn list(&self, status: Option<Status>, limit: usize) -> Result<Vec<Value>, GovernError> {
        let (state, done, _) = self.now().await?;
        let all =
            state.proposals.values().rev().filter(|one| status.is_none_or(|status| status == one.status));
        Ok(all.take(limit).map(|proposal| short(proposal, done.get(&proposal.id))).collect())
    }

    /// All that is known of a proposal but its change: what it needs, and who gains and loses what.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn show(&self, id: u64) -> Result<Value, GovernError> {
        let (state, done, now) = self.now().await?;
        let proposal = state.proposals.get(&id).ok_or(GovernError::Unknown(id))?;
        let content = self.content(proposal.hash()).await?;
        let mut report = whole(proposal, done.get(&id));
        report["needs"] = self.engine.why(&state, id, now).as_ref().map(needs).unwrap_or_default();
        report["checks"] = json!(content.checks);
        report["impact"] = json!(content.impact);
        Ok(report)
    }

    /// Why a proposal is where it is, in words.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn why(&self, id: u64) -> Result<String, GovernError> {
        let (state, _, now) = self.now().await?;
        let why = self.engine.why(&state, id, now).ok_or(GovernError::Unknown(id))?;
        Ok(why.text(&self.engine.rules().calendar))
    }

    /// The state of a proposal and the hash of the revision that counts.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn standing(&self, id: u64) -> Result<(Status, String), GovernError> {
        let (state, ..) = self.now().await?;
        let proposal = state.proposals.get(&id).ok_or(GovernError::Unknown(id))?;
        Ok((proposal.status, proposal.hash().to_owned()))
    }

    /// Where records are in their life, as far as decisions say.
    ///
    /// # Errors
    /// [`GovernError::Store`]
    pub async fn records(&self) -> Result<BTreeMap<String, governance::Record>, GovernError> {
        let (state, ..): (State, _, _) = self.now().await?;
        Ok(state.records)
    }

    /// All records: those that stand in the files, and those that went by a decision. Each with its version
    /// (a hash of what it is; null for one that is gone), its domain and that one's owners, and where it is
    /// in its life as far as decisions say.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn catalog(&self) -> Result<Vec<Value>, GovernError> {
        let (state, ..): (State, _, _) = self.now().await?;
        let standing = self.standing_records()?;
        let names: BTreeSet<&String> = standing.keys().chain(state.records.keys()).collect();
        let record = |name: &String| {
            let domain = self.engine().domain(name);
            let life = state.records.get(name);
            json!({
                "record": name,
                "version": standing.get(name),
                "domain": domain.map(|domain| &domain.name),
                "owners": domain.map(|domain| &domain.owners),
                "stage": life.map(|life| life.stage),
                "since": time(life.map(|life| life.since)),
                "removable": time(life.and_then(|life| life.removable)),
                "replacement": life.and_then(|life| life.replacement.as_ref()),
            })
        };
        Ok(names.into_iter().map(record).collect())
    }

    /// What happened, to one proposal or at all, in order, behind an entry. The whole log is held against its
    /// hashes.
    ///
    /// # Errors
    /// [`GovernError`]
    pub async fn history(
        &self,
        id: Option<u64>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Value>, GovernError> {
        let (entries, _) = self.log.behind(&End::default()).await?;
        let mut all = Vec::new();
        for entry in entries.iter().filter(|entry| entry.seq > after) {
            let own = |event: &&governance::Event| id.is_none() || event.what.proposal() == id;
            let events: Vec<_> = entry.events.iter().filter(own).collect();
            let done = entry.done.as_ref().filter(|done| id.is_none_or(|id| id == done.proposal));
            if (!events.is_empty() || done.is_some()) && all.len() < limit {
                all.push(told(entry, &events, done));
            }
        }
        match (id, all.is_empty(), after) {
            (Some(id), true, 0) => Err(GovernError::Unknown(id)),
            _ => Ok(all),
        }
    }
}

fn told(entry: &Entry, events: &[&governance::Event], done: Option<&Done>) -> Value {
    let event = |event: &&governance::Event| json!({"at": time_to_text(event.at), "what": event.what});
    let by = match (entry.by.as_str(), entry.via) {
        ("", Via::Clock) => "(by itself)",
        (by, _) => by,
    };
    json!({
        "seq": entry.seq,
        "at": time_to_text(entry.at),
        "by": by,
        "operator": entry.operator,
        "via": entry.via,
        "rules": entry.rules,
        "prev": entry.prev,
        "events": events.iter().map(event).collect::<Vec<_>>(),
        "files": done,
    })
}
