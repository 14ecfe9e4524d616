//! Libraries from a folder to a database and back.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::access::{FaceSetScope, Grant, Grants, Limits};
use likeness_domain::ports::{
    CredentialStore, FaceScope, FaceSelector, GallerySearch, GalleryStore, JobOutcome, JobStore, NonceStore, Record,
    RecordQuota, RecordStore, UploadStore, WhenFull,
};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceOwner, FacePatch, FieldValues, InstallationSecret, NewTransientFace, QualityGate,
    Revision, Secret, Tenant, TenantId, TenantName, TimestampMs,
};
use likeness_domain::{Error, Kind, Result};
use likeness_store::conformance::jobs::{at, job};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::uploads::{ROOM as PICTURES, picture, upload_name};
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::EmbeddedStore;
use likeness_store::migration::{Place, Report, Stage, Task, migrate, take_back};
use likeness_store::postgres::{PostgresStore, Settings};
use proptest::prelude::*;

use super::server::{self, Server};
use crate::model::{library_of, step};
use crate::patience::block_on;

const RECORDS: RecordQuota = RecordQuota { n_max: 100, bytes_max: 1000, when_full: WhenFull::Refuse };
const SECRET: [u8; 32] = [7; 32];

/// A library that is open.
struct Library {
    gallery: Arc<dyn GalleryStore>,
    credentials: Arc<dyn CredentialStore>,
    jobs: Arc<dyn JobStore>,
    once: Arc<dyn NonceStore>,
    records: Arc<dyn RecordStore>,
    pictures: Arc<dyn UploadStore>,
    index: Arc<Ledger>,
}

fn in_folder(dir: &Path) -> Result<Library> {
    let index = Arc::new(Ledger::default());
    let store = Arc::new(EmbeddedStore::open(dir, Arc::clone(&index) as _)?);
    Ok(Library {
        credentials: Arc::new(store.credentials()?),
        gallery: Arc::clone(&store) as _,
        jobs: Arc::clone(&store) as _,
        once: Arc::clone(&store) as _,
        records: Arc::clone(&store) as _,
        pictures: store,
        index,
    })
}

fn in_database(server: &Server, database: &str) -> Result<Library> {
    let index = Arc::new(Ledger::default());
    let settings = Settings { n_connections: 4, ..Settings::DEFAULT };
    let store = Arc::new(PostgresStore::open(server.place(database), Arc::clone(&index) as _, settings, clock())?);
    Ok(Library {
        credentials: Arc::clone(&store) as _,
        gallery: Arc::clone(&store) as _,
        jobs: Arc::clone(&store) as _,
        once: Arc::clone(&store) as _,
        records: Arc::clone(&store) as _,
        pictures: store,
        index,
    })
}

fn acme() -> Tenant {
    Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1))
}

fn record() -> Record {
    Record {
        id: [1; 32],
        tenant: ours(),
        bucket: "b".to_owned(),
        value: Bytes::from_static(b"session"),
        created_at: at(0),
        expires_at: at(900),
    }
}

