//! Held faces.

use likeness_domain::Kind;
use likeness_domain::ports::{FaceScope, FaceSelector};
use likeness_domain::types::{Face, FaceId, FaceOwner, FaceSet, NewFace, NewTransientFace, TimestampMs};

use super::samples::*;
use super::{Bench, EVERYTHING, first_templates, refused};

/// No bound that matters.
const MANY: u64 = 1_000;
/// A time at which the faces of [`held`] are held.
const NOW: TimestampMs = TimestampMs(9_999);
/// The time at which they no longer are.
const LATER: TimestampMs = TimestampMs(10_000);

async fn set(bench: &Bench, text: &str) -> FaceSet {
    bench.store.create_face_set(by(ours()), face_set(text), None).await.unwrap()
}

async fn hold(bench: &Bench, numbers: impl IntoIterator<Item = u64>) {
    bench.store.keep_faces(by(ours()), numbers.into_iter().map(held).collect(), MANY).await.unwrap();
}

async fn enrol(
    bench: &Bench,
    set: &FaceSet,
    source_face: u64,
    id: u64,
    now: TimestampMs,
) -> likeness_domain::Result<Face> {
    bench.store.enrol_transient_face(by(ours()), set.id, face_id(source_face), face_id(id), now, None).await
}

async fn of_origin(bench: &Bench, scope: Option<FaceScope>, source_faces: &[u64]) -> Vec<u64> {
    let source_faces = source_faces.iter().map(|&source_face| face_id(source_face)).collect();
    let found = bench.store.faces_of_source(ours(), scope, source_faces).await.unwrap();
    found.iter().map(|face| face.id.get()).collect()
}

/// Every part of a held face is kept, and it is in no gallery.
pub async fn a_held_face_comes_back_as_it_was_held(bench: Bench) -> Bench {
    let new = held(7);
    let made = bench.store.keep_faces(by(ours()), vec![new.clone(), held(8)], MANY).await.unwrap();
    assert_eq!(made.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [7, 8]);
    let found = bench.store.held_face(ours(), face_id(7), NOW).await.unwrap().unwrap();
    for face in [&made[0], &found] {
        assert_eq!((face.id, face.tenant, &face.template), (new.id, ours(), &new.template));
        assert_eq!((face.detection, face.quality, &face.subject), (new.detection, new.quality, &None));
        assert_eq!((face.created_at, face.expires_at), (new.created_at, new.expires_at));
    }
    assert_eq!(of_origin(&bench, None, &[7]).await, [] as [u64; 0]);
    let report = bench.store.report(true).await.unwrap();
    assert_eq!((report.n_held_faces, report.n_faces, report.problems), (2, 0, vec![]));
    bench
}

/// From its last moment on a held face is not there, and then its row is not either.
pub async fn held_faces_have_their_time(bench: Bench) -> Bench {
    let set = set(&bench, "staff").await;
    let longer = NewTransientFace { expires_at: TimestampMs(20_000), ..held(2) };
    bench.store.keep_faces(by(ours()), vec![held(1), longer], MANY).await.unwrap();
    assert!(bench.store.held_face(ours(), face_id(1), NOW).await.unwrap().is_some());
    assert!(bench.store.held_face(ours(), face_id(1), LATER).await.unwrap().is_none());
    refused(enrol(&bench, &set, 1, 50, LATER).await, Kind::FaceNotFound);
    refused(bench.store.label_source(by(ours()), face_id(1), subject("x"), LATER).await, Kind::FaceNotFound);
    assert_eq!(bench.store.delete_source(by(ours()), face_id(1), LATER).await.unwrap(), 0);

    assert_eq!(bench.store.purge_expired_faces(NOW).await.unwrap(), 0);
    assert_eq!(bench.store.purge_expired_faces(LATER).await.unwrap(), 1);
    assert_eq!(bench.store.purge_expired_faces(LATER).await.unwrap(), 0);
    assert!(bench.store.held_face(ours(), face_id(1), NOW).await.unwrap().is_none(), "its row is gone");
    assert!(bench.store.held_face(ours(), face_id(2), LATER).await.unwrap().is_some());
    assert_eq!(bench.store.report(true).await.unwrap().n_held_faces, 1);
    bench
}

/// More than one commit may take.
pub async fn many_transient_faces_are_purged_together(bench: Bench) -> Bench {
    hold(&bench, 1..=450).await;
    bench.store.keep_faces(by(theirs()), vec![held(1_001)], MANY).await.unwrap();
    assert_eq!(bench.store.purge_expired_faces(LATER).await.unwrap(), 451);
    let report = bench.store.report(true).await.unwrap();
    assert_eq!((report.n_held_faces, report.problems), (0, vec![]));
    bench
}

