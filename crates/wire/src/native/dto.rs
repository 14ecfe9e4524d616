//! The JSON of the native API: plain data, no methods. Our own command line reads the same types, so the two cannot
//! drift apart; that is why the answers can be read and the requests written as well.
//!
//! Absent members are left out, never `null`: whoever writes them does that ([`crate::http::json`]). Unknown members of a request are refused: a misspelt option must not
//! silently become its default.

mod admin;
mod archive;
mod changes;
mod liveness;
mod persons;
mod probes;
mod server;
mod tenants;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

pub use admin::{
    ArchiveErased, BeginSession, CreateKey, Job, JobArchive, JobCancelled, JobOutcome, JobProgress, Jobs, Key,
    KeyDeleted, Keys, LineOutcome, Part, PhotoOutcome, RotateKey, Session, SessionKey, Status, Ticket, UpdateKey,
    Usage,
};
pub use archive::{ArchivePage, ArchivedFace, ArchivedPerson, FacesImported, ImportFaces};
pub use changes::{Changed, Changes, Commit};
pub use liveness::{Judged, Liveness, SeenAction};
pub use persons::{
    AddPersonFace, ChangeMemberships, CreatePerson, MergePerson, MoveFaces, Person, PersonDeleted, PersonMerged,
    Persons, SplitPerson, UpdatePerson,
};
pub use probes::{
    CompareMany, ComparePerson, FaceSearched, FacesMeant, ImageFault, ManyCompared, OtherCompared, PersonCompared,
    PictureSearched, PutUpload, SearchPicture, Uploaded,
};
pub use server::{AnalysisMetrics, Metrics, OperationMetrics, Setting, Settings, StoreMetrics};
pub use tenants::{ChangeLimits, CreateTenant, Tenant, TenantDeleted, TenantLimits, Tenants, UpdateTenant};

/// Where the native API lives.
pub const PREFIX: &str = "/likeness/v1";

/// Body of every answer that is not a success.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A code of the closed list on the page `/likeness/v1/docs` and in `docs/native.md`, such as `face_set_not_found`.
    #[serde(default)]
    pub code: String,
    /// The same, for clients of earlier versions.
    pub kind: String,
    /// For people: the field, its value and what is accepted.
    pub message: String,
    /// The option at fault, if one is.
    pub field: Option<String>,
    /// What may help, if something is known to.
    pub hint: Option<String>,
    /// Id of the request in the server's log.
    pub request_id: Option<String>,
    /// Where the code is explained: a path of this server.
    pub docs: Option<String>,
    /// Of `poor_quality`: the figures that are too low, which `message` says in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// A figure of a face that is too low, for programs; reasons and remarks say the same in English.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which: `sharpness`, `illumination`, `pose`, `visibility`, `size`, `total`, `side_px` or `presence`.
    pub figure: String,
    /// Its value.
    pub value: f32,
    /// The least that is accepted.
    pub least: f32,
}

/// A custom field of a face set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// `string`, `integer`, `long`, `float`, `double` or `boolean`.
    #[serde(rename = "type")]
    pub field_type: String,
}

/// Request to make a face set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateFaceSet {
    /// Unique within the tenant.
    pub name: String,
    /// Name for people.
    pub label: Option<String>,
    /// Free text.
    pub note: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its custom fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// Most faces it may hold; without one it has no bound of its own.
    pub capacity: Option<u64>,
    /// How good a picture of a face must be: `none`, `low`, `medium` or `high`; without one it is the server's default.
    pub quality: Option<String>,
    /// Whether a small picture is kept of each face that is enrolled, for people to look at; without it none is.
    pub thumbnails: Option<bool>,
    /// The model pack of its faces; without one it is the default pack.
    pub pack: Option<String>,
}

/// Request to change a face set; what is absent stays, and `null` or an empty text takes a label or note away.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateFaceSet {
    /// New name, which has to be free.
    pub name: Option<String>,
    /// New name for people.
    #[serde(default, deserialize_with = "text_or_null", skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// New free text.
    #[serde(default, deserialize_with = "text_or_null", skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// All of its tags from now on.
    pub tags: Option<Vec<String>>,
    /// How good a picture of a face must be from now on: `none`, `low`, `medium` or `high`. Faces in the set stay.
    pub quality: Option<String>,
    /// Whether a small picture is kept of each face that is enrolled from now on. `false` erases those that there are; faces
    /// that are enrolled already get none.
    pub thumbnails: Option<bool>,
    /// Most faces it may hold from now on, not fewer than it has; `null` for no bound of its own.
    #[serde(default, deserialize_with = "number_or_null", skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Option<u64>>,
}

