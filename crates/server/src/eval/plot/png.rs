//! The plot as a PNG picture on white paper.

use likeness_domain::Result;
use likeness_vision::draw::canvas::{Area, Canvas, Color, Stroke};
use likeness_vision::draw::{PictureFormat, text_width};

use super::{Anchor, At, Class, HEIGHT, Item, WIDTH};

/// Pixels per unit of the paper, so that thin lines and small letters are sharp.
const SCALE: f32 = 2.0;

const PAPER: Color = [0xff, 0xff, 0xff];
const INK: Color = [0x1f, 0x23, 0x28];
const FAINT_INK: Color = [0x59, 0x63, 0x6e];
const CURVE: Color = [0x09, 0x69, 0xda];

/// The file's bytes.
pub(super) fn write(items: &[Item]) -> Result<Vec<u8>> {
    let mut canvas = Canvas::filled((WIDTH as f32 * SCALE) as u32, (HEIGHT as f32 * SCALE) as u32, PAPER);
    for item in items {
        match item {
            Item::Line(class, from, to) => canvas.line(pixel(*from), pixel(*to), stroke(*class)),
            Item::Frame(from, to) => {
                let ((left, top), (right, bottom)) = (pixel(*from), pixel(*to));
                let stroke = Stroke { color: [0x8b, 0x94, 0x9e], width: SCALE, alpha: 1.0 };
                canvas.outline(&Area { left, top, right, bottom }, 0.0, stroke);
            }
            Item::Text(class, at, anchor, text) => write_text(&mut canvas, *class, pixel(*at), *anchor, text),
            Item::Steps(class, steps) => {
                let pixels: Vec<_> = steps.iter().map(|&at| pixel(at)).collect();
                canvas.polyline(&pixels, stroke(*class));
            }
            Item::Mark(at) => {
                canvas.dot(pixel(*at), 5.6 * SCALE, CURVE, 1.0);
                canvas.dot(pixel(*at), 3.4 * SCALE, PAPER, 1.0);
            }
        }
    }
    canvas.encoded(PictureFormat::Png)
}

fn pixel((x, y): At) -> (f32, f32) {
    (x as f32 * SCALE, y as f32 * SCALE)
}

fn stroke(class: Class) -> Stroke {
    let (color, width) = match class {
        Class::Fine => ([0xee, 0xf1, 0xf4], 1.0),
        Class::All => (CURVE, 2.6),
        // The colour of the curve at a third of its strength.
        Class::Fold => ([0xa9, 0xcb, 0xf2], 1.1),
        Class::Interval => (INK, 1.4),
        _ => ([0xd8, 0xde, 0xe4], 1.0),
    };
    Stroke { color, width: width * SCALE, alpha: 1.0 }
}

fn write_text(canvas: &mut Canvas, class: Class, (x, y): (f32, f32), anchor: Anchor, text: &str) {
    let (size, color) = match class {
        Class::Title => (19.0, INK),
        Class::Small => (13.0, FAINT_INK),
        Class::Tick => (12.5, FAINT_INK),
        _ => (14.0, INK),
    };
    let size = size * SCALE;
    let width = text_width(text, size);
    match anchor {
        Anchor::Start => canvas.text((x, y), size, color, text),
        Anchor::Middle => canvas.text((x - width / 2.0, y), size, color, text),
        Anchor::End => canvas.text((x - width, y), size, color, text),
        Anchor::MiddleUpwards => canvas.text_upwards((x, y + width / 2.0), size, color, text),
    }
}
