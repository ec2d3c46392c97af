DROP TABLE audit_notes;
DROP TABLE audit_contents;
DROP TABLE audit_tiles;
DROP TABLE audit_entries;
DROP TABLE audit_logs;
