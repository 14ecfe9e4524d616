//! What is measured of faces, with the real stages and with one that must not run.

use likeness_domain::ports::{Assess, FaceAnalyzer, FaceChoice};
use likeness_domain::types::{Aspects, Expression, Point};
use likeness_domain::{Kind, Result};
use likeness_vision::pack::{Digest, Home, Installable, InstalledPack, Source, install_pack, load};
use likeness_vision::pipeline::{Pipeline, PipelineSettings};

use super::support::{Installation, analyze, installation, portrait, shared};

const ONE_WORKER: PipelineSettings =
    PipelineSettings { memory_bytes: 256 << 20, workers: 1, queue_max: 1, wait_max: super::support::PATIENT };

const ALL: Assess = Assess { aspects: Aspects::ALL, faces: FaceChoice::All };

impl Installation {
    pub(super) fn with(&self, stages: &[InstalledPack]) -> Pipeline {
        let packs = [std::slice::from_ref(&self.pack), stages].concat();
        Pipeline::open(&self.runtime, &packs, ONE_WORKER).expect("opens")
    }
}

/// The pack `attributes` beside the default one, or nothing with a word about it.
pub(super) fn attributes() -> Option<InstalledPack> {
    let loaded = || -> Result<InstalledPack> { load(&Home::from_env()?, &Installable::Attributes.id()) };
    loaded().inspect_err(|err| eprintln!("skipped: {err}")).ok()
}

/// The pack `liveness` made from the shared weights in a home of its own, which must live as long as it is used.
fn liveness() -> Option<(tempfile::TempDir, InstalledPack)> {
    let folder = shared("models")?;
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let home = Home::at(scratch.path());
    let pack = install_pack(&home, Installable::Liveness, &Source::Path(folder), &()).expect("installs");
    Some((scratch, pack))
}

/// A pack whose one stage is a file of these bytes.
fn own_stage(bytes: &[u8]) -> (tempfile::TempDir, InstalledPack) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let dir = scratch.path().join("mine-1");
    std::fs::create_dir(&dir).expect("is made");
    std::fs::write(dir.join("net.onnx"), bytes).expect("is written");
    let manifest = format!(
        "[pack]\nid = \"mine\"\nversion = 1\nlicence = \"none\"\n[expression]\nfamily = \"square-crop\"\n\
         file = \"net.onnx\"\nsha256 = \"{}\"\ncrop = 1.0\nsoftmax = true\n\
         input = {{ size = 112, order = \"rgb\", mean = 0.0, scale = 1.0 }}\n\
         classes = [\"surprised\", \"happy\", \"sad\", \"angry\", \"fearful\", \"disgusted\", \"neutral\"]\n",
        Digest::of(bytes)
    );
    std::fs::write(dir.join("manifest.toml"), manifest).expect("is written");
    let pack = InstalledPack::open(&dir).expect("opens");
    (scratch, pack)
}

#[test]
fn stage_that_nobody_asks_for_is_not_even_opened() {
    let (Some(installation), Some(image)) = (installation(), portrait("obama.jpg")) else { return };
    let (_scratch, broken) = own_stage(b"no model at all");
    let pipeline = installation.with(&[broken]);
    assert_eq!(pipeline.aspects().common(Aspects::EXPRESSION), Aspects::EXPRESSION);
    let mut request = installation.request(FaceChoice::Largest);
    let found = analyze(&pipeline, image.clone(), request.clone()).expect("nothing of the stage is needed");
    assert_eq!(found.faces[0].assessment, Default::default());
    request.assess = Assess { aspects: Aspects::POSE, faces: FaceChoice::All };
    analyze(&pipeline, image.clone(), request.clone()).expect("a pose needs no stage");
    request.assess = Assess { aspects: Aspects::EXPRESSION, faces: FaceChoice::None };
    analyze(&pipeline, image.clone(), request.clone()).expect("of no face");
    request.assess.faces = FaceChoice::All;
    let error = analyze(&pipeline, image, request).expect_err("now it is needed");
    assert_eq!(error.kind(), Kind::PackUnavailable);
    assert!(error.message().starts_with("model pack `mine-1`: model `net.onnx` cannot be loaded"), "{error}");
}

