//! Small pictures of faces: made where a set keeps them, given to whoever may read.

use likeness_domain::access::FaceSetScope;
use likeness_domain::library::{AddPersonFaces, CreatePerson, Join, KeepFaces, PersonImage};
use likeness_domain::ports::Assess;
use likeness_domain::types::{FaceSetPatch, PersonKey};
use likeness_testkit::FAKE_THUMBNAIL;

use super::*;

impl Fixture {
    fn keep_thumbnails(&self, set: &str, thumbnails: bool) {
        let patch = FaceSetPatch { thumbnails: Some(thumbnails), ..FaceSetPatch::default() };
        block_on(self.library.update_face_set(&self.caller, &name(set), patch)).unwrap();
    }

    fn thumbnail(&self, set: &str, face: FaceId) -> Option<Bytes> {
        let found = block_on(self.library.thumbnail(&self.caller, &name(set), face)).unwrap();
        found.map(|thumbnail| thumbnail.bytes().clone())
    }

    /// What the last analysis was asked to measure.
    fn measured(&self) -> Aspects {
        self.analyzer.requests().last().unwrap().assess.aspects
    }
}

/// A set that keeps none costs nothing; turned on, it keeps them of faces to come, also doubtful and of poor quality.
#[test]
fn a_picture_is_made_where_the_set_keeps_them() {
    let fixture = Fixture::with_staff();
    let before = fixture.enrol("anna", -1);
    assert!(!fixture.measured().contains(Aspects::THUMBNAIL));
    fixture.keep_thumbnails("staff", true);
    let after = fixture.enrol("bert", -1);
    assert!(fixture.measured().contains(Aspects::THUMBNAIL));
    let mut request = add("face carl 40x40+10+5 presence=3");
    request.accept_doubtful = true;
    let doubtful = fixture.add(request).unwrap().faces[0].id;
    let mut request = add("face dora 40x40+10+5\nface emil 50x50+100+5");
    request.choice = FaceChoice::All;
    let several = fixture.add(request).unwrap().faces;
    let shown = |id| fixture.thumbnail("staff", id);
    assert_eq!((shown(before), shown(after).as_deref()), (None, Some(FAKE_THUMBNAIL)));
    assert!(shown(doubtful).is_some() && several.iter().all(|face| shown(face.id).is_some()));
    let ids = vec![before, after, doubtful];
    let found = block_on(fixture.library.thumbnails(&fixture.caller, &name("staff"), ids)).unwrap();
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [after, doubtful]);
    check_kind(
        block_on(fixture.library.thumbnail(&fixture.caller, &name("staff"), FaceId::new(77).unwrap())),
        Kind::FaceNotFound,
    );
    fixture.keep_thumbnails("staff", false);
    assert_eq!(shown(after), None);
}

#[test]
fn pictures_need_the_grant_to_read() {
    let fixture = Fixture::with_staff();
    fixture.keep_thumbnails("staff", true);
    let face = fixture.enrol("anna", -1);
    let caller = without(Grant::Read);
    check_kind(block_on(fixture.library.thumbnail(&caller, &name("staff"), face)), Kind::Forbidden);
    check_kind(block_on(fixture.library.thumbnails(&caller, &name("staff"), vec![face])), Kind::Forbidden);
    let too_many = vec![face; likeness_domain::limits::THUMBNAILS_MAX + 1];
    check_kind(block_on(fixture.library.thumbnails(&fixture.caller, &name("staff"), too_many)), Kind::InvalidArgument);
}

/// A person's face has a picture if any of the person's sets keeps them; who may not use that set does not see it.
#[test]
fn a_persons_picture_is_made_where_one_of_the_sets_keeps_them() {
    let fixture = Fixture::with_staff();
    let guests = fixture.create("guests").unwrap();
    let key = PersonKey::new("anna").unwrap();
    let join = Join { face_sets: vec![name("staff"), name("guests")], capacity: None };
    let new = CreatePerson { key: key.clone(), name: None, note: None, join };
    block_on(fixture.library.create_person(&fixture.caller, new)).unwrap();
    fixture.keep_thumbnails("staff", true);
    let images = vec![PersonImage { image: image("face anna 40x40+10+5"), source: None }];
    let added =
        block_on(fixture.library.add_person_faces(&fixture.caller, AddPersonFaces { person: key.clone(), images }));
    let face = added.unwrap().faces[0].as_ref().unwrap().id;
    assert!(fixture.thumbnail("staff", face).is_some());
    assert_eq!(fixture.thumbnail("guests", face), None);
    let of_person =
        |caller: &Caller| block_on(fixture.library.person_thumbnails(caller, &key, vec![face])).unwrap().len();
    assert_eq!(of_person(&fixture.caller), 1);
    let limited = Caller { face_sets: FaceSetScope::Only([guests.id].into()), ..caller(1) };
    assert_eq!(of_person(&limited), 0);
    // The same of the listing's pictures. A person without a picture has an empty place.
    let join = Join { face_sets: Vec::new(), capacity: None };
    let none = CreatePerson { key: PersonKey::new("bert").unwrap(), name: None, note: None, join };
    block_on(fixture.library.create_person(&fixture.caller, none)).unwrap();
    let listed = |caller: &Caller| {
        let persons = block_on(fixture.library.persons(&fixture.caller, None, None, 10)).unwrap().persons;
        let found = block_on(fixture.library.portraits(caller, &persons)).unwrap();
        found.into_iter().map(|picture| picture.map(|picture| picture.bytes().clone())).collect::<Vec<_>>()
    };
    assert_eq!(listed(&fixture.caller), [Some(Bytes::from_static(FAKE_THUMBNAIL)), None]);
    assert_eq!(listed(&limited), [None, None]);
    fixture.keep_thumbnails("staff", false);
    assert_eq!(listed(&fixture.caller), [None, None]);
}

/// The dialects that enrol by ids hold a picture as long as any set keeps pictures, and what else is measured stays as asked.
#[test]
fn a_held_face_takes_its_picture_along() {
    let fixture = Fixture::with_staff();
    let hold = |assess: Assess| {
        let image = image("face anna 40x40+10+5\nface bert 60x60+100+5 age=30");
        let request = KeepFaces { image, place: None, pack: None, lifetime: Duration::from_hours(1), assess };
        block_on(fixture.library.keep_faces(&fixture.caller, request)).unwrap().faces
    };
    hold(Assess::NOTHING);
    assert!(!fixture.measured().contains(Aspects::THUMBNAIL), "no set keeps any");
    fixture.keep_thumbnails("staff", true);
    let held = hold(Assess { aspects: Aspects::AGE_AND_GENDER, faces: FaceChoice::Largest });
    assert_eq!((held[0].assessment.age, held[1].assessment.age), (Some(30.0), None));
    assert!(held.iter().all(|kept| kept.assessment.thumbnail.is_none()), "it is in no answer");
    let id = held[1].face.id;
    block_on(fixture.library.add_transient_faces(&fixture.caller, &name("staff"), vec![id])).unwrap();
    let page = likeness_domain::ports::Page { offset: 0, limit: 9 };
    let (_, faces) = block_on(fixture.library.list_faces(&fixture.caller, &name("staff"), page)).unwrap();
    assert_eq!(fixture.thumbnail("staff", faces[0].id).as_deref(), Some(FAKE_THUMBNAIL));
}
