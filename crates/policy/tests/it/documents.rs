//! The page on policies: every policy on it is a good one.

use std::collections::BTreeMap;

use policy::{ANNOTATIONS, ArgumentType, Effect, Engine, Options, PRESETS, PolicyFile, preset};

use crate::ask::Asked;

const PAGE: &str = include_str!("../../../../docs/policy.md");

fn blocks(kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    PAGE.split(&*begin).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn every_policy_on_the_page_is_good() {
    let inner = BTreeMap::from([("force".to_owned(), ArgumentType::Boolean)]);
    let arguments = BTreeMap::from([
        ("amount".to_owned(), ArgumentType::Long),
        ("path".to_owned(), ArgumentType::String),
        ("recipients".to_owned(), ArgumentType::Strings),
        ("options".to_owned(), ArgumentType::Record(inner)),
    ]);
    let blocks = blocks("cedar");
    assert_eq!(blocks.len(), 3);
    for text in blocks {
        let file = PolicyFile { name: "team.cedar".to_owned(), text: text.to_owned() };
        let options = Options { arguments: arguments.clone(), ..Options::default() };
        let engine = Engine::load(vec![file], options).unwrap_or_else(|faults| panic!("{text}: {faults:#?}"));
        assert!(engine.len() >= 3);
    }
}

#[test]
fn every_annotation_and_preset_is_on_the_page() {
    for name in ANNOTATIONS {
        assert!(PAGE.contains(&format!("`@{name}(\"")), "{name}");
    }
    for preset in PRESETS {
        assert!(PAGE.contains(&format!("| `{}` |", preset.name)), "{}", preset.name);
    }
}

fn presets(names: &[&str]) -> Engine {
    let files = names.iter().map(|name| preset(name).expect("a preset")).collect();
    Engine::load(files, Options::default()).expect("shipped policies are good")
}

#[test]
fn presets_do_what_they_say() {
    let effect = |engine: &Engine, asked: &Asked| asked.of(engine).effect;
    let hinted = |read_only, destructive| Asked {
        hints: policy::ToolHints { read_only, destructive, ..Default::default() },
        ..Asked::default()
    };
    let labelled = |label: &str| Asked { labels: vec![label.to_owned()], ..Asked::default() };
    assert_eq!(effect(&presets(&["read-only"]), &hinted(Some(true), None)), Effect::Deny);
    let read_only = presets(&["everyone", "read-only"]);
    assert_eq!(effect(&read_only, &hinted(Some(true), None)), Effect::Allow);
    assert_eq!(effect(&read_only, &labelled("read-only")), Effect::Allow);
    assert_eq!(effect(&read_only, &Asked::default()), Effect::Deny);
    let approval = presets(&["everyone", "no-destructive-without-approval"]);
    for (asked, asks) in [
        (Asked::default(), true),
        (hinted(None, Some(true)), true),
        (hinted(None, Some(false)), false),
        (hinted(Some(true), None), false),
        (labelled("safe"), false),
    ] {
        assert_eq!(matches!(effect(&approval, &asked), Effect::Ask(_)), asks, "{asked:?}");
    }
    let teams = presets(&["everyone", "per-team-tools"]);
    let own = Asked { groups: vec!["sales".to_owned()], ..labelled("sales") };
    assert_eq!(effect(&teams, &own), Effect::Allow);
    assert_eq!(effect(&teams, &labelled("everyone")), Effect::Allow);
    assert_eq!(effect(&teams, &labelled("sales")), Effect::Deny);
    assert_eq!(effect(&teams, &Asked { groups: vec!["sales".to_owned()], ..Asked::default() }), Effect::Deny);
    let operator = Asked {
        kind: "operator",
        action: policy::Action::View,
        name: "tasks".to_owned(),
        ..Asked::default()
    };
    assert_eq!(effect(&presets(&["everyone"]), &operator), Effect::Deny);
    assert_eq!(effect(&presets(&["operators"]), &operator), Effect::Allow);
}
