//! What policies see of arguments, and what becomes of those that are not as declared.

use std::collections::BTreeMap;

use policy::{ArgumentType, Decision, Effect, Engine, Options};

use crate::ask::{Asked, with};

fn options() -> Options {
    let inner = BTreeMap::from([("force".to_owned(), ArgumentType::Boolean)]);
    let arguments = BTreeMap::from([
        ("amount".to_owned(), ArgumentType::Long),
        ("path".to_owned(), ArgumentType::String),
        ("to".to_owned(), ArgumentType::Strings),
        ("options".to_owned(), ArgumentType::Record(inner)),
    ]);
    Options { arguments, ..Options::default() }
}

fn engine(text: &str) -> Engine {
    with(text, options())
}

fn decide(engine: &Engine, arguments: &str) -> Decision {
    Asked { arguments: Some(arguments.to_owned()), ..Asked::default() }.of(engine)
}

const LIMIT: &str = r#"
    @id("all") permit(principal, action, resource);
    @id("limit") forbid(principal, action == Action::"call_tool", resource)
    when { context.arguments has amount && context.arguments.amount > 100 };
"#;

#[test]
fn a_rule_on_an_argument_cannot_be_stepped_around_by_another_spelling() {
    let engine = engine(LIMIT);
    for (arguments, allowed) in [
        ("{}", true),
        ("", true),
        (r#"{"amount": 100}"#, true),
        (r#"{"amount": null}"#, true),
        (r#"{"other": "x", "amount": 7}"#, true),
        (r#"{"amount": 101}"#, false),
        (r#"{"am\u006funt": 101}"#, false),
        (r#"{"amount": "101"}"#, false),
        (r#"{"amount": 1e3}"#, false),
        (r#"{"amount": 100.5}"#, false),
        (r#"{"amount": 99999999999999999999999}"#, false),
        (r#"{"amount": [1]}"#, false),
        (r#"{"amount": {}}"#, false),
        (r#"{"amount": 1, "amount": 101}"#, false),
        (r#"{"amount": 101, "amount": 1}"#, false),
        (r#"{"amount": null, "amount": 101}"#, false),
        (r#"[{"amount": 1}]"#, false),
        (r#"{"amount": 1"#, false),
        (r#"{"amount": 1} {"amount": 101}"#, false),
    ] {
        let decision = decide(&engine, arguments);
        assert_eq!(decision.effect == Effect::Allow, allowed, "{arguments}: {decision:?}");
    }
    let said = decide(&engine, r#"{"amount": "101"}"#);
    assert_eq!(
        said.fault.as_deref(),
        Some("the argument \"amount\" is not of its declared type, and policy team/limit reads it")
    );
    let deep = format!(r#"{{"other": {}1{}}}"#, "[".repeat(70), "]".repeat(70));
    assert_eq!(decide(&engine, &deep).effect, Effect::Deny);
}

#[test]
fn a_permit_that_reads_an_odd_argument_permits_nothing_and_hurts_no_other() {
    let text = r#"@id("small") permit(principal, action == Action::"call_tool", resource)
        unless { context.arguments has amount && context.arguments.amount > 100 };"#;
    let alone = engine(text);
    assert_eq!(decide(&alone, "{}").effect, Effect::Allow);
    let denied = decide(&alone, r#"{"amount": "7"}"#);
    assert_eq!(denied.effect, Effect::Deny);
    assert!(denied.fault.expect("it says why").contains("policy team/small reads it"));
    let both = engine(&format!("{text}\n@id(\"any\") permit(principal, action, resource);"));
    let allowed = decide(&both, r#"{"amount": "7"}"#);
    assert_eq!((allowed.effect, &*allowed.policies[0]), (Effect::Allow, "team/any"));
}

#[test]
fn an_odd_argument_that_no_policy_reads_does_not_matter() {
    let engine = engine(LIMIT);
    assert_eq!(decide(&engine, r#"{"path": 7, "to": {}}"#).effect, Effect::Allow);
}

#[test]
fn texts_lists_and_members_of_members_are_seen() {
    let engine = engine(
        r#"permit(principal, action, resource);
        forbid(principal, action == Action::"call_tool", resource)
        when { context.arguments has path && context.arguments.path like "/etc/*" };
        forbid(principal, action == Action::"call_tool", resource)
        when { context.arguments has to && context.arguments.to.contains("all@acme") };
        forbid(principal, action == Action::"call_tool", resource)
        when { context.arguments has options.force && context.arguments.options.force };"#,
    );
    for (arguments, allowed) in [
        (r#"{"path": "/tmp/x"}"#, true),
        (r#"{"path": "/etc/passwd"}"#, false),
        (r#"{"to": ["a", "b"]}"#, true),
        (r#"{"to": ["a", "all@acme"]}"#, false),
        (r#"{"to": "all@acme"}"#, false),
        (r#"{"to": [1]}"#, false),
        (r#"{"options": {"force": false, "more": 1}}"#, true),
        (r#"{"options": {"force": true}}"#, false),
        (r#"{"options": {"force": "true"}}"#, false),
        (r#"{"options": {"force": false, "force": true}}"#, false),
        (r#"{"options": true}"#, false),
    ] {
        assert_eq!(decide(&engine, arguments).effect == Effect::Allow, allowed, "{arguments}");
    }
}

#[test]
fn in_a_list_a_tool_is_seen_that_some_arguments_may_be_called_with() {
    let engine = engine(
        r#"permit(principal in Group::"acme/sales", action == Action::"call_tool",
               resource in Upstream::"crm")
        when { principal.bound && context.arguments has amount && context.arguments.amount < 100 };
        forbid(principal, action, resource == Tool::"crm/never");
        forbid(principal, action == Action::"call_tool", resource)
        when { context.arguments has path && context.arguments.path like "/etc/*" };"#,
    );
    let asked = Asked { arguments: None, groups: vec!["sales".to_owned()], bound: true, ..Asked::default() };
    assert_eq!(asked.of(&engine).effect, Effect::Allow);
    for unseen in [
        Asked { groups: Vec::new(), ..asked.clone() },
        Asked { bound: false, ..asked.clone() },
        Asked { name: "never".to_owned(), ..asked.clone() },
        Asked { upstream: "files".to_owned(), ..asked.clone() },
        // Without arguments nothing is permitted: only the list is shown.
        Asked { arguments: Some("{}".to_owned()), ..asked.clone() },
    ] {
        assert_eq!(unseen.of(&engine).effect, Effect::Deny, "{unseen:?}");
    }
}
