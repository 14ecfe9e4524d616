//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;

use super::dto::Answer;
use super::errors::{self, Failure};
use super::operations::{self, Operation};
use super::scale::scale;
use super::{auth, handlers};
use crate::adapter::Row;
use crate::http::keyed_ids::KeyedIds;
use crate::megvii::fields::Fields;
use crate::megvii::service::{Dialect, Service};
use crate::services::Services;

/// This dialect, ready to answer.
pub(crate) struct Yuanli {
    service: Service<Operation>,
    tokens: KeyedIds,
}

impl Yuanli {
    pub(crate) fn new(wire: Services) -> Self {
        let dialect = Dialect {
            name: "yuanli",
            error_member: "error",
            logs_details: true,
            key_field: "sign",
            max_body_bytes: wire.settings.yuanli.max_body_bytes,
            max_qps: wire.settings.yuanli.max_qps,
            limits: wire.settings.yuanli.limits(),
            table: &operations::TABLE,
            scale,
            key_id: auth::named_key,
            unknown_key: errors::unknown_key,
            failed: |error, wire| errors::library(error, "file", &wire.settings.yuanli),
        };
        let tokens = KeyedIds::new(&wire.secret, "yuanli face token");
        Self { service: Service::new(dialect, wire), tokens }
    }

    /// Answers a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request, request_id: &str) -> Response {
        let run = |row, fields| self.run(row, fields, request_id);
        self.service.answer(request, request_id, run).await
    }

    async fn run(&self, row: &Row<Operation>, fields: Fields, request_id: &str) -> Result<Answer, Failure> {
        let key = auth::authenticate(&fields, &self.service.wire).await?;
        let call = self.service.admit(row, &key, request_id, &self.tokens, fields)?;
        handlers::handle(row.operation, &call).await
    }
}
