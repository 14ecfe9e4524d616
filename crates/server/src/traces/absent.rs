//! A program without traces.

use likeness_domain::{Error, Kind};

use super::{Settings, StepLayer};
use crate::config::Config;

/// There is none.
pub(crate) enum Exporter {}

impl Exporter {
    /// Cannot happen.
    pub(crate) fn start(self) -> Self {
        self
    }

    /// Cannot happen.
    pub(crate) async fn finish(self) {
        match self {}
    }
}

/// Refuses a collector that is named in our own settings. The variables of OpenTelemetry are for every program of a machine,
/// so this one passes them over.
pub(crate) fn prepare(
    config: &Config,
    _: impl Fn(&str) -> Option<String>,
) -> Result<Option<(StepLayer, Exporter)>, Error> {
    let Settings { endpoint, one_in: _one_in } = &config.traces;
    match endpoint {
        None => Ok(None),
        Some(_) => {
            let message = "this program was built without OpenTelemetry, and `traces.endpoint` is set";
            Err(Error::new(Kind::Unsupported, message)
                .with_hint("use a build with the feature `opentelemetry`, or leave `traces.endpoint` out"))
        }
    }
}
