//! One fake client for each revision, all with the same methods.
//!
//! ```text
//! let client = Client::connect(gateway, "/mcp", Revision::V2025_06_18).await;
//! let outcome = client.call_tool("confirm_order", json!({})).await;
//! outcome.asked          // the questions that the call put to the client
//! outcome.told           // the notifications that came with it
//! outcome.result()       // how it ended
//! ```

mod answers;
mod modern;
mod outcome;
mod pair;
mod session;

use std::sync::Arc;

use demo::Revision;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::http::Places;
use crate::within;
use modern::Modern;
use pair::Pair;
use session::Session;

pub use answers::{Answers, accepting, refusing};
pub use modern::encoded;
pub use outcome::{End, Outcome};

/// Who the client says it is.
const NAME: &str = "fake-client";

/// How a client differs from the usual one.
#[derive(Clone)]
pub struct Options {
    /// What it declares; by default everything that its revision has.
    pub capabilities: Option<Value>,
    /// What it answers when it is asked; by default [`accepting`].
    pub answers: Answers,
    /// What it proves itself by, as a header; by default nothing.
    pub authorization: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { capabilities: None, answers: accepting(), authorization: None }
    }
}

/// A client that has introduced itself. Clones are the same client.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    revision: Revision,
    opening: Value,
    speech: Speech,
    changes: Mutex<mpsc::UnboundedReceiver<Value>>,
}

/// How a revision is spoken.
enum Speech {
    /// HTTP+SSE, 2024-11-05.
    Pair(Pair),
    /// Sessions over Streamable HTTP.
    Session(Session),
    /// 2026-07-28.
    Modern(Modern),
}

/// What every kind of client has.
#[derive(Clone)]
struct Me {
    revision: Revision,
    capabilities: Value,
    answers: Answers,
    authorization: Option<String>,
    changes: mpsc::UnboundedSender<Value>,
}

