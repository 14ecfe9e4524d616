//! Persons, their faces and their memberships.

use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{FaceMove, FacePage, FaceScope, FaceSelector, Page};
use likeness_domain::types::{
    FaceOwner, FacePatch, FaceSet, FieldValue, ID_END, NewFace, NewFaceSet, NewPerson, Person, PersonId, PersonPatch,
    TimestampMs,
};

use super::samples::*;
use super::{Bench, EVERYTHING, refused};

/// All faces of one person to another.
fn all_faces(from: PersonId, to: PersonId) -> FaceMove {
    FaceMove { from, to, ids: None, limit: 10, at: TimestampMs(78) }
}

/// A person with the faces `numbers`, member of the sets `names`.
async fn member(bench: &Bench, key: &str, numbers: &[u64], names: &[&str]) -> (Person, Vec<FaceSet>) {
    let join = names.iter().map(|name| face_set(name)).collect();
    let (person, sets) = bench.store.create_person(by(ours()), person(key), join, None).await.unwrap();
    let faces = numbers.iter().map(|&number| face(number)).collect();
    bench.store.add_faces(by(ours()), FaceOwner::Person(person.id), faces, None).await.unwrap();
    (person, sets)
}

async fn gallery(bench: &Bench, set: &FaceSet) -> Vec<u64> {
    bench.ids(ours(), FaceScope::FaceSet(set.id)).await.into_iter().map(|id| id.get()).collect()
}

async fn names_of(bench: &Bench, person: PersonId) -> Vec<String> {
    let sets = bench.store.face_sets_of(ours(), person).await.unwrap();
    sets.into_iter().map(|set| set.name.to_string()).collect()
}

/// Every part of a person is kept, through each way of reading.
pub async fn a_person_comes_back_as_it_was_made(bench: Bench) -> Bench {
    let new = NewPerson { name: Some(note("Anna")), note: Some(note("a\nb")), ..person("anna") };
    let (made, sets) = bench.store.create_person(by(ours()), new.clone(), vec![], None).await.unwrap();
    assert!(sets.is_empty());
    let by_key = bench.store.person(ours(), key("anna")).await.unwrap().unwrap();
    let by_id = bench.store.persons(ours(), vec![made.id]).await.unwrap().remove(0);
    for found in [&made, &by_key, &by_id] {
        assert_eq!((found.id, found.tenant, &found.key), (new.id, ours(), &new.key));
        assert_eq!((&found.name, &found.note, found.created_at), (&new.name, &new.note, new.created_at));
    }
    assert!(bench.store.person(ours(), key("Anna")).await.unwrap().is_none(), "keys are case-sensitive");
    let (other, _) = bench.store.create_person(by(ours()), person("bert"), vec![], None).await.unwrap();
    let asked = vec![other.id, PersonId::new(3).unwrap(), made.id, other.id];
    let found = bench.store.persons(ours(), asked).await.unwrap();
    assert_eq!(found.iter().map(|person| person.id).collect::<Vec<_>>(), [other.id, made.id]);
    bench
}

/// A refused person makes no sets either.
pub async fn a_key_is_taken_once_per_tenant(bench: Bench) -> Bench {
    member(&bench, "anna", &[], &[]).await;
    let again = bench.store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await;
    refused(again, Kind::PersonExists);
    assert!(bench.store.face_sets(ours()).await.unwrap().is_empty());
    bench
}

/// Missing sets are made, existing ones joined as they are; the answer is in the order given, each once.
pub async fn a_person_brings_its_sets_with_it(bench: Bench) -> Bench {
    let staff = bench.store.create_face_set(by(ours()), small_face_set("staff", 7), None).await.unwrap();
    let join = ["guests", "staff", "guests"].map(face_set).to_vec();
    let (person, sets) = bench.store.create_person(by(ours()), person("anna"), join, sets_max(2)).await.unwrap();
    assert_eq!(sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["guests", "staff"]);
    assert_eq!((sets[1].id, sets[1].capacity), (staff.id, Some(7)));
    assert_eq!(names_of(&bench, person.id).await, ["guests", "staff"]);
    bench
}

