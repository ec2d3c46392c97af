//! Users, as far as a store knows of them: who is barred, and what they have granted. Here, and not with
//! whoever lets users in, because operators change it where nobody is let in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Clock, Principal, Timestamp};
use serde_json::{Map, Value, json};

use crate::{GrantFilter, GrantRow, Store, StoreError};

/// What bars are for, in place of an upstream, which nobody can call so.
const BARRED: &str = "@barred";
/// What begins the names of bars: all others come before, so that bars are read without them.
const PREFIX: &str = "~barred/";
/// Rows that are read, and changed in one transaction.
const PAGE: usize = 200;
/// Bars, at most: all of them are in the memory of each replica.
const BARS_MAX: usize = 100_000;
/// How often the store is asked again that was busy.
const TRIES: u32 = 5;
/// How long between.
const PAUSE: Duration = Duration::from_millis(20);
/// Nothing that somebody proves himself by is taken to be good for longer, where it ends by itself.
const LIFE_MAX: Duration = Duration::from_secs(90 * 24 * 3_600);
/// As late as a time can be written: the year 9999.
const NEVER: Timestamp = Timestamp(253_402_300_799_000);
/// What grants at the gateway's own authorization server are for, in place of an upstream, and what begins
/// their names, which their tokens have, too.
const OWN: &str = "@broker";
const OWN_PREFIX: &str = "grant/";
/// No token of such a grant is good for longer: an hour, and what clocks are apart.
const OWN_LIFE_MAX: Duration = Duration::from_secs(70 * 60);
/// What begins the names of API keys as users.
const KEYS: &str = "keys:";

/// Somebody, or one grant, that is barred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarRow {
    /// The tenant.
    pub tenant: String,
    /// The user, inside the tenant.
    pub holder: String,
    /// One grant of his at the gateway's own authorization server; `None`: whatever he has.
    pub grant: Option<String>,
    /// What was issued before is of no use; `None`: whatever there is.
    pub before: Option<Timestamp>,
    /// When nothing that was issued before can still be good.
    pub until: Timestamp,
    /// When it was said last.
    pub since: Timestamp,
}

impl BarRow {
    fn name_of(tenant: &str, holder: &str, grant: Option<&str>) -> String {
        let mut bytes = Vec::new();
        for part in [tenant, holder].into_iter().chain(grant) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        let hash: String = seal::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{PREFIX}{hash}")
    }

    /// What it is found by. Bars are read in the order of their names.
    #[must_use]
    pub fn name(&self) -> String {
        Self::name_of(&self.tenant, &self.holder, self.grant.as_deref())
    }

    /// Whether it does not end by itself.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.until >= NEVER
    }

    /// Whether all that the user has is of no use, until somebody says otherwise.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.grant.is_none() && self.before.is_none()
    }

    fn write(&self, version: u64) -> GrantRow {
        let data = json!({"grant": self.grant, "before": self.before.map(|at| at.0), "since": self.since.0});
        GrantRow {
            name: self.name(),
            tenant: self.tenant.clone(),
            holder: self.holder.clone(),
            upstream: BARRED.to_owned(),
            version,
            expires: self.until.min(NEVER),
            data: Bytes::from(data.to_string()),
        }
    }

    fn read(row: &GrantRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("the bar {} cannot be read", row.name));
        let members: Map<String, Value> = serde_json::from_slice(&row.data).map_err(|_| corrupt())?;
        let time = |name: &str| members.get(name).and_then(Value::as_u64).map(Timestamp);
        Ok(Self {
            tenant: row.tenant.clone(),
            holder: row.holder.clone(),
            grant: members.get("grant").and_then(Value::as_str).map(str::to_owned),
            before: time("before"),
            until: row.expires,
            since: time("since").ok_or_else(corrupt)?,
        })
    }

    /// What bars all that one of the two does: who is disabled stays so, whatever else happens to him.
    fn and(self, other: Self) -> Self {
        let before = self.before.zip(other.before).map(|(one, two)| one.max(two));
        Self { before, until: self.until.max(other.until), since: self.since.max(other.since), ..other }
    }
}

