-- Layout version 7: templates are rows of their own, any number of packs a face; commits are kept. The rows of `templates_6` are copied by
-- `schema/templates_7.rs`, a few at a time; this script runs before, and that file drops the old table after.

ALTER TABLE templates RENAME TO templates_6;

-- A rowid table with an index, not one clustered by (face, pack): rows are long, and a table whose inner pages held whole
-- rows would be six or seven levels deep. `id` only grows, so rows of one enrolment are appended.
CREATE TABLE templates (
    id INTEGER PRIMARY KEY,
    face INTEGER NOT NULL REFERENCES faces (sequence),
    pack TEXT NOT NULL,
    vector BLOB NOT NULL, -- f32, little-endian, unit length
    checksum INTEGER NOT NULL
) STRICT;

-- Who changed what and when: `changes` names the rows by their ids and holds nothing of them (`crates/store/src/commits.rs`).
-- A write that changed nothing for others has no row. `previous` is the revision of the commit before it that has a row, so
-- that a missing one is noticed. `compacted`: everything up to that revision has none any more.
CREATE TABLE commits (
    revision INTEGER PRIMARY KEY,
    previous INTEGER NOT NULL,
    at INTEGER NOT NULL,
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    key TEXT, -- id of the access key; NULL for the owner of the folder and the server's own work
    request TEXT NOT NULL,
    changes BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
ALTER TABLE store ADD COLUMN compacted INTEGER NOT NULL DEFAULT 0;
UPDATE store SET compacted = revision;

-- Deletes of more faces than one commit erases: a row for each commit to come. All of them are written together before the
-- first, so a delete that was begun is finished also after a crash. They hold no words and no vector.
CREATE TABLE pending_deletes (
    id INTEGER PRIMARY KEY, -- the order in which they are worked off
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    key TEXT, -- as in `commits`
    request TEXT NOT NULL,
    faces BLOB NOT NULL, -- `faces.sequence` (u64, little-endian) of each
    checksum INTEGER NOT NULL
) STRICT;

-- Of what library this is the database: the file `likeness.id` beside it says the same. `last_commit`: revision of the newest
-- row of `commits`, or `compacted`.
ALTER TABLE store ADD COLUMN library BLOB NOT NULL DEFAULT x'';
ALTER TABLE store ADD COLUMN last_commit INTEGER NOT NULL DEFAULT 0;
UPDATE store SET library = randomblob(16), last_commit = revision;

-- The checksum of each row over the columns that `checksums.rs` lists (all but counters): who adds a column adds it there, and
-- who changes a row has its checksum computed anew. `schema/templates_7.rs` computes those of rows that are there already.
ALTER TABLE tenants ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE face_sets ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE persons ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE memberships ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE faces ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE held_faces ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
