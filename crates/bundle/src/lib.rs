//! A deployment as one archive: its files, its pins, what it needs elsewhere, and a signature over all of it.
//!
//! * [`write`] makes one. The same input and the same key give the same bytes.
//! * [`Bundle::read`] reads one, and takes no archive that [`write`] would not have made: no links, no paths
//!   that lead out, no member that the manifest does not name, no other bytes than it names.
//! * [`Bundle::is_signed_by`] says whether it is of somebody who is trusted. Whoever reads one asks
//!   this first.
//!
//! The archive is a tape archive (POSIX.1-1988 `ustar`) without compression, so that whatever reads those can
//! look into one. Nothing here reads a file: bytes come and go as arguments.

mod manifest;
mod path;
mod records;
mod tape;

use std::collections::BTreeMap;

pub use audit::PublicKey;
use audit::{Note, hex};
pub use manifest::{FORMAT, Log, MANIFEST_BYTES_MAX, Manifest, Member, Need, Parameter};
pub use path::{PATH_BYTES_MAX, PathFault, path_fault};
pub use records::{LogFiles, pack};
use seal::{Signer, sha256};

/// The largest archive without the records in it.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest records: half a million entries, or some more. An archive has no more than both.
pub const RECORDS_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The largest of the deployment's files.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many members there may be, besides the manifest and the signature.
pub const MEMBERS_MAX: usize = 1000;
/// The use of the key ring's keys that signatures are derived for.
pub const SIGNER_LABEL: &str = "bundle";

/// The first member.
const MANIFEST: &str = "manifest.json";
/// The second.
const SIGNATURE: &str = "signature";
/// Where the deployment's files are.
const FILES: &str = "files/";
/// The definitions that were approved, one a line.
const PINS: &str = "pins.jsonl";
/// Where the audit logs are.
const RECORDS: &str = "records/";

/// Why something is no bundle, or cannot become one. The text completes "failed to …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is larger than [`BUNDLE_BYTES_MAX`] without its records.
    #[error("use the bundle: it has more than {BUNDLE_BYTES_MAX} bytes")]
    Large,
    /// Its records are larger than [`RECORDS_BYTES_MAX`].
    #[error("use the records in the bundle: they have more than {RECORDS_BYTES_MAX} bytes")]
    RecordsLarge,
    /// A member is too large.
    #[error("use {0} in the bundle: it has more bytes than such a member may have")]
    MemberLarge(String),
    /// There are too many.
    #[error("use the bundle: it has more than {MEMBERS_MAX} members")]
    Many,
    /// A path that leads elsewhere, or that not every system has.
    #[error("use the path {path:?} in a bundle: {fault}")]
    Path {
        /// Which, in at most 200 characters.
        path: String,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// It is no archive, or not in the one form that bundles have.
    #[error("read the bundle at byte {at}: {why}")]
    Form {
        /// Where.
        at: usize,
        /// What is there.
        why: &'static str,
    },
    /// A member that bundles do not have, or that its manifest does not name.
    #[error("use {0} in the bundle: its manifest names no such member")]
    Unknown(String),
    /// A member that the manifest names and that is not there.
    #[error("find {0} in the bundle: its manifest names it")]
    Missing(String),
    /// Other bytes than the manifest says.
    #[error("use {0} in the bundle: its bytes are not those that the manifest names")]
    Digest(String),
    /// The manifest is none.
    #[error("use the manifest of the bundle: {0}")]
    Manifest(String),
    /// The signature is none, or of another manifest.
    #[error("use the signature of the bundle: {0}")]
    Signature(&'static str),
}

/// What of a deployment is in a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The deployment's files by their paths in its folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The definitions that were approved, one a line; empty where there are none.
    pub pins: Vec<u8>,
    /// The audit logs by the names of their tenants, each an archive that [`pack`] made.
    pub records: BTreeMap<String, Vec<u8>>,
}

/// A bundle that was read, and is whole. Whose it is, [`Bundle::is_signed_by`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What is in it.
    pub contents: Contents,
    note: Note,
}

fn member_of(path: &str, bytes: &[u8]) -> Member {
    Member { path: path.to_owned(), bytes: bytes.len() as u64, sha256: hex(&sha256(bytes)) }
}

/// The members of a bundle, by their names in it.
fn members(contents: &Contents) -> BTreeMap<String, &[u8]> {
    let files = contents.files.iter().map(|(path, bytes)| (format!("{FILES}{path}"), bytes.as_slice()));
    let pins = (!contents.pins.is_empty()).then(|| (PINS.to_owned(), contents.pins.as_slice()));
    let records = contents.records.values().zip(1..).map(|(log, n)| (place(n), log.as_slice()));
    files.chain(pins).chain(records).collect()
}

/// The member that is the log of this number. Tenants may be called anything.
fn place(number: usize) -> String {
    format!("{RECORDS}{number:04}.tar")
}

/// The text that is signed for a manifest.
fn signed(manifest: &[u8]) -> String {
    format!("{FORMAT}\n{}\n", hex(&sha256(manifest)))
}

fn longest(name: &str) -> usize {
    match name {
        _ if name.starts_with(FILES) => FILE_BYTES_MAX,
        _ if name.starts_with(RECORDS) => RECORDS_BYTES_MAX,
        _ => BUNDLE_BYTES_MAX,
    }
}

/// Whether an archive of this size is too large, with records of this size in it.
fn too_large(bytes: usize, records: usize) -> Option<BundleError> {
    if records > RECORDS_BYTES_MAX {
        return Some(BundleError::RecordsLarge);
    }
    (bytes.saturating_sub(records) > BUNDLE_BYTES_MAX).then_some(BundleError::Large)
}