/// A face set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaceSet {
    /// Unique within the tenant.
    pub name: String,
    /// Name for people.
    pub label: Option<String>,
    /// Free text.
    pub note: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The model pack of all its faces.
    pub pack: String,
    /// Its custom fields.
    pub fields: Vec<Field>,
    /// Most faces it may hold.
    pub capacity: Option<u64>,
    /// How good a picture of a face must be: `none`, `low`, `medium` or `high`.
    pub quality: String,
    /// Whether small pictures of its faces are kept.
    pub thumbnails: bool,
    /// Faces in its gallery: its own and those of its member persons.
    pub n_faces: u64,
    /// How many bytes its faces take; of one face set, and of a listing with `include=storage`.
    pub storage: Option<Storage>,
    /// When it was made, RFC 3339, UTC.
    pub created_at: String,
}

/// How many bytes the faces of a set take, without what the store needs to keep order.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Storage {
    /// Of templates.
    pub template_bytes: u64,
    /// Of labels, notes, custom values, boxes and figures.
    pub record_bytes: u64,
    /// Of small pictures.
    pub thumbnail_bytes: u64,
    /// Whether all faces were counted, and not a sample of 1,000 of a larger set.
    pub is_exact: bool,
}

/// Every face set of the tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaceSets {
    /// Oldest first.
    pub face_sets: Vec<FaceSet>,
    /// Where the next stretch begins; left out at the end.
    pub next_cursor: Option<String>,
}

/// A box in pixels of the upright image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// Left edge.
    pub left: u32,
    /// Top edge.
    pub top: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Five points, each `[x, y]` in pixels of the upright image, named from the person's own side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Landmarks {
    /// Right eye.
    pub right_eye: [f32; 2],
    /// Left eye.
    pub left_eye: [f32; 2],
    /// Tip of the nose.
    pub nose: [f32; 2],
    /// Right corner of the mouth.
    pub mouth_right: [f32; 2],
    /// Left corner of the mouth.
    pub mouth_left: [f32; 2],
}

/// Where a face is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Detection {
    /// Its box.
    #[serde(rename = "box")]
    pub bounding_box: BoundingBox,
    /// Its five points.
    pub landmarks: Landmarks,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
}

/// A face in a picture, with what was measured of it; what was not asked for, or cannot be measured, is left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DetectedFace {
    /// Where it is.
    #[serde(flatten)]
    pub detection: Detection,
    /// By how much it is turned clockwise in the picture, to the nearest quarter, in degrees.
    pub turn: u32,
    /// Why it is not certainly a face that can be recognised; left out for one that is. Nothing but the quality is measured
    /// of a doubtful face, and it is enrolled only with `accept_doubtful`.
    pub doubt: Option<Doubt>,
    /// How fit it is for recognition.
    pub quality: Option<Quality>,
    /// Direction of the head.
    pub pose: Option<Pose>,
    /// Sixty-eight points, each `[x, y]`, in the order of the iBUG 300-W annotation.
    pub landmarks68: Option<Vec<[f32; 2]>>,
    /// All points of the face mesh, each `[x, y]`, in MediaPipe's order; only if `mesh468` was asked for by name.
    pub mesh468: Option<Vec<[f32; 2]>>,
    /// How far eyes and mouth are open; with `landmarks68`, where the installed pack has a face mesh.
    pub openness: Option<Openness>,
    /// Probability of each expression by its name.
    pub expressions: Option<BTreeMap<String, f32>>,
    /// Estimated age in years.
    pub age: Option<f32>,
    /// Estimated probability of "male"; "female" has the rest.
    pub male: Option<f32>,
    /// Probability that a living person was before the camera.
    pub liveness: Option<f32>,
}

/// Why a face is in doubt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Doubt {
    /// In words.
    pub reason: String,
    /// How surely the face mesh takes it for a face: a logit, 17 to 35 for most faces, below 0 for what is none.
    pub presence: f32,
    /// The least that the model pack accepts.
    pub presence_min: f32,
}

