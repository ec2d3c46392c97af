//! Signals of the operating system.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the exit code of a program that a signal ended begins at.
const SIGNALLED: u8 = 128;

/// SIGINT and SIGTERM, which end the process in order.
///
/// From the first value on they no longer end it at once.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Takes them over. Must be called within a tokio runtime.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits until one comes.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for SIGINT or SIGTERM and gives the exit code that shells expect then, so that what a command has
/// started ends with it.
pub async fn interrupted() -> u8 {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // They end the process as they always do.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => SIGNALLED + 15,
        _ = interrupt.recv() => SIGNALLED + 2,
    }
}

/// SIGHUP, which has the configuration read again.
pub fn hang_ups() -> anyhow::Result<Signal> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("listen to signals")
}