/// Why something is not done to a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// He stands for many.
    #[error("bar nobody in particular: take `anonymous` out of `auth.allow` instead")]
    Nobody,
    /// Nobody is called so.
    #[error("find {0}: a user is called ISSUER:NAME, an API key keys:ID")]
    Form(String),
    /// What he has, he cannot have anew.
    #[error("sign out an API key: disable it, or take it out of the configuration")]
    Key,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of somebody who was to be let in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabled {
    /// He was disabled: what is issued to him from now on is good.
    Anew,
    /// Whatever he has is good again.
    Wholly,
    /// He was not barred.
    Already,
}

/// What is known of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserView {
    /// What bars him as a whole.
    pub bar: Option<BarRow>,
    /// What bars single grants.
    pub grant_bars: Vec<BarRow>,
    /// How many grants of his are kept.
    pub grants: usize,
}

/// Users by tenant and name.
pub type UserViews = BTreeMap<(String, String), UserView>;

/// Sees and changes what a store knows of users.
#[derive(Clone)]
pub struct UserOffice {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl UserOffice {
    /// For the users of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Bars somebody or a grant. Who is barred already is not barred less by it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn bar(&self, bar: &BarRow) -> Result<(), StoreError> {
        self.change(&bar.name(), |found| match found {
            Some(found) => Some(found.and(bar.clone())),
            None => Some(bar.clone()),
        })
        .await
        .map(drop)
    }

