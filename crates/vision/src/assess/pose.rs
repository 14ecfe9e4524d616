//! Where a head looks: the pose of a generic head that puts its points where the landmarks are (a PnP fit).
//!
//! The camera of a photograph is unknown, and pictures are often cut out of larger ones. So the fit looks through a
//! camera of its own that is aimed between the eyes from [`CAMERA_MM`] away, and finds turn, size and place together.
//! A camera at another distance costs little: from 40 cm to infinity less than 4 degrees (tested).
//!
//! The start is the best affine camera made rigid (as in DeMenthon and Davis, "Model-based object pose in 25 lines
//! of code", 1995); Levenberg and Marquardt's damped Gauss-Newton steps do the rest.

use likeness_domain::types::{DenseLandmarks, Landmarks, Point, Pose};

#[cfg(test)]
mod tests;

/// From where a photograph is taken, roughly.
const CAMERA_MM: f64 = 800.0;

/// Steps of the fit at most; three to eight are usual.
const STEPS_MAX: usize = 40;

/// A point of the head in millimetres from the middle between the eyes: to the right in the picture (the person's
/// left), down, and away from the camera.
type Place = [f64; 3];

/// A point of the head, how much it counts, and where it is in the picture.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    place: Place,
    weight: f64,
    x: f64,
    y: f64,
}

/// Which of the 68 landmarks lie where on the head, and how much they count: the ones on bone and cartilage fully, the
/// ones that a smile or an open mouth moves less. Jaw and eyebrows are left out: the one is an outline, which slides over
/// the cheek as the head turns, the others rise and fall.
///
/// Widths and heights are where the default landmark net puts its points on 83 photographs of LFW that look into the
/// camera (by [`of_sparse`]: yaw within 12 and pitch within 8 degrees), made symmetric, with eyes 62 mm apart; depths are
/// rounded from profiles. With anthropometric means instead the pitch came out 8 degrees too low, since a net has its
/// own idea of where a nose begins.
const DENSE_PLACES: [(usize, Place, f64); 17] = [
    (27, [0.0, 1.5, 0.0], 1.0),
    (28, [0.0, 13.5, -7.0], 1.0),
    (29, [0.0, 25.0, -14.0], 1.0),
    (30, [0.0, 35.0, -21.0], 1.0),
    (31, [-11.5, 42.5, 2.0], 1.0),
    (32, [-6.5, 44.0, -3.0], 1.0),
    (33, [0.0, 45.0, -6.0], 1.0),
    (34, [6.5, 44.0, -3.0], 1.0),
    (35, [11.5, 42.5, 2.0], 1.0),
    (36, [-42.5, -0.5, 28.0], 1.0),
    (39, [-18.5, 0.5, 14.0], 1.0),
    (42, [18.5, 0.5, 14.0], 1.0),
    (45, [42.5, -0.5, 28.0], 1.0),
    (48, [-26.0, 66.5, 12.0], 0.25),
    (51, [0.0, 58.0, -7.0], 0.25),
    (54, [26.0, 66.5, 12.0], 0.25),
    (8, [0.0, 110.5, 5.0], 0.25),
];

/// The same for the five landmarks of a detector: the middles of the eyes, the tip of the nose, the corners of the mouth.
/// The tip is where the default pack puts it: on portraits that look into the camera the pitch comes out near 0.
const SPARSE_PLACES: [Place; 5] =
    [[-31.0, 0.0, 15.0], [31.0, 0.0, 15.0], [0.0, 38.5, -21.0], [-25.5, 71.0, 12.0], [25.5, 71.0, 12.0]];

/// The pose of a head with these 68 landmarks; `None` if they coincide, lie on a line or are not finite.
pub fn of_dense(landmarks: &DenseLandmarks) -> Option<Pose> {
    let sightings = DENSE_PLACES.map(|(point_idx, place, weight)| sighting(place, weight, landmarks.0[point_idx]));
    fit(&sightings)
}

/// The pose of a head with these five landmarks; `None` as in [`of_dense`]. Only the tip of the nose tells depth here,
/// so a wrong tip is a wrong pose: use it where there are no 68 landmarks.
pub fn of_sparse(landmarks: &Landmarks) -> Option<Pose> {
    let mut points = landmarks.0.iter();
    let sightings = SPARSE_PLACES.map(|place| points.next().map(|&point| sighting(place, 1.0, point)));
    fit(&sightings.into_iter().collect::<Option<Vec<_>>>()?)
}

fn sighting(place: Place, weight: f64, point: Point) -> Sighting {
    Sighting { place, weight, x: f64::from(point.x), y: f64::from(point.y) }
}

