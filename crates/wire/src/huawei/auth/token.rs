//! Tokens: what they say and how they are proved.
//!
//! A token is stateless: a claim and an HMAC over it, keyed by the secret of the access key that asked for it. So it
//! is valid across restarts and on every node, any number are valid at once, it dies with its key, and nobody without
//! the secret can make one. To clients it is opaque.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use likeness_domain::ports::IdSource;
use likeness_domain::types::{AccessKeyId, Secret, TimestampMs};
use subtle::ConstantTimeEq;

use super::{access_key_id, hmac_sha256};

/// How long a token is valid: 24 hours.
pub(in super::super) const TOKEN_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// First byte of a token; another layout gets another number.
const VERSION: u8 = 1;
/// Keeps tokens apart from everything else that is ever keyed with a secret.
const LABEL: &[u8] = b"likeness huawei token 1";
const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
/// Version, scope, expiry, nonce; then the key id, then the MAC.
const FIXED_BYTES: usize = 1 + 1 + 8 + NONCE_BYTES;

/// What a token says.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Token {
    /// Whose token it is.
    pub(in super::super) access_key_id: AccessKeyId,
    /// Whether it is for a project, or for the account alone.
    pub(in super::super) has_project: bool,
    /// When it stops being valid.
    pub(in super::super) expires_at: TimestampMs,
}

impl Token {
    /// The token as text: visible ASCII, fit for a header.
    pub(in super::super) fn seal(&self, secret: &Secret, ids: &dyn IdSource) -> String {
        let mut bytes = vec![VERSION, u8::from(self.has_project)];
        bytes.extend_from_slice(&self.expires_at.0.to_be_bytes());
        let mut nonce = [0; NONCE_BYTES];
        ids.fill(&mut nonce);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(self.access_key_id.as_str().as_bytes());
        let mac = mac(secret, &bytes);
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// A token as sent: believed only after [`Claim::verify`].
pub(super) struct Claim {
    pub(super) access_key_id: AccessKeyId,
    signed: Vec<u8>,
    mac: [u8; MAC_BYTES],
}

impl Claim {
    /// Takes a token's text apart; `None` if it is none of ours.
    pub(super) fn read(text: &[u8]) -> Option<Claim> {
        let mut signed = URL_SAFE_NO_PAD.decode(text.get(..512.min(text.len()))?).ok()?;
        let signed_end = signed.len().checked_sub(MAC_BYTES)?;
        let mac = signed.split_off(signed_end).try_into().ok()?;
        if signed.first() != Some(&VERSION) {
            return None;
        }
        let access_key_id = access_key_id(signed.get(FIXED_BYTES..)?)?;
        Some(Claim { access_key_id, signed, mac })
    }

    /// What the token says, if the holder of `secret` made it.
    pub(super) fn verify(self, secret: &Secret) -> Option<Token> {
        if !bool::from(mac(secret, &self.signed).ct_eq(&self.mac)) {
            return None;
        }
        let has_project = match self.signed[1] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let expires_at = TimestampMs(i64::from_be_bytes(self.signed[2..10].try_into().ok()?));
        Some(Token { access_key_id: self.access_key_id, has_project, expires_at })
    }
}

fn mac(secret: &Secret, signed: &[u8]) -> [u8; MAC_BYTES] {
    let key = hmac_sha256(secret.reveal().as_bytes(), LABEL);
    hmac_sha256(&key, signed)
}

#[cfg(test)]
mod tests;
