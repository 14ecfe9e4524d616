//! Tenants never meet: another one's thing behaves exactly like a thing that does not exist, in every method.

use std::sync::Arc;

use likeness_domain::access::{Limits, TenantUsage};
use likeness_domain::filter::Filter;
use likeness_domain::ports::{Change, CommitPage, FaceScope, FaceSelector, GalleryChange};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceOwner, FacePatch, FieldValue, NewFace, NewTransientFace, PersonPatch, Secret, Tenant,
    TenantId, TenantName, TimestampMs,
};
use likeness_domain::{Kind, Result};

use super::jobs::{at, job, job_id};
use super::samples::*;
use super::uploads::{ROOM, picture, upload_name};
use super::{Bench, EVERYTHING, refused};
use crate::wait::wait_for;

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
    let patch = PersonPatch { name: Some(note("x")), ..PersonPatch::default() };
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
            bench.store.create_person(by(tenant), person("anna"), vec![face_set("staff")], sets_max(1)).await.unwrap();
        bench
            .store
            .add_faces(by(tenant), FaceOwner::Person(anna.id), vec![known_as(number, "x")], owner_faces_max(1))
            .await
            .unwrap();
        let faces = vec![NewFace { subject: Some(subject("anna")), ..known_as(number + 10, "x") }];
        bench.store.add_faces(by(tenant), FaceOwner::FaceSet(sets[0].id), faces, owner_faces_max(2)).await.unwrap();
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

/// Sets, persons, and the faces that they own, each once; what is deleted counts no more at once.
pub async fn what_a_tenant_has_is_counted(bench: Bench) -> Bench {
    let store = &bench.store;
    let check = async |n_face_sets, n_faces, n_persons| {
        assert_eq!(store.usage(ours()).await.unwrap(), TenantUsage { n_face_sets, n_faces, n_persons });
        assert_eq!(store.usage(theirs()).await.unwrap(), TenantUsage { n_face_sets: 1, n_faces: 1, n_persons: 0 });
    };
    let other = store.create_face_set(by(theirs()), face_set("other"), None).await.unwrap();
    store.add_faces(by(theirs()), FaceOwner::FaceSet(other.id), vec![face(99)], None).await.unwrap();
    check(0, 0, 0).await;
    let staff = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    store.add_faces(by(ours()), FaceOwner::FaceSet(staff.id), vec![face(1), face(2)], None).await.unwrap();
    check(1, 2, 0).await;
    let join = vec![face_set("staff"), face_set("guests")];
    let (anna, _) = store.create_person(by(ours()), person("anna"), join, None).await.unwrap();
    store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(3)], None).await.unwrap();
    check(2, 3, 1).await;
    let scope = FaceScope::FaceSet(staff.id);
    store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(1)])).await.unwrap();
    check(2, 2, 1).await;
    store.keep_faces(by(ours()), vec![held(7)], 10).await.unwrap();
    store.enrol_transient_face(by(ours()), staff.id, face_id(7), face_id(70), held(7).created_at, None).await.unwrap();
    check(2, 3, 1).await;
    store.delete_face_set(by(ours()), staff.id, false).await.unwrap();
    check(1, 1, 1).await;
    store.delete_person(by(ours()), anna.id).await.unwrap();
    check(0, 0, 0).await;
    bench
}

