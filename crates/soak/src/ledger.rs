//! What upstreams have done, in a file that processes share: one line for each effect.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::Result;

/// The way to the file.
#[derive(Debug)]
pub struct Ledger {
    file: Mutex<File>,
}

impl Ledger {
    /// Opens the file, which others may write to as well.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { file: Mutex::new(file.map_err(|e| format!("{}: {e}", path.display()))?) })
    }

    /// Notes that the call of this nonce took effect.
    pub fn effect(&self, nonce: &str) {
        // One write of a short line at the end of a file is whole, whoever else writes (write(2), O_APPEND).
        let line = format!("{nonce}\n");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).expect("the ledger can be written");
    }
}

/// How often each call took effect.
pub fn read(path: &Path) -> Result<BTreeMap<String, u32>> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut effects = BTreeMap::new();
    for nonce in text.lines() {
        *effects.entry(nonce.to_owned()).or_default() += 1;
    }
    Ok(effects)
}
