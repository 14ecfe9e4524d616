//! Faces that are found, held, and enrolled by their ids.

use likeness_domain::library::{FacesKept, KeepFaces, TransientFaceOutcome};
use likeness_domain::limits;
use likeness_domain::ports::{Assess, Clock, Page, TransientFaceStore};
use likeness_domain::types::{BoundingBox, FaceSetPatch, Note};

use super::*;

const HOUR: Duration = Duration::from_hours(1);

impl Fixture {
    fn hold(&self, scene: &str) -> Result<FacesKept> {
        let request = KeepFaces {
            image: image(scene.to_owned()),
            place: None,
            pack: None,
            lifetime: HOUR,
            assess: Assess::NOTHING,
        };
        block_on(self.library.keep_faces(&self.caller, request))
    }

    /// The id of the only face of a name.
    fn held(&self, person: &str) -> FaceId {
        self.hold(&format!("face {person} 40x40+10+5")).unwrap().faces[0].face.id
    }

    fn add_held(&self, set: &str, ids: &[FaceId]) -> Result<Vec<TransientFaceOutcome>> {
        block_on(self.library.add_transient_faces(&self.caller, &name(set), ids.to_vec()))
    }

    fn remove(&self, set: &str, ids: &[FaceId]) -> Vec<FaceId> {
        block_on(self.library.remove_source_faces(&self.caller, &name(set), ids.to_vec())).unwrap()
    }

    /// Names of the sets a face is in.
    fn names_of_sets(&self, source_face: FaceId) -> Result<Vec<String>> {
        let known = block_on(self.library.known_face(&self.caller, source_face))?;
        Ok(known.face_sets.iter().map(|set| set.name.to_string()).collect())
    }
}

#[test]
fn every_face_of_an_image_is_held_largest_first() {
    let fixture = Fixture::with_staff();
    let held = fixture.hold("face anna 40x40+10+5\nface bert 60x60+100+5").unwrap();
    assert_eq!((held.image_width, held.image_height), (640, 480));
    let widths: Vec<_> = held.faces.iter().map(|face| face.face.detection.bounding_box.width).collect();
    assert_eq!(widths, [60, 40]);
    let now = fixture.clock.now().0;
    assert!(held.faces.iter().all(|face| (face.face.created_at.0, face.face.expires_at.0) == (now, now + 3_600_000)));
    assert_eq!(fixture.n_faces("staff"), 0, "held faces are in no set");
    assert!(fixture.hold("size 640x480").unwrap().faces.is_empty());
}

#[test]
fn nothing_is_held_longer_than_the_bound() {
    let fixture = Fixture::new();
    let request = KeepFaces {
        image: image("face anna 40x40+10+5"),
        place: None,
        pack: None,
        lifetime: Duration::MAX,
        assess: Assess::NOTHING,
    };
    let held = block_on(fixture.library.keep_faces(&fixture.caller, request)).unwrap();
    let longest = limits::TRANSIENT_FACE_LIFETIME_MAX.as_millis() as i64;
    assert_eq!(held.faces[0].face.expires_at.0 - held.faces[0].face.created_at.0, longest);
}

#[test]
fn a_held_face_is_found_in_the_sets_it_was_added_to() {
    let fixture = Fixture::with_staff();
    fixture.create("guests").unwrap();
    let (anna, bert) = (fixture.held("anna"), fixture.held("bert"));
    assert_eq!(
        fixture.add_held("staff", &[anna, bert]).unwrap(),
        [TransientFaceOutcome::Added, TransientFaceOutcome::Added]
    );
    assert_eq!(
        fixture.add_held("guests", &[anna, anna]).unwrap(),
        [TransientFaceOutcome::Added, TransientFaceOutcome::Present]
    );
    let answer = fixture.search(search_by(Probe::SourceFace(anna))).unwrap();
    let source_faces: Vec<_> = answer.candidates.iter().map(|candidate| candidate.face.source_face).collect();
    assert_eq!(source_faces, [anna, bert]);
    assert_eq!(fixture.names_of_sets(anna).unwrap(), ["staff", "guests"]);
}