/// Something of everything that a library may have, besides what is there.
async fn furnish(library: &Library) {
    let Library { gallery, credentials, jobs, once, records, pictures, .. } = library;
    let acme = credentials.ensure_tenant(by(ours()), acme()).await.unwrap();
    let limits = Limits { faces_max: Some(1000), calls_per_second: Some(7), ..Limits::NONE };
    credentials.set_tenant_limits(by(ours()), limits, None).await.unwrap();
    let other = Tenant::new(theirs(), TenantName::new("other").unwrap(), TimestampMs(2));
    credentials.ensure_tenant(by(theirs()), other).await.unwrap();
    credentials.installation_secret(InstallationSecret::from_bytes(SECRET)).await.unwrap();
    let new = likeness_domain::types::NewFaceSet {
        label: Some(subject("Label").as_str().to_owned()).map(|text| note(&text)),
        note: Some(note("a note")),
        tags: tags("one,two"),
        capacity: Some(u64::MAX),
        quality_gate: QualityGate::Medium,
        thumbnails: true,
        ..face_set("furnished")
    };
    let set = gallery.create_face_set(by(ours()), new, None).await.unwrap();
    let owner = FaceOwner::FaceSet(set.id);
    let faces = vec![full_face(900_001), full_face(900_002), pictured(900_003)];
    gallery.add_faces(by(ours()), owner, faces, None).await.unwrap();
    gallery
        .put_templates(by(ours()), vec![(face_id(900_001), template_of_pack(5, pack_named("other-1")))])
        .await
        .unwrap();
    let (made, _) =
        gallery.create_person(by(ours()), person("furnished"), vec![face_set("furnished")], None).await.unwrap();
    gallery.add_faces(by(ours()), FaceOwner::Person(made.id), vec![full_face(900_010)], None).await.unwrap();
    let gone = gallery.create_face_set(by(ours()), face_set("gone"), None).await.unwrap();
    gallery.delete_face_set(by(ours()), gone.id, false).await.unwrap();
    let held_long =
        |number| NewTransientFace { expires_at: at(i64::MAX / 2), thumbnail: Some(thumbnail(8)), ..held(number) };
    gallery.keep_faces(by(ours()), vec![held_long(900_020), held_long(900_021)], 100).await.unwrap();
    gallery.enrol_transient_face(by(ours()), set.id, face_id(900_020), face_id(900_030), at(1), None).await.unwrap();

    let key = |id: &str| {
        let secret = Secret::new(&format!("secret-of-{id}")).unwrap();
        AccessKey::new(AccessKeyId::new(id).unwrap(), secret, acme.clone(), at(5))
    };
    let few = AccessKey {
        grants: Grants::of(&[Grant::Search, Grant::Read]),
        face_sets: FaceSetScope::Only(vec![set.id].into()),
        label: Some(note("of the door")),
        expires_at: Some(at(77)),
        ..key("AK1")
    };
    for key in [few, key("AK2"), key("AK3"), key("AK4")] {
        credentials.add_key(by(ours()), key).await.unwrap();
    }
    let id = |id| AccessKeyId::new(id).unwrap();
    credentials.rotate_key(by(ours()), id("AK2"), Secret::new("another-secret").unwrap(), at(500)).await.unwrap();
    credentials.set_key_enabled(by(ours()), id("AK3"), false).await.unwrap();
    credentials.delete_key(by(ours()), id("AK4")).await.unwrap();
    credentials.keys_used(vec![(id("AK1"), at(33))]).await.unwrap();

    jobs.enqueue(vec![job(1), job(2), job(3)], 100).await.unwrap();
    let begun = jobs.claim("scan", at(200), at(300), None).await.unwrap().unwrap();
    let outcome = JobOutcome::Done { result: Bytes::from_static(b"result"), expires_at: at(9000) };
    assert!(jobs.settle(begun.lease(), outcome, vec![]).await.unwrap());
    jobs.claim("scan", at(200), at(300), None).await.unwrap().unwrap();
    assert!(once.consume("nonce", b"spent", at(0), at(i64::MAX / 2)).await.unwrap());
    assert!(once.consume("nonce", b"", at(0), at(i64::MAX / 2)).await.unwrap());
    records.put_record("s", record(), RECORDS, at(0)).await.unwrap();
    pictures.put_upload(ours(), picture("a b.jpg", "bytes of it"), PICTURES, at(0)).await.unwrap();
    pictures.put_upload(ours(), picture("empty", ""), PICTURES, at(0)).await.unwrap();
}

