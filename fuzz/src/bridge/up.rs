//! A modern client's call on a legacy server.

use std::collections::HashMap;

use bridge::{OPEN_QUESTIONS_MAX, UpAction, UpCall};
use bytes::Bytes;
use protocol::{Capabilities, Id, Message, Method, Raw};

use super::Start;
use crate::json::{assert_json, object, raw};

/// The progress token that the gateway sends.
const OURS: &str = "\"tg-1\"";
const STATE: &str = "a state with \"quotes\"";

/// What the harness knows of the call.
struct Seen {
    capabilities: Capabilities,
    method: Method,
    token: Option<Raw>,
    /// How many requests of the server with this id wait for a response.
    open: HashMap<Id, usize>,
    done: bool,
}

/// `< MESSAGE` comes from the server, `> ANSWERS` is a retry of the client with these `inputResponses`,
/// `t TOKEN` is a retry's progress token. The call has the id 1 and the progress token `"tg-1"`.
///
/// * Each request of the server gets at most one response, one that pends or is answered at once, and
///   nothing else gets any.
/// * Nothing follows the end of the call: no second end, no question, no notification.
/// * Only what the client declared is asked, only by methods that may ask, and never more than the limit.
/// * The questions shown are exactly those that are open, under keys that are never used twice.
/// * Answers close the questions that they answer and no others.
/// * An end is a `complete` result, questions by URL without a state, or an error.
/// * Progress of other calls does not pass, and that of this call carries the client's token.
/// * Everything that comes out is JSON.
pub(super) fn run(start: &Start<'_>, lines: &[&str]) {
    let Some(call) = start.call() else { return };
    let token = call.meta.progress_token.clone();
    let tokens = token.clone().map(|theirs| (Raw::literal(OURS), theirs));
    let mut machine = UpCall::new(start.revision, Id::number(1), &call, tokens);
    let mut seen = Seen {
        capabilities: call.capabilities(),
        method: call.method.clone(),
        token,
        open: HashMap::new(),
        done: false,
    };
    for line in lines {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "<" => {
                let Ok(message) = Message::parse(Bytes::copy_from_slice(rest.as_bytes())) else { continue };
                seen.message(&mut machine, message);
            }
            ">" => seen.answers(&mut machine, rest),
            "t" => {
                seen.token = raw(rest).filter(|_| seen.token.is_some());
                machine.set_progress_token(seen.token.clone());
            }
            _ => {}
        }
        seen.check_open(&machine);
    }
}

impl Seen {
    fn message(&mut self, machine: &mut UpCall, message: Message) {
        if let Message::Request(request) = &message {
            *self.open.entry(request.id.clone()).or_default() += 1;
        }
        let before = shown(machine).len();
        let action = machine.on_message(message.clone());
        if self.done {
            assert!(action.is_none(), "after the end: {action:?}");
            return;
        }
        match (action, &message) {
            (Some(UpAction::Answer { id, outcome }), Message::Request(request)) => {
                assert_eq!(id, request.id, "somebody else's request was answered");
                self.answered(&id, &outcome);
                assert_eq!(shown(machine).len(), before, "answered and asked");
            }
            (Some(UpAction::Ask), Message::Request(request)) => {
                assert!(self.method.may_ask(), "{} asks {}", self.method, request.method);
                assert_eq!(shown(machine).len(), before + 1, "asked, and no question is there");
            }
            (Some(UpAction::Done(outcome)), Message::Response(response)) => {
                let ours = response.id.as_ref().is_none_or(|id| id == machine.id());
                assert!(ours, "ended by another call's response");
                assert!(!machine.is_asking(), "ended, and still asking");
                self.done = true;
                self.assert_end(&outcome);
            }
            (Some(UpAction::Notify { method, params }), Message::Notification(note)) => {
                assert_eq!(method, note.method, "another notification");
                self.assert_notification(&method, params.as_ref(), note.params.as_ref());
            }
            (None, Message::Response(response)) => {
                let ours = response.id.as_ref() == Some(machine.id());
                assert!(!ours, "the end of the call was not told");
            }
            (None, Message::Notification(_)) => {}
            (action, message) => panic!("{action:?} follows from {message:?}"),
        }
    }

    fn answers(&mut self, machine: &mut UpCall, text: &str) {
        let Some(answers) = raw(text).as_ref().and_then(object) else { return };
        let before = shown(machine);
        let actions = machine.on_answers(&answers);
        assert!(!self.done || actions.is_empty(), "an answer after the end");
        let answered: Vec<&(String, Raw)> = before.iter().filter(|(key, _)| answers.has(key)).collect();
        assert_eq!(actions.len(), answered.len(), "one response for each answer");
        for action in actions {
            let UpAction::Answer { id, outcome } = action else { panic!("{action:?} follows from answers") };
            self.answered(&id, &outcome);
        }
        let rest: Vec<(String, Raw)> = before.iter().filter(|(key, _)| !answers.has(key)).cloned().collect();
        assert_eq!(shown(machine), rest, "other questions are open");
    }

    /// Counts a response to the server.
    fn answered(&mut self, id: &Id, outcome: &Result<Raw, Raw>) {
        let waiting = self.open.get_mut(id).filter(|count| **count > 0).expect("nobody waits for this");
        *waiting -= 1;
        let (Ok(value) | Err(value)) = outcome;
        assert_json(value);
    }

    fn check_open(&mut self, machine: &UpCall) {
        let questions = shown(machine);
        assert_eq!(machine.is_asking(), !questions.is_empty(), "asking without a question");
        assert!(questions.len() <= OPEN_QUESTIONS_MAX, "{} open questions", questions.len());
        for (_, question) in &questions {
            assert!(self.capabilities.can_answer_question(question), "not declared: {question}");
        }
        let waiting: usize = self.open.values().sum();
        assert!(self.done || waiting == questions.len(), "{waiting} wait for {} answers", questions.len());
    }

    fn assert_end(&self, outcome: &Result<Raw, Raw>) {
        let (Ok(value) | Err(value)) = outcome;
        assert_json(value);
        let Some(result) = outcome.as_ref().ok().and_then(object) else { return };
        match result.get("resultType").expect("a modern result has a type").as_text() {
            "\"complete\"" => {}
            "\"input_required\"" => {
                assert!(self.capabilities.elicit_url && self.method.may_ask(), "asks whom it cannot ask");
                assert!(!result.has("requestState"), "a state, and nothing is parked");
                let asked = result.get("inputRequests").as_ref().and_then(object).expect("questions");
                assert!(!asked.is_empty(), "asks nothing");
                for (_, question) in asked.iter() {
                    assert!(self.capabilities.can_answer_question(&question), "not declared: {question}");
                }
            }
            other => panic!("a result of type {other}"),
        }
    }

    fn assert_notification(&self, method: &Method, params: Option<&Raw>, came: Option<&Raw>) {
        params.into_iter().for_each(assert_json);
        if *method == Method::Progress {
            let token = |params: Option<&Raw>| params.and_then(|params| params.get("progressToken"));
            assert_eq!(token(came), Some(Raw::literal(OURS)), "progress of another call");
            assert_eq!(token(params), self.token, "progress without the client's token");
        }
    }
}

/// The open questions with their keys, as a client is shown them.
fn shown(machine: &UpCall) -> Vec<(String, Raw)> {
    let result = machine.questions(STATE);
    assert_json(&result);
    assert_eq!(result.get("requestState"), Some(Raw::string(STATE)), "another state");
    let asked = result.get("inputRequests").as_ref().and_then(object).expect("keys that differ");
    asked.iter().map(|(key, question)| (key.into_owned(), question)).collect()
}
