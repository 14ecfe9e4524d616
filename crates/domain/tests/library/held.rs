//! Faces that are found, held, and enrolled by their ids.

use likeness_domain::library::{FacesHeld, HeldOutcome, HoldFaces};
use likeness_domain::limits;
use likeness_domain::ports::{Assess, Clock, HeldFaceStore, Page};
use likeness_domain::types::{BoundingBox, FaceSetPatch, Note};

use super::*;

const HOUR: Duration = Duration::from_hours(1);

impl House {
    fn hold(&self, scene: &str) -> Result<FacesHeld> {
        let request = HoldFaces {
            image: image(scene.to_owned()),
            place: None,
            pack: None,
            held_for: HOUR,
            assess: Assess::NOTHING,
        };
        block_on(self.library.hold_faces(&self.caller, request))
    }

    /// The id of the only face of a name.
    fn held(&self, person: &str) -> FaceId {
        self.hold(&format!("face {person} 40x40+10+5")).unwrap().faces[0].held.id
    }

    fn add_held(&self, set: &str, ids: &[FaceId]) -> Result<Vec<HeldOutcome>> {
        block_on(self.library.add_held_faces(&self.caller, &name(set), ids.to_vec()))
    }

    fn remove(&self, set: &str, ids: &[FaceId]) -> Vec<FaceId> {
        block_on(self.library.remove_origins(&self.caller, &name(set), ids.to_vec())).unwrap()
    }

    /// Names of the sets a face is in.
    fn names_of_sets(&self, origin: FaceId) -> Result<Vec<String>> {
        let known = block_on(self.library.known_face(&self.caller, origin))?;
        Ok(known.face_sets.iter().map(|set| set.name.to_string()).collect())
    }
}

#[test]
fn every_face_of_an_image_is_held_largest_first() {
    let house = House::with_staff();
    let held = house.hold("face anna 40x40+10+5\nface bert 60x60+100+5").unwrap();
    assert_eq!((held.image_width, held.image_height), (640, 480));
    let widths: Vec<_> = held.faces.iter().map(|face| face.held.detection.bounding_box.width).collect();
    assert_eq!(widths, [60, 40]);
    let now = house.clock.now().0;
    assert!(held.faces.iter().all(|face| (face.held.created_at.0, face.held.expires_at.0) == (now, now + 3_600_000)));
    assert_eq!(house.n_faces("staff"), 0, "held faces are in no set");
    assert!(house.hold("size 640x480").unwrap().faces.is_empty());
}

#[test]
fn nothing_is_held_longer_than_the_bound() {
    let house = House::new();
    let request = HoldFaces {
        image: image("face anna 40x40+10+5"),
        place: None,
        pack: None,
        held_for: Duration::MAX,
        assess: Assess::NOTHING,
    };
    let held = block_on(house.library.hold_faces(&house.caller, request)).unwrap();
    let longest = limits::HELD_FACE_TIME_MAX.as_millis() as i64;
    assert_eq!(held.faces[0].held.expires_at.0 - held.faces[0].held.created_at.0, longest);
}

#[test]
fn a_held_face_is_found_in_the_sets_it_was_added_to() {
    let house = House::with_staff();
    house.create("guests").unwrap();
    let (anna, bert) = (house.held("anna"), house.held("bert"));
    assert_eq!(house.add_held("staff", &[anna, bert]).unwrap(), [HeldOutcome::Added, HeldOutcome::Added]);
    assert_eq!(house.add_held("guests", &[anna, anna]).unwrap(), [HeldOutcome::Added, HeldOutcome::Present]);
    let answer = house.search(search_by(Probe::Origin(anna))).unwrap();
    let origins: Vec<_> = answer.candidates.iter().map(|candidate| candidate.face.origin).collect();
    assert_eq!(origins, [anna, bert]);
    assert_eq!(house.names_of_sets(anna).unwrap(), ["staff", "guests"]);
}

