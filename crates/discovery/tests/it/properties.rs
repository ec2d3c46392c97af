//! What holds for every document.

use std::collections::BTreeMap;

use discovery::card::{self, Options};
use discovery::launch::{Answers, PackagePlan, Rules, package, remote};
use discovery::{catalog, mcpb, registry, server_json};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{bytes, cards, schema, servers};

/// Any value that may stand anywhere.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "(https?://)?[a-z.@:/{}%#?\\\\-]{0,20}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{"name": "x"}])),
        "x{90,110}".prop_map(Value::from),
    ]
}

/// Answers, some of which were asked for.
fn answers() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[a-zA-Z_-]{1,8}|folder|--region|PORT|host", "\\PC{0,10}", 0..5)
}

/// All pointers of a document.
fn pointers(document: &Value, at: &str, found: &mut Vec<String>) {
    let step = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match document {
        Value::Object(members) => {
            for (name, value) in members {
                found.push(step(name));
                pointers(value, &step(name), found);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                found.push(step(&n.to_string()));
                pointers(value, &step(&n.to_string()), found);
            }
        }
        _ => {}
    }
}

/// A document in which some places say something else.
fn changed(document: Value) -> impl Strategy<Value = Value> {
    let mut all = Vec::new();
    pointers(&document, "", &mut all);
    let change = (proptest::sample::select(all), values());
    proptest::collection::vec(change, 1..4).prop_map(move |changes| {
        let mut document = document.clone();
        for (pointer, value) in changes {
            if let Some(place) = document.pointer_mut(&pointer) {
                *place = value;
            }
        }
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_taken_for_a_card_without_a_word_is_one_by_its_schema(document in changed(cards::full())) {
        if let Ok(read) = card::read(&bytes(&document), Options::default()) {
            if read.remarks.is_empty() {
                prop_assert_eq!(schema::card(&document), Vec::<String>::new());
            }
            let written = card::write(&read.value);
            prop_assert_eq!(schema::card(&written.to_value()), Vec::<String>::new());
            let again = card::read(&written.bytes(), Options::default()).expect("a card");
            prop_assert_eq!(again.value, read.value);
        }
    }

    #[test]
    fn what_is_taken_for_an_entry_without_a_word_is_one_by_its_schema(document in changed(servers::full())) {
        if let Ok(read) = server_json::read(&bytes(&document)) {
            if read.remarks.is_empty() {
                prop_assert_eq!(schema::server("2025-12-11", &document), Vec::<String>::new());
            }
            let written = server_json::write(&read.value);
            prop_assert_eq!(schema::server("2025-12-11", &written.to_value()), Vec::<String>::new());
            let again = server_json::read(&written.bytes()).expect("an entry").value;
            let dated = server_json::Server { dated: read.value.dated.clone(), ..again };
            prop_assert_eq!(dated, read.value);
        }
    }

    #[test]
    fn whatever_a_package_says_its_plan_runs_its_runtime_and_its_own_package(
        document in changed(servers::full()),
        given in answers(),
    ) {
        let Ok(read) = server_json::read(&bytes(&document)) else { return Ok(()) };
        let mut answers = Answers::default();
        answers.secrets.insert("CRM_KEY".to_owned());
        answers.values = given.into_iter().map(|(key, value)| (key, vec![value])).collect();
        for one in &read.value.packages {
            let draft = package(one, "/packages/0", &answers, &Rules::default());
            let Some(PackagePlan::Command(command)) = draft.plan else { continue };
            let program = command.argv[0].as_text().expect("a program");
            prop_assert!(["npx", "uvx", "dnx", "docker"].contains(&program));
            let named = command.argv.iter().any(|argument| argument.to_string().starts_with(&one.identifier));
            prop_assert!(named, "{:?}", command.argv);
            let control = |argument: &discovery::Value| argument.to_string().contains(['\0', '\n', '\r']);
            prop_assert!(!command.argv.iter().any(control));
        }
        for one in &read.value.remotes {
            let mut answers = answers.clone();
            answers.secrets = std::collections::BTreeSet::from(["t".to_owned()]);
            if let Some(plan) = remote(one, "/remotes/0", &answers, &Rules::default()).plan {
                prop_assert!(plan.url.is_https());
                prop_assert_ne!(plan.reach, discovery::Reach::Loopback);
            }
        }
    }

    #[test]
    fn no_bytes_bring_a_reader_down(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        text in "[\\[\\]{}\",:0-9a-z\\\\]{0,200}",
    ) {
        for bytes in [bytes::Bytes::from(noise), bytes::Bytes::from(text)] {
            let _ = card::read(&bytes, Options { auth: true });
            let _ = catalog::read(&bytes);
            let _ = server_json::read(&bytes);
            let _ = registry::read_page(&bytes);
            let _ = registry::read_response(&bytes);
            let _ = mcpb::read(&bytes);
            prop_assert!(registry::read_error(&bytes).len() <= 20_000);
        }
    }

    #[test]
    fn no_cursor_that_somebody_made_up_is_more_than_a_place(cursor in "\\PC{0,60}|[A-Za-z0-9_-]{0,80}") {
        let _ = registry::query([("cursor", cursor.as_str())]);
    }

    #[test]
    fn what_is_unpacked_stays_in_its_folder(
        names in proptest::collection::vec("(\\.{1,2}|[a-cA-C]|/|\\\\|:|\\PC){0,6}", 0..6),
    ) {
        let head = |name: &str| mcpb::Head {
            name: name.as_bytes().to_vec(),
            kind: mcpb::HeadKind::File,
            size: 1,
            packed: 1,
            mode: None,
            encrypted: false,
        };
        let mut heads = vec![head("manifest.json")];
        heads.extend(names.iter().map(|name| head(name)));
        if let Ok(files) = mcpb::unpack(&heads, &mcpb::Bounds::default()) {
            let mut places = std::collections::BTreeSet::new();
            for file in files {
                let path = std::path::Path::new(&file.path);
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert!(places.insert(file.path.to_lowercase()), "one place twice");
            }
        }
    }
}
