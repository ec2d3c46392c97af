//! Calls that wait for somebody's yes.
//!
//! An approval is for one call of one caller: the tool as it was defined, its arguments to the byte, the
//! policies as they were. It is used once, and it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{GrantFilter, GrantRow, Store, StoreError};

/// What approvals are for, in place of an upstream, which nobody can call so.
const APPROVALS: &str = "@approval";
/// What begins their names.
const PREFIX: &str = "~approval/";
/// What begins the ids of those that whoever calls decides himself, on a page.
const OWN: &str = "own-";
/// What begins the names of what is said once. They come before those of approvals.
const ONCE: &str = "once/";
/// Rows that are read at once.
const PAGE: usize = 200;
/// How often a change is tried that others are in the way of.
const TRIES: u32 = 5;
/// How long between.
const PAUSE: Duration = Duration::from_millis(20);
/// How long it is told what became of one that has ended.
const TOLD: Duration = Duration::from_secs(24 * 3_600);
/// The largest arguments that somebody can be asked to look at, in bytes.
pub const APPROVAL_ARGUMENTS_BYTES_MAX: usize = 40 * 1024;

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Nobody has said anything.
    Pending,
    /// Somebody has said yes, and the call has not been made.
    Approved,
    /// Somebody has said no.
    Refused,
    /// Somebody had said yes, and the call was let through.
    Used,
}

impl ApprovalState {
    /// One word for each.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Used => "used",
        }
    }
}

/// A call that somebody is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What it is found by.
    pub id: String,
    /// The tenant of whoever calls. Whoever decides is of the same.
    pub tenant: String,
    /// Whoever calls.
    pub subject: String,
    /// Through which client.
    pub client: Option<String>,
    /// At which endpoint.
    pub endpoint: String,
    /// At which upstream.
    pub upstream: String,
    /// The upstream's own name for the tool.
    pub tool: String,
    /// The arguments as they will run.
    pub arguments: String,
    /// SHA-256 of what it is bound to beside the caller: arguments, definition, policies.
    pub bound: String,
    /// The policies that ask.
    pub policies: Vec<String>,
    /// What their author wants to be said.
    pub message: Option<String>,
    /// Who may decide: members of any of these groups.
    pub groups: Vec<String>,
    /// The task that waits for it.
    pub task: Option<String>,
    /// The operation, as the audit log knows it.
    pub operation: Option<String>,
    /// When it was asked for.
    pub created: Timestamp,
    /// Until when it can be decided, and used.
    pub expires: Timestamp,
    /// What has become of it.
    pub state: ApprovalState,
    /// Who decided.
    pub decider: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub decided: Option<Timestamp>,
}

impl Approval {
    /// The id of one that whoever calls decides himself.
    #[must_use]
    pub fn own_id(digest: &str) -> String {
        format!("{OWN}{digest}")
    }

    /// Whether whoever calls decides on it himself, and nobody else does.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.id.starts_with(OWN)
    }

    /// What becomes of it, where it can still be decided.
    fn decided(mut self, now: Timestamp, yes: bool, by: String) -> Result<Self, ApprovalError> {
        if self.is_over(now) {
            return Err(ApprovalError::Expired);
        }
        if self.state != ApprovalState::Pending {
            return Err(ApprovalError::Decided(self.state.word()));
        }
        self.state = if yes { ApprovalState::Approved } else { ApprovalState::Refused };
        (self.decider, self.decided) = (Some(by), Some(now));
        Ok(self)
    }

    /// Whether nothing can become of it any more, as its time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires && matches!(self.state, ApprovalState::Pending | ApprovalState::Approved)
    }

    /// The word for its state, with its time.
    #[must_use]
    pub fn word(&self, now: Timestamp) -> &'static str {
        if self.is_over(now) { "expired" } else { self.state.word() }
    }

    fn write(&self, version: u64) -> Result<GrantRow, StoreError> {
        let data = serde_json::to_vec(self).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok(GrantRow {
            name: name_of(&self.id),
            tenant: self.tenant.clone(),
            holder: self.subject.clone(),
            upstream: APPROVALS.to_owned(),
            version,
            expires: self.expires.plus(TOLD),
            data: Bytes::from(data),
        })
    }

    fn read(row: &GrantRow) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::Corrupt(format!("the approval {} cannot be read", row.name));
        serde_json::from_slice(&row.data).map_err(corrupt)
    }
}