/// Height of each opening as a share of its width; right and left of the person.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Openness {
    /// Between the lids of the right eye; roughly, since the mesh follows lids loosely.
    pub right_eye: f32,
    /// The same of the left eye.
    pub left_eye: f32,
    /// Between the inner lips.
    pub mouth: f32,
    /// How much the brightness varies along the eyes, as a share of its mean; falls to less than half when they close.
    pub eye_contrast: f32,
}

/// Figures from 0 (worst) to 1 (best).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// All together.
    pub total: Option<f32>,
    /// Sharp rather than blurred.
    pub sharpness: Option<f32>,
    /// Evenly and sufficiently lit.
    pub illumination: Option<f32>,
    /// Looks into the camera.
    pub pose: Option<f32>,
    /// Nothing covers it.
    pub visibility: Option<f32>,
}

/// Degrees; all zero looks straight into the camera with upright eyes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// Above zero: turned to the person's own left, the right of the picture.
    pub yaw: f32,
    /// Above zero: looks up.
    pub pitch: f32,
    /// Above zero: turned clockwise in the picture.
    pub roll: f32,
}

/// An enrolled face.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Face {
    /// Its id: a decimal number in a string.
    pub id: String,
    /// Key of the person that it belongs to; left out for a face of the set itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Name of that person for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_name: Option<String>,
    /// Label saying who it is.
    pub subject: Option<String>,
    /// The caller's own id of this observation.
    pub external_id: Option<String>,
    /// Free text.
    pub note: Option<String>,
    /// Custom values by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Where it was in the image it came from.
    #[serde(flatten)]
    pub detection: Detection,
    /// Its template, base64 of f32 numbers, little-endian, of unit length; only with `include=templates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Where its image came from, in the words of who enrolled a face of a person.
    pub source: Option<String>,
    /// When it was enrolled, RFC 3339, UTC.
    pub created_at: String,
    /// When label, note or fields last changed.
    pub updated_at: String,
}

/// Which small pictures are asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThumbnailsOf {
    /// Ids of the faces.
    pub ids: Vec<String>,
}

/// Small pictures of faces; those without one are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Thumbnails {
    /// One for each face that has one, in the order asked for.
    pub thumbnails: Vec<Thumbnail>,
}

/// A small picture of a face.
#[derive(Clone, Serialize, Deserialize)]
pub struct Thumbnail {
    /// Id of the face.
    pub id: String,
    /// A JPEG file of at most 8 KiB, in base64.
    pub jpeg: String,
}

// A picture of a face is never printed.
impl std::fmt::Debug for Thumbnail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Thumbnail({}, {} characters)", self.id, self.jpeg.len())
    }
}

/// An image inside JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Image {
    /// Its bytes in base64.
    Base64(String),
    /// Where to fetch it.
    Url(String),
    /// Name of an upload, as `POST /uploads` gave it.
    Upload(String),
    /// Its bytes, as they came in a raw or multipart body.
    #[serde(skip)]
    Bytes(bytes::Bytes),
}

// Photographs never reach a log: shape only.
impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Image::Base64(text) => write!(f, "Base64({} characters)", text.len()),
            Image::Url(_) => f.write_str("Url(..)"),
            Image::Upload(_) => f.write_str("Upload(..)"),
            Image::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// A text of a request that changes something: `null` takes it away, as an empty one does.
fn text_or_null<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    Ok(Some(Option::<String>::deserialize(reader)?.unwrap_or_default()))
}

/// A number of a request that changes something: `null` takes it away.
fn number_or_null<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(reader).map(Some)
}

/// Custom values by name, as JSON.
pub type Values = BTreeMap<String, serde_json::Value>;

/// Request to enrol the faces of an image.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AddFaces {
    /// The image.
    pub image: Image,
    /// Label saying who it is.
    pub subject: Option<String>,
    /// The caller's own id of this observation; the same one twice in a set is refused.
    pub external_id: Option<String>,
    /// Free text.
    pub note: Option<String>,
    /// Custom values by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: Values,
    /// Custom values that came as texts, in a query or form: read by the type of their field.
    #[serde(skip)]
    pub fields_as_text: BTreeMap<String, String>,
    /// `largest` (the default), `all`, or how many of the largest.
    pub faces: Option<String>,
    /// Also enrols what is not surely a face; its template may match nobody.
    #[serde(default)]
    pub accept_doubtful: bool,
    /// Has no effect: faces that lie on their side or head down are always found. Accepted for older clients.
    #[serde(default)]
    pub any_turn: bool,
}

