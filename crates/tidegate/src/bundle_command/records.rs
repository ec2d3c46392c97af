//! The audit logs in a bundle: evidence of what was done, which any machine verifies and none goes on with.
//!
//! A log has one writer. Two machines that went on with one log would be two histories under one name, which
//! is what witnesses call a fork. So `apply` gives the logs as files, and the machine begins a log of its
//! own, in which the bundle stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audit::{CHECKPOINT, Checkpoint, Known, Note, PublicKey, Report};
use bundle::{Bundle, Log, LogFiles, Manifest, RECORDS_BYTES_MAX, path_fault};
use model::{Clock as _, SystemClock};
use recorder::ProofError;
use serde_json::{Value, json};
use store::{Store, StoreError};

use super::place::{Staged, Switched};
use super::target::Target;
use crate::exit::{Coded, FAILURE, REFUSED, failed};
use crate::{keys, out};

/// Logs that are asked for at a time.
const PAGE: usize = 500;
/// The file beside a log's with the public keys that verify it, one a line.
const KEYS: &str = "keys";

/// Takes all logs of a store in, as far as their checkpoints cover them.
///
/// # Errors
/// Where one is not as it was signed, or they are too large.
pub async fn gather(
    store: &dyn Store,
    ring: &keys::Follow,
    manifest: &mut Manifest,
) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut archives = BTreeMap::new();
    let mut left = RECORDS_BYTES_MAX;
    let mut after: Option<String> = None;
    loop {
        let logs = store.audit_logs(after.as_deref(), PAGE).await.map_err(failed)?;
        let Some(last) = logs.last() else { return Ok(archives) };
        after = Some(last.log.clone());
        for row in &logs {
            if row.checkpoint.is_empty() {
                continue;
            }
            let files = files(store, &row.log, left).await?;
            let archive = bundle::pack(&files).map_err(|error| Coded::new(FAILURE, error.to_string()))?;
            drop(files);
            left = left.checked_sub(archive.len()).ok_or_else(|| large(&row.log))?;
            let log = known(&archive, ring)?;
            manifest.records.insert(row.log.clone(), log);
            archives.insert(row.log.clone(), archive);
        }
    }
}

fn large(tenant: &str) -> Coded {
    let text = format!(
        "take the records of {} in: a bundle has at most {RECORDS_BYTES_MAX} bytes of them; \
         `tidegate audit export --format tiles --to FOLDER` takes logs of any size",
        out::plain(tenant)
    );
    Coded::new(FAILURE, text)
}

async fn files(store: &dyn Store, tenant: &str, room: usize) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut left = Some(room);
    let mut put = |path: &str, bytes: &[u8]| {
        left = left.and_then(|left| left.checked_sub(bytes.len()));
        if left.is_none() {
            return Err(StoreError::unavailable("the records are too large for a bundle"));
        }
        files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    };
    let read: Result<u64, ProofError> = recorder::files(store, tenant, &mut put).await;
    if left.is_none() {
        return Err(large(tenant).into());
    }
    read.map_err(|error| Coded::store(&error))?;
    Ok(files)
}

/// What a manifest says of a log, which is as it was signed.
fn known(archive: &[u8], ring: &keys::Follow) -> anyhow::Result<Log> {
    let files = LogFiles::read(archive).map_err(|error| Coded::new(FAILURE, error.to_string()))?;
    let checkpoint = files
        .iter()
        .find(|(path, _)| *path == CHECKPOINT)
        .and_then(|(_, bytes)| Checkpoint::parse(Note::parse(bytes)?.text()));
    let origin = checkpoint.map(|checkpoint| checkpoint.origin).unwrap_or_default();
    let signers = ring.ring().signers(SystemClock.now(), recorder::LABEL);
    let keys: Vec<PublicKey> = signers.iter().map(|signer| PublicKey::of(&origin, signer)).collect();
    let texts = keys.iter().map(ToString::to_string).collect();
    let report = good(&files, keys, &origin)?;
    Ok(Log { origin, first: report.first, size: report.signed, keys: texts })
}

