//! The rows that an index keeps on disk: found again when the store is opened, and used only if they are right.

use std::path::Path;
use std::sync::Arc;

use likeness_domain::filter::Filter;
use likeness_domain::ports::{FaceScope, FaceSelector, GallerySearch, GalleryStore, Hit, VectorIndex};
use likeness_domain::types::{FaceOwner, FaceSetId, FieldValue, Similarity};
use likeness_store::conformance::samples::*;
use likeness_store::embedded::{DATABASE_FILE, EmbeddedStore};
use likeness_store::index::row_file::ROWS_FILE;
use likeness_store::index::{BruteForceIndex, FlatIndex, FlatOptions};

use crate::patience::block_on;

struct Opened {
    store: EmbeddedStore,
    index: Arc<FlatIndex>,
    /// Whether the index had kept its rows.
    kept: bool,
}

async fn open(dir: &Path) -> Opened {
    let options = FlatOptions { n_threads: 2, queue_len_max: 64, inline_numbers_max: 0, seed: 1 };
    let index = Arc::new(FlatIndex::new_in(options, dir).unwrap());
    let store = EmbeddedStore::open(dir, Arc::clone(&index) as _).unwrap();
    let checked = store.report(false).await.unwrap().checked.join("; ");
    Opened { store, index, kept: checked.contains("had kept its rows") }
}

fn rows_file(dir: &Path) -> std::path::PathBuf {
    dir.join(format!("{ROWS_FILE}16"))
}

/// Hits without and with filters, of a set and its persons.
async fn answers(index: &dyn VectorIndex, set: FaceSetId) -> Vec<Vec<Hit>> {
    let long = "x".repeat(90);
    let filters = [
        None,
        Some(Filter::Subject("anna".into())),
        Some(Filter::Text { field_idx: 0, value: long.as_str().into() }),
        Some(Filter::Whole { field_idx: 1, min: 0, max: 1000 }),
        Some(Filter::Boolean { field_idx: 4, value: true }),
    ];
    let mut answers = Vec::new();
    for filter in filters {
        let filter = filter.map(Arc::new);
        let probe = template(5);
        let question = GallerySearch {
            face_set: set,
            probe,
            top_k: 5000,
            similarity_min: Similarity::MIN,
            filter,
            one_per_person: false,
        };
        answers.push(index.search(question).await.unwrap());
    }
    answers
}

/// What an index that is filled from the store answers.
async fn expected(dir: &Path, set: FaceSetId) -> Vec<Vec<Hit>> {
    let index = Arc::new(BruteForceIndex::new());
    let _store = EmbeddedStore::open(dir, Arc::clone(&index) as _).unwrap();
    answers(&*index, set).await
}

/// A set `staff` with 1,500 faces of every kind, some of a person's.
async fn fill(store: &EmbeddedStore) -> FaceSetId {
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let kinds = |number: u64| match number % 4 {
        0 => full_face(number),
        1 => face(number),
        2 => valued(number, "age", FieldValue::Whole(number as i64)),
        _ => valued(number, "city", FieldValue::Text("x".repeat(90).into())),
    };
    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), (1..=1500).map(kinds).collect(), None).await.unwrap();
    let (anna, _) = store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    store.add_faces(by(ours()), FaceOwner::Person(anna.id), (2001..2010).map(face).collect(), None).await.unwrap();
    set.id
}

