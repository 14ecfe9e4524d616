//! The ROC as a picture: SVG text, legible on light and dark paper.

use std::fmt::Write;

use super::metrics::{FARS, RocPoint, tar_at_far};

/// What is drawn.
pub(crate) struct Plot<'a> {
    /// Heading.
    pub(crate) title: &'a str,
    /// What was measured, below the heading.
    pub(crate) subtitle: &'a str,
    /// Figures, one a line, written where no curve runs.
    pub(crate) figures: &'a [String],
    /// All pairs together: the bold curve.
    pub(crate) overall: &'a [RocPoint],
    /// Each fold: a faint curve.
    pub(crate) folds: &'a [Vec<RocPoint>],
    /// Pairs of two people: a FAR below one of them has not been measured.
    pub(crate) n_impostors: usize,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 540.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 728.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 472.0;

/// Lower ends of the TAR axis: the highest one that leaves every curve inside is used, so that good systems can be
/// told apart. Ten or fewer steps of the second number fill the axis.
const TAR_AXES: [(f64, f64); 6] = [(0.99, 0.001), (0.98, 0.002), (0.95, 0.005), (0.9, 0.01), (0.5, 0.05), (0.0, 0.1)];

const STYLE: &str = "\
.paper{fill:#ffffff}.grid{stroke:#d8dee4;stroke-width:1}.fine{stroke:#eef1f4;stroke-width:1}.frame{fill:none;stroke:#8b949e}\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#1f2328}.title{font-size:19px;font-weight:600}\
.small{font-size:13px;fill:#59636e}.tick{font-size:12.5px;fill:#59636e}.axis{font-size:14px}.figure{font-size:14px}\
.all{fill:none;stroke:#0969da;stroke-width:2.6;stroke-linejoin:round}.fold{fill:none;stroke:#0969da;stroke-opacity:.35;stroke-width:1.1}\
.mark{fill:#ffffff;stroke:#0969da;stroke-width:2.2}\
@media(prefers-color-scheme:dark){.paper{fill:#0d1117}.grid{stroke:#30363d}.fine{stroke:#1c2128}.frame{stroke:#656c76}\
text{fill:#e6edf3}.small,.tick{fill:#9198a1}.all,.fold,.mark{stroke:#58a6ff}.mark{fill:#0d1117}.fold{stroke-opacity:.6}}";

