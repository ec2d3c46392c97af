//! Who works on what: the lease of this worker, tasks that are due, and those of workers that are lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Timestamp;
use model::task::{Change, Command, Refusal, Task};
use store::{Fence, LeaseRow, StoreError, TaskPut, TaskRow};
use tokio::time::Instant;

use crate::live::Live;
use crate::options::Counters;
use crate::tasks::{Inner, TaskError};
use crate::{drive, row};

/// How long the making of a task waits for the lease, which is there but after a loss.
const LEASE_WAIT: Duration = Duration::from_secs(5);
/// How often is looked for what is due where nothing says when.
const LOOK: Duration = Duration::from_secs(1);
/// Tasks that are claimed in one go.
const CLAIM_MAX: usize = 64;
/// The pause after the store failed.
const PAUSE: Duration = Duration::from_millis(250);

/// The lease of this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    pub name: String,
    pub owner: String,
    pub fence: Fence,
}

/// What the names of all workers' leases begin with. A name is never taken again.
pub(crate) const LEASES: &str = "tasks/";

fn lease_name(worker: &str) -> String {
    format!("{LEASES}{worker}")
}

/// The lease, once there is one.
pub(crate) async fn held(inner: &Inner) -> Result<Holding, TaskError> {
    if let Some(holding) = inner.holding.borrow().clone() {
        return Ok(holding);
    }
    let mut holding = inner.holding.subscribe();
    let found = tokio::time::timeout(LEASE_WAIT, holding.wait_for(Option::is_some)).await;
    let found = found.ok().and_then(|found| found.ok().and_then(|holding| holding.clone()));
    found.ok_or_else(|| StoreError::unavailable("this worker has no lease").into())
}

/// Takes a lease and holds it for ever; takes another one, under another name, where it is lost.
pub(crate) async fn hold(inner: Arc<Inner>, worker: String) {
    let mut number = 0_u64;
    loop {
        number += 1;
        let owner = if number == 1 { worker.clone() } else { format!("{worker}.{number}") };
        let Some((fence, mut until)) = take(&inner, &owner).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let holding = Holding { name: lease_name(&owner), owner, fence };
        inner.holding.send_replace(Some(holding.clone()));
        inner.claims.notify_one();
        let mut now = inner.holding.subscribe();
        loop {
            let lease = inner.options.load().lease;
            tokio::select! {
                biased;
                _ = now.wait_for(|now| now.as_ref() != Some(&holding)) => break,
                () = tokio::time::sleep(lease / 3) => {}
            }
            // Others see by its growing that this worker lives, also where the clock was set back.
            let next = inner.now().plus(lease).max(until.plus(Duration::from_millis(1)));
            match renew(&inner, &holding, next).await {
                Ok(true) => until = next,
                Ok(false) => {
                    lost_lease(&inner, &holding);
                    break;
                }
                Err(error) => tracing::warn!(%error, "the lease on tasks is not renewed"),
            }
        }
    }
}

async fn take(inner: &Inner, owner: &str) -> Option<(Fence, Timestamp)> {
    let now = inner.now();
    let until = now.plus(inner.options.load().lease);
    let taken = async {
        let mut tx = inner.store.begin().await?;
        let fence = tx.lease_take(&lease_name(owner), owner, now, until).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(fence)
    };
    match taken.await {
        Ok(fence) => fence.map(|fence| (fence, until)),
        Err(error) => {
            tracing::warn!(%error, "no lease on tasks yet");
            None
        }
    }
}

async fn renew(inner: &Inner, holding: &Holding, until: Timestamp) -> Result<bool, StoreError> {
    let mut tx = inner.store.begin().await?;
    let held = tx.lease_renew(&holding.name, &holding.owner, holding.fence, until).await?;
    tx.commit().await?;
    Ok(held)
}

/// Another worker has taken over what this one had: none of it is to be gone on with.
pub(crate) fn lost_lease(inner: &Inner, holding: &Holding) {
    let mut lost = false;
    inner.holding.send_if_modified(|now| {
        lost = now.as_ref() == Some(holding);
        if lost {
            *now = None;
        }
        lost
    });
    if lost {
        tracing::warn!(worker = holding.owner, "the lease on tasks was lost, and what ran is dropped");
        Counters::add(&inner.counters.leases_lost, 1);
        inner.live.clear();
    }
}

