//! Faces of face sets.

use std::ops::Bound;
use std::slice::from_ref;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{FaceScope, FaceSelector, Page};
use likeness_domain::types::{
    ClearedParts, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetId, FieldValue, FieldValues, ID_END, NewFace,
    NewPerson, PersonId, Precondition, TimestampMs,
};

use super::samples::*;
use super::{Bench, first_templates, refused};

async fn set_with(bench: &Bench, faces: Vec<NewFace>) -> FaceSet {
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
    set
}

/// Every part is kept to the bit, through each way of reading.
pub async fn a_face_comes_back_as_it_was_enrolled(bench: Bench) -> Bench {
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let scope = FaceScope::FaceSet(set.id);
    for new in [full_face(41), face(42)] {
        let added =
            bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![new.clone()], None).await.unwrap();
        let found = bench.store.faces(ours(), scope, vec![new.id]).await.unwrap();
        let listed = bench.store.list_faces(ours(), scope, Page { offset: new.id.get() - 41, limit: 1 }).await.unwrap();
        for face in [&added, &found, &listed].map(|faces| &faces[0]) {
            assert_eq!((face.id, face.tenant, face.owner), (new.id, ours(), FaceOwner::FaceSet(set.id)));
            assert_eq!(face.pack, *new.template.pack());
            assert_eq!(first_templates(&*bench.store, from_ref(face)).await, from_ref(&new.template));
            assert_eq!((face.detection, face.quality), (new.detection, new.quality));
            assert_eq!((&face.subject, &face.external_id, &face.fields), (&new.subject, &new.external_id, &new.fields));
            assert_eq!((&face.note, &face.source), (&new.note, &new.source));
            assert_eq!((face.created_at, face.updated_at), (new.created_at, new.created_at));
        }
    }
    bench
}

/// One face too many, and none of them is stored; an empty enrolment is fine.
pub async fn enrolment_is_all_or_nothing(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![known_as(1, "a")]).await;
    let owner = FaceOwner::FaceSet(set.id);
    let batch = vec![known_as(2, "b"), known_as(3, "c"), known_as(4, "a")];
    refused(bench.store.add_faces(by(ours()), owner, batch, None).await, Kind::FaceExists);
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(set.id)).await, [face_id(1)]);
    assert_eq!(bench.store.face_set(ours(), name("staff")).await.unwrap().unwrap().n_faces, 1);
    // What was refused left no claim on its words.
    bench.store.add_faces(by(ours()), owner, vec![known_as(2, "b")], None).await.unwrap();
    assert!(bench.store.add_faces(by(ours()), owner, vec![], None).await.unwrap().is_empty());
    bench
}

/// Neither a set nor a person that does not exist can own faces.
pub async fn an_owner_must_exist(bench: Bench) -> Bench {
    let set = FaceOwner::FaceSet(FaceSetId::new(9).unwrap());
    let person = FaceOwner::Person(PersonId::new(9).unwrap());
    refused(bench.store.add_faces(by(ours()), set, vec![face(1)], None).await, Kind::FaceSetNotFound);
    refused(bench.store.add_faces(by(ours()), person, vec![face(1)], None).await, Kind::PersonNotFound);
    refused(bench.store.add_faces(by(ours()), person, vec![], None).await, Kind::PersonNotFound);
    assert_eq!(bench.store.report(true).await.unwrap().n_faces, 0);
    bench
}

/// A set is pinned to one pack.
pub async fn a_template_of_another_pack_is_refused(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![]).await;
    let other = NewFace { template: template_of_pack(2, pack_named("other-1")), ..face(2) };
    let answer = bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(1), other], None).await;
    refused(answer, Kind::InvalidArgument);
    assert!(bench.ids(ours(), FaceScope::FaceSet(set.id)).await.is_empty());
    bench
}

