//! Any bytes as a TFLite model: converted and written as an ONNX model that can be read again, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use likeness_vision::{onnx, tflite};

fuzz_target!(|bytes: &[u8]| {
    // Where a mutated file has other outputs, their number or size is refused at the end, after all else was converted.
    let output = |name: &str, n_numbers| tflite::Output { name: name.into(), n_numbers };
    for outputs in [&[output("y", 9)][..], &[output("points", 1404), output("presence", 1)]] {
        if let Ok(model) = tflite::to_onnx(bytes, outputs) {
            assert!(onnx::parse(onnx::write(&model).into()).is_ok());
        }
    }
});