/// A tenant that holds as many as it may loses the oldest, and nobody else does.
pub async fn the_newest_are_held(bench: Bench) -> Bench {
    bench.store.keep_faces(by(theirs()), vec![held(100)], 3).await.unwrap();
    bench.store.keep_faces(by(ours()), vec![held(1), held(2)], 3).await.unwrap();
    bench.store.keep_faces(by(ours()), vec![held(3), held(4)], 3).await.unwrap();
    let mut left = Vec::new();
    for number in 1..=4 {
        left.push(bench.store.held_face(ours(), face_id(number), NOW).await.unwrap().is_some());
    }
    assert_eq!(left, [false, true, true, true]);
    bench.store.keep_faces(by(ours()), (5..=9).map(held).collect(), 3).await.unwrap();
    assert!(bench.store.held_face(ours(), face_id(6), NOW).await.unwrap().is_none());
    assert!(bench.store.held_face(ours(), face_id(7), NOW).await.unwrap().is_some());
    assert!(bench.store.held_face(theirs(), face_id(100), NOW).await.unwrap().is_some());
    let report = bench.store.report(true).await.unwrap();
    assert_eq!((report.n_held_faces, report.problems), (4, vec![]));
    bench
}

/// Each time as a face of its own, with what was held; the first time it ceases to be held.
pub async fn a_held_face_is_enrolled_into_several_sets(bench: Bench) -> Bench {
    let (staff, guests) = (set(&bench, "staff").await, set(&bench, "guests").await);
    hold(&bench, [7]).await;
    bench.store.label_source(by(ours()), face_id(7), subject("anna"), NOW).await.unwrap();
    for (set, id) in [(&staff, 21), (&guests, 22)] {
        let face = enrol(&bench, set, 7, id, NOW).await.unwrap();
        let listed = bench.store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert_eq!(format!("{listed:?}"), format!("[{face:?}]"));
        assert_eq!((face.id, face.source_face, face.owner), (face_id(id), face_id(7), FaceOwner::FaceSet(set.id)));
        assert_eq!((face.detection, face.quality), (held(7).detection, held(7).quality));
        assert_eq!(first_templates(&*bench.store, std::slice::from_ref(&face)).await, [template(7)]);
        assert_eq!((face.subject, face.created_at, face.updated_at), (Some(subject("anna")), NOW, NOW));
    }
    assert!(bench.store.held_face(ours(), face_id(7), NOW).await.unwrap().is_none());
    let report = bench.store.report(true).await.unwrap();
    assert_eq!((report.n_held_faces, report.n_faces, report.problems), (0, 2, vec![]));
    bench
}

/// As it is no longer held it goes by the faces that were made from it, and a face enrolled at once by its own id.
pub async fn an_enrolled_face_is_enrolled_once_more(bench: Bench) -> Bench {
    let (staff, guests) = (set(&bench, "staff").await, set(&bench, "guests").await);
    hold(&bench, [7]).await;
    enrol(&bench, &staff, 7, 21, NOW).await.unwrap();
    assert_eq!(bench.store.purge_expired_faces(LATER).await.unwrap(), 0);
    let face = enrol(&bench, &guests, 7, 22, LATER).await.unwrap();
    assert_eq!(face.source_face, face_id(7));
    assert_eq!(first_templates(&*bench.store, &[face]).await, [template(7)]);

    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff.id), vec![full_face(30)], None).await.unwrap();
    let face = enrol(&bench, &guests, 30, 31, LATER).await.unwrap();
    assert_eq!(first_templates(&*bench.store, std::slice::from_ref(&face)).await, [template(30)]);
    assert_eq!((face.source_face, face.subject), (face_id(30), Some(subject("anna"))));
    assert_eq!((face.external_id, face.note, face.source, face.fields.values().len()), (None, None, None, 0));
    refused(enrol(&bench, &guests, 21, 40, LATER).await, Kind::FaceNotFound);

    // With the last of its faces it is gone, also before the time of a held face would be over.
    for (set, id) in [(&staff, 21), (&guests, 22)] {
        let selector = FaceSelector::Ids(vec![face_id(id)]);
        bench.store.delete_faces(by(ours()), FaceScope::FaceSet(set.id), selector).await.unwrap();
    }
    refused(enrol(&bench, &staff, 7, 41, NOW).await, Kind::FaceNotFound);
    bench
}

