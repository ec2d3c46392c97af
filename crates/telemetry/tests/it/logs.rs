//! The audit log as log records: read by the official schema, which this crate alone may name.

use std::sync::Arc;
use std::time::Duration;

use audit::{Event, Outcome, Recorder as _};
use model::{ManualClock, SeededRng, Timestamp};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use recorder::{Export, Format, Options, Recorder, Sending};

use crate::collector::Collector;

const NOW: Timestamp = Timestamp(1_795_416_480_123);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn text(record: &LogRecord, key: &str) -> String {
    let found = record.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.clone()).and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test]
async fn entries_of_the_audit_log_are_log_records_by_the_official_schema() {
    let collector = Collector::start().await;
    let sending = Sending {
        name: Arc::from("otel"),
        format: Format::JsonLines,
        tenants: Arc::new(|_| true),
        batch: 2,
        timeout: Duration::from_secs(20),
        pause_max: Duration::from_secs(1),
    };
    let url = collector.url().parse().expect("a URL");
    let export = Export::to_otlp(sending, &url, "gate".to_owned(), Vec::new(), None).expect("an export");
    let recorder = Recorder::start(
        Arc::new(store::Memory::new()),
        Arc::new(ManualClock::at(NOW)),
        Arc::new(SeededRng::new(1)),
        Arc::new(seal::KeyRing::from_key(&[7; 32])),
        Options { strict: true, exports: vec![export], ..Options::default() },
    );
    for number in 0..5 {
        let mut event = Event::new("tool_call", NOW, "acme", "idp:ann");
        event.target = Some("export".into());
        event.outcome = if number == 3 { Outcome::Denied } else { Outcome::Allowed };
        event.trace = Some(format!("00-{TRACE}-{SPAN}-01").into());
        recorder.record(event).await.expect("recorded");
    }
    let requests = collector.logs(5).await;
    recorder.stop().await;
    assert!(collector.paths().iter().all(|path| path == "/v1/logs"));
    let mut records = Vec::new();
    for resource in requests.into_iter().flat_map(|request| request.resource_logs) {
        let about = resource.resource.expect("a resource").attributes;
        let named =
            about.iter().any(|a| a.key == "service.name" && format!("{:?}", a.value).contains("gate"));
        assert!(named, "{about:?}");
        records.extend(resource.scope_logs.into_iter().flat_map(|scope| scope.log_records));
    }
    let hex = |bytes: &[u8]| audit::hex(bytes);
    for (index, record) in records.iter().enumerate() {
        assert_eq!(text(record, "tidegate.audit.index"), index.to_string());
        assert_eq!(text(record, "tidegate.audit.principal"), "acme/idp:ann");
        assert_eq!(
            (record.time_unix_nano, record.observed_time_unix_nano),
            (NOW.0 * 1_000_000, NOW.0 * 1_000_000)
        );
        assert_eq!((hex(&record.trace_id), hex(&record.span_id)), (TRACE.to_owned(), SPAN.to_owned()));
        let severity = if index == 3 { (13, "WARN") } else { (9, "INFO") };
        assert_eq!((record.severity_number, record.severity_text.as_str()), severity);
        assert_eq!(record.event_name, "tidegate.audit.tool_call");
        let body = record.body.clone().and_then(|body| body.value);
        let Some(Value::StringValue(line)) = body else { panic!("{body:?}") };
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line");
        assert_eq!((&line["log"], &line["index"]), (&"acme".into(), &index.into()));
        assert_eq!(line["record"]["event_id"], text(record, "log.record.uid"));
    }
    assert_eq!(records.len(), 5);
}
