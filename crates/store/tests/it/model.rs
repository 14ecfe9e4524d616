//! Random histories: the embedded store and the memory store, which is plain enough to be believed, must agree on every
//! answer and on what the index is given, with restarts in between.

use std::sync::Arc;

use likeness_domain::access::Limits;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{FaceScope, FaceSelector, GalleryStore, Page};
use likeness_domain::types::{
    ClearedParts, Face, FaceId, FaceOwner, FacePatch, FaceSetId, FaceSetSummary, FieldValue, FieldValues, NewFace,
    NewFaceSet, NewPerson, Person, PersonId, PersonPatch, Template, TenantId, TimestampMs,
};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::{EmbeddedStore, Settings};
use likeness_store::folder::DataFolder;
use likeness_store::memory::MemoryStore;
use proptest::prelude::*;

use crate::follower::{Followed, Follower};
use crate::patience::block_on;

/// One step; small numbers choose among few names, so that steps meet.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    CreateSet {
        tenant: u8,
        name: u8,
        capacity: Option<u64>,
        quota: Option<u64>,
    },
    DeleteSet {
        tenant: u8,
        name: u8,
        only_if_empty: bool,
    },
    Add {
        tenant: u8,
        owner: Owner,
        faces: Vec<Enrol>,
        limits: Option<Limits>,
    },
    /// Faces of several owners at once.
    AddOf {
        tenant: u8,
        faces: Vec<(Owner, Vec<Enrol>)>,
        limits: Option<Limits>,
    },
    MakeMembers {
        tenant: u8,
        set: u8,
        keys: Vec<u8>,
        limits: Option<Limits>,
    },
    Update {
        tenant: u8,
        owner: Owner,
        pick: usize,
        label: Option<u8>,
        age: Option<i64>,
    },
    Delete {
        tenant: u8,
        owner: Owner,
        which: Which,
    },
    CreatePerson {
        tenant: u8,
        key: u8,
        join: Vec<u8>,
        limits: Option<Limits>,
    },
    UpdatePerson {
        tenant: u8,
        key: u8,
        text: u8,
    },
    DeletePerson {
        tenant: u8,
        key: u8,
    },
    Join {
        tenant: u8,
        key: u8,
        join: Vec<u8>,
        limits: Option<Limits>,
    },
    Leave {
        tenant: u8,
        key: u8,
        names: Vec<u8>,
    },
    PutTemplates {
        tenant: u8,
        owner: Owner,
        picks: Vec<usize>,
        other_pack: bool,
    },
    Restart,
    /// The follower reads a few commits.
    Follow,
    /// The follower starts anew.
    RestartFollower,
    /// The indexes fail at the next commit, and are filled anew.
    FailIndex,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    Set(u8),
    Person(u8),
}

#[derive(Debug, Clone)]
pub(crate) struct Enrol {
    label: Option<u8>,
    external_id: Option<u8>,
    age: Option<i64>,
    other_pack: bool,
    /// Proposes the id of a face that exists.
    used_id: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Which {
    Pick(Vec<usize>),
    Label(u8),
    Age(i64),
    Older(i64),
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![3 => (0..4_u8).prop_map(Owner::Set), 2 => (0..3_u8).prop_map(Owner::Person)]
}

fn enrol() -> impl Strategy<Value = Enrol> {
    let label = proptest::option::of(0..3_u8);
    let external_id = proptest::option::weighted(0.3, 0..6_u8);
    let age = proptest::option::of(0..4_i64);
    (label, external_id, age, proptest::bool::weighted(0.1), proptest::bool::weighted(0.1)).prop_map(
        |(label, external_id, age, other_pack, used_id)| Enrol { label, external_id, age, other_pack, used_id },
    )
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        proptest::collection::vec(0..20_usize, 0..4).prop_map(Which::Pick),
        (0..3_u8).prop_map(Which::Label),
        (0..4_i64).prop_map(Which::Age),
        (0..4_i64).prop_map(Which::Older),
    ]
}

