-- Times are milliseconds since 1970. Texts are compared byte by byte.

CREATE TABLE replicas (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    started INTEGER NOT NULL,
    at INTEGER NOT NULL,
    beat INTEGER NOT NULL,
    version TEXT NOT NULL,
    keys TEXT NOT NULL,
    draining INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The number of the last change of all sessions.
CREATE TABLE session_counter (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO session_counter (one, seq) VALUES (1, 0);

CREATE TABLE sessions (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL UNIQUE,
    level TEXT,
    ended INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_expiry ON sessions (expires);

CREATE TABLE session_uris (
    name TEXT NOT NULL REFERENCES sessions (name) ON DELETE CASCADE,
    uri TEXT NOT NULL,
    PRIMARY KEY (name, uri)
) STRICT, WITHOUT ROWID;

CREATE TABLE streams (
    name TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    first INTEGER NOT NULL,
    next INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX streams_by_expiry ON streams (expires);

CREATE TABLE stream_events (
    name TEXT NOT NULL REFERENCES streams (name) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (name, number)
) STRICT;

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    owner TEXT,
    fence INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    active_from INTEGER NOT NULL,
    retired_at INTEGER,
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;
