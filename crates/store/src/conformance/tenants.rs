//! Tenants never meet: another one's thing behaves exactly like a thing that does not exist, in every method.

use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{FaceScope, FaceSelector};
use likeness_domain::types::{FaceOwner, FacePatch, FieldValue, NewFace, PersonPatch, TimestampMs};

use super::samples::*;
use super::{Bench, EVERYTHING, refused};

/// Not by name, not by id, not in counts, and not to be deleted.
pub async fn sets_of_another_tenant_are_not_there(bench: Bench) -> Bench {
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(1)], None).await.unwrap();
    assert!(bench.store.face_set(theirs(), name("staff")).await.unwrap().is_none());
    assert!(bench.store.face_sets(theirs()).await.unwrap().is_empty());
    refused(bench.store.delete_face_set(by(theirs()), set.id, false).await, Kind::FaceSetNotFound);
    refused(bench.store.delete_face_set(by(theirs()), set.id, true).await, Kind::FaceSetNotFound);
    let (members, n_members) = bench.store.members(theirs(), set.id, EVERYTHING).await.unwrap();
    assert_eq!((members.len(), n_members), (0, 0));
    // The quota of one is not the other's.
    bench.store.create_face_set(by(theirs()), face_set("mine"), Some(1)).await.unwrap();
    assert_eq!(bench.store.face_set(ours(), name("staff")).await.unwrap().unwrap().n_faces, 1);
    bench
}

/// Through every scope, owner and selector.
pub async fn faces_of_another_tenant_are_not_there(bench: Bench) -> Bench {
    let (person, sets) =
        bench.store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    let owners = [FaceOwner::FaceSet(sets[0].id), FaceOwner::Person(person.id)];
    bench.store.add_faces(by(ours()), owners[0], vec![full_face(1)], None).await.unwrap();
    bench.store.add_faces(by(ours()), owners[1], vec![full_face(2)], None).await.unwrap();
    let ids = vec![face_id(1), face_id(2)];
    for scope in [FaceScope::FaceSet(sets[0].id), FaceScope::Person(person.id)] {
        assert!(bench.store.faces(theirs(), scope, ids.clone()).await.unwrap().is_empty());
        assert!(bench.ids(theirs(), scope).await.is_empty());
        let patch = FacePatch { subject: Some(subject("theirs")), ..FacePatch::default() };
        refused(bench.store.update_face(by(theirs()), scope, ids[1], patch, TimestampMs(9)).await, Kind::FaceNotFound);
        for selector in [
            FaceSelector::Ids(ids.clone()),
            FaceSelector::Subject(subject("anna")),
            FaceSelector::Field { name: field("age"), value: FieldValue::Whole(-7) },
            FaceSelector::Filter(Arc::new(Filter::Every(vec![]))),
        ] {
            assert!(bench.store.delete_faces(by(theirs()), scope, selector).await.unwrap().is_empty());
        }
    }
    refused(bench.store.add_faces(by(theirs()), owners[0], vec![face(3)], None).await, Kind::FaceSetNotFound);
    refused(bench.store.add_faces(by(theirs()), owners[1], vec![face(3)], None).await, Kind::PersonNotFound);
    for (owner, id) in owners.into_iter().zip(["photo-1", "photo-2"]) {
        assert!(bench.store.external_ids(theirs(), owner, vec![external_id(id)]).await.unwrap().is_empty());
    }
    // A set of their own does not show our faces, whatever it is asked.
    let own = bench.store.create_face_set(by(theirs()), face_set("staff"), None).await.unwrap();
    assert!(bench.store.faces(theirs(), FaceScope::FaceSet(own.id), ids.clone()).await.unwrap().is_empty());
    let selector = FaceSelector::Ids(ids.clone());
    assert!(bench.store.delete_faces(by(theirs()), FaceScope::FaceSet(own.id), selector).await.unwrap().is_empty());
    let selector = FaceSelector::Subject(subject("anna"));
    assert!(bench.store.delete_faces(by(theirs()), FaceScope::FaceSet(own.id), selector).await.unwrap().is_empty());
    let kept = bench.store.faces(ours(), FaceScope::FaceSet(sets[0].id), ids).await.unwrap();
    assert_eq!(
        kept.iter().map(|face| face.subject.clone()).collect::<Vec<_>>(),
        [Some(subject("anna")), Some(subject("anna"))]
    );
    bench
}