fn fit(sightings: &[Sighting]) -> Option<Pose> {
    let sightings = centred(sightings)?;
    let mut state = start(&sightings)?;
    let mut error = squared_error(&sightings, &state);
    let mut damping = 1e-3;
    for _ in 0..STEPS_MAX {
        let Some(step) = damped_step(&sightings, &state, damping) else { break };
        let next = state.moved(&step);
        let next_error = squared_error(&sightings, &next);
        if next_error < error {
            let is_done = error - next_error <= 1e-12 * error;
            (state, error) = (next, next_error);
            damping *= 0.1;
            if is_done {
                break;
            }
        } else if damping > 1e9 {
            break;
        } else {
            damping *= 10.0;
        }
    }
    Some(state.pose()).filter(|pose| [pose.yaw, pose.pitch, pose.roll].iter().all(|angle| angle.is_finite()))
}

fn mean(sightings: &[Sighting], value: impl Fn(&Sighting) -> f64) -> f64 {
    let (sum, total) =
        sightings.iter().fold((0.0, 0.0), |sums, seen| (sums.0 + seen.weight * value(seen), sums.1 + seen.weight));
    sum / total
}

/// The sightings with the picture about their mean, in units that make it as large as the head: numbers near those of
/// the model, whatever the picture's size. `None` without any extent.
fn centred(sightings: &[Sighting]) -> Option<Vec<Sighting>> {
    let (x, y) = (mean(sightings, |seen| seen.x), mean(sightings, |seen| seen.y));
    let spread: f64 = sightings.iter().map(|seen| (seen.x - x).powi(2) + (seen.y - y).powi(2)).sum();
    let extent: f64 = sightings.iter().map(|seen| seen.place[0].powi(2) + seen.place[1].powi(2)).sum();
    let scale = (extent / spread).sqrt();
    let centre = |seen: &Sighting| Sighting { x: (seen.x - x) * scale, y: (seen.y - y) * scale, ..*seen };
    (spread > 0.0 && scale.is_finite()).then(|| sightings.iter().map(centre).collect())
}

/// A guess: how the head is turned, and the camera that sees it.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Rows of the rotation from head to camera.
    turn: [Place; 3],
    scale: f64,
    shift_x: f64,
    shift_y: f64,
}

impl State {
    /// The place as the camera sees it, before it is projected.
    fn turned(&self, place: &Place) -> Place {
        self.turn.map(|row| dot(&row, place))
    }

    /// The state after a step: a small turn about each axis, then scale and shift.
    fn moved(&self, step: &[f64; 6]) -> Self {
        let small = rotation([step[0], step[1], step[2]]);
        let column = |axis: usize| [self.turn[0][axis], self.turn[1][axis], self.turn[2][axis]];
        let columns = [column(0), column(1), column(2)];
        let turn = std::array::from_fn(|row| std::array::from_fn(|axis| dot(&small[row], &columns[axis])));
        Self { turn, scale: self.scale + step[3], shift_x: self.shift_x + step[4], shift_y: self.shift_y + step[5] }
    }

    /// The angles whose turns in the order pitch, yaw, roll make this rotation.
    fn pose(&self) -> Pose {
        let [first, second, third] = self.turn;
        let degrees = |radians: f64| radians.to_degrees() as f32;
        Pose {
            yaw: degrees(third[0].clamp(-1.0, 1.0).asin()),
            pitch: degrees((-third[1]).atan2(third[2])),
            roll: degrees(second[0].atan2(first[0])),
        }
    }
}

/// The best affine camera, made rigid: its two rows are brought to one length and a right angle.
fn start(sightings: &[Sighting]) -> Option<State> {
    let middle: Place = std::array::from_fn(|axis| mean(sightings, |seen| seen.place[axis]));
    let mut moments = [[0.0; 3]; 3];
    let (mut right_x, mut right_y) = ([0.0; 3], [0.0; 3]);
    for seen in sightings {
        let place: Place = std::array::from_fn(|axis| seen.place[axis] - middle[axis]);
        for row in 0..3 {
            for column in 0..3 {
                moments[row][column] += seen.weight * place[row] * place[column];
            }
            right_x[row] += seen.weight * place[row] * seen.x;
            right_y[row] += seen.weight * place[row] * seen.y;
        }
    }
    let (along_x, along_y) = (solve(moments, right_x)?, solve(moments, right_y)?);
    let (length_x, length_y) = (length(&along_x), length(&along_y));
    let (x, y) = (along_x.map(|value| value / length_x), along_y.map(|value| value / length_y));
    // Both give up the same part of their common direction, so neither axis is trusted more.
    let common = dot(&x, &y) / 2.0;
    let straight = |own: &Place, other: &Place| {
        let moved: Place = std::array::from_fn(|axis| own[axis] - common * other[axis]);
        let length = length(&moved);
        moved.map(|value| value / length)
    };
    let first = straight(&x, &y);
    let across = dot(&first, &y);
    let second: Place = std::array::from_fn(|axis| y[axis] - across * first[axis]);
    let second_length = length(&second);
    let second = second.map(|value| value / second_length);
    let third = [
        first[1] * second[2] - first[2] * second[1],
        first[2] * second[0] - first[0] * second[2],
        first[0] * second[1] - first[1] * second[0],
    ];
    let scale = (length_x + length_y) / 2.0;
    let (shift_x, shift_y) = (-scale * dot(&first, &middle), -scale * dot(&second, &middle));
    let state = State { turn: [first, second, third], scale, shift_x, shift_y };
    let numbers = state.turn.iter().flatten().chain([&state.scale]);
    numbers.copied().all(f64::is_finite).then_some(state)
}

