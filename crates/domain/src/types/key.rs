//! Tenants and the access keys that speak for them.

use super::{Note, TenantId, TimestampMs};
use crate::access::{FaceSetScope, Grants, Limits};
use crate::{Error, Result};
use std::fmt;

/// Name of a tenant: 1 to 64 of `A-Z a-z 0-9 _ - .`, unique in the installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantName(Box<str>);

impl TenantName {
    /// The tenant that keeps the operator's keys. It is one like all others, and mostly has nothing else.
    pub const OF_OPERATORS: &str = "operator";

    /// Checks length and alphabet.
    pub fn new(text: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid("tenant", "tenant name is not valid, expected 1 to 64 of A-Z a-z 0-9 _ - ."))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose data it is.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its identity.
    pub id: TenantId,
    /// Its name.
    pub name: TenantName,
    /// When it was made.
    pub created_at: TimestampMs,
    /// How much it may hold and how often it may call.
    pub limits: Limits,
}

impl Tenant {
    /// A tenant without limits of its own.
    pub fn new(id: TenantId, name: TenantName, created_at: TimestampMs) -> Self {
        Self { id, name, created_at, limits: Limits::NONE }
    }
}

/// Public half of an access key: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKeyId(Box<str>);

impl AccessKeyId {
    /// Checks length and alphabet.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Secret half of an access key. Signatures need it in the clear, so it cannot be stored as a digest; it prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// A secret of 1 to 128 visible ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        ((1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.into()))
    }

    /// The secret itself: for signatures and for showing a new key once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What makes an installation's keyed ids its own: 256 random bits, made once, never shown. It prints as `***`.
///
/// It signs nothing by itself: derive a key of your own from it for each use (HMAC-SHA256 over a label such as
/// `tokens of a dialect`), so that no use can stand in for another.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationSecret([u8; 32]);

impl InstallationSecret {
    /// The secret with these bytes, which came from an [`crate::ports::IdSource`] or a store.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret itself, to derive keys from.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for InstallationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A key pair that signs in every dialect for one tenant.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// Public half.
    pub id: AccessKeyId,
    /// Secret half.
    pub secret: Secret,
    /// The secret before the last rotation, while it is still accepted.
    pub previous: Option<PreviousSecret>,
    /// Whose data it opens.
    pub tenant: Tenant,
    /// What it may do.
    pub grants: Grants,
    /// With which face sets.
    pub face_sets: FaceSetScope,
    /// What people call it.
    pub label: Option<Note>,
    /// A disabled key is known but refused.
    pub enabled: bool,
    /// When it was made.
    pub created_at: TimestampMs,
    /// From when on it is refused; `None` for never.
    pub expires_at: Option<TimestampMs>,
    /// When it was used last, give or take a minute; `None` if it never was.
    pub last_used_at: Option<TimestampMs>,
}

/// A secret that was replaced and is accepted for a while longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Secret,
    /// From when on it is refused.
    pub valid_until: TimestampMs,
}

impl AccessKey {
    /// A key that may do everything with every face set and does not expire.
    pub fn new(id: AccessKeyId, secret: Secret, tenant: Tenant, created_at: TimestampMs) -> Self {
        Self {
            id,
            secret,
            previous: None,
            tenant,
            grants: Grants::USUAL,
            face_sets: FaceSetScope::All,
            label: None,
            enabled: true,
            created_at,
            expires_at: None,
            last_used_at: None,
        }
    }

    /// The secrets that are accepted at `now`: the present one first, then the one before the last rotation while its time
    /// is not over.
    pub fn secrets(&self, now: TimestampMs) -> impl Iterator<Item = &Secret> {
        let previous = self.previous.as_ref().filter(move |previous| now < previous.valid_until);
        std::iter::once(&self.secret).chain(previous.map(|previous| &previous.secret))
    }

    /// When a secret of this key ends before the key does: the one of before the last rotation. What is made with it ends then.
    pub fn end_of(&self, secret: &Secret) -> Option<TimestampMs> {
        let is_previous = |previous: &&PreviousSecret| previous.secret.reveal() == secret.reveal();
        self.previous.as_ref().filter(is_previous).map(|previous| previous.valid_until)
    }

    /// The key as it is for whoever proves it by this secret, one of [`AccessKey::secrets`]: with the one of before the last
    /// rotation it has no newer one and ends when that does.
    #[must_use]
    pub fn proved_by(self, secret: &Secret) -> Self {
        let ends = [self.expires_at, self.end_of(secret)].into_iter().flatten().min();
        Self { secret: secret.clone(), expires_at: ends, ..self }
    }

    /// Whether it was [proved by](AccessKey::proved_by) the secret of before the last rotation.
    pub fn is_proved_by_old_secret(&self) -> bool {
        self.end_of(&self.secret).is_some()
    }

    /// Whether it may be used at `now`: enabled and not expired.
    pub fn is_usable(&self, now: TimestampMs) -> bool {
        self.enabled && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}
