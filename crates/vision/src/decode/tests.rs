use std::io::Cursor;

use image::{DynamicImage, Frame, ImageFormat};
use likeness_domain::ports::ImageFormats;
use proptest::prelude::*;

use super::*;
use jpeg_writer::JpegWriter;

mod formats;
mod jpeg;
mod jpeg_writer;
mod random_jpeg;
mod table;

const RULES: ImageRules =
    ImageRules { formats: ImageFormats::ALL, bytes_max: IMAGE_BYTES_MAX, side_max: 4096, side_min: 1 };

#[track_caller]
fn check_refused(bytes: &[u8], kind: Kind, words: &str) {
    let error = decode(bytes, &RULES).expect_err("must be refused");
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.message().contains(words), "`{}` does not say `{words}`", error.message());
}

#[track_caller]
fn check_pixels(bytes: &[u8], width: u32, height: u32, expected: &[((u32, u32), [u8; 3])]) {
    let image = decode(bytes, &RULES).expect("decodes");
    assert_eq!((image.width(), image.height()), (width, height));
    for &((x, y), color) in expected {
        let found = image.pixel(x, y);
        let difference = found.iter().zip(color).map(|(&a, b)| a.abs_diff(b)).max().unwrap_or(0);
        assert!(difference <= 2, "pixel {x}, {y} is {found:?}, expected {color:?}");
    }
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.into().write_to(&mut Cursor::new(&mut bytes), format).expect("encodes");
    bytes
}

fn gradient(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]))
}

/// Two blocks side by side: 16 x 8 pixels.
fn two_blocks(left: &[u8], right: &[u8]) -> JpegWriter {
    JpegWriter::new(16, 8, vec![left.to_vec(), right.to_vec()])
}

// ------------------------------------------------------------------------------------------------ JPEG, colour models

#[test]
fn jpeg_grey_becomes_rgb() {
    check_pixels(&two_blocks(&[10], &[240]).write(), 16, 8, &[((3, 3), [10; 3]), ((12, 7), [240; 3])]);
}

#[test]
fn jpeg_ycbcr_is_converted() {
    let file = two_blocks(&[76, 85, 255], &[150, 44, 21]).write();
    check_pixels(&file, 16, 8, &[((3, 3), [254, 0, 0]), ((12, 3), [0, 255, 1])]);
}

#[test]
fn jpeg_rgb_with_adobe_marker_is_taken_as_it_is() {
    let mut file = two_blocks(&[200, 20, 90], &[1, 2, 3]);
    file.adobe_transform = Some(0);
    check_pixels(&file.write(), 16, 8, &[((3, 3), [200, 20, 90]), ((12, 3), [1, 2, 3])]);
}

#[test]
fn jpeg_cmyk_from_adobe_is_stored_inverted() {
    // Stored 255 means no ink: red has magenta and yellow at full.
    let mut file = two_blocks(&[255, 0, 0, 255], &[255, 255, 255, 100]);
    file.adobe_transform = Some(0);
    check_pixels(&file.write(), 16, 8, &[((3, 3), [255, 0, 0]), ((12, 3), [100; 3])]);
}

#[test]
fn jpeg_cmyk_without_adobe_marker_means_what_it_says() {
    let file = two_blocks(&[0, 255, 255, 0], &[0, 0, 0, 155]).write();
    check_pixels(&file, 16, 8, &[((3, 3), [255, 0, 0]), ((12, 3), [100; 3])]);
}

#[test]
fn jpeg_ycck_from_adobe_is_converted() {
    // The three first channels are the luma and chroma of 255 minus the stored (inverted) inks.
    let mut file = two_blocks(&[0, 128, 128, 255], &[155, 128, 128, 128]);
    file.adobe_transform = Some(2);
    check_pixels(&file.write(), 16, 8, &[((3, 3), [255; 3]), ((12, 3), [50; 3])]);
}

#[test]
fn jpeg_progressive_is_decoded() {
    let mut file = two_blocks(&[10], &[240]);
    file.progressive = true;
    file.n_extra_scans = 1;
    check_pixels(&file.write(), 16, 8, &[((3, 3), [10; 3]), ((12, 7), [240; 3])]);
}

