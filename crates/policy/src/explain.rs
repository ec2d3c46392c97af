//! Why something was decided, and what changes with other policies.

use std::sync::Arc;

use cedar_policy::{PrincipalConstraint, ResourceConstraint};
use serde::Serialize;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::engine::{Rules, principal_place};
use crate::facts::{self, Uses, target_parents};
use crate::names::target_uid;
use crate::source::Checked;
use crate::{Action, Ask, Circumstances, Decision, Duties, Effect, Engine, Question, Requirement, Whom};

/// How many permits that nearly fit are told.
const NEAR_MAX: usize = 5;

/// A decision and what made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The decision, for programs.
    #[serde(flatten)]
    pub decision: Value,
    /// The version of the policies: the digest of all of them.
    pub version: String,
    /// Whether it is seen in a list, where it is something that is listed.
    pub seen: Option<bool>,
    /// The policies that decided.
    pub deciding: Vec<Place>,
    /// What was known of the question.
    pub facts: Value,
    /// Where nothing permits: the permits that come nearest, and what they miss.
    pub near: Vec<Near>,
}

/// A policy and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// What it is called.
    pub id: Arc<str>,
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// `permit`, `forbid`, or `forbid unless done` where it has duties.
    pub kind: &'static str,
    /// Its text.
    pub text: Arc<str>,
}

/// A permit that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Near {
    /// The permit.
    #[serde(flatten)]
    pub policy: Place,
    /// What would have to be so.
    pub missing: Vec<String>,
}

/// A decision that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The question's number, from 0.
    pub question: usize,
    /// What is decided by the old policies.
    pub before: Decision,
    /// What is decided by the new ones.
    pub after: Decision,
}

impl Engine {
    /// Decides, and says why.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let decision = self.decide(question);
        let (version, seen) = (self.version().to_owned(), self.seen(question));
        let Some(rules) = &self.rules else {
            let (facts, deciding, near) = (Value::Null, Vec::new(), Vec::new());
            return Explanation { decision: report(&decision), version, seen, deciding, facts, near };
        };
        let named = |id: &Arc<str>| rules.policies.iter().find(|policy| policy.id == *id);
        let deciding = decision.policies.iter().filter_map(named).map(place).collect();
        let near = match (&decision.effect, decision.policies.len()) {
            (Effect::Deny, 0) => rules.near(question),
            (Effect::Allow | Effect::Ask(_) | Effect::Deny, _) => Vec::new(),
        };
        let (decision, facts) = (report(&decision), rules.facts(question));
        Explanation { decision, version, seen, deciding, facts, near }
    }

    /// Whether it may be seen in a list: whether it might be done, with some arguments.
    fn seen(&self, question: &Question<'_>) -> Option<bool> {
        match question.action {
            Action::CallTool | Action::GetPrompt | Action::ReadResource => {}
            Action::UseTask
            | Action::View
            | Action::Operate
            | Action::Administer
            | Action::Approve
            | Action::Explain => return None,
        }
        let circumstances = Circumstances { arguments: None, ..question.circumstances };
        Some(self.decide(&Question { circumstances, ..*question }).effect != Effect::Deny)
    }
}

