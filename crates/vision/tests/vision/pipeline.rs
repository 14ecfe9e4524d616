//! The whole way from bytes to templates, and the ways it can be refused.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat};
use likeness_domain::Kind;
use likeness_domain::ports::{AnalyzeRequest, AnalyzedFace, Assess, Count, FaceAnalyzer, FaceChoice};
use likeness_domain::types::{Aspects, Assessment, PackId};
use likeness_vision::draw::{PictureFormat, annotate};
use likeness_vision::pipeline::{Pipeline, PipelineSettings};

use super::support::{RULES, analyze, installation, portrait};

pub(super) fn png(image: &DynamicImage) -> Bytes {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).expect("encodes");
    bytes.into()
}

/// A portrait as pixels, through our own decoder.
pub(super) fn pixels(name: &str) -> Option<DynamicImage> {
    Some(decoded(&portrait(name)?))
}

/// A picture's file as pixels, through our own decoder.
pub(super) fn decoded(file: &[u8]) -> DynamicImage {
    let picture = likeness_vision::decode::decode(file, &RULES).expect("decodes");
    let raw = image::RgbImage::from_raw(picture.width(), picture.height(), picture.data().to_vec());
    DynamicImage::ImageRgb8(raw.expect("fits"))
}

#[test]
fn two_photographs_of_one_person_are_alike_and_of_two_are_not() {
    let (Some(installation), Some(obama)) = (installation(), portrait("obama.jpg")) else { return };
    let pipeline = installation.pipeline(1, 8);
    let template = |bytes: Bytes| {
        let found = analyze(&pipeline, bytes, installation.request(FaceChoice::Largest)).expect("analyses");
        found.faces[0].template.clone().expect("was asked for")
    };
    let obama = template(obama);
    let again = template(portrait("obama2.jpg").expect("there"));
    let other = template(portrait("biden.jpg").expect("there"));
    assert_eq!(obama.unit().len(), 128);
    assert!(obama.similarity(&again).expect("one pack").get() > 0.6);
    assert!(obama.similarity(&other).expect("one pack").get() < 0.2);
}

#[test]
fn only_the_faces_asked_for_are_embedded_and_the_largest_come_first() {
    let (Some(installation), Some(photo)) = (installation(), portrait("obama_and_biden.jpg")) else { return };
    let pipeline = installation.pipeline(1, 8);
    for (choice, n_expected) in [(FaceChoice::None, 0), (FaceChoice::Largest, 1), (FaceChoice::LargestFew(2), 2)] {
        let found = analyze(&pipeline, photo.clone(), installation.request(choice)).expect("analyses");
        assert_eq!((found.image_width, found.image_height), (2000, 1428));
        let areas: Vec<_> = found.faces.iter().map(|face| face.detection.bounding_box.area()).collect();
        assert!(areas.len() >= 3 && areas.is_sorted_by(|a, b| a >= b), "{areas:?}");
        let has_template: Vec<_> = found.faces.iter().map(|face| face.template.is_some()).collect();
        assert_eq!(has_template.iter().filter(|&&has| has).count(), n_expected);
        assert!(has_template.is_sorted_by(|a, b| a >= b), "the first ones: {has_template:?}");
    }
}

#[test]
fn the_same_photograph_gives_the_same_answer_every_time() {
    let (Some(installation), Some(photo)) = (installation(), portrait("obama_small.jpg")) else { return };
    let pipeline = installation.pipeline(2, 8);
    let answer = || analyze(&pipeline, photo.clone(), installation.request(FaceChoice::All)).expect("analyses");
    let first = answer();
    for _ in 0..4 {
        let next = answer();
        assert_eq!(next.faces[0].detection, first.faces[0].detection);
        assert!(next.faces[0].template == first.faces[0].template);
    }
}

#[test]
fn picture_without_a_face_is_an_empty_answer() {
    let Some(installation) = installation() else { return };
    let plain = png(&DynamicImage::ImageRgb8(image::RgbImage::from_pixel(300, 200, image::Rgb([90, 120, 150]))));
    for find in [FaceChoice::Largest, FaceChoice::All] {
        let request = AnalyzeRequest { find, ..installation.request(FaceChoice::All) };
        let found = analyze(&installation.pipeline(1, 1), plain.clone(), request).expect("analyses");
        assert_eq!((found.image_width, found.image_height, found.faces.len()), (300, 200, 0));
    }
}

