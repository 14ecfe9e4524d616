//! Who resembles the probe.

use likeness_domain::library::{Direction, Scales, SortKey};
use likeness_domain::limits;
use likeness_domain::ports::Hit;
use likeness_domain::score::{Calibration, Scale};
use likeness_domain::types::BoundingBox;

use super::*;

/// `staff` with anna and three lookalikes of her, in a mixed order of enrolment.
fn lookalikes() -> Fixture {
    let fixture = Fixture::with_staff();
    for (person, age) in [("anna~0.5", 40), ("anna~0.9", 20), ("anna~0.7", -1), ("anna", 30)] {
        fixture.enrol(person, age);
    }
    fixture
}

fn sort(keys: &[(&str, Direction)]) -> Vec<SortKey> {
    keys.iter().map(|&(field, direction)| SortKey { field: field.to_owned(), direction }).collect()
}

#[test]
fn the_most_similar_come_first_and_the_cut_keeps_them() {
    let fixture = lookalikes();
    assert_eq!(fixture.found(search("anna")), ["anna", "anna~0.9", "anna~0.7", "anna~0.5"]);
    assert_eq!(fixture.found(Search { top_k: 2, ..search("anna") }), ["anna", "anna~0.9"]);
    let answer = fixture.search(search("anna")).unwrap();
    let similarities: Vec<_> = answer.candidates.iter().map(|candidate| candidate.similarity.get()).collect();
    for (found, expected) in similarities.iter().zip([1.0, 0.9, 0.7, 0.5]) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

#[test]
fn the_threshold_is_inclusive() {
    let fixture = lookalikes();
    let least = fixture.search(search("anna")).unwrap().candidates[2].similarity;
    assert_eq!(fixture.found(Search { threshold: Threshold::Similarity(least), ..search("anna") }).len(), 3);
    let above = Similarity::new(least.get().next_up());
    assert_eq!(fixture.found(Search { threshold: Threshold::Similarity(above), ..search("anna") }).len(), 2);
    let never = Search { threshold: Threshold::Similarity(Similarity::MAX), ..search("bert") };
    assert!(fixture.found(never).is_empty(), "nobody is an answer, not an error");
}

#[test]
fn a_threshold_may_be_a_rate_or_a_number_of_a_scale() {
    let fixture = lookalikes();
    let answer = |threshold| fixture.search(Search { threshold, ..search("anna") });
    let pack = fixture.library.packs()[0].clone();
    let by_rate = answer(Threshold::FalseAcceptRate(1e-4)).unwrap();
    assert_eq!(by_rate.similarity_min, pack.calibration.similarity_at(1e-4));
    assert_eq!((by_rate.compared.n_faces, by_rate.candidates.len()), (4, 4));
    for far in [0.0, 9e-7, 0.2, 1.1, f64::NAN] {
        check_kind(answer(Threshold::FalseAcceptRate(far)), Kind::InvalidArgument);
    }
    assert_eq!(answer(Threshold::FalseAcceptRate(1.0)).unwrap().similarity_min, Similarity::MIN);
    assert_eq!(answer(Threshold::Usual).unwrap().similarity_min, by_rate.similarity_min);
    let percent = |_: &Calibration| Scale::new(vec![(Similarity::MIN, 0.0), (Similarity::MAX, 100.0)]).unwrap();
    let scales = Scales::of(&fixture.library, percent);
    let by_number = answer(Threshold::Number(scales.clone(), 90.0)).unwrap();
    assert_eq!(by_number.similarity_min, scales.get(&pack.id).unwrap().to_similarity(90.0));
    let similarities = by_number.candidates.iter().map(|candidate| candidate.similarity);
    assert_eq!(similarities.filter(|similarity| *similarity >= Similarity::new(0.8)).count(), 2);
    assert_eq!(by_number.candidates.len(), 2);
}

#[test]
fn a_number_of_false_matches_asks_for_more_the_larger_the_gallery() {
    let fixture = lookalikes();
    let answer = |expected| fixture.search(Search { threshold: Threshold::FalseMatches(expected), ..search("anna") });
    let pack = fixture.library.packs()[0].clone();
    let at = |far| pack.calibration.similarity_at(far);
    assert_eq!(answer(4e-3).unwrap().similarity_min, at(1e-3), "four faces are four comparisons");
    assert_eq!(answer(4e-6).unwrap().similarity_min, at(1e-6), "the smallest measured rate");
    assert_eq!(answer(0.4).unwrap().similarity_min, at(1e-1), "the largest measured rate");
    for too_many in [0.41, 3.0, 100.0, f64::INFINITY] {
        let err = check_kind(answer(too_many), Kind::InvalidArgument);
        assert_eq!(err.field(), Some("false_matches"));
        assert!(err.message().contains("expected 4e-6 to 4e-1 among 4 faces"), "{}", err.message());
    }
    let err = check_kind(answer(3e-6), Kind::InvalidArgument);
    assert_eq!(err.field(), Some("false_matches"));
    assert!(err.message().contains("expected 4e-6 to 4e-1 among 4 faces; 7.5e-7 per"), "{}", err.message());
    assert!(err.message().contains("which was measured from 1e-6 to 1e-1"), "{}", err.message());
    for expected in [0.0, -1.0, f64::NAN] {
        check_kind(answer(expected), Kind::InvalidArgument);
    }
    fixture.enrol("bert", 1);
    assert!(answer(4e-3).unwrap().similarity_min > at(1e-3), "a fifth face");
}

#[test]
fn ties_go_to_the_older_face() {
    let fixture = Fixture::with_staff();
    let enrolled: Vec<_> = (0..5).map(|_| fixture.enrol("anna", -1)).collect();
    let answer = fixture.search(search("anna")).unwrap();
    let found: Vec<_> = answer.candidates.iter().map(|candidate| candidate.face.id).collect();
    assert_eq!(found, enrolled);
}

#[test]
fn an_image_probe_says_where_its_largest_face_was() {
    let fixture = lookalikes();
    let crowd = "face bert 20x20+0+0\nface anna 40x40+50+5";
    let answer = fixture.search(search_by(Probe::Image(image(crowd)))).unwrap();
    let probe = answer.probe.unwrap().bounding_box;
    assert_eq!(probe, BoundingBox { left: 50, top: 5, width: 40, height: 40 });
    assert_eq!(subjects(&answer)[0], "anna");
    assert_eq!(answer.face_set.name, name("staff"));
}

#[test]
fn an_enrolled_probe_finds_itself_first_without_an_image() {
    let fixture = lookalikes();
    let face = fixture.enrol("bert", -1);
    let n_before = fixture.n_analysed();
    let answer = fixture.search(search_by(Probe::Face(face))).unwrap();
    assert_eq!(answer.candidates[0].face.id, face);
    assert_eq!(answer.candidates[0].similarity, Similarity::MAX);
    assert_eq!((answer.probe, fixture.n_analysed()), (None, n_before));
    check_kind(fixture.search(search_by(Probe::Face(FaceId::new(77).unwrap()))), Kind::FaceNotFound);
}

#[test]
fn an_image_without_a_face_cannot_be_looked_for() {
    check_kind(lookalikes().search(search_by(Probe::Image(image("size 50x50")))), Kind::NoFaceInImage);
}

#[test]
fn the_filter_comes_before_the_cut() {
    let fixture = lookalikes();
    let filtered = |text: &str, top_k| fixture.found(Search { filter: Some(expr(text)), top_k, ..search("anna") });
    assert_eq!(filtered("age:[40 TO *]", 1), ["anna~0.5"]);
    assert_eq!(filtered("!age:*", 10), ["anna~0.7"]);
    assert_eq!(filtered("subject:\"anna~0.9\" || age:30", 10), ["anna", "anna~0.9"]);
}

#[test]
fn sort_keys_reorder_what_the_cut_kept_and_put_the_valueless_last() {
    let fixture = lookalikes();
    let sorted = |keys: &[_], top_k| fixture.found(Search { sort: sort(keys), top_k, ..search("anna") });
    use Direction::{Ascending, Descending};
    assert_eq!(sorted(&[("age", Ascending)], 10), ["anna~0.9", "anna", "anna~0.5", "anna~0.7"]);
    assert_eq!(sorted(&[("age", Descending)], 10), ["anna~0.5", "anna", "anna~0.9", "anna~0.7"]);
    assert_eq!(sorted(&[("age", Descending)], 2), ["anna", "anna~0.9"], "the oldest by age is not among the best two");
    assert_eq!(sorted(&[("score", Ascending)], 10), ["anna", "anna~0.9", "anna~0.7", "anna~0.5"]);
    assert_eq!(sorted(&[("score", Ascending), ("age", Ascending)], 10)[0], "anna~0.9");
}

#[test]
fn checks_come_in_the_documented_order() {
    let fixture = lookalikes();
    let bad = || Search {
        filter: Some(expr("city:1")),
        sort: sort(&[("team", Direction::Ascending)]),
        top_k: 0,
        ..search_by(Probe::Image(image("error ImageCorrupt")))
    };
    let n_before = fixture.n_analysed();
    check_kind(fixture.search(Search { face_set: name("nope"), ..bad() }), Kind::FaceSetNotFound);
    check_kind(fixture.search(bad()), Kind::UnknownField);
    check_kind(fixture.search(Search { filter: Some(expr("age:x")), ..bad() }), Kind::InvalidArgument);
    let err = check_kind(fixture.search(Search { filter: None, ..bad() }), Kind::SortFieldNotNumeric);
    assert_eq!(err.message(), "cannot sort by custom field `team` of type string, expected a number");
    let unknown = sort(&[("city", Direction::Ascending)]);
    check_kind(fixture.search(Search { filter: None, sort: unknown, ..bad() }), Kind::UnknownField);
    let many = sort(&[("age", Direction::Ascending); limits::SORT_KEYS_MAX + 1]);
    check_kind(fixture.search(Search { filter: None, sort: many, ..bad() }), Kind::InvalidArgument);
    for top_k in [0, limits::TOP_K_MAX + 1] {
        let err =
            check_kind(fixture.search(Search { filter: None, sort: vec![], top_k, ..bad() }), Kind::InvalidArgument);
        assert_eq!(err.field(), Some("top_k"));
    }
    assert_eq!(fixture.n_analysed(), n_before);
    check_kind(fixture.search(Search { filter: None, sort: vec![], top_k: 1, ..bad() }), Kind::ImageCorrupt);
}

#[test]
fn a_hit_the_store_no_longer_has_is_dropped_and_does_not_shorten_the_answer() {
    let fixture = lookalikes();
    for ghost in 1..4 {
        let face = FaceId::new(ghost).unwrap();
        fixture.index.haunt(Hit { face, person: None, similarity: Similarity::MAX, sequence: 0 });
    }
    assert_eq!(fixture.found(Search { top_k: 2, ..search("anna") }), ["anna", "anna~0.9"]);
    assert_eq!(fixture.found(search("anna")).len(), 4);
}

#[test]
fn a_busy_index_says_so() {
    let fixture = lookalikes();
    fixture.index.fail_next(Kind::Overloaded);
    check_kind(fixture.search(search("anna")), Kind::Overloaded);
}

#[test]
fn a_deleted_face_is_not_found_by_the_next_search() {
    let fixture = lookalikes();
    let which = likeness_domain::library::DeleteFaces::Subject(Subject::new("anna").unwrap());
    block_on(fixture.library.delete_faces(&fixture.caller, &name("staff"), which)).unwrap();
    assert_eq!(fixture.found(search("anna")), ["anna~0.9", "anna~0.7", "anna~0.5"]);
}

#[test]
fn the_store_is_the_one_the_library_says() {
    // Guards the fixture itself: a search that did not go through this store would make every test above hollow.
    let fixture = lookalikes();
    assert_eq!(block_on(fixture.store.report(true)).unwrap().n_faces, 4);
}