#[test]
fn without_stage_packs_only_what_needs_none_is_measured() {
    let (Some(installation), Some(image)) = (installation(), portrait("obama.jpg")) else { return };
    let pipeline = installation.with(&[]);
    assert!(pipeline.aspects().contains(Aspects::POSE));
    let stages = Aspects::EXPRESSION.and(Aspects::AGE_AND_GENDER).and(Aspects::LIVENESS);
    assert!(pipeline.aspects().common(stages).is_empty());
    let has_mesh = installation.recognition().mesh.is_some();
    assert_eq!(pipeline.aspects().contains(Aspects::LANDMARKS), has_mesh);
    let mut request = installation.request(FaceChoice::None);
    request.assess = ALL;
    let found = analyze(&pipeline, image, request).expect("what is not there is left out").faces.remove(0).assessment;
    assert!(found.pose.is_some());
    assert_eq!(
        (found.landmarks.is_some(), found.mesh.is_some(), found.openness.is_some()),
        (has_mesh, has_mesh, has_mesh)
    );
    assert_eq!((found.expression, found.age, found.gender, found.liveness), Default::default());
}

#[test]
fn users_own_stage_is_used_before_the_one_of_our_pack() {
    let (Some(installation), Some(image), Some(attributes)) = (installation(), portrait("obama.jpg"), attributes())
    else {
        return;
    };
    let stage = attributes.manifest().assess().expression.clone().expect("has one");
    // The same net, read as if its classes were in another order and its probabilities logarithms.
    let (_scratch, mine) = own_stage(&attributes.read(&stage.file).expect("is readable"));
    let mut request = installation.request(FaceChoice::None);
    request.assess = ALL;
    let expressions = |packs: &[InstalledPack]| {
        let found = analyze(&installation.with(packs), image.clone(), request.clone()).expect("analyses");
        found.faces[0].assessment.expression.expect("is measured")
    };
    let (ours, theirs) = (expressions(std::slice::from_ref(&attributes)), expressions(&[attributes.clone(), mine]));
    assert_eq!(ours.strongest().0, Expression::Happy);
    assert!(ours.strongest().1 > 0.9 && theirs.strongest().1 < 0.4, "{ours:?} {theirs:?}");
    assert!((theirs.0.iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn attributes_of_a_portrait_are_plausible() {
    let (Some(installation), Some(image), Some(attributes)) = (installation(), portrait("obama.jpg"), attributes())
    else {
        return;
    };
    let pipeline = installation.with(&[attributes]);
    let mut request = installation.request(FaceChoice::None);
    request.assess = ALL;
    let face = analyze(&pipeline, image, request).expect("analyses").faces.remove(0);
    let found = face.assessment;
    assert!(found.gender.expect("is estimated").male > 0.9);
    assert!((30.0..65.0).contains(&found.age.expect("is estimated")), "{:?}", found.age);
    let landmarks = found.landmarks.expect("are found");
    // The detector's points are the second opinion: corners of the mouth and middles of the eyes.
    let [right_eye, left_eye, _, right_mouth, left_mouth] = face.detection.landmarks.0;
    let middle = |points: &[Point]| Point {
        x: points.iter().map(|point| point.x).sum::<f32>() / points.len() as f32,
        y: points.iter().map(|point| point.y).sum::<f32>() / points.len() as f32,
    };
    let apart = |a: Point, b: Point| (a.x - b.x).hypot(a.y - b.y);
    let eyes = apart(right_eye, left_eye);
    for (ours, theirs) in [
        (middle(&landmarks.eyes()[..6]), right_eye),
        (middle(&landmarks.eyes()[6..]), left_eye),
        (landmarks.0[48], right_mouth),
        (landmarks.0[54], left_mouth),
    ] {
        assert!(apart(ours, theirs) < 0.15 * eyes, "{ours:?} {theirs:?}");
    }
}

#[test]
fn turned_portrait_is_measured_as_the_upright_one() {
    let (Some(installation), Some(image), Some(attributes)) = (installation(), portrait("obama.jpg"), attributes())
    else {
        return;
    };
    let upright = image::load_from_memory_with_format(&decoded(&image), image::ImageFormat::Png).expect("decodes");
    let pipeline = installation.with(&[attributes]);
    let measure = |picture: image::DynamicImage| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).expect("is written");
        let mut request = installation.request(FaceChoice::None);
        request.assess = ALL;
        analyze(&pipeline, bytes.into_inner(), request).expect("analyses").faces.remove(0)
    };
    let (width, height) = (upright.width() as f32, upright.height() as f32);
    let straight = measure(upright.clone());
    let chin = straight.assessment.landmarks.as_ref().expect("are found").0[8];
    for (picture, degrees, chin) in [
        (upright.rotate90(), 90, Point { x: height - chin.y, y: chin.x }),
        (upright.rotate180(), 180, Point { x: width - chin.x, y: height - chin.y }),
        (upright.rotate270(), 270, Point { x: chin.y, y: width - chin.x }),
    ] {
        let face = measure(picture);
        assert_eq!(face.detection.landmarks.quarter_turn().degrees(), degrees);
        let found = face.assessment.landmarks.expect("are found").0[8];
        let off = (found.x - chin.x).hypot(found.y - chin.y) / face.detection.bounding_box.width as f32;
        // The detector's box is not exactly the same on the turned picture.
        assert!(off < 0.05, "turned by {degrees}: the chin is off by {off} of the face's width");
        let (age, upright_age) = (face.assessment.age.expect("is estimated"), straight.assessment.age.expect("too"));
        assert!((age - upright_age).abs() < 6.0, "turned by {degrees}: {age} for {upright_age} years");
    }
}

/// The picture as PNG, by our own decoder, so that no other one is needed here.
fn decoded(image: &[u8]) -> Vec<u8> {
    let picture = likeness_vision::decode::decode(image, &super::support::RULES).expect("decodes");
    let pixels = image::RgbImage::from_raw(picture.width(), picture.height(), picture.data().to_vec()).expect("fits");
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, image::ImageFormat::Png).expect("is written");
    bytes.into_inner()
}

