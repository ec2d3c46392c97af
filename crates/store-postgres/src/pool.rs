//! Connections: at most so many, each wait with an end, and no connection used again whose state is unknown.
//!
//! A pool of our own, as that of sqlx tests a connection without a limit in time when it comes back. A host
//! that is cut off would hold every place in it for a quarter of an hour.

use crate::failure::Failure;
use crate::settings::{Settings, Target};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The first pause before a database that refuses is asked again; each is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How long a connection that goes may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(crate) struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    target: Target,
    settings: Settings,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The one used last is at the end, so that a burst's extra connections grow old.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    born: Instant,
    since: Instant,
}

/// A connection in use. It goes back to the pool where it is known to be in order, and is cut otherwise.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Option<PgConnection>,
    born: Instant,
    /// Nothing is under way, and no transaction is open.
    clean: bool,
    inner: Arc<Inner>,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(target: Target, settings: Settings) -> Self {
        let places = Arc::new(Semaphore::new(settings.connections_max.max(1) as usize));
        let inner = Inner { target, settings, places, waiting: AtomicUsize::new(0), idle: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// A connection: one that is idle, or a new one.
    ///
    /// # Errors
    /// Busy where all stay in use, unavailable where the database does not answer in time. Nothing was sent.
    pub(crate) async fn acquire(&self) -> Result<Lease, StoreError> {
        let inner = &self.inner;
        let until = Instant::now() + inner.settings.acquire;
        let place = inner.place(until).await?;
        let idle = inner.take_idle();
        let (connection, born) = match idle {
            Some(Idle { connection, born, .. }) => (connection, born),
            None => (inner.connect(until).await?, Instant::now()),
        };
        let inner = Arc::clone(inner);
        Ok(Lease { connection: Some(connection), born, clean: true, inner, _place: place })
    }

    /// Forgets idle connections: one of them was found cut, so the others probably are.
    pub(crate) fn forget_idle(&self) {
        drop(self.inner.drain());
    }

    /// Ends all that is idle, and whatever comes back from now on.
    pub(crate) async fn close(&self) {
        self.inner.places.close();
        for Idle { connection, .. } in self.inner.drain() {
            // A failure leaves it cut, which is as good.
            let _ = timeout(GOODBYE, connection.close()).await;
        }
    }
}

impl Inner {
    async fn place(self: &Arc<Self>, until: Instant) -> Result<OwnedSemaphorePermit, StoreError> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Waiting::enter(self).ok_or(StoreError::Busy)?;
        match timeout_at(until, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_closed)) => Err(Failure::Closed.nothing_written()),
            Err(_) => Err(StoreError::Busy),
        }
    }

    fn take_idle(&self) -> Option<Idle> {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (unused, lifetime) = (self.settings.idle, self.settings.lifetime);
        idle.retain(|one| now - one.since < unused && now - one.born < lifetime);
        idle.pop()
    }

    fn drain(&self) -> Vec<Idle> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens a connection; asks again where the database is starting or full.
    async fn connect(&self, until: Instant) -> Result<PgConnection, StoreError> {
        let mut pause = PAUSE_FIRST;
        loop {
            let failure = match timeout_at(until, self.target.connect.connect()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => Failure::Sql(error),
                Err(_) => Failure::TimedOut,
            };
            if !failure.may_pass() || Instant::now() + pause >= until {
                return Err(failure.nothing_written());
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl Lease {
    /// The connection, for a use that ends with [`Lease::used_well`] or leaves it cut.
    pub(crate) fn begin_use(&mut self) -> &mut PgConnection {
        self.clean = false;
        self.connection.as_mut().expect("it is there until the lease is dropped")
    }

    /// Nothing is under way any more, and no transaction is open.
    pub(crate) fn used_well(&mut self) {
        self.clean = true;
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The schema of the store.
    pub(crate) fn schema(&self) -> &str {
        &self.inner.target.schema
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.clean && !self.inner.places.is_closed() {
            let idle = Idle { connection, born: self.born, since: Instant::now() };
            self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
        }
    }
}

/// One who waits for a connection, counted.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(inner: &'a Inner) -> Option<Self> {
        let before = inner.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(&inner.waiting);
        (before < inner.settings.waiting_max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
