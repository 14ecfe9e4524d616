-- Layout version 10: small pictures of faces, in sets that ask for them.

-- Sets that keep pictures (`wanted`), or did: then up to the face with the sequence `reached` they are erased, and the row goes
-- when all are. A table of its own, so that rows of `face_sets` stay as they are and are recovered from older libraries, too.
CREATE TABLE thumbnail_sets (
    face_set INTEGER PRIMARY KEY REFERENCES face_sets (id),
    wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)),
    reached INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL
) STRICT;

-- `face` is the `sequence` of a face or of a held face. The picture is a JPEG file. It stands beside no other value, so that it
-- can be encrypted as a template can, and lists read none of it.
CREATE TABLE thumbnails (
    face INTEGER PRIMARY KEY,
    picture BLOB NOT NULL CHECK (length(picture) <= 8192),
    checksum INTEGER NOT NULL
) STRICT;

-- No picture outlives its face, whoever deletes that.
CREATE TRIGGER thumbnails_of_faces AFTER DELETE ON faces BEGIN
    DELETE FROM thumbnails WHERE face = old.sequence;
END;
CREATE TRIGGER thumbnails_of_held_faces AFTER DELETE ON held_faces BEGIN
    DELETE FROM thumbnails WHERE face = old.sequence;
END;