#[test]
fn living_person_is_told_from_a_print_and_a_screen() {
    let (Some(installation), Some(folder)) = (installation(), shared("eval/liveness")) else { return };
    let Some((_scratch, pack)) = liveness() else { return };
    let pipeline = installation.with(&[pack]);
    let live = |name: &str| {
        let mut request = installation.request(FaceChoice::None);
        request.assess = Assess { aspects: Aspects::LIVENESS, faces: FaceChoice::Largest };
        let image = std::fs::read(folder.join(name)).expect("is readable");
        analyze(&pipeline, image, request).expect("analyses").faces[0].assessment.liveness.expect("is judged")
    };
    let (living, print, screen) = (live("live_1.jpg"), live("attack_1.jpg"), live("attack_2.jpg"));
    // The reference (OpenCV's crop and resize before the same nets) gives 0.9999, 0.229 and 0.003; JPEG decoders differ
    // by a grey level, and boxes by a pixel.
    assert!(living > 0.99 && (0.1..0.4).contains(&print) && screen < 0.02, "{living} {print} {screen}");
}

/// Of people who look into the camera; the tolerance is what the pitch of 68 landmarks is worth.
#[test]
fn who_looks_into_the_camera_has_a_pose_near_zero() {
    let (Some(installation), Some(attributes)) = (installation(), attributes()) else { return };
    let pipeline = installation.with(&[attributes]);
    let mut request = installation.request(FaceChoice::None);
    request.assess = Assess { aspects: Aspects::POSE, faces: FaceChoice::Largest };
    for name in ["obama.jpg", "obama-1080p.jpg", "obama_small.jpg"] {
        let Some(image) = portrait(name) else { return };
        let found = analyze(&pipeline, image, request.clone()).expect("is analysed");
        let pose = found.faces[0].assessment.pose.expect("is measured");
        assert!(pose.yaw.abs() < 6.0 && pose.pitch.abs() < 8.0 && pose.roll.abs() < 6.0, "{name}: {pose:?}");
    }
}
