//! One request at work: what content may ask of it, the same in both eras.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::legacy::{Session, StreamLog};
use crate::modern::meta;
use crate::revision::Revision;
use crate::rpc::{self, Message, RpcError};
use crate::server::Server;
use crate::stats::{Gauge, Held};

/// What a request comes to: a result, or a reason to stop.
pub(crate) type Outcome = Result<Value, Stop>;

/// Why there is no result.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    Error(RpcError),
    /// The client did not declare this capability.
    Lacks(Value),
    /// A modern client is to answer these and call again.
    Ask(Vec<(&'static str, Question)>),
    /// Something that a model or a user may act on; said in a tool's result, if it is a tool.
    Failed(String),
}

impl Stop {
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }
}

impl From<RpcError> for Stop {
    fn from(error: RpcError) -> Self {
        Self::Error(error)
    }
}

/// Something to ask the client for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub method: &'static str,
    pub params: Option<Value>,
    pub needs: Need,
    /// Whether an answer can be used.
    pub fits: fn(&Value) -> bool,
}

/// A client capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Form,
    Url,
    Sampling,
    SamplingWithTools,
    Roots,
}

impl Need {
    /// As `requiredCapabilities` names it.
    pub fn required(self) -> Value {
        match self {
            Self::Form => json!({ "elicitation": { "form": {} } }),
            Self::Url => json!({ "elicitation": { "url": {} } }),
            Self::Sampling => json!({ "sampling": {} }),
            Self::SamplingWithTools => json!({ "sampling": { "tools": {} } }),
            Self::Roots => json!({ "roots": {} }),
        }
    }

    /// Whether it can be asked for in this revision, of a client with these capabilities.
    pub fn is_met(self, revision: Revision, capabilities: &Value) -> bool {
        let elicitation = &capabilities["elicitation"];
        match self {
            Self::Form if revision < Revision::V2025_11_25 => {
                revision >= Revision::V2025_06_18 && elicitation.is_object()
            }
            // An empty object means forms.
            Self::Form => {
                elicitation.is_object()
                    && (elicitation["form"].is_object() || !elicitation["url"].is_object())
            }
            Self::Url => revision >= Revision::V2025_11_25 && elicitation["url"].is_object(),
            Self::Sampling => capabilities["sampling"].is_object(),
            Self::SamplingWithTools => {
                revision >= Revision::V2025_11_25 && capabilities["sampling"]["tools"].is_object()
            }
            Self::Roots => capabilities["roots"].is_object(),
        }
    }
}