#[test]
fn what_is_in_a_set_is_known_after_its_time() {
    let house = House::with_staff();
    house.create("guests").unwrap();
    let (anna, bert) = (house.held("anna"), house.held("bert"));
    house.add_held("staff", &[anna]).unwrap();
    house.clock.advance(HOUR);
    assert_eq!(house.names_of_sets(anna).unwrap(), ["staff"]);
    check_kind(house.names_of_sets(bert), Kind::FaceNotFound);
    assert_eq!(house.add_held("guests", &[anna, bert]).unwrap(), [HeldOutcome::Added, HeldOutcome::Unknown]);
    assert_eq!(
        block_on(house.store.forget_held_faces(house.clock.now())).unwrap(),
        1,
        "anna is enrolled, no longer held"
    );
    assert_eq!(house.names_of_sets(anna).unwrap(), ["staff", "guests"]);
    assert_eq!(house.remove("staff", &[anna, bert]), [anna]);
    assert_eq!(house.remove("guests", &[anna]), [anna]);
    check_kind(house.names_of_sets(anna), Kind::FaceNotFound);
}

#[test]
fn faces_of_other_ways_are_their_own_origin() {
    let house = House::with_staff();
    house.create("guests").unwrap();
    let anna = house.enrol("anna", 30);
    assert_eq!(house.add_held("guests", &[anna]).unwrap(), [HeldOutcome::Added]);
    assert_eq!(house.names_of_sets(anna).unwrap(), ["staff", "guests"]);
    let answer = house.search(search("anna")).unwrap();
    assert_eq!(answer.candidates[0].face.origin, anna);
}

#[test]
fn a_full_set_takes_what_fits() {
    let house = House::new();
    let request = CreateFaceSet { capacity: Some(1), ..create("staff") };
    block_on(house.library.create_face_set(&house.caller, request)).unwrap();
    let ids = ["anna", "bert"].map(|person| house.held(person));
    assert_eq!(house.add_held("staff", &ids).unwrap(), [HeldOutcome::Added, HeldOutcome::Full]);
    check_kind(house.add_held("guests", &ids), Kind::FaceSetNotFound);
    let many = vec![ids[0]; limits::SELECTOR_IDS_MAX + 1];
    check_kind(house.add_held("staff", &many), Kind::InvalidArgument);
}

#[test]
fn a_label_and_a_delete_reach_every_copy() {
    let house = House::with_staff();
    let anna = house.held("anna");
    house.add_held("staff", &[anna]).unwrap();
    block_on(house.library.label_origin(&house.caller, anna, Subject::new("Anna").unwrap())).unwrap();
    assert_eq!(house.found(search("anna")), ["Anna"]);
    let known = block_on(house.library.known_face(&house.caller, anna)).unwrap();
    assert_eq!(known.subject, Some(Subject::new("Anna").unwrap()));
    assert_eq!(block_on(house.library.delete_origin(&house.caller, anna)).unwrap(), 1);
    assert!(house.found(search("anna")).is_empty());
    check_kind(block_on(house.library.delete_origin(&house.caller, anna)), Kind::FaceNotFound);
    check_kind(house.search(search_by(Probe::Origin(anna))), Kind::FaceNotFound);
}

#[test]
fn held_faces_are_compared_by_their_ids() {
    let house = House::with_staff();
    let (anna, again, bert) = (house.held("anna"), house.held("anna"), house.held("bert"));
    let compare = |a, b| block_on(house.library.compare_origins(&house.caller, [a, b]));
    assert!(compare(anna, again).unwrap().similarity.get() > 0.999);
    assert!(compare(anna, bert).unwrap().similarity.get() < 0.9);
    let nobody = FaceId::new(1).unwrap();
    assert_eq!(check_kind(compare(nobody, anna), Kind::FaceNotFound).field(), Some("first face"));
    assert_eq!(check_kind(compare(anna, nobody), Kind::FaceNotFound).field(), Some("second face"));
}

