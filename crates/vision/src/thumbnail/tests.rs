use super::*;
use crate::decode::{EncodedImage, Reduction};
use likeness_domain::ports::{ImageFormats, ImageRules};

fn picture(side: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> RgbImage {
    let data = (0..side * side).flat_map(|idx| pixel(idx % side, idx / side)).collect();
    RgbImage::new(side, side, data).expect("as many bytes as pixels")
}

fn decoded(thumbnail: &Thumbnail) -> RgbImage {
    let rules = ImageRules { formats: ImageFormats::JPEG, bytes_max: 1 << 20, side_max: 1000, side_min: 1 };
    let file = thumbnail.bytes().clone();
    EncodedImage::open(&file, &rules).and_then(|image| image.decode(Reduction::Full)).expect("a JPEG")
}

#[test]
fn a_thumbnail_shows_the_crop_with_room_around_it() {
    // The crop of a face that stands upright, twice as large in the photograph, at (200, 300).
    let placement = Placement { a: 2.0, b: 0.0, shift_x: 200.0, shift_y: 300.0 };
    let is_crop = |x: u32, y: u32| (200..424).contains(&x) && (300..524).contains(&y);
    let photo = picture(800, |x, y| if is_crop(x, y) { [200, 150, 100] } else { [20, 30, 90] });
    let shown = decoded(&of(&mut Pyramid::new(photo), placement).expect("encodes"));
    assert_eq!((shown.width(), shown.height()), (Thumbnail::SIDE_PX, Thumbnail::SIDE_PX));
    let is_face = |x: u32, y: u32| shown.pixel(x, y)[0] > 110;
    // 36 of 184 crop pixels are 28 of 144 on each side; above six crop pixels more, below six less.
    assert!(is_face(72, 72) && is_face(33, 72) && is_face(110, 72) && is_face(72, 40) && is_face(72, 113));
    assert!(!is_face(22, 72) && !is_face(121, 72) && !is_face(72, 27) && !is_face(72, 127));
}

#[test]
fn a_turned_face_is_shown_upright() {
    // The face lies on its side: down in the crop is to the left in the photograph.
    let placement = Placement { a: 0.0, b: 2.0, shift_x: 524.0, shift_y: 300.0 };
    let photo = picture(800, |x, _| if x < 412 { [220, 220, 220] } else { [10, 10, 10] });
    let shown = decoded(&of(&mut Pyramid::new(photo), placement).expect("encodes"));
    assert!(shown.pixel(72, 110)[0] > 180 && shown.pixel(72, 40)[0] < 60, "the left half of the photograph is below");
}

#[test]
fn noise_keeps_the_bound_on_bytes() {
    let mixed = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519);
    let noise = picture(400, |x, y| mixed(x, y).to_le_bytes()[1..].try_into().expect("three bytes"));
    let placement = Placement { a: 1.0, b: 0.0, shift_x: 100.0, shift_y: 100.0 };
    let thumbnail = of(&mut Pyramid::new(noise), placement).expect("fits at some quality");
    assert!(thumbnail.bytes().len() <= Thumbnail::BYTES_MAX);
}