/// Neither person nor sets.
pub async fn nothing_is_made_when_the_quota_is_passed(bench: Bench) -> Bench {
    let (bert, _) = member(&bench, "bert", &[], &["staff"]).await;
    let join = || ["staff", "b", "c"].map(face_set).to_vec();
    refused(bench.store.create_person(by(ours()), person("anna"), join(), sets_max(2)).await, Kind::TooManyFaceSets);
    refused(bench.store.join_face_sets(by(ours()), bert.id, join(), sets_max(2)).await, Kind::TooManyFaceSets);
    assert!(bench.store.person(ours(), key("anna")).await.unwrap().is_none());
    assert_eq!(bench.store.face_sets(ours()).await.unwrap().len(), 1);
    // Sets that exist cost no quota.
    bench.store.create_person(by(ours()), person("anna"), vec![face_set("staff")], sets_max(0)).await.unwrap();
    bench
}

/// Faces enrolled before and after joining, next to the set's own, in order of enrolment.
pub async fn a_members_faces_are_in_every_set(bench: Bench) -> Bench {
    let staff = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff.id), vec![face(1)], None).await.unwrap();
    let (anna, _) = member(&bench, "anna", &[2], &[]).await;
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff.id), vec![face(3)], None).await.unwrap();
    let join = vec![face_set("guests"), face_set("staff")];
    let joined = bench.store.join_face_sets(by(ours()), anna.id, join, None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(4)], None).await.unwrap();
    assert_eq!(gallery(&bench, &staff).await, [1, 2, 3, 4]);
    assert_eq!(gallery(&bench, &joined[0]).await, [2, 4]);
    assert_eq!(bench.ids(ours(), FaceScope::Person(anna.id)).await, [2, 4].map(face_id));
    let found = bench.store.faces(ours(), FaceScope::FaceSet(staff.id), vec![face_id(4)]).await.unwrap();
    assert_eq!(found[0].owner, FaceOwner::Person(anna.id));
    bench
}

/// Scores across packs mean nothing, so a set shows only what it can compare.
pub async fn faces_of_another_pack_join_no_gallery(bench: Bench) -> Bench {
    let other = pack_named("other-1");
    let (anna, sets) = member(&bench, "anna", &[1], &["staff"]).await;
    let foreign = NewFace { template: template_of_pack(2, other.clone()), ..face(2) };
    bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![foreign], None).await.unwrap();
    let other_set = NewFaceSet { pack: other, ..face_set("other") };
    let joined = bench.store.join_face_sets(by(ours()), anna.id, vec![other_set], None).await.unwrap();
    assert_eq!(gallery(&bench, &sets[0]).await, [1]);
    assert_eq!(gallery(&bench, &joined[1]).await, [2]);
    assert_eq!(bench.ids(ours(), FaceScope::Person(anna.id)).await, [1, 2].map(face_id));
    bench
}

/// All sets or none.
pub async fn joining_respects_capacity_all_or_nothing(bench: Bench) -> Bench {
    let small = bench.store.create_face_set(by(ours()), small_face_set("small", 2), None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(small.id), vec![face(1)], None).await.unwrap();
    let (anna, _) = member(&bench, "anna", &[2, 3], &[]).await;
    let join = vec![face_set("new"), face_set("small")];
    refused(bench.store.join_face_sets(by(ours()), anna.id, join.clone(), None).await, Kind::CapacityExceeded);
    assert!(names_of(&bench, anna.id).await.is_empty());
    assert!(bench.store.face_set(ours(), name("new")).await.unwrap().is_none());
    refused(
        bench.store.join_face_sets(by(ours()), anna.id, vec![small_face_set("tiny", 1)], None).await,
        Kind::CapacityExceeded,
    );
    bench
        .store
        .delete_faces(by(ours()), FaceScope::FaceSet(small.id), FaceSelector::Ids(vec![face_id(1)]))
        .await
        .unwrap();
    bench.store.join_face_sets(by(ours()), anna.id, join, None).await.unwrap();
    assert_eq!(gallery(&bench, &small).await, [2, 3]);
    bench
}

/// A person's new face must fit every set that would show it.
pub async fn enrolling_for_a_member_respects_each_sets_capacity(bench: Bench) -> Bench {
    bench.store.create_face_set(by(ours()), small_face_set("small", 1), None).await.unwrap();
    let (anna, sets) = member(&bench, "anna", &[1], &["large", "small"]).await;
    let owner = FaceOwner::Person(anna.id);
    refused(bench.store.add_faces(by(ours()), owner, vec![face(2)], None).await, Kind::CapacityExceeded);
    assert_eq!(gallery(&bench, &sets[0]).await, [1]);
    bench.store.leave_face_sets(by(ours()), anna.id, vec![name("small")]).await.unwrap();
    bench.store.add_faces(by(ours()), owner, vec![face(2)], owner_faces_max(2)).await.unwrap();
    refused(bench.store.add_faces(by(ours()), owner, vec![face(3)], owner_faces_max(2)).await, Kind::CapacityExceeded);
    bench
}