/// Both bounds hold exactly: what the owner may own, and what the set may show. A delete makes room.
pub async fn capacity_is_exact(bench: Bench) -> Bench {
    let set = bench.store.create_face_set(by(ours()), small_face_set("staff", 3), None).await.unwrap();
    let owner = FaceOwner::FaceSet(set.id);
    bench.store.add_faces(by(ours()), owner, vec![face(1), face(2)], owner_faces_max(2)).await.unwrap();
    refused(bench.store.add_faces(by(ours()), owner, vec![face(3)], owner_faces_max(2)).await, Kind::CapacityExceeded);
    refused(bench.store.add_faces(by(ours()), owner, vec![face(3), face(4)], None).await, Kind::CapacityExceeded);
    bench.store.add_faces(by(ours()), owner, vec![face(3)], owner_faces_max(3)).await.unwrap();
    refused(bench.store.add_faces(by(ours()), owner, vec![face(4)], None).await, Kind::CapacityExceeded);
    let selector = FaceSelector::Ids(vec![face_id(2)]);
    bench.store.delete_faces(by(ours()), FaceScope::FaceSet(set.id), selector).await.unwrap();
    bench.store.add_faces(by(ours()), owner, vec![face(4)], owner_faces_max(3)).await.unwrap();
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(set.id)).await, [1, 3, 4].map(face_id));
    bench
}

/// Within a batch and against what is stored; a deleted face frees its id; look-ups tell who uses which.
pub async fn external_ids_are_used_once_per_owner(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![known_as(1, "a"), known_as(2, "b")]).await;
    let owner = FaceOwner::FaceSet(set.id);
    refused(bench.store.add_faces(by(ours()), owner, vec![known_as(3, "b")], None).await, Kind::FaceExists);
    let twice = vec![known_as(3, "c"), known_as(4, "c")];
    refused(bench.store.add_faces(by(ours()), owner, twice, None).await, Kind::FaceExists);
    let ask = |ids: &[&str]| ids.iter().map(|id| external_id(id)).collect::<Vec<_>>();
    let used = bench.store.external_ids(ours(), owner, ask(&["b", "none", "a", "b", "B"])).await.unwrap();
    assert_eq!(used, [(external_id("b"), face_id(2)), (external_id("a"), face_id(1))]);
    let selector = FaceSelector::Ids(vec![face_id(2)]);
    bench.store.delete_faces(by(ours()), FaceScope::FaceSet(set.id), selector).await.unwrap();
    bench.store.add_faces(by(ours()), owner, vec![known_as(5, "b")], None).await.unwrap();
    let used = bench.store.external_ids(ours(), owner, ask(&["b"])).await.unwrap();
    assert_eq!(used, [(external_id("b"), face_id(5))]);
    let other = bench.store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(other.id), vec![known_as(6, "b")], None).await.unwrap();
    bench
}

/// Pages follow each other without gap or repetition, whatever the ids.
pub async fn faces_are_listed_in_order_of_enrolment_by_pages(bench: Bench) -> Bench {
    let order = [50, 10, 40, 20, 30];
    let set = set_with(&bench, order.map(face).to_vec()).await;
    let scope = FaceScope::FaceSet(set.id);
    let page = async |offset, limit| {
        let faces = bench.store.list_faces(ours(), scope, Page { offset, limit }).await.unwrap();
        faces.into_iter().map(|face| face.id.get()).collect::<Vec<_>>()
    };
    assert_eq!(page(0, u64::MAX).await, order);
    assert_eq!([page(0, 2).await, page(2, 2).await, page(4, 2).await].concat(), order);
    assert!(page(5, 2).await.is_empty());
    assert!(page(0, 0).await.is_empty());
    assert!(page(u64::MAX, u64::MAX).await.is_empty());
    bench.store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(40)])).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(5)], None).await.unwrap();
    assert_eq!(page(1, 9).await, [10, 20, 30, 5]);
    bench
}

