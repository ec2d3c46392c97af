//! The decision.

use std::fmt;
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    AuthorizationError, Authorizer, Decision as Verdict, Entity, EntityUid, PolicyId, PolicySet, Response,
};
use moka::sync::Cache;

use crate::arguments::Arguments;
use crate::facts::{self, Facts, Uses};
use crate::fault::Fault;
use crate::index::{Index, Set};
use crate::limits::{COMPILED_MAX, REMEMBERED_MAX};
use crate::source::{self, Checked, Options, PolicyFile};
use crate::{Ask, Decision, Duties, Effect, Question, Whom, duty, lens::Lens};

/// Decides by policies. Cheap to ask, and safe to share.
pub struct Engine {
    pub(crate) rules: Option<Rules>,
    version: String,
}

/// Policies and what is known of them.
pub(crate) struct Rules {
    pub policies: Vec<Checked>,
    pub options: Options,
    pub index: Index,
    authorizer: Authorizer,
    compiled: Cache<(Set, bool), Arc<Candidates>>,
    remembered: Cache<Box<[u8]>, Decision>,
    numbers: std::sync::atomic::AtomicU64,
}

/// The policies that can concern some questions.
pub(crate) struct Candidates {
    /// Which of all that were ever put together.
    pub number: u64,
    /// What they look at.
    pub uses: Uses,
    members: Vec<usize>,
    seeing: bool,
    /// Permits, and what forbids whatever is done.
    hard: PolicySet,
    /// What forbids unless something is done.
    conditions: PolicySet,
    /// What is decided where none of them looks at anything but its scope.
    pub fixed: Option<Decision>,
}

static NOBODY: LazyLock<Arc<[Arc<str>]>> = LazyLock::new(|| Arc::from([]));

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.rules.as_ref().map(|rules| rules.policies.len());
        f.debug_struct("Engine").field("version", &self.version).field("policies", &count).finish()
    }
}

impl Engine {
    /// Allows everything to everybody: for a gateway without policies. Costs nothing.
    #[must_use]
    pub fn allow_all() -> Self {
        Self { rules: None, version: "none".to_owned() }
    }

    /// Reads and checks policies. What none of them permits is denied.
    ///
    /// # Errors
    /// Everything that is wrong with them, with files and lines.
    pub fn load(files: Vec<PolicyFile>, options: Options) -> Result<Self, Vec<Fault>> {
        let policies = source::read(&files, &options)?;
        let version = version(&files, &options);
        let rules = Rules {
            index: Index::new(&policies),
            policies,
            options,
            authorizer: Authorizer::new(),
            compiled: Cache::new(COMPILED_MAX),
            remembered: Cache::new(REMEMBERED_MAX),
            numbers: std::sync::atomic::AtomicU64::new(0),
        };
        Ok(Self { rules: Some(rules), version })
    }

    /// A digest of all policies and of what they were read with; `none` where there are none.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether there are policies.
    #[must_use]
    pub fn has_policies(&self) -> bool {
        self.rules.is_some()
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.as_ref().map_or(0, |rules| rules.policies.len())
    }

    /// Whether there is no policy, so that everything is denied unless there are none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decides.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        self.lens(question.who).decide(question.action, question.target, question.circumstances)
    }

    /// Prepares one principal for many questions, as those for a list are.
    #[must_use]
    pub fn lens<'a>(&'a self, who: crate::Who<'a>) -> Lens<'a> {
        Lens::new(self, who)
    }
}

