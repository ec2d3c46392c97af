-- The phase: 0 open, 1 ended, 2 gone. Names sort by when a task was made, so that new ones go to the end.
CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    key TEXT,
    phase INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 2),
    owner TEXT,
    due INTEGER NOT NULL,
    version INTEGER NOT NULL,
    head BLOB NOT NULL,
    call BLOB NOT NULL,
    outcome BLOB NOT NULL
) STRICT;

CREATE INDEX tasks_due ON tasks (due, id) WHERE phase = 0 AND owner IS NULL;
CREATE INDEX tasks_owned ON tasks (owner, id) WHERE phase = 0 AND owner IS NOT NULL;
CREATE INDEX tasks_over ON tasks (due, id) WHERE phase > 0;
CREATE INDEX tasks_of_holder ON tasks (holder, id);
CREATE UNIQUE INDEX tasks_by_key ON tasks (key) WHERE key IS NOT NULL AND phase < 2;

-- Large values. How many parts one has is known once it is kept.
CREATE TABLE blobs (
    name TEXT PRIMARY KEY,
    parts INTEGER,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX blobs_by_expiry ON blobs (expires, name);

CREATE TABLE blob_parts (
    name TEXT NOT NULL REFERENCES blobs (name) ON DELETE CASCADE,
    part INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (name, part)
) STRICT;
