//! The ROC as a picture. This page says what is drawn where; [`svg`] and [`png`] write it as a file.

use std::path::Path;

use likeness_domain::{Error, Result};

use super::metrics::{FARS, RocPoint, tar_at_far};

mod png;
mod svg;

/// The file formats, chosen by the name of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlotFormat {
    /// Text that scales, legible on light and dark paper.
    Svg,
    /// Pixels.
    Png,
}

impl PlotFormat {
    /// The format that a file's name asks for by its ending: `.png` or `.svg`, in capitals or not.
    pub(crate) fn of_name(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "png" => Ok(Self::Png),
            "svg" => Ok(Self::Svg),
            _ => {
                let name = path.display();
                let message = format!("cannot draw to `{name}`, expected a name that ends with .png or .svg");
                Err(Error::invalid("output", message))
            }
        }
    }
}

/// A file name of a format that can be drawn, for the command line: refused before any work begins.
pub(crate) fn path(text: &str) -> std::result::Result<std::path::PathBuf, String> {
    let path = std::path::PathBuf::from(text);
    PlotFormat::of_name(&path).map(|_| path).map_err(|error| error.message().to_owned())
}

/// Which curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Receiver operating characteristic: true-accept rate over false-accept rate.
    Roc,
    /// Detection error trade-off: false-reject rate over false-accept rate, both logarithmic.
    Det,
}

impl Kind {
    /// Its name.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Kind::Roc => "ROC",
            Kind::Det => "DET",
        }
    }
}

/// What is drawn.
pub(crate) struct Plot<'a> {
    /// Which curve.
    pub(crate) kind: Kind,
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
    /// Points whose intervals are known: a bar along and one upwards.
    pub(crate) measured: &'a [Measured],
    /// Pairs of two people: a FAR below one of them has not been measured.
    pub(crate) n_impostors: usize,
}

/// A point of the curve of all pairs with its 95 % intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    /// False-accept rate.
    pub(crate) far: f64,
    /// True-accept rate.
    pub(crate) tar: f64,
    /// Ends of the interval of the first.
    pub(crate) far_interval: (f64, f64),
    /// Ends of the interval of the second.
    pub(crate) tar_interval: (f64, f64),
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

/// Lowest decade of the false-reject axis of a DET plot: few have photographs enough to show less than 0.1 %.
const FRR_DECADES: i32 = -3;

/// A place on the paper in its own units: right and down from the top left corner, up to [`WIDTH`] and [`HEIGHT`].
type At = (f64, f64);

/// What a thing is, which decides its colour and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Lines of the grid, and finer ones between them.
    Grid,
    Fine,
    /// The curve of all pairs, and those of single folds.
    All,
    Fold,
    /// Bars of intervals.
    Interval,
    /// Texts.
    Title,
    Small,
    Tick,
    Axis,
    Figure,
}

/// Where a text's place is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
    /// In the middle of a text that runs upwards.
    MiddleUpwards,
}

/// A thing on the paper, in the order in which they are painted.
#[derive(Debug, Clone, PartialEq)]
enum Item {
    Line(Class, At, At),
    /// The frame about the curves.
    Frame(At, At),
    Text(Class, At, Anchor, String),
    /// Straight lines from each point to the next, each along or across.
    Steps(Class, Vec<At>),
    /// A ring on the curve of all pairs.
    Mark(At),
}

/// Draws the plot as a file of that format.
pub(crate) fn draw(plot: &Plot<'_>, format: PlotFormat) -> Result<Vec<u8>> {
    let items = layout(plot);
    match format {
        PlotFormat::Svg => Ok(svg::write(plot.title, &items).into_bytes()),
        PlotFormat::Png => png::write(&items),
    }
}

