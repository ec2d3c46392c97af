//! What happens where nothing happens.

use model::Timestamp;

use super::Engine;
use super::work::Work;
use crate::ruleset::{Deadline, Since, Then};
use crate::state::{Proposal, Status, What};
use crate::time::Span;

/// How often people are reminded of what is overdue.
const REMIND: Span = Span::BusinessDays(1);

impl Engine {
    /// Whether anything can become of a proposal by itself.
    pub(crate) fn is_live(&self, proposal: &Proposal) -> bool {
        let audited = proposal.audit.as_ref().is_some_and(|audit| audit.sound.is_none());
        match proposal.status {
            Status::Proposed | Status::Draft | Status::InReview | Status::Provisional => true,
            Status::Accepted => {
                let completes = self.track(proposal).is_some_and(|track| track.completion.is_some());
                completes || audited || !proposal.applied
            }
            Status::Final => audited,
            Status::Rejected
            | Status::Vetoed
            | Status::Withdrawn
            | Status::Dormant
            | Status::RolledBack
            | Status::Superseded => false,
        }
    }
}

impl Work<'_> {
    /// The next moment at which something happens by itself.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let proposal = &self.proposal;
        let mut moments: Vec<Option<Timestamp>> = Vec::new();
        if !self.engine.is_live(proposal) {
            return None;
        }
        moments.extend(self.view().demands().into_iter().map(|demand| demand.next));
        moments.extend(self.deadlines().map(|(_, _, due)| due));
        if proposal.status == Status::Accepted {
            moments.push(self.view().veto_end().filter(|_| !proposal.applied));
        }
        if proposal.status == Status::Provisional {
            moments.push(proposal.review_due);
        }
        moments.push(self.answer_due());
        moments.push(self.audit_due());
        moments.into_iter().flatten().filter(|due| *due > self.now).min()
    }

    /// Lets the first thing that is due happen. Whether there was one.
    pub(super) fn overdue(&mut self) -> bool {
        let proposal = &self.proposal;
        if !self.engine.is_live(proposal) {
            return false;
        }
        if proposal.status == Status::Provisional {
            return proposal.review_due.is_some_and(|due| self.now >= due) && self.review_overdue();
        }
        if self.answer_due().is_some_and(|due| self.now >= due) {
            return self.answer_overdue();
        }
        if self.audit_due().is_some_and(|due| self.now >= due) {
            let whom = self.engine.rules().oversight.sample.as_ref().map(|sample| sample.by.clone());
            let whom = self.view().bodies().judges(&whom.unwrap_or_default(), None);
            let whom = whom.into_iter().map(str::to_owned).collect();
            self.emit(What::Reminded { id: self.id(), deadline: None, whom, of: "audit".to_owned() });
            return true;
        }
        let now = self.now;
        let due = self.deadlines().find(|(_, _, due)| due.is_some_and(|due| now >= due));
        let Some((index, deadline, _)) = due else { return false };
        let deadline = deadline.clone();
        self.deadline(index, &deadline)
    }

    /// The deadlines of this state, and when each next does something.
    fn deadlines(&self) -> impl Iterator<Item = (u32, &Deadline, Option<Timestamp>)> {
        let track = self.engine.track(&self.proposal);
        let all = track.map_or(&[][..], |track| &track.deadlines);
        let status = self.proposal.status;
        let of_state = (0..).zip(all).filter(move |(_, deadline)| deadline.state == status);
        of_state.map(|(index, deadline)| (index, deadline, self.deadline_due(index, deadline)))
    }

    fn deadline_due(&self, index: u32, deadline: &Deadline) -> Option<Timestamp> {
        let calendar = &self.engine.rules().calendar;
        let from = match deadline.since {
            Since::Entered => self.proposal.entered,
            Since::Activity => self.proposal.active.max(self.proposal.entered),
        };
        let first = calendar.due(from, deadline.after);
        match self.proposal.reminded.get(&index).filter(|last| **last >= first) {
            Some(last) => deadline.every.map(|every| calendar.due(*last, every)),
            None => Some(first),
        }
    }

    fn deadline(&mut self, index: u32, deadline: &Deadline) -> bool {
        let whom = self.view().bodies().members(&deadline.whom);
        let whom: Vec<String> = whom.into_iter().map(str::to_owned).collect();
        let (id, state) = (self.id(), self.proposal.status.as_str());
        let reason = format!("{} in {state}", deadline.after);
        let reminded = || self.emit(What::Reminded { id, deadline: Some(index), whom, of: reason.clone() });
        match deadline.then {
            Then::Ping => reminded(),
            Then::Dormant => self.enter(Status::Dormant, reason),
            Then::Reject => self.enter(Status::Rejected, reason),
            Then::Escalate => {
                reminded();
                if self.proposal.escalated.is_none() {
                    self.escalate_to(None, 0, &reason);
                }
            }
        }
        true
    }

    /// When an open question to a level above next does something.
    fn answer_due(&self) -> Option<Timestamp> {
        let pending = self.proposal.status.is_pending();
        let open = self.proposal.escalated.as_ref().filter(|e| e.answer.is_none() && pending)?;
        Some(self.again(open.due))
    }

    fn audit_due(&self) -> Option<Timestamp> {
        let live = matches!(self.proposal.status, Status::Accepted | Status::Final);
        let open = self.proposal.audit.as_ref().filter(|audit| audit.sound.is_none() && live)?;
        Some(self.again(open.due))
    }

    /// A moment, or after it the next reminder.
    fn again(&self, due: Timestamp) -> Timestamp {
        match self.proposal.overdue_at.filter(|last| *last >= due) {
            Some(last) => self.engine.rules().calendar.due(last, REMIND),
            None => due,
        }
    }

    /// A level that does not answer is passed over; the last one is reminded.
    fn answer_overdue(&mut self) -> bool {
        let Some(level) = self.proposal.escalated.as_ref().map(|escalated| escalated.level) else {
            return false;
        };
        if self.escalate_to(None, level + 1, "the level below did not answer") {
            return true;
        }
        let body = self.engine.level(level).map(|level| level.to.clone()).unwrap_or_default();
        let whom = self.view().bodies().members(&body).into_iter().map(str::to_owned).collect();
        self.emit(What::Reminded { id: self.id(), deadline: None, whom, of: "escalation".to_owned() });
        true
    }
}
