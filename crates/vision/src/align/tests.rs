use likeness_domain::types::{Landmarks, Point};
use proptest::prelude::*;

use super::*;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-4
}

/// The template, turned by `degrees`, scaled and shifted.
fn moved(degrees: f64, scale: f64, shift: (f64, f64)) -> Landmarks {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Landmarks(FIVE_POINT_112.map(|p| {
        let (x, y) = (f64::from(p.x), f64::from(p.y));
        Point { x: (scale * (cos * x - sin * y) + shift.0) as f32, y: (scale * (sin * x + cos * y) + shift.1) as f32 }
    }))
}

#[test]
fn landmarks_on_the_template_are_left_where_they_are() {
    let placement = placement(&FIVE_POINT_112, &FIVE_POINT_112).expect("exists");
    assert!(close(placement.a, 1.0) && close(placement.b, 0.0), "{placement:?}");
    assert!(close(placement.shift_x, 0.0) && close(placement.shift_y, 0.0), "{placement:?}");
}

#[test]
fn turn_scale_and_shift_are_found_again() {
    for (degrees, scale) in [(0.0, 3.0), (30.0, 0.5), (90.0, 1.0), (180.0, 2.0), (-100.0, 7.0)] {
        let found = placement(&moved(degrees, scale, (250.0, -30.0)).0, &FIVE_POINT_112).expect("exists");
        let (sin, cos) = f64::to_radians(degrees).sin_cos();
        assert!(close(found.a, scale * cos) && close(found.b, scale * sin), "{degrees} degrees: {found:?}");
        assert!((found.shift_x - 250.0).abs() < 1e-3 && (found.shift_y + 30.0).abs() < 1e-3, "{found:?}");
    }
}

#[test]
fn noisy_landmarks_get_the_least_squares_transform() {
    let points = [(101.0, 122.0), (163.0, 118.0), (134.0, 151.0), (109.0, 190.0), (160.0, 185.0)];
    let landmarks = Landmarks(points.map(|(x, y)| Point { x, y }));
    let found = placement(&landmarks.0, &FIVE_POINT_112).expect("exists");
    let error = |placement: Placement| -> f64 {
        // In the crop: where each landmark lands, against where it belongs.
        let squared = placement.a * placement.a + placement.b * placement.b;
        let landed = |p: &Point| {
            let (x, y) = (f64::from(p.x) - placement.shift_x, f64::from(p.y) - placement.shift_y);
            ((placement.a * x + placement.b * y) / squared, (placement.a * y - placement.b * x) / squared)
        };
        let distance = |(p, q): (&Point, &Point)| {
            let (x, y) = landed(p);
            (x - f64::from(q.x)).powi(2) + (y - f64::from(q.y)).powi(2)
        };
        landmarks.0.iter().zip(&FIVE_POINT_112).map(distance).sum()
    };
    let best = error(found);
    for (da, db, dx, dy) in [
        (0.01, 0., 0., 0.),
        (-0.01, 0., 0., 0.),
        (0., 0.01, 0., 0.),
        (0., -0.01, 0., 0.),
        (0., 0., 0.3, 0.),
        (0., 0., 0., -0.3),
    ] {
        let other =
            Placement { a: found.a + da, b: found.b + db, shift_x: found.shift_x + dx, shift_y: found.shift_y + dy };
        assert!(error(other) > best, "{other:?} is better than the least squares");
    }
}

#[test]
fn landmarks_that_coincide_or_are_no_numbers_have_no_placement() {
    let same = Landmarks([Point { x: 5.0, y: 5.0 }; 5]);
    assert_eq!(placement(&same.0, &FIVE_POINT_112), None);
    let mut broken = Landmarks(FIVE_POINT_112);
    broken.0[2].x = f32::NAN;
    assert_eq!(placement(&broken.0, &FIVE_POINT_112), None);
    broken.0[2].x = f32::INFINITY;
    assert_eq!(placement(&broken.0, &FIVE_POINT_112), None);
}

#[test]
fn crop_shows_the_picture_between_its_pixels() {
    let image = RgbImage::new(2, 2, [0, 100, 40, 140].into_iter().flat_map(|v| [v; 3]).collect()).expect("lawful");
    assert_eq!(sample(&image, 0, 0), [0; 3]);
    assert_eq!(sample(&image, 32, 32), [140; 3]);
    assert_eq!(sample(&image, 16, 0), [50; 3]);
    assert_eq!(sample(&image, 16, 16), [70; 3]);
}