/// Where nothing but boxes is asked for, no mesh is fitted to a face of which the detector is certain.
#[test]
fn boxes_alone_are_those_of_faces_that_are_measured() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for name in ["obama_and_biden.jpg", "biden2.jpg", "astronaut.png", "obama_small.jpg", "obama_partial_face.jpg"] {
        let Some(photo) = portrait(name) else { return };
        let assess = Assess { aspects: Aspects::POINTS, faces: FaceChoice::All };
        let request = AnalyzeRequest { assess, ..installation.request(FaceChoice::None) };
        let measured = analyze(&pipeline, photo.clone(), request).expect("analyses").faces;
        let boxes = analyze(&pipeline, photo, installation.request(FaceChoice::None)).expect("analyses").faces;
        let places = |faces: &[AnalyzedFace]| {
            let mut places: Vec<_> = faces.iter().map(|face| face.detection.bounding_box).collect();
            places.sort_by_key(|it| (it.left, it.top, it.width, it.height));
            places
        };
        assert_eq!(places(&boxes), places(&measured), "{name}");
        assert!(boxes.iter().all(|face| face.doubt.is_none()), "{name}: nothing is said of boxes");
    }
}

/// Whoever wants the largest face of a picture hears how many there are, and gets the same face.
#[test]
fn faces_beside_the_one_that_is_wanted_are_counted() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for (name, if_several) in [("obama_and_biden.jpg", 3), ("biden2.jpg", 1), ("astronaut.png", 1)] {
        let Some(photo) = portrait(name) else { return };
        let found = |count| {
            let largest = FaceChoice::Largest;
            let request = AnalyzeRequest { find: largest, count, ..installation.request(largest) };
            analyze(&pipeline, photo.clone(), request).expect("analyses")
        };
        let all = analyze(&pipeline, photo.clone(), installation.request(FaceChoice::None)).expect("analyses");
        let (plain, several, counted) = (found(Count::No), found(Count::IfSeveral), found(Count::All));
        assert_eq!(plain.n_faces, None, "{name}");
        assert_eq!((several.n_faces, counted.n_faces), (Some(if_several), Some(all.faces.len())), "{name}");
        assert_eq!(plain.faces[0].detection, counted.faces[0].detection, "{name}");
        assert!(plain.faces[0].template == counted.faces[0].template, "{name}");
    }
}

#[test]
fn points_that_are_asked_for_follow_a_turned_face() {
    let (Some(installation), Some(upright)) = (installation(), pixels("obama_small.jpg")) else { return };
    let pipeline = installation.pipeline(1, 1);
    let assess = Assess { aspects: Aspects::POINTS, faces: FaceChoice::All };
    let turned = [upright.clone(), upright.rotate90(), upright.rotate180(), upright.rotate270()];
    for (picture, degrees) in turned.iter().zip([0, 90, 180, 270]) {
        let request = AnalyzeRequest { assess, ..installation.request(FaceChoice::None) };
        let face = analyze(&pipeline, png(picture), request).expect("analyses").faces.remove(0);
        assert_eq!(face.detection.landmarks.quarter_turn().degrees(), degrees);
        assert_eq!(face.assessment, Assessment::default(), "nothing else is measured");
    }
}

