//! Faces that lie, stand on their heads, are tilted, tiny or huge; and what is no face.

use image::{DynamicImage, imageops};
use likeness_domain::ports::{AnalyzeRequest, AnalyzedFace, FaceChoice};
use likeness_domain::types::{BoundingBox, Template};
use likeness_vision::align::{Placement, warp};
use likeness_vision::pipeline::Pipeline;
use likeness_vision::raster::RgbImage;

use super::pipeline::{decoded, pixels, png};
use super::support::{Installation, analyze, installation, shared};

/// Portraits of one person each, in which the face is whole.
const PORTRAITS: [&str; 6] = ["astronaut.png", "biden.jpg", "biden2.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg"];

fn faces(
    pipeline: &Pipeline,
    installation: &Installation,
    picture: &DynamicImage,
    find: FaceChoice,
) -> Vec<AnalyzedFace> {
    let request = AnalyzeRequest { find, ..installation.request(find) };
    analyze(pipeline, png(picture), request).expect("analyses").faces
}

/// The template of the largest face, which must not be doubtful.
#[track_caller]
fn template(pipeline: &Pipeline, installation: &Installation, picture: &DynamicImage) -> Template {
    let faces = faces(pipeline, installation, picture, FaceChoice::Largest);
    let face = faces.into_iter().next().expect("a face");
    assert_eq!(face.doubt, None);
    face.template.expect("asked for")
}

/// The picture turned clockwise about its centre, whole, on grey.
fn turned(picture: &DynamicImage, degrees: f64) -> DynamicImage {
    let rgb = picture.to_rgb8();
    let (width, height) = (f64::from(rgb.width()), f64::from(rgb.height()));
    let source = RgbImage::new(rgb.width(), rgb.height(), rgb.into_raw()).expect("fits");
    let side = width.hypot(height).ceil();
    let (sine, cosine) = (-degrees.to_radians()).sin_cos();
    let half = side / 2.0;
    let placement = Placement {
        a: cosine,
        b: sine,
        shift_x: width / 2.0 - (cosine - sine) * half,
        shift_y: height / 2.0 - (sine + cosine) * half,
    };
    let turned = warp(&source, placement, side as u32);
    let buffer = image::RgbImage::from_raw(turned.width(), turned.height(), turned.data().to_vec());
    DynamicImage::ImageRgb8(buffer.expect("fits"))
}

fn scaled(picture: &DynamicImage, longer: u32) -> DynamicImage {
    picture.resize(longer, longer, imageops::FilterType::Triangle)
}

#[test]
fn a_portrait_at_any_angle_has_the_template_of_the_upright_one() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for name in PORTRAITS {
        let Some(upright) = pixels(name).map(|picture| scaled(&picture, 900)) else { return };
        let expected = template(&pipeline, &installation, &upright);
        for degrees in (0..360).step_by(30).chain([45, 135, 225, 315]) {
            let found = template(&pipeline, &installation, &turned(&upright, f64::from(degrees)));
            let cosine = found.similarity(&expected).expect("one pack").get();
            assert!(cosine >= 0.93, "{name} turned by {degrees} degrees: {cosine}");
        }
    }
}

/// Faces that the mesh fits in a wrong turn as surely as others in the right one: bearded, with caps or glasses, from aside. What
/// is not seen the right way up may be refused; a template that matches nobody may not be given.
#[test]
fn press_photographs_at_any_angle_have_the_template_of_the_upright_one() {
    let (Some(installation), Some(folder)) = (installation(), shared("eval/lfw/images")) else { return };
    let pipeline = installation.pipeline(1, 1);
    for name in [
        "Anne_Cavers",
        "George_Galloway",
        "Juan_Ignacio_Chela",
        "Bobby_Jackson",
        "Hank_Azaria",
        "Aron_Ralston",
        "Matt_Doherty",
        "Martin_Hoellwarth",
        "Amy_Redford",
    ] {
        let file =
            std::fs::read(folder.join(name).join(format!("{name}_0001.jpg"))).expect("the photographs are complete");
        let upright = decoded(&file);
        let expected = template(&pipeline, &installation, &upright);
        for degrees in [45, 120, 135, 210, 225, 300, 315] {
            let found = template(&pipeline, &installation, &turned(&upright, f64::from(degrees)));
            let cosine = found.similarity(&expected).expect("one pack").get();
            assert!(cosine >= 0.93, "{name} turned by {degrees} degrees: {cosine}");
        }
    }
}