/// Often none at all; else each kind of limit is sometimes there and often reached.
fn limits() -> impl Strategy<Value = Option<Limits>> {
    let most = |end: u64| proptest::option::weighted(0.3, 0..end);
    let limits = (most(6), most(20), most(4), most(12), most(8)).prop_map(
        |(face_sets_max, faces_max, persons_max, face_set_faces_max, person_faces_max)| Limits {
            face_sets_max,
            faces_max,
            persons_max,
            face_set_faces_max,
            person_faces_max,
            calls_per_second: None,
        },
    );
    proptest::option::weighted(0.6, limits)
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let tenant = || prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    let quota = || proptest::option::weighted(0.3, 0..6_u64);
    let names = || proptest::collection::vec(0..4_u8, 0..3);
    prop_oneof![
        4 => (tenant(), 0..4_u8, proptest::option::weighted(0.3, 0..6_u64), quota())
            .prop_map(|(tenant, name, capacity, quota)| Step::CreateSet { tenant, name, capacity, quota }),
        1 => (tenant(), 0..4_u8, any::<bool>())
            .prop_map(|(tenant, name, only_if_empty)| Step::DeleteSet { tenant, name, only_if_empty }),
        10 => (tenant(), owner(), proptest::collection::vec(enrol(), 0..4), limits())
            .prop_map(|(tenant, owner, faces, limits)| Step::Add { tenant, owner, faces, limits }),
        4 => (tenant(), proptest::collection::vec((owner(), proptest::collection::vec(enrol(), 0..3)), 0..4), limits())
            .prop_map(|(tenant, faces, limits)| Step::AddOf { tenant, faces, limits }),
        2 => (tenant(), 0..4_u8, proptest::collection::vec(0..3_u8, 0..4), limits())
            .prop_map(|(tenant, set, keys, limits)| Step::MakeMembers { tenant, set, keys, limits }),
        3 => (tenant(), owner(), 0..20_usize, proptest::option::of(0..3_u8), proptest::option::of(0..4_i64))
            .prop_map(|(tenant, owner, pick, label, age)| Step::Update { tenant, owner, pick, label, age }),
        3 => (tenant(), owner(), which()).prop_map(|(tenant, owner, which)| Step::Delete { tenant, owner, which }),
        3 => (tenant(), 0..3_u8, names(), limits())
            .prop_map(|(tenant, key, join, limits)| Step::CreatePerson { tenant, key, join, limits }),
        1 => (tenant(), 0..3_u8, 0..3_u8).prop_map(|(tenant, key, text)| Step::UpdatePerson { tenant, key, text }),
        1 => (tenant(), 0..3_u8).prop_map(|(tenant, key)| Step::DeletePerson { tenant, key }),
        3 => (tenant(), 0..3_u8, names(), limits())
            .prop_map(|(tenant, key, join, limits)| Step::Join { tenant, key, join, limits }),
        2 => (tenant(), 0..3_u8, names()).prop_map(|(tenant, key, names)| Step::Leave { tenant, key, names }),
        3 => (tenant(), owner(), proptest::collection::vec(0..20_usize, 0..3), proptest::bool::weighted(0.7)).prop_map(
            |(tenant, owner, picks, other_pack)| Step::PutTemplates { tenant, owner, picks, other_pack }),
        1 => Just(Step::Restart),
        3 => Just(Step::Follow),
        1 => Just(Step::RestartFollower),
        1 => Just(Step::FailIndex),
    ]
}

fn tenant_of(number: u8) -> TenantId {
    [ours(), theirs()][usize::from(number)]
}

/// Both stores, and what numbers were given out.
struct Pair {
    memory: MemoryStore,
    memory_index: Arc<Ledger>,
    embedded: Option<EmbeddedStore>,
    embedded_index: Arc<Ledger>,
    /// Of the embedded store and of the memory store.
    followers: [Follower; 2],
    dir: tempfile::TempDir,
    settings: Settings,
    last_id: u64,
}

fn open(dir: &tempfile::TempDir, index: &Arc<Ledger>, settings: Settings) -> EmbeddedStore {
    let folder = DataFolder::lock(dir.path()).unwrap();
    EmbeddedStore::open_locked(folder, Arc::clone(index) as _, settings, clock()).unwrap()
}

