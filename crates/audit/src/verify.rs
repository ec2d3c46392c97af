//! The verifier: from files and a public key alone, the first record that is not as it was signed, and what
//! was done to it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::files::{self, Files, bundle_path, tile_path};
use crate::record::{self, Checked};
use crate::tree::{Edge, Hash, TILE_WIDTH, TileId, leaf_hash};
use crate::{Checkpoint, Note, PublicKey, tenant_of};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tampering {
    /// A record was changed.
    Edited,
    /// Records were taken out.
    Removed,
    /// Records were put in.
    Inserted,
    /// Records stand in another order.
    Reordered,
    /// The end is missing.
    Truncated,
    /// Another history was written.
    Forked,
    /// It is of another tenant's log.
    Replayed,
    /// Another key has signed it.
    OtherKey,
    /// A tile is not the one of these records, or is missing.
    Tile,
    /// The checkpoint cannot be read.
    Checkpoint,
    /// No witness has signed it.
    Unwitnessed,
}

impl Tampering {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Removed => "removed",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::Forked => "forked",
            Self::Replayed => "replayed from another log",
            Self::OtherKey => "signed by another key",
            Self::Tile => "a tile was changed or removed",
            Self::Checkpoint => "the checkpoint was changed",
            Self::Unwitnessed => "no witness has signed it",
        }
    }
}

/// What is wrong, at the first place where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The record, where it is one.
    pub index: Option<u64>,
    /// What was done.
    pub what: Tampering,
    /// What shows it.
    pub why: String,
}

impl Finding {
    fn at(index: u64, what: Tampering, why: impl Into<String>) -> Self {
        Self { index: Some(index), what, why: why.into() }
    }

    fn whole(what: Tampering, why: impl Into<String>) -> Self {
        Self { index: None, what, why: why.into() }
    }
}

/// What is known of a log beside its files.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Keys of the log that are trusted; the log itself tells of those that followed.
    pub keys: Vec<PublicKey>,
    /// Keys of witnesses, one of which must have signed.
    pub witnesses: Vec<PublicKey>,
    /// Checkpoints from elsewhere, as from a witness, that the log must hold to.
    pub checkpoints: Vec<Vec<u8>>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which log; empty where that cannot be read.
    pub origin: String,
    /// The first record that is there; those before were pruned.
    pub first: u64,
    /// How many records the log has, those that were pruned among them.
    pub size: u64,
    /// How many of them the checkpoint covers.
    pub signed: u64,
    /// When the checkpoint was signed.
    pub at: Option<model::Timestamp>,
    /// The keys that are trusted by now.
    pub keys: Vec<String>,
    /// What is wrong.
    pub finding: Option<Finding>,
}

/// The signed checkpoint in a folder.
pub const CHECKPOINT: &str = "checkpoint";
/// Where the checkpoints stand that were signed when keys changed: one a line, each in hex.
pub const HISTORY: &str = "checkpoints";

/// Verifies a log in files of the layout of `tlog-tiles`.
#[must_use]
pub fn verify(files: &dyn Files, known: &Known) -> Report {
    let mut report = Report {
        origin: String::new(),
        first: 0,
        size: 0,
        signed: 0,
        at: None,
        keys: known.keys.iter().map(ToString::to_string).collect(),
        finding: None,
    };
    if let Err(finding) = run(files, known, &mut report) {
        report.finding = Some(finding);
    }
    report
}

