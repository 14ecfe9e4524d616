//! The two voices of a command: data on standard output, talk on standard error. Nothing else prints.

use std::fmt::Display;
use std::io::Write;

/// Writes one line of data. A reader that went away (`likeness .. | head`) is no error.
pub(crate) fn data(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes one line of talk.
pub(crate) fn talk(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
