//! Calls on legacy servers that wait for answers to their questions.
//!
//! A parked call is an open stream and the machine that reads it. It belongs to one principal, waits for a
//! limited time, and there may be only so many of them. Whoever comes late finds nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Principal, Timestamp};

use crate::legacy::LegacyRun;
use crate::options::Limits;

/// The parking lot of one upstream.
pub(crate) struct Lot {
    parked: Mutex<HashMap<String, Parked>>,
    parked_max: usize,
    total: Arc<AtomicUsize>,
    total_max: usize,
    per_principal_max: usize,
    time_max: Duration,
}

struct Parked {
    principal: Principal,
    until: Timestamp,
    run: Box<LegacyRun>,
    _place: Place,
}

/// One of the places for parked calls, over all upstreams.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(total: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let before = total.fetch_add(1, Ordering::AcqRel);
        let place = Self(Arc::clone(total));
        (before < max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Lot {
    /// What counts the parked calls of all upstreams.
    pub fn total(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.total)
    }

    /// `total` counts the parked calls of all upstreams.
    pub fn new(limits: Limits, total: Arc<AtomicUsize>) -> Self {
        Self {
            parked: Mutex::new(HashMap::new()),
            parked_max: limits.parked_max,
            total,
            total_max: limits.parked_total_max,
            per_principal_max: limits.parked_per_principal_max,
            time_max: limits.park_time_max,
        }
    }

    /// Parks a call under a name, until then or as long as any may wait. Hands it back where there is no
    /// room.
    pub fn park(
        &self,
        name: String,
        principal: &Principal,
        now: Timestamp,
        until: Option<Timestamp>,
        run: Box<LegacyRun>,
    ) -> Result<(), Box<LegacyRun>> {
        let gone = self.sweep(now);
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let own = parked.values().filter(|p| p.principal == *principal).count();
        if parked.len() >= self.parked_max || own >= self.per_principal_max {
            return Err(run);
        }
        let Some(place) = Place::take(&self.total, self.total_max) else { return Err(run) };
        parked.insert(
            name,
            Parked {
                principal: principal.clone(),
                until: until.unwrap_or_else(|| now.plus(self.time_max)),
                run,
                _place: place,
            },
        );
        drop(parked);
        drop(gone);
        Ok(())
    }

    /// Takes a parked call out. `None`: unknown, somebody else's, or too late.
    pub fn take(&self, name: &str, principal: &Principal, now: Timestamp) -> Option<Box<LegacyRun>> {
        let gone = self.sweep(now);
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        if parked.get(name)?.principal != *principal {
            return None;
        }
        let found = parked.remove(name);
        drop(parked);
        drop(gone);
        found.map(|p| p.run)
    }

    /// Takes out what waited too long; dropping it cancels it upstream.
    pub fn sweep(&self, now: Timestamp) -> Vec<LegacyRun> {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let late: Vec<String> =
            parked.iter().filter(|(_, p)| p.until <= now).map(|(name, _)| name.clone()).collect();
        late.iter().filter_map(|name| parked.remove(name)).map(|p| *p.run).collect()
    }

    /// How many calls are parked.
    pub fn len(&self) -> usize {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
