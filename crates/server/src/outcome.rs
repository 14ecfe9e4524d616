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

/// An error as a user reads it: one clear line with its causes, and a hint if there is a cure.
pub(crate) fn diagnosis(error: &Error) -> String {
    let hint = error.hint().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("error: {}{hint}", message(error))
}

/// What is wrong, with its causes.
pub(crate) fn message(error: &Error) -> String {
    let mut words = error.message().to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        // Rooms that speak to people put the cause into the message themselves.
        let why = cause.to_string();
        if !words.contains(&why) {
            words = format!("{words}: {why}");
        }
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 17: of an error of the database only "db error" was left.
    #[test]
    fn an_error_is_told_with_all_its_causes_each_once() {
        let disk = Error::new(Kind::Internal, "no space left");
        let file = Error::new(Kind::Internal, "cannot write `a`").with_source(disk);
        let error =
            Error::new(Kind::Internal, "cannot make it: cannot write `a`").with_source(file).with_hint("make room");
        assert_eq!(diagnosis(&error), "error: cannot make it: cannot write `a`: no space left\n  hint: make room");
    }
}
