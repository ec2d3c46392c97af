//! What policies make of a question.

use std::time::Duration;

use model::Timestamp;
use policy::{Action, Effect, Engine, Requirement, Whom};

use crate::ask::{Asked, NOON, engine};

fn policies(decision: &policy::Decision) -> Vec<&str> {
    decision.policies.iter().map(|id| &**id).collect()
}

#[test]
fn without_policies_everything_is_allowed_and_with_an_empty_file_nothing() {
    assert_eq!(Asked::default().of(&Engine::allow_all()).effect, Effect::Allow);
    let denied = Asked::default().of(&engine(""));
    assert_eq!((denied.effect, denied.policies.len()), (Effect::Deny, 0));
}

#[test]
fn a_permit_allows_and_a_forbid_beats_it() {
    let engine = engine(
        r#"
        @id("crm") @reason("for all")
        permit(principal, action == Action::"call_tool", resource in Upstream::"crm");
        @id("no-deletes") @reason("nobody deletes")
        forbid(principal, action, resource == Tool::"crm/delete");
        "#,
    );
    let allowed = Asked::default().of(&engine);
    assert_eq!((allowed.effect.clone(), policies(&allowed)), (Effect::Allow, vec!["team/crm"]));
    let denied = Asked { name: "delete".to_owned(), ..Asked::default() }.of(&engine);
    assert_eq!((denied.effect.clone(), policies(&denied)), (Effect::Deny, vec!["team/no-deletes"]));
    assert_eq!(denied.reason.as_deref(), Some("nobody deletes"));
    let elsewhere = Asked { upstream: "files".to_owned(), ..Asked::default() }.of(&engine);
    assert_eq!((elsewhere.effect.clone(), policies(&elsewhere)), (Effect::Deny, vec![]));
    let other = Asked { action: Action::ReadResource, ..Asked::default() }.of(&engine);
    assert_eq!(other.effect, Effect::Deny);
}

