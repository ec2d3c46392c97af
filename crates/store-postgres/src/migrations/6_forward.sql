-- Entries of an audit log, those of a commit in one row. An entry is its head of decimal digits (at 20, started 1; the lengths
-- of principal, kind, tool, outcome, upstream, operation, writer and line, 5 each) and what those are the lengths of.
CREATE TABLE audit_packs (
    log text COLLATE "C" NOT NULL,
    first bigint NOT NULL,
    next bigint NOT NULL,
    from_at bigint NOT NULL,
    to_at bigint NOT NULL,
    marks bytea NOT NULL,
    entries bytea NOT NULL,
    PRIMARY KEY (log, first)
);

-- To press them costs more time than the room is worth.
ALTER TABLE audit_packs ALTER COLUMN entries SET STORAGE EXTERNAL;

CREATE INDEX audit_packs_by_time ON audit_packs (log, to_at);

-- In which packs something of a principal is.
CREATE TABLE audit_principals (
    log text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    first bigint NOT NULL,
    from_at bigint NOT NULL,
    to_at bigint NOT NULL,
    PRIMARY KEY (log, principal, first)
);

-- Beginnings that no end follows yet.
CREATE TABLE audit_open (
    log text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    idx bigint NOT NULL,
    writer text COLLATE "C" NOT NULL,
    PRIMARY KEY (log, operation, idx)
);

INSERT INTO audit_packs (log, first, next, from_at, to_at, marks, entries)
SELECT log, min(idx), max(idx) + 1, min(at), max(at),
    string_agg(CASE WHEN operation = '' THEN ''::bytea ELSE convert_to(chr(10), 'UTF8') || substring(convert_to(operation, 'UTF8')
        FROM greatest(octet_length(operation) - 7, 1)) END, ''::bytea ORDER BY idx),
    string_agg(convert_to(lpad(at::text, 20, '0') || started::integer || lpad(octet_length(principal)::text, 5, '0')
        || lpad(octet_length(kind)::text, 5, '0') || lpad(octet_length(tool)::text, 5, '0')
        || lpad(octet_length(outcome)::text, 5, '0') || lpad(octet_length(upstream)::text, 5, '0')
        || lpad(octet_length(operation)::text, 5, '0') || lpad(octet_length(writer)::text, 5, '0')
        || lpad(octet_length(line)::text, 5, '0')
        || principal || kind || tool || outcome || upstream || operation || writer, 'UTF8') || line, ''::bytea ORDER BY idx)
FROM audit_entries
GROUP BY log, idx / 32;

INSERT INTO audit_principals (log, principal, first, from_at, to_at)
SELECT e.log, e.principal, p.first, min(e.at), max(e.at)
FROM audit_entries e JOIN audit_packs p ON p.log = e.log AND p.first <= e.idx AND p.next > e.idx
GROUP BY e.log, e.principal, p.first;

INSERT INTO audit_open (log, operation, idx, writer)
SELECT log, operation, idx, writer FROM audit_entries s WHERE started AND NOT EXISTS
    (SELECT 1 FROM audit_entries e WHERE e.log = s.log AND e.operation = s.operation AND e.operation <> ''
     AND e.idx > s.idx AND NOT e.started);

DROP TABLE audit_entries;
