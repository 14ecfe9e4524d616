//! The two voices of a command: data on standard output, talk on standard error. Nothing else prints.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use likeness_domain::Error;
use likeness_wire::http::json;

use crate::outcome::failed;

/// The first failure to write data.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// Writes one line of data. A reader that went away (`likeness .. | head`) is no error; of any other failure
/// [`check_written`] tells.
pub(crate) fn data(line: impl Display) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

/// Reads the name of a file or folder that is written; `-`, which means standard output elsewhere, is none.
pub(crate) fn written_file(path: std::path::PathBuf) -> Result<std::path::PathBuf, &'static str> {
    match path.as_os_str() == "-" {
        true => Err("expected a name: this is not written to standard output (`./-` is a file of that name)"),
        false => Ok(path),
    }
}

/// Fails if data could not be written.
pub(crate) fn check_written() -> Result<(), Error> {
    match LOST.get() {
        None => Ok(()),
        Some(error) => Err(failed(format!("cannot write to standard output: {error}"))),
    }
}

/// Writes one line of talk; where the log is JSON, as a line of JSON like those of the log.
pub(crate) fn message(line: impl Display) {
    if is_json() {
        return note("INFO", &line.to_string());
    }
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Whether the command was asked for JSON, be it understood or not: then the error that ends it is JSON, too. A word behind
/// `--` is none of its options.
pub(crate) fn is_asked_for_json(words: impl IntoIterator<Item = std::ffi::OsString>) -> bool {
    words.into_iter().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

/// Writes the error that ends a command that was asked for JSON, as the native API writes its own. It goes where all talk
/// goes: what is on standard output is an answer.
pub(crate) fn error_as_json(error: &Error) {
    let code = likeness_wire::native::code_of(error.kind());
    let mut said = serde_json::json!({"code": code, "message": crate::outcome::message(error)});
    for (name, text) in [("field", error.field()), ("hint", error.hint())] {
        if let Some(text) = text {
            said[name] = text.into();
        }
    }
    let _ = writeln!(std::io::stderr().lock(), "{}", serde_json::json!({ "error": said }));
}

/// Writes the error that ends a command.
pub(crate) fn error(error: &Error) {
    let diagnosis = crate::outcome::diagnosis(error);
    if is_json() {
        return note("ERROR", &diagnosis);
    }
    let _ = writeln!(std::io::stderr().lock(), "{diagnosis}");
}

/// Writes what is wrong with the command line, or the help or version that it asks for; the exit code is 2, or 0. `text` is
/// said instead of the error's own.
pub(crate) fn usage(error: &clap::Error, text: Option<String>) -> ExitCode {
    if error.use_stderr() && is_json() {
        note("ERROR", text.unwrap_or_else(|| error.to_string()).trim_end());
    } else if let Some(text) = text {
        let _ = write!(std::io::stderr().lock(), "{text}");
    } else {
        // With colours where there is a terminal. A reader that went away is no error.
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Whether every line on standard error has to be JSON; set before anything is logged.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Has every line on standard error be JSON from now on, or none.
pub(crate) fn write_json(all: bool) {
    IS_JSON.store(all, Ordering::Relaxed);
}

/// Whether every line on standard error has to be JSON.
pub(crate) fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Writes a line of JSON with a level and a message.
pub(crate) fn note(level: &str, message: &str) {
    let now = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339);
    let line = serde_json::json!({"timestamp": now.unwrap_or_default(), "level": level, "message": message});
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes one line of data as JSON, as the native API writes it: members that are `None` are left out.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Error> {
    data(String::from_utf8(json::write(value)).map_err(|error| failed(format!("cannot write JSON: {error}")))?);
    Ok(())
}
