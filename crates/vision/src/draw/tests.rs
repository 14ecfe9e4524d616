use std::io::Cursor;

use likeness_domain::Kind;
use likeness_domain::limits::IMAGE_BYTES_MAX;
use likeness_domain::ports::{Doubt, ImageFormats};
use likeness_domain::types::{
    Assessment, BoundingBox, DenseLandmarks, Detection, Expression, Landmarks, MeshLandmarks, Point, Pose, Quality,
};

use super::*;
use crate::raster::RgbImage;

const RULES: ImageRules =
    ImageRules { formats: ImageFormats::ALL, bytes_max: IMAGE_BYTES_MAX, side_max: 4096, side_min: 1 };

fn grey(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = image::RgbImage::from_pixel(width, height, image::Rgb([128; 3]));
    image.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).expect("encodes");
    bytes
}

fn analysis(bounding_box: BoundingBox, points: [Point; 5]) -> Analysis {
    let detection = Detection { bounding_box, score: 0.174, landmarks: Landmarks(points) };
    let face = AnalyzedFace {
        detection,
        template: None,
        quality: Quality::default(),
        assessment: Assessment::default(),
        doubt: None,
    };
    Analysis { image_width: 40, image_height: 30, faces: vec![face], n_faces: None }
}

fn draw(width: u32, height: u32, analysis: &Analysis) -> RgbImage {
    let drawn = annotate(&grey(width, height), &RULES, analysis, PictureFormat::Png).expect("draws");
    decode(&drawn.bytes, &RULES).expect("is a PNG")
}

fn count(picture: &RgbImage, color: Color) -> usize {
    let pixels = picture.data().chunks_exact(3);
    pixels.filter(|pixel| pixel.iter().zip(color).all(|(&a, b)| a.abs_diff(b) <= 2)).count()
}

fn one_face(width: u32, height: u32) -> Analysis {
    let points = [(250, 220), (350, 220), (300, 260), (260, 300), (340, 300)];
    let points = points.map(|(x, y)| Point { x: x as f32, y: y as f32 });
    let mut analysis = analysis(BoundingBox { left: 200, top: 150, width: 200, height: 220 }, points);
    (analysis.image_width, analysis.image_height) = (width, height);
    analysis
}

#[test]
fn box_points_label_and_table_are_drawn() {
    let drawn = draw(800, 600, &one_face(800, 600));
    assert_eq!(drawn.width(), 800);
    assert!(drawn.height() > 640, "a table is added below, the photograph stays as large as it was");
    // The middle of each side of the box, the five points, and untouched picture inside and outside.
    let line = [(200, 260), (399, 260), (300, 150), (300, 369)];
    for (x, y) in line {
        assert!(drawn.pixel(x, y)[1] > 180 && drawn.pixel(x, y)[0] < 110, "{:?}", drawn.pixel(x, y));
    }
    for (x, y) in [(250, 220), (350, 220), (300, 260), (260, 300), (340, 300)] {
        assert_eq!(drawn.pixel(x, y), POINT);
    }
    assert_eq!(drawn.pixel(300, 200), [128; 3]);
    assert_eq!(drawn.pixel(100, 100), [128; 3]);
    // The label stands above the box and has dark letters on its ground.
    assert_eq!(drawn.pixel(203, 140), ACCENT);
    let label: Vec<[u8; 3]> =
        (202..250).flat_map(|x| (128..146).map(move |y| (x, y))).map(|(x, y)| drawn.pixel(x, y)).collect();
    assert!(label.iter().filter(|pixel| pixel[1] < 80).count() > 20, "there are letters");
}

#[test]
fn what_was_measured_is_in_the_table() {
    let mut analysis = one_face(800, 600);
    let face = &mut analysis.faces[0];
    face.assessment.pose = Some(Pose { yaw: -12.4, pitch: -0.2, roll: 3.0 });
    face.assessment.liveness = Some(0.97);
    let columns = legend::columns(&[drawn(&analysis.faces[0])]);
    let cells: Vec<_> = columns.iter().map(|column| (column.name, column.cells[0].as_str())).collect();
    let expected = [
        ("#", "1"),
        ("score", "0.17"),
        ("size", "200 × 220"),
        ("yaw", "−12"),
        ("pitch", "0"),
        ("roll", "3"),
        ("live", "0.97"),
    ];
    assert_eq!(cells, expected);
}

