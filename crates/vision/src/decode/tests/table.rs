//! The table of `docs/images.md`: each row is a file made here, and the page has just these rows.

use super::*;
use crate::raster::ExifOrientation;

/// What a file is answered.
enum Answer {
    /// The picture, within a mean difference of so many grey levels.
    Read(RgbImage, f64),
    /// An error of this kind with this message.
    Refused(Kind, &'static str),
}

struct Row {
    format: &'static str,
    what: &'static str,
    file: Vec<u8>,
    answer: Answer,
}

/// The page whose table is held here.
const PAGE: &str = include_str!("../../../../../docs/images.md");

/// 97 x 75 pixels by libjpeg-turbo: the public-domain NASA portrait.
const JPEG: &[u8] = include_bytes!("cases/444_baseline.jpg");

/// 16 x 16 pixels of one grey, by libwebp.
const LOSSY_WEBP: &[u8] = b"RIFF$\x00\x00\x00WEBPVP8 \x18\x00\x00\x00P\x01\x00\x9D\x01*\x10\x00\x10\x00\x01@&%\xA4\x00\x04t\x00\x00\xE4@\x00\x00";

#[test]
fn the_page_says_what_is_done_with_each_kind_of_file() {
    let mut lines = vec![];
    for Row { format, what, file, answer } in rows() {
        let found = decode(&file, &RULES);
        let said = match answer {
            Answer::Read(expected, difference_max) => {
                let found = found.unwrap_or_else(|error| panic!("{format}, {what}: {error}"));
                assert_eq!((found.width(), found.height()), (expected.width(), expected.height()), "{format}, {what}");
                let sum: u64 = found.data().iter().zip(expected.data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                let difference = sum as f64 / found.data().len() as f64;
                assert!(difference <= difference_max, "{format}, {what}: differs by {difference}");
                "read".to_owned()
            }
            Answer::Refused(kind, message) => {
                let error = found.expect_err(what);
                assert_eq!((error.kind(), error.message()), (kind, message), "{format}, {what}");
                format!("refused: `{message}`")
            }
        };
        lines.push(format!("| {format} | {what} | {said} |"));
    }
    let (_, table) = PAGE.split_once("| Format | In the file | Answer |\n|---|---|---|\n").expect("has the table");
    let said: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(said == lines, "docs/images.md has other rows than these:\n{}", lines.join("\n"));
}

fn rows() -> Vec<Row> {
    let mut rows = jpeg_rows();
    rows.extend(png_rows());
    rows.extend(bmp_rows());
    rows.extend(webp_rows());
    rows.extend(gif_rows());
    rows.extend(other_rows());
    rows
}

fn row(format: &'static str, what: &'static str, file: Vec<u8>, answer: Answer) -> Row {
    Row { format, what, file, answer }
}

fn same(image: &image::RgbImage) -> Answer {
    read(rgb(image))
}

fn read(image: RgbImage) -> Answer {
    Answer::Read(image, 0.0)
}

fn rgb(image: &image::RgbImage) -> RgbImage {
    RgbImage::new(image.width(), image.height(), image.as_raw().clone()).expect("fits")
}

fn corrupt(message: &'static str) -> Answer {
    Answer::Refused(Kind::ImageCorrupt, message)
}

/// As if it had no colour: each pixel's luma, which is what JPEG stores.
fn grey(image: &RgbImage) -> RgbImage {
    let luma = |pixel: &[u8]| {
        let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f64::from);
        (0.299 * red + 0.587 * green + 0.114 * blue).round() as u8
    };
    let data = image.data().chunks_exact(3).flat_map(|pixel| [luma(pixel); 3]).collect();
    RgbImage::new(image.width(), image.height(), data).expect("fits")
}

fn jpeg_rows() -> Vec<Row> {
    let picture = decode(JPEG, &RULES).expect("decodes");
    let about = |image: &RgbImage, difference| Answer::Read(image.clone(), difference);
    let end = JPEG.len() - 2;
    // The first segment after the markers of the start and of JFIF.
    let before_tables = JPEG.windows(2).position(|pair| pair == [0xFF, 0xDB]).expect("has tables");
    let with = |marker: u8, body: &[u8]| {
        let mut file = JPEG[..before_tables].to_vec();
        jpeg_writer::segment(&mut file, marker, body);
        file.extend(&JPEG[before_tables..]);
        file
    };
    let frame = JPEG.windows(2).position(|pair| pair == [0xFF, 0xC0]).expect("has a frame");
    let altered = |at: usize, value: u8| {
        let mut file = JPEG.to_vec();
        file[at] = value;
        file
    };
    let exif = |orientation: u8| [b"Exif\0\0".as_slice(), &jpeg_writer::exif(orientation)].concat();
    let two_frames = [&JPEG[..frame], &JPEG[frame..frame + 19], &JPEG[frame..]].concat();
    let mut many_scans = two_blocks(&[10], &[240]);
    (many_scans.progressive, many_scans.n_extra_scans) = (true, 1000);
    let unusual = "JPEG image cannot be decoded: it is of an unusual kind, expected 8 bits and Huffman coding";
    let row = |what, file, answer| row("JPEG", what, file, answer);
    let case = |bytes: &[u8]| bytes.to_vec();
    vec![
        row("baseline", case(JPEG), about(&picture, 0.0)),
        row("progressive", case(include_bytes!("cases/444_progressive.jpg")), about(&picture, 0.0)),
        row(
            "colour at half resolution, 4:2:0 or 4:2:2",
            case(include_bytes!("cases/420_baseline.jpg")),
            about(&picture, 3.0),
        ),
        row("restart markers", case(include_bytes!("cases/restart_progressive.jpg")), about(&picture, 3.0)),
        row("grey", case(include_bytes!("cases/grey_baseline.jpg")), about(&grey(&picture), 1.0)),
        row("CMYK or YCCK, inverted or not", case(include_bytes!("cases/cmyk_baseline.jpg")), about(&picture, 8.0)),
        row(
            "EXIF orientation: turned upright",
            with(0xE1, &exif(6)),
            about(&picture.clone().oriented(ExifOrientation::TURN_90), 0.0),
        ),
        row("EXIF cut off or without sense: ignored", with(0xE1, &exif(6)[..25]), about(&picture, 0.0)),
        row("a colour profile: not applied", with(0xE2, b"ICC_PROFILE\0\x01\x01 none"), about(&picture, 0.0)),
        row(
            "JFIF and Adobe markers that contradict each other: JFIF wins",
            with(0xEE, b"Adobe\0\x64\0\0\0\0\0"),
            about(&picture, 0.0),
        ),
        row("no Huffman tables (webcams): the standard ones are meant", without_tables(JPEG), about(&picture, 0.0)),
        row("no end marker, all pixels there", case(&JPEG[..end]), about(&picture, 0.0)),
        row("anything after the end marker", [JPEG, b"a second picture"].concat(), about(&picture, 0.0)),
        row(
            "pixels missing",
            case(&JPEG[..JPEG.len() * 2 / 3]),
            corrupt("JPEG image cannot be decoded: it is truncated"),
        ),
        row(
            "pixels missing before an end marker",
            [&JPEG[..JPEG.len() * 2 / 3], &[0xFF, 0xD9]].concat(),
            corrupt("JPEG image cannot be decoded: it is truncated"),
        ),
        row("codes that cannot be", altered(frame + 11, 0), corrupt("JPEG image cannot be decoded: it is damaged")),
        row("two frame headers", two_frames, corrupt("JPEG image cannot be decoded: it has two frame headers")),
        row(
            "more than 100 scans",
            many_scans.write(),
            corrupt("JPEG image cannot be decoded: it has more than 100 scans"),
        ),
        row("12 bits", altered(frame + 4, 12), corrupt(unusual)),
        row("lossless", altered(frame + 1, 0xC3), corrupt(unusual)),
        row("arithmetic coding", altered(frame + 1, 0xC9), corrupt(unusual)),
    ]
}

/// A baseline file without its Huffman tables.
fn without_tables(file: &[u8]) -> Vec<u8> {
    let (mut kept, mut at) = (file[..2].to_vec(), 2);
    while file[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        if file[at + 1] != 0xC4 {
            kept.extend(&file[at..end]);
        }
        at = end;
    }
    kept.extend(&file[at..]);
    kept
}

fn png_rows() -> Vec<Row> {
    let picture = gradient(37, 23);
    let plain = encoded(picture.clone(), ImageFormat::Png);
    let with = |kind: &[u8], body: &[u8]| {
        // After the header, which is 33 bytes with the signature.
        [&plain[..33], &chunk(kind, body), &plain[33..]].concat()
    };
    let grey = image::GrayImage::from_fn(9, 7, |x, y| image::Luma([(x * 20 + y) as u8]));
    let grey_rgb = DynamicImage::from(grey.clone()).to_rgb8();
    let deep = image::ImageBuffer::from_fn(9, 7, |x, y| image::Rgb([(x * 257) as u16, (y * 257) as u16, 65_535]));
    let deep_rgb = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8, y as u8, 255]));
    let clear = image::RgbaImage::from_pixel(9, 7, image::Rgba([10, 20, 30, 0]));
    let white = image::RgbImage::from_pixel(9, 7, image::Rgb([255; 3]));
    // A palette of two colours, one bit a pixel: the left half red, the right half blue.
    let halves = image::RgbImage::from_fn(16, 4, |x, _| image::Rgb(if x < 8 { [200, 0, 0] } else { [0, 0, 200] }));
    let palette = png(16, 4, [1, 3, 0], &[chunk(b"PLTE", &[200, 0, 0, 0, 0, 200])], &[0, 0, 0xFF].repeat(4));
    // The seven passes of Adam7 of a picture of one pixel are that pixel.
    let interlaced = png(1, 1, [8, 2, 1], &[], &[0, 9, 8, 7]);
    let mut bomb = plain.clone();
    bomb[16..24].copy_from_slice(&[0, 0, 0xF0, 0, 0, 0, 0xF0, 0]);
    let exif = jpeg_writer::exif(6);
    let damaged = "PNG image cannot be decoded: it is truncated, damaged or of an unusual kind";
    let mut wrong_sum = plain.clone();
    let sum_at = plain.len() - 16;
    wrong_sum[sum_at] ^= 0x55;
    let row = |what, file, answer| row("PNG", what, file, answer);
    vec![
        row("colour, 8 bits", plain.clone(), same(&picture)),
        row("16 bits: rounded to 8", encoded(DynamicImage::ImageRgb16(deep), ImageFormat::Png), same(&deep_rgb)),
        row("grey", encoded(grey, ImageFormat::Png), same(&grey_rgb)),
        row("a palette, 1 to 8 bits", palette, same(&halves)),
        row("interlaced", interlaced, same(&image::RgbImage::from_pixel(1, 1, image::Rgb([9, 8, 7])))),
        row("transparent: laid over white", encoded(clear, ImageFormat::Png), same(&white)),
        row("animated: the first picture", with(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]), same(&picture)),
        row(
            "EXIF orientation: turned upright",
            with(b"eXIf", &exif),
            read(rgb(&picture).oriented(ExifOrientation::TURN_90)),
        ),
        row("anything after the end chunk", [plain.as_slice(), b"more"].concat(), same(&picture)),
        row("cut off", plain[..plain.len() / 2].to_vec(), corrupt(damaged)),
        row("a wrong checksum of the pixels", wrong_sum, corrupt(damaged)),
        row(
            "sides beyond the limits",
            bomb,
            Answer::Refused(Kind::ImageDimensions, "image is 61440 x 61440 pixels, expected sides of 1 to 4096"),
        ),
    ]
}