#[test]
fn what_is_in_a_set_is_known_after_its_time() {
    let fixture = Fixture::with_staff();
    fixture.create("guests").unwrap();
    let (anna, bert) = (fixture.held("anna"), fixture.held("bert"));
    fixture.add_held("staff", &[anna]).unwrap();
    fixture.clock.advance(HOUR);
    assert_eq!(fixture.names_of_sets(anna).unwrap(), ["staff"]);
    check_kind(fixture.names_of_sets(bert), Kind::FaceNotFound);
    assert_eq!(
        fixture.add_held("guests", &[anna, bert]).unwrap(),
        [TransientFaceOutcome::Added, TransientFaceOutcome::Unknown]
    );
    assert_eq!(
        block_on(fixture.store.purge_expired_faces(fixture.clock.now())).unwrap(),
        1,
        "anna is enrolled, no longer held"
    );
    assert_eq!(fixture.names_of_sets(anna).unwrap(), ["staff", "guests"]);
    assert_eq!(fixture.remove("staff", &[anna, bert]), [anna]);
    assert_eq!(fixture.remove("guests", &[anna]), [anna]);
    check_kind(fixture.names_of_sets(anna), Kind::FaceNotFound);
}

#[test]
fn faces_of_other_ways_are_their_own_origin() {
    let fixture = Fixture::with_staff();
    fixture.create("guests").unwrap();
    let anna = fixture.enrol("anna", 30);
    assert_eq!(fixture.add_held("guests", &[anna]).unwrap(), [TransientFaceOutcome::Added]);
    assert_eq!(fixture.names_of_sets(anna).unwrap(), ["staff", "guests"]);
    let answer = fixture.search(search("anna")).unwrap();
    assert_eq!(answer.candidates[0].face.source_face, anna);
}

#[test]
fn a_full_set_takes_what_fits() {
    let fixture = Fixture::new();
    let request = CreateFaceSet { capacity: Some(1), ..create("staff") };
    block_on(fixture.library.create_face_set(&fixture.caller, request)).unwrap();
    let ids = ["anna", "bert"].map(|person| fixture.held(person));
    assert_eq!(fixture.add_held("staff", &ids).unwrap(), [TransientFaceOutcome::Added, TransientFaceOutcome::Full]);
    check_kind(fixture.add_held("guests", &ids), Kind::FaceSetNotFound);
    let many = vec![ids[0]; limits::SELECTOR_IDS_MAX + 1];
    check_kind(fixture.add_held("staff", &many), Kind::InvalidArgument);
}

#[test]
fn a_label_and_a_delete_reach_every_copy() {
    let fixture = Fixture::with_staff();
    let anna = fixture.held("anna");
    fixture.add_held("staff", &[anna]).unwrap();
    block_on(fixture.library.label_source(&fixture.caller, anna, Subject::new("Anna").unwrap())).unwrap();
    assert_eq!(fixture.found(search("anna")), ["Anna"]);
    let known = block_on(fixture.library.known_face(&fixture.caller, anna)).unwrap();
    assert_eq!(known.subject, Some(Subject::new("Anna").unwrap()));
    assert_eq!(block_on(fixture.library.delete_source(&fixture.caller, anna)).unwrap(), 1);
    assert!(fixture.found(search("anna")).is_empty());
    check_kind(block_on(fixture.library.delete_source(&fixture.caller, anna)), Kind::FaceNotFound);
    check_kind(fixture.search(search_by(Probe::SourceFace(anna))), Kind::FaceNotFound);
}

#[test]
fn transient_faces_are_compared_by_their_ids() {
    let fixture = Fixture::with_staff();
    let (anna, again, bert) = (fixture.held("anna"), fixture.held("anna"), fixture.held("bert"));
    let compare = |a, b| block_on(fixture.library.compare_source_faces(&fixture.caller, [a, b]));
    assert!(compare(anna, again).unwrap().similarity.get() > 0.999);
    assert!(compare(anna, bert).unwrap().similarity.get() < 0.9);
    let nobody = FaceId::new(1).unwrap();
    assert_eq!(check_kind(compare(nobody, anna), Kind::FaceNotFound).field(), Some("first face"));
    assert_eq!(check_kind(compare(anna, nobody), Kind::FaceNotFound).field(), Some("second face"));
}

