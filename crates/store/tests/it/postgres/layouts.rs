//! Databases that older programs wrote.

use std::sync::Arc;

use likeness_domain::ports::{FaceScope, GalleryStore};
use likeness_domain::types::{
    ExternalId, FaceOwner, FaceSetName, FieldValue, NewFace, NewFaceSet, NewPerson, PersonKey, Subject,
};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::postgres::{PostgresStore, Settings};

use super::server;
use crate::patience::block_on;

/// Names of layout 1 are as they were sent: those that differ by their spelling only (NFC and NFD) become one or are told apart
/// visibly, and it is said what was done.
#[test]
fn a_database_of_layout_1_is_upgraded_and_its_names_have_one_spelling() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let open = |index: Arc<Ledger>| {
        let settings = Settings { n_connections: 4, ..Settings::DEFAULT };
        PostgresStore::open(server.place(&database), index, settings, clock()).unwrap()
    };
    let (two, one) = ("Zoe\u{301}", "Zo\u{e9}");
    block_on(async {
        let store = open(Arc::default());
        let set_named = |name: &str| NewFaceSet { name: FaceSetName::stored(name).unwrap(), ..face_set("x") };
        let second = store.create_face_set(by(ours()), set_named(two), None).await.unwrap();
        let first = store.create_face_set(by(ours()), set_named(one), None).await.unwrap();
        for spelling in [one, two] {
            let new = NewPerson { key: PersonKey::stored(spelling).unwrap(), ..person("x") };
            store.create_person(by(ours()), new, vec![], None).await.unwrap();
        }
        let owner = FaceOwner::FaceSet(first.id);
        for (number, spelling) in [(1, one), (2, two)] {
            let new = NewFace {
                subject: Some(Subject::stored(spelling).unwrap()),
                external_id: Some(ExternalId::stored(spelling).unwrap()),
                ..valued(number, "city", FieldValue::Text(spelling.into()))
            };
            store.add_faces(by(ours()), owner, vec![new], None).await.unwrap();
        }
        let revision = store.report(true).await.unwrap().revision;
        drop(store);
        server.sql(
            &database,
            "DROP TABLE respelled, pending_deletes, thumbnails, thumbnail_sets; DROP FUNCTION drop_thumbnails CASCADE; \
             UPDATE likeness_layout SET version = 1;",
        );

        let store = open(Arc::default());
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (4, vec![]));
        assert_eq!(report.revision.0, revision.0 + 1);
        let notes = [
            format!(
                "face 2: its external id `{one}-2` got `-2` at its end, since face 1 has the same in another spelling"
            ),
            "face set `Zo\u{e9}`: 1 subjects had several spellings and were joined (Unicode NFC)".to_owned(),
            format!(
                "face set `{one}-2`: it got `-2` at the end of its name, since another face set has the same in another \
                 spelling; rename, merge or delete one"
            ),
            format!(
                "person `{one}-2`: it got `-2` at the end of its name, since another person has the same in another \
                 spelling; rename, merge or delete one"
            ),
        ];
        assert_eq!(report.notes, notes);
        let found = store.face_set(ours(), name(two)).await.unwrap().unwrap().face_set;
        assert_eq!((found.id, found.name.as_str()), (first.id, one));
        let renamed = store.face_set(ours(), name(&format!("{one}-2"))).await.unwrap().unwrap().face_set;
        assert_eq!(renamed.id, second.id);
        let faces = store.list_faces(ours(), FaceScope::FaceSet(first.id), EVERYTHING).await.unwrap();
        for face in &faces {
            assert_eq!(face.subject.as_ref().map(Subject::as_str), Some(one));
            assert_eq!(face.fields.get("city"), Some(&FieldValue::Text(one.into())));
        }
        assert!(store.person(ours(), key(two)).await.unwrap().is_some());
        drop(store);

        // Once: the next start changes nothing.
        let again = open(Arc::default()).report(true).await.unwrap();
        assert_eq!((again.revision, again.notes.len(), again.problems), (report.revision, notes.len(), vec![]));
    });
}
