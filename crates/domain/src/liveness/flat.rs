//! Whether a head turned, or a picture of one was tilted.
//!
//! However a flat picture is held, its points go from one place to another by an affine map, as long as it is small
//! against its distance; a head is deep, and its nose goes further than its eyes. So the points of a first picture are
//! mapped onto those of a second one by the best affine map there is, and what is left over tells depth.

use crate::types::{DenseLandmarks, Point};

/// Points on bone and cartilage: the nose, the corners of the eyes, the corners of the mouth. Lids, brows and lips move
/// without the head, and the jaw is an outline, which slides over the cheek.
const RIGID: [usize; 15] = [27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45, 48, 54];

/// How far the points of `after` are from where the best affine map takes those of `before`: root of the mean square, as
/// a share of the distance between the eyes in `after`. `None` if the points of one of them lie on a line.
///
/// A generic head that turns by 15 degrees gives about 0.03 and by 30 degrees 0.07; a flat picture nothing but the
/// errors of the landmarks. With landmarks of a face mesh, portraits that were projected anew from the depths of a head
/// give 0.057 to 0.088 at 15 degrees and 0.11 to 0.17 at 30; the same portraits tilted as sheets 0.004 to 0.010 and 0.015
/// to 0.030, but 0.022 to 0.053 at 45.
pub fn depth(before: &DenseLandmarks, after: &DenseLandmarks) -> Option<f32> {
    let Affine { rows, from, to } = Affine::between(before, after)?;
    let squared = |(from, to): (&[f64; 2], &[f64; 2])| -> f64 {
        (0..2).map(|axis| (to[axis] - rows[axis][0] * from[0] - rows[axis][1] * from[1]).powi(2)).sum()
    };
    let left_over = (from.iter().zip(&to).map(squared).sum::<f64>() / RIGID.len() as f64).sqrt();
    // The eyes come together as the head turns; the root of the map's area keeps their distance as seen from the front.
    let growth = (rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]).abs().sqrt();
    let eyes = eye_distance(before) * growth;
    (eyes > 0.0).then(|| (left_over / eyes) as f32).filter(|depth| depth.is_finite())
}

/// By how many degrees a flat picture would have to be tilted to be foreshortened as the points of `after` are against
/// those of `before`: 0 to 90. `None` as in [`depth`].
///
/// A head that turns is foreshortened by about its turn; a sheet as well, but the face mesh that is fitted to it hardly
/// turns, since the net knows how a head looks from the side.
pub fn foreshortening(before: &DenseLandmarks, after: &DenseLandmarks) -> Option<f32> {
    let Affine { rows: [[a, b], [c, d]], .. } = Affine::between(before, after)?;
    // For the singular values s >= t of the map: s^2 + t^2 = squares and s t = |determinant|.
    let (squares, determinant) = (a * a + b * b + c * c + d * d, (a * d - b * c).abs());
    let sum = squares / determinant;
    let ratio = (sum - (sum * sum - 4.0).max(0.0).sqrt()) / 2.0;
    sum.is_finite().then(|| ratio.clamp(0.0, 1.0).acos().to_degrees() as f32)
}

/// The affine map with the least squares from the rigid points of one face onto those of another.
struct Affine {
    rows: [[f64; 2]; 2],
    from: [[f64; 2]; RIGID.len()],
    to: [[f64; 2]; RIGID.len()],
}

impl Affine {
    fn between(before: &DenseLandmarks, after: &DenseLandmarks) -> Option<Self> {
        let (from, to) = (centred(before), centred(after));
        // Normal equations of the two rows of the map, which share their left side.
        let mut left = [0.0_f64; 3];
        let mut right = [[0.0_f64; 2]; 2];
        for (from, to) in from.iter().zip(&to) {
            left[0] += from[0] * from[0];
            left[1] += from[0] * from[1];
            left[2] += from[1] * from[1];
            for axis in 0..2 {
                right[axis][0] += from[0] * to[axis];
                right[axis][1] += from[1] * to[axis];
            }
        }
        let determinant = left[0] * left[2] - left[1] * left[1];
        let extent = left[0] + left[2];
        if !determinant.is_finite() || determinant <= 1e-9 * extent * extent {
            return None;
        }
        let rows =
            right.map(|[x, y]| [(left[2] * x - left[1] * y) / determinant, (left[0] * y - left[1] * x) / determinant]);
        Some(Self { rows, from, to })
    }
}

fn centred(landmarks: &DenseLandmarks) -> [[f64; 2]; RIGID.len()] {
    let points = RIGID.map(|point_idx| landmarks.0[point_idx]).map(|Point { x, y }| [f64::from(x), f64::from(y)]);
    let mean = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / RIGID.len() as f64);
    points.map(|point| [point[0] - mean[0], point[1] - mean[1]])
}

/// Distance between the middles of the eyes in pixels.
fn eye_distance(landmarks: &DenseLandmarks) -> f64 {
    let middle = |points: &[Point]| {
        let n_points = points.len() as f64;
        let sum = |value: fn(&Point) -> f32| points.iter().map(|point| f64::from(value(point))).sum::<f64>() / n_points;
        (sum(|point| point.x), sum(|point| point.y))
    };
    let (right, left) = landmarks.eyes().split_at(6);
    let (right, left) = (middle(right), middle(left));
    (right.0 - left.0).hypot(right.1 - left.1)
}
