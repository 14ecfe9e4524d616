-- Layout version 3: deletes of many faces are made in steps.

-- Steps that are still to be made: on whose behalf, and the sequences of the faces, 8 bytes each. `node`: which server's call
-- makes them.
CREATE TABLE pending_deletes (
    id int8 PRIMARY KEY DEFAULT nextval('places'),
    tenant bytea NOT NULL CHECK (length(tenant) = 16),
    key text COLLATE "C",
    request text COLLATE "C" NOT NULL,
    faces bytea NOT NULL,
    node int4 NOT NULL,
    checksum int8 NOT NULL
);
