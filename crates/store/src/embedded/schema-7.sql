-- Layout version 7: templates are rows of their own, any number of packs a face; commits are kept; keys have grants, tenants
-- have limits and can be deleted. The rows of `templates_6` are copied by
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
-- What a key may do (words of `Grant`, between commas), with which face sets (ids as u64, little-endian; NULL for all), until
-- when, and the secret before the last rotation while that is accepted. Keys that were there before may do everything.
ALTER TABLE access_keys ADD COLUMN grants TEXT NOT NULL DEFAULT 'read,search,enrol,delete,manage';
ALTER TABLE access_keys ADD COLUMN face_sets BLOB CHECK (length(face_sets) % 8 = 0);
ALTER TABLE access_keys ADD COLUMN label TEXT;
ALTER TABLE access_keys ADD COLUMN expires_at INTEGER;
ALTER TABLE access_keys ADD COLUMN last_used_at INTEGER;
ALTER TABLE access_keys ADD COLUMN previous_secret TEXT;
ALTER TABLE access_keys ADD COLUMN previous_until INTEGER CHECK ((previous_until IS NULL) = (previous_secret IS NULL));

-- NULL is no limit.
ALTER TABLE tenants ADD COLUMN face_sets_max INTEGER;
ALTER TABLE tenants ADD COLUMN faces_max INTEGER;
ALTER TABLE tenants ADD COLUMN persons_max INTEGER;
ALTER TABLE tenants ADD COLUMN face_set_faces_max INTEGER;
ALTER TABLE tenants ADD COLUMN person_faces_max INTEGER;
ALTER TABLE tenants ADD COLUMN calls_per_second INTEGER;

-- The access key behind a job and behind a face that is kept; NULL for the owner of the folder and for older rows.
ALTER TABLE jobs ADD COLUMN key TEXT;
ALTER TABLE held_faces ADD COLUMN key TEXT;

-- Nothing is written for these any more; what is left of one is erased until `erased` is 1.
CREATE TABLE deleted_tenants (
    tenant BLOB PRIMARY KEY CHECK (length(tenant) = 16),
    erased INTEGER NOT NULL DEFAULT 0 CHECK (erased IN (0, 1))
) STRICT, WITHOUT ROWID;

-- How much a tenant has, deleted sets and persons not counted, so that a limit can be checked without counting.
CREATE TABLE tenant_usage (
    tenant BLOB PRIMARY KEY CHECK (length(tenant) = 16),
    n_face_sets INTEGER NOT NULL CHECK (n_face_sets >= 0),
    n_faces INTEGER NOT NULL CHECK (n_faces >= 0),
    n_persons INTEGER NOT NULL CHECK (n_persons >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO tenant_usage (tenant, n_face_sets, n_faces, n_persons)
    SELECT tenant, sum(n_face_sets), sum(n_faces), sum(n_persons) FROM (
        SELECT tenant, count(*) AS n_face_sets, sum(n_owned) AS n_faces, 0 AS n_persons
            FROM face_sets WHERE name IS NOT NULL GROUP BY tenant
        UNION ALL
        SELECT tenant, 0, sum(n_faces), count(*) FROM persons WHERE key IS NOT NULL GROUP BY tenant
    ) GROUP BY tenant;
CREATE TRIGGER face_sets_made AFTER INSERT ON face_sets BEGIN
    INSERT INTO tenant_usage (tenant, n_face_sets, n_faces, n_persons) VALUES (new.tenant, 1, new.n_owned, 0)
        ON CONFLICT (tenant) DO UPDATE SET n_face_sets = n_face_sets + 1, n_faces = n_faces + excluded.n_faces;
END;
CREATE TRIGGER face_sets_counted AFTER UPDATE OF n_owned, name ON face_sets BEGIN
    UPDATE tenant_usage SET
        n_face_sets = n_face_sets + (new.name IS NOT NULL) - (old.name IS NOT NULL),
        n_faces = n_faces + iif(new.name IS NULL, 0, new.n_owned) - iif(old.name IS NULL, 0, old.n_owned)
        WHERE tenant = new.tenant;
END;
CREATE TRIGGER persons_made AFTER INSERT ON persons BEGIN
    INSERT INTO tenant_usage (tenant, n_face_sets, n_faces, n_persons) VALUES (new.tenant, 0, new.n_faces, 1)
        ON CONFLICT (tenant) DO UPDATE SET n_persons = n_persons + 1, n_faces = n_faces + excluded.n_faces;
END;
CREATE TRIGGER persons_counted AFTER UPDATE OF n_faces, key ON persons BEGIN
    UPDATE tenant_usage SET
        n_persons = n_persons + (new.key IS NOT NULL) - (old.key IS NOT NULL),
        n_faces = n_faces + iif(new.key IS NULL, 0, new.n_faces) - iif(old.key IS NULL, 0, old.n_faces)
        WHERE tenant = new.tenant;
END;
