//! The same pictures through OpenCV's `FaceDetectorYN` and `FaceRecognizerSF`, with the original model files.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{ImageFormat, RgbImage};
use likeness_domain::ports::FaceChoice;
use likeness_domain::types::{Landmarks, PackId, Point, Template};
use likeness_vision::align::align;
use likeness_vision::decode::decode;
use likeness_vision::pack::AlignTemplate;
use serde_json::Value;

use super::support::{RULES, analyze, files, installation_of, shared};

/// One face as OpenCV sees it.
struct ReferenceFace {
    left: f64,
    top: f64,
    points: Vec<f64>,
    score: f64,
    crop: Vec<u8>,
    embedding: Vec<f32>,
}

/// The faces OpenCV finds in each file; `None`, with a word about it, if there is no Python with OpenCV.
fn reference(paths: &[PathBuf]) -> Option<Vec<Vec<ReferenceFace>>> {
    let Some(python) = std::env::var_os("LIKENESS_TEST_PYTHON_OPENCV") else {
        eprintln!("skipped: LIKENESS_TEST_PYTHON_OPENCV names no Python that has tests/reference/requirements.txt");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/opencv_reference.py");
    let output = Command::new(python).arg(script).args(paths).output().expect("the reference script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files: Vec<Value> = serde_json::from_slice(&output.stdout).expect("the reference script prints JSON");
    Some(files.iter().map(|file| file["faces"].as_array().expect("faces").iter().map(face).collect()).collect())
}

fn face(value: &Value) -> ReferenceFace {
    let numbers = |key: &str| -> Vec<f64> {
        value[key].as_array().expect(key).iter().map(|number| number.as_f64().expect(key)).collect()
    };
    let hex = value["crop"].as_str().expect("crop").as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    let bounding_box = numbers("box");
    ReferenceFace {
        left: bounding_box[0],
        top: bounding_box[1],
        points: numbers("points"),
        score: value["score"].as_f64().expect("score"),
        crop: hex.chunks(2).map(byte).collect(),
        embedding: numbers("embedding").into_iter().map(|number| number as f32).collect(),
    }
}

#[test]
fn portraits_have_the_faces_and_embeddings_that_opencv_finds() {
    // The pack that aligns by five points, as OpenCV does.
    let five_points = PackId::new("default-1").expect("lawful");
    let (Some(installation), Some(folder)) = (installation_of(&five_points), shared("eval/portraits")) else { return };
    let paths = files(&folder);
    let Some(reference) = reference(&paths) else { return };
    let pipeline = installation.pipeline(1, 1);
    let (mut n_faces, mut worst) = (0, 1.0_f32);
    for (path, expected) in paths.iter().zip(&reference) {
        let bytes = std::fs::read(path).expect("is readable");
        let found = analyze(&pipeline, bytes, installation.request(FaceChoice::All)).expect("analyses");
        assert_eq!(found.faces.len(), expected.len(), "faces in {}", path.display());
        for expected in expected {
            let distance = |left: f32, top: f32| (f64::from(left) - expected.left).hypot(f64::from(top) - expected.top);
            let face = found.faces.iter().min_by(|a, b| {
                let of = |face: &&likeness_domain::ports::AnalyzedFace| {
                    let bounding_box = face.detection.bounding_box;
                    distance(bounding_box.left as f32, bounding_box.top as f32)
                };
                of(a).total_cmp(&of(b))
            });
            let face = face.expect("at least one");
            assert!((f64::from(face.detection.score) - expected.score).abs() < 0.01, "score in {}", path.display());
            let pack = installation.pack.manifest().id().clone();
            let theirs = Template::new(pack, &expected.embedding).expect("a direction");
            let ours = face.template.as_ref().expect("was asked for");
            let cosine = ours.similarity(&theirs).expect("of one pack").get();
            assert!(cosine >= 0.999, "cosine {cosine} in {}", path.display());
            (n_faces, worst) = (n_faces + 1, worst.min(cosine));
        }
    }
    eprintln!("{n_faces} faces in {} portraits, least cosine to OpenCV {worst}", paths.len());
    assert!(n_faces >= 11, "only {n_faces} faces were compared");
}

#[test]
fn aligned_crops_equal_those_of_opencv() {
    let Some(folder) = shared("eval/portraits") else { return };
    // Through PNG, so that both sides align the same pixels.
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let (mut paths, mut pictures) = (Vec::new(), Vec::new());
    for path in files(&folder) {
        let picture = decode(&std::fs::read(&path).expect("is readable"), &RULES).expect("decodes");
        let copy = scratch.path().join(path.file_stem().expect("has a name")).with_extension("png");
        let pixels = RgbImage::from_raw(picture.width(), picture.height(), picture.data().to_vec()).expect("fits");
        pixels.save_with_format(&copy, ImageFormat::Png).expect("is written");
        paths.push(copy);
        pictures.push(picture);
    }
    let Some(reference) = reference(&paths) else { return };
    let (mut total, mut n_values) = (0_u64, 0_u64);
    for (picture, faces) in pictures.iter().zip(&reference) {
        for face in faces {
            let point = |j: usize| Point { x: face.points[2 * j] as f32, y: face.points[2 * j + 1] as f32 };
            let crop = align(picture, &Landmarks(std::array::from_fn(point)), AlignTemplate::FivePoint112);
            let crop = crop.expect("aligns");
            for (ours, theirs) in crop.data().chunks(3).zip(face.crop.chunks(3)) {
                // OpenCV's channels are the other way round.
                total += ours.iter().zip(theirs.iter().rev()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
                n_values += 3;
            }
        }
    }
    let mean = total as f64 / n_values as f64;
    eprintln!("aligned crops differ from OpenCV's by {mean:.5} grey levels on average");
    assert!(n_values > 0 && mean < 0.01, "crops differ by {mean} grey levels on average");
}

#[test]
fn pack_ids_of_both_sides_are_the_same_word() {
    // Cosines above are between templates stamped with our pack's id: it has to be a lawful one.
    assert!(PackId::new(likeness_vision::pack::default_pack_id().as_str()).is_some());
}
