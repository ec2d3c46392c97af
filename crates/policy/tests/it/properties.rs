//! What holds for all policies and all questions.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Decision as Verdict, Entities, EntityUid, PolicySet, Request, Schema,
};
use policy::{
    Action, ArgumentType, Decision, Duties, Effect, Engine, Options, Requirement, ToolHints, Whom,
    schema_text,
};
use proptest::prelude::*;
use serde_json::json;

use crate::ask::{Asked, with};

fn options() -> Options {
    Options { arguments: BTreeMap::from([("amount".to_owned(), ArgumentType::Long)]), ..Options::default() }
}

const PRINCIPALS: [&str; 7] = [
    "principal",
    "principal is User",
    "principal == User::\"acme/ann\"",
    "principal in Group::\"acme/sales\"",
    "principal is Workload in Group::\"acme/sales\"",
    "principal in Tenant::\"acme\"",
    "principal is User in Tenant::\"acme\"",
];

const ACTIONS: [&str; 4] = [
    "action",
    "action == Action::\"call_tool\"",
    "action in Action::\"use\"",
    "action in [Action::\"call_tool\", Action::\"get_prompt\"]",
];

const RESOURCES: [&str; 6] = [
    "resource",
    "resource is Tool",
    "resource == Tool::\"crm/lookup\"",
    "resource in Upstream::\"crm\"",
    "resource is Tool in Endpoint::\"mcp\"",
    "resource in Endpoint::\"support\"",
];

const CONDITIONS: [&str; 10] = [
    "",
    "",
    "when { principal.bound }",
    "unless { principal.groups.contains(\"sales\") }",
    "when { resource.upstream == \"crm\" }",
    "when { resource.labels.contains(\"pii\") }",
    "when { context.task }",
    "when { context has address && context.address.isInRange(ip(\"10.0.0.0/8\")) }",
    "when { context.arguments has amount && context.arguments.amount > 100 }",
    "unless { context.arguments has amount && context.arguments.amount + 9223372036854775800 > 100 }",
];

const DUTIES: [&str; 7] = [
    "@ask(\"caller\")",
    "@ask(\"groups: security, oncall\")",
    "@ask(\"groups: oncall\") @stands(\"5m\")",
    "@redact_results(\"/a,/b\")",
    "@result_bytes_max(\"100\") @capture(\"true\")",
    "@result_bytes_max(\"50\") @detect_results(\"pii\")",
    "@require(\"bound_proof\") @require_sign_in(\"15m\")",
];

/// A policy: whether it permits, and its parts.
#[derive(Debug, Clone)]
struct Written {
    permits: bool,
    duty: Option<&'static str>,
    scope: String,
}

impl Written {
    fn text(&self, number: usize) -> String {
        let effect = if self.permits { "permit" } else { "forbid" };
        format!("@id(\"p{number}\") {} {effect}({};\n", self.duty.unwrap_or_default(), self.scope)
    }
}

fn text(policies: &[Written]) -> String {
    policies.iter().enumerate().map(|(number, policy)| policy.text(number)).collect()
}

fn written() -> impl Strategy<Value = Written> {
    let one = |list: &'static [&'static str]| prop::sample::select(list);
    let duty = prop::option::of(one(&DUTIES));
    (any::<bool>(), duty, one(&PRINCIPALS), one(&ACTIONS), one(&RESOURCES), one(&CONDITIONS)).prop_map(
        |(permits, duty, principal, action, resource, condition)| Written {
            permits,
            duty: duty.filter(|_| !permits),
            scope: format!("{principal}, {action}, {resource}) {condition}"),
        },
    )
}

fn policies() -> impl Strategy<Value = Vec<Written>> {
    prop::collection::vec(written(), 1..8)
}

