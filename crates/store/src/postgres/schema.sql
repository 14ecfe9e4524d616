-- Layout version 1. Never edit a released version: add a migration (schema.rs).
-- Ids, counters and times (milliseconds since 1970) are int8; tenants are 16 bytes, most significant first. `checksum` is
-- computed by the program (checksums.rs). Texts compare as bytes.

-- One row. `revision` is the number of the last commit: whoever commits raises it last, so that revisions follow each other
-- without a gap in the order in which commits become visible. `compacted`: commits up to that revision are deleted.
CREATE TABLE store (
    id int4 PRIMARY KEY CHECK (id = 1),
    revision int8 NOT NULL,
    compacted int8 NOT NULL
);
INSERT INTO store (id, revision, compacted) VALUES (1, 0, 0);

-- Numbers everything that has an order; gaps do not matter.
CREATE SEQUENCE places AS int8;

-- Who changed what and when: `changes` names the rows by their ids and holds nothing of them (crates/store/src/commits.rs).
CREATE TABLE commits (
    revision int8 PRIMARY KEY,
    at int8 NOT NULL,
    tenant bytea NOT NULL CHECK (length(tenant) = 16),
    key text COLLATE "C", -- id of the access key; NULL for the server's own work
    request text COLLATE "C" NOT NULL,
    changes bytea NOT NULL,
    checksum int8 NOT NULL
);

CREATE TABLE tenants (
    rank int8 PRIMARY KEY DEFAULT nextval('places'), -- order of creation
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    name text COLLATE "C" NOT NULL UNIQUE,
    created_at int8 NOT NULL,
    face_sets_max int8, -- limits: NULL is none
    faces_max int8,
    persons_max int8,
    face_set_faces_max int8,
    person_faces_max int8,
    calls_per_second int8,
    checksum int8 NOT NULL
);

-- Nothing is written for these any more; what is left of one is erased until `erased`.
CREATE TABLE deleted_tenants (
    tenant bytea PRIMARY KEY CHECK (length(tenant) = 16),
    erased bool NOT NULL DEFAULT false
);

CREATE TABLE access_keys (
    rank int8 PRIMARY KEY DEFAULT nextval('places'),
    id text COLLATE "C" NOT NULL UNIQUE,
    secret text COLLATE "C" NOT NULL,
    tenant bytea NOT NULL REFERENCES tenants (id),
    enabled bool NOT NULL,
    created_at int8 NOT NULL,
    grants text COLLATE "C" NOT NULL, -- words between commas
    face_sets bytea CHECK (length(face_sets) % 8 = 0), -- ids as u64, little-endian; NULL for all
    label text COLLATE "C",
    expires_at int8,
    previous_secret text COLLATE "C", -- accepted until `previous_until`
    previous_until int8 CHECK ((previous_until IS NULL) = (previous_secret IS NULL)),
    last_used_at int8,
    checksum int8 NOT NULL
);
CREATE INDEX access_keys_by_tenant ON access_keys (tenant, rank);
CREATE INDEX access_keys_by_previous ON access_keys (previous_until) WHERE previous_until IS NOT NULL;

CREATE TABLE installation (
    id int4 PRIMARY KEY CHECK (id = 1),
    secret bytea NOT NULL CHECK (length(secret) = 32),
    checksum int8 NOT NULL
);

-- A deleted set loses its words at once (name NULL) and its row when the last of its faces is erased.
-- `n_gallery` counts its rows in `gallery`, `n_owned` its rows in `faces`.
CREATE TABLE face_sets (
    id int8 PRIMARY KEY,
    sequence int8 NOT NULL,
    tenant bytea NOT NULL CHECK (length(tenant) = 16),
    name text COLLATE "C",
    label text COLLATE "C",
    note text COLLATE "C",
    tags text COLLATE "C" NOT NULL,
    pack text COLLATE "C" NOT NULL,
    fields text COLLATE "C" NOT NULL,
    capacity int8,
    quality_gate text COLLATE "C" NOT NULL,
    created_at int8 NOT NULL,
    made_by_joining bool NOT NULL,
    n_gallery int8 NOT NULL DEFAULT 0 CHECK (n_gallery >= 0),
    n_owned int8 NOT NULL DEFAULT 0 CHECK (n_owned >= 0),
    checksum int8 NOT NULL
);
CREATE UNIQUE INDEX face_sets_by_name ON face_sets (tenant, name) WHERE name IS NOT NULL;
CREATE INDEX face_sets_by_age ON face_sets (tenant, sequence) WHERE name IS NOT NULL;
CREATE INDEX face_sets_to_erase ON face_sets (id) WHERE name IS NULL;

