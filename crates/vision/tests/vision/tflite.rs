//! The converted face mesh against what OpenVINO computes from the original file, on made-up pictures. On photographs the
//! two are compared in `tests/e2e/models`.

use likeness_vision::onnx;
use likeness_vision::runtime::{ModelKind, Runtime, Session, Tensor};
use serde_json::Value;

use super::support::installation;

/// Made by `tests/reference/face_mesh_reference.py`.
const REFERENCE: &str = include_str!("../reference/face_mesh_reference.json");

const SIDE: usize = 192;

/// Largest difference of a coordinate, in pixels of the crop: 1e-5 of its side. OpenVINO and ONNX Runtime add up in
/// different orders, which gives 2e-4.
const POINT_TOLERANCE: f64 = 1e-5 * SIDE as f64;

/// Largest difference of the presence, a logit.
const PRESENCE_TOLERANCE: f64 = 1e-3;

/// A picture of 192 x 192 pixels, row by row, red, green and blue.
type Picture = Vec<[u8; 3]>;

/// The same as `noise` in the reference script.
fn noise() -> Picture {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..SIDE * SIDE).map(|_| [byte(), byte(), byte()]).collect()
}

/// The same as `drawn_face` in the reference script.
fn drawn_face() -> Picture {
    let ovals = [
        ([96, 100], [52, 70], [224, 180, 150]),
        ([74, 82], [11, 5], [60, 40, 30]),
        ([118, 82], [11, 5], [60, 40, 30]),
        ([96, 108], [7, 12], [200, 150, 120]),
        ([96, 138], [22, 6], [170, 70, 70]),
    ];
    let pixel = |x: i64, y: i64| {
        let covering = ovals.iter().rev().find(|([centre_x, centre_y], [radius_x, radius_y], _)| {
            let (across, down) = ((x - centre_x) * radius_y, (y - centre_y) * radius_x);
            across * across + down * down <= (radius_x * radius_y) * (radius_x * radius_y)
        });
        covering.map_or([y / 2 + 40, x / 2 + 40, (x + y) / 4 + 30].map(|level| level as u8), |(.., colour)| *colour)
    };
    (0..SIDE * SIDE).map(|place| pixel((place % SIDE) as i64, (place / SIDE) as i64)).collect()
}

/// The points and the presence that a session gives for a picture.
fn run(session: &mut Session, picture: &Picture) -> (Vec<f32>, f32) {
    let planes = (0..3).flat_map(|channel| picture.iter().map(move |pixel| f32::from(pixel[channel]) / 255.0));
    let outputs = session.run(&[1, 3, SIDE, SIDE], &planes.collect::<Vec<_>>()).expect("runs");
    let points = Tensor::numbers(&outputs, Some("points"), 1404).expect("points").to_vec();
    (points, Tensor::numbers(&outputs, Some("presence"), 1).expect("presence")[0])
}

#[test]
fn the_converted_face_mesh_computes_what_openvino_does_from_the_original() {
    let Some(installation) = installation() else { return };
    let mesh = installation.recognition().mesh.as_ref().expect("the default pack has a mesh");
    let bytes = installation.pack.read(&mesh.file).expect("is readable");
    let eased = onnx::write(&onnx::ease_prelu(onnx::parse(bytes.clone()).expect("parses")));
    assert!(eased != bytes, "the mesh has what is rewritten for ONNX Runtime");
    let open = |model: &[u8]| open_mesh(&installation.runtime, model);
    let reference: Value = serde_json::from_str(REFERENCE).expect("is JSON");
    for mut session in [open(&bytes), open(&eased)] {
        for (name, picture) in [("noise", noise()), ("drawn_face", drawn_face())] {
            let (points, presence) = run(&mut session, &picture);
            let expected = reference[name]["points"].as_array().expect("points");
            assert_eq!(expected.len(), points.len());
            let differences = points
                .iter()
                .zip(expected)
                .map(|(&point, expected)| (f64::from(point) - expected.as_f64().expect("a number")).abs());
            let largest = differences.fold(0.0, f64::max);
            assert!(largest <= POINT_TOLERANCE, "{name}: {largest} pixels");
            let presence_difference = f64::from(presence) - reference[name]["presence"].as_f64().expect("presence");
            assert!(presence_difference.abs() <= PRESENCE_TOLERANCE, "{name}: presence {presence}");
        }
    }
}

fn open_mesh(runtime: &Runtime, model: &[u8]) -> Session {
    Session::open(runtime, ModelKind::Mesh, "face-mesh-468.onnx", model).expect("opens")
}

#[test]
fn no_prelu_is_left_in_the_mesh_for_onnx_runtime() {
    let Some(installation) = installation() else { return };
    let mesh = installation.recognition().mesh.as_ref().expect("the default pack has a mesh");
    let model = onnx::parse(installation.pack.read(&mesh.file).expect("is readable")).expect("parses");
    let count = |model: &onnx::message::Model| {
        let graph = model.graph.as_ref().expect("has a graph");
        graph.node.iter().filter(|node| node.op_type.as_deref() == Some("PRelu")).count()
    };
    assert_eq!(count(&model), 23);
    assert_eq!(count(&onnx::ease_prelu(model)), 0);
}
