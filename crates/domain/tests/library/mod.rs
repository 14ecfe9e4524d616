//! A fixture for tests, and short ways to act in it.

mod access;
mod embedded;
mod face_sets;
mod faces;
mod fair_slots;
mod images;
mod jobs;
mod liveness;
mod persons;
mod quality;
mod search;
mod thumbnails;
mod transient;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::access::{Caller, Grant, Grants, Limits};
use likeness_domain::filter::{self, Expr, Vocabulary};
use likeness_domain::library::{
    AddFaces, CreateFaceSet, FacesAdded, ImageInput, ImageSource, Library, Ports, Probe, Search, SearchAnswer,
    Threshold, UpdateFace,
};
use likeness_domain::policy::QualityThresholds;
use likeness_domain::ports::{Count, FaceChoice, GalleryStore, ImageFormats, ImageRules};
use likeness_domain::types::{
    Aspects, ExternalId, FaceId, FaceSet, FaceSetName, FieldName, FieldSchema, FieldType, FieldValue, GivenFields,
    GivenValue, PackId, Similarity, Subject, Tags,
};
use likeness_domain::{Error, Kind, Result};
use likeness_store::memory::MemoryStore;
use likeness_testkit::{
    BruteForceIndex, FakeAnalyzer, FakeClock, FakeFetcher, FakeVideoDecoder, SeededIds, block_on, caller,
};

/// A library and the fakes it stands on.
struct Fixture {
    library: Library,
    analyzer: Arc<FakeAnalyzer>,
    store: Arc<MemoryStore>,
    index: Arc<BruteForceIndex>,
    fetcher: Arc<FakeFetcher>,
    clock: Arc<FakeClock>,
    caller: Caller,
}

impl Fixture {
    fn new() -> Self {
        Self::with_analyzer(FakeAnalyzer::new())
    }

    fn with_analyzer(analyzer: FakeAnalyzer) -> Self {
        let index = Arc::new(BruteForceIndex::new());
        let store = Arc::new(MemoryStore::open(index.clone()));
        Self::over(analyzer, store, index)
    }

    /// Another library over what another fixture has stored, as after a restart.
    fn over(analyzer: FakeAnalyzer, store: Arc<MemoryStore>, index: Arc<BruteForceIndex>) -> Self {
        let (analyzer, fetcher) = (Arc::new(analyzer), Arc::new(FakeFetcher::new()));
        let clock = Arc::new(FakeClock::default());
        let library = Library::new(Ports {
            analyzer: analyzer.clone(),
            store: store.clone(),
            index: index.clone(),
            fetcher: fetcher.clone(),
            decoder: Arc::new(FakeVideoDecoder),
            pictures: store.clone(),
            credentials: store.clone(),
            jobs: store.clone(),
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(1)),
        });
        Self { library, analyzer, store, index, fetcher, clock, caller: bounded() }
    }

    /// A fixture with an empty face set `staff` that has the custom fields age, team and score.
    fn with_staff() -> Self {
        let fixture = Self::new();
        fixture.create("staff").unwrap();
        fixture
    }

    fn create(&self, set: &str) -> Result<FaceSet> {
        block_on(self.library.create_face_set(&self.caller, create(set)))
    }

    fn add(&self, request: AddFaces) -> Result<FacesAdded> {
        block_on(self.library.add_faces(&self.caller, request))
    }

    /// Enrols the only face of a name, with its age if it is not negative.
    fn enrol(&self, person: &str, age: i64) -> FaceId {
        let mut request = add(&format!("face {person} 40x40+10+5"));
        request.subject = Some(Subject::new(person).unwrap());
        if age >= 0 {
            request.fields = values(&[("age", FieldValue::Whole(age))]);
        }
        self.add(request).unwrap().faces[0].id
    }

    fn search(&self, request: Search) -> Result<SearchAnswer> {
        block_on(self.library.search(&self.caller, request))
    }

    /// Subjects of the candidates in their order.
    fn found(&self, request: Search) -> Vec<String> {
        subjects(&self.search(request).unwrap())
    }

    fn n_faces(&self, set: &str) -> u64 {
        block_on(self.library.face_set(&self.caller, &name(set))).unwrap().n_faces
    }

    /// Requests that the analyzer has seen.
    fn n_analysed(&self) -> usize {
        self.analyzer.requests().len()
    }
}

