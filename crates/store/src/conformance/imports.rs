//! What imports of archives ask for: faces of several owners and persons by the dozen, each time as one commit.

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, CommitPage, FaceScope, GalleryChange, OwnersId, PersonSummary};
use likeness_domain::types::{FaceOwner, FaceSetId, NewFace, NewPerson, Person, PersonId, Revision};

use super::samples::*;
use super::{Bench, EVERYTHING, refused};

/// What each commit after that one has changed: `p` a face shown, `n` a person, `.` anything else.
async fn commits_after(bench: &Bench, revision: Revision) -> Vec<String> {
    let CommitPage::Commits { commits, .. } = bench.store.changes_after(revision, usize::MAX).await.unwrap() else {
        panic!("a young store has all commits")
    };
    let letter = |change: &Change| match change {
        Change::Gallery(GalleryChange::Put { .. }) => 'p',
        Change::PersonChanged(_) => 'n',
        _ => '.',
    };
    commits.into_iter().map(|commit| commit.changes.iter().map(letter).collect()).collect()
}

async fn revision(bench: &Bench) -> Revision {
    bench.store.report(false).await.unwrap().revision
}

async fn faces_of(bench: &Bench, scope: FaceScope) -> Vec<u64> {
    bench.ids(ours(), scope).await.into_iter().map(|id| id.get()).collect()
}

async fn member(bench: &Bench, text: &str, numbers: &[u64], set: &str) -> Person {
    let (person, _) = bench.store.create_person(by(ours()), person(text), vec![face_set(set)], None).await.unwrap();
    let faces = numbers.iter().map(|&number| face(number)).collect();
    bench.store.add_faces(by(ours()), FaceOwner::Person(person.id), faces, None).await.unwrap();
    person
}

/// In the order given, whoever owns them.
pub async fn faces_of_several_owners_are_one_commit(bench: Bench) -> Bench {
    let staff = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let anna = member(&bench, "anna", &[10], "staff").await;
    let bert = member(&bench, "bert", &[], "staff").await;
    bench.store.join_face_sets(by(ours()), bert.id, vec![face_set("guests")], None).await.unwrap();
    let before = revision(&bench).await;
    let (set, anna, bert) = (FaceOwner::FaceSet(staff.id), FaceOwner::Person(anna.id), FaceOwner::Person(bert.id));
    let faces = vec![
        (bert, vec![known_as(1, "x"), face(2)]),
        (set, vec![known_as(3, "x")]),
        (anna, vec![known_as(4, "x")]),
        (bert, vec![face(5)]),
        (set, vec![]),
        (set, vec![face(6), face(2)]),
    ];
    let added = bench.store.add_faces_of(by(ours()), faces, None).await.unwrap();
    let told: Vec<_> = added.iter().map(|face| (face.owner, face.id.get())).collect();
    assert_eq!(told, [(bert, 1), (bert, 2), (set, 3), (anna, 4), (bert, 5), (set, 6), (set, 7)]);
    // Those of bert are shown by two sets.
    assert_eq!(commits_after(&bench, before).await, ["pppppppppp"]);
    assert_eq!(faces_of(&bench, FaceScope::FaceSet(staff.id)).await, [10, 1, 2, 3, 4, 5, 6, 7]);
    let guests = bench.store.face_set(ours(), name("guests")).await.unwrap().unwrap();
    assert_eq!(guests.n_faces, 3);
    for (owner, ids) in [(anna, &[10, 4][..]), (bert, &[1, 2, 5])] {
        let FaceOwner::Person(person) = owner else { unreachable!("a person") };
        assert_eq!(faces_of(&bench, FaceScope::Person(person)).await, ids);
        assert_eq!(bench.store.n_faces_of_person(ours(), person).await.unwrap(), ids.len() as u64);
    }
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    assert!(bench.store.add_faces_of(by(ours()), vec![], None).await.unwrap().is_empty());
    bench
}

