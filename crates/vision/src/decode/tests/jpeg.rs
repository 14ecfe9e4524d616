//! The rules of the table in `decode/jpeg.rs`, each on files of every sampling and coding, and pixels against those of
//! another decoder. The photographs in `cases/` are a public-domain NASA portrait.

use likeness_domain::Kind;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::super::{EncodedImage, Reduction, decode};
use super::random_jpeg::RandomJpeg;
use super::{RULES, check_refused};
use crate::raster::{ExifOrientation, RgbImage};

/// 97 x 75 pixels each, by libjpeg-turbo.
const FILES: [(&str, &[u8]); 12] = [
    ("420 baseline", include_bytes!("cases/420_baseline.jpg")),
    ("420 progressive", include_bytes!("cases/420_progressive.jpg")),
    ("422 baseline", include_bytes!("cases/422_baseline.jpg")),
    ("422 progressive", include_bytes!("cases/422_progressive.jpg")),
    ("444 baseline", include_bytes!("cases/444_baseline.jpg")),
    ("444 progressive", include_bytes!("cases/444_progressive.jpg")),
    ("grey baseline", include_bytes!("cases/grey_baseline.jpg")),
    ("grey progressive", include_bytes!("cases/grey_progressive.jpg")),
    ("restart baseline", include_bytes!("cases/restart_baseline.jpg")),
    ("restart progressive", include_bytes!("cases/restart_progressive.jpg")),
    ("cmyk baseline", include_bytes!("cases/cmyk_baseline.jpg")),
    ("cmyk progressive", include_bytes!("cases/cmyk_progressive.jpg")),
];

/// What is to be answered to a file that was changed.
enum Answer {
    /// The picture of the unchanged file.
    Same,
    /// The same, turned.
    Turned(ExifOrientation),
    /// An error with these words.
    Refused(&'static str),
}

/// Segments of the header: marker, start and end; the last one is that of the first scan.
fn segments(file: &[u8]) -> Vec<(u8, usize, usize)> {
    let (mut found, mut at) = (vec![], 2);
    loop {
        let end = at + 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        found.push((file[at + 1], at, end));
        if file[at + 1] == 0xDA {
            return found;
        }
        at = end;
    }
}

fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    [&[0xFF, marker], (body.len() as u16 + 2).to_be_bytes().as_slice(), body].concat()
}

/// The file with `more` put in before the first segment with this marker.
fn with_before(file: &[u8], marker: u8, more: &[u8]) -> Vec<u8> {
    let at = segments(file).iter().find(|segment| segment.0 == marker).expect("has it").1;
    [&file[..at], more, &file[at..]].concat()
}

fn without(file: &[u8], marker: u8) -> Vec<u8> {
    let mut file = file.to_vec();
    for (_, start, end) in segments(&file).into_iter().rev().filter(|segment| segment.0 == marker) {
        file.drain(start..end);
    }
    file
}

/// EXIF data with the orientation stored as `kind` (1 BYTE, 3 SHORT, 4 LONG) behind another entry.
fn exif(orientation: u8, kind: u16, is_big: bool) -> Vec<u8> {
    let short = |n: u16| if is_big { n.to_be_bytes() } else { n.to_le_bytes() };
    let long = |n: u32| if is_big { n.to_be_bytes() } else { n.to_le_bytes() };
    let value = match kind {
        1 => [orientation, 0, 0, 0],
        3 => [short(orientation.into()), [0, 0]].concat().try_into().expect("four"),
        _ => long(orientation.into()),
    };
    let mut body = b"Exif\0\0".to_vec();
    body.extend(if is_big { b"MM\0\x2A" } else { b"II\x2A\0" });
    body.extend(long(8));
    body.extend([short(2), short(0x0100), short(4)].concat());
    body.extend([long(1), long(97)].concat());
    body.extend([short(0x0112), short(kind)].concat());
    body.extend([long(1), value, long(0)].concat());
    segment(0xE1, &body)
}

#[track_caller]
fn check(name: &str, changed: &[u8], original: &[u8], answer: &Answer) {
    let same = || decode(original, &RULES).unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected = match answer {
        Answer::Same => same(),
        Answer::Turned(orientation) => same().oriented(*orientation),
        Answer::Refused(words) => return check_refused(changed, Kind::ImageCorrupt, words),
    };
    let found = decode(changed, &RULES).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(found == expected, "{name}: another picture");
}

