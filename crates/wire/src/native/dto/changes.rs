//! The record of commits: who changed what, since when.

use serde::{Deserialize, Serialize};

/// Who changed what: the record of a tenant's commits, or a stretch of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changes {
    /// Oldest first. A stretch may be empty and yet not be the last.
    pub commits: Vec<Commit>,
    /// Up to this revision not all commits are in the record any more; 0 if all are.
    pub compacted: u64,
    /// Where the next stretch begins; left out at the end.
    pub next_cursor: Option<String>,
    /// How far this stretch goes: later on, as `cursor`, it gives what came since, or is refused as `changed` where that cannot
    /// be said. Servers before this one do not say it.
    #[serde(default)]
    pub position: String,
}

/// What one acknowledged write changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Commit {
    /// Its number; larger than that of every write acknowledged before it.
    pub revision: u64,
    /// When it was made, RFC 3339, UTC.
    pub at: String,
    /// Id of the access key that asked for it; left out for the owner of the data folder, at the command line or the console.
    pub key: Option<String>,
    /// Id of the request, as it stands in the log of the server.
    pub request_id: String,
    /// What changed, in order; faces of one set together.
    pub changes: Vec<Changed>,
}

/// One change of a commit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Changed {
    /// What was done: `face_set_made`, `face_set_changed`, `face_set_deleted`, `faces_put` (enrolled, changed, or their person
    /// joined the set), `faces_removed` (deleted, or their person left the set), `person_changed` (made, or its words or
    /// memberships changed), `person_deleted`, `faces_held` (kept for a while without being enrolled, or relabelled),
    /// `held_faces_gone`, `templates_put`, `tenant_made`, `tenant_changed`, `tenant_deleted`, `key_made`, `key_enabled`,
    /// `key_disabled`, `key_rotated`, `key_deleted`, or `key_changed` of a program that did not say what.
    pub what: String,
    /// Name of the face set as it is now; left out of one that is deleted.
    pub face_set: Option<String>,
    /// Number of the face set, which no other gets.
    pub face_set_id: Option<String>,
    /// Key of the person as it is now; left out of one that is deleted.
    pub person: Option<String>,
    /// Number of the person, which no other gets.
    pub person_id: Option<String>,
    /// Id of the access key that was changed.
    pub access_key: Option<String>,
    /// Model pack of the templates.
    pub pack: Option<String>,
    /// How many faces.
    pub n_faces: Option<u64>,
    /// Ids of the first hundred of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub face_ids: Vec<String>,
}
