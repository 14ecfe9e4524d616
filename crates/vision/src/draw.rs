//! A photograph with what was found drawn on it, for people who want to see.
//!
//! [`annotate`] is the whole job. Each face gets a box, its points and a numbered label; what was measured stands in a
//! table below the picture. [`Canvas`] is the drawing itself, of use for other pictures too; [`labels`] decides where
//! labels go; [`legend`] is the table.

use likeness_domain::ports::{Analysis, AnalyzedFace, Doubt, ImageRules};
use likeness_domain::types::{DenseLandmarks, Point};
use likeness_domain::{Error, Result};

use self::canvas::{Area, Canvas, Color, Stroke};
use self::labels::{Label, Room};
use self::legend::Legend;
use crate::decode::decode;

pub use self::font::{CAP_HEIGHT, text_width};
pub use self::format::PictureFormat;

pub mod canvas;
mod font;
mod format;
mod labels;
mod legend;

#[cfg(test)]
mod tests;

/// Boxes and labels of faces.
const ACCENT: Color = [64, 224, 168];
/// Those of faces that are in doubt.
const DOUBT: Color = [255, 176, 32];
/// Letters on either, and the thin shadow that keeps light lines visible on light pictures.
const INK: Color = [12, 16, 20];
/// The five points.
const POINT: Color = [255, 92, 92];
/// Lines and dots of dense landmarks.
const CONTOUR: Color = [255, 255, 255];

/// Smaller pictures are enlarged by a whole number until their longer side has so many pixels, so that letters fit.
const LONGER_SIDE_MIN: u32 = 640;
/// Least width of the whole, for the table, in pixels.
const WIDTH_MIN: u32 = 280;
/// Least text size in pixels.
const TEXT_MIN: f32 = 12.0;

/// Least side of a face whose dense landmarks are also dots, in pixels of the drawn picture.
const DOTS_SIDE_MIN: f32 = 110.0;

/// From more faces than this on, labels are numbers only.
const CROWD_MIN: usize = 20;

/// What the table says of each face: name, and whether it is a number.
const MEASURED: [(&str, bool); 11] = [
    ("score", true),
    ("size", true),
    ("quality", true),
    ("yaw", true),
    ("pitch", true),
    ("roll", true),
    ("age", true),
    ("gender", false),
    ("expression", false),
    ("live", true),
    ("doubt", false),
];

/// What is drawn of a face; coordinates in pixels of the photograph.
struct DrawnFace {
    area: Area,
    points: Vec<Point>,
    dense: Option<DenseLandmarks>,
    score: f32,
    /// Why it may be no face.
    doubt: Option<String>,
    /// In the order of [`MEASURED`]; empty where it was not measured.
    measured: [String; 11],
}

/// A drawn photograph.
pub struct Annotated {
    /// The file.
    pub bytes: Vec<u8>,
    /// How many times the photograph was enlarged; 1 for all but small ones.
    pub factor: u32,
}

/// Decodes `image` and gives it back with a box, points and a numbered label for every face of `analysis`, which must
/// come from the same image, and with a table of what was measured below it. Faces in doubt are dashed and have another
/// colour. Small photographs are enlarged by a whole number.
pub fn annotate(image: &[u8], rules: &ImageRules, analysis: &Analysis, format: PictureFormat) -> Result<Annotated> {
    let picture = decode(image, rules)?;
    if (picture.width(), picture.height()) != (analysis.image_width, analysis.image_height) {
        return Err(Error::invalid("analysis", "`analysis` is of an image with other sides"));
    }
    let faces: Vec<DrawnFace> = analysis.faces.iter().map(drawn).collect();
    let (width, height) = (picture.width(), picture.height());
    let factor = LONGER_SIDE_MIN.div_ceil(width.max(height)).max(1);
    let (shown_width, shown_height) = (width * factor, height * factor);
    let size = (shown_width.max(shown_height) as f32 / 62.0).max(TEXT_MIN);

    let whole_width = shown_width.max(WIDTH_MIN);
    let heading = heading(&faces, width, height);
    let legend = Legend::new(&faces, heading, size, (whole_width as f32, shown_height as f32));
    let mut canvas = Canvas::filled(whole_width, shown_height + legend.height, INK);
    let left = (whole_width - shown_width) / 2;
    canvas.place(&picture, factor, left);
    drop(picture);
    let view = View { factor: factor as f32, left: left as f32 };
    let bounds = Area::at(left as f32, 0.0, shown_width as f32, shown_height as f32);
    draw_faces(&mut canvas, &faces, &view, bounds, size);
    legend.draw(&mut canvas, shown_height, &faces);
    Ok(Annotated { bytes: canvas.encoded(format)?, factor })
}

