//! Everything a store holds as a file: JSON lines, so that it can be looked at, with a chain of digests, so
//! that a file with a line lost, changed or added is refused.

use std::io::{self, BufRead, Read as _, Write};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::limit::EVENT_BYTES_MAX;
use crate::{Record, Store, StoreError, Tx};

/// The format of the file.
const FORMAT: u32 = 1;
/// An event in base64, and room for the rest.
const LINE_BYTES_MAX: u64 = (EVENT_BYTES_MAX as u64).div_ceil(3) * 4 + 64 * 1024;

/// Takes records in.
#[async_trait]
pub trait RecordSink: Send {
    /// Takes one.
    ///
    /// # Errors
    /// Those of the sink; nothing more is given then.
    async fn put(&mut self, record: Record) -> Result<(), StoreError>;
}

/// Keeps records in memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records(pub Vec<Record>);

#[async_trait]
impl RecordSink for Records {
    async fn put(&mut self, record: Record) -> Result<(), StoreError> {
        self.0.push(record);
        Ok(())
    }
}

/// Why a dump is not written or read. Each text completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("read or write the dump")]
    Io(#[source] io::Error),
    /// It is no dump, or is damaged.
    #[error("use the dump: line {line}: {why}")]
    Line {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    tidegate_store: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    records: u64,
    digest: String,
}

/// The digest of all lines so far.
#[derive(Default)]
struct Chain([u8; 32]);

impl Chain {
    fn add(&mut self, line: &[u8]) {
        self.0 = seal::sha256(&[&self.0[..], line].concat());
    }

    fn text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

struct Writer<'a> {
    to: &'a mut (dyn Write + Send),
    chain: Chain,
    records: u64,
}

impl Writer<'_> {
    fn line(&mut self, value: &impl Serialize) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(value).map_err(StoreError::unavailable)?;
        self.chain.add(&line);
        line.push(b'\n');
        self.to.write_all(&line).map_err(StoreError::unavailable)
    }
}

#[async_trait]
impl RecordSink for Writer<'_> {
    async fn put(&mut self, record: Record) -> Result<(), StoreError> {
        self.records += 1;
        self.line(&record)
    }
}

/// What a dump holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// How many records.
    pub records: u64,
    /// The end of the chain: stores that hold the same have the same.
    pub digest: String,
}

/// Writes all that a store holds. The file holds the keys of the ring.
///
/// # Errors
/// [`DumpError`]
pub async fn write_dump(store: &dyn Store, to: &mut (dyn Write + Send)) -> Result<Dump, DumpError> {
    let mut writer = Writer { to, chain: Chain::default(), records: 0 };
    writer.line(&Head { tidegate_store: FORMAT })?;
    store.export(&mut writer).await?;
    let end = End { records: writer.records, digest: writer.chain.text() };
    writer.line(&end)?;
    writer.to.flush().map_err(DumpError::Io)?;
    Ok(Dump { records: end.records, digest: end.digest })
}

/// Puts all that one store holds into another, which is empty, in one transaction of that one.
///
/// # Errors
/// [`StoreError::Conflict`] where the other one is not empty; nothing was written then, unless the store says
/// that it may have been.
pub async fn copy(from: &dyn Store, to: &dyn Store) -> Result<(), StoreError> {
    let mut tx = Into(to.begin().await?);
    from.export(&mut tx).await?;
    tx.0.commit().await
}

struct Into(Box<dyn Tx>);

#[async_trait]
impl RecordSink for Into {
    async fn put(&mut self, record: Record) -> Result<(), StoreError> {
        self.0.record_put(&record).await
    }
}

/// Puts all that a dump holds into an empty store, in one transaction. Says how many records.
///
/// # Errors
/// [`DumpError`]; nothing was written then, unless the store says that it may have been.
pub async fn read_dump(store: &dyn Store, from: &mut (dyn BufRead + Send)) -> Result<u64, DumpError> {
    let mut lines = Lines { from, number: 0 };
    let mut chain = Chain::default();
    let head = lines.next()?;
    match serde_json::from_slice(&head) {
        Ok(Head { tidegate_store: FORMAT }) => chain.add(&head),
        Ok(Head { tidegate_store: other }) => return Err(lines.wrong(format!("format {other} is unknown"))),
        Err(_) => return Err(lines.wrong("this is no dump of a store".to_owned())),
    }
    let mut tx = store.begin().await?;
    let mut records = 0;
    loop {
        let line = lines.next()?;
        if let Ok(end) = serde_json::from_slice::<End>(&line) {
            if end.records != records || end.digest != chain.text() {
                return Err(lines.wrong("a line before this one was changed, lost or added".to_owned()));
            }
            if !lines.next()?.is_empty() {
                return Err(lines.wrong("something follows the end".to_owned()));
            }
            tx.commit().await?;
            return Ok(records);
        }
        chain.add(&line);
        // Without serde's text, which may repeat what stood there.
        let record: Record = serde_json::from_slice(&line)
            .map_err(|error| lines.wrong(format!("no record (column {})", error.column())))?;
        tx.record_put(&record).await?;
        records += 1;
    }
}

struct Lines<'a> {
    from: &'a mut (dyn BufRead + Send),
    number: u64,
}

impl Lines<'_> {
    /// The next line, without its end; empty after the last.
    fn next(&mut self) -> Result<Vec<u8>, DumpError> {
        self.number += 1;
        let mut line = Vec::new();
        (&mut *self.from).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(DumpError::Io)?;
        if line.pop().is_some_and(|last| last != b'\n') {
            return Err(self.wrong("the line is cut off or too long".to_owned()));
        }
        Ok(line)
    }

    fn wrong(&self, why: String) -> DumpError {
        DumpError::Line { line: self.number, why }
    }
}
