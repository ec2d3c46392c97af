//! Keys that change, witnesses, tenants, pruning.

use audit::{CHECKPOINT, HISTORY, Known, Tampering, hex, verify};
use model::{SeededRng, Timestamp};

use crate::{Folder, Log, NOW, event, put_lines, signer};

fn known(log: &Log, byte: u8) -> Known {
    Known { keys: vec![log.key(&signer(byte))], ..Known::default() }
}

fn what(folder: &Folder, known: &Known) -> Option<Tampering> {
    verify(folder, known).finding.map(|finding| finding.what)
}

/// A log that changed from the key 1 to the key 2 after ten records.
fn changed() -> (Log, Folder) {
    let mut log = Log::of("acme", 10, 1);
    let mut change = event("acme", 10);
    change.kind = "key_change";
    change.details.insert("key", log.key(&signer(2)).to_string());
    change.details.insert("before", log.key(&signer(1)).to_string());
    log.add(&change, &SeededRng::new(7));
    let at_change = log.checkpoint(11).sign(&[&signer(1), &signer(2)]);
    for number in 11..20 {
        log.add(&event("acme", number), &SeededRng::new(number));
    }
    let mut folder = log.folder(20, &log.checkpoint(20).sign(&[&signer(2)]));
    folder.insert(HISTORY.to_owned(), format!("{}\n", hex(at_change.to_string().as_bytes())).into_bytes());
    (log, folder)
}

#[test]
fn a_key_that_the_one_before_announced_is_trusted() {
    let (log, mut folder) = changed();
    let report = verify(&folder, &known(&log, 1));
    assert_eq!((report.finding, report.keys.len(), report.size), (None, 2, 20));
    assert_eq!(what(&folder, &known(&log, 2)), None, "and by itself");
    assert_eq!(what(&folder, &known(&log, 3)), Some(Tampering::OtherKey));
    folder.remove(HISTORY);
    assert_eq!(what(&folder, &known(&log, 1)), Some(Tampering::OtherKey), "nobody vouches for it");
}

#[test]
fn a_key_that_announces_itself_is_not_trusted() {
    let (log, mut folder) = changed();
    let own = log.checkpoint(11).sign(&[&signer(2)]).to_string();
    folder.insert(HISTORY.to_owned(), hex(own.as_bytes()).into_bytes());
    assert_eq!(what(&folder, &known(&log, 1)), Some(Tampering::OtherKey));
}

#[test]
fn a_log_of_another_tenant_is_told_from_ones_own() {
    let (own, other) = (Log::of("acme", 20, 1), Log::of("globex", 20, 2));
    let folder = other.folder(20, &other.checkpoint(20).sign(&[&signer(1)]));
    assert_eq!(what(&folder, &known(&own, 1)), Some(Tampering::Replayed));
    // Its records under a checkpoint of one's own.
    let stolen = Log { origin: own.origin.clone(), ..other.clone() };
    let folder = stolen.folder(20, &stolen.checkpoint(20).sign(&[&signer(1)]));
    assert_eq!(what(&folder, &known(&own, 1)), Some(Tampering::Replayed));
    // One of them in one's own log.
    let mut folder = own.folder(20, &own.checkpoint(20).sign(&[&signer(1)]));
    let mut lines = own.lines.clone();
    lines.insert(7, other.lines[7].clone());
    put_lines(&mut folder, &lines);
    let finding = verify(&folder, &known(&own, 1)).finding.expect("found");
    assert_eq!((finding.index, finding.what), (Some(7), Tampering::Replayed));
}