#[test]
fn another_tenants_held_faces_are_not_known() {
    let mut house = House::with_staff();
    let anna = house.held("anna");
    house.caller = caller(2);
    house.create("staff").unwrap();
    assert_eq!(house.add_held("staff", &[anna]).unwrap(), [HeldOutcome::Unknown]);
    check_kind(house.names_of_sets(anna), Kind::FaceNotFound);
    check_kind(block_on(house.library.delete_origin(&house.caller, anna)), Kind::FaceNotFound);
}

#[test]
fn held_faces_need_their_grants() {
    let mut house = House::with_staff();
    let anna = house.held("anna");
    house.caller = without(Grant::Write);
    check_kind(house.hold("face anna 40x40+10+5"), Kind::Forbidden);
    check_kind(house.add_held("staff", &[anna]), Kind::Forbidden);
    check_kind(block_on(house.library.delete_origin(&house.caller, anna)), Kind::Forbidden);
    let subject = Subject::new("x").unwrap();
    check_kind(block_on(house.library.label_origin(&house.caller, anna, subject)), Kind::Forbidden);
    house.caller = without(Grant::Search);
    check_kind(house.hold("face anna 40x40+10+5"), Kind::Forbidden);
    check_kind(block_on(house.library.compare_origins(&house.caller, [anna, anna])), Kind::Forbidden);
    house.caller = without(Grant::Read);
    check_kind(house.names_of_sets(anna), Kind::Forbidden);
}

#[test]
fn a_sets_words_change_and_its_id_stays() {
    let mut house = House::with_staff();
    let id = house.create("guests").unwrap().id;
    house.enrol("anna", 30);
    let renamed = |to: &str| FaceSetPatch { name: Some(name(to)), ..FaceSetPatch::default() };
    let patch = FaceSetPatch { note: Some(Note::new("few").unwrap()), ..renamed("visitors") };
    let changed = block_on(house.library.update_face_set(&house.caller, id, patch)).unwrap();
    assert_eq!((changed.id, changed.note), (id, Some(Note::new("few").unwrap())));
    assert_eq!(block_on(house.library.face_set(&house.caller, id)).unwrap().face_set.name, name("visitors"));
    check_kind(block_on(house.library.update_face_set(&house.caller, id, renamed("staff"))), Kind::FaceSetExists);
    check_kind(
        block_on(house.library.update_face_set(&house.caller, &name("guests"), renamed("x"))),
        Kind::FaceSetNotFound,
    );
    let page = Page { offset: 0, limit: 10 };
    assert!(block_on(house.library.list_faces(&house.caller, id, page)).unwrap().1.is_empty());
    house.caller = without(Grant::Write);
    check_kind(block_on(house.library.update_face_set(&house.caller, id, renamed("y"))), Kind::Forbidden);
}

#[test]
fn only_the_face_at_a_place_is_held() {
    let house = House::new();
    let scene = "face anna 40x40+10+5\nface bert 60x60+100+5";
    let at = |left, top, width, height| {
        let place = Some(BoundingBox { left, top, width, height });
        let image = image(scene);
        let request = HoldFaces { image, place, pack: None, held_for: HOUR, assess: Assess::NOTHING };
        let held = block_on(house.library.hold_faces(&house.caller, request)).unwrap();
        held.faces.iter().map(|face| face.held.detection.bounding_box.width).collect::<Vec<_>>()
    };
    assert_eq!(at(12, 0, 40, 50), [40]);
    assert_eq!(at(90, 0, 80, 80), [60]);
    assert_eq!(at(0, 0, 640, 480), [] as [u32; 0], "everything is no place");
    assert_eq!(at(300, 300, u32::MAX, u32::MAX), [] as [u32; 0]);
    assert_eq!(block_on(house.store.report(false)).unwrap().n_held_faces, 2, "what nobody is told of is not kept");
}
