//! Face sets.

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{FaceScope, FaceSelector};
use likeness_domain::types::{
    FaceOwner, FaceSet, FaceSetId, FaceSetPatch, ID_END, NewFaceSet, Precondition, QualityGate, TimestampMs,
};

use super::samples::*;
use super::{Bench, EVERYTHING, refused};

/// Every part of a set is kept.
pub async fn a_set_comes_back_as_it_was_made(bench: Bench) -> Bench {
    let new = NewFaceSet {
        label: Some(note("Staff")),
        note: Some(note("")),
        tags: tags("red,blue"),
        capacity: Some(u64::MAX),
        quality_gate: QualityGate::High,
        created_at: TimestampMs(-5),
        ..face_set("staff")
    };
    let made = bench.store.create_face_set(by(ours()), new.clone(), None).await.unwrap();
    let found = bench.store.face_set(ours(), name("staff")).await.unwrap().unwrap();
    assert_eq!(found.n_faces, 0);
    for set in [&made, &found.face_set] {
        assert_eq!((set.id, set.tenant, &set.name), (new.id, ours(), &new.name));
        assert_eq!((&set.label, &set.note, &set.tags, &set.pack), (&new.label, &new.note, &new.tags, &new.pack));
        assert_eq!((&set.schema, set.capacity, set.created_at), (&new.schema, new.capacity, new.created_at));
        assert_eq!(set.quality_gate, QualityGate::High);
    }
    assert!(bench.store.face_set(ours(), name("Staff")).await.unwrap().is_none(), "names are case-sensitive");
    bench
}

/// A second set of the name is refused and changes nothing.
pub async fn a_name_is_taken_once_per_tenant(bench: Bench) -> Bench {
    let first = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let other = NewFaceSet { pack: pack_named("other-1"), ..face_set("staff") };
    refused(bench.store.create_face_set(by(ours()), other, None).await, Kind::FaceSetExists);
    let kept = bench.store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
    assert_eq!((kept.id, kept.pack), (first.id, pack()));
    bench
}

/// The order is that of making, not of ids, names or stated times.
pub async fn sets_are_listed_oldest_first(bench: Bench) -> Bench {
    for (text, id) in [("c", 30), ("a", 10), ("b", 20)] {
        let new = NewFaceSet { id: FaceSetId::new(id).unwrap(), ..face_set(text) };
        bench.store.create_face_set(by(ours()), new, None).await.unwrap();
    }
    let listed = bench.store.face_sets(ours()).await.unwrap();
    let names: Vec<_> = listed.iter().map(|set| set.face_set.name.as_str()).collect();
    assert_eq!(names, ["c", "a", "b"]);
    bench
}

/// The quota counts live sets, and a taken name is the better reason.
pub async fn a_full_quota_is_told_after_a_taken_name(bench: Bench) -> Bench {
    let first = bench.store.create_face_set(by(ours()), face_set("one"), Some(2)).await.unwrap();
    bench.store.create_face_set(by(ours()), face_set("two"), Some(2)).await.unwrap();
    refused(bench.store.create_face_set(by(ours()), face_set("two"), Some(2)).await, Kind::FaceSetExists);
    refused(bench.store.create_face_set(by(ours()), face_set("three"), Some(2)).await, Kind::TooManyFaceSets);
    refused(bench.store.create_face_set(by(ours()), face_set("three"), Some(0)).await, Kind::TooManyFaceSets);
    bench.store.delete_face_set(by(ours()), first.id, false).await.unwrap();
    bench.store.create_face_set(by(ours()), face_set("three"), Some(2)).await.unwrap();
    bench
}

/// By name, by id, in lists and counts; the next set of the name is a new one.
pub async fn a_deleted_set_is_gone_everywhere_and_its_name_is_free(bench: Bench) -> Bench {
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let owner = FaceOwner::FaceSet(set.id);
    let scope = FaceScope::FaceSet(set.id);
    let faces: Vec<_> = (1..=30).map(full_face).collect();
    bench.store.add_faces(by(ours()), owner, faces, None).await.unwrap();
    bench.store.delete_face_set(by(ours()), set.id, false).await.unwrap();

    assert!(bench.store.face_set(ours(), name("staff")).await.unwrap().is_none());
    assert!(bench.store.face_sets(ours()).await.unwrap().is_empty());
    assert!(bench.ids(ours(), scope).await.is_empty());
    assert!(bench.store.faces(ours(), scope, vec![face_id(1)]).await.unwrap().is_empty());
    assert!(bench.store.external_ids(ours(), owner, vec![external_id("photo-1")]).await.unwrap().is_empty());
    assert_eq!(bench.store.members(ours(), set.id, EVERYTHING).await.unwrap().1, 0);
    refused(bench.store.add_faces(by(ours()), owner, vec![face(77)], None).await, Kind::FaceSetNotFound);
    let patch = Default::default();
    refused(bench.store.update_face(by(ours()), scope, face_id(1), patch, TimestampMs(9)).await, Kind::FaceNotFound);
    let nobody = bench.store.delete_faces(by(ours()), scope, FaceSelector::Subject(subject("anna"))).await.unwrap();
    assert!(nobody.is_empty());
    refused(bench.store.delete_face_set(by(ours()), set.id, false).await, Kind::FaceSetNotFound);
    let report = bench.store.report(true).await.unwrap();
    assert_eq!((report.n_face_sets, report.n_faces, report.problems), (0, 0, vec![]));

    let again = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    assert_eq!(bench.store.face_set(ours(), name("staff")).await.unwrap().unwrap().n_faces, 0);
    // Its words are free as well.
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(again.id), vec![full_face(101)], None).await.unwrap();
    bench
}

