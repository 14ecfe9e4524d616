use likeness_domain::types::BoundingBox;

use super::*;
use crate::block_on;
use likeness_domain::ports::{Assess, FaceChoice};

fn request(embed: FaceChoice) -> AnalyzeRequest {
    AnalyzeRequest {
        count: likeness_domain::ports::Count::No,
        pack: PackId::new("fake-1").unwrap(),
        rules: ImageRules { formats: ImageFormats::JPEG, bytes_max: 1000, side_max: 2000, side_min: 10 },
        find: FaceChoice::All,
        face_side_min: 0,
        embed,
        assess: Assess::NOTHING,
    }
}

fn analyze(image: &'static [u8], request: AnalyzeRequest) -> Result<Analysis> {
    block_on(FakeAnalyzer::new().analyze(Bytes::from_static(image), request))
}

#[track_caller]
fn check_error(image: &'static [u8], kind: Kind) {
    assert_eq!(analyze(image, request(FaceChoice::All)).unwrap_err().kind(), kind);
}

fn cosine(a: &str, b: &str) -> f32 {
    let pack = PackId::new("fake-1").unwrap();
    fake_template(&pack, a).similarity(&fake_template(&pack, b)).unwrap().get()
}

#[test]
fn faces_come_largest_first_and_only_the_chosen_have_templates() {
    let scene = b"size 200x100\nface bert 20x20+0+0\nface anna 40x40+50+5 0.7";
    let analysis = analyze(scene, request(FaceChoice::Largest)).unwrap();
    assert_eq!((analysis.image_width, analysis.image_height), (200, 100));
    let [anna, bert] = &analysis.faces[..] else { panic!("two faces") };
    assert_eq!(anna.detection.bounding_box, BoundingBox { left: 50, top: 5, width: 40, height: 40 });
    assert_eq!(anna.detection.score, 0.7);
    assert_eq!(anna.template, Some(fake_template(&PackId::new("fake-1").unwrap(), "anna")));
    assert_eq!(bert.template, None);
}

#[test]
fn closeness_is_what_the_name_says() {
    assert_eq!(cosine("anna", "anna"), 1.0);
    for closeness in ["1", "0.93", "0.5", "0", "-0.4"] {
        let wanted: f32 = closeness.parse().unwrap();
        assert!((cosine("anna", &format!("anna~{closeness}")) - wanted).abs() < 1e-6, "{closeness}");
    }
    assert!(cosine("anna~0.9", "anna~0.9#2") < 0.95, "another suffix is another direction");
}

#[test]
fn strangers_are_far_apart() {
    let names = ["anna", "bert", "carl", "dora", "emil", "frieda", "gerd", "hilde"];
    for (name_idx, a) in names.iter().enumerate() {
        for b in &names[name_idx + 1..] {
            assert!(cosine(a, b).abs() < 0.29, "{a} and {b}: {}", cosine(a, b));
        }
    }
}

#[test]
fn packs_do_not_share_templates() {
    let (one, two) = (PackId::new("fake-1").unwrap(), PackId::new("fake-2").unwrap());
    assert_ne!(fake_template(&one, "anna").unit(), fake_template(&two, "anna").unit());
}

#[test]
fn rules_are_kept() {
    check_error(b"format gif", Kind::ImageFormat);
    check_error(b"size 9x100", Kind::ImageDimensions);
    check_error(b"size 2001x100", Kind::ImageDimensions);
    check_error(&[b' '; 1001], Kind::ImageTooLarge);
    check_error(b"GIF89a", Kind::ImageFormat);
    check_error(b"hello", Kind::ImageFormat);
    check_error(b"", Kind::ImageFormat);
    check_error(&[0xff, 0x00], Kind::ImageFormat);
}

#[test]
fn a_real_picture_shows_no_face() {
    assert_eq!(analyze(&[0xff, 0xd8, 0xff, 0xe0, 0x00], request(FaceChoice::All)).unwrap().faces.len(), 0);
}

