//! The record of an event, and the line of the log that it is in.

use model::{Rng, Timestamp};
use serde_json::{Map, Value, json};

use crate::canonical::{self, clean};
use crate::{Content, Event, Outcome, Phase, hex};

/// How long a line may be: an entry bundle has two bytes for its length (C2SP `tlog-tiles`).
pub const LINE_BYTES_MAX: usize = 60_000;

/// What was said, as it is kept beside the log: its salted digest is in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// `arguments` or `result`.
    pub part: &'static str,
    /// What its digest begins with, so that nobody finds out by guessing once it is erased.
    pub salt: [u8; 16],
    /// Itself.
    pub bytes: std::sync::Arc<[u8]>,
}

impl Captured {
    /// The digest that is in the line.
    #[must_use]
    pub fn digest(salt: &[u8], bytes: &[u8]) -> [u8; 32] {
        seal::sha256(&[salt, bytes].concat())
    }
}

/// A line of the log, with what is looked for in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line.
    pub text: String,
    /// The record's digest, which the next record names.
    pub hash: [u8; 32],
    /// What is kept beside it.
    pub captured: Vec<Captured>,
}

impl Outcome {
    /// Its word in the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Deferred => "deferred",
            Self::Error => "error",
        }
    }
}

impl Phase {
    /// Its word in the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Single => "single",
        }
    }
}

/// A moment as the draft wants it: RFC 3339 in UTC with exactly three digits of a second.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let text = seal::time_to_text(at);
    match text.len() {
        20 => format!("{}.000Z", &text[..19]),
        _ => text,
    }
}

/// `tenant/subject`.
#[must_use]
pub fn principal(tenant: &str, subject: &str) -> String {
    clean(&format!("{tenant}/{subject}"))
}

/// The line of an event, after the record whose digest is `previous`.
#[must_use]
pub fn line(event: &Event, previous: Option<&[u8; 32]>, rng: &dyn Rng) -> Line {
    let mut captured = Vec::new();
    let mut detail = detail(event, rng, &mut captured);
    let mut line = seal_line(event, &detail, previous, rng);
    if line.text.len() > LINE_BYTES_MAX {
        for member in ["details", "policies", "actors", "reason"] {
            detail.remove(member);
        }
        detail.insert("cut".to_owned(), json!("true"));
        line = seal_line(event, &detail, previous, rng);
    }
    line.captured = captured;
    line
}

fn id(at: Timestamp, rng: &dyn Rng) -> String {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes[6..]);
    bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
    hex(&bytes)
}

fn seal_line(event: &Event, detail: &Map<String, Value>, previous: Option<&[u8; 32]>, rng: &dyn Rng) -> Line {
    let detail = Value::Object(detail.clone());
    let evidence = canonical::canonical_detail(&detail).expect("every text in it was cleaned");
    let policy = event.decided.as_ref().and_then(|decided| Some((decided.policies.first()?, decided)));
    let policy = policy.map_or_else(
        || "tidegate/none@0".to_owned(),
        |(policy, decided)| clean(&format!("{policy}@{}", short(&decided.version))),
    );
    let said = |name, or: &str| clean(event.details.get(name).map_or(or, String::as_str));
    let mut core = json!({
        "event_id": id(event.at, rng),
        "occurred_at": moment(event.at),
        "principal_id": principal(&event.tenant, &event.subject),
        "event_type": clean(event.kind),
        "tool_name": event.target.as_deref().map(clean),
        "outcome": event.outcome.as_str(),
        "extensions": {"runtime-security": {
            "drift_status": said("drift_status", "none"),
            "severity": said("severity", severity(event)),
            "quarantine_decision": said("quarantine", "release"),
            "policy_id": policy,
            "evidence_hash": format!("sha256:{}", hex(&seal::sha256(&evidence))),
        }},
        "previous_hash": previous.map(|hash| hex(hash)),
    });
    let hash = seal::sha256(&canonical::canonical(&core).expect("every text in it was cleaned"));
    core["event_hash"] = json!(hex(&hash));
    core["detail"] = detail;
    let text = canonical::canonical_detail(&core).expect("every text in it was cleaned");
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    Line { text, hash, captured: Vec::new() }
}

/// Enough of a version to tell it from others; the whole of it is in the detail.
fn short(version: &str) -> &str {
    model::cut(version, 12)
}

fn severity(event: &Event) -> &'static str {
    match event.outcome {
        Outcome::Allowed => "info",
        Outcome::Deferred | Outcome::Error => "low",
        Outcome::Denied => "medium",
    }
}

