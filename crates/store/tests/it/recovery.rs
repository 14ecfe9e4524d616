//! Every table x every kind of damage: nobody else's face is returned, opening works or says what to do, and a recovery returns
//! every face whose rows were untouched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{CredentialStore, FaceScope, GalleryStore};
use likeness_domain::types::{FaceOwner, NewFace, Tenant, TenantName, TimestampMs};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, recover};

use crate::patience::block_on;

const PAGE_BYTES: usize = 4096;
const N_FACES: u64 = 120;

/// Words that stand in the row of a face only, and nowhere else.
fn mark(number: u64) -> String {
    format!("mark-of-face-{number:06}")
}

fn marked(number: u64) -> NewFace {
    NewFace { note: Some(note(&mark(number))), ..face(number) }
}

/// Half of the faces in sets of their own, half of persons in a set, all in the file without a log.
async fn fill(dir: &Path) {
    let store = EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap();
    let credentials = Credentials::open(dir).unwrap();
    let tenant = Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1));
    credentials.ensure_tenant(by(ours()), tenant).await.unwrap();
    for part in 0..4 {
        let set = store.create_face_set(by(ours()), face_set(&format!("set-{part}")), None).await.unwrap();
        let numbers = (1..=N_FACES / 2).filter(|number| number % 4 == part);
        let faces = numbers.map(marked).collect();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
        let new = person(&format!("person-{part}"));
        let (person, _) = store.create_person(by(ours()), new, vec![face_set("members")], None).await.unwrap();
        let numbers = (N_FACES / 2 + 1..=N_FACES).filter(|number| number % 4 == part);
        store.add_faces(by(ours()), FaceOwner::Person(person.id), numbers.map(marked).collect(), None).await.unwrap();
    }
    drop((credentials, store));
}

fn positions(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    (0..bytes.len().saturating_sub(wanted.len())).filter(|&at| bytes[at..].starts_with(wanted)).collect()
}

/// In which pages the rows of each face stand: its record and its template.
fn pages_of_faces(bytes: &[u8]) -> BTreeMap<u64, BTreeSet<usize>> {
    (1..=N_FACES)
        .map(|number| {
            let vector: Vec<u8> = template(number).unit().iter().flat_map(|number| number.to_le_bytes()).collect();
            let mut pages = BTreeSet::new();
            for wanted in [mark(number).into_bytes(), vector] {
                let found = positions(bytes, &wanted);
                assert_eq!(found.len(), 1, "face {number} stands once in the file");
                pages.insert(found[0] / PAGE_BYTES);
            }
            (number, pages)
        })
        .collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    BitFlip,
    ZeroPage,
    RandomPage,
    Truncated,
    SwappedPages,
}

const DAMAGES: [Damage; 5] =
    [Damage::BitFlip, Damage::ZeroPage, Damage::RandomPage, Damage::Truncated, Damage::SwappedPages];

/// Damages the bytes; returns the pages whose rows are not what and where they were.
fn harm(bytes: &mut Vec<u8>, damage: Damage, page: usize, random: &mut Random) -> BTreeSet<usize> {
    let n_pages = bytes.len() / PAGE_BYTES;
    let range = page * PAGE_BYTES..(page + 1) * PAGE_BYTES;
    match damage {
        Damage::BitFlip => bytes[page * PAGE_BYTES + random.below(PAGE_BYTES)] ^= 1 << random.below(8),
        Damage::ZeroPage => bytes[range].fill(0),
        Damage::RandomPage => bytes[range].iter_mut().for_each(|byte| *byte = random.below(256) as u8),
        Damage::Truncated => {
            bytes.truncate(page * PAGE_BYTES + random.below(PAGE_BYTES));
            return (page..n_pages).collect();
        }
        Damage::SwappedPages => {
            // Rows prove themselves wherever they stand, so none is lost by it; SQLite's trees are.
            let other = 1 + random.below(n_pages - 1);
            if page > 0 && page != other {
                for idx in 0..PAGE_BYTES {
                    bytes.swap(page * PAGE_BYTES + idx, other * PAGE_BYTES + idx);
                }
            }
            return BTreeSet::new();
        }
    }
    [page].into()
}

