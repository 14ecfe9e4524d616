//! Requests that may be sent again: with the header `Idempotency-Key` a write is made once, and whoever sends it again within
//! a day hears the same answer.
//!
//! Before the work begins a short-lived record says that it has begun, and with what request; after it the record has the
//! answer. Both are durable. A refused or failed request leaves no record, since it has changed nothing and may be sent
//! again. A process that dies between the two leaves the record without an answer: whether the work was done cannot be told
//! from it, and that is what a repetition is told.
//!
//! An answer may name what is deleted within that day, so it is kept sealed (ChaCha20-Poly1305) with a key that follows from
//! the header and the whole request, which whoever repeats it sends again and nobody else has: to everybody else the record
//! is noise. Requests that only look at something are not kept at all, whatever their headers.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use likeness_domain::access::Caller;
use likeness_domain::ports::{Record, RecordId, RecordQuota, RecordStore, WhenFull};
use likeness_domain::types::{AccessKeyId, TimestampMs};
use likeness_domain::{Error, limits};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use super::api::Api;
use super::body;
use super::errors::{self, NativeError};
use crate::http::signing::hex;

/// The header that names a request.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says of an answer that it is the one of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How long an answer is kept.
const LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// Answers of one tenant: one a second for a day, of half a kilobyte each on average and room for large ones.
const QUOTA: RecordQuota = RecordQuota { n_max: 100_000, bytes_max: 256 << 20, when_full: WhenFull::Refuse };

const SCOPE: &str = "idempotency";

/// Characters of a key.
const KEY_CHARS_MAX: usize = 255;

/// What is known of a request.
#[derive(Serialize, Deserialize)]
struct Known {
    /// SHA-256 of method, target, content type and body, in hexadecimal digits.
    request: String,
    /// `None` while it is under way.
    answer: Option<KnownAnswer>,
}

#[derive(Serialize, Deserialize)]
struct KnownAnswer {
    status: u16,
    etag: Option<String>,
    /// The JSON text, sealed, in base64; `None` if it is too long to be kept.
    #[serde(default)]
    sealed: Option<String>,
    /// The JSON text as it was kept before answers were sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// What follows from a request.
struct Digests {
    /// SHA-256 of method, target, content type and body, in hexadecimal digits.
    request: String,
    /// The key that its answer is sealed with: the same with the caller's key and a label before it.
    seal: [u8; 32],
}

/// Requests with a key, those under way among them.
pub(super) struct Idempotency {
    records: Arc<dyn RecordStore>,
    under_way: Arc<Mutex<HashSet<RecordId>>>,
}

/// Takes a request out of those under way when it ends, however it ends.
struct UnderWay(Arc<Mutex<HashSet<RecordId>>>, RecordId);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Idempotency {
    pub(super) fn new(records: Arc<dyn RecordStore>) -> Self {
        Self { records, under_way: Arc::default() }
    }
}

/// Makes a write with a key once. Requests without a key, and those that read, go on as they are.
pub(super) async fn once(
    State((api, idempotency)): State<(Api, Arc<Idempotency>)>,
    request: Request,
    next: Next,
) -> Response {
    if only_reads(request.method(), request.uri().path()) || !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return next.run(request).await;
    }
    if shows_secrets(request.uri().path()) {
        let message = "this operation takes no `Idempotency-Key`, since its answer has a secret that is not kept";
        return NativeError::from(Error::invalid("idempotency-key", message)).into_response();
    }
    if request.uri().path().ends_with("/archive/import-later") {
        let message = "this operation takes no `Idempotency-Key`: an import that is made again enrols nothing twice";
        return NativeError::from(Error::invalid("idempotency-key", message)).into_response();
    }
    once_checked(api, idempotency, request, next).await.unwrap_or_else(|error| error.into_response())
}

/// Whether an operation changes nothing: what it is asked may be large, so some that read are called by `POST`.
pub(super) fn only_reads(method: &Method, path: &str) -> bool {
    const READING: [&str; 9] = [
        "/faces/thumbnails",
        "/faces/count",
        "/faces/enrolled",
        "/search",
        "/search-picture",
        "/compare",
        "/compare-many",
        "/detect",
        "/liveness",
    ];
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || (*method == Method::POST && READING.iter().any(|end| path.ends_with(end)))
}

