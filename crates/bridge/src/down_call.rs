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

/// The most questions that a call may come back with at a time.
pub const QUESTIONS_MAX: usize = 32;

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
    /// The call cannot go on, whatever the client still says.
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
    pub fn on_questions(&mut self, result: &Raw, next_id: impl FnMut() -> Id) -> DownStep {
        self.answers.clear();
        self.pending.clear();
        match self.questions(result, next_id) {
            Ok(asked) if asked.is_empty() => self.retry(),
            Ok(asked) => DownStep::Ask(asked),
            Err(error) => self.fail(error),
        }
    }

    fn questions(
        &mut self,
        result: &Raw,
        mut next_id: impl FnMut() -> Id,
    ) -> Result<Vec<ClientRequest>, RpcError> {
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            let text = format!("the server asked for input more than {ROUNDS_MAX} times");
            return Err(RpcError::new(code::LIMIT, text));
        }
        let Ok(Some(object)) = result.object() else { return Err(invalid("a result that is no object")) };
        self.state = object.get("requestState");
        let questions = match object.get("inputRequests").map(|q| q.object()) {
            None => return Ok(Vec::new()),
            Some(Ok(Some(questions))) => questions,
            Some(_) => return Err(invalid("inputRequests that are no object")),
        };
        if questions.len() > QUESTIONS_MAX {
            let text = format!("the server asked for more than {QUESTIONS_MAX} things at once");
            return Err(RpcError::new(code::LIMIT, text));
        }
        let mut asked = Vec::with_capacity(questions.len());
        for (key, question) in questions.iter() {
            if !self.capabilities.can_answer_question(&question) {
                let text = "the server asks for something that the client did not declare";
                return Err(RpcError::new(code::NOT_TRANSLATABLE, text));
            }
            let id = next_id();
            let (method, params) =
                down::question(self.revision, &question, id.raw()).map_err(|refusal| refusal.to_rpc())?;
            self.pending.insert(id.clone(), (key.into_owned(), method.clone()));
            asked.push(ClientRequest { id, method, params });
        }
        Ok(asked)
    }

    /// Takes a client's response. Responses to nothing that was asked are ignored.
    pub fn on_answer(&mut self, id: &Id, outcome: Result<Raw, Raw>) -> DownStep {
        let Some((key, method)) = self.pending.remove(id) else { return DownStep::Wait };
        match down::answer(&method, self.revision, outcome) {
            Ok(answer) => self.answers.push((key, answer)),
            Err(error) => return self.fail(error),
        }
        if self.pending.is_empty() { self.retry() } else { DownStep::Wait }
    }

    /// The other questions wait for nothing any more: their answers must not make the call go on.
    fn fail(&mut self, error: RpcError) -> DownStep {
        self.pending.clear();
        self.answers.clear();
        DownStep::Fail(error)
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

fn invalid(what: &str) -> RpcError {
    RpcError::new(code::UPSTREAM_INVALID, format!("the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOTS: &str = r#"{"method":"roots/list"}"#;

    fn machine() -> DownCall {
        let params = Raw::literal(
            r#"{"name":"t","_meta":{"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}"#,
        );
        let call = Call::read(Method::ToolsCall, Some(&params)).expect("params");
        DownCall::new(Revision::V2025_11_25, call)
    }

    /// The step after these questions, the first of which has the id 1.
    fn ask(machine: &mut DownCall, questions: &[(&str, &str)]) -> DownStep {
        let entries: Vec<String> = questions.iter().map(|(key, q)| format!("\"{key}\":{q}")).collect();
        let text =
            format!("{{\"resultType\":\"input_required\",\"inputRequests\":{{{}}}}}", entries.join(","));
        let mut last = 0;
        machine.on_questions(&Raw::parse(text.into()).expect("JSON"), || {
            last += 1;
            Id::number(last)
        })
    }

    #[test]
    fn nothing_makes_a_call_go_on_that_has_failed() {
        let answer = || Ok(Raw::literal("{}"));
        let mut refused = machine();
        assert!(matches!(ask(&mut refused, &[("a", ROOTS), ("b", ROOTS)]), DownStep::Ask(_)));
        let step = refused.on_answer(&Id::number(1), Err(Raw::literal(r#"{"code":-1,"message":"no"}"#)));
        assert!(matches!(step, DownStep::Fail(_)), "{step:?}");
        assert!(matches!(refused.on_answer(&Id::number(2), answer()), DownStep::Wait));
        let mut half = machine();
        let step = ask(&mut half, &[("a", ROOTS), ("b", r#"{"method":"elicitation/create"}"#)]);
        assert!(matches!(step, DownStep::Fail(_)), "{step:?}");
        assert!(matches!(half.on_answer(&Id::number(1), answer()), DownStep::Wait), "it was never asked");
    }

    #[test]
    fn more_questions_than_the_limit_end_the_call() {
        let keys: Vec<String> = (0..=QUESTIONS_MAX).map(|n| format!("k{n}")).collect();
        let questions: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), ROOTS)).collect();
        assert!(matches!(ask(&mut machine(), &questions[1..]), DownStep::Ask(_)));
        match ask(&mut machine(), &questions) {
            DownStep::Fail(error) => assert_eq!(error.code, code::LIMIT),
            step => panic!("{step:?}"),
        }
    }
}
