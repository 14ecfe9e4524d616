//! The table below the picture: which number stands for which face, and what was measured of it.

use super::canvas::{Area, Canvas, Color};
use super::font::{CAP_HEIGHT, text_width};
use super::{ACCENT, DOUBT, DrawnFace, INK, tag};

const GROUND: Color = [22, 25, 29];
const TEXT: Color = [232, 234, 237];
const FAINT: Color = [154, 160, 166];
const RULE: Color = [52, 57, 63];

/// Lines as a multiple of the text size, space between columns and at the edges likewise.
const LINE: f32 = 1.6;
const COLUMN_GAP: f32 = 1.5;
const MARGIN: f32 = 1.1;
/// Least text size that is still read without effort, in pixels.
const SIZE_MIN: f32 = 11.0;
/// Rows from which on the table is broken into blocks beside each other, if these fit.
const BLOCK_ROWS: usize = 6;

/// One cell: its text, and whether it is a number (stands right in its column).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) is_number: bool,
    /// One cell a face; empty where it was not measured.
    pub(super) cells: Vec<String>,
}

/// A legend that knows its size.
pub(super) struct Legend {
    /// One line, or one for each part of it where the picture is narrow.
    heading: Vec<String>,
    size: f32,
    layout: Layout,
    /// Pixels it takes below the picture.
    pub(super) height: u32,
}

enum Layout {
    /// Blocks of rows beside each other; widths of the columns.
    Table { columns: Vec<Column>, widths: Vec<f32>, n_blocks: usize, n_rows: usize },
    /// Lines of text, each led by the number of its face where one begins.
    Lines(Vec<(Option<usize>, String)>),
}

impl Legend {
    /// Lays out the legend of `faces` in `width` pixels and at most about `height_max`; what does not fit is counted.
    /// `heading` is in parts that belong on one line if there is room.
    pub(super) fn new(faces: &[DrawnFace], heading: Vec<String>, size: f32, (width, height_max): (f32, f32)) -> Self {
        let columns = columns(faces);
        // The first text size with which all faces are listed, else the one that lists most.
        let mut best: Option<(usize, f32, Layout)> = None;
        for size in [1.0, 0.85, 0.7, 0.6, 0.5].map(|share| size * share).into_iter().filter(|size| *size >= SIZE_MIN) {
            let lines_max = ((height_max / (size * LINE)) as usize).max(12);
            let Some((n_shown, layout)) = table(&columns, faces.len(), size, width, lines_max) else { continue };
            let is_more = best.as_ref().is_none_or(|(most, _, _)| n_shown > *most);
            if is_more {
                best = Some((n_shown, size, layout));
            }
            if n_shown == faces.len() {
                break;
            }
        }
        let (n_shown, size, layout) = best.unwrap_or_else(|| {
            let size = (size * 0.85).max(SIZE_MIN);
            let lines = lines(faces, &columns, size, width, ((height_max / (size * LINE)) as usize).max(12));
            (lines.iter().filter(|(number, _)| number.is_some()).count(), size, Layout::Lines(lines))
        });
        let mut heading = heading;
        if n_shown < faces.len() {
            heading.push(format!("the largest {n_shown} listed"));
        }
        let joined = heading.join(" · ");
        if text_width(&joined, size) + 2.0 * MARGIN * size <= width {
            heading = vec![joined];
        }
        let n_lines = heading.len()
            + match &layout {
                Layout::Table { n_rows: 0, .. } => 0,
                Layout::Table { n_rows, .. } => n_rows + 1,
                Layout::Lines(lines) => lines.len(),
            };
        let height = ((n_lines as f32 * LINE + 1.2 * MARGIN) * size).ceil() as u32;
        Self { heading, size, layout, height }
    }

    /// Draws it from row `top` down.
    pub(super) fn draw(&self, canvas: &mut Canvas, top: u32, faces: &[DrawnFace]) {
        let (size, width) = (self.size, canvas.width() as f32);
        let ground = Area { left: 0.0, top: top as f32, right: width, bottom: canvas.height() as f32 };
        canvas.fill(&ground, 0.0, GROUND, 1.0);
        let left = MARGIN * size;
        // Baselines: capital letters stand in the middle of their line.
        let first = top as f32 + 0.6 * MARGIN * size;
        let baseline = |line: usize| first + (line as f32 + 0.5) * LINE * size + CAP_HEIGHT * size / 2.0;
        for (line, part) in self.heading.iter().enumerate() {
            canvas.text((left, baseline(line)), size, TEXT, &fitted(part, size, width - 2.0 * left));
        }
        let n_above = self.heading.len();
        match &self.layout {
            Layout::Table { columns, widths, n_blocks, n_rows } => {
                let block = widths.iter().sum::<f32>() + COLUMN_GAP * size * (widths.len() - 1) as f32;
                for block_idx in 0..*n_blocks {
                    let block_left = left + block_idx as f32 * (block + 2.0 * COLUMN_GAP * size);
                    let rows = (block_idx * n_rows)..((block_idx + 1) * n_rows).min(faces.len());
                    if rows.is_empty() {
                        break;
                    }
                    let mut column_left = block_left;
                    for (column, &column_width) in columns.iter().zip(widths) {
                        let place = |text: &str| match column.is_number {
                            true => column_left + column_width - text_width(text, size),
                            false => column_left,
                        };
                        canvas.text((place(column.name), baseline(n_above)), size, FAINT, column.name);
                        for (line, row) in rows.clone().enumerate() {
                            let cell = &column.cells[row];
                            if column.name == NUMBER {
                                badge(canvas, (column_left, baseline(n_above + 1 + line)), size, cell, &faces[row]);
                            } else {
                                canvas.text((place(cell), baseline(n_above + 1 + line)), size, TEXT, cell);
                            }
                        }
                        column_left += column_width + COLUMN_GAP * size;
                    }
                    let rule = first + (n_above + 1) as f32 * LINE * size;
                    let rule =
                        Area { left: block_left, top: rule - 0.5, right: block_left + block, bottom: rule + 0.5 };
                    canvas.fill(&rule, 0.0, RULE, 1.0);
                }
            }
            Layout::Lines(lines) => {
                let indent = number_width(faces.len(), size) + 0.7 * size;
                for (line_idx, (number, line)) in lines.iter().enumerate() {
                    let baseline = baseline(n_above + line_idx);
                    if let Some(face_idx) = number {
                        badge(canvas, (left, baseline), size, &(face_idx + 1).to_string(), &faces[*face_idx]);
                    }
                    canvas.text((left + indent, baseline), size, TEXT, line);
                }
            }
        }
    }
}