/// Each once, unknown ones left out.
pub async fn faces_are_found_by_id_in_the_order_asked(bench: Bench) -> Bench {
    let set = set_with(&bench, (1..=4).map(face).collect()).await;
    let other = bench.store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(other.id), vec![face(9)], None).await.unwrap();
    let asked = [3, 9, 1, 77, 3, 4].map(face_id).to_vec();
    let found = bench.store.faces(ours(), FaceScope::FaceSet(set.id), asked).await.unwrap();
    assert_eq!(found.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [3, 1, 4]);
    bench
}

/// Words are laid over, the rest stays; the index sees it.
pub async fn an_update_changes_words_and_nothing_else(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![full_face(1), face(2)]).await;
    let scope = FaceScope::FaceSet(set.id);
    let before = bench.store.faces(ours(), scope, vec![face_id(1)]).await.unwrap().remove(0);
    let patch = FacePatch {
        subject: Some(subject("berta")),
        fields: FieldValues::new([(field("age"), FieldValue::Whole(30))]),
        note: None,
        cleared: ClearedParts::default(),
        only_if: Some(Precondition::new(|face: &Face| face.subject != Some(subject("berta")))),
    };
    let again = patch.clone();
    let changed = bench.store.update_face(by(ours()), scope, face_id(1), patch, TimestampMs(9_000)).await.unwrap();
    let after = bench.store.faces(ours(), scope, vec![face_id(1)]).await.unwrap().remove(0);
    for face in [&changed, &after] {
        assert_eq!(face.subject, Some(subject("berta")));
        assert_eq!(face.fields.get("age"), Some(&FieldValue::Whole(30)));
        assert_eq!(face.fields.get("city"), before.fields.get("city"));
        assert_eq!((&face.note, &face.source, &face.external_id), (&before.note, &before.source, &before.external_id));
        assert_eq!((face.created_at, face.updated_at), (before.created_at, TimestampMs(9_000)));
        assert_eq!(face.pack, before.pack);
        assert_eq!(first_templates(&*bench.store, std::slice::from_ref(face)).await, [template(1)]);
    }
    let again = bench.store.update_face(by(ours()), scope, face_id(1), again, TimestampMs(9_001)).await;
    refused(again, Kind::Changed);
    let kept = bench.store.faces(ours(), scope, vec![face_id(1)]).await.unwrap().remove(0);
    assert_eq!(kept.updated_at, TimestampMs(9_000));
    let patch = FacePatch { note: Some(note("")), ..FacePatch::default() };
    let changed = bench.store.update_face(by(ours()), scope, face_id(1), patch, TimestampMs(9_001)).await.unwrap();
    assert_eq!((changed.note, changed.subject), (Some(note("")), Some(subject("berta"))));
    let nobody = bench.store.update_face(by(ours()), scope, face_id(3), FacePatch::default(), TimestampMs(1)).await;
    refused(nobody, Kind::FaceNotFound);
    assert_eq!(bench.ids(ours(), scope).await, [1, 2].map(face_id));
    bench
}

/// And only that; the index sees it, and the caller's own id may be used again.
pub async fn what_an_update_takes_away_is_gone(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![full_face(1), face(2)]).await;
    let scope = FaceScope::FaceSet(set.id);
    let before = bench.store.faces(ours(), scope, vec![face_id(1)]).await.unwrap().remove(0);
    let external_id = before.external_id.clone().unwrap();
    assert!(before.subject.is_some() && before.note.is_some() && before.fields.get("age").is_some());
    let cleared = ClearedParts { subject: true, external_id: true, fields: vec![field("age")] };
    // It wins over a new value, and what is not there can be taken away as well.
    let patch = FacePatch { subject: Some(subject("berta")), note: Some(note("")), cleared, ..FacePatch::default() };
    for number in [1, 2] {
        let changed = bench
            .store
            .update_face(by(ours()), scope, face_id(number), patch.clone(), TimestampMs(9_000))
            .await
            .unwrap();
        let after = bench.store.faces(ours(), scope, vec![face_id(number)]).await.unwrap().remove(0);
        for face in [&changed, &after] {
            assert_eq!((&face.subject, &face.external_id, face.fields.get("age")), (&None, &None, None));
            assert_eq!((&face.note, face.updated_at), (&Some(note("")), TimestampMs(9_000)));
        }
    }
    let after = bench.store.faces(ours(), scope, vec![face_id(1)]).await.unwrap().remove(0);
    assert_eq!((after.fields.get("city"), &after.source), (before.fields.get("city"), &before.source));
    let by_label = FaceSelector::Filter(Arc::new(Filter::HasSubject));
    assert!(bench.store.delete_faces(by(ours()), scope, by_label).await.unwrap().is_empty());
    let owner = FaceOwner::FaceSet(set.id);
    assert!(bench.store.external_ids(ours(), owner, vec![external_id.clone()]).await.unwrap().is_empty());
    let again = NewFace { external_id: Some(external_id), ..face(3) };
    bench.store.add_faces(by(ours()), owner, vec![again], None).await.unwrap();
    bench
}

