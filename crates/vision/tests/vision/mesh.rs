//! What a face mesh tells, on photographs: poses that follow a known turn, landmarks beside those of another net.

use likeness_domain::ports::{AnalyzedFace, Assess, FaceChoice};
use likeness_domain::types::{Aspects, PackId, Point};
use likeness_vision::align::{Placement, warp};
use likeness_vision::decode::decode;
use likeness_vision::pipeline::Pipeline;
use likeness_vision::raster::RgbImage;

use super::assess::attributes;
use super::quality::bmp;
use super::support::{Installation, RULES, analyze, files, installation, installation_of, portrait, shared};

const MEASURED: Assess =
    Assess { aspects: Aspects::POSE.and(Aspects::LANDMARKS).and(Aspects::QUALITY), faces: FaceChoice::Largest };

fn largest(pipeline: &Pipeline, installed: &Installation, picture: impl Into<bytes::Bytes>) -> AnalyzedFace {
    let mut request = installed.request(FaceChoice::None);
    request.find = FaceChoice::Largest;
    request.assess = MEASURED;
    analyze(pipeline, picture, request).expect("is analysed").faces.remove(0)
}

/// An installation whose default pack has a mesh.
fn with_mesh() -> Option<Installation> {
    installation().filter(|installed| installed.recognition().mesh.is_some())
}

/// A square of 640 pixels: the portrait at 400 pixels, turned clockwise about its middle by so many degrees.
fn turned(portrait: &RgbImage, degrees: f64) -> RgbImage {
    let side = f64::from(portrait.width().max(portrait.height()));
    let per_pixel = side / 400.0;
    let (sine, cosine) = degrees.to_radians().sin_cos();
    // From the square into the portrait: turned back.
    let (a, b) = (cosine * per_pixel, -sine * per_pixel);
    let (x, y) = (f64::from(portrait.width()) / 2.0, f64::from(portrait.height()) / 2.0);
    warp(portrait, Placement { a, b, shift_x: x - (a - b) * 320.0, shift_y: y - (b + a) * 320.0 }, 640)
}

#[test]
fn roll_follows_a_photograph_that_is_turned_within_three_degrees() {
    let Some(installed) = with_mesh() else { return };
    let pipeline = installed.pipeline(1, 4);
    for name in ["obama.jpg", "biden.jpg", "astronaut.png"] {
        let Some(bytes) = portrait(name) else { return };
        let full = decode(&bytes, &RULES).expect("is a picture");
        let (width, height) = full.fitted(800);
        let picture = full.shrunk(width, height);
        let pose_at = |degrees: f64| {
            largest(&pipeline, &installed, bmp(&turned(&picture, degrees))).assessment.pose.expect("is measured")
        };
        let upright = pose_at(0.0);
        for step in 1..12 {
            let degrees = 30.0 * f64::from(step);
            let pose = pose_at(degrees);
            let off = (f64::from(pose.roll - upright.roll) - degrees + 540.0).rem_euclid(360.0) - 180.0;
            eprintln!("{name} {degrees}: roll off by {off:.1}, yaw {:.1}, pitch {:.1}", pose.yaw, pose.pitch);
            assert!(off.abs() <= 3.0, "{name} turned by {degrees}: roll is off by {off}");
            let (yaw, pitch) = (pose.yaw - upright.yaw, pose.pitch - upright.pitch);
            assert!(yaw.abs() < 6.0 && pitch.abs() < 6.0, "{name} turned by {degrees}: {pose:?}, upright {upright:?}");
        }
    }
}

#[test]
fn one_face_has_one_pose_whatever_packs_are_installed() {
    let (Some(installed), Some(attributes), Some(image)) = (with_mesh(), attributes(), portrait("biden.jpg")) else {
        return;
    };
    let alone = largest(&installed.pipeline(1, 1), &installed, image.clone());
    let together = largest(&installed.with(&[attributes]), &installed, image);
    assert!(alone.assessment.pose.is_some());
    assert_eq!(alone.assessment, together.assessment);
    assert_eq!(alone.quality, together.quality);
}

/// The mesh's 68 landmarks against those that face-api's net finds for the pack without a mesh, on forty photographs.
#[test]
fn landmarks_agree_with_another_net() {
    let earlier = PackId::new("default-1").expect("is an id");
    let (Some(installed), Some(attributes), Some(folder)) = (with_mesh(), attributes(), shared("eval/lfw/images"))
    else {
        return;
    };
    let Some(without_mesh) = installation_of(&earlier) else { return };
    let (ours, theirs) = (installed.pipeline(1, 1), without_mesh.with(&[attributes]));
    let photographs: Vec<_> = files(&folder).iter().flat_map(|person| files(person)).collect();
    let (mut sums, mut n_faces) = ([0.0_f32; 68], 0.0);
    for path in photographs.iter().step_by(photographs.len() / 40) {
        let bytes = std::fs::read(path).expect("is readable");
        let (a, b) = (largest(&ours, &installed, bytes.clone()), largest(&theirs, &without_mesh, bytes));
        let (Some(a), Some(b)) = (a.assessment.landmarks, b.assessment.landmarks) else { continue };
        let apart = |a: Point, b: Point| (a.x - b.x).hypot(a.y - b.y);
        let eyes = apart(a.0[36], a.0[45]) / 1.44;
        // Where the two packs take another face for the largest, there is nothing to compare.
        if apart(a.0[30], b.0[30]) > eyes {
            continue;
        }
        n_faces += 1.0;
        sums.iter_mut().zip(a.0.iter().zip(b.0.iter())).for_each(|(sum, (&a, &b))| *sum += apart(a, b) / eyes);
    }
    let mean = |range: std::ops::Range<usize>| sums[range.clone()].iter().sum::<f32>() / n_faces / range.len() as f32;
    eprintln!("{n_faces} faces: jaw {:.4}, the rest {:.4} of the distance between the eyes", mean(0..17), mean(17..68));
    assert!(n_faces >= 30.0);
    assert!(mean(17..68) < 0.07 && mean(0..17) < 0.14);
}