fn run(files: &dyn Files, known: &Known, report: &mut Report) -> Result<(), Finding> {
    let bytes = files.read(CHECKPOINT).unwrap_or_default();
    let (note, checkpoint) = read_note(&bytes)
        .ok_or_else(|| Finding::whole(Tampering::Checkpoint, "there is no checkpoint that can be read"))?;
    report.origin.clone_from(&checkpoint.origin);
    (report.signed, report.at) = (checkpoint.size, checkpoint.at);
    if known.keys.iter().any(|key| key.name() != checkpoint.origin) {
        return Err(Finding::whole(Tampering::Replayed, "the checkpoint is of another log than the key"));
    }
    let mut notes = history(&files.read(HISTORY).unwrap_or_default())
        .ok_or_else(|| Finding::whole(Tampering::Checkpoint, "an earlier checkpoint cannot be read"))?;
    notes.push((note.clone(), checkpoint.clone()));
    let own = notes.len();
    let elsewhere: Option<Vec<_>> = known.checkpoints.iter().map(|bytes| read_note(bytes)).collect();
    let elsewhere = elsewhere
        .ok_or_else(|| Finding::whole(Tampering::Checkpoint, "a checkpoint from elsewhere cannot be read"))?;
    notes.extend(elsewhere);
    let (own, elsewhere) = notes.split_at(own);
    let sizes = notes.iter().map(|(_, checkpoint)| checkpoint.size).collect();

    let log = Log::read(files, &checkpoint, &sizes);
    (report.first, report.size) = (log.first, log.first + log.leaves.len() as u64);
    let trusted = trusted(&log, &notes, &known.keys);
    report.keys = trusted.iter().map(ToString::to_string).collect();
    let signed = trusted.iter().any(|key| note.is_signed_by(key));
    if signed {
        log.against(&checkpoint)?;
    }
    if let Some(fault) = log.fault(&checkpoint) {
        return Err(fault);
    }
    if !signed {
        return Err(Finding::whole(Tampering::OtherKey, "the checkpoint is not signed by a key of this log"));
    }
    // What somebody remembers is never passed over: a log that was set back before a change of its key would
    // make the checkpoint signed with the new one look as if it were of nobody.
    if !elsewhere.iter().all(|(note, _)| is_trusted(note, &trusted, known)) {
        let why = "a checkpoint from elsewhere is signed by no key that is trusted";
        return Err(Finding::whole(Tampering::OtherKey, why));
    }
    if !own.iter().all(|(note, checkpoint)| log.names_keys_of(note, checkpoint, &known.keys)) {
        let why = "a checkpoint has a signature of a key that the log does not name";
        return Err(Finding::whole(Tampering::Checkpoint, why));
    }
    let mut others: Vec<_> = notes.iter().filter(|(note, _)| is_trusted(note, &trusted, known)).collect();
    others.sort_by_key(|(_, checkpoint)| checkpoint.size);
    for (_, other) in others {
        log.holds(other)?;
    }
    let witnessed = known.witnesses.iter().any(|key| note.is_signed_by(key));
    if !known.witnesses.is_empty() && !witnessed {
        return Err(Finding::whole(Tampering::Unwitnessed, "no witness has signed the checkpoint"));
    }
    Ok(())
}

fn is_trusted(note: &Note, trusted: &[PublicKey], known: &Known) -> bool {
    trusted.iter().chain(&known.witnesses).any(|key| note.is_signed_by(key))
}

/// The checkpoints that were signed when keys changed.
fn history(bytes: &[u8]) -> Option<Vec<(Note, Checkpoint)>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| read_note(&seal::unhex(std::str::from_utf8(line).ok()?)?)).collect()
}

fn read_note(bytes: &[u8]) -> Option<(Note, Checkpoint)> {
    let note = Note::parse(bytes)?;
    let checkpoint = Checkpoint::parse(note.text())?;
    Some((note, checkpoint))
}

/// The keys that are trusted: those that are known, and those whose coming is recorded under a trusted one.
fn trusted(log: &Log, notes: &[(Note, Checkpoint)], known: &[PublicKey]) -> Vec<PublicKey> {
    let mut trusted = known.to_vec();
    for KeyChange { index, leaf, key, .. } in &log.key_changes {
        let vouched = notes.iter().any(|(note, checkpoint)| {
            trusted.iter().any(|key| note.is_signed_by(key)) && log.is_under(checkpoint, *index, leaf)
        });
        if vouched && !trusted.contains(key) {
            trusted.push(key.clone());
        }
    }
    trusted
}

/// What the files hold.
#[derive(Default)]
struct Log {
    origin: String,
    first: u64,
    /// The hashes of the entries from `first` on.
    leaves: Vec<Hash>,
    /// The hashes that the tiles have, from zero on.
    tiles: Vec<Hash>,
    /// The first tile that is not that of these entries, or that is missing.
    wrong_tile: Option<TileId>,
    /// How many entries the checkpoint covers: tiles of as many have to be there.
    signed: u64,
    /// The roots of the sizes that were asked for.
    roots: BTreeMap<u64, Hash>,
    /// What is wrong with entries by themselves and with what links them.
    faults: Vec<(u64, Fault)>,
    key_changes: Vec<KeyChange>,
    /// Where the log says that it was pruned, the hash of that entry, and up to where.
    prunings: Vec<(u64, Hash, u64)>,
    /// The records' digests, by which the next ones name them.
    hashes: HashMap<Hash, u64>,
}

