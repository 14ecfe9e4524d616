//! From a request to a call and from its outcome to an answer, for every service of the family.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode, header};
use likeness_domain::access::{Caller, CountedBy, Limits, Rate};
use likeness_domain::library::{Library, Scales};
use likeness_domain::ports::Job;
use likeness_domain::score::{Calibration, Scale};
use likeness_domain::types::{AccessKey, AccessKeyId, FaceSetKey, PackId};
use likeness_domain::{Error, Kind, Result as LibraryResult};
use serde::Serialize;

use super::errors::{Failure, TOO_MANY};
use super::fields::Fields;
use crate::adapter;
use crate::http::body::{self, BodyError, Upload};
use crate::http::budget::FREE_BYTES;
use crate::http::failed_call::FailedCall;
use crate::http::{json, request_id};
use crate::services::{RETRY_AFTER, Services};

/// Where one service of the family differs from the others.
pub(crate) struct Dialect<O: 'static> {
    /// Its name in the log.
    pub(crate) name: &'static str,
    /// The member of a refusal.
    pub(crate) error_member: &'static str,
    /// Whether the detail of an error may be logged.
    pub(crate) logs_details: bool,
    /// The field without which nobody is known: a request whose form has no end lacks it.
    pub(crate) key_field: &'static str,
    /// Most bytes of a request's body.
    pub(crate) max_body_bytes: usize,
    /// Most calls per second of one key, with bursts of as many; `None` for no bound.
    pub(crate) max_qps: Option<u32>,
    /// The vendor's numbers.
    pub(crate) limits: Limits,
    /// Every call.
    pub(crate) table: &'static [adapter::Row<O>],
    /// The scale of a pack with this calibration.
    pub(crate) scale: fn(&Calibration) -> Scale,
    /// The key that the field of [`Dialect::key_field`] names; nothing of it is proved.
    pub(crate) key_id: fn(&[u8]) -> Option<AccessKeyId>,
    /// The answer to whoever names a key that does not exist.
    pub(crate) unknown_key: fn() -> Failure,
    /// A failed call in which no picture is at fault.
    pub(crate) failed: fn(Error, &Services) -> Failure,
}

/// One service of the family, ready to answer.
pub(crate) struct Service<O: 'static> {
    pub(crate) wire: Services,
    dialect: Dialect<O>,
    /// The scale of each pack.
    pub(crate) scales: Arc<Scales>,
}

/// An authenticated call: who asks what of the library. `N` is how the dialect spells ids.
pub(crate) struct Call<'a, O: 'static, N> {
    pub(crate) library: &'a Library,
    pub(crate) service: &'a Service<O>,
    pub(crate) names: &'a N,
    pub(crate) caller: Caller,
    pub(crate) fields: Fields,
}

impl<O, N> Call<'_, O, N> {
    /// What the library answers, where no picture can be at fault.
    pub(crate) async fn ask<T>(&self, answer: impl Future<Output = LibraryResult<T>>) -> Result<T, Failure> {
        answer.await.map_err(|error| self.failed(error))
    }

    /// A failed library call in which no picture is at fault.
    pub(crate) fn failed(&self, error: Error) -> Failure {
        (self.service.dialect.failed)(error, &self.service.wire)
    }

    /// The scale of a pack, without which there is no confidence.
    pub(crate) fn scale(&self, pack: &PackId) -> Result<&Scale, Failure> {
        self.service.scales.get(pack).map_err(|error| self.failed(error))
    }

    /// How many faces a set holds now; none if it was deleted this very moment.
    pub(crate) async fn n_faces(&self, key: impl Into<FaceSetKey<'_>>) -> Result<u64, Failure> {
        match self.library.known_face_set(&self.caller, key).await {
            Ok(summary) => Ok(summary.n_faces),
            Err(error) if error.kind() == Kind::FaceSetNotFound => Ok(0),
            Err(error) => Err(self.failed(error)),
        }
    }
}

/// What every answer has, and the answer itself.
#[derive(Serialize)]
struct Envelope<'a, T> {
    request_id: &'a str,
    time_used: i64,
    #[serde(flatten)]
    answer: T,
}

impl<O: Debug> Service<O> {
    pub(crate) fn new(dialect: Dialect<O>, wire: Services) -> Self {
        let scales = Scales::of(&wire.library, dialect.scale);
        Self { wire, dialect, scales }
    }

