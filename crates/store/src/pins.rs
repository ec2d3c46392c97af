//! Definitions of tools, prompts and resource templates, as far as a store knows of them: which were
//! approved, by whom, and what was seen instead. Here, because operators decide where nobody calls.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::row::ms;
use crate::{GRANT_BYTES_MAX, GrantFilter, GrantRow, Store, StoreError, Tx};

mod copied;

pub use copied::{PinCopy, PinsBefore};

/// What pins and their texts are for, in place of an upstream, which nobody can call so.
const PINS: &str = "@pins";
const TEXTS: &str = "@pintexts";
const SERIAL: &str = "@pinserial";
/// What begins their names. They come before those of bars, which are read without them.
const PREFIX: &str = "pin/";
const TEXT_PREFIX: &str = "pintext/";
const SERIAL_NAME: &str = "pinserial";
/// Rows that are read, and changed in one transaction.
const PAGE: usize = 200;
/// Pins, at most: all of them are in the memory of each replica.
pub const PINS_MAX: usize = 100_000;
/// Other definitions that were seen and not approved, of each pin.
const SEEN_MAX: usize = 4;
/// Definitions that were approved before, of each pin.
const HISTORY_MAX: usize = 5;
/// Definitions of one pin that are approved at a time.
const APPROVED_MAX: usize = 8;
/// The longest name that is pinned.
pub const PIN_NAME_BYTES_MAX: usize = 1_024;
/// The longest definition whose text is kept. Of a longer one its hash and length are.
pub const PIN_TEXT_BYTES_MAX: usize = GRANT_BYTES_MAX - 1_024;
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(20);
/// As late as a time can be written: the year 9999.
const NEVER: Timestamp = Timestamp(253_402_300_799_000);

/// Who approves what is seen first, where nobody is asked.
pub const FIRST_SIGHT: &str = "first sight";

/// Which definition is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PinKey {
    /// The upstream.
    pub upstream: String,
    /// `tool`, `prompt` or `template`.
    pub kind: String,
    /// The upstream's own name, or the template.
    pub name: String,
}

impl PinKey {
    /// The parts of it that stand in names of rows.
    fn digest(&self) -> String {
        let mut bytes = Vec::new();
        for part in [&self.upstream, &self.kind, &self.name] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        seal::sha256(&bytes)[..20].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn row_name(&self) -> String {
        format!("{PREFIX}{}", self.digest())
    }

    fn text_name(&self, hash: &str) -> String {
        format!("{TEXT_PREFIX}{}/{hash}", self.digest())
    }
}

/// One definition, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinVersion {
    /// Its hash.
    pub hash: String,
    /// How long its text is. It is kept up to [`PIN_TEXT_BYTES_MAX`].
    pub bytes: usize,
    /// When it was seen first.
    #[serde(with = "ms")]
    pub seen: Timestamp,
    /// When it was approved, and by whom.
    pub approved: Option<Approval>,
}

/// That a definition was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// When.
    #[serde(with = "ms")]
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// What is known of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// Which.
    pub key: PinKey,
    /// Those that are approved, the newest first. More than one only where somebody said so: a server may
    /// show its users different ones.
    pub approved: Vec<PinVersion>,
    /// Others that were seen since, the newest first.
    pub seen: Vec<PinVersion>,
    /// Those that were approved before, the newest first.
    pub history: Vec<PinVersion>,
    /// Who said that none is to be used.
    pub denied: Option<Approval>,
    /// How often it was written.
    #[serde(skip)]
    version: u64,
}

/// What may become of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinState {
    /// It is the one that was approved.
    Approved,
    /// Another was seen than the one that was approved.
    Drifted,
    /// None was ever approved.
    Quarantined,
    /// Somebody said that none is to be used.
    Denied,
}

impl PinState {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Drifted => "drifted",
            Self::Quarantined => "quarantined",
            Self::Denied => "denied",
        }
    }
}

impl PinRow {
    fn new(key: PinKey) -> Self {
        let (approved, seen, history) = (Vec::new(), Vec::new(), Vec::new());
        Self { key, approved, seen, history, denied: None, version: 0 }
    }

