//! Enrolling, listing, changing and deleting faces.

use likeness_domain::library::DeleteFaces;
use likeness_domain::limits;
use likeness_domain::ports::Page;
use likeness_domain::types::{BoundingBox, FaceOwner, ID_END, Note};
use likeness_testkit::fake_pack;

use super::*;

#[test]
fn the_largest_face_is_enrolled_with_everything_said_about_it() {
    let fixture = Fixture::with_staff();
    fixture.clock.advance(Duration::from_secs(5));
    let mut request = add("face bert 20x20+0+0\nface anna 40x40+50+5 0.8");
    request.subject = Some(Subject::new("anna").unwrap());
    request.external_id = Some(external_id("photo 1"));
    request.note = Some(Note::new("first day").unwrap());
    request.fields = values(&[("age", FieldValue::Whole(20)), ("team", FieldValue::Text("red".into()))]);
    let added = fixture.add(request).unwrap();
    let [face] = &added.faces[..] else { panic!("one face") };
    assert_eq!(face.detection.bounding_box, BoundingBox { left: 50, top: 5, width: 40, height: 40 });
    assert_eq!((face.owner, face.tenant), (FaceOwner::FaceSet(added.face_set.id), fixture.caller.tenant));
    assert_eq!(face.external_id, Some(external_id("photo 1")));
    assert_eq!(face.fields.get("team"), Some(&FieldValue::Text("red".into())));
    assert_eq!(face.created_at.0, 1_772_352_005_000);
    assert_eq!(face.updated_at, face.created_at);
    assert!((1..ID_END).contains(&face.id.get()));
    let (_, read) = block_on(fixture.library.face(&fixture.caller, &name("staff"), face.id)).unwrap();
    assert_eq!((read.subject, read.note), (face.subject.clone(), face.note.clone()));
}

#[test]
fn all_faces_are_enrolled_largest_first_with_numbered_external_ids() {
    let fixture = Fixture::with_staff();
    let mut request = add("face a 10x10+0+0\nface b 30x30+50+5\nface c 20x20+90+9");
    request.choice = FaceChoice::All;
    request.external_id = Some(external_id("class"));
    let added = fixture.add(request).unwrap();
    let widths: Vec<_> = added.faces.iter().map(|face| face.detection.bounding_box.width).collect();
    let ids: Vec<_> = added.faces.iter().map(|face| face.external_id.as_ref().unwrap().as_str()).collect();
    assert_eq!((widths, ids), (vec![30, 20, 10], vec!["class", "class#1", "class#2"]));
    let mut few = add("face a 10x10+0+0\nface b 30x30+50+5\nface c 20x20+90+9");
    few.choice = FaceChoice::LargestFew(2);
    assert_eq!(fixture.add(few).unwrap().faces.len(), 2);
}

#[test]
fn an_image_without_a_face_enrols_nothing() {
    let fixture = Fixture::with_staff();
    check_kind(fixture.add(add("size 50x50")), Kind::NoFaceInImage);
    assert_eq!(fixture.n_faces("staff"), 0);
}

#[test]
fn a_choice_of_no_face_is_refused() {
    let fixture = Fixture::with_staff();
    for choice in [FaceChoice::None, FaceChoice::LargestFew(0)] {
        let err = check_kind(fixture.add(AddFaces { choice, ..add("face a 10x10+0+0") }), Kind::InvalidArgument);
        assert_eq!(err.field(), Some("choice"));
    }
}

#[test]
fn checks_come_in_the_documented_order() {
    let fixture = Fixture::with_staff();
    let bad = || {
        let mut request = add("error ImageCorrupt");
        request.fields = values(&[("city", FieldValue::Whole(1))]);
        request
    };
    check_kind(fixture.add(AddFaces { face_set: name("nope"), ..bad() }), Kind::FaceSetNotFound);
    check_kind(fixture.add(bad()), Kind::FieldNotDefined);
    let mismatch = values(&[("age", FieldValue::Text("x".into()))]);
    check_kind(fixture.add(AddFaces { fields: mismatch, ..bad() }), Kind::FieldTypeMismatch);
    assert_eq!(fixture.n_analysed(), 0, "a request that cannot succeed costs no analysis");
    check_kind(fixture.add(add("error ImageCorrupt")), Kind::ImageCorrupt);
}

#[test]
fn capacity_is_all_or_nothing() {
    let fixture = Fixture::with_staff();
    for person_idx in 0..19 {
        fixture.enrol(&format!("p{person_idx}"), -1);
    }
    let mut two = add("face a 10x10+0+0\nface b 30x30+50+5");
    two.choice = FaceChoice::All;
    check_kind(fixture.add(two), Kind::CapacityExceeded);
    assert_eq!(fixture.n_faces("staff"), 19);
    fixture.enrol("last", -1);
    check_kind(fixture.add(add("face a 10x10+0+0")), Kind::CapacityExceeded);
}

