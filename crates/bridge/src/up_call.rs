//! A modern call that runs on a legacy server.
//!
//! The legacy server answers with notifications, with requests of its own (questions to the user, the model,
//! the roots), and in the end with a response. The machine turns questions into an `input_required` result
//! and the answers of the retry into responses. While a question is open the legacy call stays open: its
//! driver parks the machine together with the stream, and finds it again by the handle that the state
//! carries.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use protocol::json::{Object, string_into};
use protocol::{Call, Capabilities, Id, Message, Method, Raw, Revision, RpcError, code};
use serde_json::json;

use crate::translate::up;

/// The most questions that one call may have open at a time.
pub const OPEN_QUESTIONS_MAX: usize = 32;

/// What the driver must do.
#[derive(Debug)]
pub enum UpAction {
    /// Send a response to the legacy server.
    Answer {
        /// The server's request.
        id: Id,
        /// A result, or an error object.
        outcome: Result<Raw, Raw>,
    },
    /// Pass a notification to the client.
    Notify {
        /// Its method, a modern one.
        method: Method,
        /// Its parameters.
        params: Option<Raw>,
    },
    /// A question is open: park the call and answer with [`UpCall::questions`].
    Ask,
    /// The call has ended.
    Done(Result<Raw, Raw>),
    /// The call ends here with this error, although the server still works on it: tell it.
    GiveUp(Raw),
}

/// What was asked and answered when the same call was made before.
pub trait Script: fmt::Debug + Send + Sync {
    /// What is known of the question with this key; keys are counted in the order of the questions.
    fn recall(&self, key: &str, question: &Raw) -> Recall;
}

/// What a [`Script`] says of a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Recall {
    /// It was not asked before, or not answered: the client is asked.
    Open,
    /// It was answered with this.
    Answered(Raw),
    /// Something else was asked in its place: the call goes another way than before.
    Differs,
}

#[derive(Debug)]
struct Question {
    key: String,
    id: Id,
    method: Method,
    params: Raw,
}

/// One call on a legacy server.
#[derive(Debug)]
pub struct UpCall {
    revision: Revision,
    id: Id,
    method: Method,
    ours: Option<Raw>,
    theirs: Option<Raw>,
    capabilities: Capabilities,
    uri: Option<Raw>,
    open: Vec<Question>,
    asked: u64,
    ended: bool,
    script: Option<Arc<dyn Script>>,
}

impl UpCall {
    /// A call that was sent as request `id`; `tokens` are the progress token that was sent and the client's.
    #[must_use]
    pub fn new(revision: Revision, id: Id, call: &Call, tokens: Option<(Raw, Raw)>) -> Self {
        let (ours, theirs) = tokens.unzip();
        let uri = (call.method == Method::ResourcesRead).then(|| call.params.get("uri")).flatten();
        Self {
            revision,
            id,
            method: call.method.clone(),
            ours,
            theirs,
            capabilities: call.capabilities(),
            uri,
            open: Vec::new(),
            asked: 0,
            ended: false,
            script: None,
        }
    }

    /// The same call, made again: questions that were answered before are answered the same way.
    #[must_use]
    pub fn replaying(mut self, script: Option<Arc<dyn Script>>) -> Self {
        self.script = script;
        self
    }

    /// The id under which the legacy server knows the call.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Whether a question waits for its answer.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a message from the server. `None`: it says nothing that concerns the call, or the call has
    /// ended.
    pub fn on_message(&mut self, message: Message) -> Option<UpAction> {
        if self.ended {
            return None;
        }
        match message {
            Message::Response(response) if response.id.as_ref() == Some(&self.id) => {
                Some(self.end(self.outcome(response.outcome)))
            }
            // An error without an id on the call's own stream can only mean this call.
            Message::Response(response) if response.id.is_none() => {
                let error = response.outcome.err()?;
                Some(self.end(self.failure(error)))
            }
            Message::Response(_) => None,
            Message::Notification(note) => {
                let params = self.own_token(&note.method, note.params)?;
                let params = up::notification(self.revision, &note.method, params.as_ref())?;
                Some(UpAction::Notify { method: note.method, params: Some(params) })
            }
            Message::Request(request) => Some(self.on_request(request.id, request.method, request.params)),
        }
    }