#[test]
fn face_that_lies_gets_the_template_of_the_upright_face() {
    let (Some(installation), Some(upright)) = (installation(), pixels("astronaut.png")) else { return };
    let pipeline = installation.pipeline(1, 1);
    let request = || AnalyzeRequest { find: FaceChoice::Largest, ..installation.request(FaceChoice::Largest) };
    let expected = analyze(&pipeline, png(&upright), request()).expect("analyses");
    let expected = &expected.faces[0];
    let side = upright.width();
    for (turned, is_clockwise) in [(upright.rotate90(), true), (upright.rotate270(), false)] {
        let found = analyze(&pipeline, png(&turned), request()).expect("analyses");
        let face = &found.faces[0];
        let cosine = face.template.as_ref().expect("asked for").similarity(expected.template.as_ref().expect("too"));
        // Not the same to the last digit: the mesh is fitted to crops that differ by a few degrees.
        assert!(cosine.expect("one pack").get() > 0.995, "the template is that of the upright face: {cosine:?}");
        // Where the box must be: column and row change places.
        let (here, there) = (face.detection.bounding_box, expected.detection.bounding_box);
        let left = if is_clockwise { side - there.top - there.height } else { there.top };
        let top = if is_clockwise { there.left } else { side - there.left - there.width };
        assert!(here.left.abs_diff(left) <= 1 && here.top.abs_diff(top) <= 1, "{here:?}, expected {left}, {top}");
        assert!(here.width.abs_diff(there.height) <= 1 && here.height.abs_diff(there.width) <= 1);
    }
}

#[test]
fn face_that_stands_on_its_head_is_turned_although_the_detector_finds_it_so() {
    let (Some(installation), Some(upright)) = (installation(), pixels("obama_small.jpg")) else { return };
    let pipeline = installation.pipeline(1, 1);
    let request = || AnalyzeRequest { find: FaceChoice::Largest, ..installation.request(FaceChoice::Largest) };
    let expected = analyze(&pipeline, png(&upright), request()).expect("analyses");
    let expected = expected.faces[0].template.as_ref().expect("asked for");
    let found = analyze(&pipeline, png(&upright.rotate180()), request()).expect("analyses");
    let found = found.faces[0].template.as_ref().expect("asked for");
    assert!(found.similarity(expected).expect("one pack").get() > 0.99);
}

#[test]
fn face_that_fills_a_large_picture_is_found_once_and_whole() {
    let (Some(installation), Some(photo)) = (installation(), pixels("biden2.jpg")) else { return };
    let pipeline = installation.pipeline(1, 1);
    let found = analyze(&pipeline, png(&photo), installation.request(FaceChoice::None)).expect("analyses");
    let face = found.faces[0].detection.bounding_box;
    let close_up = photo.crop_imm(face.left - 40, face.top - 40, face.width + 80, face.height + 80);
    let scale = 1800.0 / f64::from(close_up.height());
    let enlarged = close_up.resize_exact(
        (f64::from(close_up.width()) * scale) as u32,
        1800,
        image::imageops::FilterType::Triangle,
    );
    let found = analyze(&pipeline, png(&enlarged), installation.request(FaceChoice::None)).expect("analyses");
    assert_eq!(found.faces.len(), 1, "{:?}", found.faces);
    let height = f64::from(found.faces[0].detection.bounding_box.height);
    assert!((height / (f64::from(face.height) * scale) - 1.0).abs() < 0.1, "{height} pixels high");
    assert!(found.faces[0].detection.score > 0.85);
}

#[test]
fn stored_turned_with_exif_is_analysed_upright() {
    let (Some(installation), Some(upright)) = (installation(), portrait("biden.jpg")) else { return };
    let pipeline = installation.pipeline(1, 1);
    let expected = analyze(&pipeline, upright.clone(), installation.request(FaceChoice::None)).expect("analyses");
    // The portrait carries EXIF orientation 1; the same pixels with 6 are shown lying.
    let at = upright.windows(4).position(|window| window == [0x12, 0x01, 0x03, 0x00]);
    let at = at.or_else(|| upright.windows(4).position(|window| window == [0x01, 0x12, 0x00, 0x03]));
    let at = at.expect("an orientation entry");
    let mut turned = upright.to_vec();
    let value = turned[at + 8..at + 10].iter().position(|&byte| byte == 1).expect("orientation 1");
    turned[at + 8 + value] = 6;
    let found = analyze(&pipeline, turned, installation.request(FaceChoice::None)).expect("analyses");
    assert_eq!((found.image_width, found.image_height), (expected.image_height, expected.image_width));
}

