use proptest::prelude::*;

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
fn shrinking_gives_the_mean_of_any_number_of_rows_to_half_a_level() {
    let (width, height) = (37_u32, 701_u32);
    let data: Vec<u8> =
        (0..width * height * 3).map(|idx| (idx.wrapping_mul(2_654_435_761) >> 22) as u8 | 0xC0).collect();
    let image = RgbImage::new(width, height, data).expect("lawful");
    for (new_width, new_height) in [(1, 1), (37, 2), (5, 100), (36, 700)] {
        let small = image.shrunk(new_width, new_height);
        let covered = |idx: u32, old: u32, new: u32| {
            let (start, end) = (f64::from(idx * old) / f64::from(new), f64::from((idx + 1) * old) / f64::from(new));
            (start as u32..old.min(end.ceil() as u32))
                .map(move |at| (at, end.min(f64::from(at + 1)) - start.max(f64::from(at))))
        };
        for (x, y) in (0..new_height).flat_map(|y| (0..new_width).map(move |x| (x, y))) {
            let (mut sum, mut area) = (0.0, 0.0);
            for (old_y, height_share) in covered(y, height, new_height) {
                for (old_x, width_share) in covered(x, width, new_width) {
                    sum += f64::from(image.pixel(old_x, old_y)[1]) * width_share * height_share;
                    area += width_share * height_share;
                }
            }
            let difference = (sum / area - f64::from(small.pixel(x, y)[1])).abs();
            assert!(difference < 0.51, "{new_width} x {new_height} at {x}, {y}: {difference}");
        }
    }
}

#[test]
fn fitting_keeps_the_shape_and_never_enlarges() {
    let image = RgbImage::new(1000, 400, vec![0; 1_200_000]).expect("lawful");
    assert_eq!(image.fitted(1000), (1000, 400));
    assert_eq!(image.fitted(500), (500, 200));
    let thin = RgbImage::new(1000, 1, vec![0; 3000]).expect("lawful");
    assert_eq!(thin.fitted(10), (10, 1));
    assert_eq!(thin.fitted(0), (1, 1));
    assert_eq!(picture(&["a"]).fitted(0), (1, 1), "half of a pixel");
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

proptest! {
    #[test]
    fn shrinking_gives_the_same_bytes_whatever_the_instructions(
        (width, height) in (1_u32..150, 1_u32..40),
        (across, down) in (0.0..1.0_f64, 0.0..1.0_f64),
        n_hidden in 0_usize..4,
        seed: u32,
    ) {
        let byte = |idx: u32| (idx.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8;
        let data: Vec<u8> = (0..width * height * 3).map(byte).collect();
        let part = |len: u32, share: f64| (f64::from(len) * share).ceil().max(1.0) as u32;
        let (mut columns, rows) = (coverage(width, part(width, across)), coverage(height, part(height, down)));
        // As in a crop that reaches beyond the picture.
        columns.iter_mut().take(n_hidden).for_each(|column| column.weights.clear());
        let expected = plainly_resampled(&data, width as usize, &columns, &rows);
        for kernel in kernel::Kernel::all() {
            let resampled = resample::resampled(kernel, &data, width as usize, &columns, &rows);
            prop_assert!(resampled == expected, "{}", kernel.name);
        }
    }
}

/// What [`resample`] promises, number by number in its order.
fn plainly_resampled(data: &[u8], width: usize, columns: &[Coverage], rows: &[Coverage]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        let total = |x: usize, colour: usize| {
            let byte = |y: usize| u32::from(data[(y * width + x) * 3 + colour]);
            let (mut y, mut total) = (row.first, 0.0);
            for run in row.weights.chunk_by(|a, b| a == b) {
                total += run[0] * (y..y + run.len()).map(byte).sum::<u32>() as f32;
                y += run.len();
            }
            total
        };
        for column in columns {
            for colour in 0..3 {
                let covered = column.weights.iter().enumerate();
                let sum = covered.fold(0.5, |sum, (idx, &weight)| sum + weight * total(column.first + idx, colour));
                bytes.push(sum as u8);
            }
        }
    }
    bytes
}

proptest! {
    #[test]
    fn pixels_become_the_same_numbers_whatever_the_instructions(
        row in prop::collection::vec(any::<u8>(), 0..200),
        (mean, scale) in prop_oneof![Just((0.0_f32, 1.0_f32)), Just((0.0, 255.0)), (0.0_f32..255.0, 0.5_f32..300.0)],
    ) {
        let (pixels, _) = row.as_chunks::<3>();
        for kernel in kernel::Kernel::all() {
            let mut colours = [(); 3].map(|()| vec![f32::NAN; pixels.len()]);
            (kernel.numbers)(pixels.as_flattened(), (mean, scale), colours.each_mut().map(Vec::as_mut_slice));
            for (colour, numbers) in colours.iter().enumerate() {
                let expected = pixels.iter().map(|pixel| (f32::from(pixel[colour]) - mean) / scale);
                prop_assert_eq!(numbers, &expected.collect::<Vec<_>>(), "{}", kernel.name);
            }
        }
    }
}
