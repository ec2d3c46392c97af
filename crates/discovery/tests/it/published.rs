//! What is told about our own endpoints.

use discovery::auth::Posture;
use discovery::card::{self, Options};
use discovery::publish::{self, Published, Record, Visibility, etag, not_modified, publish};
use discovery::{Address, Icon, Repository, catalog, contradict, server_json};
use proptest::prelude::*;
use protocol::Raw;
use serde_json::json;

use crate::{lines, schema};

fn record() -> Record {
    Record {
        name: "com.acme/crm".into(),
        version: "2.4.0".into(),
        title: Some("Acme CRM".into()),
        description: "Customer records".into(),
        endpoint: Address::parse("https://gw.acme.example/crm/mcp").expect("a URL"),
        versions: vec!["2026-07-28".into(), "2025-11-25".into()],
        visibility: Visibility::Public,
        website_url: None,
        icons: Vec::new(),
        repository: None,
        posture: Posture::Required,
        authorization_servers: vec!["https://login.acme.example".into()],
        scopes: vec!["crm:read".into()],
        meta: None,
    }
}

fn published(record: &Record) -> Published {
    publish(record, publish::Options { auth: true, ..publish::Options::default() })
        .unwrap_or_else(|faults| panic!("{:?}", lines(&faults)))
}

#[test]
fn one_record_is_told_in_all_places() {
    let published = published(&record());
    let card = published.card.as_ref().expect("a card").to_value();
    assert_eq!(card["remotes"][0]["url"], json!("https://gw.acme.example/crm/mcp"));
    assert_eq!(card["remotes"][0]["supportedProtocolVersions"], json!(["2026-07-28", "2025-11-25"]));
    assert_eq!(card["remotes"][0]["auth"], json!({"posture": "required"}));
    assert_eq!(published.card_url.as_str(), "https://gw.acme.example/crm/mcp/server-card");
    let catalog = catalog::write(&publish::catalog([&published])).to_value();
    assert_eq!(
        catalog,
        json!({"specVersion": "1.0", "entries": [{
            "identifier": "urn:air:acme.com:mcp:crm", "type": "application/mcp-server-card+json",
            "displayName": "Acme CRM", "url": "https://gw.acme.example/crm/mcp/server-card"}]})
    );
    let resource = published.resource.expect("metadata").to_value();
    assert_eq!(resource["resource"], card["remotes"][0]["url"]);
    assert_eq!(resource["authorization_servers"], json!(["https://login.acme.example"]));
}

#[test]
fn a_draft_is_declared_only_behind_its_switch() {
    let plain = publish(&record(), publish::Options::default()).expect("published");
    assert!(plain.card.expect("a card").to_value()["remotes"][0].get("auth").is_none());
}

#[test]
fn what_is_private_has_no_card_and_stands_in_no_catalog() {
    let private = published(&Record { visibility: Visibility::Private, ..record() });
    assert_eq!((&private.card, &private.entry), (&None, &None));
    assert!(publish::catalog([&private]).entries.is_empty());
    assert_eq!(schema::server("2025-12-11", &private.server.to_value()), Vec::<String>::new());
    let open = published(&Record { posture: Posture::None, ..record() });
    assert_eq!(open.resource, None, "whoever is asked nothing needs no metadata about how");
}

