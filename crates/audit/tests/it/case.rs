//! Logs with several checkpoints and keys, and what an attacker does to their files.

use audit::files::bundle_path;
use audit::tree::TILE_WIDTH;
use audit::{CHECKPOINT, HISTORY, Note, PublicKey, Tampering, hex};
use model::{Rng as _, SeededRng};
use seal::Signer;

use crate::{Folder, Log, NOW, event, put_lines, signer};

/// What a log is like.
pub(crate) struct Spec {
    pub(crate) size: usize,
    /// How many records at its end are younger than its checkpoint.
    pub(crate) unsigned: usize,
    /// The records that change its key.
    pub(crate) changes: Vec<usize>,
    /// The records below are no longer there; the last one before the tail says so.
    pub(crate) pruned: usize,
    pub(crate) seed: u64,
}

/// A log, and what an attacker has at hand.
pub(crate) struct Case {
    pub(crate) log: Log,
    /// Well made records of the same tenant that are not in it.
    other: Log,
    /// The log of another tenant.
    foreign: Log,
    /// How many records are signed.
    pub(crate) signed: usize,
    first: usize,
    changes: Vec<usize>,
    /// The key that is trusted: the first one.
    pub(crate) key: PublicKey,
    pub(crate) witness: PublicKey,
}

/// The key of an attacker.
const OTHER_KEY: u8 = 99;
const WITNESS: u8 = 98;

impl Case {
    pub(crate) fn new(spec: &Spec) -> Self {
        let Spec { size, unsigned, ref changes, pruned, seed } = *spec;
        let signed = size - unsigned;
        let mut log = Log::new("acme");
        let rng = SeededRng::new(seed);
        for number in 0..size {
            let mut event = event("acme", number as u64);
            if let Some(change) = changes.iter().position(|at| *at == number) {
                event.kind = "key_change";
                event.details.insert("key", log.key(&signer(key_number(change + 1))).to_string());
                event.details.insert("before", log.key(&signer(key_number(change))).to_string());
            } else if pruned > 0 && number + 1 == signed {
                event.kind = "audit_prune";
                event.details.insert("below", pruned.to_string());
            }
            log.add(&event, &rng);
        }
        let other = Log::of("acme", size as u64, seed + 1);
        let foreign = Log::of("globex", size as u64, seed + 2);
        let key = log.key(&signer(key_number(0)));
        let (_, witness) = log.checkpoint(0).sign(&[]).cosign("w.example", &signer(WITNESS), NOW);
        Self { log, other, foreign, signed, first: pruned, changes: changes.clone(), key, witness }
    }

    pub(crate) fn size(&self) -> usize {
        self.log.lines.len()
    }

    /// The keys that sign a checkpoint of this size: two, where it has just changed.
    fn signers(&self, size: usize) -> Vec<Signer> {
        let changed = self.changes.iter().filter(|at| **at < size).count();
        let mut signers = vec![signer(key_number(changed))];
        if changed > 0 && self.changes[changed - 1] + 1 == size {
            signers.push(signer(key_number(changed - 1)));
        }
        signers
    }

    /// The signed checkpoint of a size.
    pub(crate) fn note(&self, size: usize, witnessed: bool) -> Note {
        self.note_of(&self.log, size, witnessed)
    }

    fn note_of(&self, log: &Log, size: usize, witnessed: bool) -> Note {
        let signers = self.signers(size);
        let note = log.checkpoint(size).sign(&signers.iter().collect::<Vec<_>>());
        if witnessed { note.cosign("w.example", &signer(WITNESS), NOW).0 } else { note }
    }

    /// The folder as it was when so many records were signed and, but for those at the end, written.
    pub(crate) fn folder(&self, signed: usize, witnessed: bool) -> Folder {
        let till = if signed == self.signed { self.size() } else { signed };
        let log = Log { lines: self.log.lines[..till].to_vec(), ..self.log.clone() };
        let mut folder = log.folder(signed, &self.note(signed, witnessed));
        let changes = self.changes.iter().filter(|at| **at < signed);
        let notes = changes.map(|at| hex(self.note(at + 1, false).to_string().as_bytes()) + "\n");
        let history: String = notes.collect();
        if !history.is_empty() {
            folder.insert(HISTORY.to_owned(), history.into_bytes());
        }
        // What was pruned is missing once that is recorded.
        if signed == self.signed {
            self.prune(&mut folder);
        }
        folder
    }

