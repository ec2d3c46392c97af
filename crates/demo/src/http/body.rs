//! Bodies in, bodies out.

use std::convert::Infallible;
use std::time::Duration;

use ::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::Arrival;
use crate::rpc::{self, RpcError};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The answer to a request that goes no further.
pub(crate) type Refused = Box<Response<Body>>;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The JSON of a request, or the answer to a body that is none.
pub(crate) async fn read(request: &Arrival<'_>, incoming: Incoming) -> Result<Value, Refused> {
    let invalid = |status, why: &str| {
        Err(Box::new(request.error(status, None, &RpcError::new(rpc::INVALID_REQUEST, why))))
    };
    let kind = request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type is application/json");
    }
    let limited = Limited::new(incoming, request.server.config().body_bytes_max);
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, limited.collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(fault)) if fault.is::<LengthLimitError>() => {
            return invalid(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
        }
        Ok(Err(_)) => return invalid(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => return invalid(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
    };
    serde_json::from_slice(&bytes).map_err(|fault| {
        let error = RpcError::new(rpc::PARSE_ERROR, format!("Parse error: {fault}"));
        Box::new(request.error(StatusCode::BAD_REQUEST, None, &error))
    })
}

pub(crate) fn json(status: StatusCode, message: &Value) -> Response<Body> {
    json_bytes(status, Bytes::from(message.to_string()))
}

pub(crate) fn json_bytes(status: StatusCode, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = status;
    response
}

pub(crate) fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}
