//! The quality gate: who is not good enough to be enrolled, wherever faces are enrolled.

use likeness_domain::access::Limits;
use likeness_domain::library::{AddPersonFaces, CreatePerson, Join, KeepFaces, PersonImage, TransientFaceOutcome};
use likeness_domain::ports::Assess;
use likeness_domain::types::{FaceSetPatch, PersonKey, QualityGate};

use super::*;

/// Faces with figures, as the scenes write them. Boxes are large enough for every gate.
const SHARP: &str = "face anna 100x100+10+5 total=0.9 sharpness=0.9 illumination=1 frontal=1 visibility=1";
const SOFT: &str = "face bert 90x90+200+5 total=0.7 sharpness=0.4 illumination=1 frontal=1 visibility=1";
const BLURRED: &str = "face carl 80x80+400+5 total=0.4 sharpness=0.05 illumination=1 frontal=0.1 visibility=1";

impl Fixture {
    /// A fixture with a set of each gate, named like it.
    fn with_gates() -> Self {
        let mut fixture = Fixture::new();
        fixture.caller.vendor_limits = Limits::NONE;
        for gate in QualityGate::ALL {
            let request = CreateFaceSet { quality_gate: Some(gate), ..create(gate.word()) };
            block_on(fixture.library.create_face_set(&fixture.caller, request)).unwrap();
        }
        fixture
    }

    fn passes(&self, set: &str, scene: &str) -> bool {
        match self.add(AddFaces { face_set: name(set), ..add(scene) }) {
            Ok(added) => added.refused.is_empty(),
            Err(err) => {
                assert_eq!(err.kind(), Kind::PoorQuality, "{err:?}");
                false
            }
        }
    }
}

#[test]
fn each_gate_lets_through_what_is_good_enough_for_it() {
    let fixture = Fixture::with_gates();
    let passes = |scene| QualityGate::ALL.map(|gate| fixture.passes(gate.word(), scene));
    assert_eq!(passes(SHARP), [true, true, true, true]);
    assert_eq!(passes(SOFT), [true, true, true, false]);
    assert_eq!(passes(BLURRED), [true, false, false, false]);
    assert_eq!(passes("face dora 20x20+0+0 total=0.9 sharpness=0.9"), [true, true, false, false], "size counts");
    assert_eq!(passes("face emil 20x20+0+0"), [true, true, true, true], "what is not measured refuses nobody");
}

#[test]
fn nothing_is_measured_for_a_set_without_a_gate() {
    let fixture = Fixture::with_gates();
    assert!(fixture.passes("none", SHARP) && fixture.passes("low", SHARP));
    let asked: Vec<_> = fixture.analyzer.requests().iter().map(|request| request.assess).collect();
    assert_eq!(asked, [Assess::NOTHING, Assess { aspects: Aspects::QUALITY, faces: FaceChoice::Largest }]);
}

#[test]
fn a_refusal_names_figures_and_reasons() {
    let fixture = Fixture::with_gates();
    let err = fixture.add(AddFaces { face_set: name("low"), ..add(BLURRED) }).unwrap_err();
    assert_eq!(
        err.message(),
        "the face is too poor to be enrolled: blurred (sharpness 0.05, expected at least 0.10), \
         turned away (pose 0.10, expected at least 0.12)"
    );
    assert_eq!(fixture.n_faces("low"), 0);
}

#[test]
fn of_several_faces_the_good_ones_are_enrolled_and_the_others_told() {
    let fixture = Fixture::with_gates();
    let scene = [BLURRED, SHARP, SOFT].join("\n");
    let request = AddFaces {
        face_set: name("high"),
        choice: FaceChoice::All,
        external_id: Some(external_id("a.jpg")),
        ..add(&scene)
    };
    let added = fixture.add(request).unwrap();
    assert_eq!(added.faces.len(), 1);
    assert_eq!(added.faces[0].quality.sharpness, Some(0.9), "what was measured is kept");
    assert_eq!(added.faces[0].external_id.as_ref().unwrap().as_str(), "a.jpg");
    let reasons = |idx: usize| added.refused[idx].reasons.iter().map(|short| short.reason).collect::<Vec<_>>();
    let widths: Vec<_> = added.refused.iter().map(|face| face.detection.bounding_box.width).collect();
    assert_eq!(widths, [90, 80], "largest first");
    assert_eq!(
        (reasons(0), reasons(1)),
        (vec!["blurred", "poor in all"], vec!["blurred", "turned away", "poor in all"])
    );
}

#[test]
fn ids_are_numbered_by_what_is_enrolled() {
    let fixture = Fixture::with_gates();
    let scene = ["face carl 120x120+400+105 sharpness=0", SHARP, SOFT].join("\n");
    let request = AddFaces {
        face_set: name("low"),
        choice: FaceChoice::All,
        external_id: Some(external_id("a.jpg")),
        ..add(&scene)
    };
    let ids: Vec<_> = fixture.add(request).unwrap().faces.into_iter().map(|face| face.external_id.unwrap()).collect();
    assert_eq!(ids, [external_id("a.jpg"), external_id("a.jpg#1")]);
}

