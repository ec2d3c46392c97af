//! A server that is asked itself: who it is and what it speaks, and nothing else.

use bytes::Bytes;
use discovery::Address;
use discovery::contradict::Live;
use discovery::remote::RemoteKind;
use egress::{Body, EgressError, ResponseBody};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use protocol::Raw;
use protocol::sse::Reader;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fetch::{Fetcher, words};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The revision in which a server is asked first.
const MODERN: &str = "2026-07-28";
/// The one in which it is asked where it does not know the first.
const LEGACY: &str = "2025-11-25";
const SESSION: &str = "mcp-session-id";

/// How a server stood to being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It said who it is.
    Answered,
    /// It wants to know who asks.
    AsksWho,
    /// It speaks no revision in which it was asked, or is no server.
    Refused,
    /// It did not answer.
    Unreachable,
}

impl Standing {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::AsksWho => "asks who",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// How it stood to it.
    pub standing: Standing,
    /// Why it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it speaks.
    pub versions: Vec<String>,
    /// Whether that was said as legacy servers do.
    pub legacy: bool,
}

impl Answered {
    fn not(standing: Standing, why: String) -> Self {
        let (name, title, version) = (None, None, None);
        Self { standing, why: Some(why), name, title, version, versions: Vec::new(), legacy: false }
    }

    fn of(live: Live) -> Self {
        Self {
            standing: Standing::Answered,
            why: None,
            name: live.name,
            title: live.title,
            version: live.version,
            versions: live.versions,
            legacy: live.legacy,
        }
    }

    /// As it is held against a card.
    #[must_use]
    pub fn live(&self, url: &Address) -> Option<Live> {
        let asked_who = match self.standing {
            Standing::Answered => Some(false),
            Standing::AsksWho => Some(true),
            Standing::Refused | Standing::Unreachable => return None,
        };
        Some(Live {
            name: self.name.clone(),
            title: self.title.clone(),
            version: self.version.clone(),
            versions: self.versions.clone(),
            legacy: self.legacy,
            url: Some(url.clone()),
            transport: asked_who.filter(|asked| !asked).map(|_| RemoteKind::StreamableHttp),
            asked_who,
        })
    }
}

/// Asks a server over Streamable HTTP, in the newest revision first. No session is left behind.
pub async fn ask(fetcher: &Fetcher, url: &Address) -> Answered {
    if !url.is_https() && !fetcher.is_private() {
        return Answered::not(Standing::Refused, "not over https".to_owned());
    }
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": who(),
    });
    let discover = message("server/discover", &json!({ "_meta": meta }));
    let modern = [("mcp-protocol-version", MODERN), ("mcp-method", "server/discover")];
    match said(fetcher, url, discover, &modern).await {
        Ok(Said { result: Some(result), .. }) => return Answered::of(Live::read(&result)),
        Ok(Said { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. }) => {
            return Answered::not(Standing::AsksWho, "it wants to know who asks".to_owned());
        }
        Ok(_) => {}
        Err(error) => return Answered::not(Standing::Unreachable, words(&error)),
    }
    let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": who()});
    match said(fetcher, url, message("initialize", &params), &[]).await {
        Ok(Said { result: Some(result), session, .. }) => {
            if let Some(session) = session {
                end(fetcher, url, session).await;
            }
            Answered::of(Live::read(&result))
        }
        Ok(Said { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. }) => {
            Answered::not(Standing::AsksWho, "it wants to know who asks".to_owned())
        }
        Ok(Said { status, .. }) => {
            let why = format!("it answers with {} and no result", status.as_u16());
            Answered::not(Standing::Refused, why)
        }
        Err(error) => Answered::not(Standing::Unreachable, words(&error)),
    }
}

fn who() -> Value {
    json!({"name": "tidegate", "version": env!("CARGO_PKG_VERSION")})
}

fn message(method: &str, params: &Value) -> Bytes {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    Bytes::from(message.to_string())
}

struct Said {
    status: StatusCode,
    session: Option<HeaderValue>,
    result: Option<Raw>,
}

async fn said(
    fetcher: &Fetcher,
    url: &Address,
    body: Bytes,
    headers: &[(&'static str, &'static str)],
) -> Result<Said, EgressError> {
    let mut request = Request::post(url.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let bad = |_| EgressError::BadUrl { reason: "it cannot stand in a request" };
    let response = fetcher.send(request.body(Body::new(body)).map_err(bad)?).await?;
    let status = response.status();
    let session = response.headers().get(SESSION).cloned();
    let result = if status.is_success() { answer(response).await? } else { None };
    Ok(Said { status, session, result })
}

/// The result of the one request, whether it comes as a document or as an event.
async fn answer(response: Response<ResponseBody>) -> Result<Option<Raw>, EgressError> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let streams = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
    let mut body = response.into_body().limit(ANSWER_BYTES_MAX as u64);
    if !streams {
        let bytes = body.collect(ANSWER_BYTES_MAX).await?;
        return Ok(result_of(bytes));
    }
    let mut reader = Reader::new(ANSWER_BYTES_MAX);
    while let Some(chunk) = body.chunk().await {
        let mut events = Vec::new();
        if reader.feed(chunk?, &mut events).is_err() {
            return Ok(None);
        }
        for event in events {
            let raw = Raw::parse(event.data).ok();
            let answered = raw.filter(|raw| raw.get("id").is_some() && raw.get("method").is_none());
            if let Some(raw) = answered {
                return Ok(raw.get("result"));
            }
        }
    }
    Ok(None)
}

fn result_of(bytes: Bytes) -> Option<Raw> {
    Raw::parse(bytes).ok()?.get("result")
}

/// Ends a session. That it does not end is the server's business.
async fn end(fetcher: &Fetcher, url: &Address, session: HeaderValue) {
    let request = Request::delete(url.as_str())
        .header(SESSION, session)
        .header("mcp-protocol-version", LEGACY)
        .body(Body::default());
    if let Ok(request) = request {
        let _ = fetcher.send(request).await;
    }
}
