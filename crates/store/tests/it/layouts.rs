//! Files that older programs wrote.

use std::sync::Arc;

use likeness_domain::ports::{
    CredentialStore, FaceScope, GalleryStore, JobStore, NonceStore, TransientFaceStore, UploadStore,
};
use likeness_domain::types::{FaceOwner, FaceSetPatch, InstallationSecret, QualityGate};
use likeness_store::conformance::jobs::{at, job, job_id};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::uploads::{ROOM, picture, upload_name};
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, SCHEMA_VERSION};

use crate::patience::block_on;

/// A file written by the program that knew layout 1 (see `data/README.md`) is brought up to date with everything in it.
#[test]
fn a_folder_of_layout_1_is_upgraded_and_keeps_everything() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/1/likeness.db")).unwrap();
    block_on(async {
        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_tenants, report.n_face_sets, report.n_persons, report.n_faces), (1, 1, 1, 2));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert_eq!(faces.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [1, 2]);
        assert!(faces.iter().all(|face| face.template == template(face.id.get())));
        assert_eq!(index.rows(set.id).len(), 2);
        let anna = store.person(ours(), key("anna")).await.unwrap().unwrap();
        assert_eq!(faces[1].owner, FaceOwner::Person(anna.id));

        // What came with layout 2 works in it.
        assert_eq!(store.enqueue(vec![job(5)], 10).await.unwrap(), [job_id(5)]);
        assert!(store.consume("nonce", b"one", at(0), at(9)).await.unwrap());
        // And with layout 5.
        store.put_upload(ours(), picture("a", "bytes"), ROOM, at(0)).await.unwrap();
        let credentials = Credentials::open(scratch.path()).unwrap();
        assert_eq!(credentials.tenants().await.unwrap()[0].name.as_str(), "acme");
        let secret = InstallationSecret::from_bytes([3; 32]);
        assert!(credentials.installation_secret(secret.clone()).await.unwrap() == secret);
        drop((credentials, store));
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        assert!(store.job(ours(), job_id(5), at(0)).await.unwrap().is_some());
        assert!(store.picture(ours(), upload_name("a"), at(0)).await.unwrap().is_some());
        assert!(!store.consume("nonce", b"one", at(8), at(9)).await.unwrap());
        let secret_again = Credentials::open(scratch.path()).unwrap();
        let proposed = InstallationSecret::from_bytes([4; 32]);
        assert!(secret_again.installation_secret(proposed).await.unwrap() == secret);
    });
}

/// A file that the program of layout 3 left behind gets held faces, origins and tags, and every face is its own origin.
#[test]
fn a_folder_of_layout_3_is_upgraded_and_keeps_everything() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/3/likeness.db")).unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_faces, report.n_held_faces), (2, 0));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert_eq!(set.tags, tags(""));
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert!(faces.iter().all(|face| face.source_face == face.id && face.template == template(face.id.get())));

        // What came with layout 4 works in it.
        let held_ids = store.keep_faces(ours(), vec![held(7)], 10).await.unwrap();
        store.enrol_transient_face(ours(), set.id, held_ids[0].id, face_id(20), held(7).created_at).await.unwrap();
        let patch = FaceSetPatch { tags: Some(tags("a,b")), ..FaceSetPatch::default() };
        store.update_face_set(ours(), set.id, patch).await.unwrap();
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let found = store.faces_of_source(ours(), None, vec![face_id(1), face_id(7)]).await.unwrap();
        assert_eq!(found.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [1, 20]);
        assert_eq!(store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set.tags, tags("a,b"));
    });
}

/// A file that the program of layout 5 left behind: what its sets took they go on taking, until somebody says otherwise.
#[test]
fn a_folder_of_layout_5_is_upgraded_and_its_sets_have_no_quality_gate() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/5/likeness.db")).unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_face_sets, report.n_faces), (1, 2));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert_eq!(set.quality_gate, QualityGate::None);
        let patch = FaceSetPatch { quality_gate: Some(QualityGate::High), ..FaceSetPatch::default() };
        store.update_face_set(ours(), set.id, patch).await.unwrap();
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert_eq!(set.quality_gate, QualityGate::High);
    });
}