    fn prune(&self, folder: &mut Folder) {
        for number in 0..self.first as u64 / TILE_WIDTH {
            folder.remove(&bundle_path(number, TILE_WIDTH));
        }
    }
}

fn key_number(change: usize) -> u8 {
    1 + u8::try_from(change).expect("few")
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    EditBadly,
    EditWell,
    Remove,
    Insert,
    InsertCopy,
    Reorder,
    Truncate,
    Fork,
    Replay,
    ReplayAll,
    OtherKey,
    FlipByte,
    RemoveFile,
    SetBack,
}

impl Kind {
    pub(crate) const ALL: [Self; 14] = [
        Self::EditBadly,
        Self::EditWell,
        Self::Remove,
        Self::Insert,
        Self::InsertCopy,
        Self::Reorder,
        Self::Truncate,
        Self::Fork,
        Self::Replay,
        Self::ReplayAll,
        Self::OtherKey,
        Self::FlipByte,
        Self::RemoveFile,
        Self::SetBack,
    ];
}

/// What was done.
pub(crate) struct Done {
    pub(crate) kind: Kind,
    pub(crate) folder: Folder,
    /// What it may be called, and at which record.
    pub(crate) what: Vec<Tampering>,
    pub(crate) index: Option<usize>,
    /// Whether it has to be called so: the attacker changed records that are signed, and nothing else.
    pub(crate) plain: bool,
    /// How many records from the first on are what they were, and how many the checkpoint in the folder
    /// covers, where it is one of the log's own.
    pub(crate) kept: usize,
    pub(crate) signed: usize,
}

pub(crate) fn pick(rng: &SeededRng, below: usize) -> usize {
    usize::try_from(rng.next_u64() % below as u64).expect("small")
}

/// Does something to a log's files.
pub(crate) fn tamper(case: &Case, rng: &SeededRng, witnessed: bool) -> Done {
    let kind = Kind::ALL[pick(rng, Kind::ALL.len())];
    match kind {
        Kind::ReplayAll | Kind::OtherKey | Kind::FlipByte | Kind::RemoveFile | Kind::SetBack => {
            with_files(case, kind, rng, witnessed)
        }
        _ => with_records(case, kind, rng, witnessed),
    }
}

fn with_records(case: &Case, kind: Kind, rng: &SeededRng, witnessed: bool) -> Done {
    // One record cannot be in another order.
    let kind = if kind == Kind::Reorder && case.size() - case.first < 2 { Kind::Remove } else { kind };
    let index = case.first + pick(rng, case.size() - case.first);
    let Changed { lines, what, index, within } = change(case, kind, index, rng);
    // Every other attacker changes the tiles, too, so that they fit his records.
    let well = rng.next_u64().is_multiple_of(2);
    let note = case.note(case.signed, witnessed);
    let mut folder = case.folder(case.signed, witnessed);
    if well {
        let forged = Log { lines: lines.clone(), ..case.log.clone() };
        let tiles = forged.folder(case.signed.min(lines.len()), &note);
        folder.retain(|path, _| !path.starts_with("tile/"));
        folder.extend(tiles.into_iter().filter(|(path, _)| path.starts_with("tile/")));
    } else {
        put_lines(&mut folder, &lines);
    }
    case.prune(&mut folder);
    let kept = lines.iter().zip(&case.log.lines).take_while(|(now, before)| now == before).count();
    // Where the record is gone that says what was pruned or by which key it goes on, that is found first.
    let pruned = (case.first > 0).then(|| case.signed - 1);
    let needed = |at: &usize| lines.contains(&case.log.lines[*at]);
    let plain = !well && within < case.signed && case.changes.iter().chain(&pruned).all(needed);
    Done { kind, folder, what, index: Some(index), plain, kept, signed: case.signed }
}

/// Records that were changed: from where on, and up to which one that is still of use to say what was done.
struct Changed {
    lines: Vec<Vec<u8>>,
    what: Vec<Tampering>,
    index: usize,
    within: usize,
}