/// Draws the plot. FAR runs on a logarithmic axis, down to what so many impostor pairs can show.
pub(crate) fn svg(plot: &Plot<'_>) -> String {
    let decades = (plot.n_impostors.max(100) as f64).log10().ceil().min(9.0) as i32;
    let far_min = 10f64.powi(-decades);
    let lowest = plot.folds.iter().map(Vec::as_slice).chain([plot.overall]).map(|roc| tar_at_far(roc, far_min));
    let lowest = lowest.fold(1.0, f64::min);
    let (tar_min, tar_step) = *TAR_AXES.iter().find(|(tar_min, _)| *tar_min <= lowest).unwrap_or(&TAR_AXES[5]);
    let axes = Axes { far_min, tar_min };

    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = out.write_fmt(text);
        out.push('\n');
    };
    line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">"#
    ));
    line(format_args!("<title>{}</title>", escaped(plot.title)));
    line(format_args!("<style>{STYLE}</style>"));
    line(format_args!(r#"<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>"#));
    line(format_args!(r#"<text class="title" x="{LEFT}" y="36">{}</text>"#, escaped(plot.title)));
    line(format_args!(r#"<text class="small" x="{LEFT}" y="60">{}</text>"#, escaped(plot.subtitle)));

    for decade in -decades..=0 {
        let far = 10f64.powi(decade);
        let x = axes.x(far);
        for fine in (2..10).filter(|_| decade < 0) {
            let x = axes.x(far * f64::from(fine));
            line(format_args!(r#"<line class="fine" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{BOTTOM}"/>"#));
        }
        line(format_args!(r#"<line class="grid" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{BOTTOM}"/>"#));
        let (y, label) = (BOTTOM + 20.0, percent(far, (-decade - 2).max(0) as usize));
        line(format_args!(r#"<text class="tick" x="{x:.1}" y="{y}" text-anchor="middle">{label}</text>"#));
    }
    let n_steps = ((1.0 - tar_min) / tar_step).round() as i32;
    for step in 0..=n_steps {
        let tar = tar_min + f64::from(step) * tar_step;
        let y = axes.y(tar);
        line(format_args!(r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/>"#));
        let (x, y, label) = (LEFT - 10.0, y + 4.0, percent(tar, usize::from(tar_step < 0.01)));
        line(format_args!(r#"<text class="tick" x="{x}" y="{y:.1}" text-anchor="end">{label}</text>"#));
    }
    line(format_args!(
        r#"<rect class="frame" x="{LEFT}" y="{TOP}" width="{}" height="{}"/>"#,
        RIGHT - LEFT,
        BOTTOM - TOP
    ));
    let (middle_x, middle_y, below) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0, BOTTOM + 48.0);
    line(format_args!(
        r#"<text class="axis" x="{middle_x}" y="{below}" text-anchor="middle">false-accept rate (strangers taken for one person), logarithmic</text>"#
    ));
    line(format_args!(
        r#"<text class="axis" transform="translate(24 {middle_y}) rotate(-90)" text-anchor="middle">true-accept rate</text>"#
    ));

    for fold in plot.folds {
        line(format_args!(r#"<path class="fold" d="{}"/>"#, axes.path(fold)));
    }
    line(format_args!(r#"<path class="all" d="{}"/>"#, axes.path(plot.overall)));
    for far in FARS.into_iter().filter(|&far| far >= far_min) {
        let (x, y) = (axes.x(far), axes.y(tar_at_far(plot.overall, far)));
        line(format_args!(r#"<circle class="mark" cx="{x:.1}" cy="{y:.1}" r="4.5"/>"#));
    }
    for (idx, figure) in plot.figures.iter().rev().enumerate() {
        let (x, y) = (RIGHT - 16.0, BOTTOM - 16.0 - 22.0 * idx as f64);
        line(format_args!(r#"<text class="figure" x="{x}" y="{y}" text-anchor="end">{}</text>"#, escaped(figure)));
    }
    out.push_str("</svg>\n");
    out
}

struct Axes {
    far_min: f64,
    tar_min: f64,
}

impl Axes {
    fn x(&self, far: f64) -> f64 {
        RIGHT - (RIGHT - LEFT) * far.log10() / self.far_min.log10()
    }

    fn y(&self, tar: f64) -> f64 {
        let share = (tar - self.tar_min) / (1.0 - self.tar_min);
        BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0)
    }

    /// A staircase: between two measured points nothing is known but that the rates do not fall.
    fn path(&self, roc: &[RocPoint]) -> String {
        let mut y = self.y(tar_at_far(roc, self.far_min));
        let mut path = format!("M{:.1} {y:.1}", self.x(self.far_min));
        for point in roc.iter().filter(|point| point.far > self.far_min) {
            let next = self.y(point.tar);
            let _ = write!(path, "H{:.1}", self.x(point.far));
            if next != y {
                y = next;
                let _ = write!(path, "V{y:.1}");
            }
        }
        let _ = write!(path, "H{RIGHT}");
        path
    }
}

fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", share * 100.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(overall: &[(f64, f64)], n_impostors: usize) -> String {
        let overall: Vec<RocPoint> = overall.iter().map(|&(far, tar)| RocPoint { far, tar }).collect();
        svg(&Plot { title: "a < b", subtitle: "", figures: &[], overall: &overall, folds: &[], n_impostors })
    }

    #[test]
    fn the_curve_is_a_staircase_from_edge_to_edge() {
        // 1000 impostors show three decades of FAR, 644 px wide: 0.01 is one third from the left, 0.1 two thirds.
        let drawn = check(&[(0.0, 0.0), (0.0, 0.991), (0.01, 0.995), (0.1, 1.0), (1.0, 1.0)], 1000);
        // TAR 0.99 to 1 is 388 px high: 0.991 at 433.2, 0.995 at 278.
        assert!(drawn.contains(r#"class="all" d="M84.0 433.2H298.7V278.0H513.3V84.0H728.0H728""#), "{drawn}");
    }

    #[test]
    fn the_axis_reaches_down_to_the_lowest_curve() {
        assert!(check(&[(0.0, 0.0), (0.0, 0.96), (1.0, 1.0)], 1000).contains("95.0 %"));
        assert!(check(&[(0.0, 0.0), (1.0, 1.0)], 1000).contains(">10 %<"));
    }

    #[test]
    fn text_cannot_break_the_markup() {
        assert!(check(&[(0.0, 0.0), (1.0, 1.0)], 10).contains("a &lt; b"));
    }
}
