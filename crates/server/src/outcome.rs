//! How commands end, and the errors that they end with.

use likeness_domain::{Error, Kind};

/// How a command that could do its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did what was asked: exit code 0.
    Done,
    /// The answer is "no": exit code 1.
    No,
}

/// What a command returns; an error is exit code 2.
pub(crate) type Outcome = Result<Verdict, Error>;

/// The error of what the user asked for and cannot have; the message names it and what is accepted.
pub(crate) fn refused(message: impl Into<String>) -> Error {
    Error::new(Kind::InvalidArgument, message)
}

/// The error of what did not work although it was rightly asked for.
pub(crate) fn failed(message: impl Into<String>) -> Error {
    Error::new(Kind::Internal, message)
}

/// An error as a user reads it: one clear line with its cause, and a hint if there is a cure.
pub(crate) fn diagnosis(error: &Error) -> String {
    let hint = error.hint().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("error: {}{hint}", message(error))
}

/// What is wrong, with its cause.
pub(crate) fn message(error: &Error) -> String {
    // Rooms that speak to people put the cause into the message themselves.
    let source = std::error::Error::source(error).map(ToString::to_string);
    let source = source.filter(|source| !error.message().contains(source.as_str()));
    let source = source.map(|source| format!(": {source}")).unwrap_or_default();
    format!("{}{source}", error.message())
}
