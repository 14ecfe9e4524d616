-- Layout version 3: which sets are there for their members only, and go with the last of them.

ALTER TABLE face_sets ADD COLUMN made_by_joining INTEGER NOT NULL DEFAULT 0 CHECK (made_by_joining IN (0, 1));