/// Gives the lease back: others take over at once.
pub(crate) async fn release(inner: &Inner) {
    let Some(holding) = inner.holding.send_replace(None) else { return };
    let released = async {
        let mut tx = inner.store.begin().await?;
        tx.lease_release(&holding.name, &holding.owner, holding.fence).await?;
        tx.commit().await
    };
    if let Err(error) = released.await {
        tracing::warn!(%error, "the lease on tasks was not given back");
    }
}

/// Claims what is due, as far as there is room.
pub(crate) async fn due(inner: Arc<Inner>) {
    loop {
        let wait = match claim_due(&inner).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "tasks that are due were not found");
                PAUSE
            }
        };
        tokio::select! {
            biased;
            () = inner.claims.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Says when to look again.
async fn claim_due(inner: &Arc<Inner>) -> Result<Duration, StoreError> {
    loop {
        let next = inner.store.task_next_due().await?;
        let behind = next.map_or(0, |at| inner.now().since(at).as_millis());
        inner.counters.behind.store(u64::try_from(behind).unwrap_or(u64::MAX), Ordering::Relaxed);
        let room = inner.options.load().running_max.saturating_sub(inner.live.len()).min(CLAIM_MAX);
        if room == 0 || inner.stopping.load(Ordering::Acquire) || inner.holding.borrow().is_none() {
            return Ok(LOOK);
        }
        let now = inner.now();
        let found = inner.store.tasks_due(now, room).await?;
        let last = found.len() < room;
        for row in found {
            claim(inner, row, false).await?;
        }
        if last {
            let next = inner.store.task_next_due().await?;
            let wait = next.map_or(LOOK, |at| at.since(inner.now()));
            return Ok(wait.clamp(Duration::from_millis(5), LOOK));
        }
    }
}

/// Looks for workers that are lost, and takes over what they had.
pub(crate) async fn lost(inner: Arc<Inner>) {
    let mut seen: HashMap<String, (Option<Timestamp>, Instant)> = HashMap::new();
    let mut looked = Instant::now();
    loop {
        let lease = inner.options.load().lease;
        // Who did not look, or could not, has not seen that somebody stood still.
        if looked.elapsed() > lease {
            seen.clear();
        }
        if let Err(error) = look(&inner, &mut seen, lease).await {
            tracing::warn!(%error, "lost workers were not looked for");
            seen.clear();
        }
        looked = Instant::now();
        if inner.doubt.swap(false, Ordering::AcqRel)
            && let Err(error) = orphans(&inner).await
        {
            inner.doubt.store(true, Ordering::Release);
            tracing::warn!(%error, "tasks that were left behind here were not looked for");
        }
        tokio::time::sleep((lease / 4).max(Duration::from_millis(20))).await;
    }
}

async fn look(
    inner: &Arc<Inner>,
    seen: &mut HashMap<String, (Option<Timestamp>, Instant)>,
    lease: Duration,
) -> Result<(), StoreError> {
    let Some(me) = inner.holding.borrow().as_ref().map(|holding| holding.owner.clone()) else {
        return Ok(());
    };
    if inner.stopping.load(Ordering::Acquire) {
        return Ok(());
    }
    let owners = inner.store.task_owners().await?;
    seen.retain(|owner, _| owners.contains(owner));
    for owner in owners.into_iter().filter(|owner| *owner != me) {
        let row = inner.store.lease(&lease_name(&owner)).await?;
        let until = row.as_ref().filter(|row| row.owner.as_ref() == Some(&owner)).map(|row| row.until);
        let now = Instant::now();
        let (known, since) = *seen.entry(owner.clone()).or_insert((until, now));
        if known != until {
            seen.insert(owner.clone(), (until, now));
            continue;
        }
        // By what is seen to stand still, and not by clocks, which may be apart.
        let is_lost = until.is_none() || now.duration_since(since) >= lease;
        if is_lost && bury(inner, &owner, row).await? {
            take_over(inner, &owner).await?;
        }
    }
    Ok(())
}

/// Takes the lease of a lost worker, so that it writes nothing from now on. `false`: it lives after all.
async fn bury(inner: &Inner, owner: &str, row: Option<LeaseRow>) -> Result<bool, StoreError> {
    let Some(row) = row.filter(|row| row.owner.as_deref() == Some(owner)) else { return Ok(true) };
    let mut tx = inner.store.begin().await?;
    // Past what it wrote last, whatever the clocks say. Where it has written since, nothing is taken.
    let past = row.until.plus(Duration::from_millis(1));
    let taken = tx.lease_take(&lease_name(owner), "", past, past).await?;
    tx.commit().await?;
    if taken.is_some() {
        tracing::warn!(worker = owner, "a worker is lost; what it had is taken over");
    }
    Ok(taken.is_some())
}

/// Claims what a lost worker had, as far as there is room; others claim, too.
async fn take_over(inner: &Arc<Inner>, owner: &str) -> Result<(), StoreError> {
    loop {
        let room = inner.options.load().running_max.saturating_sub(inner.live.len()).min(CLAIM_MAX);
        if room == 0 {
            return Ok(());
        }
        let found = inner.store.tasks_owned(owner, room).await?;
        let last = found.len() < room;
        for row in found {
            if claim(inner, row, true).await? {
                Counters::add(&inner.counters.taken_over, 1);
            }
        }
        if last {
            return Ok(());
        }
    }
}

/// Takes up again what belongs to this worker, and what nothing here works on: where it is not known whether
/// a claim was written, it may have been.
async fn orphans(inner: &Arc<Inner>) -> Result<(), StoreError> {
    let Some(holding) = inner.holding.borrow().clone() else { return Ok(()) };
    let most = inner.live.len() + CLAIM_MAX;
    for row in inner.store.tasks_owned(&holding.owner, most).await? {
        // In this order: what is claimed meanwhile is in one of the two.
        if inner.claiming.has(&row.id) || inner.live.get(&row.id).is_some() {
            continue;
        }
        tracing::warn!(task = row.id, "a task that was left behind is taken up again");
        claim(inner, row, true).await?;
    }
    Ok(())
}

/// Claims one task and begins an attempt. `false`: somebody else was first.
async fn claim(inner: &Arc<Inner>, found: TaskRow, lost: bool) -> Result<bool, StoreError> {
    let Some(holding) = inner.holding.borrow().clone() else { return Ok(false) };
    let task = match row::task(&found) {
        Ok(task) => task,
        Err(error) => {
            tracing::error!(%error, "a task that cannot be read is left alone");
            return Ok(false);
        }
    };
    let now = inner.now();
    if task.is_over(now) {
        return expire(inner, &found.id, &task, now).await.map(|()| false);
    }
    let claim = Command::Claim { worker: holding.owner.clone(), lost };
    let next = match task.apply(now, claim) {
        Ok(Change::To(next)) => *next,
        Ok(Change::Same) | Err(Refusal::NotDue | Refusal::Ended) => return Ok(false),
        Err(refusal) => {
            tracing::error!(task = found.id, %refusal, "a task was not claimed");
            return Ok(false);
        }
    };
    let _claiming = inner.claiming.begin(&found.id);
    let put = inner.put(&found.id, &next, None, Some(&holding)).await;
    if put.is_err() {
        inner.doubt.store(true, Ordering::Release);
    }
    match put? {
        TaskPut::Done => {}
        TaskPut::Stale => return Ok(false),
        TaskPut::Fenced => {
            lost_lease(inner, &holding);
            return Ok(false);
        }
    }
    inner.changed(&found.id, &next);
    let live = Live { holder: found.holder, task: next, call: found.call };
    drive::begin(inner, &found.id, live, None);
    Ok(true)
}

async fn expire(inner: &Inner, id: &str, task: &Task, now: Timestamp) -> Result<(), StoreError> {
    if let Ok(Change::To(gone)) = task.apply(now, Command::Expire)
        && inner.put(id, &gone, None, None).await? == TaskPut::Done
    {
        Counters::add(&inner.counters.expired, 1);
        inner.changed(id, &gone);
    }
    Ok(())
}
