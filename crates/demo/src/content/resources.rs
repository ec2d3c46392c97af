//! The resources.

use serde_json::{Value, json};

use super::{form, is_refusal, text_param};
use crate::call::{Call, Outcome};
use crate::rpc::{RESOURCE_NOT_FOUND, RpcError};
use crate::server::{Listing, Server};

pub(crate) const README: &str = "demo://readme";
pub(crate) const LOGO: &str = "demo://logo";
pub(crate) const CLOCK: &str = "demo://clock";
const REPORT: &str = "demo://report";
const EXTRA: &str = "demo://extra";
const NOTES: &str = "demo://notes/";
const NOTES_TEMPLATE: &str = "demo://notes/{id}";
const NOTE_IDS: [&str; 4] = ["apples", "apricots", "bananas", "cherries"];
/// How long the id of a note is at most, in bytes.
const NOTE_ID_BYTES_MAX: usize = 64;

/// A picture of 8 × 8 pixels.
pub(crate) const LOGO_PNG: &str = concat!(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAKElEQVR42mOQz+9+8fETBCGzGbCKAtkMWEWhOrCaxo",
    "DTDiAHKyJdAgCnVnkdoiUh+wAAAABJRU5ErkJggg==",
);

pub(crate) fn list(server: &Server) -> Vec<Value> {
    let mut resources = vec![
        json!({
            "uri": README,
            "name": "readme",
            "title": "Read me",
            "description": "What this server offers",
            "mimeType": "text/markdown",
            "size": READ_ME.len(),
            "annotations": { "audience": ["user", "assistant"], "priority": 0.9 },
        }),
        json!({
            "uri": LOGO,
            "name": "logo",
            "title": "Logo",
            "description": "A picture, as a blob",
            "mimeType": "image/png",
        }),
        json!({
            "uri": CLOCK,
            "name": "clock",
            "title": "Clock",
            "description": "The time; subscribe to it and call `touch`",
            "mimeType": "text/plain",
        }),
        json!({
            "uri": REPORT,
            "name": "report",
            "title": "Report",
            "description": "Asks the user for a quarter before it is read",
            "mimeType": "text/plain",
        }),
    ];
    if server.has_extra(Listing::Resources) {
        resources.push(json!({ "uri": EXTRA, "name": "extra", "mimeType": "text/plain" }));
    }
    resources
}

pub(crate) fn templates() -> Vec<Value> {
    vec![json!({
        "uriTemplate": NOTES_TEMPLATE,
        "name": "notes",
        "title": "Notes",
        "description": "A note by its id, which is made of letters, digits, hyphens and underscores",
        "mimeType": "text/plain",
    })]
}

pub(crate) async fn read(call: &Call) -> Outcome {
    let uri = text_param(call, "uri")?;
    let contents = match uri {
        README => readme(),
        LOGO => json!({ "uri": LOGO, "mimeType": "image/png", "blob": LOGO_PNG }),
        CLOCK => text(CLOCK, &time_of(call.server.now_ms())),
        REPORT => text(REPORT, &report(call).await?),
        EXTRA if call.server.has_extra(Listing::Resources) => text(EXTRA, "There while it is toggled on."),
        _ => match note_id(uri) {
            Some(id) => text(uri, &format!("A note about {id}.")),
            None => return Err(not_found(uri).into()),
        },
    };
    Ok(json!({ "contents": [contents] }))
}

/// Whether there is a resource of that URI.
pub(crate) fn exists(server: &Server, uri: &str) -> bool {
    match uri {
        README | LOGO | CLOCK | REPORT => true,
        EXTRA => server.has_extra(Listing::Resources),
        _ => note_id(uri).is_some(),
    }
}

/// Whether its contents stay the same, so that they may be cached.
pub(crate) fn is_fixed(uri: &str) -> bool {
    uri != CLOCK && uri != REPORT
}

/// With the code that revisions up to 2025-11-25 have for it.
pub(crate) fn not_found(uri: &str) -> RpcError {
    RpcError::new(RESOURCE_NOT_FOUND, "Resource not found").with_data(json!({ "uri": uri }))
}

/// What may be typed for a variable. `None`: there is no such template.
pub(crate) fn completions(template: &str, variable: &str) -> Option<Vec<&'static str>> {
    let ids = if variable == "id" { NOTE_IDS.to_vec() } else { Vec::new() };
    (template == NOTES_TEMPLATE).then_some(ids)
}

pub(crate) fn readme() -> Value {
    json!({ "uri": README, "mimeType": "text/markdown", "text": READ_ME })
}

fn text(uri: &str, text: &str) -> Value {
    json!({ "uri": uri, "mimeType": "text/plain", "text": text })
}

fn note_id(uri: &str) -> Option<&str> {
    let id = uri.strip_prefix(NOTES)?;
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (plain && !id.is_empty() && id.len() <= NOTE_ID_BYTES_MAX).then_some(id)
}

async fn report(call: &Call) -> Result<String, crate::call::Stop> {
    let quarter =
        json!({ "quarter": { "type": "string", "title": "Quarter", "enum": ["Q1", "Q2", "Q3", "Q4"] } });
    let fits = |answer: &Value| is_refusal(answer) || answer["content"]["quarter"].is_string();
    let answer = call.ask("quarter", form("Which quarter?", quarter, &["quarter"], fits)).await?;
    let quarter = answer["content"]["quarter"].as_str().filter(|_| !is_refusal(&answer));
    Ok(quarter
        .map_or_else(|| "No report.".to_owned(), |quarter| format!("The report of {quarter}: all is well.")))
}

/// RFC 3339, in UTC, with whole seconds.
fn time_of(now_ms: u64) -> String {
    let seconds = now_ms / 1_000;
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(day);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

/// Year, month and day of the day after so many days since 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    const IN_400_YEARS: u64 = 146_097;
    let mut year = 1970 + days / IN_400_YEARS * 400;
    days %= IN_400_YEARS;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

const READ_ME: &str = "\
# A demo server

It speaks every revision of the Model Context Protocol.

- Plain tools: `echo`, `add`, `big`, `counter`, `attach`, `lookup_region`
- Tools that take time or talk meanwhile: `slow`, `log_something`
- Tools that ask: `confirm_order`, `ask_model`, `list_my_roots`, `interview`, `open_page`
- Tools that go wrong: `fail`, `rpc_error`
- Tools that change things: `toggle`, `touch`
- Resources: this one, `demo://logo`, `demo://clock`, `demo://report`, `demo://notes/{id}`
- Prompts: `greet`, `review`, `plan`
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_counts_in_utc() {
        assert_eq!(time_of(0), "1970-01-01T00:00:00Z");
        assert_eq!(time_of(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(time_of(1_785_240_000_999), "2026-07-28T12:00:00Z");
        assert_eq!(time_of(4_107_542_399_000), "2100-02-28T23:59:59Z");
        assert!(time_of(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn a_note_has_a_plain_id() {
        assert_eq!(note_id("demo://notes/a-1_Z"), Some("a-1_Z"));
        for uri in
            ["demo://notes/", "demo://notes/a/b", "demo://notes/ä", "demo://note/a", "demo://notes/a b"]
        {
            assert_eq!(note_id(uri), None, "{uri}");
        }
        assert_eq!(note_id(&format!("demo://notes/{}", "x".repeat(65))), None);
    }
}
