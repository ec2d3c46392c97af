//! What is done now and then by one process of all: what ended without an end is closed, old entries are
//! pruned, what was captured is erased, and logs of which nothing happens are signed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use audit::tree::TILE_WIDTH;
use audit::{Event, Outcome, Phase};
use model::Timestamp;
use store::{AuditEntryRow, AuditFilter, StoreError};
use tokio::sync::mpsc::WeakSender;
use tokio::time::sleep;

use crate::office::{AuditOffice, Writer};
use crate::tail::Tail;
use crate::{Item, Shared, write};

/// The log that also tells of the gateway itself.
const OWN: &str = "default";
const EVERY: Duration = Duration::from_secs(15);
const LEASE: &str = "audit/upkeep";
const LEASE_TIME: Duration = Duration::from_secs(60);
/// Who is silent for so long has ended.
const SILENCE: Duration = Duration::from_secs(45);
/// A log of which nothing happens is signed as often as this.
const QUIET: Duration = Duration::from_secs(600);
/// What is changed in one transaction: it must not keep others waiting.
const AT_ONCE: usize = 256;

pub(crate) async fn run(shared: Arc<Shared>, queue: WeakSender<Item>) {
    loop {
        if let Err(error) = once(&shared, &queue).await {
            tracing::warn!(%error, "the audit log was not kept in order");
        }
        sleep(EVERY).await;
    }
}

async fn once(shared: &Shared, queue: &WeakSender<Item>) -> Result<(), StoreError> {
    let now = shared.clock.now();
    let mut tx = shared.store.begin().await?;
    let mine = tx.lease_take(LEASE, &shared.writer, now, now.plus(LEASE_TIME)).await?.is_some();
    tx.commit().await?;
    if !mine {
        return Ok(());
    }
    for writer in AuditOffice(&*shared.store).writers().await? {
        if writer.name != shared.writer && now.since(Timestamp(writer.beat)) > SILENCE {
            bury(shared, queue, &writer, now).await?;
        }
    }
    let mut after: Option<String> = None;
    loop {
        let logs = shared.store.audit_logs(after.as_deref(), AT_ONCE).await?;
        let Some(last) = logs.last() else { return Ok(()) };
        after = Some(last.log.clone());
        for row in logs {
            keep(shared, &row.log, row.hold.is_some(), now).await?;
        }
    }
}

/// Writes an event, by the task that writes.
async fn write_one(queue: &WeakSender<Item>, event: Event) -> Result<(), StoreError> {
    let gone = || StoreError::unavailable("the recorder ends");
    let (reply, done) = tokio::sync::oneshot::channel();
    let queue = queue.upgrade().ok_or_else(gone)?;
    queue.send(Item { event, reply: Some(reply), _room: None }).await.map_err(|_| gone())?;
    drop(queue);
    match done.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(unwritten)) => Err(StoreError::unavailable(unwritten)),
        Err(_) => Err(gone()),
    }
}

/// Closes what a process that has ended had begun, and records that events of it may be lost.
async fn bury(
    shared: &Shared,
    queue: &WeakSender<Item>,
    writer: &Writer,
    now: Timestamp,
) -> Result<(), StoreError> {
    loop {
        let unclosed = shared.store.audit_unclosed(&writer.name, AT_ONCE).await?;
        for entry in unclosed.iter().filter(|entry| !entry.operation.is_empty()) {
            write_one(queue, unknown(entry, writer, now)).await?;
        }
        if unclosed.len() < AT_ONCE {
            break;
        }
    }
    // What waited may have been for a log that it had not come to: that of the gateway tells of it always.
    let logs: BTreeSet<&str> = writer.logs.iter().map(String::as_str).chain([OWN]).collect();
    for log in logs.into_iter().filter(|_| !writer.strict) {
        let mut event = Event::new("audit_gap", now, log, "@tidegate");
        event.outcome = Outcome::Error;
        event.details.insert("lost", "unknown".to_owned());
        event.details.insert("lost_max", writer.queue.to_string());
        event.details.insert("writer", writer.name.clone());
        write_one(queue, event).await?;
    }
    tracing::warn!(writer = writer.name, "a writer of the audit log had ended without saying so");
    AuditOffice(&*shared.store).writer_remove(&writer.name).await
}

