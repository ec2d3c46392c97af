//! What a request comes to.

use serde_json::{Value, json};

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With a result.
    Result(Value),
    /// With an error object.
    Error(Value),
    /// Without an answer: the stream ended, or the body was none.
    Lost,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The HTTP status that the last answer came with.
    pub status: u16,
    /// How it ended.
    pub end: End,
    /// What the client was asked meanwhile: `method` and `params` of each question.
    pub asked: Vec<Value>,
    /// The notifications that came with it: `method` and `params` of each.
    pub told: Vec<Value>,
}

impl Outcome {
    pub(super) fn new(status: u16, end: End) -> Self {
        Self { status, end, asked: Vec::new(), told: Vec::new() }
    }

    /// From a response.
    pub(super) fn of_response(status: u16, message: &Value) -> Self {
        let end = match (message.get("result"), message.get("error")) {
            (Some(result), None) => End::Result(result.clone()),
            (None, Some(error)) => End::Error(error.clone()),
            _ => End::Lost,
        };
        Self::new(status, end)
    }

    /// The result.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn result(&self) -> &Value {
        match &self.end {
            End::Result(result) => result,
            End::Error(_) | End::Lost => panic!("no result: {self:?}"),
        }
    }

    /// The error's code, if it ended with one.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match &self.end {
            End::Error(error) => error["code"].as_i64(),
            End::Result(_) | End::Lost => None,
        }
    }

    /// The text of a tool's first block.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        let text = self.result()["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text: {self:?}"))
    }
}

/// `method` and `params` of a message.
pub(super) fn gist(message: &Value) -> Value {
    match message.get("params") {
        Some(params) => json!({ "method": message["method"], "params": params }),
        None => json!({ "method": message["method"] }),
    }
}
