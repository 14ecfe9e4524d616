//! Keys for some face sets only, and the limits of tenants.

use likeness_domain::access::FaceSetScope;
use likeness_domain::library::{
    AddPersonFaces, CreatePerson, DeleteFaces, Join, KeepFaces, PersonImage, PutUpload, SplitPerson,
};
use likeness_domain::ports::{Assess, CredentialStore, Page, UploadQuota};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceSetPatch, PersonKey, PersonPatch, Secret, Tenant, TenantName, TimestampMs, UploadName,
};

use super::*;

const ALL: Page = Page { offset: 0, limit: 100 };

/// A library with the sets `staff` and `vault`, and a key for `staff` only.
struct Two {
    fixture: Fixture,
    limited: Caller,
}

fn two() -> Two {
    let fixture = Fixture::with_staff();
    fixture.create("vault").unwrap();
    let staff = block_on(fixture.library.face_set(&fixture.caller, &name("staff"))).unwrap().face_set.id;
    let key = AccessKeyId::new("limited");
    let keys: &dyn CredentialStore = &*fixture.store;
    let tenant = Tenant::new(fixture.caller.tenant, TenantName::new("acme").unwrap(), TimestampMs(1));
    let tenant = block_on(keys.ensure_tenant(fixture.caller.actor(), tenant)).unwrap();
    let stored = AccessKey::new(key.clone().unwrap(), Secret::new("secret").unwrap(), tenant, TimestampMs(1));
    block_on(keys.add_key(fixture.caller.actor(), stored)).unwrap();
    let limited = Caller { face_sets: FaceSetScope::Only([staff].into()), key, ..fixture.caller.clone() };
    Two { fixture, limited }
}

fn key(text: &str) -> PersonKey {
    PersonKey::new(text).unwrap()
}

fn join(sets: &[&str]) -> Join {
    Join { face_sets: sets.iter().map(|set| name(set)).collect(), capacity: None }
}

fn into(set: &str, scene: &str) -> AddFaces {
    AddFaces { face_set: name(set), ..add(scene) }
}

impl Two {
    /// A person in these sets with a face of its own name, made by a key for every set.
    fn person(&self, id: &str, sets: &[&str]) {
        let (library, caller) = (&self.fixture.library, &self.fixture.caller);
        let request = CreatePerson { key: key(id), name: None, note: None, join: join(sets) };
        block_on(library.create_person(caller, request)).unwrap();
        let images = vec![PersonImage { image: image(format!("face {id} 60x60+10+10")), source: None }];
        let added = block_on(library.add_person_faces(caller, AddPersonFaces { person: key(id), images })).unwrap();
        assert!(added.faces.iter().all(|face| face.is_ok()));
    }

    /// The id of a face that is kept by this caller.
    fn kept(&self, caller: &Caller, who: &str) -> FaceId {
        let scene = image(format!("face {who} 60x60+10+10"));
        let lifetime = Duration::from_secs(3600);
        let request = KeepFaces { image: scene, place: None, pack: None, lifetime, assess: Assess::NOTHING };
        block_on(self.fixture.library.keep_faces(caller, request)).unwrap().faces[0].face.id
    }
}

