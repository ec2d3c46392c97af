-- Entries of an audit log, those of a commit in one row. An entry is its head of decimal digits (at 20, started 1; the lengths
-- of principal, kind, tool, outcome, upstream, operation, writer and line, 5 each) and what those are the lengths of.
CREATE TABLE audit_packs (
    log TEXT NOT NULL,
    first INTEGER NOT NULL,
    next INTEGER NOT NULL,
    from_at INTEGER NOT NULL,
    to_at INTEGER NOT NULL,
    marks BLOB NOT NULL,
    entries BLOB NOT NULL,
    PRIMARY KEY (log, first)
) STRICT;

CREATE INDEX audit_packs_by_time ON audit_packs (log, to_at);

-- In which packs something of a principal is.
CREATE TABLE audit_principals (
    log TEXT NOT NULL,
    principal TEXT NOT NULL,
    first INTEGER NOT NULL,
    from_at INTEGER NOT NULL,
    to_at INTEGER NOT NULL,
    PRIMARY KEY (log, principal, first)
) STRICT, WITHOUT ROWID;

-- Beginnings that no end follows yet.
CREATE TABLE audit_open (
    log TEXT NOT NULL,
    operation TEXT NOT NULL,
    idx INTEGER NOT NULL,
    writer TEXT NOT NULL,
    PRIMARY KEY (log, operation, idx)
) STRICT, WITHOUT ROWID;

INSERT INTO audit_packs (log, first, next, from_at, to_at, marks, entries)
SELECT log, min(idx), max(idx) + 1, min(at), max(at),
    CAST(group_concat(CASE WHEN operation = '' THEN '' ELSE char(10) || substr(CAST(operation AS BLOB), -8) END, '' ORDER BY idx)
        AS BLOB),
    CAST(group_concat(printf('%020d%d%05d%05d%05d%05d%05d%05d%05d%05d', at, started, length(CAST(principal AS BLOB)),
        length(CAST(kind AS BLOB)), length(CAST(tool AS BLOB)), length(CAST(outcome AS BLOB)), length(CAST(upstream AS BLOB)),
        length(CAST(operation AS BLOB)), length(CAST(writer AS BLOB)), length(line))
        || principal || kind || tool || outcome || upstream || operation || writer || line, '' ORDER BY idx) AS BLOB)
FROM audit_entries
GROUP BY log, idx / 32;

INSERT INTO audit_principals (log, principal, first, from_at, to_at)
SELECT e.log, e.principal, p.first, min(e.at), max(e.at)
FROM audit_entries e JOIN audit_packs p ON p.log = e.log AND p.first <= e.idx AND p.next > e.idx
GROUP BY e.log, e.principal, p.first;

INSERT INTO audit_open (log, operation, idx, writer)
SELECT log, operation, idx, writer FROM audit_entries s WHERE started = 1 AND NOT EXISTS
    (SELECT 1 FROM audit_entries e WHERE e.log = s.log AND e.operation = s.operation AND e.operation <> ''
     AND e.idx > s.idx AND e.started = 0);

DROP TABLE audit_entries;