impl Pair {
    fn new(settings: Settings) -> Self {
        let memory_index = Arc::new(Ledger::default());
        let embedded_index = Arc::new(Ledger::default());
        let dir = tempfile::tempdir().unwrap();
        Self {
            memory: MemoryStore::open(Arc::clone(&memory_index) as _),
            memory_index,
            embedded: Some(open(&dir, &embedded_index, settings)),
            embedded_index,
            followers: [Follower::new(), Follower::new()],
            dir,
            settings,
            last_id: 0,
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 10;
        self.last_id
    }

    fn restart(&mut self) {
        drop(self.embedded.take());
        self.embedded_index = Arc::new(Ledger::default());
        self.embedded = Some(open(&self.dir, &self.embedded_index, self.settings));
    }

    /// Asks both and compares what they say; `Err` is compared by kind.
    async fn both<T>(
        &self,
        ask: impl AsyncFn(&dyn GalleryStore) -> likeness_domain::Result<T>,
        tell: impl Fn(T) -> String,
    ) {
        let answer = async |store: &dyn GalleryStore| match ask(store).await {
            Ok(answer) => tell(answer),
            Err(error) => format!("{:?}", error.kind()),
        };
        assert_eq!(answer(self.embedded.as_ref().unwrap()).await, answer(&self.memory).await, "embedded and memory");
    }

    fn new_set(&mut self, name: u8, capacity: Option<u64>) -> NewFaceSet {
        let id = FaceSetId::new(self.next_id()).unwrap();
        // One of the names makes sets of another pack.
        let pack = pack_named(if name == 3 { "other-1" } else { "sample-1" });
        NewFaceSet { id, pack, capacity, ..face_set(&format!("set-{name}")) }
    }

    async fn set_id(&self, tenant: u8, number: u8) -> FaceSetId {
        let found = self.memory.face_set(tenant_of(tenant), name(&format!("set-{number}"))).await.unwrap();
        found.map_or(FaceSetId::new(1).unwrap(), |set| set.face_set.id)
    }

    async fn person_id(&self, tenant: u8, number: u8) -> PersonId {
        let found = self.memory.person(tenant_of(tenant), key(&format!("person-{number}"))).await.unwrap();
        found.map_or(PersonId::new(1).unwrap(), |person| person.id)
    }

    async fn owner(&self, tenant: u8, owner: Owner) -> FaceOwner {
        match owner {
            Owner::Set(number) => FaceOwner::FaceSet(self.set_id(tenant, number).await),
            Owner::Person(number) => FaceOwner::Person(self.person_id(tenant, number).await),
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::CreateSet { tenant, name, capacity, quota } => {
                let new = self.new_set(name, capacity);
                self.both(
                    async |store| store.create_face_set(by(tenant_of(tenant)), new.clone(), quota).await,
                    |set| format!("{set:?}"),
                )
                .await;
            }
            Step::DeleteSet { tenant, name, only_if_empty } => {
                let id = self.set_id(tenant, name).await;
                self.both(
                    async |store| store.delete_face_set(by(tenant_of(tenant)), id, only_if_empty).await,
                    |()| "deleted".into(),
                )
                .await;
            }
            Step::Add { tenant, owner, faces, limits } => {
                let (owner, new) = self.new_faces(tenant, owner, &faces).await;
                self.both(
                    async |store| store.add_faces(by(tenant_of(tenant)), owner, new.clone(), limits).await,
                    |faces| tell_faces(&faces),
                )
                .await;
            }
            Step::AddOf { tenant, faces, limits } => {
                let mut new = Vec::new();
                for (owner, theirs) in faces {
                    new.push(self.new_faces(tenant, owner, &theirs).await);
                }
                self.both(
                    async |store| store.add_faces_of(by(tenant_of(tenant)), new.clone(), limits).await,
                    |faces| tell_faces(&faces),
                )
                .await;
            }
            Step::MakeMembers { tenant, set, keys, limits } => {
                let set = self.set_id(tenant, set).await;
                let mut new = Vec::new();
                for key in keys {
                    let id = PersonId::new(self.next_id()).unwrap();
                    new.push(NewPerson { id, ..person(&format!("person-{key}")) });
                }
                self.both(
                    async |store| store.make_members(by(tenant_of(tenant)), set, new.clone(), limits).await,
                    |persons| format!("{persons:?}"),
                )
                .await;
            }
            Step::Update { tenant, owner, pick, label, age } => {
                let owner = self.owner(tenant, owner).await;
                let id = self.picked(tenant, owner, pick).await;
                let patch = FacePatch {
                    subject: label.map(|label| subject(&format!("label-{label}"))),
                    fields: FieldValues::new(age.map(|age| (field("age"), FieldValue::Whole(age)))),
                    note: None,
                    cleared: ClearedParts { subject: pick % 5 == 0, ..ClearedParts::default() },
                    only_if: None,
                };
                self.both(
                    async |store| {
                        let now = TimestampMs(pick as i64);
                        store.update_face(by(tenant_of(tenant)), scope(owner), id, patch.clone(), now).await
                    },
                    |face| tell_faces(&[face]),
                )
                .await;
            }
            Step::Delete { tenant, owner, which } => {
                let owner = self.owner(tenant, owner).await;
                let selector = match which {
                    Which::Pick(picks) => {
                        let mut ids = Vec::new();
                        for pick in picks {
                            ids.push(self.picked(tenant, owner, pick).await);
                        }
                        FaceSelector::Ids(ids)
                    }
                    Which::Label(label) => FaceSelector::Subject(subject(&format!("label-{label}"))),
                    Which::Age(age) => FaceSelector::Field { name: field("age"), value: FieldValue::Whole(age) },
                    Which::Older(min) => {
                        FaceSelector::Filter(Arc::new(Filter::Whole { field_idx: 1, min, max: i64::MAX }))
                    }
                };
                self.both(
                    async |store| store.delete_faces(by(tenant_of(tenant)), scope(owner), selector.clone()).await,
                    |ids| format!("{ids:?}"),
                )
                .await;
            }
            Step::CreatePerson { tenant, key, join, limits } => {
                let id = PersonId::new(self.next_id()).unwrap();
                let new = NewPerson { id, ..person(&format!("person-{key}")) };
                let join: Vec<_> = join.into_iter().map(|name| self.new_set(name, None)).collect();
                self.both(
                    async |store| store.create_person(by(tenant_of(tenant)), new.clone(), join.clone(), limits).await,
                    |answer| format!("{answer:?}"),
                )
                .await;
            }
            Step::UpdatePerson { tenant, key, text } => {
                let id = self.person_id(tenant, key).await;
                let words = ["", "one", "two"][usize::from(text)];
                let patch = PersonPatch { name: Some(note(words)), ..PersonPatch::default() };
                self.both(
                    async |store| store.update_person(by(tenant_of(tenant)), id, patch.clone()).await,
                    |person| format!("{person:?}"),
                )
                .await;
            }
            Step::DeletePerson { tenant, key } => {
                let id = self.person_id(tenant, key).await;
                self.both(
                    async |store| store.delete_person(by(tenant_of(tenant)), id).await,
                    |n_faces| n_faces.to_string(),
                )
                .await;
            }
            Step::Join { tenant, key, join, limits } => {
                let id = self.person_id(tenant, key).await;
                let join: Vec<_> = join.into_iter().map(|name| self.new_set(name, None)).collect();
                self.both(
                    async |store| store.join_face_sets(by(tenant_of(tenant)), id, join.clone(), limits).await,
                    |sets| format!("{sets:?}"),
                )
                .await;
            }
            Step::Leave { tenant, key, names } => {
                let id = self.person_id(tenant, key).await;
                let names: Vec<_> = names.into_iter().map(|number| name(&format!("set-{number}"))).collect();
                self.both(
                    async |store| store.leave_face_sets(by(tenant_of(tenant)), id, names.clone()).await,
                    |sets| format!("{sets:?}"),
                )
                .await;
            }
            Step::PutTemplates { tenant, owner, picks, other_pack } => {
                let owner = self.owner(tenant, owner).await;
                let pack = if other_pack { pack_named("other-1") } else { pack() };
                let mut templates = Vec::new();
                for pick in picks {
                    let face = self.picked(tenant, owner, pick).await;
                    templates.push((face, template_of_pack(self.next_id(), pack.clone())));
                }
                self.both(
                    async |store| store.put_templates(by(tenant_of(tenant)), templates.clone()).await,
                    |()| "put".into(),
                )
                .await;
            }
            Step::Restart => self.restart(),
            Step::Follow => {
                self.followers[0].follow(self.embedded.as_ref().unwrap()).await;
                self.followers[1].follow(&self.memory).await;
            }
            Step::RestartFollower => self.followers = [Follower::new(), Follower::new()],
            Step::FailIndex => {
                self.embedded_index.fail_next();
                self.memory_index.fail_next();
            }
        }
    }

    /// The owner and what it is to get.
    async fn new_faces(&mut self, tenant: u8, owner: Owner, faces: &[Enrol]) -> (FaceOwner, Vec<NewFace>) {
        let owner = self.owner(tenant, owner).await;
        let some_used = self.scoped(tenant, owner).await.first().map(|face| face.id);
        let other_set = matches!(owner, FaceOwner::FaceSet(_)) && self.is_other_pack(tenant, owner).await;
        (owner, faces.iter().map(|enrol| self.new_face(enrol, some_used, other_set)).collect())
    }

    fn new_face(&mut self, enrol: &Enrol, used: Option<FaceId>, other_set: bool) -> NewFace {
        let number = self.next_id();
        let id = used.filter(|_| enrol.used_id).unwrap_or(face_id(number));
        let pack = if enrol.other_pack != other_set { pack_named("other-1") } else { pack() };
        NewFace {
            id,
            spare_id: None,
            template: template_of_pack(number, pack),
            subject: enrol.label.map(|label| subject(&format!("label-{label}"))),
            external_id: enrol.external_id.map(|id| external_id(&format!("external-{id}"))),
            fields: FieldValues::new(enrol.age.map(|age| (field("age"), FieldValue::Whole(age)))),
            ..face(number)
        }
    }

    async fn is_other_pack(&self, tenant: u8, owner: FaceOwner) -> bool {
        let sets = self.memory.face_sets(tenant_of(tenant)).await.unwrap();
        sets.iter().any(|set| owner == FaceOwner::FaceSet(set.face_set.id) && set.face_set.pack != pack())
    }

    async fn scoped(&self, tenant: u8, owner: FaceOwner) -> Vec<Face> {
        self.memory.list_faces(tenant_of(tenant), scope(owner), EVERYTHING).await.unwrap()
    }

    /// A face of the scope, or one that does not exist.
    async fn picked(&self, tenant: u8, owner: FaceOwner, pick: usize) -> FaceId {
        self.scoped(tenant, owner).await.get(pick).map_or(face_id(3), |face| face.id)
    }

    /// Followers that have read everything know what the stores' own indexes know.
    async fn check_followers(&mut self) {
        let tenants = [ours(), theirs()];
        let embedded = self.embedded.as_ref().unwrap();
        for followed in [
            self.followers[0].check(embedded, &self.embedded_index, &tenants).await,
            self.followers[1].check(&self.memory, &self.memory_index, &tenants).await,
        ] {
            assert_eq!(followed, Followed::Everything);
        }
    }

    /// Compares everything that can be asked, and what the indexes were given.
    async fn compare(&self) {
        let mut n_sets = 0;
        for tenant in [ours(), theirs()] {
            self.both(async |store| store.face_sets(tenant).await, |sets| tell_sets(&sets)).await;
            for set in self.memory.face_sets(tenant).await.unwrap() {
                n_sets += 1;
                let id = set.face_set.id;
                self.both(
                    async |store| store.list_faces(tenant, FaceScope::FaceSet(id), EVERYTHING).await,
                    |faces| tell_faces(&faces),
                )
                .await;
                let ids = self.memory.list_faces(tenant, FaceScope::FaceSet(id), EVERYTHING).await.unwrap();
                let ids: Vec<FaceId> = ids.iter().map(|face| face.id).collect();
                for pack in [pack(), pack_named("other-1")] {
                    for scope in [Some(FaceScope::FaceSet(id)), None] {
                        self.both(
                            async |store| store.templates(tenant, scope, ids.clone(), pack.clone()).await,
                            |templates| tell_templates(&templates),
                        )
                        .await;
                    }
                }
                self.both(async |store| store.face_sets_showing(tenant, ids.clone()).await, |sets| format!("{sets:?}"))
                    .await;
                let page = Page { offset: 1, limit: 2 };
                self.both(
                    async |store| store.list_faces(tenant, FaceScope::FaceSet(id), page).await,
                    |faces| tell_faces(&faces),
                )
                .await;
                self.both(
                    async |store| store.members(tenant, id, EVERYTHING).await,
                    |(persons, n_members): (Vec<Person>, u64)| format!("{n_members} {persons:?}"),
                )
                .await;
                let told = |index: &Ledger| {
                    let rows = index.rows(id);
                    rows.iter().map(|row| (row.words(), row.entry.template.unit().to_vec())).collect::<Vec<_>>()
                };
                assert_eq!(told(&self.embedded_index), told(&self.memory_index), "what the indexes know");
            }
            for number in 0..3 {
                let key = key(&format!("person-{number}"));
                self.both(async |store| store.person(tenant, key.clone()).await, |person| format!("{person:?}")).await;
                let Some(person) = self.memory.person(tenant, key).await.unwrap() else { continue };
                self.both(async |store| store.face_sets_of(tenant, person.id).await, |sets| format!("{sets:?}")).await;
                self.both(
                    async |store| store.list_faces(tenant, FaceScope::Person(person.id), EVERYTHING).await,
                    |faces| tell_faces(&faces),
                )
                .await;
                let ids: Vec<_> = (0..6).map(|id| external_id(&format!("external-{id}"))).collect();
                self.both(
                    async |store| store.external_ids(tenant, FaceOwner::Person(person.id), ids.clone()).await,
                    |used| format!("{used:?}"),
                )
                .await;
            }
        }
        assert_eq!(self.embedded_index.n_galleries(), n_sets);
        let report = async |store: &dyn GalleryStore| {
            let report = store.report(true).await.unwrap();
            // A delete in steps has more commits.
            let revision = (self.settings.delete_rows == Settings::DEFAULT.delete_rows).then_some(report.revision);
            (revision, report.n_face_sets, report.n_persons, report.n_faces, report.problems)
        };
        assert_eq!(report(self.embedded.as_ref().unwrap()).await, report(&self.memory).await);
    }
}

fn scope(owner: FaceOwner) -> FaceScope {
    match owner {
        FaceOwner::FaceSet(id) => FaceScope::FaceSet(id),
        FaceOwner::Person(id) => FaceScope::Person(id),
    }
}

fn tell_faces(faces: &[Face]) -> String {
    faces.iter().map(|face| format!("{face:?}\n")).collect()
}

fn tell_templates(templates: &[(FaceId, Template)]) -> String {
    // A template's own Debug tells its shape only.
    templates.iter().map(|(face, template)| format!("{face} {template:?} {:?}\n", template.unit())).collect()
}

fn tell_sets(sets: &[FaceSetSummary]) -> String {
    format!("{sets:?}")
}

async fn check_story(steps: Vec<Step>, settings: Settings) {
    let mut pair = Pair::new(settings);
    for step in steps {
        pair.take(step).await;
    }
    pair.compare().await;
    pair.check_followers().await;
    pair.restart();
    pair.compare().await;
    pair.check_followers().await;
}

/// The folder of a library in which all of this was done, by nobody open any more.
#[cfg(feature = "postgres")]
pub(crate) async fn library_of(steps: Vec<Step>) -> tempfile::TempDir {
    let mut pair = Pair::new(Settings::DEFAULT);
    for step in steps {
        pair.take(step).await;
    }
    pair.dir
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_tell_the_same_story(steps in proptest::collection::vec(step(), 1..60)) {
        block_on(async {
            check_story(steps, Settings::DEFAULT).await;
        });
    }

    /// The same where deletes of more than one face are made in steps.
    #[test]
    fn both_stores_tell_the_same_story_when_deletes_are_made_in_steps(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        block_on(async {
            check_story(steps, Settings { delete_rows: 1, ..Settings::DEFAULT }).await;
        });
    }
}
