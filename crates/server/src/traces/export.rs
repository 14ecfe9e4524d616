//! Sends what was traced to the collector, in batches beside all other work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use likeness_domain::Error;
use likeness_domain::ports::STEPS;
use percent_encoding::percent_decode_str;
use prost::Message;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;

use super::layer::Steps;
use super::message::{ExportTraceServiceRequest, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span};
use super::{Endpoint, StepLayer};
use crate::config::Config;
use crate::fetch::{self, Poster};
use crate::outcome::refused;
use crate::system::SystemIds;

/// Spans that may wait to be sent: some seconds of a busy server. What does not fit is lost, since no request may wait for
/// its trace.
const WAITING_MAX: usize = 8192;

/// Spans of one message, and how long the first of them waits for others.
const BATCH_MAX: usize = 512;
const BATCH_WAIT: Duration = Duration::from_secs(2);

/// Time for the collector to take one.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// Pauses before a message is sent again that the collector may take later; then it is given up.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// Time for what is left when the server stops.
const FINISH_MAX: Duration = Duration::from_secs(5);

/// Collects spans, and sends them once it is started.
pub(crate) struct Exporter {
    spans: Receiver<Span>,
    n_lost: Arc<AtomicU64>,
    poster: Poster,
    headers: HeaderMap,
    resource: Resource,
}

/// An exporter at work.
pub(crate) struct Exporting {
    finish: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What the rooms tell their steps to, and what sends them on; `None` if no collector is named. `variable` reads the
/// environment: the variables of OpenTelemetry hold where our own settings say nothing.
pub(crate) fn prepare(
    config: &Config,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<(StepLayer, Exporter)>, Error> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let Some(address) = address(config.traces.endpoint.as_ref(), &variable)? else { return Ok(None) };
    let headers = match variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| variable("OTEL_EXPORTER_OTLP_HEADERS"))
    {
        Some(text) => headers(&text).ok_or_else(|| {
            // Its value is a secret, mostly.
            refused("`OTEL_EXPORTER_OTLP_HEADERS` cannot be read, expected NAME=VALUE, with commas between several")
        })?,
        None => HeaderMap::new(),
    };
    let service = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "likeness".to_owned());
    let attributes =
        vec![KeyValue::text("service.name", &service), KeyValue::text("service.version", env!("CARGO_PKG_VERSION"))];
    let (sender, spans) = channel(WAITING_MAX);
    let n_lost = Arc::<AtomicU64>::default();
    let steps = Steps {
        sender,
        n_lost: Arc::clone(&n_lost),
        ids: Box::new(SystemIds),
        one_in: config.traces.one_in,
        n_requests: AtomicU64::new(0),
    };
    let layer = steps.with_filter(Targets::new().with_target(STEPS, Level::INFO)).boxed();
    let poster = Poster::new(&address, fetch::resolver(&config.fetch))?;
    Ok(Some((layer, Exporter { spans, n_lost, poster, headers, resource: Resource { attributes } })))
}

/// Where traces go: of the variables, the one for traces alone is the whole address.
fn address(set: Option<&Endpoint>, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, Error> {
    if let Some(Endpoint(base)) = set {
        return Ok(Some(format!("{base}/v1/traces")));
    }
    let checked = |name: &str, value: String| {
        let endpoint: Result<Endpoint, ()> = value.parse();
        endpoint
            .map_err(|()| refused(format!("`{name}` is `{value}`, expected an address such as http://127.0.0.1:4318")))
    };
    let (whole, base) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    if let Some(value) = variable(whole) {
        return checked(whole, value.clone()).map(|_| Some(value));
    }
    let base = variable(base).map(|value| checked(base, value)).transpose()?;
    Ok(base.map(|Endpoint(base)| format!("{base}/v1/traces")))
}

/// Reads `NAME=VALUE,NAME=VALUE`, values percent-encoded.
fn headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Some(headers)
}

impl Exporter {
    /// Sends from now on.
    pub(crate) fn start(self) -> Exporting {
        let (finish, finishing) = oneshot::channel();
        Exporting { finish, task: tokio::spawn(self.run(finishing)) }
    }

