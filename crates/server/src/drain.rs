//! How a process stops: in phases, each of which any part can wait for.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use model::{Fault, Retry, Rng};
use protocol::{RpcError, code};
use serde_json::json;
use tokio::sync::watch;

/// How soon a client should come back to a stream that the drain has closed, at the earliest.
const COME_BACK_MIN_MS: u64 = 500;
/// Clients come back spread over this time, and not all at once.
const COME_BACK_SPREAD_MS: u64 = 5_000;

/// How far the end of a process has come. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Everything is served.
    Serving,
    /// Everything is served still, and who asks is told to go elsewhere.
    Leaving,
    /// No further connection is taken; streams that only listen are closed; what runs goes on.
    Draining,
    /// What still runs is ended, and its client is told.
    Ending,
    /// Connections are closed, whatever is on them.
    Over,
}

/// The phase of one process.
pub(crate) struct Drain {
    now: AtomicU8,
    phase: watch::Sender<Phase>,
    /// Whether another process has the listening socket.
    handed_over: AtomicBool,
}

impl Default for Drain {
    fn default() -> Self {
        let phase = watch::Sender::new(Phase::Serving);
        Self { now: AtomicU8::new(0), phase, handed_over: AtomicBool::new(false) }
    }
}

impl Drain {
    /// Goes on to a phase, if it is not there yet.
    pub fn advance(&self, to: Phase) {
        self.now.fetch_max(to as u8, Ordering::AcqRel);
        self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            *phase = (*phase).max(to);
            later
        });
    }

    /// Begins the drain of a process whose listening socket another one serves by now.
    pub fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Release);
        self.advance(Phase::Leaving);
    }

    /// Whether another process serves the listening socket.
    pub fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Acquire)
    }

    /// Whether a phase has been reached.
    pub fn has_reached(&self, phase: Phase) -> bool {
        self.now.load(Ordering::Acquire) >= phase as u8
    }

    /// Waits for a phase. Safe to cancel.
    pub async fn reached(&self, phase: Phase) {
        // Its sender is `self`, so it cannot be gone.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Waits until no further connection is to be taken. Safe to cancel.
    pub async fn closed(&self) {
        self.reached(Phase::Leaving).await;
        if !self.is_handed_over() {
            self.reached(Phase::Draining).await;
        }
    }
}

/// When a client should come back to a stream that the drain has closed, in milliseconds.
pub(crate) fn come_back_ms(rng: &dyn Rng) -> u64 {
    COME_BACK_MIN_MS + rng.next_u64() % COME_BACK_SPREAD_MS
}

/// What is said to new work that comes too late.
pub(crate) fn too_late() -> RpcError {
    let text = "This gateway is shutting down: nothing ran, try again";
    RpcError::new(code::LIMIT, text).with(json!({
        "reason": "draining",
        "fault": Fault::Gateway.as_str(),
        "retry": Retry::Safe.as_str(),
    }))
}

/// What is said to a call that has not ended in the time of the drain.
pub(crate) fn cut_off() -> RpcError {
    let text = "The gateway stopped before this call had ended. \
                It may have run in part: make it again only if that does no harm";
    RpcError::new(code::PARKED_GONE, text).with(json!({
        "reason": "gateway_stopping",
        "fault": Fault::Gateway.as_str(),
        "retry": Retry::MayHaveRun.as_str(),
    }))
}

#[cfg(test)]
mod tests {
    use model::SeededRng;

    use super::*;

    #[tokio::test]
    async fn a_phase_is_reached_once_and_never_left() {
        let drain = Drain::default();
        assert!(drain.has_reached(Phase::Serving) && !drain.has_reached(Phase::Leaving));
        drain.advance(Phase::Ending);
        drain.advance(Phase::Leaving);
        assert!(drain.has_reached(Phase::Ending) && !drain.has_reached(Phase::Over));
        for phase in [Phase::Leaving, Phase::Draining, Phase::Ending] {
            drain.reached(phase).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_taken_during_the_delay_unless_another_process_takes_them() {
        let closes = async |drain: &Drain| {
            tokio::time::timeout(std::time::Duration::from_secs(1), drain.closed()).await.is_ok()
        };
        let (alone, handed) = (Drain::default(), Drain::default());
        assert!(!closes(&alone).await);
        alone.advance(Phase::Leaving);
        handed.hand_over();
        assert!(!closes(&alone).await);
        assert!(closes(&handed).await);
        alone.advance(Phase::Draining);
        assert!(closes(&alone).await);
    }

    #[test]
    fn clients_come_back_at_different_times() {
        let rng = SeededRng::new(7);
        let times: std::collections::BTreeSet<u64> = (0..100).map(|_| come_back_ms(&rng)).collect();
        assert!(times.len() > 80, "{times:?}");
        let range = COME_BACK_MIN_MS..COME_BACK_MIN_MS + COME_BACK_SPREAD_MS;
        assert!(times.iter().all(|time| range.contains(time)), "{times:?}");
    }
}
