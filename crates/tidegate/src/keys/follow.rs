//! The ring of a gateway that runs: read at the start, and again whenever its file changes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use config::Config;
use model::{Clock, SystemClock};
use seal::{Key, KeyRing, SystemRng};

use super::place::Place;
use crate::exit::Coded;
use crate::watch::Looks;

/// What anybody on the machine may do with a file.
const OTHERS: u32 = 0o007;

/// The ring and where it comes from.
pub struct Follow {
    ring: Arc<KeyRing>,
    /// `None`: the gateway made its key itself.
    place: Option<Place>,
    /// At the file.
    looks: Option<Looks>,
}

impl Follow {
    /// Reads the ring that the configuration names, or makes one.
    pub fn start(config: &Config) -> anyhow::Result<Self> {
        let Some(place) = Place::of(config) else {
            return Ok(Self { ring: Arc::new(KeyRing::generate(&SystemRng)), place: None, looks: None });
        };
        let looks = match &place {
            Place::File(file) => Some(Looks::new(file.clone())),
            Place::Env(_) => None,
        };
        let keys = read(&place)?;
        let failed = |error| Coded::config(format!("use the key ring of {}: {error}", place.name()));
        let ring = KeyRing::new(&keys, SystemClock.now()).map_err(failed)?;
        Ok(Self { ring: Arc::new(ring), place: Some(place), looks })
    }

    /// The ring, which is the same one for ever.
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Looks at the file, and puts what is in it in force if it has changed, or if somebody `asked`.
    pub fn look(&mut self, asked: bool) {
        let (Some(place), Some(looks)) = (&self.place, &mut self.looks) else { return };
        if !looks.due(asked) {
            return;
        }
        match replace(&self.ring, place) {
            Ok(()) => {
                let [next, active, opens, retired] =
                    self.ring.counts(SystemClock.now()).map(|(_, count)| count);
                tracing::info!(next, active, opens, retired, "the new key ring is in force");
            }
            Err(error) => tracing::error!("the new key ring was refused; the old one stays: {error:#}"),
        }
    }
}

fn replace(ring: &KeyRing, place: &Place) -> anyhow::Result<()> {
    ring.replace(&read(place)?, SystemClock.now()).map_err(|error| anyhow::anyhow!("{error}"))
}

/// The keys of a ring that can be used now.
fn read(place: &Place) -> anyhow::Result<Vec<Key>> {
    let text = place.read()?;
    if let Place::File(file) = place
        && open_to_others(file)
    {
        tracing::warn!("{}: others can read or write the key ring; `chmod o= {0}`", file.display());
    }
    seal::text::parse_usable(&text, SystemClock.now()).map_err(|error| place.refused(&error))
}

fn open_to_others(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & OTHERS != 0)
}