#[test]
fn a_face_in_doubt_is_dashed_in_another_colour() {
    let analysis = one_face(800, 600);
    let mut face = drawn(&analysis.faces[0]);
    face.doubt = Some("not level".to_owned());
    let mut canvas = Canvas::filled(800, 600, [128; 3]);
    let view = View { factor: 1.0, left: 0.0 };
    draw_faces(&mut canvas, &[face], &view, Area::at(0.0, 0.0, 800.0, 600.0), 13.0);
    let column: Vec<bool> = (150..370).map(|y| canvas.pixel(200, y)[0] > 200).collect();
    let n_changes = column.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(n_changes > 10, "a dashed side has gaps: {n_changes}");
}

#[test]
fn a_doubtful_face_of_an_analysis_is_shown_as_doubtful_with_the_reason() {
    let mut analysis = one_face(800, 600);
    analysis.faces[0].doubt = Some(Doubt { presence: 7.96, presence_min: 8.0 });
    let face = drawn(&analysis.faces[0]);
    let columns = legend::columns(std::slice::from_ref(&face));
    let cell = columns.iter().find(|column| column.name == "doubt").expect("a column").cells[0].as_str();
    assert_eq!(cell, "presence 7.9, least 8.0", "rounded down, so that it is below the least");
    assert_eq!(heading(&[face], 800, 600)[1], "1 in doubt (dashed)");
    let picture = draw(800, 600, &analysis);
    assert!(count(&picture, DOUBT) > 100 && count(&picture, ACCENT) == 0, "box, label and number have its colour");
}

#[test]
fn all_points_of_a_mesh_are_drawn_where_they_were_asked_for() {
    let mut analysis = one_face(800, 600);
    let without = count(&draw(800, 600, &analysis), CONTOUR);
    let grid = |idx: usize| Point { x: 210.0 + 8.0 * (idx % 22) as f32, y: 160.0 + 9.0 * (idx / 22) as f32 };
    analysis.faces[0].assessment.mesh = Some(MeshLandmarks(Box::new(std::array::from_fn(grid))));
    let picture = draw(800, 600, &analysis);
    assert!(count(&picture, POINT) == 0, "instead of the five points");
    let is_light = |idx: usize| picture.pixel(grid(idx).x as u32, grid(idx).y as u32).iter().all(|&value| value > 200);
    let n_drawn = (0..468).filter(|&idx| is_light(idx)).count();
    assert!(n_drawn >= 460, "{n_drawn} of 468 are drawn; {without} light pixels without them");
}

#[test]
fn small_photographs_are_enlarged() {
    let analysis = analysis(BoundingBox { left: 10, top: 9, width: 18, height: 16 }, [Point { x: 14.0, y: 12.0 }; 5]);
    let drawn = annotate(&grey(40, 30), &RULES, &analysis, PictureFormat::Png).expect("draws");
    assert_eq!(drawn.factor, 16);
    let picture = decode(&drawn.bytes, &RULES).expect("is a PNG");
    assert_eq!(picture.width(), 640);
    assert_eq!(picture.pixel(14 * 16 + 8, 12 * 16 + 8), POINT, "the centre of the enlarged pixel");
}

#[test]
fn dense_landmarks_are_lines() {
    let mut analysis = one_face(800, 600);
    let plain = count(&draw(800, 600, &analysis), CONTOUR);
    let jaw = |idx: usize| Point { x: 210.0 + 10.0 * idx as f32, y: 360.0 };
    let points: Vec<Point> =
        (0..68).map(|idx| if idx < 17 { jaw(idx) } else { Point { x: 300.0, y: 200.0 } }).collect();
    let points: [Point; 68] = points.try_into().expect("68 points");
    analysis.faces[0].assessment.landmarks = Some(DenseLandmarks(Box::new(points)));
    let drawn = draw(800, 600, &analysis);
    assert!(count(&drawn, CONTOUR) > plain);
    assert!((215..365).all(|x| drawn.pixel(x, 360)[2] > 170), "the jaw is one line");
}