#[test]
fn a_set_that_a_key_is_not_for_does_not_exist_for_it() {
    let two = two();
    let (library, limited, vault) = (&two.fixture.library, &two.limited, &name("vault"));
    let face = two.fixture.add(into("vault", "face anna 60x60+10+10")).unwrap().faces[0].id;
    let listed = block_on(library.face_sets(limited)).unwrap();
    assert_eq!(listed.iter().map(|set| set.face_set.name.as_str()).collect::<Vec<_>>(), ["staff"]);
    check_kind(block_on(library.face_set(limited, vault)), Kind::FaceSetNotFound);
    check_kind(block_on(library.known_face_set(limited, vault)), Kind::FaceSetNotFound);
    let id = block_on(library.face_set(&two.fixture.caller, vault)).unwrap().face_set.id;
    check_kind(block_on(library.face_set(limited, id)), Kind::FaceSetNotFound);
    check_kind(block_on(library.list_faces(limited, vault, ALL)), Kind::FaceSetNotFound);
    check_kind(block_on(library.face(limited, vault, face)), Kind::FaceSetNotFound);
    check_kind(block_on(library.enrolled(limited, vault, vec![])), Kind::FaceSetNotFound);
    check_kind(block_on(library.members(limited, vault, ALL)), Kind::FaceSetNotFound);
    check_kind(block_on(library.add_faces(limited, into("vault", "face b 60x60+1+1"))), Kind::FaceSetNotFound);
    check_kind(block_on(library.update_face(limited, vault, face, UpdateFace::default())), Kind::FaceSetNotFound);
    check_kind(block_on(library.delete_faces(limited, vault, DeleteFaces::Ids(vec![face]))), Kind::FaceSetNotFound);
    check_kind(block_on(library.update_face_set(limited, vault, FaceSetPatch::default())), Kind::FaceSetNotFound);
    check_kind(block_on(library.delete_face_set(limited, vault, false)), Kind::FaceSetNotFound);
    let search = Search { face_set: name("vault"), ..search("anna") };
    check_kind(block_on(library.search(limited, search)), Kind::FaceSetNotFound);
    let (faces, persons) = block_on(library.found_earlier(limited, id, vec![face])).unwrap();
    assert!(faces.is_empty() && persons.is_empty());
    let missing = check_kind(block_on(library.face_set(limited, &name("nosuch"))), Kind::FaceSetNotFound);
    let hidden = check_kind(block_on(library.face_set(limited, vault)), Kind::FaceSetNotFound);
    assert_eq!(missing.message().replace("nosuch", "vault"), hidden.message());
    assert_eq!(two.fixture.n_faces("vault"), 1);
}

#[test]
fn a_key_for_some_sets_makes_none_and_does_not_open_another_of_the_name() {
    let two = two();
    let (library, limited, owner) = (&two.fixture.library, &two.limited, &two.fixture.caller);
    check_kind(block_on(library.create_face_set(limited, create("new"))), Kind::Forbidden);
    let renamed = FaceSetPatch { name: Some(name("crew")), ..FaceSetPatch::default() };
    block_on(library.update_face_set(limited, &name("staff"), renamed)).unwrap();
    assert!(block_on(library.face_set(limited, &name("crew"))).is_ok(), "the key follows its set");
    block_on(library.delete_face_set(limited, &name("crew"), false)).unwrap();
    block_on(library.create_face_set(owner, create("crew"))).unwrap();
    check_kind(block_on(library.face_set(limited, &name("crew"))), Kind::FaceSetNotFound);
    assert!(block_on(library.face_sets(limited)).unwrap().is_empty());
}

#[test]
fn a_person_is_seen_through_its_sets() {
    let two = two();
    let (library, limited) = (&two.fixture.library, &two.limited);
    two.person("anna", &["staff"]);
    two.person("bert", &["vault"]);
    two.person("carl", &["staff", "vault"]);
    two.person("dora", &[]);
    for (id, sets) in [("anna", &["staff"][..]), ("carl", &["staff"])] {
        let (_, found) = block_on(library.person(limited, &key(id))).unwrap();
        assert_eq!(found.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), sets, "{id}");
        assert_eq!(block_on(library.list_person_faces(limited, &key(id), ALL)).unwrap().1.len(), 1);
    }
    for id in ["bert", "dora"] {
        check_kind(block_on(library.person(limited, &key(id))), Kind::PersonNotFound);
        check_kind(block_on(library.known_person(limited, &key(id))), Kind::PersonNotFound);
        check_kind(block_on(library.list_person_faces(limited, &key(id), ALL)), Kind::PersonNotFound);
        check_kind(block_on(library.update_person(limited, &key(id), PersonPatch::default())), Kind::PersonNotFound);
        check_kind(block_on(library.delete_person(limited, &key(id))), Kind::PersonNotFound);
        check_kind(block_on(library.join_face_sets(limited, &key(id), join(&["staff"]))), Kind::PersonNotFound);
        check_kind(block_on(library.leave_face_sets(limited, &key(id), vec![])), Kind::PersonNotFound);
    }
}

