//! Logs: events to standard error, for people or for machines. Metrics and traces will have their place here.
//!
//! What may be logged is decided where it is logged, and the rule is the same everywhere: ids and sizes, never a secret,
//! a token, an image, a template, or a URL with its query.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{LogConfig, LogFormat};

/// Starts logging; `level` holds where the configuration says nothing.
pub(crate) fn start(config: &LogConfig, level: &str) {
    let filter = config.level.clone().unwrap_or_else(|| level.parse::<Targets>().expect("our own levels parse"));
    // The runtime library reports each graph optimisation as an event of level info.
    let filter = if config.level.is_none() { filter.with_target("ort", tracing::Level::WARN) } else { filter };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Text => {
            let coloured =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
            tracing_subscriber::fmt::layer().with_ansi(coloured).with_writer(std::io::stderr).boxed()
        }
    };
    let subscriber = Registry::default().with(layer.with_filter(filter));
    // Fails only if a subscriber is set already, which one call at the start rules out.
    tracing::subscriber::set_global_default(subscriber).expect("logging is started once");
}
