//! An analyzer that needs no model.

use std::sync::Mutex;

use bytes::Bytes;
use likeness_domain::limits;
use likeness_domain::policy;
use likeness_domain::ports::{
    Analysis, AnalyzeRequest, AnalyzedFace, Count, FaceAnalyzer, FaceChoice, ImageFormats, ImageRules, PackInfo,
    Pending,
};
use likeness_domain::score::{Calibration, OperatingPoint};
use likeness_domain::types::{
    Aspects, Assessment, Detection, Landmarks, PackId, Point, Quality, Similarity, Template, Thumbnail,
};
use likeness_domain::{Error, Kind, Result};

use crate::scene::{self, Scene, SceneFace};
use crate::time::{GOLDEN, mixed};

/// The bytes of every fake thumbnail: no picture, but built as a JPEG file is.
pub const FAKE_THUMBNAIL: &[u8] = b"\xff\xd8\xff\xe0\x00\x02\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00\
    \xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00 a face\xff\xd9";

/// Dimensions of fake templates: enough that strangers have a cosine near 0 (the spread is 1 / sqrt(128) = 0.09).
pub const FAKE_DIMENSIONS: usize = 128;

/// The operating points of the default pack, so that vendors' numbers come out as in service.
pub fn fake_pack(id: &str) -> PackInfo {
    let points = [(1e-1, 0.1987), (1e-2, 0.2908), (1e-3, 0.3582), (1e-4, 0.4148), (1e-5, 0.4632), (1e-6, 0.5125)];
    let points = points.map(|(far, cosine)| OperatingPoint::new(far, Similarity::new(cosine)));
    PackInfo {
        id: PackId::new(id).expect("tests name packs in lower case"),
        dimensions: FAKE_DIMENSIONS,
        calibration: Calibration::new(points.to_vec()).expect("the points rise"),
    }
}

/// The same, measured from 1e-1 to 1e-2 only, as a small sample is.
pub fn coarse_pack(id: &str) -> PackInfo {
    let whole = fake_pack(id);
    let points = whole.calibration.points()[..2].to_vec();
    PackInfo { calibration: Calibration::new(points).expect("two points that rise"), ..whole }
}

/// Finds faces in text. A fake photograph has one thing per line:
///
/// ```text
/// size 640x480                     width x height; this is the default
/// format gif                       what it claims to be; default jpeg
/// face anna 40x40+10+5             whose face, and its box: width x height + left + top
/// face anna~0.8 40x40+60+5 0.7     another picture of anna, cosine 0.8 to the first; detector score 0.7
/// face anna~0.8#2 40x40+60+5       and another one, as far from anna in another direction
/// face anna 40x40+10+5 age=34      what is measured of the face, if it is asked for: age, male (0-1), live (0-1),
///                                  yaw, pitch, roll, expression=happy; quality: total, sharpness, illumination,
///                                  frontal, visibility (0-1); points, if any of these is there: mouth, eyes, flat=1
///                                  (see [`crate::FakeHead`]); presence=3: a doubtful face (8 confirms one)
/// error ImageCorrupt               the analysis fails with this kind
/// ```
///
/// One name gives one template, always; two names are strangers (cosine within about 0.3 of 0).
/// Bytes that begin like a real JPEG, PNG, BMP, WebP or GIF are a picture of 640 x 480 without a face; all else is
/// [`Kind::ImageFormat`]. Rules for format, bytes and sides are kept as the real analyzer keeps them.
pub struct FakeAnalyzer {
    packs: Vec<PackInfo>,
    aspects: Aspects,
    fail_next: Mutex<Option<Kind>>,
    requests: Mutex<Vec<AnalyzeRequest>>,
}

impl Default for FakeAnalyzer {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeAnalyzer {
    /// An analyzer with one pack, `fake-1`.
    pub fn new() -> Self {
        Self::with_packs(vec![fake_pack("fake-1")])
    }

    /// An analyzer with these packs, the default one first. Templates of one name differ from pack to pack.
    pub fn with_packs(packs: Vec<PackInfo>) -> Self {
        assert!(!packs.is_empty(), "an analyzer has at least one pack");
        Self { packs, aspects: Aspects::ALL, fail_next: Mutex::new(None), requests: Mutex::new(Vec::new()) }
    }

