-- What users have granted elsewhere, sealed.
CREATE TABLE grants (
    name TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    upstream TEXT NOT NULL,
    version INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_of_holder ON grants (tenant, holder, name);
CREATE INDEX grants_by_expiry ON grants (expires, name);
