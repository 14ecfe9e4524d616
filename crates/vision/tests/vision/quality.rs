//! Quality and pose on photographs that were blurred, darkened, shrunk, cut and turned by known amounts. Each of these is
//! done here, on the decoded picture, so that a photograph stays where it is.

use likeness_domain::ports::{AnalyzeRequest, AnalyzedFace, Assess, FaceChoice};
use likeness_domain::types::{Aspects, Quality, QuarterTurn};
use likeness_vision::decode::decode;
use likeness_vision::pipeline::Pipeline;
use likeness_vision::raster::{ExifOrientation, RgbImage};

use super::support::{Installation, RULES, analyze, installation, portrait};

/// Portraits whose people look nearly into the camera, none wider than this after shrinking.
const PORTRAITS: [&str; 3] = ["obama.jpg", "obama_small.jpg", "astronaut.png"];
const SIDE_MAX: u32 = 320;

/// The largest face of the picture, with everything that is measured without a model of its own.
fn looked_at(pipeline: &Pipeline, installed: &Installation, picture: &RgbImage) -> Option<AnalyzedFace> {
    let assess = Assess { aspects: Aspects::QUALITY.and(Aspects::POSE), faces: FaceChoice::Largest };
    let request = AnalyzeRequest { assess, ..installed.request(FaceChoice::None) };
    analyze(pipeline, bmp(picture), request).expect("is analysed").faces.into_iter().next()
}

/// The picture as an uncompressed bitmap: rows from the bottom, blue first, each padded to four bytes.
pub(super) fn bmp(picture: &RgbImage) -> Vec<u8> {
    let (width, height) = (picture.width(), picture.height());
    let row_bytes = (width * 3).next_multiple_of(4);
    let mut bytes = b"BM".to_vec();
    for word in [54 + row_bytes * height, 0, 54, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for y in (0..height).rev() {
        for x in 0..width {
            let [red, green, blue] = picture.pixel(x, y);
            bytes.extend([blue, green, red]);
        }
        bytes.resize(bytes.len() + (row_bytes - width * 3) as usize, 0);
    }
    bytes
}

/// Each pixel made from its place.
fn redrawn(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> RgbImage {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    RgbImage::new(width, height, places.flat_map(|(x, y)| pixel(x, y)).collect()).expect("as many bytes as pixels")
}

/// The mean of a square of `2 * radius + 1` pixels, twice.
fn blurred(picture: &RgbImage, radius: u32) -> RgbImage {
    let once = |picture: &RgbImage| {
        redrawn(picture.width(), picture.height(), |x, y| {
            let span = |at: u32, end: u32| at.saturating_sub(radius)..(at + radius + 1).min(end);
            let (mut n, mut sum) = (0, [0_u32; 3]);
            for y in span(y, picture.height()) {
                for x in span(x, picture.width()) {
                    n += 1;
                    picture.pixel(x, y).iter().zip(&mut sum).for_each(|(&value, sum)| *sum += u32::from(value));
                }
            }
            sum.map(|sum| (sum / n) as u8)
        })
    };
    once(&once(picture))
}

fn darkened(picture: &RgbImage, percent: u32) -> RgbImage {
    let darker = |value: u8| (u32::from(value) * percent / 100) as u8;
    redrawn(picture.width(), picture.height(), |x, y| picture.pixel(x, y).map(darker))
}

fn check_falls(what: &str, name: &str, figures: &[f32]) {
    assert!(figures.windows(2).all(|pair| pair[0] > pair[1]), "{what} of {name} does not fall: {figures:?}");
}

#[test]
fn figures_follow_what_was_done_to_the_photograph() {
    let Some(installed) = installation() else { return };
    let pipeline = installed.pipeline(1, 4);
    for name in PORTRAITS {
        let Some(bytes) = portrait(name) else { return };
        let full = decode(&bytes, &RULES).expect("is a picture");
        let (width, height) = full.fitted(SIDE_MAX);
        let picture = full.shrunk(width, height);
        let look = |picture: &RgbImage| looked_at(&pipeline, &installed, picture);
        let plain = look(&picture).expect("shows a face");
        let quality = |face: &Option<AnalyzedFace>| face.as_ref().map(|face| face.quality).unwrap_or_default();
        assert!(plain.quality.total > Some(0.75), "{name}: {:?}", plain.quality);
        let pose = plain.assessment.pose.expect("is measured");
        assert!(pose.yaw.abs() < 10.0 && pose.pitch.abs() < 10.0 && pose.roll.abs() < 10.0, "{name}: {pose:?}");

        // Where blur leaves no face to find, its sharpness counts as 0: it may be missing only at the end.
        let by_radius = [0, 1, 2, 4].map(|radius| quality(&look(&blurred(&picture, radius))).sharpness.unwrap_or(0.0));
        check_falls("sharpness", name, &by_radius);
        let by_light =
            [40, 20, 8].map(|percent| quality(&look(&darkened(&picture, percent))).illumination.unwrap_or(0.0));
        check_falls("illumination", name, &by_light);
        let small = [1.0, 0.5, 0.25].map(|share| {
            let scale = share * 30.0 / (35.0 * unclamped_size(&plain));
            let side = |side: u32| ((side as f32 * scale) as u32).max(1);
            look(&picture.shrunk(side(width), side(height))).map_or(0.0, |face| face.detection.size())
        });
        check_falls("size", name, &small);

        // Cut through the face from the right: at most half of it is left.
        let right = plain.detection.landmarks.0[2].x as u32;
        let cut = redrawn(right, height, |x, y| picture.pixel(x, y));
        let visible = quality(&look(&cut)).visibility.unwrap_or(0.0);
        assert!(visible < 0.7 && Some(visible) < plain.quality.visibility, "{name}: {visible}");

        for (turn, expected) in [
            (ExifOrientation::TURN_90, QuarterTurn::Quarter),
            (ExifOrientation::TURN_180, QuarterTurn::Half),
            (ExifOrientation::TURN_270, QuarterTurn::ThreeQuarters),
        ] {
            let turned = look(&picture.clone().oriented(turn)).expect("is found turned");
            assert_eq!(turned.detection.landmarks.quarter_turn(), expected, "{name}");
            let off = |figure: fn(&Quality) -> Option<f32>| {
                (figure(&turned.quality).unwrap_or(9.0) - figure(&plain.quality).unwrap_or(9.0)).abs()
            };
            assert!(off(|quality| quality.total) < 0.02, "{name} {expected:?}: turning changes no quality");
            let roll = turned.assessment.pose.expect("is measured").roll;
            let turned_by = (roll - pose.roll).rem_euclid(360.0);
            assert!((turned_by - expected.degrees() as f32).abs() < 2.0, "{name} {expected:?}: {turned_by}");
        }
    }
}

/// Pixels between the eyes by 35, not cut at 1.
fn unclamped_size(face: &AnalyzedFace) -> f32 {
    let [right_eye, left_eye, ..] = face.detection.landmarks.0;
    (right_eye.x - left_eye.x).hypot(right_eye.y - left_eye.y) / 35.0
}
