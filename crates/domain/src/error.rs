//! The one error type of the project and its closed list of kinds.
//!
//! A [`Kind`] answers "what can the caller do about it?", not "who failed". It is deliberately not
//! `#[non_exhaustive]`: every adapter matches it without a catch-all, so a new kind stops the build until each vendor
//! has an answer for it.

use std::borrow::Cow;
use std::fmt;

use crate::types::QualityFailure;

/// Result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as a caller can act on it. Closed on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value is malformed or out of its range; the message names the field, the value and what is accepted.
    InvalidArgument,
    /// A needed value is missing.
    MissingArgument,
    /// The caller has no grant for this act.
    Forbidden,
    /// No face set of that name in the caller's tenant.
    FaceSetNotFound,
    /// The name is taken by another face set of the tenant.
    FaceSetExists,
    /// The face set holds faces and the caller asked to delete it only if it is empty.
    FaceSetNotEmpty,
    /// The tenant has as many face sets as it may have.
    TooManyFaceSets,
    /// The tenant has as many persons as it may have.
    TooManyPersons,
    /// The face set, person or tenant is full; nothing was stored.
    CapacityExceeded,
    /// More calls a second than the tenant or the key may make; the same request may succeed a second later.
    RateExceeded,
    /// No face with that id where the caller looked for it.
    FaceNotFound,
    /// A face with the same external id is already enrolled there.
    FaceExists,
    /// No person with that key in the caller's tenant.
    PersonNotFound,
    /// The key is taken by another person of the tenant.
    PersonExists,
    /// No access key with that id in the caller's tenant.
    KeyNotFound,
    /// No tenant of that name.
    TenantNotFound,
    /// The name is taken by another tenant.
    TenantExists,
    /// No job with that id in the caller's tenant, or it is forgotten.
    JobNotFound,
    /// The job was to be cancelled, and is done or too far for that; or a worker was to write something for a job that was
    /// cancelled or that somebody else is at by now.
    JobDone,
    /// What was to be changed is not any more what the caller has seen of it.
    Changed,
    /// A custom field was named that the face set does not define (in a filter, sort or selector).
    UnknownField,
    /// A value was given for a custom field that the face set does not define.
    FieldNotDefined,
    /// A custom field's value has another type than the face set defines.
    FieldTypeMismatch,
    /// Results were to be sorted by a field that is not numeric.
    SortFieldNotNumeric,
    /// The picture shows no face.
    NoFaceInImage,
    /// The picture shows several faces where exactly one is asked for.
    SeveralFacesInImage,
    /// The picture of the face is not good enough to be enrolled where the caller wants it; the message has the reasons.
    PoorQuality,
    /// The bytes are not a picture in an accepted format.
    ImageFormat,
    /// The bytes claim an accepted format but cannot be decoded.
    ImageCorrupt,
    /// The picture's width or height is outside the accepted range.
    ImageDimensions,
    /// The picture has too many bytes.
    ImageTooLarge,
    /// The bytes are not a clip in an accepted container and codec, or cannot be decoded within the bounds of one.
    VideoUnreadable,
    /// The clip is shorter or longer than is accepted.
    VideoDuration,
    /// The image address is not a usable URL.
    UrlInvalid,
    /// The image address points where this server may not fetch from.
    UrlForbidden,
    /// The image could not be fetched: no such host, refused, cut off, an answer that is no image.
    UrlUnreachable,
    /// The host of the image address says that there is nothing at it.
    UrlNotFound,
    /// The host of the image address does not give the image to this server.
    UrlDenied,
    /// Fetching the image took longer than it may.
    UrlTimeout,
    /// The caller named a model pack that is not loaded.
    PackNotFound,
    /// The caller named an upload that is not there, or no longer.
    UploadNotFound,
    /// A model pack that is needed, as that of a face set, is not installed, or cannot do what is asked.
    PackUnavailable,
    /// The operation or stage is not available in this installation.
    Unsupported,
    /// A bounded queue is full; the same request may succeed a moment later.
    Overloaded,
    /// The disk or the quota under the store is full, or its file system is read-only; nothing was stored.
    StorageFull,
    /// A fault of ours or of the machine; details are in the log under the request id.
    Internal,
}

