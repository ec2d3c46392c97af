//! Messages, as much of them as the server needs.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::Body;

/// A request, or a notification where there is no id.
#[derive(Debug, Deserialize)]
pub struct Call<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
}

pub fn result(id: &RawValue, result: &str) -> Response<Body> {
    let mut text = String::with_capacity(result.len() + 64);
    text.push_str(r#"{"jsonrpc":"2.0","id":"#);
    text.push_str(id.get());
    text.push_str(r#","result":"#);
    text.push_str(result);
    text.push('}');
    json(StatusCode::OK, text.into())
}

pub fn error(status: StatusCode, id: Option<&RawValue>, code: i32, message: &str) -> Response<Body> {
    let id = id.map_or("null", RawValue::get);
    let error = format!(r#"{{"code":{code},"message":"{message}"}}"#);
    json(status, format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into())
}

pub fn json(status: StatusCode, body: Bytes) -> Response<Body> {
    of_kind(status, "application/json", Body::whole(body))
}

pub fn events(body: Body) -> Response<Body> {
    of_kind(StatusCode::OK, "text/event-stream", body)
}

pub fn of_kind(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

pub fn with_session(mut response: Response<Body>, session: &str) -> Response<Body> {
    let value = HeaderValue::from_str(session).expect("a session's name is plain text");
    response.headers_mut().insert("mcp-session-id", value);
    response
}