/// Request to enrol the faces of many images as a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddFacesLater {
    /// 1 to 1,000 requests as for one image, with images that were uploaded or have an address.
    pub photos: Vec<AddFaces>,
}

/// The faces that were enrolled, or a stretch of those in a set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Faces {
    /// New faces: largest first. A listing: in order of enrolment.
    pub faces: Vec<Face>,
    /// Faces that were meant to be enrolled and are not good enough, largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedFace>,
    /// Where the next stretch of a listing by `offset` begins, if there may be one.
    pub next_offset: Option<u64>,
    /// Where the next stretch of a listing begins; left out at the end.
    pub next_cursor: Option<String>,
    /// How many faces of the set pass the `filter`; of a listing with one.
    pub n_matching: Option<u64>,
    /// Of faces that were to be moved: ids of none of the person's faces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

impl Faces {
    /// These and nothing else.
    pub fn of(faces: Vec<Face>) -> Self {
        Self { faces, refused: Vec::new(), next_offset: None, next_cursor: None, n_matching: None, unknown: Vec::new() }
    }
}

/// A face that is not good enough to be enrolled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedFace {
    /// Where it was.
    pub detection: Detection,
    /// Why, for people; at least one reason.
    pub reasons: Vec<String>,
    /// The same for programs, in the same order.
    #[serde(default)]
    pub failures: Vec<Failure>,
}

/// Request to change a face's label, note or fields; what is absent stays, and `null` takes away what is named, as an empty
/// text does of a label, note or external id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateFace {
    /// New label.
    #[serde(default, deserialize_with = "text_or_null", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `null`: it can be taken away, so that it may be used again, but not changed.
    #[serde(default, deserialize_with = "text_or_null", skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// New free text.
    #[serde(default, deserialize_with = "text_or_null", skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Custom values, laid over the present ones; `null` takes a value away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: Values,
}

/// How a text begins that names members of which one is needed.
pub(super) const NONE_OF: &str = "one is needed of ";
/// How a text ends that names two members of which only one is possible.
pub(super) const EXCLUDE: &str = " exclude each other";

/// The members of [`DeleteFaces`] as they may come.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionsGiven {
    ids: Option<Vec<String>>,
    subject: Option<String>,
    field: Option<FieldGiven>,
    filter: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldGiven {
    name: String,
    value: serde_json::Value,
}

impl TryFrom<ConditionsGiven> for DeleteFaces {
    type Error = String;

    fn try_from(given: ConditionsGiven) -> Result<Self, String> {
        let ConditionsGiven { ids, subject, field, filter } = given;
        let found = [
            ("ids", ids.map(Self::Ids)),
            ("subject", subject.map(Self::Subject)),
            ("field", field.map(|FieldGiven { name, value }| Self::Field { name, value })),
            ("filter", filter.map(Self::Filter)),
        ];
        let mut found = found.into_iter().filter_map(|(name, condition)| Some((name, condition?)));
        match (found.next(), found.next()) {
            (Some((_, condition)), None) => Ok(condition),
            (Some((one, _)), Some((other, _))) => Err(format!("`{one}` and `{other}`{EXCLUDE}")),
            _ => Err(format!("{NONE_OF}`ids`, `subject`, `field`, `filter`")),
        }
    }
}

/// Which faces to delete: exactly one of these.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "ConditionsGiven")]
pub enum DeleteFaces {
    /// These; ids that are not in the set are passed over.
    Ids(Vec<String>),
    /// All with this label.
    Subject(String),
    /// All whose custom field has exactly this value.
    Field {
        /// Which field.
        name: String,
        /// Its value.
        value: serde_json::Value,
    },
    /// All that pass this filter, as in `age:[18 TO *] && !subject:anna`; the language is in this document's description.
    Filter(String),
}

/// The faces that were deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FacesDeleted {
    /// Their ids, in order of enrolment.
    pub deleted: Vec<String>,
    /// Of the ids that were named: those of no face of the set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// External ids: those asked about, and in the answer those enrolled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalIds {
    /// The ids.
    pub external_ids: Vec<String>,
}