#[test]
fn jpeg_whose_sides_are_no_multiple_of_eight() {
    let file = JpegWriter::new(11, 5, vec![vec![30], vec![220]]).write();
    check_pixels(&file, 11, 5, &[((7, 4), [30; 3]), ((8, 0), [220; 3]), ((10, 4), [220; 3])]);
}

// ---------------------------------------------------------------------------------------------------- orientation

#[test]
fn jpeg_exif_rotated_all_eight_ways_comes_out_upright() {
    // Stored: dark left, bright right, 16 x 8.
    let dark_at = [(1, 1), (14, 1), (14, 6), (1, 6), (1, 1), (6, 1), (6, 14), (1, 14)];
    let bright_at = [(14, 6), (1, 6), (1, 1), (14, 1), (6, 14), (1, 14), (1, 1), (6, 1)];
    for orientation in 1..=8 {
        let mut file = two_blocks(&[10], &[240]);
        file.orientation = Some(orientation);
        let (width, height) = if orientation < 5 { (16, 8) } else { (8, 16) };
        let case = usize::from(orientation) - 1;
        check_pixels(&file.write(), width, height, &[(dark_at[case], [10; 3]), (bright_at[case], [240; 3])]);
    }
}

#[test]
fn exif_orientation_out_of_range_is_ignored() {
    for orientation in [0, 9, 255] {
        let mut file = two_blocks(&[10], &[240]);
        file.orientation = Some(orientation);
        check_pixels(&file.write(), 16, 8, &[((1, 1), [10; 3])]);
    }
}

#[test]
fn damaged_exif_does_not_spoil_the_picture() {
    assert_eq!(exif::orientation(b""), ExifOrientation::UPRIGHT);
    assert_eq!(exif::orientation(b"MM\0\x2A\xFF\xFF\xFF\xFF"), ExifOrientation::UPRIGHT);
    assert_eq!(exif::orientation(&jpeg_writer::exif(6)[..19]), ExifOrientation::UPRIGHT);
    assert_eq!(exif::orientation(&jpeg_writer::exif(6)), ExifOrientation::TURN_90);
}

#[test]
fn png_exif_orientation_is_applied() {
    let plain = encoded(gradient(6, 4), ImageFormat::Png);
    let upright = decode(&plain, &RULES).expect("decodes");
    let mut exif = b"eXIf".to_vec();
    exif.extend(jpeg_writer::exif(6));
    let mut file = plain[..33].to_vec();
    file.extend((exif.len() as u32 - 4).to_be_bytes());
    file.extend(&exif);
    file.extend(crc32(&exif).to_be_bytes());
    file.extend(&plain[33..]);
    let turned = decode(&file, &RULES).expect("decodes");
    assert!(turned == upright.oriented(ExifOrientation::TURN_90));
}

/// The checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[test]
fn webp_exif_orientation_is_applied() {
    let plain = encoded(gradient(6, 4), ImageFormat::WebP);
    let upright = decode(&plain, &RULES).expect("decodes");
    let mut body = b"WEBPVP8X\x0A\0\0\0\x08\0\0\0\x05\0\0\x03\0\0".to_vec();
    body.extend(&plain[12..]);
    let exif = jpeg_writer::exif(8);
    body.extend(b"EXIF");
    body.extend((exif.len() as u32).to_le_bytes());
    body.extend(&exif);
    let mut file = b"RIFF".to_vec();
    file.extend((body.len() as u32).to_le_bytes());
    file.extend(body);
    let turned = decode(&file, &RULES).expect("decodes");
    assert!(turned == upright.oriented(ExifOrientation::TURN_270));
}

// ------------------------------------------------------------------------------------------- other formats and depths

#[test]
fn every_format_with_exact_pixels_comes_out_as_it_went_in() {
    let picture = gradient(37, 23);
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
        let image = decode(&encoded(picture.clone(), format), &RULES).expect("decodes");
        assert!(image.data() == picture.as_raw(), "{format:?}");
    }
}