    /// What is to be said of it.
    #[must_use]
    pub fn state(&self) -> PinState {
        match () {
            () if self.denied.is_some() => PinState::Denied,
            () if self.approved.is_empty() => PinState::Quarantined,
            () if self.seen.is_empty() => PinState::Approved,
            () => PinState::Drifted,
        }
    }

    /// Whether a definition of this hash may be used.
    #[must_use]
    pub fn approves(&self, hash: &str) -> bool {
        self.denied.is_none() && self.approved.iter().any(|version| version.hash == hash)
    }

    /// Whether a definition of this hash was seen, whatever came of it.
    #[must_use]
    pub fn knows(&self, hash: &str) -> bool {
        self.approved.iter().chain(&self.seen).any(|version| version.hash == hash)
    }

    /// All definitions of which something is kept: approved, seen, approved before.
    pub fn versions(&self) -> impl Iterator<Item = &PinVersion> {
        self.approved.iter().chain(&self.seen).chain(&self.history)
    }

    /// The one definition whose hash begins so, with or without its version prefix.
    ///
    /// # Errors
    /// [`PinError::Hash`]: none or several.
    pub fn version_of(&self, prefix: &str) -> Result<&PinVersion, PinError> {
        let digits = |hash: &str| hash.split_once(':').map_or(0, |(version, _)| version.len() + 1);
        let fits =
            |v: &&PinVersion| v.hash.starts_with(prefix) || v.hash[digits(&v.hash)..].starts_with(prefix);
        let mut found = self.versions().filter(fits);
        match (prefix.is_empty(), found.next(), found.next()) {
            (false, Some(only), None) => Ok(only),
            _ => Err(PinError::Hash(prefix.to_owned())),
        }
    }

    /// Takes note of what was seen. Says whether that is news.
    fn see(&mut self, sighting: &Sighting, first: First, now: Timestamp) -> bool {
        if self.knows(&sighting.hash) {
            return false;
        }
        let is_first = self.version == 0 && self.approved.is_empty() && self.seen.is_empty();
        let by = || Approval { at: now, by: FIRST_SIGHT.to_owned() };
        let approved = (is_first && first == First::Approve).then(by);
        let (hash, bytes) = (sighting.hash.clone(), sighting.text.len());
        let place = if approved.is_some() { &mut self.approved } else { &mut self.seen };
        place.insert(0, PinVersion { hash, bytes, seen: now, approved });
        self.seen.truncate(SEEN_MAX);
        true
    }

    /// Approves the definition of this hash, in place of the others or beside them.
    fn approve(&mut self, hash: &str, also: bool, approval: &Approval) -> Result<(), PinError> {
        let mut version = self.version_of(hash)?.clone();
        let hash = version.hash.clone();
        for list in [&mut self.approved, &mut self.seen, &mut self.history] {
            list.retain(|other| other.hash != hash);
        }
        version.approved = Some(approval.clone());
        if also && self.approved.len() >= APPROVED_MAX {
            return Err(PinError::TooMany);
        }
        if !also {
            let before = std::mem::take(&mut self.approved);
            self.history.splice(0..0, before);
            // What was seen and passed over is settled by this.
            self.seen.clear();
        }
        self.approved.insert(0, version);
        self.history.truncate(HISTORY_MAX);
        self.denied = None;
        Ok(())
    }

    /// Approves what was approved before the last time; what was approved until now is something that was
    /// seen.
    fn roll_back(&mut self, approval: &Approval) -> Result<(), PinError> {
        let mut before = match self.history.is_empty() {
            true => return Err(PinError::NothingBefore),
            false => self.history.remove(0),
        };
        before.approved = Some(approval.clone());
        let until_now = std::mem::replace(&mut self.approved, vec![before]);
        self.seen.splice(0..0, until_now);
        self.seen.truncate(SEEN_MAX);
        self.denied = None;
        Ok(())
    }

    fn write(&self) -> Result<GrantRow, StoreError> {
        let data = serde_json::to_vec(self).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok(row(self.key.row_name(), PINS, self.version, data))
    }

    fn read(row: &GrantRow) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::Corrupt(format!("the pin {} cannot be read", row.name));
        let pin: Self = serde_json::from_slice(&row.data).map_err(corrupt)?;
        Ok(Self { version: row.version, ..pin })
    }
}

