//! Who asks: by token or by signature.
//!
//! Authentication works on what was really sent: raw path, raw query, raw header bytes, raw body. All that fails
//! before the caller's identity is established is one answer, `APIG.0301`.

mod signature;
pub(super) mod token;

use http::request::Parts;
use likeness_domain::ports::CredentialStore;
use likeness_domain::types::{AccessKey, TenantId, TimestampMs};

use super::errors::{Failure, code};

pub(super) use signature::Signed;
#[cfg(any(test, feature = "fuzz"))]
pub use signature::fuzz_signature;
pub use signature::sign;

/// An established identity.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The key that spoke.
    pub(super) key: AccessKey,
    /// Whether it may speak for its project; a token for an account alone may not.
    pub(super) has_project: bool,
}

impl Identity {
    pub(super) fn tenant(&self) -> TenantId {
        self.key.tenant.id
    }
}

/// How far a request's head has got us.
pub(super) enum Evidence {
    /// The head was enough.
    Identity(Identity),
    /// The key is known and the time is right; the signature also covers the body.
    Signature(Signed),
}

/// Looks at a request's head. If both a token and a signature are there, the signature counts.
pub(super) async fn examine(
    head: &Parts,
    credentials: &dyn CredentialStore,
    now: TimestampMs,
) -> Result<Evidence, Failure> {
    let header = |name| head.headers.get(name).filter(|value| !value.is_empty());
    if header("authorization").is_some() {
        let claim = signature::Claim::read(head, now).map_err(unauthenticated)?;
        let key = credentials.key(claim.access_key_id.clone()).await?;
        // A disabled key and an unknown one are the same to whoever cannot prove to hold it.
        let key = key.filter(|key| key.is_usable(now)).ok_or_else(|| unauthenticated("the access key is not valid"))?;
        return Ok(Evidence::Signature(Signed { claim, key }));
    }
    let Some(text) = header("x-auth-token") else {
        return Err(unauthenticated("neither `X-Auth-Token` nor `Authorization` is there"));
    };
    let found = token::read(text, credentials, now).await?;
    let (key, _, token) = found.ok_or_else(|| unauthenticated("the token is not valid, or has expired"))?;
    if !key.is_usable(now) {
        return Err(Failure::service(code::FRS_0002, "the access key behind the token is disabled or expired"));
    }
    Ok(Evidence::Identity(Identity { key, has_project: token.has_project }))
}

pub(super) fn unauthenticated(message: impl Into<String>) -> Failure {
    Failure::gateway(code::APIG_0301, message)
}
