//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use likeness_domain::caller::{Caller, Grants};
use likeness_domain::library::Library;
use likeness_domain::score::Scale;
use likeness_domain::types::{AccessKeyId, PackId};

use super::dto::{Answer, Envelope, Refusal};
use super::errors::Failure;
use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use super::{auth, handlers};
use crate::http::body::{self, BodyError, Upload};
use crate::http::fields::Fields;
use crate::http::keyed_ids::KeyedIds;
use crate::http::limiter::Limiter;
use crate::http::{json, request_id};
use crate::router::Wire;

/// This dialect, ready to answer.
pub(crate) struct Yuanli {
    wire: Wire,
    scales: Vec<(PackId, Scale)>,
    tokens: KeyedIds,
    limiter: Limiter<AccessKeyId>,
}

/// An authenticated call: who asks what of the library.
pub(super) struct Call<'a> {
    pub(super) library: &'a Library,
    pub(super) house: &'a Yuanli,
    pub(super) operation: Operation,
    pub(super) caller: Caller,
    pub(super) fields: Fields,
}

impl Call<'_> {
    pub(super) fn settings(&self) -> &Settings {
        self.house.settings()
    }

    pub(super) fn tokens(&self) -> &KeyedIds {
        &self.house.tokens
    }

    /// A failed library call in which no picture is at fault.
    pub(super) fn failed(&self, error: likeness_domain::Error) -> Failure {
        Failure::library(error, "file", self.settings())
    }
}

impl Yuanli {
    pub(crate) fn new(wire: Wire) -> Self {
        let scales = wire.library.packs().iter().map(|pack| (pack.id.clone(), scale(&pack.calibration))).collect();
        let tokens = KeyedIds::new(&wire.secret, "yuanli face token");
        Self { wire, scales, tokens, limiter: Limiter::default() }
    }

    fn settings(&self) -> &Settings {
        &self.wire.settings.yuanli
    }

    /// The scale of a pack, if it is loaded.
    pub(super) fn scale(&self, pack: &PackId) -> Option<&Scale> {
        self.scales.iter().find(|(id, _)| id == pack).map(|(_, scale)| scale)
    }

    /// Answers a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request, request_id: &str) -> Response {
        let started = self.wire.clock.now();
        let answer_id = request_id::dated(started, &*self.wire.ids);
        let (head, content) = request.into_parts();
        let mut upload = Upload::new(&head.headers, content);
        let operation = operations::find(&head.method, head.uri.path());
        let outcome = match operation {
            Some(operation) => self.run(operation, &head, &mut upload, request_id).await,
            None => Err(Failure::no_api()),
        };
        upload.discard(2 * self.settings().max_body_bytes).await;
        let time_used = (self.wire.clock.now().0 - started.0).max(0);
        match outcome {
            Ok(answer) => json::answer(StatusCode::OK, &Envelope { request_id: &answer_id, time_used, answer }),
            Err(failure) => {
                failure.log(operation, request_id, &answer_id);
                if failure.status == StatusCode::PAYLOAD_TOO_LARGE {
                    return body::too_long();
                }
                let answer = Refusal { error: &failure.error };
                json::answer(failure.status, &Envelope { request_id: &answer_id, time_used, answer })
            }
        }
    }

    async fn run(
        &self,
        operation: Operation,
        head: &Parts,
        upload: &mut Upload,
        request_id: &str,
    ) -> Result<Answer, Failure> {
        let body = upload.read(self.settings().max_body_bytes).await.map_err(|error| match error {
            BodyError::TooLong => Failure::too_long(),
            // Nobody is left to read the answer; a form without its end has no fields.
            BodyError::Broken => Failure::missing("sign"),
        })?;
        let fields = Fields::read(&head.headers, body, head.uri.query()).await;
        let now = self.wire.clock.now();
        let (credentials, once) = (&*self.wire.credentials, &*self.wire.once);
        let key = auth::authenticate(&fields, credentials, once, now, self.settings()).await?;
        if self.settings().max_qps.is_some_and(|most| !self.limiter.admits(key.id.clone(), most, 1, now)) {
            return Err(Failure::too_many_calls(self.settings()));
        }
        let caller = Caller { tenant: key.tenant.id, grants: Grants::ALL, request_id: request_id.to_owned() };
        handlers::handle(&Call { library: &self.wire.library, house: self, operation, caller, fields }).await
    }
}
