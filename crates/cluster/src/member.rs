//! This replica in the directory: it tells of itself, and looks who else does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::Uri;
use model::{Clock, Timestamp};
use seal::{Fingerprint, KeyRing};
use server::{App, Peer, Phase};
use store::{ReplicaRow, Seq, Store, StoreError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::Lives;
use crate::retry;

/// How long the last word may take.
const LEAVE_TIME: Duration = Duration::from_secs(2);
/// A row that was not written for so long is nobody's any more, whatever the clocks say.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// How much later than it should another replica may look.
const LATE: Duration = Duration::from_millis(250);
/// How often what has expired is forgotten.
const SWEEP: Duration = Duration::from_secs(300);
/// Changes of sessions that are taken in at a time.
const CHANGES_MAX: usize = 500;

/// How often, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How often this replica writes and looks.
    pub every: Duration,
    /// How long another may be silent until what it holds is given up.
    pub lost_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { every: Duration::from_secs(2), lost_after: Duration::from_secs(10) }
    }
}

/// What this replica tells of itself.
#[derive(Debug, Clone)]
pub struct Told {
    /// Where its internal listener is; empty where it has none.
    pub url: String,
    /// The version of the program.
    pub version: String,
}

/// Why a replica does not join the others.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The store.
    #[error("join the other replicas")]
    Store(#[from] StoreError),
    /// Another replica could not open what this one seals, or the other way round: their clients would lose
    /// their sessions at each turn of the balancer.
    #[error(
        "join the other replicas: {other} has other keys; it has {theirs}, this one {ours} (the \
         first seals). Give all replicas the same key ring: `keys.file`, `keys.env`, or neither for \
         that of the store"
    )]
    Keys {
        /// The other replica: its name and where it is.
        other: String,
        /// The ids of its keys.
        theirs: String,
        /// The ids of the keys of this one.
        ours: String,
    },
}

/// This replica among the others, until it leaves.
pub struct Member {
    work: Work,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Work {
    app: Arc<App>,
    store: Arc<dyn Store>,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    timing: Timing,
    told: Told,
    started: Timestamp,
}

impl Member {
    /// Joins: tells of this replica, and from now on knows of the others. Once this returns, those that live
    /// know of it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`JoinError`]; this replica is not in the directory then.
    pub async fn join(
        app: &Arc<App>,
        store: Arc<dyn Store>,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        told: Told,
        timing: Timing,
    ) -> Result<Self, JoinError> {
        let started = clock.now();
        let work = Work { app: Arc::clone(app), store, keys, clock, timing, told, started };
        let mut looks = Looks::new(&work).await?;
        looks.same_keys(&work).await?;
        looks.turn(&work).await?;
        // What this replica hands out names it. Until the others have looked once more they do not know that
        // name, and would take it for one that is gone.
        if !app.replicas().peers().is_empty() {
            tokio::time::sleep(timing.every + LATE).await;
        }
        let task = tokio::spawn(run(work.clone(), looks));
        Ok(Self { work, task })
    }

    /// Leaves the directory; the others need not wait until this replica is missed.
    pub async fn leave(self) {
        self.task.abort();
        // Not before its last word is through, which would come after this one.
        let _ = self.task.await;
        let id = self.work.app.replicas().me().clone();
        let leave = retry::change(&*self.work.store, |tx| {
            let id = id.clone();
            async move { tx.replica_leave(&id).await }.boxed()
        });
        match timeout(LEAVE_TIME, leave).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "this replica did not leave the directory"),
            Err(_) => tracing::warn!("this replica did not leave the directory in time"),
        }
    }
}