/// Every answer of the ports that has something of the library.
async fn told(library: &Library) -> String {
    let mut text = String::new();
    let mut line = |what: &dyn std::fmt::Debug| writeln!(text, "{what:?}").unwrap();
    let Library { gallery, credentials, jobs, pictures, records, index, .. } = library;
    for tenant in [ours(), theirs()] {
        line(&gallery.usage(tenant).await.unwrap());
        for set in gallery.face_sets(tenant).await.unwrap() {
            line(&set);
            let id = set.face_set.id;
            let faces = gallery.list_faces(tenant, FaceScope::FaceSet(id), EVERYTHING).await.unwrap();
            let ids: Vec<_> = faces.iter().map(|face| face.id).collect();
            for (idx, face) in faces.into_iter().enumerate() {
                line(&face);
                if idx < 100 {
                    line(&gallery.face_sets_showing(tenant, vec![face.id]).await.unwrap());
                }
            }
            for (face, thumbnail) in gallery.thumbnails(tenant, FaceScope::FaceSet(id), ids.clone()).await.unwrap() {
                line(&(face, &thumbnail.bytes()[..]));
            }
            for pack in [pack(), pack_named("other-1")] {
                for (face, template) in gallery.templates(tenant, None, ids.clone(), pack).await.unwrap() {
                    line(&(face, template.unit()));
                }
            }
            line(&gallery.members(tenant, id, EVERYTHING).await.unwrap());
            for row in index.rows(id) {
                line(&(row.words(), row.entry.template.unit()));
            }
        }
        for summary in gallery.persons_after(tenant, None, 1000).await.unwrap() {
            line(&summary);
            let id = summary.person.id;
            line(&gallery.face_sets_of(tenant, id).await.unwrap());
            line(&gallery.list_faces(tenant, FaceScope::Person(id), EVERYTHING).await.unwrap());
        }
        for number in [900_020, 900_021] {
            let held = gallery.held_face(tenant, face_id(number), at(1)).await.unwrap();
            line(&held.map(|held| (held.detection, held.quality, held.created_at, held.expires_at, held.kept_by)));
        }
        let page = gallery.record_after(tenant, Revision(0).into(), 100_000).await.unwrap();
        line(&(page.commits, page.has_more));
        for key in credentials.keys(tenant).await.unwrap() {
            line(&(&key, key.secret.reveal(), key.previous.as_ref().map(|previous| previous.secret.reveal())));
        }
        let jobs = jobs.jobs(tenant, None, 100, at(1)).await.unwrap().jobs;
        for job in jobs {
            let parts = (job.key, job.kind, job.n_attempts, job.due_at, job.created_at, job.expires_at);
            line(&(job.id, parts));
        }
    }
    for number in 1..=3 {
        let job = jobs.job(ours(), job(number).id, at(1)).await.unwrap();
        line(&job.map(|job| (job.payload, job.result)));
    }
    line(&credentials.tenants().await.unwrap());
    let proposed = InstallationSecret::from_bytes([8; 32]);
    line(&credentials.installation_secret(proposed).await.unwrap().reveal());
    for name in ["a b.jpg", "empty"] {
        line(&pictures.picture(ours(), upload_name(name), at(1)).await.unwrap());
    }
    line(
        &records.record("s", [1; 32], at(1)).await.unwrap().map(|record| (record.tenant, record.bucket, record.value)),
    );
    let report = gallery.report(true).await.unwrap();
    line(&(
        report.n_face_sets,
        report.n_persons,
        report.n_faces,
        report.n_held_faces,
        &report.problems,
        report.revision,
    ));
    text
}

/// What must not be possible any more after a move.
async fn refuses_replays(library: &Library) {
    for token in [&b"spent"[..], b""] {
        assert!(!library.once.consume("nonce", token, at(5), at(900)).await.unwrap(), "it was spent before");
    }
    assert!(library.credentials.key(AccessKeyId::new("AK4").unwrap()).await.unwrap().is_none(), "it was deleted");
}

/// New things get numbers that nothing has.
async fn goes_on(library: &Library) {
    let tenant = TenantId::from_bits(0x77);
    let new = Tenant::new(tenant, TenantName::new("new").unwrap(), TimestampMs(9));
    let new = library.credentials.ensure_tenant(by(tenant), new).await.unwrap();
    let key = AccessKey::new(AccessKeyId::new("AK9").unwrap(), Secret::new("secret-of-AK9").unwrap(), new, at(5));
    library.credentials.add_key(by(tenant), key).await.unwrap();
    let before = library.gallery.report(false).await.unwrap().revision;
    let set = library.gallery.create_face_set(by(tenant), face_set("after"), None).await.unwrap();
    library.gallery.add_faces(by(tenant), FaceOwner::FaceSet(set.id), vec![face(950_001)], None).await.unwrap();
    library.jobs.enqueue(vec![job(9)], 100).await.unwrap();
    library.records.put_record("t", record(), RECORDS, at(0)).await.unwrap();
    let likeness_domain::ports::CommitPage::Commits { commits, .. } =
        library.gallery.changes_after(before, 100).await.unwrap()
    else {
        panic!("commits since the move are there")
    };
    assert_eq!(commits.len(), 2);
    assert_eq!(library.gallery.report(true).await.unwrap().problems, [] as [String; 0]);
}

fn folder(dir: &Path) -> Place {
    Place::Folder(dir.to_owned())
}

fn database(server: &Server, name: &str) -> Place {
    Place::Database(server.place(name))
}

/// On a thread of its own, as it blocks.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// With nobody to be stopped.
fn moved(from: &Place, to: &Place, task: Task) -> Result<Report> {
    let mut stop = |_: &Path| Err(Error::new(Kind::Internal, "there is no server to be stopped"));
    apart(|| migrate(from, to, task, &mut stop, &mut |_, _, _| {}))
}