/// Whether the answers at a path have secrets: keys and sessions are made with some, which are shown once.
pub(super) fn shows_secrets(path: &str) -> bool {
    let path = path.strip_prefix(super::PREFIX).unwrap_or(path);
    let is_of_a_tenant = path.starts_with("/tenants/") && path.ends_with("/keys");
    is_of_a_tenant || ["/session", "/tickets", "/keys"].iter().any(|start| path.starts_with(start))
}

async fn once_checked(
    api: Api,
    idempotency: Arc<Idempotency>,
    request: Request,
    next: Next,
) -> Result<Response, NativeError> {
    let key = key_of(request.headers())?;
    let (mut head, body) = request.into_parts();
    let caller = body::admitted(&mut head, &api).await?;
    let body = body::read(&head, body).await?;
    // The memory of the body is counted already.
    head.extensions.remove::<crate::http::budget::BodyAllowance>();
    let id = record_id(&caller, &key);
    let Digests { request: request_digest, seal } = digests_of(&key, &head, &body);
    let now = api.library.now();
    let begun = Known { request: request_digest.clone(), answer: None };
    let record = Record {
        id,
        tenant: caller.tenant,
        bucket: String::new(),
        value: written(&begun)?,
        created_at: now,
        expires_at: TimestampMs(now.0 + LIFETIME_MS),
    };
    let expires_at = record.expires_at;
    // Before the record can be seen, so that nobody takes a request that has just begun for one that died.
    if !idempotency.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
        return Ok(in_progress());
    }
    let guard = UnderWay(Arc::clone(&idempotency.under_way), id);
    if let Some(known) = idempotency.records.put_record(SCOPE, record, QUOTA, now).await? {
        drop(guard);
        return Ok(repeated(&known, &request_digest, &seal));
    }
    let request = Request::from_parts(head, Body::from(body));
    // A task of its own: a client that hangs up must not leave the record without an answer.
    let work = async move {
        let _guard = guard;
        let response = next.run(request).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let kept = match head.status.is_success() {
            true => {
                let text = String::from_utf8(bytes.to_vec()).ok();
                let etag = head.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
                let sealed = text.filter(|text| text.len() < limits::RECORD_BYTES_MAX / 2);
                let sealed = sealed.and_then(|text| sealed_with(&seal, text.into_bytes()));
                let answer = Some(KnownAnswer { status: head.status.as_u16(), etag, sealed, body: None });
                let known = Known { request: request_digest, answer };
                match written(&known) {
                    Ok(value) => idempotency.records.change_record(SCOPE, id, value, expires_at).await.map(drop),
                    Err(error) => Err(error),
                }
            }
            // Nothing was changed: it may be sent again.
            false => idempotency.records.delete_record(SCOPE, id).await.map(drop),
        };
        if let Err(error) = kept {
            tracing::warn!(?error, "the answer of a request with an idempotency key is not kept");
        }
        Response::from_parts(head, Body::from(bytes))
    };
    let done = tokio::spawn(work.in_current_span()).await;
    done.map_err(|error| Error::internal("the request ended early", error).into())
}

/// The caller's key, 1 to 255 visible ASCII characters.
pub(super) fn key_of(headers: &HeaderMap) -> Result<String, Error> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let text = values.next().and_then(|value| value.to_str().ok()).unwrap_or("");
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if values.next().is_some() || !is_visible || !(1..=KEY_CHARS_MAX).contains(&text.len()) {
        let message = format!("`Idempotency-Key` is not valid, expected 1 to {KEY_CHARS_MAX} visible ASCII characters");
        return Err(Error::invalid("idempotency-key", message));
    }
    Ok(text.to_owned())
}

/// A key means nothing to other tenants and other access keys.
fn record_id(caller: &Caller, key: &str) -> RecordId {
    let by = caller.key.as_ref().map_or("", AccessKeyId::as_str);
    let mut digest = Sha256::new();
    digest.update(caller.tenant.to_bits().to_be_bytes());
    digest.update((by.len() as u64).to_be_bytes());
    digest.update(by.as_bytes());
    digest.update(key.as_bytes());
    digest.finalize().into()
}

