//! Getting options and images out of requests, and JSON into answers.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, RawPathParams, Request};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyDataStream, Full};
use likeness_domain::access::Caller;
use likeness_domain::types::{FaceId, FaceSetName, PersonKey};
use likeness_domain::{Error, Kind, limits};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::Api;
use super::errors::NativeError;
use super::{convert, dto};
use crate::http::body::{self, BodyError, Upload};
use crate::http::json::{self, without_mark};
use crate::http::trace;

/// Bytes of a request body: two images of the largest size in base64 (4/3), as `compare` takes them, and the
/// options around them.
pub(super) const BODY_BYTES_MAX: usize = 2 * (limits::IMAGE_BYTES_MAX / 3 * 4 + 4) + 64 * 1024;

/// Bytes of a text part of a form; no text we take is longer.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Parts of a form: every option and every custom field, with room.
const PARTS_MAX: usize = 64;

/// Entries of a listing that does not say how many.
const PAGE_LIMIT_DEFAULT: u64 = 100;

/// What a file is sent as to those who ask for it: clients made from the document by generators that know no other type of one.
pub(super) const FILE_TYPE: &str = "application/octet-stream";

/// What a file of this media type is sent as to whoever sent these headers.
pub(super) fn file_type(headers: &HeaderMap, media_type: &'static str) -> &'static str {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accepted.contains(FILE_TYPE) { FILE_TYPE } else { media_type }
}

/// `value` as a JSON answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    json::answer_as("application/json", status, value)
}

/// The caller, proved. Stands before the body in every handler, so a stranger's body is never read.
pub(super) struct Signed(pub(super) Caller);

impl FromRequestParts<Api> for Signed {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, NativeError> {
        let caller = admitted(parts, api).await?;
        if let Some(accepts) = parts.extensions.get::<Accepts>() {
            accepts.check(parts)?;
        }
        Ok(Self(caller))
    }
}

/// The caller, proved, and what answers the call.
pub(super) struct Call {
    pub(super) api: Api,
    pub(super) caller: Caller,
}

impl FromRequestParts<Api> for Call {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, NativeError> {
        let Signed(caller) = Signed::from_request_parts(parts, api).await?;
        Ok(Self { api: api.clone(), caller })
    }
}

/// What an operation takes besides its path and its body. What it would pass over in silence is refused: a caller who
/// asked for a stricter threshold, a dry run or a condition must not believe that it was heard.
#[derive(Clone, Copy)]
pub(super) struct Accepts {
    /// Options in the query.
    pub(super) query: bool,
    /// `If-Match`.
    pub(super) if_match: bool,
}

impl Accepts {
    fn check(self, head: &Parts) -> Result<(), Error> {
        if !self.query {
            Words::of_query(head.uri.query().unwrap_or(""))?.finish()?;
        }
        if !self.if_match && head.headers.contains_key(header::IF_MATCH) {
            let message = "`If-Match` is not honoured by this operation, only by changes of a face set, a face, a person or a tenant";
            return Err(Error::invalid("if-match", message));
        }
        Ok(())
    }
}

/// Who sent a request, proved once however often it is asked.
#[derive(Clone)]
struct Admitted(Caller);

/// The caller of a request.
pub(super) async fn admitted(parts: &mut Parts, api: &Api) -> Result<Caller, Error> {
    if let Some(Admitted(caller)) = parts.extensions.get() {
        return Ok(caller.clone());
    }
    body::check_place(&parts.extensions)?;
    let caller = api.authenticate.caller(parts).await?;
    trace::admitted("native", None, &caller);
    note_operation(parts);
    parts.extensions.insert(Admitted(caller.clone()));
    Ok(caller)
}

/// Notes which operation a request is for, by the pattern of its path.
pub(super) fn note_operation(head: &Parts) {
    if let Some(path) = head.extensions.get::<MatchedPath>() {
        trace::asked_for(format!("{} {}", head.method, path.as_str()));
    }
}

/// The face set a path names.
pub(super) struct InFaceSet(pub(super) FaceSetName);

impl FromRequestParts<Api> for InFaceSet {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, NativeError> {
        Ok(Self(FaceSetName::new(path_word(parts, api, "name").await?)?))
    }
}

/// The face a path names.
pub(super) struct OfFace(pub(super) FaceId);

