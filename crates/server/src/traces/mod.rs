//! Traces: on what each request spent its time, told to a collector of OpenTelemetry (OTLP over HTTP).
//!
//! The rooms mark their steps with spans of the target [`STEPS`]; no log shows those. What leaves the machine is what the
//! listener and the rooms put into such spans on purpose, all of it words of our own tables, numbers and request ids:
//! nothing of a tenant, a key, a person or a path. A hired exporter would take over every field of every span and line.
//!
//! Built with the feature `opentelemetry` only; without it a collector that is configured is refused at the start.

#[cfg(not(feature = "opentelemetry"))]
mod absent;
#[cfg(feature = "opentelemetry")]
mod export;
#[cfg(feature = "opentelemetry")]
mod layer;
#[cfg(feature = "opentelemetry")]
mod message;
#[cfg(feature = "opentelemetry")]
mod parent;

use std::str::FromStr;

#[cfg(doc)]
use likeness_domain::ports::STEPS;
use likeness_domain::settings::{Parsed, Unset};
use tracing_subscriber::{Layer, Registry};

#[cfg(not(feature = "opentelemetry"))]
pub(crate) use absent::{Exporter, prepare};
#[cfg(feature = "opentelemetry")]
pub(crate) use export::{Exporter, prepare};

use crate::fetch;

likeness_domain::settings! {
    /// Whom requests are traced for.
    pub(crate) struct Settings in "traces." {
        endpoint: Option<Endpoint> = "", Unset(Parsed("an address such as http://127.0.0.1:4318")),
            "address of an OpenTelemetry collector that takes OTLP over HTTP, to which traces of requests go \
             (`/v1/traces` there); by default what `OTEL_EXPORTER_OTLP_ENDPOINT` says, else none. Only in a program that was \
             built with the feature `opentelemetry`";
        one_in: u32 = "1", 1..=1_000_000,
            "of how many requests one is traced; one that comes with a `traceparent` is traced if that says so";
    }
}

/// Where a collector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) String);

impl FromStr for Endpoint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if fetch::is_address(text) { Ok(Self(text.trim_end_matches('/').to_owned())) } else { Err(()) }
    }
}

/// What takes the steps of requests from the rooms.
pub(crate) type StepLayer = Box<dyn Layer<Registry> + Send + Sync>;
