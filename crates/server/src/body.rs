//! The message of a POST, read without trust.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use protocol::{EnvelopeError, Message, RpcError, code};

use crate::answer::{self, Answer};
use crate::app::{App, Exchange, Generation};

/// What a POST brought.
pub(crate) enum Incoming {
    /// A message, and the bytes that it was read from.
    One(Box<Message>, Bytes),
    Batch(Bytes),
}

/// Reads the message of a POST.
///
/// # Errors
/// The answer to what cannot be read.
pub(crate) async fn read<B>(x: &Exchange, body: B) -> Result<Incoming, Box<Answer>>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    if !is_json(&x.headers) {
        let error = RpcError::invalid_request("Content-Type must be application/json").to_raw();
        return Err(Box::new(answer::error_with(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, &error)));
    }
    let limits = &x.generation.limits;
    let read = read_body(body, limits.request_bytes_max);
    let body = match tokio::time::timeout(limits.body_read_timeout, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(BodyError::TooLarge)) => {
            x.app.metrics.refused("body_too_large");
            let text = format!(
                "the body is larger than {} bytes (limit request_bytes_max)",
                limits.request_bytes_max
            );
            let error = RpcError::new(code::LIMIT, text).to_raw();
            return Err(Box::new(answer::error_with(StatusCode::PAYLOAD_TOO_LARGE, None, &error)));
        }
        Ok(Err(BodyError::Broken)) => {
            return Err(Box::new(answer::error(
                None,
                &RpcError::invalid_request("the body ended too early"),
            )));
        }
        Err(_slow) => {
            x.app.metrics.refused("body_too_slow");
            let error =
                RpcError::new(code::LIMIT, "the body came too slowly (limit body_read_timeout)").to_raw();
            return Err(Box::new(answer::error_with(StatusCode::REQUEST_TIMEOUT, None, &error)));
        }
    };
    if body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
        return Ok(Incoming::Batch(body));
    }
    match Message::parse(body.clone()) {
        Ok(message) => Ok(Incoming::One(Box::new(message), body)),
        Err(error) => Err(Box::new(unreadable(&error))),
    }
}

/// The most of a body that is read and thrown away, in bytes, and how long it may take.
const DRAIN_BYTES_MAX: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Reads what is left of a body that nobody wanted, within bounds: a client that was answered before it had
/// sent all of it would lose its connection, and on it the next request (RFC 9112, section 9.6). Says
/// whether nothing is left.
pub(crate) async fn drained<B>(body: &mut B) -> bool
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let rest = async {
        let mut bytes = 0;
        while !body.is_end_stream() {
            match body.frame().await {
                None => return true,
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => return false,
            }
            if bytes > DRAIN_BYTES_MAX {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(DRAIN_TIME, rest).await.unwrap_or(false)
}

/// Reads a form or a document that is no message.
///
/// # Errors
/// The answer to one that cannot be read.
pub(crate) async fn read_form<B>(
    app: &App,
    generation: &Generation,
    body: B,
    max: usize,
) -> Result<Bytes, Box<Answer>>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let refused = |status, text: &str| Err(Box::new(answer::text(status, format!("{text}\n"))));
    let time = generation.limits.body_read_timeout;
    match tokio::time::timeout(time, read_body(body, max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(BodyError::TooLarge)) => {
            app.metrics.refused("body_too_large");
            refused(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.")
        }
        Ok(Err(BodyError::Broken)) => refused(StatusCode::BAD_REQUEST, "The body ended too early."),
        Err(_slow) => {
            app.metrics.refused("body_too_slow");
            refused(StatusCode::REQUEST_TIMEOUT, "The body came too slowly.")
        }
    }
}

/// The answer to what is no message.
pub(crate) fn unreadable(error: &EnvelopeError) -> Answer {
    let (id, error) = error.to_rpc();
    answer::error(id.as_ref(), &error)
}

enum BodyError {
    TooLarge,
    Broken,
}

/// Reads a body without growing past the limit; one that comes in one piece is not copied.
async fn read_body<B>(mut body: B, max: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > max as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(BodyError::Broken) };
        let Ok(data) = frame.into_data() else { continue };
        let size = first.as_ref().map_or(all.len(), Bytes::len);
        if size + data.len() > max {
            return Err(BodyError::TooLarge);
        }
        match first.take() {
            None if all.is_empty() => first = Some(data),
            before => {
                if let Some(before) = before {
                    all.extend_from_slice(&before);
                }
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