#[test]
fn errors_come_on_demand() {
    for &kind in Kind::ALL {
        let scene = Bytes::from(format!("error {kind:?}"));
        let answer = block_on(FakeAnalyzer::new().analyze(scene, request(FaceChoice::All)));
        assert_eq!(answer.unwrap_err().kind(), kind);
    }
    let analyzer = FakeAnalyzer::new();
    analyzer.fail_next(Kind::Overloaded);
    let ask = || block_on(analyzer.analyze(Bytes::from_static(b"size 50x50"), request(FaceChoice::All)));
    assert_eq!(ask().unwrap_err().kind(), Kind::Overloaded);
    assert!(ask().is_ok());
    assert_eq!(analyzer.requests().len(), 2);
}

#[test]
fn a_badly_written_scene_says_where() {
    for (scene, problem) in [
        ("face anna 40x40", "line 1: `40x40` is no box"),
        ("size 50x50\nface anna~x 1x1+0+0", "line 2: `x` is no cosine"),
        ("face anna 10x10+635+0", "the box of anna is not inside"),
        ("error Nonsense", "`Nonsense` is no kind"),
        ("face", "unknown words"),
    ] {
        let image = Bytes::from(scene.to_owned());
        let err = block_on(FakeAnalyzer::new().analyze(image, request(FaceChoice::All))).unwrap_err();
        assert_eq!(err.kind(), Kind::ImageCorrupt);
        assert!(err.message().contains(problem), "{}", err.message());
    }
}

#[test]
fn an_unknown_pack_is_not_available() {
    let request = AnalyzeRequest { pack: PackId::new("other-1").unwrap(), ..request(FaceChoice::All) };
    assert_eq!(analyze(b"size 50x50", request).unwrap_err().kind(), Kind::PackUnavailable);
}

#[test]
fn what_is_measured_is_told_of_the_faces_it_was_asked_of() {
    let image = b"face anna 40x40+10+5 age=34 yaw=-20 sharpness=0.3 expression=happy\nface bert 20x20+100+5 0.7 age=50";
    let assess = Assess { aspects: Aspects::AGE_AND_GENDER.and(Aspects::POSE), faces: FaceChoice::Largest };
    let faces = analyze(image, AnalyzeRequest { assess, ..request(FaceChoice::None) }).unwrap().faces;
    assert_eq!(faces[0].assessment.age, Some(34.0));
    assert_eq!(faces[0].assessment.pose.unwrap().yaw, -20.0);
    assert_eq!((faces[0].assessment.expression, faces[0].quality), (None, Quality::default()));
    assert_eq!((faces[1].detection.score, &faces[1].assessment), (0.7, &Assessment::default()));

    let analyzer = FakeAnalyzer::new().limited_to(Aspects::POSE);
    let asked = AnalyzeRequest { assess, ..request(FaceChoice::None) };
    let faces = block_on(analyzer.analyze(Bytes::from_static(image), asked)).unwrap().faces;
    assert_eq!(faces[0].assessment.age, None);
}

#[test]
fn an_unknown_finding_is_refused() {
    check_error(b"face anna 40x40+10+5 shoe_size=34", Kind::ImageCorrupt);
}

#[test]
fn quality_is_measured_of_every_face_that_gets_a_template() {
    let image = b"face anna 40x40+10+5 age=34 sharpness=0.3\nface bert 20x20+100+5 age=50 sharpness=0.2";
    let assess = Assess { aspects: Aspects::AGE_AND_GENDER.and(Aspects::QUALITY), faces: FaceChoice::Largest };
    let faces = analyze(image, AnalyzeRequest { assess, ..request(FaceChoice::All) }).unwrap().faces;
    assert_eq!((faces[0].assessment.age, faces[0].quality.sharpness), (Some(34.0), Some(0.3)));
    assert_eq!((faces[1].assessment.age, faces[1].quality.sharpness), (None, Some(0.2)));
}
