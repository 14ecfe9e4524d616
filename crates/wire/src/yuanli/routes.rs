//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;
use likeness_domain::access::Caller;
use likeness_domain::library::Library;

use super::dto::Answer;
use super::errors::{self, Failure};
use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use super::{auth, handlers};
use crate::adapter::Row;
use crate::http::keyed_ids::KeyedIds;
use crate::megvii::fields::Fields;
use crate::megvii::service::{Dialect, Service};
use crate::router::Services;

/// This dialect, ready to answer.
pub(crate) struct Yuanli {
    service: Service<Operation>,
    tokens: KeyedIds,
}

/// An authenticated call: who asks what of the library.
pub(super) struct Call<'a> {
    pub(super) library: &'a Library,
    pub(super) service: &'a Service<Operation>,
    pub(super) tokens: &'a KeyedIds,
    pub(super) caller: Caller,
    pub(super) fields: Fields,
}

impl Call<'_> {
    pub(super) fn settings(&self) -> &Settings {
        &self.service.wire.settings.yuanli
    }

    /// What the library answers, where no picture can be at fault.
    pub(super) async fn ask<T>(&self, answer: impl Future<Output = likeness_domain::Result<T>>) -> Result<T, Failure> {
        answer.await.map_err(|error| self.failed(error))
    }

    /// A failed library call in which no picture is at fault.
    pub(super) fn failed(&self, error: likeness_domain::Error) -> Failure {
        errors::library(error, "file", self.settings())
    }
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
        let wire = &self.service.wire;
        let settings = &wire.settings.yuanli;
        let key = auth::authenticate(&fields, &*wire.credentials, &*wire.nonces, wire.clock.now(), settings).await?;
        let caller =
            self.service.caller(row, &key, request_id).map_err(|error| errors::library(error, "file", settings))?;
        let (library, service, tokens) = (&*wire.library, &self.service, &self.tokens);
        handlers::handle(row.operation, &Call { library, service, tokens, caller, fields }).await
    }
}
