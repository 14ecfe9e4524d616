-- Layout version 8: short-lived records (sessions, answers of requests that may be repeated); jobs are listed by tenant.

-- `id` is a digest of what only the owner of the record knows. Records of one scope, tenant and bucket are counted together.
CREATE TABLE records (
    number INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 32),
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    bucket TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    value BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (scope, id)
) STRICT;
CREATE INDEX records_by_bucket ON records (tenant, scope, bucket, expires_at);
CREATE INDEX records_by_expiry ON records (expires_at);

-- How many there are and the bytes of their values, so that keeping one more need not count them.
CREATE TABLE record_buckets (
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    scope TEXT NOT NULL,
    bucket TEXT NOT NULL,
    n_records INTEGER NOT NULL CHECK (n_records >= 0),
    n_bytes INTEGER NOT NULL CHECK (n_bytes >= 0),
    PRIMARY KEY (tenant, scope, bucket)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER records_made AFTER INSERT ON records BEGIN
    INSERT INTO record_buckets (tenant, scope, bucket, n_records, n_bytes)
        VALUES (new.tenant, new.scope, new.bucket, 1, length(new.value))
        ON CONFLICT (tenant, scope, bucket)
        DO UPDATE SET n_records = n_records + 1, n_bytes = n_bytes + excluded.n_bytes;
END;
CREATE TRIGGER records_changed AFTER UPDATE OF value ON records BEGIN
    UPDATE record_buckets SET n_bytes = n_bytes - length(old.value) + length(new.value)
        WHERE tenant = new.tenant AND scope = new.scope AND bucket = new.bucket;
END;
CREATE TRIGGER records_erased AFTER DELETE ON records BEGIN
    UPDATE record_buckets SET n_records = n_records - 1, n_bytes = n_bytes - length(old.value)
        WHERE tenant = old.tenant AND scope = old.scope AND bucket = old.bucket;
    DELETE FROM record_buckets
        WHERE tenant = old.tenant AND scope = old.scope AND bucket = old.bucket AND n_records = 0;
END;

CREATE INDEX jobs_by_tenant ON jobs (tenant, sequence);