fn change(case: &Case, kind: Kind, index: usize, rng: &SeededRng) -> Changed {
    let mut lines = case.log.lines.clone();
    let (mut at, mut within) = (index, index);
    let what = match kind {
        Kind::EditBadly => {
            let byte = pick(rng, lines[index].len());
            lines[index][byte] ^= 1 << pick(rng, 8);
            Tampering::Edited
        }
        Kind::EditWell => {
            lines[index].clone_from(&case.other.lines[index]);
            Tampering::Edited
        }
        Kind::Remove => {
            let to = (index + 1 + pick(rng, 3)).min(lines.len());
            lines.drain(index..to);
            within = to - 1;
            if to == case.size() { Tampering::Truncated } else { Tampering::Removed }
        }
        Kind::Reorder => {
            let span = lines.len() - case.first;
            let with = case.first + (index - case.first + 1 + pick(rng, span - 1)) % span;
            lines.swap(index, with);
            (at, within) = (index.min(with), index.max(with));
            Tampering::Reordered
        }
        Kind::Insert => {
            lines.insert(index, case.other.lines[index].clone());
            Tampering::Inserted
        }
        Kind::InsertCopy => {
            let copied = lines[case.first + pick(rng, index + 1 - case.first)].clone();
            lines.insert(index + 1, copied);
            (at, within) = (index + 1, index + 1);
            Tampering::Inserted
        }
        Kind::Replay => {
            let foreign = case.foreign.lines[index].clone();
            if rng.next_u64().is_multiple_of(2) {
                lines.insert(index, foreign);
            } else {
                lines[index] = foreign;
            }
            Tampering::Replayed
        }
        Kind::Truncate => {
            lines.truncate(index);
            Tampering::Truncated
        }
        _ => {
            fork(case, index, &mut lines, rng);
            Tampering::Forked
        }
    };
    // Who writes the last record that is signed anew has written another history of one record, and whoever
    // takes it out has put the next one in its place.
    let last = within + 1 >= case.signed;
    let one = last && matches!(kind, Kind::Fork | Kind::Remove);
    let what = if one { vec![what, Tampering::Edited] } else { vec![what] };
    Changed { lines, what, index: at, within }
}

/// A history of one's own from a record on, with a chain that is in order.
fn fork(case: &Case, index: usize, lines: &mut [Vec<u8>], rng: &SeededRng) {
    let mut forked = Log::new("acme");
    let before = index.checked_sub(1).map(|before| &lines[before]);
    forked.last = before.map(|line| audit::record::check(line).expect("a record").hash);
    for number in index..case.size() {
        forked.add(&event("acme", number as u64 + 1), rng);
    }
    lines[index..].clone_from_slice(&forked.lines);
}

fn with_files(case: &Case, kind: Kind, rng: &SeededRng, witnessed: bool) -> Done {
    let mut folder = case.folder(case.signed, witnessed);
    let (mut signed, mut kept) = (case.signed, 0);
    let mut what = Vec::new();
    match kind {
        Kind::ReplayAll => {
            let note = case.note_of(&case.foreign, case.signed, witnessed);
            let checkpoint = folder.remove(CHECKPOINT).expect("it was there");
            folder = case.foreign.folder(case.signed, &note);
            // All of it, or its records under the checkpoint of this one.
            if rng.next_u64().is_multiple_of(2) {
                folder.insert(CHECKPOINT.to_owned(), checkpoint);
            }
            what = vec![Tampering::Replayed];
        }
        Kind::OtherKey => {
            // The records as they are, or others, under a key of one's own.
            let log = if rng.next_u64().is_multiple_of(2) { &case.log } else { &case.other };
            let size = case.signed;
            let note = log.checkpoint(size).sign(&[&signer(OTHER_KEY)]);
            let forged = log.folder(size, &note);
            folder.retain(|path, _| path == HISTORY);
            folder.extend(forged);
            what = vec![Tampering::OtherKey];
        }
        Kind::SetBack => {
            // To a checkpoint that was its last one once.
            signed = pick(rng, case.size().min(case.signed));
            folder = case.folder(signed, witnessed);
            kept = signed;
        }
        _ => {
            let paths: Vec<String> = folder.keys().cloned().collect();
            let path = &paths[pick(rng, paths.len())];
            if kind == Kind::RemoveFile {
                // A bundle of which nothing is signed is the tail.
                kept = if tail_alone(case, path) { case.signed } else { 0 };
                folder.remove(path);
            } else {
                let file = folder.get_mut(path).expect("a file");
                let at = pick(rng, file.len());
                file[at] ^= 1 << pick(rng, 8);
            }
        }
    }
    let plain = matches!(kind, Kind::ReplayAll | Kind::OtherKey);
    Done { kind, folder, what, index: None, plain, kept, signed }
}

/// Whether a bundle holds none but records that are not signed.
fn tail_alone(case: &Case, path: &str) -> bool {
    let last = (case.size() as u64 - 1) / TILE_WIDTH;
    let width = case.size() as u64 - last * TILE_WIDTH;
    path == bundle_path(last, width) && last * TILE_WIDTH >= case.signed as u64
}
