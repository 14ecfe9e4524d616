//! Templates: rows of their own, several packs a face.

use likeness_domain::Kind;
use likeness_domain::ports::{FaceScope, FaceSelector, TemplatePage};
use likeness_domain::types::{FaceId, FaceOwner, FaceSetId, NewFaceSet, PersonId, Template};

use super::samples::*;
use super::{Bench, refused};

async fn set(bench: &Bench, name: &str, pack: &str) -> FaceSetId {
    let new = NewFaceSet { pack: pack_named(pack), ..face_set(name) };
    bench.store.create_face_set(by(ours()), new, None).await.unwrap().id
}

/// A person with faces of the usual pack, in two sets: `staff` of that pack, `new` of `other-1`.
async fn anna(bench: &Bench, faces: &[u64]) -> (PersonId, FaceSetId, FaceSetId) {
    let (staff, new) = (set(bench, "staff", "sample-1").await, set(bench, "new", "other-1").await);
    let join = vec![face_set("staff"), face_set("new")];
    let (anna, _) = bench.store.create_person(by(ours()), person("anna"), join, None).await.unwrap();
    let faces = faces.iter().map(|&number| face(number)).collect();
    bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), faces, None).await.unwrap();
    (anna.id, staff, new)
}

fn other(number: u64) -> (FaceId, Template) {
    (face_id(number), template_of_pack(number + 100, pack_named("other-1")))
}

/// In the order asked for, each once; nothing of another scope, tenant or pack.
pub async fn templates_are_read_by_id_in_their_scope(bench: Bench) -> Bench {
    let (staff, guests) = (set(&bench, "staff", "sample-1").await, set(&bench, "guests", "sample-1").await);
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff), vec![face(1), face(2)], None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(guests), vec![face(3)], None).await.unwrap();
    let ids = || [3, 2, 9, 1, 2].map(face_id).to_vec();
    let expected =
        |numbers: &[u64]| numbers.iter().map(|&number| (face_id(number), template(number))).collect::<Vec<_>>();
    let scope = Some(FaceScope::FaceSet(staff));
    assert_eq!(bench.store.templates(ours(), scope, ids(), pack()).await.unwrap(), expected(&[2, 1]));
    assert_eq!(bench.store.templates(ours(), None, ids(), pack()).await.unwrap(), expected(&[3, 2, 1]));
    assert_eq!(bench.store.templates(ours(), None, ids(), pack_named("other-1")).await.unwrap(), []);
    assert_eq!(bench.store.templates(theirs(), scope, ids(), pack()).await.unwrap(), []);
    assert_eq!(bench.store.templates(theirs(), None, ids(), pack()).await.unwrap(), []);
    bench
}

/// Every face of the gallery is met once, those of member persons as well, whatever is enrolled or deleted between two
/// stretches; nothing of another set, tenant or pack is.
pub async fn a_gallery_is_read_with_templates_in_stretches(bench: Bench) -> Bench {
    let (_, staff, new) = anna(&bench, &[1, 2]).await;
    let own = [3, 4, 5].map(face).to_vec();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff), own, None).await.unwrap();
    let numbers = |page: &TemplatePage| -> Vec<u64> {
        page.faces.iter().for_each(|(face, found)| assert_eq!(*found, template(face.id.get())));
        page.faces.iter().map(|(face, _)| face.id.get()).collect()
    };
    let first = bench.store.faces_with_templates(ours(), staff, 0, 2).await.unwrap();
    assert_eq!((numbers(&first), first.n_damaged), (vec![1, 2], 0));
    let selector = FaceSelector::Ids(vec![face_id(1), face_id(3)]);
    bench.store.delete_faces(by(ours()), FaceScope::FaceSet(staff), selector).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff), vec![face(6)], None).await.unwrap();
    let second = bench.store.faces_with_templates(ours(), staff, first.next.unwrap(), 2).await.unwrap();
    assert_eq!(numbers(&second), [4, 5]);
    let third = bench.store.faces_with_templates(ours(), staff, second.next.unwrap(), 2).await.unwrap();
    assert_eq!((numbers(&third), third.next), (vec![6], None));
    let all = bench.store.faces_with_templates(ours(), staff, 0, 4).await.unwrap();
    assert_eq!((numbers(&all), all.next), (vec![2, 4, 5, 6], None), "a full page can be the last");
    let nothing = |page: TemplatePage| page.faces.is_empty() && page.n_damaged == 0 && page.next.is_none();
    assert!(nothing(bench.store.faces_with_templates(ours(), new, 0, 9).await.unwrap()), "no template of its pack");
    assert!(nothing(bench.store.faces_with_templates(theirs(), staff, 0, 9).await.unwrap()));
    assert!(nothing(bench.store.faces_with_templates(ours(), staff, u64::MAX, 9).await.unwrap()));
    bench.store.delete_face_set(by(ours()), staff, false).await.unwrap();
    assert!(nothing(bench.store.faces_with_templates(ours(), staff, 0, 9).await.unwrap()));
    bench
}

