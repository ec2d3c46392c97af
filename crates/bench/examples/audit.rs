//! Figures of an audit log: how fast it is looked through, proved and verified.
//!
//! `cargo run --release -p tidegate-bench --example audit -- [ENTRIES] [FOLDER]`; a million entries take
//! about three gigabytes of the folder, which is left behind where it was named.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use audit::files::Files;
use audit::tree::{Edge, TileId, leaf_hash, tile_bytes};
use audit::{Checkpoint, Event, Known, PublicKey, line, origin, verify};
use bytes::Bytes;
use model::{SeededRng, Timestamp};
use seal::KeyRing;
use store::{AuditBatch, AuditEntryRow, AuditFilter, AuditNoteRow, AuditTileRow, Store, StoreError};
use store_sqlite::SqliteStore;

const NOW: Timestamp = Timestamp(1_795_416_480_000);
const DAY_MS: u64 = 24 * 3_600 * 1_000;
const DAYS: u64 = 30;
const PRINCIPALS: u64 = 200;
const BATCH: u64 = 2_000;
const LOG: &str = "acme";

struct Folder<'a>(&'a Path);

impl Files for Folder<'_> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(path)).ok()
    }
}

fn event(number: u64, all: u64) -> Event {
    let at = Timestamp(NOW.0 - DAYS * DAY_MS + number * DAYS * DAY_MS / all);
    let mut event = Event::new("tool_call", at, LOG, &format!("idp:user{}", number % PRINCIPALS));
    event.operation = Arc::from(format!("{number:032x}"));
    event.target = Some(Arc::from(["search", "export", "delete_everything"][(number % 3) as usize]));
    (event.upstream, event.endpoint) = (Some(Arc::from("crm")), Some(Arc::from("support")));
    event.client = Some(Arc::from("editor"));
    event.trace = Some(Arc::from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    event.took_us = Some(number % 90_000);
    event
}

/// A log of so many entries, as the recorder would have written it.
async fn fill(store: &dyn Store, all: u64, ring: &KeyRing) -> Result<PublicKey, StoreError> {
    let rng = SeededRng::new(1);
    let (mut edge, mut last) = (Edge::default(), None);
    while edge.size() < all {
        let from = edge.size();
        let mut tiles: Vec<(TileId, Vec<u8>)> = Vec::new();
        let mut batch = AuditBatch { log: LOG.to_owned(), size: from, ..AuditBatch::default() };
        for index in from..all.min(from + BATCH) {
            let event = event(index, all);
            let line = line(&event, last.as_ref(), &rng);
            last = Some(line.hash);
            edge.push(leaf_hash(line.text.as_bytes()), &mut |tile, hashes| {
                tiles.push((tile, tile_bytes(hashes)))
            });
            batch.entries.push(AuditEntryRow {
                log: LOG.to_owned(),
                index,
                at: event.at,
                principal: audit::principal(LOG, &event.subject),
                kind: event.kind.to_owned(),
                tool: event.target.as_deref().unwrap_or_default().to_owned(),
                outcome: "allowed".to_owned(),
                upstream: "crm".to_owned(),
                operation: event.operation.to_string(),
                started: false,
                writer: "bench".to_owned(),
                line: Bytes::from(line.text),
            });
        }
        tiles.extend(edge.partial().map(|(tile, hashes)| (tile, tile_bytes(hashes))));
        batch.tiles = tiles
            .into_iter()
            .map(|(tile, hashes)| AuditTileRow {
                log: LOG.to_owned(),
                level: tile.level,
                index: tile.index,
                hashes: Bytes::from(hashes),
            })
            .collect();
        batch.last = last.map(|hash| audit::hex(&hash)).unwrap_or_default();
        let mut tx = store.begin().await?;
        assert!(tx.audit_append(&batch).await?, "nobody else writes");
        tx.commit().await?;
    }
    let signer = ring.signer(NOW, recorder::LABEL);
    let origin = origin("bench", LOG);
    let checkpoint = Checkpoint { origin: origin.clone(), size: all, root: edge.root(), at: Some(NOW) };
    let note = checkpoint.sign(&[&signer]).to_string();
    let mut tx = store.begin().await?;
    tx.audit_sign(&AuditNoteRow { log: LOG.to_owned(), size: all, note }, false).await?;
    tx.commit().await?;
    Ok(PublicKey::of(&origin, &signer))
}

async fn query(store: &dyn Store) {
    let filter = AuditFilter {
        log: LOG.to_owned(),
        principal: Some(audit::principal(LOG, "idp:user7")),
        from: Some(Timestamp(NOW.0 - 10 * DAY_MS)),
        to: Some(Timestamp(NOW.0 - 9 * DAY_MS)),
        ..AuditFilter::default()
    };
    for round in 1..=3 {
        let begun = Instant::now();
        let found = store.audit_query(&filter, None, 1_000).await.expect("a query").len();
        println!("query, one principal and day, round {round}: {found} entries in {:?}", begun.elapsed());
    }
}

async fn prove(store: &dyn Store, all: u64, key: &PublicKey) {
    let begun = Instant::now();
    let rounds = 100;
    for round in 0..rounds {
        let index = (all - 1) * round / rounds;
        let receipt = recorder::prove(store, LOG, index, true).await.expect("a proof");
        receipt.check(key).expect("it is good");
    }
    println!("proof, made and checked: {:?} each of {rounds}", begun.elapsed() / 100);
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let all: u64 = arguments.next().map_or(1_000_000, |text| text.parse().expect("a number of entries"));
    let named = arguments.next().map(PathBuf::from);
    let own = tempfile::tempdir().expect("a folder");
    let folder = named.unwrap_or_else(|| own.path().to_owned());
    let ring = KeyRing::from_key(&[7; 32]);
    let store = SqliteStore::open(&folder.join("audit.db"), NOW).await.expect("a store");
    let begun = Instant::now();
    let key = fill(&store, all, &ring).await.expect("filled");
    println!("filled: {all} entries in {:?}", begun.elapsed());
    query(&store).await;
    prove(&store, all, &key).await;
    let log = folder.join("log");
    let begun = Instant::now();
    let mut put = |path: &str, bytes: &[u8]| {
        let path = log.join(path);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, bytes)).map_err(StoreError::unavailable)
    };
    recorder::files(&store, LOG, &mut put).await.expect("files");
    println!("written as files: {:?}", begun.elapsed());
    let begun = Instant::now();
    let report = verify(&Folder(&log), &Known { keys: vec![key], ..Known::default() });
    assert_eq!((report.finding, report.signed), (None, all));
    println!("verified: {all} entries in {:?} on one core", begun.elapsed());
    store.close().await;
}