/// Whatever is done with the faces of a person: one in other sets only is not there, and one that another set shows, too, is
/// read, compared and looked for, but not changed.
#[test]
fn faces_of_a_person_are_as_far_away_as_its_sets() {
    let two = two();
    let (library, limited, owner) = (&two.fixture.library, &two.limited, &two.fixture.caller);
    two.person("anna", &["staff"]);
    two.person("bert", &["vault"]);
    two.person("carl", &["staff", "vault"]);
    let face_of = |id: &str| block_on(library.list_person_faces(owner, &key(id), ALL)).unwrap().1[0].id;
    let split =
        |id: &str| SplitPerson { from: key(id), faces: vec![face_of(id)], key: key("new"), name: None, note: None };
    let move_faces = |from: &str, to: &str| {
        block_on(library.move_person_faces(limited, &key(from), &key(to), vec![face_of(from)])).map(drop)
    };
    let merge = |from: &str, into: &str| block_on(library.merge_persons(limited, &key(from), &key(into))).map(drop);
    let compare = |id: &str| {
        block_on(library.compare_person(limited, image(format!("face {id} 60x60+10+10")), &key(id))).map(drop)
    };
    for (id, changes) in [("bert", Kind::PersonNotFound), ("carl", Kind::Forbidden)] {
        let face = face_of(id);
        let reads = [
            ("person_faces", block_on(library.person_faces(limited, &key(id), vec![face])).map(drop)),
            ("person_faces_from", block_on(library.person_faces_from(limited, &key(id), 0, 10)).map(drop)),
            ("compare_person", compare(id)),
            ("search", block_on(library.search(limited, search_by(Probe::Person(key(id))))).map(drop)),
        ];
        for (what, outcome) in reads {
            let kind = outcome.err().map(|error| error.kind());
            assert_eq!(kind, (id == "bert").then_some(Kind::PersonNotFound), "{what} of {id}");
        }
        let more = AddPersonFaces {
            person: key(id),
            images: vec![PersonImage { image: image("face x 60x60+10+10"), source: None }],
        };
        let writes = [
            ("add_person_faces", block_on(library.add_person_faces(limited, more)).map(drop)),
            ("delete_person_faces", block_on(library.delete_person_faces(limited, &key(id), vec![face])).map(drop)),
            ("move from", move_faces(id, "anna")),
            ("move to", move_faces("anna", id)),
            ("merge from", merge(id, "anna")),
            ("merge into", merge("anna", id)),
            ("split", block_on(library.split_person(limited, split(id))).map(drop)),
        ];
        for (what, outcome) in writes {
            assert_eq!(outcome.err().map(|error| error.kind()), Some(changes), "{what} of {id}");
        }
    }
    for id in ["anna", "bert", "carl"] {
        assert_eq!(block_on(library.list_person_faces(owner, &key(id), ALL)).unwrap().1.len(), 1, "{id}");
    }
}

