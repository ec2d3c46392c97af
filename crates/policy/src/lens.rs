//! One principal and many questions.

use std::cell::OnceCell;

use cedar_policy::Entity;

use crate::engine::{Rules, allowed, faulty, principal_place};
use crate::facts::{principal, target_parents};
use crate::index::Set;
use crate::names::target_uid;
use crate::{Action, Circumstances, Decision, Engine, Question, Target, ToolHints, Who};

/// A principal who was prepared once.
pub struct Lens<'a> {
    who: Who<'a>,
    rules: Option<&'a Rules>,
    /// The policies that can concern him; `None`: there is no such principal.
    set: Option<Set>,
    /// Everything of him that a decision may depend on, but the time.
    key: Vec<u8>,
    entity: OnceCell<Result<Entity, String>>,
}

impl<'a> Lens<'a> {
    pub(crate) fn new(engine: &'a Engine, who: Who<'a>) -> Self {
        let rules = engine.rules.as_ref();
        let mut lens = Self { who, rules, set: None, key: Vec::new(), entity: OnceCell::new() };
        if let Some(rules) = rules {
            let place = principal_place(&who);
            lens.set = place.map(|(own, parents)| rules.index.principal(&own, parents.into_iter()));
            lens.key = key_of(&who);
        }
        lens
    }

    /// Decides over one of many questions.
    #[must_use]
    pub fn decide(&self, action: Action, target: Target<'_>, circumstances: Circumstances<'_>) -> Decision {
        let Some(rules) = self.rules else { return allowed() };
        let Some(own) = &self.set else {
            return faulty(format!("there is no kind of principal {:?}", self.who.kind));
        };
        let question = Question { who: self.who, action, target, circumstances };
        // A call's arguments are a record even where there are none; only a list asks without.
        let seeing =
            circumstances.arguments.is_none() && matches!(action, Action::CallTool | Action::GetPrompt);
        let mut set = rules.index.target(&target_uid(&question), target_parents(&target).into_iter());
        set.keep(own);
        rules.index.keep(&mut set, action, seeing);
        let candidates = rules.candidates(set, seeing);
        if let Some(decision) = &candidates.fixed {
            return decision.clone();
        }
        let uses = candidates.uses;
        let lasting = !(uses.time || uses.address || (uses.arguments && !seeing));
        let key = lasting.then(|| {
            let mut key = self.key.clone();
            key.extend(candidates.number.to_be_bytes());
            add_target(&mut key, action, &target, uses.name);
            key.push(u8::from(uses.task && circumstances.task));
            if let Some(issued) = self.who.issued.filter(|_| uses.issued) {
                key.extend(issued.0.to_be_bytes());
            }
            key.into_boxed_slice()
        });
        if let Some(decision) = key.as_deref().and_then(|key| rules.remembered(key)) {
            return decision;
        }
        let decision = match self.entity.get_or_init(|| principal(&self.who)) {
            Ok(principal) => rules.evaluate(&candidates, &question, principal),
            Err(error) => faulty(error.as_str()),
        };
        if let Some(key) = key {
            rules.remember(key, &decision);
        }
        decision
    }
}

fn add(key: &mut Vec<u8>, text: &str) {
    key.extend((text.len() as u64).to_be_bytes());
    key.extend(text.as_bytes());
}

fn add_list(key: &mut Vec<u8>, list: &[String]) {
    key.extend((list.len() as u64).to_be_bytes());
    list.iter().for_each(|item| add(key, item));
}

fn add_option(key: &mut Vec<u8>, text: Option<&str>) {
    key.push(u8::from(text.is_some()));
    add(key, text.unwrap_or_default());
}

fn key_of(who: &Who<'_>) -> Vec<u8> {
    let mut key = Vec::with_capacity(256);
    // Taken apart, so that a new fact does not compile until it is part of the key. `issued` is added where
    // a policy looks at it.
    let Who { tenant, subject, kind, groups, scopes, client, issuer, actors, issued: _, bound } = who;
    [tenant, subject, kind].into_iter().for_each(|text| add(&mut key, text));
    [groups, scopes, actors].into_iter().for_each(|list| add_list(&mut key, list));
    [client, issuer].into_iter().for_each(|text| add_option(&mut key, *text));
    key.push(u8::from(*bound));
    key
}

fn add_target(key: &mut Vec<u8>, action: Action, target: &Target<'_>, by_name: bool) {
    let Target { endpoint, upstream, name, hints, labels } = target;
    let ToolHints { read_only, destructive, idempotent, open_world } = *hints;
    add(key, action.name());
    add(key, endpoint);
    add(key, upstream);
    add_list(key, labels);
    for hint in [read_only, destructive, idempotent, open_world] {
        key.push(hint.map_or(2, u8::from));
    }
    if by_name {
        add(key, name);
    }
}
