-- Layout version 4: held faces, where enrolled faces come from, tags of face sets.

-- Found in an image and kept until `expires_at` without being enrolled.
CREATE TABLE held_faces (
    sequence INTEGER PRIMARY KEY, -- order of holding
    id INTEGER NOT NULL UNIQUE,
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    pack TEXT NOT NULL,
    detection BLOB NOT NULL CHECK (length(detection) = 60),
    quality BLOB CHECK (length(quality) = 20),
    subject TEXT,
    vector BLOB NOT NULL, -- f32, little-endian, unit length
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX held_faces_by_age ON held_faces (tenant, sequence);
CREATE INDEX held_faces_by_expiry ON held_faces (expires_at);

-- How many faces a tenant holds, so that holding one more need not count them.
CREATE TABLE held_tenants (
    tenant BLOB PRIMARY KEY CHECK (length(tenant) = 16),
    n_held INTEGER NOT NULL CHECK (n_held >= 0)
) STRICT, WITHOUT ROWID;

-- Id of the held face that the face was made from; NULL for a face that is its own origin.
ALTER TABLE faces ADD COLUMN origin INTEGER;
CREATE INDEX faces_by_origin ON faces (origin) WHERE origin IS NOT NULL;

-- Words joined by commas.
ALTER TABLE face_sets ADD COLUMN tags TEXT NOT NULL DEFAULT '';
