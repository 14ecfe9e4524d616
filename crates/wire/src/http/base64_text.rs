//! Pictures that travel as base64 text.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

/// Standard alphabet; padding may be there, be short or be missing: the text says the same bytes either way.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64 as clients really send it: ASCII white space anywhere and a `data:image/..;base64,` prefix are
/// passed over. `None` when what is left is not base64 or is empty.
pub fn decode(text: &str) -> Option<Bytes> {
    let text = text.trim_ascii_start();
    let text = match text.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("data:") => after_data_prefix(text)?,
        _ => text,
    };
    let bytes = if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        LENIENT.decode(compact)
    } else {
        LENIENT.decode(text)
    };
    bytes.ok().filter(|bytes| !bytes.is_empty()).map(Bytes::from)
}

fn after_data_prefix(text: &str) -> Option<&str> {
    let (prefix, data) = text.split_once(',')?;
    // A media type is short; a comma found megabytes later is not the end of a prefix.
    (prefix.len() <= 128 && prefix.to_ascii_lowercase().ends_with(";base64")).then_some(data)
}
