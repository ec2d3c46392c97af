//! A legacy client's call, made as a modern one.
//!
//! Where the modern side answers `input_required`, the machine turns each question into a request on the
//! legacy client's stream, collects the responses, and makes the call again with them. The client sees one
//! call.

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};
use protocol::json::string_into;
use protocol::{Call, Capabilities, Id, Method, Raw, Revision, RpcError, code};

use crate::translate::down;

/// How often a call may come back with questions before the gateway gives up.
pub const ROUNDS_MAX: u32 = 32;

/// A request that the client must answer before the call goes on.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    /// The id that the client's response will carry.
    pub id: Id,
    /// What is asked.
    pub method: Method,
    /// The parameters in the client's revision.
    pub params: Raw,
}

/// What follows from an `input_required` result or a client's response.
#[derive(Debug)]
pub enum DownStep {
    /// Send these to the client.
    Ask(Vec<ClientRequest>),
    /// More responses are missing.
    Wait,
    /// Make this call.
    Retry(Box<Call>),
    /// The call cannot go on.
    Fail(RpcError),
}

/// One call of a legacy client.
#[derive(Debug)]
pub struct DownCall {
    revision: Revision,
    capabilities: Capabilities,
    call: Call,
    rounds: u32,
    pending: HashMap<Id, (String, Method)>,
    answers: Vec<(String, Raw)>,
    state: Option<Raw>,
}

impl DownCall {
    /// A call that a client of this revision made.
    #[must_use]
    pub fn new(revision: Revision, call: Call) -> Self {
        Self {
            revision,
            capabilities: call.capabilities(),
            call,
            rounds: 0,
            pending: HashMap::new(),
            answers: Vec::new(),
            state: None,
        }
    }

    /// The call as it was made first.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Whether a result asks instead of answering.
    #[must_use]
    pub fn is_question(result: &Raw) -> bool {
        result.get("resultType").is_some_and(|t| t.as_bytes() == b"\"input_required\"")
    }

    /// Takes an `input_required` result. `next_id` gives ids that are new to this client.
    pub fn on_questions(&mut self, result: &Raw, mut next_id: impl FnMut() -> Id) -> DownStep {
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            let text = format!("the server asked for input more than {ROUNDS_MAX} times");
            return DownStep::Fail(RpcError::new(code::LIMIT, text));
        }
        let Ok(Some(object)) = result.object() else { return invalid("a result that is no object") };
        self.state = object.get("requestState");
        self.answers.clear();
        self.pending.clear();
        let questions = object.get("inputRequests").map(|q| q.object());
        let questions = match questions {
            None => return self.retry(),
            Some(Ok(Some(questions))) => questions,
            Some(_) => return invalid("inputRequests that are no object"),
        };
        let mut asked = Vec::with_capacity(questions.len());
        for (key, question) in questions.iter() {
            if !self.capabilities.can_answer_question(&question) {
                let text = "the server asks for something that the client did not declare";
                return DownStep::Fail(RpcError::new(code::NOT_TRANSLATABLE, text));
            }
            let id = next_id();
            match down::question(self.revision, &question, id.raw()) {
                Ok((method, params)) => {
                    self.pending.insert(id.clone(), (key.into_owned(), method.clone()));
                    asked.push(ClientRequest { id, method, params });
                }
                Err(refusal) => return DownStep::Fail(refusal.to_rpc()),
            }
        }
        if asked.is_empty() { self.retry() } else { DownStep::Ask(asked) }
    }

    /// Takes a client's response. Responses to nothing that was asked are ignored.
    pub fn on_answer(&mut self, id: &Id, outcome: Result<Raw, Raw>) -> DownStep {
        let Some((key, method)) = self.pending.remove(id) else { return DownStep::Wait };
        match down::answer(&method, self.revision, outcome) {
            Ok(answer) => self.answers.push((key, answer)),
            Err(error) => return DownStep::Fail(error),
        }
        if self.pending.is_empty() { self.retry() } else { DownStep::Wait }
    }

    fn retry(&mut self) -> DownStep {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(b'{');
        for (at, (key, answer)) in self.answers.iter().enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            string_into(&mut out, key);
            out.put_u8(b':');
            out.put_slice(answer.as_bytes());
        }
        out.put_u8(b'}');
        let answers = (!self.answers.is_empty()).then(|| Raw::trusted(out.freeze()));
        let call = self.call.with("inputResponses", answers).with("requestState", self.state.clone());
        DownStep::Retry(Box::new(call))
    }
}

fn invalid(what: &str) -> DownStep {
    DownStep::Fail(RpcError::new(code::UPSTREAM_INVALID, format!("the server sent {what}")))
}
