//! One call of a legacy client, written to its stream.

use std::pin::Pin;
use std::sync::Arc;

use bridge::translate::down;
use bridge::{ClientRequest, DownCall, DownStep};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use protocol::{Id, Raw, RpcError, code, envelope};
use tokio::sync::mpsc;
use upstream::{Body, BodyStream, Item, Outcome, Reply};

use super::buffer::{Gone, StreamBuffer};
use super::get::late;
use super::post::{end, ends, question_id};
use super::session::{ClientAnswer, Running, Session};
use crate::app::Exchange;
use crate::drain::{self, Phase};
use crate::note::aside::{self, Over};
use crate::pipeline::execute;

/// The largest result that is kept whole because it goes out as one event or one line.
const RESULT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The call's first reply, which may be there already or still be waited for.
pub(super) type FirstReply = Pin<Box<dyn Future<Output = Result<Reply, RpcError>> + Send>>;

/// A call under way.
pub(super) struct Drive {
    pub x: Exchange,
    pub session: Arc<Session>,
    pub id: Id,
    pub down: DownCall,
    pub stream: Arc<StreamBuffer>,
}

impl Drive {
    /// Runs the call to its end: cancelled, abandoned, or answered on the stream.
    pub async fn run(mut self, reply: FirstReply, running: Running) {
        let stream = Arc::clone(&self.stream);
        let app = Arc::clone(&self.x.app);
        let end = tokio::select! {
            // First, because it ends in order by itself where an upstream is waited for.
            biased;
            _ended = self.go(reply) => None,
            () = running.cancelled() => None,
            // One that comes back just now is not to wait for what will never come.
            () = stream.abandoned() => Some(late()),
            () = app.reached(Phase::Ending) => Some(drain::cut_off()),
        };
        if let Some(error) = end {
            // What waited for the client is told here; a client that is gone reads nothing.
            let _ = self.finish(Outcome::Error(error.to_raw())).await;
        }
    }

    async fn go(&mut self, reply: FirstReply) -> Result<(), Gone> {
        let mut reply = reply.await;
        loop {
            let outcome = match reply {
                Ok(reply) => self.pass(reply).await?,
                Err(error) => {
                    let over = ends(&self.x, &error);
                    self.finish(Outcome::Error(error.to_raw())).await?;
                    if over {
                        // In a task of its own, because it ends this one.
                        let session = Arc::clone(&self.session);
                        aside::session_over(&self.x, Over::Upstream);
                        tokio::spawn(async move { end(&session).await });
                    }
                    return Ok(());
                }
            };
            let question = match &outcome {
                Outcome::Result(Body::Whole(raw)) if DownCall::is_question(raw) => raw.clone(),
                _ => return self.finish(outcome).await,
            };
            match self.ask(&question).await? {
                Ok(call) => reply = execute(&self.x, &call).await,
                Err(error) => return self.finish(Outcome::Error(error.to_raw())).await,
            }
        }
    }

    /// Passes notifications on, up to the outcome.
    async fn pass(&self, reply: Reply) -> Result<Outcome, Gone> {
        let mut items = match reply {
            Reply::Ready(outcome) => return Ok(outcome),
            Reply::Stream(items) => items,
        };
        while let Some(item) = items.next().await {
            match item {
                Ok(Item::Done(outcome)) => return Ok(outcome),
                Ok(Item::Notification { method, params }) => {
                    let params = down::notification(self.session.opened.revision, &method, params.as_ref());
                    if let Some(params) = params {
                        self.stream.push(envelope::notification(method.as_str(), Some(&params))).await?;
                    }
                }
                Ok(Item::HungUp) => self.stream.hang_up(),
                Err(error) => return Ok(Outcome::Error(error.to_rpc().to_raw())),
            }
        }
        Ok(Outcome::Error(RpcError::new(code::UPSTREAM_BROKE, "The upstream broke off").to_raw()))
    }

    /// Puts the questions to the client and waits for its answers.
    async fn ask(&mut self, question: &Raw) -> Result<Result<Box<protocol::Call>, RpcError>, Gone> {
        let (x, session) = (&self.x, &self.session);
        let requests = match self.down.on_questions(question, || question_id(x, session)) {
            DownStep::Ask(requests) => requests,
            DownStep::Retry(call) => return Ok(Ok(call)),
            DownStep::Fail(error) => return Ok(Err(error)),
            DownStep::Wait => return Ok(Err(RpcError::new(code::INTERNAL, "nothing to wait for"))),
        };
        let (sender, mut answers) = mpsc::unbounded_channel();
        let asked = Asked {
            session: Arc::clone(&self.session),
            ids: requests.iter().map(|r| r.id.clone()).collect(),
        };
        for ClientRequest { id, method, params } in requests {
            self.session.ask(&id, sender.clone());
            self.stream.push(envelope::request(&id, method.as_str(), Some(&params))).await?;
        }
        let wait = self.x.generation.limits.answer_time;
        let place = self.x.place.clone();
        if let Some(place) = &place {
            place.pause();
        }
        let answered = tokio::time::timeout(wait, self.collect(&mut answers)).await;
        if let Some(place) = &place {
            place.resume();
        }
        drop(asked);
        Ok(answered.unwrap_or_else(|_| {
            let text = format!("the client did not answer within {} s", wait.as_secs());
            Err(RpcError::new(code::LIMIT, text))
        }))
    }

    async fn collect(
        &mut self,
        answers: &mut mpsc::UnboundedReceiver<ClientAnswer>,
    ) -> Result<Box<protocol::Call>, RpcError> {
        while let Some((id, outcome)) = answers.recv().await {
            match self.down.on_answer(&id, outcome) {
                DownStep::Wait | DownStep::Ask(_) => {}
                DownStep::Retry(call) => return Ok(call),
                DownStep::Fail(error) => return Err(error),
            }
        }
        Err(RpcError::new(code::INTERNAL, "the session ended"))
    }

    async fn finish(&self, outcome: Outcome) -> Result<(), Gone> {
        let method = &self.down.call().method;
        let revision = self.session.opened.revision;
        let message = match outcome {
            Outcome::Result(Body::Whole(result)) => {
                envelope::result(&self.id, &down::result(method, revision, result))
            }
            Outcome::Result(Body::Stream(chunks)) => match gather(chunks).await {
                Ok(result) => envelope::result(&self.id, &down::result(method, revision, result)),
                Err(error) => envelope::error(Some(&self.id), &error.to_raw()),
            },
            Outcome::Error(error) => envelope::error(Some(&self.id), &down::error(method, revision, error)),
        };
        self.stream.push(message).await
    }
}

/// A large result in one piece, as far as the limit goes.
pub(crate) async fn gather(mut chunks: BodyStream) -> Result<Raw, RpcError> {
    let mut all = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk.map_err(|error| error.to_rpc())?;
        if all.len() + chunk.len() > RESULT_BYTES_MAX {
            let text =
                format!("a result of more than {RESULT_BYTES_MAX} bytes does not fit into one message");
            return Err(RpcError::new(code::LIMIT, text));
        }
        all.extend_from_slice(&chunk);
    }
    Raw::parse(all.freeze()).map_err(|error| RpcError::new(code::UPSTREAM_INVALID, error.to_string()))
}

/// Questions that wait; dropping this gives them up.
struct Asked {
    session: Arc<Session>,
    ids: Vec<Id>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        for id in &self.ids {
            self.session.forget_question(id);
        }
    }
}
