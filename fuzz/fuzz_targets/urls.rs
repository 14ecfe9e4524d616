//! Addresses of images and where redirects lead, from any bytes: the first line is an address, the second a `Location`.
//! The reader belongs to the server, which is a program and no library, so its file is taken as it is.
#![no_main]
#![allow(dead_code)]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/server/src/fetch/target.rs"]
mod target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (url, location) = text.split_once('\n').unwrap_or((text, ""));
    let _ = text.parse::<target::AllowedHost>();
    let Ok(target) = target::Target::parse(url) else { return };
    assert!(target.path.starts_with('/') && target.path.is_ascii());
    assert!(!target.host_header().contains(['/', '@', '?', '#', '\\']));
    // What a redirect leads to is as strictly read as an address.
    if let Ok(target) = target.redirected(location) {
        assert!(target.path.starts_with('/') && target.path.is_ascii());
    }
});