async fn check_delete(bench: &Bench, set: &FaceSet, selector: FaceSelector, expected: &[u64]) {
    let scope = FaceScope::FaceSet(set.id);
    let before = bench.ids(ours(), scope).await;
    let deleted = bench.store.delete_faces(by(ours()), scope, selector).await.unwrap();
    assert_eq!(deleted.iter().map(|id| id.get()).collect::<Vec<_>>(), expected);
    let left: Vec<FaceId> = before.into_iter().filter(|id| !deleted.contains(id)).collect();
    assert_eq!(bench.ids(ours(), scope).await, left);
    assert!(bench.store.faces(ours(), scope, deleted).await.unwrap().is_empty());
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
}

/// Unknown and repeated ids are passed over; deleting twice is fine; the answer is in order of enrolment.
pub async fn faces_are_deleted_by_id(bench: Bench) -> Bench {
    let set = set_with(&bench, [5, 1, 4, 2, 3].map(face).to_vec()).await;
    let ids = |ids: &[u64]| FaceSelector::Ids(ids.iter().map(|&id| face_id(id)).collect());
    check_delete(&bench, &set, ids(&[2, 5, 99, 2]), &[5, 2]).await;
    check_delete(&bench, &set, ids(&[2, 5]), &[]).await;
    check_delete(&bench, &set, ids(&[]), &[]).await;
    check_delete(&bench, &set, ids(&[1, 3, 4]), &[1, 4, 3]).await;
    bench
}

/// Exactly this label, in this set only.
pub async fn faces_are_deleted_by_subject(bench: Bench) -> Bench {
    let faces = vec![labelled(1, "anna"), labelled(2, "Anna"), face(3), labelled(4, "anna")];
    let set = set_with(&bench, faces).await;
    let other = bench.store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(other.id), vec![labelled(5, "anna")], None).await.unwrap();
    check_delete(&bench, &set, FaceSelector::Subject(subject("anna")), &[1, 4]).await;
    check_delete(&bench, &set, FaceSelector::Subject(subject("nobody")), &[]).await;
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(other.id)).await, [face_id(5)]);
    bench
}

/// A value is its type as well: 1, 1.0, true and "1" are four values.
pub async fn faces_are_deleted_by_field_value_and_type(bench: Bench) -> Bench {
    let faces = vec![
        valued(1, "age", FieldValue::Whole(1)),
        valued(2, "height", FieldValue::Real(1.0)),
        valued(3, "staff", FieldValue::Boolean(true)),
        valued(4, "city", FieldValue::Text("1".into())),
        valued(5, "badge", FieldValue::Whole(1)),
        valued(6, "age", FieldValue::Whole(2)),
        face(7),
    ];
    let set = set_with(&bench, faces).await;
    let by = |name: &str, value| FaceSelector::Field { name: field(name), value };
    check_delete(&bench, &set, by("age", FieldValue::Real(1.0)), &[]).await;
    check_delete(&bench, &set, by("staff", FieldValue::Boolean(false)), &[]).await;
    check_delete(&bench, &set, by("age", FieldValue::Whole(1)), &[1]).await;
    check_delete(&bench, &set, by("height", FieldValue::Real(1.0)), &[2]).await;
    check_delete(&bench, &set, by("staff", FieldValue::Boolean(true)), &[3]).await;
    check_delete(&bench, &set, by("city", FieldValue::Text("1".into())), &[4]).await;
    check_delete(&bench, &set, by("badge", FieldValue::Whole(1)), &[5]).await;
    bench
}

