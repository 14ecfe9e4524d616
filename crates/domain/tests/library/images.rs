//! Where images come from, and the questions that need nothing else: detect and compare.

use likeness_domain::library::HandInPicture;
use likeness_domain::limits;
use likeness_domain::ports::PictureRoom;
use likeness_domain::types::PictureName;

use super::*;

fn detect(house: &House, image: ImageInput) -> Result<usize> {
    block_on(house.library.detect(&house.caller, image, Aspects::NONE)).map(|analysis| analysis.faces.len())
}

fn compare(house: &House, first: &str, second: &str) -> Result<f32> {
    let images = [first, second].map(|scene| image(scene.to_owned()));
    block_on(house.library.compare(&house.caller, images)).map(|comparison| comparison.similarity.get())
}

#[test]
fn detect_finds_every_face_and_embeds_none() {
    let house = House::new();
    let scene = "face a 10x10+0+0\nface b 30x30+50+5";
    let analysis = block_on(house.library.detect(&house.caller, image(scene), Aspects::NONE)).unwrap();
    assert_eq!(analysis.faces.len(), 2);
    assert!(analysis.faces.iter().all(|face| face.template.is_none()));
    assert_eq!(detect(&house, image("size 50x50")).unwrap(), 0);
}

#[test]
fn too_many_bytes_are_refused_before_anything_looks_at_them() {
    let house = House::new();
    let err = check_kind(detect(&house, image(vec![0; 501])), Kind::ImageTooLarge);
    assert_eq!(err.message(), "the image has 501 bytes, expected at most 500");
    // A dialect may not be laxer than the house.
    let mut generous = image(vec![0; limits::IMAGE_BYTES_MAX + 1]);
    generous.rules.bytes_max = usize::MAX;
    check_kind(detect(&house, generous), Kind::ImageTooLarge);
    assert_eq!(house.n_analysed(), 0);
}

#[test]
fn an_image_by_address_is_fetched_within_its_rules() {
    let house = House::new();
    house.fetcher.serve("http://a/1", "face a 10x10+0+0");
    house.fetcher.serve("http://a/2", vec![b' '; 501]);
    house.fetcher.fail("http://10.0.0.1/", Kind::UrlForbidden);
    assert_eq!(detect(&house, at_url("http://a/1")).unwrap(), 1);
    check_kind(detect(&house, at_url("http://a/2")), Kind::ImageTooLarge);
    check_kind(detect(&house, at_url("http://10.0.0.1/")), Kind::UrlForbidden);
    assert_eq!(house.fetcher.fetched().len(), 3);
}

#[test]
fn nothing_is_fetched_for_a_request_that_cannot_succeed() {
    let house = House::with_staff();
    let mut request = add("");
    request.image = at_url("http://a/1");
    request.fields = values(&[("city", FieldValue::Whole(1))]);
    check_kind(house.add(request), Kind::FieldNotDefined);
    let mut question = search_by(Probe::Image(at_url("http://a/1")));
    question.filter = Some(expr("city:1"));
    check_kind(house.search(question), Kind::UnknownField);
    assert!(house.fetcher.fetched().is_empty());
}

#[test]
fn a_full_analyzer_says_so() {
    let house = House::new();
    house.analyzer.fail_next(Kind::Overloaded);
    check_kind(detect(&house, image("face a 10x10+0+0")), Kind::Overloaded);
}

#[test]
fn compare_takes_the_largest_face_of_each() {
    let house = House::new();
    let crowd = "face bert 20x20+0+0\nface anna 40x40+50+5";
    assert_eq!(compare(&house, crowd, "face anna 30x30+0+0").unwrap(), 1.0);
    let similarity = compare(&house, crowd, "face anna~0.7 30x30+0+0").unwrap();
    assert!((similarity - 0.7).abs() < 1e-6);
    assert!(compare(&house, crowd, "face bert 30x30+0+0").unwrap() < 0.3);
    let images = [image(crowd), image("face anna~0.7 30x30+3+4")];
    let comparison = block_on(house.library.compare(&house.caller, images)).unwrap();
    assert_eq!(comparison.faces.map(|face| face.bounding_box.left), [50, 3]);
    assert_eq!(comparison.pack.as_str(), "fake-1");
}

#[test]
fn compare_says_which_image_is_at_fault_and_names_the_first_of_two() {
    let house = House::new();
    let (good, none, broken) = ("face anna 40x40+10+5", "size 50x50", "error ImageCorrupt");
    let fault = |first, second, kind| check_kind(compare(&house, first, second), kind).field();
    assert_eq!(fault(none, good, Kind::NoFaceInImage), Some("first image"));
    assert_eq!(fault(good, none, Kind::NoFaceInImage), Some("second image"));
    assert_eq!(fault(good, broken, Kind::ImageCorrupt), Some("second image"));
    assert_eq!(fault(none, broken, Kind::NoFaceInImage), Some("first image"));
    let err = check_kind(compare(&house, good, none), Kind::NoFaceInImage);
    assert_eq!(err.message(), "the second image shows no face");
}

#[test]
fn a_picture_that_was_handed_in_is_one_like_any_other_for_its_tenant() {
    let mut house = House::new();
    let hand_in = |house: &House, caller: &Caller, bytes: Vec<u8>, lifetime_s: u64| {
        let room = PictureRoom { n_max: 1, bytes_max: u64::MAX };
        let (name, lifetime) = (PictureName::new("a").unwrap(), Duration::from_secs(lifetime_s));
        let request = HandInPicture { name, bytes: bytes.into(), lifetime, room };
        block_on(house.library.hand_in_picture(caller, request))
    };
    let handed_in = || input(ImageSource::HandedIn(PictureName::new("a").unwrap()));
    check_kind(detect(&house, handed_in()), Kind::UrlNotFound);
    hand_in(&house, &house.caller, b"face a 10x10+0+0".to_vec(), 3600).unwrap();
    assert_eq!(detect(&house, handed_in()).unwrap(), 1);
    hand_in(&house, &house.caller, vec![0; 501], 3600).unwrap();
    check_kind(detect(&house, handed_in()), Kind::ImageTooLarge);
    house.clock.advance(Duration::from_secs(3600));
    check_kind(detect(&house, handed_in()), Kind::UrlNotFound);

    check_kind(hand_in(&house, &house.caller, vec![0; limits::IMAGE_BYTES_MAX + 1], 1), Kind::ImageTooLarge);
    check_kind(hand_in(&house, &house.caller, vec![], 24 * 3600 + 1), Kind::InvalidArgument);
    check_kind(hand_in(&house, &without(Grant::Search), vec![], 1), Kind::Forbidden);
    hand_in(&house, &house.caller, b"face a 10x10+0+0".to_vec(), 3600).unwrap();
    house.caller = caller(2);
    check_kind(detect(&house, handed_in()), Kind::UrlNotFound);
}
