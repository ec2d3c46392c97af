//! New connections: resolve, check, dial the checked addresses, TLS.
//!
//! Connections are rare on the hot path (the pool keeps them), so clarity wins over allocations here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::error::EgressError;
use crate::guard::{Guard, Host, Target};
use crate::resolve::{ADDRESSES_MAX, Resolve};
use crate::tls::Tls;

/// How long one address may stay silent before the next is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// A peer that has vanished is noticed after about [`KEEPALIVE_IDLE`] + [`KEEPALIVE_PROBES`] ×
/// [`KEEPALIVE_INTERVAL`], also on a stream that is silent by design.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// How a TCP connection to one address is made; tests put themselves in between.
pub(crate) type Dial = dyn Fn(SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> + Send + Sync;

/// Makes connections for the pool. Cheap to clone, as the pool does that for each request.
#[derive(Clone)]
pub(crate) struct Connector(pub(crate) Arc<ConnectorParts>);

pub(crate) struct ConnectorParts {
    pub(crate) guard: Guard,
    pub(crate) timeout: Duration,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Tls,
    pub(crate) dial: Box<Dial>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Io>;
    type Error = EgressError;
    type Future = BoxFuture<'static, Result<TokioIo<Io>, EgressError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let parts = self.0.clone();
        Box::pin(async move {
            let target = parts.guard.check_url(&uri)?;
            match tokio::time::timeout(parts.timeout, parts.connect(&target)).await {
                Ok(connected) => connected.map(TokioIo::new),
                Err(_elapsed) => {
                    Err(EgressError::ConnectTimeout { authority: target.authority(), after: parts.timeout })
                }
            }
        })
    }
}

impl ConnectorParts {
    pub(crate) async fn connect(&self, target: &Target<'_>) -> Result<Io, EgressError> {
        let addresses = self.checked_addresses(target).await?;
        let tcp = self.dial_first(&addresses).await.map_err(|source| EgressError::Connect {
            authority: target.authority(),
            source: source.into(),
        })?;
        set_options(&tcp);
        if !target.tls {
            return Ok(Io::Plain(tcp));
        }
        let tls = self.tls.handshake(target, tcp).await?;
        let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Io::Tls { stream: Box::new(tls), h2 })
    }

    /// The addresses to dial. One that the guard refuses spoils the whole answer: a name that points both
    /// outside and inside is an attack or a mistake, and in neither case to be tried address by address.
    async fn checked_addresses(&self, target: &Target<'_>) -> Result<Vec<SocketAddr>, EgressError> {
        let mut found = match target.host {
            Host::Address(ip) => vec![ip],
            Host::Name(name) => {
                let failed =
                    |source: io::Error| EgressError::Resolve { host: name.into(), source: source.into() };
                let found = self.resolver.resolve(name).await.map_err(failed)?;
                if found.is_empty() {
                    return Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
                }
                found
            }
        };
        found.truncate(ADDRESSES_MAX);
        for ip in &found {
            self.guard.check_address(*ip)?;
        }
        Ok(in_turns(found).into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect())
    }

    /// The first connection that comes about; each further address starts when the one before failed or is
    /// slow.
    async fn dial_first(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut waiting = addresses.iter();
        let mut dialling = FuturesUnordered::new();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address to connect to");
        loop {
            let more = match waiting.next() {
                Some(address) => {
                    dialling.push((self.dial)(*address));
                    waiting.len() > 0
                }
                None => false,
            };
            let answer = if more {
                match tokio::time::timeout(NEXT_ADDRESS_AFTER, dialling.next()).await {
                    Ok(answer) => answer,
                    Err(_slow) => continue,
                }
            } else {
                dialling.next().await
            };
            match answer {
                Some(Ok(tcp)) => return Ok(tcp),
                Some(Err(error)) => last = error,
                None => return Err(last),
            }
        }
    }
}

impl Target<'_> {
    /// Host and port, for messages.
    pub(crate) fn authority(&self) -> Box<str> {
        match self.host {
            Host::Address(ip) => SocketAddr::new(ip, self.port).to_string().into(),
            Host::Name(name) => format!("{name}:{}", self.port).into(),
        }
    }
}

