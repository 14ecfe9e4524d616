use likeness_domain::types::{BoundingBox, Landmarks};

use super::*;
use crate::align::FIVE_POINT_112;

/// A crop that is drawn pixel by pixel.
fn drawn(value: impl Fn(usize, usize) -> f32) -> RgbImage {
    let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let data = places.flat_map(|(x, y)| [value(x, y).round().clamp(0.0, 255.0) as u8; 3]).collect();
    RgbImage::new(SIDE as u32, SIDE as u32, data).expect("as many bytes as the crop has")
}

/// Something with the detail of a face where a face has it: fine stripes over broad ones, coarser the larger `blur` is.
fn face(x: usize, y: usize, blur: f32) -> f32 {
    let is_detailed = DETAILED
        .iter()
        .any(|window| (window.left..window.right).contains(&x) && (window.top..window.bottom).contains(&y));
    let (x, y) = (x as f32, y as f32);
    let broad = 30.0 * (x / 9.0).sin() * (y / 9.0).sin();
    // What a Gaussian blur leaves of a wave.
    let kept = (-(blur / 1.5).powi(2) / 2.0).exp();
    let fine = if is_detailed { 24.0 } else { 12.0 } * kept * (x / 1.5).sin() * (y / 1.5).cos();
    120.0 + broad + fine
}

fn measured(crop: &RgbImage) -> Quality {
    measured_at(crop, 0.0)
}

/// Measured as if the crop came from this place of the picture.
fn measured_at(crop: &RgbImage, shift_x: f64) -> Quality {
    let placement = Placement { a: 1.0, b: 0.0, shift_x, shift_y: 0.0 };
    let bounding_box = BoundingBox { left: 0, top: 0, width: 112, height: 112 };
    let detection = Detection { bounding_box, score: 0.9, landmarks: Landmarks(FIVE_POINT_112) };
    measure(crop, crop, &placement, &detection, Some(Pose::default()), None)
}

fn falls(figures: &[Option<f32>]) {
    assert!(figures.windows(2).all(|pair| pair[0] > pair[1]), "{figures:?} do not fall");
}

#[test]
fn a_good_picture_is_good() {
    let quality = measured(&drawn(|x, y| face(x, y, 0.0)));
    let figures = [quality.total, quality.sharpness, quality.illumination, quality.pose, quality.visibility];
    assert!(figures.iter().all(|figure| figure.is_some_and(|figure| figure > 0.9)), "{quality:?}");
}

#[test]
fn blur_takes_sharpness_and_little_else() {
    let blurred = [1.5, 3.0, 4.0].map(|blur| measured(&drawn(|x, y| face(x, y, blur))));
    falls(&blurred.map(|quality| quality.sharpness));
    falls(&blurred.map(|quality| quality.total));
    assert!(blurred.iter().all(|quality| quality.illumination > Some(0.6)), "{blurred:?}");
}

#[test]
fn sharpness_does_not_depend_on_contrast_or_light_from_one_side() {
    let plain = measured(&drawn(|x, y| face(x, y, 2.5)));
    let dim = measured(&drawn(|x, y| 0.5 * face(x, y, 2.5)));
    let slanted = measured(&drawn(|x, y| face(x, y, 2.5) + x as f32 - 56.0));
    for other in [dim, slanted] {
        let off = other.sharpness.unwrap() - plain.sharpness.unwrap();
        assert!(off.abs() < 0.02, "{plain:?}, {other:?}");
    }
}

#[test]
fn too_little_and_too_much_light_are_noticed() {
    let darkened = [0.3, 0.2, 0.1].map(|share| measured(&drawn(|x, y| share * face(x, y, 0.0))).illumination);
    falls(&darkened);
    let lightened = [100.0, 120.0].map(|more| measured(&drawn(|x, y| face(x, y, 0.0) + more)).illumination);
    falls(&lightened);
    let one_sided = [20.0, 0.5].map(|slope| {
        let light = |x: usize| 1.0 / (1.0 + ((x as f32 - 56.0) / slope).exp());
        measured(&drawn(|x, y| light(x) * face(x, y, 0.0))).illumination
    });
    falls(&one_sided);
    assert_eq!(measured(&drawn(|_, _| 0.0)).total, Some(0.0));
    assert_eq!(measured(&drawn(|_, _| 255.0)).total, Some(0.0));
}

#[test]
fn what_is_covered_smoothly_is_not_visible() {
    for covered in DETAILED {
        let crop = drawn(|x, y| {
            let inside = (covered.left..covered.right).contains(&x) && (covered.top..covered.bottom).contains(&y);
            if inside { 120.0 } else { face(x, y, 0.0) }
        });
        assert!(measured(&crop).visibility.unwrap() < 0.3, "{covered:?}");
    }
}

#[test]
fn what_is_outside_the_picture_is_not_visible() {
    let crop = drawn(|x, y| face(x, y, 0.0));
    // The window's columns 20 to 92 are at 56 to 128 of 112: 16 of 72 are outside.
    let visibility = measured_at(&crop, 36.0).visibility.unwrap();
    assert!((visibility - 56.0 / 72.0).abs() < 1e-6, "{visibility}");
    assert_eq!(measured_at(&crop, 112.0).visibility, Some(0.0));
}

#[test]
fn a_head_that_is_turned_away_is_less_frontal_whatever_its_roll() {
    let frontal = |yaw, pitch, roll| frontality(Pose { yaw, pitch, roll });
    assert_eq!(frontal(0.0, 0.0, 120.0), 1.0);
    assert!((frontal(-45.0, 0.0, 0.0) - 0.5).abs() < 1e-6);
    assert!((frontal(0.0, 60.0, 0.0) - 0.25).abs() < 1e-6);
    assert!(frontal(90.0, 0.0, 0.0) < 1e-6);
    assert_eq!(frontal(0.0, 170.0, 0.0), 0.0);
}

#[test]
fn without_a_pose_the_other_figures_make_the_total() {
    let crop = drawn(|x, y| face(x, y, 0.0));
    let placement = Placement { a: 1.0, b: 0.0, shift_x: 0.0, shift_y: 0.0 };
    let bounding_box = BoundingBox { left: 0, top: 0, width: 112, height: 112 };
    let detection = Detection { bounding_box, score: 0.9, landmarks: Landmarks(FIVE_POINT_112) };
    let quality = measure(&crop, &crop, &placement, &detection, None, None);
    assert_eq!(quality.pose, None);
    assert_eq!(quality.total, measured(&crop).total);
}

#[test]
fn a_mesh_that_hardly_sees_a_face_makes_it_less_visible() {
    let crop = drawn(|x, y| face(x, y, 0.0));
    let placement = Placement { a: 1.0, b: 0.0, shift_x: 0.0, shift_y: 0.0 };
    let bounding_box = BoundingBox { left: 0, top: 0, width: 112, height: 112 };
    let detection = Detection { bounding_box, score: 0.9, landmarks: Landmarks(FIVE_POINT_112) };
    let visibility = |presence| measure(&crop, &crop, &placement, &detection, None, presence).visibility;
    assert_eq!((visibility(Some(25.0)), visibility(Some(2.0))), (visibility(None), Some(0.0)));
    falls(&[18.0, 12.0, 8.0].map(|presence| visibility(Some(presence))));
}