/// A filter means here what [`Filter::matches`] says.
pub async fn faces_are_deleted_by_filter(bench: Bench) -> Bench {
    let faces = vec![
        valued(1, "age", FieldValue::Whole(10)),
        valued(2, "age", FieldValue::Whole(20)),
        valued(3, "height", FieldValue::Real(1.5)),
        NewFace { subject: Some(subject("anna")), ..valued(4, "city", FieldValue::Text("Rome".into())) },
        labelled(5, "anna"),
        face(6),
    ];
    let set = set_with(&bench, faces).await;
    let filter = |filter: Filter| FaceSelector::Filter(Arc::new(filter));
    let (city, age, height) = (0, 1, 3);
    check_delete(&bench, &set, filter(Filter::AnyOf(vec![])), &[]).await;
    check_delete(&bench, &set, filter(Filter::Whole { field_idx: age, min: 11, max: i64::MAX }), &[2]).await;
    let tall = Filter::Real { field_idx: height, lower: Bound::Included(1.5), upper: Bound::Unbounded };
    check_delete(&bench, &set, filter(tall), &[3]).await;
    let anna_in_rome =
        Filter::Every(vec![Filter::Subject("anna".into()), Filter::Text { field_idx: city, value: "Rome".into() }]);
    check_delete(&bench, &set, filter(anna_in_rome), &[4]).await;
    check_delete(&bench, &set, filter(Filter::Face(face_id(6))), &[6]).await;
    check_delete(&bench, &set, filter(Filter::Not(Box::new(Filter::HasSubject))), &[1]).await;
    check_delete(&bench, &set, filter(Filter::Every(vec![])), &[5]).await;
    bench
}

/// A face that has a spare id gets that one.
pub async fn a_used_face_id_is_replaced_by_the_spare_one(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![face(5)]).await;
    let spared = |number, spare| NewFace { spare_id: Some(face_id(spare)), ..face(number) };
    // The third wants one that the call itself has used, the fourth a spare one that is used as well.
    let batch = vec![spared(5, 100), spared(6, 200), spared(6, 300), spared(5, 200)];
    let added = bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), batch, None).await.unwrap();
    assert_eq!(added.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [100, 6, 300, 200]);
    let added =
        bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![spared(5, 200)], None).await.unwrap();
    assert_eq!(added[0].id.get(), 201);
    bench
}

/// Ids are the installation's: also another set's and another tenant's are used.
pub async fn a_used_face_id_is_replaced_by_the_next(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![face(5)]).await;
    let other = bench.store.create_face_set(by(theirs()), face_set("staff"), None).await.unwrap();
    let batch = vec![face(5), face(5), face(ID_END - 1), face(ID_END - 1)];
    let added = bench.store.add_faces(by(theirs()), FaceOwner::FaceSet(other.id), batch, None).await.unwrap();
    assert_eq!(added.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [6, 7, ID_END - 1, 1]);
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(set.id)).await, [face_id(5)]);
    bench
}

/// Acknowledged implies searchable, and for deletes gone from search: the index is told first.
pub async fn an_acknowledged_face_is_in_the_index(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![]).await;
    for number in 1..=20 {
        bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![full_face(number)], None).await.unwrap();
        let rows = bench.index.rows(set.id);
        assert!(rows.iter().any(|row| row.entry.face == face_id(number)), "face {number} is searched");
        if number % 2 == 0 {
            let selector = FaceSelector::Ids(vec![face_id(number)]);
            bench.store.delete_faces(by(ours()), FaceScope::FaceSet(set.id), selector).await.unwrap();
            let rows = bench.index.rows(set.id);
            assert!(rows.iter().all(|row| row.entry.face != face_id(number)), "face {number} is not searched");
        }
    }
    bench
}

