//! JSON-RPC errors: the codes, and one table from code to HTTP status.

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use crate::Raw;
use crate::json::{Object, string_into};

/// The codes of JSON-RPC 2.0 and of the protocol (basic/index, "Error codes").
pub mod code {
    /// Not JSON.
    pub const PARSE: i64 = -32700;
    /// Not a request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method here.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// Wrong parameters; also unknown tool, prompt, resource, task, cursor.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Our own failure, or that of the server behind us.
    pub const INTERNAL: i64 = -32603;
    /// Headers and body disagree (2026-07-28).
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The request lacks a client capability that is needed (2026-07-28).
    pub const MISSING_CAPABILITY: i64 = -32021;
    /// The revision is not served (2026-07-28).
    pub const UNSUPPORTED_VERSION: i64 = -32022;
    /// Resource not found, up to 2025-11-25.
    pub const RESOURCE_NOT_FOUND_LEGACY: i64 = -32002;
    /// The server needs a URL elicitation first (2025-11-25 only).
    pub const URL_ELICITATION_LEGACY: i64 = -32042;
    /// Old servers' word for anything about sessions and transports.
    pub const SERVER_LEGACY: i64 = -32000;
    /// Ours, outside the reserved range: the server behind us could not be reached; nothing ran.
    pub const UPSTREAM_UNREACHABLE: i64 = -31001;
    /// Ours: the server behind us speaks no revision that we can use.
    pub const UPSTREAM_REVISION: i64 = -31002;
    /// Ours: the server behind us broke off; the call may have run.
    pub const UPSTREAM_BROKE: i64 = -31003;
    /// Ours: the server behind us did not answer in time; the call may have run.
    pub const UPSTREAM_TIMEOUT: i64 = -31004;
    /// Ours: the server behind us sent what is no answer.
    pub const UPSTREAM_INVALID: i64 = -31005;
    /// Ours: a limit of the gateway; nothing ran.
    pub const LIMIT: i64 = -31006;
    /// Ours: the call that waited for an answer is gone.
    pub const PARKED_GONE: i64 = -31007;
    /// Ours: cannot be expressed in the revision of the one who asks, or of the one who is asked.
    pub const NOT_TRANSLATABLE: i64 = -31008;
    /// Ours: the session with the server behind us is gone, and what the server remembered with it; nothing
    /// ran.
    pub const SESSION_GONE: i64 = -31009;
    /// Ours: the audit log takes no record, and nothing is answered without one.
    pub const UNRECORDED: i64 = -31010;
    /// Ours: not allowed here; nothing ran.
    pub const DENIED: i64 = -31011;
}

/// An error object, as we make it or as a peer sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// One of [`code`], or the peer's own.
    pub code: i64,
    /// What happened, for a person.
    pub message: String,
    /// More, for a program.
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same error with this data.
    #[must_use]
    pub fn with(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// -32602.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// -32600.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_REQUEST, message)
    }

    /// -32601.
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        Self::new(code::METHOD_NOT_FOUND, format!("Method not found: {method}"))
    }

    /// -32020.
    #[must_use]
    pub fn header_mismatch(message: impl Into<String>) -> Self {
        Self::new(code::HEADER_MISMATCH, message)
    }

    /// -32022, naming what is served.
    #[must_use]
    pub fn unsupported_version(requested: &str, supported: &[&str]) -> Self {
        Self::new(code::UNSUPPORTED_VERSION, "Unsupported protocol version")
            .with(json!({"supported": supported, "requested": requested}))
    }

    /// The error object's bytes.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        let mut out = BytesMut::with_capacity(self.message.len() + 48);
        out.put_slice(b"{\"code\":");
        out.put_slice(self.code.to_string().as_bytes());
        out.put_slice(b",\"message\":");
        string_into(&mut out, &self.message);
        if let Some(data) = &self.data {
            out.put_slice(b",\"data\":");
            out.put_slice(data.to_string().as_bytes());
        }
        out.put_u8(b'}');
        Raw::trusted(out.freeze())
    }

    /// Reads an error object; what is missing becomes an internal error's.
    #[must_use]
    pub fn read(raw: &Raw) -> Self {
        let object = raw.object().ok().flatten().unwrap_or_else(Object::empty);
        Self {
            code: object.get("code").and_then(|c| c.as_i64()).unwrap_or(code::INTERNAL),
            message: object
                .get("message")
                .and_then(|m| m.as_str().map(std::borrow::Cow::into_owned))
                .unwrap_or_default(),
            data: object.get("data").map(|d| d.to_value()),
        }
    }
}

/// The HTTP status that a modern answer with this error has (transports, "Error responses").
///
/// The text pins the statuses of a few codes only; every other error is an answer and has 200.
#[must_use]
pub fn http_status(code: i64) -> u16 {
    match code {
        code::PARSE | code::INVALID_REQUEST => 400,
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION => 400,
        code::METHOD_NOT_FOUND => 404,
        _ => 200,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire() {
        let error = RpcError::new(-7, "say \"no\"\n").with(json!({"a": [1]}));
        assert_eq!(RpcError::read(&error.to_raw()), error);
        let odd = RpcError::read(&Raw::literal("[]"));
        assert_eq!(odd.code, code::INTERNAL);
    }
}
