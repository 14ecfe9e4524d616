//! A row that is damaged while the store is open is set aside by whoever reads it first: no search finds it from then on, it is
//! counted, and it is named; a row that is whole again comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{
    Change, CommitPage, CredentialStore, FaceScope, FaceSelector, GalleryChange, GallerySearch, GalleryStore, Pending,
    ScrubStep, TransientFaceStore, VectorIndex,
};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceOwner, FacePatch, FaceSetId, PersonId, Revision, Secret, Similarity, Tenant,
    TenantName, TimestampMs,
};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger, refused};
use likeness_store::embedded::{DATABASE_FILE, EmbeddedStore};
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};

use crate::patience::block_on;

const NOW: TimestampMs = TimestampMs(7);

struct Opened {
    store: EmbeddedStore,
    index: Arc<Ledger>,
    set: FaceSetId,
    anna: PersonId,
}

/// A set `staff` with the faces 1 to 3, and a person `anna` in it with the faces 4 and 5; a second set, `other`, with face 6.
async fn fill(dir: &Path) -> Opened {
    let index = Arc::new(Ledger::default());
    let store = EmbeddedStore::open(dir, Arc::clone(&index) as _).unwrap();
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
    let faces = vec![full_face(1), full_face(2), full_face(3)];
    store.add_faces(by(ours()), FaceOwner::FaceSet(set), faces, None).await.unwrap();
    let (anna, _) = store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(4), face(5)], None).await.unwrap();
    let other = store.create_face_set(by(ours()), face_set("other"), None).await.unwrap().id;
    store.add_faces(by(ours()), FaceOwner::FaceSet(other), vec![face(6)], None).await.unwrap();
    Opened { store, index, set, anna: anna.id }
}

/// What stands in the tables, changed behind the store's back by another program.
fn behind(dir: &Path, sql: &str) {
    rusqlite::Connection::open(dir.join(DATABASE_FILE)).unwrap().execute_batch(sql).unwrap();
}

impl Opened {
    fn searched(&self) -> Vec<u64> {
        self.index.rows(self.set).iter().map(|row| row.entry.face.get()).collect()
    }

    /// Rows set aside in that table, and in all.
    fn n_set_aside(&self, table: &str) -> (u64, u64) {
        let health = self.store.health();
        (health.rows_set_aside_of[table], health.n_rows_set_aside)
    }
}

/// The check of every row, from its beginning to its end.
async fn whole_pass(store: &EmbeddedStore) {
    while let ScrubStep::Read(_) = store.scrub(NOW, Duration::from_secs(9), 1000).await.unwrap() {}
}

/// A way to read; whatever it returns.
type Read = for<'a> fn(&'a Opened) -> Pending<'a, ()>;

