//! What the points of a face mesh tell without a model of their own: where the head looks, 68 landmarks, whether eyes and
//! mouth are open. Pure functions of a [`FaceMesh`], so one face has one answer whatever else is installed.
//!
//! The pose is the turn that brings an average head ([`head`]) onto the mesh in three dimensions: the orthogonal
//! Procrustes problem in the closed form of Horn, "Closed-form solution of absolute orientation using unit quaternions",
//! 1987.

use likeness_domain::types::{DenseLandmarks, MeshLandmarks, Openness, Point, Pose};

use crate::mesh::{FaceMesh, MeshPoint};
use crate::raster::RgbImage;

mod head;

#[cfg(test)]
pub(super) mod tests;

/// By how much more a head is turned to a side than its mesh. The net draws meshes towards the front: of portraits
/// projected anew from the depths of an average head it shows 0.88 of a yaw of 10 to 30 degrees, and a fit of the
/// mesh's x and y alone, over 2,249 photographs of Labelled Faces in the Wild, turns 1.13 times as far as one with its z.
/// Nods are shown to a twentieth and need no factor.
const YAW_FACTOR: f32 = 1.13;

/// The 68 landmarks of the iBUG 300-W annotation as points of the mesh.
///
/// Jaw, brows, bridge of the nose, eyes and lips are the usual correspondence of both sets by their anatomy (the mesh's
/// contours of face, brows, eyes and lips as MediaPipe draws them, each taken at even steps). The wings of the nose (31,
/// 32, 34, 35) and the lower lip (55 to 59) are the symmetric pairs that come nearest to what face-api's net of 68
/// landmarks finds on 281 photographs of Labelled Faces in the Wild. On those the two differ by 5.6 % of the distance
/// between the eyes on average without the jaw; along the jaw by 11.7 %, where face-api's points lie inside the contour.
#[rustfmt::skip]
const LANDMARKS_68: [usize; 68] = [
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 99, 2, 328, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91,
    78, 82, 13, 312, 308, 317, 14, 87,
];

/// An eye: its corners, and pairs of points across it, upper lid first.
struct Opening {
    corners: [usize; 2],
    across: [[usize; 2]; 3],
}

const RIGHT_EYE: Opening = Opening { corners: [33, 133], across: [[160, 144], [159, 145], [158, 153]] };
const LEFT_EYE: Opening = Opening { corners: [362, 263], across: [[385, 380], [386, 374], [387, 373]] };
const LIPS: Opening = Opening { corners: [78, 308], across: [[82, 87], [13, 14], [312, 317]] };

/// Where the head looks; `None` if the points coincide or are not finite.
pub fn pose(mesh: &FaceMesh) -> Option<Pose> {
    let n_points = head::HEAD.len() as f64;
    let wide = |place: [f32; 3]| place.map(f64::from);
    let pairs = head::HEAD.map(|(idx, place)| {
        let MeshPoint { x, y, z } = mesh.points[idx];
        (wide(place), wide([x, y, z]))
    });
    let (mut from, mut to) = ([0.0; 3], [0.0; 3]);
    for (place, point) in &pairs {
        for axis in 0..3 {
            from[axis] += place[axis] / n_points;
            to[axis] += point[axis] / n_points;
        }
    }
    // Moments between head (rows) and mesh (columns), both about their means.
    let mut moments = [[0.0_f64; 3]; 3];
    for (place, point) in &pairs {
        for row in 0..3 {
            for column in 0..3 {
                moments[row][column] += (place[row] - from[row]) * (point[column] - to[column]);
            }
        }
    }
    let spread: f64 = pairs.iter().flat_map(|(_, point)| (0..3).map(|axis| (point[axis] - to[axis]).powi(2))).sum();
    let far: f64 = to.iter().map(|mean| mean.powi(2)).sum();
    // Points that coincide differ by what rounding their mean leaves.
    if !spread.is_finite() || spread <= 1e-12 * far || spread <= 0.0 {
        return None;
    }
    let size = spread.sqrt();
    let [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = moments.map(|row| row.map(|moment| moment / size));
    let quaternion = first_eigenvector([
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]);
    Some(angles(quaternion)).filter(|pose| [pose.yaw, pose.pitch, pose.roll].iter().all(|angle| angle.is_finite()))
}

/// The angles whose turns in the order pitch, yaw, roll make the turn of a unit quaternion (real part first).
fn angles([w, x, y, z]: [f64; 4]) -> Pose {
    let degrees = |radians: f64| radians.to_degrees() as f32;
    let third = [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)];
    let (first_x, second_x) = (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z));
    Pose {
        yaw: (degrees(third[0].clamp(-1.0, 1.0).asin()) * YAW_FACTOR).clamp(-90.0, 90.0),
        pitch: degrees((-third[1]).atan2(third[2])),
        roll: degrees(second_x.atan2(first_x)),
    }
}

