use likeness_domain::types::Expression;

use super::*;

#[test]
fn probabilities_add_up_to_one() {
    assert_eq!(net::probabilities([0.0, 0.0], true), Some([0.5, 0.5]));
    assert_eq!(net::probabilities([1000.0, -1000.0], true), Some([1.0, 0.0]), "no overflow");
    assert_eq!(net::probabilities([0.3, 0.1], false), Some([0.75, 0.25]));
    assert_eq!(net::probabilities([0.0, -0.5], false), None);
    assert_eq!(net::probabilities([f32::NAN, 1.0], true), None);
}

#[test]
fn expressions_come_in_our_order_whatever_the_net_has() {
    let mut classes = Expression::ALL;
    classes.reverse();
    let numbers = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0];
    assert_eq!(expression::in_our_order(&numbers, &classes), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn share_of_a_class_needs_the_class() {
    assert_eq!(liveness::share_of(&[0.1, 0.7, 0.2], 1, false), Some(0.7));
    assert_eq!(liveness::share_of(&[2.0, 2.0, 2.0, 2.0], 3, true), Some(0.25));
    assert_eq!(liveness::share_of(&[0.1, 0.9], 2, false), None);
    assert_eq!(liveness::share_of(&[-1000.0, 1000.0], 0, true), Some(0.0));
}

#[test]
fn nothing_assigned_still_gives_pose_quality_and_crops() {
    let assignment = Assignment::first_of(&[]);
    let pictures = Aspects::CROP.and(Aspects::THUMBNAIL);
    let from_pixels = Aspects::POSE.and(Aspects::QUALITY).and(Aspects::POINTS).and(pictures);
    assert_eq!(assignment.aspects(), from_pixels);
    assert_eq!(assignment.packs().count(), 0);
}
