//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;
use likeness_domain::types::AccessKeyId;

use super::convert::Names;
use super::dto::Answer;
use super::errors::{self, Blame, Failure};
use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use super::tasks::Act;
use super::{auth, face_sets, faces, tasks};
use crate::adapter::Row;
use crate::megvii::fields::Fields;
use crate::megvii::service::{self, Dialect, Service};
use crate::router::Services;

/// This dialect, ready to answer.
pub(crate) struct Facepp {
    pub(super) service: Service<Operation>,
    pub(super) names: Names,
}

/// An authenticated call.
pub(super) type Call<'a> = service::Call<'a, Operation, Names>;

impl Call<'_> {
    pub(super) fn settings(&self) -> &Settings {
        &self.service.wire.settings.facepp
    }
}

impl Facepp {
    pub(crate) fn new(wire: Services) -> Self {
        let dialect = Dialect {
            name: "facepp",
            error_member: "error_message",
            // It may be the token of a face.
            logs_details: false,
            key_field: "api_key",
            max_body_bytes: wire.settings.facepp.max_body_bytes,
            max_qps: wire.settings.facepp.max_qps,
            limits: wire.settings.facepp.limits(),
            table: &operations::TABLE,
            scale,
            key_id: |field| std::str::from_utf8(field).ok().and_then(AccessKeyId::new),
            unknown_key: errors::unknown_key,
            failed: |error, _| errors::library(error, &Blame::NOBODY),
        };
        let names = Names::new(&wire.secret);
        Self { service: Service::new(dialect, wire), names }
    }

    /// Answers a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request, request_id: &str) -> Response {
        let run = |row, fields| self.run(row, fields, request_id);
        self.service.answer(request, request_id, run).await
    }

    async fn run(&self, row: &Row<Operation>, fields: Fields, request_id: &str) -> Result<Answer, Failure> {
        let key = auth::authenticate(&fields, &self.service.wire).await?;
        let call = self.service.admit(row, &key, request_id, &self.names, fields)?;
        match row.operation {
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
