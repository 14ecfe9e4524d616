//! Local files: the vendor's helper asks for temporary credentials, puts the file into the vendor's object storage with
//! them, and then names it by an `oss://` address. Here is as much of that storage as the helper uses: one bucket, a
//! folder for each account, and a `PUT` with signature version 1 of the storage service.
//!
//! Nothing can be read back or listed. What was put is an upload
//! ([`likeness_domain::library::PutUpload`]): it is kept for an hour, and only its own account can name it.

mod errors;
mod grant;
mod signature;

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use likeness_domain::access::Caller;
use likeness_domain::library::PutUpload;
use likeness_domain::ports::UploadQuota;
use likeness_domain::types::{AccessKey, Secret, TenantId, UploadName};
use md5::{Digest, Md5};

use super::call::Api;
use super::dto;
use super::errors::{Fault, Refusal, code};
use super::operations::BUCKET;
use crate::http::body::{self, BodyError, Upload};
use crate::http::signing::fits_md5;
use crate::http::{target, trace};
use errors::refused;

#[cfg(any(test, feature = "fuzz"))]
pub use signature::fuzz_upload;

/// How long credentials can be used, and what was put with them can be named.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Most files of an account that are kept at a time. Their bytes are bounded by a setting; this bounds the empty ones.
const FILES_MAX: u64 = 10_000;

/// Credentials for an hour of uploads, where an operator said at which address the storage is found.
pub(super) fn credentials(api: &Api, (key, secret): (&AccessKey, &Secret)) -> Result<dto::UploadGranted, Fault> {
    let disabled = || Fault::new(code::PERMISSION_DENY, "uploads are disabled on this server");
    let endpoint = api.settings().upload_endpoint.as_ref().ok_or_else(disabled)?;
    let grant = grant::issue((key, secret), api.wire.clock.now(), LIFETIME, &*api.wire.ids);
    Ok(dto::UploadGranted {
        access_key_id: grant.access_key_id,
        access_key_secret: grant.access_key_secret,
        security_token: grant.security_token,
        expired_time: grant.expires_at.0,
        oss_endpoint: endpoint.as_str().to_owned(),
        oss_internal_endpoint: endpoint.as_str().to_owned(),
        upload_bucket: BUCKET,
        upload_folder: folder(key.tenant.id),
    })
}

/// Name of the account's folder.
fn folder(tenant: TenantId) -> String {
    tenant.to_string()
}

/// The picture behind `oss://bucket/folder/name`, if it is the caller's own; whether it is still there is not known yet.
pub(super) fn named(api: &Api, caller: &Caller, address: &str) -> Result<UploadName, Fault> {
    let refused = || Fault::new(code::NOT_ALLOWED, "only what this account has uploaded here can be named");
    if api.settings().upload_endpoint.is_none() {
        return Err(refused());
    }
    let object = address.strip_prefix(BUCKET).and_then(|rest| rest.strip_prefix('/')).ok_or_else(refused)?;
    let (owner, name) = object.split_once('/').ok_or_else(refused)?;
    if owner != folder(caller.tenant) {
        return Err(refused());
    }
    UploadName::new(name).map_err(|error| Fault::invalid(error.message()))
}

/// Answers a request to the storage, whatever it is.
pub(super) async fn answer(api: &Api, request: Request, request_id: &str) -> Response {
    let (head, body) = request.into_parts();
    let mut upload = Upload::of(&head, body);
    let put = put(api, &head, &mut upload, request_id).await;
    // As far as the largest image; whoever sends more is cut off.
    upload.discard(api.settings().image_bytes_max).await;
    let mut response = match put {
        Ok(etag) => {
            let mut response = Response::new(Body::empty());
            response.headers_mut().extend(HeaderValue::from_str(&etag).map(|etag| (header::ETAG, etag)));
            response
        }
        Err(refusal) => refused(refusal, request_id),
    };
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-oss-request-id", id);
    }
    response
}

/// Takes a file; its digest, as clients expect it.
async fn put(api: &Api, head: &Parts, upload: &mut Upload, request_id: &str) -> Result<String, Refusal> {
    if api.settings().upload_endpoint.is_none() {
        return Err(Refusal::not_found("NoSuchBucket", "uploads are disabled on this server"));
    }
    body::check_place(&head.extensions).map_err(errors::of)?;
    if head.method != Method::PUT {
        let refusal = Refusal::new("MethodNotAllowed", "files can only be put here");
        return Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, ..refusal });
    }
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Refusal::new("InvalidArgument", "files are put without a query"));
    }
    let object = signature::object(head.uri.path()).ok_or_else(invalid_name)?;
    let key = signature::verify(head, &object, &*api.wire.credentials, api.wire.clock.now()).await?;
    let name = match object.split_once('/') {
        Some((owner, name)) if owner == folder(key.tenant.id) => UploadName::new(name).map_err(|_| invalid_name())?,
        _ => return Err(Refusal::denied("AccessDenied", "the file is outside the folder of these credentials")),
    };
    upload.is_of_known_key();
    let bytes_max = api.settings().image_bytes_max;
    let bytes = upload.read(bytes_max).await.map_err(|error| match error {
        BodyError::TooLong => {
            let message = format!("the file is too long, expected at most {bytes_max} bytes");
            Refusal::new("EntityTooLarge", message)
        }
        BodyError::Broken => Refusal::new("IncompleteBody", "the file ended before its time"),
        BodyError::Busy => errors::of(body::busy()),
    })?;
    let digest = Md5::digest(&bytes);
    if !fits_md5(&head.headers, &digest) {
        return Err(Refusal::new("InvalidDigest", "the header `Content-MD5` is not the file's digest"));
    }
    let caller = Caller::of_key(&key, api.settings().limits(), request_id);
    trace::admitted("aliyun", Some("PutObject"), &caller);
    let room = UploadQuota { n_max: FILES_MAX, bytes_max: api.settings().uploads_bytes_max };
    let request = PutUpload { name, bytes, lifetime: LIFETIME, room };
    api.library().put_upload(&caller, request).await.map_err(errors::of)?;
    Ok(digest.iter().map(|byte| format!("{byte:02X}")).fold("\"".to_owned(), |etag, hex| etag + &hex) + "\"")
}

fn invalid_name() -> Refusal {
    Refusal::new("InvalidObjectName", "the file's name is not a path of printable characters")
}

/// The decoded rest of a path below the bucket.
fn below_bucket(raw_path: &str) -> Option<String> {
    let raw = raw_path.strip_prefix('/')?.strip_prefix(BUCKET)?.strip_prefix('/')?;
    String::from_utf8(target::decode(raw.as_bytes()).into_owned()).ok()
}
