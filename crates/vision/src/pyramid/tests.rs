use super::*;

/// A picture whose grey rises evenly to the right and down, so that any mean is known.
fn slope(width: u32, height: u32) -> RgbImage {
    let pixel = |x: u32, y: u32| ((x + 2 * y) % 251) as u8;
    let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| [pixel(x, y); 3])).collect();
    RgbImage::new(width, height, data).expect("fits")
}

#[test]
fn halves_are_means_of_two_by_two() {
    let image = RgbImage::new(
        4,
        2,
        vec![0, 0, 0, 10, 10, 10, 100, 100, 100, 200, 200, 200, 20, 20, 20, 30, 30, 30, 100, 100, 100, 200, 200, 201],
    );
    let half = image.expect("fits").halved();
    assert_eq!((half.width(), half.height()), (2, 1));
    assert_eq!(half.data(), [15, 15, 15, 150, 150, 150]);
}

#[test]
fn a_crop_from_a_level_shows_the_same_place_as_one_from_the_base() {
    let mut pyramid = Pyramid::new(slope(80, 60));
    // A crop of 5 pixels, each covering 8 of the base: every crop pixel is the mean grey around its place.
    let placement = Placement { a: 8.0, b: 0.0, shift_x: 11.5, shift_y: 11.5 };
    let crop = pyramid.warp(placement, 5);
    for v in 0..5 {
        for u in 0..5 {
            let (x, y) = placement.source(f64::from(u), f64::from(v));
            let expected = x + 2.0 * y;
            let found = f64::from(crop.pixel(u, v)[0]);
            assert!((found - expected).abs() <= 1.5, "{u} {v}: {found}, expected {expected}");
        }
    }
}

#[test]
fn a_small_picture_is_not_fitted() {
    assert!(Pyramid::new(slope(30, 20)).fitted(30).is_none());
    let fitted = Pyramid::new(slope(30, 20)).fitted(15).expect("is larger");
    assert_eq!((fitted.width(), fitted.height()), (15, 10));
}