macro_rules! reads {
    ($($name:literal: |$opened:ident| $call:expr;)*) => {
        &[$(($name, |$opened: &Opened| Box::pin(async move {
            let _ = $call.await;
            Ok(())
        }) as Pending<'_, ()>)),*]
    };
}

/// Every path that reads the template of face 2, which is a face of the set, or of face 4, which is the person's.
const TEMPLATE_READS: &[(&str, Read)] = reads! {
    "templates of a set": |at| at.store.templates(ours(), Some(FaceScope::FaceSet(at.set)), vec![face_id(2), face_id(4)], pack());
    "templates of a person and of a set": |at| async {
        let _ = at.store.templates(ours(), Some(FaceScope::FaceSet(at.set)), vec![face_id(2)], pack()).await;
        at.store.templates(ours(), Some(FaceScope::Person(at.anna)), vec![face_id(4), face_id(5)], pack()).await
    };
    "templates anywhere": |at| at.store.templates(ours(), None, vec![face_id(4), face_id(2)], pack());
    "an archive": |at| at.store.faces_with_templates(ours(), at.set, 0, 100);
    "commits": |at| at.store.changes_after(Revision(0), 100);
    "a change of a face": |at| async {
        for face in [2, 4] {
            let scope = FaceScope::FaceSet(at.set);
            let patch = FacePatch { subject: Some(subject("eve")), ..FacePatch::default() };
            refused(at.store.update_face(by(ours()), scope, face_id(face), patch, NOW).await, Kind::Internal);
        }
    };
    "joining another set": |at| async {
        let scope = Some(FaceScope::FaceSet(at.set));
        let _ = at.store.templates(ours(), scope, vec![face_id(2)], pack()).await;
        at.store.join_face_sets(by(ours()), at.anna, vec![face_set("other")], None).await
    };
    "enrolling once more": |at| async {
        let other = at.store.face_set(ours(), name("other")).await.unwrap().unwrap().face_set.id;
        for face in [2, 4] {
            let again = at.store.enrol_transient_face(by(ours()), other, face_id(face), face_id(50), NOW, None).await;
            refused(again, Kind::Internal);
        }
    };
    "the check of every row": |at| whole_pass(&at.store);
    "a thorough report": |at| at.store.report(true);
};

#[test]
fn a_template_that_is_damaged_while_serving_is_set_aside_by_every_read() {
    for (name, read) in TEMPLATE_READS {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            let at = fill(scratch.path()).await;
            let damaged = "face IN (SELECT sequence FROM faces WHERE id IN (2, 4))";
            behind(scratch.path(), &format!("UPDATE templates SET checksum = checksum + 1 WHERE {damaged}"));
            assert_eq!(at.searched(), [1, 2, 3, 4, 5], "{name}: nobody has read it yet");
            read(&at).await.unwrap();
            assert_eq!(at.searched(), [1, 3, 5], "{name}");
            assert_eq!(at.n_set_aside("templates"), (2, 2), "{name}");
            for id in [2, 4] {
                let problems = at.store.report(false).await.unwrap().problems;
                let named = format!("template of face {id} is damaged");
                assert!(problems.iter().any(|problem| problem.starts_with(&named)), "{name}: {problems:?}");
            }
            // Its record is shown, and everything else is served and written.
            let listed = at.store.list_faces(ours(), FaceScope::FaceSet(at.set), EVERYTHING).await.unwrap();
            assert_eq!(listed.len(), 5, "{name}");
            at.store.add_faces(by(ours()), FaceOwner::FaceSet(at.set), vec![face(7)], None).await.unwrap();
            assert_eq!(at.searched(), [1, 3, 5, 7], "{name}");

            // Whole again, it comes back with the next look.
            behind(scratch.path(), &format!("UPDATE templates SET checksum = checksum - 1 WHERE {damaged}"));
            let report = at.store.report(true).await.unwrap();
            assert_eq!(report.problems, [] as [String; 0], "{name}");
            assert_eq!(at.searched(), [1, 2, 3, 4, 5, 7], "{name}");
            assert_eq!(at.n_set_aside("templates"), (0, 0), "{name}");
        });
    }
}

/// Every path that reads the record of face 2.
const FACE_READS: &[(&str, Read)] = reads! {
    "records by id": |at| at.store.faces(ours(), FaceScope::FaceSet(at.set), vec![face_id(1), face_id(2)]);
    "a list": |at| at.store.list_faces(ours(), FaceScope::FaceSet(at.set), EVERYTHING);
    "a list from a place": |at| at.store.faces_from(ours(), FaceScope::FaceSet(at.set), 0, 100);
    "faces of a source": |at| at.store.faces_of_source(ours(), None, vec![face_id(2)]);
    "sets that show it": |at| at.store.face_sets_showing(ours(), vec![face_id(2)]);
    "an archive": |at| at.store.faces_with_templates(ours(), at.set, 0, 100);
    "commits": |at| at.store.changes_after(Revision(0), 100);
    "a change of it": |at| at.store.update_face(by(ours()), FaceScope::FaceSet(at.set), face_id(2), FacePatch::default(), NOW);
    "its label": |at| at.store.label_source(by(ours()), face_id(2), subject("eve"), NOW);
    "a further template": |at| at.store.put_templates(by(ours()), vec![(face_id(2), template(2))]);
    "the check of every row": |at| whole_pass(&at.store);
    "a thorough report": |at| at.store.report(true);
};

#[test]
fn a_face_that_is_damaged_while_serving_is_set_aside_by_every_read() {
    for (name, read) in FACE_READS {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            let at = fill(scratch.path()).await;
            behind(scratch.path(), "UPDATE faces SET note = note || 'e' WHERE id = 2");
            read(&at).await.unwrap();
            assert_eq!(at.searched(), [1, 3, 4, 5], "{name}");
            assert_eq!(at.n_set_aside("faces"), (1, 1), "{name}");
            let scope = FaceScope::FaceSet(at.set);
            assert!(at.store.faces(ours(), scope, vec![face_id(2)]).await.unwrap().is_empty(), "{name}");
            // Deleting it ends the damage.
            let deleted = at.store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(2)])).await.unwrap();
            assert_eq!((deleted, at.n_set_aside("faces")), (vec![face_id(2)], (0, 0)), "{name}");
            assert_eq!(at.store.report(true).await.unwrap().problems, [] as [String; 0], "{name}");
        });
    }
}