/// `only_if_empty` looks at the whole gallery, members' faces included.
pub async fn a_set_with_faces_is_kept_if_asked_to(bench: Bench) -> Bench {
    let (person, sets) =
        bench.store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::Person(person.id), vec![face(1)], None).await.unwrap();
    refused(bench.store.delete_face_set(by(ours()), sets[0].id, true).await, Kind::FaceSetNotEmpty);
    assert_eq!(bench.store.face_set(ours(), name("staff")).await.unwrap().unwrap().n_faces, 1);
    bench
        .store
        .delete_faces(by(ours()), FaceScope::Person(person.id), FaceSelector::Ids(vec![face_id(1)]))
        .await
        .unwrap();
    bench.store.delete_face_set(by(ours()), sets[0].id, true).await.unwrap();
    bench
}

/// A member loses the membership only.
pub async fn members_of_a_deleted_set_keep_their_faces(bench: Bench) -> Bench {
    let join = vec![face_set("staff"), face_set("guests")];
    let (person, sets) = bench.store.create_person(by(ours()), person("anna"), join, None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::Person(person.id), vec![face(1), face(2)], None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(sets[0].id), vec![face(3)], None).await.unwrap();
    bench.store.delete_face_set(by(ours()), sets[0].id, false).await.unwrap();
    let left = bench.store.face_sets_of(ours(), person.id).await.unwrap();
    assert_eq!(left.iter().map(|set| set.id).collect::<Vec<_>>(), [sets[1].id]);
    let kept = [face_id(1), face_id(2)];
    assert_eq!(bench.ids(ours(), FaceScope::Person(person.id)).await, kept);
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(sets[1].id)).await, kept);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// The next free id is used, from the largest on with 1.
pub async fn a_used_set_id_is_replaced_by_the_next(bench: Bench) -> Bench {
    let proposed = |text: &str, id: u64| NewFaceSet { id: FaceSetId::new(id).unwrap(), ..face_set(text) };
    let mut made = Vec::new();
    for (text, id) in [("a", 5), ("b", 5), ("c", 5), ("d", ID_END - 1), ("e", ID_END - 1)] {
        made.push(bench.store.create_face_set(by(ours()), proposed(text, id), None).await.unwrap().id.get());
    }
    assert_eq!(made, [5, 6, 7, ID_END - 1, 1]);
    bench
}

/// Each write that works is one commit, each refused one none; the index is given every one in turn.
pub async fn revisions_grow_by_one_per_write(bench: Bench) -> Bench {
    let (start, n_applied) = bench.index.progress();
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    refused(bench.store.create_face_set(by(ours()), face_set("staff"), None).await, Kind::FaceSetExists);
    let owner = FaceOwner::FaceSet(set.id);
    bench.store.add_faces(by(ours()), owner, vec![face(1), face(2), face(3)], None).await.unwrap();
    refused(bench.store.add_faces(by(ours()), owner, vec![face(4)], owner_faces_max(3)).await, Kind::CapacityExceeded);
    let selector = FaceSelector::Ids(vec![face_id(1), face_id(2)]);
    bench.store.delete_faces(by(ours()), FaceScope::FaceSet(set.id), selector).await.unwrap();
    let (end, n_applied_after) = bench.index.progress();
    assert_eq!((end.0 - start.0, n_applied_after - n_applied), (3, 3));
    assert_eq!(bench.store.report(false).await.unwrap().revision, end);
    bench
}

