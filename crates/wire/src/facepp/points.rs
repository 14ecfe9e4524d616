//! The vendor's 83 and 106 landmarks by name, from the points of a face mesh.
//!
//! Names and their number are the vendor's; where a numbered contour point lies is our reading of its published
//! pictures. Left and right are those of the picture. `left_eye_pupil` and `right_eye_pupil` are in neither list: the
//! mesh shows lids, not where the eyes look.

use likeness_domain::types::{MeshLandmarks, Point};

/// Which of the vendor's lists is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// `return_landmark` 1: 83 points, of which 81 are known.
    Of83,
    /// `return_landmark` 2: 106 points, of which 104 are known.
    Of106,
}

/// A name, the one or two points of the mesh in whose middle it lies, and those of its mirror image, in whose name left and
/// right change places; none if it lies in the middle of the face.
type Named = (&'static str, &'static [usize], &'static [usize]);

/// In both lists.
const COMMON: [Named; 29] = [
    ("contour_chin", &[152], &[]),
    ("left_eye_left_corner", &[33], &[263]),
    ("left_eye_right_corner", &[133], &[362]),
    ("left_eye_center", &[33, 133], &[362, 263]),
    ("left_eye_top", &[159], &[386]),
    ("left_eye_bottom", &[145], &[374]),
    ("left_eye_upper_left_quarter", &[160], &[387]),
    ("left_eye_upper_right_quarter", &[158], &[385]),
    ("left_eye_lower_left_quarter", &[144], &[373]),
    ("left_eye_lower_right_quarter", &[153], &[380]),
    ("left_eyebrow_left_corner", &[70, 46], &[300, 276]),
    ("left_eyebrow_upper_left_quarter", &[63], &[293]),
    ("left_eyebrow_upper_middle", &[105], &[334]),
    ("left_eyebrow_upper_right_quarter", &[66], &[296]),
    ("left_eyebrow_lower_left_quarter", &[53], &[283]),
    ("left_eyebrow_lower_middle", &[52], &[282]),
    ("left_eyebrow_lower_right_quarter", &[65], &[295]),
    ("nose_tip", &[1], &[]),
    ("mouth_left_corner", &[61], &[291]),
    ("mouth_upper_lip_top", &[0], &[]),
    ("mouth_upper_lip_bottom", &[13], &[]),
    ("mouth_lower_lip_top", &[14], &[]),
    ("mouth_lower_lip_bottom", &[17], &[]),
    ("mouth_upper_lip_left_contour1", &[37], &[267]),
    ("mouth_upper_lip_left_contour2", &[40], &[270]),
    ("mouth_upper_lip_left_contour3", &[81], &[311]),
    ("mouth_lower_lip_left_contour1", &[178], &[402]),
    ("mouth_lower_lip_left_contour2", &[91], &[321]),
    ("mouth_lower_lip_left_contour3", &[84], &[314]),
];

const ONLY_83: [Named; 6] = [
    ("left_eyebrow_right_corner", &[107, 55], &[336, 285]),
    ("nose_contour_left1", &[193], &[417]),
    ("nose_contour_left2", &[198], &[420]),
    ("nose_contour_left3", &[98], &[327]),
    ("nose_contour_lower_middle", &[2], &[]),
    ("nose_left", &[129], &[358]),
];

const ONLY_106: [Named; 12] = [
    ("left_eyebrow_upper_right_corner", &[107], &[336]),
    ("left_eyebrow_lower_right_corner", &[55], &[285]),
    ("nose_bridge1", &[168], &[]),
    ("nose_bridge2", &[197], &[]),
    ("nose_bridge3", &[195], &[]),
    ("nose_left_contour1", &[193], &[417]),
    ("nose_left_contour2", &[198], &[420]),
    ("nose_left_contour3", &[129], &[358]),
    ("nose_left_contour4", &[98], &[327]),
    ("nose_left_contour5", &[97], &[326]),
    ("nose_middle_contour", &[2], &[]),
    ("mouth_upper_lip_left_contour4", &[191], &[415]),
];

/// The contour of the face from beside the eye down to the chin, on the left and the right of the picture.
const CONTOUR_LEFT: [usize; 12] = [127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152];
const CONTOUR_RIGHT: [usize; 12] = [356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152];

/// Every point of a list that the mesh shows.
pub(super) fn named(mesh: &MeshLandmarks, set: Set) -> Vec<(String, Point)> {
    let (own, n_contour): (&[Named], usize) = match set {
        Set::Of83 => (&ONLY_83, 9),
        Set::Of106 => (&ONLY_106, 16),
    };
    let middle = |indices: &[usize]| {
        let n_points = indices.len() as f32;
        let sum = |value: fn(&Point) -> f32| indices.iter().map(|&idx| value(&mesh.0[idx])).sum::<f32>();
        Point { x: sum(|point| point.x) / n_points, y: sum(|point| point.y) / n_points }
    };
    let mut found = Vec::new();
    for &(name, points, mirrored) in COMMON.iter().chain(own) {
        found.push((name.to_owned(), middle(points)));
        if !mirrored.is_empty() {
            found.push((mirror(name), middle(mirrored)));
        }
    }
    for (side, contour) in [("left", CONTOUR_LEFT), ("right", CONTOUR_RIGHT)] {
        let points = evenly(&contour.map(|idx| mesh.0[idx]), n_contour);
        // Numbered from beside the eye down.
        found.extend(points.into_iter().zip(1..).map(|(point, number)| (format!("contour_{side}{number}"), point)));
    }
    found
}

/// A name with left and right exchanged.
fn mirror(name: &str) -> String {
    name.replace("left", "*").replace("right", "left").replace('*', "right")
}

/// So many points at even distances along a line of points, from its first one on, without its last.
fn evenly(line: &[Point], n_points: usize) -> Vec<Point> {
    let steps: Vec<f32> = line.windows(2).map(|pair| (pair[1].x - pair[0].x).hypot(pair[1].y - pair[0].y)).collect();
    let total: f32 = steps.iter().sum();
    let at = |idx: usize| {
        let mut left = total * idx as f32 / n_points as f32;
        for (pair, &step) in line.windows(2).zip(&steps) {
            if left <= step && step > 0.0 {
                let share = left / step;
                let between = |a: f32, b: f32| a + (b - a) * share;
                return Point { x: between(pair[0].x, pair[1].x), y: between(pair[0].y, pair[1].y) };
            }
            left -= step;
        }
        line[0]
    };
    (0..n_points).map(at).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_list_has_its_points_once_but_the_pupils() {
        let points = std::array::from_fn(|idx| Point { x: idx as f32, y: (idx % 7) as f32 });
        let mesh = MeshLandmarks(Box::new(points));
        for (set, n_known) in [(Set::Of83, 81), (Set::Of106, 104)] {
            let found = named(&mesh, set);
            let by_name: BTreeMap<_, _> = found.iter().map(|(name, point)| (&**name, point)).collect();
            assert_eq!((found.len(), by_name.len()), (n_known, n_known));
            assert_eq!((by_name["nose_tip"].x, by_name["left_eye_center"].x), (1.0, 83.0));
            assert!(by_name.keys().all(|name| !name.contains("pupil")));
        }
    }

    #[test]
    fn a_line_is_divided_evenly() {
        let point = |x: f32, y: f32| Point { x, y };
        let line = [point(0.0, 0.0), point(4.0, 0.0), point(4.0, 2.0)];
        assert_eq!(evenly(&line, 3), [point(0.0, 0.0), point(2.0, 0.0), point(4.0, 0.0)]);
        assert_eq!(evenly(&[point(1.0, 1.0); 3], 2), [point(1.0, 1.0); 2]);
    }
}