/// Every path that reads the row of the set.
const SET_READS: &[(&str, Read)] = reads! {
    "a list": |at| at.store.face_sets(ours());
    "by id": |at| at.store.face_set_by_id(ours(), at.set);
    "members": |at| at.store.members(ours(), at.set, EVERYTHING);
    "sets of a person": |at| at.store.face_sets_of(ours(), at.anna);
    "an archive": |at| at.store.faces_with_templates(ours(), at.set, 0, 100);
    "an enrolment": |at| at.store.add_faces(by(ours()), FaceOwner::FaceSet(at.set), vec![face(7)], None);
    "an enrolment of a member": |at| at.store.add_faces(by(ours()), FaceOwner::Person(at.anna), vec![face(7)], None);
    "the check of every row": |at| whole_pass(&at.store);
    "a thorough report": |at| at.store.report(true);
};

#[test]
fn a_face_set_that_is_damaged_while_serving_is_set_aside_by_every_read() {
    for (title, read) in SET_READS {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            let at = fill(scratch.path()).await;
            // Known by its name from now on.
            at.store.face_set(ours(), name("staff")).await.unwrap().unwrap();
            behind(scratch.path(), "UPDATE face_sets SET capacity = 5 WHERE name = 'staff'");
            read(&at).await.unwrap();
            assert_eq!(at.searched(), [] as [u64; 0], "{title}");
            assert_eq!(at.n_set_aside("face_sets"), (1, 1), "{title}");
            refused(at.store.face_set(ours(), name("staff")).await, Kind::Internal);
            assert_eq!(at.store.face_sets(ours()).await.unwrap().len(), 1, "{title}");

            behind(scratch.path(), "UPDATE face_sets SET capacity = NULL WHERE name = 'staff'");
            let _ = at.store.report(false).await.unwrap();
            assert_eq!(at.n_set_aside("face_sets"), (0, 0), "{title}");
            assert_eq!(at.searched(), [1, 2, 3, 4, 5], "{title}");
            assert!(at.store.face_set(ours(), name("staff")).await.unwrap().is_some(), "{title}");
        });
    }
}

/// With the index that is used: a search finds the face, and does not when its template was found damaged by another request.
#[test]
fn no_search_finds_what_another_request_has_found_damaged() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let options = FlatOptions { n_threads: 1, queue_len_max: 8, inline_numbers_max: INLINE_NUMBERS_MAX, seed: 3 };
        let index = Arc::new(FlatIndex::new(options).unwrap());
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        store.add_faces(by(ours()), FaceOwner::FaceSet(set), (1..=50).map(face).collect(), None).await.unwrap();
        let found = async || {
            let search = GallerySearch {
                face_set: set,
                probe: template(2),
                top_k: 1,
                similarity_min: Similarity::MIN,
                filter: None,
                one_per_person: false,
            };
            index.search(search).await.unwrap().first().map(|hit| hit.face.get())
        };
        behind(scratch.path(), "UPDATE templates SET vector = zeroblob(64) WHERE id = 2");
        assert_eq!(found().await, Some(2));
        let scope = Some(FaceScope::FaceSet(set));
        refused(store.templates(ours(), scope, vec![face_id(2)], pack()).await, Kind::Internal);
        assert_ne!(found().await, Some(2));
        let revision = index.revision();
        // A template that is put again is whole: the face is searched at once.
        store.put_templates(by(ours()), vec![(face_id(2), template(2))]).await.unwrap();
        assert_eq!(found().await, Some(2));
        assert_eq!((index.revision(), index.n_rows(set)), (revision.map(|before| Revision(before.0 + 1)), 50));
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
        // Of several faces the whole ones are returned.
        behind(scratch.path(), "UPDATE templates SET vector = zeroblob(64) WHERE id = 3");
        let whole = store.templates(ours(), scope, vec![face_id(3), face_id(4)], pack()).await.unwrap();
        assert_eq!(whole, [(face_id(4), template(4))]);
    });
}

/// Who follows the commits goes on behind a damaged row.
#[test]
fn commits_of_damaged_faces_and_sets_are_followed_without_them() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let at = fill(scratch.path()).await;
        behind(
            scratch.path(),
            "UPDATE faces SET note = 'eve' WHERE id = 1;
             UPDATE templates SET checksum = 0 WHERE face = (SELECT sequence FROM faces WHERE id = 4);
             UPDATE face_sets SET capacity = 5 WHERE name = 'other'",
        );
        let CommitPage::Commits { commits, reached, has_more } =
            at.store.changes_after(Revision(0), 100).await.unwrap()
        else {
            panic!("no commit is damaged");
        };
        let put = commits.iter().flat_map(|commit| &commit.changes).filter_map(|change| match change {
            Change::Gallery(GalleryChange::Put { entry, .. }) => Some(entry.face.get()),
            _ => None,
        });
        assert_eq!(put.collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!((reached, has_more), (at.store.report(false).await.unwrap().revision, false));
        assert_eq!(at.searched(), [2, 3, 5]);
    });
}