impl Kind {
    /// Every kind, for tables and their tests.
    pub const ALL: &'static [Kind] = &[
        Kind::InvalidArgument,
        Kind::MissingArgument,
        Kind::Forbidden,
        Kind::FaceSetNotFound,
        Kind::FaceSetExists,
        Kind::FaceSetNotEmpty,
        Kind::TooManyFaceSets,
        Kind::TooManyPersons,
        Kind::CapacityExceeded,
        Kind::RateExceeded,
        Kind::FaceNotFound,
        Kind::FaceExists,
        Kind::PersonNotFound,
        Kind::PersonExists,
        Kind::KeyNotFound,
        Kind::TenantNotFound,
        Kind::TenantExists,
        Kind::JobNotFound,
        Kind::JobDone,
        Kind::Changed,
        Kind::UnknownField,
        Kind::FieldNotDefined,
        Kind::FieldTypeMismatch,
        Kind::SortFieldNotNumeric,
        Kind::NoFaceInImage,
        Kind::SeveralFacesInImage,
        Kind::PoorQuality,
        Kind::ImageFormat,
        Kind::ImageCorrupt,
        Kind::ImageDimensions,
        Kind::ImageTooLarge,
        Kind::VideoUnreadable,
        Kind::VideoDuration,
        Kind::UrlInvalid,
        Kind::UrlForbidden,
        Kind::UrlUnreachable,
        Kind::UrlNotFound,
        Kind::UrlDenied,
        Kind::UrlTimeout,
        Kind::PackNotFound,
        Kind::UploadNotFound,
        Kind::PackUnavailable,
        Kind::Unsupported,
        Kind::Overloaded,
        Kind::StorageFull,
        Kind::Internal,
    ];

    /// Whether the same request may succeed later without the caller changing anything.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Kind::Overloaded | Kind::RateExceeded | Kind::StorageFull | Kind::UrlUnreachable | Kind::UrlTimeout
        )
    }
}

/// Of work that is tried again and again: its failure is told when it begins to fail, not with every try.
#[derive(Debug, Default)]
pub struct Repeated(Option<Kind>);

impl Repeated {
    /// The failure of a try, if it is to be told: the one before did not fail in the same way. `None` is a try that worked.
    pub fn news<'a>(&mut self, failure: Option<&'a Error>) -> Option<&'a Error> {
        let kind = failure.map(Error::kind);
        let before = std::mem::replace(&mut self.0, kind);
        failure.filter(|_| before != kind)
    }
}

/// An error: its kind, a message fit for the caller, perhaps a hint at the cure, and (for the log only) the source below
/// it.
///
/// Messages are one line in lower case without a full stop and never hold a secret, an image or a template. A hint is for
/// whoever runs the server or the command; [`fmt::Display`] writes it on a line of its own: `hint: ...`.
pub struct Error {
    kind: Kind,
    message: Box<str>,
    field: Option<Cow<'static, str>>,
    // Apart, because few errors have it and every result has room for an error.
    more: Option<Box<More>>,
}

/// What an error may have besides.
#[derive(Default)]
struct More {
    hint: Option<String>,
    failures: Vec<QualityFailure>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` is shown to the caller.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into(), field: None, more: None }
    }

    /// An [`Kind::InvalidArgument`] that names the offending field, as the library calls it.
    pub fn invalid(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, message).with_field(field)
    }

    /// A fault of ours: `doing` says what was being done, `source` goes to the log only.
    pub fn internal(doing: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, doing).with_source(source)
    }

    /// Adds what failed below; it is logged, never sent to the caller.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.more.get_or_insert_default().source = Some(source.into());
        self
    }

    /// Says what can be done about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.more.get_or_insert_default().hint = Some(hint.into());
        self
    }

    /// Adds the figures that are too low, which the message says in words.
    #[must_use]
    pub fn with_failures(mut self, failures: &[QualityFailure]) -> Self {
        self.more.get_or_insert_default().failures = failures.to_vec();
        self
    }

    /// Says first which thing it was about: `thing: message`.
    #[must_use]
    pub fn about(mut self, thing: impl fmt::Display) -> Self {
        self.message = format!("{thing}: {}", self.message).into();
        self
    }

    /// The same error without what failed below.
    #[must_use]
    pub fn without_source(&self) -> Self {
        let kept = |more: &More| More { hint: more.hint.clone(), failures: more.failures.clone(), source: None };
        let more = self.more.as_deref().map(kept).map(Box::new);
        Self { kind: self.kind, message: self.message.clone(), field: self.field.clone(), more }
    }

    /// Names the field at fault, as the library calls it.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Text for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What can be done about it, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.more.as_ref()?.hint.as_deref()
    }

    /// The figures that are too low, of a face that is not good enough.
    pub fn failures(&self) -> &[QualityFailure] {
        self.more.as_ref().map_or(&[], |more| &more.failures)
    }

    /// The field at fault, as the library calls it, when there is one.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        self.hint().map_or(Ok(()), |hint| write!(f, "; hint: {hint}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.more.as_ref()?.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// At most 64 characters of a caller's text, for an error message.
pub(crate) fn shortened(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