impl Client {
    /// A usual client of this revision. `path` is that of the endpoint, which ends in `/mcp`; the client of
    /// 2024-11-05 uses `/sse` beside it.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn connect(places: impl Into<Places>, path: &str, revision: Revision) -> Self {
        Self::with(places, path, revision, Options::default()).await
    }

    /// A client with choices of its own.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn with(places: impl Into<Places>, path: &str, revision: Revision, options: Options) -> Self {
        match Self::try_with(places, path, revision, options).await {
            Ok(client) => client,
            Err(outcome) => panic!("a client of {revision} was refused: {outcome:?}"),
        }
    }

    /// A client with choices of its own.
    ///
    /// # Errors
    /// How its introduction ended, if not well.
    pub async fn try_with(
        places: impl Into<Places>,
        path: &str,
        revision: Revision,
        options: Options,
    ) -> Result<Self, Outcome> {
        let (sender, changes) = mpsc::unbounded_channel();
        let capabilities = options.capabilities.clone().unwrap_or_else(|| everything(revision));
        let Options { capabilities: _, answers, authorization } = options;
        let me = Me { revision, capabilities, answers, authorization, changes: sender };
        let (speech, opening) = match revision {
            Revision::V2024_11_05 => {
                let (pair, opening) = Pair::open(places, path, me).await?;
                (Speech::Pair(pair), opening)
            }
            Revision::V2026_07_28 => {
                let (modern, opening) = Modern::open(places, path, me).await?;
                (Speech::Modern(modern), opening)
            }
            _ => {
                let (session, opening) = Session::open(places, path, me).await?;
                (Speech::Session(session), opening)
            }
        };
        let inner = Inner { revision, opening, speech, changes: Mutex::new(changes) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What it speaks.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.inner.revision
    }

    /// What the server said of itself: the result of `initialize`, or of `server/discover`.
    #[must_use]
    pub fn opening(&self) -> &Value {
        &self.inner.opening
    }

    /// Makes a request, answers what it asks, and waits for its end.
    pub async fn request(&self, method: &str, params: Value) -> Outcome {
        self.start(method, params).outcome().await
    }

    /// Calls a tool.
    pub async fn call_tool(&self, name: &str, arguments: Value) -> Outcome {
        self.request("tools/call", json!({ "name": name, "arguments": arguments })).await
    }

    /// Calls a tool and asks for progress.
    pub async fn call_tool_for_progress(&self, name: &str, arguments: Value) -> Outcome {
        let meta = json!({ "progressToken": format!("progress of {name}") });
        self.request("tools/call", json!({ "name": name, "arguments": arguments, "_meta": meta })).await
    }

    /// Starts a request and does not wait.
    #[must_use]
    pub fn start(&self, method: &str, params: Value) -> Running {
        let (client, method) = (self.clone(), method.to_owned());
        let id = match &self.inner.speech {
            Speech::Pair(pair) => pair.next_id(),
            Speech::Session(session) => session.next_id(),
            Speech::Modern(modern) => modern.next_id(),
        };
        let task = tokio::spawn(async move {
            match &client.inner.speech {
                Speech::Pair(pair) => pair.request(id, &method, params).await,
                Speech::Session(session) => session.request(id, &method, params).await,
                Speech::Modern(modern) => modern.request(id, &method, params).await,
            }
        });
        Running { client: self.clone(), id, task: Task(task) }
    }

    /// Sends a notification and gives the HTTP status of the answer.
    pub async fn notify(&self, method: &str, params: Value) -> u16 {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        within(async {
            match &self.inner.speech {
                Speech::Pair(pair) => pair.send(&message).await.status,
                Speech::Session(session) => session.post(&message).send().await.status,
                Speech::Modern(modern) => modern.post(message).send().await.status,
            }
        })
        .await
    }

    /// Several requests in one body, which only 2025-03-26 has. The outcomes come in the requests' order.
    ///
    /// # Panics
    /// If the client has no sessions over Streamable HTTP, or an answer has no id.
    pub async fn batch(&self, requests: Vec<(&str, Value)>) -> Vec<Outcome> {
        let Speech::Session(session) = &self.inner.speech else { panic!("no batches in this revision") };
        within(session.batch(requests)).await
    }

    /// Asks for log messages from this level on: of the session, or with each request from now on.
    pub async fn set_log_level(&self, level: &str) -> Outcome {
        match &self.inner.speech {
            Speech::Modern(modern) => {
                modern.set_log_level(level);
                Outcome::new(200, End::Result(json!({})))
            }
            _ => self.request("logging/setLevel", json!({ "level": level })).await,
        }
    }

    /// Listens to changes of all lists and of these resources, which [`Client::next_change`] then gives.
    /// Ready once the server has agreed.
    ///
    /// # Errors
    /// How it ended, if it did not agree.
    pub async fn watch(&self, uris: &[&str]) -> Result<(), Outcome> {
        match &self.inner.speech {
            Speech::Modern(modern) => return within(modern.listen(uris)).await,
            Speech::Session(session) => within(session.listen()).await?,
            Speech::Pair(_) => {}
        }
        for uri in uris {
            let outcome = self.request("resources/subscribe", json!({ "uri": uri })).await;
            if !matches!(outcome.end, End::Result(_)) {
                return Err(outcome);
            }
        }
        Ok(())
    }

    /// Listens to changes of these tasks, which [`Client::next_change`] then gives.
    ///
    /// # Errors
    /// How it ended, if the server did not agree.
    ///
    /// # Panics
    /// If the client's revision hears of tasks without asking.
    pub async fn watch_tasks(&self, ids: &[&str]) -> Result<(), Outcome> {
        let Speech::Modern(modern) = &self.inner.speech else { panic!("this revision listens to no tasks") };
        within(modern.listen_for(json!({ "taskIds": ids }), "taskIds")).await
    }

    /// The next notification that belongs to no request.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next_change(&self) -> Value {
        let change = within(async { self.inner.changes.lock().await.recv().await }).await;
        change.expect("a client that listens")
    }

    /// Makes a request once: if it is answered with questions, those are the outcome.
    ///
    /// # Panics
    /// If the client's revision has questions on a stream, where they cannot be left open.
    pub async fn ask_once(&self, method: &str, params: Value) -> Outcome {
        let Speech::Modern(modern) = &self.inner.speech else { panic!("no such questions in this revision") };
        within(modern.once(modern.next_id(), method, params, &mut Vec::new())).await
    }

    /// The name of the stream in the URL that 2024-11-05 posts to.
    #[must_use]
    pub fn stream_name(&self) -> Option<String> {
        match &self.inner.speech {
            Speech::Pair(pair) => pair.path().split_once("sessionId=").map(|(_, name)| name.to_owned()),
            Speech::Session(_) | Speech::Modern(_) => None,
        }
    }

    /// The session id, where there is one.
    #[must_use]
    pub fn session_id(&self) -> Option<String> {
        match &self.inner.speech {
            Speech::Session(session) => session.id().map(str::to_owned),
            Speech::Pair(_) | Speech::Modern(_) => None,
        }
    }

    /// Ends the session, where there is one to end, and gives the HTTP status of the answer.
    pub async fn close(&self) -> Option<u16> {
        match &self.inner.speech {
            Speech::Session(session) => Some(within(session.delete()).await),
            Speech::Pair(_) | Speech::Modern(_) => None,
        }
    }
}