fn chunk(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let typed = [kind, body].concat();
    [(body.len() as u32).to_be_bytes().as_slice(), &typed, &crc32(&typed).to_be_bytes()].concat()
}

/// A PNG of these `rows` (each begins with its filter) with depth, colour type and interlacing.
fn png(width: u32, height: u32, [depth, colour, interlaced]: [u8; 3], more: &[Vec<u8>], rows: &[u8]) -> Vec<u8> {
    let header = [width.to_be_bytes().as_slice(), &height.to_be_bytes(), &[depth, colour, 0, 0, interlaced]].concat();
    // One stored block of deflate in a zlib stream, whose sum is Adler-32.
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in rows {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let n_bytes = rows.len() as u16;
    let block = [&[0x78, 0x01, 1], n_bytes.to_le_bytes().as_slice(), &(!n_bytes).to_le_bytes(), rows].concat();
    let zlib = [block, (b << 16 | a).to_be_bytes().to_vec()].concat();
    [b"\x89PNG\r\n\x1A\n".to_vec(), chunk(b"IHDR", &header), more.concat(), chunk(b"IDAT", &zlib), chunk(b"IEND", b"")]
        .concat()
}

fn bmp_rows() -> Vec<Row> {
    let picture = gradient(37, 23);
    let plain = encoded(picture.clone(), ImageFormat::Bmp);
    let unused_alpha = image::RgbaImage::from_fn(9, 7, |x, y| image::Rgba([x as u8, y as u8, 7, 0]));
    let opaque = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8, y as u8, 7]));
    let clear = image::RgbaImage::from_fn(9, 7, |x, _| image::Rgba([5, 6, 7, if x == 0 { 255 } else { 0 }]));
    let over_white = image::RgbImage::from_fn(9, 7, |x, _| image::Rgb(if x == 0 { [5, 6, 7] } else { [255; 3] }));
    // Rows from the top: the height is negative.
    let mut from_top = plain.clone();
    from_top[22..26].copy_from_slice(&(-23_i32).to_le_bytes());
    let row_len = (37 * 3_usize).next_multiple_of(4);
    let pixels_at = from_top.len() - 23 * row_len;
    let rows: Vec<u8> = from_top[pixels_at..].chunks_exact(row_len).rev().flatten().copied().collect();
    from_top[pixels_at..].copy_from_slice(&rows);
    let mut too_high = plain.clone();
    too_high[22..26].copy_from_slice(&i32::MIN.to_le_bytes());
    let row = |what, file, answer| row("BMP", what, file, answer);
    vec![
        row("24 bits", plain.clone(), same(&picture)),
        row("rows from the top", from_top, same(&picture)),
        row(
            "32 bits, the fourth byte 0 in every pixel: opaque",
            encoded(unused_alpha, ImageFormat::Bmp),
            same(&opaque),
        ),
        row("32 bits, transparent in parts: laid over white", encoded(clear, ImageFormat::Bmp), same(&over_white)),
        row(
            "cut off",
            plain[..plain.len() / 2].to_vec(),
            corrupt("BMP image cannot be decoded: it is truncated, damaged or of an unusual kind"),
        ),
        row(
            "a height that cannot be",
            too_high,
            Answer::Refused(Kind::ImageDimensions, "image is 37 x 2147483648 pixels, expected sides of 1 to 4096"),
        ),
    ]
}

