DROP TABLE blob_parts;
DROP TABLE blobs;
DROP TABLE tasks;