    /// There is one end: the questions that were open ask for nothing any more.
    fn end(&mut self, outcome: Result<Raw, Raw>) -> UpAction {
        self.ended = true;
        self.open.clear();
        UpAction::Done(outcome)
    }

    /// `None`: progress of somebody else's call.
    fn own_token(&self, method: &Method, params: Option<Raw>) -> Option<Option<Raw>> {
        if *method != Method::Progress {
            return Some(params);
        }
        let object = params?.object().ok().flatten()?;
        if object.get("progressToken") != self.ours || self.ours.is_none() {
            return None;
        }
        Some(Some(object.edit().put("progressToken", self.theirs.clone()).finish()))
    }

    fn on_request(&mut self, id: Id, method: Method, params: Option<Raw>) -> UpAction {
        let refuse = |id, error: RpcError| UpAction::Answer { id, outcome: Err(error.to_raw()) };
        if method == Method::Ping {
            return UpAction::Answer { id, outcome: Ok(Raw::literal("{}")) };
        }
        let Some(question) = up::question(self.revision, &method, params.as_ref()) else {
            return refuse(id, RpcError::method_not_found(method.as_str()));
        };
        if !self.capabilities.can_answer_question(&question) {
            let text = format!("the client behind the gateway did not declare what {method} needs");
            return refuse(id, RpcError::new(code::METHOD_NOT_FOUND, text));
        }
        if !self.method.may_ask() {
            let text = format!("{} cannot ask questions", self.method);
            return refuse(id, RpcError::invalid_request(text));
        }
        if self.open.len() == OPEN_QUESTIONS_MAX {
            let text = format!("more than {OPEN_QUESTIONS_MAX} questions are open on one call");
            return refuse(id, RpcError::new(code::LIMIT, text));
        }
        self.asked += 1;
        let key = format!("q{}", self.asked);
        match self.script.as_ref().map_or(Recall::Open, |script| script.recall(&key, &question)) {
            Recall::Open => {}
            Recall::Answered(answer) => {
                let result = up::answer(self.revision, &method, &answer);
                return UpAction::Answer { id, outcome: Ok(result) };
            }
            Recall::Differs => {
                self.ended = true;
                self.open.clear();
                return UpAction::GiveUp(differs());
            }
        }
        self.open.push(Question { key, id, method, params: question });
        UpAction::Ask
    }

    /// The open questions as an `input_required` result that carries this state.
    #[must_use]
    pub fn questions(&self, state: &str) -> Raw {
        input_required(self.open.iter().map(|q| (q.key.as_str(), &q.params)), Some(state))
    }

    /// The answers of a retry become responses; a question without an answer stays open.
    pub fn on_answers(&mut self, answers: &Object) -> Vec<UpAction> {
        let mut actions = Vec::new();
        self.open.retain(|question| {
            let Some(answer) = answers.get(&question.key) else { return true };
            let result = up::answer(self.revision, &question.method, &answer);
            actions.push(UpAction::Answer { id: question.id.clone(), outcome: Ok(result) });
            false
        });
        actions
    }

    /// The retry's own progress token, which may differ from the first call's.
    pub fn set_progress_token(&mut self, theirs: Option<Raw>) {
        self.theirs = theirs;
    }

    /// An error that asks the user to open a URL becomes a question. The legacy call is over, so the retry
    /// is a new one.
    fn failure(&self, error: Raw) -> Result<Raw, Raw> {
        if self.capabilities.elicit_url
            && let Some(questions) = up::url_questions(&self.method, self.revision, &error)
        {
            let keys: Vec<String> = (1..=questions.len()).map(|n| format!("url{n}")).collect();
            return Ok(input_required(keys.iter().map(String::as_str).zip(&questions), None));
        }
        let error = up::error(&self.method, self.revision, error);
        Err(match &self.uri {
            Some(uri) => up::missing_resource(error, uri),
            None => error,
        })
    }

    fn outcome(&self, outcome: Result<Raw, Raw>) -> Result<Raw, Raw> {
        match outcome {
            Ok(result) => Ok(up::result(&self.method, self.revision, result)),
            Err(error) => self.failure(error),
        }
    }
}

/// The error of a call that was made again and went another way.
fn differs() -> Raw {
    let text = "The gateway's replica that held this call open is gone, and when the call was made again \
                the server asked something else. Make it again from the start";
    let data = json!({"reason": "replay_differs", "fault": "gateway", "retry": "safe"});
    RpcError::new(code::PARKED_GONE, text).with(data).to_raw()
}