    /// Reads a bar and writes what is made of it, `None` for nothing; again where somebody else was quicker.
    /// Gives what was there.
    async fn change(
        &self,
        name: &str,
        make: impl Fn(Option<BarRow>) -> Option<BarRow>,
    ) -> Result<Option<BarRow>, StoreError> {
        let mut tries = 0;
        loop {
            match self.change_once(name, &make).await {
                Ok((found, true)) => return Ok(found),
                Ok((_, false)) | Err(StoreError::Conflict | StoreError::Busy) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                }
                Ok((_, false)) => return Err(StoreError::Conflict),
                Err(error) => return Err(error),
            }
        }
    }

    async fn change_once(
        &self,
        name: &str,
        make: &impl Fn(Option<BarRow>) -> Option<BarRow>,
    ) -> Result<(Option<BarRow>, bool), StoreError> {
        let row = self.store.grant(name).await?;
        let version = row.as_ref().map_or(0, |row| row.version);
        // One that has expired bars nobody.
        let found = row.as_ref().filter(|row| row.expires > self.clock.now());
        let found = found.map(BarRow::read).transpose()?;
        let made = make(found.clone());
        if made == found {
            return Ok((found, true));
        }
        let mut tx = self.store.begin().await?;
        let done = match made {
            Some(bar) => tx.grant_put(&bar.write(version)).await?,
            None => {
                tx.grant_remove(name).await?;
                true
            }
        };
        tx.commit().await?;
        Ok((found, done))
    }

    /// All that is barred now.
    ///
    /// # Errors
    /// [`StoreError`], also where there is more than a replica can keep.
    pub async fn barred(&self) -> Result<Vec<BarRow>, StoreError> {
        let filter = GrantFilter { upstream: Some(BARRED.to_owned()), ..GrantFilter::default() };
        let now = self.clock.now();
        let (mut all, mut after) = (Vec::new(), PREFIX.to_owned());
        loop {
            let page = self.store.grants(&filter, Some(&after), PAGE).await?;
            for row in page.iter().filter(|row| row.expires > now) {
                all.push(BarRow::read(row)?);
            }
            if all.len() > BARS_MAX {
                return Err(StoreError::Corrupt(format!("more than {BARS_MAX} users are barred")));
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after.clone_from(&last.name),
                _ => return Ok(all),
            }
        }
    }

    /// What bars somebody as a whole.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn bar_of(&self, tenant: &str, holder: &str) -> Result<Option<BarRow>, StoreError> {
        let row = self.store.grant(&BarRow::name_of(tenant, holder, None)).await?;
        row.filter(|row| row.expires > self.clock.now()).as_ref().map(BarRow::read).transpose()
    }

    /// Lets somebody in no more, whatever he has, and forgets what he has granted. Says how many grants those
    /// were. Every replica knows within seconds.
    ///
    /// # Errors
    /// [`UserError`]
    pub async fn disable(&self, tenant: &str, holder: &str) -> Result<u64, UserError> {
        somebody(tenant, holder)?;
        let now = self.clock.now();
        self.bar(&whole(tenant, holder, None, NEVER, now)).await?;
        Ok(self.forget(tenant, holder).await?)
    }

    /// Lets somebody in again. What was issued to somebody who was disabled, before this, stays of no use; an
    /// API key is as good as it was. Said of somebody who is signed out, all that he has is good again.
    ///
    /// # Errors
    /// [`UserError`]
    pub async fn enable(&self, tenant: &str, holder: &str) -> Result<Enabled, UserError> {
        somebody(tenant, holder)?;
        let now = self.clock.now();
        let anew = |bar: &BarRow| bar.is_disabled() && !holder.starts_with(KEYS);
        let name = BarRow::name_of(tenant, holder, None);
        let found = self.change(&name, |found| {
            let disabled = found.filter(|bar| anew(bar));
            disabled.map(|_| whole(tenant, holder, Some(now), now.plus(LIFE_MAX), now))
        });
        Ok(match found.await? {
            None => Enabled::Already,
            Some(bar) if anew(&bar) => Enabled::Anew,
            Some(_) => Enabled::Wholly,
        })
    }

    /// What was issued to somebody before now is of no use any more, and what he has granted is forgotten;
    /// he can sign in again. Says how many grants those were.
    ///
    /// # Errors
    /// [`UserError`]
    pub async fn sign_out(&self, tenant: &str, holder: &str) -> Result<u64, UserError> {
        somebody(tenant, holder)?;
        if holder.starts_with(KEYS) {
            return Err(UserError::Key);
        }
        let now = self.clock.now();
        self.bar(&whole(tenant, holder, Some(now), now.plus(LIFE_MAX), now)).await?;
        Ok(self.forget(tenant, holder).await?)
    }

    /// Forgets what somebody has granted, page by page.
    async fn forget(&self, tenant: &str, holder: &str) -> Result<u64, StoreError> {
        let (tenant, holder) = (Some(tenant.to_owned()), Some(holder.to_owned()));
        let filter = GrantFilter { tenant, holder, upstream: None };
        let (mut after, mut gone) = (None, 0);
        loop {
            let page = self.store.grants(&filter, after.as_deref(), PAGE).await?;
            let names: Vec<&str> =
                page.iter().filter(|row| is_granted(row)).map(|row| row.name.as_str()).collect();
            gone += self.remove(&names).await?;
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.name.clone()),
                _ => return Ok(gone),
            }
        }
    }

    async fn remove(&self, names: &[&str]) -> Result<u64, StoreError> {
        let mut tries = 0;
        loop {
            match self.remove_once(names).await {
                Err(StoreError::Conflict | StoreError::Busy) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                }
                done => return done,
            }
        }
    }

    async fn remove_once(&self, names: &[&str]) -> Result<u64, StoreError> {
        if names.is_empty() {
            return Ok(0);
        }
        let (mut tx, mut gone) = (self.store.begin().await?, 0);
        for name in names {
            gone += u64::from(tx.grant_remove(name).await?);
        }
        tx.commit().await?;
        Ok(gone)
    }

    /// What users have granted, by name, after the one of the name `after` where that is given; at most
    /// `limit`. What it is stays sealed.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn grants(
        &self,
        filter: &GrantFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<GrantRow>, StoreError> {
        let (mut found, mut after) = (Vec::new(), after.map(str::to_owned));
        while found.len() < limit {
            let page = self.store.grants(filter, after.as_deref(), PAGE).await?;
            let over = page.len() < PAGE;
            after = page.last().map(|row| row.name.clone());
            found.extend(page.into_iter().filter(is_granted));
            if over {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Forgets what a user has granted. Gives what it was; `None` where there is no such grant. Tokens that
    /// the gateway itself has issued by it are of no use any more within seconds.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn grant_remove(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        let found = self.store.grant(name).await?.filter(is_granted);
        let Some(row) = found else { return Ok(None) };
        if row.upstream == OWN && name.starts_with(OWN_PREFIX) {
            let now = self.clock.now();
            let bar = whole(&row.tenant, &row.holder, None, now.plus(OWN_LIFE_MAX), now);
            self.bar(&BarRow { grant: Some(name.to_owned()), ..bar }).await?;
        }
        Ok((self.remove(&[name]).await? > 0).then_some(row))
    }

    /// All users who are barred or have granted something, at most `limit`, by tenant and name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn users(&self, tenant: Option<&str>, limit: usize) -> Result<UserViews, StoreError> {
        let mut all = UserViews::new();
        for bar in self.barred().await?.into_iter().filter(|bar| tenant.is_none_or(|t| t == bar.tenant)) {
            let view = all.entry((bar.tenant.clone(), bar.holder.clone())).or_default();
            match bar.grant {
                None => view.bar = Some(bar),
                Some(_) => view.grant_bars.push(bar),
            }
        }
        let filter = GrantFilter { tenant: tenant.map(str::to_owned), ..GrantFilter::default() };
        let mut after: Option<String> = None;
        loop {
            let page = self.store.grants(&filter, after.as_deref(), PAGE).await?;
            for row in page.iter().filter(|row| is_granted(row)) {
                let name = (row.tenant.clone(), row.holder.clone());
                if all.len() < BARS_MAX || all.contains_key(&name) {
                    all.entry(name).or_default().grants += 1;
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.name.clone()),
                _ => break,
            }
        }
        while all.len() > limit {
            all.pop_last();
        }
        Ok(all)
    }

    /// Forgets bars that no longer say anything, and grants that have expired.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let mut tx = self.store.begin().await?;
        let gone = tx.grant_sweep(self.clock.now(), PAGE).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

impl std::fmt::Debug for UserOffice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserOffice").finish_non_exhaustive()
    }
}

