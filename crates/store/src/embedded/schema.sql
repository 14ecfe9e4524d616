-- Layout version 1. Never edit a released version: add a migration (schema.rs).

-- One row: what a restart must not forget. `revision` numbers commits, `next_sequence` numbers everything that has an order.
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL
) STRICT;
INSERT INTO store (id, revision, next_sequence) VALUES (1, 0, 1);

CREATE TABLE tenants (
    rank INTEGER PRIMARY KEY, -- order of creation
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE access_keys (
    rank INTEGER PRIMARY KEY, -- order of creation
    id TEXT NOT NULL UNIQUE,
    secret TEXT NOT NULL,
    tenant BLOB NOT NULL REFERENCES tenants (id),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX access_keys_by_tenant ON access_keys (tenant, rank);

-- A deleted set loses its words at once (name NULL) and its row when the eraser has removed the last of its faces.
-- `n_gallery` counts its rows in `gallery`, `n_owned` its rows in `faces`.
CREATE TABLE face_sets (
    id INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    name TEXT,
    label TEXT,
    note TEXT,
    pack TEXT NOT NULL,
    fields TEXT NOT NULL,
    capacity INTEGER,
    created_at INTEGER NOT NULL,
    n_gallery INTEGER NOT NULL DEFAULT 0 CHECK (n_gallery >= 0),
    n_owned INTEGER NOT NULL DEFAULT 0 CHECK (n_owned >= 0)
) STRICT;
CREATE UNIQUE INDEX face_sets_by_name ON face_sets (tenant, name) WHERE name IS NOT NULL;
CREATE INDEX face_sets_by_age ON face_sets (tenant, sequence) WHERE name IS NOT NULL;
CREATE INDEX face_sets_to_erase ON face_sets (id) WHERE name IS NULL;

-- Deleted as sets are: `key` NULL until the eraser is done.
CREATE TABLE persons (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    key TEXT,
    name TEXT,
    note TEXT,
    created_at INTEGER NOT NULL,
    n_faces INTEGER NOT NULL DEFAULT 0 CHECK (n_faces >= 0)
) STRICT;
CREATE UNIQUE INDEX persons_by_key ON persons (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX persons_to_erase ON persons (id) WHERE key IS NULL;

CREATE TABLE memberships (
    face_set INTEGER NOT NULL REFERENCES face_sets (id),
    sequence INTEGER NOT NULL, -- order of joining
    person INTEGER NOT NULL REFERENCES persons (id),
    PRIMARY KEY (face_set, sequence)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX memberships_by_person ON memberships (person, face_set);

-- Clustered by order of enrolment, so that enrolling appends. The vector is in a table of its own: reading or changing
-- a face's words does not move its template.
CREATE TABLE faces (
    sequence INTEGER PRIMARY KEY,
    id INTEGER NOT NULL UNIQUE,
    face_set INTEGER REFERENCES face_sets (id),
    person INTEGER REFERENCES persons (id),
    pack TEXT NOT NULL,
    detection BLOB NOT NULL CHECK (length(detection) = 60),
    quality BLOB CHECK (length(quality) = 20),
    subject TEXT,
    external_id TEXT,
    fields BLOB,
    note TEXT,
    source TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK ((face_set IS NULL) <> (person IS NULL))
) STRICT;
CREATE INDEX faces_of_face_set ON faces (face_set, subject) WHERE face_set IS NOT NULL;
CREATE INDEX faces_of_person ON faces (person) WHERE person IS NOT NULL;
CREATE UNIQUE INDEX external_ids_of_face_set ON faces (face_set, external_id)
    WHERE face_set IS NOT NULL AND external_id IS NOT NULL;
CREATE UNIQUE INDEX external_ids_of_person ON faces (person, external_id)
    WHERE person IS NOT NULL AND external_id IS NOT NULL;

CREATE TABLE templates (
    sequence INTEGER PRIMARY KEY REFERENCES faces (sequence),
    vector BLOB NOT NULL -- f32, little-endian, unit length
) STRICT;

-- What a search of the set sees, in order: its own faces and those of its member persons that share its pack.
-- `sequence` is a face's; no foreign key, since checking it would need an index as large as the table (`check` verifies it).
CREATE TABLE gallery (
    face_set INTEGER NOT NULL REFERENCES face_sets (id),
    sequence INTEGER NOT NULL,
    PRIMARY KEY (face_set, sequence)
) STRICT, WITHOUT ROWID;