/// A diagonal face that fills a part of the picture only: the detector's box is too large for it, and its points tell little of
/// how it is turned.
#[test]
fn a_diagonal_face_has_the_template_of_the_upright_one() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for name in PORTRAITS {
        let Some(portrait) = pixels(name).map(|picture| scaled(&picture, 500)) else { return };
        let mut canvas = image::RgbImage::from_pixel(1200, 675, image::Rgb([100, 100, 100]));
        imageops::overlay(&mut canvas, &portrait.to_rgb8(), 350, 60);
        let upright = DynamicImage::ImageRgb8(canvas);
        let expected = template(&pipeline, &installation, &upright);
        for degrees in [45, 135, 225, 315] {
            let found = template(&pipeline, &installation, &turned(&upright, f64::from(degrees)));
            let cosine = found.similarity(&expected).expect("one pack").get();
            assert!(cosine >= 0.93, "{name} turned by {degrees} degrees: {cosine}");
        }
    }
}

/// A quarter turn moves pixels and changes none: the detector then sees what it sees of the upright picture, but for padding.
#[test]
fn a_portrait_turned_by_quarters_has_the_box_and_template_of_the_upright_one() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for name in PORTRAITS {
        let Some(upright) = pixels(name).map(|picture| scaled(&picture, 600)) else { return };
        let face = |picture: &DynamicImage| faces(&pipeline, &installation, picture, FaceChoice::Largest).remove(0);
        let expected = face(&upright);
        let size = expected.detection.bounding_box;
        for (degrees, turned) in [(90, upright.rotate90()), (180, upright.rotate180()), (270, upright.rotate270())] {
            let found = face(&turned);
            assert_eq!(found.doubt, None, "{name} turned by {degrees} degrees");
            let BoundingBox { width, height, .. } = found.detection.bounding_box;
            let (width, height) = if degrees == 180 { (width, height) } else { (height, width) };
            // What the picture is padded with lies on other sides.
            let off = width.abs_diff(size.width).max(height.abs_diff(size.height));
            assert!(off <= size.width / 20, "{name} turned by {degrees} degrees: {width} x {height}, upright {size:?}");
            let template = found.template.expect("asked for");
            let cosine = template.similarity(expected.template.as_ref().expect("asked for")).expect("one pack").get();
            assert!(cosine >= 0.98, "{name} turned by {degrees} degrees: {cosine}");
        }
    }
}

#[test]
fn a_portrait_of_any_size_has_the_same_template() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for name in PORTRAITS {
        let Some(original) = pixels(name) else { return };
        let expected = template(&pipeline, &installation, &original);
        for longer in [320, 480, 640, 800, 1200, 1800, 2600, 4000] {
            let found = template(&pipeline, &installation, &scaled(&original, longer));
            let cosine = found.similarity(&expected).expect("one pack").get();
            let least = if longer >= 800 { 0.97 } else { 0.9 };
            assert!(cosine >= least, "{name} at {longer} pixels: {cosine}");
        }
    }
}

#[test]
fn a_portrait_that_fills_a_large_picture_is_one_face() {
    let (Some(installation), Some(cases)) = (installation(), shared("cases")) else { return };
    let pipeline = installation.pipeline(1, 1);
    for name in ["one_face_1800.jpg", "turned_90_no_exif.jpg"] {
        let bytes = std::fs::read(cases.join(name)).expect("the cases are complete");
        let found = analyze(&pipeline, bytes, installation.request(FaceChoice::All)).expect("analyses");
        assert_eq!(found.faces.len(), 1, "{name}");
        assert_eq!(found.faces[0].doubt, None, "{name}");
    }
}