impl FromRequestParts<Api> for OfFace {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, NativeError> {
        Ok(Self(convert::face_id(&path_word(parts, api, "id").await?)?))
    }
}

/// The person a path names.
pub(super) struct OfPerson(pub(super) PersonKey);

impl FromRequestParts<Api> for OfPerson {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, NativeError> {
        Ok(Self(PersonKey::new(path_word(parts, api, "key").await?)?))
    }
}

/// The id a path names, of whatever kind.
pub(super) struct OfId(pub(super) String);

impl FromRequestParts<Api> for OfId {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, NativeError> {
        Ok(Self(path_word(parts, api, "id").await?))
    }
}

pub(super) async fn path_word(parts: &mut Parts, api: &Api, key: &'static str) -> Result<String, NativeError> {
    let words = RawPathParams::from_request_parts(parts, api)
        .await
        .map_err(|_| Error::invalid("path", "the path is not percent-encoded UTF-8"))?;
    let word = words.iter().find(|(name, _)| *name == key).map(|(_, word)| word.to_owned());
    Ok(word.unwrap_or_default())
}

/// Options as texts, from a query or a form. Each is taken out as it is read; what is left over at the end was
/// misspelt.
#[derive(Default)]
pub(super) struct Words {
    left: BTreeMap<String, String>,
    /// Whether custom values were among what is known.
    has_fields: bool,
}

impl Words {
    fn of_query(query: &str) -> Result<Self, Error> {
        let mut words = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            words.put(decoded(name)?, decoded(value)?)?;
        }
        Ok(words)
    }

    fn put(&mut self, name: String, value: String) -> Result<(), Error> {
        match self.left.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => {
                let message = format!("`{name}` is given twice");
                Err(Error::invalid(name, message))
            }
        }
    }

    /// The text of an option.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.left.remove(name)
    }

    /// The value of an option; `expected` says what is accepted.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &'static str, expected: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.left.remove(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            // A number that is too large is one all the same.
            Err(_) if text.len() > 1 && text.bytes().all(|digit| digit.is_ascii_digit()) => {
                Err(Error::invalid(name, format!("`{name}` is `{text}`, which is too large")))
            }
            Err(_) => Err(Error::invalid(name, format!("`{name}` is `{text}`, expected {expected}"))),
        }
    }

    /// How many entries of a listing are asked for.
    pub(super) fn limit(&mut self) -> Result<u64, Error> {
        self.limit_or(PAGE_LIMIT_DEFAULT)
    }

    /// The same, or so many.
    pub(super) fn limit_or(&mut self, default: u64) -> Result<u64, Error> {
        let limit = self.parsed("limit", "a whole number")?.unwrap_or(default);
        convert::check_within("limit", limit, 1..=limits::PERSON_PAGE_MAX)
    }

    /// Whether `include` asks for what answers have only if they are to.
    pub(super) fn includes(&mut self, what: &str) -> Result<bool, Error> {
        match self.text("include") {
            None => Ok(false),
            Some(asked) if asked == what => Ok(true),
            Some(_) => Err(Error::invalid("include", format!("`include` is not known, expected `{what}`"))),
        }
    }

    /// Whether a switch is on.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Error> {
        Ok(self.parsed(name, "true or false")?.unwrap_or(false))
    }

    /// Custom values, spelled `field.NAME`.
    pub(super) fn fields(&mut self) -> BTreeMap<String, String> {
        let is_field = |name: &str| name.starts_with("field.");
        let (fields, rest) = std::mem::take(&mut self.left).into_iter().partition(|(name, _)| is_field(name));
        self.left = rest;
        self.has_fields = true;
        let fields: BTreeMap<String, String> = fields;
        fields.into_iter().map(|(name, value)| (name["field.".len()..].to_owned(), value)).collect()
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.left.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                let message = format!("`{name}` is not an option of this operation");
                let hint = format!("a custom value is given as `field.{name}`");
                let refused = Error::invalid(name, message);
                Err(if self.has_fields { refused.with_hint(hint) } else { refused })
            }
        }
    }
}

fn decoded(text: &str) -> Result<String, Error> {
    let spaced = text.replace('+', " ");
    match percent_encoding::percent_decode_str(&spaced).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Error::invalid("query", "the query is not percent-encoded UTF-8")),
    }
}

