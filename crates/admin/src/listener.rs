//! Where operators come in.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::Clock;
use store::{Store, UserOffice};
use tasks::Office;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::problem::{Answer, Problem};
use crate::route;

/// Connections at a time; others wait.
const CONNECTIONS_MAX: usize = 64;
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How large it may be: hyper's least.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// What is looked after here.
pub struct Place {
    /// The store that the gateway uses.
    pub store: Arc<dyn Store>,
    /// For all decisions that depend on the time.
    pub clock: Arc<dyn Clock>,
    /// What operators prove themselves by. It is kept as a hash alone.
    pub token: String,
}

/// The operators' listener.
pub struct Admin {
    socket: TcpListener,
    own: Arc<Own>,
}

/// What every request needs.
pub struct Own {
    /// Tasks.
    pub office: Office,
    /// Users.
    pub users: UserOffice,
    /// For ages.
    pub clock: Arc<dyn Clock>,
    token: [u8; 32],
}

impl Admin {
    /// Binds an address of the loopback interface.
    ///
    /// # Errors
    /// Those of the operating system; [`io::ErrorKind::InvalidInput`] for another address.
    pub async fn bind(address: SocketAddr, place: Place) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let text = "operators are served on the loopback interface alone";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let Place { store, clock, token } = place;
        let users = UserOffice::new(Arc::clone(&store), Arc::clone(&clock));
        let office = Office::new(store, Arc::clone(&clock));
        let own = Arc::new(Own { office, users, clock, token: seal::sha256(token.as_bytes()) });
        Ok(Self { socket: TcpListener::bind(address).await?, own })
    }

    /// The address, with the port that the operating system chose.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the task is aborted.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let own = Arc::clone(&self.own);
                    tokio::spawn(async move {
                        connection(own, stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an operator's connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn connection(own: Arc<Own>, stream: TcpStream) {
    // Small answers must not wait for more.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let own = Arc::clone(&own);
        async move { Ok::<_, Infallible>(own.serve(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an operator's connection ended early");
    }
}

impl Own {
    /// No request has a body that means anything, so none is read.
    async fn serve(&self, request: Request<Incoming>) -> Answer {
        let (head, _) = request.into_parts();
        let done = match self.admit(&head.headers) {
            Ok(()) => route::serve(self, &head.method, &head.uri).await,
            Err(problem) => Err(problem),
        };
        done.unwrap_or_else(Answer::from)
    }

    /// Whether a program on this machine comes, which has the token.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let forbidden = |text| Err(Problem::new(StatusCode::FORBIDDEN, text));
        // A name that was made to resolve here is that of a page in a browser.
        if !one(headers, HOST).is_some_and(is_loopback) {
            return forbidden("operators are served under localhost, 127.0.0.1 and [::1] alone");
        }
        if headers.contains_key(ORIGIN) {
            return forbidden("pages in a browser may not call this interface");
        }
        let given = one(headers, AUTHORIZATION).and_then(|text| text.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // Hashes are compared, whose bytes say nothing about the token's.
        match given {
            Some((_, token)) if seal::sha256(token.trim().as_bytes()) == self.token => Ok(()),
            Some(_) => Err(Problem::new(StatusCode::UNAUTHORIZED, "the token is not that of `admin.token`")),
            None => Err(Problem::new(StatusCode::UNAUTHORIZED, "expected `Authorization: Bearer TOKEN`")),
        }
    }
}

/// The value of a header that is there once.
fn one(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_by_its_own_names_is_answered() {
        for good in ["localhost", "LOCALHOST:1", "127.0.0.1:7402", "[::1]", "[::1]:7402"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in ["", "localhost.evil.example", "127.0.0.1.nip.io:80", "0.0.0.0", "localhost:80:80", "[::1"]
        {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
