//! Receipts.

use audit::tree::leaf_hash;
use audit::{Receipt, ReceiptError};

use crate::{Log, signer};

#[test]
fn a_receipt_is_checked_with_a_key_and_nothing_else() {
    let log = Log::of("acme", 300, 3);
    let (key, tiles) = (log.key(&signer(1)), log.edge(300).1);
    let note = log.checkpoint(300).sign(&[&signer(1)]).to_string();
    let proof = tiles.inclusion(77, 300).expect("all tiles");
    let mut receipt = Receipt::new(&log.origin, 77, &leaf_hash(&log.lines[77]), &proof, note);
    assert_eq!(receipt.check(&key).map(|checkpoint| checkpoint.size), Ok(300));
    receipt.entry = Some(String::from_utf8(log.lines[77].clone()).expect("a line"));
    assert_eq!(receipt.check(&key).map(|checkpoint| checkpoint.size), Ok(300));

    let wrong = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = receipt.clone();
        change(&mut receipt);
        receipt.check(&key).expect_err("it shows nothing")
    };
    assert_eq!(wrong(&|receipt| receipt.index = 78), ReceiptError::Proof);
    assert_eq!(wrong(&|receipt| receipt.proof.truncate(1)), ReceiptError::Proof);
    assert_eq!(wrong(&|receipt| receipt.entry = Some("{}".to_owned())), ReceiptError::Entry);
    assert_eq!(wrong(&|receipt| receipt.origin = "gate.example/other".to_owned()), ReceiptError::Origin);
    let other = log.checkpoint(300).sign(&[&signer(2)]).to_string();
    assert_eq!(wrong(&|receipt| receipt.checkpoint.clone_from(&other)), ReceiptError::Signature);
    assert_eq!(wrong(&|receipt| receipt.checkpoint.clear()), ReceiptError::Unreadable);
    assert_eq!(receipt.check(&Log::new("other").key(&signer(1))), Err(ReceiptError::Origin));
}
