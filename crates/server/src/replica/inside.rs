//! The internal listener, where other replicas bring requests that are about something here.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use moka::ops::compute::{CompResult, Op};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Word;
use super::forward::{PATH, WORDS};
use super::parcel::unpack;
use super::proof::{NotAPeer, PROOF, SKEW_MAX, Slip};
use crate::answer::{self, Answer};
use crate::app::App;

/// Connections at a time: replicas keep theirs, and each stream that is passed on takes one.
const CONNECTIONS_MAX: usize = 16_384;
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How many proofs are remembered, so that none is used twice within the time that it is good.
const PROOFS_MAX: u64 = 1_000_000;

/// The internal listener.
pub(crate) struct Inside {
    socket: TcpListener,
    app: Arc<App>,
    seen: moka::sync::Cache<Slip, ()>,
}

impl Inside {
    /// Binds an address.
    pub async fn bind(address: SocketAddr, app: &Arc<App>) -> io::Result<Self> {
        let seen = moka::sync::Cache::builder().max_capacity(PROOFS_MAX).time_to_live(SKEW_MAX * 2).build();
        Ok(Self { socket: TcpListener::bind(address).await?, app: Arc::clone(app), seen })
    }

    /// The address, with the port that the operating system chose.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the task is aborted: also in a drain, as others bring what calls under way wait for.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let own = Arc::new(self);
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match own.socket.accept().await {
                Ok((stream, _)) => {
                    let own = Arc::clone(&own);
                    tokio::spawn(async move {
                        own.connection(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a replica's connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        // Small answers must not wait for more.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request: Request<Incoming>| {
            let own = Arc::clone(&self);
            // Boxed: the compiler loses its way in the whole of it.
            async move { Ok::<_, Infallible>(own.serve(request).boxed().await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a replica's connection ended early");
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if !matches!(path, PATH | WORDS) || head.method != Method::POST {
            return answer::text(StatusCode::NOT_FOUND, "Only replicas are served here.\n");
        }
        let Some(parcel) = self.read(body).await else {
            return answer::text(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large or too slow.\n");
        };
        let slip = match self.check(&head.headers, path, &parcel) {
            Ok(slip) => slip,
            Err(error) => {
                self.app.metrics.refused("not_a_replica");
                tracing::warn!(%error, "refused a request on the internal listener");
                return answer::text(StatusCode::FORBIDDEN, "This is no request of a replica.\n");
            }
        };
        let mut answer = if path == WORDS {
            self.hear(&parcel).await;
            answer::empty(StatusCode::NO_CONTENT)
        } else {
            match unpack(parcel) {
                Ok(request) => Box::pin(crate::http::serve_forwarded(Arc::clone(&self.app), request)).await,
                Err(error) => answer::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            }
        };
        let replicas = &self.app.replicas;
        let proof = slip.prove_answer(&replicas.keys, replicas.clock.now(), answer.status());
        answer.headers_mut().insert(PROOF, proof);
        answer
    }

    /// Acts on a word before it is acknowledged: who said it may wait for that.
    async fn hear(&self, word: &Bytes) {
        match Word::read(word) {
            Some(Word::Changed(upstream, change)) => {
                // It may be that somebody has decided on a definition; who listens there looks again here.
                if let Err(error) = self.app.pins.read_if_used(upstream.as_str()).await {
                    tracing::debug!(%error, "what is approved was not read before it is asked for");
                }
                if let Some(source) = self.app.generation().sources.get(upstream.as_str()) {
                    source.end_what_changed(&change);
                }
            }
            Some(Word::Session { upstream, name, closed }) => {
                if let Some(source) = self.app.generation().sources.get(upstream.as_str()) {
                    source.upstream().session_told(&name, closed);
                }
            }
            Some(Word::Sessions(names)) => self.app.sessions.reload(&names).await,
            None => {}
        }
    }

    async fn read(&self, body: Incoming) -> Option<Bytes> {
        let limits = self.app.generation().limits;
        // The head travels in the body here, each header with two lengths, and with it a certificate.
        let head = limits.header_bytes_max.max(8 * 1024) + 16 * limits.header_count_max;
        let head = head + identity::CERTIFICATE_BYTES_MAX;
        let limited = Limited::new(body, limits.request_bytes_max.saturating_add(head));
        let read = tokio::time::timeout(limits.body_read_timeout, limited.collect()).await;
        read.ok()?.ok().map(http_body_util::Collected::to_bytes)
    }

    fn check(&self, headers: &http::HeaderMap, path: &str, parcel: &Bytes) -> Result<Slip, NotAPeer> {
        let replicas = &self.app.replicas;
        let slip = Slip::check(headers, &replicas.keys, &replicas.me, replicas.clock.now(), (path, parcel))?;
        let first = self.seen.entry(slip.clone()).and_compute_with(|known| match known {
            None => Op::Put(()),
            Some(_) => Op::Nop,
        });
        match first {
            CompResult::Inserted(_) => Ok(slip),
            _ => Err(NotAPeer::Again),
        }
    }
}
