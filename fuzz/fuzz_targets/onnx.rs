//! Any bytes as an ONNX model: parsed, folded and written again, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use likeness_vision::onnx;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = onnx::parse(bytes::Bytes::copy_from_slice(bytes)) else { return };
    if let Ok(folded) = onnx::fold(onnx::ease_prelu(model), onnx::InputSize::Free) {
        onnx::write(&folded);
    }
});