/// Where the photograph lies on the canvas.
struct View {
    factor: f32,
    left: f32,
}

impl View {
    fn area(&self, area: &Area) -> Area {
        let Area { left, top, right, bottom } = *area;
        let (left, right) = (left * self.factor + self.left, right * self.factor + self.left);
        Area { left, top: top * self.factor, right, bottom: bottom * self.factor }
    }

    /// A point whose whole numbers are centres of pixels.
    fn point(&self, point: &Point) -> (f32, f32) {
        ((point.x + 0.5) * self.factor + self.left, (point.y + 0.5) * self.factor)
    }
}

fn draw_faces(canvas: &mut Canvas, faces: &[DrawnFace], view: &View, bounds: Area, size: f32) {
    let line = (size / 9.0).max(1.25);
    for face in faces {
        draw_points(canvas, face, view, line);
    }
    for face in faces {
        draw_box(canvas, face, view, line);
    }
    // In a crowd labels are smaller, so that they hide less.
    let mut heights: Vec<f32> = faces.iter().map(|face| view.area(&face.area).height()).collect();
    heights.sort_by(f32::total_cmp);
    let median = heights.get(heights.len() / 2).copied().unwrap_or(size);
    let size = size.min((median * 0.3).max(size * 0.6)).max(TEXT_MIN);
    let wordings = |(face_idx, face): (usize, &DrawnFace)| {
        let number = (face_idx + 1).to_string();
        let with_score = format!("{number} · {:.2}", face.score);
        if faces.len() > CROWD_MIN { vec![number] } else { vec![with_score, number] }
    };
    let wordings: Vec<Vec<String>> = faces.iter().enumerate().map(wordings).collect();
    let padding = 0.9 * size;
    let label = |(face, wordings): (&DrawnFace, &Vec<String>)| Label {
        face: view.area(&face.area),
        widths: wordings.iter().map(|wording| text_width(wording, size) + padding).collect(),
    };
    let labels: Vec<Label> = faces.iter().zip(&wordings).map(label).collect();
    let room = Room { bounds: bounds.grown(-1.0), height: 1.4 * size, gap: (line * 2.0).max(3.0) };
    for ((placed, face), wordings) in labels::place(&labels, &room).into_iter().zip(faces).zip(&wordings) {
        let Some(placed) = placed else { continue };
        let color = face_color(face);
        if placed.is_apart {
            let (from, to) = nearest_points(&placed.area, &view.area(&face.area));
            canvas.line(from, to, Stroke { color: INK, width: line + 2.0, alpha: 0.45 });
            canvas.line(from, to, Stroke { color, width: line, alpha: 1.0 });
        }
        canvas.fill(&placed.area.grown(1.0), 0.35 * size + 1.0, INK, 0.45);
        canvas.fill(&placed.area, 0.35 * size, color, 1.0);
        tag(canvas, &placed.area, size, INK, &wordings[placed.wording]);
    }
}

fn face_color(face: &DrawnFace) -> Color {
    if face.doubt.is_some() { DOUBT } else { ACCENT }
}

fn draw_box(canvas: &mut Canvas, face: &DrawnFace, view: &View, line: f32) {
    let area = view.area(&face.area);
    let radius = (area.width().min(area.height()) * 0.06).min(line * 5.0);
    let shadow = Stroke { color: INK, width: line + 2.0, alpha: 0.45 };
    let stroke = Stroke { color: face_color(face), width: line, alpha: 1.0 };
    if face.doubt.is_some() {
        canvas.dashed(&area, line * 5.0, shadow);
        canvas.dashed(&area, line * 5.0, stroke);
    } else {
        canvas.outline(&area, radius, shadow);
        canvas.outline(&area, radius, stroke);
    }
}

fn draw_points(canvas: &mut Canvas, face: &DrawnFace, view: &View, line: f32) {
    // Points shrink with the face, so that they do not hide it.
    let side = view.area(&face.area).width().min(view.area(&face.area).height());
    let radius = (side / 45.0).min(line * 1.4).max(1.0);
    if let Some(dense) = &face.dense {
        let width = (side / 110.0).min(line * 0.7).max(0.6);
        for (contour, is_closed) in contours(dense) {
            let mut points: Vec<(f32, f32)> = contour.iter().map(|point| view.point(point)).collect();
            if is_closed {
                points.extend(points.first().copied());
            }
            canvas.polyline(&points, Stroke { color: INK, width: width + 1.5, alpha: 0.45 });
            canvas.polyline(&points, Stroke { color: CONTOUR, width, alpha: 0.9 });
        }
        // On a small face dots would run into each other.
        for point in dense.0.iter().filter(|_| side >= DOTS_SIDE_MIN) {
            canvas.dot(view.point(point), (radius * 0.6).max(0.8), CONTOUR, 1.0);
        }
    }
    if face.points.len() > 5 {
        for point in &face.points {
            canvas.dot(view.point(point), (radius * 0.35).max(0.5), CONTOUR, 0.8);
        }
    } else {
        for point in &face.points {
            canvas.dot(view.point(point), radius + 1.0, INK, 0.45);
            canvas.dot(view.point(point), radius, POINT, 1.0);
        }
    }
}

