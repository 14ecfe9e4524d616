//! The use cases of a face library, designed for an ideal client: no vendor's, not even our own wire.
//!
//! Every method takes a [`crate::access::Caller`]; authentication was the adapter's job, authorisation is done here.

mod archives;
mod explain;
mod face_sets;
mod faces;
pub mod jobs;
mod keys;
mod liveness;
mod persons;
mod probes;
mod quota;
mod record;
mod tenants;
mod threshold;
mod together;
mod transient;
mod turns;
mod uploads;
mod visibility;

pub use archives::{ArchivedFace, ArchivedPerson, FacesExported, FacesImported, ImportFaces, Stretch};
pub use explain::{ExaminedFace, Explanation, SearchExplanation};
pub use keys::{CreateKey, KeySummary, fresh_key_id, fresh_secret};
pub use liveness::{ClipLiveness, LiveClip, StillLiveness, VideoInput};
pub use persons::{
    AddPersonFaces, CreatePerson, Join, Members, PersonFacesAdded, PersonImage, PersonMerged, Persons, SplitPerson,
};
pub use record::{Record, RecordPosition};
pub use tenants::{LimitsPatch, require_lawful};
pub use threshold::{Comparisons, Scales, Threshold};
pub use turns::Turns;
pub use uploads::PutUpload;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::access::Caller;
use crate::error::shortened;
use crate::filter::Expr;
use crate::policy::QualityThresholds;
use crate::ports::{
    Analysis, AnalyzeRequest, AnalyzedFace, AnalyzerLoad, Assess, Clock, Count, CredentialStore, FaceAnalyzer,
    FaceChoice, FetchRules, GalleryStore, IdSource, ImageFetcher, ImageRules, JobStore, PackInfo, Page, UploadStore,
    VectorIndex, VideoDecoder, fresh_id,
};
use crate::types::{
    Aspects, Assessment, BoundingBox, ClearedParts, Detection, ExternalId, Face, FaceId, FaceSet, FaceSetName,
    FieldSchema, GivenFields, GivenValue, Note, PackId, Person, PersonKey, Precondition, Quality, QualityFailure,
    QualityGate, Similarity, Subject, Tags, Template, TimestampMs, TransientFace, UploadName,
};
use crate::{Error, Kind, Result, limits};

/// A face library over its ports.
pub struct Library {
    ports: Ports,
    /// Of face sets whose maker does not say which, and of persons that are in no set.
    default_gate: QualityGate,
    turns: Turns,
}

/// What a library stands on.
#[derive(Clone)]
pub struct Ports {
    /// Finds and embeds faces.
    pub analyzer: Arc<dyn FaceAnalyzer>,
    /// Keeps them.
    pub store: Arc<dyn GalleryStore>,
    /// Searches them; fed by the store.
    pub index: Arc<dyn VectorIndex>,
    /// Gets images and clips by address.
    pub fetcher: Arc<dyn ImageFetcher>,
    /// Turns clips into pictures.
    pub decoder: Arc<dyn VideoDecoder>,
    /// Keeps uploads.
    pub pictures: Arc<dyn UploadStore>,
    /// Keeps access keys.
    pub credentials: Arc<dyn CredentialStore>,
    /// Keeps work that outlives its request.
    pub jobs: Arc<dyn JobStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

impl Library {
    /// A library over these ports. Face sets get the gate [`QualityGate::Low`] unless their maker says otherwise.
    pub fn new(ports: Ports) -> Self {
        let turns = Turns::unbounded(&ports.clock);
        Self { ports, default_gate: QualityGate::Low, turns }
    }

    /// The same where tenants take turns.
    #[must_use]
    pub fn with_turns(self, turns: Turns) -> Self {
        Self { turns, ..self }
    }

    /// The same with another gate for face sets whose maker does not say which.
    #[must_use]
    pub fn with_default_gate(self, gate: QualityGate) -> Self {
        Self { default_gate: gate, ..self }
    }

    /// The packs that can be used, the default one first.
    pub fn packs(&self) -> &[PackInfo] {
        self.ports.analyzer.packs()
    }

    /// What this installation can measure of a face.
    pub fn aspects(&self) -> Aspects {
        self.ports.analyzer.aspects()
    }

    /// The time that the library goes by.
    pub fn now(&self) -> TimestampMs {
        self.ports.clock.now()
    }

    /// What runs the models; see [`FaceAnalyzer::engines`].
    pub fn engines(&self) -> Vec<(&'static str, String)> {
        self.ports.analyzer.engines()
    }