/// A set can be given room and lose it, but for the faces that it has; the tenant's bound holds beside it.
pub async fn a_sets_capacity_can_be_changed(bench: Bench) -> Bench {
    let store = &bench.store;
    let set =
        store.create_face_set(by(ours()), NewFaceSet { capacity: Some(2), ..face_set("staff") }, None).await.unwrap();
    let add = |number: u64, limits: Option<Limits>| {
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(number)], limits)
    };
    let change = |capacity: Option<u64>| {
        let patch = FaceSetPatch { capacity: Some(capacity), ..FaceSetPatch::default() };
        store.update_face_set(by(ours()), set.id, patch)
    };
    add(1, None).await.unwrap();
    add(2, None).await.unwrap();
    refused(add(3, None).await, Kind::CapacityExceeded);
    refused(change(Some(1)).await, Kind::InvalidArgument);
    assert_eq!(store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set.capacity, Some(2));
    assert_eq!(change(Some(3)).await.unwrap().capacity, Some(3));
    add(3, None).await.unwrap();
    refused(add(4, None).await, Kind::CapacityExceeded);
    // As many as it has are enough.
    assert_eq!(change(Some(3)).await.unwrap().capacity, Some(3));
    assert_eq!(change(None).await.unwrap().capacity, None);
    let found = store.face_set_by_id(ours(), set.id).await.unwrap().unwrap();
    assert_eq!((found.face_set.capacity, found.n_faces), (None, 3));
    refused(add(4, Some(Limits { face_set_faces_max: Some(3), ..Limits::NONE })).await, Kind::CapacityExceeded);
    add(4, None).await.unwrap();
    // What is not named stays.
    change(Some(9)).await.unwrap();
    let patch = FaceSetPatch { note: Some(note("x")), ..FaceSetPatch::default() };
    assert_eq!(store.update_face_set(by(ours()), set.id, patch).await.unwrap().capacity, Some(9));
    bench
}

/// What is not named stays; the gallery stays; the old name is free.
pub async fn a_sets_words_can_be_changed_and_cleared(bench: Bench) -> Bench {
    let new = NewFaceSet { label: Some(note("Staff")), note: Some(note("all")), tags: tags("a"), ..face_set("staff") };
    let set = bench.store.create_face_set(by(ours()), new, None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(1)], None).await.unwrap();
    let patch = FaceSetPatch { name: Some(name("tasks")), tags: Some(tags("b,c")), ..FaceSetPatch::default() };
    let changed = bench.store.update_face_set(by(ours()), set.id, patch).await.unwrap();
    assert!(bench.store.face_set(ours(), name("staff")).await.unwrap().is_none());
    let found = bench.store.face_set(ours(), name("tasks")).await.unwrap().unwrap();
    assert_eq!(format!("{:?}", found.face_set), format!("{changed:?}"));
    assert_eq!((found.n_faces, found.face_set.id, &found.face_set.tags), (1, set.id, &tags("b,c")));
    assert_eq!((found.face_set.label, found.face_set.note), (Some(note("Staff")), Some(note("all"))));
    assert_eq!(found.face_set.quality_gate, QualityGate::None);

    let patch = FaceSetPatch {
        name: Some(name("tasks")),
        label: Some(note("")),
        note: Some(note("few")),
        tags: Some(tags("")),
        quality_gate: Some(QualityGate::Medium),
        thumbnails: None,
        capacity: None,
        only_if: Some(Precondition::new(|known: &FaceSet| known.name.as_str() == "tasks")),
    };
    let changed = bench.store.update_face_set(by(ours()), set.id, patch).await.unwrap();
    assert_eq!((changed.label, changed.note, changed.tags), (None, Some(note("few")), tags("")));
    let by_id = bench.store.face_set_by_id(ours(), set.id).await.unwrap().unwrap();
    assert_eq!((by_id.n_faces, by_id.face_set.name), (1, name("tasks")));
    assert_eq!((changed.quality_gate, by_id.face_set.quality_gate), (QualityGate::Medium, QualityGate::Medium));
    assert!(bench.store.face_set_by_id(theirs(), set.id).await.unwrap().is_none());
    let only_if = Some(Precondition::new(|known: &FaceSet| known.quality_gate == QualityGate::High));
    let patch = FaceSetPatch { note: Some(note("unseen")), only_if, ..FaceSetPatch::default() };
    refused(bench.store.update_face_set(by(ours()), set.id, patch).await, Kind::Changed);
    let kept = bench.store.face_set_by_id(ours(), set.id).await.unwrap().unwrap().face_set;
    assert_eq!(kept.note, Some(note("few")));
    bench
}

/// A refused change changes nothing; another tenant's set cannot be changed.
pub async fn a_new_name_must_be_free(bench: Bench) -> Bench {
    let set = bench.store.create_face_set(by(ours()), face_set("one"), None).await.unwrap();
    bench.store.create_face_set(by(ours()), face_set("two"), None).await.unwrap();
    bench.store.create_face_set(by(theirs()), face_set("three"), None).await.unwrap();
    let renamed = |text: &str| FaceSetPatch { name: Some(name(text)), note: Some(note("x")), ..Default::default() };
    refused(bench.store.update_face_set(by(ours()), set.id, renamed("two")).await, Kind::FaceSetExists);
    assert_eq!(bench.store.face_set(ours(), name("one")).await.unwrap().unwrap().face_set.note, None);
    refused(bench.store.update_face_set(by(theirs()), set.id, renamed("four")).await, Kind::FaceSetNotFound);
    bench.store.update_face_set(by(ours()), set.id, renamed("three")).await.unwrap();
    bench.store.delete_face_set(by(ours()), set.id, false).await.unwrap();
    refused(bench.store.update_face_set(by(ours()), set.id, renamed("five")).await, Kind::FaceSetNotFound);
    assert!(bench.store.face_set_by_id(ours(), set.id).await.unwrap().is_none());
    bench
}