/// The lines of 68 landmarks, and whether each returns to its start.
fn contours(dense: &DenseLandmarks) -> [(&[Point], bool); 9] {
    let (brows, nose, eyes, mouth) = (dense.eyebrows(), dense.nose(), dense.eyes(), dense.mouth());
    [
        (dense.jaw(), false),
        (&brows[..5], false),
        (&brows[5..], false),
        (&nose[..4], false),
        (&nose[4..], false),
        (&eyes[..6], true),
        (&eyes[6..], true),
        (&mouth[..12], true),
        (&mouth[12..], true),
    ]
}

/// Writes a word into the middle of its ground.
fn tag(canvas: &mut Canvas, ground: &Area, size: f32, color: Color, text: &str) {
    let left = (ground.left + ground.right - text_width(text, size)) / 2.0;
    let baseline = (ground.top + ground.bottom) / 2.0 + CAP_HEIGHT * size / 2.0;
    canvas.text((left, baseline), size, color, text);
}

/// The ends of the shortest line between two areas that lie apart.
fn nearest_points(a: &Area, b: &Area) -> ((f32, f32), (f32, f32)) {
    // On each axis: the facing edges, or the middle of the stretch they share.
    let axis = |a: (f32, f32), b: (f32, f32)| {
        if a.1 < b.0 {
            (a.1, b.0)
        } else if b.1 < a.0 {
            (a.0, b.1)
        } else {
            let middle = (a.0.max(b.0) + a.1.min(b.1)) / 2.0;
            (middle, middle)
        }
    };
    let (x, y) = (axis((a.left, a.right), (b.left, b.right)), axis((a.top, a.bottom), (b.top, b.bottom)));
    ((x.0, y.0), (x.1, y.1))
}

/// Above the table: how many faces there are, and what is dashed.
fn heading(faces: &[DrawnFace], width: u32, height: u32) -> Vec<String> {
    let found = match faces.len() {
        0 => "No face".to_owned(),
        1 => "1 face".to_owned(),
        n_faces => format!("{n_faces} faces"),
    };
    let doubtful = faces.iter().filter(|face| face.doubt.is_some()).count();
    let doubtful = (doubtful > 0).then(|| format!("{doubtful} in doubt (dashed)"));
    let picture = format!("picture of {width} × {height} pixels");
    [Some(found), doubtful, Some(picture)].into_iter().flatten().collect()
}

fn drawn(face: &AnalyzedFace) -> DrawnFace {
    let place = face.detection.bounding_box;
    let found = &face.assessment;
    // Rounded down, so that a presence just below the least one is not printed as that.
    let presence = |doubt: Doubt| signed((doubt.presence * 10.0).floor() / 10.0, 1);
    let doubt =
        face.doubt.map(|doubt| format!("presence {}, least {}", presence(doubt), signed(doubt.presence_min, 1)));
    let number = |value: Option<f32>, decimals: usize| value.map(|value| signed(value, decimals)).unwrap_or_default();
    let gender = found.gender.map(|gender| {
        let (word, probability) =
            if gender.male >= 0.5 { ("male", gender.male) } else { ("female", 1.0 - gender.male) };
        format!("{word} {probability:.2}")
    });
    let expression = found.expression.map(|expressions| {
        let (strongest, probability) = expressions.strongest();
        format!("{} {probability:.2}", strongest.word())
    });
    DrawnFace {
        area: Area::at(place.left as f32, place.top as f32, place.width as f32, place.height as f32),
        points: found.mesh.as_ref().map_or_else(|| face.detection.landmarks.0.to_vec(), |mesh| mesh.0.to_vec()),
        dense: found.landmarks.clone(),
        score: face.detection.score,
        measured: [
            format!("{:.2}", face.detection.score),
            format!("{} × {}", place.width, place.height),
            number(face.quality.total, 2),
            number(found.pose.map(|pose| pose.yaw), 0),
            number(found.pose.map(|pose| pose.pitch), 0),
            number(found.pose.map(|pose| pose.roll), 0),
            number(found.age, 0),
            gender.unwrap_or_default(),
            expression.unwrap_or_default(),
            number(found.liveness, 2),
            doubt.clone().unwrap_or_default(),
        ],
        doubt,
    }
}

/// A number with a minus sign of its own width; what rounds to zero has none.
fn signed(value: f32, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.')) => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}
