//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;

use super::call::Facepp;
use super::dto::Answer;
use super::errors::Failure;
use super::face_sets::Act;
use super::operations::Operation;
use super::{auth, face_sets, faces, tasks};
use crate::adapter::Row;
use crate::megvii::fields::Fields;

impl Facepp {
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