/// In the order of the contract; nothing is changed.
pub async fn enrolling_a_held_face_has_its_reasons_to_fail(bench: Bench) -> Bench {
    let small = bench.store.create_face_set(by(ours()), small_face_set("small", 1), None).await.unwrap();
    hold(&bench, [1, 2]).await;
    let other_pack = NewTransientFace { template: template_of_pack(3, pack_named("other-1")), ..held(3) };
    bench.store.keep_faces(by(ours()), vec![other_pack], MANY).await.unwrap();
    refused(enrol(&bench, &small, 3, 20, NOW).await, Kind::InvalidArgument);
    enrol(&bench, &small, 1, 20, NOW).await.unwrap();
    refused(enrol(&bench, &small, 1, 21, NOW).await, Kind::FaceExists);
    refused(enrol(&bench, &small, 2, 21, NOW).await, Kind::CapacityExceeded);
    assert!(bench.store.held_face(ours(), face_id(2), NOW).await.unwrap().is_some(), "what is refused stays held");
    refused(enrol(&bench, &small, 9, 21, NOW).await, Kind::FaceNotFound);
    bench.store.delete_face_set(by(ours()), small.id, false).await.unwrap();
    refused(enrol(&bench, &small, 9, 21, NOW).await, Kind::FaceSetNotFound);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// Of the gallery of a set, members' faces included; of a person; of the whole tenant.
pub async fn faces_are_found_by_source_in_their_scope(bench: Bench) -> Bench {
    let (staff, guests) = (set(&bench, "staff").await, set(&bench, "guests").await);
    let join = vec![face_set("guests")];
    let (anna, _) = bench.store.create_person(by(ours()), person("anna"), join, None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(5)], None).await.unwrap();
    hold(&bench, [7]).await;
    enrol(&bench, &guests, 7, 22, NOW).await.unwrap();
    enrol(&bench, &staff, 7, 21, NOW).await.unwrap();
    let (in_staff, in_guests) = (Some(FaceScope::FaceSet(staff.id)), Some(FaceScope::FaceSet(guests.id)));
    assert_eq!(of_origin(&bench, None, &[7, 5, 7, 99, 22]).await, [22, 21, 5]);
    assert_eq!(of_origin(&bench, in_staff, &[5, 7]).await, [21]);
    assert_eq!(of_origin(&bench, in_guests, &[5, 7]).await, [5, 22]);
    assert_eq!(of_origin(&bench, Some(FaceScope::Person(anna.id)), &[5, 7]).await, [5]);
    refused(enrol(&bench, &guests, 5, 60, NOW).await, Kind::FaceExists);
    bench.store.delete_face_set(by(ours()), guests.id, false).await.unwrap();
    assert_eq!(of_origin(&bench, None, &[7, 5]).await, [21, 5], "a deleted set's faces are not there");
    assert_eq!(of_origin(&bench, in_guests, &[7, 5]).await, [] as [u64; 0]);
    bench
}

/// Held and enrolled, its own and made from it, and the index knows.
pub async fn a_label_goes_to_all_of_a_source_face(bench: Bench) -> Bench {
    let (staff, guests) = (set(&bench, "staff").await, set(&bench, "guests").await);
    hold(&bench, [7, 8]).await;
    enrol(&bench, &staff, 7, 21, NOW).await.unwrap();
    enrol(&bench, &guests, 7, 22, NOW).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff.id), vec![labelled(30, "berta")], None).await.unwrap();
    for (source_face, label) in [(7, "anna"), (30, "clara"), (8, "dora")] {
        bench.store.label_source(by(ours()), face_id(source_face), subject(label), TimestampMs(5_000)).await.unwrap();
    }
    let known = bench.store.held_face(ours(), face_id(8), NOW).await.unwrap().unwrap();
    assert_eq!(known.subject, Some(subject("dora")));
    for (set, labels) in [(&staff, vec!["anna", "clara"]), (&guests, vec!["anna"])] {
        let faces = bench.store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        let found: Vec<_> = faces.iter().map(|face| face.subject.as_ref().unwrap().as_str()).collect();
        assert_eq!(found, labels);
        assert!(faces.iter().all(|face| face.updated_at == TimestampMs(5_000)));
    }
    refused(bench.store.label_source(by(ours()), face_id(9), subject("x"), NOW).await, Kind::FaceNotFound);
    bench
}

