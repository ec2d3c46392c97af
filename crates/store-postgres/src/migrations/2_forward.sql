-- The phase: 0 open, 1 ended, 2 gone. Names sort by when a task was made, so that new ones go to the end.
CREATE TABLE tasks (
    id text COLLATE "C" PRIMARY KEY,
    tenant bytea NOT NULL,
    holder bytea NOT NULL,
    key bytea,
    phase smallint NOT NULL CHECK (phase BETWEEN 0 AND 2),
    owner text COLLATE "C",
    due bigint NOT NULL,
    version bigint NOT NULL,
    head bytea NOT NULL,
    call bytea NOT NULL,
    outcome bytea NOT NULL
);

CREATE INDEX tasks_due ON tasks (due, id) WHERE phase = 0 AND owner IS NULL;
CREATE INDEX tasks_owned ON tasks (owner, id) WHERE phase = 0 AND owner IS NOT NULL;
CREATE INDEX tasks_over ON tasks (due, id) WHERE phase > 0;
CREATE INDEX tasks_of_holder ON tasks (holder, id);
CREATE UNIQUE INDEX tasks_by_key ON tasks (key) WHERE key IS NOT NULL AND phase < 2;

-- Large values. How many parts one has is known once it is kept.
CREATE TABLE blobs (
    name text COLLATE "C" PRIMARY KEY,
    parts integer,
    expires bigint NOT NULL
);

CREATE INDEX blobs_by_expiry ON blobs (expires, name);

CREATE TABLE blob_parts (
    name text COLLATE "C" NOT NULL REFERENCES blobs (name) ON DELETE CASCADE,
    part integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (name, part)
);