fn taken_back(from: &Place) -> Result<()> {
    apart(|| take_back(from))
}

fn refused_as<T>(answer: Result<T>, words: &str) {
    let error = answer.err().expect("it is refused");
    assert!(error.message().contains(words) && error.hint().is_some(), "{error:?}");
}

/// From a folder to a database, to another folder: whatever is asked, the answer is the same; what was deleted, spent or
/// switched off stays so; and both go on from there.
async fn check_round_trip(scratch: &tempfile::TempDir) {
    let server = server::shared();
    let name = server.database();
    let (first, last) = (scratch.path().to_owned(), scratch.path().join("last"));
    let expected = {
        let library = in_folder(&first).unwrap();
        furnish(&library).await;
        told(&library).await
    };
    let report = moved(&folder(&first), &database(server, &name), Task::Finish).unwrap();
    assert!(report.is_finished && report.tables.iter().all(|table| table.is_equal()), "{report:?}");
    refused_as(in_folder(&first), "was moved to");
    {
        let library = in_database(server, &name).unwrap();
        assert_eq!(told(&library).await, expected);
        refuses_replays(&library).await;
    }
    let back = moved(&database(server, &name), &folder(&last), Task::Finish).unwrap();
    let n_rows = |report: &Report| report.tables.iter().map(|table| (table.table, table.n_rows)).collect::<Vec<_>>();
    assert_eq!(n_rows(&back), n_rows(&report));
    refused_as(in_database(server, &name), "was moved to");
    {
        let library = in_folder(&last).unwrap();
        assert_eq!(told(&library).await, expected);
        refuses_replays(&library).await;
        goes_on(&library).await;
    }
    // The ways back: all three have it again.
    for from in [folder(&first), database(server, &name)] {
        taken_back(&from).unwrap();
        refused_as(taken_back(&from), "was not moved");
    }
    assert_eq!(told(&in_folder(&first).unwrap()).await, expected);
    let library = in_database(server, &name).unwrap();
    assert_eq!(told(&library).await, expected);
    goes_on(&library).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn a_library_is_the_same_in_a_database_and_in_a_folder_again(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        if server::is_installed() {
            block_on(async { check_round_trip(&library_of(steps).await).await });
        }
    }
}

/// While a server goes on: what it wrote meanwhile comes along, and what it deleted does not.
#[test]
fn a_server_goes_on_while_its_library_is_moved() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let name = server.database();
    let scratch = tempfile::tempdir().unwrap();
    let (from, to) = (folder(scratch.path()), database(server, &name));
    block_on(async {
        let library = in_folder(scratch.path()).unwrap();
        furnish(&library).await;
        let owner = FaceOwner::FaceSet(library.gallery.face_sets(ours()).await.unwrap()[0].face_set.id);
        let FaceOwner::FaceSet(set) = owner else { unreachable!() };
        let scope = FaceScope::FaceSet(set);
        library.gallery.add_faces(by(ours()), owner, (1..=3000).map(face).collect(), None).await.unwrap();
        let first = moved(&from, &to, Task::Copy).unwrap();
        assert!(!first.is_finished && first.n_erased == 0, "{first:?}");
        refused_as(in_database(server, &name), "is not finished");

        // Everything that has to arrive in another order than it was made in.
        let selector = FaceSelector::Ids((1..=1500).map(face_id).collect());
        library.gallery.delete_faces(by(ours()), scope, selector).await.unwrap();
        let known = library.gallery.external_ids(ours(), owner, vec![external_id("photo-900001")]).await.unwrap();
        library.gallery.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![known[0].1])).await.unwrap();
        library.gallery.add_faces(by(ours()), owner, vec![known_as(6001, "photo-900001")], None).await.unwrap();
        let patch = FacePatch {
            subject: Some(subject("renamed")),
            fields: FieldValues::default(),
            note: None,
            cleared: Default::default(),
            only_if: None,
        };
        library.gallery.update_face(by(ours()), scope, face_id(2000), patch, at(4)).await.unwrap();
        let ak1 = AccessKeyId::new("AK1").unwrap();
        library.credentials.delete_key(by(ours()), ak1.clone()).await.unwrap();
        let set_again = library.gallery.create_face_set(by(ours()), face_set("gone"), None).await.unwrap();
        library.gallery.add_faces(by(ours()), FaceOwner::FaceSet(set_again.id), vec![face(6002)], None).await.unwrap();
        let other = library.gallery.create_face_set(by(ours()), face_set("other"), None).await.unwrap();
        swap_names(&*library.gallery, set_again.id, other.id).await;
        let second = moved(&from, &to, Task::Copy).unwrap();
        assert!(second.n_erased >= 1500 && second.n_written < 1000, "{second:?}");
        swap_names(&*library.gallery, set_again.id, other.id).await;

        let expected = told(&library).await;
        let mut held = Some(library);
        let mut stop = |_: &Path| {
            drop(held.take());
            Ok(())
        };
        let report = apart(|| migrate(&from, &to, Task::Finish, &mut stop, &mut |_, _, _| {})).unwrap();
        assert!(report.is_finished, "{report:?}");
        assert!(held.is_none(), "the server was stopped");
        refused_as(in_folder(scratch.path()), "was moved to");
        let library = in_database(server, &name).unwrap();
        assert_eq!(told(&library).await, expected);
        assert!(library.credentials.key(ak1).await.unwrap().is_none());
    });
}

