//! Making a call again whose replica is gone.
//!
//! A call on a legacy server stays open in one replica while it waits for an answer. Where the tool may run
//! twice without harm, the request state also carries what was asked and answered so far. If that replica is
//! gone, the call is made again elsewhere, and the same questions get the same answers. A question that
//! differs ends it.

use std::collections::BTreeMap;

use bridge::{Recall, Script};
use catalog::{Kind, Routed};
use config::Glob;
use protocol::json::Object;
use protocol::{Method, Raw};
use serde_json::{Value, json};
use upstream::Again;

use crate::app::Exchange;

/// The most bytes of questions and answers that a request state carries.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// Which of an upstream's tools may run twice without harm.
#[derive(Debug, Clone, Default)]
pub struct Repeatable {
    /// Those that the operator names.
    pub named: Vec<Glob>,
    /// Whether the upstream's hints are believed.
    pub hints: bool,
}

/// Whether a call may be made twice without harm.
pub(crate) fn may_repeat(x: &Exchange, routed: &Routed) -> bool {
    match routed.call.method {
        // They read.
        Method::PromptsGet | Method::ResourcesRead => true,
        Method::ToolsCall => {
            let upstream = routed.source.upstream().name().as_str();
            let rules = x.generation.repeatable.get(upstream);
            let name = routed.call.text("name");
            let (Some(rules), Some(name)) = (rules, name) else { return false };
            rules.named.iter().any(|glob| glob.matches(&name)) || (rules.hints && hinted(x, routed, &name))
        }
        _ => false,
    }
}

/// Whether the gateway may make a call again before its client hears of a failure. A task has its own rules.
pub(crate) fn again(x: &Exchange, routed: &Routed) -> Again {
    if x.hosted.is_some() {
        Again::Never
    } else if upstream::reads(&routed.call.method) || may_repeat(x, routed) {
        Again::Repeatable
    } else {
        Again::Unsent
    }
}

/// Whether the upstream says so of its tool (2025-11-25, "ToolAnnotations").
fn hinted(x: &Exchange, routed: &Routed, tool: &str) -> bool {
    let listing = routed.source.cached(Kind::Tools, &x.caller);
    let hints = listing.and_then(|listing| listing.get(tool)?.raw.get("annotations"));
    let says = |hint| hints.as_ref().and_then(|hints| hints.get(hint)?.as_bool()) == Some(true);
    says("readOnlyHint") || says("idempotentHint")
}

/// What a call was asked, and what was answered, by the questions' keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record(BTreeMap<String, Asked>);

#[derive(Debug, Clone, PartialEq)]
struct Asked {
    /// Of the question.
    digest: String,
    answer: Option<Raw>,
}

impl Record {
    /// What a request state carries of it. `None`: nothing.
    pub fn read(text: &str) -> Option<Self> {
        let raw = Raw::parse(text.to_owned().into()).ok()?;
        let members = raw.object().ok()??;
        let read = |(key, value): (std::borrow::Cow<'_, str>, Raw)| {
            let mut items = value.items()?.into_iter();
            let digest = items.next()?.as_str()?.into_owned();
            Some((key.into_owned(), Asked { digest, answer: items.next() }))
        };
        members.iter().map(read).collect::<Option<_>>().map(Self)
    }

    /// As a request state carries it; empty where it is too large for that.
    pub fn write(&self) -> String {
        let one = |asked: &Asked| match &asked.answer {
            None => json!([asked.digest]),
            Some(answer) => json!([asked.digest, answer.to_value()]),
        };
        let all: Value = self.0.iter().map(|(key, asked)| (key.clone(), one(asked))).collect();
        let text = all.to_string();
        if text.len() <= RECORD_BYTES_MAX { text } else { String::new() }
    }

    /// Adds the answers of a retry to the questions that were open.
    pub fn answer(&mut self, answers: Option<&Object>) {
        for (key, asked) in &mut self.0 {
            if asked.answer.is_none() {
                asked.answer = answers.and_then(|answers| answers.get(key));
            }
        }
    }

    /// Adds questions.
    pub fn ask(&mut self, questions: &Object) {
        for (key, question) in questions.iter() {
            let asked = Asked { digest: digest(&question), answer: None };
            self.0.entry(key.into_owned()).or_insert(asked);
        }
    }
}

impl Script for Record {
    fn recall(&self, key: &str, question: &Raw) -> Recall {
        match self.0.get(key) {
            None => Recall::Open,
            Some(asked) if asked.digest != digest(question) => Recall::Differs,
            Some(asked) => asked.answer.clone().map_or(Recall::Open, Recall::Answered),
        }
    }
}

/// What tells two questions apart: half of a digest of their words.
fn digest(question: &Raw) -> String {
    let mut text = String::new();
    crate::handles::canonical(&question.to_value(), &mut text);
    seal::sha256(text.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object {
        Raw::parse(text.to_owned().into()).expect("JSON").object().expect("valid").expect("an object")
    }

    #[test]
    fn what_was_asked_and_answered_is_recalled_word_by_word() {
        let mut record = Record::default();
        record.ask(&object(r#"{"q1":{"method":"a","params":{"x":1}},"q2":{"method":"b"}}"#));
        record.answer(Some(&object(r#"{"q1":{"action":"accept"},"q9":{}}"#)));
        let record = Record::read(&record.write()).expect("a record");
        let recall = |key, question: &'static str| record.recall(key, &Raw::literal(question));
        let accepted = Recall::Answered(Raw::literal(r#"{"action":"accept"}"#));
        assert_eq!(recall("q1", r#"{"params":{"x":1},"method":"a"}"#), accepted);
        assert_eq!(recall("q1", r#"{"params":{"x":2},"method":"a"}"#), Recall::Differs);
        assert_eq!(recall("q2", r#"{"method":"b"}"#), Recall::Open, "it was asked and not answered");
        assert_eq!(recall("q3", r#"{"method":"c"}"#), Recall::Open, "it was not asked");
    }

    #[test]
    fn an_answer_counts_once_and_a_large_record_is_left_out() {
        let mut record = Record::default();
        record.ask(&object(r#"{"q1":{"method":"a"}}"#));
        record.answer(Some(&object(r#"{"q1":1}"#)));
        record.answer(Some(&object(r#"{"q1":2}"#)));
        assert_eq!(
            record.recall("q1", &Raw::literal(r#"{"method":"a"}"#)),
            Recall::Answered(Raw::literal("1"))
        );
        record.ask(&object(r#"{"q2":{"method":"a"}}"#));
        let large = format!(r#"{{"q2":"{}"}}"#, "x".repeat(RECORD_BYTES_MAX));
        record.answer(Some(&object(&large)));
        assert_eq!(record.write(), "");
        for other in ["", "7", "[]", r#"{"q1":[]}"#, r#"{"q1":[7]}"#, r#"{"q1":{}}"#] {
            assert_eq!(Record::read(other), None, "{other}");
        }
    }
}
