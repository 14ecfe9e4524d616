//! OpenVINO beside ONNX Runtime: the same faces, shared models, and clear errors.

use std::path::PathBuf;

use likeness_domain::Kind;
use likeness_domain::ports::FaceChoice;
use likeness_domain::types::Template;
use likeness_vision::pack::{self, Home};
use likeness_vision::pipeline::{Pipeline, PipelineSettings};
use likeness_vision::runtime::{Engine, Engines, Library, LibraryFiles, Model, ModelKind, Precision, Runtime};

use super::support::{Installation, analyze, files, installation, shared};

const F32: Engine = Engine { library: Library::OpenVino, precision: Precision::F32 };
const BF16: Engine = Engine { library: Library::OpenVino, precision: Precision::Bf16 };

/// Both libraries, or nothing with a word about it.
fn libraries(installation: &Installation) -> Option<LibraryFiles> {
    match Home::from_env().and_then(|home| pack::openvino(&home)) {
        Ok(openvino) => {
            Some(LibraryFiles { onnxruntime: Some(installation.library.clone()), openvino: Some(openvino.path) })
        }
        Err(err) => {
            eprintln!("skipped: {err}");
            None
        }
    }
}

fn has_bf16() -> bool {
    let has = std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("_bf16"));
    if !has {
        eprintln!("skipped: this processor has no bf16");
    }
    has
}

/// Templates of the largest face of each portrait that has one.
fn templates(
    installation: &Installation,
    files: &LibraryFiles,
    engines: Engines,
    portraits: &[PathBuf],
) -> Vec<Option<Template>> {
    let runtime = Runtime::open(files.clone(), engines, 2).expect("loads");
    let settings =
        PipelineSettings { memory_bytes: 1 << 30, workers: 2, queue_max: 4, wait_max: super::support::PATIENT };
    let pipeline = Pipeline::open(&runtime, std::slice::from_ref(&installation.pack), settings).expect("opens");
    let template = |path: &PathBuf| {
        let image = std::fs::read(path).expect("is readable");
        let analysis = analyze(&pipeline, image, installation.request(FaceChoice::All)).ok()?;
        analysis.faces.into_iter().next()?.template
    };
    portraits.iter().map(template).collect()
}

fn check_same_templates(engines: Engines, cosine_min: f32) {
    let (Some(installation), Some(portraits)) = (installation(), shared("eval/portraits")) else { return };
    let Some(libraries) = libraries(&installation) else { return };
    let portraits = files(&portraits);
    let expected = templates(&installation, &libraries, Engines::all(Engine::PORTABLE), &portraits);
    assert!(expected.iter().flatten().count() >= 5, "portraits have faces");
    let found = templates(&installation, &libraries, engines, &portraits);
    for ((path, expected), found) in portraits.iter().zip(expected).zip(found) {
        let (Some(expected), Some(found)) = (&expected, &found) else {
            assert_eq!(expected.is_some(), found.is_some(), "{}: one of two finds a face", path.display());
            continue;
        };
        let cosine: f32 = expected.unit().iter().zip(found.unit()).map(|(a, b)| a * b).sum();
        assert!(cosine >= cosine_min, "{}: cosine {cosine}, expected {cosine_min}", path.display());
    }
}

#[test]
fn openvino_gives_the_templates_of_onnx_runtime() {
    check_same_templates(Engines::all(F32), 0.999);
}

#[test]
fn bf16_gives_nearly_the_same_templates() {
    if has_bf16() {
        check_same_templates(Engines { detector: BF16, mesh: F32, recogniser: BF16, attribute: F32 }, 0.995);
    }
}

#[test]
fn built_in_runtime_gives_the_templates_of_onnx_runtime() {
    check_same_templates(Engines::BUILT_IN, 0.9999);
}

#[test]
fn threads_share_one_model_of_openvino() {
    let Some(installation) = installation() else { return };
    let Some(libraries) = libraries(&installation) else { return };
    let recognition = installation.recognition();
    let bytes = installation.pack.read(&recognition.embed.file).expect("is readable");
    let runtime = Runtime::open(libraries, Engines::all(F32), 2).expect("loads");
    let model = Model::open(&runtime, ModelKind::Recogniser, "rec.onnx", &bytes).expect("opens");
    let input = |seed: u32| -> Vec<f32> {
        (0..3 * 112 * 112_u32).map(|idx| (idx.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as f32).collect()
    };
    let run = |model: &Model, seed| model.session().run(&[1, 3, 112, 112], &input(seed)).expect("runs");
    let expected: Vec<_> = (0..2).map(|seed| run(&model, seed)).collect();
    assert_ne!(expected[0], expected[1], "another picture, other numbers");
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (model, expected) = (model.clone(), &expected[seed as usize]);
            scope.spawn(move || {
                for _ in 0..8 {
                    assert!(run(&model, seed) == *expected, "a thread got other numbers than a run of its own gives");
                }
            });
        }
    });
}

#[test]
fn openvino_refuses_damaged_models() {
    let Some(installation) = installation() else { return };
    let Some(libraries) = libraries(&installation) else { return };
    let recognition = installation.recognition();
    let bytes = installation.pack.read(&recognition.detect.file).expect("is readable");
    let runtime = Runtime::open(libraries, Engines::all(F32), 1).expect("loads");
    for bytes in [&b""[..], b"not a model", &bytes[..bytes.len() / 2]] {
        let error = Model::open(&runtime, ModelKind::Detector, "det.onnx", bytes).err().expect("is damaged");
        assert_eq!(error.kind(), Kind::PackUnavailable);
        assert!(error.message().starts_with("model `det.onnx` "), "{error}");
    }
    Model::open(&runtime, ModelKind::Detector, "det.onnx", &bytes).expect("whole, it opens");
}

#[test]
fn openvino_that_is_missing_or_none_is_named() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let text = scratch.path().join("text.so");
    std::fs::write(&text, "not a library").expect("is written");
    let open = |openvino| {
        let files = LibraryFiles { onnxruntime: None, openvino };
        Runtime::open(files, Engines::all(F32), 1).err().expect("cannot be loaded")
    };
    for (file, words) in [
        (None, "`openvino` is not installed"),
        (Some(scratch.path().join("absent.so")), "absent.so` cannot be read"),
        // In this process another test may have loaded the real one already: then that is in the way.
        (Some(text), "text.so`"),
    ] {
        let error = open(file);
        assert_eq!(error.kind(), Kind::PackUnavailable);
        assert!(error.message().contains(words), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.starts_with("run `likeness pack install`")), "{error}");
    }
}