/// The place in the order of joining stays.
pub async fn joining_twice_is_fine(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[1], &["a", "b"]).await;
    let joined =
        bench.store.join_face_sets(by(ours()), anna.id, ["b", "c", "a"].map(face_set).to_vec(), None).await.unwrap();
    assert_eq!(joined.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(gallery(&bench, &sets[0]).await, [1]);
    let nobody = PersonId::new(3).unwrap();
    refused(bench.store.join_face_sets(by(ours()), nobody, vec![face_set("d")], None).await, Kind::PersonNotFound);
    assert!(bench.store.face_set(ours(), name("d")).await.unwrap().is_none());
    bench
}

/// Only sets the person was in are returned, in the order given.
pub async fn leaving_takes_the_faces_out(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[1, 2], &["a", "b", "c"]).await;
    member(&bench, "bert", &[3], &["a"]).await;
    bench.store.create_face_set(by(ours()), face_set("d"), None).await.unwrap();
    let names = ["c", "none", "a", "d", "c"].map(name).to_vec();
    let left = bench.store.leave_face_sets(by(ours()), anna.id, names).await.unwrap();
    assert_eq!(left.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    assert_eq!(gallery(&bench, &sets[0]).await, [3]);
    assert_eq!(gallery(&bench, &sets[1]).await, [1, 2]);
    assert_eq!(names_of(&bench, anna.id).await, ["b"]);
    assert_eq!(bench.ids(ours(), FaceScope::Person(anna.id)).await.len(), 2);
    let nobody = PersonId::new(3).unwrap();
    refused(bench.store.leave_face_sets(by(ours()), nobody, vec![name("a")]).await, Kind::PersonNotFound);
    bench
}

/// Unless it owns faces or was made on purpose; its name and its place in the quota are free at once.
pub async fn a_set_made_by_joining_goes_with_its_last_member(bench: Bench) -> Bench {
    bench.store.create_face_set(by(ours()), face_set("lasting"), None).await.unwrap();
    let (anna, sets) = member(&bench, "anna", &[1], &["lasting", "a", "b", "own"]).await;
    let (bert, _) = member(&bench, "bert", &[2], &["b"]).await;
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(sets[3].id), vec![face(3)], None).await.unwrap();
    let names = async || -> Vec<String> {
        let sets = bench.store.face_sets(ours()).await.unwrap();
        sets.into_iter().map(|set| set.face_set.name.to_string()).collect()
    };
    let left = bench.store.leave_face_sets(by(ours()), anna.id, vec![name("a"), name("own")]).await.unwrap();
    assert_eq!(left.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["a", "own"]);
    assert_eq!(names().await, ["lasting", "b", "own"]);
    bench.store.delete_person(by(ours()), anna.id).await.unwrap();
    assert_eq!(names().await, ["lasting", "b", "own"]);
    bench.store.delete_person(by(ours()), bert.id).await.unwrap();
    assert_eq!(names().await, ["lasting", "own"]);
    let (_, again) =
        bench.store.create_person(by(ours()), person("anna"), vec![face_set("a")], sets_max(3)).await.unwrap();
    assert_eq!(again[0].name, name("a"), "the name is free");
    bench
}

/// What it has still got, or has got meanwhile, is not lost with it.
pub async fn a_merged_person_goes_only_if_it_has_given_all(bench: Bench) -> Bench {
    let (anna, _) = member(&bench, "anna", &[1], &["a", "b"]).await;
    let (bert, _) = member(&bench, "bert", &[2], &["a"]).await;
    let end = async |from: PersonId, into: PersonId| bench.store.delete_merged_person(by(ours()), from, into).await;
    assert!(!end(anna.id, bert.id).await.unwrap(), "it has a face");
    bench.store.move_faces(by(ours()), all_faces(anna.id, bert.id), None).await.unwrap();
    assert!(!end(anna.id, bert.id).await.unwrap(), "it is in a set of its own");
    assert_eq!(names_of(&bench, anna.id).await, ["a", "b"]);
    bench.store.join_face_sets(by(ours()), bert.id, vec![face_set("b")], None).await.unwrap();
    refused(end(anna.id, PersonId::new(77).unwrap()).await, Kind::PersonNotFound);
    assert!(end(anna.id, bert.id).await.unwrap());
    assert!(bench.store.person(ours(), key("anna")).await.unwrap().is_none());
    assert_eq!(bench.ids(ours(), FaceScope::Person(bert.id)).await.len(), 2);
    refused(end(anna.id, bert.id).await, Kind::PersonNotFound);
    refused(end(bert.id, anna.id).await, Kind::PersonNotFound);
    bench
}

