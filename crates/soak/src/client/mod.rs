//! Clients of every revision, which fail in words and never hang.

mod events;
pub mod http;
mod modern;
mod pair;
mod session;

use std::time::Duration;

use serde_json::{Value, json};

pub use http::requests;
use modern::Modern;
use pair::Pair;
use session::Session;

/// The longest that anything may take, whatever happens to replicas meanwhile.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

impl Revision {
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether a server can ask its user.
    pub fn elicits(self) -> bool {
        self >= Self::V2025_06_18
    }

    fn capabilities(self) -> Value {
        if self.elicits() { json!({"sampling": {}, "elicitation": {}}) } else { json!({"sampling": {}}) }
    }
}

/// How something ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Result(Value),
    Error {
        code: i64,
        message: String,
    },
    /// A status without a JSON-RPC error.
    Status(u16),
    /// The connection or the stream ended too soon.
    Cut(&'static str),
    /// Nothing until the deadline.
    Late,
}

impl End {
    /// From the body of an answer, or a message on a stream.
    fn of(status: u16, message: &Value) -> Self {
        if let Some(result) = message.get("result") {
            return Self::Result(result.clone());
        }
        let error = &message["error"];
        match error["code"].as_i64() {
            // Balancers and gateways say so whose session is unknown with a status; the error is for people.
            Some(_) if status == 404 => Self::Status(404),
            Some(code) => {
                Self::Error { code, message: error["message"].as_str().unwrap_or_default().to_owned() }
            }
            None => Self::Status(status),
        }
    }
}

/// What a call says about itself, and answers when it is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    pub nonce: String,
    /// Questions that were about another call.
    pub strange: Vec<String>,
    /// How long its user thinks.
    pub think: Duration,
}

impl Ask {
    /// The answer to a question: a word that only this client would say.
    async fn answer(&mut self, method: &str, params: &Value) -> Value {
        tokio::time::sleep(self.think).await;
        let said = json!(format!("w-{}", self.nonce));
        let (about, answer) = match method {
            "elicitation/create" => {
                (params["message"].as_str(), json!({"action": "accept", "content": {"word": said}}))
            }
            "sampling/createMessage" => (
                params["messages"][0]["content"]["text"].as_str(),
                json!({"role": "assistant", "content": {"type": "text", "text": said}, "model": "m"}),
            ),
            _ => (None, json!({})),
        };
        if method != "ping" && about != Some(&self.nonce) {
            self.strange.push(format!("{method} about {about:?}"));
        }
        answer
    }
}

/// A client that has introduced itself.
#[derive(Debug)]
pub enum Client {
    Pair(Pair),
    Session(Session),
    Modern(Modern),
}

impl Client {
    /// Introduces itself.
    pub async fn open(authority: &str, endpoint: &str, revision: Revision) -> Result<Self, End> {
        let opened = async {
            Ok(match revision {
                Revision::V2024_11_05 => Self::Pair(Pair::open(authority, endpoint).await?),
                Revision::V2026_07_28 => Self::Modern(Modern::new(authority, endpoint)),
                _ => Self::Session(Session::open(authority, endpoint, revision).await?),
            })
        };
        tokio::time::timeout(DEADLINE, opened).await.unwrap_or(Err(End::Late))
    }

    /// Makes a request and answers what it is asked meanwhile. With `resume` it hangs up after the first
    /// event that has an id, and comes back for the rest.
    pub async fn request(&mut self, method: &str, params: Value, ask: &mut Ask, resume: bool) -> End {
        let made = async {
            match self {
                Self::Pair(pair) => pair.request(method, params, ask).await,
                Self::Session(session) => session.request(method, params, ask, resume).await,
                Self::Modern(modern) => modern.request(method, params, ask).await,
            }
        };
        tokio::time::timeout(DEADLINE, made).await.unwrap_or(End::Late)
    }

    /// Opens a stream of changes of this resource.
    pub async fn watch(&mut self, uri: &str) -> Result<Watch, End> {
        let opened = async {
            match self {
                Self::Pair(_) => Err(End::Status(405)),
                Self::Session(session) => session.watch(uri).await,
                Self::Modern(modern) => modern.watch(uri).await,
            }
        };
        tokio::time::timeout(DEADLINE, opened).await.unwrap_or(Err(End::Late))
    }

    /// Says goodbye, where the revision has a way to.
    pub async fn close(self) {
        if let Self::Session(session) = self {
            // Whoever does not hear it lets the session expire.
            let _ = tokio::time::timeout(DEADLINE, session.delete()).await;
        }
    }
}

/// A stream of changes.
#[derive(Debug)]
pub struct Watch(http::Reply);

impl Watch {
    /// Waits for the next change; `false`: the stream has ended.
    pub async fn next(&mut self) -> bool {
        while let Some(event) = self.0.event().await {
            let message: Value = serde_json::from_str(&event.data).unwrap_or_default();
            if message["method"] == "notifications/resources/updated" {
                return true;
            }
        }
        false
    }
}
