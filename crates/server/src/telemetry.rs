//! Logs: events to standard error, for people or for machines.
//!
//! What may be logged is decided where it is logged, and the rule is the same everywhere: ids and sizes, never a secret,
//! a token, an image, a template, or a URL with its query.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::sync::OnceLock;

use likeness_domain::ports::STEPS;
use likeness_domain::settings::{Unset, With, Word};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::cli::terminal;
use crate::traces::StepLayer;

likeness_domain::settings! {
    /// What is logged and how.
    pub(crate) struct Settings in "log." {
        level: Option<Targets> = "", Unset(With("a level, or a list such as `info,likeness_wire=debug`", levels)),
            "least level of a log line: error, warn, info, debug, trace, or a list such as `info,likeness_wire=debug`; \
             by default info in `serve` and warn elsewhere";
        format: Format = "text", Word(&[("text", Format::Text), ("json", Format::Json)]),
            "text or json, one line an event";
    }
}

/// Levels and `target=level`. A word that is no level would be read as a target of which all is logged, and of all others nothing.
fn levels(text: &str) -> Option<Targets> {
    let is_level = |word: &str| !word.trim().is_empty() && word.trim().parse::<LevelFilter>().is_ok();
    let is_known = |part: &str| match part.split_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level),
        None => is_level(part),
    };
    text.split(',').all(is_known).then(|| text.parse().ok()).flatten()
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Looks for `log.format` before the settings are read, so that what is wrong with them or with the command line is said in that
/// form: in the flags, else in the environment, else in the settings file. What cannot be read is passed over; it is
/// complained of later.
pub(crate) fn foresee(args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) {
    let flag = |name: &str| {
        let text = |arg: &OsString| arg.to_str().unwrap_or_default().to_owned();
        let after = args.windows(2).find(|pair| pair[0] == name).map(|pair| text(&pair[1]));
        let joined = || args.iter().find_map(|arg| Some(text(arg).strip_prefix(name)?.strip_prefix('=')?.to_owned()));
        after.or_else(joined)
    };
    let variable = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    let in_file = || {
        let path = flag("--config").or_else(|| variable("LIKENESS_CONFIG"))?;
        let file: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
        Some(file.get("log")?.get("format")?.as_str()?.to_owned())
    };
    let format = flag("--log-format").or_else(|| variable("LIKENESS_LOG_FORMAT")).or_else(in_file);
    terminal::write_json(format.is_some_and(|format| format == "json"));
}

/// The filter in force and the level where the configuration says nothing; set once.
static FILTER: OnceLock<(reload::Handle<Targets, Registry>, String)> = OnceLock::new();

/// What is logged from now on is what this configuration says.
pub(crate) fn set_level(config: &Settings) {
    let Some((handle, level)) = FILTER.get() else { return };
    // Fails only if the subscriber is gone, which lives as long as the process.
    let _ = handle.reload(targets(config, level));
}

fn targets(config: &Settings, level: &str) -> Targets {
    let filter = config.level.clone().unwrap_or_else(|| level.parse::<Targets>().expect("our own levels parse"));
    // Steps are for traces: a line's own span is its request, which has the id.
    let filter = filter.with_target(STEPS, LevelFilter::OFF);
    if config.level.is_some() {
        return filter;
    }
    // The runtime library reports each graph optimisation as an event of level info, and the pool each connection that broke as a
    // warning: the store says once that the database is away, and why.
    filter.with_target("ort", tracing::Level::WARN).with_target("deadpool", tracing::Level::ERROR)
}

/// Starts logging; `level` holds where the configuration says nothing. `steps` takes what traces are made of.
pub(crate) fn start(config: &Settings, level: &str, steps: Option<StepLayer>) {
    terminal::write_json(config.format == Format::Json);
    if terminal::is_json() {
        // The usual hook writes text of several lines. What is said here is what that says, without a backtrace.
        std::panic::set_hook(Box::new(|panic| terminal::note("ERROR", &panic.to_string())));
    }
    let (filter, handle) = reload::Layer::new(targets(config, level));
    let _ = FILTER.set((handle, level.to_owned()));
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
        Format::Text => {
            let coloured =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
            tracing_subscriber::fmt::layer().with_ansi(coloured).with_writer(std::io::stderr).boxed()
        }
    };
    let mut layers: Vec<_> = steps.into_iter().collect();
    layers.push(layer.with_filter(filter).boxed());
    let subscriber = Registry::default().with(layers);
    // Fails only if a subscriber is set already, which one call at the start rules out.
    tracing::subscriber::set_global_default(subscriber).expect("logging is started once");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_level_is_no_level() {
        for text in ["error", "WARN", "info", "debug,likeness_wire=trace", "off", "likeness_wire=debug"] {
            assert!(levels(text).is_some(), "{text}");
        }
        for text in ["inof", "Warning", "info,,=", "info,", "=debug", "likeness_wire", "likeness_wire=debgu", ""] {
            assert!(levels(text).is_none(), "{text}");
        }
    }

    /// One test, as what is foreseen holds for the process.
    #[test]
    fn the_form_of_the_log_is_foreseen_where_it_is_written() {
        let scratch = tempfile::tempdir().unwrap();
        let (json, odd) = (scratch.path().join("json.toml"), scratch.path().join("odd.toml"));
        std::fs::write(&json, "workers = 'many'\n[log]\nformat = 'json'\n").unwrap();
        std::fs::write(&odd, "log = [").unwrap();
        let (json, odd) = (json.to_str().unwrap(), odd.to_str().unwrap());
        /// Arguments, variables and whether the log is JSON.
        type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], bool);
        let cases: [Case<'_>; 10] = [
            (&["serve"], &[], false),
            (&["serve", "--log-format", "json", "--bogus"], &[], true),
            (&["serve", "--log-format=json"], &[], true),
            (&["serve", "--log-format"], &[], false),
            (&["serve"], &[("LIKENESS_LOG_FORMAT", "json")], true),
            (&["serve", "--log-format", "text"], &[("LIKENESS_LOG_FORMAT", "json")], false),
            (&["serve", "--config", json], &[], true),
            (&["serve"], &[("LIKENESS_CONFIG", json)], true),
            (&["serve", "--config", json], &[("LIKENESS_LOG_FORMAT", "text")], false),
            (&["serve", "--config", odd], &[], false),
        ];
        for (args, variables, expected) in cases {
            let args: Vec<OsString> = args.iter().map(Into::into).collect();
            foresee(&args, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()));
            assert_eq!(terminal::is_json(), expected, "{args:?} {variables:?}");
        }
    }
}
