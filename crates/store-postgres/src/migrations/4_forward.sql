-- What replicas may use together, and how much of it was leased.
CREATE TABLE budgets (
    name text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL,
    used bigint NOT NULL,
    unit bigint NOT NULL,
    expires bigint NOT NULL
);

CREATE INDEX budgets_by_expiry ON budgets (expires, name);
