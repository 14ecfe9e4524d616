//! Actions in a track: each is a number that rises from rest to beyond a threshold.

use super::{Action, FIRST_MOMENTS, SeenAction, Track, TrackedFace, WantedAction, flat};
use crate::types::{Point, Pose};

/// Degrees of yaw of a turn of the head: seen clearly, and done by everybody who is asked to turn the head a little.
const TURN_DEGREES: f32 = 15.0;

/// The same where the yaw is that of a face mesh, which shows some people less turned than they are: portraits projected
/// anew as heads turned by 15 degrees are measured at 11 to 20, one of them in clips at 7.7. Sheets that are tilted by 35 degrees stay below 9.
const TURN_DEGREES_OF_MESH: f32 = 10.0;

/// How far the inner lips part, as a share of their width, beyond the closed mouth.
const MOUTH_GAP: f32 = 0.2;

/// By which share of what they usually are the eyes close. Of seven portraits whose eyes were painted shut the contrast
/// along them falls by 57 to 89 % in six and by 15 % in one that squints; when a head turns by 20 or nods by 15 degrees it
/// falls by 24 % at most.
const EYES_CLOSED: f32 = 0.35;

/// Degrees of yaw beyond which lips and lids are seen too much from the side to be measured, and pitch is uncertain.
const SIDE_DEGREES: f32 = 25.0;

/// Least [`flat::depth`] of a head that turned by a threshold's worth.
const DEPTH_MIN: f32 = 0.025;

/// Degrees by which a head may be foreshortened beyond its turn, as its mesh shows that. Heads in tests reach 16, sheets
/// that are tilted so far that their mesh turns by [`TURN_DEGREES_OF_MESH`] have 17 to 30.
const FORESHORTENED_MAX: f32 = 16.5;

/// A rise from rest and the fall after it, or the end of the clip. Positions are in the list of faces.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Event {
    start: usize,
    peak: usize,
    end: usize,
    /// The highest value, in thresholds.
    strength: f32,
}

/// Where the face looks at first: the middle values of the first few moments.
pub(super) fn first_pose(faces: &[(usize, &TrackedFace)]) -> Pose {
    let first = &faces[..faces.len().min(FIRST_MOMENTS)];
    let middle = |angle: fn(&Pose) -> f32| quantile(first.iter().map(|(_, face)| angle(&face.pose)), 0.5);
    Pose { yaw: middle(|pose| pose.yaw), pitch: middle(|pose| pose.pitch), roll: middle(|pose| pose.roll) }
}

/// The wanted actions, each after the one before it and within its window. Sets `is_flat` if a head that should have
/// turned moved like a picture.
pub(super) fn seen_in_order(
    track: &Track,
    faces: &[(usize, &TrackedFace)],
    is_same: &[bool],
    wanted: &[WantedAction],
    nod_degrees: f32,
    is_flat: &mut bool,
) -> Vec<SeenAction> {
    let at_ms = |face_idx: usize| track.0[faces[face_idx].0].at_ms;
    let mut from = 0;
    let look = |wanted: &WantedAction| {
        let WantedAction { action, window_ms } = *wanted;
        let signal = signal(faces, action, nod_degrees);
        let is_timely =
            |event: &Event| window_ms.is_none_or(|(start, end)| at_ms(event.end) >= start && at_ms(event.start) <= end);
        let event = events(&signal).into_iter().find(|event| event.start >= from && is_timely(event));
        let confidence = match event {
            Some(event) if is_same[event.peak] => {
                from = event.end;
                if action.moves_the_head() && moved_flat(faces, &signal, event) {
                    *is_flat = true;
                    0.0
                } else {
                    (event.strength / 2.0).clamp(0.5, 1.0)
                }
            }
            // Not seen: how near it came to it tells whoever asked what to tell the person.
            _ => {
                let timely = (from..signal.len())
                    .filter(|&idx| window_ms.is_none_or(|(start, end)| (start..=end).contains(&at_ms(idx))));
                let strongest = timely.map(|idx| signal[idx]).fold(0.0, f32::max);
                (strongest / 2.0).clamp(0.0, 0.49)
            }
        };
        SeenAction { action, confidence }
    };
    wanted.iter().map(look).collect()
}

/// How much of an action every face shows: 0 at rest, 1 at the threshold.
fn signal(faces: &[(usize, &TrackedFace)], action: Action, nod_degrees: f32) -> Vec<f32> {
    let first = first_pose(faces);
    let yaw = |face: &TrackedFace| face.pose.yaw - first.yaw;
    let raw: Vec<f32> = match action {
        Action::TurnLeft => faces.iter().map(|(_, face)| yaw(face) / turn_degrees(face)).collect(),
        Action::TurnRight => faces.iter().map(|(_, face)| -yaw(face) / turn_degrees(face)).collect(),
        Action::Nod => {
            let change = |face: &TrackedFace| (face.pose.pitch - first.pitch).abs() / nod_degrees;
            faces.iter().map(|(_, face)| seen_from_the_front(face, &first, change)).collect()
        }
        Action::OpenMouth => {
            let rest = quantile(faces.iter().map(|(_, face)| mouth_gap(face)), 0.25);
            let opening = |face: &TrackedFace| (mouth_gap(face) - rest) / MOUTH_GAP;
            faces.iter().map(|(_, face)| seen_from_the_front(face, &first, opening)).collect()
        }
        Action::Blink => {
            let rest = quantile(faces.iter().map(|(_, face)| eyes_open(face)), 0.5).max(f32::MIN_POSITIVE);
            let closing = |face: &TrackedFace| (1.0 - eyes_open(face) / rest) / EYES_CLOSED;
            // A blink may be in one picture alone, so it is not smoothed.
            return faces.iter().map(|(_, face)| seen_from_the_front(face, &first, closing)).collect();
        }
    };
    smoothed(&raw)
}

