//! Small pictures of faces, in sets that keep them.

use likeness_domain::Kind;
use likeness_domain::ports::{FaceMove, FaceScope, FaceSelector};
use likeness_domain::types::{
    FaceId, FaceOwner, FaceSetId, FaceSetPatch, NewFaceSet, NewTransientFace, PersonId, TenantId, Thumbnail,
    TimestampMs,
};

use super::Bench;
use super::samples::*;

async fn set(bench: &Bench, name: &str, thumbnails: bool) -> FaceSetId {
    let new = NewFaceSet { thumbnails, ..face_set(name) };
    let made = bench.store.create_face_set(by(ours()), new, None).await.unwrap();
    assert_eq!(made.thumbnails, thumbnails);
    made.id
}

async fn enrol(bench: &Bench, owner: FaceOwner, numbers: &[u64]) {
    let faces = numbers.iter().map(|&number| pictured(number)).collect();
    bench.store.add_faces(by(ours()), owner, faces, None).await.unwrap();
}

/// A member of these sets with these faces, which have pictures.
async fn member(bench: &Bench, key: &str, sets: &[&str], faces: &[u64]) -> PersonId {
    let join = sets.iter().map(|name| face_set(name)).collect();
    let (person, _) = bench.store.create_person(by(ours()), person(key), join, None).await.unwrap();
    enrol(bench, FaceOwner::Person(person.id), faces).await;
    person.id
}

/// Makes that face of a person another's.
async fn give(bench: &Bench, from: PersonId, to: PersonId, number: u64) {
    let faces = FaceMove { from, to, ids: Some(vec![face_id(number)]), limit: 10, at: TimestampMs(5_000) };
    bench.store.move_faces(by(ours()), faces, None).await.unwrap();
}

/// Numbers of the faces of the scope that have a picture, which is their own.
async fn shown(bench: &Bench, tenant: TenantId, scope: FaceScope) -> Vec<u64> {
    let ids: Vec<FaceId> = (1..50).map(face_id).collect();
    let found = bench.store.thumbnails(tenant, scope, ids).await.unwrap();
    let own = |(id, picture): &(FaceId, Thumbnail)| {
        assert_eq!(*picture, thumbnail(id.get() % 10));
        id.get()
    };
    found.iter().map(own).collect()
}

async fn keep(bench: &Bench, set: FaceSetId, thumbnails: bool) -> likeness_domain::Result<bool> {
    let patch = FaceSetPatch { thumbnails: Some(thumbnails), ..FaceSetPatch::default() };
    Ok(bench.store.update_face_set(by(ours()), set, patch).await?.thumbnails)
}

/// Turns it on again as soon as what there was is erased.
async fn keep_again(bench: &Bench, set: FaceSetId) {
    loop {
        match keep(bench, set, true).await {
            Ok(is_kept) => return assert!(is_kept),
            Err(error) => assert_eq!(error.kind(), Kind::Overloaded, "{error:?}"),
        }
        std::thread::yield_now();
    }
}

/// A set keeps pictures if it was told to, and gives them to nobody who asks elsewhere.
pub async fn a_picture_is_kept_where_the_set_says_so(bench: Bench) -> Bench {
    assert!(!bench.store.keeps_thumbnails(ours()).await.unwrap());
    let (with, without) = (set(&bench, "with", true).await, set(&bench, "without", false).await);
    enrol(&bench, FaceOwner::FaceSet(with), &[1, 2]).await;
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(with), vec![face(3)], None).await.unwrap();
    enrol(&bench, FaceOwner::FaceSet(without), &[4]).await;
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(with)).await, [1, 2]);
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(without)).await, [0; 0]);
    assert_eq!(shown(&bench, theirs(), FaceScope::FaceSet(with)).await, [0; 0]);
    let asked = [2, 9, 1, 2].map(face_id).to_vec();
    let found = bench.store.thumbnails(ours(), FaceScope::FaceSet(with), asked).await.unwrap();
    assert_eq!(found, [2, 1].map(|number| (face_id(number), thumbnail(number))), "in the order asked for, each once");
    assert!(bench.store.keeps_thumbnails(ours()).await.unwrap());
    assert!(!bench.store.keeps_thumbnails(theirs()).await.unwrap());
    let summary = bench.store.face_set_by_id(ours(), with).await.unwrap().unwrap();
    assert!(summary.face_set.thumbnails && bench.store.face_sets(ours()).await.unwrap()[0].face_set.thumbnails);
    bench
}

