use std::io::Cursor;

use likeness_domain::Kind;
use likeness_domain::limits::IMAGE_BYTES_MAX;
use likeness_domain::ports::ImageFormats;
use likeness_domain::types::{
    Assessment, BoundingBox, DenseLandmarks, Detection, Expression, Landmarks, Point, Pose, Quality,
};

use super::*;

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
    let face =
        AnalyzedFace { detection, template: None, quality: Quality::default(), assessment: Assessment::default() };
    Analysis { image_width: 40, image_height: 30, faces: vec![face] }
}

/// What was drawn, one letter per pixel: box and ground `#`, points `o`, landmarks `+`, text `t`.
fn picture_of(png: &[u8]) -> String {
    let image = decode(png, &RULES).expect("is a PNG");
    let letter = |x, y| match image.pixel(x, y) {
        BOX_COLOR => '#',
        POINT_COLOR => 'o',
        LANDMARK_COLOR => '+',
        TEXT_COLOR => 't',
        _ => '.',
    };
    let row = |y| (0..image.width()).map(|x| letter(x, y)).collect::<String>();
    (0..image.height()).map(|y| row(y).trim_end_matches('.').to_owned() + "\n").collect()
}

#[test]
fn box_points_and_score_are_drawn() {
    let points = [(14, 12), (22, 12), (18, 16), (14, 20), (22, 20)];
    let points = points.map(|(x, y)| Point { x: x as f32, y: y as f32 });
    let png =
        annotate(&grey(40, 30), &RULES, &analysis(BoundingBox { left: 10, top: 9, width: 18, height: 16 }, points));
    expect_test::expect![[r#"


        ..........#################
        ..........#ttt######t##ttt#
        ..........#t#t#####tt####t#
        ..........#t#t######t###t##
        ..........#t#t######t###t##
        ..........#ttt##t##ttt##t##
        ..........#################
        ..........##################
        ..........#................#
        ..........#..ooo.....ooo...#
        ..........#..ooo.....ooo...#
        ..........#..ooo.....ooo...#
        ..........#................#
        ..........#......ooo.......#
        ..........#......ooo.......#
        ..........#......ooo.......#
        ..........#................#
        ..........#..ooo.....ooo...#
        ..........#..ooo.....ooo...#
        ..........#..ooo.....ooo...#
        ..........#................#
        ..........#................#
        ..........##################





    "#]]
    .assert_eq(&picture_of(&png.expect("draws")));
}

#[test]
fn what_was_measured_is_written_below_the_box() {
    let mut analysis = analysis(BoundingBox { left: 0, top: 0, width: 10, height: 10 }, [Point { x: 3., y: 3. }; 5]);
    let face = &mut analysis.faces[0];
    face.assessment.pose = Some(Pose { yaw: -12.4, pitch: 0.2, roll: 3.0 });
    face.assessment.liveness = Some(0.97);
    face.assessment.landmarks = Some(DenseLandmarks(Box::new([Point { x: 35.0, y: 2.0 }; 68])));
    assert_eq!(words(face), ["yaw -12 pitch 0 roll 3", "live 0.97"]);
    let drawn = picture_of(&annotate(&grey(40, 30), &RULES, &analysis).expect("draws"));
    let lines: Vec<&str> = drawn.lines().collect();
    expect_test::expect![[r#"
        ########################################
        #t#t##t##t#t##########t##ttt#####tt##ttt
        #t#t#t#t#t#t#########tt####t#####t#t##t#
        ##t##ttt#ttt#####ttt##t##ttt#####tt###t#
        ##t##t#t#ttt##########t##t#######t####t#
        ##t##t#t#t#t#########ttt#ttt#####t###ttt
        ########################################
    "#]]
    .assert_eq(&(lines[10..17].join("\n") + "\n"));
    assert_eq!(lines[18], "#t###ttt#t#t#ttt#####ttt#####ttt#ttt#");
    assert_eq!(&lines[2][35..36], "+", "a landmark");
}

#[test]
fn every_word_we_write_has_letters() {
    let blank = |text: &str| text.bytes().filter(|&letter| letter != b' ' && font::rows(letter) == [0; 5]).count();
    let words = Expression::ALL.map(Expression::word).join(" ");
    assert_eq!(blank(&format!("{words} age male female yaw pitch roll quality live -0123456789.")), 0);
}

#[test]
fn what_lies_outside_the_picture_is_left_out() {
    let points = [f32::NAN, f32::INFINITY, -1e30, 1e30, 39.0].map(|x| Point { x, y: x });
    let bounding_box = BoundingBox { left: 30, top: 0, width: 10, height: 30 };
    let png = annotate(&grey(40, 30), &RULES, &analysis(bounding_box, points)).expect("draws");
    assert!(picture_of(&png).contains('o'), "the point at the corner is there");
}

#[test]
fn analysis_of_another_picture_is_refused() {
    let analysis = analysis(BoundingBox { left: 0, top: 0, width: 1, height: 1 }, [Point { x: 0.0, y: 0.0 }; 5]);
    assert_eq!(annotate(&grey(41, 30), &RULES, &analysis).expect_err("refused").kind(), Kind::InvalidArgument);
}