/// More rows than are remembered one by one are set aside all the same.
#[test]
fn very_many_damaged_rows_are_set_aside() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let at = fill(scratch.path()).await;
        let many = (100..1_400).map(face).collect();
        at.store.add_faces(by(ours()), FaceOwner::FaceSet(at.set), many, None).await.unwrap();
        behind(
            scratch.path(),
            "UPDATE templates SET checksum = 0 WHERE face IN (SELECT sequence FROM faces WHERE id >= 100)",
        );
        let scope = Some(FaceScope::FaceSet(at.set));
        for ids in [100..400, 400..900, 900..1_400] {
            let ids = ids.map(face_id).collect();
            refused(at.store.templates(ours(), scope, ids, pack()).await, Kind::Internal);
        }
        assert_eq!(at.searched(), [1, 2, 3, 4, 5]);
        assert_eq!(at.n_set_aside("templates"), (1000, 1000));
    });
}

/// A key or a tenant: it is refused from the moment that anybody has found it damaged, and the store's health says so.
#[test]
fn a_damaged_key_is_refused_at_once_and_counted() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let at = fill(scratch.path()).await;
        let credentials = at.store.credentials().unwrap();
        let tenant = Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1));
        let tenant = credentials.ensure_tenant(by(ours()), tenant).await.unwrap();
        let id = |name: &str| AccessKeyId::new(name).unwrap();
        let secret = |text: &str| Secret::new(text).unwrap();
        for name in ["KEY1", "KEY2"] {
            let key = AccessKey::new(id(name), secret("secret-of-the-key"), tenant.clone(), TimestampMs(1));
            credentials.add_key(by(ours()), key).await.unwrap();
            credentials.key(id(name)).await.unwrap().unwrap();
        }
        credentials.rotate_key(by(ours()), id("KEY2"), secret("another-secret"), TimestampMs(50)).await.unwrap();
        behind(scratch.path(), "UPDATE access_keys SET grants = grants || ',' WHERE id IN ('KEY1', 'KEY2')");
        refused(credentials.key(id("KEY1")).await, Kind::Internal);
        assert_eq!(at.n_set_aside("access_keys"), (1, 1));
        let problems = at.store.report(false).await.unwrap().problems;
        assert!(problems[0].starts_with("access key KEY1 is damaged"), "{problems:?}");
        // The end of a rotation gives no damaged row a checksum that matches.
        credentials.keys_used(vec![(id("KEY2"), TimestampMs(100))]).await.unwrap();
        refused(credentials.key(id("KEY2")).await, Kind::Internal);
        assert_eq!(at.n_set_aside("access_keys"), (2, 2));
        // Nor does a change of a damaged tenant.
        behind(scratch.path(), "UPDATE tenants SET name = 'eve'");
        refused(credentials.set_tenant_limits(by(ours()), Limits::NONE, None).await, Kind::Internal);
        assert_eq!(at.n_set_aside("tenants"), (1, 3));
        assert!(credentials.delete_key(by(ours()), id("KEY1")).await.unwrap());
        assert_eq!(at.store.report(true).await.unwrap().problems.len(), 2);
    });
}

/// A page that SQLite cannot read is remembered by whoever needs it, not only by the check of every row.
#[test]
fn a_page_that_is_damaged_while_serving_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        drop(fill(scratch.path()).await);
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        assert_eq!(store.health().n_other_damage, 0);
        let path = scratch.path().join(DATABASE_FILE);
        let database = rusqlite::Connection::open(&path).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'persons'";
        let root: u64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[0x55; 4096], (root - 1) * 4096).unwrap();
        // With a commit of somebody else no connection trusts the pages that it has in memory.
        database.execute_batch("UPDATE store SET revision = revision").unwrap();
        refused(store.person(ours(), key("anna")).await, Kind::Internal);
        assert_eq!(store.health().n_other_damage, 1);
        let problems = store.report(false).await.unwrap().problems;
        let is_named =
            |problem: &String| problem.contains("look up the person") && problem.contains("likeness recover");
        assert!(problems.iter().any(is_named), "{problems:?}");
    });
}
