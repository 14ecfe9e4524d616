use super::*;

/// Each pixel says where it is: red is the column, green the row.
fn picture(width: u32, height: u32) -> RgbImage {
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 200]));
    RgbImage::new(width, height, pixels.collect()).unwrap()
}

fn face(left: u32, top: u32, width: u32, height: u32) -> BoundingBox {
    BoundingBox { left, top, width, height }
}

fn stretch(left: i64, top: i64, width: u32, height: u32) -> Stretch {
    Stretch { left, top, width, height }
}

#[test]
fn square_has_the_centre_of_the_box_and_its_longer_side() {
    assert_eq!(Stretch::square(&face(10, 20, 30, 50), 1.0), stretch(0, 20, 50, 50));
    assert_eq!(Stretch::square(&face(10, 20, 30, 50), 2.0), stretch(-25, -5, 100, 100));
    assert_eq!(Stretch::square(&face(0, 0, 1, 1), 0.1), stretch(0, 0, 1, 1));
}

#[test]
fn liveness_stretch_is_kept_inside_as_the_reference_keeps_it() {
    // Numbers of `CropImage._get_new_box` of Silent-Face-Anti-Spoofing for the same boxes: both corners belong to it.
    assert_eq!(Stretch::inside(&face(100, 100, 20, 30), 2.7, 400, 400), stretch(83, 74, 55, 82));
    // At the left and upper edge it is moved, at the lower right one too.
    assert_eq!(Stretch::inside(&face(2, 3, 20, 30), 2.7, 400, 400), stretch(0, 0, 55, 82));
    assert_eq!(Stretch::inside(&face(370, 360, 20, 30), 2.7, 400, 400), stretch(345, 318, 55, 82));
    // A face that fills the picture is not scaled by more than fits.
    assert_eq!(Stretch::inside(&face(0, 0, 100, 200), 4.0, 101, 201), stretch(0, 0, 101, 201));
    assert_eq!(Stretch::inside(&face(0, 0, 1, 1), 4.0, 1, 1), stretch(0, 0, 1, 1));
}

#[test]
fn crop_of_the_same_size_is_the_picture_itself() {
    let picture = picture(40, 30);
    for sampling in [Sampling::Smooth, Sampling::Direct] {
        let crop = resampled(&picture, stretch(5, 3, 20, 20), 20, sampling);
        assert_eq!((crop.pixel(0, 0), crop.pixel(19, 19)), ([5, 3, 200], [24, 22, 200]));
    }
}

#[test]
fn what_lies_beyond_the_picture_is_black() {
    let crop = resampled(&picture(40, 30), stretch(-10, -10, 20, 20), 20, Sampling::Smooth);
    assert_eq!((crop.pixel(0, 0), crop.pixel(9, 15)), ([0; 3], [0; 3]));
    assert_eq!(crop.pixel(10, 10), [0, 0, 200]);
    let nowhere = resampled(&picture(4, 3), stretch(100, 100, 9, 9), 5, Sampling::Direct);
    assert!(nowhere.data().iter().all(|&byte| byte == 0));
}

#[test]
fn smooth_sampling_turns_fine_stripes_grey_and_direct_sampling_does_not() {
    let stripes = (0..64).flat_map(|_| (0..64).flat_map(|x| [if x % 4 < 2 { 0 } else { 240_u8 }; 3]));
    let stripes = RgbImage::new(64, 64, stripes.collect()).unwrap();
    let values = |sampling| -> Vec<u8> {
        let crop = resampled(&stripes, stretch(0, 0, 64, 64), 16, sampling);
        (2..14).map(|x| crop.pixel(x, 8)[0]).collect()
    };
    assert!(values(Sampling::Smooth).iter().all(|&value| value == 120), "{:?}", values(Sampling::Smooth));
    // A new pixel's centre lies between the second and the third of its four stripes.
    assert!(values(Sampling::Direct).iter().all(|&value| value == 120));
    let shifted = resampled(&stripes, stretch(1, 0, 60, 60), 15, Sampling::Direct);
    assert_eq!(shifted.pixel(5, 5)[0], 240, "only the two nearest count");
}

#[test]
fn larger_crop_runs_evenly_and_ends_at_the_edge() {
    let crop = resampled(&picture(10, 10), stretch(0, 0, 10, 10), 20, Sampling::Direct);
    assert_eq!((crop.pixel(0, 0)[0], crop.pixel(19, 19)[0]), (0, 9));
    // Centre of new pixel 11 is at 5.75 - 0.5 = 5.25.
    assert_eq!(crop.pixel(11, 0)[0], 5);
}

#[test]
fn turned_face_is_set_upright_and_its_points_find_home() {
    let mut marked = RgbImage::new(8, 8, vec![0; 8 * 8 * 3]).unwrap();
    // A forehead at the right edge: the face is turned by a quarter, clockwise.
    marked.put_pixel(7, 2, [255; 3]);
    for (turn, place) in [
        (QuarterTurn::None, (7, 2)),
        (QuarterTurn::Quarter, (2, 0)),
        (QuarterTurn::Half, (0, 5)),
        (QuarterTurn::ThreeQuarters, (5, 7)),
    ] {
        let upright = upright(marked.clone(), turn);
        let found = (0..64).map(|idx| (idx % 8, idx / 8)).find(|&(x, y)| upright.pixel(x, y)[0] == 255);
        assert_eq!(found, Some(place), "{turn:?}");
        let (x, y) = turned_back((place.0 as f32 + 0.5) / 8.0, (place.1 as f32 + 0.5) / 8.0, turn);
        assert_eq!(((x * 8.0) as u32, (y * 8.0) as u32), (7, 2), "{turn:?}");
    }
}
