//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;

use super::call::Facepp;
use super::dto::Answer;
use super::errors::Failure;
use super::face_sets::Act;
use super::operations::{self, Operation};
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
        let call = &call;
        operations::run!(row.operation, call)
    }
}
