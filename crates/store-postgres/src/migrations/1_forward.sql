-- Times are milliseconds since 1970. Texts are compared byte by byte; what clients write is kept as bytes, as a
-- text here cannot hold all that a text there can.

CREATE TABLE replicas (
    id text COLLATE "C" PRIMARY KEY,
    url text NOT NULL,
    started bigint NOT NULL,
    at bigint NOT NULL,
    beat bigint NOT NULL,
    version text NOT NULL,
    keys text NOT NULL,
    draining boolean NOT NULL
);

-- The number of the last change of all sessions. Whoever changes a session holds this row to the end of his
-- transaction, so that numbers are committed in their order, and a reader who goes on from the last one that he
-- saw misses none. (With a sequence a smaller number can appear after a greater one.)
CREATE TABLE session_counter (
    one integer PRIMARY KEY CHECK (one = 1),
    seq bigint NOT NULL
);

INSERT INTO session_counter (one, seq) VALUES (1, 0);

CREATE TABLE sessions (
    name text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL UNIQUE,
    level bytea,
    ended boolean NOT NULL,
    expires bigint NOT NULL
);

CREATE INDEX sessions_by_expiry ON sessions (expires);

-- The digest, as an index cannot hold the longest URIs.
CREATE TABLE session_uris (
    name text COLLATE "C" NOT NULL REFERENCES sessions (name) ON DELETE CASCADE,
    digest bytea NOT NULL,
    uri bytea NOT NULL,
    PRIMARY KEY (name, digest)
);

CREATE TABLE streams (
    name text COLLATE "C" PRIMARY KEY,
    session text COLLATE "C" NOT NULL,
    first bigint NOT NULL,
    next bigint NOT NULL,
    bytes bigint NOT NULL,
    closed boolean NOT NULL,
    expires bigint NOT NULL
);

CREATE INDEX streams_by_expiry ON streams (expires);

CREATE TABLE stream_events (
    name text COLLATE "C" NOT NULL REFERENCES streams (name) ON DELETE CASCADE,
    number bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (name, number)
);

CREATE TABLE leases (
    name text COLLATE "C" PRIMARY KEY,
    owner text COLLATE "C",
    fence bigint NOT NULL,
    until bigint NOT NULL
);

CREATE TABLE keys (
    id text COLLATE "C" PRIMARY KEY,
    created bigint NOT NULL,
    active_from bigint NOT NULL,
    retired_at bigint,
    secret bytea NOT NULL
);