#[test]
fn the_points_of_a_face_mesh_are_fine_dots() {
    let mut face = drawn(&one_face(800, 600).faces[0]);
    face.points =
        (0..468).map(|idx| Point { x: 220.0 + (idx % 26 * 6) as f32, y: 170.0 + (idx / 26 * 9) as f32 }).collect();
    let mut canvas = Canvas::filled(800, 600, [0; 3]);
    draw_points(&mut canvas, &face, &View { factor: 1.0, left: 0.0 }, 1.5);
    let n_painted = canvas.data().chunks_exact(3).filter(|pixel| pixel[0] > 0).count();
    // A dot of this size paints a pixel and its four neighbours.
    assert_eq!(n_painted, 468 * 5);
}

#[test]
fn every_word_we_write_has_letters() {
    let words = Expression::ALL.map(Expression::word).join(" ");
    let names = MEASURED.map(|(name, _)| name).join(" ");
    for letter in
        format!("{words} {names} female # 0123456789 · × − … ± . % ( ) ,").chars().filter(|letter| *letter != ' ')
    {
        assert!(text_width(&letter.to_string(), 20.0) > 0.0);
        let drawn = |letter: char| {
            let mut canvas = Canvas::filled(30, 30, [0; 3]);
            canvas.text((5.0, 20.0), 20.0, [255; 3], &letter.to_string());
            canvas.data().to_vec()
        };
        assert_ne!(drawn(letter), drawn('?'), "`{letter}` is in the font");
    }
}

#[test]
fn what_lies_outside_the_picture_is_left_out() {
    let points = [f32::NAN, f32::INFINITY, -1e30, 1e30, 39.0].map(|x| Point { x, y: x });
    let bounding_box = BoundingBox { left: 30, top: 0, width: 10, height: 30 };
    let drawn = draw(40, 30, &analysis(bounding_box, points));
    assert!(drawn.height() > 480);
}

#[test]
fn a_crowd_is_drawn_with_a_bounded_table() {
    let mut crowd = one_face(900, 300);
    let face = crowd.faces[0].clone();
    crowd.faces = (0..200_u32)
        .map(|idx| {
            let mut face = face.clone();
            let bounding_box = BoundingBox { left: idx % 30 * 30, top: idx / 30 * 40, width: 20, height: 24 };
            face.detection.bounding_box = bounding_box;
            face
        })
        .collect();
    let drawn = draw(900, 300, &crowd);
    assert!(drawn.height() < 1200, "{}", drawn.height());
}

#[test]
fn the_name_says_the_format() {
    let of = |name: &str| PictureFormat::of_name(std::path::Path::new(name));
    assert_eq!(of("a/b.PNG").expect("known"), PictureFormat::Png);
    assert_eq!(of("b.jpeg").expect("known"), PictureFormat::Jpeg);
    assert_eq!(of("b.jpg").expect("known"), PictureFormat::Jpeg);
    for name in ["b.gif", "b", "png", ".png"] {
        let refused = of(name).expect_err("refused");
        assert_eq!(refused.kind(), Kind::InvalidArgument);
        assert!(refused.message().contains(name) && refused.message().contains(".png, .jpg or .jpeg"));
    }
    let drawn = annotate(&grey(800, 600), &RULES, &one_face(800, 600), PictureFormat::Jpeg).expect("draws");
    assert!(drawn.bytes.starts_with(&[0xff, 0xd8, 0xff]));
    assert_eq!(decode(&drawn.bytes, &RULES).expect("is a JPEG").width(), 800);
}

#[test]
fn analysis_of_another_picture_is_refused() {
    let analysis = analysis(BoundingBox { left: 0, top: 0, width: 1, height: 1 }, [Point { x: 0.0, y: 0.0 }; 5]);
    let refused = annotate(&grey(41, 30), &RULES, &analysis, PictureFormat::Png);
    assert_eq!(refused.map(|_| ()).expect_err("refused").kind(), Kind::InvalidArgument);
}
