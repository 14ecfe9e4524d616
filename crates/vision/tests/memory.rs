//! What decoding takes is what was said before it: the peak of a process that decodes one file, for every format.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "the child answers by it, and the parent says what was measured")]

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, RgbaImage};
use likeness_domain::limits::IMAGE_BYTES_MAX;
use likeness_domain::ports::{ImageFormats, ImageRules};
use likeness_vision::decode::{EncodedImage, Reduction};

const RULES: ImageRules =
    ImageRules { formats: ImageFormats::ALL, bytes_max: IMAGE_BYTES_MAX, side_max: 12_000, side_min: 1 };

/// Environment of the child: the file to decode.
const FILE: &str = "LIKENESS_TEST_MEMORY_FILE";

fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of this name");
    let kib: u64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number");
    kib * 1024
}

/// Not a case of its own: what the child does. Prints claimed and measured bytes.
#[test]
fn child() {
    let Ok(path) = std::env::var(FILE) else { return };
    let file = std::fs::read(path).expect("the parent wrote it");
    let encoded = EncodedImage::open(&file, &RULES).expect("has a header");
    // A first small picture, so that code and tables are in memory.
    for reduction in [Reduction::Full, Reduction::Quarter] {
        let before = status_bytes("VmRSS:");
        std::fs::write("/proc/self/clear_refs", "5").expect("sets the peak back");
        let picture = encoded.decode(reduction).expect("decodes");
        let measured = status_bytes("VmHWM:").saturating_sub(before);
        println!("\nmemory {} {measured}", encoded.memory_bytes(reduction));
        drop(picture);
    }
}

fn noise(width: u32, height: u32) -> RgbImage {
    // Every page is touched and little is compressed away.
    RgbImage::from_fn(width, height, |x, y| Rgb([(x ^ y) as u8, (x / 3 + y) as u8, (x * 7 / 5) as u8]))
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.into().write_to(&mut Cursor::new(&mut bytes), format).expect("encodes");
    bytes
}

/// A black PNG of eight bits a channel, interlaced (Adam7): what every line has before it is interlaced comes to the same.
fn interlaced(width: u32, height: u32, color: u8, n_channels: usize) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, color, 0, 0, 1]);
    let passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
    let bytes_of_pass = |(left, top, right, down): (u32, u32, u32, u32)| {
        ((width - left).div_ceil(right) as usize * n_channels + 1) * (height - top).div_ceil(down) as usize
    };
    let lines = vec![0; passes.into_iter().map(bytes_of_pass).sum()];
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    push_chunk(&mut file, b"IHDR", &header);
    if color == 3 {
        push_chunk(&mut file, b"PLTE", &[0, 0, 0]);
    }
    push_chunk(&mut file, b"IDAT", &zlib(&lines));
    push_chunk(&mut file, b"IEND", &[]);
    file
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn push_chunk(file: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    file.extend((content.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(kind);
    file.extend(content);
    let mut crc = flate2::Crc::new();
    crc.update(&file[start..]);
    file.extend(crc.sum().to_be_bytes());
}

/// The PNG with one more chunk behind its header.
fn with_chunk(file: Vec<u8>, kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let (header, rest) = file.split_at(33);
    let mut with = header.to_vec();
    push_chunk(&mut with, kind, content);
    with.extend(rest);
    with
}

/// The PNG with a colour profile and texts that would be 100 MB each.
fn with_side_chunks(file: Vec<u8>) -> Vec<u8> {
    let bomb = zlib(&vec![0; 100 << 20]);
    let file = with_chunk(file, b"iCCP", &[b"profile\0\0", &bomb[..]].concat());
    let file = with_chunk(file, b"zTXt", &[b"Comment\0\0", &bomb[..]].concat());
    with_chunk(file, b"iTXt", &[b"XML:com.adobe.xmp\0\x01\0\0\0", &bomb[..]].concat())
}

#[test]
fn decoding_takes_the_memory_that_was_said_before() {
    let (width, height) = (1600, 1200);
    let rgb = noise(width, height);
    let rgba: RgbaImage = DynamicImage::ImageRgb8(rgb.clone()).to_rgba8();
    let wide = DynamicImage::ImageRgb8(rgb.clone()).to_rgb16();
    let grey = DynamicImage::ImageRgb8(rgb.clone()).to_luma8();
    let files = [
        ("png", encoded(rgb.clone(), ImageFormat::Png)),
        ("png grey", encoded(grey, ImageFormat::Png)),
        ("png rgba", encoded(rgba.clone(), ImageFormat::Png)),
        ("png 16 bits", encoded(DynamicImage::ImageRgb16(wide.clone()), ImageFormat::Png)),
        ("png 16 bits, alpha", encoded(DynamicImage::ImageRgb16(wide.clone()).to_rgba16(), ImageFormat::Png)),
        ("png 16 bits, grey", encoded(DynamicImage::ImageRgb16(wide.clone()).to_luma16(), ImageFormat::Png)),
        ("png 16 bits, grey, alpha", encoded(DynamicImage::ImageRgb16(wide).to_luma_alpha16(), ImageFormat::Png)),
        ("png interlaced", interlaced(width, height, 2, 3)),
        ("png interlaced, palette", interlaced(width, height, 3, 1)),
        ("png with profile and texts", with_side_chunks(encoded(rgb.clone(), ImageFormat::Png))),
        ("png with EXIF of 5 MB", with_chunk(encoded(rgb.clone(), ImageFormat::Png), b"eXIf", &vec![7; 5 << 20])),
        ("bmp", encoded(rgb.clone(), ImageFormat::Bmp)),
        ("webp lossless", encoded(rgb, ImageFormat::WebP)),
        ("webp lossless, alpha", encoded(rgba.clone(), ImageFormat::WebP)),
        ("gif", encoded(rgba, ImageFormat::Gif)),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong = vec![];
    for (name, file) in files {
        let path = folder.path().join("picture");
        std::fs::write(&path, file).expect("writes");
        for (reduction, claimed, measured) in measured(&path) {
            let ratio = measured as f64 / claimed as f64;
            let line = format!("{name} {reduction}: claimed {claimed}, measured {measured}, {ratio:.2}");
            println!("{line}");
            if !(0.8..=1.2).contains(&ratio) {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn measured(path: &Path) -> Vec<(&'static str, u64, u64)> {
    let program = std::env::current_exe().expect("this test");
    let output = Command::new(program).args(["--exact", "child", "--nocapture"]).env(FILE, path).output();
    let output = String::from_utf8(output.expect("runs").stdout).expect("is text");
    let lines = output.lines().filter_map(|line| line.strip_prefix("memory "));
    let numbers = lines
        .filter_map(|line| line.split_once(' '))
        .map(|(claimed, measured)| (claimed.parse().expect("a number"), measured.parse().expect("a number")));
    let found: Vec<_> = ["full", "quarter"]
        .into_iter()
        .zip(numbers)
        .map(|(name, (claimed, measured))| (name, claimed, measured))
        .collect();
    assert_eq!(found.len(), 2, "{output}");
    found
}
