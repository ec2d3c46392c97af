//! A simulated network between workers and their database.
//!
//! An operation takes place when its datagram comes to the database, and is known when the answer comes back.
//! A commit takes place there, too, when whoever sent it has given up or is gone.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::{Rng as _, SeededRng};
use store::{Commit, StoreError, Wire};
use tokio::sync::{mpsc, oneshot};
use turmoil::net::UdpSocket;

/// The host of the database.
pub const DATABASE: &str = "database";
const DATABASE_PORT: u16 = 5432;
const LINE_PORT: u16 = 6000;
/// So long a worker waits for the database.
const PATIENCE: Duration = Duration::from_millis(500);
/// So long the database keeps a transaction of which it hears nothing.
const IDLE: Duration = Duration::from_millis(1_500);

/// What is to happen when a datagram comes to the database.
enum Arrival {
    Go(oneshot::Sender<()>),
    Commit(Commit),
}

type Answers = (mpsc::UnboundedSender<(u64, SocketAddr)>, mpsc::UnboundedReceiver<(u64, SocketAddr)>);

fn all<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Duration {
    turmoil::sim_elapsed().expect("within the simulation")
}

/// The database's end.
pub struct Database {
    numbers: AtomicU64,
    arrivals: Mutex<BTreeMap<u64, (Duration, Arrival)>>,
    commits: Mutex<BTreeMap<u64, Result<(), StoreError>>>,
    answers: mpsc::UnboundedSender<(u64, SocketAddr)>,
    to_send: Mutex<Option<mpsc::UnboundedReceiver<(u64, SocketAddr)>>>,
    /// Commits that were made after their senders had given up.
    late: AtomicU64,
    /// One of so many datagrams is lost, and another one late, until then.
    loss: Option<(SeededRng, u64, Duration)>,
}

impl Database {
    /// `loss`: one of so many datagrams is lost, and another one late, until then.
    pub fn new(seed: u64, loss: Option<(u64, Duration)>) -> Arc<Self> {
        let (answers, to_send): Answers = mpsc::unbounded_channel();
        Arc::new(Self {
            numbers: AtomicU64::new(0),
            arrivals: Mutex::default(),
            commits: Mutex::default(),
            answers,
            to_send: Mutex::new(Some(to_send)),
            late: AtomicU64::new(0),
            loss: loss.map(|(of, until)| (SeededRng::new(seed ^ 0x1055), of, until)),
        })
    }

    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    fn expect(&self, arrival: Arrival) -> u64 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        all(&self.arrivals).insert(number, (now(), arrival));
        number
    }

    fn is_chosen(&self) -> bool {
        let Some((rng, of, until)) = &self.loss else { return false };
        rng.next_u64() % of == 0 && now() < *until
    }

    /// Receives for ever.
    pub async fn serve(self: Arc<Self>) -> turmoil::Result {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, DATABASE_PORT)).await?;
        let mut to_send = all(&self.to_send).take().expect("there is one database");
        let mut bytes = [0; 8];
        loop {
            tokio::select! {
                biased;
                Some((number, to)) = to_send.recv() => {
                    if !self.is_chosen() {
                        socket.send_to(&number.to_be_bytes(), to).await?;
                    }
                }
                received = socket.recv_from(&mut bytes) => {
                    let (_, from) = received?;
                    if self.is_chosen() {
                        continue;
                    }
                    let number = u64::from_be_bytes(bytes);
                    if self.is_chosen() {
                        let database = Arc::clone(&self);
                        tokio::spawn(async move {
                            tokio::time::sleep(2 * PATIENCE).await;
                            database.arrived(number, from);
                        });
                    } else {
                        self.arrived(number, from);
                    }
                }
                () = tokio::time::sleep(IDLE / 8) => {
                    all(&self.arrivals).retain(|_, (sent, _)| now() < *sent + IDLE);
                }
            }
        }
    }

    fn arrived(self: &Arc<Self>, number: u64, from: SocketAddr) {
        let arrival = all(&self.arrivals).remove(&number);
        match arrival {
            Some((_, Arrival::Go(go))) => drop(go.send(())),
            Some((sent, Arrival::Commit(commit))) => {
                if now() > sent + PATIENCE {
                    self.late.fetch_add(1, Ordering::Relaxed);
                }
                let database = Arc::clone(self);
                tokio::spawn(async move {
                    let done = commit.await;
                    all(&database.commits).insert(number, done);
                    // Its receiver is the loop that this task was spawned from.
                    let _ = database.answers.send((number, from));
                });
            }
            // It has come too late.
            None => {}
        }
    }
}

/// A worker's end.
pub struct Line {
    database: Arc<Database>,
    socket: Arc<UdpSocket>,
    own: SocketAddr,
    waiting: Arc<Mutex<BTreeMap<u64, oneshot::Sender<()>>>>,
}

impl Line {
    /// Must be called on the worker's host, of this name.
    pub async fn open(database: Arc<Database>, host: &str) -> std::io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, LINE_PORT)).await?);
        let waiting: Arc<Mutex<BTreeMap<u64, oneshot::Sender<()>>>> = Arc::default();
        let (listening, told) = (Arc::clone(&socket), Arc::clone(&waiting));
        tokio::spawn(async move {
            let mut bytes = [0; 8];
            while listening.recv_from(&mut bytes).await.is_ok() {
                // Who has given up is not there any more.
                if let Some(waits) = all(&told).remove(&u64::from_be_bytes(bytes)) {
                    let _ = waits.send(());
                }
            }
        });
        let own = SocketAddr::new(turmoil::lookup(host), LINE_PORT);
        Ok(Self { database, socket, own, waiting })
    }

    async fn send(&self, number: u64) -> Result<(), StoreError> {
        let to = (turmoil::lookup(DATABASE), DATABASE_PORT);
        self.socket.send_to(&number.to_be_bytes(), to).await.map(drop).map_err(StoreError::unavailable)
    }

    /// Whether the answer comes in time.
    async fn hears(&self, number: u64, heard: oneshot::Receiver<()>) -> bool {
        let heard = matches!(tokio::time::timeout(PATIENCE, heard).await, Ok(Ok(())));
        all(&self.waiting).remove(&number);
        heard
    }
}

#[async_trait]
impl Wire for Line {
    async fn there(&self) -> Result<u64, StoreError> {
        let (go, gone) = oneshot::channel();
        let number = self.database.expect(Arrival::Go(go));
        self.send(number).await?;
        match tokio::time::timeout(PATIENCE, gone).await {
            Ok(Ok(())) => Ok(number),
            _ => Err(StoreError::unavailable("no answer")),
        }
    }

    async fn back(&self, operation: u64) -> Result<(), StoreError> {
        let (tell, heard) = oneshot::channel();
        all(&self.waiting).insert(operation, tell);
        // The database outlives every worker.
        let _ = self.database.answers.send((operation, self.own));
        if self.hears(operation, heard).await { Ok(()) } else { Err(StoreError::unavailable("no answer")) }
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let (tell, heard) = oneshot::channel();
        let number = self.database.expect(Arrival::Commit(commit));
        all(&self.waiting).insert(number, tell);
        self.send(number).await?;
        if !self.hears(number, heard).await {
            return Err(StoreError::ambiguous("no answer"));
        }
        let done = all(&self.database.commits).remove(&number);
        done.unwrap_or_else(|| Err(StoreError::ambiguous("no answer")))
    }
}
