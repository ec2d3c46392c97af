//! An answer as a result.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, LINK, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use protocol::Raw;
use protocol::json::{Object, string_into};
use serde_json::{Value, json};

use crate::parameters::{essence, is_json};
use crate::{Limits, META, Tool};

/// What a server answered.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, whole or as much of it as was read.
    pub body: &'a Bytes,
    /// Whether there was more of it than was read.
    pub cut: bool,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// What was asked for cannot be done.
    Refused,
    /// The credential was not taken.
    Unauthorized,
    /// Not now.
    Later {
        /// In how many seconds, if the server said so.
        after_s: Option<u64>,
    },
    /// The server failed, or answered what cannot be handed on.
    Failed,
}

/// A result with what became of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The result, as a modern server would give it.
    pub result: Raw,
    /// What became of it.
    pub outcome: Outcome,
}

/// How much of the text of an error is shown.
const ERROR_CHARS_MAX: usize = 4_000;

/// Makes a result of what a server answered.
#[must_use]
pub fn answer(tool: &Tool, received: &Received<'_>, limits: &Limits) -> Answer {
    let outcome = outcome(received);
    let made = match outcome {
        Outcome::Done => done(tool, received, limits),
        _ => Made::failed(error_text(received, outcome)),
    };
    let outcome = match (outcome, made.is_error) {
        (Outcome::Done, true) => Outcome::Failed,
        (outcome, _) => outcome,
    };
    Answer { result: made.result(received), outcome }
}

fn outcome(received: &Received<'_>) -> Outcome {
    let status = received.status;
    match status.as_u16() {
        200..=299 => Outcome::Done,
        401 | 407 => Outcome::Unauthorized,
        429 | 503 => Outcome::Later { after_s: retry_after(received.headers) },
        400..=499 => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// The parts of a result.
struct Made {
    blocks: Vec<Raw>,
    structured: Option<Raw>,
    is_error: bool,
}

impl Made {
    fn text(text: &str) -> Self {
        Self { blocks: vec![text_block(text)], structured: None, is_error: false }
    }

    fn failed(text: String) -> Self {
        Self { is_error: true, ..Self::text(&text) }
    }

    fn result(self, received: &Received<'_>) -> Raw {
        let mut meta = json!({ "status": received.status.as_u16() });
        if let Some(next) = next_page(received.headers) {
            meta["next"] = next.into();
        }
        let mut out = BytesMut::with_capacity(256 + received.body.len() * 2);
        out.put_slice(b"{\"resultType\":\"complete\",\"content\":");
        out.put_slice(protocol::json::array(&self.blocks).as_bytes());
        if let Some(structured) = self.structured {
            out.put_slice(b",\"structuredContent\":");
            out.put_slice(structured.as_bytes());
        }
        if self.is_error {
            out.put_slice(b",\"isError\":true");
        }
        out.put_slice(b",\"_meta\":");
        out.put_slice(json!({ META: meta }).to_string().as_bytes());
        out.put_u8(b'}');
        Raw::trusted(out.freeze())
    }
}

fn text_block(text: &str) -> Raw {
    let mut out = BytesMut::with_capacity(text.len() + 32);
    out.put_slice(b"{\"type\":\"text\",\"text\":");
    string_into(&mut out, text);
    out.put_u8(b'}');
    Raw::trusted(out.freeze())
}

/// The media type as it was said.
fn media_type(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn done(tool: &Tool, received: &Received<'_>, limits: &Limits) -> Made {
    let body = received.body;
    let said = media_type(received.headers);
    let status = received.status;
    if received.cut || body.len() > limits.answer_bytes_max {
        let max = limits.answer_bytes_max;
        return Made::failed(format!(
            "The call was made ({status}), and its answer has more than {max} bytes, which are not handed on."
        ));
    }
    if body.is_empty() {
        let made = Made::text(&format!("Done ({status}); the server answered nothing more."));
        return Made { is_error: tool.operation.gives_object, ..made };
    }
    let looks_json = said.is_empty() && body.first().is_some_and(|b| matches!(b, b'{' | b'['));
    if (is_json(&said) || looks_json)
        && let Ok(value) = Raw::parse(body.clone())
    {
        return json_result(tool, value, status);
    }
    let made = match text(&said, body) {
        Some(text) => Made::text(&text),
        None => binary(tool, &said, body, limits),
    };
    match tool.operation.gives_object && !made.is_error {
        true => undeclared(made, status),
        false => made,
    }
}

/// A text beside the object for those who read no other, both as the server wrote them.
fn json_result(tool: &Tool, value: Raw, status: StatusCode) -> Made {
    let made = Made::text(value.as_text());
    // Two members of one name mean different things to different readers.
    let object = Object::parse(value.bytes()).is_ok();
    match (object, tool.operation.gives_object) {
        (true, _) => Made { structured: Some(value), ..made },
        (false, true) => undeclared(made, status),
        (false, false) => made,
    }
}

/// Clients refuse a result that is not as the tool declares it, and would not even see what it says.
fn undeclared(mut made: Made, status: StatusCode) -> Made {
    let words = format!(
        "The call was made ({status}), but its answer is something else than the object that is declared:"
    );
    made.blocks.insert(0, text_block(&words));
    Made { is_error: true, ..made }
}

/// The body as text, where it is one.
fn text(said: &str, body: &Bytes) -> Option<String> {
    let essence = essence(said);
    let textual = essence.is_empty()
        || essence.starts_with("text/")
        || is_json(&essence)
        || essence.ends_with("+xml")
        || [
            "application/xml",
            "application/yaml",
            "application/x-yaml",
            "application/javascript",
            "application/x-ndjson",
            "application/x-www-form-urlencoded",
            "application/graphql",
            "application/sql",
        ]
        .contains(&essence.as_str());
    if !textual {
        return None;
    }
    let charset =
        said.split(';').skip(1).find_map(|p| p.trim().strip_prefix("charset=").map(str::to_ascii_lowercase));
    match charset.as_deref().map(|name| name.trim_matches('"')) {
        Some("iso-8859-1" | "latin1" | "us-ascii") => Some(body.iter().map(|b| char::from(*b)).collect()),
        Some("utf-8" | "utf8") | None => std::str::from_utf8(body).ok().map(str::to_owned),
        Some(_) => None,
    }
}

fn binary(tool: &Tool, said: &str, body: &Bytes, limits: &Limits) -> Made {
    let mut kind = essence(said);
    if kind.is_empty() || kind.parse::<http::HeaderValue>().is_err() {
        kind = "application/octet-stream".to_owned();
    }
    if body.len() > limits.binary_bytes_max {
        let (bytes, max) = (body.len(), limits.binary_bytes_max);
        return Made::failed(format!(
            "The call was made. Its answer is {kind} of {bytes} bytes; more than {max} are not handed on."
        ));
    }
    let data = STANDARD.encode(body);
    let block = match kind.split('/').next() {
        Some("image") => json!({ "type": "image", "data": data, "mimeType": kind }),
        Some("audio") => json!({ "type": "audio", "data": data, "mimeType": kind }),
        _ => {
            let uri = format!("openapi:{}/answer", tool.name);
            json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "blob": data } })
        }
    };
    Made { blocks: vec![Raw::from_value(&block)], structured: None, is_error: false }
}