/// None of them is enrolled, and nothing is counted.
pub async fn faces_of_several_owners_are_refused_together(bench: Bench) -> Bench {
    let small = bench.store.create_face_set(by(ours()), small_face_set("small", 3), None).await.unwrap();
    let anna = member(&bench, "anna", &[1], "small").await;
    let bert = member(&bench, "bert", &[], "small").await;
    let (set, anna, bert) = (FaceOwner::FaceSet(small.id), FaceOwner::Person(anna.id), FaceOwner::Person(bert.id));
    let nobody = FaceOwner::Person(PersonId::new(3).unwrap());
    let no_set = FaceOwner::FaceSet(FaceSetId::new(3).unwrap());
    let foreign = NewFace { template: template_of_pack(5, pack_named("other-1")), ..face(5) };
    let faces_max = |most| Some(Limits { faces_max: Some(most), ..Limits::NONE });
    let person_max = |most| Some(Limits { person_faces_max: Some(most), ..Limits::NONE });
    let set_max = |most| Some(Limits { face_set_faces_max: Some(most), ..Limits::NONE });
    let before = revision(&bench).await;
    for (faces, limits, kind) in [
        (vec![(bert, vec![face(2)]), (nobody, vec![face(3)])], None, Kind::PersonNotFound),
        (vec![(bert, vec![face(2)]), (nobody, vec![])], None, Kind::PersonNotFound),
        (vec![(bert, vec![face(2)]), (no_set, vec![face(3)])], None, Kind::FaceSetNotFound),
        (vec![(bert, vec![face(2)]), (set, vec![foreign.clone()])], None, Kind::InvalidArgument),
        // One each, and the set has room for two.
        (vec![(bert, vec![face(2)]), (set, vec![face(3)]), (anna, vec![face(4)])], None, Kind::CapacityExceeded),
        (vec![(bert, vec![face(2)]), (anna, vec![face(3)])], set_max(2), Kind::CapacityExceeded),
        (vec![(bert, vec![face(2)]), (anna, vec![face(3)])], faces_max(2), Kind::CapacityExceeded),
        // In two parts.
        (vec![(bert, vec![face(2)]), (set, vec![]), (bert, vec![face(3)])], person_max(1), Kind::CapacityExceeded),
        (vec![(bert, vec![known_as(2, "x")]), (bert, vec![known_as(3, "x")])], None, Kind::FaceExists),
    ] {
        refused(bench.store.add_faces_of(by(ours()), faces, limits).await, kind);
    }
    assert_eq!(commits_after(&bench, before).await, [] as [String; 0]);
    // A face of another pack is shown by no set, so it takes no room there.
    let faces = vec![(bert, vec![known_as(2, "x"), foreign.clone()]), (anna, vec![known_as(3, "x")])];
    bench.store.add_faces_of(by(ours()), faces, faces_max(4)).await.unwrap();
    let again = vec![(set, vec![]), (bert, vec![NewFace { external_id: Some(external_id("x")), ..foreign }])];
    refused(bench.store.add_faces_of(by(ours()), again, None).await, Kind::FaceExists);
    assert_eq!(faces_of(&bench, FaceScope::FaceSet(small.id)).await, [1, 2, 3]);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// Persons by key: new ones, known ones that bring their faces, members.
pub async fn persons_become_members_together(bench: Bench) -> Bench {
    let staff = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let (anna, bert) = (member(&bench, "anna", &[1, 2], "guests").await, member(&bench, "bert", &[3], "staff").await);
    let other = bench.store.create_person(by(ours()), person("zoe"), vec![], None).await.unwrap().0;
    let before = revision(&bench).await;
    let named = |text: &str| NewPerson { name: Some(note("N")), note: Some(note("a\nb")), ..person(text) };
    let used_id = NewPerson { id: other.id, ..person("dora") };
    let asked = vec![named("carl"), named("anna"), named("bert"), used_id, NewPerson { name: None, ..named("carl") }];
    let made = bench.store.make_members(by(ours()), staff.id, asked, None).await.unwrap();
    let keys: Vec<&str> = made.iter().map(|person| person.key.as_str()).collect();
    assert_eq!(keys, ["carl", "anna", "bert", "dora"]);
    assert_eq!((made[1].id, made[2].id), (anna.id, bert.id));
    assert_eq!(made[3].id.get(), other.id.get() + 1);
    // Persons that are there stay as they are.
    let carl = bench.store.person(ours(), key("carl")).await.unwrap().unwrap();
    assert_eq!(
        (&carl.name, &carl.note, carl.created_at),
        (&Some(note("N")), &Some(note("a\nb")), named("x").created_at)
    );
    assert_eq!(bench.store.person(ours(), key("anna")).await.unwrap().unwrap().name, None);
    let mut changes = commits_after(&bench, before).await.concat().into_bytes();
    changes.sort_unstable();
    assert_eq!(String::from_utf8(changes).unwrap(), "nnnpp");
    assert_eq!(commits_after(&bench, before).await.len(), 1);
    let (members, _) = bench.store.members(ours(), staff.id, EVERYTHING).await.unwrap();
    let members: Vec<&str> = members.iter().map(|person| person.key.as_str()).collect();
    assert_eq!(members, ["bert", "carl", "anna", "dora"]);
    assert_eq!(faces_of(&bench, FaceScope::FaceSet(staff.id)).await, [1, 2, 3]);
    // Once more there is nothing to do.
    let again = bench.store.make_members(by(ours()), staff.id, vec![named("anna"), named("carl")], None).await.unwrap();
    assert_eq!(again.iter().map(|person| person.id).collect::<Vec<_>>(), [anna.id, carl.id]);
    assert_eq!(commits_after(&bench, before).await.len(), 1);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// Nobody is made, and nobody joins.
pub async fn persons_that_cannot_all_be_members_stay(bench: Bench) -> Bench {
    let small = bench.store.create_face_set(by(ours()), small_face_set("small", 3), None).await.unwrap();
    member(&bench, "anna", &[1, 2], "guests").await;
    member(&bench, "bert", &[3, 4], "guests").await;
    let persons_max = |most| Some(Limits { persons_max: Some(most), ..Limits::NONE });
    let all = |names: &[&str]| names.iter().map(|text| person(text)).collect::<Vec<_>>();
    let before = revision(&bench).await;
    let no_set = FaceSetId::new(3).unwrap();
    for (set, persons, limits, kind) in [
        (no_set, all(&["carl"]), None, Kind::FaceSetNotFound),
        (small.id, all(&["carl", "dora"]), persons_max(3), Kind::TooManyPersons),
        (small.id, all(&["carl", "anna", "bert"]), None, Kind::CapacityExceeded),
        (small.id, all(&["carl", "anna"]), owner_faces_max(1), Kind::CapacityExceeded),
    ] {
        refused(bench.store.make_members(by(ours()), set, persons, limits).await, kind);
    }
    assert_eq!(commits_after(&bench, before).await, [] as [String; 0]);
    assert!(bench.store.person(ours(), key("carl")).await.unwrap().is_none());
    assert_eq!(bench.store.members(ours(), small.id, EVERYTHING).await.unwrap().1, 0);
    // Persons that are there take no more room among persons.
    bench.store.make_members(by(ours()), small.id, all(&["carl", "anna"]), persons_max(3)).await.unwrap();
    assert_eq!(faces_of(&bench, FaceScope::FaceSet(small.id)).await, [1, 2]);
    assert_eq!(bench.store.report(true).await.unwrap().problems, [] as [String; 0]);
    bench
}

/// By their keys, with what is asked of each: whether it is a member, and who has an external id.
pub async fn many_persons_are_looked_up_together(bench: Bench) -> Bench {
    let staff = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let (anna, bert) = (member(&bench, "anna", &[1, 2], "guests").await, member(&bench, "bert", &[], "staff").await);
    let keys = ["bert", "none", "anna", "bert", "Anna"].map(key).to_vec();
    let found = bench.store.persons_named(ours(), keys.clone(), staff.id).await.unwrap();
    let told =
        |(PersonSummary { person, n_faces }, is_member): &(PersonSummary, bool)| (person.id, *n_faces, *is_member);
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), [(bert.id, 0, true), (anna.id, 2, false)]);
    assert!(bench.store.persons_named(theirs(), keys, staff.id).await.unwrap().is_empty());
    let (set, anna, bert) = (FaceOwner::FaceSet(staff.id), FaceOwner::Person(anna.id), FaceOwner::Person(bert.id));
    let faces = vec![(set, vec![known_as(3, "x")]), (anna, vec![known_as(4, "x"), known_as(5, "y")])];
    bench.store.add_faces_of(by(ours()), faces, None).await.unwrap();
    let nobody = FaceOwner::Person(PersonId::new(3).unwrap());
    let ids = |asked: &[(FaceOwner, &str)]| -> Vec<OwnersId> {
        asked.iter().map(|(owner, id)| (*owner, external_id(id))).collect()
    };
    let asked = ids(&[(anna, "y"), (set, "y"), (bert, "x"), (nobody, "x"), (set, "x"), (anna, "x"), (anna, "y")]);
    let used = bench.store.external_ids_of(ours(), asked.clone()).await.unwrap();
    let expected = ids(&[(anna, "y"), (set, "x"), (anna, "x")]).into_iter().zip([5, 3, 4].map(face_id));
    assert_eq!(used, expected.collect::<Vec<_>>());
    assert!(bench.store.external_ids_of(theirs(), asked).await.unwrap().is_empty());
    assert!(bench.store.external_ids_of(ours(), vec![]).await.unwrap().is_empty());
    bench
}

