use super::*;

/// A face of this box and score whose points lie on its corners and centre.
fn face(left: f32, top: f32, width: f32, height: f32, score: f32) -> FoundFace {
    let corners = [left, top, left + width, top + height];
    let at = |x: f32, y: f32| Point { x: left + x * width, y: top + y * height };
    FoundFace { corners, landmarks: Landmarks([at(0., 0.), at(1., 0.), at(0.5, 0.5), at(0., 1.), at(1., 1.)]), score }
}

/// Outputs for a frame of 64 x 32 at stride 32 (two cells), all zero.
fn outputs() -> Vec<Tensor> {
    let tensor =
        |name: &str, len: usize| Tensor { name: name.to_owned(), shape: vec![1, 2, len], data: vec![0.0; 2 * len] };
    vec![tensor("cls_32", 1), tensor("obj_32", 1), tensor("bbox_32", 4), tensor("kps_32", 10)]
}

fn scores(faces: &[FoundFace]) -> Vec<f32> {
    faces.iter().map(|face| face.score).collect()
}

#[test]
fn cell_is_read_by_the_published_formulas() {
    let mut outputs = outputs();
    // The second cell: row 0, column 1.
    outputs[0].data[1] = 0.81;
    outputs[1].data[1] = 1.0;
    outputs[2].data[4..8].copy_from_slice(&[0.25, 0.5, 2.0_f32.ln(), 0.0]);
    outputs[3].data[10..20].copy_from_slice(&[0.0, 0.0, 0.5, 0.0, 0.25, 0.25, 0.0, 0.5, 0.5, 0.5]);
    let faces = candidates(&outputs, &[32], (64, 32), 0.6).expect("reads");
    assert_eq!(faces.len(), 1);
    assert!((faces[0].score - 0.9).abs() < 1e-6);
    // Centre (1.25 * 32, 0.5 * 32) = (40, 16), size (64, 32).
    for (edge, expected) in faces[0].corners.iter().zip([8.0, 0.0, 72.0, 32.0]) {
        assert!((edge - expected).abs() < 1e-4, "{:?}", faces[0].corners);
    }
    assert_eq!(faces[0].landmarks.0[0], Point { x: 32.0, y: 0.0 });
    assert_eq!(faces[0].landmarks.0[1], Point { x: 48.0, y: 0.0 });
    assert_eq!(faces[0].landmarks.0[2], Point { x: 40.0, y: 8.0 });
}

#[test]
fn scores_beyond_0_and_1_are_clipped_as_the_reference_does() {
    let mut outputs = outputs();
    outputs[0].data = vec![9.0, -1.0];
    outputs[1].data = vec![1.5, -1.0];
    outputs[3].data[2] = 1.0;
    let faces = candidates(&outputs, &[32], (64, 32), 0.6).expect("reads");
    assert_eq!(scores(&faces), [1.0]);
}

#[test]
fn numbers_that_make_no_face_are_passed_over() {
    let broken: [fn(&mut Vec<Tensor>); 5] = [
        |outputs| outputs[0].data[0] = f32::NAN,
        |outputs| outputs[2].data[2] = 1e9,
        |outputs| outputs[2].data[0] = f32::INFINITY,
        |outputs| outputs[3].data[5] = f32::NEG_INFINITY,
        |outputs| outputs[3].data[..10].fill(0.5),
    ];
    for spoil in broken {
        let mut outputs = outputs();
        outputs[0].data[0] = 1.0;
        outputs[1].data[0] = 1.0;
        outputs[3].data[2] = 1.0;
        assert_eq!(candidates(&outputs, &[32], (64, 32), 0.6).expect("reads").len(), 1, "whole, it is a face");
        spoil(&mut outputs);
        assert_eq!(candidates(&outputs, &[32], (64, 32), 0.6).expect("reads"), []);
    }
}

