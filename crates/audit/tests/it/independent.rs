//! What others' implementations say of our tiles and notes.

use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, HashReader as _, Tile, TileHashReader, TileReader, check_record, check_tree,
    prove_record, prove_tree, record_hash,
};

use crate::{Folder, Log, signer};

struct Reader<'a>(&'a Folder);

impl TileReader for Reader<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = tiles.iter().map(|tile| {
            // `tlog-tiles` leaves out the height, which is always 8, that the crate's paths begin with.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            self.0.get(&path).cloned().unwrap_or_else(|| panic!("there is no {path}"))
        });
        Ok(read.collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[test]
fn another_implementation_accepts_our_checkpoints_tiles_and_proofs() {
    let signer = signer(1);
    for size in [1_usize, 2, 255, 256, 257, 700] {
        let log = Log::of("acme inc", size as u64, 5);
        let folder = log.folder(size, &log.checkpoint(size).sign(&[&signer]));
        let verifier = StandardVerifier::new(&log.key(&signer).to_string()).expect("a key");
        let note = Note::from_bytes(&folder["checkpoint"]).expect("a note");
        let (known, others) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).expect("signed");
        assert_eq!((known.len(), others.len()), (1, 0));
        let checkpoint = Checkpoint::from_bytes(note.text()).expect("a checkpoint");
        assert_eq!((checkpoint.origin(), checkpoint.size()), (log.origin.as_str(), size as u64));
        let (size, root) = (size as u64, *checkpoint.hash());
        let reader = Reader(&folder);
        let hashes = TileHashReader::new(size, root, &reader);
        let ours = log.edge(usize::try_from(size).expect("small")).1;
        for index in (0..size).step_by(61) {
            let line = &log.lines[usize::try_from(index).expect("small")];
            let leaf = record_hash(line);
            let proof = prove_record(size, index, &hashes).expect("a proof by their tiles");
            check_record(&proof, size, root, index, leaf).expect("it is good");
            let same: Vec<Hash> = ours.inclusion(index, size).expect("ours").into_iter().map(Hash).collect();
            assert_eq!(proof, same, "{index} in {size}");
            if index > 0 {
                let old = Hash(log.edge(usize::try_from(index).expect("small")).0.root());
                let proof = prove_tree(size, index, &hashes).expect("a proof by their tiles");
                check_tree(&proof, size, root, index, old).expect("it is good");
                let same = ours.consistency(index, size).expect("ours");
                assert_eq!(proof, same.into_iter().map(Hash).collect::<Vec<_>>(), "{index} to {size}");
            }
        }
        assert!(hashes.read_hashes(&[0]).is_ok());
    }
}

#[test]
fn a_note_of_another_implementation_is_ours_too() {
    let name = "gate.example/acme";
    let key = {
        let public = signer(9).public();
        let id = signed_note::key_id(name, &[&[1][..], &public].concat());
        audit::PublicKey::of(name, &signer(9)).id() == id.to_be_bytes()
    };
    assert!(key, "ids of keys are the same");
    let log = Log::of("acme", 3, 1);
    let note = log.checkpoint(3).sign(&[&signer(9), &signer(8)]);
    let again = Note::from_bytes(note.to_string().as_bytes()).expect("a note");
    assert_eq!(again.to_bytes(), note.to_string().into_bytes());
    assert_eq!(audit::Note::parse(&again.to_bytes()), Some(note));
}
