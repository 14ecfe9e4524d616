//! Temporary credentials, without a table of them.
//!
//! The security token is a claim and an HMAC over it, keyed by the secret of the access key that asked; id and secret of
//! the temporary key are made from the same claim. So credentials are good after a restart and on every server over one
//! store, they die with their access key, and nobody without its secret can make any. To clients they are opaque.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Hmac;
use likeness_domain::ports::{CredentialStore, IdSource};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, TenantId, TimestampMs};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::errors::Refusal;
use crate::aliyun::auth::{hex, hmac};

/// Keeps what is made here apart from everything else that is ever keyed with a secret.
const LABEL: &[u8] = b"likeness aliyun upload 1";
/// First byte of a claim; another layout gets another number.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
/// Version, expiry, nonce; then the key id, then the MAC.
const FIXED_BYTES: usize = 1 + 8 + NONCE_BYTES;
/// Text of the longest token.
const TOKEN_CHARS_MAX: usize = 256;

/// Credentials as they are handed out.
pub(super) struct Grant {
    pub(super) access_key_id: String,
    pub(super) access_key_secret: String,
    pub(super) security_token: String,
    pub(super) expires_at: TimestampMs,
}

/// New credentials on behalf of `key`.
pub(super) fn issue(key: &AccessKey, now: TimestampMs, lifetime: Duration, ids: &dyn IdSource) -> Grant {
    let expires_at = TimestampMs(now.0.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX)));
    let mut claim = vec![VERSION];
    claim.extend_from_slice(&expires_at.0.to_be_bytes());
    let mut nonce = [0; NONCE_BYTES];
    ids.fill(&mut nonce);
    claim.extend_from_slice(&nonce);
    claim.extend_from_slice(key.id.as_str().as_bytes());
    let (access_key_id, access_key_secret) = temporary_key(&key.secret, &claim);
    let mac = keyed(&key.secret, "token", &claim);
    claim.extend_from_slice(&mac);
    Grant { access_key_id, access_key_secret, security_token: URL_SAFE_NO_PAD.encode(claim), expires_at }
}

/// The temporary key behind a security token, and whose folder it opens.
pub(super) struct Opened {
    pub(super) access_key_id: String,
    pub(super) access_key_secret: String,
    pub(super) tenant: TenantId,
}

/// What a token stands for, if this server made it, its key is still good and its time is not over.
pub(super) async fn open(token: &[u8], credentials: &dyn CredentialStore, now: TimestampMs) -> Result<Opened, Refusal> {
    let unknown = || Refusal::denied("InvalidAccessKeyId", "the security token is not known");
    let claim = Claim::read(token).ok_or_else(unknown)?;
    let key = credentials.key(claim.access_key_id).await.map_err(Refusal::of)?;
    let key = key.filter(|key| key.enabled).ok_or_else(unknown)?;
    if !bool::from(keyed(&key.secret, "token", &claim.signed).ct_eq(&claim.mac)) {
        return Err(unknown());
    }
    if claim.expires_at <= now {
        return Err(Refusal::denied("SecurityTokenExpired", "the security token has expired"));
    }
    let (access_key_id, access_key_secret) = temporary_key(&key.secret, &claim.signed);
    Ok(Opened { access_key_id, access_key_secret, tenant: key.tenant.id })
}

/// A token taken apart, not believed yet.
pub(super) struct Claim {
    access_key_id: AccessKeyId,
    expires_at: TimestampMs,
    signed: Vec<u8>,
    mac: Vec<u8>,
}

impl Claim {
    /// Takes a token's text apart; `None` if it is none of ours.
    pub(super) fn read(text: &[u8]) -> Option<Claim> {
        if text.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let mut signed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mac = signed.split_off(signed.len().checked_sub(MAC_BYTES)?);
        if signed.first() != Some(&VERSION) {
            return None;
        }
        let expires_at = TimestampMs(i64::from_be_bytes(signed.get(1..9)?.try_into().ok()?));
        let access_key_id = AccessKeyId::new(std::str::from_utf8(signed.get(FIXED_BYTES..)?).ok()?)?;
        Some(Claim { access_key_id, expires_at, signed, mac })
    }
}

/// Id and secret that go with a claim.
fn temporary_key(secret: &Secret, claim: &[u8]) -> (String, String) {
    let id = hex(&keyed(secret, "id", claim)[..12]);
    (format!("STS.{id}"), URL_SAFE_NO_PAD.encode(keyed(secret, "secret", claim)))
}

fn keyed(secret: &Secret, part: &str, claim: &[u8]) -> Vec<u8> {
    let key = hmac::<Hmac<Sha256>>(secret.reveal().as_bytes(), LABEL);
    let message = [part.as_bytes(), b"\0", claim].concat();
    hmac::<Hmac<Sha256>>(&key, &message)
}