/// Turned on later it is for faces to come; turned off, what there was is gone, also when it is turned on again.
pub async fn pictures_are_erased_when_none_are_to_be_kept(bench: Bench) -> Bench {
    let staff = set(&bench, "staff", false).await;
    let scope = FaceScope::FaceSet(staff);
    enrol(&bench, FaceOwner::FaceSet(staff), &[1]).await;
    assert!(keep(&bench, staff, true).await.unwrap());
    assert!(keep(&bench, staff, true).await.unwrap(), "twice is fine");
    assert_eq!(shown(&bench, ours(), scope).await, [0; 0]);
    enrol(&bench, FaceOwner::FaceSet(staff), &[2, 3]).await;
    assert_eq!(shown(&bench, ours(), scope).await, [2, 3]);
    assert!(!keep(&bench, staff, false).await.unwrap());
    assert!(!keep(&bench, staff, false).await.unwrap());
    assert_eq!(shown(&bench, ours(), scope).await, [0; 0]);
    keep_again(&bench, staff).await;
    enrol(&bench, FaceOwner::FaceSet(staff), &[4]).await;
    assert_eq!(shown(&bench, ours(), scope).await, [4]);
    let patch = FaceSetPatch { note: Some(note("x")), ..FaceSetPatch::default() };
    assert!(
        bench.store.update_face_set(by(ours()), staff, patch).await.unwrap().thumbnails,
        "other words change nothing"
    );
    assert_eq!(shown(&bench, ours(), scope).await, [4]);
    // Nor does one that is still to be erased come back in another set.
    let many: Vec<u64> = (101..1_301).collect();
    enrol(&bench, FaceOwner::FaceSet(staff), &many).await;
    let other = set(&bench, "other", true).await;
    keep(&bench, staff, false).await.unwrap();
    let now = TimestampMs(5_000);
    bench.store.enrol_transient_face(by(ours()), other, face_id(1_300), face_id(40), now, None).await.unwrap();
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(other)).await, [0; 0]);
    bench
}

/// What waits to be erased does not come back with a person who joins another set, nor with a face that is given to one.
pub async fn pictures_to_be_erased_come_back_with_no_person(bench: Bench) -> Bench {
    let other = set(&bench, "other", true).await;
    let bert = member(&bench, "bert", &["other"], &[]).await;
    for (name, key, many, number) in [("first", "anna", 101..1_301, 5), ("second", "carl", 2_101..3_301, 6)] {
        let staff = set(&bench, name, true).await;
        // Erased in order of enrolment, so that those of the person are the last.
        enrol(&bench, FaceOwner::FaceSet(staff), &many.collect::<Vec<u64>>()).await;
        let person = member(&bench, key, &[name], &[number]).await;
        assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(staff)).await, [number]);
        keep(&bench, staff, false).await.unwrap();
        if key == "anna" {
            bench.store.join_face_sets(by(ours()), person, vec![face_set("other")], None).await.unwrap();
        } else {
            give(&bench, person, bert, number).await;
        }
        assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(other)).await, [0; 0], "{key}");
    }
    bench
}

/// A deleted face has none; a face that gets its id gets no picture with it.
pub async fn a_picture_goes_with_its_face(bench: Bench) -> Bench {
    let staff = set(&bench, "staff", true).await;
    let scope = FaceScope::FaceSet(staff);
    enrol(&bench, FaceOwner::FaceSet(staff), &[1, 2]).await;
    let gone = FaceSelector::Ids(vec![face_id(1)]);
    bench.store.delete_faces(by(ours()), scope, gone).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff), vec![face(1)], None).await.unwrap();
    assert_eq!(shown(&bench, ours(), scope).await, [2]);
    bench.store.delete_face_set(by(ours()), staff, false).await.unwrap();
    assert_eq!(shown(&bench, ours(), scope).await, [0; 0]);
    assert!(!bench.store.keeps_thumbnails(ours()).await.unwrap());
    bench
}

