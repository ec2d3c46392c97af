//! Escalation, veto, emergency, audit by sample, rollback.

use super::Engine;
use super::text;
use super::work::Work;
use crate::command::{Refusal, Rule};
use crate::ruleset::{Body, Emergency, Level, OnSilence, Part};
use crate::state::{Answer, Route, Status, What};

impl Work<'_> {
    pub(super) fn escalate(&mut self, by: &str, reason: &str) -> Result<(), Refusal> {
        self.pending()?;
        text("the reason", reason)?;
        let Some(rule) = &self.engine.rules().escalation else {
            return Err(Refusal::new(Rule::Escalation, "there is no level above"));
        };
        let near = Body(vec![Part::Authors, Part::Sponsors, Part::Owners]);
        let bodies = self.view().bodies();
        if !bodies.is_in(&rule.by, by) && !bodies.is_in(&near, by) {
            let message = format!("{by} is neither an author, a sponsor nor an owner, nor of {}", rule.by);
            return Err(Refusal::new(Rule::Membership, message));
        }
        if self.proposal.escalated.is_some() {
            return Err(Refusal::new(Rule::Once, "it was escalated already"));
        }
        self.escalate_to(Some(by), 0, reason);
        Ok(())
    }

    /// Turns to a level; nothing happens where there is none.
    pub(super) fn escalate_to(&mut self, by: Option<&str>, level: u32, reason: &str) -> bool {
        let Some(next) = self.engine.level(level) else { return false };
        let due = self.engine.rules().calendar.due(self.now, next.answer_within);
        let (id, by, reason) = (self.id(), by.map(str::to_owned), reason.to_owned());
        self.emit(What::Escalated { id, by, level, due, reason });
        true
    }

    pub(super) fn answer(&mut self, by: &str, answer: Answer, rationale: &str) -> Result<(), Refusal> {
        self.pending()?;
        text("the rationale", rationale)?;
        let open = self.proposal.escalated.as_ref().filter(|escalated| escalated.answer.is_none());
        let Some(level) = open.and_then(|escalated| self.engine.level(escalated.level)) else {
            return Err(Refusal::new(Rule::Escalation, "no question to a level above is open"));
        };
        self.judge(&level.to, level.apart, by, "answers")?;
        let (id, by, rationale) = (self.id(), by.to_owned(), rationale.to_owned());
        let reason = format!("{by}: {rationale}");
        self.emit(What::Answered { id, by, answer, rationale });
        if answer == Answer::Reject {
            self.enter(Status::Rejected, reason);
        }
        Ok(())
    }

    pub(super) fn veto(&mut self, by: &str, reason: &str) -> Result<(), Refusal> {
        text("the reason", reason)?;
        let Some(rule) = &self.engine.rules().oversight.veto else {
            return Err(Refusal::new(Rule::VetoWindow, "nobody has a veto"));
        };
        let domain = matches!(self.route, Route::Domain { .. });
        let also = domain && self.judge(&rule.of_domains, None, by, "vetoes").is_ok();
        if !also {
            self.judge(&rule.by, None, by, "vetoes")?;
        }
        match self.proposal.status {
            Status::Proposed | Status::Draft | Status::InReview | Status::Provisional => {}
            Status::Accepted => match self.view().veto_end() {
                Some(end) if self.now < end => {}
                Some(_) => {
                    let message = format!("{} after the acceptance are over", rule.within);
                    return Err(Refusal::new(Rule::VetoWindow, message));
                }
                None => {
                    let message = "what the core accepted is not vetoed";
                    return Err(Refusal::new(Rule::VetoWindow, message));
                }
            },
            status => {
                let message = format!("proposal {} is {}", self.id(), status.as_str());
                return Err(Refusal::new(Rule::State, message));
            }
        }
        self.emit(What::Vetoed { id: self.id(), by: by.to_owned(), reason: reason.to_owned() });
        self.take_back(Some(by), reason);
        self.enter(Status::Vetoed, format!("{by}: {reason}"));
        Ok(())
    }

    /// Takes back what is in force, and what its records became by it.
    fn take_back(&mut self, by: Option<&str>, reason: &str) {
        if !self.proposal.applied {
            return;
        }
        let (id, by) = (self.id(), by.map(str::to_owned));
        self.emit(What::RolledBack { id, by, reason: reason.to_owned() });
        for (record, to) in self.proposal.undo.clone() {
            self.emit(What::RecordChanged { id, record, to });
        }
    }

    pub(super) fn emergency(&mut self, by: &str, hash: &str, reason: &str) -> Result<(), Refusal> {
        self.pending()?;
        self.same_revision(hash)?;
        text("the reason", reason)?;
        let Some(rule) = &self.engine.rules().emergency else {
            return Err(Refusal::new(Rule::Emergency, "there is no emergency path"));
        };
        if !self.view().bodies().is_in(&rule.by, by) {
            let message = format!("{} apply in an emergency, and {by} is none of them", rule.by);
            return Err(Refusal::new(Rule::Membership, message));
        }
        if self.proposal.new.risk > rule.risk_at_most {
            let (risk, most) = (self.proposal.new.risk.as_str(), rule.risk_at_most.as_str());
            let message = format!("its risk is {risk}, and the emergency path goes to {most}");
            return Err(Refusal::new(Rule::Emergency, message));
        }
        if self.proposal.hands.contains(by) {
            return Err(Refusal::new(Rule::Once, format!("{by} has said so already")));
        }
        self.emergency_lifecycle()?;
        let due = self.engine.rules().calendar.due(self.now, rule.review_within);
        self.emit(What::Hand { id: self.id(), by: by.to_owned(), reason: reason.to_owned(), due });
        if self.proposal.hands.len() >= rule.hands as usize {
            self.route = Route::Core;
            self.enter(Status::Provisional, reason);
            self.emit(What::Applied { id: self.id() });
            self.change_records();
        }
        Ok(())
    }

    /// No emergency shortens the time that something deprecated stays.
    fn emergency_lifecycle(&self) -> Result<(), Refusal> {
        let demands = self.engine.lifecycle(self.state, &self.proposal, self.now);
        match demands.into_iter().find(|demand| !demand.met) {
            Some(demand) => Err(Refusal::new(demand.rule, format!("{}: {}", demand.demands, demand.have))),
            None => Ok(()),
        }
    }

    pub(super) fn review(&mut self, by: &str, hash: &str, confirms: bool, note: &str) -> Result<(), Refusal> {
        text("the note", note)?;
        if self.proposal.status != Status::Provisional {
            return Err(Refusal::new(Rule::State, "only an emergency change is reviewed afterwards"));
        }
        self.same_revision(hash)?;
        let Some(rule) = &self.engine.rules().emergency else {
            return Err(Refusal::new(Rule::Emergency, "there is no emergency path"));
        };
        self.judge(&rule.review.from, rule.review.apart, by, "reviews")?;
        if self.proposal.hands.contains(by) {
            return Err(Refusal::new(Rule::Separation, format!("{by} applied it")));
        }
        if self.proposal.reviews.contains_key(by) {
            return Err(Refusal::new(Rule::Once, format!("{by} has reviewed it already")));
        }
        self.emit(What::Reviewed { id: self.id(), by: by.to_owned(), confirms, note: note.to_owned() });
        if !confirms {
            self.take_back(Some(by), note);
            self.enter(Status::RolledBack, format!("{by} does not confirm it: {note}"));
        }
        Ok(())
    }

    /// What was applied in an emergency is accepted once it is reviewed.
    pub(super) fn step_reviewed(&mut self) -> bool {
        let demands = self.view().review();
        if demands.is_empty() || !demands.iter().all(|demand| demand.met) {
            return false;
        }
        self.enter(Status::Accepted, "emergency: reviewed after the fact");
        self.accepted();
        true
    }

    /// Nobody reviewed it in time.
    pub(super) fn review_overdue(&mut self) -> bool {
        let on_silence = self.engine.rules().emergency.as_ref().map_or(OnSilence::Rollback, |e| e.on_silence);
        match on_silence {
            OnSilence::Rollback => {
                let reason = "emergency: nobody reviewed it in time";
                self.take_back(None, reason);
                self.enter(Status::RolledBack, reason);
            }
            OnSilence::Keep => {
                self.enter(Status::Accepted, "emergency: nobody objected in time");
                self.accepted();
            }
        }
        true
    }

    /// Chooses whether a delegated decision is looked at again.
    pub(super) fn sample(&mut self) {
        let rules = self.engine.rules();
        let Some(sample) = &rules.oversight.sample else { return };
        let drawn = draw(&[&rules.name, &sample.salt, self.proposal.hash()], self.id());
        if matches!(self.route, Route::Domain { .. }) && drawn < sample.percent {
            let due = rules.calendar.due(self.now, sample.within);
            self.emit(What::Sampled { id: self.id(), due });
        }
    }

    pub(super) fn audit(&mut self, by: &str, sound: bool, note: &str) -> Result<(), Refusal> {
        text("the note", note)?;
        let open = self.proposal.audit.as_ref().is_some_and(|audit| audit.sound.is_none());
        let Some(rule) = self.engine.rules().oversight.sample.as_ref().filter(|_| open) else {
            return Err(Refusal::new(Rule::Audit, "it was not chosen to be looked at again"));
        };
        self.judge(&rule.by, None, by, "audits")?;
        let proposal = &self.proposal;
        let took_part = proposal.sponsors.contains(by)
            || proposal.votes.iter().any(|vote| vote.by == by)
            || proposal.rulings.iter().any(|ruling| ruling.by == by);
        if took_part {
            return Err(Refusal::new(Rule::Separation, format!("{by} took part in the decision")));
        }
        let ends = rule.findings_end_grant;
        self.emit(What::Audited { id: self.id(), by: by.to_owned(), sound, note: note.to_owned() });
        let Route::Domain { grant } = &self.proposal.route else { return Ok(()) };
        let known = self.state.grants.get(grant);
        let findings = known.map_or(0, |known| known.findings) + u32::from(!sound);
        let over = !sound && ends.is_some_and(|most| findings >= most);
        if over && known.is_none_or(|known| known.ended.is_none()) {
            let reason = format!("{findings} of its decisions were found unsound");
            let grant = grant.clone();
            self.emit(What::GrantEnded { grant, by: None, reason });
        }
        Ok(())
    }

    pub(super) fn roll_back(&mut self, by: &str, reason: &str) -> Result<(), Refusal> {
        text("the reason", reason)?;
        let status = self.proposal.status;
        if !matches!(status, Status::Accepted | Status::Final) || !self.proposal.applied {
            return Err(Refusal::new(Rule::State, format!("what is {} is not in force", status.as_str())));
        }
        let bodies = self.view().bodies();
        let body = &self.engine.rules().oversight.rollback;
        if !bodies.is_in(body, by) && !bodies.is_in(&Body(vec![Part::Owners]), by) {
            let message = format!("owners and {body} roll back, and {by} is none of them");
            return Err(Refusal::new(Rule::Rollback, message));
        }
        self.take_back(Some(by), reason);
        self.enter(Status::RolledBack, format!("{by}: {reason}"));
        Ok(())
    }
}