/// Faces side by side whose sizes differ by a tenth or less: whoever asks for one gets the one that is first among all.
#[test]
fn the_largest_of_several_faces_is_the_one_that_comes_first_among_all() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for (layout, heights) in
        [[430, 460, 490], [490, 460, 475], [400, 440, 425], [300, 330, 315]].into_iter().enumerate()
    {
        let mut canvas = image::RgbImage::from_pixel(1800, 900, image::Rgb([120, 125, 130]));
        for (idx, height) in heights.into_iter().enumerate() {
            let Some(portrait) = pixels(PORTRAITS[(layout + idx) % PORTRAITS.len()]) else { return };
            let width = portrait.width() * height / portrait.height();
            let portrait = portrait.resize_exact(width, height, imageops::FilterType::Triangle).to_rgb8();
            let (left, top) = (idx as i64 * 600 + 20, 100 + idx as i64 * 37);
            imageops::overlay(&mut canvas, &portrait, left, top);
        }
        let canvas = DynamicImage::ImageRgb8(canvas);
        let all = faces(&pipeline, &installation, &canvas, FaceChoice::All);
        assert_eq!(all.len(), 3, "layout {layout}");
        for choice in [FaceChoice::Largest, FaceChoice::LargestFew(1), FaceChoice::LargestFew(2)] {
            let found = faces(&pipeline, &installation, &canvas, choice);
            let (first, expected) = (found[0].detection.bounding_box, all[0].detection.bounding_box);
            let off = first.left.abs_diff(expected.left).max(first.top.abs_diff(expected.top));
            assert!(off < 20, "layout {layout}, {choice:?}: {first:?}, among all {expected:?}");
        }
    }
}

/// Two people of like size, turned and scaled: who asks for one face, for all with templates or only for boxes gets the same
/// one first.
#[test]
fn whichever_way_is_asked_the_same_of_two_turned_faces_comes_first() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for (names, share) in [(["obama2.jpg", "obama3.jpg"], 1.0), (["biden.jpg", "obama2.jpg"], 1.1)] {
        let mut canvas = image::RgbImage::from_pixel(1400, 800, image::Rgb([110, 115, 120]));
        for (idx, (name, wanted)) in names.into_iter().zip([260.0, 260.0 * share]).enumerate() {
            let Some(portrait) = pixels(name) else { return };
            let face = faces(&pipeline, &installation, &portrait, FaceChoice::Largest).remove(0);
            let BoundingBox { left, top, width, height } = face.detection.bounding_box;
            let margin = height * 2 / 5;
            let (x, y) = (left.saturating_sub(margin), top.saturating_sub(margin));
            let head = portrait.crop_imm(x, y, width + 2 * margin, height + 2 * margin);
            let factor = wanted / f64::from(width * height).sqrt();
            let side = |side: u32| (f64::from(side) * factor) as u32;
            let head = head.resize_exact(side(head.width()), side(head.height()), imageops::FilterType::Triangle);
            imageops::overlay(&mut canvas, &head.to_rgb8(), 60 + idx as i64 * 680, 60 + idx as i64 * 40);
        }
        let canvas = DynamicImage::ImageRgb8(canvas);
        for longer in [500, 1400] {
            for degrees in [0, 45, 90, 135, 180, 205, 315] {
                let picture = turned(&scaled(&canvas, longer), f64::from(degrees));
                let first = |find: FaceChoice, embed: FaceChoice| {
                    let request = AnalyzeRequest { find, ..installation.request(embed) };
                    let found = analyze(&pipeline, png(&picture), request).expect("analyses").faces;
                    let BoundingBox { left, top, width, height } = found[0].detection.bounding_box;
                    (left + width / 2, top + height / 2)
                };
                let expected = first(FaceChoice::All, FaceChoice::All);
                for (find, embed) in [
                    (FaceChoice::Largest, FaceChoice::Largest),
                    (FaceChoice::Largest, FaceChoice::None),
                    (FaceChoice::All, FaceChoice::None),
                ] {
                    let (x, y) = first(find, embed);
                    let off = x.abs_diff(expected.0).max(y.abs_diff(expected.1));
                    let at = format!("{names:?} at {longer} pixels turned by {degrees} degrees");
                    // The faces are half the picture apart.
                    assert!(off < longer / 8, "{at}, {find:?}, embedding {embed:?}: {:?}, {expected:?}", (x, y));
                }
            }
        }
    }
}

