//! Revisions of face sets, faces, persons and tenants, as HTTP spells them: `ETag` in answers, `If-Match` in requests that change.
//!
//! A tag is a digest of everything that a request can change, so two states that read the same have the same one. Whether it
//! still holds is asked in the transaction that writes.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, header};
use likeness_domain::Error;
use likeness_domain::access::{Caller, Grant};
use likeness_domain::types::{Face, FaceSet, FaceSetSummary, Person, Precondition, Tenant};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::convert;
use super::errors::NativeError;
use crate::http::signing::hex;

/// Digits of a tag: 96 bits.
const DIGITS: usize = 24;

/// Most tags of one request.
const TAGS_MAX: usize = 32;

/// What a request's `If-Match` asks for.
pub(super) enum IfMatch {
    /// There is none.
    Anything,
    /// That it exists, which it has to in any case.
    Existing,
    /// One of these tags.
    Tags(Vec<String>),
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NativeError> {
        let malformed = || {
            let message = "`If-Match` is malformed, expected `*` or values of `ETag` with their quotes between commas";
            Error::invalid("if-match", message)
        };
        let mut tags = Vec::new();
        let mut any = false;
        for value in parts.headers.get_all(header::IF_MATCH) {
            for tag in value.to_str().map_err(|_| malformed())?.split(',').map(str::trim) {
                match tag {
                    "*" => any = true,
                    // A weak tag never matches strongly (RFC 9110, section 13.1.1); it is no mistake.
                    weak if weak.starts_with("W/\"") && weak.ends_with('"') => tags.push(String::new()),
                    _ => {
                        let inner =
                            tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(malformed)?;
                        tags.push(inner.to_owned());
                    }
                }
            }
        }
        if tags.len() > TAGS_MAX {
            let message = format!("`If-Match` has {} tags, expected at most {TAGS_MAX}", tags.len());
            return Err(Error::invalid("if-match", message).into());
        }
        Ok(match (any, tags.is_empty()) {
            (true, true) => IfMatch::Existing,
            (true, false) => return Err(malformed().into()),
            (false, true) => IfMatch::Anything,
            (false, false) => IfMatch::Tags(tags),
        })
    }
}

impl IfMatch {
    /// As a condition on a thing whose tag is made so.
    pub(super) fn on<T: 'static>(self, tag: fn(&T) -> String) -> Option<Precondition<T>> {
        match self {
            IfMatch::Anything | IfMatch::Existing => None,
            IfMatch::Tags(tags) => Some(Precondition::new(move |thing: &T| tags.contains(&tag(thing)))),
        }
    }
}

/// The tag of a face set: its name, texts, tags and gate, not the number of its faces.
pub(super) fn of_face_set(face_set: &FaceSet) -> String {
    digest(&convert::face_set(FaceSetSummary { face_set: face_set.clone(), n_faces: 0 }))
}

/// The tag of a face.
pub(super) fn of_face(face: &Face) -> String {
    digest(&(convert::face_of(face.clone(), None), face.updated_at.0))
}

/// The tag of a person: its key, name and note, not its faces and face sets.
pub(super) fn of_person(person: &Person) -> String {
    digest(&convert::person(person.clone(), None))
}

/// The tag of a tenant: its limits.
pub(super) fn of_tenant(tenant: &Tenant) -> String {
    digest(&convert::tenant(tenant))
}

fn digest(thing: &impl Serialize) -> String {
    let text = serde_json::to_vec(thing).unwrap_or_default();
    let mut digits = hex(&Sha256::digest(text));
    digits.truncate(DIGITS);
    digits
}

/// The answer of a change with its tag, from which somebody who may not read could find out short texts by trying.
pub(super) fn tagged_if_read(caller: &Caller, response: Response, tag: &str) -> Response {
    if caller.grants.contains(Grant::Read) { tagged(response, tag) } else { response }
}

/// The answer with its tag.
pub(super) fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}