/// Held and enrolled; other faces stay.
pub async fn a_source_face_is_deleted_everywhere(bench: Bench) -> Bench {
    let (staff, guests) = (set(&bench, "staff").await, set(&bench, "guests").await);
    hold(&bench, [7, 8, 9]).await;
    enrol(&bench, &staff, 7, 21, NOW).await.unwrap();
    enrol(&bench, &guests, 7, 22, NOW).await.unwrap();
    enrol(&bench, &staff, 8, 23, NOW).await.unwrap();
    assert_eq!(bench.store.delete_source(by(ours()), face_id(9), NOW).await.unwrap(), 1);
    assert_eq!(bench.store.delete_source(by(ours()), face_id(7), NOW).await.unwrap(), 2);
    assert_eq!(bench.store.delete_source(by(ours()), face_id(7), NOW).await.unwrap(), 0);
    assert!(bench.store.held_face(ours(), face_id(9), NOW).await.unwrap().is_none());
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(staff.id)).await, [face_id(23)]);
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(guests.id)).await, [] as [FaceId; 0]);
    let report = bench.store.report(true).await.unwrap();
    assert_eq!((report.n_held_faces, report.n_faces, report.problems), (0, 1, vec![]));
    bench
}

/// Neither held nor enrolled ones, and their sets take none of ours.
pub async fn held_faces_of_another_tenant_are_not_there(bench: Bench) -> Bench {
    let staff = set(&bench, "staff").await;
    hold(&bench, [7]).await;
    enrol(&bench, &staff, 7, 21, NOW).await.unwrap();
    let id = face_id(7);
    let scope = Some(FaceScope::FaceSet(staff.id));
    assert!(bench.store.held_face(theirs(), id, NOW).await.unwrap().is_none());
    assert!(bench.store.faces_of_source(theirs(), None, vec![id]).await.unwrap().is_empty());
    assert!(bench.store.faces_of_source(theirs(), scope, vec![id]).await.unwrap().is_empty());
    let their_set = bench.store.create_face_set(by(theirs()), face_set("staff"), None).await.unwrap();
    let taken = bench.store.enrol_transient_face(by(theirs()), their_set.id, id, face_id(50), NOW, None).await;
    refused(taken, Kind::FaceNotFound);
    let put = bench.store.enrol_transient_face(by(ours()), their_set.id, id, face_id(50), NOW, None).await;
    refused(put, Kind::FaceSetNotFound);
    refused(bench.store.label_source(by(theirs()), id, subject("x"), NOW).await, Kind::FaceNotFound);
    assert_eq!(bench.store.delete_source(by(theirs()), id, NOW).await.unwrap(), 0);
    assert_eq!(of_origin(&bench, None, &[7]).await, [21]);
    bench
}

/// An id names one face for as long as anybody may ask for it, as itself or as a source face.
pub async fn no_id_is_given_to_two_faces(bench: Bench) -> Bench {
    let (staff, guests) = (set(&bench, "staff").await, set(&bench, "guests").await);
    let owner = FaceOwner::FaceSet(staff.id);
    let add = async |faces: Vec<NewFace>| {
        let added = bench.store.add_faces(by(ours()), owner, faces, None).await.unwrap();
        added.iter().map(|face| face.id.get()).collect::<Vec<_>>()
    };
    hold(&bench, [7]).await;
    assert_eq!(add(vec![face(7)]).await, [8], "7 is held");
    enrol(&bench, &guests, 7, 8, NOW).await.unwrap();
    assert_eq!(of_origin(&bench, None, &[7]).await, [9], "8 is enrolled");
    bench.store.purge_expired_faces(LATER).await.unwrap();
    assert_eq!(add(vec![face(7)]).await, [10], "7 is a source face");
    let held = bench.store.keep_faces(by(ours()), vec![held(7), held(8), held(11)], MANY).await.unwrap();
    assert_eq!(held.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [11, 12, 13]);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// One of them is first; the others are told so.
pub async fn many_enrol_one_held_face_at_once(bench: Bench) -> Bench {
    let staff = set(&bench, "staff").await;
    hold(&bench, [7]).await;
    let writes: Vec<_> = (0..20)
        .map(|id| bench.store.enrol_transient_face(by(ours()), staff.id, face_id(7), face_id(100 + id), NOW, None))
        .collect();
    let mut n_added = 0;
    for write in writes {
        match write.await {
            Ok(_) => n_added += 1,
            Err(error) => assert_eq!(error.kind(), Kind::FaceExists),
        }
    }
    assert_eq!(n_added, 1);
    assert_eq!(of_origin(&bench, None, &[7]).await.len(), 1);
    bench
}