    /// Can measure no more than this; at first it can measure everything.
    #[must_use]
    pub fn limited_to(self, aspects: Aspects) -> Self {
        Self { aspects, ..self }
    }

    /// Makes the next analysis fail with this kind, whatever the image.
    pub fn fail_next(&self, kind: Kind) {
        *self.fail_next.lock().expect("no test panics inside") = Some(kind);
    }

    /// What was asked so far, in order.
    pub fn requests(&self) -> Vec<AnalyzeRequest> {
        self.requests.lock().expect("no test panics inside").clone()
    }

    fn analyze_now(&self, image: &[u8], request: &AnalyzeRequest) -> Result<Analysis> {
        if let Some(kind) = self.fail_next.lock().expect("no test panics inside").take() {
            return Err(Error::new(kind, "the test told this analysis to fail"));
        }
        if !self.packs.iter().any(|pack| pack.id == request.pack) {
            return Err(Error::new(Kind::PackUnavailable, format!("model pack `{}` is not loaded", request.pack)));
        }
        if image.len() > request.rules.bytes_max {
            return Err(Error::new(Kind::ImageTooLarge, format!("the image has {} bytes", image.len())));
        }
        let scene = read(image)?;
        keep_rules(&scene, request.rules)?;
        if let Some(kind) = scene.fails {
            return Err(Error::new(kind, "the fake image says so"));
        }
        let mut shown: Vec<&SceneFace> = scene.faces.iter().collect();
        shown.sort_by(|a, b| policy::by_size(&detection(a), &detection(b)));
        let (n_embedded, n_assessed) = (request.embed.count(shown.len()), request.assess.faces.count(shown.len()));
        // Boxes alone do not say whether they are certain.
        let is_asked_more = request.embed != FaceChoice::None
            || (!request.assess.aspects.is_empty() && request.assess.faces != FaceChoice::None);
        let faces = shown.into_iter().enumerate().map(|(face_idx, face)| {
            let asked = match (face_idx < n_assessed, face_idx < n_embedded) {
                (true, _) => request.assess.aspects,
                (false, true) => request.assess.aspects.common(Aspects::QUALITY.and(Aspects::THUMBNAIL)),
                (false, false) => Aspects::NONE,
            };
            let aspects = asked.common(self.aspects);
            AnalyzedFace {
                detection: detection(face),
                template: (face_idx < n_embedded).then(|| fake_template(&request.pack, &face.name)),
                quality: if aspects.contains(Aspects::QUALITY) { face.quality } else { Quality::default() },
                assessment: measured(&face.assessment, aspects),
                doubt: face.doubt.filter(|_| is_asked_more),
            }
        });
        let n_faces = (request.count != Count::No).then_some(scene.faces.len());
        Ok(Analysis { image_width: scene.width, image_height: scene.height, faces: faces.collect(), n_faces })
    }
}

impl FaceAnalyzer for FakeAnalyzer {
    fn packs(&self) -> &[PackInfo] {
        &self.packs
    }

    fn aspects(&self) -> Aspects {
        self.aspects
    }

    fn engines(&self) -> Vec<(&'static str, String)> {
        vec![("detector", "fake f32".to_owned())]
    }

    fn analyze(&self, image: Bytes, request: AnalyzeRequest) -> Pending<'_, Analysis> {
        let answer = self.analyze_now(&image, &request);
        self.requests.lock().expect("no test panics inside").push(request);
        Box::pin(std::future::ready(answer))
    }
}