fn turn_degrees(face: &TrackedFace) -> f32 {
    if face.has_mesh() { TURN_DEGREES_OF_MESH } else { TURN_DEGREES }
}

fn seen_from_the_front(face: &TrackedFace, first: &Pose, value: impl Fn(&TrackedFace) -> f32) -> f32 {
    if (face.pose.yaw - first.yaw).abs() <= SIDE_DEGREES { value(face) } else { 0.0 }
}

/// Each value replaced by the middle one of itself and its neighbours: a single wrong measurement is no movement.
fn smoothed(raw: &[f32]) -> Vec<f32> {
    let last = raw.len() - 1;
    (0..raw.len()).map(|idx| quantile(raw[idx.saturating_sub(1)..=(idx + 1).min(last)].iter().copied(), 0.5)).collect()
}

/// Rises from rest (below one half) to 1 or more.
fn events(signal: &[f32]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut rest: Option<usize> = None;
    let mut open: Option<Event> = None;
    for (idx, &value) in signal.iter().enumerate() {
        match &mut open {
            Some(event) if value < 0.5 => {
                event.end = idx;
                events.extend(open.take());
                rest = Some(idx);
            }
            Some(event) => {
                event.end = idx;
                if value > event.strength {
                    (event.peak, event.strength) = (idx, value);
                }
            }
            None if value < 0.5 => rest = Some(idx),
            None if value >= 1.0 => {
                open = rest.map(|start| Event { start, peak: idx, end: idx, strength: value });
            }
            None => {}
        }
    }
    events.extend(open);
    events
}

/// Whether what moved was flat: the middle of what the faces beyond the threshold tell, seen from the moment of rest
/// before them. Faces with a mesh must also turn by as much as they are foreshortened.
fn moved_flat(faces: &[(usize, &TrackedFace)], signal: &[f32], event: Event) -> bool {
    let rest = faces[event.start].1;
    let beyond: Vec<&TrackedFace> =
        (event.start..=event.end).filter(|&idx| signal[idx] >= 1.0).map(|idx| faces[idx].1).collect();
    let depths: Vec<f32> = beyond.iter().filter_map(|face| flat::depth(&rest.landmarks, &face.landmarks)).collect();
    let excesses: Vec<f32> = beyond.iter().filter_map(|face| foreshortened_beyond_turn(rest, face)).collect();
    depths.is_empty()
        || quantile(depths.into_iter(), 0.5) < DEPTH_MIN
        || quantile(excesses.into_iter(), 0.5) > FORESHORTENED_MAX
}

/// By how many degrees a face is foreshortened beyond what it turned; `None` without a mesh.
fn foreshortened_beyond_turn(rest: &TrackedFace, face: &TrackedFace) -> Option<f32> {
    face.has_mesh()
        .then(|| flat::foreshortening(&rest.landmarks, &face.landmarks))
        .flatten()
        .map(|degrees| degrees - (face.pose.yaw - rest.pose.yaw).hypot(face.pose.pitch - rest.pose.pitch))
}

/// Distance of the inner lips as a share of their width: as measured, else the mean of three pairs of points.
fn mouth_gap(face: &TrackedFace) -> f32 {
    if let Some(openness) = &face.openness {
        return openness.mouth;
    }
    let inner = &face.landmarks.mouth()[12..];
    let gap = distance(inner[1], inner[7]) + distance(inner[2], inner[6]) + distance(inner[3], inner[5]);
    gap / 3.0 / distance(inner[0], inner[4]).max(f32::MIN_POSITIVE)
}

/// A number that falls when the eyes close, in a unit of its own: how much the brightness varies along the eyes, else
/// their height as a share of their width, the mean of both (the eye aspect ratio of Soukupová and Čech, "Real-time eye
/// blink detection using facial landmarks", 2016).
fn eyes_open(face: &TrackedFace) -> f32 {
    if let Some(openness) = &face.openness {
        return openness.eye_contrast;
    }
    let ratio = |eye: &[Point]| {
        (distance(eye[1], eye[5]) + distance(eye[2], eye[4])) / 2.0 / distance(eye[0], eye[3]).max(f32::MIN_POSITIVE)
    };
    let (right, left) = face.landmarks.eyes().split_at(6);
    (ratio(right) + ratio(left)) / 2.0
}

fn distance(a: Point, b: Point) -> f32 {
    (a.x - b.x).hypot(a.y - b.y)
}

/// The value below which this share of the values is; 0 of none.
fn quantile(values: impl Iterator<Item = f32>, share: f32) -> f32 {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f32 * share).round() as usize).copied().unwrap_or(0.0)
}
