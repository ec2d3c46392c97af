//! What happens to replicas, when, and what it excuses.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::Result;
use crate::database::Database;
use crate::random::Random;
use crate::replicas::Replica;

/// How long something may still go wrong after a trouble has ended: the lease of a replica runs out, others
/// take note, balancer and clients come back.
pub const ECHO: Duration = Duration::from_secs(25);
/// After so many troubles nothing happens for a while, so that it shows whether all is well then.
const ROW: u64 = 4;

/// About as long as the longest trouble of the database.
const DATABASE_TROUBLE_MAX: Duration = Duration::from_secs(15);

/// How long a replica serves before the next one is restarted.
const ROLL_PAUSE: Duration = Duration::from_secs(3);

/// What is done to a replica, or to the database of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9`, and a start some time later.
    Killed,
    /// SIGSTOP for longer than its lease, then SIGCONT.
    Frozen,
    /// SIGTERM, and a start as soon as it has ended.
    Restarted,
    /// The database is killed or stopped, and started some time later.
    Database,
    /// SIGSTOP to the process of the database that takes connections, then SIGCONT.
    DatabaseFrozen,
}

impl Kind {
    /// Whether it is done to the database. No replica goes then: whatever was not done has a clear answer.
    fn is_of_database(self) -> bool {
        match self {
            Self::Killed | Self::Frozen | Self::Restarted => false,
            Self::Database | Self::DatabaseFrozen => true,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Frozen | Self::DatabaseFrozen => "stopped for a while",
            Self::Restarted => "restarted in order",
            Self::Database => "restarted",
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    kind: Kind,
    from: Instant,
    until: Option<Instant>,
}

/// All troubles so far. Clones are the same.
#[derive(Debug, Default, Clone)]
pub struct Troubles {
    all: Arc<Mutex<Vec<Trouble>>>,
    /// Held while a replica starts, and while the database takes no connection for longer than a replica that
    /// starts waits for one: whoever runs replicas starts them again then, and here nobody does.
    starts: Arc<tokio::sync::Mutex<()>>,
}

impl Troubles {
    fn all(&self) -> MutexGuard<'_, Vec<Trouble>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, kind: Kind) -> usize {
        let mut all = self.all();
        all.push(Trouble { kind, from: Instant::now(), until: None });
        all.len() - 1
    }

    fn end(&self, index: usize) {
        if let Some(trouble) = self.all().get_mut(index) {
            trouble.until = Some(Instant::now());
        }
    }

    /// Whether what went wrong in this time may have. `clear`: it said that nothing was done and that it may
    /// be tried again. Where only the database is in trouble, nothing else is excused.
    pub fn excuse(&self, from: Instant, until: Instant, clear: bool) -> bool {
        let touches =
            |trouble: &Trouble| trouble.from <= until && trouble.until.is_none_or(|end| end + ECHO >= from);
        let excuses = |trouble: &Trouble| clear || !trouble.kind.is_of_database();
        self.all().iter().any(|trouble| touches(trouble) && excuses(trouble))
    }

    /// How often each kind happened.
    pub fn count(&self, kind: Kind) -> usize {
        self.all().iter().filter(|trouble| trouble.kind == kind).count()
    }
}

/// Makes trouble until the end, one replica at a time, and leaves all of them running.
pub async fn make(
    replicas: &mut [Replica],
    troubles: &Troubles,
    random: &mut Random,
    lease: Duration,
    end: Instant,
) -> Result<()> {
    let mut number = 0;
    loop {
        let quiet = number > 0 && number % ROW == 0;
        let pause = if quiet {
            ECHO + Duration::from_secs(12)
        } else {
            Duration::from_millis(random.between(1_000, 6_000))
        };
        // The last trouble is over before the end, and so is what it excuses.
        let next = Instant::now() + pause;
        if next + lease + ECHO > end {
            sleep_until(end).await;
            return Ok(());
        }
        sleep_until(next).await;
        number += 1;
        let which = random.between(0, replicas.len() as u64);
        let kind = random.weighed(&[(4, Kind::Killed), (3, Kind::Frozen), (3, Kind::Restarted)]);
        let replica = usize::try_from(which).ok().and_then(|which| replicas.get_mut(which));
        let (Some(replica), Some(kind)) = (replica, kind) else { continue };
        let millis = random.between(200, 4_000);
        println!("  {} is {kind}", replica.name);
        let index = troubles.begin(kind);
        happen(replica, kind, Duration::from_millis(millis), lease, troubles).await?;
        troubles.end(index);
    }
}

/// Restarts the database, or stops it for a while, every 5 to 40 seconds until the end, where there is one
/// to restart.
pub async fn restart(
    database: Option<&mut Database>,
    troubles: &Troubles,
    random: &mut Random,
    end: Instant,
) -> Result<()> {
    let Some(database) = database else { return Ok(()) };
    loop {
        let next = Instant::now() + Duration::from_millis(random.between(5_000, 40_000));
        if next + DATABASE_TROUBLE_MAX + ECHO > end {
            return Ok(());
        }
        sleep_until(next).await;
        let kind = random.weighed(&[(3, Kind::Database), (2, Kind::DatabaseFrozen)]);
        let kind = kind.unwrap_or(Kind::Database);
        let _no_start = match kind {
            Kind::DatabaseFrozen => Some(troubles.starts.lock().await),
            _ => None,
        };
        println!("  the database is {kind}");
        let index = troubles.begin(kind);
        match kind {
            Kind::DatabaseFrozen => database.freeze(random).await?,
            _ => database.restart(random).await?,
        }
        troubles.end(index);
    }
}

/// Restarts all replicas in order, one after the other, so many times over.
pub async fn roll(replicas: &mut [Replica], troubles: &Troubles, rounds: u64) -> Result<()> {
    for round in 1..=rounds {
        for replica in &mut *replicas {
            println!("  round {round}: {} is {}", replica.name, Kind::Restarted);
            let index = troubles.begin(Kind::Restarted);
            happen(replica, Kind::Restarted, Duration::ZERO, Duration::ZERO, troubles).await?;
            // The others find it before the next one goes.
            sleep(ROLL_PAUSE).await;
            troubles.end(index);
        }
    }
    Ok(())
}

async fn happen(
    replica: &mut Replica,
    kind: Kind,
    pause: Duration,
    lease: Duration,
    troubles: &Troubles,
) -> Result<()> {
    match kind {
        Kind::Killed => {
            replica.kill().await?;
            sleep(pause).await;
            let _start = troubles.starts.lock().await;
            replica.resume().await
        }
        Kind::Frozen => {
            replica.freeze()?;
            sleep(lease + pause).await;
            replica.thaw()
        }
        Kind::Restarted => {
            replica.terminate().await?;
            let _start = troubles.starts.lock().await;
            replica.resume().await
        }
        // No replica's trouble alone.
        Kind::Database | Kind::DatabaseFrozen => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_trouble_excuses_what_happens_meanwhile_and_shortly_after() {
        let troubles = Troubles::default();
        let before = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!troubles.excuse(before, Instant::now(), false));
        let index = troubles.begin(Kind::Frozen);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(troubles.excuse(Instant::now(), Instant::now(), false), "it is not over");
        troubles.end(index);
        tokio::time::advance(ECHO).await;
        assert!(troubles.excuse(Instant::now(), Instant::now(), false));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!troubles.excuse(Instant::now(), Instant::now(), false));
        assert!(!troubles.excuse(before, before, true), "it had not begun");
        assert_eq!(troubles.count(Kind::Frozen), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_of_the_database_excuses_only_what_says_that_nothing_was_done() {
        let troubles = Troubles::default();
        let index = troubles.begin(Kind::Database);
        let now = Instant::now();
        assert!(troubles.excuse(now, now, true));
        assert!(!troubles.excuse(now, now, false));
        troubles.end(index);
        assert!(troubles.excuse(Instant::now(), Instant::now(), true));
        troubles.begin(Kind::Frozen);
        assert!(troubles.excuse(now, now, false), "a replica may take a call along at the same time");
    }
}