/// A client who hangs up changes nothing: what was handed over is done, in order.
pub async fn a_dropped_future_does_not_undo_a_write(bench: Bench) -> Bench {
    let set = set_with(&bench, vec![]).await;
    let owner = FaceOwner::FaceSet(set.id);
    drop(bench.store.add_faces(by(ours()), owner, vec![face(1)], None));
    bench.store.add_faces(by(ours()), owner, vec![face(2)], None).await.unwrap();
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(set.id)).await, [1, 2].map(face_id));
    bench
}

/// Writes that arrive together are each done or refused on their own account.
pub async fn many_writers_at_once_lose_nothing(bench: Bench) -> Bench {
    let set = bench.store.create_face_set(by(ours()), small_face_set("staff", 150), None).await.unwrap();
    let owner = FaceOwner::FaceSet(set.id);
    // All handed over before the first is awaited; every third is refused for its external id.
    let writes: Vec<_> = (1..=240)
        .map(|number| {
            let id = if number % 3 == 0 { "taken".to_owned() } else { format!("photo-{number}") };
            bench.store.add_faces(by(ours()), owner, vec![known_as(number, &id)], None)
        })
        .collect();
    let mut expected = Vec::new();
    for (write, number) in writes.into_iter().zip(1..) {
        match write.await {
            Ok(faces) => expected.extend(faces.into_iter().map(|face| face.id)),
            Err(error) if error.kind() == Kind::FaceExists => assert_eq!(number % 3, 0, "{number}: {error}"),
            Err(error) => assert_eq!(error.kind(), Kind::CapacityExceeded, "{number}: {error}"),
        }
    }
    assert_eq!(expected.len(), 150);
    let mut stored = bench.ids(ours(), FaceScope::FaceSet(set.id)).await;
    stored.sort();
    assert_eq!(stored, expected);
    bench
}

/// By label and external id, and of members by key and name of the person; nothing of another set or tenant.
pub async fn faces_are_found_by_how_their_names_begin(bench: Bench) -> Bench {
    let store = &bench.store;
    let staff = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
    let guests = store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap().id;
    let faces = vec![labelled(1, "anna"), labelled(2, "andr\u{e9}"), labelled(3, "bert"), known_as(4, "an-4"), face(5)];
    store.add_faces(by(ours()), FaceOwner::FaceSet(staff), faces, None).await.unwrap();
    store.add_faces(by(ours()), FaceOwner::FaceSet(guests), vec![labelled(6, "anna")], None).await.unwrap();
    for (idx, (key, label)) in [("an", None), ("x", Some("anton")), ("y", Some("Anton"))].into_iter().enumerate() {
        let new = NewPerson { name: label.map(note), ..person(key) };
        let (made, _) = store.create_person(by(ours()), new, vec![face_set("staff")], None).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::Person(made.id), vec![face(10 + idx as u64)], None).await.unwrap();
    }
    let found = async |tenant, texts: &[&str], limit| {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        let places = store.places_beginning(tenant, staff, texts, limit).await.unwrap();
        assert!(places.is_sorted());
        let faces = store.faces_at(tenant, staff, places).await.unwrap();
        faces.iter().map(|face| face.id.get()).collect::<Vec<_>>()
    };
    assert_eq!(found(ours(), &["an"], 99).await, [1, 2, 4, 10, 11]);
    assert_eq!(found(ours(), &["an", "An"], 99).await, [1, 2, 4, 10, 11, 12]);
    assert_eq!(found(ours(), &["and"], 99).await, [2]);
    assert_eq!(found(ours(), &["annabel"], 99).await, [0; 0]);
    assert_eq!(found(ours(), &["an"], 2).await.len(), 2);
    assert_eq!(found(theirs(), &["an"], 99).await, [0; 0]);
    bench
}
