//! Connections for protocols that are not HTTP: bytes to a host and a port, with TLS or without.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connect::{ConnectorParts, Io, dial_tcp};
use crate::error::EgressError;
use crate::http::HttpOptions;
use crate::resolve::SystemResolver;
use crate::tls::Tls;

/// Makes connections under a [`crate::Guard`], one at a time.
pub struct Dialer(ConnectorParts);

impl Dialer {
    /// Takes the guard, whom to trust and how long a connection may take to be made from `options`; the rest
    /// is about HTTP. Opens nothing yet.
    ///
    /// # Errors
    /// [`EgressError::Options`] when the extra certificates cannot be used.
    pub fn new(options: &HttpOptions) -> Result<Self, EgressError> {
        Ok(Self(ConnectorParts {
            guard: options.guard,
            timeout: options.connect_timeout,
            resolver: Arc::new(SystemResolver::default()),
            tls: Tls::without_protocols(&options.tls)?,
            dial: Box::new(dial_tcp),
        }))
    }

    /// Connects to `authority`, a host and a port.
    ///
    /// # Errors
    /// See [`EgressError`]: nothing was sent.
    pub async fn connect(&self, authority: &str, tls: bool) -> Result<Connection, EgressError> {
        let scheme = if tls { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{authority}")
            .parse()
            .map_err(|_| EgressError::BadUrl { reason: "it is no host with a port" })?;
        let target = self.0.guard.check_url(&uri)?;
        let after = self.0.timeout;
        match tokio::time::timeout(after, self.0.connect(&target)).await {
            Ok(connected) => connected.map(Connection),
            Err(_elapsed) => Err(EgressError::ConnectTimeout { authority: target.authority(), after }),
        }
    }
}

/// A connection of bytes.
pub struct Connection(Io);

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
