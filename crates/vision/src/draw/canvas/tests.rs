use super::*;

const WHITE: Color = [255; 3];

fn black(width: u32, height: u32) -> Canvas {
    Canvas::filled(width, height, [0; 3])
}

fn row(canvas: &Canvas, y: u32) -> Vec<u8> {
    (0..canvas.width()).map(|x| canvas.pixel(x, y)[0]).collect()
}

#[test]
fn an_edge_between_pixels_is_smooth() {
    let mut canvas = black(5, 3);
    canvas.fill(&Area { left: 1.5, top: 0.0, right: 4.0, bottom: 3.0 }, 0.0, WHITE, 1.0);
    assert_eq!(row(&canvas, 1), [0, 128, 255, 255, 0]);
}

#[test]
fn a_line_is_as_wide_as_it_says() {
    let mut canvas = black(7, 3);
    canvas.line((3.5, -5.0), (3.5, 5.0), Stroke { color: WHITE, width: 3.0, alpha: 1.0 });
    // Not near enough to the canvas: left out whole.
    assert_eq!(row(&canvas, 1), [0; 7]);
    canvas.line((3.5, 0.0), (3.5, 3.0), Stroke { color: WHITE, width: 3.0, alpha: 1.0 });
    assert_eq!(row(&canvas, 1), [0, 0, 255, 255, 255, 0, 0]);
}

#[test]
fn an_outline_leaves_the_inside_alone() {
    let mut canvas = black(20, 20);
    let stroke = Stroke { color: WHITE, width: 2.0, alpha: 1.0 };
    canvas.outline(&Area { left: 4.0, top: 4.0, right: 16.0, bottom: 16.0 }, 0.0, stroke);
    let mut expected = [0; 20];
    expected[3..5].fill(255);
    expected[15..17].fill(255);
    assert_eq!(row(&canvas, 10), expected);
    expected[3..17].fill(255);
    assert_eq!(row(&canvas, 4)[4..16], expected[4..16]);
}

#[test]
fn dashes_begin_and_end_at_the_corners() {
    let mut canvas = black(60, 60);
    let stroke = Stroke { color: WHITE, width: 1.0, alpha: 1.0 };
    canvas.dashed(&Area { left: 5.5, top: 5.5, right: 55.5, bottom: 55.5 }, 10.0, stroke);
    let drawn = row(&canvas, 5);
    assert_eq!((drawn[5], drawn[20], drawn[30], drawn[55]), (255, 0, 255, 255), "{drawn:?}");
}

#[test]
fn points_that_are_no_numbers_or_far_away_draw_nothing() {
    let mut canvas = black(9, 9);
    for coordinate in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30] {
        canvas.dot((coordinate, 4.5), 2.0, WHITE, 1.0);
        canvas.line((4.5, 4.5), (4.5, coordinate), Stroke { color: WHITE, width: 1.0, alpha: 1.0 });
    }
    assert!(canvas.data().iter().all(|&level| level == 0));
}

#[test]
fn a_picture_is_enlarged_with_smooth_steps() {
    let picture = RgbImage::new(2, 1, vec![0, 0, 0, 200, 200, 200]).expect("two pixels");
    let mut canvas = black(6, 2);
    canvas.place(&picture, 2, 1);
    assert_eq!(row(&canvas, 0), [0, 0, 50, 150, 200, 0]);
    assert_eq!(row(&canvas, 0), row(&canvas, 1));
}

#[test]
fn letters_are_drawn_upright_and_upwards() {
    let ink = |canvas: &Canvas, area: Area| {
        let inside = |x: u32, y: u32| area.contains(&Area::at(x as f32, y as f32, 1.0, 1.0));
        let pixels = (0..canvas.height()).flat_map(|y| (0..canvas.width()).map(move |x| (x, y)));
        pixels.filter(|&(x, y)| inside(x, y)).map(|(x, y)| u32::from(canvas.pixel(x, y)[0])).sum::<u32>()
    };
    let whole = Area::at(0.0, 0.0, 60.0, 60.0);
    let mut upright = black(60, 60);
    upright.text((10.0, 40.0), 20.0, WHITE, "LL");
    let mut upwards = black(60, 60);
    upwards.text_upwards((40.0, 50.0), 20.0, WHITE, "LL");
    let drawn = ink(&upright, whole);
    assert!(drawn > 0 && drawn == ink(&upwards, whole));
    // Letters without descenders stand on their line and are as high as capitals.
    let height = crate::draw::CAP_HEIGHT * 20.0 + 1.0;
    assert_eq!(ink(&upright, Area { left: 10.0, top: 40.0 - height, right: 60.0, bottom: 40.0 }), drawn);
    assert_eq!(ink(&upwards, Area { left: 40.0 - height, top: 0.0, right: 40.0, bottom: 50.0 }), drawn);
    // The foot of an L is a row along the line.
    assert!((11..20).any(|x| upright.pixel(x, 38)[0] > 200));
}
