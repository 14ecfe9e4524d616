-- Layout version 5: pictures that were handed in, until their time is over.

CREATE TABLE pictures (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    name TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    bytes BLOB NOT NULL, -- last, so that reading the others stays off its pages
    UNIQUE (tenant, name)
) STRICT;
CREATE INDEX pictures_by_expiry ON pictures (expires_at);
