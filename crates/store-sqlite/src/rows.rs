//! Numbers and rows, as SQLite has them.

use std::collections::BTreeSet;

use bytes::Bytes;
use model::{ReplicaId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row as _};
use store::{
    BudgetRow, Fence, GrantRow, KeyRow, LeaseRow, ReplicaRow, Seq, SessionRow, StoreError, StreamRow,
    TaskPhase, TaskRow,
};

use crate::failure::failed;

/// A number as it is stored; the end of time is nearer than in memory, and still far.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn number(row: &SqliteRow, column: &str) -> Result<u64, Error> {
    row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or(0))
}

pub(crate) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, Error> {
    number(row, column).map(Timestamp)
}

pub(crate) fn replica(row: &SqliteRow) -> Result<ReplicaRow, StoreError> {
    let id: String = row.try_get("id").map_err(failed)?;
    let id =
        ReplicaId::parse(&id).ok_or_else(|| StoreError::Corrupt(format!("no name of a replica: {id}")))?;
    let read = || -> Result<ReplicaRow, Error> {
        Ok(ReplicaRow {
            id: id.clone(),
            url: row.try_get("url")?,
            started: time(row, "started")?,
            at: time(row, "at")?,
            beat: number(row, "beat")?,
            version: row.try_get("version")?,
            keys: row.try_get("keys")?,
            draining: row.try_get("draining")?,
        })
    };
    read().map_err(failed)
}

/// A session, without its resources.
pub(crate) fn session(row: &SqliteRow) -> Result<SessionRow, Error> {
    Ok(SessionRow {
        seq: Seq(number(row, "seq")?),
        level: row.try_get("level")?,
        uris: BTreeSet::new(),
        ended: row.try_get("ended")?,
        expires: time(row, "expires")?,
    })
}

pub(crate) fn stream(row: &SqliteRow) -> Result<StreamRow, Error> {
    Ok(StreamRow {
        session: row.try_get("session")?,
        first: number(row, "first")?,
        next: number(row, "next")?,
        bytes: number(row, "bytes")?,
        closed: row.try_get("closed")?,
        expires: time(row, "expires")?,
    })
}

pub(crate) fn event(row: &SqliteRow) -> Result<(u64, Bytes), Error> {
    Ok((number(row, "number")?, Bytes::from(row.try_get::<Vec<u8>, _>("data")?)))
}

pub(crate) fn lease(row: &SqliteRow) -> Result<LeaseRow, Error> {
    Ok(LeaseRow {
        owner: row.try_get("owner")?,
        fence: Fence(number(row, "fence")?),
        until: time(row, "until")?,
    })
}

pub(crate) fn key(row: &SqliteRow) -> Result<KeyRow, StoreError> {
    let id: String = row.try_get("id").map_err(failed)?;
    let secret: Vec<u8> = row.try_get("secret").map_err(failed)?;
    let secret: [u8; 32] =
        secret.try_into().map_err(|_| StoreError::Corrupt(format!("the key {id} is not one of 32 bytes")))?;
    let retired: Option<i64> = row.try_get("retired_at").map_err(failed)?;
    let retired_at = retired.map(|at| Timestamp(u64::try_from(at).unwrap_or(0)));
    let (created, active_from) =
        (time(row, "created").map_err(failed)?, time(row, "active_from").map_err(failed)?);
    Ok(KeyRow { id, created, active_from, retired_at, secret })
}

pub(crate) fn bytes(row: &SqliteRow, column: &str) -> Result<Bytes, Error> {
    row.try_get::<Vec<u8>, _>(column).map(Bytes::from)
}

pub(crate) fn grant(row: &SqliteRow) -> Result<GrantRow, Error> {
    Ok(GrantRow {
        name: row.try_get("name")?,
        tenant: row.try_get("tenant")?,
        holder: row.try_get("holder")?,
        upstream: row.try_get("upstream")?,
        version: number(row, "version")?,
        expires: time(row, "expires")?,
        data: bytes(row, "data")?,
    })
}

pub(crate) fn budget(row: &SqliteRow) -> Result<BudgetRow, Error> {
    Ok(BudgetRow {
        name: row.try_get("name")?,
        at: time(row, "at")?,
        used: number(row, "used")?,
        unit: number(row, "unit")?,
        expires: time(row, "expires")?,
    })
}

/// A task, without its call and outcome.
pub(crate) fn task_head(row: &SqliteRow) -> Result<TaskRow, StoreError> {
    let read = || -> Result<(TaskRow, i64), Error> {
        let task = TaskRow {
            id: row.try_get("id")?,
            tenant: row.try_get("tenant")?,
            holder: row.try_get("holder")?,
            key: row.try_get("key")?,
            phase: TaskPhase::Open,
            owner: row.try_get("owner")?,
            due: time(row, "due")?,
            version: number(row, "version")?,
            head: bytes(row, "head")?,
            call: Bytes::new(),
            outcome: Bytes::new(),
        };
        Ok((task, row.try_get("phase")?))
    };
    let (task, phase) = read().map_err(failed)?;
    let wrong = || StoreError::Corrupt(format!("the task {} is in no known phase: {phase}", task.id));
    Ok(TaskRow { phase: TaskPhase::of_number(phase).ok_or_else(wrong)?, ..task })
}

pub(crate) fn task(row: &SqliteRow) -> Result<TaskRow, StoreError> {
    let head = task_head(row)?;
    let (call, outcome) = (bytes(row, "call").map_err(failed)?, bytes(row, "outcome").map_err(failed)?);
    Ok(TaskRow { call, outcome, ..head })
}