/// A member's picture is kept as long as one of the sets that show the face keeps pictures, and shown there only.
pub async fn a_members_picture_is_kept_while_any_set_keeps_it(bench: Bench) -> Bench {
    let (one, two, none) =
        (set(&bench, "one", true).await, set(&bench, "two", true).await, set(&bench, "none", false).await);
    let anna = member(&bench, "anna", &["one", "two", "none"], &[1]).await;
    let scopes = [FaceScope::FaceSet(one), FaceScope::FaceSet(two), FaceScope::FaceSet(none), FaceScope::Person(anna)];
    let seen = async || {
        let mut seen = Vec::new();
        for scope in scopes {
            seen.push(shown(&bench, ours(), scope).await.len());
        }
        seen
    };
    assert_eq!(seen().await, [1, 1, 0, 1]);
    bench.store.leave_face_sets(by(ours()), anna, vec![name("one")]).await.unwrap();
    assert_eq!(seen().await, [0, 1, 0, 1]);
    bench.store.join_face_sets(by(ours()), anna, vec![face_set("one")], None).await.unwrap();
    assert_eq!(seen().await, [1, 1, 0, 1]);
    keep(&bench, two, false).await.unwrap();
    assert_eq!(seen().await, [1, 0, 0, 1]);
    bench.store.leave_face_sets(by(ours()), anna, vec![name("one")]).await.unwrap();
    assert_eq!(seen().await, [0, 0, 0, 0]);
    bench.store.join_face_sets(by(ours()), anna, vec![face_set("one")], None).await.unwrap();
    assert_eq!(seen().await, [0, 0, 0, 0], "what was erased does not come back");
    bench
}

/// Faces that move to another person keep their pictures if one of the sets of that person keeps pictures.
pub async fn moved_faces_keep_their_pictures_where_they_are_kept(bench: Bench) -> Bench {
    for (name, thumbnails) in [("from", true), ("to", true), ("none", false)] {
        set(&bench, name, thumbnails).await;
    }
    let anna = member(&bench, "anna", &["from"], &[1, 2]).await;
    let bert = member(&bench, "bert", &["to"], &[]).await;
    let carl = member(&bench, "carl", &["none"], &[]).await;
    give(&bench, anna, bert, 1).await;
    assert_eq!(shown(&bench, ours(), FaceScope::Person(bert)).await, [1]);
    give(&bench, anna, carl, 2).await;
    assert_eq!(shown(&bench, ours(), FaceScope::Person(carl)).await, [0; 0]);
    give(&bench, carl, bert, 2).await;
    assert_eq!(shown(&bench, ours(), FaceScope::Person(bert)).await, [1], "it is erased, not hidden");
    bench
}

/// The picture of a held face is kept with it while any set keeps pictures, and goes along into sets that do.
pub async fn a_held_faces_picture_goes_along(bench: Bench) -> Bench {
    let pictured = |number| NewTransientFace { thumbnail: Some(thumbnail(number)), ..held(number) };
    let now = held(1).created_at;
    bench.store.keep_faces(by(ours()), vec![pictured(1)], 10).await.unwrap();
    let (with, without) = (set(&bench, "with", true).await, set(&bench, "without", false).await);
    bench.store.keep_faces(by(ours()), vec![pictured(2), pictured(3)], 10).await.unwrap();
    for (set, source, id) in [(with, 1, 11), (with, 2, 12), (without, 3, 13)] {
        let (source, id) = (face_id(source), face_id(id));
        bench.store.enrol_transient_face(by(ours()), set, source, id, now, None).await.unwrap();
    }
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(with)).await, [12], "none was kept before a set asked for it");
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(without)).await, [0; 0]);
    // Enrolled once more from the face that has it.
    let other = set(&bench, "other", true).await;
    bench.store.enrol_transient_face(by(ours()), other, face_id(2), face_id(42), now, None).await.unwrap();
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(other)).await, [42]);
    bench
}