    /// The pack with that id, if it is loaded.
    pub fn pack(&self, id: &PackId) -> Option<&PackInfo> {
        self.packs().iter().find(|pack| pack.id == *id)
    }

    /// How busy the analysis of images is; see [`FaceAnalyzer::load`].
    pub fn analyzer_load(&self) -> AnalyzerLoad {
        self.ports.analyzer.load()
    }

    fn default_pack(&self) -> Result<&PackInfo> {
        self.packs().first().ok_or_else(|| Error::new(Kind::PackUnavailable, "no model pack is loaded"))
    }

    fn loaded_pack(&self, id: &PackId) -> Result<&PackInfo> {
        self.pack(id).ok_or_else(|| Error::new(Kind::PackUnavailable, format!("model pack `{id}` is not loaded")))
    }

    /// Refuses a pack that the caller named and that is not loaded. A pack that the caller did not choose, as that of a
    /// face set, is [`Kind::PackUnavailable`] instead: only whoever runs the server can cure that.
    fn named_pack(&self, id: &PackId) -> Result<()> {
        if self.pack(id).is_some() {
            return Ok(());
        }
        let loaded: Vec<&str> = self.packs().iter().map(|pack| pack.id.as_str()).collect();
        let expected =
            if loaded.is_empty() { "none is".to_owned() } else { format!("expected one of {}", loaded.join(", ")) };
        let message = format!("`pack` is `{id}`, which is not loaded; {expected}");
        Err(Error::new(Kind::PackNotFound, message).with_field("pack"))
    }

    /// The pack a face set is pinned to. Checked before an image is touched, since without it no answer is possible.
    fn pack_of(&self, face_set: &FaceSet) -> Result<&PackInfo> {
        self.pack(&face_set.pack).ok_or_else(|| {
            let message = format!(
                "face set `{}` is pinned to model pack `{}`, which is not loaded",
                face_set.name, face_set.pack
            );
            Error::new(Kind::PackUnavailable, message)
        })
    }

    /// Gets the image's bytes and has them analysed; too many bytes are refused before anything looks at them.
    async fn analyze(
        &self,
        caller: &Caller,
        image: &ImageInput,
        pack: &PackId,
        wanted: Wanted,
        assess: Assess,
    ) -> Result<Analysis> {
        let bytes_max = image.rules.bytes_max.min(limits::IMAGE_BYTES_MAX);
        let bytes = self.bytes_of(caller, &image.source, bytes_max, image.fetch_deadline).await?;
        let Wanted { find, embed, face_side_min } = wanted;
        let request = AnalyzeRequest {
            pack: pack.clone(),
            rules: image.rules,
            find,
            face_side_min,
            embed,
            assess,
            count: image.count,
        };
        self.analyze_in_turn(caller, bytes, request).await
    }

    /// Has the image analysed when its tenant's turn comes.
    async fn analyze_in_turn(&self, caller: &Caller, image: Bytes, request: AnalyzeRequest) -> Result<Analysis> {
        let _slot = self.turns.analyses.enter(caller.share()).await?;
        self.ports.analyzer.analyze(image, request).await
    }

    /// The bytes of an image or a clip, wherever they are.
    async fn bytes_of(
        &self,
        caller: &Caller,
        source: &ImageSource,
        bytes_max: usize,
        fetch_deadline: Duration,
    ) -> Result<Bytes> {
        let bytes = match source {
            ImageSource::Bytes(bytes) => bytes.clone(),
            ImageSource::Url(url) => {
                self.ports
                    .fetcher
                    .fetch(url, FetchRules { bytes_max, deadline: fetch_deadline, share: caller.share() })
                    .await?
            }
            ImageSource::Upload(name) => self.upload(caller, name).await?,
        };
        check_bytes(&bytes, bytes_max)?;
        Ok(bytes)
    }

    fn fresh_id<T>(&self, make: impl Fn(u64) -> Option<T>) -> T {
        fresh_id(&*self.ports.ids, make)
    }
}

/// Which faces of an image a use case needs.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    find: FaceChoice,
    embed: FaceChoice,
    face_side_min: u32,
}

impl Wanted {
    /// These faces, with templates.
    fn embedded(choice: FaceChoice) -> Self {
        Self { find: choice, embed: choice, face_side_min: 0 }
    }
}

/// The template the analyzer was asked to make; a missing or foreign one is a fault of ours, never stored or compared.
fn template_of(face: &AnalyzedFace, pack: &PackId) -> Result<Template> {
    let fitting = face.template.as_ref().filter(|template| template.pack() == pack);
    fitting.cloned().ok_or_else(foreign_template)
}

