//! What goes back: JSON documents, and problems in the form of RFC 9457.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::page::guard;

/// An answer, which is small.
pub type Answer = Response<Full<Bytes>>;

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong, and with what.
    pub detail: String,
    /// The methods there are, where it was another one.
    pub allow: Option<&'static str>,
    /// When it may be tried again, where that was too often.
    pub after: Option<Duration>,
}

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), allow: None, after: None }
    }

    /// Nothing is there.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path; see docs/admin.md")
    }

    /// It is there, and this cannot be done to it.
    pub fn method(allow: &'static str) -> Self {
        let detail = format!("the methods here are {allow}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// Too many have failed to come in; nobody is looked at for so long.
    pub fn too_many(wait: Duration) -> Self {
        let detail = "too many have failed to come in; try again in a moment";
        Self { after: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }
}

/// A document.
pub fn document(status: StatusCode, value: &Value) -> Answer {
    answer(status, "application/json", value)
}

fn answer(status: StatusCode, kind: &'static str, value: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    guard(answer.headers_mut());
    answer
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let Problem { status, detail, allow, after } = problem;
        let title = status.canonical_reason().unwrap_or("problem");
        let value = json!({"title": title, "status": status.as_u16(), "detail": detail});
        let mut answer = answer(status, "application/problem+json", &value);
        if let Some(allow) = allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(after) = after {
            let seconds = after.as_secs().saturating_add(1);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"tidegate admin\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}