/// The bytes of a set: those of its own faces and its members', exact for a few and about right for many.
pub async fn the_bytes_of_a_set_are_told(bench: Bench) -> Bench {
    let staff = set(&bench, "staff", true).await;
    enrol(&bench, FaceOwner::FaceSet(staff), &[1, 2]).await;
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff), vec![labelled(3, "anna")], None).await.unwrap();
    member(&bench, "bert", &["staff"], &[4]).await;
    let bytes = bench.store.face_set_bytes(ours(), staff).await.unwrap();
    assert_eq!((bytes.templates, bytes.thumbnails, bytes.is_exact), (4 * 64, 3 * 11, true));
    assert_eq!(bytes.records, 4 * 60 + 4);
    let nothing = likeness_domain::types::FaceSetBytes::default();
    assert_eq!(bench.store.face_set_bytes(theirs(), staff).await.unwrap(), nothing);
    let many = set(&bench, "many", false).await;
    let faces = (1_000..2_500).map(|number| labelled(number, "four")).collect();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(many), faces, None).await.unwrap();
    let bytes = bench.store.face_set_bytes(ours(), many).await.unwrap();
    assert_eq!((bytes.templates, bytes.records, bytes.thumbnails), (1_500 * 64, 1_500 * 64, 0));
    bench
}

/// The picture of a held face goes when the last set that keeps pictures is told to keep none or is deleted, and does not come
/// back with the face.
pub async fn a_held_faces_picture_goes_with_the_last_set_that_keeps_any(bench: Bench) -> Bench {
    let now = held(1).created_at;
    let (staff, guests) = (set(&bench, "staff", true).await, set(&bench, "guests", true).await);
    let pictured = |number| NewTransientFace { thumbnail: Some(thumbnail(number % 10)), ..held(number) };
    let hold = async |numbers: std::ops::Range<u64>| {
        bench.store.keep_faces(by(ours()), numbers.map(pictured).collect(), 10_000).await.unwrap();
    };
    let enrol = async |set, source: u64, id: u64| {
        bench.store.enrol_transient_face(by(ours()), set, face_id(source), face_id(id), now, None).await.unwrap();
    };
    // More than are erased within the write.
    hold(1_001..2_201).await;
    keep(&bench, staff, false).await.unwrap();
    enrol(guests, 1_001, 1).await;
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(guests)).await, [1], "another set keeps pictures");
    keep(&bench, guests, false).await.unwrap();
    assert!(!bench.store.keeps_thumbnails(ours()).await.unwrap());
    keep_again(&bench, staff).await;
    for (source, id) in [(1_002, 2), (2_200, 3)] {
        enrol(staff, source, id).await;
    }
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(staff)).await, [0; 0]);
    // A few are gone with the write, so that another set may keep pictures at once.
    hold(2_301..2_311).await;
    bench.store.delete_face_set(by(ours()), staff, false).await.unwrap();
    let other = set(&bench, "other", true).await;
    enrol(other, 2_301, 4).await;
    hold(2_401..2_402).await;
    enrol(other, 2_401, 11).await;
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(other)).await, [11]);
    // A set that goes with its last member.
    let anna = member(&bench, "anna", &["members"], &[]).await;
    let members = bench.store.face_set(ours(), name("members")).await.unwrap().unwrap().face_set.id;
    keep(&bench, members, true).await.unwrap();
    keep(&bench, other, false).await.unwrap();
    hold(2_501..2_503).await;
    bench.store.leave_face_sets(by(ours()), anna, vec![name("members")]).await.unwrap();
    keep_again(&bench, other).await;
    enrol(other, 2_501, 21).await;
    assert_eq!(shown(&bench, ours(), FaceScope::FaceSet(other)).await, [0; 0], "the one of before is gone as well");
    bench
}