#[test]
fn a_record_that_can_be_told_nowhere_is_refused_and_it_is_the_operators_fault() {
    let inner = |url: &str| Address::parse(url).expect("a URL");
    for (record, told) in [
        (Record { name: "crm".into(), ..record() }, "/name: no name of a server"),
        (Record { version: "latest".into(), ..record() }, "/version: names whatever is newest"),
        (Record { description: "x".repeat(101), ..record() }, "/description: 101 characters"),
        (Record { description: String::new(), ..record() }, "/description: is empty"),
        (Record { website_url: Some("ftp://x".into()), ..record() }, "/websiteUrl: no URL"),
        (Record { endpoint: inner("http://gw.acme.example/mcp"), ..record() }, "/endpoint: a published"),
        (Record { endpoint: inner("https://10.0.0.1/mcp"), ..record() }, "/endpoint: a published"),
        (Record { endpoint: inner("https://gw.internal/mcp"), ..record() }, "/endpoint: a published"),
        (
            Record { endpoint: inner("https://gw.acme.example/mcp?x=1"), ..record() },
            "/endpoint: an endpoint with",
        ),
        (
            Record {
                icons: vec![Icon { src: "data:image/png;base64,AA==".into(), ..Icon::default() }],
                ..record()
            },
            "/icons/0/src: no URL",
        ),
    ] {
        let faults = lines(&publish(&record, publish::Options::default()).expect_err(told));
        assert!(faults.iter().any(|fault| fault.starts_with(told)), "{told}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.ends_with("(operator)")), "{faults:?}");
    }
    let local = Record { endpoint: inner("http://127.0.0.1:8080/mcp"), ..record() };
    assert!(publish(&local, publish::Options { loopback: true, ..publish::Options::default() }).is_ok());
}

#[test]
fn an_etag_is_of_the_bytes_and_is_compared_as_the_header_says() {
    let one = etag(&Raw::literal(r#"{"a":1}"#).bytes());
    assert_ne!(one, etag(&Raw::literal(r#"{"a": 1}"#).bytes()), "strong");
    assert!(one.starts_with('"') && one.ends_with('"') && one.len() == 34);
    for (header, same) in [
        (one.clone(), true),
        (format!("\"x\", {one}"), true),
        (format!("W/{one}"), true),
        ("*".to_owned(), true),
        ("\"x\"".to_owned(), false),
        (one.trim_matches('"').to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(not_modified(&header, &one), same, "{header}");
    }
}

fn records() -> impl Strategy<Value = Record> {
    let versions =
        proptest::sample::subsequence(vec!["2026-07-28", "2025-11-25", "2025-06-18", "2024-11-05"], 0..4);
    let icon =
        ("[a-z]{1,8}", proptest::option::of(Just("image/png".to_owned()))).prop_map(|(n, mime_type)| Icon {
            src: format!("https://acme.example/{n}.png"),
            mime_type,
            ..Icon::default()
        });
    let repository = "[a-z]{1,9}".prop_map(|n| Repository {
        url: format!("https://github.com/acme/{n}"),
        source: "github".into(),
        id: Some(n),
        ..Repository::default()
    });
    let names = (
        "[a-z]{1,9}(\\.[a-z0-9-]{1,9}){0,3}/[a-zA-Z0-9._-]{1,20}",
        "[0-9]{1,3}\\.[0-9]\\.[0-9](-[a-w]{1,5})?",
    );
    let texts = (proptest::option::of("\\PC{1,60}"), "\\PC{1,100}", "[a-z]{1,8}(/[a-z0-9~_-]{1,8}){0,3}/?");
    let rest = (
        versions,
        proptest::bool::ANY,
        proptest::collection::vec(icon, 0..3),
        proptest::option::of(repository),
        prop_oneof![Just(Posture::None), Just(Posture::Optional), Just(Posture::Required)],
        proptest::collection::vec("[a-z:.]{1,12}", 0..4),
    );
    (names, texts, rest).prop_map(|((name, version), (title, description, path), rest)| {
        let (versions, public, icons, repository, posture, scopes) = rest;
        Record {
            name,
            version,
            title,
            description,
            endpoint: Address::parse(&format!("https://gw.acme.example/{path}")).expect("a URL"),
            versions: versions.into_iter().map(str::to_owned).collect(),
            visibility: if public { Visibility::Public } else { Visibility::Private },
            website_url: Some("https://acme.example/".into()),
            icons,
            repository,
            posture,
            authorization_servers: vec!["https://login.acme.example".into()],
            scopes,
            meta: None,
        }
    })
}

proptest! {
    #[test]
    fn no_record_contradicts_itself_and_all_of_it_is_as_schemas_say(record in records(), auth: bool) {
        let options = publish::Options { auth, ..publish::Options::default() };
        let public = Record { visibility: Visibility::Public, ..record.clone() };
        let published = publish(&public, options).expect("published");
        let raw = published.card.as_ref().expect("a card");
        prop_assert_eq!(schema::card(&raw.to_value()), Vec::<String>::new());
        prop_assert_eq!(schema::server("2025-12-11", &published.server.to_value()), Vec::<String>::new());
        let card = card::read(&raw.bytes(), Options { auth }).expect("a card").value;
        let server = server_json::read(&published.server.bytes()).expect("an entry").value;
        let entry = published.entry.as_ref().expect("an entry");
        prop_assert_eq!(contradict::entry(&card, entry, Some(&published.card_url)), []);
        prop_assert_eq!(contradict::registry(&card, &server), []);
        if let Some(resource) = &published.resource {
            prop_assert_eq!(contradict::resource(&card, resource), []);
        }
        let info = json!({"name": record.name, "version": record.version, "title": record.title});
        let result = json!({"supportedVersions": record.versions,
                            "_meta": {"io.modelcontextprotocol/serverInfo": info}});
        let live = contradict::Live {
            url: Some(record.endpoint.clone()),
            asked_who: Some(record.posture != Posture::None),
            ..contradict::Live::read(&Raw::from_value(&result))
        };
        prop_assert_eq!(contradict::live(&card, &live), []);
        let private = Record { visibility: Visibility::Private, ..record };
        let private = publish(&private, options).expect("published");
        prop_assert!(private.card.is_none() && private.entry.is_none());
    }
}
