//! Persons.

use serde::{Deserialize, Serialize};

use super::Image;

/// Request to make a person.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatePerson {
    /// Unique within the tenant, 1 to 64 characters.
    pub key: String,
    /// Name for people.
    pub name: Option<String>,
    /// Free text.
    pub note: Option<String>,
    /// Face sets to be a member of, at most 100; those that do not exist are made if the key may make face sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub face_sets: Vec<String>,
}

/// Request to change a person; what is absent stays, and `null` or an empty text takes a name or note away.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdatePerson {
    /// New key.
    pub key: Option<String>,
    /// New name for people.
    #[serde(default, deserialize_with = "super::text_or_null", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New free text.
    #[serde(default, deserialize_with = "super::text_or_null", skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A person: an identity that owns faces and is a member of face sets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Person {
    /// Unique within the tenant.
    pub key: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The face sets that it is a member of and the key may use, in order of joining; left out in listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face_sets: Option<Vec<String>>,
    /// Faces that it owns; in listings of all persons, where one is shown and where it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_faces: Option<u64>,
    /// The small picture of its first face that has one, a JPEG file in base64; only with `include=thumbnails`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<String>,
    /// Of those of `face_ids` that were to become its own: ids of no face of the person that they were asked of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// When it was made, RFC 3339, UTC.
    pub created_at: String,
}

/// Persons, or a stretch of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Persons {
    /// In the order of their keys; those of a face set in order of joining.
    pub persons: Vec<Person>,
    /// Where the next stretch begins; left out at the end.
    pub next_cursor: Option<String>,
}

/// A person that was deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonDeleted {
    /// Its key.
    pub deleted: String,
    /// How many faces it had.
    pub n_faces: u64,
}

/// Request to enrol a face of a person; the image must show exactly one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddPersonFace {
    /// The image.
    pub image: Image,
    /// Where the image comes from, in the caller's words.
    pub source: Option<String>,
}

/// Request to give faces of a person to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveFaces {
    /// Key of the other person.
    pub to: String,
    /// Which faces, 1 to 1,000; ids that the person does not have are passed over.
    pub face_ids: Vec<String>,
}

/// Request to give all faces and face sets of another person to this one, and to delete the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergePerson {
    /// Key of the person that goes.
    pub from: String,
}

/// Two persons that are one now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonMerged {
    /// The person that stays.
    pub person: Person,
    /// Faces that it got.
    pub n_moved: u64,
}

/// Request to make a new person of some faces of this one, member of the same face sets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitPerson {
    /// Which faces, 1 to 1,000; ids that the person does not have are passed over.
    pub face_ids: Vec<String>,
    /// Key of the new person.
    pub key: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Free text about it.
    pub note: Option<String>,
}

/// Request to change what face sets a person is a member of. Joining needs the grant `enrol`, leaving `delete`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeMemberships {
    /// Face sets to join, at most 100; those that do not exist are made if the key may make face sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<String>,
    /// Face sets to leave, at most 100; its faces stay the person's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave: Vec<String>,
}
