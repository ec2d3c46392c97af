//! What users have granted, in the store: each grant is sealed for its user and its upstream.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use identity::{Kept, Place, Vault, VaultError};
use model::{Clock, Principal, Rng, Timestamp};
use seal::{Binding, KeyRing, Purpose};
use store::{GrantFilter, GrantRow, Memory, Store, StoreError, UserOffice};

/// What begins the names of leases by which something is done once.
const ONCE: &str = "once/";
/// What begins the names of leases by which one does something at a time.
const TURN: &str = "turn/";
/// Grants that are looked at in one go.
const PAGE: usize = 200;
/// How often the store is asked again that was busy.
const TRIES: u32 = 5;
/// How long between.
const PAUSE: Duration = Duration::from_millis(20);

/// The vault of a process. Until there is a store it lasts as long as the process.
pub struct StoreVault {
    store: OnceLock<Arc<dyn Store>>,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for StoreVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreVault").finish_non_exhaustive()
    }
}

/// What is changed in one transaction.
enum Change<'a> {
    Put(&'a GrantRow),
    Remove(&'a str),
    Take { name: &'a str, holder: &'a str, until: Timestamp },
    Give { name: &'a str, holder: &'a str },
    Sweep,
}

fn failed(error: &StoreError) -> VaultError {
    VaultError { text: error.to_string() }
}

impl StoreVault {
    pub(crate) fn new(keys: Arc<KeyRing>, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        Self { store: OnceLock::new(), keys, clock, rng }
    }

    /// Keeps what users grant in this store from now on. Once, at the start.
    pub(crate) fn keep_in(&self, store: Arc<dyn Store>) {
        // A second one would hold nothing: a process has one store.
        let _ = self.store.set(store);
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.store.get_or_init(|| Arc::new(Memory::new()))
    }

    fn seal(&self, principal: &Principal, upstream: &str, data: &[u8]) -> Bytes {
        let binding = Binding { principal, endpoint: upstream, purpose: Purpose::Grant };
        let never = Timestamp(u64::MAX);
        Bytes::from(self.keys.seal(&*self.rng, self.clock.now(), &binding, never, data))
    }

    fn open(&self, row: &GrantRow, principal: &Principal, upstream: &str) -> Option<Vec<u8>> {
        let binding = Binding { principal, endpoint: upstream, purpose: Purpose::Grant };
        self.keys.open(&binding, self.clock.now(), std::str::from_utf8(&row.data).ok()?)
    }

    /// Makes a change in a transaction of its own, and again where another one was in the way.
    async fn change(&self, change: &Change<'_>) -> Result<bool, VaultError> {
        let mut tries = 0;
        loop {
            match self.change_once(change).await {
                Ok(done) => return Ok(done),
                Err(StoreError::Conflict | StoreError::Busy) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                }
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    async fn change_once(&self, change: &Change<'_>) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store().begin().await?;
        let done = match change {
            Change::Put(row) => tx.grant_put(row).await?,
            Change::Remove(name) => tx.grant_remove(name).await?,
            Change::Take { name, holder, until } => tx.lease_take(name, holder, now, *until).await?.is_some(),
            // Taken once more by whoever has it, to know the fence; where another one has it, it is his.
            Change::Give { name, holder } => match tx.lease_take(name, holder, now, now).await? {
                Some(fence) => tx.lease_release(name, holder, fence).await?,
                None => false,
            },
            Change::Sweep => {
                tx.grant_sweep(now, PAGE).await?;
                tx.lease_sweep(ONCE, now).await?;
                tx.lease_sweep(TURN, now).await? > 0
            }
        };
        tx.commit().await?;
        Ok(done)
    }

    /// Refuses what somebody is granted who was disabled meanwhile: he has nothing, also of what was under
    /// way.
    async fn check(&self, principal: &Principal) -> Result<(), VaultError> {
        let office = UserOffice::new(Arc::clone(self.store()), Arc::clone(&self.clock));
        let bar = office.bar_of(principal.tenant(), principal.subject()).await;
        match bar.map_err(|error| failed(&error))? {
            Some(bar) if bar.is_disabled() => Err(VaultError { text: "the user was disabled".to_owned() }),
            _ => Ok(()),
        }
    }

    /// Seals grants anew that an older key has sealed, so that keys can retire, and forgets those that have
    /// expired. Says how many were sealed.
    ///
    /// # Errors
    /// [`VaultError`]
    pub(crate) async fn tend(&self) -> Result<u64, VaultError> {
        let now = self.clock.now();
        self.change(&Change::Sweep).await?;
        let (mut after, mut sealed) = (None, 0);
        loop {
            let filter = GrantFilter::default();
            let page = self.store().grants(&filter, after.as_deref(), PAGE).await;
            let page = page.map_err(|error| failed(&error))?;
            for row in &page {
                let principal = Principal::new(&row.tenant, &row.holder);
                let text = std::str::from_utf8(&row.data).unwrap_or_default();
                if self.keys.is_of_the_active_key(now, text) {
                    continue;
                }
                let Some(data) = self.open(row, &principal, &row.upstream) else { continue };
                let row = GrantRow { data: self.seal(&principal, &row.upstream, &data), ..row.clone() };
                sealed += u64::from(self.change(&Change::Put(&row)).await?);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.name.clone()),
                _ => return Ok(sealed),
            }
        }
    }
}

#[async_trait]
impl Vault for StoreVault {
    async fn get(&self, place: Place<'_>) -> Result<Option<Kept>, VaultError> {
        let row = self.store().grant(place.name).await.map_err(|error| failed(&error))?;
        let now = self.clock.now();
        Ok(row.map(|row| {
            // What has expired or does not open is of no use, and can be written over.
            let good =
                if row.expires > now { self.open(&row, place.principal, place.upstream) } else { None };
            Kept { version: row.version, data: good.unwrap_or_default() }
        }))
    }

    async fn put(
        &self,
        place: Place<'_>,
        version: u64,
        data: &[u8],
        time: Duration,
    ) -> Result<bool, VaultError> {
        self.check(place.principal).await?;
        let row = GrantRow {
            name: place.name.to_owned(),
            tenant: place.principal.tenant().to_owned(),
            holder: place.principal.subject().to_owned(),
            upstream: place.upstream.to_owned(),
            version,
            expires: self.clock.now().plus(time),
            data: self.seal(place.principal, place.upstream, data),
        };
        self.change(&Change::Put(&row)).await
    }

    async fn remove(&self, place: Place<'_>) -> Result<(), VaultError> {
        self.change(&Change::Remove(place.name)).await.map(drop)
    }

    async fn once(&self, name: &str, until: Timestamp) -> Result<bool, VaultError> {
        // Nobody else is called so, also not whoever comes with the same name again.
        let (name, me) = (format!("{ONCE}{name}"), self.somebody());
        self.change(&Change::Take { name: &name, holder: &me, until }).await
    }

    async fn turn(&self, name: &str, holder: &str, time: Duration) -> Result<bool, VaultError> {
        let (name, until) = (format!("{TURN}{name}"), self.clock.now().plus(time));
        self.change(&Change::Take { name: &name, holder, until }).await
    }

    async fn turn_over(&self, name: &str, holder: &str) {
        let name = format!("{TURN}{name}");
        if let Err(error) = self.change(&Change::Give { name: &name, holder }).await {
            tracing::debug!(%error, "a turn ends by itself");
        }
    }
}

impl StoreVault {
    fn somebody(&self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