async fn run(work: Work, mut looks: Looks) {
    let mut ticks = interval(work.timing.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wakes = work.store.wakes();
    let (mut well, mut stays) = (true, true);
    loop {
        tokio::select! {
            // Others are to know at once.
            () = work.app.draining(), if stays => {
                stays = false;
                ticks.reset_immediately();
                continue;
            }
            _ = ticks.tick() => {
                let turn = looks.turn(&work).await;
                if let Err(error) = &turn && well {
                    tracing::error!(%error, "the store cannot be reached; what was known of others stays");
                } else if turn.is_ok() && !well {
                    tracing::info!("the store can be reached again");
                }
                well = turn.is_ok();
            }
            // A reason to look what has changed; the ticks come anyway.
            woken = wakes.changed() => if woken.is_err() {
                std::future::pending::<()>().await;
            },
        }
        if let Err(error) = looks.sessions(&work).await {
            tracing::debug!(%error, "changes of sessions were not read");
        }
    }
}

/// What is known from looks at the store.
struct Looks {
    lives: Lives,
    last: Instant,
    beat: u64,
    /// The last change of a session that was taken in.
    seen: Seq,
    swept: Option<Instant>,
    /// Those that have other keys, to say it once.
    strangers: Vec<model::ReplicaId>,
}

impl Looks {
    async fn new(work: &Work) -> Result<Self, StoreError> {
        // Before anything is served: what was changed until now is read with each session.
        let seen = work.store.sessions_seq().await?;
        let lives = Lives::new(work.timing.lost_after, work.timing.every);
        Ok(Self { lives, last: Instant::now(), beat: 0, seen, swept: None, strangers: Vec::new() })
    }

    /// Refuses to join replicas that live and have other keys.
    async fn same_keys(&mut self, work: &Work) -> Result<(), JoinError> {
        let found = self.look(work).await?;
        let Some(_) = found.iter().find(|row| !shares(work, row)) else { return Ok(()) };
        // It may be what a dead one left behind: one that lives writes again.
        let before = found;
        tokio::time::sleep(work.timing.every * 2).await;
        let now = self.look(work).await?;
        let writes = |row: &&ReplicaRow| before.iter().any(|old| old.id == row.id && old.beat != row.beat);
        match now.iter().filter(writes).find(|row| !shares(work, row)) {
            None => Ok(()),
            Some(row) => Err(JoinError::Keys {
                other: format!(
                    "{} ({})",
                    row.id,
                    if row.url.is_empty() { "without a URL" } else { &row.url }
                ),
                theirs: row.keys.clone(),
                ours: work.keys.fingerprint(work.clock.now()).to_string(),
            }),
        }
    }

    async fn look(&mut self, work: &Work) -> Result<Vec<ReplicaRow>, StoreError> {
        let rows = work.store.replicas().await?;
        let since = self.last.elapsed();
        self.last = Instant::now();
        Ok(self.lives.look(since, work.clock.now(), rows))
    }

    /// Writes and looks.
    async fn turn(&mut self, work: &Work) -> Result<(), StoreError> {
        self.beat += 1;
        let now = work.clock.now();
        let row = ReplicaRow {
            id: work.app.replicas().me().clone(),
            url: work.told.url.clone(),
            started: work.started,
            at: now,
            beat: self.beat,
            version: work.told.version.clone(),
            keys: work.keys.fingerprint(now).to_string(),
            draining: work.app.has_reached(Phase::Leaving),
        };
        let sweep = self.swept.is_none_or(|at| at.elapsed() >= SWEEP);
        let forget = Timestamp(now.0.saturating_sub(FORGET_AFTER.as_millis() as u64));
        let mut tx = work.store.begin().await?;
        tx.replica_beat(&row).await?;
        if sweep {
            tx.replica_sweep(forget).await?;
            tx.session_sweep(now).await?;
            tx.stream_sweep(now).await?;
        }
        tx.commit().await?;
        if sweep {
            self.swept = Some(Instant::now());
        }
        let living = self.look(work).await?;
        let peers = living.iter().filter(|row| row.id != *work.app.replicas().me());
        let peers: Vec<Peer> = peers.filter_map(|row| self.peer(work, row)).collect();
        work.app.replicas().set_peers(peers);
        Ok(())
    }

    /// A replica that requests can be sent on to.
    fn peer(&mut self, work: &Work, row: &ReplicaRow) -> Option<Peer> {
        if !shares(work, row) {
            if !self.strangers.contains(&row.id) {
                tracing::error!(replica = %row.id, "a replica has other keys and is left alone");
                self.strangers.push(row.id.clone());
            }
            return None;
        }
        self.strangers.retain(|id| *id != row.id);
        let url: Uri = row.url.parse().ok().filter(|url: &Uri| url.host().is_some())?;
        Some(Peer { id: row.id.clone(), url })
    }

    /// Takes in what was changed in sessions at other replicas.
    async fn sessions(&mut self, work: &Work) -> Result<(), StoreError> {
        loop {
            let changed = work.store.sessions_changed(self.seen, CHANGES_MAX).await?;
            let Some((last, _)) = changed.last() else { return Ok(()) };
            let last = *last;
            let names: Vec<String> = changed.into_iter().map(|(_, name)| name).collect();
            work.app.reload_sessions(&names).await;
            self.seen = last;
            if names.len() < CHANGES_MAX {
                return Ok(());
            }
        }
    }
}

fn shares(work: &Work, row: &ReplicaRow) -> bool {
    let theirs = row.keys.parse::<Fingerprint>();
    theirs.is_ok_and(|theirs| work.keys.shares_with(&theirs, work.clock.now()))
}
