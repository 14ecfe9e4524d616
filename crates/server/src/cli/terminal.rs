//! The two voices of a command: data on standard output, talk on standard error. Nothing else prints.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

use likeness_domain::Error;
use likeness_wire::http::json;

use super::failed;

/// Writes one line of data. A reader that went away (`likeness .. | head`) is no error.
pub(crate) fn data(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes one line of talk.
pub(crate) fn talk(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes one line of data as JSON, as the native API writes it: members that are `None` are left out.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Error> {
    data(String::from_utf8(json::write(value)).map_err(|error| failed(format!("cannot write JSON: {error}")))?);
    Ok(())
}
