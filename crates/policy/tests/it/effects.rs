//! What policies make of a question.

use policy::{Action, Effect, Engine};

use crate::ask::{Asked, engine};

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
