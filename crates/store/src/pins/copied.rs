//! Definitions on their way to another store: what was approved, and the texts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    APPROVED_MAX, HISTORY_MAX, PIN_NAME_BYTES_MAX, PIN_TEXT_BYTES_MAX, PINS_MAX, PinKey, PinOffice, PinRow,
    SEEN_MAX, SERIAL, SERIAL_NAME, TEXTS, forget_texts, row,
};
use crate::{StoreError, Tx};

/// A definition and the texts that are known of it, by their hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinCopy {
    /// What is known of it.
    pub pin: PinRow,
    /// The texts, as far as they were kept.
    pub texts: BTreeMap<String, String>,
}

/// What a store knew before copies were put into it, so that it can be put back.
#[derive(Debug, Clone, Default)]
pub struct PinsBefore(Vec<(PinKey, Option<PinCopy>)>);

impl PinsBefore {
    /// How many definitions were changed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PinCopy {
    /// What is wrong with a copy that comes from elsewhere; `None`: nothing.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let PinKey { upstream, kind, name } = &self.pin.key;
        let pin = &self.pin;
        let kept = pin.approved.len() <= APPROVED_MAX
            && pin.seen.len() <= SEEN_MAX
            && pin.history.len() <= HISTORY_MAX;
        let hashes: BTreeSet<&String> = pin.versions().map(|version| &version.hash).collect();
        match () {
            () if !["tool", "prompt", "template"].contains(&kind.as_str()) => Some("it is of no known kind"),
            () if name.len() > PIN_NAME_BYTES_MAX || upstream.len() > PIN_NAME_BYTES_MAX => {
                Some("its name is too long")
            }
            () if !kept => Some("it has more versions than are kept"),
            () if pin.versions().any(|version| version.hash.is_empty() || version.hash.len() > 200) => {
                Some("one of its hashes is none")
            }
            () if self.texts.keys().any(|hash| !hashes.contains(hash)) => Some("a text is of no version"),
            () if self.texts.values().any(|text| text.len() > PIN_TEXT_BYTES_MAX) => {
                Some("a text is too long")
            }
            () => None,
        }
    }

    /// What a store knows once this is put over what it knew: what is approved here is approved there, and
    /// what else was seen or approved there is kept. `None`: it knows it already.
    fn over(&self, known: Option<&PinRow>) -> Option<PinRow> {
        let Some(known) = known else { return Some(self.pin.clone()) };
        let hashes = |pin: &PinRow| pin.approved.iter().map(|v| v.hash.clone()).collect::<BTreeSet<_>>();
        if hashes(known) == hashes(&self.pin) && known.denied.is_some() == self.pin.denied.is_some() {
            return None;
        }
        let mut pin = known.clone();
        let before = std::mem::replace(&mut pin.approved, self.pin.approved.clone());
        pin.denied.clone_from(&self.pin.denied);
        let approved = hashes(&pin);
        pin.history.splice(0..0, before);
        pin.history.retain(|version| !approved.contains(&version.hash));
        pin.history.truncate(HISTORY_MAX);
        pin.seen.retain(|version| !approved.contains(&version.hash));
        Some(pin)
    }
}

