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

INSERT INTO audit_entries (log, idx, at, principal, kind, tool, outcome, upstream, operation, started, writer, line)
WITH RECURSIVE walk (log, idx, rest) AS (
    SELECT log, first, entries FROM audit_packs
    UNION ALL
    SELECT log, idx + 1, substr(rest, 62
        + CAST(substr(rest, 22, 5) AS INTEGER) + CAST(substr(rest, 27, 5) AS INTEGER)
        + CAST(substr(rest, 32, 5) AS INTEGER) + CAST(substr(rest, 37, 5) AS INTEGER)
        + CAST(substr(rest, 42, 5) AS INTEGER) + CAST(substr(rest, 47, 5) AS INTEGER)
        + CAST(substr(rest, 52, 5) AS INTEGER) + CAST(substr(rest, 57, 5) AS INTEGER)
    ) FROM walk WHERE length(rest) > 0
), heads AS (
    SELECT log, idx, rest, CAST(substr(rest, 1, 20) AS INTEGER) AS at, CAST(substr(rest, 21, 1) AS INTEGER) AS started,
        CAST(substr(rest, 22, 5) AS INTEGER) AS a, CAST(substr(rest, 27, 5) AS INTEGER) AS b,
        CAST(substr(rest, 32, 5) AS INTEGER) AS c, CAST(substr(rest, 37, 5) AS INTEGER) AS d,
        CAST(substr(rest, 42, 5) AS INTEGER) AS e, CAST(substr(rest, 47, 5) AS INTEGER) AS f,
        CAST(substr(rest, 52, 5) AS INTEGER) AS g, CAST(substr(rest, 57, 5) AS INTEGER) AS h
    FROM walk WHERE length(rest) > 0
)
SELECT log, idx, at, CAST(substr(rest, 62, a) AS TEXT), CAST(substr(rest, 62 + a, b) AS TEXT),
    CAST(substr(rest, 62 + a + b, c) AS TEXT), CAST(substr(rest, 62 + a + b + c, d) AS TEXT),
    CAST(substr(rest, 62 + a + b + c + d, e) AS TEXT), CAST(substr(rest, 62 + a + b + c + d + e, f) AS TEXT),
    started, CAST(substr(rest, 62 + a + b + c + d + e + f, g) AS TEXT), substr(rest, 62 + a + b + c + d + e + f + g, h)
FROM heads;

DROP TABLE audit_open;
DROP TABLE audit_principals;
DROP TABLE audit_packs;
