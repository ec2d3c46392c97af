//! Which policies can concern a question, by their scopes. What is left out never matters; Cedar decides over
//! the rest.

use std::collections::HashMap;

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, PrincipalConstraint, ResourceConstraint};

use crate::Action;
use crate::names::{TYPES, uid};
use crate::source::Checked;

/// A set of policies, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Set(Box<[u64]>);

impl Set {
    /// None of `count` policies.
    pub fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into_boxed_slice())
    }

    fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// Keeps what is in both.
    pub fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// Whether a number is among them.
    pub fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// The numbers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit)
        })
    }
}

/// A constraint on a principal or a resource.
enum Scope {
    Any,
    Is(EntityTypeName),
    Eq(EntityUid),
    In(EntityUid),
    IsIn(EntityTypeName, EntityUid),
}

/// Policies by one part of their scopes.
#[derive(Debug)]
struct Part {
    any: Set,
    is: HashMap<EntityTypeName, Set>,
    eq: HashMap<EntityUid, Set>,
    inside: HashMap<EntityUid, Set>,
    is_in: HashMap<(EntityTypeName, EntityUid), Set>,
    count: usize,
}

impl Part {
    fn new(count: usize) -> Self {
        Self {
            any: Set::none(count),
            is: HashMap::new(),
            eq: HashMap::new(),
            inside: HashMap::new(),
            is_in: HashMap::new(),
            count,
        }
    }

    fn insert(&mut self, number: usize, scope: Scope) {
        let none = || Set::none(self.count);
        match scope {
            Scope::Any => self.any.insert(number),
            Scope::Is(kind) => self.is.entry(kind).or_insert_with(none).insert(number),
            Scope::Eq(one) => self.eq.entry(one).or_insert_with(none).insert(number),
            Scope::In(one) => self.inside.entry(one).or_insert_with(none).insert(number),
            Scope::IsIn(kind, one) => self.is_in.entry((kind, one)).or_insert_with(none).insert(number),
        }
    }

    /// The policies that an entity with these ancestors can concern.
    fn of(&self, own: &EntityUid, ancestors: impl Iterator<Item = EntityUid>) -> Set {
        let mut found = self.any.clone();
        let kind = own.type_name();
        let mut add = |set: Option<&Set>| {
            if let Some(set) = set {
                found.add(set);
            }
        };
        add(self.is.get(kind));
        add(self.eq.get(own));
        for one in std::iter::once(own.clone()).chain(ancestors) {
            add(self.inside.get(&one));
            if !self.is_in.is_empty() {
                add(self.is_in.get(&(kind.clone(), one)));
            }
        }
        found
    }
}

/// All policies by their scopes.
#[derive(Debug)]
pub(crate) struct Index {
    principals: Part,
    resources: Part,
    actions: HashMap<Action, Set>,
    /// Those that count where something is only to be seen.
    seeing: Set,
}

impl Index {
    /// The index of policies; their numbers are their places in the list.
    pub fn new(policies: &[Checked]) -> Self {
        let count = policies.len();
        let (mut principals, mut resources) = (Part::new(count), Part::new(count));
        let mut seeing = Set::none(count);
        let mut actions: HashMap<Action, Set> =
            Action::ALL.into_iter().map(|action| (action, Set::none(count))).collect();
        for (number, policy) in policies.iter().enumerate() {
            principals.insert(
                number,
                match policy.policy.principal_constraint() {
                    PrincipalConstraint::Any => Scope::Any,
                    PrincipalConstraint::In(one) => Scope::In(one),
                    PrincipalConstraint::Eq(one) => Scope::Eq(one),
                    PrincipalConstraint::Is(kind) => Scope::Is(kind),
                    PrincipalConstraint::IsIn(kind, one) => Scope::IsIn(kind, one),
                },
            );
            resources.insert(
                number,
                match policy.policy.resource_constraint() {
                    ResourceConstraint::Any => Scope::Any,
                    ResourceConstraint::In(one) => Scope::In(one),
                    ResourceConstraint::Eq(one) => Scope::Eq(one),
                    ResourceConstraint::Is(kind) => Scope::Is(kind),
                    ResourceConstraint::IsIn(kind, one) => Scope::IsIn(kind, one),
                },
            );
            let concerned = policy.policy.action_constraint();
            for (action, set) in &mut actions {
                if concerns(&concerned, *action) {
                    set.insert(number);
                }
            }
            if policy.seeing.is_some() {
                seeing.insert(number);
            }
        }
        Self { principals, resources, actions, seeing }
    }

    /// Those whose scope an entity with these ancestors fits as the principal.
    pub fn principal(&self, own: &EntityUid, ancestors: impl Iterator<Item = EntityUid>) -> Set {
        self.principals.of(own, ancestors)
    }

    /// Those whose scope an entity with these ancestors fits as the resource.
    pub fn target(&self, own: &EntityUid, ancestors: impl Iterator<Item = EntityUid>) -> Set {
        self.resources.of(own, ancestors)
    }

    /// Those that concern the action.
    pub fn of_action(&self, action: Action) -> Set {
        self.actions.get(&action).cloned().unwrap_or_default()
    }

    /// Leaves those that concern the action.
    pub fn keep(&self, set: &mut Set, action: Action, seeing: bool) {
        match self.actions.get(&action) {
            Some(own) => set.keep(own),
            None => *set = Set::default(),
        }
        if seeing {
            set.keep(&self.seeing);
        }
    }
}

fn concerns(constraint: &ActionConstraint, action: Action) -> bool {
    let (own, group) = (uid(&TYPES.action, action.name()), uid(&TYPES.action, action.group()));
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::In(list) => list.contains(&own) || list.contains(&group),
        ActionConstraint::Eq(one) => *one == own,
    }
}