#[test]
fn png_16_bit_is_rounded_to_8() {
    let picture = image::ImageBuffer::from_fn(2, 1, |x, _| {
        image::Rgb(if x == 0 { [0, 257 * 100, 65_535] } else { [128, 129, 65_407] })
    });
    let file = encoded(DynamicImage::ImageRgb16(picture), ImageFormat::Png);
    assert_eq!(decode(&file, &RULES).expect("decodes").data(), [0, 100, 255, 0, 1, 255]);
    let grey = image::ImageBuffer::from_pixel(1, 1, image::LumaA([257 * 60_u16, 65_535]));
    let file = encoded(DynamicImage::ImageLumaA16(grey), ImageFormat::Png);
    assert_eq!(decode(&file, &RULES).expect("decodes").data(), [60; 3]);
}

#[test]
fn png_rgba_is_laid_over_white() {
    let pixels = [[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 128]];
    let picture = image::RgbaImage::from_fn(3, 1, |x, _| image::Rgba(pixels[x as usize]));
    let image = decode(&encoded(picture, ImageFormat::Png), &RULES).expect("decodes");
    assert_eq!(image.data(), [10, 20, 30, 255, 255, 255, 127, 177, 227]);
}

#[test]
fn png_grey_with_alpha_is_laid_over_white() {
    let picture = image::GrayAlphaImage::from_fn(2, 1, |x, _| image::LumaA([40, if x == 0 { 255 } else { 0 }]));
    let image = decode(&encoded(picture, ImageFormat::Png), &RULES).expect("decodes");
    assert_eq!(image.data(), [40, 40, 40, 255, 255, 255]);
}

#[test]
fn animated_gif_gives_its_first_frame() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for color in [[250, 0, 0, 255], [0, 250, 0, 255]] {
        encoder.encode_frame(Frame::new(image::RgbaImage::from_pixel(20, 10, image::Rgba(color)))).expect("encodes");
    }
    drop(encoder);
    check_pixels(&bytes, 20, 10, &[((0, 0), [250, 0, 0]), ((19, 9), [250, 0, 0])]);
}

#[test]
fn one_by_one_is_an_image_unless_the_rules_ask_for_more() {
    let file = encoded(image::RgbImage::from_pixel(1, 1, image::Rgb([5, 6, 7])), ImageFormat::Png);
    assert_eq!(decode(&file, &RULES).expect("decodes").data(), [5, 6, 7]);
    let error = decode(&file, &ImageRules { side_min: 16, ..RULES }).expect_err("too small");
    assert_eq!(error.kind(), Kind::ImageDimensions);
    assert_eq!(error.message(), "image is 1 x 1 pixels, expected sides of 16 to 4096");
}

// ----------------------------------------------------------------------------------------------------- hostile images

#[test]
fn png_bomb_is_refused_by_its_header() {
    let mut file = encoded(gradient(8, 8), ImageFormat::Png);
    file[16..24].copy_from_slice(&[0, 0, 0xF0, 0, 0, 0, 0xF0, 0]);
    check_refused(&file, Kind::ImageDimensions, "61440 x 61440");
}

#[test]
fn picture_65535_wide_is_refused_in_every_format() {
    let mut jpeg = two_blocks(&[10], &[240]);
    jpeg.width = 65_535;
    let mut gif = b"GIF89a".to_vec();
    gif.extend([0xFF, 0xFF, 8, 0, 0, 0, 0]);
    let mut bmp = encoded(gradient(8, 8), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&65_535_u32.to_le_bytes());
    let mut png = encoded(gradient(8, 8), ImageFormat::Png);
    png[16..20].copy_from_slice(&65_535_u32.to_be_bytes());
    let mut webp = b"RIFF\xFF\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0".to_vec();
    webp.extend([0xFE, 0xFF, 0, 7, 0, 0]);
    for file in [jpeg.write(), gif, bmp, png, webp] {
        check_refused(&file, Kind::ImageDimensions, "65535 x 8");
    }
}

