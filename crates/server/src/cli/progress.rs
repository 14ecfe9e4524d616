//! How long work shows on the terminal: a bar where one can be drawn, a line per stage where not.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use likeness_vision::pack::{Progress, Stage};

use super::terminal;

/// Shows how far something countable has come.
pub(crate) struct CountProgress {
    /// `None` where standard error is no terminal.
    bar: Option<ProgressBar>,
}

impl CountProgress {
    /// Begins at none of `n_all`; `doing` says what is done.
    pub(crate) fn new(doing: &'static str, n_all: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            terminal::message(doing);
            return Self { bar: None };
        }
        let style = ProgressStyle::with_template("{msg:32} {bar:30} {pos} of {len}").expect("our own templates parse");
        let bar = ProgressBar::with_draw_target(Some(n_all), ProgressDrawTarget::stderr());
        Self { bar: Some(bar.with_style(style).with_message(doing)) }
    }

    /// So many are done.
    pub(crate) fn set(&self, n_done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(n_done);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows an install's stages on standard error.
pub(crate) struct InstallProgress {
    /// `None` where standard error is no terminal.
    bar: Option<Mutex<ProgressBar>>,
}

impl InstallProgress {
    /// Shows nothing until the first stage.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { bar: std::io::stderr().is_terminal().then(|| Mutex::new(bar)) }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.lock().expect("drawing does not panic").finish_and_clear();
        }
    }
}

/// What is counted while something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Rows,
}

/// Shows stages of which each goes through so many bytes or rows, on standard error.
pub(crate) struct BytesProgress {
    stage: String,
    unit: Unit,
    /// `None` where standard error is no terminal.
    bar: Option<ProgressBar>,
    is_terminal: bool,
}

impl BytesProgress {
    /// Shows nothing until the first stage.
    pub(crate) fn new() -> Self {
        Self { stage: String::new(), unit: Unit::Bytes, bar: None, is_terminal: std::io::stderr().is_terminal() }
    }

    /// The same of rows.
    pub(crate) fn of_rows() -> Self {
        Self { unit: Unit::Rows, ..Self::new() }
    }

    /// `n_done` of `n_bytes` (or rows) of a stage are done; 0 of 0 where it is not known how far it is.
    pub(crate) fn show(&mut self, stage: &str, n_done: u64, n_bytes: u64) {
        if stage != self.stage {
            self.stage = stage.to_owned();
            self.finish();
            if !self.is_terminal {
                terminal::message(stage);
                return;
            }
            let (length, style) = match n_bytes {
                0 => (None, "{msg:30} {spinner}"),
                _ if self.unit == Unit::Rows => (Some(n_bytes), "{msg:30} {bar:30} {pos} of {len}"),
                _ => (Some(n_bytes), "{msg:20} {bar:30} {bytes:>10} of {total_bytes}"),
            };
            let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
                .with_style(ProgressStyle::with_template(style).expect("our own templates parse"))
                .with_message(stage.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(n_done.min(n_bytes));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for InstallProgress {
    fn stage(&self, stage: &Stage) {
        let Some(bar) = &self.bar else {
            if *stage != Stage::Done {
                terminal::message(stage);
            }
            return;
        };
        let mut bar = bar.lock().expect("drawing does not panic");
        bar.finish_and_clear();
        if *stage == Stage::Done {
            return;
        }
        // One bar a stage: their lengths have nothing to do with each other.
        let style = match stage.bytes_about() {
            Some(_) => "{msg:32} {bar:30} {bytes:>10} of about {total_bytes}",
            None => "{msg:32} {spinner}",
        };
        *bar = ProgressBar::with_draw_target(stage.bytes_about(), ProgressDrawTarget::stderr())
            .with_style(ProgressStyle::with_template(style).expect("our own templates parse"))
            .with_message(stage.to_string());
        bar.enable_steady_tick(Duration::from_millis(120));
    }

    fn advance(&self, bytes_done: u64) {
        if let Some(bar) = &self.bar {
            let bar = bar.lock().expect("drawing does not panic");
            // The size is an estimate; a bar beyond its end would look broken.
            bar.set_position(bar.length().map_or(bytes_done, |length| bytes_done.min(length)));
        }
    }
}
