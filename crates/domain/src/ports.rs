//! What the domain needs of others, in behaviour first.
//!
//! Ports are object-safe and held as `Arc<dyn Port>`. Slow ones answer with a [`Pending`] future.
//!
//! # Writes, revisions and the index
//! Each writing method of [`GalleryStore`] takes the [`Actor`] on whose behalf it is made and is one atomic [`Commit`]. When its future resolves to `Ok`, the write is
//! durable (it survives `kill -9` and power loss) and visible to every read and search that starts afterwards; when it
//! resolves to `Err`, nothing was written. Dropping the future does not undo a write that was handed over.
//!
//! A store is opened with a [`VectorIndex`] and feeds it: every commit's [`GalleryChange`]s are applied in revision
//! order, after the commit is durable and before it is acknowledged. So the index can never miss a change because a
//! client hung up, and "acknowledged" implies "searchable" (or, for deletes, "gone from search").

mod commits;
mod jobs;
mod transient;
mod uploads;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::Result;
use crate::filter::Filter;
use crate::policy::FaceChoice;
use crate::score::Calibration;
use crate::types::{
    AccessKey, AccessKeyId, Actor, Aspects, Assessment, Detection, ExternalId, Face, FaceId, FaceOwner, FacePatch,
    FaceSet, FaceSetId, FaceSetName, FaceSetPatch, FaceSetSummary, FieldName, FieldValue, InstallationSecret, NewFace,
    NewFaceSet, NewPerson, PackId, Person, PersonId, PersonKey, PersonPatch, Quality, Revision, Similarity, Subject,
    Template, Tenant, TenantId, TenantName, TimestampMs,
};

pub use commits::{Change, Commit, CommitPage, GalleryChange};
pub use jobs::{Job, JobOutcome, JobStore, NewJob, NonceStore};
pub use transient::TransientFaceStore;
pub use uploads::{NewUpload, UploadQuota, UploadStore};

/// The answer of a port, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

// ---------------------------------------------------------------------------------------------------- analysis

/// Picture formats, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageFormats(pub u8);