#[test]
fn duties_of_several_forbids_add_up_and_a_plain_forbid_ends_them() {
    let text = r#"
        @id("all") permit(principal, action, resource);
        @id("a") @redact_results("/a") @result_bytes_max("100") @require_sign_in("1h")
        forbid(principal, action, resource);
        @id("b") @redact_results("/b,/a") @result_bytes_max("50") @require_sign_in("15m")
        @require("bound_proof")
        forbid(principal, action, resource in Upstream::"crm");
        @id("c") @capture("true") forbid(principal, action, resource in Upstream::"files");
    "#;
    let decision = Asked::default().of(&engine(text));
    assert_eq!(
        (&decision.effect, policies(&decision)),
        (&Effect::Allow, vec!["team/a", "team/b", "team/all"])
    );
    let duties = &decision.duties;
    assert_eq!(duties.redact_results.iter().map(|p| &**p).collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!((duties.result_bytes_max, duties.capture), (Some(50), false));
    let fresh = Requirement::FreshSignIn(Duration::from_secs(15 * 60));
    assert_eq!(duties.requires, [fresh, Requirement::BoundProof]);
    let plain = engine(&format!("{text} @id(\"no\") forbid(principal, action, resource);"));
    let denied = Asked::default().of(&plain);
    assert_eq!((&denied.effect, policies(&denied)), (&Effect::Deny, vec!["team/no"]));
    assert!(denied.duties.are_none());
}

#[test]
fn somebody_else_goes_before_the_caller_and_has_to_be_in_what_all_name() {
    let all = "permit(principal, action, resource);\n";
    let ask = |text: &str| match Asked::default().of(&engine(&format!("{all}{text}"))).effect {
        Effect::Ask(ask) => Some((ask.whom, ask.stands.as_secs(), ask.message)),
        Effect::Allow | Effect::Deny => None,
    };
    let caller = "@ask(\"caller\") @message(\"sure?\") forbid(principal, action, resource);\n";
    let both = "@ask(\"groups: a, b\") @stands(\"5m\") forbid(principal, action, resource);\n";
    let one = "@ask(\"groups: b, c\") @stands(\"1h\") forbid(principal, action, resource);\n";
    let other = "@ask(\"groups: c\") forbid(principal, action, resource);\n";
    let groups = |names: &[&str]| Whom::Groups(names.iter().map(|name| (*name).into()).collect());
    assert_eq!(ask(caller), Some((Whom::Caller, 900, Some("sure?".into()))));
    assert_eq!(ask(&[caller, both].concat()), Some((groups(&["a", "b"]), 300, Some("sure?".into()))));
    assert_eq!(ask(&[both, one].concat()), Some((groups(&["b"]), 300, None)));
    let denied = Asked::default().of(&engine(&[all, both, other].concat()));
    assert_eq!(denied.effect, Effect::Deny);
    assert_eq!(denied.reason.as_deref(), Some("nobody is in every group that would have to say yes"));
}

#[test]
fn the_time_the_day_and_the_address_count_and_are_not_remembered() {
    let engine = engine(
        r#"permit(principal, action, resource)
        when { context.weekday == "tuesday" && context.now.toTime() >= duration("7h")
               && context.now.toTime() < duration("19h") };
        permit(principal, action, resource)
        when { context has address && context.address.isInRange(ip("10.0.0.0/8")) };"#,
    );
    let at = |now: u64, address: Option<&str>| {
        let address = address.map(|text| text.parse().expect("an address"));
        Asked { now: Timestamp(now), address, ..Asked::default() }.of(&engine).effect
    };
    let hour = 3_600_000;
    assert_eq!(at(NOON.0, None), Effect::Allow);
    assert_eq!(at(NOON.0 + 7 * hour - 1, None), Effect::Allow);
    assert_eq!(at(NOON.0 + 7 * hour, None), Effect::Deny);
    assert_eq!(at(NOON.0 + 24 * hour, None), Effect::Deny);
    assert_eq!(at(NOON.0 + 24 * hour, Some("10.1.2.3")), Effect::Allow);
    assert_eq!(at(NOON.0 + 24 * hour, Some("::ffff:10.1.2.3")), Effect::Allow);
    assert_eq!(at(NOON.0 + 24 * hour, Some("192.0.2.1")), Effect::Deny);
}

#[test]
fn what_is_remembered_is_for_the_same_facts_alone() {
    let engine = engine(
        r#"permit(principal, action, resource) when { principal.scopes.contains("x") };
        permit(principal, action, resource) when { context.task };
        permit(principal, action, resource) when { principal has client && principal.client == Client::"c" };
        permit(principal, action, resource) when { resource.labels.contains("l") };
        permit(principal, action == Action::"call_tool", resource) when { resource.name == "n" };"#,
    );
    let base = Asked::default();
    for _ in 0..2 {
        assert_eq!(base.of(&engine).effect, Effect::Deny);
        for allowed in [
            Asked { scopes: vec!["x".to_owned()], ..base.clone() },
            Asked { task: true, ..base.clone() },
            Asked { client: Some("c".to_owned()), ..base.clone() },
            Asked { labels: vec!["l".to_owned()], ..base.clone() },
            Asked { name: "n".to_owned(), ..base.clone() },
        ] {
            assert_eq!(allowed.of(&engine).effect, Effect::Allow, "{allowed:?}");
        }
    }
}

#[test]
fn an_error_in_a_forbid_denies_and_in_a_permit_permits_nothing() {
    let fails = "when { principal.bound == (9223372036854775807 + (if principal.bound then 1 else 2) > 0) };";
    let all = "@id(\"all\") permit(principal, action, resource);\n";
    for kind in ["", "@capture(\"true\") "] {
        let text = format!("{all}@id(\"odd\") {kind}forbid(principal, action, resource) {fails}");
        let denied = Asked::default().of(&engine(&text));
        assert_eq!((&denied.effect, policies(&denied)), (&Effect::Deny, vec!["team/odd"]));
        assert!(denied.fault.expect("it says why").contains("overflow"));
    }
    let alone = format!("@id(\"odd\") permit(principal, action, resource) {fails}");
    let denied = Asked::default().of(&engine(&alone));
    assert_eq!(denied.effect, Effect::Deny);
    assert!(denied.fault.is_some());
    let beside = Asked::default().of(&engine(&format!("{all}{alone}")));
    assert_eq!((&beside.effect, policies(&beside)), (&Effect::Allow, vec!["team/all"]));
}
