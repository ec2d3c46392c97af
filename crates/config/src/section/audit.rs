//! The audit log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Fetch, Glob, Secret, SecretError, SecretText, Span};

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

    /// How many days longer entries are kept, at most, that an export has not delivered. 0: retention does
    /// not wait for exports.
    ///
    /// What is pruned before it was delivered is counted and logged. Only a start can change it. Since 0.1.
    #[schemars(range(min = 0))]
    pub export_wait_days: u32,

    /// Where entries go as they come, by names of your own: to a file, by HTTP, to a syslog server, an
    /// OpenTelemetry collector or an object store.
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
            export_wait_days: 7,
            exports: BTreeMap::new(),
        }
    }
}

/// Entries that go to somebody as they come: to one of `file`, `url`, `syslog`, `otlp` and `s3`.
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

    /// Headers for every request, such as `Authorization`. Only with `url` and `otlp`.
    ///
    /// Since 0.1.
    pub headers: BTreeMap<String, Secret>,

    /// The syslog server, as `tcp://HOST:PORT` or `tls://HOST:PORT`: messages of RFC 5424 with their lengths.
    ///
    /// Each batch has a connection, which the server has to close once it has read it all. By default
    /// none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syslog: Option<String>,

    /// An OpenTelemetry collector that takes logs over HTTP (OTLP, its JSON encoding), as in
    /// `http://127.0.0.1:4318`.
    ///
    /// Each entry is a log record, whose body is its line in `format`. What the collector says it has
    /// rejected is counted and not sent again. By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,

    /// The bucket of an object store that speaks S3: each batch is an object, `TENANT/FIRST-LAST`.
    ///
    /// What is sent again replaces the object of before. By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<AuditBucket>,

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
            otlp: None,
            s3: None,
            ca: None,
            tenants: None,
            batch_max: 256,
            timeout: Span::from_secs(10),
            retry_pause_max: Span::from_mins(1),
        }
    }
}

/// A bucket, and the key that may write to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditBucket {
    /// What the bucket is called. It is the first part of each object's path.
    ///
    /// Required. Since 0.1.
    pub bucket: String,

    /// What each object's name begins with, as `audit/`.
    ///
    /// Since 0.1.
    #[serde(default)]
    pub prefix: String,

    /// The region that requests are signed for.
    ///
    /// Since 0.1.
    #[serde(default = "usual_region")]
    pub region: String,

    /// The service's URL, as `https://minio.example.com`.
    ///
    /// By default that of Amazon S3 in the region. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The access key's id.
    ///
    /// Required. Since 0.1.
    pub access_key_id: Secret,

    /// The access key. It signs requests (AWS Signature Version 4) and is not sent.
    ///
    /// It is read at the start; a key that changes needs another one. Required. Since 0.1.
    pub secret_access_key: Secret,

    /// The token of a session, where the key is of one.
    ///
    /// By default none. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
}

fn usual_region() -> String {
    "us-east-1".to_owned()
}

impl AuditBucket {
    /// The service's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", self.region))
    }

    /// The key's id, the key and the session's token, looked up.
    ///
    /// # Errors
    /// [`SecretError`] for the first one that cannot be had. It contains no secret.
    pub fn resolve(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        read: &Fetch<'_>,
    ) -> Result<(SecretText, SecretText, Option<SecretText>), SecretError> {
        let find = |name: &str, secret: &Secret| {
            let found = secret.resolve(env, read);
            found.map_err(|kind| SecretError { at: format!("s3.{name}"), kind })
        };
        let id = find("access_key_id", &self.access_key_id)?;
        let key = find("secret_access_key", &self.secret_access_key)?;
        let token = self.session_token.as_ref().map(|token| find("session_token", token)).transpose()?;
        Ok((id, key, token))
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
        read: &Fetch<'_>,
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
            if let Some(s3) = &mut export.s3 {
                let token = s3.session_token.as_mut();
                let secrets = [&mut s3.access_key_id, &mut s3.secret_access_key].into_iter().chain(token);
                secrets.for_each(|secret| secret.anchor(folder));
            }
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
