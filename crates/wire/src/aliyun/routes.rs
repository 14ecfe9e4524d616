//! From a request to its handler: route, authenticate, count, read the body.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http::request::Parts;

use super::call::{Api, Call};
use super::client_info::ClientInfo;
use super::errors::{Failure, Fault, Refusal};
use super::operations;
use super::{auth, handlers, uploads};
use crate::http::body::{self, BodyError, Upload};
use crate::http::media_type::{self, MediaType};
use crate::http::target;
use crate::services::Services;

/// The version of the API that is spoken here.
const VERSION: &str = "2018-05-09";

/// This dialect, ready to answer.
pub(crate) struct Aliyun {
    pub(super) api: Arc<Api>,
}

impl Aliyun {
    pub(crate) fn new(wire: Services) -> Self {
        Self { api: Arc::new(Api::new(wire)) }
    }

    /// Answers a request to the storage of uploads, whatever it is.
    pub(crate) async fn answer_upload(&self, request: Request, request_id: &str) -> Response {
        uploads::answer(&self.api, request, request_id).await
    }

    /// Answers a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request, request_id: &str) -> Response {
        let (head, body) = request.into_parts();
        let mut upload = Upload::of(&head, body);
        let row = operations::find(head.uri.path());
        let outcome = match row {
            Some(row) => self.run(row, &head, &mut upload, request_id).await,
            None => Err(Refusal::not_found("InvalidApi.NotFound", "the API does not exist").into()),
        };
        upload.discard(2 * self.api.settings().body_bytes_max).await;
        outcome.unwrap_or_else(|failure| {
            let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            failure.answer(row.map(|row| row.operation), host, request_id, self.api.settings())
        })
    }

    async fn run(
        &self,
        row: &'static operations::Row,
        head: &Parts,
        upload: &mut Upload,
        request_id: &str,
    ) -> Result<Response, Failure> {
        if head.method != Method::POST {
            return Err(Refusal::new("UnsupportedHTTPMethod", "this API is called by POST only").into());
        }
        if head.headers.get("x-acs-version").is_none_or(|version| version.as_bytes() != VERSION.as_bytes()) {
            return Err(
                Refusal::new("InvalidAction.NotFound", "expected the header `x-acs-version: 2018-05-09`").into()
            );
        }
        body::check_place(&head.extensions)?;
        let wire = &self.api.wire;
        let now = wire.clock.now();
        let signed = auth::examine(head, &*wire.credentials, now).await?;
        upload.is_of_known_key();
        let body = self.read(upload).await?;
        let (key, secret) = signed.verify(head, &body, &*wire.nonces, now, self.api.settings()).await?;
        log_client(head, request_id);

        let caller = wire.admit(&key, &self.api.admission(row, &key, request_id))?;
        let shown_id = super::dto::request_id(request_id);
        let call = Call { api: &self.api, row, caller, key, secret, shown_id, body };
        // Old SDKs send JSON as `application/octet-stream`, so only what is surely something else is refused.
        if let MediaType::UrlEncoded | MediaType::Form { .. } = media_type::of(&head.headers) {
            return Err(Fault::invalid("the body is a form, expected JSON").into());
        }
        handlers::handle(call).await
    }

    async fn read(&self, upload: &mut Upload) -> Result<Bytes, Fault> {
        let bytes_max = self.api.settings().body_bytes_max;
        upload.read(bytes_max).await.map_err(|error| match error {
            BodyError::TooLong => Fault::invalid(format!("the body is too long, expected at most {bytes_max} bytes")),
            BodyError::Broken => Fault::invalid("the body ended before its time"),
            BodyError::Busy => body::busy().into(),
        })
    }
}

/// Clients describe themselves in the query; none of it matters to the answer.
fn log_client(head: &Parts, request_id: &str) {
    let pairs = target::form_pairs(head.uri.query().unwrap_or_default());
    let found = pairs.iter().find(|(name, _)| name == b"ClientInfo" || name == b"clientInfo");
    if let Some((_, value)) = found {
        let ClientInfo { sdk_version, os, host_app } = ClientInfo::read(value);
        tracing::debug!(dialect = "aliyun", request_id, sdk_version, os, host_app, "client");
    }
}
