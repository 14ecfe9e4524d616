//! Where images come from, and the questions that need nothing else: detect and compare.

use likeness_domain::library::PutUpload;
use likeness_domain::limits;
use likeness_domain::ports::UploadQuota;
use likeness_domain::types::UploadName;

use super::*;

fn detect(fixture: &Fixture, image: ImageInput) -> Result<usize> {
    block_on(fixture.library.detect(&fixture.caller, image, Aspects::NONE)).map(|analysis| analysis.faces.len())
}

fn compare(fixture: &Fixture, first: &str, second: &str) -> Result<f32> {
    let images = [first, second].map(|scene| image(scene.to_owned()));
    block_on(fixture.library.compare(&fixture.caller, images)).map(|comparison| comparison.similarity.get())
}

#[test]
fn detect_finds_every_face_and_embeds_none() {
    let fixture = Fixture::new();
    let scene = "face a 10x10+0+0\nface b 30x30+50+5";
    let analysis = block_on(fixture.library.detect(&fixture.caller, image(scene), Aspects::NONE)).unwrap();
    assert_eq!(analysis.faces.len(), 2);
    assert!(analysis.faces.iter().all(|face| face.template.is_none()));
    assert_eq!(detect(&fixture, image("size 50x50")).unwrap(), 0);
}

#[test]
fn too_many_bytes_are_refused_before_anything_looks_at_them() {
    let fixture = Fixture::new();
    let err = check_kind(detect(&fixture, image(vec![0; 501])), Kind::ImageTooLarge);
    assert_eq!(err.message(), "the image has 501 bytes, expected at most 500");
    // A dialect may not be laxer than the fixture.
    let mut generous = image(vec![0; limits::IMAGE_BYTES_MAX + 1]);
    generous.rules.bytes_max = usize::MAX;
    check_kind(detect(&fixture, generous), Kind::ImageTooLarge);
    assert_eq!(fixture.n_analysed(), 0);
}

#[test]
fn an_image_by_address_is_fetched_within_its_rules() {
    let fixture = Fixture::new();
    fixture.fetcher.serve("http://a/1", "face a 10x10+0+0");
    fixture.fetcher.serve("http://a/2", vec![b' '; 501]);
    fixture.fetcher.fail("http://10.0.0.1/", Kind::UrlForbidden);
    assert_eq!(detect(&fixture, at_url("http://a/1")).unwrap(), 1);
    check_kind(detect(&fixture, at_url("http://a/2")), Kind::ImageTooLarge);
    check_kind(detect(&fixture, at_url("http://10.0.0.1/")), Kind::UrlForbidden);
    assert_eq!(fixture.fetcher.fetched().len(), 3);
}

#[test]
fn nothing_is_fetched_for_a_request_that_cannot_succeed() {
    let fixture = Fixture::with_staff();
    let mut request = add("");
    request.image = at_url("http://a/1");
    request.fields = values(&[("city", FieldValue::Whole(1))]);
    check_kind(fixture.add(request), Kind::FieldNotDefined);
    let mut question = search_by(Probe::Image(at_url("http://a/1")));
    question.filter = Some(expr("city:1"));
    check_kind(fixture.search(question), Kind::UnknownField);
    assert!(fixture.fetcher.fetched().is_empty());
}

#[test]
fn a_full_analyzer_says_so() {
    let fixture = Fixture::new();
    fixture.analyzer.fail_next(Kind::Overloaded);
    check_kind(detect(&fixture, image("face a 10x10+0+0")), Kind::Overloaded);
}

#[test]
fn compare_takes_the_largest_face_of_each() {
    let fixture = Fixture::new();
    let crowd = "face bert 20x20+0+0\nface anna 40x40+50+5";
    assert_eq!(compare(&fixture, crowd, "face anna 30x30+0+0").unwrap(), 1.0);
    let similarity = compare(&fixture, crowd, "face anna~0.7 30x30+0+0").unwrap();
    assert!((similarity - 0.7).abs() < 1e-6);
    assert!(compare(&fixture, crowd, "face bert 30x30+0+0").unwrap() < 0.3);
    let images = [image(crowd), image("face anna~0.7 30x30+3+4")];
    let comparison = block_on(fixture.library.compare(&fixture.caller, images)).unwrap();
    assert_eq!(comparison.faces.map(|face| face.bounding_box.left), [50, 3]);
    assert_eq!(comparison.pack.as_str(), "fake-1");
}

#[test]
fn compare_says_which_image_is_at_fault_and_names_the_first_of_two() {
    let fixture = Fixture::new();
    let (good, none, broken) = ("face anna 40x40+10+5", "size 50x50", "error ImageCorrupt");
    let fault = |first, second, kind| check_kind(compare(&fixture, first, second), kind).field().map(str::to_owned);
    assert_eq!(fault(none, good, Kind::NoFaceInImage).as_deref(), Some("first image"));
    assert_eq!(fault(good, none, Kind::NoFaceInImage).as_deref(), Some("second image"));
    assert_eq!(fault(good, broken, Kind::ImageCorrupt).as_deref(), Some("second image"));
    assert_eq!(fault(none, broken, Kind::NoFaceInImage).as_deref(), Some("first image"));
    let err = check_kind(compare(&fixture, good, none), Kind::NoFaceInImage);
    assert_eq!(err.message(), "the second image shows no face");
}

#[test]
fn an_upload_is_an_image_like_any_other_for_its_tenant() {
    let mut fixture = Fixture::new();
    let hand_in = |fixture: &Fixture, caller: &Caller, bytes: Vec<u8>, lifetime_s: u64| {
        let room = UploadQuota { n_max: 1, bytes_max: u64::MAX };
        let (name, lifetime) = (UploadName::new("a").unwrap(), Duration::from_secs(lifetime_s));
        let request = PutUpload { name, bytes: bytes.into(), lifetime, room };
        block_on(fixture.library.put_upload(caller, request))
    };
    let upload = || input(ImageSource::Upload(UploadName::new("a").unwrap()));
    check_kind(detect(&fixture, upload()), Kind::UploadNotFound);
    hand_in(&fixture, &fixture.caller, b"face a 10x10+0+0".to_vec(), 3600).unwrap();
    assert_eq!(detect(&fixture, upload()).unwrap(), 1);
    hand_in(&fixture, &fixture.caller, vec![0; 501], 3600).unwrap();
    check_kind(detect(&fixture, upload()), Kind::ImageTooLarge);
    fixture.clock.advance(Duration::from_secs(3600));
    check_kind(detect(&fixture, upload()), Kind::UploadNotFound);

    check_kind(hand_in(&fixture, &fixture.caller, vec![0; limits::IMAGE_BYTES_MAX + 1], 1), Kind::ImageTooLarge);
    check_kind(hand_in(&fixture, &fixture.caller, vec![], 24 * 3600 + 1), Kind::InvalidArgument);
    check_kind(hand_in(&fixture, &without(Grant::Search), vec![], 1), Kind::Forbidden);
    hand_in(&fixture, &fixture.caller, b"face a 10x10+0+0".to_vec(), 3600).unwrap();
    fixture.caller = caller(2);
    check_kind(detect(&fixture, upload()), Kind::UploadNotFound);
}