const ARGUMENTS: [Option<&str>; 5] =
    [None, Some("{}"), Some(r#"{"amount": 50}"#), Some(r#"{"amount": 500}"#), Some(r#"{"amount": "500"}"#)];

fn asked() -> impl Strategy<Value = Asked> {
    let one = |list: &'static [&'static str]| prop::sample::select(list);
    let who = (one(&["acme", "other"]), one(&["ann", "bob"]), one(&["user", "workload", "operator"]));
    let facts = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<Option<bool>>());
    let place = (one(&["mcp", "support"]), one(&["crm", "files"]), one(&["lookup", "delete"]));
    let action =
        prop::sample::select(vec![Action::CallTool, Action::GetPrompt, Action::UseTask, Action::View]);
    let arguments = prop::sample::select(&ARGUMENTS[..]);
    (who, facts, place, action, arguments).prop_map(|(who, facts, place, action, arguments)| {
        let (sales, bound, inside, pii, hint) = facts;
        Asked {
            tenant: who.0.to_owned(),
            subject: who.1.to_owned(),
            kind: who.2,
            groups: if sales { vec!["sales".to_owned()] } else { Vec::new() },
            bound,
            action,
            endpoint: place.0.to_owned(),
            upstream: place.1.to_owned(),
            name: place.2.to_owned(),
            hints: ToolHints { read_only: hint, ..ToolHints::default() },
            labels: if pii { vec!["pii".to_owned()] } else { Vec::new() },
            arguments: arguments.map(str::to_owned),
            address: Some(if inside { "10.1.2.3" } else { "192.0.2.1" }.parse().expect("an address")),
            task: inside,
            ..Asked::default()
        }
    })
}

fn engine(policies: &[Written]) -> Option<Engine> {
    let file = policy::PolicyFile { name: "team.cedar".to_owned(), text: text(policies) };
    // What can never matter is refused; the strategy makes such policies too.
    Engine::load(vec![file], options()).ok()
}

/// Whether everything that `more` demands is demanded by `less` too.
fn demands(less: &Duties, more: &Duties) -> bool {
    let all =
        |a: &[Arc<str>], b: &[Arc<str>]| a.iter().collect::<BTreeSet<_>>().is_superset(&b.iter().collect());
    let size = |duties: &Duties| duties.result_bytes_max.unwrap_or(u64::MAX);
    let required = |requirement: &Requirement| {
        less.requires.iter().any(|own| match (own, requirement) {
            (Requirement::BoundProof, Requirement::BoundProof) => true,
            (Requirement::FreshSignIn(own), Requirement::FreshSignIn(other)) => own <= other,
            _ => false,
        })
    };
    all(&less.redact_arguments, &more.redact_arguments)
        && all(&less.redact_results, &more.redact_results)
        && all(&less.detect_arguments, &more.detect_arguments)
        && all(&less.detect_results, &more.detect_results)
        && size(less) <= size(more)
        && more.requires.iter().all(required)
        && less.capture >= more.capture
}

/// Whether one decision allows no more than another.
fn no_wider(less: &Decision, more: &Decision) -> bool {
    let effect = match (&less.effect, &more.effect) {
        (Effect::Deny, _) => return true,
        (_, Effect::Deny) => false,
        (_, Effect::Allow) => true,
        (Effect::Allow, Effect::Ask(_)) => false,
        (Effect::Ask(less), Effect::Ask(more)) => {
            let whom = match (&less.whom, &more.whom) {
                (_, Whom::Caller) => true,
                (Whom::Caller, Whom::Groups(_)) => false,
                (Whom::Groups(less), Whom::Groups(more)) => less.iter().all(|group| more.contains(group)),
            };
            whom && less.stands <= more.stands
        }
    };
    effect && demands(&less.duties, &more.duties)
}