fn detail(event: &Event, rng: &dyn Rng, captured: &mut Vec<Captured>) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), json!(clean(&value)));
        }
    };
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
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
    if let Some(decided) = &event.decided {
        put("decision", Some(decided.effect.to_owned()));
        put("policy_version", Some(decided.version.to_string()).filter(|text| !text.is_empty()));
        put("reason", text(&decided.reason));
    }
    let list = |all: Vec<&str>| Value::Array(all.into_iter().map(|text| json!(clean(text))).collect());
    if let Some(decided) = event.decided.as_ref().filter(|decided| !decided.policies.is_empty()) {
        all.insert("policies".to_owned(), list(decided.policies.iter().map(|policy| &**policy).collect()));
    }
    if !event.actors.is_empty() {
        all.insert("actors".to_owned(), list(event.actors.iter().map(String::as_str).collect()));
    }
    for (part, said) in [("arguments", &event.arguments), ("result", &event.result)] {
        if let Some(said) = said {
            all.insert(part.to_owned(), content(part, said, rng, captured));
        }
    }
    if !event.details.is_empty() {
        let details = event.details.iter().filter(|(key, _)| key.bytes().all(|byte| byte.is_ascii_graphic()));
        let details = details.map(|(key, value)| ((*key).to_owned(), json!(clean(value)))).collect();
        all.insert("details".to_owned(), Value::Object(details));
    }
    all
}

fn content(part: &'static str, said: &Content, rng: &dyn Rng, captured: &mut Vec<Captured>) -> Value {
    let bytes = said.bytes.to_string();
    let Some(kept) = &said.captured else {
        return json!({"bytes": bytes, "digest": format!("sha256:{}", hex(&said.digest))});
    };
    let mut salt = [0; 16];
    rng.fill(&mut salt);
    let digest = Captured::digest(&salt, kept);
    captured.push(Captured { part, salt, bytes: std::sync::Arc::clone(kept) });
    json!({"bytes": bytes, "captured": format!("sha256:{}", hex(&digest))})
}

/// What is wrong with a line by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is no record.
    #[error("it is no record")]
    Unreadable,
    /// The record is not what its digest says.
    #[error("the record does not fit its digest")]
    Digest,
    /// The detail is not what the record says of it.
    #[error("the detail does not fit the record")]
    Detail,
}

/// What of a line the next one and its log depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The digest of its record.
    pub hash: [u8; 32],
    /// The digest of the record before.
    pub previous: Option<[u8; 32]>,
    /// Whose it is: `tenant/subject`.
    pub principal: String,
    /// What kind of event it is of.
    pub kind: String,
    /// What else its event said, where the verifier has a use for it.
    pub details: Map<String, Value>,
}

/// Checks a line by itself.
///
/// # Errors
/// [`LineError`]
pub fn check(line: &[u8]) -> Result<Checked, LineError> {
    let Ok(Value::Object(mut core)) = serde_json::from_slice::<Value>(line) else {
        return Err(LineError::Unreadable);
    };
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Ok(text),
        _ => Err(LineError::Unreadable),
    };
    let said = text(core.shift_remove("event_hash"))?;
    let said = crate::unhex(&said).ok_or(LineError::Unreadable)?;
    let detail = core.shift_remove("detail").ok_or(LineError::Unreadable)?;
    let core = Value::Object(core);
    let bytes = canonical::canonical(&core).map_err(|_| LineError::Digest)?;
    if seal::sha256(&bytes) != said {
        return Err(LineError::Digest);
    }
    let evidence = core.pointer("/extensions/runtime-security/evidence_hash").and_then(Value::as_str);
    let found = canonical::canonical_detail(&detail).map_err(|_| LineError::Detail)?;
    if evidence.and_then(|text| text.strip_prefix("sha256:")) != Some(&hex(&seal::sha256(&found))) {
        return Err(LineError::Detail);
    }
    let previous = match &core["previous_hash"] {
        Value::Null => None,
        Value::String(text) => Some(crate::unhex(text).ok_or(LineError::Unreadable)?),
        _ => return Err(LineError::Unreadable),
    };
    let details = match detail {
        Value::Object(mut all) => match all.shift_remove("details") {
            Some(Value::Object(details)) => details,
            _ => Map::new(),
        },
        _ => return Err(LineError::Unreadable),
    };
    let field = |name: &str| text(core.get(name).cloned());
    Ok(Checked {
        hash: said,
        previous,
        principal: field("principal_id")?,
        kind: field("event_type")?,
        details,
    })
}
