//! Reductions, the two codings of JPEG against each other, and names for what cannot be read.

use super::*;

const REFERENCE: &[u8] = include_bytes!("cases/reference.png");
const BASELINE: &[u8] = include_bytes!("cases/420_baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("cases/420_progressive.jpg");

/// The same picture with the same coefficients, coded in both ways.
const TWINS: [(&str, &[u8], &[u8]); 6] = [
    ("4:2:0", BASELINE, PROGRESSIVE),
    ("4:2:2", include_bytes!("cases/422_baseline.jpg"), include_bytes!("cases/422_progressive.jpg")),
    ("4:4:4", include_bytes!("cases/444_baseline.jpg"), include_bytes!("cases/444_progressive.jpg")),
    ("grey", include_bytes!("cases/grey_baseline.jpg"), include_bytes!("cases/grey_progressive.jpg")),
    ("CMYK", include_bytes!("cases/cmyk_baseline.jpg"), include_bytes!("cases/cmyk_progressive.jpg")),
    ("restart", include_bytes!("cases/restart_baseline.jpg"), include_bytes!("cases/restart_progressive.jpg")),
];

fn mean_difference(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!((one.width(), one.height()), (other.width(), other.height()));
    let sum: u64 = one.data().iter().zip(other.data()).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / one.data().len() as f64
}

fn reduced(bytes: &[u8], reduction: Reduction) -> RgbImage {
    EncodedImage::open(bytes, &RULES).expect("has a header").decode(reduction).expect("decodes")
}

#[test]
fn progressive_files_have_the_pixels_of_their_baseline_twins_at_every_size() {
    for (name, baseline, progressive) in TWINS {
        for reduction in Reduction::ALL {
            assert!(reduced(baseline, reduction) == reduced(progressive, reduction), "{name} {reduction:?}");
        }
    }
}

#[test]
fn every_format_is_reduced_to_the_same_sides_and_turned() {
    let picture = gradient(37, 23);
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Gif] {
        let file = encoded(picture.clone(), format);
        let image = EncodedImage::open(&file, &RULES).expect("has a header");
        for reduction in Reduction::ALL {
            let small = image.decode(reduction).expect("decodes");
            assert_eq!((small.width(), small.height()), image.sides(reduction), "{format:?} {reduction:?}");
            assert_eq!(small.width(), 37_u32.div_ceil(reduction.divisor()));
        }
    }
    let turned = include_bytes!("cases/exif_long.jpg");
    let cut = EncodedImage::open(turned, &RULES).expect("has a header");
    assert_eq!((cut.orientation(), cut.stored_sides()), (ExifOrientation::TURN_90, (256, 256)));
    let small = cut.decode(Reduction::Quarter).expect("decodes");
    let reference = decode(REFERENCE, &RULES).expect("decodes").shrunk(64, 64);
    assert!(mean_difference(&small, &reference) < 2.0);
}

#[test]
fn the_strongest_reduction_keeps_the_side_asked_for() {
    assert_eq!(Reduction::keeping(4000, 3000, 1000), Reduction::Quarter);
    assert_eq!(Reduction::keeping(3000, 4000, 1001), Reduction::Half);
    assert_eq!(Reduction::keeping(8000, 6000, 1000), Reduction::Eighth);
    assert_eq!(Reduction::keeping(640, 480, 1000), Reduction::Full);
}

#[test]
fn what_cannot_be_read_is_named_with_the_cure() {
    for (file, name) in [
        (b"\0\0\0\x1Cftypheic\0\0\0\0mif1heicmiaf\0\0".as_slice(), "HEIC"),
        (b"\0\0\0\x1Cftypmif1\0\0\0\0mif1heicmiaf\0\0", "HEIC"),
        (b"\0\0\0\x1Cftypavif\0\0\0\0avifmif1miaf\0\0", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "HEIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "a video (MP4 or QuickTime)"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video (MP4 or QuickTime)"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "a raw file of a camera (CR3)"),
        (b"\x1A\x45\xDF\xA3\x01", "a video (Matroska or WebM)"),
        (b"RIFF\0\0\0\0AVI LIST", "a video (AVI)"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (b"\xFF\x0A\xFA\x1F", "JPEG XL"),
        (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xFF\x4F\xFF\x51\0", "JPEG 2000"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xEF\xBB\xBF<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "SVG"),
        (b"<!DOCTYPE html><p>not found", "an HTML page"),
        (b"PK\x03\x04", "a ZIP archive"),
    ] {
        let start = format!("image is {name}, expected one of JPEG, PNG, BMP, WebP, GIF");
        check_refused(file, Kind::ImageFormat, &start);
    }
}

#[test]
fn bitmap_with_unused_alpha_is_opaque_and_one_with_used_alpha_is_not() {
    let opaque = gradient(5, 4);
    for (alpha, expected) in [([0, 0], opaque.get_pixel(1, 0).0), ([0, 255], [255; 3])] {
        let picture = image::RgbaImage::from_fn(5, 4, |x, y| {
            let [red, green, blue] = opaque.get_pixel(x, y).0;
            image::Rgba([red, green, blue, alpha[usize::from(x == 4)]])
        });
        let image = decode(&encoded(picture, ImageFormat::Bmp), &RULES).expect("decodes");
        assert_eq!(image.pixel(1, 0), expected, "{alpha:?}");
    }
}