#[test]
fn rules() {
    use Answer::{Refused, Same, Turned};
    for (name, file) in FILES {
        let rule = |what: &str, changed: &[u8], answer: &Answer| {
            check(&format!("{name}, {what}"), changed, file, answer);
        };
        let scan_at = segments(file).last().expect("a scan").2;
        let end = file.len() - 2;
        let is_cmyk = name.starts_with("cmyk");
        let is_progressive = name.ends_with("progressive");

        rule("no end marker", &file[..end], &Same);
        rule("bytes after the end", &[file, b"\xFF\xD8\xFF\xE1 a second picture \xFF"].concat(), &Same);
        rule("zeros instead of the end marker", &[&file[..end], &[0; 40]].concat(), &Same);
        rule("fill bytes before a marker", &with_before(file, 0xDB, &[0xFF; 5]), &Same);
        rule("stray bytes between segments", &with_before(file, 0xDA, &[0; 7]), &Same);
        let mut pixels_missing = file[..scan_at + (end - scan_at) * 2 / 3].to_vec();
        rule("pixels missing", &pixels_missing, &Refused("truncated"));
        pixels_missing.extend([0xFF, 0xD9]);
        rule("pixels missing before an end marker", &pixels_missing, &Refused("truncated"));

        if !is_cmyk {
            let jfif_and_adobe = with_before(file, 0xDB, &segment(0xEE, b"Adobe\0\x64\0\0\0\0\0"));
            rule("JFIF and Adobe disagree", &jfif_and_adobe, &Same);
        }
        if !is_progressive {
            rule("no Huffman tables", &without(file, 0xC4), &Same);
        }

        for kind in [1, 3, 4] {
            for is_big in [false, true] {
                let more = [segment(0xFE, b"a comment"), exif(6, kind, is_big)].concat();
                rule("EXIF behind others", &with_before(file, 0xDA, &more), &Turned(ExifOrientation::TURN_90));
            }
        }
        let cut_off = segment(0xE1, &exif(6, 3, true)[4..30]);
        rule("EXIF cut off", &with_before(file, 0xDA, &cut_off), &Same);

        let frame_marker = if is_progressive { 0xC2 } else { 0xC0 };
        let (_, frame_start, frame_end) = segments(file).into_iter().find(|s| s.0 == frame_marker).expect("a frame");
        let second = with_before(file, frame_marker, &file[frame_start..frame_end]);
        rule("two frame headers", &second, &Refused("two frame headers"));
        let altered = |at: usize, value: u8| {
            let mut file = file.to_vec();
            file[at] = value;
            file
        };
        rule("lossless", &altered(frame_start + 1, 0xC3), &Refused("unusual"));
        rule("arithmetic coding", &altered(frame_start + 1, 0xC9), &Refused("unusual"));
        rule("12 bits", &altered(frame_start + 4, 12), &Refused("unusual"));
        rule("sampling factor 0", &altered(frame_start + 11, 0), &Refused("damaged"));
        rule("no such quantisation table", &altered(frame_start + 12, 3), &Refused("damaged"));
        let mut no_height = file.to_vec();
        no_height[frame_start + 5..frame_start + 7].fill(0);
        rule("height given later", &no_height, &Refused("unusual"));
        rule("a scan of an unknown component", &altered(scan_at - 5, 77), &Refused("damaged"));

        if name.starts_with("restart") {
            let marker_at = file.windows(2).position(|pair| pair == [0xFF, 0xD1]).expect("restart markers");
            rule("a restart marker out of turn", &altered(marker_at + 1, 0xD4), &Refused("damaged"));
            let stray = [&file[..marker_at], &[0, 1, 2], &file[marker_at..]].concat();
            rule("stray bytes before a restart marker", &stray, &Same);
        }
        let end_of_scans = if is_progressive { end } else { scan_at };
        let last_scan = file[..end_of_scans].windows(2).rposition(|pair| pair == [0xFF, 0xDA]).expect("a scan");
        let without_last = [&file[..last_scan], &[0xFF, 0xD9]].concat();
        let words = if is_progressive { "truncated" } else { "no pixels" };
        rule("the last scan left out", &without_last, &Refused(words));
    }
}

#[test]
fn jpeg_cut_anywhere_is_refused() {
    for (name, file) in FILES {
        let last = *file[..file.len() - 2].last().expect("bytes");
        // Every place of a prime distance, so that all kinds of places come up.
        for n_bytes in (3..file.len() - 3).step_by(7) {
            let error = decode(&file[..n_bytes], &RULES);
            // The last byte of a scan may hold only bits that fill it up.
            let is_filling = last & 0x7F == 0x7F && n_bytes + 3 >= file.len();
            assert!(error.is_err() || is_filling, "{name} of {n_bytes} bytes");
        }
    }
}

