//! A bundle (`.mcpb`): its archive is read here, and judged by `discovery::mcpb` before anything is written.

use std::fs::{self, OpenOptions};
use std::io::{self, Cursor, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use discovery::Fault;
use discovery::mcpb::{self, Bounds, Head, HeadKind, MANIFEST_BYTES_MAX, Manifest, Unpack};
use zip::ZipArchive;

/// Bytes of a bundle, packed.
pub const BUNDLE_BYTES_MAX: usize = 256 << 20;
const MANIFEST: &str = "manifest.json";

/// A bundle that may be unpacked.
pub struct Bundle {
    archive: ZipArchive<Cursor<Bytes>>,
    files: Vec<Unpack>,
    /// What its author says of it.
    pub manifest: Manifest,
    /// What is not as it should be.
    pub remarks: Vec<Fault>,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// Why a bundle is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Its bytes are others than those that were named.
    #[error("take the bundle: its SHA-256 is {found}, and {wanted} was named")]
    Hash {
        /// What they are.
        found: String,
        /// What they should be.
        wanted: String,
    },
    /// It is no archive.
    #[error("read the bundle: {0}")]
    NoArchive(String),
    /// What is in it may not be written.
    #[error("take the bundle: {}", list(.0))]
    Refused(Vec<Fault>),
    /// A file of it is not what the archive's directory says.
    #[error("unpack {0:?}: it is not what the archive's directory says")]
    Lies(String),
    /// The system says no.
    #[error("unpack the bundle into {folder}")]
    Io {
        /// Where.
        folder: String,
        /// What it says.
        #[source]
        source: io::Error,
    },
}

fn list(faults: &[Fault]) -> String {
    faults.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Bundle {
    /// Reads a bundle whose bytes have this hash, if one was named. Nothing is written.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn read(bytes: Bytes, sha256: Option<&str>) -> Result<Self, BundleError> {
        let found: String = seal::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if let Some(wanted) = sha256.filter(|wanted| !wanted.eq_ignore_ascii_case(&found)) {
            return Err(BundleError::Hash { found, wanted: wanted.to_owned() });
        }
        let no = |error: zip::result::ZipError| BundleError::NoArchive(error.to_string());
        let mut archive = ZipArchive::new(Cursor::new(bytes.clone())).map_err(no)?;
        let start = usize::try_from(archive.central_directory_start()).unwrap_or(usize::MAX);
        // Of two entries with one name the reader of archives tells only one, and others tell the other.
        if entries(bytes.get(start..).unwrap_or_default()) != archive.len() {
            return Err(BundleError::NoArchive("two of its entries have one name".to_owned()));
        }
        let bounds = Bounds::default();
        let mut heads = Vec::new();
        // One more than there may be is enough to be refused.
        for number in 0..archive.len().min(bounds.entries_max + 1) {
            let entry = archive.by_index_raw(number).map_err(no)?;
            let kind = match entry.unix_mode().map(|mode| mode & 0o170_000) {
                Some(0o120_000) => HeadKind::Link,
                _ if entry.is_symlink() => HeadKind::Link,
                Some(0 | 0o100_000 | 0o040_000) | None if entry.is_dir() => HeadKind::Folder,
                Some(0 | 0o100_000) | None => HeadKind::File,
                Some(_) => HeadKind::Other,
            };
            heads.push(Head {
                name: entry.name_raw().to_vec(),
                kind,
                size: entry.size(),
                packed: entry.compressed_size(),
                mode: entry.unix_mode(),
                encrypted: entry.encrypted(),
            });
        }
        let files = mcpb::unpack(&heads, &bounds).map_err(BundleError::Refused)?;
        let place = files.iter().find(|file| file.path == MANIFEST);
        let text = match place {
            Some(file) if file.size <= MANIFEST_BYTES_MAX as u64 => content(&mut archive, file)?,
            _ => return Err(BundleError::Lies(MANIFEST.to_owned())),
        };
        let read = mcpb::read(&Bytes::from(text)).map_err(BundleError::Refused)?;
        Ok(Self { archive, files, manifest: read.value, remarks: read.remarks, sha256: found })
    }

    /// The bytes that it takes.
    #[must_use]
    pub fn unpacked_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The folder in which it would be, below this one.
    #[must_use]
    pub fn place(&self, below: &Path) -> PathBuf {
        below.join(&self.sha256)
    }

    /// Unpacks it below this folder, unless that was done before. It is there as a whole or not at all.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn unpack(&mut self, below: &Path) -> Result<PathBuf, BundleError> {
        let place = self.place(below);
        if place.is_dir() {
            return Ok(place);
        }
        let failed = |source| BundleError::Io { folder: below.display().to_string(), source };
        let beside = below.join(format!("{}.{}.new", self.sha256, std::process::id()));
        fs::create_dir_all(below).map_err(failed)?;
        fs::create_dir(&beside).map_err(failed)?;
        let done = self.write(&beside).and_then(|()| match fs::rename(&beside, &place) {
            // Somebody else was as fast.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            renamed => renamed.map_err(failed),
        });
        let _ = fs::remove_dir_all(&beside);
        done.map(|()| place)
    }

    fn write(&mut self, folder: &Path) -> Result<(), BundleError> {
        let failed = |source| BundleError::Io { folder: folder.display().to_string(), source };
        for file in &self.files {
            let path = folder.join(&file.path);
            if let Some(above) = path.parent() {
                fs::create_dir_all(above).map_err(failed)?;
            }
            let bytes = content(&mut self.archive, file)?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
            opened.and_then(|mut out| out.write_all(&bytes)).map_err(failed)?;
        }
        Ok(())
    }
}

/// How many entries an archive's directory has, by its own words.
fn entries(mut directory: &[u8]) -> usize {
    let mut count = 0;
    while directory.starts_with(b"PK\x01\x02") && directory.len() >= 46 {
        let of = |at: usize| usize::from(u16::from_le_bytes([directory[at], directory[at + 1]]));
        let size = 46 + of(28) + of(30) + of(32);
        directory = directory.get(size..).unwrap_or_default();
        count += 1;
    }
    count
}

/// The bytes of one file: as many as were judged, and no more.
fn content(archive: &mut ZipArchive<Cursor<Bytes>>, file: &Unpack) -> Result<Vec<u8>, BundleError> {
    let lies = || BundleError::Lies(file.path.clone());
    let entry = archive.by_index(file.number).map_err(|_| lies())?;
    let mut bytes = Vec::new();
    entry.take(file.size + 1).read_to_end(&mut bytes).map_err(|_| lies())?;
    if bytes.len() as u64 == file.size { Ok(bytes) } else { Err(lies()) }
}
