//! Whether a domain decides for itself.

use model::Timestamp;

use super::Engine;
use crate::ruleset::{Domain, Grant};
use crate::state::{Answer, Proposal, Route, State};

/// What a grant is called: `payments/payments-team`.
#[must_use]
pub fn grant_name(grant: &Grant) -> String {
    format!("{}/{}", grant.domain, grant.to)
}

impl Engine {
    pub(crate) fn grant(&self, name: &str) -> Option<&Grant> {
        self.rules.delegation.grants.iter().find(|grant| grant_name(grant) == name)
    }

    /// The domain that a record (`kind:name`) is of, whose owners are the record's: the first that fits.
    #[must_use]
    pub fn domain(&self, record: &str) -> Option<&Domain> {
        self.rules.domains.iter().find(|domain| domain.records.iter().any(|glob| glob.fits(record)))
    }

    /// The domain of all records together; none where they are of several, or one is of none.
    pub(crate) fn domain_of(&self, records: &[String]) -> Option<&Domain> {
        let mut all = records.iter().map(|record| self.domain(record));
        let first = all.next()??;
        all.all(|domain| domain.is_some_and(|domain| domain.name == first.name)).then_some(first)
    }

    /// Who accepts a proposal, and why it is they.
    pub(crate) fn route(&self, state: &State, proposal: &Proposal, now: Timestamp) -> (Route, String) {
        if !proposal.status.is_pending() {
            return (proposal.route.clone(), "as it was accepted".to_owned());
        }
        let core = |reason: String| (Route::Core, reason);
        if !self.rules.delegation.enabled {
            return core("delegation is switched off".to_owned());
        }
        let Some(domain) = &proposal.domain else {
            return core("its records are not of one domain".to_owned());
        };
        if self.track(proposal).is_none_or(|track| track.delegated.is_none()) {
            return core(format!("track {} is not delegated", proposal.track));
        }
        if let Some(escalated) = &proposal.escalated
            && escalated.answer != Some(Answer::Return)
        {
            return core("it was escalated".to_owned());
        }
        let mut reason = format!("nobody was given the domain {domain}");
        for grant in self.rules.delegation.grants.iter().rev().filter(|grant| grant.domain == *domain) {
            match self.in_force(state, grant, proposal, now) {
                Ok(()) => {
                    let reason = format!("{} gave the domain {domain} to {}", grant.by, grant.to);
                    return (Route::Domain { grant: grant_name(grant) }, reason);
                }
                Err(why) => reason = why,
            }
        }
        core(reason)
    }

    /// Whether a grant and all that it stems from hold for a proposal.
    fn in_force(
        &self,
        state: &State,
        grant: &Grant,
        proposal: &Proposal,
        now: Timestamp,
    ) -> Result<(), String> {
        let mut link = grant;
        // There are no circles in a checked ruleset; the bound is for those that are being checked.
        for _ in 0..=self.rules.delegation.grants.len() {
            self.holds(state, link, proposal, now)?;
            if self.rules.oversight.group.as_deref() == Some(link.by.as_str()) {
                return Ok(());
            }
            let above = |g: &&Grant| g.domain == grant.domain && g.to == link.by;
            link =
                self.rules.delegation.grants.iter().find(above).ok_or_else(|| {
                    format!("{} has nothing of {} that it could give", link.by, grant.domain)
                })?;
        }
        Err(format!("the grants of {} go in a circle", grant.domain))
    }

    fn holds(&self, state: &State, grant: &Grant, proposal: &Proposal, now: Timestamp) -> Result<(), String> {
        let name = grant_name(grant);
        if proposal.new.risk > grant.risk_at_most {
            let (risk, most) = (proposal.new.risk.as_str(), grant.risk_at_most.as_str());
            return Err(format!("its risk is {risk}, and grant {name} goes to {most}"));
        }
        let calendar = &self.rules.calendar;
        if let Some(until) = grant.until.filter(|until| calendar.date(now) > *until) {
            return Err(format!("grant {name} ended with {until}"));
        }
        let Some(known) = state.grants.get(&name) else { return Ok(()) };
        if let Some((_, why)) = &known.ended {
            return Err(format!("grant {name} was ended: {why}"));
        }
        if let Some(limit) = grant.at_most {
            let used = known.used.iter().filter(|at| calendar.due(**at, limit.per) > now).count();
            if used >= limit.count as usize {
                return Err(format!("grant {name} was used {used} times in {}, which is all", limit.per));
            }
        }
        Ok(())
    }
}