#[test]
fn the_largest_face_is_not_replaced_by_a_better_one() {
    let fixture = Fixture::with_gates();
    let scene = ["face carl 120x120+400+105 sharpness=0", SHARP].join("\n");
    assert!(!fixture.passes("low", &scene));
}

#[test]
fn a_request_can_ask_for_more_than_the_gate() {
    let fixture = Fixture::with_gates();
    let asking = |thresholds, set: &str, scene: &str| {
        fixture.add(AddFaces { face_set: name(set), thresholds, ..add(scene) }).map_err(|err| err.kind()).is_ok()
    };
    let total = QualityThresholds { total: 0.8, ..QualityThresholds::NONE };
    assert!(asking(total, "none", SHARP) && !asking(total, "none", SOFT));
    let side = QualityThresholds { side_px: 95, ..QualityThresholds::NONE };
    assert!(asking(side, "low", "face anna 95x95+0+0") && !asking(side, "low", "face anna 100x94+0+0"));
}

#[test]
fn a_set_made_without_a_word_has_the_default_gate_and_can_be_changed() {
    let fixture = Fixture::with_staff();
    let gate = || block_on(fixture.library.face_set(&fixture.caller, &name("staff"))).unwrap().face_set.quality_gate;
    assert_eq!(gate(), QualityGate::Low);
    assert!(fixture.passes("staff", SOFT));
    let patch = FaceSetPatch { quality_gate: Some(QualityGate::High), ..FaceSetPatch::default() };
    block_on(fixture.library.update_face_set(&fixture.caller, &name("staff"), patch)).unwrap();
    assert_eq!(gate(), QualityGate::High);
    assert!(!fixture.passes("staff", SOFT));
    assert_eq!(fixture.n_faces("staff"), 1, "who is enrolled stays");
    let strict = Fixture { library: fixture.library.with_default_gate(QualityGate::Medium), ..fixture };
    assert_eq!(strict.create("other").unwrap().quality_gate, QualityGate::Medium);
}

#[test]
fn a_persons_faces_pass_the_strictest_gate_of_its_sets() {
    let fixture = Fixture::with_gates();
    let outcomes = |person: &str, sets: &[&str]| {
        let key = PersonKey::new(person).unwrap();
        let face_sets = sets.iter().map(|set| name(set)).collect();
        let join = Join { face_sets, capacity: None };
        let request = CreatePerson { key: key.clone(), name: None, note: None, join };
        block_on(fixture.library.create_person(&fixture.caller, request)).unwrap();
        let images = [SHARP, SOFT, BLURRED].map(|scene| PersonImage { image: image(scene), source: None });
        let request = AddPersonFaces { person: key, images: images.into() };
        let added = block_on(fixture.library.add_person_faces(&fixture.caller, request)).unwrap();
        added.faces.into_iter().map(|face| face.map_err(|err| err.kind()).err()).collect::<Vec<_>>()
    };
    let poor = Some(Kind::PoorQuality);
    assert_eq!(outcomes("a", &["none"]), [None, None, None]);
    assert_eq!(outcomes("b", &["none", "high", "low"]), [None, poor, poor]);
    assert_eq!(outcomes("c", &[]), [None, None, poor], "in no set: the default gate");
}

#[test]
fn held_faces_pass_the_gate_of_the_set_they_come_to() {
    let fixture = Fixture::with_gates();
    let hold_for = Duration::from_hours(1);
    let scene = [SHARP, SOFT, BLURRED].join("\n");
    // Whatever else is asked, and of how few faces.
    let assess = Assess { aspects: Aspects::AGE_AND_GENDER, faces: FaceChoice::Largest };
    let request = KeepFaces { image: image(scene), pack: None, lifetime: hold_for, place: None, assess };
    let held = block_on(fixture.library.keep_faces(&fixture.caller, request)).unwrap();
    let ids: Vec<_> = held.faces.iter().map(|face| face.face.id).collect();
    let into =
        |set: &str| block_on(fixture.library.add_transient_faces(&fixture.caller, &name(set), ids.clone())).unwrap();
    assert_eq!(
        into("high"),
        [TransientFaceOutcome::Added, TransientFaceOutcome::PoorQuality, TransientFaceOutcome::PoorQuality]
    );
    assert_eq!(into("none"), [TransientFaceOutcome::Added; 3]);
    assert_eq!(
        into("low"),
        [TransientFaceOutcome::Added, TransientFaceOutcome::Added, TransientFaceOutcome::PoorQuality],
        "enrolled ones too"
    );
}