impl ImageFormats {
    /// JPEG, any colour model.
    pub const JPEG: ImageFormats = ImageFormats(1);
    /// PNG.
    pub const PNG: ImageFormats = ImageFormats(2);
    /// Windows bitmap.
    pub const BMP: ImageFormats = ImageFormats(4);
    /// WebP.
    pub const WEBP: ImageFormats = ImageFormats(8);
    /// GIF, of which the first frame is used.
    pub const GIF: ImageFormats = ImageFormats(16);
    /// All of them.
    pub const ALL: ImageFormats = ImageFormats(31);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: ImageFormats) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every format of `other` is in this set.
    pub const fn contains(self, other: ImageFormats) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What an image may be; a dialect states its own, within [`crate::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageRules {
    /// Accepted formats; another gives [`crate::Kind::ImageFormat`].
    pub formats: ImageFormats,
    /// Most bytes of the file; more gives [`crate::Kind::ImageTooLarge`].
    pub bytes_max: usize,
    /// Largest width and height; a larger one gives [`crate::Kind::ImageDimensions`].
    pub side_max: u32,
    /// Smallest width and height.
    pub side_min: u32,
}

/// What to do with an image.
#[derive(Debug, Clone)]
pub struct AnalyzeRequest {
    /// With which pack.
    pub pack: PackId,
    /// What the image may be.
    pub rules: ImageRules,
    /// Which faces have to be found. Whoever wants one face pays for one: with [`FaceChoice::Largest`] small faces beside
    /// it may be missing from the answer, with [`FaceChoice::All`] they are searched for. `None` counts as `All`.
    pub find: FaceChoice,
    /// Least length in pixels of the longer side of a face's box; smaller faces need not be found.
    pub face_side_min: u32,
    /// Which of the faces found get a template.
    pub embed: FaceChoice,
    /// What else to measure.
    pub assess: Assess,
}

/// What to measure of which faces, beyond detection and template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assess {
    /// What to measure. What the installation cannot measure is left out of the answer, not refused.
    pub aspects: Aspects,
    /// Of which of the detected faces. Quality is measured on the crop that a template is made from, so if it is asked
    /// for, it is measured of every face that gets a template besides.
    pub faces: FaceChoice,
}

impl Assess {
    /// Nothing, which costs nothing.
    pub const NOTHING: Assess = Assess { aspects: Aspects::NONE, faces: FaceChoice::None };
}

/// What was found in an image.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Width of the upright image in pixels.
    pub image_width: u32,
    /// Height of the upright image in pixels.
    pub image_height: u32,
    /// The faces: confirmed ones before doubtful ones, then largest box first ([`crate::policy::by_size`]), or most central
    /// first if [`FaceChoice::Central`] was to be found.
    pub faces: Vec<AnalyzedFace>,
}

/// A face found in an image.
#[derive(Debug, Clone)]
pub struct AnalyzedFace {
    /// Where it is.
    pub detection: Detection,
    /// Its template, if it was among those to be embedded.
    pub template: Option<Template>,
    /// How good it is, as far as measured: empty unless [`Aspects::QUALITY`] was asked of this face.
    pub quality: Quality,
    /// What else was measured: empty unless asked of this face.
    pub assessment: Assessment,
    /// Why it is not certain that this is a face that can be recognised; `None` for a confirmed face. A doubtful face has
    /// no assessment, and its template is not fit for comparison: enrolling it or searching with it is refused.
    pub doubt: Option<Doubt>,
}

/// The face mesh did not confirm what the detector reported: a head turned far away, a hidden face, or no face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// The mesh's presence score, a logit.
    pub presence: f32,
    /// The least that confirms a face.
    pub presence_min: f32,
}

/// What a loaded pack is.
#[derive(Debug, Clone)]
pub struct PackInfo {
    /// Its id.
    pub id: PackId,
    /// Dimensions of its templates.
    pub dimensions: usize,
    /// How its similarities relate to false-accept rates.
    pub calibration: Calibration,
}

/// Finds and embeds faces. Blocking work happens on its own bounded pool; when that is full the answer is
/// [`crate::Kind::Overloaded`] at once.
pub trait FaceAnalyzer: Send + Sync {
    /// The packs that can be used, the default one first; never empty.
    fn packs(&self) -> &[PackInfo];

    /// What can be measured, with any of the packs.
    fn aspects(&self) -> Aspects;

    /// Decodes, detects, embeds and assesses. No face is an empty list, not an error. Errors: the image kinds,
    /// [`crate::Kind::PackUnavailable`], [`crate::Kind::Overloaded`].
    fn analyze(&self, image: Bytes, request: AnalyzeRequest) -> Pending<'_, Analysis>;
}

// ----------------------------------------------------------------------------------------------------- fetching

/// Bounds of one fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchRules {
    /// Most bytes taken; more gives [`crate::Kind::ImageTooLarge`].
    pub bytes_max: usize,
    /// Time for everything together; longer gives [`crate::Kind::UrlTimeout`].
    pub deadline: Duration,
}

/// Fetches images by address, keeping private, loopback and link-local addresses out unless the operator allowed the
/// host by name. Errors: the URL kinds and [`crate::Kind::ImageTooLarge`]; messages never hold the answer's body or
/// an internal address.
pub trait ImageFetcher: Send + Sync {
    /// The bytes behind `url`.
    fn fetch(&self, url: &str, rules: FetchRules) -> Pending<'_, Bytes>;
}

/// What a clip may be, and how much of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoRules {
    /// Least milliseconds; less gives [`crate::Kind::VideoDuration`].
    pub duration_ms_min: u32,
    /// Most milliseconds; more gives [`crate::Kind::VideoDuration`], without all of it being decoded.
    pub duration_ms_max: u32,
    /// Most pictures returned, evenly spread over the clip; at least 1.
    pub frames_max: usize,
}

/// A clip as pictures.
#[derive(Clone)]
pub struct Video {
    /// How long it is: as decoded, not as its header claims.
    pub duration_ms: u32,
    /// Pictures in order of time, upright, all of one size.
    pub frames: Vec<VideoFrame>,
}

/// One picture of a clip.
#[derive(Clone)]
pub struct VideoFrame {
    /// Milliseconds since the first picture.
    pub at_ms: u32,
    /// The picture as a JPEG file, such as [`FaceAnalyzer::analyze`] takes.
    pub picture: Bytes,
}

/// Turns a clip into pictures. What it is given comes from strangers: memory, time and what it may open are bounded,
/// nothing of the clip reaches a disk or a log, and nothing that the clip names is opened or fetched.
pub trait VideoDecoder: Send + Sync {
    /// Samples the clip. Errors: [`crate::Kind::VideoUnreadable`], [`crate::Kind::VideoDuration`],
    /// [`crate::Kind::Overloaded`] (as many clips as may be are under way), [`crate::Kind::Unsupported`] (nothing
    /// that decodes clips is installed).
    fn decode(&self, video: Bytes, rules: VideoRules) -> Pending<'_, Video>;
}

/// A message to an address that a caller named.
#[derive(Clone)]
pub struct Webhook {
    /// What the body is.
    pub content_type: &'static str,
    /// The body; never logged.
    pub body: Bytes,
}

/// Delivers messages over HTTP, under the address rules of [`ImageFetcher`] and following no redirect. Errors: the URL
/// kinds; an answer is none, whatever it says.
pub trait WebhookSender: Send + Sync {
    /// Refuses an address that [`WebhookSender::deliver`] would refuse now (`UrlInvalid`, `UrlForbidden`,
    /// `UrlUnreachable` for an unknown host) without connecting to it.
    fn check(&self, url: &str) -> Pending<'_, ()>;

    /// Posts the message and returns the answer's HTTP status; its body is not read. Longer than `deadline` for
    /// everything together gives [`crate::Kind::UrlTimeout`].
    fn deliver(&self, url: &str, message: Webhook, deadline: Duration) -> Pending<'_, u16>;
}

// -------------------------------------------------------------------------------------------------------- index

/// One row of a gallery.
#[derive(Debug, Clone)]
pub struct GalleryEntry {
    /// Which face.
    pub face: FaceId,
    /// Place in order of enrolment within the installation; of equally similar faces the lower one comes first.
    pub sequence: u64,
    /// The person that owns the face, if one does.
    pub person: Option<PersonId>,
    /// Its vector.
    pub template: Template,
    /// Its label, for filters.
    pub subject: Option<Arc<str>>,
    /// Its custom values, one slot per field of the set's schema, for filters.
    pub values: Box<[Option<FieldValue>]>,
}

/// A question to the index.
#[derive(Debug, Clone)]
pub struct GallerySearch {
    /// In which set.
    pub face_set: FaceSetId,
    /// Whom to look for; of the set's pack.
    pub probe: Template,
    /// Most hits wanted.
    pub top_k: usize,
    /// Least similarity of a hit (inclusive).
    pub similarity_min: Similarity,
    /// Only rows that pass; evaluated before the cut to `top_k`.
    pub filter: Option<Arc<Filter>>,
    /// Of the faces of one person only the most similar (then oldest) is a hit; faces without a person stand alone.
    pub one_per_person: bool,
}

/// A row found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Which face.
    pub face: FaceId,
    /// Its owner, if a person.
    pub person: Option<PersonId>,
    /// How similar to the probe.
    pub similarity: Similarity,
}

/// The gallery as searched. Derived: it may be dropped and rebuilt from the store at any time.
pub trait VectorIndex: Send + Sync {
    /// Takes over what one commit changed. Called by its store in revision order, one commit at a time, each awaited before
    /// the next. When it is ready, every later search sees the changes and [`VectorIndex::revision`] says so.
    ///
    /// An error means that the index does not know any more what it knows: from then on it refuses searches
    /// ([`crate::Kind::Overloaded`]) rather than answer from an older state, until it was filled anew between
    /// [`VectorIndex::restart`] and [`VectorIndex::resume`], which its store does at once.
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()>;

    /// The revision it has reached; `None` while searches are refused because it has failed or is filled anew.
    fn revision(&self) -> Option<Revision>;

    /// Drops every row, as if new, and refuses searches until [`VectorIndex::resume`]. What comes by
    /// [`VectorIndex::apply`] meanwhile fills it from the tables.
    fn restart(&self) -> Pending<'_, ()>;

    /// It is filled with everything up to that revision and answers searches again.
    fn resume(&self, revision: Revision) -> Pending<'_, ()>;

    /// The most similar rows, best first, older first among equals. Exact: equal to scanning every row in f32. An
    /// unknown face set has an empty gallery. Errors: [`crate::Kind::Overloaded`], also while it is filled anew.
    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>>;

    /// Rows in the gallery of a set.
    fn n_rows(&self, face_set: FaceSetId) -> usize;
}

// -------------------------------------------------------------------------------------------------------- store

/// A stretch of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Entries to leave out at the start.
    pub offset: u64,
    /// Most entries to return.
    pub limit: u64,
}

/// Which faces of a scope are meant.
#[derive(Debug, Clone)]
pub enum FaceSelector {
    /// These; ids that are not in the scope are passed over.
    Ids(Vec<FaceId>),
    /// All with this label.
    Subject(Subject),
    /// All whose custom field has exactly this value.
    Field {
        /// Which field.
        name: FieldName,
        /// Its value.
        value: FieldValue,
    },
    /// All that pass, evaluated by [`Filter::matches`].
    Filter(Arc<Filter>),
}

/// Where faces are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaceScope {
    /// The gallery of a face set: its own faces and those of its member persons.
    FaceSet(FaceSetId),
    /// The faces a person owns.
    Person(PersonId),
}

/// What a store holds, for `check` and for people who wonder where their disk went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// Backend and place, for people.
    pub backend: String,
    /// Version of the layout on disk.
    pub schema_version: u32,
    /// Number of the last commit.
    pub revision: Revision,
    /// Tenants.
    pub n_tenants: u64,
    /// Face sets.
    pub n_face_sets: u64,
    /// Persons.
    pub n_persons: u64,
    /// Faces.
    pub n_faces: u64,
    /// Faces that are held and not enrolled, expired ones that are not yet erased among them.
    pub n_held_faces: u64,
    /// Faces whose set or person is deleted and whose bytes are not yet erased.
    pub n_faces_to_erase: u64,
    /// Bytes of all files of the store.
    pub bytes_on_disk: u64,
    /// Of those, free for reuse.
    pub bytes_free: u64,
    /// What is damaged; empty when all is well.
    pub problems: Vec<String>,
}

/// The truth: face sets, persons and faces of every tenant. See the module's page for what a write promises.
///
/// Every method takes the tenant, writing ones as part of the [`Actor`], and nothing of another tenant is ever returned, counted or touched: an id of another
/// tenant's thing behaves exactly like an id that does not exist.
///
/// Ids inside `New*` values are proposals: an id already in use is replaced by the next free one (counting up, from
/// the largest to 1), so returned values, not proposed ones, are what was stored.
///
/// Any method may answer [`crate::Kind::Overloaded`] (queue full), [`crate::Kind::StorageFull`] (writes only) or
/// [`crate::Kind::Internal`]; other kinds are named with the method.
pub trait GalleryStore: TransientFaceStore {
    /// Makes a face set. `FaceSetExists` if the name is taken; `TooManyFaceSets` if the tenant already has
    /// `face_sets_max`; a taken name is reported before a full quota.
    fn create_face_set(&self, actor: Actor, new: NewFaceSet, face_sets_max: Option<u64>) -> Pending<'_, FaceSet>;

    /// The set of that name.
    fn face_set(&self, tenant: TenantId, name: FaceSetName) -> Pending<'_, Option<FaceSetSummary>>;

    /// The set with that id.
    fn face_set_by_id(&self, tenant: TenantId, id: FaceSetId) -> Pending<'_, Option<FaceSetSummary>>;

    /// Changes a set's words. `FaceSetNotFound`; `FaceSetExists` if the new name is another set's.
    fn update_face_set(&self, actor: Actor, face_set: FaceSetId, patch: FaceSetPatch) -> Pending<'_, FaceSet>;

    /// Every set, oldest first.
    fn face_sets(&self, tenant: TenantId) -> Pending<'_, Vec<FaceSetSummary>>;

    /// Deletes a set with its own faces; member persons lose the membership only. The name is free at once and the
    /// call is quick however many faces there are: their rows may be erased a little later, even across a restart, but
    /// nothing ever shows them again. `FaceSetNotFound`; `FaceSetNotEmpty` if `only_if_empty` and the gallery is not.
    fn delete_face_set(&self, actor: Actor, face_set: FaceSetId, only_if_empty: bool) -> Pending<'_, ()>;

    /// Enrols faces, all or none, in the given order. The owner must exist (`FaceSetNotFound`, `PersonNotFound`).
    /// `CapacityExceeded` if the owner would own more than `faces_max` faces, or a set's gallery would pass the set's
    /// capacity. `FaceExists` if an external id is already used within the owner. `InvalidArgument` if a template is not
    /// of the owning set's pack.
    fn add_faces(
        &self,
        actor: Actor,
        owner: FaceOwner,
        faces: Vec<NewFace>,
        faces_max: Option<u64>,
    ) -> Pending<'_, Vec<Face>>;

    /// Those of `ids` that are in the scope, in the order asked for, each once. As everywhere, a scope that does not exist
    /// is empty.
    fn faces(&self, tenant: TenantId, scope: FaceScope, ids: Vec<FaceId>) -> Pending<'_, Vec<Face>>;

    /// The templates of that pack of those of `ids` that are in the scope, or anywhere in the tenant, in the order asked
    /// for, each face once. A face without a template of that pack is left out.
    fn templates(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        ids: Vec<FaceId>,
        pack: PackId,
    ) -> Pending<'_, Vec<(FaceId, Template)>>;

    /// Gives faces templates of further packs, all or none; one of a pack that the face has already is replaced. A face of
    /// a person is from then on also in the galleries of those of the person's sets that have the template's pack.
    /// `FaceNotFound` if an id is no face of the tenant; `CapacityExceeded` if a set's gallery would pass its capacity.
    fn put_templates(&self, actor: Actor, templates: Vec<(FaceId, Template)>) -> Pending<'_, ()>;

    /// The face sets whose galleries show any of these faces, each once: by face in the order asked for, and those of a
    /// person's face in order of joining.
    fn face_sets_showing(&self, tenant: TenantId, faces: Vec<FaceId>) -> Pending<'_, Vec<FaceSet>>;

    /// The faces of the scope in order of enrolment.
    fn list_faces(&self, tenant: TenantId, scope: FaceScope, page: Page) -> Pending<'_, Vec<Face>>;

    /// Which of these external ids are used by faces the owner owns.
    fn external_ids(
        &self,
        tenant: TenantId,
        owner: FaceOwner,
        ids: Vec<ExternalId>,
    ) -> Pending<'_, Vec<(ExternalId, FaceId)>>;

    /// Changes a face's words. `FaceNotFound` if it is not in the scope.
    fn update_face(
        &self,
        actor: Actor,
        scope: FaceScope,
        face: FaceId,
        patch: FacePatch,
        now: TimestampMs,
    ) -> Pending<'_, Face>;

    /// Deletes every face of the scope that the selector means, all in one commit, and returns their ids in order of
    /// enrolment. Faces of member persons are deleted from the person, so from every set. None is an empty list. In the
    /// scope of a person a filter sees no custom fields, as they have no schema there.
    fn delete_faces(&self, actor: Actor, scope: FaceScope, selector: FaceSelector) -> Pending<'_, Vec<FaceId>>;

    /// Makes a person that is a member of these sets, making the sets that are missing. `PersonExists`;
    /// `TooManyFaceSets` as in [`GalleryStore::create_face_set`]. Returns the sets in the order given, each once.
    ///
    /// A set that was made by joining it is there for its members: when the last one leaves (or is deleted) and the set
    /// owns no face, it is deleted in the same commit. Sets made by [`GalleryStore::create_face_set`] stay.
    fn create_person(
        &self,
        actor: Actor,
        new: NewPerson,
        join: Vec<NewFaceSet>,
        face_sets_max: Option<u64>,
    ) -> Pending<'_, (Person, Vec<FaceSet>)>;

    /// The person with that key.
    fn person(&self, tenant: TenantId, key: PersonKey) -> Pending<'_, Option<Person>>;

    /// Those persons that exist, in the order asked for.
    fn persons(&self, tenant: TenantId, ids: Vec<PersonId>) -> Pending<'_, Vec<Person>>;

    /// Changes a person's words. `PersonNotFound`.
    fn update_person(&self, actor: Actor, person: PersonId, patch: PersonPatch) -> Pending<'_, Person>;

    /// Deletes a person, its memberships and all its faces; returns how many faces. `PersonNotFound`.
    fn delete_person(&self, actor: Actor, person: PersonId) -> Pending<'_, u64>;

    /// Makes a person a member of these sets, making those that are missing; all or none. Being a member already is
    /// fine. A set's pack need not be the person's faces' pack: faces without a template of the set's pack join no gallery. Returns all sets
    /// of the person after the call, in order of joining. `PersonNotFound`, `TooManyFaceSets`, `CapacityExceeded`.
    fn join_face_sets(
        &self,
        actor: Actor,
        person: PersonId,
        join: Vec<NewFaceSet>,
        face_sets_max: Option<u64>,
    ) -> Pending<'_, Vec<FaceSet>>;

    /// Ends memberships; returns the sets the person really left, in the order given. `PersonNotFound`.
    fn leave_face_sets(&self, actor: Actor, person: PersonId, names: Vec<FaceSetName>) -> Pending<'_, Vec<FaceSet>>;

    /// The sets a person is a member of, in order of joining.
    fn face_sets_of(&self, tenant: TenantId, person: PersonId) -> Pending<'_, Vec<FaceSet>>;

    /// The member persons of a set in order of joining, and how many there are in all.
    fn members(&self, tenant: TenantId, face_set: FaceSetId, page: Page) -> Pending<'_, (Vec<Person>, u64)>;

    /// The commits after a revision, over all tenants, at most `limit` of them: what a follower has to apply, with the rows
    /// as they are now. A row that is gone is left out of them, as a later commit says so; so nothing of a deleted face is
    /// ever read from an old commit. Old commits are compacted away by age and number ([`CommitPage::TooOld`]).
    fn changes_after(&self, revision: Revision, limit: usize) -> Pending<'_, CommitPage>;

    /// What is stored, over all tenants. `thorough` also reads every row and checks every template.
    fn report(&self, thorough: bool) -> Pending<'_, StoreReport>;
}

/// Tenants and their access keys. Changes made by another process (`likeness key` beside a running server) are seen
/// by the next call.
pub trait CredentialStore: Send + Sync {
    /// The tenant of that name, made with the proposed id and time if it does not exist.
    fn ensure_tenant(&self, proposed: Tenant) -> Pending<'_, Tenant>;

    /// The tenant of that name.
    fn tenant(&self, name: TenantName) -> Pending<'_, Option<Tenant>>;

    /// Every tenant, oldest first.
    fn tenants(&self) -> Pending<'_, Vec<Tenant>>;

    /// Stores a key. `InvalidArgument` if its id is taken or its tenant unknown.
    fn add_key(&self, key: AccessKey) -> Pending<'_, ()>;

    /// The key with that id, also when disabled.
    fn key(&self, id: AccessKeyId) -> Pending<'_, Option<AccessKey>>;

    /// The keys of a tenant, oldest first.
    fn keys(&self, tenant: TenantId) -> Pending<'_, Vec<AccessKey>>;

    /// Switches a key on or off; false if there is none.
    fn set_key_enabled(&self, id: AccessKeyId, enabled: bool) -> Pending<'_, bool>;

    /// Deletes a key; false if there is none.
    fn delete_key(&self, id: AccessKeyId) -> Pending<'_, bool>;

    /// The installation's secret: the one stored, or `proposed`, which is then stored for good. Every process hears the
    /// same.
    fn installation_secret(&self, proposed: InstallationSecret) -> Pending<'_, InstallationSecret>;
}

// -------------------------------------------------------------------------------------------- time and randomness

/// Tells the time, so that a failing run can be replayed.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> TimestampMs;
}

/// Wakes those who rest, by the same time as the [`Clock`].
pub trait Timer: Send + Sync {
    /// Ready when the clock says `at` or later. It may be ready earlier: ask the clock.
    fn sleep_until(&self, at: TimestampMs) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Gives random numbers: from the operating system in service, from a seed in tests.
pub trait IdSource: Send + Sync {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}