/// Also with more faces than are erased within the delete itself.
pub async fn a_deleted_person_leaves_no_trace(bench: Bench) -> Bench {
    let numbers: Vec<u64> = (1..=150).collect();
    let (anna, sets) = member(&bench, "anna", &numbers, &["a", "b"]).await;
    member(&bench, "bert", &[500], &["a"]).await;
    assert_eq!(bench.store.delete_person(by(ours()), anna.id).await.unwrap(), 150);
    assert!(bench.store.person(ours(), key("anna")).await.unwrap().is_none());
    assert!(bench.store.persons(ours(), vec![anna.id]).await.unwrap().is_empty());
    assert!(bench.ids(ours(), FaceScope::Person(anna.id)).await.is_empty());
    assert!(names_of(&bench, anna.id).await.is_empty());
    assert_eq!(gallery(&bench, &sets[0]).await, [500]);
    assert!(gallery(&bench, &sets[1]).await.is_empty());
    let (members, n_members) = bench.store.members(ours(), sets[0].id, EVERYTHING).await.unwrap();
    assert_eq!((members.len(), n_members), (1, 1));
    refused(bench.store.delete_person(by(ours()), anna.id).await, Kind::PersonNotFound);
    let owner = FaceOwner::Person(anna.id);
    refused(bench.store.add_faces(by(ours()), owner, vec![face(900)], None).await, Kind::PersonNotFound);
    let report = bench.store.report(true).await.unwrap();
    assert_eq!((report.n_persons, report.n_faces, report.problems), (1, 1, vec![]));
    let (again, _) = member(&bench, "anna", &[900], &["b"]).await;
    assert_eq!(bench.ids(ours(), FaceScope::Person(again.id)).await, [face_id(900)]);
    bench
}

/// The face is the person's, so it is gone from everywhere.
pub async fn a_members_face_deleted_through_a_set_leaves_every_set(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[1, 2, 3], &["a", "b"]).await;
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(sets[0].id), vec![face(4)], None).await.unwrap();
    let selector = FaceSelector::Ids([4, 2].map(face_id).to_vec());
    let deleted = bench.store.delete_faces(by(ours()), FaceScope::FaceSet(sets[0].id), selector).await.unwrap();
    assert_eq!(deleted, [2, 4].map(face_id));
    for set in &sets {
        assert_eq!(gallery(&bench, set).await, [1, 3]);
    }
    assert_eq!(bench.ids(ours(), FaceScope::Person(anna.id)).await, [1, 3].map(face_id));
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// Through a set or through the person: one face, many rows of the index.
pub async fn a_members_face_is_changed_in_every_set(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[1], &["a", "b"]).await;
    for (scope, label) in [(FaceScope::FaceSet(sets[0].id), "x"), (FaceScope::Person(anna.id), "y")] {
        let patch = FacePatch { subject: Some(subject(label)), ..FacePatch::default() };
        bench.store.update_face(by(ours()), scope, face_id(1), patch, TimestampMs(9)).await.unwrap();
        for set in &sets {
            assert_eq!(bench.index.rows(set.id)[0].entry.subject.as_deref(), Some(label));
        }
    }
    bench
}

