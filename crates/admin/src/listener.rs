//! Where operators come in.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::{Clock, Rng};
use seal::KeyRing;
use store::{ApprovalOffice, PinOffice, Store, UserOffice};
use tasks::Office;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::admit::Address;
use crate::bound::{Bound, Wrong};
use crate::config_api::ConfigInForce;
use crate::ledger::Ledger;
use crate::policy_api::Explains;
use crate::problem::Answer;
use crate::proposals_api::Governs;
use crate::route;
use crate::session::{Sessions, SignInPlace};
use crate::upstreams_api::Upstreams;

/// Connections at a time; others wait.
const CONNECTIONS_MAX: usize = 64;
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How large it may be: whoever is back from an issuer brings much in his URL.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// What is looked after here.
pub struct Place {
    /// The store that the gateway uses.
    pub store: Arc<dyn Store>,
    /// For all decisions that depend on the time.
    pub clock: Arc<dyn Clock>,
    /// A cryptographically strong source.
    pub rng: Arc<dyn Rng>,
    /// The keys of handles, the same for all replicas.
    pub keys: Arc<KeyRing>,
    /// What programs prove themselves by; `None`: by nothing. It is kept as a hash alone.
    pub token: Option<String>,
    /// What browsers reach this by, where that is not the address.
    pub url: Option<String>,
    /// How people sign in; `None`: they cannot.
    pub sign_in: Option<SignInPlace>,
    /// Where what operators do is recorded; `None`: nowhere but in the log.
    pub recorder: Option<Arc<dyn audit::Recorder>>,
    /// The policies in force, which may forbid operators something; `None`: there are none.
    pub policy: Policies,
    /// Who answers what the policies would decide.
    pub explain: Arc<dyn Explains>,
    /// The upstreams of the configuration in force, as this process has them.
    pub upstreams: Upstreams,
    /// The configuration in force, as this process has it.
    pub config: ConfigInForce,
    /// Whoever knows under which rules the configuration is; `None`: nobody.
    pub governs: Option<Arc<dyn Governs>>,
}

/// Gives the policies in force.
pub type Policies = Arc<dyn Fn() -> Option<Arc<policy::Engine>> + Send + Sync>;

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
    /// Calls that wait for somebody's yes.
    pub approvals: ApprovalOffice,
    /// Where what operators do is recorded.
    pub recorder: Option<Arc<dyn audit::Recorder>>,
    /// The policies in force.
    pub policy: Policies,
    /// Who answers what they would decide.
    pub explain: Arc<dyn Explains>,
    /// Upstreams.
    pub upstreams: Upstreams,
    /// The configuration in force, as this process has it.
    pub config: ConfigInForce,
    /// Whoever knows under which rules the configuration is.
    pub governs: Option<Arc<dyn Governs>>,
    /// For names.
    pub rng: Arc<dyn Rng>,
    /// Definitions.
    pub pins: PinOffice,
    /// For ages.
    pub clock: Arc<dyn Clock>,
    /// Who has signed in; `None`: nobody can.
    pub sessions: Option<Box<Sessions>>,
    /// What browsers come by, where the operator says so.
    pub address: Option<Address>,
    /// The hash of what programs prove themselves by.
    pub token: Option<[u8; 32]>,
    /// Of those who bring another one.
    pub tokens: Bound,
    /// Which they brought.
    pub wrong: Wrong,
    /// Of those who want to sign in.
    pub sign_ins: Bound,
}

impl Admin {
    /// Binds an address of the loopback interface.
    ///
    /// # Errors
    /// Those of the operating system; [`io::ErrorKind::InvalidInput`] for another address, or a URL that is
    /// none.
    pub async fn bind(address: SocketAddr, place: Place) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let text = "operators are served on the loopback interface alone";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let own = Arc::new(Own::of(place)?);
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
        async move { Ok::<_, Infallible>(route::serve(&own, request).await.unwrap_or_else(Answer::from)) }
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
    fn of(place: Place) -> io::Result<Self> {
        let Place {
            store,
            clock,
            rng,
            keys,
            token,
            url,
            sign_in,
            recorder,
            policy,
            explain,
            upstreams,
            config,
            governs,
        } = place;
        let no_url = || io::Error::new(io::ErrorKind::InvalidInput, "the URL for operators is none");
        let address = url.map(|url| Address::of(&url).ok_or_else(no_url)).transpose()?;
        let office = Office::new(Arc::clone(&store), Arc::clone(&clock));
        let users = UserOffice::new(Arc::clone(&store), Arc::clone(&clock));
        let approvals = ApprovalOffice::new(Arc::clone(&store), Arc::clone(&clock));
        let pins = PinOffice::new(Arc::clone(&store), Arc::clone(&clock));
        let sessions = sign_in.map(|place| {
            let ledger = Ledger { store, clock: Arc::clone(&clock), rng: Arc::clone(&rng) };
            Box::new(Sessions { place, ledger, keys, clock: Arc::clone(&clock), rng: Arc::clone(&rng) })
        });
        let token = token.map(|token| seal::sha256(token.as_bytes()));
        let (tokens, wrong, sign_ins) = (Bound::default(), Wrong::default(), Bound::default());
        Ok(Self {
            office,
            users,
            approvals,
            pins,
            recorder,
            policy,
            explain,
            upstreams,
            config,
            governs,
            rng,
            clock,
            sessions,
            address,
            token,
            tokens,
            wrong,
            sign_ins,
        })
    }
}