/// The same of a JPEG photograph, which is decoded smaller for one face than for all: of two faces whose areas differ by a tenth,
/// either had come first.
#[test]
fn of_two_faces_of_nearly_one_size_the_same_comes_first_at_every_scale_of_decoding() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    let Some(photograph) = pixels("obama_and_biden.jpg") else { return };
    for longer in [800, 1000, 1200, 1400, 1600, 2000, 2400] {
        let mut picture = photograph.resize(longer, longer, imageops::FilterType::Nearest);
        for turns in 0..4 {
            let (width, height) = (picture.width() as u16, picture.height() as u16);
            let mut file = Vec::new();
            jpeg_encoder::Encoder::new(&mut file, 92)
                .encode(picture.to_rgb8().as_raw(), width, height, jpeg_encoder::ColorType::Rgb)
                .expect("encodes");
            let file = bytes::Bytes::from(file);
            let first = |find: FaceChoice, embed: FaceChoice| {
                let request = AnalyzeRequest { find, ..installation.request(embed) };
                let found = analyze(&pipeline, file.clone(), request).expect("analyses").faces;
                found[0].detection.bounding_box
            };
            let expected = first(FaceChoice::All, FaceChoice::None);
            let found = first(FaceChoice::Largest, FaceChoice::Largest);
            let off = found.left.abs_diff(expected.left).max(found.top.abs_diff(expected.top));
            // Boxes of one face differ by so much with what is measured of it.
            let area = |it: BoundingBox| f64::from(it.width) * f64::from(it.height);
            let is_tie = (area(found) / area(expected) - 1.0).abs() < 0.025;
            assert!(off < longer / 20 || is_tie, "{longer} pixels, {turns} quarter turns: {found:?}, {expected:?}");
            picture = picture.rotate90();
        }
    }
}

#[test]
fn textures_show_no_face() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    let mut state = 7_u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let noisy = image::RgbImage::from_fn(800, 600, |_, _| image::Rgb([noise(), noise(), noise()]));
    let checks =
        image::RgbImage::from_fn(800, 600, |x, y| image::Rgb([if (x / 20 + y / 20) % 2 == 0 { 230 } else { 40 }; 3]));
    let rings = image::RgbImage::from_fn(800, 600, |x, y| {
        let radius = (f64::from(x) - 400.0).hypot(f64::from(y) - 300.0);
        image::Rgb([(127.0 + 120.0 * (radius / 9.0).sin()) as u8; 3])
    });
    let blobs = image::imageops::blur(&noisy, 12.0);
    for (name, picture) in [("noise", noisy), ("checks", checks), ("rings", rings), ("blobs", blobs)] {
        let found = faces(&pipeline, &installation, &DynamicImage::ImageRgb8(picture), FaceChoice::All);
        assert_eq!(found.iter().filter(|face| face.doubt.is_none()).count(), 0, "{name}");
    }
}

/// Thirty faces of 40 to 90 pixels in large pictures: each is found, once, whatever a pass at a small size happens to show of them.
#[test]
fn small_faces_of_large_pictures_are_found() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    let mut heads = Vec::new();
    for name in PORTRAITS {
        let Some(portrait) = pixels(name) else { return };
        let face = faces(&pipeline, &installation, &portrait, FaceChoice::Largest).remove(0);
        let BoundingBox { left, top, width, height } = face.detection.bounding_box;
        let margin = height * 2 / 5;
        let (x, y) = (left.saturating_sub(margin), top.saturating_sub(margin));
        heads.push((portrait.crop_imm(x, y, width + 2 * margin, height + 2 * margin), height));
    }
    for (width, height) in [(2000, 1500), (2560, 1920), (4000, 3000), (6000, 4000)] {
        let mut canvas = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(90 + x * 50 / width) as u8, (110 + y * 40 / height) as u8, 120])
        });
        let mut places = Vec::new();
        for idx in 0..30_u32 {
            let (head, face_height) = &heads[idx as usize % heads.len()];
            let wanted = 40 + 50 * idx / 29;
            let factor = f64::from(wanted) / f64::from(*face_height);
            let size = |side: u32| (f64::from(side) * factor).round() as u32;
            let small =
                head.resize_exact(size(head.width()), size(head.height()), imageops::FilterType::Triangle).to_rgb8();
            let (x, y) = (60 + (idx % 6) * width * 4 / 25, 40 + (idx / 6) * height * 29 / 150);
            imageops::replace(&mut canvas, &small, i64::from(x), i64::from(y));
            places.push((x, y, small.width(), small.height()));
        }
        let canvas = DynamicImage::ImageRgb8(canvas);
        // A group photograph that lies on its side or head shows them as well.
        let turned = match width {
            2560 => vec![canvas.rotate180()],
            4000 => vec![canvas.rotate90(), canvas.rotate180(), canvas.rotate270()],
            _ => vec![],
        };
        for (idx, turned) in turned.iter().enumerate() {
            let found = faces(&pipeline, &installation, turned, FaceChoice::All);
            let n_confirmed = found.iter().filter(|face| face.doubt.is_none()).count();
            assert_eq!(n_confirmed, 30, "{width} x {height}, turned picture {idx}");
        }
        let found = faces(&pipeline, &installation, &canvas, FaceChoice::All);
        let confirmed: Vec<_> = found.iter().filter(|face| face.doubt.is_none()).collect();
        let centre_in = |face: &AnalyzedFace, &(x, y, width, height): &(u32, u32, u32, u32)| {
            let bounding_box = face.detection.bounding_box;
            let (cx, cy) = (bounding_box.left + bounding_box.width / 2, bounding_box.top + bounding_box.height / 2);
            (x..x + width).contains(&cx) && (y..y + height).contains(&cy)
        };
        for (idx, place) in places.iter().enumerate() {
            let n_here = confirmed.iter().filter(|face| centre_in(face, place)).count();
            assert_eq!(n_here, 1, "face {idx} at {place:?} of {width} x {height}");
        }
        assert_eq!(confirmed.len(), 30, "{width} x {height}");
    }
}