#[test]
fn jpegs_that_real_users_have() {
    let reference = decode(include_bytes!("cases/reference.png"), &RULES).expect("decodes");
    let mean_difference = |image: &RgbImage| {
        let sum: u64 = image.data().iter().zip(reference.data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / image.data().len() as f64
    };
    let files: [(&str, &[u8]); 4] = [
        ("JFIF and an Adobe marker with transform 0", include_bytes!("cases/jpeg_jfif_adobe0.jpg")),
        ("no Huffman tables", include_bytes!("cases/jpeg_no_dht.jpg")),
        ("no end marker", include_bytes!("cases/jpeg_no_eoi.jpg")),
        ("EXIF orientation as LONG", include_bytes!("cases/exif_long.jpg")),
    ];
    for (name, file) in files {
        let image = decode(file, &RULES).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((image.width(), image.height()), (reference.width(), reference.height()), "{name}");
        let difference = mean_difference(&image);
        assert!(difference < 4.0, "{name}: differs from the picture by {difference}");
    }
}

#[test]
fn pixels_are_those_of_libjpeg_turbo_to_the_last_bit() {
    // The first 8 bytes of SHA-256 of the RGB bytes that libjpeg-turbo 3.1.2 makes (through `cv2.imread` of OpenCV
    // 4.14); a progressive file has the coefficients of the baseline file, and so its pixels.
    let digests = [
        ("420", "018cee0659e9fc3c"),
        ("422", "ab59dbdc9a8ce8f7"),
        ("444", "1e2a682e752d3c79"),
        ("grey", "7eebfb29d07a2e07"),
        ("restart", "018cee0659e9fc3c"),
    ];
    for (kind, expected) in digests {
        let files: Vec<_> = FILES.iter().filter(|(name, _)| name.starts_with(kind)).collect();
        assert_eq!(files.len(), 2, "{kind}");
        for (name, file) in files {
            let digest = Sha256::digest(decode(file, &RULES).expect("decodes").data());
            let found: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}

/// The picture as `zune-jpeg` decodes it.
fn by_zune(file: &[u8]) -> Vec<u8> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(file), options).decode().expect("decodes")
}

fn largest_and_mean_difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let differences = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences().map(u64::from).sum();
    (differences().max().unwrap_or(0), sum as f64 / a.len() as f64)
}

#[test]
fn photographs_come_out_as_another_decoder_has_them() {
    for (name, file) in FILES.iter().filter(|(name, _)| !name.starts_with("cmyk")) {
        let found = decode(file, &RULES).expect("decodes");
        let (largest, mean) = largest_and_mean_difference(found.data(), &by_zune(file));
        // Where chroma is enlarged the other decoder rounds its filter otherwise.
        let is_enlarged = !name.starts_with("444") && !name.starts_with("grey");
        let mean_max = if is_enlarged { 0.4 } else { 0.2 };
        assert!(largest <= 4 && mean < mean_max, "{name}: differs by up to {largest}, {mean} in the mean");
    }
}

#[test]
fn reduced_pictures_are_the_means_of_full_ones() {
    for (name, file) in FILES {
        let encoded = EncodedImage::open(file, &RULES).expect("opens");
        let full = encoded.decode(Reduction::Full).expect("decodes");
        for reduction in [Reduction::Half, Reduction::Quarter, Reduction::Eighth] {
            let found = encoded.decode(reduction).expect("decodes");
            let divisor = reduction.divisor();
            assert_eq!((found.width(), found.height()), encoded.sides(reduction), "{name}");
            // Pixels at the right and lower edges cover fill-up samples too.
            let (mut largest, mut sum, mut n) = (0.0_f64, 0.0, 0);
            for (x, y) in (0..75 / divisor).flat_map(|y| (0..97 / divisor).map(move |x| (x, y))) {
                for channel in 0..3 {
                    let covered = (0..divisor * divisor).map(|idx| {
                        let pixel = full.pixel(x * divisor + idx % divisor, y * divisor + idx / divisor);
                        f64::from(pixel[channel])
                    });
                    let mean = covered.sum::<f64>() / f64::from(divisor * divisor);
                    let difference = (mean - f64::from(found.pixel(x, y)[channel])).abs();
                    (largest, sum, n) = (largest.max(difference), sum + difference, n + 1);
                }
            }
            let mean = sum / f64::from(n);
            // Chroma that is stored at a quarter is not the mean of the enlarged chroma.
            assert!(largest < 25.0 && mean < 1.0, "{name} {reduction:?}: up to {largest}, {mean} in the mean");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Files with every coefficient, table and length of code drawn by chance.
    #[test]
    fn random_files_come_out_as_another_decoder_has_them(jpeg in RandomJpeg::any()) {
        let file = jpeg.write();
        let found = decode(&file, &RULES).expect("decodes");
        let (largest, mean) = largest_and_mean_difference(found.data(), &by_zune(&file));
        // The other decoder enlarges chroma by another filter, so that only files without chroma to enlarge are compared
        // pixel by pixel.
        if let Some(tolerance) = jpeg.tolerance() {
            prop_assert!(largest <= tolerance, "differs by up to {}, {} in the mean", largest, mean);
        }
        // Read to samples or to coefficients first, the picture is the same.
        for reduction in Reduction::ALL {
            let small = EncodedImage::open(&file, &RULES).and_then(|encoded| encoded.decode(reduction));
            prop_assert!(small.is_ok());
        }
    }
}