async fn swap_names(
    gallery: &dyn GalleryStore,
    first: likeness_domain::types::FaceSetId,
    second: likeness_domain::types::FaceSetId,
) {
    let rename = async |id, text: &str| {
        let patch = likeness_domain::types::FaceSetPatch { name: Some(name(text)), ..Default::default() };
        gallery.update_face_set(by(ours()), id, patch).await.unwrap();
    };
    let names = async |id| gallery.face_set_by_id(ours(), id).await.unwrap().unwrap().face_set.name;
    let (of_first, of_second) = (names(first).await, names(second).await);
    rename(first, "for a moment").await;
    rename(second, of_first.as_str()).await;
    rename(first, of_second.as_str()).await;
}

/// Servers of a database cannot be stopped from here: from the moment of the move whatever they ask fails.
#[test]
fn servers_of_a_database_that_was_moved_away_serve_nothing_any_more() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let name = server.database();
    let scratch = tempfile::tempdir().unwrap();
    let to = folder(&scratch.path().join("library"));
    block_on(async {
        let library = in_database(server, &name).unwrap();
        furnish(&library).await;
        let set = library.gallery.face_sets(ours()).await.unwrap()[0].face_set.id;
        let expected = told(&library).await;
        // Somebody asks whether it is ready, in the midst of it.
        let mut probed = None;
        let mut stop = |_: &Path| unreachable!("nobody can be stopped");
        let report = apart(|| {
            migrate(&database(server, &name), &to, Task::Finish, &mut stop, &mut |stage, _, _| {
                if stage == Stage::Completing {
                    let (asked, answered) = std::sync::mpsc::channel();
                    let gallery = Arc::clone(&library.gallery);
                    std::thread::spawn(move || asked.send(block_on(gallery.probe_writes())));
                    probed = Some(answered.recv_timeout(Duration::from_millis(500)).is_ok());
                }
            })
        });
        assert!(report.unwrap().is_finished);
        assert_eq!(probed, Some(false), "it waits for the end of the move");
        let gone = |answer: Result<()>| {
            let error = answer.expect_err("nothing is served");
            assert!(error.message().contains("moved away"), "{error:?}");
        };
        gone(library.gallery.face_sets(ours()).await.map(drop));
        gone(library.gallery.create_face_set(by(ours()), face_set("late"), None).await.map(drop));
        gone(library.once.consume("nonce", b"late", at(0), at(9)).await.map(drop));
        until_refused(&*library.gallery).await;
        let moved_to = in_folder(&scratch.path().join("library")).unwrap();
        assert_eq!(told(&moved_to).await, expected);
        drop(moved_to);
        taken_back(&database(server, &name)).unwrap();
        assert_eq!(library.gallery.face_sets(ours()).await.unwrap()[0].face_set.id, set);
    });
}

