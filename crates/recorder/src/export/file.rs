//! To the end of a file: on the disk before they count as taken.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Batch, Refused, Taker};

pub(super) struct File(pub(super) PathBuf);

#[async_trait]
impl Taker for File {
    async fn take(&self, batch: &Batch<'_>) -> Result<u64, Refused> {
        let (path, text) = (self.0.clone(), batch.text());
        let written = tokio::task::spawn_blocking(move || append(&path, &text)).await;
        written.map_err(io::Error::other).and_then(|written| written).map_err(Refused::File)?;
        Ok(0)
    }
}

/// The file is opened each time, so that it can be moved away.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if length > 0 && file.metadata()?.is_file() {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    // Where a process ended in the middle of a line, the next one begins its own.
    let begin = if last == *b"\n" { "" } else { "\n" };
    let written = file.write_all(format!("{begin}{text}").as_bytes()).and_then(|()| file.sync_data());
    if written.is_err() {
        // No half a line stays, as far as that is possible.
        drop(file.set_len(length));
    }
    written
}
