//! Ten thousand ways to tamper with logs, each with a seed by which it is made again: by whoever has the
//! public key alone, and by whoever has a witness besides.

use std::collections::BTreeMap;
use std::ops::Range;

use audit::{Known, Tampering, verify};
use model::{Rng as _, SeededRng};

use crate::case::{Case, Kind, Spec, pick, tamper};
use crate::put_lines;

/// Seeds of cases, by how long their logs are: ten thousand in all.
const OF_SOME: Range<u64> = 0..9_300;
const OF_HUNDREDS: Range<u64> = 9_300..9_900;
const OF_THOUSANDS: Range<u64> = 9_900..10_000;

/// What became of cases.
#[derive(Default)]
struct Tally {
    /// By what was done, how often it was found and how often it was called what it was.
    found: BTreeMap<Kind, (u64, u64)>,
    /// How often nobody without a witness could find it.
    missed: u64,
}

/// Tampers, and says what is found with the key alone, and with a witness who has seen the end.
fn check(case: &Case, seed: u64, tally: &mut Tally) {
    let done = tamper(case, &SeededRng::new(seed), false);
    let known = Known { keys: vec![case.key.clone()], ..Known::default() };
    let alone = verify(&done.folder, &known).finding;
    let place =
        format!("case {seed}: {:?} at {:?} of {} ({})", done.kind, done.index, case.size(), case.signed);
    match &alone {
        None => {
            // The tail that is younger than the checkpoint, and nothing else.
            assert!(done.kept >= done.signed, "{place} was not found");
            assert_ne!(done.folder, case.folder(case.signed, false), "{place}: nothing was done");
            tally.missed += 1;
        }
        Some(finding) => {
            let (found, named) = tally.found.entry(done.kind).or_default();
            *found += 1;
            let right = done.what.contains(&finding.what)
                && done.index.is_none_or(|index| finding.index == Some(index as u64));
            *named += u64::from(right);
            assert!(right || !done.plain, "{place}, said to be {finding:?}");
        }
    }

    let done = tamper(case, &SeededRng::new(seed), true);
    let seen = case.note(case.size(), true).to_string().into_bytes();
    let known = Known { witnesses: vec![case.witness.clone()], checkpoints: vec![seen], ..known };
    assert!(verify(&done.folder, &known).finding.is_some(), "{place} was not found with a witness");
}

fn run(seeds: Range<u64>, cases: &[Case]) -> Tally {
    for case in cases {
        for witnessed in [false, true] {
            let seen = case.note(case.size(), true).to_string().into_bytes();
            let known = Known {
                keys: vec![case.key.clone()],
                witnesses: if witnessed { vec![case.witness.clone()] } else { Vec::new() },
                checkpoints: if witnessed && case.signed == case.size() { vec![seen] } else { Vec::new() },
            };
            let finding = verify(&case.folder(case.signed, witnessed), &known).finding;
            assert_eq!(finding, None, "a log of {} is in order", case.size());
        }
    }
    let mut tally = Tally::default();
    for seed in seeds.clone() {
        let at = usize::try_from(seed).expect("small") % cases.len();
        check(&cases[at], seed, &mut tally);
    }
    let found: u64 = tally.found.values().map(|(found, _)| found).sum();
    assert_eq!(found + tally.missed, seeds.end - seeds.start, "all were looked at");
    for (kind, (found, named)) in &tally.found {
        println!("{kind:?}: {found} found, {named} called what they were");
    }
    println!("{} beyond what a key alone shows", tally.missed);
    tally
}

/// To an older checkpoint of its own a log is set back without a trace but to a witness.
fn each_was_tried(tally: &Tally) {
    let found = |kind: &&Kind| tally.found.contains_key(kind);
    assert_eq!(Kind::ALL.iter().filter(found).count(), Kind::ALL.len() - 1, "each kind was tried");
    assert!(!tally.found.contains_key(&Kind::SetBack) && tally.missed > 0);
}

#[test]
fn tamperings_with_logs_of_some_records_are_all_found_and_most_are_named() {
    let cases: Vec<Case> = (1..=40)
        .map(|size| {
            let unsigned = if size % 2 == 0 { size / 4 } else { 0 };
            let changes = if size % 5 == 0 { vec![size / 5] } else { Vec::new() };
            Case::new(&Spec { size, unsigned, changes, pruned: 0, seed: size as u64 * 10 })
        })
        .collect();
    let tally = run(OF_SOME, &cases);
    each_was_tried(&tally);
    // Where the attacker has changed the tiles, too, only the chain is left to tell by.
    let any = [Kind::FlipByte, Kind::RemoveFile];
    let told = tally.found.iter().filter(|(kind, _)| !any.contains(kind));
    let (found, named) =
        told.fold((0, 0), |(found, named), (_, (more, right))| (found + more, named + right));
    assert!(named * 4 >= found * 3, "{named} of {found} are called what they were");
}