#[test]
fn a_log_that_was_set_back_or_signed_twice_is_found_by_who_remembers() {
    let log = Log::of("acme", 30, 1);
    let (witness, key) = log.checkpoint(30).sign(&[&signer(1)]).cosign("witness.example", &signer(5), NOW);
    let set_back = Log { lines: log.lines[..20].to_vec(), ..log.clone() };
    let folder = set_back.folder(20, &set_back.checkpoint(20).sign(&[&signer(1)]));
    assert_eq!(what(&folder, &known(&log, 1)), None, "the key alone does not show it");
    let remembers = Known { checkpoints: vec![witness.to_string().into_bytes()], ..known(&log, 1) };
    let finding = verify(&folder, &remembers).finding.expect("found");
    assert_eq!((finding.index, finding.what), (Some(20), Tampering::Truncated));
    let asks = Known { witnesses: vec![key.clone()], ..known(&log, 1) };
    assert_eq!(what(&folder, &asks), Some(Tampering::Unwitnessed));
    assert_eq!(what(&log.folder(30, &witness), &asks), None);
    let forked = Log::of("acme", 30, 2);
    let folder = forked.folder(30, &forked.checkpoint(30).sign(&[&signer(1)]));
    assert_eq!(what(&folder, &remembers), Some(Tampering::Forked));
    // What a witness signed is not what it signed at another time.
    let (later, _) =
        log.checkpoint(30).sign(&[&signer(1)]).cosign("witness.example", &signer(5), Timestamp(1));
    assert_ne!(later, witness);
    assert!(later.is_signed_by(&key) && !later.is_signed_by(&log.key(&signer(5))));
}

#[test]
fn an_empty_log_and_an_empty_period_are_signed() {
    let log = Log::new("acme");
    let folder = log.folder(0, &log.checkpoint(0).sign(&[&signer(1)]));
    assert_eq!(what(&folder, &known(&log, 1)), None);
    let log = Log::of("acme", 5, 1);
    let mut checkpoint = log.checkpoint(5);
    checkpoint.at = Some(Timestamp(NOW.0 + 3_600_000));
    let report = verify(&log.folder(5, &checkpoint.sign(&[&signer(1)])), &known(&log, 1));
    assert_eq!((report.finding, report.at), (None, checkpoint.at));
}

#[test]
fn what_was_pruned_is_missing_only_where_the_log_says_so() {
    let mut log = Log::of("acme", 600, 1);
    let unsaid = log.folder(600, &log.checkpoint(600).sign(&[&signer(1)]));
    let mut prune = event("acme", 600);
    prune.kind = "audit_prune";
    prune.details.insert("below", "512".to_owned());
    log.add(&prune, &SeededRng::new(7));
    let said = log.folder(601, &log.checkpoint(601).sign(&[&signer(1)]));
    let without = |mut folder: Folder, gone: &[&str]| {
        gone.iter().for_each(|path| drop(folder.remove(*path).expect("it was there")));
        verify(&folder, &known(&log, 1))
    };
    let (first, second) = ("tile/entries/000", "tile/entries/001");
    let report = without(said.clone(), &[first, second]);
    assert_eq!((report.finding, report.first, report.size), (None, 512, 601));
    let finding = without(unsaid, &[first, second]).finding.expect("found");
    assert_eq!((finding.index, finding.what), (Some(0), Tampering::Removed));
    let finding = without(said.clone(), &[second]).finding.expect("found");
    assert_eq!((finding.index, finding.what), (Some(256), Tampering::Truncated));
    // Where nobody has signed that they were, anybody may have said so.
    let unsigned = log.folder(600, &log.checkpoint(600).sign(&[&signer(1)]));
    let finding = without(unsigned, &[first, second]).finding.expect("found");
    assert_eq!((finding.index, finding.what), (Some(0), Tampering::Removed));
    // The hashes of what was pruned are still held against the checkpoint.
    let mut folder = said;
    folder.remove(first).expect("it was there");
    folder.get_mut("tile/0/000").expect("a tile")[3] ^= 1;
    assert!(what(&folder, &known(&log, 1)).is_some());
}

#[test]
fn what_is_no_checkpoint_is_said_to_be_none() {
    let log = Log::of("acme", 5, 1);
    let mut folder = log.folder(5, &log.checkpoint(5).sign(&[&signer(1)]));
    folder.insert(CHECKPOINT.to_owned(), b"nothing\n".to_vec());
    assert_eq!(what(&folder, &known(&log, 1)), Some(Tampering::Checkpoint));
    folder.remove(CHECKPOINT);
    assert_eq!(what(&folder, &known(&log, 1)), Some(Tampering::Checkpoint));
}
