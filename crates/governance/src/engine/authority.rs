//! Grants that end, people who leave and come back.

use model::Timestamp;

use super::{Bodies, Engine, grant_name, text};
use crate::command::{Command, Refusal, Rule};
use crate::state::{Event, Standing, State, What};

impl Engine {
    /// Ends a grant: by those who gave it, those above them, or whom the rules name.
    pub(super) fn revoke(
        &self,
        state: &State,
        by: &str,
        name: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.active(state, by)?;
        text("the reason", reason)?;
        let Some(grant) = self.grant(name) else {
            return Err(Refusal::new(Rule::Existence, format!("there is no grant {name}")));
        };
        if state.grants.get(name).is_some_and(|known| known.ended.is_some()) {
            return Err(Refusal::new(Rule::Once, format!("grant {name} was ended already")));
        }
        let bodies = Bodies::of_people(self, state);
        let gave = self.givers(&grant.domain, &grant.by);
        let one_of = |group: &String| self.groups.get(group).is_some_and(|members| members.contains(by));
        if !bodies.is_in(&self.rules.oversight.revoke, by) && !gave.iter().any(one_of) {
            let message = format!("{by} is not of those who gave {name}: {}", gave.join(", "));
            return Err(Refusal::new(Rule::Membership, message));
        }
        let (grant, by) = (grant_name(grant), Some(by.to_owned()));
        Ok(vec![Event { at: now, what: What::GrantEnded { grant, by, reason: reason.to_owned() } }])
    }

    /// The group that gave, the one that gave to it, and so on.
    fn givers(&self, domain: &str, first: &str) -> Vec<String> {
        let mut givers = vec![first.to_owned()];
        while let Some(last) = givers.last() {
            let above = self.rules.delegation.grants.iter().find(|g| g.domain == domain && g.to == *last);
            match above {
                Some(above) if !givers.contains(&above.by) => givers.push(above.by.clone()),
                _ => break,
            }
        }
        givers
    }

    /// Removes somebody, or takes him back.
    pub(super) fn membership(
        &self,
        state: &State,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let (by, person, body, what) = match command {
            Command::Remove { by, person, reason } => {
                text("the reason", reason)?;
                let (left, reason) = (person.clone(), reason.clone());
                let what = What::Left { person: left, by: Some(by.clone()), reason };
                (by, person, &self.rules.membership.removed_by, what)
            }
            Command::Return { by, person } => {
                let what = What::Returned { person: person.clone(), by: by.clone() };
                (by, person, &self.rules.membership.returned_by, what)
            }
            _ => return Ok(Vec::new()),
        };
        self.active(state, by)?;
        if !Bodies::of_people(self, state).is_in(body, by) {
            let message = format!("this is up to {body}, and {by} is none of them");
            return Err(Refusal::new(Rule::Membership, message));
        }
        if by == person {
            return Err(Refusal::new(Rule::Separation, format!("{by} does not decide on himself")));
        }
        let standing = state.people.get(person).map(|known| known.standing);
        let fits = match (&what, standing) {
            (What::Left { .. }, Some(Standing::Active | Standing::Emeritus)) => true,
            (What::Returned { .. }, Some(Standing::Emeritus)) => self.people.contains_key(person),
            _ => false,
        };
        if !fits {
            let word = standing.map_or("unknown", Standing::as_str);
            return Err(Refusal::new(Rule::State, format!("{person} is {word}")));
        }
        Ok(vec![Event { at: now, what }])
    }
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Emeritus => "emeritus",
            Self::Removed => "removed",
        }
    }
}