/// Writers that never pause neither hold the end of the move up nor lose what was acknowledged to them.
#[test]
fn a_database_is_left_while_its_servers_write() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let name = server.database();
    let scratch = tempfile::tempdir().unwrap();
    let to = folder(&scratch.path().join("library"));
    // A deadlock would be broken within a millisecond, at the expense of whoever completes it: of the migration, which comes last.
    // After the usual second it is the writer that gives way, if the library is small, and nothing would show.
    server.sql(&name, &format!("ALTER DATABASE {name} SET deadlock_timeout = '1ms'"));
    block_on(async {
        let library = in_database(server, &name).unwrap();
        furnish(&library).await;
        let (wrote, written) = std::sync::mpsc::channel();
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (gallery, wrote) = (Arc::clone(&library.gallery), wrote.clone());
                std::thread::spawn(move || block_on(write_until_moved(&*gallery, writer, &wrote)))
            })
            .collect();
        // A small library is moved in no time, on a busy machine before the writers have begun.
        for _ in 0..6 {
            written.recv().unwrap();
        }
        let mut stop = |_: &Path| unreachable!("nobody can be stopped");
        let report = apart(|| migrate(&database(server, &name), &to, Task::Finish, &mut stop, &mut |_, _, _| {}));
        assert!(report.unwrap().is_finished);
        let acknowledged: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        assert!(acknowledged.len() > 3, "they wrote meanwhile");
        let moved_to = in_folder(&scratch.path().join("library")).unwrap();
        for key in acknowledged {
            let found = moved_to.gallery.person(ours(), likeness_domain::types::PersonKey::new(&key).unwrap()).await;
            assert!(found.unwrap().is_some(), "person {key} was acknowledged");
        }
    });
}

/// Makes persons and takes every other one away again; the keys of those that are there when the library was moved away.
async fn write_until_moved(
    gallery: &dyn GalleryStore,
    writer: usize,
    wrote: &std::sync::mpsc::Sender<()>,
) -> Vec<String> {
    let mut there = Vec::new();
    for number in 0.. {
        let key = format!("writer-{writer}-{number}");
        match gallery.create_person(by(ours()), person(&key), vec![face_set("staff")], None).await {
            Ok((made, _)) if number % 2 == 0 => match gallery.delete_person(by(ours()), made.id).await {
                Ok(_) => {}
                Err(error) if error.message().contains("moved away") => break,
                Err(error) => panic!("{error:?}"),
            },
            Ok(_) => {
                there.push(key);
                let _ = wrote.send(());
            }
            Err(error) if error.message().contains("moved away") => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    there
}

/// A server is not ready any more; what is tried within a second of the last trial is answered as that was.
async fn until_refused(gallery: &dyn GalleryStore) {
    let began = std::time::Instant::now();
    loop {
        match gallery.probe_writes().await {
            Err(error) if error.message().contains("moved away") => return,
            _ => assert!(began.elapsed() < Duration::from_secs(60), "it still says that it can write"),
        }
    }
}

/// Cut short anywhere, also between the two marks of the end, and run again.
#[test]
fn a_migration_that_was_cut_short_goes_on() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let scratch = tempfile::tempdir().unwrap();
    let expected = block_on(async {
        let library = in_folder(scratch.path()).unwrap();
        furnish(&library).await;
        let owner = FaceOwner::FaceSet(library.gallery.face_sets(ours()).await.unwrap()[0].face_set.id);
        library.gallery.add_faces(by(ours()), owner, (1..=6000).map(face).collect(), None).await.unwrap();
        told(&library).await
    });
    let first = folder(scratch.path());
    let name = server.database();
    let n_cut = cut_short_until_done(&first, &database(server, &name));
    assert!(n_cut >= 8, "{n_cut}");
    block_on(async { assert_eq!(told(&in_database(server, &name).unwrap()).await, expected) });
    let back = scratch.path().join("back");
    let n_cut = cut_short_until_done(&database(server, &name), &folder(&back));
    assert!(n_cut >= 8, "{n_cut}");
    block_on(async { assert_eq!(told(&in_folder(&back).unwrap()).await, expected) });
}

/// Breaks off at one sign of progress, at a later one, and so on, and at last between the two marks; returns how often.
fn cut_short_until_done(from: &Place, to: &Place) -> usize {
    let (mut n_cuts, mut n_allowed, mut was_left) = (0, 0, false);
    loop {
        let mut n_seen = 0;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut stop = |_: &Path| Ok(());
            migrate(from, to, Task::Finish, &mut stop, &mut |stage, _, _| {
                n_seen += 1;
                let is_leaving = stage == Stage::Opening && !was_left;
                was_left |= is_leaving;
                if n_seen > n_allowed || is_leaving {
                    std::panic::panic_any(stage);
                }
            })
        }));
        match outcome {
            Ok(report) => {
                assert!(report.unwrap().is_finished && was_left);
                return n_cuts;
            }
            Err(why) => assert!(why.is::<Stage>(), "it was cut short by this test"),
        }
        n_cuts += 1;
        n_allowed += 1 + n_allowed / 3;
    }
}

