DROP TABLE keys;
DROP TABLE leases;
DROP TABLE stream_events;
DROP TABLE streams;
DROP TABLE session_uris;
DROP TABLE sessions;
DROP TABLE session_counter;
DROP TABLE replicas;
