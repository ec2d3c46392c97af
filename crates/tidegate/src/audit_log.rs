//! The audit log of a configuration.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use audit::Event;
use config::{AuditFormat, AuditMode, Config};
use model::{Clock as _, SystemClock};
use recorder::{Bucket, Export, Format, Options, Recorder, Sending};
use seal::{KeyRing, SystemRng};
use store::Store;

use crate::cli::Source;
use crate::exit::Coded;
use crate::{keys, load, state};

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
        export_wait: days(audit.export_wait_days),
    }
}

/// Where the configuration sends entries as they come.
///
/// # Errors
/// Where a secret or a certificate cannot be had or used.
fn exports(config: &Config) -> anyhow::Result<Vec<Export>> {
    let env = |name: &str| std::env::var(name).ok();
    let read = server::fetch_secret;
    let mut all = Vec::new();
    for (name, export) in &config.audit.exports {
        let failed = || format!("use audit.exports.{name}");
        let headers = export.resolve(&env, &read).with_context(failed)?;
        let ca = export.ca.as_ref().map(std::fs::read).transpose().with_context(failed)?;
        let tenants = export.tenants.clone();
        let sending = Sending {
            name: Arc::from(name.as_str()),
            format: match export.format {
                AuditFormat::Jsonl => Format::JsonLines,
                AuditFormat::Ocsf => Format::Ocsf,
                AuditFormat::Cef => Format::Cef,
            },
            tenants: Arc::new(move |log: &str| {
                tenants.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.matches(log)))
            }),
            batch: export.batch_max,
            timeout: export.timeout.into(),
            pause_max: export.retry_pause_max.into(),
        };
        all.push(if let Some(path) = &export.file {
            Export::to_file(sending, path.clone())
        } else if let Some(url) = &export.url {
            Export::by_http(sending, url.parse().with_context(failed)?, headers, ca).with_context(failed)?
        } else if let Some((authority, tls)) = export.syslog_place() {
            Export::to_syslog(sending, authority, tls, ca).with_context(failed)?
        } else if let Some(url) = &export.otlp {
            let service = config.telemetry.service_name.clone();
            let url = url.parse().with_context(failed)?;
            Export::to_otlp(sending, &url, service, headers, ca).with_context(failed)?
        } else if let Some(s3) = &export.s3 {
            let (id, key, token) = s3.resolve(&env, &read).with_context(failed)?;
            let bucket = Bucket {
                endpoint: s3.url().parse().with_context(failed)?,
                name: s3.bucket.clone(),
                prefix: s3.prefix.clone(),
                region: s3.region.clone(),
                key_id: id.expose().to_owned(),
                secret: key.expose().to_owned(),
                token: token.map(|token| token.expose().to_owned()),
            };
            Export::to_s3(sending, bucket, ca).with_context(failed)?
        } else {
            anyhow::bail!("{}: it goes nowhere", failed());
        });
    }
    Ok(all)
}

/// Starts to write the log; `None` where none is written. A store that ends with the process has one only
/// where the configuration asks for it.
///
/// # Errors
/// Where an export cannot be set up.
pub fn start(
    config: &Config,
    store: &Arc<dyn Store>,
    durable: bool,
    keys: &Arc<KeyRing>,
) -> anyhow::Result<Option<Arc<Recorder>>> {
    let or = if durable { AuditMode::Relaxed } else { AuditMode::Off };
    let strict = match config.audit.mode.unwrap_or(or) {
        AuditMode::Off if config.audit.exports.is_empty() => return Ok(None),
        AuditMode::Off => anyhow::bail!("export the audit log: none is written with a store in memory"),
        AuditMode::Relaxed => false,
        AuditMode::Strict => true,
    };
    let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
    let options = Options { exports: exports(config)?, ..options(config, strict) };
    Ok(Some(Recorder::start(Arc::clone(store), clock, rng, Arc::clone(keys), options)))
}

/// Writes to the logs for a command: each record is durable once it was taken.
///
/// # Errors
/// Where the configuration or the key ring cannot be used.
pub async fn by_hand(source: &Source, store: &Arc<dyn Store>) -> anyhow::Result<Arc<Recorder>> {
    let loaded = load::load(source)?;
    let ring = keys::Follow::start(&loaded.config, Some(store)).await?;
    let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
    let options = options(&loaded.config, true);
    Ok(Recorder::start(Arc::clone(store), clock, rng, Arc::clone(ring.ring()), options))
}

/// The log of a command that makes calls, where the configuration names a store or says how a log is written:
/// otherwise no gateway need ever run here. What goes on by itself is left to the gateway.
///
/// # Errors
/// Where nothing may be done without a record, and there can be none.
pub async fn of_calls(loaded: &load::Loaded) -> anyhow::Result<Option<Arc<Recorder>>> {
    let config = &loaded.config;
    let named = config.store.url.is_some() || config.audit.mode.is_some();
    let strict = config.audit.mode == Some(AuditMode::Strict);
    if !named || config.audit.mode == Some(AuditMode::Off) {
        return Ok(None);
    }
    let opened = async {
        let Some(store) = state::open(loaded).await? else { return Ok(None) };
        let ring = keys::Follow::start(config, Some(&store)).await?;
        let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
        let options = options(config, strict);
        Ok(Some(Recorder::start(store, clock, rng, Arc::clone(ring.ring()), options)))
    };
    match opened.await {
        Ok(None) if strict => {
            Err(Coded::config("record calls: what there is ends with the process; give store.url".to_owned())
                .into())
        }
        Err(error) if !strict => {
            eprintln!("warning: calls are not in the audit log: {error:#}");
            Ok(None)
        }
        opened => opened,
    }
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