#[test]
fn another_tenants_held_faces_are_not_known() {
    let mut fixture = Fixture::with_staff();
    let anna = fixture.held("anna");
    fixture.caller = caller(2);
    fixture.create("staff").unwrap();
    assert_eq!(fixture.add_held("staff", &[anna]).unwrap(), [TransientFaceOutcome::Unknown]);
    check_kind(fixture.names_of_sets(anna), Kind::FaceNotFound);
    check_kind(block_on(fixture.library.delete_source(&fixture.caller, anna)), Kind::FaceNotFound);
}

#[test]
fn held_faces_need_their_grants() {
    let mut fixture = Fixture::with_staff();
    let anna = fixture.held("anna");
    fixture.caller = without(Grant::Enrol);
    check_kind(fixture.add_held("staff", &[anna]), Kind::Forbidden);
    let subject = Subject::new("x").unwrap();
    check_kind(block_on(fixture.library.label_source(&fixture.caller, anna, subject)), Kind::Forbidden);
    fixture.caller = without(Grant::Delete);
    check_kind(block_on(fixture.library.delete_source(&fixture.caller, anna)), Kind::Forbidden);
    fixture.caller = without(Grant::Search);
    check_kind(fixture.hold("face anna 40x40+10+5"), Kind::Forbidden);
    check_kind(block_on(fixture.library.compare_source_faces(&fixture.caller, [anna, anna])), Kind::Forbidden);
    fixture.caller = without(Grant::Read);
    check_kind(fixture.names_of_sets(anna), Kind::Forbidden);
}

#[test]
fn a_sets_words_change_and_its_id_stays() {
    let mut fixture = Fixture::with_staff();
    let id = fixture.create("guests").unwrap().id;
    fixture.enrol("anna", 30);
    let renamed = |to: &str| FaceSetPatch { name: Some(name(to)), ..FaceSetPatch::default() };
    let patch = FaceSetPatch { note: Some(Note::new("few").unwrap()), ..renamed("visitors") };
    let changed = block_on(fixture.library.update_face_set(&fixture.caller, id, patch)).unwrap();
    assert_eq!((changed.id, changed.note), (id, Some(Note::new("few").unwrap())));
    assert_eq!(block_on(fixture.library.face_set(&fixture.caller, id)).unwrap().face_set.name, name("visitors"));
    check_kind(block_on(fixture.library.update_face_set(&fixture.caller, id, renamed("staff"))), Kind::FaceSetExists);
    check_kind(
        block_on(fixture.library.update_face_set(&fixture.caller, &name("guests"), renamed("x"))),
        Kind::FaceSetNotFound,
    );
    let page = Page { offset: 0, limit: 10 };
    assert!(block_on(fixture.library.list_faces(&fixture.caller, id, page)).unwrap().1.is_empty());
    fixture.caller = without(Grant::Manage);
    check_kind(block_on(fixture.library.update_face_set(&fixture.caller, id, renamed("y"))), Kind::Forbidden);
}

#[test]
fn only_the_face_at_a_place_is_held() {
    let fixture = Fixture::new();
    let scene = "face anna 40x40+10+5\nface bert 60x60+100+5";
    let at = |left, top, width, height| {
        let place = Some(BoundingBox { left, top, width, height });
        let image = image(scene);
        let request = KeepFaces { image, place, pack: None, lifetime: HOUR, assess: Assess::NOTHING };
        let held = block_on(fixture.library.keep_faces(&fixture.caller, request)).unwrap();
        held.faces.iter().map(|face| face.face.detection.bounding_box.width).collect::<Vec<_>>()
    };
    assert_eq!(at(12, 0, 40, 50), [40]);
    assert_eq!(at(90, 0, 80, 80), [60]);
    assert_eq!(at(0, 0, 640, 480), [] as [u32; 0], "everything is no place");
    assert_eq!(at(300, 300, u32::MAX, u32::MAX), [] as [u32; 0]);
    assert_eq!(block_on(fixture.store.report(false)).unwrap().n_held_faces, 2, "what nobody is told of is not kept");
}