/// Makes a bundle, signed in the name of `signer_name`. What `manifest` says of members is overwritten.
///
/// # Errors
/// [`BundleError`], for paths, sizes, and a manifest that names what cannot be.
pub fn write(
    mut manifest: Manifest,
    contents: &Contents,
    signer_name: &str,
    signers: &[&Signer],
) -> Result<Vec<u8>, BundleError> {
    for path in contents.files.keys() {
        if let Some(fault) = path_fault(path) {
            return Err(BundleError::Path { path: path.chars().take(200).collect(), fault });
        }
    }
    if !manifest.records.keys().eq(contents.records.keys()) {
        return Err(BundleError::Manifest("it names other logs than there are".to_owned()));
    }
    let members = members(contents);
    if members.len() > MEMBERS_MAX {
        return Err(BundleError::Many);
    }
    if let Some((name, _)) = members.iter().find(|(name, bytes)| bytes.len() > longest(name)) {
        return Err(BundleError::MemberLarge(name.clone()));
    }
    FORMAT.clone_into(&mut manifest.format);
    manifest.members = members.iter().map(|(name, bytes)| member_of(name, bytes)).collect();
    let text = manifest.text();
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(BundleError::MemberLarge(MANIFEST.to_owned()));
    }
    // What nobody would read is not made.
    Manifest::parse(text.as_bytes())?;
    let note = Note::sign(signed(text.as_bytes()), signer_name, signers).to_string();
    let mut tape = tape::Writer::default();
    tape.member(MANIFEST, text.as_bytes());
    tape.member(SIGNATURE, note.as_bytes());
    for (name, bytes) in &members {
        tape.member(name, bytes);
    }
    let bytes = tape.finish();
    let records = contents.records.values().map(Vec::len).sum();
    too_large(bytes.len(), records).map_or(Ok(bytes), Err)
}

impl Bundle {
    /// Reads a bundle and holds all of it against its manifest.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX + RECORDS_BYTES_MAX {
            return Err(BundleError::Large);
        }
        let mut tape = tape::Reader::new(bytes);
        let mut head = |name: &str| match tape.next()? {
            Some((found, bytes)) if found == name => Ok(bytes),
            Some((found, _)) => Err(BundleError::Unknown(found)),
            None => Err(BundleError::Missing(name.to_owned())),
        };
        let (manifest, note) = (head(MANIFEST)?, head(SIGNATURE)?);
        let note = Note::parse(note).ok_or(BundleError::Signature("it is no signed note"))?;
        if note.text() != signed(manifest) {
            return Err(BundleError::Signature("it is of another manifest"));
        }
        let manifest = Manifest::parse(manifest)?;
        let mut contents = Contents::default();
        let mut last = String::new();
        let mut logs = manifest.records.keys().zip(1..);
        let mut records = 0;
        for member in &manifest.members {
            let Some((name, bytes)) = tape.next()? else {
                return Err(BundleError::Missing(member.path.clone()));
            };
            if name != member.path || name <= last {
                return Err(BundleError::Unknown(name));
            }
            if bytes.len() > longest(&name) {
                return Err(BundleError::MemberLarge(name));
            }
            if member_of(&name, bytes) != *member {
                return Err(BundleError::Digest(name));
            }
            match name.strip_prefix(FILES) {
                Some(path) => match path_fault(path) {
                    Some(fault) => return Err(BundleError::Path { path: path.to_owned(), fault }),
                    None => drop(contents.files.insert(path.to_owned(), bytes.to_vec())),
                },
                None if name == PINS => contents.pins = bytes.to_vec(),
                None if name.starts_with(RECORDS) => {
                    let log = logs.next().filter(|(_, number)| name == place(*number));
                    let (log, _) = log.ok_or_else(|| BundleError::Unknown(name.clone()))?;
                    LogFiles::read(bytes)?;
                    records += bytes.len();
                    contents.records.insert(log.clone(), bytes.to_vec());
                }
                None => return Err(BundleError::Unknown(name)),
            }
            last = name;
        }
        if let Some((name, _)) = tape.next()? {
            return Err(BundleError::Unknown(name));
        }
        if let Some((_, number)) = logs.next() {
            return Err(BundleError::Missing(place(number)));
        }
        if let Some(error) = too_large(bytes.len(), records) {
            return Err(error);
        }
        if !contents.files.contains_key(&manifest.config) {
            return Err(BundleError::Missing(format!("{FILES}{}", manifest.config)));
        }
        Ok(Self { manifest, contents, note })
    }

    /// Whether it is signed with this key.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.note.is_signed_by(key)
    }

    /// Who says to have signed it. Nobody has to believe that.
    #[must_use]
    pub fn signers(&self) -> Vec<String> {
        let lines = self.note.to_string();
        let names = lines.lines().filter_map(|line| line.strip_prefix("\u{2014} ")?.split(' ').next());
        names.map(str::to_owned).collect()
    }
}

/// Reads any bytes as a bundle, for fuzzers. Must never panic, hang or take much memory.
pub fn fuzz(input: &[u8]) {
    if let Ok(bundle) = Bundle::read(input) {
        assert!(bundle.contents.files.keys().all(|path| path_fault(path).is_none()), "paths stay inside");
        assert!(bundle.manifest.members.len() <= MEMBERS_MAX, "members are bounded");
        assert!(bundle.manifest.records.keys().eq(bundle.contents.records.keys()), "each log is named");
    }
}