fn version(files: &[PolicyFile], options: &Options) -> String {
    let mut bytes = Vec::new();
    for file in files {
        for part in [&file.name, &file.text] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
    }
    bytes.extend(crate::schema::schema_text(&options.arguments).as_bytes());
    seal::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is decided where nothing is to be decided.
pub(crate) fn allowed() -> Decision {
    Decision {
        effect: Effect::Allow,
        duties: Duties::default(),
        policies: Arc::clone(&NOBODY),
        reason: None,
        fault: None,
    }
}

/// What is decided where something went wrong.
pub(crate) fn faulty(fault: impl Into<Arc<str>>) -> Decision {
    Decision { effect: Effect::Deny, fault: Some(fault.into()), ..allowed() }
}

fn number(id: &PolicyId) -> usize {
    AsRef::<str>::as_ref(id).parse().unwrap_or(usize::MAX)
}

impl Rules {
    /// The policies that can concern a question.
    pub fn candidates(&self, set: Set, seeing: bool) -> Arc<Candidates> {
        let key = (set, seeing);
        self.compiled.get_with_by_ref(&key, || Arc::new(self.compile(&key.0, seeing)))
    }

    fn compile(&self, set: &Set, seeing: bool) -> Candidates {
        let (mut hard, mut conditions) = (PolicySet::new(), PolicySet::new());
        let mut uses = Uses::default();
        let mut members: Vec<usize> = Vec::new();
        let (mut plain, mut whole) = (true, true);
        for number in set.iter() {
            let Some(policy) = self.policies.get(number) else { continue };
            let counts = match (&policy.seeing, seeing) {
                (Some((seen, reads)), true) => Some((seen, reads)),
                (None, true) => None,
                (_, false) => Some((&policy.policy, &policy.reads)),
            };
            let Some((own, reads)) = counts else { continue };
            let kind = if policy.is_condition() { &mut conditions } else { &mut hard };
            // The numbers differ, so nothing can be there twice; and to leave one out could widen.
            whole &= kind.add(own.clone()).is_ok();
            plain &= !own.has_non_scope_constraint();
            uses = uses.and(reads.uses);
            members.push(number);
        }
        let id = self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let fixed = plain.then(|| {
            let split = |condition: bool| {
                let of = |n: &usize| self.policies.get(*n).is_some_and(|p| p.is_condition() == condition);
                members.iter().copied().filter(of).collect::<Vec<_>>()
            };
            self.conclude(&split(false), &split(true))
        });
        let fixed = if whole { fixed } else { Some(faulty("the policies cannot be put together")) };
        Candidates { number: id, uses, members, seeing, hard, conditions, fixed }
    }

    /// Decides what was not decided before, and remembers it where that is allowed.
    pub fn remembered(&self, key: &[u8]) -> Option<Decision> {
        self.remembered.get(key)
    }

    /// Remembers a decision.
    pub fn remember(&self, key: Box<[u8]>, decision: &Decision) {
        self.remembered.insert(key, decision.clone());
    }

    /// Has Cedar decide.
    pub fn evaluate(&self, candidates: &Candidates, question: &Question<'_>, principal: &Entity) -> Decision {
        let arguments = self.arguments(candidates, question);
        let odd = match self.odd(candidates, &arguments) {
            Ok(odd) => odd,
            Err(decision) => return *decision,
        };
        let facts = match facts::facts(question, principal, &arguments, candidates.uses) {
            Ok(facts) => facts,
            Err(error) => return faulty(error),
        };
        let response = match &*odd {
            [] => self.ask(&candidates.hard, &facts),
            odd => {
                let mut hard = candidates.hard.clone();
                for number in odd {
                    if hard.remove_static(PolicyId::new(number.to_string())).is_err() {
                        return faulty("a policy cannot be left out");
                    }
                }
                self.ask(&hard, &facts)
            }
        };
        let (matched, mut errors) = self.matched(&response);
        let conditions = if candidates.conditions.is_empty() || response.decision() == Verdict::Deny {
            Vec::new()
        } else {
            let response = self.ask(&candidates.conditions, &facts);
            let (matched, more) = self.matched(&response);
            errors.extend(more);
            matched
        };
        self.with_errors(self.conclude(&matched, &conditions), &errors, &odd)
    }

    fn arguments(&self, candidates: &Candidates, question: &Question<'_>) -> Arguments {
        if !candidates.uses.arguments || candidates.seeing {
            return Arguments::default();
        }
        Arguments::read(question.circumstances.arguments, &self.options.arguments)
    }

    fn ask(&self, policies: &PolicySet, facts: &Facts) -> Response {
        self.authorizer.is_authorized(&facts.request, policies, &facts.entities)
    }

    /// The numbers of what matched, in the order of the files, and what could not be evaluated.
    fn matched(&self, response: &Response) -> (Vec<usize>, Vec<(usize, String)>) {
        let diagnostics = response.diagnostics();
        let mut matched: Vec<usize> = diagnostics.reason().map(number).collect();
        matched.sort_unstable();
        let errors = diagnostics.errors().map(|error| {
            let AuthorizationError::PolicyEvaluationError(inner) = error;
            (number(inner.policy_id()), inner.to_string())
        });
        (matched, errors.collect())
    }

    /// The permits that read arguments of an unexpected form: they cannot permit.
    ///
    /// # Errors
    /// The decision, where it is a forbid that reads them.
    fn odd(&self, candidates: &Candidates, arguments: &Arguments) -> Result<Vec<usize>, Box<Decision>> {
        if arguments.odd.is_empty() && !arguments.unreadable {
            return Ok(Vec::new());
        }
        let mut permits = Vec::new();
        for number in &candidates.members {
            let Some(policy) = self.policies.get(*number) else { continue };
            let is_odd = |member: &str| arguments.odd.iter().any(|odd| odd == member);
            let reads = &policy.reads;
            let member = reads.members().find(|member| is_odd(member));
            let concerned =
                member.is_some() || (reads.uses.arguments && (arguments.unreadable || reads.all_arguments()));
            match (concerned, policy.permits) {
                (false, _) => {}
                (true, true) => permits.push(*number),
                (true, false) => {
                    let what = member.map_or_else(
                        || "the arguments cannot be read".to_owned(),
                        |member| format!("the argument {member:?} is not of its declared type"),
                    );
                    let fault = format!("{what}, and policy {} reads it", policy.id);
                    let policies = Arc::from([Arc::clone(&policy.id)]);
                    return Err(Box::new(Decision { policies, ..faulty(fault) }));
                }
            }
        }
        Ok(permits)
    }

    /// What follows from what matched: `hard` are permits and plain forbids, `conditions` the other forbids.
    fn conclude(&self, hard: &[usize], conditions: &[usize]) -> Decision {
        let of = |list: &[usize]| list.iter().filter_map(|n| self.policies.get(*n)).collect::<Vec<_>>();
        let hard = of(hard);
        let forbids: Vec<_> = hard.iter().copied().filter(|policy| !policy.permits).collect();
        if !forbids.is_empty() {
            return named(Effect::Deny, Duties::default(), &forbids);
        }
        if hard.is_empty() {
            return named(Effect::Deny, Duties::default(), &[]);
        }
        let conditions = of(conditions);
        let mut duties = Duties::default();
        let mut ask: Option<Ask> = None;
        for policy in &conditions {
            duty::add(&mut duties, &policy.annotations.duties);
            ask = match (ask, &policy.annotations.ask) {
                (None, own) => own.clone(),
                (Some(ask), Some(own)) => Some(duty::join(ask, own)),
                (ask, None) => ask,
            };
        }
        let effect = match ask {
            None => Effect::Allow,
            Some(Ask { whom: Whom::Groups(groups), .. }) if groups.is_empty() => {
                let reason = "nobody is in every group that would have to say yes";
                let denied = named(Effect::Deny, Duties::default(), &conditions);
                return Decision { reason: Some(Arc::from(reason)), ..denied };
            }
            Some(ask) => Effect::Ask(ask),
        };
        // What demands something says more about the decision than what permits.
        let all: Vec<_> = conditions.into_iter().chain(hard).collect();
        named(effect, duties, &all)
    }

    /// What could not be evaluated counts as the worst: a permit that permits nothing, a forbid that denies.
    fn with_errors(&self, decision: Decision, errors: &[(usize, String)], odd: &[usize]) -> Decision {
        let permits = |number: usize| self.policies.get(number).is_some_and(|policy| policy.permits);
        let forbid = errors.iter().find(|(number, _)| !permits(*number));
        let denied = decision.effect == Effect::Deny && decision.policies.is_empty();
        let id = |number: usize| self.policies.get(number).map(|policy| Arc::clone(&policy.id));
        if let Some((number, error)) = forbid {
            return Decision { policies: id(*number).into_iter().collect(), ..faulty(error.as_str()) };
        }
        match (errors.first(), odd.first()) {
            (Some((_, error)), _) if denied => {
                Decision { fault: Some(Arc::from(error.as_str())), ..decision }
            }
            (_, Some(number)) if denied => {
                let id = id(*number).unwrap_or_default();
                let fault = format!("an argument is not of its declared type, and policy {id} reads it");
                Decision { fault: Some(Arc::from(fault)), ..decision }
            }
            _ => decision,
        }
    }
}

fn named(effect: Effect, duties: Duties, policies: &[&Checked]) -> Decision {
    let reason = policies.iter().find_map(|policy| policy.annotations.reason.clone());
    let policies = policies.iter().map(|policy| Arc::clone(&policy.id)).collect();
    Decision { effect, duties, policies, reason, fault: None }
}

/// What a principal is called in policies, and what he is in.
pub(crate) fn principal_place(who: &crate::Who<'_>) -> Option<(EntityUid, Vec<EntityUid>)> {
    use crate::names::{TYPES, principal_type, uid, uid2};
    let own = uid2(principal_type(who)?, who.tenant, who.subject);
    let groups = who.groups.iter().map(|group| uid2(&TYPES.group, who.tenant, group));
    Some((own, groups.chain([uid(&TYPES.tenant, who.tenant)]).collect()))
}