/// An `input_required` result of these questions (basic/patterns/mrtr).
pub fn input_required<'a>(questions: impl Iterator<Item = (&'a str, &'a Raw)>, state: Option<&str>) -> Raw {
    let mut out = BytesMut::with_capacity(256);
    out.put_slice(b"{\"resultType\":\"input_required\",\"inputRequests\":{");
    for (at, (key, question)) in questions.enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        string_into(&mut out, key);
        out.put_u8(b':');
        out.put_slice(question.as_bytes());
    }
    out.put_u8(b'}');
    if let Some(state) = state {
        out.put_slice(b",\"requestState\":");
        string_into(&mut out, state);
    }
    out.put_u8(b'}');
    Raw::trusted(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> UpCall {
        let params = Raw::literal(
            r#"{"name":"t","_meta":{"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}"#,
        );
        let call = Call::read(Method::ToolsCall, Some(&params)).expect("params");
        UpCall::new(Revision::V2025_11_25, Id::number(1), &call, None)
    }

    fn message(text: &'static str) -> Message {
        Message::parse(text.into()).expect("a message")
    }

    #[test]
    fn nothing_follows_the_end_of_a_call() {
        for end in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}}"#,
        ] {
            let mut call = machine();
            let ask = message(r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#);
            assert!(matches!(call.on_message(ask.clone()), Some(UpAction::Ask)));
            assert!(matches!(call.on_message(message(end)), Some(UpAction::Done(_))));
            assert!(!call.is_asking(), "{end}");
            let note = message(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#);
            for late in [message(end), ask, note] {
                assert!(call.on_message(late).is_none(), "after {end}");
            }
        }
    }

    #[test]
    fn a_server_asks_for_what_a_task_needs_while_its_result_is_waited_for() {
        let params = Raw::literal(
            r#"{"taskId":"t","_meta":{"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}"#,
        );
        let ask = || message(r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#);
        for (method, asks) in [(Method::TasksResult, true), (Method::TasksGet, false)] {
            let call = Call::read(method, Some(&params)).expect("params");
            let mut call = UpCall::new(Revision::V2025_11_25, Id::number(1), &call, None);
            let action = call.on_message(ask());
            assert_eq!(matches!(action, Some(UpAction::Ask)), asks, "{action:?}");
        }
    }

    #[test]
    fn an_error_without_an_id_is_translated_as_the_calls_own() {
        let error = r#"{"jsonrpc":"2.0","error":{"code":-32020,"message":"m"}}"#;
        let Some(UpAction::Done(Err(error))) = machine().on_message(message(error)) else { panic!("an end") };
        assert_eq!(RpcError::read(&error).code, code::SERVER_LEGACY);
    }

    /// Knows one question, word by word.
    #[derive(Debug)]
    struct Known(&'static str, Recall);

    impl Script for Known {
        fn recall(&self, key: &str, question: &Raw) -> Recall {
            match (key, question.to_string().contains(self.0)) {
                ("q1", true) => self.1.clone(),
                ("q1", false) => Recall::Differs,
                _ => Recall::Open,
            }
        }
    }

    #[test]
    fn a_call_that_is_made_again_answers_what_was_answered_and_stops_where_it_differs() {
        let ask = || message(r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#);
        let again = |known| machine().replaying(Some(Arc::new(known) as Arc<dyn Script>));
        let roots = Raw::literal(r#"{"roots":[]}"#);
        let mut same = again(Known("roots/list", Recall::Answered(roots.clone())));
        let Some(UpAction::Answer { outcome, .. }) = same.on_message(ask()) else { panic!("an answer") };
        assert_eq!(outcome, Ok(roots));
        assert!(!same.is_asking());
        assert!(matches!(same.on_message(ask()), Some(UpAction::Ask)), "the second one is new");
        let mut open = again(Known("roots/list", Recall::Open));
        assert!(matches!(open.on_message(ask()), Some(UpAction::Ask)));
        let mut other = again(Known("sampling", Recall::Open));
        let Some(UpAction::GiveUp(error)) = other.on_message(ask()) else { panic!("an end") };
        assert_eq!(RpcError::read(&error).code, code::PARKED_GONE);
        assert!(other.on_message(ask()).is_none());
    }
}