/// The options in a request's query.
pub(super) struct Query(pub(super) Words);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NativeError> {
        Ok(Self(Words::of_query(parts.uri.query().unwrap_or(""))?))
    }
}

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = NativeError;

    async fn from_request(request: Request, _: &S) -> Result<Self, NativeError> {
        let (head, body) = request.into_parts();
        check_is_json(&head)?;
        Ok(Self(from_json(&read(&head, body).await?)?))
    }
}

/// What a body is said to be; empty if nothing is said.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// The media type of a content type, without its parameters.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// Refuses a form or a file where JSON is taken. What says nothing, or what programs say that were not told, is read.
fn check_is_json(head: &Parts) -> Result<(), Error> {
    let essence = essence(content_type(&head.headers));
    let is_other = ["multipart/", "image/", "video/", "application/octet-stream", "application/zstd"]
        .iter()
        .any(|other| essence.starts_with(other));
    if !is_other {
        return Ok(());
    }
    let given: String = essence.chars().take(64).collect();
    let message = format!("the content type is `{given}`, expected application/json: this operation takes JSON");
    Err(Error::invalid("content-type", message)
        .with_hint(r#"images go into it as {"base64": ".."} or {"upload": ".."}"#))
}

/// A JSON body of a caller who is not proved yet, and the head of the request. No body at all is `None`.
pub(super) struct SmallJson<T>(pub(super) Parts, pub(super) Option<T>);

/// Bytes of such a body: a key or a ticket.
const SMALL_BYTES_MAX: usize = 4096;

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for SmallJson<T> {
    type Rejection = NativeError;

    async fn from_request(request: Request, _: &S) -> Result<Self, NativeError> {
        let (head, body) = request.into_parts();
        body::check_place(&head.extensions)?;
        check_plain(&head)?;
        let mut upload = Upload::of(&head, body);
        let body = upload.read(SMALL_BYTES_MAX).await.map_err(|error| match error {
            BodyError::TooLong => Error::new(
                Kind::ImageTooLarge,
                format!("the request body has more than {SMALL_BYTES_MAX} bytes, as many as this operation takes"),
            ),
            BodyError::Broken => Error::invalid("body", "the request body broke off"),
            BodyError::Busy => body::busy(),
        })?;
        let value = if body.is_empty() { None } else { Some(from_json(&body)?) };
        Ok(Self(head, value))
    }
}

/// What came as a form: options as texts, images as bytes.
#[derive(Default)]
pub(super) struct Form {
    pub(super) words: Words,
    images: BTreeMap<String, Bytes>,
    /// Whether the body was the image itself.
    is_raw: bool,
}

impl Form {
    /// The image of that name, if it came.
    pub(super) fn image(&mut self, name: &str) -> Option<dto::Image> {
        self.images.remove(name).map(dto::Image::Bytes)
    }

    /// The image of that name.
    pub(super) fn needed_image(&mut self, name: &'static str) -> Result<dto::Image, Error> {
        let is_empty_body = self.is_raw && self.images.is_empty();
        self.image(name).ok_or_else(|| {
            let message = match is_empty_body {
                true => format!("`{name}` is missing: the body has 0 bytes, as of an empty file"),
                false => format!("`{name}` is missing"),
            };
            Error::new(Kind::MissingArgument, message).with_field(name)
        })
    }

    fn finish(self) -> Result<(), Error> {
        if let Some(name) = self.images.keys().next() {
            let message = format!("`{name}` is not an image of this operation");
            return Err(Error::invalid(name.clone(), message));
        }
        self.words.finish()
    }
}

/// Requests that may come as a form as well as in JSON.
pub(super) trait FromForm: Sized {
    /// Takes everything it knows out of the form.
    fn from_form(form: &mut Form) -> Result<Self, Error>;
}

/// A body in any of the three spellings: JSON, a form with options in it or in the query, or one raw image with the options
/// in the query.
pub(super) struct Posted<T>(pub(super) T);

impl<T: DeserializeOwned + FromForm, S: Sync> FromRequest<S> for Posted<T> {
    type Rejection = NativeError;

    async fn from_request(request: Request, _: &S) -> Result<Self, NativeError> {
        let (head, body) = request.into_parts();
        let content_type = content_type(&head.headers);
        let mut form = match essence(content_type).as_str() {
            "application/json" => {
                let body = read(&head, body).await?;
                let words = Words::of_query(head.uri.query().unwrap_or(""))?;
                if let Some(name) = words.left.into_keys().next() {
                    let message =
                        format!("`{name}` is in the query, expected every option of a JSON request in its body");
                    return Err(Error::invalid(name, message).into());
                }
                return Ok(Self(from_json(&body)?));
            }
            "multipart/form-data" => {
                let words = Words::of_query(head.uri.query().unwrap_or(""))?;
                read_form(words, content_type, read(&head, body).await?).await?
            }
            "" | "application/octet-stream" => raw_image(&head, body).await?,
            image if image.starts_with("image/") => raw_image(&head, body).await?,
            _ => {
                let expected = "expected application/json, multipart/form-data, application/octet-stream or an image";
                return Err(Error::invalid("content-type", format!("content type is not accepted, {expected}")).into());
            }
        };
        let posted = T::from_form(&mut form)?;
        form.finish()?;
        Ok(Self(posted))
    }
}

async fn raw_image(head: &Parts, body: Body) -> Result<Form, Error> {
    let words = Words::of_query(head.uri.query().unwrap_or(""))?;
    let image = read(head, body).await?;
    let images = if image.is_empty() { BTreeMap::new() } else { BTreeMap::from([("image".to_owned(), image)]) };
    Ok(Form { words, images, is_raw: true })
}

/// The form, with the options that came in the query.
async fn read_form(words: Words, content_type: &str, body: Bytes) -> Result<Form, Error> {
    let damaged = |error: multer::Error| Error::invalid("body", "the multipart body is damaged").with_source(error);
    let boundary = multer::parse_boundary(content_type).map_err(damaged)?;
    let stream = BodyDataStream::new(Full::<Bytes>::new(body));
    let mut parts = multer::Multipart::new(stream, boundary);
    let mut form = Form { words, ..Form::default() };
    let mut n_parts = 0;
    while let Some(part) = parts.next_field().await.map_err(damaged)? {
        n_parts += 1;
        if n_parts > PARTS_MAX {
            return Err(Error::invalid("body", format!("the form has too many parts, expected at most {PARTS_MAX}")));
        }
        let name = part.name().unwrap_or("").to_owned();
        if part.file_name().is_some() || name.starts_with("image") {
            let image = part.bytes().await.map_err(damaged)?;
            if form.images.insert(name.clone(), image).is_some() {
                let message = format!("`{name}` is given twice");
                return Err(Error::invalid(name, message));
            }
        } else {
            let text = part.bytes().await.map_err(damaged)?;
            if text.len() > TEXT_BYTES_MAX {
                let message = format!("`{name}` is too long");
                return Err(Error::invalid(name, message));
            }
            let text = String::from_utf8(text.into())
                .map_err(|_| Error::invalid(name.clone(), format!("`{name}` is not UTF-8 text")))?;
            form.words.put(name, text)?;
        }
    }
    Ok(form)
}

fn too_large() -> Error {
    Error::new(Kind::ImageTooLarge, format!("the request body has more than {BODY_BYTES_MAX} bytes"))
}

/// Refuses a body that is compressed or in letters other than UTF-8: it would be read as what it is not.
pub(super) fn check_plain(head: &Parts) -> Result<(), Error> {
    let said = |name| head.headers.get_all(name).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    let encodings = said(header::CONTENT_ENCODING).flat_map(|value| value.split(',')).map(str::trim);
    if let Some(encoding) = encodings.into_iter().find(|one| !one.is_empty() && !one.eq_ignore_ascii_case("identity")) {
        let given: String = encoding.chars().take(64).collect();
        let message = format!("`Content-Encoding` is `{given}`, expected none: a request body is read as it is");
        return Err(Error::invalid("content-encoding", message));
    }
    let parameters = said(header::CONTENT_TYPE).flat_map(|value| value.split(';').skip(1));
    for (name, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
        let charset = value.trim().trim_matches('"');
        let is_utf8 = ["utf-8", "utf8", "us-ascii"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8));
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8 {
            let given: String = charset.chars().take(64).collect();
            let message = format!("`charset` of the content type is `{given}`, expected utf-8");
            return Err(Error::invalid("content-type", message));
        }
    }
    Ok(())
}

/// The whole body. Every handler proves the caller first.
pub(super) async fn read(head: &Parts, body: Body) -> Result<Bytes, Error> {
    check_plain(head)?;
    let mut upload = Upload::of(head, body);
    upload.is_of_known_key();
    upload.read(BODY_BYTES_MAX).await.map_err(|error| match error {
        BodyError::TooLong => too_large(),
        BodyError::Broken => Error::invalid("body", "the request body broke off"),
        BodyError::Busy => body::busy(),
    })
}

/// Reads an object. No body at all is an object without members.
fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let invalid = |error: serde_json::Error| Error::invalid("body", format!("the JSON body is not valid: {error}"));
    let body = if body.is_empty() { b"{}" } else { without_mark(body) };
    if body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|&first| first != b'{') {
        // A derived reader would also take an array of the members' values.
        serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(invalid)?;
        return Err(Error::invalid("body", "the JSON body is not an object"));
    }
    match typed(body) {
        // A whole number may be written with a point or an exponent: for JSON these are one number.
        Err(_) if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() && has_written_out_whole(body) => {
            typed(&whole_numbers(body))
        }
        read => read,
    }
}

