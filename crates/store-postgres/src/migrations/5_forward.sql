-- Audit logs, which only grow. Pruning takes entries and leaves tiles.
CREATE TABLE audit_logs (
    log text COLLATE "C" PRIMARY KEY,
    size bigint NOT NULL,
    first bigint NOT NULL,
    last text COLLATE "C" NOT NULL,
    signed bigint NOT NULL,
    checkpoint text COLLATE "C" NOT NULL,
    hold text COLLATE "C"
);

CREATE TABLE audit_entries (
    log text COLLATE "C" NOT NULL,
    idx bigint NOT NULL,
    at bigint NOT NULL,
    principal text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    tool text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    upstream text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    started boolean NOT NULL,
    writer text COLLATE "C" NOT NULL,
    line bytea NOT NULL,
    PRIMARY KEY (log, idx)
);

CREATE INDEX audit_of_principal ON audit_entries (log, principal, at);
CREATE INDEX audit_by_time ON audit_entries (log, at);
CREATE INDEX audit_of_operation ON audit_entries (log, operation) WHERE operation <> '';
CREATE INDEX audit_started ON audit_entries (writer) WHERE started;

CREATE TABLE audit_tiles (
    log text COLLATE "C" NOT NULL,
    level bigint NOT NULL,
    idx bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (log, level, idx)
);

CREATE TABLE audit_contents (
    log text COLLATE "C" NOT NULL,
    idx bigint NOT NULL,
    part text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (log, idx, part)
);

CREATE INDEX audit_contents_of_principal ON audit_contents (log, principal, at);
CREATE INDEX audit_contents_by_time ON audit_contents (log, at);

CREATE TABLE audit_notes (
    log text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    note text COLLATE "C" NOT NULL,
    PRIMARY KEY (log, size)
);
