//! Fills a store with tasks, as a gateway would have left them.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use model::task::{Change, Command, Ending, Task, TaskRules};
use model::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};
use store::{Store as _, TaskPhase, TaskRow};
use store_sqlite::SqliteStore;

use crate::Result;

/// Tasks in one transaction.
const AT_ONCE: u64 = 2_000;
/// What each came to.
const OUTCOME: &[u8] = br#"R{"content":[{"type":"text","text":"done"}],"resultType":"complete"}"#;

#[derive(Debug, Args)]
pub struct Options {
    /// The file of the SQLite store.
    #[arg(long)]
    file: PathBuf,
    /// Tasks that have ended.
    #[arg(long, default_value_t = 0)]
    ended: u64,
    /// Tasks whose worker is gone.
    #[arg(long, default_value_t = 0)]
    in_flight: u64,
}

pub async fn run(options: &Options) -> Result<Value> {
    let now = SystemClock.now();
    let store = SqliteStore::open(&options.file, now).await.map_err(|e| format!("{e:?}"))?;
    let total = options.ended + options.in_flight;
    let mut at = 0;
    while at < total {
        let mut tx = store.begin().await.map_err(|e| format!("{e:?}"))?;
        for number in at..total.min(at + AT_ONCE) {
            let row = row(number, number < options.ended, now);
            tx.task_create(&row).await.map_err(|e| format!("{e:?}"))?;
        }
        tx.commit().await.map_err(|e| format!("{e:?}"))?;
        at += AT_ONCE;
    }
    store.close().await;
    Ok(json!({"tasks": total}))
}

fn row(number: u64, has_ended: bool, now: Timestamp) -> TaskRow {
    let running = Task::running(now, "a-worker-that-is-gone", TaskRules::default());
    let ended = Command::End { fence: running.fence, how: Ending::Completed, failure: None };
    let task = match running.apply(now, ended) {
        Ok(Change::To(ended)) if has_ended => *ended,
        _ => running,
    };
    let phase = if has_ended { TaskPhase::Ended } else { TaskPhase::Open };
    TaskRow {
        // Older than whatever is made later.
        id: format!("0{number:031}"),
        tenant: "filled".to_owned(),
        holder: format!("holder {}", number % 100),
        key: None,
        phase,
        owner: task.owner.clone(),
        due: task.expires,
        version: task.version,
        head: Bytes::from(serde_json::to_vec(&task).unwrap_or_default()),
        call: if has_ended { Bytes::new() } else { Bytes::from_static(b"{}") },
        outcome: if has_ended { Bytes::from_static(OUTCOME) } else { Bytes::new() },
    }
}
