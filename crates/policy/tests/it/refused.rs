//! Policies that are wrong: what is said, and where.

use std::collections::{BTreeMap, BTreeSet};

use policy::{ArgumentType, Engine, Options, PolicyFile};

/// Everything that is said about one file.
pub fn faults(text: &str) -> String {
    let set = |list: &[&str]| Some(list.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    let arguments = BTreeMap::from([
        ("amount".to_owned(), ArgumentType::Long),
        ("path".to_owned(), ArgumentType::String),
    ]);
    let options = Options {
        arguments,
        upstreams: set(&["crm", "files"]),
        endpoints: set(&["mcp", "crm", "files", "support"]),
        detectors: set(&["secrets", "pii"]),
    };
    let file = PolicyFile { name: "team.cedar".to_owned(), text: text.to_owned() };
    match Engine::load(vec![file], options) {
        Ok(engine) => format!("good: {}", engine.len()),
        Err(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[track_caller]
fn says(text: &str, expected: &str) {
    assert_eq!(faults(text), expected, "{text}");
}

#[test]
fn what_does_not_parse_has_a_place() {
    says(
        "// a comment\npermit(principal, action, resource)\nwhen { principal. };",
        "team.cedar:3:19: unexpected token `}`: expected identifier",
    );
    says(
        "permit(principal, action, resource",
        "team.cedar:1:35: unexpected end of input: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, \
         `in`, or `is`",
    );
}

#[test]
fn what_contradicts_the_schema_has_a_place() {
    let said = faults(
        "permit(principal, action, resource);\n\n\
         permit(principal, action, resource)\nwhen { principal.age > 3 };",
    );
    assert!(said.starts_with("team.cedar:4:8: attribute `age`"), "{said}");
    let said = faults("permit(principal, action == Action::\"call_tol\", resource);");
    assert!(said.contains("team.cedar:1:29") && said.contains("call_tol"), "{said}");
    let said = faults("permit(principal, action, resource) when { principal.subject > 3 };");
    assert!(said.starts_with("team.cedar:1:44: "), "{said}");
}

#[test]
fn what_refers_to_nothing_is_a_fault() {
    says(
        "permit(principal, action,\n  resource in Upstream::\"crn\");",
        "team.cedar:2:26: there is no upstream \"crn\"; did you mean \"crm\"?",
    );
    says(
        "permit(principal, action, resource in Endpoint::\"nowhere\");",
        "team.cedar:1:50: there is no endpoint \"nowhere\"",
    );
    says(
        "permit(principal, action, resource == Tool::\"lookup\");",
        "team.cedar:1:45: Tool::\"lookup\" does not say which upstream's; write Tool::\"upstream/lookup\"",
    );
    says(
        "permit(principal in Group::\"security\", action, resource);",
        "team.cedar:1:28: Group::\"security\" does not say in which tenant; write \
         Group::\"tenant/security\"; \
         where there are no tenants, that of all is \"default\"",
    );
    says(
        "permit(principal, action == Action::\"call_tool\", resource)\n\
         when { resource.upstream == \"file\" };",
        "team.cedar:2:30: there is no upstream \"file\"; did you mean \"files\"?",
    );
    says(
        "@detect_results(\"secret\")\nforbid(principal, action, resource);",
        "team.cedar:1:18: there is no detector \"secret\"; did you mean \"secrets\"?",
    );
    says(
        "permit(principal, action, resource)\nwhen { context.arguments has amout };",
        "team.cedar:2:30: the argument \"amout\" is not declared; did you mean \"amount\"?",
    );
}

#[test]
fn a_policy_that_can_never_matter_is_a_fault() {
    let said = faults("forbid(principal, action == Action::\"call_tool\", resource is Prompt);");
    assert!(said.starts_with("team.cedar:1:1: "), "{said}");
    let said = faults("forbid(principal, action, resource) when { 1 == 2 };");
    assert!(said.starts_with("team.cedar:1:"), "{said}");
}

#[test]
fn annotations_are_known_ones_with_a_meaning() {
    let on = |annotation: &str| faults(&format!("@{annotation}\nforbid(principal, action, resource);"));
    assert_eq!(
        on("rdact_results(\"/a\")"),
        "team.cedar:1:1: there is no annotation @rdact_results; did you mean \"redact_results\"?"
    );
    assert_eq!(
        on("redact_results(\"a\")"),
        "team.cedar:1:1: \"a\" is no JSON pointer; a pointer begins with \"/\", as in \"/customer/email\""
    );
    assert_eq!(
        on("ask(\"everybody\")"),
        "team.cedar:1:1: \"everybody\" says not whom to ask; write \"caller\", \"caller: page\", or \
         \"groups: security, oncall\""
    );
    assert_eq!(
        on("stands(\"5m\")"),
        "team.cedar:1:1: @stands has no meaning without @ask; add @ask(\"caller\") or @ask(\"groups: …\")"
    );
    assert_eq!(
        on("ask(\"caller\") @stands(\"8d\")"),
        "team.cedar:1:16: not a time that a question can stand; write a time such as \"15m\", \"8h\" or \
         \"2d\"; at most 7d"
    );
    assert_eq!(
        on("result_bytes_max(\"many\")"),
        "team.cedar:1:1: \"many\" is no number of bytes; write for example \"65536\""
    );
    assert_eq!(
        on("require(\"luck\")"),
        "team.cedar:1:1: \"luck\" cannot be required; the one thing that can be required is \"bound_proof\""
    );
    assert_eq!(
        on("require_sign_in(\"soon\")"),
        "team.cedar:1:1: \"soon\" is no time; write for example \"15m\""
    );
    assert_eq!(
        on("capture(\"false\")"),
        "team.cedar:1:1: \"false\" is not \"true\"; leave @capture out, or write \"true\""
    );
    says(
        "@ask(\"caller\")\npermit(principal, action, resource);",
        "team.cedar:1:1: @ask has no meaning on a permit; write it on a forbid, which then denies unless the \
         duty is carried out",
    );
}

#[test]
fn names_of_policies_are_each_anothers() {
    says(
        "@id(\"a\") permit(principal, action, resource);\n@id(\"a\") forbid(principal, action, resource);",
        "team.cedar:2:1: there is another policy \"team/a\", at team.cedar:1; give it another @id",
    );
    says(
        "permit(principal == ?principal, action, resource);",
        "team.cedar:1:21: templates are not supported; write a name for ?principal or ?resource",
    );
}
