//! A gateway inside the command: the commands use the configuration themselves and need none that runs.

use std::sync::Arc;

use model::SystemClock;
use protocol::{Capabilities, Raw, RpcError};
use recorder::Recorder;
use seal::SystemRng;
use server::{Embedded, Local};
use telemetry::Telemetry;

use crate::cli::Source;
use crate::exit::{Coded, REFUSED, USAGE};
use crate::up::Additions;
use crate::{audit_log, load, logging, out, traces};

/// Starts one, with the demo server where nothing is configured.
pub async fn start(source: &Source) -> anyhow::Result<Embedded> {
    let mut loaded = load::load(source)?;
    // The commands that print results: what is only information stays quiet.
    loaded.config.telemetry.log_level = config::LogLevel::Error;
    prepare(&mut loaded).await?;
    let gateway = Embedded::start(&loaded.config, Arc::new(SystemClock), Arc::new(SystemRng));
    gateway.map_err(|error| Coded::compose(&error).into())
}

/// One for what is recorded: calls.
pub struct Recorded {
    /// The gateway.
    pub gateway: Embedded,
    log: Option<Arc<Recorder>>,
    telemetry: Option<Telemetry>,
}

impl Recorded {
    /// Starts one, with the audit log that the configuration asks for, and where `quiet` is not meant with
    /// traces where a collector is configured.
    pub async fn start(source: &Source, quiet: bool) -> anyhow::Result<Self> {
        let mut loaded = load::load(source)?;
        if quiet {
            loaded.config.telemetry.log_level = config::LogLevel::Error;
        }
        prepare(&mut loaded).await?;
        let telemetry = if quiet { None } else { traces::start(&loaded.config)? };
        let tracer = telemetry.as_ref().map(Telemetry::tracer);
        let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
        let gateway = Embedded::start_traced(&loaded.config, clock, rng, tracer);
        let gateway = gateway.map_err(|error| Coded::compose(&error))?;
        let log = audit_log::of_calls(&loaded).await?;
        if let Some(log) = &log {
            gateway.app().record_with(Arc::clone(log) as Arc<dyn audit::Recorder>);
        }
        Ok(Self { gateway, log, telemetry })
    }

    /// Ends it, once all that was done is recorded.
    pub async fn stop(self) {
        self.gateway.stop().await;
        if let Some(log) = &self.log {
            log.stop().await;
        }
        traces::stop(self.telemetry).await;
    }
}

async fn prepare(loaded: &mut load::Loaded) -> anyhow::Result<()> {
    logging::start(&loaded.config.telemetry);
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    Additions::default().apply(&mut loaded.config).await
}

/// An endpoint of it, for a client with these capabilities.
pub fn endpoint(gateway: &Embedded, name: &str, capabilities: &'static str) -> anyhow::Result<Local> {
    let capabilities = Capabilities::read(Some(&Raw::literal(capabilities)));
    Local::new(gateway.app(), name, capabilities).ok_or_else(|| {
        let mut known: Vec<String> = gateway.app().generation().endpoints.keys().cloned().collect();
        known.sort();
        let text = format!("find the endpoint {name:?}; there are: {}", known.join(", "));
        Coded::new(USAGE, text).into()
    })
}

/// What was refused, in the words of the gateway or of the server; `what` completes "failed to …".
///
/// The command is the operator's, so it may say more of the cause than a client gets to know.
pub fn refused(gateway: &Embedded, what: &str, error: &RpcError) -> anyhow::Error {
    let mut text = format!("{what}: {} (code {})", out::plain(&error.message), error.code);
    let data = error.data.clone().unwrap_or_default();
    let at = data["upstream"].as_str();
    let upstreams = gateway.app().generation().upstreams();
    match at.and_then(|at| upstreams.iter().find(|upstream| upstream.name().as_str() == at)) {
        Some(upstream) => {
            let cause = upstream.health().error.and_then(|error| error.detail);
            if let Some(cause) = cause {
                text.push_str(&format!("\n  cause: {}", out::plain(&cause)));
            }
            match data["retry"].as_str() {
                Some("safe") => text.push_str("\n  nothing ran: it can be repeated"),
                Some("may_have_run") => {
                    text.push_str("\n  it may have run: repeat it only if that does no harm")
                }
                _ => {}
            }
        }
        None if !data.is_null() => text.push_str(&format!("\n  data: {data}")),
        None => {}
    }
    Coded::new(REFUSED, text).into()
}
