//! The record of an event, and the line of the log that it is in.

use model::{Rng, Timestamp};
use serde_json::{Map, Value};

use crate::canonical::{self, clean};
use crate::spell::{Members, Spelled, object};
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
    let said = [("arguments", &event.arguments), ("result", &event.result)].map(|(part, said)| {
        let said = said.as_ref()?;
        Some((said, capture(part, said, rng, &mut captured)))
    });
    let mut line = seal_line(event, &detail(event, &said, false), previous, rng);
    if line.text.len() > LINE_BYTES_MAX {
        line = seal_line(event, &detail(event, &said, true), previous, rng);
    }
    line.captured = captured;
    line
}

fn id(at: Timestamp, rng: &dyn Rng) -> [u8; 16] {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes[6..]);
    bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
    bytes
}

fn seal_line(event: &Event, detail: &[u8], previous: Option<&[u8; 32]>, rng: &dyn Rng) -> Line {
    let id = id(event.at, rng);
    let policy = event.decided.as_ref().and_then(|decided| Some((decided.policies.first()?, decided)));
    let policy = policy.map(|(policy, decided)| format!("{policy}@{}", short(&decided.version)));
    let core = |members: &mut Members<'_>| {
        members.put("event_id", Spelled::Digest("", &id));
        members.text("event_type", event.kind);
        members.object("extensions", |all| {
            all.object("runtime-security", |own| {
                let said = |name, or| event.details.get(name).map_or(or, String::as_str);
                own.text("drift_status", said("drift_status", "none"));
                own.put("evidence_hash", Spelled::Digest("sha256:", &seal::sha256(detail)));
                own.text("policy_id", policy.as_deref().unwrap_or("tidegate/none@0"));
                own.text("quarantine_decision", said("quarantine", "release"));
                own.text("severity", said("severity", severity(event)));
            });
        });
        members.text("occurred_at", &moment(event.at));
        members.text("outcome", event.outcome.as_str());
        members.put("previous_hash", previous.map_or(Spelled::Null, |hash| Spelled::Digest("", hash)));
        members.text("principal_id", &principal(&event.tenant, &event.subject));
        members.put("tool_name", event.target.as_deref().map_or(Spelled::Null, Spelled::Text));
    };
    let mut record = Vec::with_capacity(640);
    object(&mut record, core);
    let hash = seal::sha256(&record);
    // The two members that the digest does not see come before all others.
    let mut text = Vec::with_capacity(record.len() + detail.len() + 100);
    object(&mut text, |members| {
        members.spelled("detail", detail);
        members.put("event_hash", Spelled::Digest("", &hash));
    });
    text.pop();
    text.push(b',');
    text.extend_from_slice(&record[1..]);
    let text = String::from_utf8(text).expect("JSON of texts is UTF-8");
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

/// What is said of arguments or a result: their digest, or that of what is kept of them.
type Said<'a> = Option<(&'a Content, Option<[u8; 32]>)>;

/// What else is known, with less of it where it would be too long.
fn detail(event: &Event, [arguments, result]: &[Said<'_>; 2], short: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let decided = event.decided.as_ref();
    object(&mut out, |all| {
        if !event.actors.is_empty() && !short {
            all.put("actors", Spelled::Texts(&mut event.actors.iter().map(String::as_str)));
        }
        all.number("address", event.address);
        content(all, "arguments", *arguments);
        all.number("attempts", event.attempts);
        all.maybe("client", event.client.as_deref());
        all.number("code", event.code);
        all.maybe("cut", short.then_some("true"));
        all.maybe("decision", decided.map(|decided| decided.effect));
        if !event.details.is_empty() && !short {
            all.object("details", |details| {
                for (key, value) in &event.details {
                    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
                        details.text(key, value);
                    }
                }
            });
        }
        all.maybe("endpoint", event.endpoint.as_deref());
        all.maybe("operation", Some(&*event.operation).filter(|text| !text.is_empty()));
        all.text("phase", event.phase.as_str());
        if let Some(decided) = decided {
            if !decided.policies.is_empty() && !short {
                all.put("policies", Spelled::Texts(&mut decided.policies.iter().map(|policy| &**policy)));
            }
            all.maybe("policy_version", Some(&*decided.version).filter(|text| !text.is_empty()));
            all.maybe("reason", decided.reason.as_deref().filter(|_| !short));
        }
        content(all, "result", *result);
        all.number("took_us", event.took_us);
        all.maybe("trace", event.trace.as_deref());
        all.maybe("upstream", event.upstream.as_deref());
    });
    out
}

fn content(all: &mut Members<'_>, part: &'static str, said: Said<'_>) {
    let Some((said, captured)) = said else { return };
    all.object(part, |own| {
        own.number("bytes", Some(said.bytes));
        match &captured {
            Some(digest) => own.put("captured", Spelled::Digest("sha256:", digest)),
            None => own.put("digest", Spelled::Digest("sha256:", &said.digest)),
        }
    });
}

/// The salted digest of what is to be kept, where it is.
fn capture(
    part: &'static str,
    said: &Content,
    rng: &dyn Rng,
    captured: &mut Vec<Captured>,
) -> Option<[u8; 32]> {
    let kept = said.captured.as_ref()?;
    let mut salt = [0; 16];
    rng.fill(&mut salt);
    let digest = Captured::digest(&salt, kept);
    captured.push(Captured { part, salt, bytes: std::sync::Arc::clone(kept) });
    Some(digest)
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
