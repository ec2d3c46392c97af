//! What is said in one place and denied in another.

use discovery::card::{self, Card, Options};
use discovery::catalog;
use discovery::contradict::{Contradiction, Live, Severity, entry, live, registry, resource};
use discovery::remote::RemoteKind;
use discovery::{Address, server_json};
use protocol::Raw;
use serde_json::{Value, json};

use crate::{bytes, cards, with};

fn card_of(document: &Value) -> Card {
    card::read(&bytes(document), Options { auth: true }).expect("a card").value
}

/// A card of one remote without variables.
fn plain() -> Value {
    let remote = json!({"type": "streamable-http", "url": "https://gw.acme.example/crm/mcp",
                        "supportedProtocolVersions": ["2026-07-28", "2025-11-25"]});
    with(&cards::full(), "/remotes", json!([remote]))
}

fn about(found: &[Contradiction]) -> Vec<(&str, Severity)> {
    found.iter().map(|one| (one.about, one.severity)).collect()
}

fn discovered(info: Value, versions: Value) -> Live {
    let result = json!({"resultType": "complete", "supportedVersions": versions, "capabilities": {},
                        "_meta": {"io.modelcontextprotocol/serverInfo": info}});
    Live {
        url: Some(Address::parse("https://gw.acme.example/crm/mcp").expect("a URL")),
        transport: Some(RemoteKind::StreamableHttp),
        ..Live::read(&Raw::from_value(&result))
    }
}

fn honest() -> Live {
    let info = json!({"name": "com.acme/crm", "version": "2.4.0", "title": "Acme CRM"});
    discovered(info, json!(["2026-07-28", "2025-11-25"]))
}

#[test]
fn an_honest_server_contradicts_nothing() {
    assert_eq!(live(&card_of(&plain()), &honest()), []);
    let short = discovered(json!({"name": "crm", "version": "2.4.0"}), json!(["2026-07-28", "2025-11-25"]));
    assert_eq!(live(&card_of(&plain()), &short), [], "the name after the slash is its name, too");
    assert_eq!(live(&card_of(&plain()), &Live::default()), [], "who says nothing denies nothing");
    // A legacy server tells the one revision that was agreed on.
    let initialized =
        json!({"protocolVersion": "2025-11-25", "serverInfo": {"name": "crm", "version": "2.4.0"}});
    let legacy = Live { url: honest().url, ..Live::read(&Raw::from_value(&initialized)) };
    assert!(legacy.legacy);
    assert_eq!(live(&card_of(&plain()), &legacy), []);
}

#[test]
fn a_live_server_that_says_something_else_is_told_of() {
    use Severity::{Note, Serious, Warning};
    let url = |text: &str| Some(Address::parse(text).expect("a URL"));
    for (one, expected) in [
        (Live { name: Some("other".into()), ..honest() }, ("name", Warning)),
        (Live { version: Some("2.4.1".into()), ..honest() }, ("version", Warning)),
        (Live { title: Some("Acme".into()), ..honest() }, ("title", Note)),
        (Live { transport: Some(RemoteKind::Sse), ..honest() }, ("transport", Warning)),
        (Live { url: url("https://gw.acme.example/other"), ..honest() }, ("remotes", Warning)),
        (Live { url: url("https://evil.example/crm/mcp"), ..honest() }, ("remotes", Serious)),
        (Live { versions: vec!["2026-07-28".into()], ..honest() }, ("supportedProtocolVersions", Warning)),
    ] {
        assert_eq!(about(&live(&card_of(&plain()), &one)), [expected]);
    }
    let more =
        Live { versions: vec!["2026-07-28".into(), "2025-11-25".into(), "2027-01-01".into()], ..honest() };
    assert_eq!(about(&live(&card_of(&plain()), &more)), [("supportedProtocolVersions", Note)]);
    let legacy = Live { versions: vec!["2024-11-05".into()], legacy: true, ..honest() };
    assert_eq!(about(&live(&card_of(&plain()), &legacy)), [("supportedProtocolVersions", Warning)]);
    for (posture, asked, told) in
        [("none", true, true), ("none", false, false), ("required", false, true), ("optional", true, false)]
    {
        let card = card_of(&with(&plain(), "/remotes/0/auth", json!({"posture": posture})));
        let one = Live { asked_who: Some(asked), ..honest() };
        assert_eq!(!live(&card, &one).is_empty(), told, "{posture} {asked}");
    }
}

#[test]
fn a_url_with_variables_may_have_led_to_many_places_but_not_to_all() {
    let card = card_of(&cards::full());
    for (url, led) in [
        ("https://gw.acme.example/eu/crm/mcp", true),
        ("https://gw.acme.example/us/crm/mcp", true),
        ("https://gw.acme.example/crm/mcp", false),
        ("https://gw.acme.example/eu/crm/mcp/more", false),
        ("https://evil.example/eu/crm/mcp", false),
    ] {
        let one = Live { url: Some(Address::parse(url).expect("a URL")), ..Live::default() };
        assert_eq!(live(&card, &one).is_empty(), led, "{url}");
    }
}