fn row(name: String, what: &str, version: u64, data: impl Into<Bytes>) -> GrantRow {
    GrantRow {
        name,
        tenant: String::new(),
        holder: String::new(),
        upstream: what.to_owned(),
        version,
        expires: NEVER,
        data: data.into(),
    }
}

/// What becomes of a definition that is seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum First {
    /// It is approved.
    Approve,
    /// It waits until somebody approves it.
    Quarantine,
}

/// A definition that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub key: PinKey,
    /// Its hash.
    pub hash: String,
    /// Its text.
    pub text: String,
}

/// Why something is not done to a pin.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// There is none.
    #[error("find {} {} of {}: it was never seen", .0.kind, .0.name, .0.upstream)]
    Unknown(PinKey),
    /// No definition, or more than one, is meant.
    #[error("find one definition whose hash begins with {0:?}")]
    Hash(String),
    /// There is nothing to go back to.
    #[error("roll back: nothing else was approved before")]
    NothingBefore,
    /// Too many are approved at a time.
    #[error("approve one more: there are {APPROVED_MAX} already")]
    TooMany,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sees and changes what a store knows of definitions.
#[derive(Clone)]
pub struct PinOffice {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for PinOffice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinOffice").finish_non_exhaustive()
    }
}

impl PinOffice {
    /// For the pins of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// A number that grows with each change of any pin.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn serial(&self) -> Result<u64, StoreError> {
        Ok(self.store.grant(SERIAL_NAME).await?.map_or(0, |row| row.version))
    }

    /// All pins, with the number that they had at least.
    ///
    /// # Errors
    /// [`StoreError`], also where there are more than a replica can keep.
    pub async fn all(&self) -> Result<(u64, Vec<PinRow>), StoreError> {
        // What changes while they are read has a later number, and is read again.
        let serial = self.serial().await?;
        let filter = GrantFilter { upstream: Some(PINS.to_owned()), ..GrantFilter::default() };
        let (mut all, mut after) = (Vec::new(), PREFIX.to_owned());
        loop {
            let page = self.store.grants(&filter, Some(&after), PAGE).await?;
            for row in &page {
                all.push(PinRow::read(row)?);
            }
            if all.len() > PINS_MAX {
                return Err(StoreError::Corrupt(format!("there are more than {PINS_MAX} pins")));
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after.clone_from(&last.name),
                _ => return Ok((serial, all)),
            }
        }
    }

    /// A pin; `None` where it was never seen.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn pin(&self, key: &PinKey) -> Result<Option<PinRow>, StoreError> {
        self.store.grant(&key.row_name()).await?.as_ref().map(PinRow::read).transpose()
    }

    /// The text of a definition; `None` where it was too long to be kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn text(&self, key: &PinKey, hash: &str) -> Result<Option<String>, StoreError> {
        let row = self.store.grant(&key.text_name(hash)).await?;
        Ok(row.map(|row| String::from_utf8_lossy(&row.data).into_owned()))
    }

    /// Takes note of what was seen, and gives what is known of each then, in the same order. Once this
    /// returns, other replicas find it.
    ///
    /// # Errors
    /// [`StoreError`]; a part of it may be noted.
    pub async fn see(&self, sightings: &[Sighting], first: First) -> Result<Vec<PinRow>, StoreError> {
        let mut known = Vec::with_capacity(sightings.len());
        for page in sightings.chunks(PAGE / 2) {
            let mut tries = 0;
            let rows = loop {
                match self.see_once(page, first).await {
                    Ok(Some(rows)) => break rows,
                    Ok(None) | Err(StoreError::Conflict | StoreError::Busy) if tries < TRIES => {
                        tries += 1;
                        tokio::time::sleep(PAUSE * tries).await;
                    }
                    Ok(None) => return Err(StoreError::Conflict),
                    Err(error) => return Err(error),
                }
            };
            known.extend(rows);
        }
        Ok(known)
    }

    /// `None`: somebody else was quicker.
    async fn see_once(&self, page: &[Sighting], first: First) -> Result<Option<Vec<PinRow>>, StoreError> {
        let (now, mut rows) = (self.clock.now(), Vec::with_capacity(page.len()));
        let mut changes = Vec::new();
        for sighting in page {
            let found = self.pin(&sighting.key).await?;
            let mut pin = found.clone().unwrap_or_else(|| PinRow::new(sighting.key.clone()));
            if pin.see(sighting, first, now) {
                changes.push((found, pin.clone(), Some(sighting)));
            }
            rows.push(pin);
        }
        Ok(self.write(&changes).await?.then_some(rows))
    }

    /// Approves the definition whose hash begins so. Which one is never guessed: what was seen last may be
    /// another one than somebody looked at. `also` leaves the others approved.
    ///
    /// # Errors
    /// [`PinError`]
    pub async fn approve(&self, key: &PinKey, hash: &str, also: bool, by: &str) -> Result<PinRow, PinError> {
        self.change(key, by, |pin, approval| pin.approve(hash, also, approval)).await
    }

    /// Goes back to what was approved before the last time.
    ///
    /// # Errors
    /// [`PinError`]
    pub async fn roll_back(&self, key: &PinKey, by: &str) -> Result<PinRow, PinError> {
        self.change(key, by, PinRow::roll_back).await
    }

    /// Says that no definition is to be used until one is approved.
    ///
    /// # Errors
    /// [`PinError`]
    pub async fn deny(&self, key: &PinKey, by: &str) -> Result<PinRow, PinError> {
        self.change(key, by, |pin, approval| {
            pin.denied = Some(approval.clone());
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        key: &PinKey,
        by: &str,
        make: impl Fn(&mut PinRow, &Approval) -> Result<(), PinError>,
    ) -> Result<PinRow, PinError> {
        let mut tries = 0;
        loop {
            let found = self.pin(key).await?.ok_or_else(|| PinError::Unknown(key.clone()))?;
            let mut pin = found.clone();
            make(&mut pin, &Approval { at: self.clock.now(), by: by.to_owned() })?;
            match self.write(&[(Some(found), pin.clone(), None)]).await {
                Ok(true) => return Ok(pin),
                Ok(false) | Err(StoreError::Conflict | StoreError::Busy) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                }
                Ok(false) => return Err(StoreError::Conflict.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes pins, the texts of what was seen, and the next number. `false`: somebody else was quicker, and
    /// nothing is written.
    async fn write(
        &self,
        changes: &[(Option<PinRow>, PinRow, Option<&Sighting>)],
    ) -> Result<bool, StoreError> {
        if changes.is_empty() {
            return Ok(true);
        }
        let serial = self.serial().await?;
        let mut tx = self.store.begin().await?;
        for (found, pin, sighting) in changes {
            if !tx.grant_put(&pin.write()?).await? {
                return Ok(false);
            }
            if let Some(found) = found {
                forget_texts(&mut *tx, found, pin).await?;
            }
            if let Some(Sighting { key, hash, text }) = sighting
                && text.len() <= PIN_TEXT_BYTES_MAX
            {
                // One that is there already is the same: its hash is its name.
                tx.grant_put(&row(key.text_name(hash), TEXTS, 0, text.clone())).await?;
            }
        }
        if !tx.grant_put(&row(SERIAL_NAME.to_owned(), SERIAL, serial, Bytes::new())).await? {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Texts of definitions of which nothing is known any more.
async fn forget_texts(tx: &mut dyn Tx, before: &PinRow, now: &PinRow) -> Result<(), StoreError> {
    for version in before.versions() {
        if !now.versions().any(|kept| kept.hash == version.hash) {
            tx.grant_remove(&now.key.text_name(&version.hash)).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::ManualClock;

    use super::*;
    use crate::{Fault, Faulty, GrantStore as _, Memory, UserOffice};

    const NOW: Timestamp = Timestamp(1_785_196_800_000);

    fn office() -> (PinOffice, Arc<Faulty>, Arc<ManualClock>) {
        let (store, clock) = (Arc::new(Faulty::new(Arc::new(Memory::new()))), Arc::new(ManualClock::at(NOW)));
        let dyn_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        (PinOffice::new(Arc::clone(&store) as Arc<dyn Store>, dyn_clock), store, clock)
    }

    fn key(name: &str) -> PinKey {
        PinKey { upstream: "crm".to_owned(), kind: "tool".to_owned(), name: name.to_owned() }
    }

    fn sighting(name: &str, hash: &str) -> Sighting {
        Sighting { key: key(name), hash: format!("pin1:{hash}"), text: format!("text of {hash}") }
    }

    async fn see(office: &PinOffice, hash: &str, first: First) -> PinRow {
        office.see(&[sighting("add", hash)], first).await.expect("it is noted").remove(0)
    }

    fn hashes(versions: &[PinVersion]) -> Vec<&str> {
        versions.iter().map(|version| &version.hash[5..]).collect()
    }

    #[tokio::test]
    async fn what_is_seen_first_is_approved_and_what_is_seen_then_has_drifted() {
        let (office, _, clock) = office();
        let pin = see(&office, "a", First::Approve).await;
        assert_eq!((pin.state(), pin.approves("pin1:a")), (PinState::Approved, true));
        assert_eq!(pin.approved[0].approved.as_ref().expect("approved").by, FIRST_SIGHT);
        clock.advance(Duration::from_secs(1));
        let pin = see(&office, "b", First::Approve).await;
        assert_eq!(
            (pin.state(), pin.approves("pin1:b"), pin.approves("pin1:a")),
            (PinState::Drifted, false, true)
        );
        let before = office.serial().await.expect("a number");
        assert_eq!(see(&office, "b", First::Approve).await, office.pin(&key("add")).await.unwrap().unwrap());
        assert_eq!(office.serial().await.unwrap(), before, "what is known already is not written again");
        assert_eq!(office.text(&key("add"), "pin1:b").await.unwrap().as_deref(), Some("text of b"));
    }

    #[tokio::test]
    async fn what_is_quarantined_at_first_sight_stays_so_until_somebody_approves_it() {
        let (office, _, _) = office();
        for hash in ["a", "b"] {
            assert_eq!(see(&office, hash, First::Quarantine).await.state(), PinState::Quarantined);
        }
        assert_eq!(
            see(&office, "c", First::Approve).await.state(),
            PinState::Quarantined,
            "it is not the first"
        );
        let pin = office.approve(&key("add"), "b", false, "ann").await.expect("it was seen");
        assert_eq!((pin.state(), hashes(&pin.approved)), (PinState::Approved, vec!["b"]));
        assert!(!pin.approves("pin1:a") && !pin.approves("pin1:c"));
    }

    #[tokio::test]
    async fn an_approval_says_who_and_is_rolled_back() {
        let (office, _, clock) = office();
        see(&office, "a", First::Approve).await;
        let unseen = office.approve(&key("add"), "b", false, "ann").await;
        assert!(matches!(unseen, Err(PinError::Hash(_))), "what nobody saw is not approved");
        assert!(matches!(office.roll_back(&key("add"), "ann").await, Err(PinError::NothingBefore)));
        see(&office, "b", First::Approve).await;
        clock.advance(Duration::from_secs(9));
        let pin = office.approve(&key("add"), "b", false, "ann").await.expect("it was seen");
        assert_eq!((hashes(&pin.approved), hashes(&pin.history)), (vec!["b"], vec!["a"]));
        let approval = pin.approved[0].approved.clone().expect("it is approved");
        assert_eq!((approval.by.as_str(), approval.at), ("ann", NOW.plus(Duration::from_secs(9))));
        let pin = office.roll_back(&key("add"), "ben").await.expect("there was one before");
        assert_eq!((hashes(&pin.approved), hashes(&pin.seen)), (vec!["a"], vec!["b"]));
        assert_eq!((pin.state(), pin.approves("pin1:b")), (PinState::Drifted, false));
        assert_eq!(office.pin(&key("add")).await.unwrap().map(|p| hashes(&p.approved).len()), Some(1));
    }

    #[tokio::test]
    async fn several_definitions_are_approved_where_somebody_says_so() {
        let (office, _, _) = office();
        see(&office, "a", First::Approve).await;
        see(&office, "b", First::Approve).await;
        let pin = office.approve(&key("add"), "pin1:b", true, "ann").await.expect("it was seen");
        assert!(pin.approves("pin1:a") && pin.approves("pin1:b"));
        assert_eq!(pin.state(), PinState::Approved);
    }

    #[tokio::test]
    async fn what_is_denied_is_not_used_whatever_it_is_until_it_is_approved() {
        let (office, _, _) = office();
        see(&office, "a", First::Approve).await;
        let pin = office.deny(&key("add"), "ann").await.expect("it is known");
        assert_eq!((pin.state(), pin.approves("pin1:a")), (PinState::Denied, false));
        assert_eq!(see(&office, "b", First::Approve).await.state(), PinState::Denied);
        let pin = office.approve(&key("add"), "a", false, "ann").await.expect("it is known");
        assert_eq!((pin.state(), pin.approves("pin1:a")), (PinState::Approved, true));
        assert!(matches!(office.deny(&key("none"), "ann").await, Err(PinError::Unknown(_))));
    }

    #[tokio::test]
    async fn a_definition_is_meant_by_the_beginning_of_its_hash_if_that_names_one() {
        let (office, _, _) = office();
        see(&office, "aa1", First::Approve).await;
        let pin = see(&office, "aa2", First::Approve).await;
        assert_eq!(pin.version_of("aa2").expect("one").hash, "pin1:aa2");
        assert_eq!(pin.version_of("pin1:aa1").expect("one").hash, "pin1:aa1");
        for prefix in ["", "aa", "b", "pin1:"] {
            assert!(matches!(pin.version_of(prefix), Err(PinError::Hash(_))), "{prefix}");
        }
    }

    #[tokio::test]
    async fn what_is_kept_of_a_server_that_changes_all_the_time_is_bounded() {
        let (office, store, _) = office();
        for number in 0..30 {
            let hash = format!("h{number:02}");
            see(&office, &hash, First::Approve).await;
            if number % 2 == 1 {
                office.approve(&key("add"), &hash, false, "ann").await.expect("it was seen");
            }
        }
        let pin = office.pin(&key("add")).await.unwrap().expect("it is known");
        assert!(pin.versions().count() <= 1 + SEEN_MAX + HISTORY_MAX);
        let filter = GrantFilter { upstream: Some(TEXTS.to_owned()), ..GrantFilter::default() };
        let texts = store.grants(&filter, None, 100).await.unwrap().len();
        assert_eq!(texts, pin.versions().count(), "texts go with what they are texts of");
        let long = Sighting { text: "x".repeat(PIN_TEXT_BYTES_MAX + 1), ..sighting("long", "l") };
        office.see(&[long], First::Approve).await.expect("its hash is kept");
        assert_eq!(office.text(&key("long"), "pin1:l").await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn two_replicas_that_see_different_things_first_do_not_approve_both() {
        let (office, store, _) = office();
        let other = PinOffice::new(Arc::clone(&store) as Arc<dyn Store>, Arc::new(ManualClock::at(NOW)));
        let names: Vec<String> = (0..250).map(|n| format!("t{n}")).collect();
        let all = |hash: &'static str| names.iter().map(|n| sighting(n, hash)).collect::<Vec<_>>();
        let (a, b) = (all("a"), all("b"));
        let (one, two) = tokio::join!(office.see(&a, First::Approve), other.see(&b, First::Approve));
        assert_eq!((one.unwrap().len(), two.unwrap().len()), (250, 250));
        let (_, pins) = office.all().await.unwrap();
        assert_eq!(pins.len(), 250);
        assert!(pins.iter().all(|pin| pin.approved.len() == 1 && pin.seen.len() == 1), "{:?}", pins[0]);
    }

    #[tokio::test]
    async fn pins_are_no_grants_of_users_and_no_bars() {
        let (office, store, clock) = office();
        see(&office, "a", First::Approve).await;
        let users = UserOffice::new(Arc::clone(&store) as Arc<dyn Store>, clock as Arc<dyn Clock>);
        assert_eq!(users.grants(&GrantFilter::default(), None, 10).await.unwrap(), []);
        assert_eq!(users.barred().await.unwrap(), []);
        assert!(users.users(None, 10).await.unwrap().is_empty());
        users.sweep().await.unwrap();
        assert_eq!(office.all().await.unwrap().1.len(), 1);
    }

    #[tokio::test]
    async fn nothing_is_known_where_the_store_cannot_be_reached() {
        let (office, store, _) = office();
        store.faults().down(Some(Fault::Before));
        assert!(office.see(&[sighting("add", "a")], First::Approve).await.is_err());
        assert!(office.all().await.is_err() && office.serial().await.is_err());
    }
}