#[test]
fn a_tenant_can_be_full_although_its_sets_are_not() {
    let mut fixture = Fixture::with_staff();
    fixture.create("gate").unwrap();
    fixture.caller.tenant_limits.faces_max = Some(2);
    let bounded = |set: &str| AddFaces { face_set: name(set), ..add("face a 10x10+0+0\nface b 30x30+50+5") };
    fixture.add(bounded("staff")).unwrap();
    let both = AddFaces { choice: FaceChoice::All, ..bounded("gate") };
    let err = check_kind(fixture.add(both), Kind::CapacityExceeded);
    assert_eq!(err.message(), "the tenant holds 1 faces and may hold 2, expected room for 2 more");
    fixture.add(bounded("gate")).unwrap();
    check_kind(fixture.add(bounded("gate")), Kind::CapacityExceeded);
    assert_eq!((fixture.n_faces("staff"), fixture.n_faces("gate")), (1, 1));
}

#[test]
fn an_external_id_is_enrolled_once() {
    let fixture = Fixture::with_staff();
    let request = || AddFaces { external_id: Some(external_id("a.jpg")), ..add("face anna 40x40+10+5") };
    fixture.add(request()).unwrap();
    check_kind(fixture.add(request()), Kind::FaceExists);
    let ask = vec![external_id("b.jpg"), external_id("a.jpg")];
    let enrolled = block_on(fixture.library.enrolled(&fixture.caller, &name("staff"), ask)).unwrap();
    assert_eq!(enrolled, [external_id("a.jpg")]);
    let many = vec![external_id("x"); limits::EXTERNAL_IDS_MAX + 1];
    check_kind(block_on(fixture.library.enrolled(&fixture.caller, &name("staff"), many)), Kind::InvalidArgument);
}

#[test]
fn a_set_of_a_pack_that_is_not_loaded_is_named_with_it() {
    let before = Fixture::with_staff();
    let after = Fixture::over(FakeAnalyzer::with_packs(vec![fake_pack("fake-2")]), before.store.clone(), before.index);
    let err = check_kind(after.add(add("face anna 40x40+10+5")), Kind::PackUnavailable);
    assert_eq!(err.message(), "face set `staff` is pinned to model pack `fake-1`, which is not loaded");
    check_kind(after.search(search("anna")), Kind::PackUnavailable);
    assert_eq!(after.n_analysed(), 0);
}

#[test]
fn each_set_uses_the_pack_it_is_pinned_to() {
    let before = Fixture::with_staff();
    let packs = vec![fake_pack("fake-2"), fake_pack("fake-1")];
    let after = Fixture::over(FakeAnalyzer::with_packs(packs), before.store.clone(), before.index);
    assert_eq!(after.create("new").unwrap().pack.as_str(), "fake-2");
    let old = after.add(add("face anna 40x40+10+5")).unwrap();
    let new = after.add(AddFaces { face_set: name("new"), ..add("face anna 40x40+10+5") }).unwrap();
    assert_eq!(old.faces[0].pack.as_str(), "fake-1");
    assert_eq!(new.faces[0].pack.as_str(), "fake-2");
    assert_eq!(after.search(search("anna")).unwrap().candidates.len(), 1);
}

#[test]
fn faces_are_listed_in_order_of_enrolment() {
    let fixture = Fixture::with_staff();
    for person in ["anna", "bert", "carl"] {
        fixture.enrol(person, -1);
    }
    let list = |offset, limit| {
        let page = Page { offset, limit };
        block_on(fixture.library.list_faces(&fixture.caller, &name("staff"), page))
            .map(|(_, faces)| faces.into_iter().map(|face| face.subject.unwrap().to_string()).collect::<Vec<_>>())
    };
    assert_eq!(list(0, 2).unwrap(), ["anna", "bert"]);
    assert_eq!(list(2, 2).unwrap(), ["carl"]);
    assert!(list(9, 2).unwrap().is_empty());
    check_kind(list(0, limits::PAGE_LIMIT_MAX + 1), Kind::InvalidArgument);
}