/// Request to find out who resembles a face. Exactly one of `image`, `face_id`, `person` and `template`; at most one of `similarity_min`,
/// `far` and `false_matches`, by default the model pack's `default_far`, which is 1e-4 unless the operator has chosen another.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The largest face in this image is looked for.
    pub image: Option<Image>,
    /// This enrolled face of the same set is looked for.
    pub face_id: Option<String>,
    /// The person with this key is looked for, by each of its faces (at most 64, those enrolled last); its own faces are left
    /// out of the answer. A stranger has as many chances as it has faces: rates are told as the sum of all, and for `far` or
    /// `false_matches` each face is held to its share, which has to have been measured.
    pub person: Option<String>,
    /// This template is looked for: base64 of f32 numbers, little-endian, of the set's pack. Needs the grant `templates`.
    pub template: Option<String>,
    /// Most candidates; 10 by default.
    pub top: Option<u64>,
    /// Least similarity (cosine, inclusive).
    pub similarity_min: Option<f32>,
    /// False-accept rate per comparison that the least similarity stands for, within the range that was measured for the
    /// face set's model pack; or 1, which every candidate reaches.
    pub far: Option<f64>,
    /// How many strangers of the whole face set may be expected to be found: the least similarity follows the number of
    /// faces. Refused where it asks for a rate that nobody has measured.
    pub false_matches: Option<f64>,
    /// Only faces that pass, as in `age:[18 TO *] && !subject:anna`; the language is in this document's description.
    pub filter: Option<String>,
    /// Numeric custom fields to order the kept candidates by: `name` or `name:descending`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<String>,
    /// At most one face of each person.
    #[serde(default)]
    pub one_per_person: bool,
    /// Also says what bears on the verdict and what would change it; costs a second look at the gallery.
    #[serde(default)]
    pub explain: bool,
    /// With the explanation also the crop of the image that the recogniser saw.
    #[serde(default)]
    pub crops: bool,
    /// Has no effect: faces that lie on their side or head down are always found. Accepted for older clients.
    #[serde(default)]
    pub any_turn: bool,
}

/// Ends of a 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How a stated rate relates to the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// It lies between measured points.
    Measured,
    /// It is the smallest measured rate, and the true one is lower; or it is the sum of the rates of several faces of a
    /// person, and the true one is no higher.
    AtMost,
    /// It is the largest measured rate, and the true one is higher.
    AtLeast,
}

/// What a similarity means, as measured on the photographs that the model pack names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FalseAcceptRate {
    /// Share of comparisons between two strangers that come out at least so similar; of several faces of a person the sum.
    pub far: f64,
    /// 95 % interval of `far`, where the model pack states those of its operating points.
    pub far_interval: Option<Interval>,
    /// Whether `far` is a measured rate or a bound.
    pub far_bound: Bound,
}

/// What a rate means in a gallery: `far` times the number of its faces.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FalseMatches {
    /// How many strangers of the whole face set are expected to be at least so similar; a bound where `far` is one.
    pub false_matches: f64,
    /// 95 % interval of `false_matches`, where that of `far` is known.
    pub false_matches_interval: Option<Interval>,
}

/// A face that may be the one looked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Candidate {
    /// Cosine to the probe, -1 to 1.
    pub similarity: f32,
    /// What the similarity means in one comparison.
    #[serde(flatten)]
    pub rate: FalseAcceptRate,
    /// What it means among all faces of the set.
    #[serde(flatten)]
    pub in_gallery: FalseMatches,
    /// The enrolled face.
    pub face: Face,
}

/// Who resembles the probe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SearchAnswer {
    /// The model pack that compared.
    pub pack: String,
    /// How many faces the set has, all of which count for `false_matches` also where a filter left some out.
    pub n_faces: u64,
    /// In a search for a person with how many of its faces each face of the set was compared, at most 64; `far` and
    /// `false_matches` count all of these comparisons.
    pub n_compared: Option<u64>,
    /// The threshold that was applied.
    pub similarity_min: f32,
    /// What the threshold means in one comparison.
    #[serde(flatten)]
    pub rate: FalseAcceptRate,
    /// What it means among all faces of the set.
    #[serde(flatten)]
    pub in_gallery: FalseMatches,
    /// Where the probe face was, if the probe was an image.
    pub probe: Option<Detection>,
    /// How many faces the image shows, of which the largest was looked for; left out where no other was seen.
    pub n_faces_in_image: Option<u64>,
    /// Best first, or as sorted.
    pub candidates: Vec<Candidate>,
    /// What bears on the verdict, if that was asked for.
    pub explanation: Option<SearchExplanation>,
}