/// Whether a user has granted it: it is no bar, and nothing that the gateway keeps for itself.
fn is_granted(row: &GrantRow) -> bool {
    // What begins so is kept for another end.
    let own = row.upstream.starts_with('@') && row.upstream != OWN;
    !own && !row.holder.is_empty()
}

fn whole(
    tenant: &str,
    holder: &str,
    before: Option<Timestamp>,
    until: Timestamp,
    since: Timestamp,
) -> BarRow {
    BarRow { tenant: tenant.to_owned(), holder: holder.to_owned(), grant: None, before, until, since }
}

/// Refuses to bar whoever proves nothing: those who do would come in as him.
fn somebody(tenant: &str, holder: &str) -> Result<(), UserError> {
    let anonymous = Principal::anonymous();
    if (tenant, holder) == (anonymous.tenant(), anonymous.subject()) {
        return Err(UserError::Nobody);
    }
    // Who is misnamed would be taken to be barred, and come in.
    if holder.contains(':') { Ok(()) } else { Err(UserError::Form(holder.to_owned())) }
}

#[cfg(test)]
mod tests {
    use model::ManualClock;

    use super::*;
    use crate::{Fault, Faulty, GrantStore as _, Memory};

    const NOW: Timestamp = Timestamp(1_785_196_800_000);

    struct World {
        office: UserOffice,
        store: Arc<Faulty>,
        clock: Arc<ManualClock>,
    }

    impl World {
        fn new() -> Self {
            let (store, clock) =
                (Arc::new(Faulty::new(Arc::new(Memory::new()))), Arc::new(ManualClock::at(NOW)));
            let office =
                UserOffice::new(Arc::clone(&store) as Arc<dyn Store>, Arc::clone(&clock) as Arc<dyn Clock>);
            Self { office, store, clock }
        }

        async fn grant(&self, name: &str, tenant: &str, holder: &str) {
            self.grant_for("crm", name, tenant, holder).await;
        }

