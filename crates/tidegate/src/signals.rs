//! Signals of the operating system.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, which end the process in order. From the first value on they no longer end it at once.
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

/// SIGHUP, which has the configuration read again.
pub fn hang_ups() -> anyhow::Result<Signal> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("listen to signals")
}
