//! The audit log.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Glob, Secret, SecretError, Span};

/// The record of who did what, which shows whether it was tampered with.
///
/// Each tenant has a log of its own in the store. Its entries are chained and signed with a key of the ring;
/// `tidegate audit` looks through it, proves what is in it and verifies it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Whether a log is written, and what becomes of a call that cannot be recorded.
    ///
    /// By default `relaxed` where the store outlives the process, and `off` where it does not. Only a start
    /// can change it. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<AuditMode>,

    /// What the logs' names (their origins) begin with: a name of your own, as `gateway.example.com`.
    ///
    /// A log is `ORIGIN/TENANT`. Public keys and receipts have its name in them, so choose it once. Only a
    /// start can change it. Since 0.1.
    pub origin: String,

    /// How many records may wait to be written. In `relaxed` those beyond are lost: they are counted, and the
    /// count is recorded. In `strict` their calls wait up to five seconds and are then refused.
    ///
    /// Only a start can change it. Since 0.1.
    #[schemars(range(min = 1))]
    pub queue_max: usize,

    /// After how long a record is signed, at the latest: `100ms` to `1m`. It is sooner where 256 wait.
    ///
    /// What is younger can be cut off the end of a log without a trace, unless `strict` signs it before it
    /// is answered. Only a start can change it. Since 0.1.
    pub checkpoint_interval: Span,

    /// How many days entries are kept. Their hashes stay, so that proofs for what remains go on working.
    ///
    /// A log that is held (`tidegate audit hold`) keeps all. By default they are kept for ever. Only a start
    /// can change it. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub retention_days: Option<u32>,

    /// How long captured arguments and results are kept beside the log; their digests stay in it.
    ///
    /// Nothing is captured but what a policy says. Only a start can change it. Since 0.1.
    pub capture_retention: Span,

    /// Where entries go as they come, by names of your own: to a file, by HTTP or to a syslog server.
    ///
    /// Each is delivered at least once and in the order of its log; one replica at a time does it. How far an
    /// export has come is remembered under its name: another name begins with the first entry that is kept.
    /// Only a start can change it. Since 0.1.
    pub exports: BTreeMap<String, AuditExport>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            mode: None,
            origin: "tidegate".to_owned(),
            queue_max: 8_192,
            checkpoint_interval: Span::from_secs(1),
            retention_days: None,
            capture_retention: Span::from_hours(30 * 24),
            exports: BTreeMap::new(),
        }
    }
}

/// Entries that go to somebody as they come: to one of `file`, `url` and `syslog`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditExport {
    /// In which words.
    ///
    /// Since 0.1.
    pub format: AuditFormat,

    /// The file to whose end they are written, a line each.
    ///
    /// It is made where there is none, and may be moved away at any time. By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,

    /// The URL to which they are sent, by a POST with a line for each.
    ///
    /// An answer from 200 to 299 says that they were taken; with any other they are sent again. By default
    /// none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// Headers for every request, such as `Authorization`. Only with `url`.
    ///
    /// Since 0.1.
    pub headers: BTreeMap<String, Secret>,

    /// The syslog server, as `tcp://HOST:PORT` or `tls://HOST:PORT`: messages of RFC 5424 with their lengths.
    ///
    /// Each batch has a connection, which the server has to close once it has read it all. By default
    /// none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syslog: Option<String>,

    /// A file with certificate authorities (PEM) to trust besides the system's, for `https` and `tls`.
    ///
    /// By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,

    /// The tenants whose logs are sent, as patterns.
    ///
    /// By default all. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<Glob>>,

    /// How many entries are sent at once, at most; fewer where they have more than 4 MiB.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub batch_max: usize,

    /// How long a delivery may take before it counts as failed.
    ///
    /// Since 0.1.
    pub timeout: Span,

    /// The longest pause between two tries. It begins with 250 milliseconds and doubles; tries never end.
    ///
    /// Since 0.1.
    pub retry_pause_max: Span,
}

impl Default for AuditExport {
    fn default() -> Self {
        Self {
            format: AuditFormat::Jsonl,
            file: None,
            url: None,
            headers: BTreeMap::new(),
            syslog: None,
            ca: None,
            tenants: None,
            batch_max: 256,
            timeout: Span::from_secs(10),
            retry_pause_max: Span::from_mins(1),
        }
    }
}

impl AuditExport {
    /// The host and port of the syslog server, and whether it is reached by TLS.
    #[must_use]
    pub fn syslog_place(&self) -> Option<(&str, bool)> {
        let syslog = self.syslog.as_deref()?;
        let tcp = syslog.strip_prefix("tcp://").map(|place| (place, false));
        tcp.or_else(|| syslog.strip_prefix("tls://").map(|place| (place, true)))
    }

    /// The headers with every secret looked up: variables with `env`, files with `read`.
    ///
    /// # Errors
    /// [`SecretError`] for the first one that cannot be had or cannot be sent. It contains no secret.
    pub fn resolve(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SecretError> {
        super::upstream::look_up_headers(&self.headers, env, read)
    }
}

/// In which words entries are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditFormat {
    /// As they are in the log, with its tenant and their place: JSON documents.
    Jsonl,
    /// Open Cybersecurity Schema Framework 1.3, API Activity: JSON documents.
    Ocsf,
    /// Common Event Format, version 0.
    Cef,
}

impl Audit {
    /// Paths start at the configuration's folder.
    pub(super) fn anchor(&mut self, folder: &Path) {
        for export in self.exports.values_mut() {
            for path in [&mut export.file, &mut export.ca].into_iter().flatten() {
                *path = folder.join(&*path);
            }
            export.headers.values_mut().for_each(|secret| secret.anchor(folder));
        }
    }
}

/// Whether a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditMode {
    /// None is.
    Off,
    /// Calls do not wait for it. What cannot be written in time is lost, counted, and the count recorded.
    Relaxed,
    /// Nothing is answered before its record is durable and signed; what cannot be recorded is refused.
    Strict,
}
