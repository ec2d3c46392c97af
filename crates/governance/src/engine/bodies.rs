//! Who is one of whom.

use std::collections::BTreeSet;

use super::Engine;
use crate::ruleset::{Apart, Body, Part};
use crate::state::{Proposal, Route, Standing, State};

/// Asks who belongs to a body, for one proposal or for none.
#[derive(Clone, Copy)]
pub(crate) struct Bodies<'a> {
    engine: &'a Engine,
    state: &'a State,
    proposal: Option<&'a Proposal>,
    route: Option<&'a Route>,
}

impl<'a> Bodies<'a> {
    /// Where there is no proposal, so that nobody is its author, sponsor or owner.
    pub fn of_people(engine: &'a Engine, state: &'a State) -> Self {
        Self { engine, state, proposal: None, route: None }
    }

    /// For one proposal, by the route that it goes.
    pub fn of(engine: &'a Engine, state: &'a State, proposal: &'a Proposal, route: &'a Route) -> Self {
        Self { engine, state, proposal: Some(proposal), route: Some(route) }
    }

    /// Whether somebody who counts is one of them.
    pub fn is_in(&self, body: &Body, person: &str) -> bool {
        let counts = self.state.people.get(person).is_some_and(|known| known.standing == Standing::Active);
        counts && self.engine.people.contains_key(person) && body.0.iter().any(|part| self.has(part, person))
    }

    fn has(&self, part: &Part, person: &str) -> bool {
        match part {
            Part::Anyone => true,
            Part::Authors => self.proposal.is_some_and(|p| p.authors.contains(person)),
            Part::Sponsors => self.proposal.is_some_and(|p| p.sponsors.contains(person)),
            Part::Owners => self.owners().is_some_and(|group| self.in_group(group, person)),
            Part::Role(role) => {
                let ranks = self.rank_of(person).zip(self.engine.ranks.get(role));
                ranks.is_some_and(|(has, needs)| has >= *needs)
            }
            Part::Group(group) => self.in_group(group, person),
            Part::Person(name) => name == person,
        }
    }

    /// How high somebody stands on the ladder, if he does.
    pub fn rank_of(&self, person: &str) -> Option<usize> {
        let role = self.state.people.get(person)?.role.as_ref()?;
        self.engine.ranks.get(role).copied()
    }

    fn in_group(&self, group: &str, person: &str) -> bool {
        self.engine.groups.get(group).is_some_and(|members| members.contains(person))
    }

    /// The group to which the domain is delegated, or else the one that owns it.
    pub fn owners(&self) -> Option<&'a str> {
        if let Some(Route::Domain { grant }) = self.route {
            return self.engine.grant(grant).map(|grant| grant.to.as_str());
        }
        let domain = self.proposal?.domain.as_ref()?;
        self.engine.rules.domains.iter().find(|d| d.name == *domain).map(|d| d.owners.as_str())
    }

    /// All who belong to a body.
    pub fn members(&self, body: &Body) -> Vec<&'a str> {
        let people = self.engine.rules.people.iter().map(|person| person.name.as_str());
        people.filter(|person| self.is_in(body, person)).collect()
    }

    /// Whether somebody wrote the proposal, and so does not judge it.
    pub fn is_author(&self, person: &str) -> bool {
        !self.engine.rules.authors_may_approve && self.proposal.is_some_and(|p| p.authors.contains(person))
    }

    /// Whether somebody shares with an author what he must not share.
    pub fn is_near(&self, apart: Option<Apart>, person: &str) -> bool {
        let (Some(apart), Some(proposal)) = (apart, self.proposal) else { return false };
        let near = |author: &String| author != person && self.engine.share(apart, author, person);
        proposal.authors.iter().any(near)
    }

    /// Those of a body who may judge: no author, and nobody near one.
    pub fn judges(&self, body: &Body, apart: Option<Apart>) -> Vec<&'a str> {
        let all = self.members(body).into_iter();
        all.filter(|person| !self.is_author(person) && !self.is_near(apart, person)).collect()
    }

    /// Whether somebody is one of those who may judge.
    pub fn may_judge(&self, body: &Body, apart: Option<Apart>, person: &str) -> bool {
        self.is_in(body, person) && !self.is_author(person) && !self.is_near(apart, person)
    }
}

impl Engine {
    /// What somebody names as his organization or team.
    pub(crate) fn side(&self, by: Apart, person: &str) -> Option<&str> {
        let person = &self.rules.people[*self.people.get(person)?];
        match by {
            Apart::Organization => person.organization.as_deref(),
            Apart::Team => person.team.as_deref(),
        }
    }

    /// Whether two people share a side; who names none may share any.
    fn share(&self, by: Apart, one: &str, other: &str) -> bool {
        match (self.side(by, one), self.side(by, other)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }

    /// From how many sides people come.
    pub(crate) fn sides(&self, by: Apart, people: &[&str]) -> usize {
        people.iter().filter_map(|person| self.side(by, person)).collect::<BTreeSet<_>>().len()
    }
}
