use super::*;

/// A picture from letters: each becomes a pixel of that grey.
fn picture(rows: &[&str]) -> RgbImage {
    let data = rows.iter().flat_map(|row| row.bytes().flat_map(|letter| [letter; 3])).collect();
    RgbImage::new(rows[0].len() as u32, rows.len() as u32, data).expect("rows of one length")
}

fn letters(image: &RgbImage) -> Vec<String> {
    let rows = image.data().chunks(image.width() as usize * 3);
    rows.map(|row| row.chunks(3).map(|pixel| char::from(pixel[0])).collect()).collect()
}

#[track_caller]
fn check_orientation(number: u8, expected: &[&str]) {
    let orientation = ExifOrientation::new(number).expect("a lawful number");
    let stored = picture(&["abc", "def"]);
    let shown = stored.clone().oriented(orientation);
    assert_eq!(letters(&shown), expected);
    for y in 0..shown.height() {
        for x in 0..shown.width() {
            let (stored_x, stored_y) = orientation.to_stored(x as f32, y as f32, stored.width(), stored.height());
            assert_eq!(stored.pixel(stored_x as u32, stored_y as u32), shown.pixel(x, y), "at {x}, {y}");
        }
    }
}

#[test]
fn each_exif_orientation_is_shown_upright() {
    check_orientation(1, &["abc", "def"]);
    check_orientation(2, &["cba", "fed"]);
    check_orientation(3, &["fed", "cba"]);
    check_orientation(4, &["def", "abc"]);
    check_orientation(5, &["ad", "be", "cf"]);
    check_orientation(6, &["da", "eb", "fc"]);
    check_orientation(7, &["fc", "eb", "da"]);
    check_orientation(8, &["cf", "be", "ad"]);
    assert_eq!(ExifOrientation::new(0), None);
    assert_eq!(ExifOrientation::new(9), None);
}

#[test]
fn turning_works_beyond_one_tile() {
    let (width, height) = (71, 40);
    let data = (0..width * height).flat_map(|idx| [(idx % 251) as u8, (idx / 251) as u8, 7]).collect();
    let image = RgbImage::new(width, height, data).expect("lawful");
    let turned = image.clone().oriented(ExifOrientation::TURN_90);
    assert_eq!(turned.pixel(0, 0), image.pixel(0, 39));
    let back = turned.oriented(ExifOrientation::TURN_180).oriented(ExifOrientation::TURN_90);
    assert!(back == image, "four quarter turns are none");
}

#[test]
fn shrinking_takes_the_mean_of_the_covered_area() {
    let image = RgbImage::new(4, 2, [0, 100, 200, 40, 20, 80, 60, 100].into_iter().flat_map(|v| [v; 3]).collect());
    let half = image.expect("lawful").shrunk(2, 1);
    assert_eq!((half.width(), half.height()), (2, 1));
    assert_eq!(half.data(), [50, 50, 50, 100, 100, 100]);
}

#[test]
fn shrinking_by_a_fraction_shares_the_pixel_on_the_border() {
    let image = RgbImage::new(3, 1, [0, 90, 180].into_iter().flat_map(|v| [v; 3]).collect()).expect("lawful");
    // The middle pixel belongs half to each side: (0 + 45) / 1.5 and (45 + 180) / 1.5.
    assert_eq!(image.shrunk(2, 1).data(), [30, 30, 30, 150, 150, 150]);
}

#[test]
fn shrinking_keeps_a_plain_colour_at_any_size() {
    let image = RgbImage::new(97, 53, [200, 100, 3].repeat(97 * 53)).expect("lawful");
    for (width, height) in [(96, 53), (31, 7), (1, 1), (97, 1)] {
        let small = image.shrunk(width, height);
        assert_eq!(small.data(), [200, 100, 3].repeat((width * height) as usize));
    }
}

#[test]
fn fitting_keeps_the_shape_and_never_enlarges() {
    let image = RgbImage::new(1000, 400, vec![0; 1_200_000]).expect("lawful");
    assert_eq!(image.fitted(1000), (1000, 400));
    assert_eq!(image.fitted(500), (500, 200));
    let thin = RgbImage::new(1000, 1, vec![0; 3000]).expect("lawful");
    assert_eq!(thin.fitted(10), (10, 1));
}

#[test]
fn bytes_must_fit_the_sides() {
    assert!(RgbImage::new(2, 2, vec![0; 12]).is_some());
    assert!(RgbImage::new(2, 2, vec![0; 11]).is_none());
    assert!(RgbImage::new(0, 2, vec![]).is_none());
}

#[test]
fn debug_shows_no_pixels() {
    assert_eq!(format!("{:?}", picture(&["ab"])), "RgbImage(2 x 1)");
}
