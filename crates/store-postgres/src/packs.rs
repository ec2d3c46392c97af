//! Entries of audit logs, in packs.

use futures_util::{FutureExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, QueryBuilder, Row as _};
use store::{
    AUDIT_PACK_BYTES, AuditEntryRow, AuditFilter, AuditPack, AuditUnpack, Record, RecordSink, StoreError,
    audit_mark, audit_pick, audit_take,
};

use crate::PostgresStore;
use crate::failure::Failure;
use crate::rows::{self, int};
use crate::run::read;
use crate::task_reads::{all, limit};
use crate::tx::{Change, failed};

/// Packs that are read at once: a pack may have the entries of a large commit.
const AT_ONCE: usize = 16;

fn pack(row: &PgRow) -> Result<(u64, &[u8]), sqlx::Error> {
    Ok((rows::number(row, "first")?, row.try_get("entries")?))
}

impl PostgresStore {
    pub(crate) async fn packs_entries(
        &self,
        log: &str,
        from: u64,
        most: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        let query = "SELECT first, next, entries FROM audit_packs WHERE log = $1 AND first >= \
                     coalesce((SELECT max(first) FROM audit_packs WHERE log = $1 AND first <= $2), 0) \
                     ORDER BY first LIMIT $3";
        let mut found = Vec::new();
        let mut at = from;
        // Most who ask for few ask for one.
        let packs = if most < AT_ONCE { 1 } else { AT_ONCE };
        while found.len() < most {
            let query = || sqlx::query(query).bind(log.to_owned()).bind(int(at)).bind(limit(packs));
            let read = all(self, query, |row| {
                let (first, entries) = pack(row)?;
                Ok((first, entries.to_vec(), rows::number(row, "next")?))
            });
            let before = at;
            for (first, entries, next) in read.await? {
                audit_take(log, (first, &entries), at, most, &mut found)?;
                at = at.max(next);
            }
            if at == before {
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn packs_query(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        let mut found = Vec::new();
        let mut below = before.map_or(i64::MAX, int);
        while found.len() < most {
            let asked = filter.clone();
            let rows =
                read(&self.pool, move |connection| wanted(connection, asked.clone(), below).boxed()).await?;
            for row in &rows {
                let (first, entries) = pack(row).map_err(failed)?;
                below = int(first);
                audit_pick(filter, (first, entries), before, most, &mut found)?;
            }
            if rows.len() < AT_ONCE {
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn packs_unclosed(
        &self,
        writer: &str,
        most: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        let query = "SELECT log, idx FROM audit_open WHERE writer = $1 ORDER BY log, idx LIMIT $2";
        let query = || sqlx::query(query).bind(writer.to_owned()).bind(limit(most));
        let open: Vec<(String, u64)> =
            all(self, query, |row| Ok((row.try_get("log")?, rows::number(row, "idx")?))).await?;
        let mut found = Vec::new();
        for (log, index) in open {
            let entry = self.packs_entries(&log, index, 1).await?.pop();
            found.extend(entry.filter(|entry| entry.index == index));
        }
        Ok(found)
    }
}

/// The packs in which something of what is looked for may be, the last first.
async fn wanted(
    connection: &mut PgConnection,
    filter: AuditFilter,
    below: i64,
) -> Result<Vec<PgRow>, Failure> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT p.first, p.entries FROM ");
    // Where somebody is looked for, the packs with something of his are few.
    let of = if let Some(principal) = &filter.principal {
        query.push("audit_principals i JOIN audit_packs p ON p.log = i.log AND p.first = i.first");
        query.push(" WHERE i.principal = ").push_bind(principal).push(" AND i.log = ");
        "i"
    } else {
        query.push("audit_packs p WHERE p.log = ");
        "p"
    };
    query.push_bind(&filter.log);
    query.push(format_args!(" AND {of}.first < ")).push_bind(below);
    if let Some(from) = filter.from {
        query.push(format_args!(" AND {of}.to_at >= ")).push_bind(int(from.0));
    }
    if let Some(to) = filter.to {
        query.push(format_args!(" AND {of}.from_at < ")).push_bind(int(to.0));
    }
    if let Some(operation) = filter.operation.as_ref().filter(|operation| !operation.is_empty()) {
        query.push(" AND position(").push_bind(audit_mark(operation)).push(" in p.marks) > 0");
    }
    query.push(format_args!(" ORDER BY {of}.first DESC LIMIT ")).push_bind(limit(AT_ONCE));
    Ok(query.build().fetch_all(connection).await?)
}

/// All entries of all logs.
pub(crate) async fn export(connection: &mut PgConnection, to: &mut dyn RecordSink) -> Result<(), Failure> {
    let query = "SELECT log, first, entries FROM audit_packs ORDER BY log, first";
    let mut packs = sqlx::query(query).fetch(connection);
    while let Some(row) = packs.try_next().await? {
        let log: String = row.try_get("log")?;
        let (first, entries) = pack(&row)?;
        for entry in AuditUnpack::new(entries, first) {
            to.put(Record::AuditEntry(entry?.row(&log))).await?;
        }
    }
    Ok(())
}

impl Change {
    /// Adds entries to a log that has grown, whose row is held since: so the last pack is nobody else's to
    /// change. It takes more where it is short. One statement costs one way to the server and back.
    pub(crate) async fn packs_append(
        &mut self,
        log: &str,
        entries: &[AuditEntryRow],
    ) -> Result<(), StoreError> {
        let pack = AuditPack::new(entries);
        let (mut operations, mut indexes, mut writers) = (Vec::new(), Vec::new(), Vec::new());
        for ((operation, index), writer) in &pack.opened {
            operations.push(*operation);
            indexes.push(int(*index));
            writers.push(*writer);
        }
        let put = "WITH last AS (SELECT first, next, octet_length(entries) AS bytes FROM audit_packs \
                   WHERE log = $1 ORDER BY first DESC LIMIT 1), \
                   place AS (SELECT coalesce((SELECT first FROM last WHERE next = $2 \
                   AND bytes + octet_length($7) < $8), $2) AS first), \
                   packed AS (INSERT INTO audit_packs (log, first, next, from_at, to_at, marks, entries) \
                   SELECT $1, first, $3, $4, $5, $6, $7 FROM place \
                   ON CONFLICT (log, first) DO UPDATE SET next = excluded.next, \
                   from_at = least(audit_packs.from_at, excluded.from_at), \
                   to_at = greatest(audit_packs.to_at, excluded.to_at), \
                   marks = audit_packs.marks || excluded.marks, \
                   entries = audit_packs.entries || excluded.entries), \
                   named AS (INSERT INTO audit_principals (log, principal, first, from_at, to_at) \
                   SELECT $1, principal, first, $4, $5 FROM place, unnest($9::text[]) AS principal \
                   ON CONFLICT (log, principal, first) DO UPDATE SET \
                   from_at = least(audit_principals.from_at, excluded.from_at), \
                   to_at = greatest(audit_principals.to_at, excluded.to_at)), \
                   closed AS (DELETE FROM audit_open WHERE log = $1 AND operation = ANY($10)) \
                   INSERT INTO audit_open (log, operation, idx, writer) \
                   SELECT $1, * FROM unnest($11::text[], $12::bigint[], $13::text[])";
        let put = sqlx::query(put).bind(log).bind(int(pack.first)).bind(int(pack.next));
        let put = put.bind(int(pack.from.0)).bind(int(pack.to.0));
        let put = put.bind(&pack.marks[..]).bind(&pack.entries[..]);
        let put = put.bind(i32::try_from(AUDIT_PACK_BYTES).unwrap_or(i32::MAX));
        let put = put.bind(pack.principals.iter().copied().collect::<Vec<_>>());
        let put = put.bind(pack.ended.iter().copied().collect::<Vec<_>>());
        self.run(put.bind(operations).bind(indexes).bind(writers)).await.map(drop)
    }

    /// Forgets the entries before a place. Says how many they were.
    pub(crate) async fn packs_prune(&mut self, log: &str, below: u64) -> Result<u64, StoreError> {
        let count = "SELECT coalesce(sum(least(next, $2) - first), 0)::bigint AS count FROM audit_packs \
                     WHERE log = $1 AND first < $2";
        let row = self.find(sqlx::query(count).bind(log).bind(int(below))).await?;
        let count = row.map_or(Ok(0), |row| rows::number(&row, "count")).map_err(failed)?;
        let half = "SELECT first, entries FROM audit_packs WHERE log = $1 AND first < $2 AND next > $2";
        let half = self.find(sqlx::query(half).bind(log).bind(int(below))).await?;
        let mut left = Vec::new();
        if let Some(row) = &half {
            audit_take(log, pack(row).map_err(failed)?, below, usize::MAX, &mut left)?;
        }
        for forget in [
            "DELETE FROM audit_packs WHERE log = $1 AND first < $2",
            "DELETE FROM audit_principals WHERE log = $1 AND first < $2",
            "DELETE FROM audit_open WHERE log = $1 AND idx < $2",
        ] {
            self.run(sqlx::query(forget).bind(log).bind(int(below))).await?;
        }
        if !left.is_empty() {
            self.pack_put(log, &AuditPack::new(&left)).await?;
        }
        Ok(count)
    }

    /// Puts what is left of a pack. What is open of it is known.
    async fn pack_put(&mut self, log: &str, pack: &AuditPack<'_>) -> Result<(), StoreError> {
        let put = "WITH named AS (INSERT INTO audit_principals (log, principal, first, from_at, to_at) \
                   SELECT $1, principal, $2, $4, $5 FROM unnest($8::text[]) AS principal) \
                   INSERT INTO audit_packs (log, first, next, from_at, to_at, marks, entries) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let put = sqlx::query(put).bind(log).bind(int(pack.first)).bind(int(pack.next));
        let put = put.bind(int(pack.from.0)).bind(int(pack.to.0));
        let put = put.bind(&pack.marks[..]).bind(&pack.entries[..]);
        self.run(put.bind(pack.principals.iter().copied().collect::<Vec<_>>())).await.map(drop)
    }
}