fn subjects(answer: &SearchAnswer) -> Vec<String> {
    let subject = |subject: &Option<Subject>| subject.as_ref().map_or("-".to_owned(), Subject::to_string);
    answer.candidates.iter().map(|candidate| subject(&candidate.face.subject)).collect()
}

fn name(set: &str) -> FaceSetName {
    FaceSetName::new(set).unwrap()
}

fn field(field: &str) -> FieldName {
    FieldName::new(field).unwrap()
}

fn values(values: &[(&str, FieldValue)]) -> GivenFields {
    values.iter().map(|(name, value)| ((*name).to_owned(), GivenValue::Typed(value.clone()))).collect()
}

fn external_id(text: &str) -> ExternalId {
    ExternalId::new(text).unwrap()
}

fn image(scene: impl Into<Bytes>) -> ImageInput {
    input(ImageSource::Bytes(scene.into()))
}

fn at_url(url: &str) -> ImageInput {
    input(ImageSource::Url(url.to_owned()))
}

fn input(source: ImageSource) -> ImageInput {
    let rules = ImageRules { formats: ImageFormats::JPEG, bytes_max: 500, side_max: 4096, side_min: 10 };
    ImageInput { source, rules, fetch_deadline: Duration::from_secs(3), count: Count::No }
}

fn create(set: &str) -> CreateFaceSet {
    let fields = [("age", FieldType::Integer), ("team", FieldType::String), ("score", FieldType::Double)];
    CreateFaceSet {
        name: name(set),
        label: None,
        note: None,
        tags: Tags::default(),
        schema: FieldSchema::new(fields.map(|(name, field_type)| (field(name), field_type))).unwrap(),
        capacity: Some(20),
        quality_gate: None,
        thumbnails: false,
    }
}

/// The largest face of the scene into `staff`.
fn add(scene: &str) -> AddFaces {
    AddFaces {
        face_set: name("staff"),
        image: image(scene.to_owned()),
        choice: FaceChoice::Largest,
        subject: None,
        external_id: None,
        fields: GivenFields::new(),
        note: None,
        thresholds: QualityThresholds::NONE,
        accept_doubtful: false,
        first_id: None,
    }
}

/// Everybody in `staff` by closeness to the person.
fn search(person: &str) -> Search {
    search_by(Probe::Image(image(format!("face {person} 30x30+100+50"))))
}

fn search_by(probe: Probe) -> Search {
    Search {
        face_set: name("staff"),
        probe,
        top_k: 10,
        threshold: Threshold::NONE,
        filter: None,
        sort: Vec::new(),
        one_per_person: false,
    }
}

fn expr(text: &str) -> Expr {
    let read = |text: &str| text.parse().ok().and_then(FaceId::new);
    filter::parse(text, &Vocabulary { subject: "subject", face_id: ("face_id", read) }).unwrap().unwrap()
}

/// A caller who may do everything, through a vendor whose tenants have three face sets and whose persons four faces.
fn bounded() -> Caller {
    let vendor_limits = Limits { face_sets_max: Some(3), person_faces_max: Some(4), ..Limits::NONE };
    Caller { vendor_limits, ..caller(1) }
}

/// A caller of the same tenant with everything but one grant.
fn without(missing: Grant) -> Caller {
    Caller { grants: Grants::ALL.without(missing), ..caller(1) }
}

#[track_caller]
fn check_kind<T>(answer: Result<T>, kind: Kind) -> Error {
    match answer {
        Ok(_) => panic!("expected {kind:?}, it went well"),
        Err(err) => {
            assert_eq!(err.kind(), kind, "{err:?}");
            err
        }
    }
}
