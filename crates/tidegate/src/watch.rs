//! Hot reload: a changed file is put in force, or refused as a whole.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use config::Config;
use server::Gateway;
use tokio::signal::unix::Signal;

use crate::cli::Source;
use crate::exit::Coded;
use crate::operators::InForce;
use crate::up::Additions;
use crate::{governed, keys, load, service, signals};

/// How often the file is looked at. A change counts once two looks in a row have seen the same, so that a
/// file which is being written is not taken for a shorter one.
const LOOK: Duration = Duration::from_millis(250);

/// What changes when a file does, also where it is replaced by a link to another one. `None`: it is gone.
pub type Stamp = Option<(SystemTime, u64)>;

/// A file that is looked at again and again.
#[derive(Debug, Clone)]
pub struct Looks {
    file: PathBuf,
    in_force: Stamp,
    seen: Stamp,
}

impl Looks {
    /// Begins with the file as it is; to be called before it is read.
    pub fn new(file: PathBuf) -> Self {
        let stamp = stamp(&file);
        Self::since(file, stamp)
    }

    /// Begins with the file as it was.
    fn since(file: PathBuf, in_force: Stamp) -> Self {
        Self { file, in_force, seen: in_force }
    }

    /// Looks. Whether the file is to be read: it has changed and settled, or somebody `asked`.
    pub fn due(&mut self, asked: bool) -> bool {
        let now = stamp(&self.file);
        let settled = now == self.seen && now != self.in_force;
        self.seen = now;
        if asked || settled {
            self.in_force = now;
        }
        asked || settled
    }
}

/// The file and what was made of it.
pub struct Watch {
    source: Source,
    looks: Looks,
    besides: Vec<Looks>,
    additions: Additions,
    keys: keys::Follow,
    /// The configuration that the process was started with.
    started: Config,
    in_force: InForce,
    hang_ups: Signal,
}

impl Watch {
    /// Watches the file that was loaded; where there is none, the one that would be.
    pub fn new(
        source: Source,
        loaded: &load::Loaded,
        additions: Additions,
        keys: keys::Follow,
        in_force: InForce,
    ) -> anyhow::Result<Self> {
        let file = loaded.file.clone().unwrap_or_else(|| PathBuf::from(load::DEFAULT_FILE));
        let (looks, started) = (Looks::since(file, loaded.stamp), loaded.config.clone());
        let besides = loaded.besides.clone();
        Ok(Self {
            source,
            looks,
            besides,
            additions,
            keys,
            started,
            in_force,
            hang_ups: signals::hang_ups()?,
        })
    }

    /// Watches for ever.
    pub async fn run(mut self, gateway: &Gateway) {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            let asked = tokio::select! {
                _ = looks.tick() => false,
                _ = self.hang_ups.recv() => true,
            };
            self.keys.look(asked).await;
            // Each is asked, so that none of them is seen to change twice.
            let besides = self.besides.iter_mut().filter_map(|looks| looks.due(asked).then_some(())).count();
            if self.looks.due(asked) || besides > 0 {
                self.reload(gateway).await;
            }
        }
    }

    async fn reload(&mut self, gateway: &Gateway) {
        service::reloading();
        match self.replace(gateway).await {
            Ok(number) => tracing::info!(generation = number, "the new configuration is in force"),
            Err(error) => tracing::error!("the new configuration was refused; the old one stays: {error:#}"),
        }
        service::ready();
    }

    async fn replace(&mut self, gateway: &Gateway) -> anyhow::Result<u64> {
        let mut loaded = load::read(&self.source, &self.looks.file)?;
        // Also where they are wrong: whoever mends one changes no other file.
        self.besides.clone_from(&loaded.besides);
        self.additions.apply(&mut loaded.config).await?;
        governed::check(&loaded.config)?;
        let number = gateway.reload(&loaded.config).map_err(|error| Coded::compose(&error))?;
        self.in_force.put(&loaded.config);
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let fixed = fixed(&self.started, &loaded.config);
        if !fixed.is_empty() {
            tracing::warn!("takes effect at the next start only: {}", fixed.join(", "));
        }
        Ok(number)
    }
}

/// The stamp of a file.
pub fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn authorities(config: &Config) -> Option<&Path> {
    config.auth.mtls.as_ref().map(|mtls| mtls.ca.as_path())
}

/// The changed keys that a running process cannot follow.
fn fixed(started: &Config, new: &Config) -> Vec<&'static str> {
    let (a, b) = (&started.limits, &new.limits);
    let (s, t) = (&started.telemetry, &new.telemetry);
    let differ = [
        ("listen", started.listen != new.listen),
        ("tls", started.tls != new.tls),
        ("takeover", started.takeover != new.takeover),
        ("keys", started.keys != new.keys),
        ("store", started.store != new.store),
        ("admin", started.admin != new.admin),
        ("audit", started.audit != new.audit),
        ("auth.mtls.ca", authorities(started) != authorities(new)),
        ("auth.dpop", started.auth.dpop != new.auth.dpop),
        ("replica", started.replica != new.replica),
        ("limits.connections_max", a.connections_max != b.connections_max),
        ("limits.header_bytes_max", a.header_bytes_max != b.header_bytes_max),
        ("limits.header_count_max", a.header_count_max != b.header_count_max),
        ("limits.header_read_timeout", a.header_read_timeout != b.header_read_timeout),
        ("limits.sessions_max", a.sessions_max != b.sessions_max),
        ("sessions.ttl", started.sessions.ttl != new.sessions.ttl),
        ("telemetry.otlp_endpoint", s.otlp_endpoint != t.otlp_endpoint),
        ("telemetry.sample_one_in", s.sample_one_in != t.sample_one_in),
        ("telemetry.service_name", s.service_name != t.service_name),
        ("telemetry.log_format", s.log_format != t.log_format),
        ("telemetry.log_level", s.log_level != t.log_level),
    ];
    differ.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}