/// What Cedar itself decides by all plain policies at once, from facts in its own JSON form that are held
/// against the schema.
fn reference(policies: &[Written], asked: &Asked) -> Verdict {
    let plain: Vec<Written> = policies.iter().filter(|policy| policy.duty.is_none()).cloned().collect();
    let set: PolicySet = text(&plain).parse().expect("policies");
    let (schema, _) = Schema::from_cedarschema_str(&schema_text(&options().arguments)).expect("a schema");
    let kind = match asked.kind {
        "user" => "User",
        "workload" => "Workload",
        _ => "Operator",
    };
    let groups: Vec<_> = asked
        .groups
        .iter()
        .map(|group| json!({"type": "Group", "id": format!("{}/{group}", asked.tenant)}))
        .chain([json!({"type": "Tenant", "id": asked.tenant})])
        .collect();
    let own = json!({"type": kind, "id": format!("{}/{}", asked.tenant, asked.subject)});
    let target_kind = match asked.action {
        Action::CallTool => "Tool",
        Action::GetPrompt => "Prompt",
        Action::UseTask => "Task",
        _ => "Office",
    };
    let id = if target_kind == "Office" {
        asked.name.clone()
    } else {
        format!("{}/{}", asked.upstream, asked.name)
    };
    let mut attributes = json!({
        "endpoint": asked.endpoint, "upstream": asked.upstream, "name": asked.name, "labels": asked.labels,
    });
    if target_kind == "Tool" {
        let read_only = asked.hints.read_only == Some(true);
        let hints = [
            ("readOnly", read_only),
            ("destructive", !read_only),
            ("idempotent", false),
            ("openWorld", true),
        ];
        for (name, value) in hints {
            attributes[name] = json!(value);
        }
    }
    let target = json!({"type": target_kind, "id": id});
    let entities = json!([
        {"uid": own, "parents": groups, "attrs": {
            "tenant": asked.tenant, "subject": asked.subject, "groups": asked.groups, "scopes": [],
            "bound": asked.bound, "actors": [],
        }},
        {"uid": target, "attrs": attributes, "parents": [
            {"type": "Endpoint", "id": asked.endpoint}, {"type": "Upstream", "id": asked.upstream},
        ]},
    ]);
    let arguments: serde_json::Value =
        asked.arguments.as_deref().map_or(json!({}), |text| serde_json::from_str(text).expect("arguments"));
    let context = json!({
        "arguments": arguments,
        "address": {"__extn": {"fn": "ip", "arg": asked.address.expect("an address").to_string()}},
        "now": {"__extn": {"fn": "datetime", "arg": "2026-07-28T12:00:00Z"}},
        "weekday": "tuesday",
        "task": asked.task,
    });
    let uid = |value| EntityUid::from_json(value).expect("an entity");
    let action = EntityUid::from_str(&format!("Action::\"{}\"", asked.action.name())).expect("an action");
    let context = Context::from_json_value(context, Some((&schema, &action))).expect("a context");
    let request = Request::new(uid(own), action, uid(target), context, Some(&schema)).expect("a request");
    let entities = Entities::from_json_value(entities, Some(&schema)).expect("entities");
    Authorizer::new().is_authorized(&request, &set, &entities).decision()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn cedar_decides_the_same_by_all_policies_at_once(policies in policies(), asked in asked()) {
        // Lists, arguments of another type and errors in a forbid are where we differ on purpose.
        let asked = Asked {
            arguments: asked.arguments.filter(|text| !text.contains("\"500\"")).or(Some("{}".to_owned())),
            ..asked
        };
        let overflows = policies.iter().any(|policy| policy.scope.contains("+ 9223372036854775800"));
        prop_assume!(!overflows);
        let Some(engine) = engine(&policies) else { return Err(TestCaseError::reject("refused")) };
        let decision = asked.of(&engine);
        prop_assert_eq!(decision.fault.as_deref(), None);
        let denied_by_join = decision.reason.as_deref().is_some_and(|reason| reason.contains("nobody is in"));
        if !denied_by_join {
            let verdict = if decision.effect == Effect::Deny { Verdict::Deny } else { Verdict::Allow };
            prop_assert_eq!(verdict, reference(&policies, &asked));
        }
        // Asked again, and by one who was prepared, it is the same.
        prop_assert_eq!(&asked.of(&engine), &decision);
        let question = asked.question();
        let lens = engine.lens(question.who);
        prop_assert_eq!(lens.decide(question.action, question.target, question.circumstances), decision);
    }

    #[test]
    fn to_take_a_permit_out_never_widens(
        policies in policies(), asked in asked(), at in any::<prop::sample::Index>(),
    ) {
        let permits: Vec<usize> = (0..policies.len()).filter(|n| policies[*n].permits).collect();
        prop_assume!(!permits.is_empty());
        let mut fewer = policies.clone();
        fewer.remove(permits[at.index(permits.len())]);
        let (Some(all), Some(fewer)) = (engine(&policies), engine(&fewer)) else {
            return Err(TestCaseError::reject("refused"));
        };
        let (less, more) = (asked.of(&fewer), asked.of(&all));
        prop_assert!(no_wider(&less, &more), "{less:?} is wider than {more:?}");
    }

    #[test]
    fn to_add_a_forbid_never_widens(policies in policies(), asked in asked(), forbid in written()) {
        let mut more = policies.clone();
        more.push(Written { permits: false, ..forbid });
        let (Some(before), Some(after)) = (engine(&policies), engine(&more)) else {
            return Err(TestCaseError::reject("refused"));
        };
        let (less, more) = (asked.of(&after), asked.of(&before));
        prop_assert!(no_wider(&less, &more), "{less:?} is wider than {more:?}");
    }

    #[test]
    fn to_take_a_group_or_a_proof_away_changes_nothing_for_those_who_are_only_permitted_by_it(
        asked in asked(),
    ) {
        let engine = with(
            "permit(principal in Group::\"acme/sales\", action, resource);\n\
             permit(principal, action, resource) when { principal.bound };",
            options(),
        );
        let less = Asked { groups: Vec::new(), bound: false, ..asked.clone() }.of(&engine);
        prop_assert!(no_wider(&less, &asked.of(&engine)));
        prop_assert_eq!(less.effect, Effect::Deny);
    }

    #[test]
    fn a_fault_never_allows_more(policies in policies(), asked in asked(), amount in any::<i64>()) {
        let Some(engine) = engine(&policies) else { return Err(TestCaseError::reject("refused")) };
        let with = |arguments: &str| {
            Asked { arguments: Some(arguments.to_owned()), ..asked.clone() }.of(&engine)
        };
        let good = with(&format!("{{\"amount\": {amount}}}"));
        for odd in ["{\"amount\": \"1\"}", "{\"amount\": 1, \"amount\": 2}", "{\"amount\"", "[]"] {
            let less = with(odd);
            // A policy that reads the argument and cannot be evaluated for the good one is as good as one
            // that does not fit, so that what is compared is a decision without faults.
            if good.fault.is_none() {
                prop_assert!(no_wider(&less, &good), "{odd}: {less:?} is wider than {good:?}");
            }
        }
        let nobody = Asked { kind: "ghost", ..asked.clone() }.of(&engine);
        prop_assert_eq!(nobody.effect, Effect::Deny);
        prop_assert!(nobody.fault.is_some());
    }

    #[test]
    fn a_condition_that_fails_never_allows_more_than_one_that_holds_or_does_not(
        policies in policies(), asked in asked(), at in any::<prop::sample::Index>(),
    ) {
        let number = at.index(policies.len());
        let with = |condition: &str| {
            let mut changed = policies.clone();
            let (scope, _) = changed[number].scope.split_once(')').expect("a scope");
            changed[number].scope = format!("{scope}) {condition}");
            engine(&changed)
        };
        // 2^63 - 1 and one more is no whole number of 64 bits, whoever asks.
        let fails = with(
            "when { principal.bound == (9223372036854775807 + (if principal.bound then 1 else 2) > 0) }",
        );
        let holds = with("when { principal.bound || !principal.bound }");
        let (Some(fails), Some(holds)) = (fails, holds) else { return Err(TestCaseError::reject("refused")) };
        let mut without = policies.clone();
        without.remove(number);
        let file = policy::PolicyFile { name: "team.cedar".to_owned(), text: text(&without) };
        let Ok(not) = Engine::load(vec![file], options()) else {
            return Err(TestCaseError::reject("refused"));
        };
        let failed = asked.of(&fails);
        for (name, other) in [("holds", holds), ("does not", not)] {
            let other = asked.of(&other);
            prop_assert!(no_wider(&failed, &other), "{name}: {failed:?} is wider than {other:?}");
        }
    }
}