/// Nothing is written over, and nothing is taken for this migration's that is not.
#[test]
fn only_an_empty_target_or_one_that_was_begun_is_taken() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let name = server.database();
    let scratch = tempfile::tempdir().unwrap();
    let dir = |text: &str| scratch.path().join(text);
    block_on(async {
        for (text, secret) in [("one", 1), ("two", 2)] {
            let library = in_folder(&dir(text)).unwrap();
            library.credentials.installation_secret(InstallationSecret::from_bytes([secret; 32])).await.unwrap();
            library.credentials.ensure_tenant(by(ours()), acme()).await.unwrap();
        }
    });
    let (one, two) = (folder(&dir("one")), folder(&dir("two")));
    refused_as(moved(&one, &one, Task::Copy), "is both source and target");
    refused_as(moved(&one, &two, Task::Copy), "is not empty");
    refused_as(moved(&folder(&dir("nothing")), &two, Task::Copy), "there is no library");
    refused_as(moved(&database(server, &name), &folder(&dir("new")), Task::Copy), "there is no library");

    let looked = moved(&one, &database(server, &name), Task::Look).unwrap();
    assert_eq!(server.sql(&name, "SELECT to_regclass('likeness_layout') IS NULL"), "t", "nothing is written");
    assert_eq!(looked.tables[0].n_rows, 1);
    moved(&one, &database(server, &name), Task::Copy).unwrap();
    refused_as(moved(&two, &database(server, &name), Task::Copy), "of another library");
    refused_as(moved(&two, &database(server, &name), Task::Look), "of another library");
    refused_as(moved(&database(server, &name), &folder(&dir("new")), Task::Copy), "is not finished");
    moved(&one, &folder(&dir("new")), Task::Copy).unwrap();
    refused_as(moved(&two, &folder(&dir("new")), Task::Copy), "of another library");
    refused_as(in_folder(&dir("new")), "cut short");
    moved(&one, &database(server, &name), Task::Finish).unwrap();
    refused_as(moved(&two, &database(server, &name), Task::Copy), "has a library already");
    refused_as(moved(&one, &folder(&dir("new")), Task::Copy), "was moved to");
    refused_as(moved(&one, &database(server, &name), Task::Finish), "was moved to");
}

/// A damaged row is nobody's face: it ends the move, which says what to do.
#[test]
fn a_damaged_row_of_the_source_ends_the_move() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let (name, other) = (server.database(), server.database());
    let scratch = tempfile::tempdir().unwrap();
    let from = folder(scratch.path());
    block_on(async { furnish(&in_folder(scratch.path()).unwrap()).await });
    moved(&from, &database(server, &name), Task::Finish).unwrap();
    server.sql(&name, "UPDATE faces SET subject = 'eve' WHERE id = 900002");
    // Named as its owner knows it, wherever it is read.
    let set = "furnished";
    let moved_on = || moved(&database(server, &name), &folder(&scratch.path().join("new")), Task::Copy);
    refused_as(
        moved_on(),
        &format!("is damaged: the checksum of a row of `faces` (face 900002, face set `{set}`, tenant"),
    );
    server.sql(&name, "UPDATE faces SET subject = 'anna' WHERE id = 900002");
    server.sql(
        &name,
        "UPDATE templates SET checksum = checksum + 1 WHERE face IN (SELECT sequence FROM faces WHERE id = 900002)",
    );
    refused_as(moved_on(), &format!("a row of `templates` (face 900002, face set `{set}`, tenant"));
    server.sql(
        &name,
        "UPDATE templates SET checksum = checksum - 1 WHERE face IN (SELECT sequence FROM faces WHERE id = 900002)",
    );
    moved(&database(server, &name), &database(server, &other), Task::Finish).unwrap();
    let search = GallerySearch {
        face_set: block_on(async {
            in_database(server, &other).unwrap().gallery.face_sets(ours()).await.unwrap()[0].face_set.id
        }),
        probe: template(900_001),
        top_k: 1,
        similarity_min: likeness_domain::types::Similarity::new(0.999),
        filter: None,
        one_per_person: false,
    };
    let plain = Arc::new(likeness_store::index::BruteForceIndex::new());
    let store = PostgresStore::open(server.place(&other), plain, Settings::DEFAULT, clock()).unwrap();
    let hits = block_on(async { store.index().search(search).await.unwrap() });
    assert_eq!(hits[0].face, face_id(900_001));
}