/// Where the camera sees a place, and how: share of its size there, and both offsets.
fn seen_at(state: &State, place: &Place) -> (Place, f64, f64, f64) {
    let turned = state.turned(place);
    let nearness = CAMERA_MM / (CAMERA_MM + turned[2]);
    let x = state.scale * nearness * turned[0] + state.shift_x;
    let y = state.scale * nearness * turned[1] + state.shift_y;
    (turned, nearness, x, y)
}

fn squared_error(sightings: &[Sighting], state: &State) -> f64 {
    let error = |seen: &Sighting| {
        let (_, _, x, y) = seen_at(state, &seen.place);
        seen.weight * ((x - seen.x).powi(2) + (y - seen.y).powi(2))
    };
    sightings.iter().map(error).sum()
}

/// The step that would be right if the camera were linear, held back by the damping; `None` if nothing determines it.
fn damped_step(sightings: &[Sighting], state: &State, damping: f64) -> Option<[f64; 6]> {
    let (mut moments, mut right) = ([[0.0; 6]; 6], [0.0; 6]);
    for seen in sightings {
        let ([x, y, z], nearness, seen_x, seen_y) = seen_at(state, &seen.place);
        // A small turn w moves a point by w x point; nearness changes by -nearness^2 / CAMERA_MM per millimetre away.
        let moves = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]];
        let mut slopes = [[0.0; 6]; 2];
        for (axis, [by_x, by_y, by_z]) in moves.into_iter().enumerate() {
            let farther = -nearness * nearness / CAMERA_MM * by_z;
            slopes[0][axis] = state.scale * (nearness * by_x + farther * x);
            slopes[1][axis] = state.scale * (nearness * by_y + farther * y);
        }
        slopes[0][3] = nearness * x;
        slopes[1][3] = nearness * y;
        slopes[0][4] = 1.0;
        slopes[1][5] = 1.0;
        for (slope, missing) in slopes.iter().zip([seen.x - seen_x, seen.y - seen_y]) {
            for row in 0..6 {
                for column in 0..6 {
                    moments[row][column] += seen.weight * slope[row] * slope[column];
                }
                right[row] += seen.weight * slope[row] * missing;
            }
        }
    }
    for (axis, row) in moments.iter_mut().enumerate() {
        row[axis] *= 1.0 + damping;
    }
    solve(moments, right)
}

/// The turn about `axis` by its length in radians (Rodrigues).
fn rotation(axis: Place) -> [Place; 3] {
    let angle = length(&axis);
    if angle < 1e-12 {
        return [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    }
    let [x, y, z] = axis.map(|value| value / angle);
    let (sin, cos) = angle.sin_cos();
    let rest = 1.0 - cos;
    [
        [cos + x * x * rest, x * y * rest - z * sin, x * z * rest + y * sin],
        [y * x * rest + z * sin, cos + y * y * rest, y * z * rest - x * sin],
        [z * x * rest - y * sin, z * y * rest + x * sin, cos + z * z * rest],
    ]
}

/// Solves a few linear equations by elimination, the largest pivot first; `None` if they do not determine an answer.
fn solve<const N: usize>(mut matrix: [[f64; N]; N], mut right: [f64; N]) -> Option<[f64; N]> {
    for pivot in 0..N {
        let largest = (pivot..N).max_by(|&a, &b| matrix[a][pivot].abs().total_cmp(&matrix[b][pivot].abs()))?;
        matrix.swap(pivot, largest);
        right.swap(pivot, largest);
        if matrix[pivot][pivot].abs().partial_cmp(&1e-12) != Some(std::cmp::Ordering::Greater) {
            return None;
        }
        let (above, below) = matrix.split_at_mut(pivot + 1);
        for (row_idx, row) in below.iter_mut().enumerate() {
            let factor = row[pivot] / above[pivot][pivot];
            for (value, known) in row.iter_mut().zip(&above[pivot]) {
                *value -= factor * known;
            }
            right[pivot + 1 + row_idx] -= factor * right[pivot];
        }
    }
    for pivot in (0..N).rev() {
        let known: f64 = (pivot + 1..N).map(|column| matrix[pivot][column] * right[column]).sum();
        right[pivot] = (right[pivot] - known) / matrix[pivot][pivot];
    }
    Some(right)
}

fn dot(a: &Place, b: &Place) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn length(place: &Place) -> f64 {
    dot(place, place).sqrt()
}