fn webp_rows() -> Vec<Row> {
    let picture = gradient(36, 22);
    let plain = encoded(picture.clone(), ImageFormat::WebP);
    let clear = image::RgbaImage::from_pixel(9, 7, image::Rgba([10, 20, 30, 0]));
    let white = image::RgbImage::from_pixel(9, 7, image::Rgb([255; 3]));
    let extended = |flags: u8, sides: (u32, u32), chunks: &[&[u8]]| {
        let mut body = b"WEBPVP8X\x0A\0\0\0".to_vec();
        body.extend([flags, 0, 0, 0]);
        body.extend(&(sides.0 - 1).to_le_bytes()[..3]);
        body.extend(&(sides.1 - 1).to_le_bytes()[..3]);
        chunks.iter().for_each(|chunk| body.extend(*chunk));
        [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
    };
    let pixels = &plain[12..];
    let exif = jpeg_writer::exif(6);
    let exif = [b"EXIF".as_slice(), &(exif.len() as u32).to_le_bytes(), &exif].concat();
    // A frame of an animation: left, top, width, height, duration (three bytes each) and flags, then its pixels.
    let mut frame = [0; 16];
    (frame[6], frame[9], frame[12]) = (35, 21, 40);
    let frame = [b"ANMF".as_slice(), &(16 + pixels.len() as u32).to_le_bytes(), &frame, pixels].concat();
    let animated = extended(0x02, (36, 22), &[b"ANIM\x06\0\0\0\xFF\xFF\xFF\xFF\0\0", &frame, &frame]);
    let row = |what, file, answer| row("WebP", what, file, answer);
    let lossy = LOSSY_WEBP.to_vec();
    vec![
        row("lossless", plain.clone(), same(&picture)),
        row("lossy", lossy, Answer::Read(rgb(&image::RgbImage::from_pixel(16, 16, image::Rgb([128; 3]))), 3.0)),
        row("transparent: laid over white", encoded(clear, ImageFormat::WebP), same(&white)),
        // Laid over its canvas, which rounds.
        row("animated: the first picture", animated, Answer::Read(rgb(&picture), 1.5)),
        row(
            "EXIF orientation: turned upright",
            extended(0x08, (36, 22), &[pixels, &exif]),
            read(rgb(&picture).oriented(ExifOrientation::TURN_90)),
        ),
        row(
            "cut off",
            plain[..plain.len() / 2].to_vec(),
            corrupt("WebP image cannot be decoded: it is truncated, damaged or of an unusual kind"),
        ),
        row(
            "a picture larger than its canvas",
            extended(0, (8, 8), &[pixels]),
            corrupt("WebP image cannot be decoded: a frame is larger than its canvas"),
        ),
        row(
            "34 bytes that claim a huge picture",
            extended(0, (16_384, 16_384), &[b"VP8L"]),
            Answer::Refused(Kind::ImageDimensions, "image is 16384 x 16384 pixels, expected sides of 1 to 4096"),
        ),
    ]
}

fn gif_rows() -> Vec<Row> {
    let colours = [[250, 0, 0, 255], [0, 250, 0, 255]];
    let mut animated = vec![];
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut animated);
    for colour in colours {
        encoder.encode_frame(Frame::new(image::RgbaImage::from_pixel(20, 10, image::Rgba(colour)))).expect("encodes");
    }
    drop(encoder);
    let red = image::RgbImage::from_pixel(20, 10, image::Rgb([250, 0, 0]));
    let clear = encoded(image::RgbaImage::from_pixel(20, 10, image::Rgba([250, 0, 0, 0])), ImageFormat::Gif);
    let white = image::RgbImage::from_pixel(20, 10, image::Rgb([255; 3]));
    let row = |what, file, answer| row("GIF", what, file, answer);
    let cut_off = animated[..40].to_vec();
    vec![
        row("animated: the first picture", animated, same(&red)),
        row("transparent: laid over white", clear, same(&white)),
        row("cut off", cut_off, corrupt("GIF image cannot be decoded: it is truncated, damaged or of an unusual kind")),
    ]
}

