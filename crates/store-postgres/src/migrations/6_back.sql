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

INSERT INTO audit_entries (log, idx, at, principal, kind, tool, outcome, upstream, operation, started, writer, line)
WITH RECURSIVE walk (log, idx, rest) AS (
    SELECT log, first, entries FROM audit_packs
    UNION ALL
    SELECT log, idx + 1, substring(rest FROM 62
        + convert_from(substring(rest FROM 22 FOR 5), 'UTF8')::integer + convert_from(substring(rest FROM 27 FOR 5), 'UTF8')::integer
        + convert_from(substring(rest FROM 32 FOR 5), 'UTF8')::integer + convert_from(substring(rest FROM 37 FOR 5), 'UTF8')::integer
        + convert_from(substring(rest FROM 42 FOR 5), 'UTF8')::integer + convert_from(substring(rest FROM 47 FOR 5), 'UTF8')::integer
        + convert_from(substring(rest FROM 52 FOR 5), 'UTF8')::integer + convert_from(substring(rest FROM 57 FOR 5), 'UTF8')::integer
    ) FROM walk WHERE octet_length(rest) > 0
), heads AS (
    SELECT log, idx, rest, least(convert_from(substring(rest FROM 1 FOR 20), 'UTF8')::numeric, 9223372036854775807)::bigint AS at,
        convert_from(substring(rest FROM 21 FOR 1), 'UTF8') = '1' AS started,
        convert_from(substring(rest FROM 22 FOR 5), 'UTF8')::integer AS a,
        convert_from(substring(rest FROM 27 FOR 5), 'UTF8')::integer AS b,
        convert_from(substring(rest FROM 32 FOR 5), 'UTF8')::integer AS c,
        convert_from(substring(rest FROM 37 FOR 5), 'UTF8')::integer AS d,
        convert_from(substring(rest FROM 42 FOR 5), 'UTF8')::integer AS e,
        convert_from(substring(rest FROM 47 FOR 5), 'UTF8')::integer AS f,
        convert_from(substring(rest FROM 52 FOR 5), 'UTF8')::integer AS g,
        convert_from(substring(rest FROM 57 FOR 5), 'UTF8')::integer AS h
    FROM walk WHERE octet_length(rest) > 0
)
SELECT log, idx, at, convert_from(substring(rest FROM 62 FOR a), 'UTF8'),
    convert_from(substring(rest FROM 62 + a FOR b), 'UTF8'),
    convert_from(substring(rest FROM 62 + a + b FOR c), 'UTF8'),
    convert_from(substring(rest FROM 62 + a + b + c FOR d), 'UTF8'),
    convert_from(substring(rest FROM 62 + a + b + c + d FOR e), 'UTF8'),
    convert_from(substring(rest FROM 62 + a + b + c + d + e FOR f), 'UTF8'),
    started, convert_from(substring(rest FROM 62 + a + b + c + d + e + f FOR g), 'UTF8'),
    substring(rest FROM 62 + a + b + c + d + e + f + g FOR h)
FROM heads;

DROP TABLE audit_open;
DROP TABLE audit_principals;
DROP TABLE audit_packs;
