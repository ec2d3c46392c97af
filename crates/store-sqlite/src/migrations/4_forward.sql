-- What replicas may use together, and how much of it was leased.
CREATE TABLE budgets (
    name TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    used INTEGER NOT NULL,
    unit INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX budgets_by_expiry ON budgets (expires, name);