#[test]
fn picture_with_too_many_pixels_is_refused_although_its_sides_are_fine() {
    let mut file = encoded(gradient(8, 8), ImageFormat::Png);
    file[16..24].copy_from_slice(&[0, 0, 0x2E, 0xE0, 0, 0, 0x2E, 0xE0]);
    let error = decode(&file, &ImageRules { side_max: IMAGE_SIDE_MAX, ..RULES }).expect_err("144 megapixels");
    assert_eq!(error.kind(), Kind::ImageDimensions);
    assert!(error.message().contains("12000 x 12000"), "{error}");
}

#[test]
fn sixteen_bit_picture_may_have_half_as_many_pixels() {
    let picture = image::ImageBuffer::from_pixel(1, 1, image::Rgba([0_u16; 4]));
    let mut file = encoded(DynamicImage::ImageRgba16(picture), ImageFormat::Png);
    file[16..24].copy_from_slice(&[0, 0, 0x1F, 0x40, 0, 0, 0x1F, 0x40]);
    let crc = crc32(&file[12..29]).to_be_bytes();
    file[29..33].copy_from_slice(&crc);
    let error = decode(&file, &ImageRules { side_max: IMAGE_SIDE_MAX, ..RULES }).expect_err("512 MB");
    assert_eq!(error.kind(), Kind::ImageDimensions, "{error:?}");
}

#[test]
fn gif_frame_larger_than_its_screen_takes_no_memory() {
    let mut file = b"GIF89a\x10\0\x10\0\x80\0\0\0\0\0\xFF\xFF\xFF".to_vec();
    file.extend([0x2C, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 2, 2, 0x4C, 1, 0, 0x3B]);
    let error = decode(&file, &RULES).expect_err("a frame of 17 GB");
    assert!(matches!(error.kind(), Kind::ImageDimensions | Kind::ImageCorrupt), "{error:?}");
}

#[test]
fn webp_frame_larger_than_its_canvas_is_refused_before_it_is_unpacked() {
    let mut file = b"RIFF\xFF\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\x07\0\0\x07\0\0".to_vec();
    file.extend(b"VP8 \x20\0\0\0\x10\0\0\x9D\x01\x2A\xFF\x3F\xFF\x3F");
    file.resize(200, 0);
    check_refused(&file, Kind::ImageCorrupt, "larger than its canvas");
}

#[test]
fn progressive_jpeg_of_a_thousand_scans_is_refused() {
    let mut file = two_blocks(&[10], &[240]);
    file.progressive = true;
    file.n_extra_scans = 1000;
    check_refused(&file.write(), Kind::ImageCorrupt, "more than 100 scans");
}

#[test]
fn jpeg_with_a_second_frame_header_is_refused() {
    let mut file = two_blocks(&[10], &[240]).write();
    let at = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).expect("a frame header");
    let mut frame = file[at..at + 13].to_vec();
    frame[5..9].copy_from_slice(&[0xFF; 4]);
    file.splice(at..at, frame);
    check_refused(&file, Kind::ImageCorrupt, "two frame headers");
}

#[test]
fn truncated_files_are_refused_wherever_they_are_cut() {
    let mut jpeg = JpegWriter::new(64, 64, (0..64).map(|idx| vec![idx * 3, 120, 130]).collect());
    let baseline = jpeg.write();
    jpeg.progressive = true;
    jpeg.n_extra_scans = 3;
    let mut files = vec![baseline, jpeg.write()];
    let noise =
        image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * x + y * 31) as u8, (x * y) as u8, (y * y) as u8]));
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Gif] {
        files.push(encoded(noise.clone(), format));
    }
    for file in &files {
        decode(file, &RULES).expect("whole, it decodes");
        // The last bytes of JPEG, PNG and GIF are an end mark after the pixels; without it nothing is missing.
        for n_bytes in (16..file.len() - 13).step_by(7).chain([file.len() - 30]) {
            check_refused(&file[..n_bytes], Kind::ImageCorrupt, "cannot be decoded");
        }
    }
}

#[test]
fn bytes_after_the_end_of_a_jpeg_do_no_harm() {
    let mut file = two_blocks(&[10], &[240]).write();
    file.extend(b"a phone's second picture \xFF\xD8\xFF\xC0\0\x0B\x08\xFF\xFF\xFF\xFF");
    check_pixels(&file, 16, 8, &[((3, 3), [10; 3])]);
}

