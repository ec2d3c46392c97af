//! Entries in the words of others: OCSF (the class API Activity) and CEF.

use serde_json::{Map, Value, json};
use store::AuditEntryRow;

/// In which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The line as it is in the log, with its place.
    JsonLines,
    /// Open Cybersecurity Schema Framework 1.3, class 6003.
    Ocsf,
    /// Common Event Format, version 0.
    Cef,
}

impl Format {
    /// An entry as one line, without its end.
    #[must_use]
    pub fn line(self, row: &AuditEntryRow) -> String {
        let record = serde_json::from_slice(&row.line).unwrap_or(Value::Null);
        match self {
            Self::JsonLines => json!({"log": row.log, "index": row.index, "record": record}).to_string(),
            Self::Ocsf => ocsf(row, &record).to_string(),
            Self::Cef => cef(row, &record),
        }
    }
}

/// What everybody's scales have: from 1, informational, to 4, high.
fn severity(record: &Value) -> u8 {
    match record.pointer("/extensions/runtime-security/severity").and_then(Value::as_str) {
        Some("high") => 4,
        Some("medium") => 3,
        Some("low") => 2,
        _ => 1,
    }
}

fn ocsf(row: &AuditEntryRow, record: &Value) -> Value {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let (status, name) = match row.outcome.as_str() {
        "allowed" => (1, "Success"),
        "denied" | "error" => (2, "Failure"),
        _ => (99, "Other"),
    };
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| drop(event.insert(key.to_owned(), value));
    put("category_uid", json!(6));
    put("class_uid", json!(6003));
    // What is done is in `api.operation`: the class knows create, read, update and delete alone.
    put("activity_id", json!(99));
    put("activity_name", json!(row.kind));
    put("type_uid", json!(600_399));
    put("time", json!(row.at.0));
    put("severity_id", json!(severity(record)));
    put("status_id", json!(status));
    put("status", json!(name));
    put("status_detail", json!(text("/detail/reason")));
    put("actor", json!({"user": {"uid": row.principal}, "app_name": text("/detail/client")}));
    put("src_endpoint", json!({"ip": text("/detail/address")}));
    put(
        "api",
        json!({"operation": row.kind, "service": {"name": row.upstream}, "request": {"uid": row.operation}}),
    );
    put("resources", json!([{"name": row.tool, "type": "tool"}]));
    put(
        "metadata",
        json!({
            "version": "1.3.0",
            "uid": text("/event_id"),
            "log_name": row.log,
            "sequence": row.index,
            "product": {"name": "Tidegate", "vendor_name": "Tidegate"},
        }),
    );
    put("unmapped", record.clone());
    Value::Object(event)
}

fn cef(row: &AuditEntryRow, record: &Value) -> String {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let head = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|");
    let value = |text: &str| text.replace('\\', "\\\\").replace('=', "\\=");
    let (kind, version) = (head(&row.kind), env!("CARGO_PKG_VERSION"));
    let mut line = format!("CEF:0|Tidegate|Tidegate|{version}|{kind}|{kind}|{}|", severity(record) * 2);
    let fields = [
        ("rt", row.at.0.to_string()),
        ("externalId", text("/event_id").to_owned()),
        ("suser", row.principal.clone()),
        ("src", text("/detail/address").to_owned()),
        ("act", row.outcome.clone()),
        ("reason", text("/detail/reason").to_owned()),
        ("requestMethod", row.tool.clone()),
        ("dhost", row.upstream.clone()),
        ("requestClientApplication", text("/detail/client").to_owned()),
        ("cs1Label", "operation".to_owned()),
        ("cs1", row.operation.clone()),
        ("cs2Label", "eventHash".to_owned()),
        ("cs2", text("/event_hash").to_owned()),
        ("cn1Label", "index".to_owned()),
        ("cn1", row.index.to_string()),
    ];
    let told: Vec<String> = fields
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name}={}", value(text)))
        .collect();
    line.push_str(&told.join(" "));
    line
}

#[cfg(test)]
mod tests {
    use audit::{Event, Outcome};
    use model::{SeededRng, Timestamp};

    use super::*;

    fn row() -> AuditEntryRow {
        let mut event = Event::new("tool_call", Timestamp(1_795_416_480_123), "acme", "ann|=\\");
        (event.outcome, event.target) = (Outcome::Denied, Some("export".into()));
        event.upstream = Some("crm".into());
        let line = audit::line(&event, None, &SeededRng::new(1));
        crate::rows::entry(&event, line.text, 7, "w")
    }

    #[test]
    fn an_entry_is_an_api_activity_of_ocsf() {
        let event: Value = serde_json::from_str(&Format::Ocsf.line(&row())).expect("JSON");
        assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(6003), &json!(600_399)));
        assert_eq!((&event["status"], &event["severity_id"]), (&json!("Failure"), &json!(3)));
        assert_eq!(event["actor"]["user"]["uid"], "acme/ann|=\\");
        assert_eq!(event["metadata"]["sequence"], 7);
        assert_eq!(event["unmapped"]["tool_name"], "export");
    }

    #[test]
    fn an_entry_in_cef_keeps_its_fields_apart() {
        let line = Format::Cef.line(&row());
        assert!(line.starts_with("CEF:0|Tidegate|Tidegate|"), "{line}");
        assert!(line.contains("|tool_call|tool_call|6|rt=1795416480123 externalId="), "{line}");
        assert!(line.contains(r"suser=acme/ann|\=\\ act=denied"), "{line}");
    }

    #[test]
    fn a_line_of_json_has_the_record_and_its_place() {
        let line: Value = serde_json::from_str(&Format::JsonLines.line(&row())).expect("JSON");
        assert_eq!((&line["index"], &line["record"]["outcome"]), (&json!(7), &json!("denied")));
    }
}