    /// Answers a request, whatever it is: `run` does a call, given its fields.
    pub(crate) async fn answer<A, R>(
        &self,
        request: Request,
        request_id: &str,
        run: impl FnOnce(&'static adapter::Row<O>, Fields) -> R,
    ) -> Response
    where
        A: Serialize,
        R: Future<Output = Result<A, Failure>>,
    {
        let clock = &*self.wire.clock;
        let started = clock.now();
        let answer_id = request_id::dated(started, &*self.wire.ids);
        let (head, content) = request.into_parts();
        let mut upload = Upload::of(&head, content);
        let row = adapter::find(self.dialect.table, head.uri.path()).filter(|_| head.method == Method::POST);
        let outcome = match row {
            Some(row) => match self.fields(&head, &mut upload).await {
                Ok(fields) => run(row, fields).await,
                Err(failure) => Err(failure),
            },
            None => Err(Failure::new(StatusCode::NOT_FOUND, "API_NOT_FOUND")),
        };
        upload.discard(2 * self.dialect.max_body_bytes).await;
        let time_used = (clock.now().0 - started.0).max(0);
        match outcome {
            Ok(answer) => json::answer(StatusCode::OK, &Envelope { request_id: &answer_id, time_used, answer }),
            Err(failure) => {
                self.log(&failure, row, request_id, &answer_id);
                if failure.status == StatusCode::PAYLOAD_TOO_LARGE {
                    return body::too_long();
                }
                let answer = BTreeMap::from([(self.dialect.error_member, &*failure.error)]);
                let mut response =
                    json::answer(failure.status, &Envelope { request_id: &answer_id, time_used, answer });
                // These vendors say "too many" with 403; the router adds the header to 429 and 503.
                if failure.error == TOO_MANY {
                    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
                }
                response
            }
        }
    }

    async fn fields(&self, head: &Parts, upload: &mut Upload) -> Result<Fields, Failure> {
        body::check_place(&head.extensions).map_err(|error| (self.dialect.failed)(error, &self.wire))?;
        if upload.is_large() {
            self.look_at_start(head, upload).await?;
        }
        let body = upload.read(self.dialect.max_body_bytes).await.map_err(|error| self.unread(error))?;
        Ok(Fields::read(&head.headers, body, head.uri.query()).await)
    }

    /// Looks for a key in the query and in the first bytes of a large body, where almost all clients have it: one that
    /// does not exist is refused before the rest is read.
    async fn look_at_start(&self, head: &Parts, upload: &mut Upload) -> Result<(), Failure> {
        let start = upload.read_start().await.map_err(|error| self.unread(error))?;
        if start.len() < FREE_BYTES {
            return Ok(());
        }
        let fields = Fields::read_start(&head.headers, start, head.uri.query(), self.dialect.key_field).await;
        let named = fields.get(self.dialect.key_field).and_then(|field| (self.dialect.key_id)(&field.bytes));
        let Some(id) = named else { return Ok(()) };
        match self.wire.credentials.key(id).await {
            Ok(Some(_)) => upload.is_of_known_key(),
            Ok(None) => return Err((self.dialect.unknown_key)()),
            Err(error) => return Err((self.dialect.failed)(error, &self.wire)),
        }
        Ok(())
    }

    fn unread(&self, error: BodyError) -> Failure {
        match error {
            BodyError::TooLong => Failure::new(StatusCode::PAYLOAD_TOO_LARGE, body::TOO_LONG),
            // Nobody is left to read the answer; a form without its end has no fields.
            BodyError::Broken => Failure::missing(self.dialect.key_field),
            BodyError::Busy => (self.dialect.failed)(body::busy(), &self.wire),
        }
    }

    /// A call made with a checked key, unless it has made too many this second or may not make this one.
    pub(crate) fn admit<'a, N>(
        &'a self,
        row: &adapter::Row<O>,
        key: &AccessKey,
        request_id: &str,
        names: &'a N,
        fields: Fields,
    ) -> Result<Call<'a, O, N>, Failure> {
        let rate = self.dialect.max_qps.map(|per_second| Rate { counted_by: CountedBy::Key, per_second });
        let call = row.info.admission(self.dialect.name, self.dialect.limits, rate, request_id);
        let caller = self.wire.admit(key, &call).map_err(|error| (self.dialect.failed)(error, &self.wire))?;
        Ok(self.call(caller, names, fields))
    }

    /// A call of this caller.
    pub(crate) fn call<'a, N>(&'a self, caller: Caller, names: &'a N, fields: Fields) -> Call<'a, O, N> {
        Call { library: &self.wire.library, service: self, names, caller, fields }
    }

    /// Who asked for a job, with what the key may do now.
    pub(crate) async fn caller_of_job(&self, job: &Job) -> LibraryResult<Caller> {
        self.wire.access.caller_of_job(job, self.dialect.limits, format!("job-{}", job.id)).await
    }

    /// Logs a failure, once, under the id of the request and that of the answer.
    fn log(&self, failure: &Failure, row: Option<&adapter::Row<O>>, request_id: &str, answer_id: &str) {
        let Failure { status, error, source } = failure;
        let code = error.split_once(": ").map(|(code, _)| code).filter(|_| !self.dialect.logs_details);
        let failed = FailedCall {
            dialect: self.dialect.name,
            operation: row.map(|row| &row.operation as &dyn Debug),
            request_id,
            answer_id: Some(answer_id),
            status: status.as_u16(),
            code: code.unwrap_or(error),
            source: source.as_ref(),
            message: source.as_ref().map_or("", Error::message),
        };
        failed.log(status.is_server_error());
    }
}