/// An empty text clears, an absent one keeps.
pub async fn a_persons_words_can_be_changed_and_cleared(bench: Bench) -> Bench {
    let new = NewPerson { name: Some(note("Anna")), note: Some(note("x")), ..person("anna") };
    let (anna, _) = bench.store.create_person(by(ours()), new, vec![], None).await.unwrap();
    let patch = PersonPatch { name: Some(note("Anna B")), ..PersonPatch::default() };
    let changed = bench.store.update_person(by(ours()), anna.id, patch).await.unwrap();
    assert_eq!((changed.name, changed.note), (Some(note("Anna B")), Some(note("x"))));
    let patch = PersonPatch { note: Some(note("")), ..PersonPatch::default() };
    bench.store.update_person(by(ours()), anna.id, patch).await.unwrap();
    let found = bench.store.person(ours(), key("anna")).await.unwrap().unwrap();
    assert_eq!((found.name, found.note), (Some(note("Anna B")), None));
    let nobody = PersonId::new(3).unwrap();
    refused(bench.store.update_person(by(ours()), nobody, PersonPatch::default()).await, Kind::PersonNotFound);
    bench
}

/// Pages and the exact number.
pub async fn members_are_listed_in_order_of_joining(bench: Bench) -> Bench {
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let mut persons = Vec::new();
    for key in ["c", "a", "d", "b"] {
        persons.push(member(&bench, key, &[], &[]).await.0);
    }
    for key_idx in [2, 0, 3, 1] {
        bench.store.join_face_sets(by(ours()), persons[key_idx].id, vec![face_set("staff")], None).await.unwrap();
    }
    let page = async |offset, limit| {
        let (members, n_members) = bench.store.members(ours(), set.id, Page { offset, limit }).await.unwrap();
        (members.iter().map(|person| person.key.to_string()).collect::<Vec<_>>().concat(), n_members)
    };
    assert_eq!(page(0, u64::MAX).await, ("dcba".into(), 4));
    assert_eq!(page(1, 2).await, ("cb".into(), 4));
    assert_eq!(page(4, 2).await, (String::new(), 4));
    bench.store.leave_face_sets(by(ours()), persons[0].id, vec![name("staff")]).await.unwrap();
    bench.store.join_face_sets(by(ours()), persons[0].id, vec![face_set("staff")], None).await.unwrap();
    assert_eq!(page(0, 9).await, ("dbac".into(), 4));
    bench
}

/// A set's own faces and each person's have their own space, also inside one gallery.
pub async fn external_ids_are_apart_between_owners(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[], &["staff"]).await;
    let (bert, _) = member(&bench, "bert", &[], &["staff"]).await;
    let owners = [FaceOwner::Person(anna.id), FaceOwner::Person(bert.id), FaceOwner::FaceSet(sets[0].id)];
    for (owner, number) in owners.into_iter().zip(1..) {
        bench.store.add_faces(by(ours()), owner, vec![known_as(number, "x")], None).await.unwrap();
        refused(bench.store.add_faces(by(ours()), owner, vec![known_as(9, "x")], None).await, Kind::FaceExists);
    }
    for (owner, number) in owners.into_iter().zip(1..) {
        let used = bench.store.external_ids(ours(), owner, vec![external_id("x")]).await.unwrap();
        assert_eq!(used, [(external_id("x"), face_id(number))]);
    }
    assert_eq!(gallery(&bench, &sets[0]).await, [1, 2, 3]);
    bench
}

/// In the scope of the person and through a set that shows them.
pub async fn a_persons_faces_are_deleted_by_every_selector(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[1], &["staff"]).await;
    let (person, set) = (FaceScope::Person(anna.id), FaceScope::FaceSet(sets[0].id));
    let faces = vec![
        labelled(2, "x"),
        labelled(3, "x"),
        valued(4, "age", FieldValue::Whole(4)),
        valued(5, "age", FieldValue::Whole(4)),
        labelled(6, "y"),
        face(7),
    ];
    bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), faces, None).await.unwrap();
    let delete = async |scope, selector| {
        let deleted = bench.store.delete_faces(by(ours()), scope, selector).await.unwrap();
        deleted.into_iter().map(|id| id.get()).collect::<Vec<_>>()
    };
    let filter = |filter: Filter| FaceSelector::Filter(Arc::new(filter));
    assert_eq!(delete(set, FaceSelector::Subject(subject("x"))).await, [2, 3]);
    assert_eq!(delete(person, FaceSelector::Subject(subject("y"))).await, [6]);
    // A person's scope has no schema, so no filter can name a field; a selector by name still can.
    assert!(delete(person, filter(Filter::Has { field_idx: 1 })).await.is_empty());
    let four = || FaceSelector::Field { name: field("age"), value: FieldValue::Whole(4) };
    assert_eq!(
        delete(set, filter(Filter::Every(vec![Filter::Has { field_idx: 1 }, Filter::Face(face_id(4))]))).await,
        [4]
    );
    assert_eq!(delete(person, four()).await, [5]);
    assert_eq!(delete(person, FaceSelector::Ids([7, 2].map(face_id).to_vec())).await, [7]);
    assert_eq!(delete(person, filter(Filter::Every(vec![]))).await, [1]);
    assert!(gallery(&bench, &sets[0]).await.is_empty());
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// The next free id is used, from the largest on with 1.
pub async fn a_used_person_id_is_replaced_by_the_next(bench: Bench) -> Bench {
    let mut made = Vec::new();
    for (text, id) in [("a", 5), ("b", 5), ("c", ID_END - 1), ("d", ID_END - 1)] {
        let new = NewPerson { id: PersonId::new(id).unwrap(), ..person(text) };
        made.push(bench.store.create_person(by(theirs()), new, vec![], None).await.unwrap().0.id.get());
    }
    assert_eq!(made, [5, 6, ID_END - 1, 1]);
    bench
}