impl Engine {
    pub(crate) fn level(&self, level: u32) -> Option<&Level> {
        self.rules.escalation.as_ref()?.levels.get(usize::try_from(level).ok()?)
    }

    /// The emergency path, where it takes a risk.
    pub(crate) fn emergency_for(&self, risk: crate::ruleset::Risk) -> Option<&Emergency> {
        self.rules.emergency.as_ref().filter(|emergency| risk <= emergency.risk_at_most)
    }
}

/// A number from 0 to 99 that follows from words and a number alone (FNV-1a, then a finalizer that spreads
/// it).
fn draw(words: &[&str], number: u64) -> u32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let ends = words.iter().flat_map(|word| word.bytes().chain([0]));
    for byte in ends.chain(number.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    u32::try_from(hash % 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_as_large_as_it_says() {
        let drawn = |percent| (0..10_000).filter(|n| draw(&["rules", "salt", "hash"], *n) < percent).count();
        assert_eq!((drawn(0), drawn(100)), (0, 10_000));
        assert!((1_900..2_100).contains(&drawn(20)), "{}", drawn(20));
        assert_eq!(draw(&["a", "b"], 1), draw(&["a", "b"], 1));
        assert_ne!(draw(&["ab", ""], 1), draw(&["a", "b"], 1));
    }
}