/// Issue 17: of a million faces one is damaged. Its id is named, deleting it by that is possible, and then the others can be
/// moved: out of a database, and out of a folder.
#[test]
fn a_library_can_be_moved_once_its_damaged_face_is_deleted() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let name = server.database();
    let scratch = tempfile::tempdir().unwrap();
    let last = folder(&scratch.path().join("last"));
    block_on(async { furnish(&in_folder(scratch.path()).unwrap()).await });
    let delete = async |library: &Library, number: u64| {
        let set = library.gallery.face_sets(ours()).await.unwrap()[0].face_set.id;
        let selector = FaceSelector::Ids(vec![face_id(number)]);
        let deleted = library.gallery.delete_faces(by(ours()), FaceScope::FaceSet(set), selector).await.unwrap();
        assert_eq!(deleted, [face_id(number)]);
    };
    let ends_with = |from: &Place, to: &Place, row: &str| {
        let error = moved(from, to, Task::Copy).expect_err("it is refused");
        assert!(error.message().contains(row), "{error:?}");
        assert!(error.hint().unwrap().contains("delete such faces by their ids (`likeness face delete`)"), "{error:?}");
    };
    let conn = rusqlite::Connection::open(scratch.path().join(likeness_store::embedded::DATABASE_FILE)).unwrap();
    conn.execute("UPDATE faces SET subject = 'eve' WHERE id = 900001", []).unwrap();
    drop(conn);
    ends_with(&folder(scratch.path()), &database(server, &name), "a row of `faces` (face 900001, ");
    block_on(async { delete(&in_folder(scratch.path()).unwrap(), 900_001).await });
    moved(&folder(scratch.path()), &database(server, &name), Task::Finish).unwrap();

    let sequence = "(SELECT sequence FROM faces WHERE id = 900002)";
    server.sql(&name, &format!("UPDATE templates SET checksum = checksum + 1 WHERE face = {sequence}"));
    ends_with(&database(server, &name), &last, "a row of `templates` (face 900002, ");
    let report = block_on(in_database(server, &name).unwrap().gallery.report(true)).unwrap();
    let named = "a row of `templates` (face 900002, face set `furnished`, tenant `";
    assert!(report.problems.iter().any(|problem| problem.contains(named)), "{report:?}");
    block_on(async { delete(&in_database(server, &name).unwrap(), 900_002).await });
    moved(&database(server, &name), &last, Task::Finish).unwrap();
}

/// How long it takes, there and back: `LIKENESS_TEST_MIGRATE_FACES=1000000 cargo nextest run --release -E
/// 'test(how_long_a_move_takes)' --no-capture` for the figures of docs/scale.md.
#[test]
fn how_long_a_move_takes() {
    let n_faces = std::env::var("LIKENESS_TEST_MIGRATE_FACES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000_u64);
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let name = server.database();
    let scratch = tempfile::tempdir().unwrap();
    let back = folder(&scratch.path().join("back"));
    block_on(async {
        let library = in_folder(scratch.path()).unwrap();
        let set = library.gallery.create_face_set(by(ours()), face_set("many"), None).await.unwrap();
        for first in (1..=n_faces).step_by(1000) {
            let vector = |number: u64| {
                let raw: Vec<f32> = (0..128).map(|place| ((number * 31 + place * 7) % 1013) as f32 - 500.0).collect();
                likeness_domain::types::Template::new(pack(), &raw).unwrap()
            };
            let faces = (first..(first + 1000).min(n_faces + 1)).map(|number| likeness_domain::types::NewFace {
                template: vector(number),
                ..labelled(number, &format!("person {}", number / 3))
            });
            library.gallery.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces.collect(), None).await.unwrap();
        }
    });
    let timed = |what: &str, from: &Place, to: &Place, task: Task| {
        let began = std::time::Instant::now();
        let report = moved(from, to, task).unwrap();
        let seconds = began.elapsed().as_secs_f64();
        eprintln!("{what}: {seconds:.1} s, {:.0} faces a second; {:?}", n_faces as f64 / seconds, report.held_ms);
    };
    let (first, database) = (folder(scratch.path()), database(server, &name));
    timed("folder to database", &first, &database, Task::Copy);
    timed("again", &first, &database, Task::Copy);
    timed("finish", &first, &database, Task::Finish);
    timed("database to folder", &database, &back, Task::Copy);
    timed("finish", &database, &back, Task::Finish);
}
