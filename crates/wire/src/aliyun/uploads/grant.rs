//! Temporary credentials, without a table of them.
//!
//! The security token is a sealed claim ([`sealed`]); id and secret of the temporary key are made from the same claim.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use likeness_domain::ports::{CredentialStore, IdSource};
use likeness_domain::types::{AccessKey, Secret, TimestampMs};

use super::errors;
use crate::aliyun::errors::Refusal;
use crate::http::sealed;
use crate::http::signing::hex;

/// The security tokens that go with temporary keys.
pub(super) const TOKEN: sealed::Kind =
    sealed::Kind { label: b"likeness aliyun upload 1", prefix: b"token\0", n_extra: 0 };

/// Credentials as they are handed out.
pub(super) struct Grant {
    pub(super) access_key_id: String,
    pub(super) access_key_secret: String,
    pub(super) security_token: String,
    pub(super) expires_at: TimestampMs,
}

/// New credentials on behalf of a key, with the secret that its holder has proved: they end with that.
pub(super) fn issue(
    (key, secret): (&AccessKey, &Secret),
    now: TimestampMs,
    lifetime: Duration,
    ids: &dyn IdSource,
) -> Grant {
    let expires_at = TimestampMs(now.0.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX)));
    let expires_at = key.end_of(secret).map_or(expires_at, |end| end.min(expires_at));
    let (claim, security_token) = TOKEN.seal(&[], expires_at, (&key.id, secret), ids);
    let (access_key_id, access_key_secret) = temporary_key(secret, &claim);
    Grant { access_key_id, access_key_secret, security_token, expires_at }
}

/// The temporary key behind a security token, and the key that it was made for.
pub(super) struct Opened {
    pub(super) access_key_id: String,
    pub(super) access_key_secret: String,
    pub(super) key: AccessKey,
}

/// What a token stands for, if this server made it, its key is still good and its time is not over.
pub(super) async fn open(token: &[u8], credentials: &dyn CredentialStore, now: TimestampMs) -> Result<Opened, Refusal> {
    let unknown = || Refusal::denied("InvalidAccessKeyId", "the security token is not known");
    let opened = TOKEN.open(token, credentials, now).await.map_err(errors::of)?;
    let (claim, key, secret) = opened.filter(|(_, key, _)| key.is_usable(now)).ok_or_else(unknown)?;
    if claim.expires_at <= now {
        return Err(Refusal::denied("SecurityTokenExpired", "the security token has expired"));
    }
    let (access_key_id, access_key_secret) = temporary_key(&secret, &claim.bytes);
    Ok(Opened { access_key_id, access_key_secret, key })
}

/// Id and secret that go with a claim.
fn temporary_key(secret: &Secret, claim: &[u8]) -> (String, String) {
    let id = hex(&TOKEN.keyed(secret, b"id\0", claim)[..12]);
    (format!("STS.{id}"), URL_SAFE_NO_PAD.encode(TOKEN.keyed(secret, b"secret\0", claim)))
}