/// A face with what bears on how far its template can be trusted.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExaminedFace {
    /// Where it is.
    #[serde(flatten)]
    pub detection: Detection,
    /// The strictest quality gate that it passes: `none`, `low`, `medium` or `high`.
    pub gate: String,
    /// How fit it is for recognition.
    pub quality: Option<Quality>,
    /// Direction of the head.
    pub pose: Option<Pose>,
    /// Why it is not certainly a face that can be recognised; left out for one that is.
    pub doubt: Option<Doubt>,
    /// The crop that the recogniser saw: a PNG file in base64; only if `crops` was asked for.
    pub crop: Option<String>,
}

// Photographs never reach a log.
impl std::fmt::Debug for ExaminedFace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let crop_chars = self.crop.as_ref().map(String::len);
        f.debug_struct("ExaminedFace")
            .field("detection", &self.detection)
            .field("gate", &self.gate)
            .field("crop_chars", &crop_chars)
            .finish()
    }
}

/// Why two faces are taken for one person, or are not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The face of each image.
    pub faces: Vec<ExaminedFace>,
    /// For people: at which threshold the verdict turns, and what is wrong with the photographs.
    pub remarks: Vec<String>,
    /// The same for programs, one for each remark and in the same order.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// What bears on a verdict, as a code with its values: what a remark says in English.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// `match` and `no_match` (the verdict turns at `similarity`), `match_at_all` and `no_match_at_all` (at no threshold that
    /// was measured), `next_matches_too`, `next_is_near` and `next` (the next person is `by` behind), `next_unnamed` (the next
    /// face is, and whether it shows another person is not known), `poor_photograph`,
    /// `one_of_several` (only the largest of `n_faces` was looked at), `nobody_compared` and, where a person was looked for,
    /// `nobody_else_compared`.
    pub code: String,
    /// By how much more or less similar than the threshold or the next person.
    pub by: Option<f32>,
    /// The similarity at which the verdict turns.
    pub similarity: Option<f32>,
    /// The false-accept rate of that similarity.
    pub far: Option<f64>,
    /// Whether `far` is a measured rate or a bound.
    pub far_bound: Option<Bound>,
    /// Which photograph is meant: `image`, or `image_a` and `image_b` of a comparison.
    pub image: Option<String>,
    /// What is wrong with it.
    pub failure: Option<Failure>,
    /// How many faces it shows.
    pub n_faces: Option<u64>,
}

/// Why somebody is found, or is not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SearchExplanation {
    /// The face that was looked for, if it came with an image.
    pub probe: Option<ExaminedFace>,
    /// The most similar face of the set, whether or not it reaches the threshold.
    pub best: Option<Candidate>,
    /// The most similar face of somebody else than `best` shows: another owner, and another label. Of faces without either nobody
    /// knows whom they show.
    pub next: Option<Candidate>,
    /// By how much `best` is more similar than `next`.
    pub margin: Option<f32>,
    /// For people: at which threshold the verdict turns, how far the next person is, what is wrong with the photograph.
    pub remarks: Vec<String>,
    /// The same for programs, one for each remark and in the same order.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// Request to compare the largest faces of two images.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// One image.
    pub image_a: Image,
    /// The other.
    pub image_b: Image,
    /// False-accept rate of the verdict, within the range that was measured for the model pack; by default that pack's
    /// `default_far`, which is 1e-4 unless the operator has chosen another.
    pub far: Option<f64>,
    /// Also says what bears on the verdict and what would change it. Faces in doubt are then compared and said to be so,
    /// not refused.
    #[serde(default)]
    pub explain: bool,
    /// With the explanation also the crops that the recogniser saw.
    #[serde(default)]
    pub crops: bool,
    /// Has no effect: faces that lie on their side or head down are always found. Accepted for older clients.
    #[serde(default)]
    pub any_turn: bool,
}

/// How similar two faces are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comparison {
    /// Cosine, -1 to 1.
    pub similarity: f32,
    /// What the similarity means.
    #[serde(flatten)]
    pub rate: FalseAcceptRate,
    /// Whether the similarity reaches the threshold.
    pub same: bool,
    /// The threshold that was applied.
    pub similarity_min: f32,
    /// The `far` of the request, if it had one.
    pub far_asked: Option<f64>,
    /// False-accept rate that the threshold stands for: the one asked for, or the default of the model pack.
    pub far_applied: f64,
    /// The model pack that compared.
    pub pack: String,
    /// The face of each image.
    pub faces: [Detection; 2],
    /// How many faces each image shows, of which the largest was compared; left out where no other was seen in either.
    pub n_faces_in_images: Option<[u64; 2]>,
    /// What bears on the verdict, if that was asked for.
    pub explanation: Option<Explanation>,
}

