//! Which format a file has, by its first bytes and by nothing else: names and content types lie.

use likeness_domain::ports::ImageFormats;

/// A picture format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG, also animated.
    Png,
    /// Windows bitmap.
    Bmp,
    /// WebP: lossy, lossless or animated.
    WebP,
    /// GIF.
    Gif,
}

impl Format {
    /// The format of a file that starts with these bytes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Format::Png),
            [b'B', b'M', ..] => Some(Format::Bmp),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::Bmp => "BMP",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
        }
    }

    pub(super) fn as_set(self) -> ImageFormats {
        match self {
            Format::Jpeg => ImageFormats::JPEG,
            Format::Png => ImageFormats::PNG,
            Format::Bmp => ImageFormats::BMP,
            Format::WebP => ImageFormats::WEBP,
            Format::Gif => ImageFormats::GIF,
        }
    }
}

/// The name of a format that cannot be read, so that the answer names it instead of speaking of damaged data.
pub(super) fn unreadable_name(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'I', b'I', 0x2A | 0x2B, 0, ..] | [b'M', b'M', 0, 0x2A | 0x2B, ..] => Some("TIFF"),
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Some("JPEG XL"),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => Some("JPEG 2000"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => Some(media_name(brand)),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("PDF"),
        [b'8', b'B', b'P', b'S', ..] => Some("Photoshop"),
        [0, 0, 1, 0, _, 0, ..] => Some("an icon (ICO)"),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Some("a video (Matroska or WebM)"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Some("a video (AVI)"),
        [0, 0, 1, 0xBA | 0xB3, ..] => Some("a video (MPEG)"),
        [b'F', b'L', b'V', 1, ..] => Some("a video (FLV)"),
        [b'P', b'K', 3, 4, ..] => Some("a ZIP archive"),
        _ => text_name(bytes),
    }
}

/// What an ISO base media file (a box `ftyp`) holds, by its major brand and the compatible ones: HEIC and AVIF pictures
/// often have the general brand `mif1` in front.
fn media_name(brands: &[u8]) -> &'static str {
    // The major brand, four bytes of version, and the compatible brands; more than a dozen are not looked at.
    let brands = || brands.chunks_exact(4).take(14).enumerate().filter(|&(idx, _)| idx != 1).map(|(_, brand)| brand);
    if brands().any(|brand| matches!(brand, b"avif" | b"avis")) {
        "AVIF"
    } else if brands().any(|brand| matches!(brand, b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx")) {
        "HEIC"
    } else if brands().any(|brand| matches!(brand, b"mif1" | b"msf1")) {
        "HEIF"
    } else if brands().any(|brand| brand == b"crx ") {
        "a raw file of a camera (CR3)"
    } else {
        "a video (MP4 or QuickTime)"
    }
}

/// SVG and HTML are text: white space, a byte order mark and an XML declaration may come first.
fn text_name(bytes: &[u8]) -> Option<&'static str> {
    let start = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start).trim_ascii_start();
    let has = |word: &[u8]| start.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    if !start.starts_with(b"<") {
        return None;
    }
    if has(b"<svg") {
        Some("SVG")
    } else if has(b"<html") || has(b"<!doctype html") {
        Some("an HTML page")
    } else {
        None
    }
}

/// Bytes searched for the first element of a text file.
const TEXT_BYTES_MAX: usize = 1024;