#[test]
fn what_another_set_shows_too_is_not_changed() {
    let two = two();
    let (library, limited, staff) = (&two.fixture.library, &two.limited, &name("staff"));
    two.person("carl", &["staff", "vault"]);
    let (_, faces) = block_on(library.list_faces(limited, staff, ALL)).unwrap();
    let ids = vec![faces[0].id];
    check_kind(block_on(library.update_person(limited, &key("carl"), PersonPatch::default())), Kind::Forbidden);
    check_kind(block_on(library.delete_person(limited, &key("carl"))), Kind::Forbidden);
    check_kind(block_on(library.delete_person_faces(limited, &key("carl"), ids.clone())), Kind::Forbidden);
    let images = vec![PersonImage { image: image("face carl 60x60+10+10"), source: None }];
    let more = AddPersonFaces { person: key("carl"), images };
    check_kind(block_on(library.add_person_faces(limited, more)), Kind::Forbidden);
    check_kind(block_on(library.update_face(limited, staff, ids[0], UpdateFace::default())), Kind::Forbidden);
    check_kind(block_on(library.delete_faces(limited, staff, DeleteFaces::Ids(ids.clone()))), Kind::Forbidden);
    check_kind(block_on(library.remove_source_faces(limited, staff, ids.clone())), Kind::Forbidden);
    check_kind(block_on(library.label_source(limited, ids[0], Subject::new("x").unwrap())), Kind::Forbidden);
    check_kind(block_on(library.delete_source(limited, ids[0])), Kind::Forbidden);
    let by_condition = DeleteFaces::Filter(expr("subject:x"));
    check_kind(block_on(library.delete_faces(limited, staff, by_condition)), Kind::Forbidden);
    assert_eq!((two.fixture.n_faces("staff"), two.fixture.n_faces("vault")), (1, 1));

    // Leaving the key's own set is its business, the other is as if the person were not in it.
    let left = block_on(library.leave_face_sets(limited, &key("carl"), vec![name("vault"), name("staff")])).unwrap();
    assert_eq!(left.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["staff"]);
    assert_eq!((two.fixture.n_faces("staff"), two.fixture.n_faces("vault")), (0, 1));
    check_kind(block_on(library.person(limited, &key("carl"))), Kind::PersonNotFound);
}

#[test]
fn a_new_person_joins_sets_of_its_key() {
    let two = two();
    let (library, limited) = (&two.fixture.library, &two.limited);
    let make = |id: &str, sets: &[&str]| {
        let request = CreatePerson { key: key(id), name: None, note: None, join: join(sets) };
        block_on(library.create_person(limited, request))
    };
    check_kind(make("anna", &[]), Kind::Forbidden);
    check_kind(make("anna", &["staff", "vault"]), Kind::FaceSetNotFound);
    check_kind(make("anna", &["fresh"]), Kind::FaceSetNotFound);
    make("anna", &["staff"]).unwrap();
    check_kind(block_on(library.join_face_sets(limited, &key("anna"), join(&["vault"]))), Kind::FaceSetNotFound);
    // Without the grant to make sets a key for every set joins existing ones only.
    let cannot_make = &without(Grant::Manage);
    let fresh = block_on(library.join_face_sets(cannot_make, &key("anna"), join(&["fresh"])));
    check_kind(fresh, Kind::FaceSetNotFound);
    assert_eq!(block_on(library.join_face_sets(cannot_make, &key("anna"), join(&["vault"]))).unwrap().len(), 2);
    let sets = block_on(library.join_face_sets(limited, &key("anna"), join(&["staff"]))).unwrap();
    assert_eq!(sets.len(), 1, "the other set is not shown");
}

#[test]
fn a_face_found_by_another_key_or_enrolled_elsewhere_is_unknown() {
    use likeness_domain::library::TransientFaceOutcome::{Added, Unknown};
    let two = two();
    let (library, limited, owner, staff) = (&two.fixture.library, &two.limited, &two.fixture.caller, name("staff"));
    let (own, others) = (two.kept(limited, "anna"), two.kept(owner, "bert"));
    let secret = two.fixture.add(into("vault", "face carl 60x60+10+10")).unwrap().faces[0].id;
    for hidden in [others, secret] {
        check_kind(block_on(library.known_face(limited, hidden)), Kind::FaceNotFound);
        check_kind(block_on(library.compare_source_faces(limited, [own, hidden])), Kind::FaceNotFound);
        check_kind(block_on(library.search(limited, search_by(Probe::SourceFace(hidden)))), Kind::FaceNotFound);
        check_kind(block_on(library.label_source(limited, hidden, Subject::new("x").unwrap())), Kind::FaceNotFound);
        check_kind(block_on(library.delete_source(limited, hidden)), Kind::FaceNotFound);
    }
    let outcomes = block_on(library.add_transient_faces(limited, &staff, vec![others, secret, own])).unwrap();
    assert_eq!(outcomes, [Unknown, Unknown, Added]);
    assert_eq!((two.fixture.n_faces("staff"), two.fixture.n_faces("vault")), (1, 1));

    // Also enrolled in a set of the key, a face is known; only the key's sets are told.
    block_on(library.add_transient_faces(owner, &staff, vec![secret])).unwrap();
    let known = block_on(library.known_face(limited, secret)).unwrap();
    assert_eq!(known.face_sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["staff"]);
    check_kind(block_on(library.delete_source(limited, secret)), Kind::Forbidden);
    assert_eq!(two.fixture.n_faces("vault"), 1);
}

