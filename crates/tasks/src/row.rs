//! Records as they are stored.

use bytes::Bytes;
use model::task::{Task, TaskState};
use store::{StoreError, TaskChange, TaskPhase, TaskRow};

/// A record as text.
pub(crate) fn head(task: &Task) -> Bytes {
    Bytes::from(serde_json::to_vec(task).expect("a record is JSON"))
}

/// The record of a row.
pub(crate) fn task(row: &TaskRow) -> Result<Task, StoreError> {
    serde_json::from_slice(&row.head)
        .map_err(|error| StoreError::Corrupt(format!("task {}: {error}", row.id)))
}

/// What has to be done about it, and when.
pub(crate) fn phase(task: &Task) -> (TaskPhase, model::Timestamp) {
    match task.state {
        TaskState::Waiting => (TaskPhase::Open, task.due.min(task.expires)),
        TaskState::Running | TaskState::Asking => (TaskPhase::Open, task.expires),
        TaskState::Completed | TaskState::Failed | TaskState::Cancelled => (TaskPhase::Ended, task.expires),
        TaskState::Gone => {
            let told = std::time::Duration::from_millis(task.rules.tombstone_ms);
            (TaskPhase::Gone, task.updated.plus(told))
        }
    }
}

/// A change of a row to this record.
pub(crate) fn change(id: &str, to: &Task, outcome: Option<Bytes>) -> TaskChange {
    let (phase, due) = phase(to);
    TaskChange {
        id: id.to_owned(),
        version: to.version - 1,
        phase,
        owner: to.owner.clone(),
        due,
        head: head(to),
        outcome,
    }
}
