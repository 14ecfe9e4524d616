-- Layout version 2: names are in Unicode NFC; `respell.rs` rewrites those that are there, in the same transaction.

-- What had two spellings, for `likeness check`. It has ids only, so that nothing of a name outlives it.
-- subject: `row_id` is a face set, `other` how many subjects of it were joined. With a suffix: the name of the face set, the key
-- of the person, the external id of the face `row_id` got that at its end, since `other` has the name.
CREATE TABLE respelled (
    id int8 PRIMARY KEY DEFAULT nextval('places'),
    kind text COLLATE "C" NOT NULL,
    row_id int8 NOT NULL,
    other int8 NOT NULL,
    suffix text COLLATE "C"
);
