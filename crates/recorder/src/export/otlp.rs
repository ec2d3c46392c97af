//! To an OpenTelemetry collector: log records by OTLP over HTTP, in its JSON encoding.

use ::http::Uri;
use async_trait::async_trait;
use egress::EgressError;
use serde_json::{Value, json};
use store::AuditEntryRow;

use super::http::{Client, Headers, post};
use super::{Batch, Refused, Sending, Taker};

const PATH: &str = "/v1/logs";
const SCOPE: &str = "tidegate.audit";

pub(super) struct Otlp {
    client: Client,
    url: Uri,
    headers: Headers,
    /// The attribute `service.name` of the resource.
    service: String,
}

impl Otlp {
    pub(super) fn new(
        url: &Uri,
        service: String,
        headers: Headers,
        ca: Option<Vec<u8>>,
        sending: &Sending,
    ) -> Result<Self, EgressError> {
        let client = Client::new(ca, sending.timeout)?;
        Ok(Self { client, url: endpoint(url), headers, service })
    }
}

/// A collector's base URL with the path for logs; one that has it already stays as it is.
fn endpoint(url: &Uri) -> Uri {
    let path = url.path().trim_end_matches('/');
    let path = if path.ends_with(PATH) { path.to_owned() } else { format!("{path}{PATH}") };
    let with = |text: String| text.parse().unwrap_or_else(|_| url.clone());
    let (scheme, authority) = (url.scheme_str().unwrap_or("http"), url.authority());
    authority.map_or_else(|| url.clone(), |authority| with(format!("{scheme}://{authority}{path}")))
}

#[async_trait]
impl Taker for Otlp {
    async fn take(&self, batch: &Batch<'_>) -> Result<u64, Refused> {
        let body = request(&self.service, batch).to_string();
        let request = post(&self.url, "application/json", &self.headers, body);
        let (status, answer) = self.client.send(request).await?;
        if !status.is_success() {
            return Err(Refused::Status(status.as_u16()));
        }
        // What a collector says it has rejected, it rejects the next time, too, and must not be sent again.
        Ok(rejected(&answer).min(batch.rows.len() as u64))
    }
}

fn rejected(answer: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let number = answer.pointer("/partialSuccess/rejectedLogRecords");
    // An int64 is a text in this encoding; some write a number.
    number.and_then(|number| number.as_u64().or_else(|| number.as_str()?.parse().ok())).unwrap_or(0)
}

/// An `ExportLogsServiceRequest`.
fn request(service: &str, batch: &Batch<'_>) -> Value {
    let observed = batch.now.0;
    let records: Vec<Value> =
        batch.rows.iter().zip(batch.lines).map(|(row, line)| record(row, line, observed)).collect();
    json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.name", service)]},
        "scopeLogs": [{
            "scope": {"name": SCOPE, "version": env!("CARGO_PKG_VERSION")},
            "logRecords": records,
        }],
    }]})
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn record(row: &AuditEntryRow, line: &str, observed_ms: u64) -> Value {
    let entry: Value = serde_json::from_slice(&row.line).unwrap_or_default();
    let (number, severity) =
        match entry.pointer("/extensions/runtime-security/severity").and_then(Value::as_str) {
            Some("high") => (17, "ERROR"),
            Some("medium") => (13, "WARN"),
            _ => (9, "INFO"),
        };
    let nanos = |ms: u64| u128::from(ms).saturating_mul(1_000_000).to_string();
    let mut attributes = vec![
        text("tidegate.audit.log", &row.log),
        json!({"key": "tidegate.audit.index", "value": {"intValue": row.index.to_string()}}),
        text("tidegate.audit.principal", &row.principal),
        text("tidegate.audit.outcome", &row.outcome),
    ];
    let id = entry.get("event_id").and_then(Value::as_str).unwrap_or_default();
    let (tool, upstream, operation) = (&row.tool, &row.upstream, &row.operation);
    let optional = [
        ("log.record.uid", id),
        ("tidegate.audit.tool", tool),
        ("tidegate.audit.upstream", upstream),
        ("tidegate.audit.operation", operation),
    ];
    attributes
        .extend(optional.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| text(key, value)));
    let mut record = json!({
        "timeUnixNano": nanos(row.at.0),
        "observedTimeUnixNano": nanos(observed_ms),
        "severityNumber": number,
        "severityText": severity,
        "eventName": format!("tidegate.audit.{}", row.kind),
        "body": {"stringValue": line},
        "attributes": attributes,
    });
    if let Some((trace, span)) = trace_of(&entry) {
        record["traceId"] = json!(trace);
        record["spanId"] = json!(span);
    }
    record
}

/// The trace and the span of a `traceparent` (W3C Trace Context).
fn trace_of(entry: &Value) -> Option<(String, String)> {
    let mut parts = entry.pointer("/detail/trace")?.as_str()?.split('-');
    let (_, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hex(trace, 32) && is_hex(span, 16)).then(|| (trace.to_owned(), span.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_for_logs_is_added_where_it_is_missing() {
        for (written, used) in [
            ("http://a:4318", "http://a:4318/v1/logs"),
            ("http://a:4318/", "http://a:4318/v1/logs"),
            ("https://a/otel", "https://a/otel/v1/logs"),
            ("https://a/v1/logs", "https://a/v1/logs"),
        ] {
            assert_eq!(endpoint(&written.parse().expect("a URL")), used);
        }
    }

    #[test]
    fn what_a_collector_has_rejected_is_read_in_both_spellings() {
        for (answer, number) in [
            (r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedLogRecords":2}}"#, 2),
            (r#"{"partialSuccess":{}}"#, 0),
            ("{}", 0),
            ("", 0),
        ] {
            assert_eq!(rejected(answer.as_bytes()), number, "{answer}");
        }
    }
}