/// A table and how many faces it shows; `None` if not even one block of columns fits into the width.
fn table(columns: &[Column], n_faces: usize, size: f32, width: f32, lines_max: usize) -> Option<(usize, Layout)> {
    let widths: Vec<f32> = columns.iter().map(|column| column_width(column, size)).collect();
    let block = widths.iter().sum::<f32>() + COLUMN_GAP * size * (widths.len() - 1) as f32;
    let room = width - 2.0 * MARGIN * size;
    if block > room {
        return None;
    }
    let between = 2.0 * COLUMN_GAP * size;
    let n_fitting = (((room + between) / (block + between)) as usize).max(1);
    let n_blocks = n_fitting.min(n_faces.div_ceil(BLOCK_ROWS)).max(1);
    let n_rows = n_faces.div_ceil(n_blocks).min(lines_max);
    let n_shown = n_faces.min(n_blocks * n_rows);
    Some((n_shown, Layout::Table { columns: columns.to_vec(), widths, n_blocks, n_rows }))
}

/// Name of the column of numbers.
const NUMBER: &str = "#";

/// What was measured, a column each; those of which nothing was measured are left out.
pub(super) fn columns(faces: &[DrawnFace]) -> Vec<Column> {
    let number =
        Column { name: NUMBER, is_number: false, cells: (1..=faces.len()).map(|number| number.to_string()).collect() };
    let mut columns = vec![number];
    for (idx, &(name, is_number)) in super::MEASURED.iter().enumerate() {
        let cells: Vec<String> = faces.iter().map(|face| face.measured[idx].clone()).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            columns.push(Column { name, is_number, cells });
        }
    }
    columns
}

fn column_width(column: &Column, size: f32) -> f32 {
    if column.name == NUMBER {
        return number_width(column.cells.len(), size);
    }
    let widths = column.cells.iter().map(|cell| text_width(cell, size));
    widths.fold(text_width(column.name, size), f32::max)
}

/// Width of the widest number on its ground.
fn number_width(n_faces: usize, size: f32) -> f32 {
    text_width(&"0".repeat(n_faces.max(1).to_string().len()), size) + 0.9 * size
}

/// A number on the ground it has in the picture.
fn badge(canvas: &mut Canvas, (left, baseline): (f32, f32), size: f32, number: &str, face: &DrawnFace) {
    let middle = baseline - CAP_HEIGHT * size / 2.0;
    let width = text_width(number, size) + 0.9 * size;
    let area = Area { left, top: middle - 0.65 * size, right: left + width, bottom: middle + 0.65 * size };
    let ground = if face.doubt.is_some() { DOUBT } else { ACCENT };
    canvas.fill(&area, 0.3 * size, ground, 1.0);
    tag(canvas, &area, size, INK, number);
}

/// The same as text, for pictures too narrow for the table.
fn lines(
    faces: &[DrawnFace],
    columns: &[Column],
    size: f32,
    width: f32,
    lines_max: usize,
) -> Vec<(Option<usize>, String)> {
    let room = width - 2.0 * MARGIN * size - number_width(faces.len(), size) - 0.7 * size;
    let mut lines: Vec<(Option<usize>, String)> = Vec::new();
    for face_idx in 0..faces.len() {
        let mut number = Some(face_idx);
        let mut line = String::new();
        for column in columns.iter().filter(|column| column.name != NUMBER && !column.cells[face_idx].is_empty()) {
            let phrase = format!("{} {}", column.name, column.cells[face_idx]);
            let longer = if line.is_empty() { phrase.clone() } else { format!("{line}   {phrase}") };
            if !line.is_empty() && text_width(&longer, size) > room {
                lines.push((number.take(), fitted(&line, size, room)));
                line = phrase;
            } else {
                line = longer;
            }
        }
        lines.push((number.take(), fitted(&line, size, room)));
        if lines.len() >= lines_max {
            break;
        }
    }
    lines
}

/// The beginning of a line that fits, with dots where something was cut.
fn fitted(line: &str, size: f32, room: f32) -> String {
    if text_width(line, size) <= room {
        return line.to_owned();
    }
    let mut shorter: String = line.to_owned();
    while shorter.pop().is_some() && text_width(&shorter, size) + text_width("…", size) > room {}
    shorter + "…"
}
