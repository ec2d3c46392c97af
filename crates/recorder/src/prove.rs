//! Receipts, and a log as files, from what is stored.

use audit::files::{bundle, bundle_path, tile_path};
use audit::tree::{TILE_WIDTH, TileId, Tiles, leaf_hash};
use audit::{CHECKPOINT, Checkpoint, HISTORY, Note, Receipt};
use store::{AuditLogRow, Store, StoreError};

/// Takes a file: its path, and what is in it.
pub type Put<'a> = dyn FnMut(&str, &[u8]) -> Result<(), StoreError> + Send + 'a;

/// Why there is no proof. Each text completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such log.
    #[error("find the log of this tenant")]
    NoLog,
    /// There is no such record, or it is not signed yet.
    #[error("prove a record that is not signed yet: the log's checkpoint covers {0}")]
    Unsigned(u64),
    /// What is stored is no log.
    #[error("use the log: {0}")]
    Damaged(&'static str),
}

async fn log(store: &dyn Store, tenant: &str) -> Result<(AuditLogRow, Checkpoint), ProofError> {
    let row = store.audit_log(tenant).await?.ok_or(ProofError::NoLog)?;
    if row.checkpoint.is_empty() {
        return Err(ProofError::Unsigned(0));
    }
    let note = Note::parse(row.checkpoint.as_bytes());
    let checkpoint = note.and_then(|note| Checkpoint::parse(note.text()));
    let checkpoint = checkpoint.ok_or(ProofError::Damaged("its checkpoint cannot be read"))?;
    Ok((row, checkpoint))
}

/// The receipt of a record, with its line where that is asked for and was not pruned.
///
/// # Errors
/// [`ProofError`]
pub async fn prove(
    store: &dyn Store,
    tenant: &str,
    index: u64,
    with_entry: bool,
) -> Result<Receipt, ProofError> {
    let (row, checkpoint) = log(store, tenant).await?;
    if index >= checkpoint.size {
        return Err(ProofError::Unsigned(checkpoint.size));
    }
    let mut tiles = Tiles::default();
    let tile = TileId { level: 0, index: index / TILE_WIDTH };
    load(store, tenant, tile, &mut tiles).await?;
    let proof = loop {
        match tiles.inclusion(index, checkpoint.size) {
            Ok(proof) => break proof,
            Err(tile) if tiles.0.contains_key(&tile) => {
                return Err(ProofError::Damaged("hashes are missing"));
            }
            Err(tile) => load(store, tenant, tile, &mut tiles).await?,
        }
    };
    let leaf = tiles.0.get(&tile).and_then(|hashes| hashes.get(usize::try_from(index % TILE_WIDTH).ok()?));
    let leaf = leaf.copied().ok_or(ProofError::Damaged("hashes are missing"))?;
    let mut receipt = Receipt::new(&checkpoint.origin, index, &leaf, &proof, row.checkpoint);
    if with_entry {
        let entry = store.audit_entries(tenant, index, 1).await?.pop().filter(|entry| entry.index == index);
        receipt.entry = entry.and_then(|entry| String::from_utf8(entry.line.to_vec()).ok());
    }
    Ok(receipt)
}

async fn load(store: &dyn Store, tenant: &str, tile: TileId, tiles: &mut Tiles) -> Result<(), ProofError> {
    let bytes = store.audit_tile(tenant, tile.level, tile.index).await?.unwrap_or_default();
    if tiles.put(tile, &bytes) { Ok(()) } else { Err(ProofError::Damaged("a tile is none")) }
}

/// Gives a log as files, each with its path, as far as its checkpoint covers it. Says how many entries.
///
/// # Errors
/// [`ProofError`], and those of `put`, as those of the store.
pub async fn files(store: &dyn Store, tenant: &str, put: &mut Put<'_>) -> Result<u64, ProofError> {
    let (row, checkpoint) = log(store, tenant).await?;
    let size = checkpoint.size;
    for tile in TileId::all(size) {
        let width = tile.width(size);
        let mut tiles = Tiles::default();
        load(store, tenant, tile, &mut tiles).await?;
        // It may have grown since.
        let hashes = tiles.0.get(&tile).and_then(|hashes| hashes.get(..usize::try_from(width).ok()?));
        let hashes = hashes.ok_or(ProofError::Damaged("hashes are missing"))?;
        put(&tile_path(tile, width), &audit::tree::tile_bytes(hashes))?;
        if tile.level == 0 {
            let from = tile.index * TILE_WIDTH;
            let entries = store.audit_entries(tenant, from, usize::try_from(width).unwrap_or(0)).await?;
            let entries: Vec<_> = entries.iter().filter(|entry| entry.index < from + width).collect();
            let fits = entries.len() as u64 == width
                && entries.iter().zip(hashes).all(|(entry, hash)| leaf_hash(&entry.line) == *hash);
            if !fits && from >= row.first {
                tracing::warn!(tenant, from, "entries of the audit log are not those that were signed");
            }
            if !entries.is_empty() {
                let bytes = bundle(entries.iter().map(|entry| &entry.line[..]));
                let bytes = bytes.map_err(|_| ProofError::Damaged("an entry is too long"))?;
                put(&bundle_path(tile.index, width), &bytes)?;
            }
        }
    }
    let notes = store.audit_notes(tenant).await?;
    let history: String = notes.iter().map(|row| audit::hex(row.note.as_bytes()) + "\n").collect();
    if !history.is_empty() {
        put(HISTORY, history.as_bytes())?;
    }
    put(CHECKPOINT, row.checkpoint.as_bytes())?;
    Ok(size)
}