/// In the order of their keys as bytes, page after page, with their counts; nothing of another tenant.
pub async fn persons_are_listed_in_the_order_of_their_keys(bench: Bench) -> Bench {
    for (name, numbers) in [("bert", &[1][..]), ("Zoe", &[]), ("anna", &[2, 3]), ("ärmel", &[])] {
        member(&bench, name, numbers, &[]).await;
    }
    bench.store.create_person(by(theirs()), person("carl"), vec![], None).await.unwrap();
    let all = bench.store.persons_after(ours(), None, 100).await.unwrap();
    let words: Vec<_> = all.iter().map(|summary| (summary.person.key.as_str(), summary.n_faces)).collect();
    assert_eq!(words, [("Zoe", 0), ("anna", 2), ("bert", 1), ("ärmel", 0)]);
    let page = bench.store.persons_after(ours(), Some(key("anna")), 1).await.unwrap();
    assert_eq!(page[0].person.key, key("bert"));
    // A key behind which a page goes on need not exist any more.
    assert_eq!(bench.store.persons_after(ours(), Some(key("b")), 9).await.unwrap().len(), 2);
    assert!(bench.store.persons_after(ours(), Some(key("ärmel")), 9).await.unwrap().is_empty());
    let bert = &all[2].person;
    bench.store.delete_person(by(ours()), bert.id).await.unwrap();
    assert_eq!(bench.store.persons_after(ours(), None, 100).await.unwrap().len(), 3);
    bench
}

/// To one that is free; the old one is free then.
pub async fn a_persons_key_can_be_changed(bench: Bench) -> Bench {
    let (anna, _) = member(&bench, "anna", &[1], &["staff"]).await;
    member(&bench, "bert", &[2], &["staff"]).await;
    let to = |text: &str| PersonPatch { key: Some(key(text)), ..PersonPatch::default() };
    refused(bench.store.update_person(by(ours()), anna.id, to("bert")).await, Kind::PersonExists);
    let renamed = bench.store.update_person(by(ours()), anna.id, to("anne")).await.unwrap();
    assert_eq!((renamed.id, renamed.key), (anna.id, key("anne")));
    assert!(bench.store.person(ours(), key("anna")).await.unwrap().is_none());
    assert_eq!(bench.store.person(ours(), key("anne")).await.unwrap().unwrap().id, anna.id);
    bench.store.update_person(by(ours()), anna.id, to("anne")).await.unwrap();
    member(&bench, "anna", &[], &[]).await;
    bench
}