#[test]
fn outputs_of_another_model_are_refused_by_name() {
    let mut missing = outputs();
    missing.remove(1);
    let error = candidates(&missing, &[32], (64, 32), 0.6).expect_err("no obj");
    assert_eq!(error.kind(), Kind::PackUnavailable);
    assert!(error.message().contains("`obj_32`"), "{error}");
    let error = candidates(&outputs(), &[32], (64, 64), 0.6).expect_err("too few cells");
    assert!(error.message().contains("`cls_32`"), "{error}");
}

#[test]
fn weaker_of_two_overlapping_boxes_goes() {
    let faces = vec![face(0., 0., 100., 100., 0.7), face(10., 0., 100., 100., 0.9), face(300., 0., 100., 100., 0.8)];
    assert_eq!(scores(&suppressed(faces, 0.3)), [0.9, 0.8]);
}

#[test]
fn boxes_that_overlap_less_than_allowed_both_stay() {
    // 40 of 160 columns shared: 0.25.
    let faces = vec![face(0., 0., 100., 100., 0.9), face(60., 0., 100., 100., 0.8)];
    assert_eq!(scores(&suppressed(faces.clone(), 0.3)), [0.9, 0.8]);
    assert_eq!(scores(&suppressed(faces, 0.2)), [0.9]);
}

#[test]
fn crowd_of_candidates_is_cut_to_the_surest() {
    let crowd = (0..6000).map(|idx| face(idx as f32 * 10., 0., 5., 5., 0.6 + idx as f32 * 1e-5)).collect();
    let kept = suppressed(crowd, 0.3);
    assert_eq!(kept.len(), CANDIDATES_MAX);
    assert_eq!(kept[0].corners[0], 59_990.0);
}

#[test]
fn large_face_replaces_the_small_ones_seen_on_its_eyes() {
    let eyes = vec![face(300., 400., 150., 150., 0.7), face(700., 400., 150., 150., 0.65)];
    let large = face(0., 0., 1200., 1500., 0.93);
    assert_eq!(merge(eyes, vec![large], 600.0, 0.3), [large]);
}

#[test]
fn coarse_look_adds_no_faces_that_the_first_sees_better() {
    let first = vec![face(0., 0., 200., 200., 0.9)];
    let coarse = vec![face(5., 0., 200., 200., 0.95), face(900., 0., 100., 100., 0.7)];
    assert_eq!(merge(first.clone(), coarse, 600.0, 0.3), first);
}

#[test]
fn sure_small_face_before_or_behind_a_large_one_stays() {
    let small = face(900., 100., 150., 150., 0.92);
    let large = face(0., 0., 1200., 1500., 0.9);
    assert_eq!(scores(&merge(vec![small], vec![large], 600.0, 0.3)), [0.92, 0.9]);
}

#[test]
fn large_face_found_by_both_passes_is_one_face() {
    let merged = merge(vec![face(10., 0., 800., 1000., 0.65)], vec![face(0., 0., 800., 1000., 0.9)], 600.0, 0.3);
    assert_eq!(scores(&merged), [0.9]);
}

#[test]
fn frame_is_padded_to_whole_steps_and_remembers_its_scale() {
    let image = RgbImage::new(1000, 300, vec![0; 900_000]).expect("lawful");
    let frame = Frame::of(&image, 500, DetectFrame::MultipleOf(32));
    assert_eq!((frame.picture_width, frame.picture_height, frame.width, frame.height), (500, 150, 512, 160));
    assert_eq!(frame.source_per_frame, (2.0, 2.0));
    let back = frame.to_source(face(10., 20., 30., 40., 0.9));
    assert_eq!(back.corners, [20., 40., 80., 120.]);
    assert_eq!(back.landmarks.0[4], Point { x: 80., y: 120. });
    let fixed = Frame::of(&image, 640, DetectFrame::Fixed(640));
    assert_eq!((fixed.width, fixed.height), (640, 640));
}
