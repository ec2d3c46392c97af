//! Lines are spelled member by member; here they are made once more from values, and are the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::canonical::{canonical, canonical_detail, clean};
use audit::record::check;
use audit::{Content, Decided, Event, LINE_BYTES_MAX, Outcome, Phase, hex, line, moment, principal};
use model::{SeededRng, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The line of an event of which nothing is captured, with the id that was drawn for it.
fn reference(event: &Event, previous: Option<&[u8; 32]>, id: &str, cut: bool) -> String {
    let mut detail = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            detail.insert(name.to_owned(), json!(clean(&value)));
        }
    };
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    put("operation", Some(event.operation.to_string()).filter(|text| !text.is_empty()));
    put("phase", Some(event.phase.as_str().to_owned()));
    put("client", text(&event.client));
    put("endpoint", text(&event.endpoint));
    put("upstream", text(&event.upstream));
    put("trace", text(&event.trace));
    put("address", event.address.map(|address| address.to_string()));
    put("code", event.code.map(|code| code.to_string()));
    put("took_us", event.took_us.map(|took| took.to_string()));
    put("attempts", event.attempts.map(|attempts| attempts.to_string()));
    put("cut", cut.then(|| "true".to_owned()));
    let list = |all: Vec<&str>| Value::Array(all.into_iter().map(|text| json!(clean(text))).collect());
    let mut policy = "tidegate/none@0".to_owned();
    if let Some(decided) = &event.decided {
        put("decision", Some(decided.effect.to_owned()));
        put("policy_version", Some(decided.version.to_string()).filter(|text| !text.is_empty()));
        put("reason", text(&decided.reason).filter(|_| !cut));
        let policies: Vec<&str> = decided.policies.iter().map(|policy| &**policy).collect();
        if let Some(first) = policies.first() {
            policy = clean(&format!("{first}@{}", model::cut(&decided.version, 12)));
            if !cut {
                detail.insert("policies".to_owned(), list(policies));
            }
        }
    }
    if !event.actors.is_empty() && !cut {
        detail.insert("actors".to_owned(), list(event.actors.iter().map(String::as_str).collect()));
    }
    for (part, said) in [("arguments", &event.arguments), ("result", &event.result)] {
        if let Some(said) = said {
            let digest = format!("sha256:{}", hex(&said.digest));
            detail.insert(part.to_owned(), json!({"bytes": said.bytes.to_string(), "digest": digest}));
        }
    }
    if !event.details.is_empty() && !cut {
        let details = event.details.iter().map(|(key, value)| ((*key).to_owned(), json!(clean(value))));
        detail.insert("details".to_owned(), Value::Object(details.collect()));
    }
    let detail = Value::Object(detail);
    record(event, previous, id, &policy, &detail)
}

fn record(event: &Event, previous: Option<&[u8; 32]>, id: &str, policy: &str, detail: &Value) -> String {
    let evidence = seal::sha256(&canonical_detail(detail).expect("a detail"));
    let said = |name, or: &str| clean(event.details.get(name).map_or(or, String::as_str));
    let severity = match event.outcome {
        Outcome::Allowed => "info",
        Outcome::Deferred | Outcome::Error => "low",
        Outcome::Denied => "medium",
    };
    let mut core = json!({
        "event_id": id,
        "occurred_at": moment(event.at),
        "principal_id": principal(&event.tenant, &event.subject),
        "event_type": clean(event.kind),
        "tool_name": event.target.as_deref().map(clean),
        "outcome": event.outcome.as_str(),
        "extensions": {"runtime-security": {
            "drift_status": said("drift_status", "none"),
            "severity": said("severity", severity),
            "quarantine_decision": said("quarantine", "release"),
            "policy_id": policy,
            "evidence_hash": format!("sha256:{}", hex(&evidence)),
        }},
        "previous_hash": previous.map(|hash| hex(hash)),
    });
    core["event_hash"] = json!(hex(&seal::sha256(&canonical(&core).expect("a record"))));
    core["detail"] = detail.clone();
    String::from_utf8(canonical_detail(&core).expect("a line")).expect("UTF-8")
}

