//! The revisions with `initialize`: sessions, and a server that may send requests itself.

mod connection;
mod log;
mod running;
mod session;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::call::{Asking, Call, Level, Outlet, Stop};
use crate::content;
use crate::revision::Revision;
use crate::rpc::{self, Message, RpcError};
use crate::server::Server;
use crate::shape;

pub(crate) use connection::{Connection, batch_fault};
pub(crate) use log::{Event, Reader, StreamLog};
pub(crate) use running::{Busy, Running};
pub(crate) use session::Session;

/// What `initialize` comes to.
pub(crate) struct Agreed {
    pub revision: Revision,
    pub capabilities: Value,
    pub result: Value,
}

/// Answers `initialize`: the revision that was asked for if it is spoken here, else the newest legacy one.
pub(crate) fn initialize(server: &Server, params: &Value) -> Result<Agreed, RpcError> {
    let Some(asked) = params["protocolVersion"].as_str() else {
        return Err(RpcError::invalid_params("protocolVersion is a string"));
    };
    if !params["capabilities"].is_object() || !params["clientInfo"].is_object() {
        return Err(RpcError::invalid_params("capabilities and clientInfo are objects"));
    }
    let known =
        Revision::parse(asked).filter(|asked| server.config().legacy().any(|spoken| spoken == *asked));
    let Some(revision) = known.or_else(|| server.config().legacy().last()) else {
        return Err(unsupported(server, asked));
    };
    let mut result = json!({
        "protocolVersion": revision.as_str(),
        "capabilities": server.capabilities(revision),
        "serverInfo": server.info(revision),
    });
    if let Some(instructions) = &server.config().instructions {
        result["instructions"] = json!(instructions);
    }
    Ok(Agreed { revision, capabilities: params["capabilities"].clone(), result })
}

/// What a server without legacy revisions answers to `initialize`.
pub(crate) fn unsupported(server: &Server, asked: &str) -> RpcError {
    let supported = server.config().supported_versions();
    RpcError::new(rpc::UNSUPPORTED_VERSION, format!("Unsupported protocol version: {asked}"))
        .with_data(json!({ "supported": supported, "requested": asked }))
}

/// Answers a request of a session. `None`: it was cancelled, so there is no answer.
pub(crate) async fn respond(
    server: &Server,
    session: &Arc<Session>,
    message: Message,
    outlet: Outlet,
) -> Option<Value> {
    let id = message.id().clone();
    let ticket = match session.running().start(&id) {
        Ok(ticket) => ticket,
        Err(busy) => return Some(rpc::failure(Some(&id), &refusal(&busy))),
    };
    let asking = Asking::Live(Arc::clone(session));
    let capabilities = session.capabilities().clone();
    let call = Call::new(server.clone(), session.revision(), message, capabilities, outlet, asking);
    let answer = ticket.run(answer(&call, Some(session))).await?;
    call.finish();
    Some(rpc::answer(&id, answer))
}

/// Answers a request outside any session, where the server keeps none.
pub(crate) async fn respond_sessionless(server: &Server, revision: Revision, message: Message) -> Value {
    let id = message.id().clone();
    let call = Call::new(server.clone(), revision, message, json!({}), Outlet::Nowhere, Asking::Never);
    let answer = answer(&call, None).await;
    call.finish();
    rpc::answer(&id, answer)
}

/// Why a request cannot start, for the client.
pub(crate) fn refusal(busy: &Busy) -> RpcError {
    match busy {
        Busy::SameId => RpcError::new(rpc::INVALID_REQUEST, "A request with this id is still open"),
        Busy::TooMany => RpcError::new(rpc::INTERNAL_ERROR, "Too many open requests"),
    }
}

async fn answer(call: &Call, session: Option<&Arc<Session>>) -> Result<Value, RpcError> {
    let method = call.method();
    let outcome = match (method, session) {
        ("initialize", Some(_)) => {
            return Err(RpcError::new(rpc::INVALID_REQUEST, "Invalid Request: Server already initialized"));
        }
        ("ping", _) => return Ok(json!({})),
        ("logging/setLevel", _) => return set_level(call, session),
        ("resources/subscribe" | "resources/unsubscribe", Some(session))
            if call.server.config().resources =>
        {
            return subscribe(call, session);
        }
        _ => content::run(call).await,
    };
    match outcome {
        Ok(result) => Ok(shape::result(call.revision, method, result)),
        Err(stop) => stopped(method, stop),
    }
}

fn stopped(method: &str, stop: Stop) -> Result<Value, RpcError> {
    let why = match stop {
        Stop::Error(error) => return Err(error),
        Stop::Lacks(required) => format!("This needs a client capability that was not declared: {required}"),
        Stop::Failed(why) => why,
        Stop::Ask(_) => "a question without a way to ask it".to_owned(),
    };
    if method == "tools/call" {
        Ok(content::tools::error(&why))
    } else {
        Err(RpcError::new(rpc::INTERNAL_ERROR, why))
    }
}

fn set_level(call: &Call, session: Option<&Arc<Session>>) -> Result<Value, RpcError> {
    let level = call.params()["level"].as_str().and_then(Level::parse);
    let level = level.ok_or_else(|| RpcError::invalid_params("level is one of the names of syslog"))?;
    if let Some(session) = session {
        session.set_level(level);
    }
    Ok(json!({}))
}

fn subscribe(call: &Call, session: &Session) -> Result<Value, RpcError> {
    let uri = call.params()["uri"].as_str().ok_or_else(|| RpcError::invalid_params("uri is a string"))?;
    if call.method() == "resources/unsubscribe" {
        session.unsubscribe(uri);
    } else if content::resources::exists(&call.server, uri) {
        session.subscribe(uri)?;
    } else {
        return Err(content::resources::not_found(uri));
    }
    Ok(json!({}))
}