        async fn grant_for(&self, upstream: &str, name: &str, tenant: &str, holder: &str) {
            let row = GrantRow {
                name: name.to_owned(),
                tenant: tenant.to_owned(),
                holder: holder.to_owned(),
                upstream: upstream.to_owned(),
                version: 0,
                expires: NEVER,
                data: Bytes::from_static(b"sealed"),
            };
            let mut tx = self.store.begin().await.unwrap();
            assert!(tx.grant_put(&row).await.unwrap());
            tx.commit().await.unwrap();
        }

        async fn names(&self) -> Vec<String> {
            let found = self.office.grants(&GrantFilter::default(), None, usize::MAX).await.unwrap();
            found.into_iter().map(|row| row.name).collect()
        }
    }

    #[tokio::test]
    async fn who_is_disabled_has_nothing_left_and_others_keep_theirs() {
        let world = World::new();
        for number in 0..PAGE + 30 {
            world.grant(&format!("user/{number:04}"), "acme", "corp:ann").await;
        }
        world.grant("user/ben", "acme", "corp:ben").await;
        world.grant("user/other", "globex", "corp:ann").await;
        world.grant("client/ours", "", "").await;
        assert_eq!(world.office.disable("acme", "corp:ann").await.unwrap(), PAGE as u64 + 30);
        assert_eq!(world.names().await, ["user/ben", "user/other"]);
        assert!(world.store.grant("client/ours").await.unwrap().is_some(), "it is the gateway's");
        let barred = world.office.barred().await.unwrap();
        assert_eq!(barred.len(), 1);
        assert!(barred[0].is_disabled() && barred[0].lasts());
        assert_eq!((barred[0].tenant.as_str(), barred[0].since), ("acme", NOW));
        assert_eq!(world.office.disable("acme", "corp:ann").await.unwrap(), 0, "it can be said again");
    }

    #[tokio::test]
    async fn who_is_disabled_is_let_in_again_by_what_is_issued_later_alone() {
        let world = World::new();
        let office = &world.office;
        assert_eq!(office.enable("acme", "corp:ann").await.unwrap(), Enabled::Already);
        office.disable("acme", "corp:ann").await.unwrap();
        // Whatever else happens to him, he stays so.
        office.sign_out("acme", "corp:ann").await.unwrap();
        assert!(office.bar_of("acme", "corp:ann").await.unwrap().unwrap().is_disabled());
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(office.enable("acme", "corp:ann").await.unwrap(), Enabled::Anew);
        let bar = office.bar_of("acme", "corp:ann").await.unwrap().unwrap();
        assert_eq!(bar.before, Some(NOW.plus(Duration::from_secs(60))));
        assert_eq!(office.enable("acme", "corp:ann").await.unwrap(), Enabled::Wholly);
        assert_eq!(office.barred().await.unwrap(), []);
    }

    #[tokio::test]
    async fn with_a_grant_of_the_gateways_own_its_tokens_are_of_no_use() {
        let world = World::new();
        world.grant_for(OWN, "grant/g1", "acme", "corp:ann").await;
        world.grant_for(OWN, "approved/a1", "acme", "corp:ann").await;
        world.grant_for("crm", "grant/g2", "acme", "corp:ann").await;
        for name in ["grant/g1", "approved/a1", "grant/g2"] {
            assert!(world.office.grant_remove(name).await.unwrap().is_some(), "{name}");
        }
        let barred = world.office.barred().await.unwrap();
        assert_eq!(barred.len(), 1, "what is not the gateway's has no tokens of it");
        assert_eq!((barred[0].grant.as_deref(), barred[0].before), (Some("grant/g1"), None));
        assert!(barred[0].until > NOW.plus(Duration::from_secs(3_600)) && !barred[0].lasts());
    }

    #[tokio::test]
    async fn an_api_key_is_disabled_and_enabled_and_cannot_be_signed_out() {
        let office = World::new().office;
        office.disable("acme", "keys:k1").await.unwrap();
        assert!(matches!(office.sign_out("acme", "keys:k1").await, Err(UserError::Key)));
        assert_eq!(office.enable("acme", "keys:k1").await.unwrap(), Enabled::Wholly);
        assert_eq!(office.barred().await.unwrap(), []);
    }

