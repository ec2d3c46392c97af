//! Logs as they are verified, by this crate and by others.

mod case;
mod independent;
mod keys;
mod lines;
mod receipts;
mod tampering;

use std::collections::BTreeMap;

use audit::files::{bundle, bundle_path, tile_path};
use audit::tree::{Edge, Hash, TILE_WIDTH, TileId, Tiles, leaf_hash, tile_bytes};
use audit::{CHECKPOINT, Checkpoint, Event, Note, PublicKey, line, origin};
use model::{SeededRng, Timestamp};
use seal::{KeyRing, Signer};

pub(crate) const NOW: Timestamp = Timestamp(1_795_416_480_123);

pub(crate) type Folder = BTreeMap<String, Vec<u8>>;

pub(crate) fn signer(byte: u8) -> Signer {
    KeyRing::from_key(&[byte; 32]).signer(NOW, "audit")
}

pub(crate) fn event(tenant: &str, number: u64) -> Event {
    let mut event = Event::new("tool_call", Timestamp(NOW.0 + number), tenant, "idp:ann");
    event.target = Some("export".into());
    event.details.insert("number", number.to_string());
    event
}

/// A log, as its writer has it.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) origin: String,
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) last: Option<Hash>,
}

impl Log {
    pub(crate) fn new(tenant: &str) -> Self {
        Self { origin: origin("gate.example", tenant), ..Self::default() }
    }

    pub(crate) fn of(tenant: &str, size: u64, seed: u64) -> Self {
        let mut log = Self::new(tenant);
        let rng = SeededRng::new(seed);
        for number in 0..size {
            log.add(&event(tenant, number), &rng);
        }
        log
    }

    pub(crate) fn add(&mut self, event: &Event, rng: &SeededRng) {
        let line = line(event, self.last.as_ref(), rng);
        self.last = Some(line.hash);
        self.lines.push(line.text.into_bytes());
    }

    pub(crate) fn key(&self, signer: &Signer) -> PublicKey {
        PublicKey::of(&self.origin, signer)
    }

    pub(crate) fn edge(&self, size: usize) -> (Edge, Tiles) {
        let (mut edge, mut tiles) = (Edge::default(), Tiles::default());
        for line in &self.lines[..size] {
            edge.push(leaf_hash(line), &mut |tile, hashes| drop(tiles.0.insert(tile, hashes.to_vec())));
        }
        tiles.0.extend(edge.partial().map(|(tile, hashes)| (tile, hashes.to_vec())));
        (edge, tiles)
    }

    pub(crate) fn checkpoint(&self, size: usize) -> Checkpoint {
        let root = self.edge(size).0.root();
        Checkpoint { origin: self.origin.clone(), size: size as u64, root, at: Some(NOW) }
    }

    /// The folder, with a checkpoint of the first `signed` records.
    pub(crate) fn folder(&self, signed: usize, note: &Note) -> Folder {
        let mut folder = Folder::new();
        folder.insert(CHECKPOINT.to_owned(), note.to_string().into_bytes());
        for (tile, hashes) in self.edge(signed).1.0 {
            folder.insert(tile_path(tile, hashes.len() as u64), tile_bytes(&hashes));
        }
        put_lines(&mut folder, &self.lines);
        folder
    }
}

pub(crate) fn put_lines(folder: &mut Folder, lines: &[Vec<u8>]) {
    folder.retain(|path, _| !path.starts_with("tile/entries/"));
    for (number, lines) in (0..).zip(lines.chunks(TILE_WIDTH as usize)) {
        let bytes = bundle(lines.iter().map(Vec::as_slice)).expect("short lines");
        folder.insert(bundle_path(number, lines.len() as u64), bytes);
    }
}

#[test]
fn every_root_and_proof_fits_every_size_up_to_some_hundreds() {
    let log = Log::of("acme", 530, 1);
    for size in (1..40).chain([255, 256, 257, 300, 511, 512, 513, 530]) {
        let (edge, tiles) = log.edge(size);
        let (size, root) = (size as u64, edge.root());
        assert_eq!(tiles.root_of(size), Ok(root));
        assert_eq!(Edge::read(size, &tiles), Some(edge));
        for index in (0..size).step_by(if size > 40 { 17 } else { 1 }) {
            let proof = tiles.inclusion(index, size).expect("all tiles");
            let leaf = leaf_hash(&log.lines[usize::try_from(index).expect("small")]);
            assert!(audit::tree::is_included(&proof, index, size, &leaf, &root), "{index} in {size}");
            assert!(!audit::tree::is_included(&proof, index + 1, size, &leaf, &root));
            let old = log.edge(usize::try_from(index).expect("small")).0.root();
            let proof = tiles.consistency(index, size).expect("all tiles");
            assert!(audit::tree::is_consistent(&proof, index, &old, size, &root), "{index} to {size}");
            if index > 0 {
                assert!(!audit::tree::is_consistent(&proof, index, &root, size, &root));
            }
        }
    }
    let lacking = Tiles::default().inclusion(3, 9);
    assert_eq!(lacking, Err(TileId { level: 0, index: 0 }));
}
