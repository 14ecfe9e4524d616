//! Sessions, access keys, jobs, the state of the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Request to sign in: with a key, or with a ticket of the data folder's owner. Instead of `key` the header `Authorization`
/// may name it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginSession {
    /// `ID.SECRET` of an access key.
    pub key: Option<String>,
    /// A ticket of `likeness console`, good once.
    pub ticket: Option<String>,
}

// Secrets never reach a log.
impl std::fmt::Debug for BeginSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeginSession(***)")
    }
}

/// Who asks, and what they may do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Name of the tenant whose data it is.
    pub tenant: String,
    /// Whether it is the owner of the data folder.
    pub is_owner: bool,
    /// The access key; left out for the owner of the data folder.
    pub key: Option<SessionKey>,
    /// What is allowed: words of `read`, `search`, `enrol`, `delete`, `manage`, `templates`, or `operate` alone.
    pub grants: Vec<String>,
    /// The face sets that the key is for; left out for all of them.
    pub face_sets: Option<Vec<String>>,
    /// When the session is over unless it is used; left out where none is used.
    pub expires_at: Option<String>,
    /// When the session is over in any case.
    pub ends_at: Option<String>,
}

/// The access key of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionKey {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub label: Option<String>,
    /// From when on it is refused.
    pub expires_at: Option<String>,
}

/// Something that begins a session of the data folder's owner, once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ticket {
    /// To be given to `POST /session`.
    pub ticket: String,
    /// When it is over, RFC 3339, UTC.
    pub expires_at: String,
}

/// Request to make an access key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What it may do: words of `read`, `search`, `enrol`, `delete`, `manage`, `templates`; without them all that the caller may
    /// do but `templates`.
    pub grants: Option<Vec<String>>,
    /// Only with these face sets, which must exist; without them with all.
    pub face_sets: Option<Vec<String>>,
    /// Seconds after which it is refused; without them it lives as long as the key that makes it.
    pub expires_in_s: Option<u64>,
    /// What people call it, at most 255 characters.
    pub label: Option<String>,
}

/// Request to switch an access key on or off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateKey {
    /// Whether it is accepted.
    pub enabled: bool,
}

/// Request to give an access key a new secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Seconds for which the old secret is accepted beside the new one, 0 to 2,678,400 (31 days); a day by default.
    pub overlap_s: Option<u64>,
}

/// An access key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    /// Its id, the public half.
    pub id: String,
    /// What people call it.
    pub label: Option<String>,
    /// What it may do.
    pub grants: Vec<String>,
    /// The face sets that it is for; left out for all of them.
    pub face_sets: Option<Vec<String>>,
    /// Whether it is accepted.
    pub enabled: bool,
    /// When it was made, RFC 3339, UTC.
    pub created_at: String,
    /// From when on it is refused.
    pub expires_at: Option<String>,
    /// When it was used last, give or take a minute.
    pub last_used_at: Option<String>,
    /// Until when the secret before the last rotation is accepted.
    pub old_secret_valid_until: Option<String>,
    /// Its secret; only in the answer that made it.
    pub secret: Option<String>,
}

// Secrets never reach a log.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// The access keys of a tenant, or a stretch of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keys {
    /// Oldest first.
    pub keys: Vec<Key>,
    /// Where the next stretch begins; left out at the end.
    pub next_cursor: Option<String>,
}

/// An access key that was deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyDeleted {
    /// Its id.
    pub deleted: String,
}

/// Work that outlives its request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Its id: a decimal number in a string.
    pub id: String,
    /// What kind of work it is.
    pub kind: String,
    /// `waiting`, `running`, `done` or `cancelled`.
    pub state: String,
    /// How often it was begun.
    pub n_attempts: u32,
    /// How far it is, of kinds that are done in steps; only where one job is asked for.
    pub progress: Option<JobProgress>,
    /// What came of it, once it is done or cancelled; only where one job is asked for, and only of kinds of this API.
    pub outcome: Option<JobOutcome>,
    /// Id of the access key that asked for it; left out for the owner of the data folder.
    pub key: Option<String>,
    /// When it was asked for, RFC 3339, UTC.
    pub created_at: String,
    /// When it is begun next; of a running one when it is given up and tried again. Left out once it is done or cancelled.
    pub due_at: Option<String>,
    /// When it is forgotten, once it is done or cancelled.
    pub expires_at: Option<String>,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobProgress {
    /// What was done of it.
    pub n_done: u64,
    /// All that is to be done.
    pub n_total: u64,
    /// What is counted: `faces` or `bytes`; left out for images.
    pub unit: Option<String>,
}