/// Whatever is listed and searched in the store is a face that was enrolled, with its own template.
async fn no_face_is_another(store: &EmbeddedStore, index: &Ledger, what: &str) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let sets = store.face_sets(ours()).await.unwrap_or_default();
    for set in sets {
        let scope = FaceScope::FaceSet(set.face_set.id);
        for face in store.list_faces(ours(), scope, EVERYTHING).await.unwrap_or_default() {
            let number = face.id.get();
            assert_eq!(face.note, Some(note(&mark(number))), "{what}: face {number}");
            if let Ok(templates) = store.templates(ours(), Some(scope), vec![face.id], pack()).await
                && let [(_, found_template)] = templates.as_slice()
            {
                assert_eq!(*found_template, template(number), "{what}: template of face {number}");
                found.insert(number);
            }
        }
        for row in index.rows(set.face_set.id) {
            assert_eq!(row.entry.template, template(row.entry.face.get()), "{what}: searched face");
        }
    }
    found
}

fn check(
    whole: &[u8],
    identity: &[u8],
    pages: &BTreeMap<u64, BTreeSet<usize>>,
    damage: Damage,
    page: usize,
    seed: u64,
) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let what = format!("{damage:?} of page {page}, seed {seed}");
    let mut bytes = whole.to_vec();
    let touched = harm(&mut bytes, damage, page, &mut random);
    let scratch = tempfile::tempdir().unwrap();
    let (dir, to) = (scratch.path().join("damaged"), scratch.path().join("new"));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join(DATABASE_FILE), &bytes).unwrap();
    std::fs::write(dir.join("likeness.id"), identity).unwrap();

    let untouched: BTreeSet<u64> =
        pages.iter().filter(|(_, pages)| pages.is_disjoint(&touched)).map(|(&number, _)| number).collect();
    let recovered = match recover(&dir, &to) {
        Ok(recovered) => recovered,
        // What was cut off behind its first pages has no rows.
        Err(error) => {
            assert!(untouched.is_empty() && error.message().contains("no row of a library"), "{what}: {error}");
            return;
        }
    };
    assert_eq!(std::fs::read(dir.join(DATABASE_FILE)).unwrap(), bytes, "{what}: the damaged file is left alone");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "{what}: nothing is written beside it");
    block_on(async {
        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(&to, Arc::clone(&index) as _).unwrap();
        let problems = store.report(true).await.unwrap().problems;
        assert!(problems.is_empty(), "{what}: {problems:?}");
        let found = no_face_is_another(&store, &index, &what).await;
        // Of persons whose membership is lost the faces are there, but in no set.
        let mut all = found.clone();
        for number in untouched.difference(&found) {
            let templates = store.templates(ours(), None, vec![face_id(*number)], pack()).await.unwrap();
            assert_eq!(templates, [(face_id(*number), template(*number))], "{what}: face {number} is lost");
            all.insert(*number);
        }
        if all.len() < N_FACES as usize {
            assert!(!recovered.lost.is_empty(), "{what}: a loss is said");
        }
    });

    // The damaged one itself is opened and serves what is whole, or is refused in one line that names the cure.
    let index = Arc::new(Ledger::default());
    match EmbeddedStore::open(&dir, Arc::clone(&index) as _) {
        Ok(store) => drop(block_on(no_face_is_another(&store, &index, &what))),
        Err(error) => {
            assert!(matches!(error.kind(), Kind::Internal | Kind::InvalidArgument), "{what}: {error:?}");
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains("likeness recover") || hint.contains("newer program"), "{what}: {error:?}");
        }
    }
}

/// Some hundred seeds in the slow run.
#[test]
fn every_damage_is_survived_and_untouched_faces_are_recovered() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(fill(scratch.path()));
    let whole = std::fs::read(scratch.path().join(DATABASE_FILE)).unwrap();
    let identity = std::fs::read(scratch.path().join("likeness.id")).unwrap();
    let pages = pages_of_faces(&whole);
    let n_seeds = if std::env::var_os("LIKENESS_SLOW_TESTS").is_some() { 200 } else { 6 };
    let n_pages = whole.len() / PAGE_BYTES;
    for seed in 0..n_seeds {
        for damage in DAMAGES {
            let page = Random(seed * 77 + damage as u64 + 5).below(n_pages * 1000) % n_pages;
            check(&whole, &identity, &pages, damage, page, seed);
        }
    }
}

