//! Text in the embedded font, Inter Medium (SIL Open Font License 1.1, `assets/inter/OFL.txt`), Latin letters only.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontRef, Glyph, PxScale, ScaleFont as _, point};

use super::canvas::{Canvas, Color};

static INTER: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/inter/Inter-Medium.ttf")).expect("the embedded font is whole")
});

/// Height of a capital letter and of a digit as a share of the text size.
pub const CAP_HEIGHT: f32 = 0.727;

/// ab_glyph scales by ascent minus descent; sizes here are those of the em square, as everywhere else in typography.
fn scale(size: f32) -> PxScale {
    let em = INTER.units_per_em().unwrap_or(2048.0);
    PxScale::from(size * INTER.height_unscaled() / em)
}

/// The letter shown for a character: `?` where the font has none.
fn shown(letter: char) -> char {
    if INTER.glyph_id(letter).0 == 0 { '?' } else { letter }
}

/// Width of one line of text in pixels.
pub fn text_width(text: &str, size: f32) -> f32 {
    let font = INTER.as_scaled(scale(size));
    text.chars().map(|letter| font.h_advance(font.glyph_id(shown(letter)))).sum()
}

impl Canvas {
    /// Writes one line whose first letter starts at `left` and whose letters stand on `baseline`.
    pub fn text(&mut self, (left, baseline): (f32, f32), size: f32, color: Color, text: &str) {
        self.glyphs(text, size, color, (left, baseline), |along, above| (along, -above));
    }

    /// Writes one line upwards, as the name of a vertical axis: it starts at `bottom` and stands on the column
    /// `baseline`.
    pub fn text_upwards(&mut self, (baseline, bottom): (f32, f32), size: f32, color: Color, text: &str) {
        self.glyphs(text, size, color, (baseline, bottom), |along, above| (-above, -along));
    }

    /// `place` maps a distance along the line and above its baseline to a step right and down from `origin`.
    fn glyphs(
        &mut self,
        text: &str,
        size: f32,
        color: Color,
        origin: (f32, f32),
        place: impl Fn(f32, f32) -> (f32, f32),
    ) {
        let scale = scale(size);
        let font = INTER.as_scaled(scale);
        // Turned letters are drawn from the raster of upright ones, so both are placed on whole pixels.
        let (origin_x, origin_y) = (origin.0.round(), origin.1.round());
        let mut along = 0.0;
        for letter in text.chars() {
            let id = font.glyph_id(shown(letter));
            let glyph: Glyph = id.with_scale_and_position(scale, point(along, 0.0));
            if let Some(outline) = INTER.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                outline.draw(|x, y, coverage| {
                    let (right, above) = (bounds.min.x + x as f32 + 0.5, -(bounds.min.y + y as f32 + 0.5));
                    let (dx, dy) = place(right, above);
                    self.blend((origin_x + dx).floor() as i64, (origin_y + dy).floor() as i64, color, coverage);
                });
            }
            along += font.h_advance(id);
        }
    }
}