/// What came of a job: `n_faces`, or why it was given up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobOutcome {
    /// How many faces were deleted, enrolled or exported; 0 of a delete that was cancelled.
    pub n_faces: Option<u64>,
    /// What became of each image of a job that enrols faces, in their order.
    pub photos: Option<Vec<PhotoOutcome>>,
    /// Faces of an archive that the set had already.
    pub n_known: Option<u64>,
    /// Lines of an archive that were refused.
    pub n_refused: Option<u64>,
    /// The first 100 of these lines.
    pub lines: Option<Vec<LineOutcome>>,
    /// Damaged faces that an export has left out.
    pub n_left_out: Option<u64>,
    /// The archive that an export has made.
    pub archive: Option<JobArchive>,
    /// The code of the error for which it was given up.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
}

/// A line of an archive that was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LineOutcome {
    /// Its number; the header is line 1.
    pub line: u64,
    /// The code of the error.
    pub code: String,
    /// The same for people.
    pub message: String,
}

/// An archive that waits to be fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobArchive {
    /// Where `GET` fetches it, as a whole or in stretches, and `DELETE` erases it.
    pub path: String,
    /// Its bytes.
    pub n_bytes: u64,
    /// When it is erased at the latest, RFC 3339, UTC.
    pub available_until: String,
}

/// What became of an image that a job enrolled: its faces, or why it was refused.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PhotoOutcome {
    /// Faces that were enrolled.
    pub n_faces: u64,
    /// Faces that were meant to be enrolled and are not good enough.
    pub n_refused: u64,
    /// Ids of those enrolled, the largest face first, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub face_ids: Vec<String>,
    /// The code of the error for which it was refused.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
}

/// The jobs of a tenant, or a stretch of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Jobs {
    /// The one accepted last first.
    pub jobs: Vec<Job>,
    /// Where the next stretch begins; left out at the end.
    pub next_cursor: Option<String>,
}

/// An archive that is gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArchiveErased {
    /// The id of the job that had made it.
    pub erased: String,
}

/// A job that will not be done; it stays listed for a day.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobCancelled {
    /// Its id.
    pub cancelled: String,
}

/// The state of the server, as far as a tenant may know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Whether it takes work.
    pub ready: bool,
    /// Why it does not.
    pub reason: Option<String>,
    /// Damaged rows of the store that are neither searched nor returned, over all tenants.
    pub rows_set_aside: u64,
    /// Other damage of the store that is known, over all tenants.
    #[serde(default)]
    pub other_damage: u64,
    /// Times that acknowledged commits went missing, until the operator acknowledges it.
    #[serde(default)]
    pub lost_commits: u64,
    /// How each part of the server is: `store`, `index`, `pipeline`, `disk`.
    #[serde(default)]
    pub parts: BTreeMap<String, Part>,
    /// Which library runs each kind of model.
    pub engines: BTreeMap<String, String>,
    /// The model packs that can be used, the default one first.
    pub packs: Vec<String>,
    /// How much the tenant has; left out for keys that may not read everything.
    pub usage: Option<Usage>,
    /// The server's time, RFC 3339, UTC.
    pub time: String,
}

/// How a part of the server is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// `ok`, `degraded` (it works, but somebody should look) or `failed`.
    pub state: String,
    /// Why it is not `ok`.
    pub reason: Option<String>,
}

/// How much a tenant has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Face sets.
    pub n_face_sets: u64,
    /// Persons.
    pub n_persons: u64,
    /// Faces, each counted once.
    pub n_faces: u64,
}
