use proptest::prelude::*;

use super::*;

fn room(width: f32, height: f32) -> Room {
    Room { bounds: Area::at(0.0, 0.0, width, height), height: 20.0, gap: 4.0 }
}

fn label(left: f32, top: f32, width: f32, height: f32) -> Label {
    Label { face: Area::at(left, top, width, height), widths: vec![60.0, 24.0] }
}

#[test]
fn a_label_stands_above_its_box_with_all_its_words() {
    let placed = place(&[label(100.0, 100.0, 80.0, 80.0)], &room(400.0, 300.0));
    let expected = Placed { area: Area::at(100.0, 76.0, 60.0, 20.0), wording: 0, is_apart: false };
    assert_eq!(placed, [Some(expected)]);
}

#[test]
fn at_the_top_edge_it_stands_below() {
    let placed = place(&[label(100.0, 3.0, 80.0, 80.0)], &room(400.0, 300.0));
    assert_eq!(placed[0].expect("there is room").area, Area::at(100.0, 87.0, 60.0, 20.0));
}

#[test]
fn at_the_right_edge_it_is_moved_to_the_left() {
    let placed = place(&[label(370.0, 100.0, 30.0, 80.0)], &room(400.0, 300.0));
    assert_eq!(placed[0].expect("there is room").area, Area::at(340.0, 76.0, 60.0, 20.0));
}

#[test]
fn a_face_that_fills_the_picture_carries_its_label() {
    let placed = place(&[label(0.0, 0.0, 400.0, 300.0)], &room(400.0, 300.0));
    assert_eq!(placed[0].expect("there is room").area, Area::at(4.0, 4.0, 60.0, 20.0));
}

#[test]
fn one_that_no_place_is_left_for_is_left_out() {
    let placed = place(&vec![label(0.0, 0.0, 30.0, 30.0); 3], &room(30.0, 30.0));
    assert_eq!(placed.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
}

/// Boxes with a position and a size of their own, some beyond the picture's edges.
fn faces() -> impl Strategy<Value = Vec<Label>> {
    let face = (-20.0_f32..620.0, -20.0_f32..420.0, 5.0_f32..200.0, 5.0_f32..200.0);
    proptest::collection::vec(face.prop_map(|(left, top, width, height)| label(left, top, width, height)), 0..40)
}

proptest! {
    #[test]
    fn labels_stay_inside_and_apart(labels in faces()) {
        let room = room(600.0, 400.0);
        let placed = place(&labels, &room);
        prop_assert_eq!(placed.len(), labels.len());
        // 40 labels take at most a fifth of the picture, so each has a place.
        prop_assert!(placed.iter().all(Option::is_some));
        for (idx, one) in placed.iter().flatten().enumerate() {
            prop_assert!(room.bounds.contains(&one.area), "{:?}", one);
            for other in placed.iter().flatten().skip(idx + 1) {
                prop_assert!(one.area.common(&other.area) == 0.0, "{:?} and {:?}", one, other);
            }
        }
    }

    #[test]
    fn a_lone_face_with_room_around_it_is_not_covered(
        left in 0.0_f32..500.0, top in 0.0_f32..300.0, width in 5.0_f32..100.0, height in 5.0_f32..100.0,
    ) {
        let lone = label(left, top, width, height);
        let placed = place(std::slice::from_ref(&lone), &room(600.0, 400.0))[0].expect("there is room");
        prop_assert_eq!(placed.area.common(&lone.face), 0.0);
    }

    #[test]
    fn in_a_crowd_without_room_they_still_do_not_cover_each_other(labels in faces()) {
        let room = room(150.0, 100.0);
        let placed = place(&labels, &room);
        for (idx, one) in placed.iter().flatten().enumerate() {
            prop_assert!(room.bounds.contains(&one.area));
            prop_assert!(placed.iter().flatten().skip(idx + 1).all(|other| one.area.common(&other.area) == 0.0));
        }
    }
}
