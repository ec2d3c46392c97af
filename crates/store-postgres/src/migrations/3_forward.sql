-- What users have granted elsewhere, sealed.
CREATE TABLE grants (
    name text COLLATE "C" PRIMARY KEY,
    tenant bytea NOT NULL,
    holder bytea NOT NULL,
    upstream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    expires bigint NOT NULL,
    data bytea NOT NULL
);

CREATE INDEX grants_of_holder ON grants (tenant, holder, name);
CREATE INDEX grants_by_expiry ON grants (expires, name);
