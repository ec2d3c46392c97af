//! Ten thousand ways to tamper with a log.

use audit::{Finding, Known, Tampering, verify};
use model::{Rng as _, SeededRng};

use crate::{Folder, Log, event, put_lines, signer};

const CASES: u64 = 10_000;

/// A log of which all but some records at its end are signed.
struct Case {
    log: Log,
    other: Log,
    signed: usize,
    folder: Folder,
    known: Known,
}

impl Case {
    fn new(size: usize, unsigned: usize, seed: u64) -> Self {
        let log = Log::of("acme", size as u64, seed);
        let other = Log::of("acme", size as u64, seed + 1);
        let signed = size - unsigned;
        let note = log.checkpoint(signed).sign(&[&signer(1)]);
        let known = Known { keys: vec![log.key(&signer(1))], ..Known::default() };
        let folder = log.folder(signed, &note);
        Self { log, other, signed, folder, known }
    }
}

/// What was done, and the first record that is no more what it was.
struct Done {
    what: Tampering,
    index: usize,
    lines: Vec<Vec<u8>>,
}

fn tamper(case: &Case, rng: &SeededRng) -> Done {
    let pick = |below: usize| usize::try_from(rng.next_u64() % below as u64).expect("small");
    let mut lines = case.log.lines.clone();
    let index = pick(case.signed);
    let (what, index) = match pick(8) {
        0 => {
            let at = pick(lines[index].len());
            lines[index][at] ^= 1 << pick(8);
            (Tampering::Edited, index)
        }
        1 => {
            // Edited well: by somebody who knows how to make a record.
            lines[index].clone_from(&case.other.lines[index]);
            (Tampering::Edited, index)
        }
        2 => {
            drop(lines.remove(index));
            (Tampering::Removed, index)
        }
        3 => {
            let with = (index + 1 + pick(case.signed - 1)) % case.signed;
            lines.swap(index, with);
            (Tampering::Reordered, index.min(with))
        }
        4 => {
            lines.insert(index, case.other.lines[index].clone());
            (Tampering::Inserted, index)
        }
        5 => {
            let copied = lines[pick(index + 1)].clone();
            lines.insert(index + 1, copied);
            (Tampering::Inserted, index + 1)
        }
        6 => {
            lines.truncate(index);
            (Tampering::Truncated, index)
        }
        _ => {
            // From there on a history of one's own, with a chain that is in order.
            let mut forked = Log::new("acme");
            for number in 0..index {
                forked.add(&event("acme", number as u64), &SeededRng::new(0));
            }
            forked.lines = lines[..index].to_vec();
            let hash = |line: &Vec<u8>| audit::record::check(line).expect("a record").hash;
            forked.last = lines[..index].last().map(hash);
            for number in index..lines.len() {
                forked.add(&event("acme", number as u64 + 1), rng);
            }
            lines = forked.lines;
            (Tampering::Forked, index)
        }
    };
    Done { what, index, lines }
}

fn check(case: &Case, rng: &SeededRng, seed: u64) {
    let done = tamper(case, rng);
    let mut folder = case.folder.clone();
    put_lines(&mut folder, &done.lines);
    // Every other attacker changes the tiles, too, so that they fit his records.
    let well = rng.next_u64().is_multiple_of(2);
    if well {
        let forged = Log { lines: done.lines.clone(), ..case.log.clone() };
        let size = case.signed.min(forged.lines.len());
        let tiles = forged.folder(size, &case.log.checkpoint(case.signed).sign(&[&signer(1)]));
        folder.retain(|path, _| path == "checkpoint");
        folder.extend(tiles.into_iter().filter(|(path, _)| path != "checkpoint"));
    }
    let found = verify(&folder, &case.known).finding;
    let Done { what, index, .. } = done;
    let Some(Finding { index: at, what: said, why }) = found else {
        panic!("case {seed}: {what:?} at {index} of {} was not found (well: {well})", case.signed);
    };
    if well {
        return;
    }
    assert_eq!(at, Some(index as u64), "case {seed}: {what:?} at {index}: {said:?}, {why}");
    // Who changes the last record alone has written another history of one record.
    let alike = what == Tampering::Forked && said == Tampering::Edited && index + 2 >= case.log.lines.len();
    let cut = what == Tampering::Removed && said == Tampering::Truncated && index + 1 == case.log.lines.len();
    assert!(said == what || alike || cut, "case {seed}: {what:?} at {index}, said to be {said:?}: {why}");
}

#[test]
fn ten_thousand_tamperings_are_found_and_named() {
    let rng = SeededRng::new(4_711);
    let small: Vec<Case> = (0..20).map(|seed| Case::new(3 + seed, 0, 100 + 2 * seed as u64)).collect();
    let large = Case::new(520, 8, 1);
    for case in small.iter().chain([&large]) {
        assert_eq!(verify(&case.folder, &case.known).finding, None, "it is in order");
    }
    for seed in 0..CASES {
        let case = if seed % 500 == 0 { &large } else { &small[usize::try_from(seed % 20).expect("small")] };
        check(case, &rng, seed);
    }
}

#[test]
fn a_changed_byte_of_any_file_is_found() {
    let case = Case::new(300, 0, 9);
    let rng = SeededRng::new(42);
    let paths: Vec<&String> = case.folder.keys().collect();
    for _ in 0..200 {
        let path = paths[usize::try_from(rng.next_u64() % paths.len() as u64).expect("small")];
        let mut folder = case.folder.clone();
        let file = folder.get_mut(path).expect("a file");
        let at = usize::try_from(rng.next_u64() % file.len() as u64).expect("small");
        file[at] ^= 1 << (rng.next_u64() % 8);
        assert!(verify(&folder, &case.known).finding.is_some(), "{path}, byte {at}");
    }
}

#[test]
fn the_end_that_is_not_signed_yet_can_be_cut_and_nothing_else_of_it() {
    let case = Case::new(20, 5, 3);
    let with = |lines: &[Vec<u8>]| {
        let mut folder = case.folder.clone();
        put_lines(&mut folder, lines);
        verify(&folder, &case.known).finding
    };
    assert_eq!(with(&case.log.lines[..15]), None, "nobody has signed that there are more");
    assert!(with(&case.log.lines[..14]).is_some());
    let mut lines = case.log.lines.clone();
    lines.remove(17);
    assert!(with(&lines).is_some(), "the chain lacks one");
    // With a witness who has seen the end, that is found, too.
    let (seen, key) = case.log.checkpoint(20).sign(&[&signer(1)]).cosign("w.example", &signer(7), crate::NOW);
    let known = Known {
        witnesses: vec![key],
        checkpoints: vec![seen.to_string().into_bytes()],
        ..case.known.clone()
    };
    let mut folder = case.log.folder(20, &seen);
    assert_eq!(verify(&folder, &known).finding, None);
    put_lines(&mut folder, &case.log.lines[..15]);
    let finding = verify(&folder, &known).finding.expect("found");
    assert_eq!((finding.index, finding.what), (Some(15), Tampering::Truncated));
}