/// Texts as nobody should name anything.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z/_.:-]{0,12}",
        "[ \"\\\\a-z]{0,10}",
        "\\PC{0,12}",
        any::<String>(),
        Just("e\u{301}\u{1}\u{202e} ".to_owned())
    ]
}

fn shared() -> impl Strategy<Value = Option<Arc<str>>> {
    prop::option::of(any_text().prop_map(Arc::from))
}

fn content() -> impl Strategy<Value = Option<Content>> {
    prop::option::of((any::<[u8; 32]>(), any::<u64>()).prop_map(|(digest, bytes)| Content {
        digest,
        bytes,
        captured: None,
    }))
}

fn decided() -> impl Strategy<Value = Option<Decided>> {
    let effect = prop::sample::select(vec!["allow", "deny", "ask"]);
    let policies = prop::collection::vec(any_text().prop_map(Arc::from), 0..3);
    prop::option::of((effect, policies, any_text(), shared()).prop_map(
        |(effect, policies, version, reason)| Decided {
            effect,
            policies: policies.into(),
            version: version.into(),
            reason,
        },
    ))
}

prop_compose! {
    fn events()(
        (at, phase, outcome) in (0_u64..253_402_300_799_000,
            prop::sample::select(vec![Phase::Started, Phase::Completed, Phase::Single]),
            prop::sample::select(vec![Outcome::Allowed, Outcome::Denied, Outcome::Deferred, Outcome::Error])),
        (tenant, subject, operation) in (any_text(), any_text(), any_text()),
        (client, endpoint, upstream, target, trace) in (shared(), shared(), shared(), shared(), shared()),
        (arguments, result, decided) in (content(), content(), decided()),
        (code, took_us, attempts, address) in (any::<Option<i64>>(), any::<Option<u64>>(),
            any::<Option<u32>>(), any::<Option<std::net::IpAddr>>()),
        actors in prop::collection::vec(any_text(), 0..3),
        details in prop::collection::btree_map(
            prop::sample::select(vec!["drift_status", "severity", "quarantine", "lost", "why", "a"]),
            any_text(), 0..4),
    ) -> Event {
        let kind = "tool_call";
        let (tenant, subject, operation) = (tenant.into(), subject.into(), operation.into());
        Event { at: Timestamp(at), operation, phase, kind, tenant, subject, actors, client, endpoint,
            upstream, target, decided, outcome, code, arguments, result, took_us, attempts, trace, address,
            details }
    }
}

fn id_of(text: &str) -> String {
    let value: Value = serde_json::from_str(text).expect("a line is JSON");
    value["event_id"].as_str().expect("an id").to_owned()
}

proptest! {
    #[test]
    fn a_line_is_the_canonical_spelling_of_its_event(
        event in events(),
        previous in any::<Option<[u8; 32]>>(),
        seed in any::<u64>(),
    ) {
        let made = line(&event, previous.as_ref(), &SeededRng::new(seed));
        prop_assert_eq!(&made.text, &reference(&event, previous.as_ref(), &id_of(&made.text), false));
        let checked = check(made.text.as_bytes()).expect("a line that was just written");
        prop_assert_eq!(checked.hash, made.hash);
        prop_assert_eq!(checked.previous, previous);
    }
}

#[test]
fn what_is_too_long_is_left_out_of_a_line_that_says_so() {
    let mut event = Event::new("tool_call", Timestamp(1_785_240_000_000), "acme", "idp:anna");
    let long = "x".repeat(8_000);
    event.actors = vec![long.clone(); 9];
    event.details = BTreeMap::from([("why", long)]);
    event.decided = Some(Decided { effect: "deny", policies: [Arc::from("p")].into(), ..Decided::default() });
    let made = line(&event, None, &SeededRng::new(1));
    assert!(made.text.len() < LINE_BYTES_MAX, "{}", made.text.len());
    assert_eq!(made.text, reference(&event, None, &id_of(&made.text), true));
    check(made.text.as_bytes()).expect("a line that was just written");
}
