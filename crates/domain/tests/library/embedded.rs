//! Over the embedded store: reading on in the record of changes, which it compacts, and imports beside other work.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use likeness_domain::Kind;
use likeness_domain::library::{
    ArchivedFace, ArchivedPerson, CreateFaceSet, CreatePerson, ImportFaces, Join, Library, Ports, Record,
    RecordPosition,
};
use likeness_domain::types::{
    BoundingBox, Detection, ExternalId, FaceSetPatch, GivenFields, Landmarks, Note, PackId, PersonKey, Point, Quality,
    Revision,
};
use likeness_store::embedded::{EmbeddedStore, Settings};
use likeness_store::folder::DataFolder;
use likeness_testkit::{
    BruteForceIndex, FakeAnalyzer, FakeClock, FakeFetcher, FakeVideoDecoder, SeededIds, block_on, caller, fake_template,
};

use super::{check_kind, create, name};

/// Over what is in the folder, with a record of so many commits.
fn library_in(folder: &std::path::Path, commits_max: u64) -> Library {
    let (index, clock) = (Arc::new(BruteForceIndex::new()), Arc::new(FakeClock::default()));
    let settings = Settings { commits_max, ..Settings::DEFAULT };
    let folder = DataFolder::lock(folder).unwrap();
    let store = Arc::new(EmbeddedStore::open_locked(folder, index.clone(), settings, clock.clone()).unwrap());
    Library::new(Ports {
        analyzer: Arc::new(FakeAnalyzer::new()),
        credentials: Arc::new(store.credentials().unwrap()),
        store: store.clone(),
        index,
        fetcher: Arc::new(FakeFetcher::new()),
        decoder: Arc::new(FakeVideoDecoder),
        pictures: store.clone(),
        jobs: store,
        clock,
        ids: Arc::new(SeededIds::new(1)),
    })
}

/// The record of a tenant loses its oldest commits by shares, so that the commit somebody has read last may be there when
/// later ones of another share are gone: going on there is refused, and nothing is skipped in silence.
#[test]
fn who_was_away_for_longer_than_commits_are_kept_is_told_so() {
    let scratch = tempfile::tempdir().unwrap();
    let owner = caller(1);
    let read = |library: &Library, from, limit| block_on(library.record(&owner, None, from, limit));
    let begin = RecordPosition::from(Revision(0));
    let library = library_in(scratch.path(), 1000);
    block_on(library.create_face_set(&owner, create("staff"))).unwrap();
    let (key, join) = (PersonKey::new("anna").unwrap(), Join { face_sets: Vec::new(), capacity: None });
    let person = CreatePerson { key, name: None, note: None, join };
    block_on(library.create_person(&owner, person)).unwrap();
    let read_before = read(&library, begin, 100).unwrap();
    assert_eq!(read_before.commits.len(), 2);
    for number in 0..60 {
        let note = Some(Note::new(format!("note {number}")).unwrap());
        let patch = FaceSetPatch { note, ..FaceSetPatch::default() };
        block_on(library.update_face_set(&owner, &name("staff"), patch)).unwrap();
    }
    let whole = read(&library, read_before.reached, 100).unwrap();
    assert_eq!((whole.commits.len(), whole.compacted), (60, Revision(0)));
    drop(library);

    let library = library_in(scratch.path(), 20);
    let began = Instant::now();
    let compacted: Record = loop {
        let record = read(&library, begin, 100).unwrap();
        if record.commits.len() <= 20 {
            break record;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{record:?}");
        std::thread::yield_now();
    };
    let is_last_read =
        |commit: &likeness_domain::ports::CommitRecord| commit.revision == read_before.reached.place.revision;
    assert!(compacted.commits.iter().any(is_last_read), "the commit that was read last is there");
    assert!(compacted.compacted > read_before.reached.place.revision);
    let error = check_kind(read(&library, read_before.reached, 100), Kind::Changed);
    assert_eq!(error.field(), Some("cursor"));
    // Whoever begins is told how far it is not whole, and may read it in stretches of any length.
    for limit in [1, 3, 100] {
        let (mut from, mut n_read) = (begin, 0);
        loop {
            let stretch = read(&library, from, limit).unwrap();
            n_read += stretch.commits.len();
            from = stretch.reached;
            if !stretch.has_more {
                break;
            }
        }
        assert_eq!(n_read, compacted.commits.len(), "{limit} at a time");
    }
    // By number, as a person asks, it goes on with what is left.
    let since = read(&library, read_before.reached.place.revision.into(), 100).unwrap();
    assert_eq!(since.commits.len(), compacted.commits.len() - 1);
}

/// A person who is deleted while its faces arrive, or a face of the same external id that comes by another import, ends none.
#[test]
fn imports_go_on_beside_those_who_delete_persons_and_import_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let owner = caller(1);
    let library = library_in(scratch.path(), 100_000);
    let staff = CreateFaceSet { capacity: None, ..create("staff") };
    block_on(library.create_face_set(&owner, staff)).unwrap();
    let nowhere = Detection {
        bounding_box: BoundingBox { left: 0, top: 0, width: 0, height: 0 },
        score: 0.0,
        landmarks: Landmarks([Point { x: 0.0, y: 0.0 }; 5]),
    };
    let faces = |first: u64| -> Vec<ArchivedFace> {
        let face = |number: u64| ArchivedFace {
            id: None,
            template: fake_template(&PackId::new("fake-1").unwrap(), &format!("face {number}")),
            detection: nowhere,
            quality: Quality::default(),
            subject: None,
            external_id: Some(ExternalId::new(format!("e{number}")).unwrap()),
            fields: GivenFields::default(),
            note: None,
            source: None,
            created_at: None,
            thumbnail: None,
            person: Some(ArchivedPerson {
                key: PersonKey::new(format!("p{}", number % 10)).unwrap(),
                name: None,
                note: None,
            }),
        };
        (first..first + 100).map(face).collect()
    };
    let import = |round: u64| {
        let request = ImportFaces { face_set: name("staff"), faces: faces(100 * round) };
        let imported = block_on(library.import_faces(&owner, request)).unwrap();
        assert_eq!(imported.n_enrolled + imported.n_known, 100);
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..40).for_each(import));
        }
    });
    assert_eq!(block_on(library.face_set(&owner, &name("staff"))).unwrap().n_faces, 4000, "each once");
    // Two deletes an import: some come between its steps, and it need not begin more than three times.
    let (begun, begins) = mpsc::sync_channel(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = begun;
            for round in 0..40 {
                begun.send(round).unwrap();
                import(round);
            }
        });
        for round in begins {
            for key in [format!("p{}", round % 10), format!("p{}", (round + 5) % 10)] {
                block_on(library.delete_person(&owner, &PersonKey::new(key).unwrap())).unwrap();
            }
        }
    });
}
