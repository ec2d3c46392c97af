//! Accepting connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use egress::Settle;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use identity::Certificate;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::answer::Answer;
use crate::app::{App, Limits};
use crate::drain::Phase;
use crate::http::{From, serve};
use crate::tls::shown;

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(15);
/// How long a connection that was let in before the drain may take to begin its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(2);
/// How long the last words to clients may take, once what they wait for was ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// HTTP/2 streams on one connection.
const H2_STREAMS_MAX: u32 = 256;

/// A listener that serves until the process drains.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn bind(address: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, tls: tls.map(TlsAcceptor::from) })
    }

    /// Takes a socket that listens already and is in non-blocking mode.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn on(
        socket: std::net::TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> std::io::Result<Self> {
        Ok(Self { socket: TcpListener::from_std(socket)?, tls: tls.map(TlsAcceptor::from) })
    }

    /// The socket once more.
    pub(crate) fn socket(&self) -> std::io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// The address, with the port that the operating system chose.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the drain has ended.
    pub async fn run(self, app: Arc<App>) {
        let limits = app.generation().limits;
        let places = Arc::new(Semaphore::new(limits.connections_max));
        let Self { socket, tls } = self;
        let room = Room { builder: Arc::new(builder(&limits)), tls, connections: TaskTracker::new(), app };
        room.accept(&socket, &places).await;
        if !room.app.drain.is_handed_over() {
            room.accept_waiting(&socket, &places).await;
        }
        drop(socket);
        room.drain().await;
    }
}

/// What all connections of a listener share.
struct Room {
    app: Arc<App>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    tls: Option<TlsAcceptor>,
    connections: TaskTracker,
}

impl Room {
    /// Takes connections until none is to be taken any more.
    async fn accept(&self, socket: &TcpListener, places: &Arc<Semaphore>) {
        loop {
            // At the limit new connections wait in the kernel's queue: nothing is accepted that cannot be
            // served.
            let place = tokio::select! {
                place = Arc::clone(places).acquire_owned() => place,
                () = self.app.drain.closed() => return,
            };
            let Ok(place) = place else { return };
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = self.app.drain.closed() => return,
            };
            match accepted {
                Ok((stream, from)) => self.take((stream, from), place),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Takes the connections that were made before the end: the kernel would reset them.
    async fn accept_waiting(&self, socket: &TcpListener, places: &Arc<Semaphore>) {
        while let Ok(place) = Arc::clone(places).try_acquire_owned() {
            // Ready at once where one waits.
            match futures_util::poll!(std::pin::pin!(socket.accept())) {
                Poll::Ready(Ok((stream, from))) => self.take((stream, from), place),
                _ => return,
            }
        }
    }

    fn take(&self, (stream, from): (TcpStream, SocketAddr), place: OwnedSemaphorePermit) {
        // Small answers must not wait for more.
        let _ = stream.set_nodelay(true);
        let (app, tls) = (Arc::clone(&self.app), self.tls.clone());
        let connection =
            Connection { app: Arc::clone(&app), builder: Arc::clone(&self.builder), from: from.ip() };
        self.connections.spawn(async move {
            app.metrics.connections.inc();
            tokio::select! {
                () = connection.run(stream, tls) => {}
                () = app.reached(Phase::Over) => {}
            }
            app.metrics.connections.dec();
            drop(place);
        });
    }

    /// Lets what is under way end; what does not in its time is ended, and its client told.
    async fn drain(&self) {
        self.app.reached(Phase::Draining).await;
        self.connections.close();
        // A configuration that came meanwhile may give calls another time.
        let time = self.app.generation().limits.drain_time;
        if tokio::time::timeout(time, self.connections.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(
            connections = self.connections.len(),
            "calls under way are cut off at the end of the drain"
        );
        self.app.drain.advance(Phase::Ending);
        let _ = tokio::time::timeout(LAST_WORDS, self.connections.wait()).await;
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_headers(limits.header_count_max)
        .max_buf_size(limits.header_bytes_max.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}

struct Connection {
    app: Arc<App>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    from: std::net::IpAddr,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        match tls {
            None => self.serve(stream, None).await,
            Some(tls) => match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                Ok(Ok(stream)) => match shown(stream.get_ref().1) {
                    Ok(certificate) => self.serve(stream, certificate).await,
                    Err(error) => self.refuse_certificate(&error),
                },
                Ok(Err(error)) if is_of_certificate(&error) => self.refuse_certificate(&error),
                Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
                Err(_) => tracing::debug!("the TLS handshake took too long"),
            },
        }
    }

    /// Ends a connection whose client has shown a certificate that proves nothing.
    fn refuse_certificate(&self, error: &std::io::Error) {
        self.app.metrics.refused(identity::Reason::BadCertificate.as_str());
        tracing::debug!(%error, "a client certificate was refused");
    }

    async fn serve<S>(self, stream: S, certificate: Option<Arc<Certificate>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (app, from) = (self.app, self.from.to_canonical());
        let patience = app.generation().limits.header_read_timeout;
        let begun = Arc::new(Begun::default());
        let service = service_fn({
            let (app, begun) = (Arc::clone(&app), Arc::clone(&begun));
            move |mut request: Request<Incoming>| {
                begun.set();
                request.extensions_mut().insert(From(from));
                if let Some(certificate) = &certificate {
                    request.extensions_mut().insert(Arc::clone(certificate));
                }
                answer(Arc::clone(&app), request)
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let served = async {
            let mut connection = std::pin::pin!(connection);
            let mut leave = std::pin::pin!(leave(&app, &begun));
            let mut left = false;
            std::future::poll_fn(|cx| {
                if !left && leave.as_mut().poll(cx).is_ready() {
                    left = true;
                    connection.as_mut().graceful_shutdown();
                }
                connection.as_mut().poll(cx)
            })
            .await
        };
        tokio::select! {
            ended = Settle::new(served) => if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            },
            () = silence(patience, &begun) => tracing::debug!("a connection without a request"),
        }
    }
}

fn is_of_certificate(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let old = request.version() < Version::HTTP_2;
    let mut answer = serve(Arc::clone(&app), request).await;
    // HTTP/2 has a frame for it.
    if old && app.has_reached(Phase::Leaving) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

/// Whether a connection has had a request.
#[derive(Default)]
struct Begun {
    flag: AtomicBool,
    notify: Notify,
}

impl Begun {
    fn set(&self) {
        if !self.flag.swap(true, Ordering::AcqRel) {
            self.notify.notify_waiters();
        }
    }

    async fn wait(&self) {
        let begun = self.notify.notified();
        if !self.flag.load(Ordering::Acquire) {
            begun.await;
        }
    }
}

/// Ends once a connection is to be closed as soon as it idles. One that was let in before the drain and has
/// not had its first request yet waits for that: it would be refused otherwise.
async fn leave(app: &App, begun: &Begun) {
    app.reached(Phase::Draining).await;
    let _ = tokio::time::timeout(FIRST_REQUEST, begun.wait()).await;
}

/// Ends if no request has begun within this time. The HTTP library watches over the head of a request only
/// once it knows which version of HTTP is spoken: until then a silent connection would be kept for ever.
async fn silence(patience: Duration, begun: &Begun) {
    tokio::time::sleep(patience).await;
    if begun.flag.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
    }
}