/// Refuses a face that the mesh did not confirm, before its template is compared.
fn check_confirmed(face: &AnalyzedFace) -> Result<()> {
    face.doubt.map_or(Ok(()), |doubt| Err(crate::policy::doubtful_error(doubt)))
}

fn foreign_template() -> Error {
    Error::internal("cannot use the template of a face", "the analyzer gave none, or one of another pack or dimension")
}

fn no_such_face(face_set: &FaceSet) -> Error {
    Error::new(Kind::FaceNotFound, format!("face set `{}` has no such face", face_set.name))
}

fn unknown_field(name: &str) -> Error {
    Error::new(Kind::UnknownField, format!("custom field `{}` is not defined by the face set", shortened(name)))
}

fn check_bytes(image: &Bytes, bytes_max: usize) -> Result<()> {
    if image.len() <= bytes_max {
        return Ok(());
    }
    let message = format!("the image has {} bytes, expected at most {bytes_max}", image.len());
    Err(Error::new(Kind::ImageTooLarge, message))
}

fn check_page(page: Page) -> Result<()> {
    if page.limit <= limits::PAGE_LIMIT_MAX {
        return Ok(());
    }
    let message = format!("`page limit` is {}, expected at most {}", page.limit, limits::PAGE_LIMIT_MAX);
    Err(Error::invalid("page limit", message))
}