-- Deleted as sets are: `key` NULL until all is erased.
CREATE TABLE persons (
    id int8 PRIMARY KEY,
    tenant bytea NOT NULL CHECK (length(tenant) = 16),
    key text COLLATE "C",
    name text COLLATE "C",
    note text COLLATE "C",
    created_at int8 NOT NULL,
    n_faces int8 NOT NULL DEFAULT 0 CHECK (n_faces >= 0),
    checksum int8 NOT NULL
);
CREATE UNIQUE INDEX persons_by_key ON persons (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX persons_to_erase ON persons (id) WHERE key IS NULL;

CREATE TABLE memberships (
    face_set int8 NOT NULL REFERENCES face_sets (id),
    sequence int8 NOT NULL, -- order of joining
    person int8 NOT NULL REFERENCES persons (id),
    PRIMARY KEY (face_set, sequence)
);
CREATE UNIQUE INDEX memberships_by_person ON memberships (person, face_set);

-- `source_face`: id of the kept face that the face was made from; NULL for a face that is its own source.
CREATE TABLE faces (
    sequence int8 PRIMARY KEY, -- order of enrolment
    id int8 NOT NULL UNIQUE,
    face_set int8 REFERENCES face_sets (id),
    person int8 REFERENCES persons (id),
    pack text COLLATE "C" NOT NULL,
    detection bytea NOT NULL CHECK (length(detection) = 60),
    quality bytea CHECK (length(quality) = 20),
    subject text COLLATE "C",
    external_id text COLLATE "C",
    fields bytea,
    note text COLLATE "C",
    source text COLLATE "C",
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    source_face int8,
    checksum int8 NOT NULL,
    CHECK ((face_set IS NULL) <> (person IS NULL))
);
CREATE INDEX faces_of_face_set ON faces (face_set, subject) WHERE face_set IS NOT NULL;
CREATE INDEX faces_of_person ON faces (person, sequence) WHERE person IS NOT NULL;
CREATE UNIQUE INDEX external_ids_of_face_set ON faces (face_set, external_id)
    WHERE face_set IS NOT NULL AND external_id IS NOT NULL;
CREATE UNIQUE INDEX external_ids_of_person ON faces (person, external_id)
    WHERE person IS NOT NULL AND external_id IS NOT NULL;
CREATE INDEX faces_by_source ON faces (source_face) WHERE source_face IS NOT NULL;

-- `face` is `faces.sequence`. The vector is f32, little-endian, of unit length; it does not compress.
CREATE TABLE templates (
    face int8 NOT NULL,
    pack text COLLATE "C" NOT NULL,
    vector bytea NOT NULL,
    checksum int8 NOT NULL,
    PRIMARY KEY (face, pack)
);
ALTER TABLE templates ALTER COLUMN vector SET STORAGE EXTERNAL;

-- What a search of the set sees, in order: its own faces, and those of its members that have a template of its pack.
-- `sequence` is a face's.
CREATE TABLE gallery (
    face_set int8 NOT NULL,
    sequence int8 NOT NULL,
    PRIMARY KEY (face_set, sequence)
);

-- Found in an image and kept until `expires_at` without being enrolled.
CREATE TABLE held_faces (
    sequence int8 PRIMARY KEY, -- order of keeping
    id int8 NOT NULL UNIQUE,
    tenant bytea NOT NULL CHECK (length(tenant) = 16),
    key text COLLATE "C",
    pack text COLLATE "C" NOT NULL,
    detection bytea NOT NULL CHECK (length(detection) = 60),
    quality bytea CHECK (length(quality) = 20),
    subject text COLLATE "C",
    vector bytea NOT NULL,
    created_at int8 NOT NULL,
    expires_at int8 NOT NULL,
    checksum int8 NOT NULL
);
ALTER TABLE held_faces ALTER COLUMN vector SET STORAGE EXTERNAL;
CREATE INDEX held_faces_by_age ON held_faces (tenant, sequence);
CREATE INDEX held_faces_by_expiry ON held_faces (expires_at);

-- Work that outlives its request. `expires_at` is NULL until it is done. `node`: which server's claim it is,
-- NULL while it is nobody's.
CREATE TABLE jobs (
    sequence int8 PRIMARY KEY DEFAULT nextval('places'), -- order of acceptance
    id int8 NOT NULL UNIQUE,
    tenant bytea NOT NULL CHECK (length(tenant) = 16),
    key text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    result bytea,
    n_attempts int8 NOT NULL DEFAULT 0 CHECK (n_attempts >= 0),
    due_at int8 NOT NULL,
    created_at int8 NOT NULL,
    expires_at int8,
    node int4,
    CHECK ((result IS NULL) = (expires_at IS NULL))
);
CREATE INDEX jobs_by_turn ON jobs (kind, tenant, due_at, sequence) WHERE expires_at IS NULL;
CREATE INDEX jobs_by_due ON jobs (kind, due_at) WHERE expires_at IS NULL;
CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_by_tenant ON jobs (tenant, sequence);

-- What may be used only once and was used.
CREATE TABLE spent (
    scope text COLLATE "C" NOT NULL,
    token bytea NOT NULL,
    expires_at int8 NOT NULL,
    PRIMARY KEY (scope, token)
);
CREATE INDEX spent_by_expiry ON spent (expires_at);

-- Uploads, until their time is over.
CREATE TABLE pictures (
    tenant bytea NOT NULL CHECK (length(tenant) = 16),
    name text COLLATE "C" NOT NULL,
    expires_at int8 NOT NULL,
    n_bytes int8 NOT NULL, -- length of `bytes`
    bytes bytea NOT NULL,
    PRIMARY KEY (tenant, name)
);
ALTER TABLE pictures ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE INDEX pictures_by_expiry ON pictures (expires_at);

-- Short-lived records. `id` is a digest of what only the owner of the record knows. Those of one scope, tenant and bucket
-- are counted together.
CREATE TABLE records (
    number int8 PRIMARY KEY DEFAULT nextval('places'),
    scope text COLLATE "C" NOT NULL,
    id bytea NOT NULL CHECK (length(id) = 32),
    tenant bytea NOT NULL CHECK (length(tenant) = 16),
    bucket text COLLATE "C" NOT NULL,
    created_at int8 NOT NULL,
    expires_at int8 NOT NULL,
    n_bytes int8 NOT NULL, -- length of `value`
    value bytea NOT NULL,
    checksum int8 NOT NULL,
    UNIQUE (scope, id)
);
CREATE INDEX records_by_bucket ON records (tenant, scope, bucket, expires_at, number) INCLUDE (n_bytes);
CREATE INDEX records_by_expiry ON records (expires_at);

-- How much a tenant has, deleted sets and persons not counted, so that a limit can be checked without counting.
CREATE TABLE tenant_usage (
    tenant bytea PRIMARY KEY CHECK (length(tenant) = 16),
    n_face_sets int8 NOT NULL CHECK (n_face_sets >= 0),
    n_faces int8 NOT NULL CHECK (n_faces >= 0),
    n_persons int8 NOT NULL CHECK (n_persons >= 0)
);
CREATE FUNCTION face_sets_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    n_sets int8 := (NEW.name IS NOT NULL)::int;
    n_owned int8 := CASE WHEN NEW.name IS NULL THEN 0 ELSE NEW.n_owned END;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        n_sets := n_sets - (OLD.name IS NOT NULL)::int;
        n_owned := n_owned - CASE WHEN OLD.name IS NULL THEN 0 ELSE OLD.n_owned END;
    END IF;
    IF n_sets <> 0 OR n_owned <> 0 THEN
        INSERT INTO tenant_usage AS u (tenant, n_face_sets, n_faces, n_persons) VALUES (NEW.tenant, 0, 0, 0)
            ON CONFLICT (tenant) DO NOTHING;
        UPDATE tenant_usage SET n_face_sets = n_face_sets + n_sets, n_faces = n_faces + n_owned
            WHERE tenant = NEW.tenant;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER face_sets_counted AFTER INSERT OR UPDATE OF n_owned, name ON face_sets
    FOR EACH ROW EXECUTE FUNCTION face_sets_counted();
CREATE FUNCTION persons_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    n_made int8 := (NEW.key IS NOT NULL)::int;
    n_owned int8 := CASE WHEN NEW.key IS NULL THEN 0 ELSE NEW.n_faces END;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        n_made := n_made - (OLD.key IS NOT NULL)::int;
        n_owned := n_owned - CASE WHEN OLD.key IS NULL THEN 0 ELSE OLD.n_faces END;
    END IF;
    IF n_made <> 0 OR n_owned <> 0 THEN
        INSERT INTO tenant_usage AS u (tenant, n_face_sets, n_faces, n_persons) VALUES (NEW.tenant, 0, 0, 0)
            ON CONFLICT (tenant) DO NOTHING;
        UPDATE tenant_usage SET n_persons = n_persons + n_made, n_faces = n_faces + n_owned WHERE tenant = NEW.tenant;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER persons_counted AFTER INSERT OR UPDATE OF n_faces, key ON persons
    FOR EACH ROW EXECUTE FUNCTION persons_counted();
