//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use likeness_domain::caller::{Caller, Grants};
use likeness_domain::library::Library;
use likeness_domain::score::Scale;
use likeness_domain::types::{AccessKeyId, PackId};
use likeness_domain::{Error, Kind};

use super::convert::Names;
use super::dto::{Answer, Envelope, Refusal};
use super::errors::{Blame, Failure};
use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use super::tasks::Act;
use super::{auth, face_sets, faces, tasks};
use crate::http::body::{self, BodyError, Upload};
use crate::http::fields::Fields;
use crate::http::limiter::Limiter;
use crate::http::{json, request_id};
use crate::router::Wire;

/// This dialect, ready to answer.
pub(crate) struct Facepp {
    pub(super) wire: Wire,
    scales: Vec<(PackId, Scale)>,
    names: Names,
    limiter: Limiter<AccessKeyId>,
}

/// An authenticated call: who asks what of the library.
pub(super) struct Call<'a> {
    pub(super) library: &'a Library,
    pub(super) house: &'a Facepp,
    pub(super) caller: Caller,
    pub(super) fields: Fields,
}

impl Call<'_> {
    pub(super) fn settings(&self) -> &Settings {
        self.house.settings()
    }

    pub(super) fn names(&self) -> &Names {
        &self.house.names
    }

    /// The scale of a pack, without which there is no confidence.
    pub(super) fn scale(&self, pack: &PackId) -> Result<&Scale, Failure> {
        let found = self.house.scales.iter().find(|(id, _)| id == pack).map(|(_, scale)| scale);
        found.ok_or_else(|| {
            let message = format!("model pack `{pack}` is not loaded");
            Failure::library(Error::new(Kind::PackUnavailable, message), &Blame::NOBODY)
        })
    }
}

impl Facepp {
    pub(crate) fn new(wire: Wire) -> Self {
        let scales = wire.library.packs().iter().map(|pack| (pack.id.clone(), scale(&pack.calibration))).collect();
        let names = Names::new(&wire.secret);
        Self { wire, scales, names, limiter: Limiter::default() }
    }

    fn settings(&self) -> &Settings {
        &self.wire.settings.facepp
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
        let failure = match outcome {
            Ok(answer) => {
                return json::answer(StatusCode::OK, &Envelope { request_id: &answer_id, time_used, answer });
            }
            Err(failure) => failure,
        };
        failure.log(operation, request_id, &answer_id);
        if failure.status == StatusCode::PAYLOAD_TOO_LARGE {
            return body::too_long();
        }
        let answer = Refusal { error_message: &failure.error };
        json::answer(failure.status, &Envelope { request_id: &answer_id, time_used, answer })
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
            BodyError::Broken => Failure::missing("api_key"),
        })?;
        let fields = Fields::read(&head.headers, body, head.uri.query()).await;
        let key = auth::authenticate(&fields, &*self.wire.credentials).await?;
        let now = self.wire.clock.now();
        if self.settings().max_qps.is_some_and(|most| !self.limiter.admits(key.id.clone(), most, 1, now)) {
            return Err(Failure::too_many_calls());
        }
        let caller = Caller { tenant: key.tenant.id, grants: Grants::ALL, request_id: request_id.to_owned() };
        let call = Call { library: &self.wire.library, house: self, caller, fields };
        match operation {
            Operation::Detect => faces::detect(&call).await,
            Operation::Compare => faces::compare(&call).await,
            Operation::Search => faces::search(&call).await,
            Operation::FaceDetail => faces::detail(&call).await,
            Operation::SetUserId => faces::set_user_id(&call).await,
            Operation::CreateSet => face_sets::create(&call).await,
            Operation::AddFace => face_sets::add_faces(&call).await,
            Operation::RemoveFace => face_sets::remove_faces(&call).await,
            Operation::UpdateSet => face_sets::update(&call).await,
            Operation::SetDetail => face_sets::detail(&call).await,
            Operation::DeleteSet => face_sets::delete(&call).await,
            Operation::ListSets => face_sets::list(&call).await,
            Operation::AddFaceLater => tasks::accept(&call, Act::Add).await,
            Operation::RemoveFaceLater => tasks::accept(&call, Act::Remove).await,
            Operation::TaskStatus => tasks::status(&call).await,
        }
    }
}