/// Everything that is on the paper. FAR runs on a logarithmic axis, down to what so many impostor pairs can show.
fn layout(plot: &Plot<'_>) -> Vec<Item> {
    let decades = (plot.n_impostors.max(100) as f64).log10().ceil().min(9.0) as i32;
    let far_min = 10f64.powi(-decades);
    let lowest = plot.folds.iter().map(Vec::as_slice).chain([plot.overall]).map(|roc| tar_at_far(roc, far_min));
    let lowest = lowest.chain(plot.measured.iter().map(|point| point.tar_interval.0)).fold(1.0, f64::min);
    let (tar_min, tar_step) = *TAR_AXES.iter().find(|(tar_min, _)| *tar_min <= lowest).unwrap_or(&TAR_AXES[5]);
    let axes = Axes { far_min, tar_min, kind: plot.kind };
    let text = |class, at, anchor, text: &str| Item::Text(class, at, anchor, text.to_owned());

    let mut items = vec![
        text(Class::Title, (LEFT, 36.0), Anchor::Start, plot.title),
        text(Class::Small, (LEFT, 60.0), Anchor::Start, plot.subtitle),
    ];
    for decade in -decades..=0 {
        let far = 10f64.powi(decade);
        for fine in (2..10).filter(|_| decade < 0) {
            let x = axes.x(far * f64::from(fine));
            items.push(Item::Line(Class::Fine, (x, TOP), (x, BOTTOM)));
        }
        let x = axes.x(far);
        items.push(Item::Line(Class::Grid, (x, TOP), (x, BOTTOM)));
        let label = percent(far, (-decade - 2).max(0) as usize);
        items.push(text(Class::Tick, (x, BOTTOM + 20.0), Anchor::Middle, &label));
    }
    match plot.kind {
        Kind::Roc => {
            let n_steps = ((1.0 - tar_min) / tar_step).round() as i32;
            for step in 0..=n_steps {
                let tar = tar_min + f64::from(step) * tar_step;
                let y = axes.y(tar);
                items.push(Item::Line(Class::Grid, (LEFT, y), (RIGHT, y)));
                let label = percent(tar, usize::from(tar_step < 0.01));
                items.push(text(Class::Tick, (LEFT - 10.0, y + 4.0), Anchor::End, &label));
            }
        }
        Kind::Det => {
            for decade in FRR_DECADES..=0 {
                let y = axes.y(1.0 - 10f64.powi(decade));
                items.push(Item::Line(Class::Grid, (LEFT, y), (RIGHT, y)));
                let label = percent(10f64.powi(decade), (-decade - 2).max(0) as usize);
                items.push(text(Class::Tick, (LEFT - 10.0, y + 4.0), Anchor::End, &label));
            }
        }
    }
    items.push(Item::Frame((LEFT, TOP), (RIGHT, BOTTOM)));
    let up_axis = match plot.kind {
        Kind::Roc => "true-accept rate",
        Kind::Det => "false-reject rate (one person taken for two), logarithmic",
    };
    let far_axis = "false-accept rate (strangers taken for one person), logarithmic";
    items.push(text(Class::Axis, ((LEFT + RIGHT) / 2.0, BOTTOM + 48.0), Anchor::Middle, far_axis));
    items.push(text(Class::Axis, (24.0, (TOP + BOTTOM) / 2.0), Anchor::MiddleUpwards, up_axis));

    items.extend(plot.folds.iter().map(|fold| Item::Steps(Class::Fold, axes.steps(fold))));
    items.push(Item::Steps(Class::All, axes.steps(plot.overall)));
    let marks = FARS.into_iter().filter(|&far| far >= far_min);
    items.extend(marks.map(|far| Item::Mark((axes.x(far), axes.y(tar_at_far(plot.overall, far))))));
    for point in plot.measured {
        let (at, (far_low, far_high)) = ((axes.x(point.far), axes.y(point.tar)), point.far_interval);
        let (left, right) = (axes.x(far_low.max(far_min)), axes.x(far_high));
        let (low, high) = (axes.y(point.tar_interval.0), axes.y(point.tar_interval.1));
        items.push(Item::Line(Class::Interval, (left, at.1), (right, at.1)));
        items.push(Item::Line(Class::Interval, (at.0, low), (at.0, high)));
    }
    for (idx, figure) in plot.figures.iter().rev().enumerate() {
        // Where no curve runs: a ROC leaves the lower right corner, a DET curve the upper right one.
        let at = match plot.kind {
            Kind::Roc => (RIGHT - 16.0, BOTTOM - 16.0 - 22.0 * idx as f64),
            Kind::Det => (RIGHT - 16.0, TOP + 28.0 + 22.0 * (plot.figures.len() - 1 - idx) as f64),
        };
        items.push(text(Class::Figure, at, Anchor::End, figure));
    }
    items
}

