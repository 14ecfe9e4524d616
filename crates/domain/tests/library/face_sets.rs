//! Making, listing, reading and deleting face sets.

use super::*;

#[test]
fn a_new_set_is_pinned_to_the_default_pack_and_dated() {
    let fixture = Fixture::new();
    let made = fixture.create("staff").unwrap();
    assert_eq!(made.pack.as_str(), "fake-1");
    assert_eq!(made.created_at.0, 1_772_352_000_000);
    assert_eq!((made.capacity, made.schema.fields().len()), (Some(20), 3));
    let read = block_on(fixture.library.face_set(&fixture.caller, &name("staff"))).unwrap();
    assert_eq!((read.face_set.id, read.n_faces), (made.id, 0));
}

#[test]
fn a_set_of_a_named_pack_needs_grants_before_it_needs_the_pack() {
    let mut fixture = Fixture::new();
    let make = |fixture: &Fixture, pack: &str| {
        let pack = PackId::new(pack).unwrap();
        block_on(fixture.library.create_face_set_of(&fixture.caller, create("staff"), &pack))
    };
    let err = check_kind(make(&fixture, "fake-9"), Kind::PackNotFound);
    assert_eq!(err.field(), Some("pack"));
    assert_eq!(err.message(), "`pack` is `fake-9`, which is not loaded; expected one of fake-1");
    fixture.caller = without(Grant::Manage);
    check_kind(make(&fixture, "fake-9"), Kind::Forbidden);
    fixture.caller = bounded();
    assert_eq!(make(&fixture, "fake-1").unwrap().pack.as_str(), "fake-1");
}

#[test]
fn names_are_taken_once_and_sets_are_counted() {
    let fixture = Fixture::with_staff();
    check_kind(fixture.create("staff"), Kind::FaceSetExists);
    fixture.create("guests").unwrap();
    fixture.create("Staff").unwrap();
    check_kind(fixture.create("more"), Kind::TooManyFaceSets);
    let listed = block_on(fixture.library.face_sets(&fixture.caller)).unwrap();
    let names: Vec<_> = listed.iter().map(|summary| summary.face_set.name.as_str()).collect();
    assert_eq!(names, ["staff", "guests", "Staff"]);
}

#[test]
fn a_deleted_set_is_gone_with_its_faces_and_its_name_is_free() {
    let fixture = Fixture::with_staff();
    fixture.enrol("anna", 20);
    let delete =
        |only_if_empty| block_on(fixture.library.delete_face_set(&fixture.caller, &name("staff"), only_if_empty));
    check_kind(delete(true), Kind::FaceSetNotEmpty);
    let deleted = delete(false).unwrap();
    check_kind(delete(false), Kind::FaceSetNotFound);
    check_kind(fixture.search(search("anna")), Kind::FaceSetNotFound);
    let again = fixture.create("staff").unwrap();
    assert_ne!(again.id, deleted.id);
    assert_eq!(fixture.n_faces("staff"), 0);
    assert!(fixture.found(search("anna")).is_empty());
}

#[test]
fn a_missing_set_is_named() {
    let fixture = Fixture::new();
    let err = check_kind(block_on(fixture.library.face_set(&fixture.caller, &name("nope"))), Kind::FaceSetNotFound);
    assert_eq!(err.message(), "face set `nope` does not exist");
}

#[test]
fn another_tenant_sees_nothing() {
    let mut fixture = Fixture::with_staff();
    let face = fixture.enrol("anna", 20);
    fixture.caller = caller(2);
    assert!(block_on(fixture.library.face_sets(&fixture.caller)).unwrap().is_empty());
    check_kind(block_on(fixture.library.face_set(&fixture.caller, &name("staff"))), Kind::FaceSetNotFound);
    check_kind(fixture.search(search("anna")), Kind::FaceSetNotFound);
    check_kind(fixture.add(add("face bert 40x40+10+5")), Kind::FaceSetNotFound);
    // A set of the same name is another set, and the other tenant's face id means nothing in it.
    fixture.create("staff").unwrap();
    assert!(fixture.found(search("anna")).is_empty());
    check_kind(fixture.search(search_by(Probe::Face(face))), Kind::FaceNotFound);
    check_kind(block_on(fixture.library.face(&fixture.caller, &name("staff"), face)), Kind::FaceNotFound);
}

#[test]
fn each_use_case_needs_its_grant_before_anything_else() {
    use likeness_domain::library::DeleteFaces;
    use likeness_domain::ports::Page;
    let fixture = Fixture::new();
    let (library, staff) = (&fixture.library, &name("nope"));
    let face = FaceId::new(1).unwrap();

    let read = &without(Grant::Read);
    check_kind(block_on(library.face_sets(read)), Kind::Forbidden);
    check_kind(block_on(library.face_set(read, staff)), Kind::Forbidden);
    check_kind(block_on(library.list_faces(read, staff, Page { offset: 0, limit: 1 })), Kind::Forbidden);
    check_kind(block_on(library.face(read, staff, face)), Kind::Forbidden);
    check_kind(block_on(library.enrolled(read, staff, vec![])), Kind::Forbidden);

    let manage = &without(Grant::Manage);
    check_kind(block_on(library.create_face_set(manage, create("nope"))), Kind::Forbidden);
    check_kind(block_on(library.delete_face_set(manage, staff, false)), Kind::Forbidden);

    let enrol = &without(Grant::Enrol);
    check_kind(block_on(library.add_faces(enrol, add("x"))), Kind::Forbidden);
    check_kind(block_on(library.update_face(enrol, staff, face, UpdateFace::default())), Kind::Forbidden);

    let delete = &without(Grant::Delete);
    check_kind(block_on(library.delete_face_set(delete, staff, false)), Kind::Forbidden);
    check_kind(block_on(library.delete_faces(delete, staff, DeleteFaces::Ids(vec![]))), Kind::Forbidden);

    let ask = &without(Grant::Search);
    check_kind(block_on(library.search(ask, search("anna"))), Kind::Forbidden);
    check_kind(block_on(library.detect(ask, image("x"), Aspects::NONE)), Kind::Forbidden);
    check_kind(block_on(library.compare(ask, [image("x"), image("x")])), Kind::Forbidden);
    assert_eq!(fixture.n_analysed(), 0);
}
