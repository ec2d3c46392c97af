//! Remotes that become a URL with headers.

use discovery::Reach;
use discovery::launch::{Answers, Draft, RemotePlan, Rules, remote};
use discovery::server_json::read;
use serde_json::{Value, json};

use crate::{bytes, lines};

fn draft_by(document: &Value, answers: &Answers, rules: &Rules) -> Draft<RemotePlan> {
    let server = json!({"name": "a/b", "description": "d", "version": "1", "remotes": [document]});
    let server = read(&bytes(&server)).unwrap_or_else(|faults| panic!("{document}: {:?}", lines(&faults)));
    remote(&server.value.remotes[0], "/remotes/0", answers, rules)
}

fn draft(url: &str, values: &[(&str, &str)]) -> Draft<RemotePlan> {
    let variables: serde_json::Map<String, Value> =
        values.iter().map(|(name, _)| ((*name).to_owned(), json!({}))).collect();
    let document = json!({"type": "streamable-http", "url": url, "variables": variables});
    let mut answers = Answers::default();
    for (name, value) in values {
        answers.values.insert((*name).to_owned(), vec![(*value).to_owned()]);
    }
    draft_by(&document, &answers, &Rules::default())
}

fn url(draft: &Draft<RemotePlan>) -> &str {
    draft.plan.as_ref().unwrap_or_else(|| panic!("{:?}", lines(&draft.faults))).url.as_str()
}

#[test]
fn values_stay_where_they_are_put() {
    for (template, value, result) in [
        ("https://gw.example/{v}/mcp", "eu", "https://gw.example/eu/mcp"),
        ("https://gw.example/{v}/mcp", "a b", "https://gw.example/a%20b/mcp"),
        ("https://gw.example/{v}/mcp", "a@b:c", "https://gw.example/a%40b%3Ac/mcp"),
        ("https://gw.example/mcp?k={v}", "a&b=c/../#x", "https://gw.example/mcp?k=a%26b%3Dc%2F..%2F%23x"),
        ("https://gw.example/mcp?k={v}", "\u{e9}", "https://gw.example/mcp?k=%C3%A9"),
        ("https://{v}.gw.example/mcp", "tenant-1", "https://tenant-1.gw.example/mcp"),
        ("https://{v}/mcp", "gw.example:8443", "https://gw.example:8443/mcp"),
        ("{v}/mcp", "https://gw.example/base/", "https://gw.example/base/mcp"),
    ] {
        assert_eq!(url(&draft(template, &[("v", value)])), result, "{template} {value}");
    }
}

#[test]
fn a_value_that_would_lead_somewhere_else_is_refused() {
    for (template, value) in [
        ("https://gw.example/{v}/mcp", "../admin"),
        ("https://gw.example/{v}/mcp", ".."),
        ("https://gw.example/{v}/mcp", "."),
        ("https://gw.example/{v}/mcp", "%2e%2e"),
        ("https://gw.example/{v}/mcp", "a/b"),
        ("https://gw.example/{v}/mcp", "a\\b"),
        ("https://gw.example/{v}/mcp", "a?b"),
        ("https://gw.example/{v}/mcp", "a#b"),
        ("https://gw.example/{v}/mcp", "a;b"),
        ("https://gw.example/.{v}/mcp", "."),
        ("https://gw.example/{v}/mcp", ""),
        ("https://gw.example/{v}/mcp", "a\r\nHost: b"),
        ("https://{v}.gw.example/mcp", "evil.example/"),
        ("https://{v}.gw.example/mcp", "evil.example"),
        ("https://{v}.gw.example/mcp", "a@evil"),
        ("https://{v}.gw.example/mcp", "evil.example#"),
        ("https://{v}.gw.example/mcp", "evil.example?"),
        ("https://{v}.gw.example/mcp", "-x"),
        ("https://{v}/mcp", "user@evil.example"),
        ("https://{v}/mcp", "evil.example/x"),
        ("https://{v}/mcp", "2130706433"),
        ("https://{v}/mcp", "localhost"),
        ("https://{v}/mcp", "127.0.0.1:8080"),
        ("{v}/mcp", "http://gw.example"),
        ("{v}/mcp", "https://gw.example/?x="),
        ("{v}/mcp", "javascript:alert(1)"),
        ("{v}/mcp", "https://a@b.example"),
        ("https://gw.example{v}", ".evil.example"),
        ("https://gw.example{v}", "@evil.example"),
    ] {
        // That a value ends a host's name is the template's fault; everything else is the value's.
        let draft = draft(template, &[("v", value)]);
        let ends = template == "https://gw.example{v}" && value.starts_with('.');
        if ends {
            assert!(draft.risks.iter().any(|risk| risk.contains("decides which host")), "{:?}", draft.risks);
            continue;
        }
        assert_eq!(draft.plan, None, "{template} {value}");
    }
}

