//! Audit logs in a bundle: each an archive of the files that `tlog-tiles` (C2SP) describes.

use std::collections::BTreeMap;

use audit::files::Files;

use crate::{BundleError, path_fault, tape};

/// Makes the archive of a log. The same files give the same bytes.
///
/// # Errors
/// [`BundleError::Path`]
pub fn pack(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, BundleError> {
    let mut tape = tape::Writer::default();
    for (path, bytes) in files {
        good(path)?;
        tape.member(path, bytes);
    }
    Ok(tape.finish())
}

fn good(path: &str) -> Result<(), BundleError> {
    match path_fault(path) {
        Some(fault) => Err(BundleError::Path { path: path.chars().take(200).collect(), fault }),
        None => Ok(()),
    }
}

/// The files of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFiles<'a>(BTreeMap<String, &'a [u8]>);

impl<'a> LogFiles<'a> {
    /// Reads an archive that [`pack`] made, and no other. Whether it is the log that was signed,
    /// [`audit::verify`] says.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn read(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let mut tape = tape::Reader::new(bytes);
        let mut files = BTreeMap::new();
        while let Some((path, bytes)) = tape.next()? {
            good(&path)?;
            if files.last_key_value().is_some_and(|(last, _)| *last >= path) {
                return Err(BundleError::Unknown(path));
            }
            files.insert(path, bytes);
        }
        Ok(Self(files))
    }

    /// Each file with its path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        self.0.iter().map(|(path, bytes)| (path.as_str(), *bytes))
    }
}

impl Files for LogFiles<'_> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).map(|bytes| bytes.to_vec())
    }
}
