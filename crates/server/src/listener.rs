//! Accepting connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use egress::Settle;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::app::{App, Limits};
use crate::http::serve;

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(15);
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
        let builder = Arc::new(builder(&limits));
        let graceful = GracefulShutdown::new();
        loop {
            // At the limit new connections wait in the kernel's queue: nothing is accepted that cannot be
            // served.
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = app.drained() => break,
            };
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = app.drained() => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // Small answers must not wait for more.
            let _ = stream.set_nodelay(true);
            let (app, builder, tls, watcher) =
                (Arc::clone(&app), Arc::clone(&builder), self.tls.clone(), graceful.watcher());
            tokio::spawn(async move {
                app.metrics.connections.inc();
                let connection = Connection { app: Arc::clone(&app), builder, watcher };
                connection.run(stream, tls).await;
                app.metrics.connections.dec();
                drop(place);
            });
        }
        drop(self.socket);
        // A configuration that came meanwhile may give calls another time.
        let drain_time = app.generation().limits.drain_time;
        let drain = tokio::time::timeout(drain_time, graceful.shutdown()).await;
        if drain.is_err() {
            tracing::warn!("calls under way were cut off at the end of the drain");
        }
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
    watcher: hyper_util::server::graceful::Watcher,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        match tls {
            None => self.serve(stream).await,
            Some(tls) => match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.serve(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
                Err(_) => tracing::debug!("the TLS handshake took too long"),
            },
        }
    }

    async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let app = self.app;
        let patience = app.generation().limits.header_read_timeout;
        let begun = Arc::new(AtomicBool::new(false));
        let service = service_fn({
            let begun = Arc::clone(&begun);
            move |request: Request<Incoming>| {
                begun.store(true, Ordering::Relaxed);
                let app = Arc::clone(&app);
                async move { Ok::<_, Infallible>(serve(app, request).await) }
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        tokio::select! {
            ended = Settle::new(self.watcher.watch(connection)) => if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            },
            () = silence(patience, &begun) => tracing::debug!("a connection without a request"),
        }
    }
}

/// Ends if no request has begun within this time. The HTTP library watches over the head of a request only
/// once it knows which version of HTTP is spoken: until then a silent connection would be kept for ever.
async fn silence(patience: Duration, begun: &AtomicBool) {
    tokio::time::sleep(patience).await;
    if begun.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}
