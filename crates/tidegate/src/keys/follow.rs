//! The ring of a gateway that runs: read at the start, and again whenever its file changes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use model::{Clock, SystemClock};
use seal::{Key, KeyRing, SystemRng};

use store::Store;
use tokio::time::Instant;

use super::place::Place;
use crate::exit::Coded;
use crate::watch;

/// How often a ring in a store is read: much oftener than a new key waits until it seals.
const STORE_LOOK: Duration = Duration::from_secs(5);
/// What anybody on the machine may do with a file.
const OTHERS: u32 = 0o007;

/// The ring and where it comes from.
pub struct Follow {
    ring: Arc<KeyRing>,
    /// `None`: the gateway made its key itself.
    place: Option<Place>,
    looks: Option<Looks>,
    /// The ring as it was read last.
    text: Option<String>,
}

impl Follow {
    /// Reads the ring that the configuration names, or that of the store, or makes one.
    pub async fn start(config: &Config, store: Option<&Arc<dyn Store>>) -> anyhow::Result<Self> {
        let Some(place) = Place::of(config, store) else {
            return Ok(Self {
                ring: Arc::new(KeyRing::generate(&SystemRng)),
                place: None,
                looks: None,
                text: None,
            });
        };
        let looks = match &place {
            Place::File(file) => Some(Looks::File(watch::Looks::new(file.clone()))),
            Place::Store(store) => {
                let first = cluster::first_keys(&**store, &SystemClock, &SystemRng);
                first.await.map_err(|error| Coded::store(&error))?;
                Some(Looks::Store(Instant::now()))
            }
            Place::Env(_) => None,
        };
        let text = place.read().await?;
        let keys = usable(&place, &text)?;
        let failed = |error| Coded::config(format!("use the key ring of {}: {error}", place.name()));
        let ring = KeyRing::new(&keys, SystemClock.now()).map_err(failed)?;
        Ok(Self { ring: Arc::new(ring), place: Some(place), looks, text: Some(text) })
    }

    /// The ring, which is the same one for ever.
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Looks whether the ring has changed, and puts what it is now in force; at once if somebody `asked`.
    pub async fn look(&mut self, asked: bool) {
        let (Some(place), Some(looks)) = (&self.place, &mut self.looks) else { return };
        if !looks.due(asked) {
            return;
        }
        match read(place).await {
            // A store is read again and again, and mostly says what it said before.
            Ok((text, _)) if !asked && self.text.as_ref() == Some(&text) => {}
            Ok((text, keys)) => {
                self.text = Some(text);
                self.replace(&keys);
            }
            Err(error) => tracing::error!("the new key ring was refused; the old one stays: {error:#}"),
        }
    }

    fn replace(&self, keys: &[Key]) {
        match self.ring.replace(keys, SystemClock.now()) {
            Ok(()) => {
                let [next, active, opens, retired] =
                    self.ring.counts(SystemClock.now()).map(|(_, count)| count);
                tracing::info!(next, active, opens, retired, "the new key ring is in force");
            }
            Err(error) => tracing::error!("the new key ring was refused; the old one stays: {error:#}"),
        }
    }
}

/// When a ring is read again.
enum Looks {
    /// When the file has changed.
    File(watch::Looks),
    /// So long after it was last read.
    Store(Instant),
}

impl Looks {
    fn due(&mut self, asked: bool) -> bool {
        match self {
            Self::File(looks) => looks.due(asked),
            Self::Store(last) if asked || last.elapsed() >= STORE_LOOK => {
                *last = Instant::now();
                true
            }
            Self::Store(_) => false,
        }
    }
}

/// The text of a ring, and the keys of it that can be used now.
async fn read(place: &Place) -> anyhow::Result<(String, Vec<Key>)> {
    let text = place.read().await?;
    let keys = usable(place, &text)?;
    Ok((text, keys))
}

fn usable(place: &Place, text: &str) -> anyhow::Result<Vec<Key>> {
    if let Place::File(file) = place
        && open_to_others(file)
    {
        tracing::warn!("{}: others can read or write the key ring; `chmod o= {0}`", file.display());
    }
    seal::text::parse_usable(text, SystemClock.now()).map_err(|error| place.refused(&error))
}

fn open_to_others(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & OTHERS != 0)
}
