//! What is said of a decision, and what changes with other policies.

use policy::{Effect, diff};

use crate::ask::{Asked, engine};

const TEXT: &str = r#"// For the team.
@id("sales")
permit(principal in Group::"acme/sales", action, resource in Upstream::"crm");

@id("small") @reason("results are small here") @result_bytes_max("100")
forbid(principal, action, resource);
"#;

#[test]
fn the_deciding_policies_are_told_with_their_place_and_the_facts() {
    let engine = engine(TEXT);
    let asked = Asked { groups: vec!["sales".to_owned()], ..Asked::default() };
    let explained = engine.explain(&asked.question());
    let told: Vec<_> = explained.deciding.iter().map(|place| (&*place.id, place.line, place.kind)).collect();
    assert_eq!(told, [("team/small", 5, "forbid unless done"), ("team/sales", 2, "permit")]);
    assert!(explained.deciding[1].text.starts_with("@id(\"sales\")\npermit("));
    assert_eq!(explained.decision["effect"], "allow");
    assert_eq!(explained.decision["duties"], serde_json::json!({"result_bytes_max": 100}));
    assert_eq!(explained.decision["reason"], "results are small here");
    assert_eq!(explained.facts["principal"], "User::\"acme/ann\"");
    assert_eq!(explained.facts["resource"], "Tool::\"crm/lookup\"");
    assert_eq!(explained.facts["context"]["weekday"], "tuesday");
    assert!(explained.near.is_empty());
}

#[test]
fn where_nothing_permits_the_nearest_permits_say_what_is_missing() {
    let engine = engine(TEXT);
    let explained = engine.explain(&Asked::default().question());
    assert_eq!(explained.decision["effect"], "deny");
    assert_eq!((&*explained.near[0].policy.id, explained.near[0].policy.line), ("team/sales", 2));
    assert_eq!(explained.near[0].missing, ["the principal is in Group::\"acme/sales\""]);
    let elsewhere = Asked { upstream: "files".to_owned(), ..Asked::default() };
    let missing = &engine.explain(&elsewhere.question()).near[0].missing;
    assert_eq!(missing[1], "the target is in Upstream::\"crm\"");
}

#[test]
fn a_difference_is_a_decision_that_changes() {
    let asked = Asked { groups: vec!["sales".to_owned()], ..Asked::default() };
    let (old, new) = (engine(TEXT), engine(&TEXT.replace("acme/sales", "acme/support")));
    let stranger = Asked::default();
    let questions = [stranger.question(), asked.question()];
    let changes = diff(&old, &new, &questions);
    assert_eq!(changes.iter().map(|change| change.question).collect::<Vec<_>>(), [1]);
    assert_eq!((&changes[0].before.effect, &changes[0].after.effect), (&Effect::Allow, &Effect::Deny));
    assert!(diff(&old, &old, &questions).is_empty());
    assert_ne!(old.version(), new.version());
}