/// An entry that says that the log is signed with another key from there on.
struct KeyChange {
    index: u64,
    leaf: Hash,
    key: PublicKey,
    before: Option<PublicKey>,
}

/// What is wrong with an entry by itself, or with its link.
enum Fault {
    Line(record::LineError),
    /// What it names as the record before is another one.
    Link(Option<Hash>),
    /// It stands there already.
    Again,
    Tenant,
}

impl Log {
    fn read(files: &dyn Files, checkpoint: &Checkpoint, sizes: &HashSet<u64>) -> Self {
        let (origin, signed) = (checkpoint.origin.clone(), checkpoint.size);
        let mut log = Self { origin, signed, ..Self::default() };
        log.read_tiles(files, checkpoint.size);
        let tenant = tenant_of(&checkpoint.origin);
        let mut edge = Edge::default();
        let mut last: Option<Hash> = None;
        let mut started = false;
        for number in 0.. {
            let found = Self::bundle(files, number, checkpoint.size);
            let Some(bytes) = found else {
                if started || (number + 1) * TILE_WIDTH >= checkpoint.size {
                    break;
                }
                continue;
            };
            if !started {
                log.first = number * TILE_WIDTH;
                let before = usize::try_from(log.first).unwrap_or(usize::MAX).min(log.tiles.len());
                let pruned = log.tiles[..before].to_vec();
                for leaf in pruned {
                    log.push(&mut edge, leaf, files, sizes);
                }
                started = true;
            }
            let (entries, whole) = files::entries(&bytes);
            for entry in &entries {
                last = log.entry(entry, last, tenant.as_deref());
                log.leaves.push(leaf_hash(entry));
                log.push(&mut edge, leaf_hash(entry), files, sizes);
            }
            if !whole {
                let index = log.first + log.leaves.len() as u64;
                log.faults.push((index, Fault::Line(record::LineError::Unreadable)));
            }
            if (entries.len() as u64) < TILE_WIDTH && !whole {
                break;
            }
        }
        for size in sizes.iter().filter(|size| **size == 0) {
            log.roots.insert(*size, Edge::default().root());
        }
        log
    }

    /// The bundle of a number: full, or of some width at the end.
    fn bundle(files: &dyn Files, number: u64, size: u64) -> Option<Vec<u8>> {
        let wide = files.read(&bundle_path(number, TILE_WIDTH));
        wide.or_else(|| {
            let width = size.saturating_sub(number * TILE_WIDTH).min(TILE_WIDTH);
            let likely = (width > 0 && width < TILE_WIDTH).then(|| files.read(&bundle_path(number, width)));
            likely
                .flatten()
                .or_else(|| (1..TILE_WIDTH).rev().find_map(|width| files.read(&bundle_path(number, width))))
        })
    }

    fn read_tiles(&mut self, files: &dyn Files, size: u64) {
        for tile in TileId::all(size).take_while(|tile| tile.level == 0) {
            let read = files.read(&tile_path(tile, tile.width(size)));
            let Some(hashes) = read.and_then(|bytes| crate::tree::hashes(&bytes)) else { break };
            self.tiles.extend(hashes);
        }
    }

    fn push(&mut self, edge: &mut Edge, leaf: Hash, files: &dyn Files, sizes: &HashSet<u64>) {
        let (wrong, signed) = (&mut self.wrong_tile, self.signed);
        let at = edge.size() + 1;
        let mut hold = |tile: TileId, hashes: &[Hash], needed: bool| {
            let bytes = files.read(&tile_path(tile, hashes.len() as u64));
            let fits = bytes.map_or(!needed, |bytes| bytes == crate::tree::tile_bytes(hashes));
            if wrong.is_none() && !fits {
                *wrong = Some(tile);
            }
        };
        edge.push(leaf, &mut |tile, hashes| hold(tile, hashes, at <= signed));
        if sizes.contains(&at) {
            self.roots.insert(at, edge.root());
            // Those of an earlier checkpoint grew since, and need not be there as they were.
            edge.partial().for_each(|(tile, hashes)| hold(tile, hashes, at == signed));
        }
    }

