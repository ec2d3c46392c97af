//! The audit log of a configuration.

use std::sync::Arc;
use std::time::Duration;

use audit::Event;
use config::{AuditMode, Config};
use model::{Clock as _, SystemClock};
use recorder::{Options, Recorder};
use seal::{KeyRing, SystemRng};
use store::Store;

/// Whose log tells of the gateway itself: that of callers who are in no other tenant.
pub const OWN: &str = "default";
/// Who does what the gateway does by itself.
const SELF: &str = "@tidegate";

/// What the configuration says of how a log is written.
pub fn options(config: &Config, strict: bool) -> Options {
    let audit = &config.audit;
    let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 3_600);
    Options {
        strict,
        origin: audit.origin.clone(),
        queue: audit.queue_max,
        checkpoint: audit.checkpoint_interval.into(),
        retention: audit.retention_days.map(days),
        capture_retention: audit.capture_retention.into(),
        exports: Vec::new(),
    }
}

/// Starts to write the log; `None` where none is written. A store that ends with the process has one only
/// where the configuration asks for it.
pub fn start(
    config: &Config,
    store: &Arc<dyn Store>,
    durable: bool,
    keys: &Arc<KeyRing>,
) -> Option<Arc<Recorder>> {
    let or = if durable { AuditMode::Relaxed } else { AuditMode::Off };
    let strict = match config.audit.mode.unwrap_or(or) {
        AuditMode::Off => return None,
        AuditMode::Relaxed => false,
        AuditMode::Strict => true,
    };
    let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
    Some(Recorder::start(Arc::clone(store), clock, rng, Arc::clone(keys), options(config, strict)))
}

/// That the gateway begins to serve, by which policies.
pub fn started(app: &server::App) -> Event {
    let mut event = own("gateway_start");
    event.details.insert("replica", app.replicas().me().as_str().to_owned());
    event.details.insert("policy", app.generation().policy.version().to_owned());
    event
}

/// Something that the gateway does by itself.
pub fn own(kind: &'static str) -> Event {
    let mut event = Event::new(kind, SystemClock.now(), OWN, SELF);
    event.details.insert("version", env!("CARGO_PKG_VERSION").to_owned());
    event
}