/// The eigenvector of a symmetric matrix with the largest eigenvalue, of length 1, by Jacobi's rotations.
fn first_eigenvector(mut matrix: [[f64; 4]; 4]) -> [f64; 4] {
    let mut vectors = [[0.0; 4]; 4];
    for (idx, row) in vectors.iter_mut().enumerate() {
        row[idx] = 1.0;
    }
    // Each sweep squares what is off the diagonal; six reach the precision of the numbers.
    for _ in 0..12 {
        for p in 0..3 {
            for q in p + 1..4 {
                if matrix[p][q] == 0.0 {
                    continue;
                }
                let half = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
                let tangent = half.signum() / (half.abs() + half.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                for row in &mut matrix {
                    (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
                }
                let (row_p, row_q) = (matrix[p], matrix[q]);
                for column in 0..4 {
                    matrix[p][column] = cosine * row_p[column] - sine * row_q[column];
                    matrix[q][column] = sine * row_p[column] + cosine * row_q[column];
                }
                for row in &mut vectors {
                    (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
                }
            }
        }
    }
    let largest = (0..4).max_by(|&a, &b| matrix[a][a].total_cmp(&matrix[b][b])).unwrap_or(0);
    vectors.map(|row| row[largest])
}

/// The 68 landmarks, in pixels of the mesh's picture.
pub fn landmarks68(mesh: &FaceMesh) -> DenseLandmarks {
    DenseLandmarks(Box::new(LANDMARKS_68.map(|idx| in_plane(&mesh.points[idx]))))
}

/// All points in the plane of the picture.
pub fn all_points(mesh: &FaceMesh) -> MeshLandmarks {
    MeshLandmarks(Box::new(std::array::from_fn(|idx| in_plane(&mesh.points[idx]))))
}

fn in_plane(point: &MeshPoint) -> Point {
    Point { x: point.x, y: point.y }
}

/// How far eyes and mouth are open; `mesh` is in pixels of `picture`. Heights and widths are measured in three dimensions,
/// so that turning the head changes little.
pub fn openness(picture: &RgbImage, mesh: &FaceMesh) -> Openness {
    let ratio = |opening: &Opening| {
        let apart = |[a, b]: [usize; 2]| {
            let (a, b) = (&mesh.points[a], &mesh.points[b]);
            (a.x - b.x).hypot(a.y - b.y).hypot(a.z - b.z)
        };
        let height = opening.across.iter().map(|&pair| apart(pair)).sum::<f32>() / 3.0;
        height / apart(opening.corners).max(f32::MIN_POSITIVE)
    };
    let contrast = |eye: &Opening| contrast_along(picture, eye.corners.map(|idx| in_plane(&mesh.points[idx])));
    Openness {
        right_eye: ratio(&RIGHT_EYE),
        left_eye: ratio(&LEFT_EYE),
        mouth: ratio(&LIPS),
        eye_contrast: (contrast(&RIGHT_EYE) + contrast(&LEFT_EYE)) / 2.0,
    }
}

/// Cells of the band that is laid over an eye, from corner to corner.
const CELLS: usize = 24;

/// How much of an eye's width the band is long and high: without the corners, and inside the lids of an open eye.
const BAND: (f32, f32) = (0.9, 0.225);

/// Standard deviation of the brightness of the cells of a band between two corners of an eye, as a share of its mean.
/// Positions beyond the picture count as its nearest pixel.
fn contrast_along(picture: &RgbImage, [from, to]: [Point; 2]) -> f32 {
    const SAMPLES_ACROSS: usize = 18;
    const SAMPLES_PER_CELL: usize = 3;
    let (right, down) = ((to.x - from.x, to.y - from.y), (from.y - to.y, to.x - from.x));
    let middle = ((from.x + to.x) / 2.0, (from.y + to.y) / 2.0);
    let share = |idx: usize, n: usize| (idx as f32 + 0.5) / n as f32 - 0.5;
    let mut cells = [0.0_f32; CELLS];
    for along_idx in 0..CELLS * SAMPLES_PER_CELL {
        let along = share(along_idx, CELLS * SAMPLES_PER_CELL) * BAND.0;
        for across_idx in 0..SAMPLES_ACROSS {
            let across = share(across_idx, SAMPLES_ACROSS) * BAND.1;
            let x = middle.0 + right.0 * along + down.0 * across;
            let y = middle.1 + right.1 * along + down.1 * across;
            cells[along_idx / SAMPLES_PER_CELL] += brightness(picture, x, y);
        }
    }
    let mean = cells.iter().sum::<f32>() / CELLS as f32;
    let variance = cells.iter().map(|cell| (cell - mean).powi(2)).sum::<f32>() / CELLS as f32;
    variance.sqrt() / mean.max((SAMPLES_ACROSS * SAMPLES_PER_CELL) as f32)
}

/// Brightness between the four nearest pixel centres, 0 to 255: luma as in ITU-R BT.601.
fn brightness(picture: &RgbImage, x: f32, y: f32) -> f32 {
    let (x, y) = (x.clamp(0.0, (picture.width() - 1) as f32), y.clamp(0.0, (picture.height() - 1) as f32));
    let (left, top) = (x as u32, y as u32);
    let luma = |x: u32, y: u32| {
        let [red, green, blue] = picture.pixel(x.min(picture.width() - 1), y.min(picture.height() - 1));
        0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
    };
    let (right, below) = (x - left as f32, y - top as f32);
    let row = |y: u32| luma(left, y) * (1.0 - right) + luma(left + 1, y) * right;
    row(top) * (1.0 - below) + row(top + 1) * below
}