#[test]
fn refusals_have_their_kinds() {
    let (Some(installation), Some(photo)) = (installation(), portrait("obama_small.jpg")) else { return };
    let pipeline = installation.pipeline(1, 1);
    let request = || installation.request(FaceChoice::None);
    let kind = |bytes: &[u8], request| analyze(&pipeline, bytes.to_vec(), request).expect_err("refused").kind();
    assert_eq!(kind(b"no picture", request()), Kind::ImageFormat);
    assert_eq!(kind(&photo[..photo.len() / 2], request()), Kind::ImageCorrupt);
    let other_pack = AnalyzeRequest { pack: PackId::new("other-1").expect("lawful"), ..request() };
    assert_eq!(kind(&photo, other_pack), Kind::PackUnavailable);
    let small = AnalyzeRequest { rules: likeness_domain::ports::ImageRules { side_max: 100, ..RULES }, ..request() };
    assert_eq!(kind(&photo, small), Kind::ImageDimensions);
}

#[test]
fn crowd_of_requests_is_answered_or_refused_at_once() {
    let (Some(installation), Some(photo)) = (installation(), portrait("obama.jpg")) else { return };
    let pipeline = installation.pipeline(1, 2);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("builds");
    let outcomes = runtime.block_on(async {
        let pending: Vec<_> =
            (0..10).map(|_| pipeline.analyze(photo.clone(), installation.request(FaceChoice::None))).collect();
        let mut outcomes = Vec::new();
        for answer in pending {
            outcomes.push(answer.await);
        }
        outcomes
    });
    let n_answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((2..=4).contains(&n_answered), "one at work and two waiting, {n_answered} were answered");
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(refused.kind(), Kind::Overloaded);
    }
    assert_eq!(pipeline.load().n_queued, 0);
    let again = analyze(&pipeline, photo, installation.request(FaceChoice::None));
    assert_eq!(again.expect("there is room again").faces.len(), 1);
}

#[test]
fn shut_down_pipeline_is_overloaded() {
    let (Some(installation), Some(photo)) = (installation(), portrait("obama_small.jpg")) else { return };
    let pipeline = installation.pipeline(1, 2);
    pipeline.shut_down();
    let error = analyze(&pipeline, photo, installation.request(FaceChoice::None)).expect_err("is shut down");
    assert_eq!(error.kind(), Kind::Overloaded);
}

#[test]
fn packs_say_what_they_are() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    let [pack] = pipeline.packs() else { panic!("one pack") };
    assert_eq!((pack.id.as_str(), pack.dimensions), ("default-2", 128));
    assert!((pack.calibration.similarity_at(1e-3).get() - 0.3738).abs() < 1e-6);
    let settings =
        PipelineSettings { memory_bytes: 256 << 20, workers: 1, queue_max: 1, wait_max: super::support::PATIENT };
    assert_eq!(
        Pipeline::open(&installation.runtime, &[], settings).err().expect("refused").kind(),
        Kind::PackUnavailable
    );
}

#[test]
fn a_small_photograph_is_annotated_enlarged() {
    let (Some(installation), Some(photo)) = (installation(), portrait("obama_small.jpg")) else { return };
    let pipeline = installation.pipeline(1, 1);
    let found = analyze(&pipeline, photo.clone(), installation.request(FaceChoice::None)).expect("analyses");
    let annotated = annotate(&photo, &RULES, &found, PictureFormat::Png).expect("draws");
    assert_eq!((found.image_width, annotated.factor), (320, 2));
    let drawn = likeness_vision::decode::decode(&annotated.bytes, &RULES).expect("is a PNG");
    assert_eq!(drawn.width(), 640);
    assert!(drawn.height() > 480, "the table is below the photograph");
    // The left edge of the box, in its middle: the greenest pixel near it is the line's, the photograph has none so green.
    let bounding_box = found.faces[0].detection.bounding_box;
    let (left, middle) = (2 * bounding_box.left, 2 * bounding_box.top + bounding_box.height);
    let greenness = |x: u32| i32::from(drawn.pixel(x, middle)[1]) - i32::from(drawn.pixel(x, middle)[0]);
    assert!((left - 1..=left + 1).map(greenness).max() > Some(80));
    assert!((left + 6..left + 12).map(greenness).all(|green| green < 40));
}