fn check_count(field: &'static str, n_given: usize, n_max: usize) -> Result<()> {
    if n_given <= n_max {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{n_given} {field} given, expected at most {n_max}")))
}

/// Where an image comes from.
#[derive(Clone)]
pub enum ImageSource {
    /// It came with the request.
    Bytes(Bytes),
    /// It is to be fetched.
    Url(String),
    /// It was uploaded before, by [`Library::put_upload`]; `UploadNotFound` if it is not there any more.
    Upload(UploadName),
}

/// An image and what it may be.
#[derive(Clone)]
pub struct ImageInput {
    /// Where it comes from.
    pub source: ImageSource,
    /// What it may be.
    pub rules: ImageRules,
    /// Time a fetch may take.
    pub fetch_deadline: Duration,
    /// Whether to say how many faces it shows, where one is wanted.
    pub count: Count,
}

/// See [`Library::create_face_set`].
#[derive(Debug, Clone)]
pub struct CreateFaceSet {
    /// Unique within the tenant.
    pub name: FaceSetName,
    /// Name for people.
    pub label: Option<Note>,
    /// Free text.
    pub note: Option<Note>,
    /// Words to find it by.
    pub tags: Tags,
    /// Its custom fields.
    pub schema: FieldSchema,
    /// Most faces it may hold; `None` for what the caller's vendor gives a set. The tenant's bound holds in any case.
    pub capacity: Option<u64>,
    /// How good a picture of a face must be; `None` for the library's default.
    pub quality_gate: Option<QualityGate>,
    /// Whether a small picture is kept of each face that is enrolled into it.
    pub thumbnails: bool,
}

/// See [`Library::add_faces`].
#[derive(Clone)]
pub struct AddFaces {
    /// Into which set.
    pub face_set: FaceSetName,
    /// From which image.
    pub image: ImageInput,
    /// Which of its faces; [`FaceChoice::None`] is refused.
    pub choice: FaceChoice,
    /// Label for all of them.
    pub subject: Option<Subject>,
    /// The caller's own id of the first; the others get `#1`, `#2` and so on added.
    pub external_id: Option<ExternalId>,
    /// Custom values for all of them; they get their types from the face set.
    pub fields: GivenFields,
    /// Free text for all of them.
    pub note: Option<Note>,
    /// Least figures besides those of the set's gate.
    pub thresholds: QualityThresholds,
    /// Enrols also what the face mesh did not confirm ([`crate::ports::Doubt`]); its template may match nobody.
    pub accept_doubtful: bool,
    /// Future id of the first face, for work that may be done twice: if the set has a face of that id, the call was made
    /// before, and its faces are the answer. `None` for a fresh one.
    pub first_id: Option<FaceId>,
}

/// Faces of a set that pass a filter, of a stretch of it.
#[derive(Debug, Clone)]
pub struct PassingFaces {
    /// In order of enrolment.
    pub faces: Vec<Face>,
    /// How many of the whole set pass.
    pub n_matching: u64,
    /// The place that the next stretch begins at, if more pass.
    pub next: Option<u64>,
}

/// Answer of [`Library::add_faces`].
#[derive(Debug)]
pub struct FacesAdded {
    /// The set.
    pub face_set: FaceSet,
    /// The new faces, largest first; at least one.
    pub faces: Vec<Face>,
    /// Those that were meant and not good enough, largest first.
    pub refused: Vec<RefusedFace>,
}

/// A face of an image that was not enrolled.
#[derive(Debug)]
pub struct RefusedFace {
    /// Where it was.
    pub detection: Detection,
    /// How good it was.
    pub quality: Quality,
    /// Why; at least one reason.
    pub reasons: Vec<QualityFailure>,
}

/// See [`Library::update_face`]; what is absent keeps what is there.
#[derive(Debug, Clone, Default)]
pub struct UpdateFace {
    /// New label.
    pub subject: Option<Subject>,
    /// Values laid over the present ones; they get their types from the face set.
    pub fields: GivenFields,
    /// New free text.
    pub note: Option<Note>,
    /// What is taken away.
    pub cleared: ClearedParts,
    /// What the face has to be like.
    pub only_if: Option<Precondition<Face>>,
}

/// Which faces of a set to delete.
#[derive(Debug, Clone)]
pub enum DeleteFaces {
    /// These; those not in the set are passed over.
    Ids(Vec<FaceId>),
    /// All with this label.
    Subject(Subject),
    /// All whose custom field has exactly this value.
    Field {
        /// Which field.
        name: String,
        /// Its value; it gets its type from the face set.
        value: GivenValue,
    },
    /// All that pass.
    Filter(Expr),
    /// Every one.
    All,
}

/// Whom to look for.
#[derive(Clone)]
pub enum Probe {
    /// The largest face in this image.
    Image(ImageInput),
    /// An enrolled face of the same set.
    Face(FaceId),
    /// A transient face, or one enrolled anywhere in the tenant, by its source face.
    SourceFace(FaceId),
    /// A person, by each of its faces of the set's pack, at most [`crate::limits::PERSON_PROBES_MAX`] of them; its own faces
    /// are left out of the answer.
    Person(PersonKey),
    /// A template of the set's pack, as numbers of any length but zero. Needs the templates grant.
    Template(Arc<[f32]>),
}

/// Order of one sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// One key to order candidates by, after the cut. A field that an earlier key has named orders nothing any more.
#[derive(Debug, Clone)]
pub struct SortKey {
    /// A numeric custom field.
    pub field: String,
    /// Which way.
    pub direction: Direction,
}

/// See [`Library::search`].
#[derive(Clone)]
pub struct Search {
    /// In which set.
    pub face_set: FaceSetName,
    /// Whom to look for.
    pub probe: Probe,
    /// Most candidates, 1 to [`crate::limits::TOP_K_MAX`].
    pub top_k: usize,
    /// What a candidate has to reach.
    pub threshold: Threshold,
    /// Only faces that pass.
    pub filter: Option<Expr>,
    /// Orders the kept candidates; ties and the empty list by falling similarity. Faces without the field come last.
    pub sort: Vec<SortKey>,
    /// At most one face of each person.
    pub one_per_person: bool,
}

/// A face that may be the one looked for.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The enrolled face.
    pub face: Face,
    /// How similar it is to the probe, to the most similar one of several.
    pub similarity: Similarity,
}

/// Answer of [`Library::search`].
#[derive(Debug)]
pub struct SearchAnswer {
    /// The set.
    pub face_set: FaceSet,
    /// How many faces its gallery had, and how many were looked for.
    pub compared: Comparisons,
    /// The least similarity that the threshold asked for.
    pub similarity_min: Similarity,
    /// Where the probe face was, if the probe was an image.
    pub probe: Option<Detection>,
    /// How many faces that image shows, if that was asked for.
    pub n_faces_in_image: Option<usize>,
    /// Best first, or as sorted.
    pub candidates: Vec<Candidate>,
}

/// Answer of [`Library::compare_person`].
#[derive(Debug)]
pub struct PersonCompared {
    /// The face of the person that is most similar.
    pub face: FaceId,
    /// How similar it is.
    pub similarity: Similarity,
    /// How many faces of the person were compared, at most [`crate::limits::PERSON_PROBES_MAX`].
    pub n_compared: u64,
    /// The pack that compared.
    pub pack: PackId,
    /// Where the face was in the image.
    pub probe: Detection,
    /// How many faces the image shows, if that was asked for.
    pub n_faces_in_image: Option<usize>,
}