    /// Takes an entry. Gives the digest that the next one has to name.
    fn entry(&mut self, entry: &[u8], last: Option<Hash>, tenant: Option<&str>) -> Option<Hash> {
        let index = self.first + self.leaves.len() as u64;
        let Checked { hash, previous, principal, kind, details } = match record::check(entry) {
            Ok(checked) => checked,
            Err(error) => {
                self.faults.push((index, Fault::Line(error)));
                return None;
            }
        };
        // After an unreadable one the link says nothing more.
        let after_fault = self.faults.last().is_some_and(|(at, _)| *at + 1 == index) && last.is_none();
        let unknown = after_fault || (index == self.first && index > 0);
        if self.hashes.contains_key(&hash) {
            self.faults.push((index, Fault::Again));
        } else if previous != last && !unknown {
            self.faults.push((index, Fault::Link(previous)));
        }
        let own = tenant.is_none_or(|tenant| {
            let tenant = record::principal(tenant, "");
            principal.starts_with(&tenant)
        });
        if !own {
            self.faults.push((index, Fault::Tenant));
        }
        let text = |name: &str| details.get(name).and_then(serde_json::Value::as_str);
        match kind.as_str() {
            "key_change" => {
                let key =
                    |name| text(name).and_then(PublicKey::parse).filter(|key| key.name() == self.origin);
                let (leaf, before) = (leaf_hash(entry), key("before"));
                self.key_changes.extend(key("key").map(|key| KeyChange { index, leaf, key, before }));
            }
            "audit_prune" => {
                let below = text("below").and_then(|text| text.parse().ok());
                self.prunings.extend(below.map(|below| (index, leaf_hash(entry), below)));
            }
            _ => {}
        }
        self.hashes.insert(hash, index);
        Some(hash)
    }

    /// Whether what is signed in the log's name is signed with keys that it names. Which those were before it
    /// was pruned, nothing says any more.
    fn names_keys_of(&self, note: &Note, checkpoint: &Checkpoint, known: &[PublicKey]) -> bool {
        let changes = self.key_changes.iter().flat_map(|change| [Some(&change.key), change.before.as_ref()]);
        let keys: Vec<PublicKey> = changes.flatten().chain(known).cloned().collect();
        checkpoint.size <= self.first || note.is_signed_by_none_but(&self.origin, &keys)
    }

    /// Whether a checkpoint covers an entry. Where the entries are not those of the checkpoint, the tiles may
    /// be, and then the entry stands among them.
    fn is_under(&self, checkpoint: &Checkpoint, index: u64, leaf: &Hash) -> bool {
        if self.roots.get(&checkpoint.size) == Some(&checkpoint.root) {
            return index < checkpoint.size;
        }
        let size = usize::try_from(checkpoint.size).unwrap_or(usize::MAX);
        let tiles = self.tiles.get(..size).filter(|tiles| tiles.contains(leaf));
        tiles.is_some_and(|tiles| root_of(tiles) == checkpoint.root)
    }

    /// Holds entries and tiles against the checkpoint.
    fn against(&self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        let signed = usize::try_from(checkpoint.size).unwrap_or(usize::MAX);
        // What nobody has signed, anybody may have said.
        let mut prunings = self.prunings.iter();
        let said =
            |(at, leaf, below): &(_, _, _)| *below >= self.first && self.is_under(checkpoint, *at, leaf);
        if self.first > 0 && !prunings.any(said) {
            return Err(Finding::at(
                0,
                Tampering::Removed,
                "the first records are missing, and were not pruned",
            ));
        }
        let there = self.first + self.leaves.len() as u64 >= checkpoint.size;
        let holds = self.roots.get(&checkpoint.size) == Some(&checkpoint.root);
        if there && holds {
            return match self.wrong_tile {
                Some(tile) => {
                    let index = tile.index.saturating_mul(TILE_WIDTH.saturating_pow(tile.level + 1));
                    Err(Finding::at(
                        index,
                        Tampering::Tile,
                        "a tile is missing, or is not that of the records",
                    ))
                }
                None => Ok(()),
            };
        }
        let tiles = self.tiles.get(..signed).filter(|tiles| root_of(tiles) == checkpoint.root);
        if let Some(tiles) = tiles {
            return Err(self.difference(tiles));
        }
        if let Some(fault) = self.fault(checkpoint) {
            return Err(fault);
        }
        if there {
            let why = "the records are in order, and not those that were signed";
            return Err(Finding::whole(Tampering::Forked, why));
        }
        let index = self.first + self.leaves.len() as u64;
        let why = format!("the checkpoint covers {} records", checkpoint.size);
        Err(Finding::at(index, Tampering::Truncated, why))
    }

