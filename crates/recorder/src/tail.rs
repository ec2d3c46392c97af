//! The end of a log, as it is added to and signed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use audit::tree::{Edge, Hash, TileId, Tiles, leaf_hash, tile_bytes};
use audit::{Checkpoint, Event, Note, PublicKey, Recorded};
use bytes::Bytes;
use model::{Rng, Timestamp};
use seal::Signer;
use store::{AuditBatch, AuditNoteRow, AuditTileRow, Store, StoreError};

use crate::{LABEL, Shared, rows};

/// The end of a log.
#[derive(Clone)]
pub(crate) struct Tail {
    log: String,
    pub(crate) origin: String,
    edge: Edge,
    last: Option<Hash>,
    /// How many entries are signed.
    pub(crate) signed: u64,
    /// The last checkpoint.
    note: Option<Note>,
    /// When it was signed.
    pub(crate) signed_at: Timestamp,
    /// What this process has signed it with: to derive it and to check a signature take as long as to sign.
    signer: Option<Arc<Signer>>,
}

impl Tail {
    pub(crate) async fn load(shared: &Shared, log: &str) -> Result<Self, StoreError> {
        let origin = audit::origin(&shared.options.origin, log);
        let mut tail = Self {
            log: log.to_owned(),
            origin,
            edge: Edge::default(),
            last: None,
            signed: 0,
            note: None,
            signed_at: Timestamp(0),
            signer: None,
        };
        let Some(row) = shared.store.audit_log(log).await? else { return Ok(tail) };
        tail.edge = edge(&*shared.store, log, row.size).await?;
        tail.last = audit::unhex(&row.last);
        tail.signed = row.signed;
        tail.note = Note::parse(row.checkpoint.as_bytes());
        let at = tail.note.as_ref().and_then(|note| Checkpoint::parse(note.text())?.at);
        tail.signed_at = at.unwrap_or_default();
        Ok(tail)
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// What is added by these events, and where each of them is.
    pub(crate) fn batch(&mut self, shared: &Shared, events: &[&Event]) -> (AuditBatch, Vec<Recorded>) {
        let mut batch = AuditBatch { log: self.log.clone(), size: self.size(), ..AuditBatch::default() };
        let mut tiles: BTreeMap<TileId, Vec<u8>> = BTreeMap::new();
        let mut recorded = Vec::with_capacity(events.len());
        let rng = Handful::new(&*shared.rng);
        for event in events {
            let index = self.size();
            let line = audit::line(event, self.last.as_ref(), &rng);
            let leaf = leaf_hash(line.text.as_bytes());
            self.edge.push(leaf, &mut |tile, hashes| drop(tiles.insert(tile, tile_bytes(hashes))));
            self.last = Some(line.hash);
            batch.contents.extend(line.captured.iter().map(|said| rows::content(event, said, index)));
            batch.entries.push(rows::entry(event, line.text, index, &shared.writer));
            recorded.push(Recorded { origin: self.origin.clone(), index, leaf });
        }
        tiles.extend(self.edge.partial().map(|(tile, hashes)| (tile, tile_bytes(hashes))));
        let tile = |(tile, hashes): (TileId, Vec<u8>)| AuditTileRow {
            log: self.log.clone(),
            level: tile.level,
            index: tile.index,
            hashes: Bytes::from(hashes),
        };
        batch.tiles = tiles.into_iter().map(tile).collect();
        batch.last = self.last.map(|hash| audit::hex(&hash)).unwrap_or_default();
        (batch, recorded)
    }

    /// What has to be recorded before it is signed with another key than before.
    pub(crate) fn key_change(&self, shared: &Shared, now: Timestamp) -> Option<Event> {
        let note = self.note.as_ref()?;
        if self.signer.as_ref().is_some_and(|signer| signer.id() == shared.keys.signer_id(now)) {
            return None;
        }
        let key = PublicKey::of(&self.origin, &shared.keys.signer(now, LABEL));
        if note.is_signed_by(&key) {
            return None;
        }
        let before = shared.keys.signers(now, LABEL);
        let before = before.iter().map(|signer| PublicKey::of(&self.origin, signer));
        let before = before.into_iter().find(|key| note.is_signed_by(key));
        let mut event = Event::new("key_change", now, &self.log, "@tidegate");
        event.details.insert("key", key.to_string());
        event.details.insert("before", before.map_or_else(|| "unknown".to_owned(), |key| key.to_string()));
        Some(event)
    }

    /// Signs the log as it is, also with the key before where `changed` says that it is another one now.
    pub(crate) fn sign(&mut self, shared: &Shared, now: Timestamp, changed: bool) -> AuditNoteRow {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: self.size(),
            root: self.edge.root(),
            at: Some(now),
        };
        let known = self.signer.take().filter(|signer| signer.id() == shared.keys.signer_id(now));
        let signer = known.unwrap_or_else(|| Arc::new(shared.keys.signer(now, LABEL)));
        let mut signers = vec![&*signer];
        let all = if changed { shared.keys.signers(now, LABEL) } else { Vec::new() };
        if let Some(note) = self.note.as_ref().filter(|_| changed) {
            let signed = |signer: &&Signer| note.is_signed_by(&PublicKey::of(&self.origin, signer));
            signers.extend(all.iter().filter(signed));
        }
        let note = checkpoint.sign(&signers);
        let row = AuditNoteRow { log: self.log.clone(), size: self.size(), note: note.to_string() };
        (self.signed, self.signed_at, self.note) = (self.size(), now, Some(note));
        self.signer = Some(signer);
        row
    }
}

/// Random bytes that are fetched many at a time: each record needs a few.
struct Handful<'a> {
    rng: &'a dyn Rng,
    left: Mutex<Vec<u8>>,
}

impl<'a> Handful<'a> {
    const BYTES: usize = 1_024;

    fn new(rng: &'a dyn Rng) -> Self {
        Self { rng, left: Mutex::default() }
    }
}

impl Rng for Handful<'_> {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > Self::BYTES {
            return self.rng.fill(bytes);
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() < bytes.len() {
            left.resize(Self::BYTES, 0);
            self.rng.fill(&mut left);
        }
        let from = left.len() - bytes.len();
        bytes.copy_from_slice(&left[from..]);
        left.truncate(from);
    }
}

/// The right edge of a log of this size.
pub(crate) async fn edge(store: &dyn Store, log: &str, size: u64) -> Result<Edge, StoreError> {
    let mut tiles = Tiles::default();
    for tile in Edge::tiles_of(size) {
        let bytes = store.audit_tile(log, tile.level, tile.index).await?.unwrap_or_default();
        tiles.put(tile, &bytes);
    }
    Edge::read(size, &tiles)
        .ok_or_else(|| StoreError::Corrupt(format!("hashes of the audit log {log} are missing")))
}