impl PinOffice {
    /// All that is known of definitions, with the texts, by key.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn copies(&self) -> Result<Vec<PinCopy>, StoreError> {
        let (_, mut pins) = self.all().await?;
        pins.sort_by(|a, b| a.key.cmp(&b.key));
        let mut copies = Vec::with_capacity(pins.len());
        for pin in pins {
            copies.push(self.copy_of(pin).await?);
        }
        Ok(copies)
    }

    async fn copy_of(&self, pin: PinRow) -> Result<PinCopy, StoreError> {
        let mut texts = BTreeMap::new();
        for version in pin.versions() {
            let text = self.text(&pin.key, &version.hash).await?;
            texts.extend(text.map(|text| (version.hash.clone(), text)));
        }
        Ok(PinCopy { pin, texts })
    }

    /// Which of these copies would change something here.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn would_change(&self, copies: &[PinCopy]) -> Result<Vec<PinKey>, StoreError> {
        let (_, known) = self.all().await?;
        let known: BTreeMap<&PinKey, &PinRow> = known.iter().map(|pin| (&pin.key, pin)).collect();
        let changes = copies.iter().filter(|copy| copy.over(known.get(&copy.pin.key).copied()).is_some());
        Ok(changes.map(|copy| copy.pin.key.clone()).collect())
    }

    /// Puts copies into the store: all of them in one transaction, or none. Once this returns, replicas
    /// follow within seconds. What was known before can be put back with [`Self::put_back`].
    ///
    /// # Errors
    /// [`StoreError`], also [`StoreError::Conflict`] where somebody else changed one meanwhile.
    pub async fn put_copies(&self, copies: &[PinCopy]) -> Result<PinsBefore, StoreError> {
        if copies.len() > PINS_MAX {
            return Err(StoreError::Corrupt(format!("there are more than {PINS_MAX} pins")));
        }
        let (mut changes, mut before) = (Vec::new(), Vec::new());
        for copy in copies {
            let known = self.pin(&copy.pin.key).await?;
            let Some(mut pin) = copy.over(known.as_ref()) else { continue };
            pin.version = known.as_ref().map_or(0, |known| known.version);
            let old = match &known {
                Some(known) => Some(self.copy_of(known.clone()).await?),
                None => None,
            };
            before.push((copy.pin.key.clone(), old));
            changes.push((known, pin, &copy.texts));
        }
        self.commit(&changes, &[]).await?;
        Ok(PinsBefore(before))
    }

    /// Puts back what was known before.
    ///
    /// # Errors
    /// As [`Self::put_copies`].
    pub async fn put_back(&self, before: &PinsBefore) -> Result<(), StoreError> {
        let (mut changes, mut gone) = (Vec::new(), Vec::new());
        for (key, old) in &before.0 {
            let known = self.pin(key).await?;
            match (old, known) {
                (Some(old), known) => {
                    let version = known.as_ref().map_or(0, |known| known.version);
                    changes.push((known, PinRow { version, ..old.pin.clone() }, &old.texts));
                }
                (None, Some(known)) => gone.push(known),
                (None, None) => {}
            }
        }
        self.commit(&changes, &gone).await
    }

    async fn commit(
        &self,
        changes: &[(Option<PinRow>, PinRow, &BTreeMap<String, String>)],
        gone: &[PinRow],
    ) -> Result<(), StoreError> {
        if changes.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let serial = self.serial().await?;
        let mut tx = self.store.begin().await?;
        for (known, pin, texts) in changes {
            if !tx.grant_put(&pin.write()?).await? {
                return Err(StoreError::Conflict);
            }
            if let Some(known) = known {
                forget_texts(&mut *tx, known, pin).await?;
            }
            for version in pin.versions() {
                if let Some(text) = texts.get(&version.hash) {
                    // One that is there already is the same: its hash is its name.
                    let name = pin.key.text_name(&version.hash);
                    tx.grant_put(&row(name, TEXTS, 0, text.clone())).await?;
                }
            }
        }
        for pin in gone {
            forget(&mut *tx, pin).await?;
        }
        if !tx.grant_put(&row(SERIAL_NAME.to_owned(), SERIAL, serial, bytes::Bytes::new())).await? {
            return Err(StoreError::Conflict);
        }
        tx.commit().await
    }
}

