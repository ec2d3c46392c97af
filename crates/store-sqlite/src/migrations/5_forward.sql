-- Audit logs, which only grow. Pruning takes entries and leaves tiles.
CREATE TABLE audit_logs (
    log TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last TEXT NOT NULL,
    signed INTEGER NOT NULL,
    checkpoint TEXT NOT NULL,
    hold TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_entries (
    log TEXT NOT NULL,
    idx INTEGER NOT NULL,
    at INTEGER NOT NULL,
    principal TEXT NOT NULL,
    kind TEXT NOT NULL,
    tool TEXT NOT NULL,
    outcome TEXT NOT NULL,
    upstream TEXT NOT NULL,
    operation TEXT NOT NULL,
    started INTEGER NOT NULL,
    writer TEXT NOT NULL,
    line BLOB NOT NULL,
    PRIMARY KEY (log, idx)
) STRICT;

CREATE INDEX audit_of_principal ON audit_entries (log, principal, at);
CREATE INDEX audit_by_time ON audit_entries (log, at);
CREATE INDEX audit_of_operation ON audit_entries (log, operation) WHERE operation <> '';
CREATE INDEX audit_started ON audit_entries (writer) WHERE started = 1;

CREATE TABLE audit_tiles (
    log TEXT NOT NULL,
    level INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (log, level, idx)
) STRICT;

CREATE TABLE audit_contents (
    log TEXT NOT NULL,
    idx INTEGER NOT NULL,
    part TEXT NOT NULL,
    principal TEXT NOT NULL,
    at INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (log, idx, part)
) STRICT;

CREATE INDEX audit_contents_of_principal ON audit_contents (log, principal, at);
CREATE INDEX audit_contents_by_time ON audit_contents (log, at);

CREATE TABLE audit_notes (
    log TEXT NOT NULL,
    size INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (log, size)
) STRICT, WITHOUT ROWID;
