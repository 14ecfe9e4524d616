-- Layout version 2: the installation's secret, jobs, and what was spent.

-- At most one row, made with the first question for it and never changed.
CREATE TABLE installation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT;

-- Work that outlives its request. `expires_at` is NULL until it is done.
CREATE TABLE jobs (
    sequence INTEGER PRIMARY KEY, -- order of acceptance
    id INTEGER NOT NULL UNIQUE,
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    kind TEXT NOT NULL,
    payload BLOB NOT NULL,
    result BLOB,
    n_attempts INTEGER NOT NULL DEFAULT 0 CHECK (n_attempts >= 0),
    due_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    CHECK ((result IS NULL) = (expires_at IS NULL))
) STRICT;
CREATE INDEX jobs_by_due ON jobs (kind, due_at, sequence) WHERE expires_at IS NULL;
CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;

-- How many jobs of a kind are undone, so that accepting one need not count them.
CREATE TABLE job_kinds (
    kind TEXT PRIMARY KEY,
    n_undone INTEGER NOT NULL CHECK (n_undone >= 0)
) STRICT, WITHOUT ROWID;

-- What may be used only once and was used.
CREATE TABLE spent (
    scope TEXT NOT NULL,
    token BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (scope, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_by_expiry ON spent (expires_at);