fn typed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        unreadable_member(path.trim_matches('.'), &error.into_inner())
    })?;
    reader.end().map_err(|error| Error::invalid("body", format!("the JSON body is not valid: {error}")))?;
    Ok(value)
}

/// Whether a number in this JSON is whole, but written as one that need not be.
fn has_written_out_whole(body: &[u8]) -> bool {
    let mut found = false;
    each_number(body, |number| found |= as_whole(number).is_some());
    found
}

/// The same JSON with such numbers written as whole ones.
fn whole_numbers(body: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(body.len());
    let mut copied = 0;
    each_number(body, |number| {
        if let Some(whole) = as_whole(number) {
            let begin = number.as_ptr() as usize - body.as_ptr() as usize;
            written.extend_from_slice(&body[copied..begin]);
            written.extend_from_slice(whole.as_bytes());
            copied = begin + number.len();
        }
    });
    written.extend_from_slice(&body[copied..]);
    written
}

/// A number such as `783.0` or `1e3` as a whole one; beyond 2^53 nobody knows which one is meant.
fn as_whole(number: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(number).ok().filter(|text| text.contains(['.', 'e', 'E']))?;
    let value: f64 = text.parse().ok()?;
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_991.0).then(|| format!("{value:.0}"))
}

/// Every number outside the texts of a JSON that is valid.
fn each_number<'a>(body: &'a [u8], mut see: impl FnMut(&'a [u8])) {
    let mut at = 0;
    while at < body.len() {
        match body[at] {
            b'"' => {
                at += 1;
                while at < body.len() && body[at] != b'"' {
                    at += if body[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = body[at..].iter().take_while(|byte| is_part(byte)).count();
                see(&body[at..at + length]);
                at += length;
            }
            _ => at += 1,
        }
    }
}

/// The error of the member at `path`, empty for the object itself.
fn unreadable_member(path: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    if error.is_data()
        && let Some(refused) = refused_value(path, without_place(&text))
    {
        return refused;
    }
    let member = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let quoted = |text: &str| text.split('`').next().unwrap_or_default().to_owned();
    if let Some(name) = text.strip_prefix("missing field `").map(quoted) {
        let name = member(&name);
        return Error::new(Kind::MissingArgument, format!("`{name}` is missing")).with_field(name);
    }
    let message = format!("the JSON body is not valid: {text}");
    if let Some(name) = text.strip_prefix("unknown field `").map(quoted) {
        // serde_path_to_error counts the unknown member as part of the path.
        return Error::invalid(if path.is_empty() { name } else { path.to_owned() }, message);
    }
    let last = path.rsplit('.').next().unwrap_or_default();
    if last.starts_with("image") || last.starts_with("others[") {
        let message = format!("`{path}` is not an image, expected one of `base64`, `url`, `upload` in an object");
        return Error::invalid(path.to_owned(), message).with_hint(r#"for example {"base64": "/9j/4AAQ.."}"#);
    }
    if path.is_empty() { Error::invalid("body", message) } else { Error::invalid(path.to_owned(), message) }
}

/// What a reader says without the line and column that it adds.
fn without_place(text: &str) -> &str {
    text.rfind(" at line ").map_or(text, |end| &text[..end])
}

/// A value of the wrong kind, in words of JSON and not of the program. `None` for what is told otherwise.
fn refused_value(path: &str, text: &str) -> Option<Error> {
    let last = path.rsplit('.').next().unwrap_or_default();
    if last.starts_with("image") || last.starts_with("others[") {
        return None;
    }
    if let Some(which) = text.strip_prefix(dto::NONE_OF) {
        let field = which.split('`').nth(1).unwrap_or("body").to_owned();
        return Some(Error::new(Kind::MissingArgument, format!("{}{which}", dto::NONE_OF)).with_field(field));
    }
    if text.ends_with(dto::EXCLUDE) {
        let field = text.split('`').nth(3).unwrap_or("body").to_owned();
        return Some(Error::invalid(field, text.to_owned()));
    }
    let name = if path.is_empty() { "the JSON body".to_owned() } else { format!("`{path}`") };
    let field = if path.is_empty() { "body".to_owned() } else { path.to_owned() };
    if let Some(twice) = text.strip_prefix("duplicate field `") {
        let twice = twice.trim_end_matches('`').to_owned();
        return Some(Error::invalid(twice.clone(), format!("`{twice}` is given twice")));
    }
    if let Some(variant) = text.strip_prefix("unknown variant ") {
        let (given, expected) = variant.split_once(", expected ")?;
        return Some(Error::invalid(field, format!("{name} is {given}, expected {expected}")));
    }
    let said = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "))?;
    let (given, expected) = said.split_once(", expected ")?;
    Some(Error::invalid(field, format!("{name} is {}, expected {}", json_words(given), json_kind(expected))))
}

/// What was given, as JSON calls it.
fn json_words(given: &str) -> String {
    let (kind, rest) = given.split_once(' ').unwrap_or((given, ""));
    match kind {
        "integer" | "boolean" => rest.trim_matches('`').to_owned(),
        "floating" => rest.trim_start_matches("point ").trim_matches('`').to_owned(),
        "string" => format!("the text {rest}"),
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        "unit" | "Option" | "null" => "null".to_owned(),
        _ => given.to_owned(),
    }
}

/// What was expected, as JSON calls it; descriptions of our own stay.
fn json_kind(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "unit" | "null" => "null",
        other
            if ["struct ", "enum ", "variant ", "internally ", "adjacently ", "map with"]
                .iter()
                .any(|program| other.starts_with(program)) =>
        {
            "an object"
        }
        other if other.starts_with("tuple ") || other.starts_with("an array ") => "a list",
        other => other,
    }
}

/// Entry for fuzzing: the first byte says what the rest claims to be, a zero byte parts the query from the body. Whatever
/// they are, every request that has a body is read or refused at once.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_body(data: &[u8]) {
    let Some((&claim, rest)) = data.split_first() else { return };
    let content_type = match claim % 3 {
        0 => "application/json",
        1 => "multipart/form-data; boundary=x",
        _ => "image/jpeg",
    };
    let end = rest.iter().position(|&byte| byte == 0).unwrap_or(0);
    let (query, body) = (&rest[..end], rest.get(end..).unwrap_or_default());
    let Ok(uri) = http::Uri::try_from([b"/?", query].concat()) else { return };
    let request = || {
        let body = Body::from(Bytes::copy_from_slice(body));
        let mut request = Request::new(body);
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
        request
    };
    fn at_once<T, E>(reading: impl Future<Output = Result<T, E>>) {
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let is_ready = std::pin::pin!(reading).poll(context).is_ready();
        assert!(is_ready, "a body that is there is read at once");
    }
    at_once(Posted::<dto::AddFaces>::from_request(request(), &()));
    at_once(Posted::<dto::Search>::from_request(request(), &()));
    at_once(Posted::<dto::Compare>::from_request(request(), &()));
    at_once(Posted::<dto::Detect>::from_request(request(), &()));
    at_once(Json::<dto::AddFacesLater>::from_request(request(), &()));
    at_once(Json::<dto::CreateFaceSet>::from_request(request(), &()));
    at_once(Json::<dto::UpdateFace>::from_request(request(), &()));
    at_once(Json::<dto::DeleteFaces>::from_request(request(), &()));
    at_once(Json::<dto::CreatePerson>::from_request(request(), &()));
    at_once(Json::<dto::CreateKey>::from_request(request(), &()));
    at_once(SmallJson::<dto::BeginSession>::from_request(request(), &()));
    at_once(Posted::<dto::AddPersonFace>::from_request(request(), &()));
}