/// See [`Library::search_faces`].
#[derive(Clone)]
pub struct SearchFaces {
    /// In which set.
    pub face_set: FaceSetName,
    /// Whose faces to look for.
    pub image: ImageInput,
    /// Most faces of the image, the largest ones, 1 to [`crate::limits::FACES_PER_IMAGE_MAX`].
    pub faces_max: usize,
    /// Most candidates of each face, 1 to [`crate::limits::TOP_K_MAX`].
    pub top_k: usize,
    /// What a candidate has to reach.
    pub threshold: Threshold,
    /// Only faces that pass.
    pub filter: Option<Expr>,
    /// At most one face of each person.
    pub one_per_person: bool,
}

/// Answer of [`Library::search_faces`].
#[derive(Debug)]
pub struct FacesFound {
    /// The set.
    pub face_set: FaceSet,
    /// The faces of the image, largest first.
    pub faces: Vec<FaceFound>,
    /// Every person that owns a candidate, each once, in no particular order.
    pub persons: Vec<Person>,
    /// How many faces its gallery had.
    pub n_faces: u64,
    /// The least similarity that the threshold asked for.
    pub similarity_min: Similarity,
}

/// One face of an image and who resembles it.
#[derive(Debug)]
pub struct FaceFound {
    /// Where it was.
    pub probe: Detection,
    /// Best first.
    pub candidates: Vec<Candidate>,
}

/// Answer of [`Library::compare`].
#[derive(Debug)]
pub struct Comparison {
    /// The largest face of each image.
    pub faces: [Detection; 2],
    /// How many faces each image shows, if that was asked for.
    pub n_faces_in_images: [Option<usize>; 2],
    /// How similar they are.
    pub similarity: Similarity,
    /// The pack that said so.
    pub pack: PackId,
}

/// The largest face of an image.
#[derive(Debug, Clone, Copy)]
pub struct LargestFace {
    /// Where it is.
    pub detection: Detection,
    /// How many faces the image shows, if that was asked for.
    pub n_faces_in_image: Option<usize>,
}

/// Answer of [`Library::compare_many`].
#[derive(Debug)]
pub struct ManyCompared {
    /// The largest face of the image that is compared with the others.
    pub probe: LargestFace,
    /// Of each other image its largest face and how similar it is, or why there is none; in their order.
    pub others: Vec<Result<(LargestFace, Similarity)>>,
    /// The pack that said so.
    pub pack: PackId,
}

/// See [`Library::keep_faces`].
#[derive(Clone)]
pub struct KeepFaces {
    /// Whose faces.
    pub image: ImageInput,
    /// Only the face that is here, as chosen by [`crate::policy::best_overlap`]; `None` for every face.
    pub place: Option<BoundingBox>,
    /// For sets of which pack; `None` for the default one.
    pub pack: Option<PackId>,
    /// How long; at most [`crate::limits::TRANSIENT_FACE_LIFETIME_MAX`].
    pub lifetime: Duration,
    /// What else to measure; only quality is kept.
    pub assess: Assess,
}

/// Answer of [`Library::keep_faces`].
#[derive(Debug)]
pub struct FacesKept {
    /// Width of the upright image in pixels.
    pub image_width: u32,
    /// Height of the upright image in pixels.
    pub image_height: u32,
    /// Every face, largest first.
    pub faces: Vec<FaceKept>,
}

/// A face of an image.
#[derive(Debug)]
pub struct FaceKept {
    /// The face as it is kept.
    pub face: TransientFace,
    /// What else was measured; not kept.
    pub assessment: Assessment,
}

/// What became of one face that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransientFaceOutcome {
    /// It is in the set now.
    Added,
    /// It was in the set before.
    Present,
    /// It is neither a transient face nor enrolled.
    Unknown,
    /// The set is full.
    Full,
    /// Its template is of another pack than the set's.
    OtherPack,
    /// The picture it came from is not good enough for the set.
    PoorQuality,
}

/// Answer of [`Library::known_face`].
#[derive(Debug)]
pub struct KnownFace {
    /// Where it was in the image it came from.
    pub detection: Detection,
    /// Label saying who it is.
    pub subject: Option<Subject>,
    /// When it ceases to be kept as a transient face; `None` if it no longer is one.
    pub expires_at: Option<TimestampMs>,
    /// The face sets whose galleries it is in.
    pub face_sets: Vec<FaceSet>,
}

/// Answer of [`Library::compare_source_faces`].
#[derive(Debug)]
pub struct SourceFaceComparison {
    /// How similar they are.
    pub similarity: Similarity,
    /// The pack that said so.
    pub pack: PackId,
}