/// Its keys, sets, persons, faces, kept faces, uploads and jobs; nothing of another tenant. The name is free, and nothing is
/// written for it any more.
pub async fn a_deleted_tenant_is_gone_with_everything(bench: Bench) -> Bench {
    let (store, credentials) = (&bench.store, &bench.credentials);
    let key_id = |tenant: TenantId| AccessKeyId::new(&format!("key-{tenant}")).unwrap();
    let mut sets = Vec::new();
    for (tenant, tenant_name, base) in [(ours(), "acme", 0), (theirs(), "other", 100)] {
        let made = Tenant::new(tenant, TenantName::new(tenant_name).unwrap(), TimestampMs(1));
        let made = credentials.ensure_tenant(by(tenant), made).await.unwrap();
        let key = AccessKey::new(key_id(tenant), Secret::new("hush").unwrap(), made, TimestampMs(1));
        credentials.add_key(by(tenant), key).await.unwrap();
        let set = store.create_face_set(by(tenant), face_set("staff"), None).await.unwrap();
        store.add_faces(by(tenant), FaceOwner::FaceSet(set.id), vec![face(base + 1)], None).await.unwrap();
        let (anna, _) = store.create_person(by(tenant), person("anna"), vec![face_set("staff")], None).await.unwrap();
        store.add_faces(by(tenant), FaceOwner::Person(anna.id), vec![face(base + 2)], None).await.unwrap();
        store.keep_faces(by(tenant), vec![held(base + 3)], 10).await.unwrap();
        bench.pictures.put_upload(tenant, picture("a", "bytes"), ROOM, at(0)).await.unwrap();
        bench.jobs.enqueue(vec![likeness_domain::ports::NewJob { tenant, ..job(base + 4) }], 10).await.unwrap();
        sets.push(set);
    }
    let before = store.report(false).await.unwrap().revision;
    assert!(store.delete_tenant(by(ours())).await.unwrap());

    for (tenant, base, n_left) in [(ours(), 0, 0), (theirs(), 100, 1)] {
        assert_eq!(credentials.keys(tenant).await.unwrap().len(), n_left);
        assert_eq!(credentials.key(key_id(tenant)).await.unwrap().is_some(), n_left == 1);
        assert_eq!(store.face_sets(tenant).await.unwrap().len(), n_left);
        // Rows of persons, kept faces, uploads and jobs may be erased a little later.
        for _ in 0..500 {
            let person = store.person(tenant, key("anna")).await.unwrap();
            let kept = store.held_face(tenant, face_id(base + 3), held(3).created_at).await.unwrap();
            let upload = bench.pictures.picture(tenant, upload_name("a"), at(0)).await.unwrap();
            let job = bench.jobs.job(tenant, job_id(base + 4), at(0)).await.unwrap();
            let there = [person.is_some(), kept.is_some(), upload.is_some(), job.is_some()];
            if there == [n_left == 1; 4] {
                break;
            }
            assert_eq!(n_left, 0, "of the other tenant everything stays: {there:?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(store.person(tenant, key("anna")).await.unwrap().is_some(), n_left == 1);
        assert_eq!(bench.jobs.job(tenant, job_id(base + 4), at(0)).await.unwrap().is_some(), n_left == 1);
    }
    let names: Vec<_> =
        credentials.tenants().await.unwrap().into_iter().map(|tenant| tenant.name.to_string()).collect();
    assert_eq!(names, ["other"]);
    let CommitPage::Commits { commits, .. } = store.changes_after(before, 10).await.unwrap() else {
        panic!("compacted")
    };
    let [Change::Gallery(GalleryChange::Close { face_set: closed }), Change::TenantDeleted(tenant)] =
        commits[0].changes[..]
    else {
        panic!("{:?}", commits[0].changes)
    };
    assert_eq!((closed, tenant, &commits[0].actor), (sets[0].id, ours(), &by(ours())));
    assert!(bench.index.rows(sets[0].id).is_empty());

    refused(store.create_face_set(by(ours()), face_set("late"), None).await, Kind::Forbidden);
    refused(bench.pictures.put_upload(ours(), picture("b", "bytes"), ROOM, at(0)).await, Kind::Forbidden);
    refused(bench.jobs.enqueue(vec![job(9)], 10).await, Kind::Forbidden);
    refused(store.delete_tenant(by(ours())).await, Kind::Forbidden);
    let fresh = TenantId::from_bits(0x0c);
    assert!(!store.delete_tenant(by(fresh)).await.unwrap(), "there is no such tenant");
    let again = Tenant::new(fresh, TenantName::new("acme").unwrap(), TimestampMs(2));
    assert_eq!(credentials.ensure_tenant(by(fresh), again).await.unwrap().id, fresh, "the name is free");
    bench
}

/// Sixteen threads enrol, make persons and enrol held faces at the same time: exactly as many as there is room for.
pub async fn limits_hold_however_many_come_at_once(bench: Bench) -> Bench {
    const N_THREADS: u64 = 16;
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let held: Vec<NewTransientFace> = (0..N_THREADS).map(|number| held(1000 + number)).collect();
    let held = bench.store.keep_faces(by(ours()), held, N_THREADS).await.unwrap();
    let limits = |faces_max| Some(Limits { faces_max: Some(faces_max), persons_max: Some(5), ..Limits::NONE });
    let (owner, now) = (FaceOwner::FaceSet(set.id), held[0].created_at);
    let store = &*bench.store;
    let write = &|thread: u64| {
        let held = held[thread as usize].id;
        let faces = (0..4).map(|part| {
            let faces = vec![face(1 + thread * 10 + 2 * part), face(2 + thread * 10 + 2 * part)];
            wait_for(store.add_faces(by(ours()), owner, faces, limits(61))).map(|faces| faces.len())
        });
        let n_added: usize = faces.map(|added| allowed(added, Kind::CapacityExceeded).unwrap_or(0)).sum();
        let kept = store.enrol_transient_face(by(ours()), set.id, held, face_id(2000 + thread), now, limits(61));
        let kept = allowed(wait_for(kept), Kind::CapacityExceeded).is_some();
        let new = person(&format!("person-{thread}"));
        let made = wait_for(store.create_person(by(ours()), new, Vec::new(), limits(61)));
        (n_added + usize::from(kept), u64::from(allowed(made, Kind::TooManyPersons).is_some()))
    };
    let done: Vec<(usize, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..N_THREADS).map(|thread| scope.spawn(move || write(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no write panics")).collect()
    });
    let usage = bench.store.usage(ours()).await.unwrap();
    let (n_faces, n_persons) = done.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!((usage.n_faces, usage.n_persons), (n_faces as u64, n_persons), "what was acknowledged is there");
    // Pairs leave one place free, which only a held face can take; so it is 60 or 61, and never more.
    assert!((60..=61).contains(&n_faces), "{n_faces} faces");
    assert_eq!(n_persons, 5);
    let one_more = bench.store.add_faces(by(ours()), owner, vec![face(999)], limits(n_faces as u64)).await;
    refused(one_more, Kind::CapacityExceeded);
    bench
}

/// What a write gave, or `None` if it was refused for that reason; any other refusal fails the test.
fn allowed<T>(answer: Result<T>, reason: Kind) -> Option<T> {
    match answer {
        Ok(given) => Some(given),
        Err(error) if error.kind() == reason => None,
        Err(error) => panic!("{error}"),
    }
}

/// Joining shows faces, too.
pub async fn joining_keeps_within_the_limit_on_faces_of_a_set(bench: Bench) -> Bench {
    let limits = |most| Some(Limits { face_set_faces_max: Some(most), ..Limits::NONE });
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(1)], limits(3)).await.unwrap();
    let (anna, _) = bench.store.create_person(by(ours()), person("anna"), Vec::new(), None).await.unwrap();
    let faces = vec![face(2), face(3)];
    bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), faces, limits(3)).await.unwrap();
    for (sets, most) in [(vec!["staff"], 2), (vec!["new"], 1), (vec!["new", "staff"], 2)] {
        let join = sets.into_iter().map(face_set).collect();
        let joined = bench.store.join_face_sets(by(ours()), anna.id, join, limits(most)).await;
        refused(joined, Kind::CapacityExceeded);
    }
    assert!(bench.store.face_sets_of(ours(), anna.id).await.unwrap().is_empty());
    let join = vec![face_set("new"), face_set("staff")];
    bench.store.join_face_sets(by(ours()), anna.id, join, limits(3)).await.unwrap();
    let one_more = bench.store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(4)], limits(3)).await;
    refused(one_more, Kind::CapacityExceeded);
    bench
}