/// Takes a definition out, with its texts.
async fn forget(tx: &mut dyn Tx, pin: &PinRow) -> Result<(), StoreError> {
    for version in pin.versions() {
        tx.grant_remove(&pin.key.text_name(&version.hash)).await?;
    }
    tx.grant_remove(&pin.key.row_name()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Clock, ManualClock, Timestamp};

    use super::super::{First, Sighting};
    use super::*;
    use crate::{Fault, Faulty, Memory, PinState, Store};

    fn office() -> (PinOffice, Arc<Faulty>) {
        let (store, clock) =
            (Arc::new(Faulty::new(Arc::new(Memory::new()))), ManualClock::at(Timestamp(1000)));
        let clock = Arc::new(clock) as Arc<dyn Clock>;
        (PinOffice::new(Arc::clone(&store) as Arc<dyn Store>, clock), store)
    }

    fn key(name: &str) -> PinKey {
        PinKey { upstream: "crm".to_owned(), kind: "tool".to_owned(), name: name.to_owned() }
    }

    async fn see(office: &PinOffice, name: &str, hash: &str) {
        let (key, hash, text) = (key(name), format!("pin1:{hash}"), format!("text of {hash}"));
        office.see(&[Sighting { key, hash, text }], First::Approve).await.expect("it is noted");
    }

    async fn source() -> Vec<PinCopy> {
        let (office, _) = office();
        for (name, hash) in [("add", "a"), ("add", "b"), ("sub", "a"), ("mul", "a")] {
            see(&office, name, hash).await;
        }
        office.approve(&key("add"), "b", false, "ann").await.expect("it was seen");
        office.deny(&key("sub"), "ann").await.expect("it was seen");
        office.copies().await.expect("copies")
    }

    #[tokio::test]
    async fn a_store_knows_what_was_copied_into_it_as_the_other_knew_it() {
        let copies = source().await;
        assert!(copies.iter().all(|copy| copy.fault().is_none()));
        let (other, _) = office();
        assert_eq!(other.would_change(&copies).await.expect("a plan").len(), 3);
        assert_eq!(other.put_copies(&copies).await.expect("they are put").len(), 3);
        let there = other.copies().await.expect("copies");
        let known = |copies: &[PinCopy]| {
            let all = copies.iter().map(|copy| serde_json::to_value(copy).expect("JSON"));
            all.collect::<Vec<_>>()
        };
        assert_eq!(known(&there), known(&copies));
        assert!(other.put_copies(&copies).await.expect("again").is_empty(), "nothing is new the second time");
        let add = other.pin(&key("add")).await.unwrap().expect("it is there");
        assert!(add.approves("pin1:b") && !add.approves("pin1:a"));
        assert_eq!(other.text(&key("add"), "pin1:a").await.unwrap().as_deref(), Some("text of a"));
    }

    #[tokio::test]
    async fn what_is_approved_there_gives_way_and_can_be_put_back() {
        let copies = source().await;
        let (other, _) = office();
        see(&other, "add", "c").await;
        see(&other, "add", "b").await;
        see(&other, "own", "x").await;
        let before = other.copies().await.unwrap();
        let undo = other.put_copies(&copies).await.expect("they are put");
        let add = other.pin(&key("add")).await.unwrap().expect("it is there");
        assert_eq!(
            (add.state(), add.approves("pin1:b"), add.approves("pin1:c")),
            (PinState::Approved, true, false)
        );
        assert_eq!(add.history[0].hash, "pin1:c", "one can go back to it");
        assert!(other.pin(&key("own")).await.unwrap().is_some(), "what the copy does not know stays");
        let serial = other.serial().await.unwrap();
        other.put_back(&undo).await.expect("it is put back");
        assert!(other.serial().await.unwrap() > serial, "replicas are told");
        let hashes = |copies: &[PinCopy]| {
            let all = copies
                .iter()
                .map(|copy| (copy.pin.key.clone(), copy.pin.approved.clone(), copy.texts.clone()));
            all.collect::<Vec<_>>()
        };
        assert_eq!(hashes(&other.copies().await.unwrap()), hashes(&before));
    }

    #[tokio::test]
    async fn a_store_that_fails_takes_none_of_them() {
        let copies = source().await;
        let (other, store) = office();
        store.faults().down(Some(Fault::Before));
        assert!(other.put_copies(&copies).await.is_err());
        store.faults().down(None);
        assert!(other.copies().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_copy_that_no_store_would_have_is_told_apart() {
        let good = source().await.remove(0);
        let with = |change: &dyn Fn(&mut PinCopy)| {
            let mut copy = good.clone();
            change(&mut copy);
            copy.fault()
        };
        assert_eq!(with(&|_| {}), None);
        assert!(with(&|copy| copy.pin.key.kind = "thing".to_owned()).is_some());
        assert!(with(&|copy| copy.pin.key.name = "x".repeat(2000)).is_some());
        assert!(with(&|copy| copy.pin.approved = vec![copy.pin.approved[0].clone(); 9]).is_some());
        assert!(with(&|copy| drop(copy.texts.insert("pin1:z".to_owned(), String::new()))).is_some());
    }
}