fn other_rows() -> Vec<Row> {
    let format = |message| Answer::Refused(Kind::ImageFormat, message);
    macro_rules! named {
        ($name:literal) => {
            format(concat!("image is ", $name, ", expected one of JPEG, PNG, BMP, WebP, GIF"))
        };
    }
    vec![
        row("HEIC", "iPhones", b"\0\0\0\x1Cftypheic\0\0\0\0mif1heicmiaf\0\0".to_vec(), named!("HEIC")),
        row("HEIF", "the general kind", b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf".to_vec(), named!("HEIF")),
        row("AVIF", "any", b"\0\0\0\x1Cftypavif\0\0\0\0avifmif1miaf\0\0".to_vec(), named!("AVIF")),
        row("TIFF", "any, most raw files of cameras too", b"II*\0\x08\0\0\0".to_vec(), named!("TIFF")),
        row(
            "CR3",
            "raw files of newer Canons",
            b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom".to_vec(),
            named!("a raw file of a camera (CR3)"),
        ),
        row("JPEG XL", "any", b"\xFF\x0A\xFA\x1F".to_vec(), named!("JPEG XL")),
        row("JPEG 2000", "any", b"\0\0\0\x0CjP  \r\n\x87\n".to_vec(), named!("JPEG 2000")),
        row("SVG", "any", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), named!("SVG")),
        row("PDF", "any", b"%PDF-1.7".to_vec(), named!("PDF")),
        row("Photoshop", "any", b"8BPS\0\x01".to_vec(), named!("Photoshop")),
        row("ICO", "any", b"\0\0\x01\0\x01\0".to_vec(), named!("an icon (ICO)")),
        row(
            "MP4",
            "and other videos",
            b"\0\0\0\x18ftypmp42\0\0\0\0isommp42".to_vec(),
            named!("a video (MP4 or QuickTime)"),
        ),
        row("ZIP", "any", b"PK\x03\x04".to_vec(), named!("a ZIP archive")),
        row(
            "HTML",
            "often an error page that was saved",
            b"<!DOCTYPE html><p>not found".to_vec(),
            named!("an HTML page"),
        ),
        row(
            "unknown",
            "anything else, and an empty file",
            b"hello".to_vec(),
            format("data is no image in a known format, expected one of JPEG, PNG, BMP, WebP, GIF"),
        ),
    ]
}
