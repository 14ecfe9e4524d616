//! The seam to the inference library: what is missing, damaged or of another kind is an error with a hint.

use std::path::Path;

use likeness_domain::Kind;
use likeness_vision::detect::Detector;
use likeness_vision::embed::Embedder;
use likeness_vision::runtime::{Model, ModelKind, Runtime, Session};

use super::support::installation;

#[track_caller]
fn check_unloadable(path: &Path, words: &str) {
    let error = Runtime::load(path).err().expect("cannot be loaded");
    assert_eq!(error.kind(), Kind::PackUnavailable);
    assert!(error.message().contains(words), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.starts_with("run `likeness pack install`")), "{error}");
}

#[test]
fn library_that_is_missing_or_none_is_named() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    check_unloadable(&scratch.path().join("absent.so"), "absent.so` cannot be read");
    let text = scratch.path().join("text.so");
    std::fs::write(&text, "not a library").expect("is written");
    // In this process another test may have loaded the real one already.
    let error = Runtime::load(&text).err().expect("cannot be loaded");
    assert_eq!(error.kind(), Kind::PackUnavailable);
}

#[test]
fn library_is_loaded_once_and_no_other_beside_it() {
    let Some(installation) = installation() else { return };
    Runtime::load(&installation.library).expect("the same again");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let other = scratch.path().join("other.so");
    std::fs::write(&other, "").expect("is written");
    check_unloadable(&other, "cannot be loaded beside");
}

#[test]
fn damaged_models_are_refused_and_do_no_harm() {
    let Some(installation) = installation() else { return };
    let recognition = installation.recognition();
    let model = installation.pack.read(&recognition.detect.file).expect("is readable");
    let refused = |bytes: &[u8]| {
        let error =
            Session::open(&installation.runtime, ModelKind::Detector, "det.onnx", bytes).err().expect("is damaged");
        assert_eq!(error.kind(), Kind::PackUnavailable);
        assert!(error.message().starts_with("model `det.onnx` cannot be loaded"), "{error}");
    };
    refused(b"");
    refused(b"not a model");
    refused(&model[..model.len() / 2]);
    let mut scrambled = model.to_vec();
    scrambled.iter_mut().take(4000).for_each(|byte| *byte ^= 0x5A);
    refused(&scrambled);
    Session::open(&installation.runtime, ModelKind::Detector, "det.onnx", &model).expect("whole, it opens");
}

#[test]
fn models_that_changed_places_are_refused_when_opened() {
    let Some(installation) = installation() else { return };
    let (runtime, id) = (&installation.runtime, installation.pack.manifest().id());
    let recognition = installation.recognition();
    let detect = installation.pack.read(&recognition.detect.file).expect("is readable");
    let embed = installation.pack.read(&recognition.embed.file).expect("is readable");
    let error = Detector::open(runtime, &recognition.detect, &embed).err().expect("an embedder finds no faces");
    assert_eq!(error.kind(), Kind::PackUnavailable);
    assert!(error.message().contains("is no YuNet detector"), "{error}");
    let error = Embedder::open(runtime, id, recognition, &detect).err().expect("a detector makes no templates");
    assert_eq!(error.kind(), Kind::PackUnavailable);
    assert!(error.message().contains("is no embedder of 128 dimensions"), "{error}");
}

#[test]
fn threads_share_one_model_and_get_its_numbers() {
    let Some(installation) = installation() else { return };
    let recognition = installation.recognition();
    let model = installation.pack.read(&recognition.embed.file).expect("is readable");
    let model = Model::open(&installation.runtime, ModelKind::Recogniser, "rec.onnx", &model).expect("opens");
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
