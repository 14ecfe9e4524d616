-- Layout version 4: small pictures of faces, in sets that ask for them.

-- Sets that keep pictures (`wanted`), or did: then up to the face with the sequence `reached` they are erased, and the row goes
-- when all are.
CREATE TABLE thumbnail_sets (
    face_set int8 PRIMARY KEY REFERENCES face_sets (id),
    wanted bool NOT NULL,
    reached int8 NOT NULL DEFAULT 0,
    checksum int8 NOT NULL
);
CREATE INDEX thumbnail_sets_to_erase ON thumbnail_sets (face_set) WHERE NOT wanted;

-- `face` is the `sequence` of a face or of a held face. The picture is a JPEG file, which does not compress.
CREATE TABLE thumbnails (
    face int8 PRIMARY KEY,
    picture bytea NOT NULL CHECK (length(picture) <= 8192),
    checksum int8 NOT NULL
);
ALTER TABLE thumbnails ALTER COLUMN picture SET STORAGE EXTERNAL;

-- No picture outlives its face, whoever deletes that. Once for each statement, however many rows it deletes.
CREATE FUNCTION drop_thumbnails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM thumbnails AS t USING gone WHERE t.face = gone.sequence;
    RETURN NULL;
END
$$;
CREATE TRIGGER thumbnails_of_faces AFTER DELETE ON faces REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION drop_thumbnails();
CREATE TRIGGER thumbnails_of_held_faces AFTER DELETE ON held_faces REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION drop_thumbnails();