/// The end of an operation of which nobody knows how it ended.
fn unknown(entry: &AuditEntryRow, writer: &Writer, now: Timestamp) -> Event {
    let subject = entry.principal.strip_prefix(&entry.log).and_then(|rest| rest.strip_prefix('/'));
    let mut event = Event::new("outcome_unknown", now, &entry.log, subject.unwrap_or(&entry.principal));
    event.operation = Arc::from(entry.operation.as_str());
    event.phase = Phase::Completed;
    event.outcome = Outcome::Error;
    event.target = Some(&entry.tool).filter(|tool| !tool.is_empty()).map(|tool| Arc::from(tool.as_str()));
    let upstream = Some(&entry.upstream).filter(|upstream| !upstream.is_empty());
    event.upstream = upstream.map(|upstream| Arc::from(upstream.as_str()));
    event.details.insert("began_as", entry.kind.clone());
    event.details.insert("began_at_index", entry.index.to_string());
    event.details.insert("writer", writer.name.clone());
    event
}

async fn keep(shared: &Shared, log: &str, held: bool, now: Timestamp) -> Result<(), StoreError> {
    if !held {
        erase(shared, log, now).await?;
        if let Some(retention) = shared.options.retention {
            prune(shared, log, Timestamp(now.0.saturating_sub(ms(retention)))).await?;
        }
    }
    let tail = Tail::load(shared, log).await?;
    if now.since(tail.signed_at) >= QUIET {
        // Where another one adds to it just now, it is not quiet.
        write::sign(shared, tail, now).await?;
    }
    Ok(())
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

async fn erase(shared: &Shared, log: &str, now: Timestamp) -> Result<(), StoreError> {
    let before = Timestamp(now.0.saturating_sub(ms(shared.options.capture_retention)));
    loop {
        let mut tx = shared.store.begin().await?;
        let erased = tx.audit_content_erase(log, None, before, AT_ONCE).await?;
        tx.commit().await?;
        if erased < AT_ONCE as u64 {
            return Ok(());
        }
    }
}

/// The place after the last entry that is older.
async fn older(shared: &Shared, log: &str, before: Timestamp) -> Result<u64, StoreError> {
    let filter = AuditFilter { log: log.to_owned(), to: Some(before), ..AuditFilter::default() };
    Ok(shared.store.audit_query(&filter, None, 1).await?.pop().map_or(0, |last| last.index + 1))
}

/// The first entry of a log that an export has not delivered yet.
async fn undelivered(shared: &Shared, log: &str) -> Result<Option<u64>, StoreError> {
    let mut first: Option<u64> = None;
    for export in shared.options.exports.iter().filter(|export| export.takes(log)) {
        let next = AuditOffice(&*shared.store).cursor(export.name(), log).await?.next;
        first = Some(first.map_or(next, |first| first.min(next)));
    }
    Ok(first)
}

/// Records that older entries are pruned, signs that, and prunes them, all in one transaction.
async fn prune(shared: &Shared, log: &str, before: Timestamp) -> Result<(), StoreError> {
    let mut below = older(shared, log, before).await?;
    if let Some(next) = undelivered(shared, log).await?.filter(|next| *next < below) {
        let longest = Timestamp(before.0.saturating_sub(ms(shared.options.export_wait)));
        below = next.max(older(shared, log, longest).await?);
    }
    // Whole tiles, so that what remains stands in whole bundles.
    below = below / TILE_WIDTH * TILE_WIDTH;
    let first = shared.store.audit_log(log).await?.map_or(0, |row| row.first);
    if below <= first {
        return Ok(());
    }
    let now = shared.clock.now();
    let mut tail = Tail::load(shared, log).await?;
    let mut event = Event::new("audit_prune", now, log, "@tidegate");
    event.details.insert("below", below.to_string());
    let change = tail.key_change(shared, now);
    let events: Vec<&Event> = std::iter::once(&event).chain(&change).collect();
    let (batch, _) = tail.batch(shared, &events);
    let note = tail.sign(shared, now, change.is_some());
    let mut tx = shared.store.begin().await?;
    let written = tx.audit_append(&batch).await? && tx.audit_sign(&note, change.is_some()).await?;
    if written && tx.audit_prune(log, below).await? > 0 {
        tx.commit().await?;
    }
    Ok(())
}
