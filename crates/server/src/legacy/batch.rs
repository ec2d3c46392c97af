//! Several messages in one body (2025-03-26 only).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::join_all;
use http::StatusCode;
use protocol::{Message, Method, Raw, RpcError, code, envelope};

use super::buffer::StreamBuffer;
use super::post::{Served, enter, notification, serve, session_of};
use super::session::Session;
use crate::answer::{self, Accepts, Answer};
use crate::app::Exchange;
use crate::http::Turn;
use crate::note::aside;
use crate::{line, modern};

/// Serves a batch: responses to its requests in one JSON array, or on one stream where the client takes one.
pub(crate) async fn batch(x: Exchange, body: Bytes) -> Turn {
    let (x, session, messages) = match read(x, body).await {
        Ok(read) => read,
        Err(answer) => return Turn::Here(*answer),
    };
    let requests: Vec<_> = messages.iter().filter_map(as_request).collect();
    if let Some(owner) = Box::pin(line::owner_of_batch(&x, &requests)).await {
        let error = modern::gone(false).to_raw();
        return Turn::owner(owner, move |_| answer::error_with(StatusCode::BAD_REQUEST, None, &error));
    }
    Turn::Here(run(x, session, messages).await)
}

fn as_request(message: &Message) -> Option<&protocol::Request> {
    match message {
        Message::Request(request) => Some(request),
        Message::Notification(_) | Message::Response(_) => None,
    }
}

/// The messages, and whose they are.
async fn read(mut x: Exchange, body: Bytes) -> Result<(Exchange, Arc<Session>, Vec<Message>), Box<Answer>> {
    let refuse = |text: &str| Err(Box::new(answer::error(None, &RpcError::invalid_request(text))));
    let items = match Raw::parse(body) {
        Ok(raw) => raw.items().unwrap_or_default(),
        Err(error) => {
            let error = RpcError::new(code::PARSE, format!("Parse error: {error}"));
            return Err(Box::new(answer::error(None, &error)));
        }
    };
    let limit = x.generation.limits.batch_max;
    if items.is_empty() || items.len() > limit {
        return refuse(&format!("Invalid request: a batch holds 1 to {limit} messages"));
    }
    let mut messages = Vec::with_capacity(items.len());
    for item in items {
        match Message::parse(item.into_bytes()) {
            Ok(Message::Request(r)) if r.method == Method::Initialize => {
                return refuse("Invalid request: initialize cannot be part of a batch");
            }
            Ok(message) => messages.push(message),
            Err(error) => {
                let (id, error) = error.to_rpc();
                return Err(Box::new(answer::error(id.as_ref(), &error)));
            }
        }
    }
    let Some(first) = messages.first() else { return refuse("Invalid request: an empty batch") };
    let session = session_of(&x, first).await?;
    if !session.opened.revision.features().batches {
        return refuse("Invalid request: this revision has no batches");
    }
    enter(&mut x, &session);
    Ok((x, session, messages))
}

async fn run(x: Exchange, session: Arc<Session>, messages: Vec<Message>) -> Answer {
    let mut requests = Vec::new();
    for message in messages {
        match message {
            Message::Request(request) => requests.push(request),
            Message::Notification(note) => {
                if aside::may_take(&x, &note).await {
                    notification(&session, &note);
                }
            }
            Message::Response(response) => {
                if let Some(id) = &response.id {
                    session.answer(id, response.outcome);
                }
            }
        }
    }
    if requests.is_empty() {
        return answer::empty(StatusCode::ACCEPTED);
    }
    let accepts = Accepts::read(&x.headers);
    let limits = x.generation.limits;
    if accepts.events && session.capabilities().can_answer() {
        return streamed(x, session, requests).await;
    }
    let answered = join_all(requests.into_iter().map(|request| {
        let (x, session, name) = (x.clone(), Arc::clone(&session), format!("b{}", session.next_number()));
        async move {
            let served = serve(x, session, request, || StreamBuffer::new(name, &limits)).await;
            last_message(served).await
        }
    }))
    .await;
    let mut out = BytesMut::new();
    out.put_u8(b'[');
    for (at, message) in answered.into_iter().flatten().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        out.put_slice(&message);
    }
    out.put_u8(b']');
    answer::json(StatusCode::OK, out.freeze())
}

/// The response of a request whose other messages nobody takes.
async fn last_message(served: Served) -> Option<Bytes> {
    match served {
        Served::Response(bytes) | Served::Ended(bytes) | Served::Later(bytes, _) => Some(bytes),
        Served::Cancelled => None,
        Served::Large(_) => {
            let error = RpcError::new(code::LIMIT, "a result this large cannot be part of a batch");
            Some(envelope::error(None, &error.to_raw()))
        }
        Served::Stream(stream) => {
            let mut reader = stream.attach(0)?;
            let mut last = None;
            while let Some((_, message)) = reader.next().await {
                last = Some(message);
            }
            last
        }
    }
}

/// All messages of all requests on one stream.
async fn streamed(x: Exchange, session: Arc<Session>, requests: Vec<protocol::Request>) -> Answer {
    let limits = x.generation.limits;
    let revision = session.opened.revision;
    let name = |session: &Session| format!("{}-{}", super::name::of_stream(&x.app), session.next_number());
    let all = StreamBuffer::new(name(&session), &limits);
    session.keep(&all);
    let app = Arc::clone(&x.app);
    let writers = requests.into_iter().map(|request| {
        let (x, session, all, one) = (x.clone(), Arc::clone(&session), Arc::clone(&all), name(&session));
        async move {
            match serve(x, session, request, || StreamBuffer::new(one, &limits)).await {
                Served::Stream(stream) => {
                    let Some(mut reader) = stream.attach(0) else { return };
                    while let Some((_, message)) = reader.next().await {
                        if all.push(message).await.is_err() {
                            return;
                        }
                    }
                }
                other => {
                    if let Some(message) = last_message(other).await {
                        // A client that is gone gets nothing.
                        let _ = all.push(message).await;
                    }
                }
            }
        }
    });
    let writers: Vec<_> = writers.collect();
    let stream = Arc::clone(&all);
    tokio::spawn(async move {
        tokio::select! {
            _ = join_all(writers) => {}
            () = stream.abandoned() => {}
        }
        stream.close();
        stream.over().await;
        session.drop_stream(stream.name());
    });
    super::get::stream_answer(&app, &all, 0, revision)
        .unwrap_or_else(|| answer::empty(StatusCode::NO_CONTENT))
}