/// The plain way to dial.
pub(crate) fn dial_tcp(address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that dials")]
    Box::pin(TcpStream::connect(address))
}

/// Alternates between the families, beginning with the one that the resolver put first (RFC 8305, section 4).
fn in_turns(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let v6_first = found.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|ip| ip.is_ipv6() == v6_first);
    let mut turns = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
}

/// Sends small messages at once and notices dead peers. A system that refuses an option still has a working
/// connection.
fn set_options(tcp: &TcpStream) {
    let set = || -> io::Result<()> {
        tcp.set_nodelay(true)?;
        sockopt::set_socket_keepalive(tcp, true)?;
        sockopt::set_tcp_keepidle(tcp, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(tcp, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(tcp, KEEPALIVE_PROBES)?;
        Ok(())
    };
    if let Err(error) = set() {
        tracing::debug!(%error, "set the options of a new connection");
    }
}

/// A connection, with TLS or without.
pub(crate) enum Io {
    Plain(TcpStream),
    Tls { stream: Box<TlsStream<TcpStream>>, h2: bool },
}

impl Connection for Io {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls { h2: true, .. } => Connected::new().negotiated_h2(),
            Self::Tls { h2: false, .. } | Self::Plain(_) => Connected::new(),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Self::Tls { stream, .. } => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, from),
            Self::Tls { stream, .. } => Pin::new(stream).poll_write(cx, from),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, from),
            Self::Tls { stream, .. } => Pin::new(stream).poll_write_vectored(cx, from),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls { stream, .. } => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls { stream, .. } => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls { stream, .. } => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use bytes::Bytes;
    use http::{Request, header};
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::error::Refusal;
    use crate::{Http, HttpOptions, Timeouts};

    const PUBLIC: &str = "93.184.215.14";

    /// Gives one answer after the other, as an attacker's name server does.
    struct Changing(Mutex<VecDeque<Vec<IpAddr>>>);

    impl Changing {
        fn new(answers: &[&[&str]]) -> Arc<Self> {
            let answers = answers.iter().map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect());
            Arc::new(Self(Mutex::new(answers.collect())))
        }
    }

    impl Resolve for Changing {
        fn resolve<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            let answer = self.0.lock().unwrap().pop_front();
            Box::pin(async move { answer.ok_or_else(|| io::Error::other("asked too often")) })
        }
    }

    /// A client for outside targets that notes what it dials and lands on `server` instead.
    fn client(resolver: Arc<dyn Resolve>, server: SocketAddr) -> (Http, Arc<Mutex<Vec<SocketAddr>>>) {
        let dialled = Arc::new(Mutex::new(Vec::new()));
        let note = dialled.clone();
        let dial = move |address| {
            note.lock().unwrap().push(address);
            dial_tcp(server)
        };
        let options = HttpOptions { guard: Guard::Public, ..HttpOptions::default() };
        (Http::with_dial(options, resolver, Box::new(dial)).unwrap(), dialled)
    }

    async fn get(http: &Http, url: &str) -> Result<http::StatusCode, EgressError> {
        let request =
            Request::get(url).header(header::CONNECTION, "close").body(Full::<Bytes>::default()).unwrap();
        http.send(request, &Timeouts::default()).await.map(|response| response.status())
    }

    /// Answers each connection once and counts them.
    async fn server() -> (SocketAddr, Arc<Mutex<u32>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(Mutex::new(0));
        let count = accepted.clone();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let _ = tcp.read(&mut [0; 4096]).await;
                let _ = tcp.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            }
        });
        (address, accepted)
    }

    #[tokio::test]
    async fn what_was_checked_is_what_is_dialled_and_the_next_connection_is_checked_again() {
        let (server, accepted) = server().await;
        let (http, dialled) = client(Changing::new(&[&[PUBLIC], &["127.0.0.1"]]), server);
        assert_eq!(get(&http, "http://rebind.example:8080/").await.unwrap(), 204);
        assert_eq!(*dialled.lock().unwrap(), [format!("{PUBLIC}:8080").parse().unwrap()]);
        let error = get(&http, "http://rebind.example:8080/").await.unwrap_err();
        assert!(
            matches!(error, EgressError::Refused { what: Refusal::Address(ip) } if ip.is_loopback()),
            "{error:?}"
        );
        assert!(error.nothing_sent());
        assert_eq!((dialled.lock().unwrap().len(), *accepted.lock().unwrap()), (1, 1));
    }

    #[tokio::test]
    async fn one_inner_address_among_public_ones_refuses_the_name() {
        let (server, accepted) = server().await;
        for inner in ["10.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "64:ff9b::7f00:1", "fd00::1"]
        {
            let (http, dialled) = client(Changing::new(&[&[PUBLIC, inner]]), server);
            let error = get(&http, "http://mixed.example/").await.unwrap_err();
            assert!(matches!(error, EgressError::Refused { .. }), "{inner}: {error:?}");
            assert!(dialled.lock().unwrap().is_empty(), "{inner}");
        }
        assert_eq!(*accepted.lock().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_literal_address_is_not_resolved_and_dialled_as_it_was_read() {
        let (server, _) = server().await;
        let (http, dialled) = client(Changing::new(&[]), server);
        assert_eq!(get(&http, "http://0x08.8.2056/").await.unwrap(), 204);
        assert_eq!(*dialled.lock().unwrap(), ["8.8.8.8:80".parse().unwrap()]);
        let error = get(&http, "http://2130706433/").await.unwrap_err();
        assert!(matches!(error, EgressError::Refused { .. }), "{error:?}");
        assert_eq!(dialled.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_an_error_of_the_resolver() {
        let (server, _) = server().await;
        let (http, _) = client(Changing::new(&[&[]]), server);
        let error = get(&http, "http://empty.example/").await.unwrap_err();
        assert!(
            matches!(&error, EgressError::Resolve { host, .. } if **host == *"empty.example"),
            "{error:?}"
        );
        assert!(error.nothing_sent());
    }

    #[tokio::test]
    async fn no_more_addresses_than_the_limit_are_used() {
        let many: Vec<String> = (0..=255).map(|i| format!("93.184.215.{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refuse: Box<Dial> =
            Box::new(|_| Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) }));
        let dialled = Arc::new(Mutex::new(0));
        let count = dialled.clone();
        let dial = move |address| {
            *count.lock().unwrap() += 1;
            refuse(address)
        };
        let http = Http::with_dial(HttpOptions::default(), Changing::new(&[&many]), Box::new(dial)).unwrap();
        let error = get(&http, "http://many.example/").await.unwrap_err();
        assert!(matches!(error, EgressError::Connect { .. }), "{error:?}");
        assert_eq!(*dialled.lock().unwrap(), ADDRESSES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let dial = move |address: SocketAddr| -> BoxFuture<'static, io::Result<TcpStream>> {
            if address.is_ipv6() { Box::pin(std::future::pending()) } else { dial_tcp(server) }
        };
        let parts = ConnectorParts {
            guard: Guard::Public,
            timeout: Duration::from_secs(5),
            resolver: Changing::new(&[]),
            tls: Tls::new(&crate::TlsOptions::default()).unwrap(),
            dial: Box::new(dial),
        };
        let began = tokio::time::Instant::now();
        let addresses = ["[2606:4700::1]:80", "93.184.215.14:80"].map(|a| a.parse().unwrap());
        parts.dial_first(&addresses).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[test]
    fn families_take_turns_and_keep_the_order_of_the_resolver() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert_eq!(in_turns(ips(&["::1", "::2", "::3", "1.1.1.1"])), ips(&["::1", "1.1.1.1", "::2", "::3"]));
        assert_eq!(in_turns(ips(&["1.1.1.1", "::1"])), ips(&["1.1.1.1", "::1"]));
        assert_eq!(in_turns(Vec::new()), Vec::<IpAddr>::new());
    }
}