/// How important a log message is: the names of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    const NAMES: [(&str, Self); 8] = [
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("notice", Self::Notice),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("critical", Self::Critical),
        ("alert", Self::Alert),
        ("emergency", Self::Emergency),
    ];

    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(name, _)| *name)
    }

    fn as_str(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// What travels on a request's own stream.
#[derive(Debug)]
pub(crate) enum Frame {
    Message(Value),
    /// The stream ends here, although the request goes on.
    HangUp,
}

/// Where messages that belong to a request go.
#[derive(Debug, Clone)]
pub(crate) enum Outlet {
    Channel(mpsc::Sender<Frame>),
    Log(Arc<StreamLog>),
    Nowhere,
}

impl Outlet {
    /// Waits for room. False: nobody listens any more.
    pub async fn send(&self, message: Value) -> bool {
        match self {
            Self::Channel(sender) => sender.send(Frame::Message(message)).await.is_ok(),
            Self::Log(log) => {
                log.push(&message, false).await;
                true
            }
            Self::Nowhere => false,
        }
    }

    /// Does not wait: what finds no room is lost.
    pub fn offer(&self, message: Value) {
        match self {
            Self::Channel(sender) => drop(sender.try_send(Frame::Message(message))),
            Self::Log(log) => log.push_now(&message),
            Self::Nowhere => {}
        }
    }

    async fn hang_up(&self) {
        match self {
            Self::Channel(sender) => drop(sender.send(Frame::HangUp).await),
            Self::Log(log) => log.hang_up(),
            Self::Nowhere => {}
        }
    }
}

/// How the client is asked.
#[derive(Debug)]
pub(crate) enum Asking {
    /// By requests on the open stream.
    Live(Arc<Session>),
    /// By a result; these answers came with the call.
    Rounds { given: Map<String, Value>, used: Mutex<BTreeMap<&'static str, Value>> },
    /// Not at all.
    Never,
}

/// One request at work.
#[derive(Debug)]
pub(crate) struct Call {
    pub server: Server,
    pub revision: Revision,
    pub message: Message,
    /// What the client declared.
    pub capabilities: Value,
    pub outlet: Outlet,
    pub asking: Asking,
    done: AtomicBool,
    _running: Held,
}

impl Call {
    pub fn new(
        server: Server,
        revision: Revision,
        message: Message,
        capabilities: Value,
        outlet: Outlet,
        asking: Asking,
    ) -> Self {
        let running = server.seen().hold(Gauge::CallsRunning);
        let done = AtomicBool::new(false);
        Self { server, revision, message, capabilities, outlet, asking, done, _running: running }
    }

    pub fn method(&self) -> &str {
        self.message.method()
    }

    pub fn params(&self) -> &Value {
        self.message.params()
    }

    /// Notes that it came to an end by itself; dropped before that, it counts as cancelled.
    pub fn finish(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Ends the request's stream in the middle. Where transport and revision allow it, the client comes back
    /// for the rest; in the modern era it learns that the request is lost.
    pub async fn hang_up(&self) {
        self.outlet.hang_up().await;
    }

    /// Sends progress, if it was asked for.
    pub async fn progress(&self, progress: u64, total: u64, message: &str) {
        let token = self.message.meta("progressToken");
        if !(token.is_string() || token.is_i64() || token.is_u64()) {
            return;
        }
        let mut params = json!({ "progressToken": token, "progress": progress, "total": total });
        if self.revision >= Revision::V2025_03_26 {
            params["message"] = json!(message);
        }
        self.outlet.send(rpc::notification("notifications/progress", Some(params))).await;
    }

    /// Sends a log message, if the client wants that level.
    pub async fn log(&self, level: Level, data: Value) {
        let wanted = match &self.asking {
            Asking::Live(session) => Some(session.level()),
            Asking::Never => Some(Level::Info),
            Asking::Rounds { .. } => self.message.meta(meta::LOG_LEVEL).as_str().and_then(Level::parse),
        };
        if wanted.is_some_and(|wanted| level >= wanted) {
            let params = json!({ "level": level.as_str(), "logger": "demo", "data": data });
            self.outlet.send(rpc::notification("notifications/message", Some(params))).await;
        }
    }

    /// Asks the client one thing.
    pub async fn ask(&self, key: &'static str, question: Question) -> Outcome {
        let mut answers = self.ask_all(vec![(key, question)]).await?;
        answers.pop().ok_or_else(|| RpcError::new(rpc::INTERNAL_ERROR, "no answer to a question").into())
    }

    /// Asks the client several things at once; the answers come in the same order.
    pub async fn ask_all(&self, questions: Vec<(&'static str, Question)>) -> Result<Vec<Value>, Stop> {
        if let Some((_, q)) =
            questions.iter().find(|(_, q)| !q.needs.is_met(self.revision, &self.capabilities))
        {
            return Err(Stop::Lacks(q.needs.required()));
        }
        match &self.asking {
            Asking::Live(session) => {
                let asked = questions.iter().map(|(_, question)| self.ask_live(session, question));
                futures_util::future::join_all(asked).await.into_iter().collect()
            }
            Asking::Rounds { given, used } => {
                let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
                let answer = |(key, question): &(&'static str, Question)| {
                    let answer = given.get(*key).filter(|answer| (question.fits)(answer))?;
                    used.insert(key, answer.clone());
                    Some(answer.clone())
                };
                let answers: Vec<_> = questions.iter().map(answer).collect();
                if answers.iter().all(Option::is_some) {
                    return Ok(answers.into_iter().flatten().collect());
                }
                let open = questions.into_iter().zip(answers).filter(|(_, answer)| answer.is_none());
                Err(Stop::Ask(open.map(|(question, _)| question).collect()))
            }
            Asking::Never => Err(Stop::Failed("this connection has no way to ask the client".to_owned())),
        }
    }

    async fn ask_live(&self, session: &Session, question: &Question) -> Outcome {
        let params =
            question.params.clone().map(|params| shape_question(self.revision, question.needs, params));
        let timeout = self.server.config().ask_timeout;
        let answer = session.ask(&self.outlet, question.method, params, timeout).await;
        let answer = answer.map_err(Stop::Failed)?;
        if !(question.fits)(&answer) {
            return Err(Stop::Failed(format!("the answer to {} does not fit", question.method)));
        }
        Ok(answer)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.done.load(Ordering::Relaxed) {
            let what = self.params()["name"].as_str().unwrap_or(self.method());
            self.server.seen().saw_cancelled(what);
        }
    }
}

/// The parameters of a live question, as the legacy revision has them.
fn shape_question(revision: Revision, needs: Need, mut params: Value) -> Value {
    if revision < Revision::V2025_11_25
        && needs == Need::Form
        && let Some(members) = params.as_object_mut()
    {
        members.remove("mode");
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_elicitation_capability_means_forms() {
        let modern = Revision::V2026_07_28;
        assert!(Need::Form.is_met(modern, &json!({ "elicitation": {} })));
        assert!(!Need::Url.is_met(modern, &json!({ "elicitation": {} })));
        assert!(!Need::Form.is_met(modern, &json!({ "elicitation": { "url": {} } })));
        assert!(Need::Url.is_met(modern, &json!({ "elicitation": { "url": {} } })));
        assert!(!Need::Form.is_met(modern, &json!({})));
    }

    #[test]
    fn a_revision_that_has_no_elicitation_is_not_asked_even_if_the_client_declares_it() {
        let declared = json!({ "elicitation": {}, "sampling": { "tools": {} } });
        assert!(!Need::Form.is_met(Revision::V2025_03_26, &declared));
        assert!(Need::Form.is_met(Revision::V2025_06_18, &declared));
        assert!(!Need::SamplingWithTools.is_met(Revision::V2025_06_18, &declared));
        assert!(Need::SamplingWithTools.is_met(Revision::V2025_11_25, &declared));
    }

    #[test]
    fn levels_are_ordered_as_syslog_orders_them() {
        let levels: Vec<_> = Level::names().map(|name| Level::parse(name).unwrap()).collect();
        assert!(levels.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(levels.iter().all(|level| Level::parse(level.as_str()) == Some(*level)));
    }
}