/// A portrait cut at the face and enlarged shows one face: an eye with its cheek is none.
#[test]
fn a_close_portrait_shows_one_face_however_large_it_is() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    for name in PORTRAITS {
        let Some(portrait) = pixels(name) else { return };
        let face = faces(&pipeline, &installation, &portrait, FaceChoice::Largest).remove(0);
        let BoundingBox { left, top, width, height } = face.detection.bounding_box;
        let margin = width / 20;
        let (x, y) = (left.saturating_sub(margin), top.saturating_sub(margin));
        let close = portrait.crop_imm(x, y, width + 2 * margin, height + 2 * margin);
        for side in [2000, 2600] {
            let large = close.resize(side, 4000, imageops::FilterType::Lanczos3);
            let found = faces(&pipeline, &installation, &large, FaceChoice::All);
            assert_eq!(found.len(), 1, "{name}, {side} pixels wide");
        }
    }
}

/// A badge or a poster is upright in a photograph that lies on its side: the large face is meant, and all are found.
#[test]
fn a_small_upright_face_does_not_hide_a_large_one_that_is_turned() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    let (Some(large), Some(small)) = (pixels("biden2.jpg"), pixels("obama.jpg")) else { return };
    let expected = template(&pipeline, &installation, &large);
    let large = large.resize_exact(1100, 1100, imageops::FilterType::Triangle);
    let small = small.crop_imm(300, 30, 400, 500);
    for (degrees, turned) in [(90, large.rotate90()), (180, large.rotate180()), (270, large.rotate270())] {
        for width in [60, 100, 150, 250] {
            let mut canvas = image::RgbImage::from_pixel(1600, 1300, image::Rgb([170, 170, 175]));
            imageops::replace(&mut canvas, &turned.to_rgb8(), 450, 150);
            let badge = small.resize_exact(width, width * 5 / 4, imageops::FilterType::Triangle);
            imageops::replace(&mut canvas, &badge.to_rgb8(), 60, 100);
            let canvas = DynamicImage::ImageRgb8(canvas);
            let found = template(&pipeline, &installation, &canvas);
            let cosine = found.similarity(&expected).expect("one pack").get();
            assert!(cosine >= 0.93, "turned by {degrees} degrees, badge of {width} pixels: {cosine}");
            let all = faces(&pipeline, &installation, &canvas, FaceChoice::All);
            let n_believed = all.iter().filter(|face| face.doubt.is_none()).count();
            assert_eq!(n_believed, 2, "turned by {degrees} degrees, badge of {width} pixels");
        }
    }
}

/// A sheet of portraits that lie in four turns: all are found.
#[test]
fn faces_of_one_picture_in_different_turns_are_all_found() {
    let Some(installation) = installation() else { return };
    let pipeline = installation.pipeline(1, 1);
    let mut canvas = image::RgbImage::from_pixel(1400, 1000, image::Rgb([120, 125, 130]));
    for (idx, name) in ["obama.jpg", "biden.jpg", "obama3.jpg", "astronaut.png"].into_iter().enumerate() {
        let Some(portrait) = pixels(name) else { return };
        let portrait = portrait.resize(420, 420, imageops::FilterType::Triangle);
        let turned = match idx {
            0 => portrait,
            1 => portrait.rotate90(),
            2 => portrait.rotate180(),
            _ => portrait.rotate270(),
        };
        let (left, top) = ([40, 720][idx % 2], [40, 520][idx / 2]);
        imageops::replace(&mut canvas, &turned.to_rgb8(), left, top);
    }
    let all = faces(&pipeline, &installation, &DynamicImage::ImageRgb8(canvas), FaceChoice::All);
    assert_eq!(all.iter().filter(|face| face.doubt.is_none()).count(), 4);
}
