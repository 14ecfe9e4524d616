use super::*;
use crate::pack::{self, Home};

/// The installed default pack's recogniser and the library to run it; says so if there are none.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn recogniser() -> Option<(Bytes, PathBuf)> {
    let installed = || -> Result<(Bytes, PathBuf)> {
        let home = Home::from_env()?;
        let pack = pack::load(&home, &pack::default_pack_id())?;
        let recognition = pack.manifest().recognition().expect("the default pack recognises");
        Ok((pack.read(&recognition.embed.file)?, pack::runtime(&home)?.path))
    };
    installed().inspect_err(|err| eprintln!("skipped, no models: {err}")).ok()
}

#[test]
fn prelu_rewritten_for_onnx_runtime_gives_the_same_numbers() {
    let Some((model, library)) = recogniser() else { return };
    let library = onnxruntime::Library::load(&library).expect("loads");
    let input: Vec<_> = (0..3 * 112 * 112_u32).map(|idx| (idx.wrapping_mul(2_654_435_761) >> 24) as f32).collect();
    let unit = |model: onnxruntime::Loaded| -> Vec<f32> {
        let outputs = model.run(&[1, 3, 112, 112], &input).expect("runs");
        let length = outputs[0].data.iter().map(|number| number * number).sum::<f32>().sqrt();
        outputs[0].data.iter().map(|number| number / length).collect()
    };
    let graph = crate::onnx::parse(model.clone()).expect("is readable");
    assert!(crate::onnx::write(&crate::onnx::ease_prelu(graph)) != model, "the recogniser has what is rewritten");
    let plain = unit(onnxruntime::Loaded::open_as_it_is(&library, "rec.onnx", &model).expect("opens"));
    let quick = unit(onnxruntime::Loaded::open(&library, "rec.onnx", &model).expect("opens"));
    let largest = plain.iter().zip(&quick).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 2e-6, "numbers of the unit vectors differ by {largest}");
}
