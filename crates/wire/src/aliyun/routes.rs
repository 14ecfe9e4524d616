//! From a request to its handler: route, authenticate, count, read the body.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use likeness_domain::access::{Admission, Caller, CountedBy, Rate};
use likeness_domain::library::{ImageInput, ImageSource, Library, Scales};
use likeness_domain::ports::{ImageFormats, ImageRules};
use likeness_domain::score::Scale;
use likeness_domain::types::{AccessKey, PackId};

use super::client_info::ClientInfo;
use super::errors::{Failure, Fault, Refusal, code};
use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use super::{auth, handlers, uploads};
use crate::http::body::{self, BodyError, Upload};
use crate::http::media_type::{self, MediaType};
use crate::http::{target, trace};
use crate::router::Services;

/// The version of the API that is spoken here.
const VERSION: &str = "2018-05-09";
/// Characters of an image's address.
const URL_CHARS_MAX: usize = 2048;

/// This dialect, ready to answer.
pub(crate) struct Aliyun {
    pub(super) api: Arc<Api>,
}

/// What requests and the workers behind them stand on.
pub(super) struct Api {
    pub(super) wire: Services,
    pub(super) scales: Arc<Scales>,
}

/// An authenticated call: who asks what of the library.
pub(super) struct Call<'a> {
    pub(super) api: &'a Arc<Api>,
    pub(super) row: &'static operations::Row,
    pub(super) caller: Caller,
    /// What the caller signed with.
    pub(super) key: AccessKey,
    /// The id as the vendor spells it.
    pub(super) shown_id: String,
    pub(super) body: Bytes,
}

impl Api {
    pub(super) fn new(wire: Services) -> Self {
        let scales = Scales::of(&wire.library, scale);
        Self { wire, scales }
    }

    pub(super) fn library(&self) -> &Library {
        &self.wire.library
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.wire.settings.aliyun
    }

    /// What a call asks the gate for. Scans are counted by their images, which are known only after the body is read.
    pub(super) fn admission<'a>(
        &self,
        row: &'static operations::Row,
        key: &AccessKey,
        request_id: &'a str,
    ) -> Admission<'a> {
        let rate = Rate { counted_by: CountedBy::TenantAndOperation, per_second: row.extra };
        let is_scan = matches!(row.operation, Operation::ImageSyncScan | Operation::ImageAsyncScan);
        Admission {
            dialect: "aliyun",
            operation: row.info.name,
            needs: row.info.needs,
            limits: self.settings().limits(),
            rate: self.settings().limits_calls_of(key.tenant.name.as_str()).then_some(rate),
            n_units: u32::from(!is_scan),
            request_id,
        }
    }

    /// The scale of a pack.
    pub(super) fn scale(&self, pack: &PackId) -> Result<&Scale, Fault> {
        self.scales.get(pack).map_err(|error| self.fault(error))
    }

    /// A failed library call as a fault.
    pub(super) fn fault(&self, error: likeness_domain::Error) -> Fault {
        Fault::of(error, self.settings())
    }

    /// The image behind an address: one to be fetched, or an upload of the caller's. What the fetcher judges (hosts,
    /// ports, redirects) is not judged here.
    pub(super) fn image(&self, caller: &Caller, url: &str) -> Result<ImageInput, Fault> {
        if url.chars().count() > URL_CHARS_MAX {
            return Err(Fault::invalid(format!("the address has more than {URL_CHARS_MAX} characters")));
        }
        if url.chars().any(char::is_control) {
            return Err(Fault::invalid("the address has a control character"));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(Fault::invalid("the address does not begin with http:// or https://"));
        };
        let source = match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => ImageSource::Url(url.to_owned()),
            "oss" => ImageSource::Upload(uploads::named(self, caller, rest)?),
            _ => return Err(Fault::new(code::NOT_ALLOWED, "only http and https addresses are fetched")),
        };
        let Settings { image_bytes_max: bytes_max, image_side_max: side_max, fetch_deadline_ms, .. } = *self.settings();
        let rules = ImageRules { formats: ImageFormats::ALL, bytes_max, side_max, side_min: 1 };
        Ok(ImageInput { source, rules, fetch_deadline: Duration::from_millis(fetch_deadline_ms) })
    }
}

impl Call<'_> {
    /// Counts the images of a scan, where they are bounded.
    pub(super) fn count(&self, n_images: usize) -> Result<(), Fault> {
        let call = self.api.admission(self.row, &self.key, &self.caller.request_id);
        let Some(rate) = call.rate else { return Ok(()) };
        let n_images = u32::try_from(n_images).unwrap_or(u32::MAX);
        self.api.wire.access.count(&self.caller, &call, rate, n_images).map_err(|error| self.api.fault(error))
    }
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
        let key = signed.verify(head, &body, &*wire.nonces, now, self.api.settings()).await?;
        log_client(head, request_id);

        let caller = wire.access.admit(&key, &self.api.admission(row, &key, request_id))?;
        trace::admitted("aliyun", Some(row.info.name), &caller);
        let call = Call { api: &self.api, row, caller, key, shown_id: super::dto::request_id(request_id), body };
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
            BodyError::Busy => self.api.fault(body::busy()),
        })
    }
}

/// Clients describe themselves in the query; none of it matters to the answer.
fn log_client(head: &Parts, request_id: &str) {
    let pairs = target::query_pairs(&head.uri.query().unwrap_or_default().replace('+', " "));
    let found = pairs.iter().find(|(name, _)| name == b"ClientInfo" || name == b"clientInfo");
    if let Some((_, value)) = found {
        let ClientInfo { sdk_version, os, host_app } = ClientInfo::read(value);
        tracing::debug!(dialect = "aliyun", request_id, sdk_version, os, host_app, "client");
    }
}
