//! Names that are used and not known.

use std::collections::BTreeSet;

use super::Fault;
use crate::limits::NAME_CHARS_MAX;
use crate::ruleset::{Body, Part, Ruleset};

/// Collects what is wrong.
pub(super) struct Faults<'a> {
    pub rules: &'a Ruleset,
    pub found: Vec<Fault>,
}

impl Faults<'_> {
    /// Something is wrong at a place.
    pub fn add(&mut self, place: &str, message: impl Into<String>) {
        self.found.push(Fault::new(place, message));
    }

    /// That names are names, and each is there once.
    pub fn unique<'n>(&mut self, place: &str, names: impl Iterator<Item = &'n String>) {
        let mut seen = BTreeSet::new();
        for name in names {
            let plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'));
            if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !plain {
                let message = format!(
                    "{name:?} is no name: letters, digits, \"-\", \"_\", \".\" and \"@\", at most \
                        {NAME_CHARS_MAX}"
                );
                self.add(place, message);
            } else if !seen.insert(name) {
                self.add(place, format!("{name:?} is there twice"));
            }
        }
    }

    /// That there is such a role.
    pub fn role(&mut self, place: &str, name: &str) {
        let known = self.rules.roles.iter().map(|role| role.name.as_str()).collect();
        self.known(place, "role", name, known);
    }

    /// That there is such a group.
    pub fn group(&mut self, place: &str, name: &str) {
        let known = self.rules.groups.iter().map(|group| group.name.as_str()).collect();
        self.known(place, "group", name, known);
    }

    /// That there is such a person.
    pub fn person(&mut self, place: &str, name: &str) {
        let known = self.rules.people.iter().map(|person| person.name.as_str()).collect();
        self.known(place, "person", name, known);
    }

    /// That a name is one of those that are known.
    pub fn known(&mut self, place: &str, what: &str, name: &str, known: Vec<&str>) {
        if known.contains(&name) {
            return;
        }
        let near = known.into_iter().map(|other| (strsim::damerau_levenshtein(name, other), other)).min();
        let hint = match near {
            Some((distance, other)) if distance <= 1 + name.len() / 4 => format!("; did you mean {other:?}?"),
            _ => String::new(),
        };
        self.add(place, format!("there is no {what} {name:?}{hint}"));
    }

    /// That a body names those who are there. `proposal`: it is about one, which has authors and owners.
    pub fn body(&mut self, place: &str, body: &Body, proposal: bool) {
        if !proposal && crate::engine::Engine::needs_proposal(body) {
            self.add(place, format!("{body}: authors, sponsors and owners are there for proposals alone"));
        }
        for part in &body.0 {
            match part {
                Part::Anyone | Part::Authors | Part::Sponsors | Part::Owners => {}
                Part::Role(name) => self.role(place, name),
                Part::Group(name) => self.group(place, name),
                Part::Person(name) => self.person(place, name),
            }
        }
    }
}
