//! Policies that are made to hurt: a clear answer, and no panic.

use policy::limits::{
    FILE_BYTES_MAX, POLICIES_MAX, POLICY_BYTES_MAX, POLICY_DEPTH_MAX, POLICY_OPERATORS_MAX,
};
use proptest::prelude::*;

use crate::refused::faults;

fn when(condition: &str) -> String {
    format!("permit(principal, action, resource) when {{ {condition} }};")
}

#[test]
fn what_is_nested_too_deep_is_refused_before_it_is_read() {
    let deep = |n: usize| when(&format!("{}true{}", "(".repeat(n), ")".repeat(n)));
    assert_eq!(faults(&deep(POLICY_DEPTH_MAX - 1)), "good: 1");
    for n in [POLICY_DEPTH_MAX, 7000] {
        let said = faults(&deep(n));
        assert!(said.contains("brackets are nested deeper than 32"), "{said}");
    }
    for (one, end) in
        [("!", "true"), ("-", "1 == 1"), ("true && ", "true"), ("if true then true else ", "true")]
    {
        let said = faults(&when(&format!("{}{end}", one.repeat(600))));
        assert!(said.contains("more than 100 operators"), "{said}");
        // As many as there may be do not exhaust the stack, whatever else is said of them.
        faults(&when(&format!("{}{end}", one.repeat(POLICY_OPERATORS_MAX - 2))));
    }
    let said = faults(&when(&format!("principal{}", ".a".repeat(6000))));
    assert!(said.contains("more than 16 members"), "{said}");
}

#[test]
fn what_is_too_much_is_refused() {
    let long = when(&format!("principal.subject == \"{}\"", "x".repeat(POLICY_BYTES_MAX)));
    assert!(faults(&long).contains("and may have 16384"));
    let large = "// nothing\n".repeat(FILE_BYTES_MAX / 8);
    assert!(faults(&large).contains("and there may be 1048576"));
    let many = "forbid(principal,action,resource);".repeat(POLICIES_MAX + 1);
    assert!(faults(&many).contains("there are more than 5000 policies"));
}

#[test]
fn texts_that_are_no_policies_are_refused_with_a_place() {
    for text in [
        "\"",
        "\"\\",
        "permit",
        ";",
        ";;;",
        "@",
        "@@id",
        "\u{0}",
        "/*",
        "permit(principal,action,resource)",
        "}",
        ")",
    ] {
        let said = faults(text);
        assert!(said.starts_with("team.cedar:1:"), "{text:?}: {said}");
    }
    assert_eq!(faults("// only a comment"), "good: 0");
}

/// Pieces of which policies are made, and what only looks like it.
const PIECES: [&str; 24] = [
    "permit",
    "forbid",
    "(",
    ")",
    "principal",
    ",",
    "action",
    "resource",
    ";",
    "when",
    "unless",
    "{",
    "}",
    "==",
    "in",
    "Action::\"call_tool\"",
    "context",
    ".arguments",
    " has amount",
    "@id(\"a\")",
    "@ask(\"caller\")",
    "\"",
    "// x\n",
    "true",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_sequence_of_pieces_makes_it_panic(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40),
    ) {
        faults(&pieces.join(" "));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        faults(&text);
    }
}
