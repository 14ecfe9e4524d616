//! The plot as SVG text.

use std::fmt::Write;

use super::{Anchor, At, BOTTOM, Class, HEIGHT, Item, LEFT, RIGHT, TOP, WIDTH};

const STYLE: &str = "\
.paper{fill:#ffffff}.grid{stroke:#d8dee4;stroke-width:1}.fine{stroke:#eef1f4;stroke-width:1}.frame{fill:none;stroke:#8b949e}\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#1f2328}.title{font-size:19px;font-weight:600}\
.small{font-size:13px;fill:#59636e}.tick{font-size:12.5px;fill:#59636e}.axis{font-size:14px}.figure{font-size:14px}\
.all{fill:none;stroke:#0969da;stroke-width:2.6;stroke-linejoin:round}.fold{fill:none;stroke:#0969da;stroke-opacity:.35;stroke-width:1.1}\
.interval{stroke:#1f2328;stroke-width:1.4}.mark{fill:#ffffff;stroke:#0969da;stroke-width:2.2}\
@media(prefers-color-scheme:dark){.paper{fill:#0d1117}.grid{stroke:#30363d}.fine{stroke:#1c2128}.frame{stroke:#656c76}\
text{fill:#e6edf3}.small,.tick{fill:#9198a1}.interval{stroke:#e6edf3}.all,.fold,.mark{stroke:#58a6ff}.mark{fill:#0d1117}.fold{stroke-opacity:.6}}";

/// The file's text.
pub(super) fn write(title: &str, items: &[Item]) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = out.write_fmt(text);
        out.push('\n');
    };
    line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">"#
    ));
    line(format_args!("<title>{}</title>", escaped(title)));
    line(format_args!("<style>{STYLE}</style>"));
    line(format_args!(r#"<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>"#));
    for item in items {
        match item {
            Item::Line(class, (x1, y1), (x2, y2)) => line(format_args!(
                r#"<line class="{}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#,
                word(*class)
            )),
            Item::Frame(_, _) => line(format_args!(
                r#"<rect class="frame" x="{LEFT}" y="{TOP}" width="{}" height="{}"/>"#,
                RIGHT - LEFT,
                BOTTOM - TOP
            )),
            Item::Text(class, (x, y), anchor, text) => {
                let place = match anchor {
                    Anchor::MiddleUpwards => format!(r#"transform="translate({x:.1} {y:.1}) rotate(-90)""#),
                    _ => format!(r#"x="{x:.1}" y="{y:.1}""#),
                };
                let anchor = match anchor {
                    Anchor::Start => "",
                    Anchor::Middle | Anchor::MiddleUpwards => r#" text-anchor="middle""#,
                    Anchor::End => r#" text-anchor="end""#,
                };
                line(format_args!(r#"<text class="{}" {place}{anchor}>{}</text>"#, word(*class), escaped(text)));
            }
            Item::Steps(class, steps) => {
                line(format_args!(r#"<path class="{}" d="{}"/>"#, word(*class), path(steps)));
            }
            Item::Mark((x, y)) => line(format_args!(r#"<circle class="mark" cx="{x:.1}" cy="{y:.1}" r="4.5"/>"#)),
        }
    }
    out.push_str("</svg>\n");
    out
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Grid => "grid",
        Class::Fine => "fine",
        Class::All => "all",
        Class::Fold => "fold",
        Class::Interval => "interval",
        Class::Title => "title",
        Class::Small => "small",
        Class::Tick => "tick",
        Class::Axis => "axis",
        Class::Figure => "figure",
    }
}

fn path(steps: &[At]) -> String {
    let mut path = String::new();
    let mut last: Option<At> = None;
    for &(x, y) in steps {
        let _ = match last {
            None => write!(path, "M{x:.1} {y:.1}"),
            Some((_, last_y)) if last_y == y => write!(path, "H{x:.1}"),
            Some(_) => write!(path, "V{y:.1}"),
        };
        last = Some((x, y));
    }
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
