//! What goes back: JSON documents, and problems in the form of RFC 9457.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

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
}

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), allow: None }
    }

    /// Nothing is there.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path; see docs/admin.md")
    }

    /// It is there, and this cannot be done to it.
    pub fn method(allow: &'static str) -> Self {
        let detail = format!("the methods here are {allow}");
        Self { status: StatusCode::METHOD_NOT_ALLOWED, detail, allow: Some(allow) }
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
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let Problem { status, detail, allow } = problem;
        let title = status.canonical_reason().unwrap_or("problem");
        let value = json!({"title": title, "status": status.as_u16(), "detail": detail});
        let mut answer = answer(status, "application/problem+json", &value);
        if let Some(allow) = allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"tidegate admin\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}