#[test]
fn a_catalog_that_says_something_else_is_told_of() {
    use Severity::{Note, Serious, Warning};
    let card = card_of(&plain());
    let read = |more: Value| {
        let mut document = json!({"identifier": "urn:air:acme.com:mcp:crm", "displayName": "Acme CRM",
            "type": "application/mcp-server-card+json",
            "url": "https://gw.acme.example/crm/mcp/server-card"});
        document.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        let document = json!({"specVersion": "1.0", "entries": [document]});
        catalog::read(&bytes(&document)).expect("a catalog").value.entries.remove(0)
    };
    let fetched = Address::parse("https://gw.acme.example/crm/mcp/server-card").expect("a URL");
    assert_eq!(entry(&card, &read(json!({})), Some(&fetched)), []);
    assert_eq!(entry(&card, &read(json!({"identifier": "urn:uuid:x"})), None), []);
    for (more, expected) in [
        (json!({"type": "application/a2a-agent-card+json"}), ("type", Serious)),
        (json!({"version": "1.0.0"}), ("version", Warning)),
        (json!({"displayName": "Other"}), ("title", Note)),
        (json!({"identifier": "urn:air:evil.example:mcp:crm"}), ("identifier", Warning)),
        (json!({"identifier": "urn:air:acme.com:mcp:erp"}), ("identifier", Warning)),
        (json!({"url": "https://other.example/card"}), ("url", Warning)),
    ] {
        assert_eq!(about(&entry(&card, &read(more.clone()), Some(&fetched))), [expected], "{more}");
    }
}

#[test]
fn a_registry_that_says_something_else_is_told_of() {
    use Severity::{Note, Serious, Warning};
    let card = card_of(&plain());
    let same = {
        let mut document = plain();
        document["$schema"] = json!(server_json::SERVER_SCHEMA);
        document
    };
    let compare =
        |document: &Value| registry(&card, &server_json::read(&bytes(document)).expect("an entry").value);
    assert_eq!(compare(&same), []);
    for (pointer, value, expected) in [
        ("/name", json!("com.evil/crm"), vec![("name", Serious)]),
        ("/version", json!("2.3.0"), vec![("version", Warning)]),
        ("/title", json!("Other"), vec![("title", Note)]),
        ("/description", json!("Other"), vec![("description", Note)]),
        ("/websiteUrl", json!("https://evil.example/"), vec![("websiteUrl", Warning)]),
        ("/repository/url", json!("https://github.com/evil/crm"), vec![("repository", Warning)]),
        ("/repository/id", json!("8"), vec![("repository", Serious)]),
        ("/icons", json!([{"src": "https://evil.example/i.png"}]), vec![("icons", Note)]),
        ("/remotes/0/type", json!("sse"), vec![("transport", Warning)]),
        ("/remotes/0/headers", json!([{"name": "X", "isRequired": true}]), vec![("headers", Warning)]),
        (
            "/remotes/0/supportedProtocolVersions",
            json!(["2025-11-25"]),
            vec![("supportedProtocolVersions", Note)],
        ),
        (
            "/remotes/0/url",
            json!("https://evil.example/mcp"),
            vec![("remotes", Serious), ("remotes", Serious)],
        ),
        (
            "/remotes/0/url",
            json!("https://gw.acme.example/x"),
            vec![("remotes", Warning), ("remotes", Warning)],
        ),
        ("/remotes", json!([]), vec![]),
    ] {
        assert_eq!(about(&compare(&with(&same, pointer, value))), expected, "{pointer}");
    }
}

#[test]
fn metadata_about_another_resource_is_serious() {
    let card = card_of(&plain());
    let metadata = |resource: &str| Raw::from_value(&json!({"resource": resource}));
    assert_eq!(resource(&card, &metadata("https://gw.acme.example/crm/mcp")), []);
    assert_eq!(
        about(&resource(&card, &metadata("https://evil.example/"))),
        [("resource", Severity::Serious)]
    );
    assert_eq!(resource(&card, &Raw::literal("{}")), []);
}

#[test]
fn foreign_words_are_shown_harmless_and_bounded() {
    let title = "\u{1b}]0;x\u{7}\u{202e}".repeat(200);
    let one = Live { title: Some(title), versions: (0..50).map(|n| format!("v{n}")).collect(), ..honest() };
    let found = live(&card_of(&plain()), &one);
    assert!(found.len() <= 100);
    for one in &found {
        assert!(
            one.what.len() < 2_000 && !one.what.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{}",
            one.what
        );
    }
}