/// What of the scene was asked for.
fn measured(known: &Assessment, aspects: Aspects) -> Assessment {
    let asked = |aspect: Aspects| aspects.contains(aspect);
    Assessment {
        landmarks: known.landmarks.clone().filter(|_| asked(Aspects::LANDMARKS)),
        mesh: known.mesh.clone().filter(|_| asked(Aspects::MESH)),
        openness: known.openness.filter(|_| asked(Aspects::LANDMARKS)),
        pose: known.pose.filter(|_| asked(Aspects::POSE)),
        expression: known.expression.filter(|_| asked(Aspects::EXPRESSION)),
        age: known.age.filter(|_| asked(Aspects::AGE_AND_GENDER)),
        gender: known.gender.filter(|_| asked(Aspects::AGE_AND_GENDER)),
        liveness: known.liveness.filter(|_| asked(Aspects::LIVENESS)),
        // No picture, but as its file begins.
        crop: asked(Aspects::CROP).then(|| Bytes::from_static(b"\x89PNG\r\n\x1a\n")),
        thumbnail: if asked(Aspects::THUMBNAIL) {
            Thumbnail::new(Bytes::from_static(FAKE_THUMBNAIL)).ok()
        } else {
            None
        },
    }
}

fn read(image: &[u8]) -> Result<Scene> {
    match (scene::parse(image), scene::sniff(image)) {
        (Some(Ok(scene)), _) => Ok(scene),
        (Some(Err(problem)), _) => Err(Error::new(Kind::ImageCorrupt, problem)),
        (None, Some(format)) => Ok(Scene { width: 640, height: 480, format, faces: Vec::new(), fails: None }),
        (None, None) => Err(Error::new(Kind::ImageFormat, "the bytes are no picture")),
    }
}

fn keep_rules(scene: &Scene, rules: ImageRules) -> Result<()> {
    let accepted: ImageFormats = rules.formats;
    if !accepted.contains(scene.format) {
        return Err(Error::new(Kind::ImageFormat, "the picture's format is not accepted"));
    }
    let sides = rules.side_min..=rules.side_max.min(limits::IMAGE_SIDE_MAX);
    if sides.contains(&scene.width) && sides.contains(&scene.height) {
        return Ok(());
    }
    let message = format!("the picture is {}x{}, expected sides of {sides:?}", scene.width, scene.height);
    Err(Error::new(Kind::ImageDimensions, message))
}

/// The face as a detector would report it, with the five points where they are in an upright face.
fn detection(face: &SceneFace) -> Detection {
    let bounding_box = face.bounding_box;
    let at = |x: f32, y: f32| Point {
        x: bounding_box.left as f32 + x * bounding_box.width as f32,
        y: bounding_box.top as f32 + y * bounding_box.height as f32,
    };
    let points = [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.8), at(0.65, 0.8)];
    Detection { bounding_box, score: face.score, landmarks: Landmarks(points) }
}

/// The template that the fake analyzer gives for a name: `anna`, or `anna~0.8` for one at cosine 0.8 to it. A suffix
/// such as `#2` turns the difference into another direction.
pub fn fake_template(pack: &PackId, name: &str) -> Template {
    let (base, closeness) = scene::split_name(name).expect("the name is well written");
    let base = direction(&format!("{pack} {base}"));
    let Some(closeness) = closeness else { return template(pack, &base) };
    let mut other = direction(&format!("{pack} {name}"));
    let along: f64 = base.iter().zip(&other).map(|(a, b)| a * b).sum();
    other.iter_mut().zip(&base).for_each(|(b, a)| *b -= along * a);
    let other = unit(other);
    let away = (1.0 - closeness * closeness).sqrt();
    let mixed: Vec<f64> = base.iter().zip(&other).map(|(a, b)| closeness * a + away * b).collect();
    template(pack, &mixed)
}

fn template(pack: &PackId, numbers: &[f64]) -> Template {
    let raw: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    Template::new(pack.clone(), &raw).expect("a fake template is finite")
}

/// A unit vector that depends on the text alone: FNV-1a seeds SplitMix64, four uniform numbers make one that is
/// nearly normal.
fn direction(text: &str) -> Vec<f64> {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut state = text.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut uniform = || {
        state = state.wrapping_add(GOLDEN);
        (mixed(state) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    unit((0..FAKE_DIMENSIONS).map(|_| uniform() + uniform() + uniform() + uniform()).collect())
}

fn unit(mut numbers: Vec<f64>) -> Vec<f64> {
    let length = numbers.iter().map(|number| number * number).sum::<f64>().sqrt();
    numbers.iter_mut().for_each(|number| *number /= length);
    numbers
}

#[cfg(test)]
mod tests;
