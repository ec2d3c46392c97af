//! What the policies decide, without anything being done.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::admit::{Unread, whole};
use crate::listener::Own;
use crate::note::Said;
use crate::problem::{Answer, Problem, document};

/// How large a question may be, in bytes; its arguments are most of it.
const QUESTION_BYTES_MAX: usize = 256 * 1024;

/// What was decided on a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// All that there is to say, for whoever asked.
    pub report: Value,
    /// Who wants to do what with what, for the audit log.
    pub gist: String,
    /// `allow`, `deny` or `ask`.
    pub decision: String,
}

/// Whoever answers what the policies in force would decide.
#[async_trait]
pub trait Explains: Send + Sync {
    /// Decides on a question in JSON, and does nothing of it.
    ///
    /// # Errors
    /// What is wrong with the question, in words.
    async fn explain(&self, question: Bytes) -> Result<Explained, String>;
}

/// `POST /v1/policy/explain`
pub async fn explain(own: &Own, body: Unread) -> Result<Answer, Problem> {
    let too_large = || {
        let text = format!("a question has at most {QUESTION_BYTES_MAX} bytes, and comes within ten seconds");
        Problem::new(StatusCode::BAD_REQUEST, text)
    };
    let question = whole(body, QUESTION_BYTES_MAX).await.ok_or_else(too_large)?;
    let found = own.explain.explain(question).await;
    let found = found.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error))?;
    let mut answer = document(StatusCode::OK, &found.report);
    answer.extensions_mut().insert(Said(vec![("question", found.gist), ("decision", found.decision)]));
    Ok(answer)
}
