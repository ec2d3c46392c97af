//! Entries on their way to an object store and to a collector.

use std::sync::Arc;
use std::time::Duration;

use recorder::{Bucket, Export, Format, Sending};
use serde_json::{Value, json};

use crate::World;
use crate::exports::{Receiver, Way, all_delivered, exporting, figures, http, in_order, record, sending};

fn bucket(endpoint: &http::Uri) -> Bucket {
    Bucket {
        endpoint: format!("http://{}", endpoint.authority().expect("a host")).parse().expect("a URL"),
        name: "audit-logs".to_owned(),
        prefix: "tidegate/".to_owned(),
        region: "eu-central-1".to_owned(),
        key_id: "AKIDEXAMPLE".to_owned(),
        secret: "wJalrXUtnFEMI".to_owned(),
        token: Some("of-a-session".to_owned()),
    }
}

#[tokio::test]
async fn a_batch_is_an_object_and_what_is_sent_again_takes_its_own_place() {
    use Way::{Close, Refuse, Take, TakeInSilence};
    let receiver = Receiver::new(&[TakeInSilence, Refuse, Take, TakeInSilence, TakeInSilence, Close]);
    let url = http(Arc::clone(&receiver)).await;
    let world = World::new();
    let export = Export::to_s3(sending("lake"), bucket(&url), None).expect("an export");
    let recorder = world.start(exporting(export));
    record(&recorder, "acme", 2).await;
    receiver.wait_for("acme", 1).await;
    // What came in between belongs to the next object.
    record(&recorder, "acme", 9).await;
    all_delivered(&recorder, 11).await;
    record(&recorder, "../x", 1).await;
    all_delivered(&recorder, 12).await;
    recorder.stop().await;

    let objects = receiver.objects.lock().expect("it is there");
    let mut places = Vec::new();
    for (path, (body, _)) in objects.iter().filter(|(path, _)| path.contains("/acme/")) {
        let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let indices: Vec<u64> = lines.iter().map(|line| line["index"].as_u64().expect("a place")).collect();
        let (first, last) = (indices[0], indices[indices.len() - 1]);
        assert_eq!(*path, format!("/audit-logs/tidegate/acme/{first:020}-{last:020}.jsonl"));
        places.extend(indices);
    }
    assert_eq!(places, (0..11).collect::<Vec<u64>>(), "each in one object: {:?}", objects.keys());
    assert!(objects.values().any(|(_, puts)| *puts > 1), "some were put again");
    let other = objects.keys().find(|path| !path.contains("/acme/")).expect("the other tenant's");
    assert!(other.starts_with("/audit-logs/tidegate/..%252Fx/"), "{other}");
    let heads = receiver.heads.lock().expect("it is there");
    for head in heads.iter() {
        assert!(head.starts_with("PUT /audit-logs/"), "{head}");
        assert!(head.contains("x-amz-security-token: of-a-session") && !head.contains("wJalr"), "{head}");
        let signed = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
        assert!(head.contains(signed), "{head}");
    }
}

#[tokio::test]
async fn entries_are_log_records_for_a_collector_and_what_it_rejects_is_not_sent_again() {
    let receiver = Receiver::new(&[Way::Refuse, Way::Take, Way::Reject(2), Way::Take]);
    let url = http(Arc::clone(&receiver)).await;
    let world = World::new();
    let token = (http::header::AUTHORIZATION, http::HeaderValue::from_static("Bearer one"));
    let sending = Sending { format: Format::Ocsf, timeout: Duration::from_secs(5), ..sending("otel") };
    let export = Export::to_otlp(sending, &url, "gate".to_owned(), vec![token], None).expect("an export");
    let recorder = world.start(exporting(export));
    record(&recorder, "acme", 9).await;
    all_delivered(&recorder, 9).await;
    let told = figures(&recorder);
    recorder.stop().await;
    assert_eq!((told.delivered, told.missed), (9, 2), "two were rejected for good");
    assert!(receiver.heads.lock().expect("it is there").iter().all(|head| {
        head.starts_with("POST /in/v1/logs HTTP/1.1") && head.contains("authorization: Bearer one")
    }));
    let bodies = receiver.lines.lock().expect("it is there");
    let requests = bodies.iter().map(|body| serde_json::from_str::<Value>(body).expect("JSON"));
    let mut places = Vec::new();
    for request in requests {
        let resource = &request["resourceLogs"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "gate");
        for record in resource["scopeLogs"][0]["logRecords"].as_array().expect("records") {
            let attributes = record["attributes"].as_array().expect("attributes");
            let get = |key: &str| {
                let found = attributes.iter().find(|attribute| attribute["key"] == key);
                found.map(|found| found["value"].clone()).expect("it is there")
            };
            assert_eq!(get("tidegate.audit.log"), json!({"stringValue": "acme"}));
            assert_eq!(get("tidegate.audit.tool"), json!({"stringValue": "export"}));
            assert_eq!(record["eventName"], "tidegate.audit.tool_call");
            assert_eq!(record["timeUnixNano"], "1795416480123000000");
            let body = record["body"]["stringValue"].as_str().expect("a line");
            let line: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(line["class_uid"], 6003);
            let index = get("tidegate.audit.index")["intValue"].as_str().expect("digits").parse();
            places.push(index.expect("a number"));
        }
    }
    in_order(&places, 9);
}

/// A service of others, which `moto_server` of the Python package index is: `TIDEGATE_TEST_S3` has its URL,
/// and it checks signatures with the service's own library.
#[tokio::test]
#[ignore = "needs a service of others: TIDEGATE_TEST_S3"]
async fn a_service_of_others_takes_objects_by_their_signature_and_no_others() {
    let name = |key: &str| std::env::var(key).expect("it is set");
    let endpoint = name("TIDEGATE_TEST_S3").parse().expect("a URL");
    let own = Bucket {
        key_id: name("TIDEGATE_TEST_S3_KEY_ID"),
        secret: name("TIDEGATE_TEST_S3_KEY"),
        region: "us-east-1".to_owned(),
        token: None,
        ..bucket(&endpoint)
    };
    let wrong = Bucket { secret: "another".to_owned(), ..own.clone() };
    let world = World::new();
    // Signatures are good for a quarter of an hour only.
    let now = std::time::UNIX_EPOCH.elapsed().expect("later than 1970");
    world.clock.advance(now.saturating_sub(Duration::from_millis(crate::NOW.0)));
    let export = Export::to_s3(sending("wrong"), wrong, None).expect("an export");
    let recorder = world.start(exporting(export));
    record(&recorder, "a b/ö", 5).await;
    while figures(&recorder).failed < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(figures(&recorder).delivered, 0);
    recorder.stop().await;
    let export = Export::to_s3(sending("lake"), own, None).expect("an export");
    let recorder = world.start(exporting(export));
    all_delivered(&recorder, 5).await;
    recorder.stop().await;
}