/// What changes between two sets of policies, for some questions.
#[must_use]
pub fn diff(old: &Engine, new: &Engine, questions: &[Question<'_>]) -> Vec<Change> {
    let change = |(number, question): (usize, &Question<'_>)| {
        let (before, after) = (old.decide(question), new.decide(question));
        let same = (&before.effect, &before.duties) == (&after.effect, &after.duties);
        (!same).then_some(Change { question: number, before, after })
    };
    questions.iter().enumerate().filter_map(change).collect()
}

fn place(policy: &Checked) -> Place {
    let kind = match (policy.permits, policy.is_condition()) {
        (true, _) => "permit",
        (false, true) => "forbid unless done",
        (false, false) => "forbid",
    };
    let (id, file) = (Arc::clone(&policy.id), Arc::clone(&policy.file));
    Place { id, file, line: policy.line, kind, text: Arc::clone(&policy.text) }
}

impl Rules {
    fn facts(&self, question: &Question<'_>) -> Value {
        let arguments = Arguments::read(question.circumstances.arguments, &self.options.arguments);
        let found = facts::principal(&question.who)
            .and_then(|principal| facts::facts(question, &principal, &arguments, Uses::ALL));
        let found = match found {
            Ok(found) => found,
            Err(error) => return json!({ "fault": error }),
        };
        let context = found.request.context().and_then(|context| context.to_json_value().ok());
        let mut odd = arguments.odd;
        if arguments.unreadable {
            odd.push("all of them".to_owned());
        }
        json!({
            "principal": found.request.principal().map(ToString::to_string),
            "action": found.request.action().map(ToString::to_string),
            "resource": found.request.resource().map(ToString::to_string),
            "context": context,
            "entities": found.entities.to_json_value().unwrap_or_default(),
            "arguments_of_another_type": odd,
        })
    }

    /// The permits for the action that miss the least.
    fn near(&self, question: &Question<'_>) -> Vec<Near> {
        let Some((own, parents)) = principal_place(&question.who) else { return Vec::new() };
        let principals = self.index.principal(&own, parents.into_iter());
        let parents = target_parents(&question.target).into_iter();
        let targets = self.index.target(&target_uid(question), parents);
        let mut all: Vec<Near> = Vec::new();
        for number in self.index.of_action(question.action).iter() {
            let Some(policy) = self.policies.get(number).filter(|policy| policy.permits) else { continue };
            let mut missing = Vec::new();
            if !principals.contains(number) {
                missing.push(format!("the principal {}", who(&policy.policy.principal_constraint())));
            }
            if !targets.contains(number) {
                missing.push(format!("the target {}", what(&policy.policy.resource_constraint())));
            }
            if missing.is_empty() {
                missing.push("its conditions hold".to_owned());
            }
            all.push(Near { policy: place(policy), missing });
        }
        all.sort_by_key(|near| near.missing.len());
        all.truncate(NEAR_MAX);
        all
    }
}

fn who(constraint: &PrincipalConstraint) -> String {
    match constraint {
        PrincipalConstraint::Any => "is anybody".to_owned(),
        PrincipalConstraint::In(one) => format!("is in {one}"),
        PrincipalConstraint::Eq(one) => format!("is {one}"),
        PrincipalConstraint::Is(kind) => format!("is a {kind}"),
        PrincipalConstraint::IsIn(kind, one) => format!("is a {kind} in {one}"),
    }
}

fn what(constraint: &ResourceConstraint) -> String {
    match constraint {
        ResourceConstraint::Any => "is anything".to_owned(),
        ResourceConstraint::In(one) => format!("is in {one}"),
        ResourceConstraint::Eq(one) => format!("is {one}"),
        ResourceConstraint::Is(kind) => format!("is a {kind}"),
        ResourceConstraint::IsIn(kind, one) => format!("is a {kind} in {one}"),
    }
}

/// A decision for programs.
#[must_use]
pub fn report(decision: &Decision) -> Value {
    let (effect, ask) = match &decision.effect {
        Effect::Allow => ("allow", None),
        Effect::Deny => ("deny", None),
        Effect::Ask(ask) => ("ask", Some(ask_report(ask))),
    };
    json!({
        "effect": effect,
        "ask": ask,
        "duties": duties_report(&decision.duties),
        "policies": decision.policies.iter().map(|id| &**id).collect::<Vec<_>>(),
        "reason": decision.reason.as_deref(),
        "fault": decision.fault.as_deref(),
    })
}

fn ask_report(ask: &Ask) -> Value {
    let whom = match &ask.whom {
        Whom::Caller => json!("caller"),
        Whom::Groups(groups) => json!({ "groups": texts(groups) }),
    };
    json!({ "whom": whom, "message": ask.message.as_deref(), "stands_seconds": ask.stands.as_secs() })
}

fn texts(list: &[Arc<str>]) -> Vec<&str> {
    list.iter().map(|text| &**text).collect()
}

fn duties_report(duties: &Duties) -> Value {
    // Taken apart, so that a new duty is not forgotten here.
    let Duties {
        redact_arguments,
        redact_results,
        detect_arguments,
        detect_results,
        result_bytes_max,
        requires,
        capture,
    } = duties;
    let mut report = serde_json::Map::new();
    let lists = [
        ("redact_arguments", redact_arguments),
        ("redact_results", redact_results),
        ("detect_arguments", detect_arguments),
        ("detect_results", detect_results),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            report.insert(name.to_owned(), json!(texts(list)));
        }
    }
    if let Some(max) = result_bytes_max {
        report.insert("result_bytes_max".to_owned(), json!(max));
    }
    for requirement in requires {
        match requirement {
            Requirement::BoundProof => report.insert("bound_proof".to_owned(), json!(true)),
            Requirement::FreshSignIn(time) => {
                report.insert("sign_in_seconds_max".to_owned(), json!(time.as_secs()))
            }
        };
    }
    if *capture {
        report.insert("capture".to_owned(), json!(true));
    }
    Value::Object(report)
}