#[test]
fn uploads_need_the_grant_to_search_and_no_set() {
    let two = two();
    let put = |caller: &Caller| {
        let room = UploadQuota { n_max: 10, bytes_max: 1000 };
        let name = UploadName::new("a").unwrap();
        let request = PutUpload { name, bytes: Bytes::new(), lifetime: Duration::from_secs(60), room };
        block_on(two.fixture.library.put_upload(caller, request))
    };
    put(&two.limited).unwrap();
    check_kind(put(&without(Grant::Search)), Kind::Forbidden);
}

#[test]
fn a_tenants_numbers_bound_every_way_of_adding() {
    let mut two = two();
    let limits = &mut two.fixture.caller.tenant_limits;
    (limits.persons_max, limits.face_set_faces_max, limits.faces_max) = (Some(1), Some(1), Some(2));
    two.person("anna", &["staff"]);
    let (library, owner) = (&two.fixture.library, &two.fixture.caller);
    let request = CreatePerson { key: key("bert"), name: None, note: None, join: join(&[]) };
    check_kind(block_on(library.create_person(owner, request)), Kind::TooManyPersons);
    check_kind(two.fixture.add(into("staff", "face b 60x60+1+1")), Kind::CapacityExceeded);
    let images = || vec![PersonImage { image: image("face anna 60x60+10+10"), source: None }];
    let more = AddPersonFaces { person: key("anna"), images: images() };
    let added = block_on(library.add_person_faces(owner, more)).unwrap();
    assert_eq!(added.faces[0].as_ref().unwrap_err().kind(), Kind::CapacityExceeded);
    two.fixture.add(into("vault", "face b 60x60+1+1")).unwrap();
    let full = block_on(library.add_transient_faces(owner, &name("vault"), vec![two.kept(owner, "carl")])).unwrap();
    assert_eq!(full, [likeness_domain::library::TransientFaceOutcome::Full]);
}

#[test]
fn a_new_set_has_a_capacity_of_its_own_beside_the_tenants_bound() {
    let mut fixture = Fixture::new();
    fixture.caller.vendor_limits.face_set_faces_max = Some(50);
    let made = |fixture: &Fixture, set: &str, capacity| {
        let request = CreateFaceSet { capacity, ..create(set) };
        block_on(fixture.library.create_face_set(&fixture.caller, request)).unwrap().capacity
    };
    assert_eq!(made(&fixture, "a", None), Some(50), "the vendor's, if nothing is asked for");
    assert_eq!(made(&fixture, "b", Some(70)), Some(70));
    fixture.caller.tenant_limits.face_set_faces_max = Some(1);
    assert_eq!(made(&fixture, "c", Some(70)), Some(70));
    fixture.add(into("c", "face anna 60x60+10+10")).unwrap();
    check_kind(fixture.add(into("c", "face bert 60x60+10+10")), Kind::CapacityExceeded);
    fixture.caller.tenant_limits.face_set_faces_max = None;
    fixture.add(into("c", "face bert 60x60+10+10")).unwrap();
}
