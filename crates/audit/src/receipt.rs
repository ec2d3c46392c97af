//! A receipt: what shows that a record is in a log, to somebody who has a public key and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::tree::{self, Hash};
use crate::{Checkpoint, Note, PublicKey};

/// Shows that a record is in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Which log.
    pub origin: String,
    /// The record's place, from zero.
    pub index: u64,
    /// The hash of its leaf, in hex.
    pub leaf: String,
    /// The inclusion proof, the lowest hash first, in base64.
    pub proof: Vec<String>,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The line of the log, where it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
}

/// Why a receipt shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It cannot be read.
    #[error("the receipt cannot be read")]
    Unreadable,
    /// It is of another log than the key.
    #[error("the receipt is of another log")]
    Origin,
    /// The key did not sign it.
    #[error("the checkpoint is not signed by this key")]
    Signature,
    /// The entry is not the one of the leaf.
    #[error("the entry does not fit its leaf")]
    Entry,
    /// The proof leads elsewhere.
    #[error("the proof does not lead to the checkpoint")]
    Proof,
}

impl Receipt {
    /// Makes one.
    #[must_use]
    pub fn new(origin: &str, index: u64, leaf: &Hash, proof: &[Hash], checkpoint: String) -> Self {
        Self {
            origin: origin.to_owned(),
            index,
            leaf: crate::hex(leaf),
            proof: proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
            checkpoint,
            entry: None,
        }
    }

    /// Checks it, and gives the checkpoint that it leads to.
    ///
    /// # Errors
    /// [`ReceiptError`]
    pub fn check(&self, key: &PublicKey) -> Result<Checkpoint, ReceiptError> {
        let note = Note::parse(self.checkpoint.as_bytes()).ok_or(ReceiptError::Unreadable)?;
        let checkpoint = Checkpoint::parse(note.text()).ok_or(ReceiptError::Unreadable)?;
        if checkpoint.origin != self.origin || key.name() != self.origin {
            return Err(ReceiptError::Origin);
        }
        if !note.is_signed_by(key) {
            return Err(ReceiptError::Signature);
        }
        let leaf = crate::unhex(&self.leaf).ok_or(ReceiptError::Unreadable)?;
        if self.entry.as_ref().is_some_and(|entry| tree::leaf_hash(entry.as_bytes()) != leaf) {
            return Err(ReceiptError::Entry);
        }
        let hash = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
        let proof: Option<Vec<Hash>> = self.proof.iter().map(hash).collect();
        let proof = proof.ok_or(ReceiptError::Unreadable)?;
        let leads = tree::is_included(&proof, self.index, checkpoint.size, &leaf, &checkpoint.root);
        if leads { Ok(checkpoint) } else { Err(ReceiptError::Proof) }
    }
}
