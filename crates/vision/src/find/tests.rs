use super::*;

fn face() -> FoundFace {
    let at = |x: f32, y: f32| Point { x, y };
    FoundFace {
        corners: [10.0, 20.0, 30.0, 50.0],
        landmarks: Landmarks([at(14.0, 28.0), at(25.0, 28.0), at(20.0, 35.0), at(15.0, 42.0), at(24.0, 42.0)]),
        score: 0.9,
    }
}

/// Among several upright faces one that is nearly sure and level needs no mesh; elsewhere, lying, or less sure it does.
#[test]
fn a_nearly_sure_face_is_reported_among_upright_ones_only() {
    let scored = |score: f32| FoundFace { score, ..face() };
    let lying = turned_back(&scored(0.82), ExifOrientation::TURN_90, 100, 60);
    assert!(is_sure(&scored(0.82), 0.85, Turning::Turned));
    assert!(!is_sure(&scored(0.79), 0.85, Turning::Turned));
    assert!(!is_sure(&lying, 0.85, Turning::Turned));
    for turning in [Turning::Persistent, Turning::Any] {
        assert!(!is_sure(&scored(0.82), 0.85, turning), "{turning:?}");
        assert!(is_sure(&scored(0.85), 0.85, turning), "{turning:?}");
    }
    // A certain one and two that seem upright make such a picture.
    assert_eq!(turning_among(&[face(), scored(0.82), scored(0.8)]), Turning::Turned);
    assert_eq!(turning_among(&[face(), scored(0.82), lying]), Turning::Persistent);
}

#[test]
fn face_found_in_a_turned_picture_is_put_where_it_was() {
    // The picture is 100 x 60; turned by 90 degrees it is 60 x 100, and its left column was the bottom row.
    let back = turned_back(&face(), ExifOrientation::TURN_90, 100, 60);
    assert_eq!(back.corners, [20.0, 30.0, 50.0, 50.0]);
    assert_eq!(back.landmarks.0[0], Point { x: 28.0, y: 45.0 });
    let back = turned_back(&face(), ExifOrientation::TURN_180, 100, 60);
    assert_eq!(back.corners, [70.0, 10.0, 90.0, 40.0]);
    let back = turned_back(&face(), ExifOrientation::TURN_270, 100, 60);
    assert_eq!(back.corners, [50.0, 10.0, 80.0, 30.0]);
    assert_eq!(back.landmarks.0[0], Point { x: 71.0, y: 14.0 });
}

/// Everything a tile must hold: each place of the picture, and each small face whole in at least one tile.
#[test]
fn tiles_cover_the_picture_and_overlap() {
    for (width, height) in [(1280, 1280), (1281, 900), (4000, 3000), (12_000, 5000), (300, 9000)] {
        let tiles = tiles(width, height);
        assert!(tiles.len() <= TILES_MAX, "{} tiles", tiles.len());
        let holds = |x: u32, y: u32, size: u32| {
            tiles.iter().any(|&(left, top, w, h)| x >= left && y >= top && x + size <= left + w && y + size <= top + h)
        };
        for x in (0..width - 150).step_by(97).chain([width - 150]) {
            for y in (0..height - 150).step_by(97).chain([height - 150]) {
                assert!(holds(x, y, 150), "{width} x {height}: ({x}, {y})");
            }
        }
        assert!(tiles.iter().all(|&(left, top, w, h)| left + w <= width && top + h <= height));
    }
}
