//! What somebody does on the command line, for the audit log: one event before something is changed, and one
//! after it.

use std::sync::Arc;

use audit::{Event, Outcome, Phase, Recorder as _};
use config::AuditMode;
use model::{Clock as _, Rng as _, SystemClock};
use recorder::Recorder;
use seal::SystemRng;
use store::Store;

use crate::audit_log;
use crate::cli::Source;
use crate::exit::{Coded, FAILURE};
use crate::load;

/// Whose actions those at the command line are. Who that was, the system knows by a number.
const OPERATOR: &str = "@operator";

/// An event of somebody at the command line.
pub fn event(kind: &'static str, tenant: &str) -> Event {
    let mut event = Event::new(kind, SystemClock.now(), tenant, OPERATOR);
    event.details.insert("by", "the command line".to_owned());
    event.details.insert("uid", rustix::process::getuid().as_raw().to_string());
    event
}

/// Something that is being done.
pub struct ByHand {
    /// `None`: no log is written.
    recorder: Option<Arc<Recorder>>,
    strict: bool,
    event: Event,
}

impl ByHand {
    /// Says that `command` begins, with what. Where nothing is done without a record, that is durable then.
    pub async fn begin(
        source: &Source,
        store: &Arc<dyn Store>,
        command: &str,
        target: &str,
    ) -> anyhow::Result<Self> {
        let mut own = Self::open(source, store, command, target).await?;
        own.event.phase = Phase::Completed;
        own.write(Event { phase: Phase::Started, ..own.event.clone() }, "nothing was done").await?;
        Ok(own)
    }

    /// Says that `command` is done, or is about to be, where there can be no record before, or none after.
    pub async fn once(
        source: &Source,
        store: &Arc<dyn Store>,
        command: &str,
        target: &str,
    ) -> anyhow::Result<()> {
        let own = Self::open(source, store, command, target).await?;
        let written = own.write(own.event.clone(), "see whether it was done").await;
        own.close().await;
        written
    }

    async fn open(
        source: &Source,
        store: &Arc<dyn Store>,
        command: &str,
        target: &str,
    ) -> anyhow::Result<Self> {
        let mode = load::load(source)?.config.audit.mode;
        let strict = mode == Some(AuditMode::Strict);
        let recorder = match mode {
            Some(AuditMode::Off) => None,
            Some(AuditMode::Strict) => Some(audit_log::by_hand(source, store).await?),
            Some(AuditMode::Relaxed) | None => match audit_log::by_hand(source, store).await {
                Ok(recorder) => Some(recorder),
                Err(error) => {
                    eprintln!("warning: this is not in the audit log: {error:#}");
                    None
                }
            },
        };
        let mut event = event("admin_action", audit_log::OWN);
        event.details.insert("command", command.to_owned());
        event.target = Some(Arc::from(model::cut(target, 512))).filter(|text: &Arc<str>| !text.is_empty());
        let mut random = [0; 12];
        SystemRng.fill(&mut random);
        event.operation = audit::hex(&random).into();
        Ok(Self { recorder, strict, event })
    }

    /// Something more that is known of it.
    pub fn says(mut self, name: &'static str, value: &str) -> Self {
        self.event.details.insert(name, value.to_owned());
        self
    }

    /// Says how it ended, and gives that.
    pub async fn end<T, E: Into<anyhow::Error>>(mut self, done: Result<T, E>) -> anyhow::Result<T> {
        self.event.at = SystemClock.now();
        if done.is_err() {
            self.event.outcome = Outcome::Error;
        }
        let written = self.write(self.event.clone(), "it was done").await;
        self.close().await;
        let done = done.map_err(Into::into)?;
        written.map(|()| done)
    }

    async fn write(&self, event: Event, so: &str) -> anyhow::Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        match recorder.record(event).await {
            Ok(_) => Ok(()),
            Err(error) if self.strict => Err(Coded::new(FAILURE, format!("record it: {error}; {so}")).into()),
            Err(error) => {
                eprintln!("warning: this is not in the audit log: {error}");
                Ok(())
            }
        }
    }

    async fn close(self) {
        if let Some(recorder) = self.recorder {
            recorder.stop().await;
        }
    }
}