/// Request to find the faces in an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The image.
    pub image: Image,
    /// Has no effect: faces that lie on their side or head down are always found. Accepted for older clients.
    #[serde(default)]
    pub any_turn: bool,
    /// What to measure of each face: words between commas of `landmarks68`, `pose`, `quality`, `expression`,
    /// `age_gender`, `liveness` and `mesh468`, or `all` for each of them but `mesh468`; nothing if left out.
    pub assess: Option<String>,
}

/// The faces in an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Detections {
    /// Width of the upright image in pixels.
    pub image_width: u32,
    /// Height of the upright image in pixels.
    pub image_height: u32,
    /// Largest first; none is an empty list.
    pub faces: Vec<DetectedFace>,
    /// What was asked for but no installed model pack measures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_measured: Vec<String>,
}

/// A measured point of a pack.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// False-accept rate.
    pub far: f64,
    /// The similarity it was measured at.
    pub similarity: f32,
    /// 95 % interval of the rate at this similarity, if it is known.
    pub far_interval: Option<Interval>,
    /// Share of comparisons of one person that reach this similarity, if it was measured.
    pub tar: Option<f64>,
    /// 95 % interval of that share, if it is known.
    pub tar_interval: Option<Interval>,
}

/// A model pack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pack {
    /// Its name and version.
    pub id: String,
    /// Dimensions of its templates.
    pub dimensions: usize,
    /// False-accept rate of a verdict for which a request says none: 1e-4, or the rate that the operator has chosen. Without
    /// it, because 1e-4 was not measured, such requests are refused.
    pub default_far: Option<f64>,
    /// How its similarities relate to false-accept rates.
    pub operating_points: Vec<OperatingPoint>,
}

/// The packs that can be used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Packs {
    /// The default one first.
    pub packs: Vec<Pack>,
}

/// What the store holds, over all tenants; for the operator only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Backend and place.
    pub backend: String,
    /// Version of the layout on disk.
    pub schema_version: u32,
    /// Number of the last commit.
    pub revision: u64,
    /// Tenants.
    pub n_tenants: u64,
    /// Face sets.
    pub n_face_sets: u64,
    /// Persons.
    pub n_persons: u64,
    /// Faces.
    pub n_faces: u64,
    /// Faces that are held and not enrolled.
    #[serde(default)]
    pub n_held_faces: u64,
    /// Faces that are deleted and whose bytes are not yet erased.
    pub n_faces_to_erase: u64,
    /// Bytes of all files.
    pub bytes_on_disk: u64,
    /// Of those, free for reuse.
    pub bytes_free: u64,
    /// What is damaged and what to do about it; empty when all is well.
    pub problems: Vec<String>,
    /// What is worth knowing and no problem: names that an upgrade joined or renamed, and, of a thorough report, names that look
    /// alike.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What was looked at to find them.
    #[serde(default)]
    pub checked: Vec<String>,
    /// What was not looked at, and how that is done.
    #[serde(default)]
    pub not_checked: Vec<String>,
    /// How far the check of every row is that goes on beside other work; absent if none was ever begun.
    pub scrub: Option<Scrub>,
}

/// The check of every row that goes on beside other work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scrub {
    /// When the pass began that is under way, as RFC 3339; absent between two passes.
    pub started_at: Option<String>,
    /// When the last whole pass ended; absent before the first.
    pub finished_at: Option<String>,
    /// Rows read by the pass that is under way, or by the last one.
    pub n_rows_read: u64,
    /// About how many rows there were when it began.
    pub n_rows_all: u64,
}

/// How far a thorough report is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReportProgress {
    /// What is looked at; absent when no thorough report is being made.
    pub stage: Option<String>,
    /// Rows of the stage that are done.
    #[serde(default)]
    pub n_done: u64,
    /// Rows of the stage; 0 where that is not known.
    #[serde(default)]
    pub n_all: u64,
}

/// Losses that are not reported any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AcknowledgedLosses {
    /// What reports said of them.
    pub acknowledged: Vec<String>,
}
