-- Layout version 6: how good a picture must be to be enrolled. Sets made before take what they took.
ALTER TABLE face_sets ADD COLUMN quality_gate TEXT NOT NULL DEFAULT 'none'
    CHECK (quality_gate IN ('none', 'low', 'medium', 'high'));