fn name_of(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// Who decides, and how he is known.
#[derive(Debug, Clone)]
pub enum Decider<'a> {
    /// A user of the tenant, with the groups that his issuer vouches for.
    User {
        /// His tenant.
        tenant: &'a str,
        /// His id inside the tenant.
        subject: &'a str,
        /// His groups.
        groups: &'a [String],
    },
    /// One who may do everything, of whatever groups.
    Admin {
        /// His tenant.
        tenant: &'a str,
        /// His id inside the tenant.
        subject: &'a str,
    },
    /// Whoever has the store in his hands, under the name that he gives himself.
    Operator(&'a str),
}

impl Decider<'_> {
    /// How he is written down.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::User { subject, .. } | Self::Admin { subject, .. } => (*subject).to_owned(),
            Self::Operator(name) => format!("operator:{name}"),
        }
    }
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// There is none of this name, or none that he may know of.
    #[error("there is no such approval")]
    Unknown,
    /// Its time is over.
    #[error("its time is over: the call has to be made again")]
    Expired,
    /// Somebody was first.
    #[error("it was decided before: {0}")]
    Decided(&'static str),
    /// He asks himself.
    #[error("nobody approves what he asked for himself")]
    Own,
    /// He is of none of the groups.
    #[error("only members of {0} decide on it")]
    NotEntitled(String),
    /// The policies forbid him to.
    #[error("{0}")]
    Forbidden(String),
    /// The arguments are too long for anybody to look at.
    #[error("arguments of more than {APPROVAL_ARGUMENTS_BYTES_MAX} bytes cannot be approved")]
    TooLarge,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What becomes of a call that needs an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Somebody has said yes, and this call uses it.
    Yes(Box<Approval>),
    /// Nobody has said anything.
    Waits(Box<Approval>),
    /// Somebody has said no.
    No(Box<Approval>),
    /// Nobody is asked, or no more.
    None,
}

/// Sees and changes what a store knows of approvals.
#[derive(Clone)]
pub struct ApprovalOffice {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl ApprovalOffice {
    /// Those of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Asks for one: what waits already under this name is asked for once.
    ///
    /// # Errors
    /// [`ApprovalError::TooLarge`], [`ApprovalError::Store`]
    pub async fn ask(&self, new: &Approval) -> Result<Approval, ApprovalError> {
        if new.arguments.len() > APPROVAL_ARGUMENTS_BYTES_MAX {
            return Err(ApprovalError::TooLarge);
        }
        self.change(&new.id, |found| match found {
            Some(found) if found.state == ApprovalState::Pending && !found.is_over(self.clock.now()) => {
                Ok(None)
            }
            _ => Ok(Some(new.clone())),
        })
        .await
        .map(|found| found.unwrap_or_else(|| new.clone()))
    }

    /// One of this name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(&self, id: &str) -> Result<Option<Approval>, StoreError> {
        let row = self.store.grant(&name_of(id)).await?;
        row.filter(|row| row.upstream == APPROVALS).map(|row| Approval::read(&row)).transpose()
    }

