//! What decoding takes is what was said before it: the peak of a process that decodes one file, for every format.
#![cfg(target_os = "linux")]

use std::io::Cursor;
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
        ("png 16 bits", encoded(DynamicImage::ImageRgb16(wide), ImageFormat::Png)),
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