fn digests_of(key: &str, head: &http::request::Parts, body: &[u8]) -> Digests {
    let mut digest = Sha256::new();
    let mut seal = Sha256::new_with_prefix(b"likeness answer of an idempotent request\0");
    seal.update((key.len() as u64).to_be_bytes());
    seal.update(key);
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let content_type = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    // The boundary of a form is another one each time.
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    let is_form = essence.eq_ignore_ascii_case(b"multipart/form-data");
    let content_type = if is_form { essence } else { content_type };
    let body = match is_form {
        true => Cow::Owned(without_boundary(body::content_type(&head.headers), body)),
        false => Cow::Borrowed(body),
    };
    for part in [head.method.as_str().as_bytes(), target.as_bytes(), content_type, &body] {
        for digest in [&mut digest, &mut seal] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    Digests { request: hex(&digest.finalize()), seal: seal.finalize().into() }
}

/// A random nonce and the sealed text, in base64; `None`, as if it were too long, if the machine has no random numbers.
fn sealed_with(key: &[u8; 32], mut text: Vec<u8>) -> Option<String> {
    let mut nonce = [0; aead::NONCE_LEN];
    getrandom::fill(&mut nonce).ok()?;
    let nonce_used = Nonce::assume_unique_for_key(nonce);
    seal_of(key)?.seal_in_place_append_tag(nonce_used, Aad::empty(), &mut text).ok()?;
    Some(STANDARD.encode([&nonce[..], &text].concat()))
}

/// The text that was sealed with this key; `None` if it was not.
fn opened_with(key: &[u8; 32], sealed: &str) -> Option<String> {
    let bytes = STANDARD.decode(sealed).ok()?;
    let (nonce, text) = bytes.split_first_chunk()?;
    let mut text = text.to_vec();
    let n_bytes =
        seal_of(key)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut text).ok()?.len();
    text.truncate(n_bytes);
    String::from_utf8(text).ok()
}

fn seal_of(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&aead::CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}

/// A form's bytes with its boundary taken out.
fn without_boundary(content_type: &str, body: &[u8]) -> Vec<u8> {
    let Ok(boundary) = multer::parse_boundary(content_type) else { return body.to_vec() };
    let boundary = boundary.as_bytes();
    let mut rest = body;
    let mut kept = Vec::with_capacity(body.len());
    while let Some((&byte, after)) = rest.split_first() {
        match rest.strip_prefix(boundary) {
            Some(behind) if !boundary.is_empty() => rest = behind,
            _ => {
                kept.push(byte);
                rest = after;
            }
        }
    }
    kept
}

fn written(known: &Known) -> Result<Bytes, Error> {
    let text = serde_json::to_vec(known).map_err(|error| Error::internal("cannot keep an answer", error))?;
    Ok(Bytes::from(text))
}

/// The answer to a request whose key is known.
fn repeated(record: &Record, request_digest: &str, seal: &[u8; 32]) -> Response {
    let Ok(known) = serde_json::from_slice::<Known>(&record.value) else { return unknown_outcome() };
    if known.request != request_digest {
        return refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "another request was made with this `Idempotency-Key`; expected the same method, path, query and body",
        );
    }
    let Some(KnownAnswer { status, etag, sealed, body }) = known.answer else { return unknown_outcome() };
    let Some(body) = body.or_else(|| opened_with(seal, &sealed?)) else {
        return refused(
            StatusCode::CONFLICT,
            "idempotency_answer_gone",
            "the request was carried out, its answer was too long to be kept",
        );
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn in_progress() -> Response {
    let message = "a request with this `Idempotency-Key` is being carried out, try again in a moment";
    let mut response = refused(StatusCode::CONFLICT, "idempotency_in_progress", message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn unknown_outcome() -> Response {
    refused(
        StatusCode::CONFLICT,
        "idempotency_outcome_unknown",
        "the server stopped while it carried out the request with this `Idempotency-Key`; look whether it was done, then \
         use another key",
    )
}

fn refused(status: StatusCode, code: &'static str, message: &str) -> Response {
    errors::answer(status, code, message, Some("idempotency-key"), None)
}