#[test]
fn an_update_lays_values_over_the_present_ones_and_search_sees_it() {
    let fixture = Fixture::with_staff();
    let face = fixture.enrol("anna", 20);
    fixture.clock.advance(Duration::from_secs(60));
    let update = |face, patch| block_on(fixture.library.update_face(&fixture.caller, &name("staff"), face, patch));
    let fields = values(&[("team", FieldValue::Text("red".into()))]);
    let (_, updated) = update(face, UpdateFace { fields, ..UpdateFace::default() }).unwrap();
    assert_eq!(updated.fields.get("age"), Some(&FieldValue::Whole(20)));
    assert_eq!(updated.subject, Some(Subject::new("anna").unwrap()));
    assert_eq!(updated.updated_at.0 - updated.created_at.0, 60_000);
    assert_eq!(fixture.found(Search { filter: Some(expr("team:red && age:20")), ..search("anna") }), ["anna"]);
    let patch = UpdateFace { subject: Some(Subject::new("Anna B").unwrap()), ..UpdateFace::default() };
    assert_eq!(update(face, patch).unwrap().1.subject.unwrap().as_str(), "Anna B");
    assert_eq!(fixture.found(search("anna")), ["Anna B"]);
}

#[test]
fn an_update_is_checked() {
    let fixture = Fixture::with_staff();
    let face = fixture.enrol("anna", 20);
    let update = |face: u64, field: &str, value| {
        let patch = UpdateFace { fields: values(&[(field, value)]), ..UpdateFace::default() };
        block_on(fixture.library.update_face(&fixture.caller, &name("staff"), FaceId::new(face).unwrap(), patch))
    };
    check_kind(update(face.get(), "city", FieldValue::Whole(1)), Kind::FieldNotDefined);
    check_kind(update(face.get(), "age", FieldValue::Real(1.0)), Kind::FieldTypeMismatch);
    check_kind(update(77, "city", FieldValue::Whole(1)), Kind::FaceNotFound);
    let nothing = UpdateFace::default();
    let unknown = FaceId::new(77).unwrap();
    check_kind(
        block_on(fixture.library.update_face(&fixture.caller, &name("staff"), unknown, nothing)),
        Kind::FaceNotFound,
    );
}

fn by_field(name: &str, value: FieldValue) -> DeleteFaces {
    DeleteFaces::Field { name: name.to_owned(), value: GivenValue::Typed(value) }
}

#[test]
fn faces_are_deleted_by_id_subject_field_and_filter() {
    let fixture = Fixture::with_staff();
    let delete =
        |which| block_on(fixture.library.delete_faces(&fixture.caller, &name("staff"), which)).map(|(_, ids)| ids);
    let [anna, bert, carl, dora] =
        [("anna", 20), ("bert", 30), ("carl", 30), ("dora", 40)].map(|(p, a)| fixture.enrol(p, a));
    let unknown = FaceId::new(77).unwrap();
    assert_eq!(delete(DeleteFaces::Ids(vec![unknown, anna])).unwrap(), [anna]);
    assert_eq!(delete(DeleteFaces::Ids(vec![anna])).unwrap(), []);
    assert_eq!(delete(DeleteFaces::Subject(Subject::new("bert").unwrap())).unwrap(), [bert]);
    assert_eq!(delete(by_field("age", FieldValue::Whole(30))).unwrap(), [carl]);
    assert_eq!(delete(DeleteFaces::Filter(expr("age:[35 TO *] || subject:x"))).unwrap(), [dora]);
    assert_eq!(fixture.n_faces("staff"), 0);
    assert!(fixture.found(search("anna")).is_empty());
}

#[test]
fn a_delete_that_makes_no_sense_deletes_nothing() {
    let fixture = Fixture::with_staff();
    fixture.enrol("anna", 20);
    let delete = |which| block_on(fixture.library.delete_faces(&fixture.caller, &name("staff"), which));
    check_kind(delete(by_field("city", FieldValue::Whole(1))), Kind::UnknownField);
    check_kind(delete(by_field("age", FieldValue::Text("20".into()))), Kind::InvalidArgument);
    let written = DeleteFaces::Field { name: "age".to_owned(), value: GivenValue::Written("x".to_owned()) };
    let err = check_kind(delete(written), Kind::InvalidArgument);
    assert_eq!(
        err.message(),
        "`age` is the text `x`, expected a whole number from -2147483648 to 2147483647: its type is integer"
    );
    check_kind(delete(DeleteFaces::Filter(expr("city:1"))), Kind::UnknownField);
    check_kind(delete(DeleteFaces::Filter(expr("age:x || age:*"))), Kind::InvalidArgument);
    let many = vec![FaceId::new(1).unwrap(); limits::SELECTOR_IDS_MAX + 1];
    check_kind(delete(DeleteFaces::Ids(many)), Kind::InvalidArgument);
    assert_eq!(fixture.n_faces("staff"), 1);
}
