//! What people do about a proposal.

use super::demand::View;
use super::work::Work;
use super::{Bodies, hash, text};
use crate::command::{Act, Refusal, Rule};
use crate::limits::{COMMENTS_MAX, EVIDENCE_MAX, REVISIONS_MAX};
use crate::ruleset::{Apart, Body, Gate, Track, VoteRule};
use crate::state::{Ballot, EvidenceOutcome, Outcome, Status, What};

impl Work<'_> {
    /// Carries out an act, and what follows from it.
    pub fn act(&mut self, by: &str, act: &Act) -> Result<(), Refusal> {
        match act {
            Act::Revise { hash } => self.revise(by, hash),
            Act::Sponsor => self.sponsor(by),
            Act::Comment { text } => self.comment(by, text),
            Act::Vote { hash, ballot } => self.vote(by, hash, *ballot),
            Act::Block { hash, objection, alternative } => self.block(by, hash, objection, alternative),
            Act::LiftBlock => self.lift_block(by),
            Act::Attach { hash, kind, outcome, about } => self.attach(by, hash, kind, *outcome, about),
            Act::Decide { hash, outcome, rationale } => self.rule(by, hash, *outcome, rationale),
            Act::Withdraw => self.withdraw(by),
            Act::Revive => self.revive(by),
            Act::Escalate { reason } => self.escalate(by, reason),
            Act::Answer { answer, rationale } => self.answer(by, *answer, rationale),
            Act::Veto { reason } => self.veto(by, reason),
            Act::Emergency { hash, reason } => self.emergency(by, hash, reason),
            Act::Review { hash, confirms, note } => self.review(by, hash, *confirms, note),
            Act::Audit { sound, note } => self.audit(by, *sound, note),
            Act::Rollback { reason } => self.roll_back(by, reason),
        }?;
        self.settle();
        Ok(())
    }

    /// That it is still to be decided.
    pub fn pending(&self) -> Result<(), Refusal> {
        let status = self.proposal.status;
        if status.is_pending() {
            return Ok(());
        }
        Err(Refusal::new(Rule::State, format!("proposal {} is {}", self.id(), status.as_str())))
    }

    /// That somebody is of those who judge, naming what is against it.
    pub fn judge(&self, body: &Body, apart: Option<Apart>, by: &str, what: &str) -> Result<(), Refusal> {
        judge(self.view().bodies(), body, apart, by, what)
    }

    fn revise(&mut self, by: &str, new: &str) -> Result<(), Refusal> {
        self.pending()?;
        hash(new)?;
        if !self.proposal.authors.contains(by) && !self.proposal.sponsors.contains(by) {
            let message = format!("{by} neither wrote the proposal nor sponsors it");
            return Err(Refusal::new(Rule::Membership, message));
        }
        if new == self.proposal.hash() {
            return Err(Refusal::new(Rule::Once, format!("{new} is the revision that counts already")));
        }
        if self.proposal.revisions.len() >= REVISIONS_MAX {
            return Err(Refusal::new(Rule::Limits, format!("there are {REVISIONS_MAX} revisions")));
        }
        self.emit(What::Revised { id: self.id(), by: by.to_owned(), hash: new.to_owned() });
        Ok(())
    }

    fn sponsor(&mut self, by: &str) -> Result<(), Refusal> {
        let dormant = self.proposal.status == Status::Dormant;
        if !dormant {
            self.pending()?;
        }
        let rules: Vec<_> = self.gates().into_iter().filter_map(|gate| gate.sponsors.as_ref()).collect();
        let Some(first) = rules.first() else {
            return Err(Refusal::new(
                Rule::Sponsor,
                format!("track {} asks for no sponsor", self.proposal.track),
            ));
        };
        let judges = rules.iter().map(|rule| self.judge(&rule.from, rule.apart, by, "sponsors it"));
        if judges.clone().all(|judge| judge.is_err()) {
            return self.judge(&first.from, first.apart, by, "sponsors it");
        }
        if self.proposal.sponsors.contains(by) {
            return Err(Refusal::new(Rule::Once, format!("{by} sponsors it already")));
        }
        self.emit(What::Sponsored { id: self.id(), by: by.to_owned() });
        if dormant {
            self.enter(Status::Proposed, format!("{by} sponsors it"));
        }
        Ok(())
    }

    fn comment(&mut self, by: &str, comment: &str) -> Result<(), Refusal> {
        text("the comment", comment)?;
        if self.proposal.comments.len() >= COMMENTS_MAX {
            return Err(Refusal::new(Rule::Limits, format!("there are {COMMENTS_MAX} comments")));
        }
        self.emit(What::Commented { id: self.id(), by: by.to_owned(), text: comment.to_owned() });
        Ok(())
    }

    fn vote(&mut self, by: &str, hash: &str, ballot: Ballot) -> Result<(), Refusal> {
        self.votable()?;
        self.same_revision(hash)?;
        let view = self.view();
        let rules = vote_rules(&view);
        let Some(first) = rules.first() else {
            let message = format!("nobody votes on what is {}", self.proposal.status.as_str());
            return Err(Refusal::new(Rule::State, message));
        };
        let judge_by = |rule: &VoteRule| judge(view.bodies(), &rule.from, rule.apart, by, "votes");
        if rules.iter().all(|rule| judge_by(rule).is_err()) {
            return judge_by(first);
        }
        let voted =
            |vote: &crate::state::Vote| self.proposal.is_now(vote.revision, vote.stage) && vote.by == by;
        if self.proposal.votes.iter().any(voted) {
            return Err(Refusal::new(Rule::Once, format!("{by} has voted on {hash} already")));
        }
        self.emit(What::Voted { id: self.id(), by: by.to_owned(), ballot });
        Ok(())
    }

    /// That there may be a vote or a block: also on whether what is accepted becomes final.
    fn votable(&self) -> Result<(), Refusal> {
        if self.proposal.status == Status::Accepted && self.view().gate().is_some() {
            return Ok(());
        }
        self.pending()
    }

    fn block(&mut self, by: &str, hash: &str, objection: &str, alternative: &str) -> Result<(), Refusal> {
        self.votable()?;
        self.same_revision(hash)?;
        text("the objection", objection)?;
        text("the alternative", alternative)?;
        let Some(lazy) = self.view().gate().and_then(|(gate, _)| gate.lazy.as_ref()) else {
            let message = "silence does not accept it, so there is nothing to block";
            return Err(Refusal::new(Rule::LazyConsensus, message));
        };
        self.judge(&lazy.blocks, None, by, "blocks")?;
        if self.proposal.blocks.iter().any(|b| self.proposal.is_now(b.revision, b.stage) && b.by == by) {
            return Err(Refusal::new(Rule::Once, format!("{by} blocks it already")));
        }
        let (id, by) = (self.id(), by.to_owned());
        let (objection, alternative) = (objection.to_owned(), alternative.to_owned());
        self.emit(What::Blocked { id, by, objection, alternative });
        Ok(())
    }

    fn lift_block(&mut self, by: &str) -> Result<(), Refusal> {
        if !self.proposal.blocks.iter().any(|block| block.by == by) {
            return Err(Refusal::new(Rule::Existence, format!("{by} blocks nothing")));
        }
        self.emit(What::BlockLifted { id: self.id(), by: by.to_owned() });
        Ok(())
    }

    fn attach(
        &mut self,
        by: &str,
        hash: &str,
        kind: &str,
        outcome: EvidenceOutcome,
        about: &str,
    ) -> Result<(), Refusal> {
        if self.proposal.status != Status::Accepted {
            self.pending()?;
        }
        self.same_revision(hash)?;
        text("what the evidence is about", about)?;
        let rules: Vec<_> = self.gates().into_iter().flat_map(|gate| &gate.evidence).collect();
        let of_kind: Vec<_> = rules.into_iter().filter(|rule| rule.kind == kind).collect();
        let Some(first) = of_kind.first() else {
            let message = format!("track {} asks for no {kind:?}", self.proposal.track);
            return Err(Refusal::new(Rule::Evidence, message));
        };
        let view = self.view();
        if !of_kind.iter().any(|rule| view.may_attest(rule, by)) {
            let why = if view.bodies().is_in(&first.from, by) { Rule::Separation } else { Rule::Membership };
            let message = format!("{kind} is attested by {}, and not by {by}", first.from);
            return Err(Refusal::new(why, message));
        }
        if self.proposal.evidence.len() >= EVIDENCE_MAX {
            return Err(Refusal::new(Rule::Limits, format!("there are {EVIDENCE_MAX} pieces of evidence")));
        }
        let (id, by, kind, about) = (self.id(), by.to_owned(), kind.to_owned(), about.to_owned());
        self.emit(What::Attached { id, by, kind, outcome, about });
        Ok(())
    }

    fn rule(&mut self, by: &str, hash: &str, outcome: Outcome, rationale: &str) -> Result<(), Refusal> {
        self.votable()?;
        self.same_revision(hash)?;
        text("the rationale", rationale)?;
        let Some(rule) = self.view().gate().and_then(|(gate, _)| gate.decision.as_ref()) else {
            let message = format!("nobody decides alone on what is {}", self.proposal.status.as_str());
            return Err(Refusal::new(Rule::Decision, message));
        };
        self.judge(&rule.by, rule.apart, by, "decides")?;
        let status = self.proposal.status;
        if outcome != Outcome::Advance && !status.is_pending() {
            let message = "what is accepted is vetoed or rolled back, and not sent back";
            return Err(Refusal::new(Rule::State, message));
        }
        let said = |ruling: &crate::state::Ruling| {
            self.proposal.is_now(ruling.revision, ruling.stage)
                && ruling.by == by
                && ruling.outcome == outcome
        };
        if self.proposal.rulings.iter().any(said) {
            return Err(Refusal::new(Rule::Once, format!("{by} has decided so already")));
        }
        let rationale = rationale.to_owned();
        self.emit(What::Decided { id: self.id(), by: by.to_owned(), outcome, rationale: rationale.clone() });
        match outcome {
            Outcome::Advance => {}
            Outcome::Revise => self.enter(Status::Draft, format!("{by} sends it back: {rationale}")),
            Outcome::Reject => self.enter(Status::Rejected, format!("{by}: {rationale}")),
        }
        Ok(())
    }

    fn withdraw(&mut self, by: &str) -> Result<(), Refusal> {
        if self.proposal.status != Status::Dormant {
            self.pending()?;
        }
        if !self.proposal.authors.contains(by) {
            return Err(Refusal::new(Rule::Membership, format!("{by} did not write it")));
        }
        self.enter(Status::Withdrawn, format!("{by} takes it back"));
        Ok(())
    }

    fn revive(&mut self, by: &str) -> Result<(), Refusal> {
        if self.proposal.status != Status::Dormant {
            return Err(Refusal::new(Rule::State, "only what is dormant is taken up again"));
        }
        if !self.proposal.authors.contains(by) && !self.proposal.sponsors.contains(by) {
            return Err(Refusal::new(Rule::Membership, format!("{by} neither wrote it nor sponsors it")));
        }
        self.enter(Status::Proposed, format!("{by} takes it up again"));
        Ok(())
    }

    /// All gates of the proposal's track.
    fn gates(&self) -> Vec<&Gate> {
        self.engine.track(&self.proposal).map(Track::gates).unwrap_or_default()
    }
}

/// All rules by which somebody may vote now.
fn vote_rules<'a>(view: &View<'a>) -> Vec<&'a VoteRule> {
    let Some((gate, _)) = view.gate() else { return Vec::new() };
    let on_block = gate.lazy.as_ref().and_then(|lazy| lazy.on_block.as_ref());
    gate.votes.iter().chain(on_block).collect()
}

/// That somebody is of those who judge, naming what is against it.
fn judge(bodies: Bodies<'_>, body: &Body, apart: Option<Apart>, by: &str, what: &str) -> Result<(), Refusal> {
    if !bodies.is_in(body, by) {
        let nobody = if body.is_empty() { "nobody".to_owned() } else { body.to_string() };
        return Err(Refusal::new(
            Rule::Membership,
            format!("{nobody} {what} here, and {by} is not one of them"),
        ));
    }
    if bodies.is_author(by) {
        return Err(Refusal::new(Rule::Separation, format!("{by} wrote it")));
    }
    match apart {
        Some(apart) if bodies.is_near(Some(apart), by) => {
            let message = format!("{by} may be of the same {} as an author", apart.as_str());
            Err(Refusal::new(Rule::Apart, message))
        }
        _ => Ok(()),
    }
}