/// A set of another tenant takes no members, and its persons are not those of the same key.
pub async fn imports_reach_no_other_tenant(bench: Bench) -> Bench {
    let staff = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let anna = member(&bench, "anna", &[1], "staff").await;
    refused(bench.store.make_members(by(theirs()), staff.id, vec![person("carl")], None).await, Kind::FaceSetNotFound);
    let theirs_too = bench.store.create_face_set(by(theirs()), face_set("staff"), None).await.unwrap();
    let made = bench.store.make_members(by(theirs()), theirs_too.id, vec![person("anna")], None).await.unwrap();
    assert_ne!(made[0].id, anna.id);
    let their = FaceOwner::Person(made[0].id);
    for (owner, kind) in
        [(FaceOwner::Person(anna.id), Kind::PersonNotFound), (FaceOwner::FaceSet(staff.id), Kind::FaceSetNotFound)]
    {
        let faces = vec![(their, vec![face(2)]), (owner, vec![face(3)])];
        refused(bench.store.add_faces_of(by(theirs()), faces, None).await, kind);
    }
    assert_eq!(bench.store.face_set(theirs(), name("staff")).await.unwrap().unwrap().n_faces, 0);
    assert_eq!(bench.store.members(ours(), staff.id, EVERYTHING).await.unwrap().1, 1);
    bench
}
