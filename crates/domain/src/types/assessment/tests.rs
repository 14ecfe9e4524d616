use super::*;

fn landmarks(points: [(f32, f32); 5]) -> Landmarks {
    Landmarks(points.map(|(x, y)| Point { x, y }))
}

#[test]
fn a_turned_face_is_known_by_where_its_mouth_lies() {
    let upright = [(30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (35.0, 80.0), (65.0, 80.0)];
    // Clockwise by a quarter in a 100 x 100 picture: what was on top goes to the right.
    let turned = |points: [(f32, f32); 5]| points.map(|(x, y)| (100.0 - y, x));
    let mut points = upright;
    for degrees in [0, 90, 180, 270] {
        assert_eq!(landmarks(points).quarter_turn().degrees(), degrees);
        points = turned(points);
    }
}

#[test]
fn the_strongest_expression_is_named_and_the_first_of_equals() {
    let expressions = Expressions([0.1, 0.2, 0.05, 0.05, 0.1, 0.1, 0.4]);
    assert_eq!(expressions.strongest(), (Expression::Surprised, 0.4));
    assert_eq!(expressions.probability(Expression::Happy), 0.2);
    assert_eq!(Expressions([1.0 / 7.0; 7]).strongest().0, Expression::Neutral);
}

#[test]
fn aspects_are_sets() {
    let both = Aspects::POSE.and(Aspects::QUALITY);
    assert!(both.contains(Aspects::POSE) && !both.contains(Aspects::LIVENESS));
    assert!(both.contains(Aspects::NONE) && Aspects::ALL.contains(both));
    assert_eq!(both.common(Aspects::QUALITY.and(Aspects::LIVENESS)), Aspects::QUALITY);
    assert!(Aspects::POSE.common(Aspects::LIVENESS).is_empty());
}