/// A library that is whole is recovered whole, with what stands only in its log.
#[test]
fn a_whole_library_with_a_log_is_recovered_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, copy, to) = (scratch.path().join("one"), scratch.path().join("copy"), scratch.path().join("new"));
    block_on(fill(&dir));
    block_on(async {
        let store = EmbeddedStore::open(&dir, Arc::new(Ledger::default())).unwrap();
        let set = store.face_set(ours(), name("set-1")).await.unwrap().unwrap().face_set;
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![marked(N_FACES + 1)], None).await.unwrap();
        let error = recover(&dir, &to).unwrap_err();
        assert!(error.message().contains("is in use"), "{error}");
        // As it is at this moment, with a log.
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()) {
            std::fs::copy(dir.join(&file), copy.join(&file)).unwrap();
        }
        let before = store.report(false).await.unwrap();
        let recovered = recover(&copy, &to).unwrap();
        assert_eq!(recovered.lost, [] as [String; 0]);
        assert_eq!((recovered.n_faces, recovered.n_face_sets, recovered.n_persons), (N_FACES + 1, 5, 4));
        let index = Arc::new(Ledger::default());
        let new = EmbeddedStore::open(&to, Arc::clone(&index) as _).unwrap();
        let report = new.report(true).await.unwrap();
        assert_eq!((report.n_faces, report.problems), (before.n_faces, vec![]));
        assert!(report.revision > before.revision);
        let of = async |store: &EmbeddedStore, set: &str| {
            let set = store.face_set(ours(), name(set)).await.unwrap().unwrap();
            let faces = store.list_faces(ours(), FaceScope::FaceSet(set.face_set.id), EVERYTHING).await.unwrap();
            (format!("{:?}", set.face_set), format!("{faces:?}"))
        };
        for set in ["set-0", "set-1", "set-2", "set-3", "members"] {
            assert_eq!(of(&store, set).await, of(&new, set).await);
        }
        let again = recover(&copy, &to).unwrap_err();
        assert!(again.message().contains("is not empty"), "{again}");
        let inside = recover(&copy, copy.join("new")).unwrap_err();
        assert!(inside.message().contains("lies in the data folder that is read"), "{inside}");
        assert!(!copy.join("new").exists());
    });
}

/// Rows of layouts before 7 do not tell what they are: refused with what to do, instead of an empty library that lost nothing.
#[test]
fn older_layouts_and_foreign_databases_are_refused() {
    let fixtures: [&[u8]; 6] = [
        include_bytes!("../data/1/likeness.db"),
        include_bytes!("../data/2/likeness.db"),
        include_bytes!("../data/3/likeness.db"),
        include_bytes!("../data/4/likeness.db"),
        include_bytes!("../data/5/likeness.db"),
        include_bytes!("../data/6/likeness.db"),
    ];
    for (layout, bytes) in (1..).zip(fixtures) {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, to) = (scratch.path().join("old"), scratch.path().join("new"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(DATABASE_FILE), bytes).unwrap();
        let error = recover(&dir, &to).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.message().contains(&format!("has layout {layout};")), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("likeness serve")), "{error}");
        assert!(!to.exists(), "nothing is made");

        // Even when the page that says so is gone.
        let mut bytes = bytes.to_vec();
        bytes[..PAGE_BYTES].fill(0);
        std::fs::write(dir.join(DATABASE_FILE), &bytes).unwrap();
        let error = recover(&dir, &to).unwrap_err();
        assert!(error.message().starts_with("no row of a library was found"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("restore a backup")), "{error}");
        assert_eq!(std::fs::read(dir.join(DATABASE_FILE)).unwrap(), bytes);
    }
    let (scratch, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let conn = rusqlite::Connection::open(scratch.path().join(DATABASE_FILE)).unwrap();
    conn.execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')").unwrap();
    drop(conn);
    let error = recover(scratch.path(), to.path().join("new")).unwrap_err();
    assert!(error.message().starts_with("no row of a library was found"), "{error}");
    // Nor is a file that is no database a library of which all is lost.
    std::fs::write(scratch.path().join(DATABASE_FILE), b"hello world".repeat(1000)).unwrap();
    let error = recover(scratch.path(), to.path().join("other")).unwrap_err();
    assert!(error.message().starts_with("no row of a library was found"), "{error}");
}

/// Found by fuzzing: how much of a row stands in its page was computed of a page that is smaller than any of SQLite's.
#[test]
fn bytes_that_are_no_page_have_no_rows() {
    for first in [0x02, 0x0a, 0x0d] {
        for n_bytes in 0..600 {
            let mut page = vec![0x11; n_bytes];
            if let Some(byte) = page.first_mut() {
                *byte = first;
            }
            likeness_store::embedded::fuzz::damaged_page(&page);
        }
    }
}
