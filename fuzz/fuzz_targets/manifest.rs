//! Any bytes as a pack's manifest: a checked manifest or a clear refusal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use likeness_vision::pack::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Err(err) = Manifest::parse(bytes, "manifest.toml") {
        assert!(err.message().contains("manifest.toml"));
    }
});