    /// All that somebody else decides on, of one tenant where that is given; the ended ones for a day.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, tenant: Option<&str>, limit: usize) -> Result<Vec<Approval>, StoreError> {
        let filter = GrantFilter {
            upstream: Some(APPROVALS.to_owned()),
            tenant: tenant.map(str::to_owned),
            ..GrantFilter::default()
        };
        let (mut all, mut after) = (Vec::new(), PREFIX.to_owned());
        loop {
            let page = self.store.grants(&filter, Some(&after), PAGE.min(limit)).await?;
            for row in &page {
                all.extend(Some(Approval::read(row)?).filter(|approval| !approval.is_own()));
            }
            match page.last() {
                Some(last) if page.len() == PAGE && all.len() < limit => after.clone_from(&last.name),
                _ => break,
            }
        }
        all.truncate(limit);
        all.sort_by_key(|approval| std::cmp::Reverse(approval.created));
        Ok(all)
    }

    /// Says yes or no.
    ///
    /// # Errors
    /// [`ApprovalError`]
    pub async fn decide(
        &self,
        id: &str,
        by: &Decider<'_>,
        yes: bool,
        reason: Option<&str>,
    ) -> Result<Approval, ApprovalError> {
        self.decide_if(id, by, yes, reason, |_| Ok(())).await
    }

    /// The same, where `may` has nothing against it, which is asked about the approval as it is decided on.
    ///
    /// # Errors
    /// [`ApprovalError`]
    pub async fn decide_if(
        &self,
        id: &str,
        by: &Decider<'_>,
        yes: bool,
        reason: Option<&str>,
        may: impl Fn(&Approval) -> Result<(), String>,
    ) -> Result<Approval, ApprovalError> {
        let now = self.clock.now();
        let changed = self.change(id, |found| {
            let approval = found.filter(|found| !found.is_own()).ok_or(ApprovalError::Unknown)?;
            may(&approval).map_err(ApprovalError::Forbidden)?;
            entitled(&approval, by)?;
            let mut approval = approval.decided(now, yes, by.name())?;
            approval.reason = reason.map(str::to_owned);
            Ok(Some(approval))
        });
        changed.await?.ok_or(ApprovalError::Unknown)
    }

    /// Says the own yes or no of whoever calls.
    ///
    /// # Errors
    /// [`ApprovalError`]; one of somebody else's is unknown.
    pub async fn decide_own(
        &self,
        id: &str,
        caller: (&str, &str),
        yes: bool,
    ) -> Result<Approval, ApprovalError> {
        let now = self.clock.now();
        let changed = self.change(id, |found| {
            let own = |found: &Approval| found.is_own() && (&*found.tenant, &*found.subject) == caller;
            let approval = found.filter(own).ok_or(ApprovalError::Unknown)?;
            approval.decided(now, yes, caller.1.to_owned()).map(Some)
        });
        changed.await?.ok_or(ApprovalError::Unknown)
    }

    /// Uses one, where somebody has said yes to just this: of several that try, one is let through. `again`:
    /// whoever tries is the one that has used it.
    ///
    /// # Errors
    /// Those of the store: then nothing is let through.
    pub async fn take(&self, id: &str, bound: &str, again: bool) -> Result<Taken, StoreError> {
        let now = self.clock.now();
        for tries in 1..=TRIES {
            let row = self.store.grant(&name_of(id)).await?.filter(|row| row.upstream == APPROVALS);
            let Some(row) = row else { return Ok(Taken::None) };
            let mut found = Approval::read(&row)?;
            if found.bound != bound || found.is_over(now) {
                return Ok(Taken::None);
            }
            match found.state {
                ApprovalState::Pending => return Ok(Taken::Waits(Box::new(found))),
                ApprovalState::Refused => return Ok(Taken::No(Box::new(found))),
                ApprovalState::Used if again => return Ok(Taken::Yes(Box::new(found))),
                ApprovalState::Used => return Ok(Taken::None),
                ApprovalState::Approved => {}
            }
            found.state = ApprovalState::Used;
            let mut tx = self.store.begin().await?;
            let put = tx.grant_put(&found.write(row.version)?).await?;
            tx.commit().await?;
            if put {
                return Ok(Taken::Yes(Box::new(found)));
            }
            tokio::time::sleep(PAUSE * tries).await;
        }
        Err(StoreError::Conflict)
    }

    /// Whether this is said for the first time, as far as that is remembered for so long.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn once(&self, nonce: &str, remembered: Duration) -> Result<bool, StoreError> {
        let row = GrantRow {
            name: format!("{ONCE}{nonce}"),
            tenant: String::new(),
            holder: String::new(),
            upstream: APPROVALS.to_owned(),
            version: 0,
            expires: self.clock.now().plus(remembered),
            data: Bytes::new(),
        };
        let mut tx = self.store.begin().await?;
        let first = tx.grant_put(&row).await?;
        tx.commit().await?;
        Ok(first)
    }

    /// Reads one and writes what is made of it, `None` for what is there; again where somebody else was
    /// quicker. Gives what is there then.
    async fn change(
        &self,
        id: &str,
        make: impl Fn(Option<Approval>) -> Result<Option<Approval>, ApprovalError>,
    ) -> Result<Option<Approval>, ApprovalError> {
        let name = name_of(id);
        for tries in 1..=TRIES {
            let row = self.store.grant(&name).await?.filter(|row| row.upstream == APPROVALS);
            let version = row.as_ref().map_or(0, |row| row.version);
            let found = row.as_ref().map(Approval::read).transpose()?;
            let Some(made) = make(found.clone())? else { return Ok(found) };
            let mut tx = self.store.begin().await?;
            let put = tx.grant_put(&made.write(version)?).await?;
            tx.commit().await?;
            if put {
                return Ok(Some(made));
            }
            tokio::time::sleep(PAUSE * tries).await;
        }
        Err(StoreError::Conflict.into())
    }
}

