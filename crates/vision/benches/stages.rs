//! Each stage alone, on one thread: decode, detect, align, embed.
//!
//! Detection and embedding need the installed pack (`LIKENESS_HOME`) and are left out, with a word, where there is none.
//! Pictures are synthetic: no stage's time depends on what a picture shows, except that of a JPEG's fine detail.
#![expect(clippy::print_stderr, reason = "a bench that is left out says why")]

use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, criterion_group, criterion_main};
use likeness_domain::Result;
use likeness_domain::limits::{IMAGE_BYTES_MAX, IMAGE_SIDE_MAX};
use likeness_domain::ports::{ImageFormats, ImageRules};
use likeness_domain::types::{Landmarks, Point};
use likeness_vision::align::align;
use likeness_vision::decode::{EncodedImage, Reduction, decode};
use likeness_vision::detect::Detector;
use likeness_vision::embed::Embedder;
use likeness_vision::pack::{self, AlignTemplate, Home, InstalledPack};
use likeness_vision::raster::{ExifOrientation, RgbImage};
use likeness_vision::runtime::Runtime;

const RULES: ImageRules =
    ImageRules { formats: ImageFormats::ALL, bytes_max: IMAGE_BYTES_MAX, side_max: IMAGE_SIDE_MAX, side_min: 1 };

fn picture(width: u32, height: u32) -> RgbImage {
    let pixel = |x: u32, y: u32| [(x * y / 7) as u8, (x / 3 + y) as u8, (x ^ y) as u8];
    let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    RgbImage::new(width, height, data).expect("as many bytes as pixels")
}

fn encoded(picture: &RgbImage, format: image::ImageFormat) -> Vec<u8> {
    let raw = image::RgbImage::from_raw(picture.width(), picture.height(), picture.data().to_vec());
    let mut bytes = Vec::new();
    raw.expect("fits").write_to(&mut Cursor::new(&mut bytes), format).expect("encodes");
    bytes
}

fn pixels(criterion: &mut Criterion) {
    let large = picture(1920, 1080);
    for (name, format) in [("png", image::ImageFormat::Png), ("webp", image::ImageFormat::WebP)] {
        let file = encoded(&large, format);
        criterion.bench_function(&format!("decode/{name} 1920x1080"), |bench| {
            bench.iter(|| decode(black_box(&file), &RULES).expect("decodes"));
        });
    }
    // There is no JPEG encoder in the house: a photograph is used where the shared folder is there.
    let photograph = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/eval/portraits/obama-1080p.jpg");
    match std::fs::read(photograph) {
        Ok(file) => {
            for reduction in Reduction::ALL {
                criterion.bench_function(&format!("decode/jpeg 1920x1080 to 1/{}", reduction.divisor()), |bench| {
                    bench.iter(|| {
                        let encoded = EncodedImage::open(black_box(&file), &RULES).expect("has a header");
                        encoded.decode(reduction).expect("decodes")
                    });
                });
            }
        }
        Err(_) => eprintln!("left out: decode/jpeg, ../shared/eval/portraits is not there"),
    }
    criterion.bench_function("raster/shrink 1920x1080 to 640x360", |bench| {
        bench.iter(|| black_box(&large).shrunk(640, 360));
    });
    criterion.bench_function("raster/turn 1920x1080", |bench| {
        bench.iter_batched(
            || large.clone(),
            |image| image.oriented(ExifOrientation::TURN_90),
            criterion::BatchSize::LargeInput,
        );
    });
    let at = |x: f32, y: f32| Point { x, y };
    let landmarks = Landmarks([at(900., 400.), at(1010., 405.), at(950., 470.), at(910., 530.), at(1000., 535.)]);
    criterion.bench_function("align/112", |bench| {
        bench.iter(|| align(&large, black_box(&landmarks), AlignTemplate::FivePoint112).expect("aligns"));
    });
}

fn models(criterion: &mut Criterion) {
    let installed = || -> Result<(Runtime, InstalledPack)> {
        let home = Home::from_env()?;
        let pack = pack::load(&home, &pack::default_pack_id())?;
        Ok((Runtime::load(&pack::runtime(&home)?.path)?, pack))
    };
    let (runtime, pack) = match installed() {
        Ok(installed) => installed,
        Err(err) => return eprintln!("left out: detect and embed: {err}"),
    };
    let recognition = pack.manifest().recognition().expect("the default pack recognises");
    let model = pack.read(&recognition.detect.file).expect("was checked");
    let mut detector = Detector::open(&runtime, &recognition.detect, &model).expect("opens");
    for side in [320, 640, 1280] {
        let picture = picture(side, side);
        criterion.bench_function(&format!("detect/{side}x{side}"), |bench| {
            bench.iter(|| detector.detect(black_box(&picture)).expect("detects"));
        });
    }
    let model = pack.read(&recognition.embed.file).expect("was checked");
    let crop = picture(112, 112);
    let mut embedder = Embedder::open(&runtime, pack.manifest().id(), recognition, &model).expect("opens");
    criterion.bench_function("embed/112", |bench| {
        bench.iter(|| embedder.embed(black_box(&crop)).expect("embeds"));
    });
}

criterion_group!(stages, pixels, models);
criterion_main!(stages);