/// Out of the sets of the one, into those of the other; where both are members whose they are changes.
pub async fn faces_move_from_one_person_to_another(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[1, 2, 3], &["both", "annas"]).await;
    let (bert, more) = member(&bench, "bert", &[4], &["both", "berts"]).await;
    let ids = Some([3, 1, 4, 99].map(face_id).to_vec());
    let some = FaceMove { ids, at: TimestampMs(77), ..all_faces(anna.id, bert.id) };
    let moved = bench.store.move_faces(by(ours()), some, None).await.unwrap();
    assert_eq!(moved.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [1, 3]);
    assert!(moved.iter().all(|face| face.owner == FaceOwner::Person(bert.id) && face.updated_at == TimestampMs(77)));
    assert_eq!(gallery(&bench, &sets[0]).await, [1, 2, 3, 4]);
    assert_eq!(gallery(&bench, &sets[1]).await, [2]);
    assert_eq!(gallery(&bench, &more[1]).await, [1, 3, 4]);
    assert_eq!(bench.ids(ours(), FaceScope::Person(anna.id)).await, [2].map(face_id));
    assert_eq!(bench.ids(ours(), FaceScope::Person(bert.id)).await, [1, 3, 4].map(face_id));
    let summaries = bench.store.persons_after(ours(), None, 9).await.unwrap();
    assert_eq!(summaries.iter().map(|summary| summary.n_faces).collect::<Vec<_>>(), [1, 3]);
    // All of them, a few at a time.
    let few = FaceMove { limit: 2, ..all_faces(bert.id, anna.id) };
    let some = bench.store.move_faces(by(ours()), few, None).await.unwrap();
    assert_eq!(some.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [1, 3]);
    let none = bench.store.move_faces(by(ours()), all_faces(anna.id, anna.id), None).await.unwrap();
    assert!(none.is_empty());
    assert_eq!(gallery(&bench, &sets[1]).await, [1, 2, 3]);
    bench
}

/// All or none, with the reason; nobody moves faces of another tenant.
pub async fn faces_that_cannot_move_stay(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[1, 2], &["staff"]).await;
    let (bert, _) = member(&bench, "bert", &[], &[]).await;
    let small = bench.store.create_face_set(by(ours()), small_face_set("small", 1), None).await.unwrap();
    bench.store.join_face_sets(by(ours()), bert.id, vec![face_set("small")], None).await.unwrap();
    let move_all = |by, limits| bench.store.move_faces(by, all_faces(anna.id, bert.id), limits);
    refused(move_all(by(ours()), None).await, Kind::CapacityExceeded);
    bench.store.leave_face_sets(by(ours()), bert.id, vec![name("small")]).await.unwrap();
    refused(move_all(by(ours()), owner_faces_max(1)).await, Kind::CapacityExceeded);
    refused(move_all(by(theirs()), None).await, Kind::PersonNotFound);
    let same_id = |number| NewFace { external_id: Some(external_id("one")), ..face(number) };
    bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![same_id(3)], None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::Person(bert.id), vec![same_id(4)], None).await.unwrap();
    refused(move_all(by(ours()), None).await, Kind::FaceExists);
    assert_eq!(gallery(&bench, &sets[0]).await, [1, 2, 3]);
    assert!(gallery(&bench, &small).await.is_empty());
    let gone = PersonId::new(77).unwrap();
    let to_nobody = bench.store.move_faces(by(ours()), all_faces(anna.id, gone), None).await;
    refused(to_nobody, Kind::PersonNotFound);
    bench
}

/// Of a set and of a person, also while faces come and go.
pub async fn faces_are_listed_from_a_place(bench: Bench) -> Bench {
    let (anna, sets) = member(&bench, "anna", &[1, 2, 3, 4, 5], &["staff"]).await;
    for scope in [FaceScope::FaceSet(sets[0].id), FaceScope::Person(anna.id)] {
        let numbers = |page: &FacePage| page.faces.iter().map(|face| face.id.get()).collect::<Vec<_>>();
        let first = bench.store.faces_from(ours(), scope, 0, 2).await.unwrap();
        assert_eq!(numbers(&first), [1, 2]);
        let second = bench.store.faces_from(ours(), scope, first.next.unwrap(), 3).await.unwrap();
        assert_eq!((numbers(&second), second.next), (vec![3, 4, 5], None));
        let theirs = bench.store.faces_from(theirs(), scope, 0, 9).await.unwrap();
        assert!(theirs.faces.is_empty() && theirs.next.is_none());
        let beyond = bench.store.faces_from(ours(), scope, u64::MAX, 9).await.unwrap();
        assert!(beyond.faces.is_empty() && beyond.next.is_none());
    }
    let staff = FaceScope::FaceSet(sets[0].id);
    let next = bench.store.faces_from(ours(), staff, 0, 2).await.unwrap().next.unwrap();
    let ids = FaceSelector::Ids([1, 3].map(face_id).to_vec());
    bench.store.delete_faces(by(ours()), staff, ids).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(6)], None).await.unwrap();
    let rest = bench.store.faces_from(ours(), staff, next, 9).await.unwrap();
    assert_eq!(rest.faces.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [4, 5, 6]);
    bench
}