struct Axes {
    far_min: f64,
    tar_min: f64,
    kind: Kind,
}

impl Axes {
    fn x(&self, far: f64) -> f64 {
        RIGHT - (RIGHT - LEFT) * far.log10() / self.far_min.log10()
    }

    fn y(&self, tar: f64) -> f64 {
        let share = match self.kind {
            Kind::Roc => (tar - self.tar_min) / (1.0 - self.tar_min),
            Kind::Det => {
                let frr = (1.0 - tar).max(10f64.powi(FRR_DECADES));
                1.0 - (frr.log10() - f64::from(FRR_DECADES)) / f64::from(-FRR_DECADES)
            }
        };
        // The better, the higher in a ROC, and the lower in a DET plot.
        let share = if self.kind == Kind::Det { 1.0 - share } else { share };
        BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0)
    }

    /// A staircase: between two measured points nothing is known but that the rates do not fall.
    fn steps(&self, roc: &[RocPoint]) -> Vec<At> {
        let mut y = self.y(tar_at_far(roc, self.far_min));
        let mut steps = vec![(self.x(self.far_min), y)];
        for point in roc.iter().filter(|point| point.far > self.far_min) {
            let next = self.y(point.tar);
            // A level stretch is one step, however many points lie on it.
            if next != y {
                let x = self.x(point.far);
                steps.push((x, y));
                y = next;
                steps.push((x, y));
            }
        }
        steps.push((RIGHT, y));
        steps
    }
}

fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(overall: &[(f64, f64)], n_impostors: usize) -> String {
        let overall: Vec<RocPoint> = overall.iter().map(|&(far, tar)| RocPoint { far, tar }).collect();
        let plot = Plot {
            kind: Kind::Roc,
            title: "a < b",
            subtitle: "",
            figures: &[],
            overall: &overall,
            folds: &[],
            measured: &[],
            n_impostors,
        };
        String::from_utf8(draw(&plot, PlotFormat::Svg).expect("draws")).expect("is text")
    }

    #[test]
    fn the_curve_is_a_staircase_from_edge_to_edge() {
        // 1000 impostors show three decades of FAR, 644 px wide: 0.01 is one third from the left, 0.1 two thirds.
        let drawn = check(&[(0.0, 0.0), (0.0, 0.991), (0.01, 0.995), (0.1, 1.0), (1.0, 1.0)], 1000);
        // TAR 0.99 to 1 is 388 px high: 0.991 at 433.2, 0.995 at 278.
        assert!(drawn.contains(r#"class="all" d="M84.0 433.2H298.7V278.0H513.3V84.0H728.0""#), "{drawn}");
    }

    #[test]
    fn a_det_curve_runs_over_two_logarithmic_axes() {
        let overall = [(0.0, 0.0), (0.0, 0.9), (0.01, 0.99), (1.0, 1.0)];
        let overall: Vec<RocPoint> = overall.iter().map(|&(far, tar)| RocPoint { far, tar }).collect();
        let plot = Plot {
            kind: Kind::Det,
            title: "DET",
            subtitle: "",
            figures: &[],
            overall: &overall,
            folds: &[],
            measured: &[],
            n_impostors: 1000,
        };
        let drawn = String::from_utf8(draw(&plot, PlotFormat::Svg).expect("draws")).expect("is text");
        // Three decades of false rejects on 388 px: 10 % a third from the top, 1 % two thirds, nothing at the bottom.
        assert!(drawn.contains(r#"class="all" d="M84.0 213.3H298.7V342.7H728.0V472.0H728.0""#), "{drawn}");
        assert!(drawn.contains("false-reject rate") && drawn.contains(">10 %<"), "{drawn}");
    }

    #[test]
    fn intervals_are_bars_across_their_point() {
        let overall = [(0.0, 0.0), (0.0, 0.995), (1.0, 1.0)].map(|(far, tar)| RocPoint { far, tar });
        let point = |far_interval| Measured { far: 0.01, tar: 0.995, far_interval, tar_interval: (0.991, 1.0) };
        let lines = |kind, far_interval| {
            let plot = Plot {
                kind,
                title: "ROC",
                subtitle: "",
                figures: &[],
                overall: &overall,
                folds: &[],
                measured: &[point(far_interval)],
                n_impostors: 1000,
            };
            let drawn = String::from_utf8(draw(&plot, PlotFormat::Svg).expect("draws")).expect("is text");
            let bars = drawn.lines().filter(|line| line.contains(r#"class="interval""#));
            bars.map(|line| line.replace(r#"<line class="interval" "#, "")).collect::<Vec<_>>()
        };
        let expected =
            [r#"x1="84.0" y1="278.0" x2="513.3" y2="278.0"/>"#, r#"x1="298.7" y1="433.2" x2="298.7" y2="84.0"/>"#];
        assert_eq!(lines(Kind::Roc, (0.001, 0.1)), expected);
        assert_eq!(lines(Kind::Roc, (0.0, 0.1)), expected, "what is below the axis ends at it");
        // Of 0.5 % false rejects from 0 to 0.9 %: at most a thousandth is at the lower edge.
        let expected =
            [r#"x1="84.0" y1="381.6" x2="513.3" y2="381.6"/>"#, r#"x1="298.7" y1="348.6" x2="298.7" y2="472.0"/>"#];
        assert_eq!(lines(Kind::Det, (0.001, 0.1)), expected);
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

    #[test]
    fn a_png_shows_the_curve_where_the_svg_has_it() {
        let overall = [(0.0, 0.0), (0.0, 0.991), (0.01, 0.995), (0.1, 1.0), (1.0, 1.0)];
        let overall: Vec<RocPoint> = overall.iter().map(|&(far, tar)| RocPoint { far, tar }).collect();
        let figures = ["TAR 99.5 % at FAR 1 %".to_owned()];
        let plot = Plot {
            kind: Kind::Roc,
            title: "ROC",
            subtitle: "",
            figures: &figures,
            overall: &overall,
            folds: &[],
            measured: &[],
            n_impostors: 1000,
        };
        let bytes = draw(&plot, PlotFormat::Png).expect("draws");
        let rules = likeness_wire::native::IMAGE_RULES;
        let picture = likeness_vision::decode::decode(&bytes, &rules).expect("is a PNG");
        assert_eq!((picture.width(), picture.height()), (1520, 1080));
        let is_blue = |x: f64, y: f64| {
            let [red, green, blue] = picture.pixel((2.0 * x) as u32, (2.0 * y) as u32);
            blue > 180 && red < 80 && green < 160
        };
        // On the first and on the second step of the staircase, and beside them.
        assert!(is_blue(150.0, 433.2) && is_blue(400.0, 278.0) && is_blue(298.7, 350.0));
        assert!(!is_blue(150.0, 420.0) && !is_blue(400.0, 290.0) && !is_blue(320.0, 350.0));
        // Letters of the heading and of the figure: dark pixels where there is paper else.
        let n_dark = |from: (u32, u32), to: (u32, u32)| {
            let places = (from.0..to.0).flat_map(|x| (from.1..to.1).map(move |y| (x, y)));
            places.filter(|&(x, y)| picture.pixel(x, y).iter().all(|&value| value < 90)).count()
        };
        assert!(n_dark((168, 40), (260, 76)) > 100, "a heading");
        assert!(n_dark((1000, 880), (1430, 916)) > 200, "a figure");
        assert_eq!(n_dark((800, 40), (1400, 76)), 0, "nothing beside the heading");
    }

    #[test]
    fn the_name_says_the_format_and_another_is_refused() {
        assert_eq!(PlotFormat::of_name(Path::new("a/roc.SVG")).expect("known"), PlotFormat::Svg);
        assert_eq!(PlotFormat::of_name(Path::new("roc.png")).expect("known"), PlotFormat::Png);
        let refused = path("roc.gif").expect_err("refused");
        assert_eq!(refused, "cannot draw to `roc.gif`, expected a name that ends with .png or .svg");
    }
}