#[test]
fn tamperings_with_logs_of_hundreds_of_records_are_all_found() {
    let spec = |size: usize, unsigned, changes: &[usize], pruned| Spec {
        size,
        unsigned,
        changes: changes.to_vec(),
        pruned,
        seed: size as u64 * 10,
    };
    let cases = [
        spec(255, 0, &[], 0),
        spec(256, 0, &[100], 0),
        spec(257, 1, &[], 0),
        spec(300, 30, &[90, 200], 0),
        spec(400, 0, &[300], 256),
        spec(270, 5, &[], 256),
    ];
    let cases: Vec<Case> = cases.iter().map(Case::new).collect();
    let tally = run(OF_HUNDREDS, &cases);
    each_was_tried(&tally);
}

#[test]
fn tamperings_with_logs_of_thousands_of_records_are_all_found() {
    let cases = [
        Spec { size: 1_100, unsigned: 60, changes: vec![600, 700], pruned: 512, seed: 1 },
        Spec { size: 2_048, unsigned: 0, changes: vec![], pruned: 0, seed: 2 },
        Spec { size: 3_333, unsigned: 255, changes: vec![1_000, 2_000, 3_000], pruned: 0, seed: 3 },
        Spec { size: 5_000, unsigned: 1, changes: vec![4_096], pruned: 1_024, seed: 4 },
    ];
    let cases: Vec<Case> = cases.iter().map(Case::new).collect();
    run(OF_THOUSANDS, &cases);
}

#[test]
fn the_end_that_is_not_signed_yet_can_be_cut_and_nothing_else_of_it() {
    let case = Case::new(&Spec { size: 20, unsigned: 5, changes: vec![], pruned: 0, seed: 3 });
    let known = Known { keys: vec![case.key.clone()], ..Known::default() };
    let with = |lines: &[Vec<u8>]| {
        let mut folder = case.folder(15, false);
        put_lines(&mut folder, lines);
        verify(&folder, &known).finding
    };
    assert_eq!(with(&case.log.lines[..15]), None, "nobody has signed that there are more");
    assert!(with(&case.log.lines[..14]).is_some());
    let mut lines = case.log.lines.clone();
    lines.remove(17);
    assert!(with(&lines).is_some(), "the chain lacks one");
    // With a witness who has seen the end, that is found, too.
    let seen = case.note(20, true);
    let known = Known {
        witnesses: vec![case.witness.clone()],
        checkpoints: vec![seen.to_string().into_bytes()],
        ..known
    };
    let mut folder = case.folder(20, true);
    assert_eq!(verify(&folder, &known).finding, None);
    put_lines(&mut folder, &case.log.lines[..15]);
    let finding = verify(&folder, &known).finding.expect("found");
    assert_eq!((finding.index, finding.what), (Some(15), Tampering::Truncated));
}

#[test]
fn what_somebody_remembers_is_never_passed_over() {
    // Set back to before the key changed: nothing in the files says whose the newer checkpoint is.
    let case = Case::new(&Spec { size: 20, unsigned: 0, changes: vec![10], pruned: 0, seed: 5 });
    let folder = case.folder(8, false);
    let known = Known { keys: vec![case.key.clone()], ..Known::default() };
    assert_eq!(verify(&folder, &known).finding, None, "the key alone does not show it");
    let seen = case.note(20, false).to_string().into_bytes();
    for (remembered, what) in [(seen, Tampering::OtherKey), (b"nothing".to_vec(), Tampering::Checkpoint)] {
        let known = Known { checkpoints: vec![remembered], ..known.clone() };
        assert_eq!(verify(&folder, &known).finding.map(|finding| finding.what), Some(what));
    }
}

#[test]
fn a_tile_that_is_missing_is_found() {
    let case = Case::new(&Spec { size: 700, unsigned: 30, changes: vec![300], pruned: 256, seed: 6 });
    let known = Known { keys: vec![case.key.clone()], ..Known::default() };
    let whole = case.folder(case.signed, false);
    let tiles: Vec<&String> = whole.keys().filter(|path| path.starts_with("tile/")).collect();
    assert!(tiles.iter().any(|path| path.starts_with("tile/1/")), "of both levels: {tiles:?}");
    for path in tiles {
        let mut folder = whole.clone();
        folder.remove(path).expect("it was there");
        assert!(verify(&folder, &known).finding.is_some(), "{path}");
    }
}

#[test]
fn each_seed_makes_the_same_case_again() {
    let case = Case::new(&Spec { size: 30, unsigned: 3, changes: vec![], pruned: 0, seed: 7 });
    for seed in 0..50 {
        let [one, other] = [(); 2].map(|()| tamper(&case, &SeededRng::new(seed), true).folder);
        assert!(one == other, "{seed}");
    }
    let rng = SeededRng::new(1);
    assert!((0..100).all(|_| pick(&rng, 3) < 3) && rng.next_u64() > 0);
}