/// A request under way.
pub struct Running {
    client: Client,
    id: i64,
    task: Task<Outcome>,
}

impl Running {
    /// How it ended.
    ///
    /// # Panics
    /// If it hangs.
    pub async fn outcome(mut self) -> Outcome {
        match within(&mut self.task.0).await {
            Ok(outcome) => outcome,
            Err(fault) => std::panic::resume_unwind(fault.into_panic()),
        }
    }

    /// No longer wants it: says so in a legacy revision, closes the stream in the modern one.
    pub async fn cancel(self) {
        if self.client.revision().is_modern() {
            self.task.0.abort();
            return;
        }
        let params = json!({ "requestId": self.id, "reason": "not wanted any more" });
        self.client.notify("notifications/cancelled", params).await;
    }
}

/// A task that ends with its owner.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Everything that a client of this revision can declare.
#[must_use]
pub fn everything(revision: Revision) -> Value {
    match revision {
        Revision::V2024_11_05 | Revision::V2025_03_26 => {
            json!({ "roots": { "listChanged": true }, "sampling": {} })
        }
        Revision::V2025_06_18 => {
            json!({ "roots": { "listChanged": true }, "sampling": {}, "elicitation": {} })
        }
        Revision::V2025_11_25 => json!({
            "roots": { "listChanged": true },
            "sampling": { "tools": {}, "context": {} },
            "elicitation": { "form": {}, "url": {} },
        }),
        Revision::V2026_07_28 => json!({
            "roots": {},
            "sampling": { "tools": {}, "context": {} },
            "elicitation": { "form": {}, "url": {} },
        }),
    }
}

fn client_info(revision: Revision) -> Value {
    let mut info = json!({ "name": NAME, "version": "1.0" });
    if revision >= Revision::V2025_06_18 {
        info["title"] = json!("A fake client");
    }
    info
}

fn initialize_params(me: &Me) -> Value {
    json!({
        "protocolVersion": me.revision.as_str(),
        "capabilities": me.capabilities,
        "clientInfo": client_info(me.revision),
    })
}

/// Whether a notification belongs to a request rather than to what the client listens to.
fn belongs_to_a_request(method: &str) -> bool {
    matches!(
        method,
        "notifications/progress" | "notifications/message" | "notifications/elicitation/complete"
    )
}