#[test]
fn wrong_magic_is_no_image() {
    for file in [b"".as_slice(), b"hello", b"\xFF\xD8", b"RIFF\0\0\0\0WAVE", b"II*\0 TIFF", b"<svg/>", b"%PDF-1.7"] {
        check_refused(file, Kind::ImageFormat, "expected one of JPEG, PNG, BMP, WebP, GIF");
    }
}

#[test]
fn only_the_first_bytes_decide_and_nothing_after_them() {
    let mut file = encoded(gradient(8, 8), ImageFormat::Png);
    file[..8].copy_from_slice(b"GIF89a\x08\0");
    assert!(matches!(
        decode(&file, &RULES).expect_err("a PNG in disguise").kind(),
        Kind::ImageCorrupt | Kind::ImageDimensions
    ));
    for magic in [b"\xFF\xD8\xFF".as_slice(), b"\x89PNG\r\n\x1A\n", b"BM", b"RIFF\0\0\0\0WEBP", b"GIF89a"] {
        check_refused(magic, Kind::ImageCorrupt, "cannot be decoded");
    }
}

#[test]
fn format_outside_the_rules_is_refused_by_name() {
    let file = encoded(gradient(8, 8), ImageFormat::Gif);
    let rules = ImageRules { formats: ImageFormats::JPEG.and(ImageFormats::PNG), ..RULES };
    let error = decode(&file, &rules).expect_err("GIF");
    assert_eq!(error.kind(), Kind::ImageFormat);
    assert_eq!(error.message(), "image format is GIF, expected one of JPEG, PNG");
}

#[test]
fn too_many_bytes_are_refused_first() {
    let error = decode(&[0; 101], &ImageRules { bytes_max: 100, ..RULES }).expect_err("101 bytes");
    assert_eq!(error.kind(), Kind::ImageTooLarge);
    assert_eq!(error.message(), "image has 101 bytes, expected at most 100");
    let huge = vec![0; IMAGE_BYTES_MAX + 1];
    let error = decode(&huge, &ImageRules { bytes_max: usize::MAX, ..RULES }).expect_err("beyond the fixture's limit");
    assert_eq!(error.kind(), Kind::ImageTooLarge);
}

#[test]
fn bmp_with_a_hostile_height_is_refused() {
    let mut file = encoded(gradient(8, 8), ImageFormat::Bmp);
    file[22..26].copy_from_slice(&i32::MIN.to_le_bytes());
    check_refused(&file, Kind::ImageDimensions, "8 x 2147483648");
}

fn samples() -> Vec<Vec<u8>> {
    let mut files: Vec<_> = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Gif]
        .into_iter()
        .map(|format| encoded(gradient(24, 16), format))
        .collect();
    let mut jpeg = two_blocks(&[10, 100, 200], &[240, 90, 80]);
    jpeg.orientation = Some(6);
    files.push(jpeg.write());
    jpeg.progressive = true;
    jpeg.n_extra_scans = 3;
    files.push(jpeg.write());
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens to a file, the answer is a picture or an image error, never a panic.
    #[test]
    fn damaged_files_give_a_picture_or_an_error(
        sample in 0_usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut file = samples().swap_remove(sample);
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if cut {
            file.truncate(keep.index(file.len()));
        }
        let rules = ImageRules { side_max: 256, ..RULES };
        if let Err(error) = decode(&file, &rules) {
            prop_assert!(matches!(error.kind(), Kind::ImageFormat | Kind::ImageCorrupt | Kind::ImageDimensions));
        }
    }

    #[test]
    fn random_bytes_after_a_magic_never_panic(magic in 0_usize..5, tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let magics = [b"\xFF\xD8\xFF".as_slice(), b"\x89PNG\r\n\x1A\n", b"BM", b"RIFF\x80\0\0\0WEBPVP8", b"GIF89a"];
        let file = [magics[magic], &tail].concat();
        let rules = ImageRules { side_max: 256, ..RULES };
        if let Err(error) = decode(&file, &rules) {
            prop_assert!(matches!(error.kind(), Kind::ImageCorrupt | Kind::ImageDimensions));
        }
    }
}