fn error_text(received: &Received<'_>, outcome: Outcome) -> String {
    let status = received.status;
    let code = match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    };
    if status.is_redirection() {
        return format!("The server answered {code}, a redirection, which is not followed.");
    }
    let said = text(&media_type(received.headers), received.body).unwrap_or_default();
    let problem = serde_json::from_str::<Value>(&said).ok().filter(Value::is_object);
    let words = match problem.as_ref().and_then(problem_text) {
        Some(words) => words,
        None => said.trim().to_owned(),
    };
    let mut out = format!("The server answered {code}");
    if let Outcome::Later { after_s: Some(seconds) } = outcome {
        out.push_str(&format!(", and may be asked again in {seconds} s"));
    }
    match words.is_empty() {
        true => out.push('.'),
        false => out.push_str(&format!(":\n{}", crate::text::cut(&words, ERROR_CHARS_MAX))),
    }
    out
}

/// What a problem by RFC 9457 says, with all of its further members. Others are shown as they are.
fn problem_text(problem: &Value) -> Option<String> {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (title, detail) = (text("title"), text("detail"));
    if title.is_none() && detail.is_none() {
        return None;
    }
    let mut out = [title, detail].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let kind = text("type").filter(|kind| *kind != "about:blank");
    let known = ["title", "detail", "status", "type"];
    let rest: serde_json::Map<String, Value> = problem
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !known.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    out.extend(kind.map(|kind| format!("\n({kind})")));
    if !rest.is_empty() {
        out.push_str(&format!("\n{}", Value::Object(rest)));
    }
    Some(out)
}

/// The query of the next page, where a link says it (RFC 8288).
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let link = links
        .flat_map(|line| line.split(",<"))
        .find(|link| link.split(';').skip(1).any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next")))?;
    let url = link.trim().trim_start_matches('<').split('>').next()?;
    let (_, query) = url.split_once('?')?;
    (query.len() <= 1024).then(|| query.to_owned())
}