/// Whether somebody may decide.
fn entitled(approval: &Approval, by: &Decider<'_>) -> Result<(), ApprovalError> {
    let (tenant, subject, groups) = match by {
        Decider::Operator(_) => return Ok(()),
        Decider::Admin { tenant, subject } => (tenant, subject, None),
        Decider::User { tenant, subject, groups } => (tenant, subject, Some(groups)),
    };
    // One of another tenant learns nothing of it.
    if *tenant != approval.tenant {
        return Err(ApprovalError::Unknown);
    }
    if *subject == approval.subject {
        return Err(ApprovalError::Own);
    }
    let entitled = |groups: &[String]| groups.iter().any(|group| approval.groups.contains(group));
    if !groups.is_none_or(|groups| entitled(groups)) {
        return Err(ApprovalError::NotEntitled(approval.groups.join(", ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::ManualClock;

    use super::*;
    use crate::Memory;

    fn office() -> (ApprovalOffice, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        (ApprovalOffice::new(Arc::new(Memory::new()), clock.clone()), clock)
    }

    fn new(id: &str) -> Approval {
        Approval {
            id: id.to_owned(),
            tenant: "acme".to_owned(),
            subject: "corp:ann".to_owned(),
            client: None,
            endpoint: "mcp".to_owned(),
            upstream: "crm".to_owned(),
            tool: "delete".to_owned(),
            arguments: r#"{"id":7}"#.to_owned(),
            bound: "b1".to_owned(),
            policies: vec!["p/1".to_owned()],
            message: None,
            groups: vec!["security".to_owned()],
            task: None,
            operation: None,
            created: Timestamp(1_000_000),
            expires: Timestamp(1_000_000).plus(Duration::from_secs(900)),
            state: ApprovalState::Pending,
            decider: None,
            reason: None,
            decided: None,
        }
    }

    fn user<'a>(tenant: &'a str, subject: &'a str, groups: &'a [String]) -> Decider<'a> {
        Decider::User { tenant, subject, groups }
    }

    #[tokio::test]
    async fn a_yes_lets_one_call_through_and_no_second() {
        let (office, _) = office();
        office.ask(&new("a")).await.expect("asked");
        let security = ["security".to_owned()];
        let eve = user("acme", "corp:eve", &security);
        assert!(matches!(office.take("a", "b1", false).await, Ok(Taken::Waits(_))));
        let decided = office.decide("a", &eve, true, Some("fine")).await.expect("decided");
        assert_eq!((decided.state, decided.decider.as_deref()), (ApprovalState::Approved, Some("corp:eve")));
        assert!(matches!(office.take("a", "other", false).await, Ok(Taken::None)), "other arguments");
        let (one, two) = tokio::join!(office.take("a", "b1", false), office.take("a", "b1", false));
        let through = [one, two].into_iter().filter(|taken| matches!(taken, Ok(Taken::Yes(_)))).count();
        assert_eq!(through, 1);
        assert!(matches!(office.take("a", "b1", false).await, Ok(Taken::None)));
        assert!(matches!(office.take("a", "b1", true).await, Ok(Taken::Yes(_))), "the task that used it");
        let day = Duration::from_secs(86_400);
        assert!(matches!(office.once("n", day).await, Ok(true)));
        assert!(matches!(office.once("n", day).await, Ok(false)));
    }

    #[tokio::test]
    async fn nobody_decides_for_himself_without_the_right_twice_or_too_late() {
        let (office, clock) = office();
        office.ask(&new("a")).await.expect("asked");
        let (security, sales) = (["security".to_owned()], ["sales".to_owned()]);
        let decide = async |by: &Decider<'_>| office.decide("a", by, true, None).await;
        assert!(matches!(decide(&user("acme", "corp:ann", &security)).await, Err(ApprovalError::Own)));
        let refused = decide(&user("acme", "corp:bob", &sales)).await;
        assert!(matches!(refused, Err(ApprovalError::NotEntitled(_))));
        assert!(matches!(decide(&user("acme", "corp:bob", &[])).await, Err(ApprovalError::NotEntitled(_))));
        assert!(matches!(decide(&user("other", "corp:eve", &security)).await, Err(ApprovalError::Unknown)));
        decide(&user("acme", "corp:eve", &security)).await.expect("decided");
        let again = decide(&user("acme", "corp:eve", &security)).await;
        assert!(matches!(again, Err(ApprovalError::Decided("approved"))));
        clock.advance(Duration::from_secs(901));
        assert!(matches!(office.take("a", "b1", false).await, Ok(Taken::None)), "too late to be used");
        office.ask(&new("b")).await.expect("asked");
        let late = office.decide("b", &user("acme", "corp:eve", &security), true, None).await;
        assert!(matches!(late, Err(ApprovalError::Expired)));
    }

    #[tokio::test]
    async fn an_approval_without_groups_is_for_nobody_but_operators() {
        let (office, _) = office();
        let nobody = Approval { groups: Vec::new(), ..new("a") };
        office.ask(&nobody).await.expect("asked");
        let all = ["security".to_owned(), String::new()];
        let refused = office.decide("a", &user("acme", "corp:eve", &all), true, None).await;
        assert!(matches!(refused, Err(ApprovalError::NotEntitled(_))));
        let decided = office.decide("a", &Decider::Operator("root"), false, None).await.expect("decided");
        assert_eq!(decided.decider.as_deref(), Some("operator:root"));
        assert!(matches!(office.take("a", "b1", false).await, Ok(Taken::No(_))));
    }

    #[tokio::test]
    async fn what_waits_is_asked_for_once_and_what_has_ended_anew() {
        let (office, clock) = office();
        office.ask(&new("a")).await.expect("asked");
        clock.advance(Duration::from_secs(60));
        let later = Approval { created: clock.now(), ..new("a") };
        assert_eq!(office.ask(&later).await.expect("asked").created, Timestamp(1_000_000));
        office.decide("a", &Decider::Operator("root"), false, None).await.expect("decided");
        assert_eq!(office.ask(&later).await.expect("asked").created, clock.now());
        assert_eq!(office.list(Some("acme"), 10).await.expect("a list").len(), 1);
        assert_eq!(office.list(Some("other"), 10).await.expect("a list"), []);
        let huge = Approval { arguments: "x".repeat(APPROVAL_ARGUMENTS_BYTES_MAX + 1), ..new("c") };
        assert!(matches!(office.ask(&huge).await, Err(ApprovalError::TooLarge)));
    }
}