/// Verifies a log.
fn good(files: &LogFiles<'_>, keys: Vec<PublicKey>, name: &str) -> anyhow::Result<Report> {
    let report = audit::verify(files, &Known { keys, ..Known::default() });
    match &report.finding {
        None => Ok(report),
        Some(finding) => {
            let place = finding.index.map_or_else(String::new, |index| format!("entry {index}: "));
            let text = format!(
                "use the records of {name}: they are not as they were signed: {place}{}: {}; \
                 `tidegate audit export --format tiles` takes a log as it is",
                finding.what.as_str(),
                finding.why
            );
            Err(Coded::new(FAILURE, out::plain(&text).into_owned()).into())
        }
    }
}

/// A log that was verified.
pub struct Verified<'a> {
    /// Whose it is.
    pub tenant: &'a str,
    log: &'a Log,
    files: LogFiles<'a>,
}

impl Verified<'_> {
    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.log.size.saturating_sub(self.log.first)
    }
}

/// The logs in a bundle that is trusted, each verified with the keys that it names.
///
/// # Errors
/// Where one is not as it was signed, or the bundle names no keys.
pub fn verified(bundle: &Bundle) -> anyhow::Result<Vec<Verified<'_>>> {
    let mut all = Vec::new();
    for (tenant, log) in &bundle.manifest.records {
        let wrong = |why: &str| {
            Coded::new(FAILURE, format!("use the records of {} in the bundle: {why}", out::plain(tenant)))
        };
        let archive = bundle.contents.records.get(tenant).ok_or_else(|| wrong("they are not there"))?;
        let files = LogFiles::read(archive).map_err(|error| wrong(&error.to_string()))?;
        let keys: Option<Vec<PublicKey>> = log.keys.iter().map(|key| PublicKey::parse(key)).collect();
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(|| wrong("it names no keys of theirs"))?;
        let report = good(&files, keys, tenant)?;
        if (report.first, report.signed, &report.origin) != (log.first, log.size, &log.origin) {
            return Err(wrong("they are others than its manifest says").into());
        }
        all.push(Verified { tenant, log, files });
    }
    Ok(all)
}

/// Logs that are to be put into a folder of their own.
pub struct Putting {
    staged: Staged,
    folder: PathBuf,
    /// Which logs these are, and where each will be.
    pub report: Vec<Value>,
}

impl Putting {
    /// Writes the logs of a bundle beside `folder`, where there is nothing yet.
    ///
    /// # Errors
    /// As [`verified`], and where something is there, or they cannot be written.
    pub fn stage(bundle: &Bundle, folder: &Path) -> anyhow::Result<Self> {
        let logs = verified(bundle)?;
        if logs.is_empty() {
            let text = "put records into a folder: the bundle has none; \
                        `bundle create --with-records` takes them in";
            return Err(Coded::new(REFUSED, text.to_owned()).into());
        }
        let target = Target::at(folder)?;
        if !target.fresh {
            let text = format!("put records into {}: it is not empty", target.folder.display());
            return Err(Coded::new(REFUSED, text).into());
        }
        let (mut files, mut report) = (BTreeMap::new(), Vec::new());
        for (log, number) in logs.iter().zip(1..) {
            let name = place(log.tenant, number);
            let inside = |path: &str| format!("{name}/{path}");
            files.extend(log.files.iter().map(|(path, bytes)| (inside(path), bytes.to_vec())));
            files.insert(inside(KEYS), (log.log.keys.join("\n") + "\n").into_bytes());
            report.push(json!({"tenant": log.tenant, "folder": target.folder.join(&name),
                "first": log.log.first, "size": log.log.size, "keys": log.log.keys}));
        }
        let staged = Staged::write(&target.folder, &files).map_err(failed)?;
        Ok(Self { staged, folder: target.folder, report })
    }

    /// Puts them there.
    ///
    /// # Errors
    /// Where that cannot be; nothing has changed.
    pub fn put(self) -> anyhow::Result<Switched> {
        Ok(self.staged.become_folder(&self.folder).map_err(failed)?)
    }
}

/// The folder of a log inside the folder of all: its tenant's name, where every system can have that.
fn place(tenant: &str, number: usize) -> String {
    let plain = path_fault(tenant).is_none() && tenant.len() <= 64 && !tenant.contains('/');
    // Another one's number would be one name twice.
    if plain && !tenant.starts_with("log-") { tenant.to_owned() } else { format!("log-{number:04}") }
}