    #[tokio::test]
    async fn nobody_in_particular_and_nobody_at_all_are_not_barred() {
        let office = World::new().office;
        assert!(matches!(office.disable("default", "anonymous").await, Err(UserError::Nobody)));
        assert!(matches!(office.disable("acme", "ann").await, Err(UserError::Form(_))));
        assert!(matches!(office.sign_out("acme", "ann").await, Err(UserError::Form(_))));
    }

    #[tokio::test]
    async fn a_sign_out_ends_by_itself_and_is_swept() {
        let world = World::new();
        world.office.sign_out("acme", "corp:ann").await.unwrap();
        let bar = world.office.bar_of("acme", "corp:ann").await.unwrap().unwrap();
        assert_eq!((bar.before, bar.until), (Some(NOW), NOW.plus(LIFE_MAX)));
        world.clock.advance(LIFE_MAX);
        assert_eq!(world.office.barred().await.unwrap(), []);
        assert_eq!(world.office.sweep().await.unwrap(), 1);
        assert!(world.store.grant(&bar.name()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn single_grants_are_barred_beside_their_user() {
        let world = World::new();
        let of = |grant: Option<&str>| BarRow {
            grant: grant.map(str::to_owned),
            ..whole("acme", "corp:ann", None, NOW.plus(Duration::from_secs(9)), NOW)
        };
        for grant in [Some("a"), Some("b"), None] {
            world.office.bar(&of(grant)).await.unwrap();
        }
        assert_eq!(world.office.barred().await.unwrap().len(), 3);
        let views = world.office.users(Some("acme"), 10).await.unwrap();
        let view = &views[&("acme".to_owned(), "corp:ann".to_owned())];
        assert_eq!((view.grant_bars.len(), view.bar.is_some(), view.grants), (2, true, 0));
        assert!(world.office.users(Some("globex"), 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_grant_is_revoked_by_its_name_and_a_bar_is_none() {
        let world = World::new();
        world.grant("user/a", "acme", "corp:ann").await;
        world.office.disable("acme", "corp:ben").await.unwrap();
        let bar = world.office.barred().await.unwrap()[0].name();
        assert!(world.office.grant_remove(&bar).await.unwrap().is_none(), "whoever lists grants sees none");
        let gone = world.office.grant_remove("user/a").await.unwrap().expect("there was one");
        assert_eq!((gone.holder.as_str(), gone.upstream.as_str()), ("corp:ann", "crm"));
        assert!(world.office.grant_remove("user/a").await.unwrap().is_none());
        assert_eq!(world.office.barred().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn more_is_listed_than_is_read_at_a_time() {
        let world = World::new();
        for number in 0..=PAGE {
            world.grant(&format!("user/{number:04}"), "acme", &format!("corp:{number}")).await;
            world.office.disable("acme", &format!("corp:u{number}")).await.unwrap();
        }
        assert_eq!(world.office.barred().await.unwrap().len(), PAGE + 1);
        assert_eq!(world.names().await.len(), PAGE + 1);
        let later = world.office.grants(&GrantFilter::default(), Some("user/0198"), 2).await.unwrap();
        let names: Vec<_> = later.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["user/0199", "user/0200"]);
        assert_eq!(world.office.users(None, 10_000).await.unwrap().len(), 2 * (PAGE + 1));
        assert_eq!(world.office.users(None, 7).await.unwrap().len(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_to_be_disabled_is_so_although_the_store_is_busy_for_a_moment() {
        let world = World::new();
        world.grant("user/a", "acme", "corp:ann").await;
        world.store.faults().fail(1, Fault::Busy);
        assert_eq!(world.office.disable("acme", "corp:ann").await.unwrap(), 1);
        world.store.faults().down(Some(Fault::Before));
        assert!(matches!(world.office.disable("acme", "corp:ben").await, Err(UserError::Store(_))));
        assert!(world.office.barred().await.is_err(), "an empty list would let everybody in");
    }
}