#[test]
fn a_value_that_decides_the_host_is_told_of() {
    for (template, value, told) in [
        ("https://{v}.gw.example/mcp", "a", false),
        ("https://{v}/mcp", "gw.example", true),
        ("{v}/mcp", "https://gw.example", true),
        ("https://gw.example/{v}", "a", false),
    ] {
        let draft = draft(template, &[("v", value)]);
        assert_eq!(draft.risks.iter().any(|risk| risk.contains("decides which host")), told, "{template}");
    }
}

#[test]
fn a_name_that_nobody_declared_is_no_value_and_no_url() {
    let draft = draft("https://gw.example/{unknown}/mcp", &[]);
    assert_eq!(draft.plan, None);
}

#[test]
fn remotes_inside_are_named_and_this_machine_is_for_development() {
    let document = |url: &str| json!({"type": "streamable-http", "url": url});
    let none = Answers::default();
    let inner = draft_by(&document("https://10.1.2.3/mcp"), &none, &Rules::default());
    assert_eq!(inner.plan.as_ref().map(|plan| plan.reach), Some(Reach::Private));
    assert_eq!(inner.risks, ["10.1.2.3 is no host of the internet"]);
    for url in ["http://localhost:8080/mcp", "https://127.0.0.1/mcp", "http://[::1]/mcp"] {
        assert_eq!(draft_by(&document(url), &none, &Rules::default()).plan, None, "{url}");
        let rules = Rules { loopback: true, ..Rules::default() };
        assert!(draft_by(&document(url), &none, &rules).plan.is_some(), "{url}");
    }
    assert_eq!(draft_by(&document("http://gw.example/mcp"), &none, &Rules::default()).plan, None);
    assert_eq!(draft_by(&document("http://10.1.2.3/mcp"), &none, &Rules::default()).plan, None);
}

#[test]
fn headers_carry_secrets_by_name_and_nothing_that_splits_them() {
    let document = json!({"type": "sse", "url": "https://gw.example/sse", "headers": [
        {"name": "Authorization", "value": "Bearer {t}",
         "variables": {"t": {"isSecret": true, "isRequired": true}}},
        {"name": "X-Tenant", "isRequired": true},
        {"name": "X-Optional"},
    ]});
    let mut answers = Answers::default();
    answers.values.insert("X-Tenant".to_owned(), vec!["acme".to_owned()]);
    let missing = draft_by(&document, &answers, &Rules::default());
    assert_eq!(
        lines(&missing.faults),
        ["/remotes/0/headers/0/variables/t: t is needed and was not given (operator)"]
    );
    answers.secrets.insert("t".to_owned());
    let whole = draft_by(&document, &answers, &Rules::default());
    let plan = whole.plan.as_ref().expect("a plan");
    let headers: Vec<String> = plan.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(headers, ["Authorization: Bearer [secret t]", "X-Tenant: acme"]);
    assert!(!serde_json::to_string(&whole).expect("JSON").contains("\u{0}"));
    for hostile in ["a\r\nX-Admin: 1", "a\nb", "\u{e9}", "\0"] {
        answers.values.insert("X-Tenant".to_owned(), vec![hostile.to_owned()]);
        assert_eq!(draft_by(&document, &answers, &Rules::default()).plan, None, "{hostile:?}");
    }
}

#[test]
fn a_secret_in_a_url_is_refused() {
    let document = json!({"type": "streamable-http", "url": "https://gw.example/{key}/mcp",
                          "variables": {"key": {"isSecret": true, "isRequired": true}}});
    let mut answers = Answers::default();
    answers.secrets.insert("key".to_owned());
    let draft = draft_by(&document, &answers, &Rules::default());
    assert_eq!(draft.plan, None);
    assert!(lines(&draft.faults)[0].contains("a secret in a URL"), "{:?}", draft.faults);
}

#[test]
fn an_optional_variable_of_a_url_is_needed_all_the_same() {
    let document = json!({"type": "sse", "url": "https://gw.example/{v}", "variables": {"v": {}}});
    let draft = draft_by(&document, &Answers::default(), &Rules::default());
    assert_eq!(draft.plan, None);
    assert!(lines(&draft.faults)[0].contains("v is needed"), "{:?}", draft.faults);
}
