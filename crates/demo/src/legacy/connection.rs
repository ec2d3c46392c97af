//! A legacy client on one two-way channel: stdio, or the HTTP+SSE pair.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::{Session, initialize, respond};
use crate::call::Outlet;
use crate::revision::Revision;
use crate::rpc::{self, Kind, Malformed, Message, RpcError};
use crate::server::Server;

/// How many messages one batch may hold.
pub(crate) const BATCH_MAX: usize = 100;

/// One channel, before and after `initialize`.
#[derive(Debug)]
pub(crate) struct Connection {
    server: Server,
    outlet: Outlet,
    session: Mutex<Option<Arc<Session>>>,
}

impl Connection {
    pub fn new(server: Server, outlet: Outlet) -> Arc<Self> {
        Arc::new(Self { server, outlet, session: Mutex::default() })
    }

    /// What was agreed, once it was.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.slot().clone()
    }

    pub fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    pub fn close(&self) {
        // Taken first, so that nothing waits for the slot meanwhile.
        let session = self.slot().take();
        if let Some(session) = session {
            session.close();
        }
    }

    /// Takes a message. `Some`: the answer to send.
    pub async fn receive(&self, message: Message) -> Option<Value> {
        match message.kind() {
            Kind::Notification | Kind::Response => {
                if let Some(session) = self.session() {
                    session.receive(&message);
                }
                None
            }
            Kind::Request if message.method() == "initialize" && self.session().is_none() => {
                Some(rpc::answer(message.id(), self.initialize(&message)))
            }
            Kind::Request => {
                // Old servers answer before `initialize`, too, so this one does.
                let session = self.session().unwrap_or_else(|| self.assume());
                respond(&self.server, &session, message, self.outlet.clone()).await
            }
        }
    }

    /// Takes a batch. `Some`: the answer to send.
    pub async fn receive_batch(&self, messages: Vec<Value>) -> Option<Value> {
        if let Some(error) = batch_fault(self.session().map(|session| session.revision()), &messages) {
            return Some(rpc::failure(Some(&Value::Null), &error));
        }
        let answers = messages.into_iter().map(|message| async {
            match Message::new(message) {
                Ok(message) if message.method() == "initialize" => {
                    let error = RpcError::new(rpc::INVALID_REQUEST, "initialize stands alone");
                    Some(rpc::failure(Some(message.id()), &error))
                }
                Ok(message) => {
                    self.server.seen().saw(&message, &Arc::default());
                    self.receive(message).await
                }
                Err(Malformed { id, error }) => Some(rpc::failure(Some(&id.unwrap_or_default()), &error)),
            }
        });
        let answers: Vec<_> = futures_util::future::join_all(answers).await.into_iter().flatten().collect();
        (!answers.is_empty()).then_some(Value::Array(answers))
    }

    fn initialize(&self, message: &Message) -> Result<Value, RpcError> {
        let agreed = initialize(&self.server, message.params())?;
        let session = Session::new(&self.server, agreed.revision, agreed.capabilities, self.outlet.clone());
        *self.slot() = Some(session);
        Ok(agreed.result)
    }

    /// A session with a client that did not introduce itself, for one request.
    fn assume(&self) -> Arc<Session> {
        let revision = self.server.config().legacy().last().unwrap_or(Revision::V2024_11_05);
        Session::new(&self.server, revision, json!({}), self.outlet.clone())
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with a batch as such, if anything: only 2025-03-26 has them.
pub(crate) fn batch_fault(revision: Option<Revision>, messages: &[Value]) -> Option<RpcError> {
    let why = if revision != Some(Revision::V2025_03_26) {
        "Invalid request: no batches in this revision"
    } else if messages.is_empty() {
        "Invalid request: an empty batch"
    } else if messages.len() > BATCH_MAX {
        "Invalid request: too many messages in a batch"
    } else {
        return None;
    };
    Some(RpcError::new(rpc::INVALID_REQUEST, why))
}