/// Each pack is read by itself, and all of them go with the face.
pub async fn a_face_has_templates_of_several_packs(bench: Bench) -> Bench {
    let staff = set(&bench, "staff", "sample-1").await;
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff), vec![face(1), face(2)], None).await.unwrap();
    bench.store.put_templates(by(ours()), vec![other(1)]).await.unwrap();
    let ids = || [1, 2].map(face_id).to_vec();
    let scope = Some(FaceScope::FaceSet(staff));
    assert_eq!(bench.store.templates(ours(), scope, ids(), pack_named("other-1")).await.unwrap(), [other(1)]);
    let first = bench.store.templates(ours(), scope, ids(), pack()).await.unwrap();
    assert_eq!(first, [1, 2].map(|number| (face_id(number), template(number))));
    let faces = bench.store.faces(ours(), FaceScope::FaceSet(staff), ids()).await.unwrap();
    assert!(faces.iter().all(|face| face.pack == pack()), "the pack it was enrolled with stays");
    let selector = FaceSelector::Ids(vec![face_id(1)]);
    bench.store.delete_faces(by(ours()), FaceScope::FaceSet(staff), selector).await.unwrap();
    assert_eq!(bench.store.templates(ours(), None, ids(), pack_named("other-1")).await.unwrap(), []);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// A person's face is found in a set of another pack as soon as it has a template of that pack, with everything that
/// follows: counts, changes of its words, leaving.
pub async fn a_further_template_joins_the_galleries_of_its_pack(bench: Bench) -> Bench {
    let (anna, staff, new) = anna(&bench, &[1, 2]).await;
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(new)).await, []);
    bench.store.put_templates(by(ours()), vec![other(2)]).await.unwrap();
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(staff)).await, [1, 2].map(face_id));
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(new)).await, [face_id(2)]);
    assert_eq!(bench.index.rows(new)[0].entry.template, other(2).1);
    let found = bench.store.face_set_by_id(ours(), new).await.unwrap().unwrap();
    assert_eq!(found.n_faces, 1);
    let later = NewFaceSet { pack: pack_named("other-1"), ..face_set("later") };
    let sets = bench.store.join_face_sets(by(ours()), anna, vec![later], None).await.unwrap();
    assert_eq!(
        bench.ids(ours(), FaceScope::FaceSet(sets[2].id)).await,
        [face_id(2)],
        "a set joined afterwards has it too"
    );
    bench.store.leave_face_sets(by(ours()), anna, vec![name("new")]).await.unwrap();
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(new)).await, []);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    let scope = FaceScope::FaceSet(staff);
    bench.store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(2)])).await.unwrap();
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(sets[2].id)).await, []);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// In the tables and in the index; nothing of the first is left to be found.
pub async fn a_template_put_again_is_replaced(bench: Bench) -> Bench {
    let staff = set(&bench, "staff", "sample-1").await;
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff), vec![face(1)], None).await.unwrap();
    bench.store.put_templates(by(ours()), vec![(face_id(1), template(5))]).await.unwrap();
    let found = bench.store.templates(ours(), None, vec![face_id(1)], pack()).await.unwrap();
    assert_eq!(found, [(face_id(1), template(5))]);
    assert_eq!(bench.index.rows(staff)[0].entry.template, template(5));
    bench
}

/// One that cannot be put, and none is.
pub async fn templates_are_put_all_or_none(bench: Bench) -> Bench {
    let (_, staff, new) = anna(&bench, &[1, 2]).await;
    let none_was_put =
        async || bench.store.templates(ours(), None, vec![face_id(1)], pack_named("other-1")).await.unwrap();
    refused(bench.store.put_templates(by(ours()), vec![other(1), other(9)]).await, Kind::FaceNotFound);
    assert_eq!(none_was_put().await, []);
    refused(bench.store.put_templates(by(theirs()), vec![other(1)]).await, Kind::FaceNotFound);
    assert_eq!(none_was_put().await, []);
    let small = NewFaceSet { pack: pack_named("other-1"), ..small_face_set("small", 1) };
    let persons = bench.store.members(ours(), staff, super::EVERYTHING).await.unwrap().0;
    bench.store.join_face_sets(by(ours()), persons[0].id, vec![small], None).await.unwrap();
    refused(bench.store.put_templates(by(ours()), vec![other(1), other(2)]).await, Kind::CapacityExceeded);
    let full_and_missing = vec![other(1), other(2), other(9)];
    refused(bench.store.put_templates(by(ours()), full_and_missing).await, Kind::FaceNotFound);
    assert_eq!(none_was_put().await, []);
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(new)).await, []);
    bench.store.put_templates(by(ours()), vec![other(2)]).await.unwrap();
    assert_eq!(bench.ids(ours(), FaceScope::FaceSet(new)).await, [face_id(2)]);
    bench
}

/// Of a set's own face that set; of a person's those that can compare it.
pub async fn galleries_that_show_faces_are_told(bench: Bench) -> Bench {
    let (anna, staff, new) = anna(&bench, &[1]).await;
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(staff), vec![face(2)], None).await.unwrap();
    let showing = async |numbers: &[u64]| {
        let ids = numbers.iter().map(|&number| face_id(number)).collect();
        let sets = bench.store.face_sets_showing(ours(), ids).await.unwrap();
        sets.into_iter().map(|set| set.id).collect::<Vec<_>>()
    };
    assert_eq!(showing(&[1]).await, [staff]);
    bench.store.put_templates(by(ours()), vec![other(1)]).await.unwrap();
    assert_eq!(showing(&[1]).await, [staff, new]);
    assert_eq!(showing(&[2, 1, 9]).await, [staff, new]);
    assert_eq!(bench.store.face_sets_showing(theirs(), vec![face_id(1)]).await.unwrap().len(), 0);
    bench.store.delete_person(by(ours()), anna).await.unwrap();
    assert_eq!(showing(&[1]).await, []);
    bench
}
