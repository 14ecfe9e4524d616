//! Words that completions offer for an option whose text the program reads by itself, with errors of its own.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};

/// Levels of quality.
pub(crate) const QUALITY: Offered = Offered(&["none", "low", "medium", "high"]);
/// A switch.
pub(crate) const SWITCH: Offered = Offered(&["on", "off"]);
/// What a key may do, of which several may stand between commas.
pub(crate) const GRANTS: Offered = Offered(&["read", "search", "enrol", "delete", "manage", "templates"]);
/// What is worth a log line; targets may have levels of their own.
pub(crate) const LOG_LEVELS: Offered = Offered(&["error", "warn", "info", "debug", "trace"]);
/// How log lines look.
pub(crate) const LOG_FORMATS: Offered = Offered(&["text", "json"]);
/// What is measured of a face, of which several may stand between commas.
pub(crate) const ASSESSMENTS: Offered =
    Offered(&["all", "none", "landmarks68", "pose", "quality", "expression", "age_gender", "liveness", "mesh468"]);

/// Takes any text and offers these words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offered(&'static [&'static str]);

impl TypedValueParser for Offered {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, text: &OsStr) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, argument, text)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().copied().map(PossibleValue::new)))
    }
}
