-- Layout version 9: names are in Unicode NFC; `respell.rs` rewrites those that are there, in the same transaction.

-- What had two spellings, for `likeness check`. It has ids only, so that nothing of a name outlives it.
-- subject: `row` is a face set, `other` how many subjects of it were joined. person, with no suffix: `other` was merged into
-- `row`. With a suffix: the name of the face set, the key of the person, the external id of the face `row` got that at its
-- end, since `other` has the name.
CREATE TABLE respelled (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('subject', 'face set', 'person', 'external id')),
    row INTEGER NOT NULL,
    other INTEGER NOT NULL,
    suffix TEXT
) STRICT;