    /// What was done to the entries, where the tiles say what they were.
    fn difference(&self, tiles: &[Hash]) -> Finding {
        let first = usize::try_from(self.first).unwrap_or(usize::MAX).min(tiles.len());
        let wanted = &tiles[first..];
        let same = wanted.iter().zip(&self.leaves).take_while(|(wanted, found)| wanted == found).count();
        let index = self.first + same as u64;
        let Some(found) = self.leaves.get(same) else {
            return Finding::at(index, Tampering::Truncated, format!("{} records were signed", tiles.len()));
        };
        let Some(lost) = wanted.get(same) else {
            return Finding::at(index, Tampering::Inserted, "there are more records than were signed");
        };
        let tenant = self.faults.iter().any(|(at, fault)| *at == index && matches!(fault, Fault::Tenant));
        let rest = &self.leaves[same..];
        let still_there = rest.contains(lost);
        let from_later = wanted[same..].contains(found);
        let twice = self.leaves.iter().filter(|leaf| *leaf == found).count() > 1;
        if still_there && tenant {
            Finding::at(index, Tampering::Replayed, "a record of another tenant was put in")
        } else if still_there && (!from_later || twice) {
            Finding::at(index, Tampering::Inserted, "a record was put in before one that was signed")
        } else if still_there {
            Finding::at(index, Tampering::Reordered, "the records that were signed stand in another order")
        } else if from_later {
            Finding::at(index, Tampering::Removed, "a record that was signed is missing")
        } else if tenant {
            Finding::at(index, Tampering::Replayed, "a record of another tenant took the place of one")
        } else if rest.len() > 1
            && !self.faults.iter().any(|(at, _)| *at >= index)
            && rest.iter().all(|leaf| !wanted.contains(leaf))
        {
            Finding::at(index, Tampering::Forked, "from here on another history was written")
        } else {
            Finding::at(index, Tampering::Edited, "the record is not the one that was signed")
        }
    }

    /// What the entries show by themselves.
    fn fault(&self, checkpoint: &Checkpoint) -> Option<Finding> {
        let (index, fault) = self.faults.first()?;
        let finding = match fault {
            Fault::Line(error) => Finding::at(*index, Tampering::Edited, error.to_string()),
            Fault::Tenant => Finding::at(*index, Tampering::Replayed, "the record is of another tenant"),
            Fault::Again => Finding::at(*index, Tampering::Inserted, "the record stands there already"),
            Fault::Link(None) => {
                Finding::at(*index, Tampering::Inserted, "the record says that it is the first")
            }
            Fault::Link(Some(named)) => match self.hashes.get(named) {
                Some(at) if *at > *index => {
                    Finding::at(*index, Tampering::Reordered, "the record that it follows comes later")
                }
                Some(at) => {
                    let why = format!("it follows the record {at}, and others were put between them");
                    Finding::at(at + 1, Tampering::Inserted, why)
                }
                None if *index == 0 => {
                    Finding::at(0, Tampering::Removed, "the record that it follows is missing")
                }
                None if self.first + self.leaves.len() as u64 >= checkpoint.size => {
                    let why = "the record before it is not the one that it follows";
                    Finding::at(*index - 1, Tampering::Edited, why)
                }
                None => Finding::at(*index, Tampering::Removed, "the record that it follows is missing"),
            },
        };
        Some(finding)
    }

    /// Whether the log holds what was signed elsewhere or before.
    fn holds(&self, other: &Checkpoint) -> Result<(), Finding> {
        if other.origin != self.origin {
            return Err(Finding::whole(Tampering::Replayed, "a checkpoint is of another log"));
        }
        match self.roots.get(&other.size) {
            Some(root) if *root == other.root => Ok(()),
            Some(_) => {
                let why = format!("another history of {} records was signed", other.size);
                Err(Finding::whole(Tampering::Forked, why))
            }
            None => {
                let index = self.first + self.leaves.len() as u64;
                let why = format!("{} records were signed elsewhere", other.size);
                Err(Finding::at(index, Tampering::Truncated, why))
            }
        }
    }
}

fn root_of(leaves: &[Hash]) -> Hash {
    let mut edge = Edge::default();
    for leaf in leaves {
        edge.push(*leaf, &mut |_, _| {});
    }
    edge.root()
}
