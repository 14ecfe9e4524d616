use super::*;

fn two_pixels() -> RgbImage {
    RgbImage::new(2, 1, vec![1, 2, 3, 4, 5, 6]).expect("lawful")
}

fn planes(image: &RgbImage, scaling: Scaling, width: u32, height: u32) -> Vec<f32> {
    let mut numbers = vec![f32::NAN; 3 * width as usize * height as usize];
    fill_planes(image, scaling, width, height, &mut numbers);
    numbers
}

#[test]
fn planes_follow_each_other_in_the_order_asked_for() {
    let scaling = Scaling { order: ColourOrder::Rgb, mean: 0.0, scale: 1.0 };
    assert_eq!(planes(&two_pixels(), scaling, 2, 1), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let scaling = Scaling { order: ColourOrder::Bgr, ..scaling };
    assert_eq!(planes(&two_pixels(), scaling, 2, 1), [3.0, 6.0, 2.0, 5.0, 1.0, 4.0]);
}

#[test]
fn frame_beyond_the_picture_is_black_after_scaling_too() {
    let scaling = Scaling { order: ColourOrder::Rgb, mean: 10.0, scale: 2.0 };
    let numbers = planes(&two_pixels(), scaling, 3, 2);
    assert_eq!(numbers[..6], [-4.5, -3.0, -5.0, -5.0, -5.0, -5.0]);
    assert_eq!(numbers.len(), 18);
}

#[test]
fn rows_longer_than_a_register_keep_their_order() {
    let data: Vec<u8> = (0..2 * 37 * 3).map(|idx| idx as u8).collect();
    let picture = RgbImage::new(37, 2, data.clone()).expect("lawful");
    let scaling = Scaling { order: ColourOrder::Rgb, mean: 0.0, scale: 1.0 };
    let expected: Vec<f32> =
        (0..3).flat_map(|channel| data.iter().skip(channel).step_by(3).copied().map(f32::from)).collect();
    assert_eq!(planes(&picture, scaling, 37, 2), expected);
}
