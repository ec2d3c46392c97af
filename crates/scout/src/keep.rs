//! A folder in which a crawl is kept: its state and the documents that came.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files;

/// Bytes of a state that are read.
const STATE_BYTES_MAX: u64 = 1 << 30;

/// A folder in which a crawl is kept. Nobody else writes there while this one does.
#[derive(Debug)]
pub struct Keep {
    folder: PathBuf,
    _lock: File,
}

/// A folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The system says so.
    #[error("use the folder {folder}")]
    Io {
        /// Which.
        folder: String,
        /// What it says.
        #[source]
        source: io::Error,
    },
    /// Another one uses it.
    #[error("use the folder {0}: another process does")]
    Taken(String),
    /// What stands there is none of ours.
    #[error("read {file}: it is no state of this program; take another folder, or empty this one")]
    Strange {
        /// Which file.
        file: String,
    },
}

impl Keep {
    /// Opens a folder, which is made where there is none.
    ///
    /// # Errors
    /// [`KeepError`]
    pub fn open(folder: &Path) -> Result<Self, KeepError> {
        let failed = |source| KeepError::Io { folder: folder.display().to_string(), source };
        fs::create_dir_all(folder.join("documents")).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::flock(&lock, exclusive) {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(KeepError::Taken(folder.display().to_string())),
            Err(error) => Err(failed(error.into())),
        }
    }

    fn failed(&self, source: io::Error) -> KeepError {
        KeepError::Io { folder: self.folder.display().to_string(), source }
    }

    /// The state that was kept.
    ///
    /// # Errors
    /// [`KeepError`]
    pub fn state<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, KeepError> {
        let path = self.folder.join(name);
        let bytes = match fs::metadata(&path) {
            Ok(data) if data.len() > STATE_BYTES_MAX => None,
            Ok(_) => Some(fs::read(&path).map_err(|error| self.failed(error))?),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let read = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.map(Some).ok_or_else(|| KeepError::Strange { file: path.display().to_string() })
    }

    /// Keeps a state in the place of the one before.
    ///
    /// # Errors
    /// [`KeepError`]
    pub fn put_state<T: Serialize>(&self, name: &str, state: &T) -> Result<(), KeepError> {
        let bytes = serde_json::to_vec(state).map_err(|error| self.failed(error.into()))?;
        files::replace(&self.folder.join(name), &bytes).map_err(|error| self.failed(error))
    }

    /// A name that no URL can choose.
    fn file(&self, key: &str) -> PathBuf {
        let digest = seal::sha256(key.as_bytes());
        let name: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join("documents").join(name)
    }

    /// A document that was kept.
    #[must_use]
    pub fn document(&self, key: &str) -> Option<Bytes> {
        fs::read(self.file(key)).ok().map(Bytes::from)
    }

    /// Keeps a document. Its digest is in the state, so one that was written by half is none.
    ///
    /// # Errors
    /// [`KeepError`]
    pub fn put_document(&self, key: &str, bytes: &[u8]) -> Result<(), KeepError> {
        let path = self.file(key);
        File::create(path).and_then(|mut file| file.write_all(bytes)).map_err(|error| self.failed(error))
    }
}
