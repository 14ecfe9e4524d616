//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;
use likeness_domain::caller::{Caller, Grants};
use likeness_domain::library::Library;
use likeness_domain::score::Scale;
use likeness_domain::types::{AccessKeyId, PackId};
use likeness_domain::{Error, Kind};

use super::convert::Names;
use super::dto::Answer;
use super::errors::{self, Blame, Failure};
use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use super::tasks::Act;
use super::{auth, face_sets, faces, tasks};
use crate::http::fields::Fields;
use crate::http::form_service::FormService;
use crate::http::limiter::Limiter;
use crate::router::Services;
use crate::scales::Scales;

/// This dialect, ready to answer.
pub(crate) struct Facepp {
    pub(super) wire: Services,
    scales: Scales,
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
        let found = self.house.scales.get(pack);
        found.ok_or_else(|| {
            let message = format!("model pack `{pack}` is not loaded");
            errors::library(Error::new(Kind::PackUnavailable, message), &Blame::NOBODY)
        })
    }
}

impl Facepp {
    pub(crate) fn new(wire: Services) -> Self {
        let scales = Scales::of(&wire.library, scale);
        let names = Names::new(&wire.secret);
        Self { wire, scales, names, limiter: Limiter::default() }
    }

    fn settings(&self) -> &Settings {
        &self.wire.settings.facepp
    }

    /// Answers a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request, request_id: &str) -> Response {
        let service = FormService {
            dialect: "facepp",
            error_member: "error_message",
            // It may be the token of a face.
            logs_details: false,
            key_field: "api_key",
            max_body_bytes: self.settings().max_body_bytes,
            find: operations::find,
            clock: &*self.wire.clock,
            ids: &*self.wire.ids,
        };
        service.answer(request, request_id, |operation, fields| self.run(operation, fields, request_id)).await
    }

    async fn run(&self, operation: Operation, fields: Fields, request_id: &str) -> Result<Answer, Failure> {
        let key = auth::authenticate(&fields, &*self.wire.credentials).await?;
        let now = self.wire.clock.now();
        if self.settings().max_qps.is_some_and(|most| !self.limiter.admits(key.id.clone(), most, 1, now)) {
            return Err(errors::too_many_calls());
        }
        let caller = Caller {
            tenant: key.tenant.id,
            grants: Grants::ALL,
            key: Some(key.id.clone()),
            request_id: request_id.to_owned(),
        };
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
