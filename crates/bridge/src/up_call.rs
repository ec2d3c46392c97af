//! A modern call that runs on a legacy server.
//!
//! The legacy server answers with notifications, with requests of its own (questions to the user, the model,
//! the roots), and in the end with a response. The machine turns questions into an `input_required` result
//! and the answers of the retry into responses. While a question is open the legacy call stays open: its
//! driver parks the machine together with the stream, and finds it again by the handle that the state
//! carries.

use bytes::{BufMut, BytesMut};
use protocol::json::{Object, string_into};
use protocol::{Call, Capabilities, Id, Message, Method, Raw, Revision, RpcError, code};

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
        }
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
}