    async fn run(mut self, mut finishing: oneshot::Receiver<()>) {
        let mut is_failing = false;
        let mut spans = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                _ = self.spans.recv_many(&mut spans, BATCH_MAX) => {}
                _ = &mut finishing => break,
            }
            let due_at = Instant::now() + BATCH_WAIT;
            let mut is_last = false;
            while spans.len() < BATCH_MAX && !is_last {
                let n_free = BATCH_MAX - spans.len();
                tokio::select! {
                    more = timeout_at(due_at, self.spans.recv_many(&mut spans, n_free)) => if more.is_err() { break },
                    _ = &mut finishing => is_last = true,
                }
            }
            if is_last {
                break;
            }
            let sent = self.send(std::mem::take(&mut spans), &mut finishing).await;
            self.say(&sent.failure, &mut is_failing);
            if sent.is_last {
                break;
            }
        }
        // The requests are over: what they left is all that comes.
        loop {
            while spans.len() < BATCH_MAX
                && let Ok(span) = self.spans.try_recv()
            {
                spans.push(span);
            }
            if spans.is_empty() {
                return;
            }
            let failure = self.post(&self.message(std::mem::take(&mut spans))).await.err();
            self.say(&failure.as_ref().map(|failure| failure.reason.clone()), &mut is_failing);
            if failure.is_some() {
                return;
            }
        }
    }

    fn message(&self, spans: Vec<Span>) -> Bytes {
        let scope = Scope { name: "likeness".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
        let resource_spans = vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    /// Sends one batch, several times if need be.
    async fn send(&self, spans: Vec<Span>, finishing: &mut oneshot::Receiver<()>) -> Sent {
        let (n_spans, message) = (spans.len(), self.message(spans));
        let mut pauses = PAUSES.into_iter();
        loop {
            let Err(failure) = self.post(&message).await else { return Sent { failure: None, is_last: false } };
            let pause = pauses.next().filter(|_| failure.may_pass);
            let lost = |is_last| {
                self.n_lost.fetch_add(n_spans as u64, Ordering::Relaxed);
                Sent { failure: Some(failure.reason.clone()), is_last }
            };
            let Some(pause) = pause else { return lost(false) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = &mut *finishing => return lost(true),
            }
        }
    }

    async fn post(&self, message: &Bytes) -> Result<(), Failure> {
        let posting = self.poster.post("application/x-protobuf", &self.headers, message.clone());
        match tokio::time::timeout(POST_TIMEOUT, posting).await {
            Ok(Ok(200..=299)) => Ok(()),
            Ok(Ok(status)) => {
                let may_pass = matches!(status, 429 | 502 | 503 | 504);
                Err(Failure { may_pass, reason: format!("it answers with status {status}") })
            }
            Ok(Err(reason)) => Err(Failure { may_pass: true, reason }),
            Err(_) => Err(Failure { may_pass: true, reason: format!("no answer within {} s", POST_TIMEOUT.as_secs()) }),
        }
    }

    /// A line in the log when sending begins to fail, and one when it works again.
    fn say(&self, failure: &Option<String>, is_failing: &mut bool) {
        match failure {
            Some(reason) if !*is_failing => {
                tracing::warn!(
                    reason,
                    "the collector of `traces.endpoint` does not take traces; requests go on without"
                );
                *is_failing = true;
            }
            Some(_) => {}
            None => {
                let n_lost = self.n_lost.swap(0, Ordering::Relaxed);
                if n_lost > 0 {
                    tracing::warn!(n_lost, "spans of traces were lost that could not be sent in time");
                }
                *is_failing = false;
            }
        }
    }
}

/// How sending a batch ended.
struct Sent {
    failure: Option<String>,
    /// The server stops.
    is_last: bool,
}

struct Failure {
    /// Whether it may be taken later.
    may_pass: bool,
    reason: String,
}

impl Exporting {
    /// Sends what is left, within a few seconds. Called after the last request.
    pub(crate) async fn finish(self) {
        let _ = self.finish.send(());
        let mut task = self.task;
        if tokio::time::timeout(FINISH_MAX, &mut task).await.is_err() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn address_of(set: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let set = set.map(|text| text.parse().expect("an address"));
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        address(set.as_ref(), &variable).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn our_setting_wins_over_the_variables_of_which_the_one_for_traces_is_the_whole_address() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/in");
        assert_eq!(address_of(None, &[]), Ok(None));
        assert_eq!(address_of(None, &[base]), Ok(Some("http://collector:4318/v1/traces".to_owned())));
        assert_eq!(address_of(None, &[base, whole]), Ok(Some("https://traces.example/in".to_owned())));
        let set = Some("http://127.0.0.1:4318");
        assert_eq!(address_of(set, &[base, whole]), Ok(Some("http://127.0.0.1:4318/v1/traces".to_owned())));
        let refused = address_of(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]).expect_err("no address");
        assert_eq!(
            refused,
            "`OTEL_EXPORTER_OTLP_ENDPOINT` is `collector:4318`, expected an address such as http://127.0.0.1:4318"
        );
    }

    #[test]
    fn headers_are_pairs_whose_values_are_percent_encoded() {
        let found = headers("api-key=a%20b, x-scope=7").expect("two");
        let found: BTreeMap<_, _> =
            found.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(found, BTreeMap::from([("api-key", "a b"), ("x-scope", "7")]));
        assert!(headers("api-key").is_none() && headers("a b=1").is_none());
    }
}