#[test]
fn an_index_finds_its_rows_again_with_all_that_filters_look_at() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let Opened { store, index, kept } = open(scratch.path()).await;
        assert!(!kept);
        let set = fill(&store).await;
        let before = answers(&*index, set).await;
        drop((store, index));
        assert_eq!(before, expected(scratch.path(), set).await);
        let Opened { store, index, kept } = open(scratch.path()).await;
        assert!(kept);
        assert_eq!(answers(&*index, set).await, before);
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// As after a kill between a commit and the index, or a run of a program that knows nothing of the rows.
#[test]
fn commits_that_the_rows_lack_are_made_up_for() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let Opened { store, index, .. } = open(scratch.path()).await;
        let set = fill(&store).await;
        drop((store, index));
        let behind = std::fs::read(rows_file(scratch.path())).unwrap();
        let Opened { store, index, kept } = open(scratch.path()).await;
        assert!(kept);
        let ids = FaceSelector::Ids((1..=300).map(face_id).collect());
        store.delete_faces(by(ours()), FaceScope::FaceSet(set), ids).await.unwrap();
        let more = (5001..5100).map(full_face).collect();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set), more, None).await.unwrap();
        let other = store.create_face_set(by(ours()), face_set("other"), None).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::FaceSet(other.id), vec![face(6000)], None).await.unwrap();
        drop((store, index));
        std::fs::write(rows_file(scratch.path()), behind).unwrap();
        let Opened { store, index, kept } = open(scratch.path()).await;
        assert!(kept);
        let (found, found_other) = (answers(&*index, set).await, answers(&*index, other.id).await);
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
        drop((store, index));
        assert_eq!(found, expected(scratch.path(), set).await);
        assert_eq!(found_other, expected(scratch.path(), other.id).await);
        assert_eq!(found_other[0].len(), 1);
    });
}

#[test]
fn rows_that_are_not_those_of_the_database_are_not_used() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let Opened { store, index, .. } = open(scratch.path()).await;
        let set = fill(&store).await;
        drop((store, index));
        let before = expected(scratch.path(), set).await;
        let whole = std::fs::read(rows_file(scratch.path())).unwrap();
        let slot_bytes = 320;
        assert_eq!((whole.len() - 4096) % slot_bytes, 0);
        // A row too few, a damaged one, and none at all.
        let mut lacks_one = whole.clone();
        lacks_one[4096 + 7 * slot_bytes..][..slot_bytes].fill(0);
        let mut damaged = whole.clone();
        damaged[4096 + 7 * slot_bytes + 150] ^= 1;
        for bytes in [lacks_one, damaged, whole[..4096].to_vec()] {
            std::fs::write(rows_file(scratch.path()), bytes).unwrap();
            let Opened { store, index, kept } = open(scratch.path()).await;
            assert!(!kept);
            assert_eq!(answers(&*index, set).await, before);
            drop((store, index));
            assert!(open(scratch.path()).await.kept, "what was filled anew is kept");
        }
        std::fs::remove_file(rows_file(scratch.path())).unwrap();
        assert!(!open(scratch.path()).await.kept);
    });
}

/// A copy of the library has the same id and, after as many commits, the same revision and numbers, but other faces.
#[test]
fn rows_of_a_copy_that_went_its_own_way_are_not_used() {
    let (ours_dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    block_on(async {
        let Opened { store, index, .. } = open(ours_dir.path()).await;
        let set = fill(&store).await;
        drop((store, index));
        for entry in std::fs::read_dir(ours_dir.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        for (dir, number) in [(ours_dir.path(), 7001), (copy.path(), 7002)] {
            let Opened { store, .. } = open(dir).await;
            store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![full_face(number)], None).await.unwrap();
        }
        let before = expected(ours_dir.path(), set).await;
        // Written over, so that it is the same file of the system.
        std::fs::write(rows_file(ours_dir.path()), std::fs::read(rows_file(copy.path())).unwrap()).unwrap();
        let Opened { index, kept, .. } = open(ours_dir.path()).await;
        assert!(!kept);
        assert_eq!(answers(&*index, set).await, before);
    });
}

/// A damaged face is left out when the index is filled; that must not make every later start fill it again.
#[test]
fn rows_without_a_damaged_face_are_used() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let Opened { store, index, .. } = open(scratch.path()).await;
        let set = fill(&store).await;
        drop((store, index));
        std::fs::remove_file(rows_file(scratch.path())).unwrap();
        let sql = "UPDATE templates SET vector = zeroblob(length(vector)) WHERE face = (SELECT sequence FROM faces WHERE id = 9)";
        rusqlite::Connection::open(scratch.path().join(DATABASE_FILE)).unwrap().execute_batch(sql).unwrap();
        let Opened { store, index, kept } = open(scratch.path()).await;
        assert!(!kept);
        let before = answers(&*index, set).await;
        assert_eq!(before[0].len(), 1508);
        drop((store, index));
        let Opened { store, index, kept } = open(scratch.path()).await;
        assert!(kept);
        assert_eq!(answers(&*index, set).await, before);
        assert_eq!(store.report(false).await.unwrap().problems.len(), 1, "the damaged face is named");
    });
}