/// Not by key, not by id, not as members of sets.
pub async fn persons_of_another_tenant_are_not_there(bench: Bench) -> Bench {
    let (anna, _) = bench.store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    assert!(bench.store.person(theirs(), key("anna")).await.unwrap().is_none());
    assert!(bench.store.persons(theirs(), vec![anna.id]).await.unwrap().is_empty());
    let patch = PersonPatch { name: Some(note("x")), note: None };
    refused(bench.store.update_person(by(theirs()), anna.id, patch).await, Kind::PersonNotFound);
    refused(bench.store.delete_person(by(theirs()), anna.id).await, Kind::PersonNotFound);
    let join = vec![face_set("lure")];
    refused(bench.store.join_face_sets(by(theirs()), anna.id, join, None).await, Kind::PersonNotFound);
    assert!(bench.store.face_sets(theirs()).await.unwrap().is_empty());
    refused(bench.store.leave_face_sets(by(theirs()), anna.id, vec![name("staff")]).await, Kind::PersonNotFound);
    assert!(bench.store.face_sets_of(theirs(), anna.id).await.unwrap().is_empty());
    // Joining by name means the tenant's own set of that name, made if need be.
    let (bert, sets) =
        bench.store.create_person(by(theirs()), person("bert"), vec![face_set("staff")], None).await.unwrap();
    assert_eq!(sets[0].tenant, theirs());
    bench.store.leave_face_sets(by(theirs()), bert.id, vec![name("staff")]).await.unwrap();
    assert_eq!(bench.store.face_sets_of(ours(), anna.id).await.unwrap().len(), 1);
    assert_eq!(bench.store.person(ours(), key("anna")).await.unwrap().unwrap().name, None);
    bench
}

/// Names, keys, external ids and labels are each tenant's own.
pub async fn two_tenants_may_use_the_same_words(bench: Bench) -> Bench {
    for (tenant, number) in [(ours(), 1), (theirs(), 2)] {
        let (anna, sets) =
            bench.store.create_person(by(tenant), person("anna"), vec![face_set("staff")], Some(1)).await.unwrap();
        bench
            .store
            .add_faces(by(tenant), FaceOwner::Person(anna.id), vec![known_as(number, "x")], Some(1))
            .await
            .unwrap();
        let faces = vec![NewFace { subject: Some(subject("anna")), ..known_as(number + 10, "x") }];
        bench.store.add_faces(by(tenant), FaceOwner::FaceSet(sets[0].id), faces, Some(1)).await.unwrap();
    }
    let set = bench.store.face_set(theirs(), name("staff")).await.unwrap().unwrap();
    assert_eq!((set.n_faces, set.face_set.tenant), (2, theirs()));
    let scope = FaceScope::FaceSet(set.face_set.id);
    let deleted = bench.store.delete_faces(by(theirs()), scope, FaceSelector::Subject(subject("anna"))).await.unwrap();
    assert_eq!(deleted, [face_id(12)]);
    bench
        .store
        .delete_person(by(theirs()), bench.store.person(theirs(), key("anna")).await.unwrap().unwrap().id)
        .await
        .unwrap();
    assert!(bench.store.face_set(theirs(), name("staff")).await.unwrap().is_none(), "it went with its only member");
    let kept = bench.store.face_set(ours(), name("staff")).await.unwrap().unwrap();
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(kept.face_set.id)).await, [1, 11].map(face_id));
    bench
}
