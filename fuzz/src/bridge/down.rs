//! A legacy client's call, made as a modern one.

use std::collections::HashSet;

use bridge::{ClientRequest, DownCall, DownStep, ROUNDS_MAX};
use protocol::{Call, Id, Method, Raw, Revision};

use super::Start;
use crate::json::{assert_json, assert_kept, object, raw};

/// What the harness knows of the call.
struct Seen {
    revision: Revision,
    call: Call,
    ids: u64,
    rounds: u32,
    /// The requests of this round that the client has not answered, in the order in which they were sent.
    open: Vec<Id>,
    /// The names of this round's questions.
    keys: HashSet<String>,
    state: Option<Raw>,
    failed: bool,
}

/// `? RESULT` is the server's `input_required`, `N RESULT` the client's result for the open request number N
/// (from 0), `N! ERROR` its error, `x RESPONSE` a response to something that nobody asked.
///
/// * A question becomes one request with an id that is new, and only one that the client declared and its
///   revision has.
/// * The call is made again when every question of the round is answered and not before: with an answer under
///   each question's own name, the state as it came, and all else as the client sent it.
/// * Responses to what was not asked, or asked in an earlier round, change nothing.
/// * After a failure the call is not made again.
/// * The rounds have a limit.
pub(super) fn run(start: &Start<'_>, lines: &[&str]) {
    let Some(call) = start.call() else { return };
    let mut machine = DownCall::new(start.revision, call.clone());
    let mut seen = Seen {
        revision: start.revision,
        call,
        ids: 0,
        rounds: 0,
        open: Vec::new(),
        keys: HashSet::new(),
        state: None,
        failed: false,
    };
    for line in lines {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Some(value) = raw(rest) else { continue };
        match kind {
            "?" if DownCall::is_question(&value) && !seen.failed => seen.questions(&mut machine, &value),
            "?" => {}
            "x" => {
                let stray = [Id::string("stray"), Id::number(seen.ids + 1)];
                for id in stray {
                    let step = machine.on_answer(&id, Ok(value.clone()));
                    assert!(matches!(step, DownStep::Wait), "a stray response did something: {step:?}");
                }
            }
            _ => {
                let (number, failed) = kind.strip_suffix('!').map_or((kind, false), |n| (n, true));
                let Some(at) = number.parse::<usize>().ok().filter(|at| *at < seen.open.len()) else {
                    continue;
                };
                seen.answer(&mut machine, at, if failed { Err(value) } else { Ok(value) });
            }
        }
    }
}

impl Seen {
    fn questions(&mut self, machine: &mut DownCall, result: &Raw) {
        let stale = std::mem::take(&mut self.open);
        self.rounds += 1;
        let ids = &mut self.ids;
        let step = machine.on_questions(result, || {
            *ids += 1;
            Id::string(&format!("g{ids}"))
        });
        let came = object(result);
        self.state = came.as_ref().and_then(|came| came.get("requestState"));
        let asked = came.as_ref().and_then(|came| came.get("inputRequests"));
        self.keys = asked.as_ref().map(names).unwrap_or_default();
        assert!(self.rounds <= ROUNDS_MAX || matches!(step, DownStep::Fail(_)), "round {}", self.rounds);
        match step {
            DownStep::Ask(requests) => self.asked(&requests, asked.as_ref()),
            DownStep::Retry(call) => {
                assert!(self.keys.is_empty(), "questions were dropped");
                self.assert_retry(&call);
            }
            DownStep::Fail(error) => {
                assert_json(&error.to_raw());
                self.failed = true;
            }
            DownStep::Wait => panic!("questions were ignored"),
        }
        for id in stale {
            let step = machine.on_answer(&id, Ok(Raw::literal("{}")));
            assert!(matches!(step, DownStep::Wait), "an old round's response did something: {step:?}");
        }
        self.assert_failed(machine);
    }

    fn asked(&mut self, requests: &[ClientRequest], asked: Option<&Raw>) {
        assert_eq!(requests.len(), self.keys.len(), "one request for each question");
        let questions: Vec<Raw> =
            asked.and_then(object).map(|asked| asked.iter().map(|(_, q)| q).collect()).unwrap_or_default();
        let features = self.revision.features();
        for (request, question) in requests.iter().zip(&questions) {
            assert!(!self.open.contains(&request.id), "an id was used twice");
            self.open.push(request.id.clone());
            assert_json(&request.params);
            assert!(self.call.capabilities().can_answer_question(question), "not declared: {question}");
            let params = object(&request.params).expect("a request's parameters are an object");
            assert!(!params.has("task"), "a task that nobody asks for again");
            let is = |member: &str, text: &str| {
                params.get(member).is_some_and(|value| value.as_str().as_deref() == Some(text))
            };
            match request.method {
                Method::Elicit => {
                    let by_url = is("mode", "url");
                    assert!(features.elicitation && (!by_url || features.url_elicitation), "no such words");
                    assert_eq!(by_url, is("elicitationId", id_text(&request.id)), "the id of a URL");
                    assert!(features.url_elicitation || !params.has("mode"), "a mode before 2025-11-25");
                }
                Method::Sample => {
                    assert!(features.sampling_tools || !params.has("tools"), "tools before 2025-11-25");
                }
                Method::RootsList => {}
                ref other => panic!("{other} was asked"),
            }
        }
    }

    fn answer(&mut self, machine: &mut DownCall, at: usize, outcome: Result<Raw, Raw>) {
        let id = self.open.remove(at);
        match machine.on_answer(&id, outcome.clone()) {
            DownStep::Wait => assert!(self.failed || !self.open.is_empty(), "all is answered"),
            DownStep::Retry(call) => {
                assert!(!self.failed, "the call goes on after a failure");
                assert!(
                    self.open.is_empty(),
                    "the call goes on, and {} answers are missing",
                    self.open.len()
                );
                self.assert_retry(&call);
                self.keys.clear();
            }
            DownStep::Fail(error) => {
                assert_json(&error.to_raw());
                self.failed = true;
            }
            DownStep::Ask(requests) => panic!("an answer asks: {requests:?}"),
        }
        let again = machine.on_answer(&id, outcome);
        assert!(matches!(again, DownStep::Wait), "a second answer counts: {again:?}");
        self.assert_failed(machine);
    }

    /// After a failure nothing that the client still says makes the call go on.
    fn assert_failed(&mut self, machine: &mut DownCall) {
        if !self.failed {
            return;
        }
        let ids = std::mem::take(&mut self.open);
        let never_sent = (1..=self.ids).map(|n| Id::string(&format!("g{n}")));
        for id in ids.into_iter().chain(never_sent.collect::<Vec<_>>()) {
            let step = machine.on_answer(&id, Ok(Raw::literal("{}")));
            assert!(matches!(step, DownStep::Wait), "after a failure: {step:?}");
        }
    }

    fn assert_retry(&self, call: &Call) {
        assert_eq!(call.method, self.call.method, "another method");
        assert_json(&call.params.raw());
        assert_kept(&self.call.params, &call.params, &["inputResponses", "requestState"]);
        assert_eq!(call.params.get("requestState"), self.state, "the state");
        let answers = call.params.get("inputResponses");
        assert_eq!(
            answers.as_ref().map(names).unwrap_or_default(),
            self.keys,
            "the answers have other names than the questions"
        );
    }
}

fn names(raw: &Raw) -> HashSet<String> {
    object(raw)
        .iter()
        .flat_map(|object| object.iter().map(|(name, _)| name.into_owned()).collect::<Vec<_>>())
        .collect()
}

fn id_text(id: &Id) -> &str {
    id.raw().as_text().trim_matches('"')
}
