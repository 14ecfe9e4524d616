//! From the spans of the rooms to those of a trace.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use likeness_domain::ports::IdSource;
use tokio::sync::mpsc::Sender;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::message::{
    FLAG_REMOTE, FLAG_REMOTE_KNOWN, FLAG_SAMPLED, KIND_INTERNAL, KIND_SERVER, KeyValue, STATUS_ERROR, Span, Status,
    Value,
};
use super::parent::Parent;

/// Hands the steps of traced requests over as they end.
pub(super) struct Steps {
    /// To whoever sends them on.
    pub(super) sender: Sender<Span>,
    /// Spans that found no room there.
    pub(super) n_lost: Arc<AtomicU64>,
    /// Makes ids.
    pub(super) ids: Box<dyn IdSource>,
    /// Of how many requests without a parent one is traced.
    pub(super) one_in: u32,
    /// Requests without a parent so far.
    pub(super) n_requests: AtomicU64,
}

/// A step under way. A request that is not traced has none, and neither have its steps.
struct Open {
    trace: u128,
    span: u64,
    parent: Option<u64>,
    /// Whether it is the request as a whole, in which everything else is.
    is_request: bool,
    is_parent_remote: bool,
    started: Instant,
    started_unix: Duration,
    fields: Fields,
}

/// What the fields of a span say.
#[derive(Default)]
struct Fields {
    method: Option<String>,
    dialect: Option<String>,
    operation: Option<String>,
    status: Option<i64>,
    is_fault: bool,
    traceparent: Option<String>,
    others: Vec<KeyValue>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, text: &str) {
        let text = text.to_owned();
        match field.name() {
            "method" => self.method = Some(text),
            "dialect" => self.dialect = Some(text),
            "operation" => self.operation = Some(text),
            "traceparent" => self.traceparent = Some(text),
            "request_id" => self.others.push(KeyValue::new("likeness.request_id", Value::Text(text))),
            "refusal" => self.others.push(KeyValue::new("error.type", Value::Text(text))),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, number: u64) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        match field.name() {
            "status" => self.status = Some(number),
            "faces" => self.others.push(KeyValue::new("likeness.faces", Value::Number(number))),
            _ => {}
        }
    }

    fn record_bool(&mut self, field: &Field, truth: bool) {
        if field.name() == "is_fault" {
            self.is_fault = truth;
        }
    }

    // A field of another type, or of a name that is not above, is nobody's business outside.
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl Steps {
    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.ids.fill(&mut bytes);
        // Zero stands for none.
        u64::from_ne_bytes(bytes).max(1)
    }

    /// The request that begins; `None` if it is not traced.
    fn request(&self, mut fields: Fields) -> Option<Open> {
        let parent = fields.traceparent.take().and_then(|text| Parent::read(&text));
        let is_traced = match parent {
            Some(parent) => parent.is_sampled,
            None => self.n_requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(u64::from(self.one_in)),
        };
        let fresh = || u128::from(self.random()) << 64 | u128::from(self.random());
        is_traced.then(|| Open {
            trace: parent.map_or_else(fresh, |parent| parent.trace),
            span: self.random(),
            parent: parent.map(|parent| parent.span),
            is_request: true,
            is_parent_remote: parent.is_some(),
            started: Instant::now(),
            started_unix: now_unix(),
            fields,
        })
    }
}

fn now_unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Steps {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let open = if attributes.metadata().name() == "request" {
            self.request(fields)
        } else {
            // Only what belongs to a request is told; the rooms also work by themselves.
            span.parent().and_then(|parent| {
                let extensions = parent.extensions();
                let parent = extensions.get::<Open>()?;
                Some(Open {
                    trace: parent.trace,
                    span: self.random(),
                    parent: Some(parent.span),
                    is_request: false,
                    is_parent_remote: false,
                    started: Instant::now(),
                    started_unix: now_unix(),
                    fields,
                })
            })
        };
        if let Some(open) = open {
            span.extensions_mut().insert(open);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(open) =
            ctx.span(id).as_ref().map(|span| span.extensions_mut()).as_mut().and_then(|e| e.get_mut::<Open>())
        {
            values.record(&mut open.fields);
        }
    }

    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {}

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        if self.sender.try_send(open.told(span.name())).is_err() {
            self.n_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Open {
    /// As it goes out. Names of attributes are those of OpenTelemetry's conventions for HTTP where these have one.
    fn told(self, step: &str) -> Span {
        let Open { trace, span, parent, is_request, is_parent_remote, started, started_unix, fields } = self;
        let Fields { method, dialect, operation, status, is_fault, others, .. } = fields;
        let end = started_unix + started.elapsed();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // Of the native API an operation is the method and the pattern of the path.
        let route = operation.as_deref().and_then(|operation| operation.split_once(' ')).map(|(_, route)| route);
        let name = match (&dialect, &operation, &method) {
            _ if !is_request => step.to_owned(),
            (_, Some(operation), _) if route.is_some() => operation.clone(),
            (Some(dialect), Some(operation), _) => format!("{dialect} {operation}"),
            (_, _, Some(method)) => method.clone(),
            _ => step.to_owned(),
        };
        let text = |key, text: Option<&str>| text.map(|text| KeyValue::text(key, text));
        let known = [
            text("http.request.method", method.as_deref()),
            text("http.route", route),
            text("likeness.dialect", dialect.as_deref()),
            text("likeness.operation", operation.as_deref()),
            status.map(|status| KeyValue::new("http.response.status_code", Value::Number(status))),
            // The span ended without an answer.
            (is_request && status.is_none()).then(|| KeyValue::text("error.type", "client_left")),
        ];
        let remote = if is_parent_remote { FLAG_REMOTE } else { 0 };
        Span {
            trace_id: trace.to_be_bytes().to_vec(),
            span_id: span.to_be_bytes().to_vec(),
            parent_span_id: parent.map(|span| span.to_be_bytes().to_vec()).unwrap_or_default(),
            name,
            kind: if is_request { KIND_SERVER } else { KIND_INTERNAL },
            start_time_unix_nano: nanos(started_unix),
            end_time_unix_nano: nanos(end),
            attributes: known.into_iter().flatten().chain(others).collect(),
            status: is_fault.then_some(Status { code: STATUS_ERROR }),
            flags: FLAG_SAMPLED | FLAG_REMOTE_KNOWN | remote,
        }
    }
}