#[test]
fn crop_is_black_beyond_the_edges() {
    let image = RgbImage::new(2, 2, vec![200; 12]).expect("lawful");
    assert_eq!(sample(&image, -16, 0), [100; 3]);
    assert_eq!(sample(&image, -32, 0), [0; 3]);
    let far = Placement { a: 1e300, b: -1e300, shift_x: -1e300, shift_y: 1e12 };
    assert_eq!(warp(&image, far, 4).data(), [0; 48]);
}

#[test]
fn plain_picture_gives_a_plain_crop() {
    let image = RgbImage::new(400, 400, [9, 99, 199].repeat(160_000)).expect("lawful");
    let crop = align(&image, &moved(20.0, 1.5, (150.0, 60.0)), AlignTemplate::FivePoint112).expect("aligns");
    assert_eq!((crop.width(), crop.height()), (112, 112));
    assert_eq!(crop.data(), [9, 99, 199].repeat(112 * 112));
}

#[test]
fn the_mesh_template_has_a_face_the_right_way_up() {
    let [right_eye, left_eye, nose, right_mouth, left_mouth] = mesh_template::five_points();
    assert!(right_eye.x < nose.x && nose.x < left_eye.x && right_mouth.x < left_mouth.x);
    assert!(right_eye.y < nose.y && nose.y < right_mouth.y && left_eye.y < left_mouth.y);
    // The chin lies below the crop, at 121.
    let inside = |point: &Point| (0.0..112.0).contains(&point.x) && (0.0..122.0).contains(&point.y);
    assert!(mesh_template::MESH_468_112.iter().all(inside));
}

#[test]
fn a_place_between_pixels_has_the_same_colour_in_both_ways() {
    let noise = |seed: u32| (seed.wrapping_mul(2_654_435_761) >> 24) as u8;
    for seed in 0..8 {
        // The extremes too.
        let byte = |idx: u32| match seed {
            0 => 255,
            1 => [0, 255][idx as usize / 3 % 2],
            _ => noise(seed * 12 + idx),
        };
        let data: Vec<u8> = (0..12).map(byte).collect();
        let image = RgbImage::new(2, 2, data.clone()).expect("four pixels");
        for (right, below) in (0..32).flat_map(|right| (0..32).map(move |below| (right, below))) {
            let (upper, lower) = (data[..6].try_into().expect("six"), data[6..].try_into().expect("six"));
            let found = mixed(upper, lower, right as u64, below as u64);
            assert_eq!(found, sample(&image, right, below), "{seed}: {right}, {below}");
        }
    }
}

proptest! {
    #[test]
    fn vector_instructions_give_the_bytes_of_the_plain_code(
        (width, height) in prop_oneof![(1_u32..12, 1_u32..12), (30_u32..90, 30_u32..90)],
        side in 1_u32..40,
        (turn, scale) in (-4.0..4.0_f64, prop_oneof![0.01..3.0_f64, 3.0..1e6_f64]),
        (across, down) in (-0.3..1.3_f64, -0.3..1.3_f64),
        seed: u32,
    ) {
        let Some(warp_row) = kernel::warp_row() else { return Ok(()) };
        let byte = |idx: u32| (idx.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8;
        let image = RgbImage::new(width, height, (0..width * height * 3).map(byte).collect()).expect("as many bytes");
        let (sine, cosine) = turn.sin_cos();
        let (shift_x, shift_y) = (across * f64::from(width), down * f64::from(height));
        let placement = Placement { a: scale * cosine, b: scale * sine, shift_x, shift_y };
        let plain = warped(&image, placement, side, None);
        prop_assert!(warped(&image, placement, side, Some(warp_row)) == plain, "{placement:?}");
    }
}

/// The last pixels of a picture, behind which no byte may be read, and placements far outside.
#[test]
fn crops_at_and_beyond_the_edges_are_those_of_the_plain_code() {
    let Some(warp_row) = kernel::warp_row() else { return };
    let image = RgbImage::new(64, 48, (0..64 * 48 * 3).map(|idx| (idx * 7 % 251) as u8).collect()).expect("fits");
    for (a, shift_x, shift_y) in [
        (1.0, 0.0, 0.0),
        (1.0, 8.0, 8.0),
        (0.5, 31.4, 15.9),
        (1.0, -1e300, 5.0),
        (f64::MAX, 0.0, 0.0),
        (0.0, 63.0, 47.0),
    ] {
        let placement = Placement { a, b: 0.0, shift_x, shift_y };
        let crop = warped(&image, placement, 64, Some(warp_row));
        assert!(crop == warped(&image, placement, 64, None), "{placement:?}");
    }
}
