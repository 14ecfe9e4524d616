//! Who asks: two signature schemes over what was really sent, each checked in the documented order.

mod acs1;
mod acs3;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
#[cfg(test)]
pub(super) mod tests;

use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use likeness_domain::ports::{CredentialStore, NonceStore};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, TimestampMs};
use md5::Md5;
use sha2::{Digest, Sha256};

use super::errors::Refusal;
use super::settings::Settings;
use crate::http::signing::{self, CLOCK_TOLERANCE_MS, HTTP_TIME, ISO_TIME, fits_md5, is_near, text};

pub(super) use acs1::signed_headers;
#[cfg(any(test, feature = "fuzz"))]
pub use fuzz::{fuzz_acs3, fuzz_signature};

/// For how long a nonce is remembered: both directions of the window.
const NONCE_LIFETIME_MS: i64 = 2 * CLOCK_TOLERANCE_MS;
/// Bytes of a string to sign that are shown to whoever got it wrong.
const SHOWN_BYTES_MAX: usize = 4096;
/// The vendor's code for a wrong signature or a wrong part of one.
const MISMATCH: &str = "SignatureDoesNotMatch";

/// How a request is signed.
#[derive(Debug, PartialEq)]
enum Scheme {
    /// Signature version 1.0.
    One,
    /// `ACS3-HMAC-SHA256` over these headers.
    Three { signed_headers: String },
}

/// A well-formed `Authorization` header with a time that is near enough.
#[derive(Debug)]
struct Claim {
    access_key_id: String,
    scheme: Scheme,
    signature: String,
}

impl Claim {
    /// Reads the header (check 3) and the time (check 4).
    fn read(head: &Parts, now: TimestampMs) -> Result<Claim, Refusal> {
        let missing = || Refusal::new("MissingAuthorization", "the header `Authorization` is missing or malformed");
        let authorization = text(&head.headers, "authorization").ok_or_else(missing)?;
        let claim = if let Some(rest) = authorization.strip_prefix("acs ") {
            let (access_key_id, signature) = rest.split_once(':').ok_or_else(missing)?;
            acs1::check_method(&head.headers)?;
            let (access_key_id, signature) = (access_key_id.trim().to_owned(), signature.trim().to_owned());
            Claim { access_key_id, scheme: Scheme::One, signature }
        } else if let Some(rest) = authorization.strip_prefix("ACS3-HMAC-SHA256 ") {
            acs3::parse(rest).ok_or_else(missing)?
        } else if authorization.starts_with("ACS3-") {
            return Err(Refusal::new("InvalidSignatureMethod", "expected ACS3-HMAC-SHA256 or HMAC-SHA1"));
        } else {
            return Err(missing());
        };
        check_time(&head.headers, &claim.scheme, now)?;
        Ok(claim)
    }
}

/// A claim and the key it names; believed only after [`Signed::verify`].
pub(super) struct Signed {
    claim: Claim,
    key: AccessKey,
}

/// Checks what needs the head only: header, time, key (checks 3 to 5).
pub(super) async fn examine(
    head: &Parts,
    credentials: &dyn CredentialStore,
    now: TimestampMs,
) -> Result<Signed, Refusal> {
    let claim = Claim::read(head, now)?;
    let unknown = || Refusal::not_found("InvalidAccessKeyId.NotFound", "the access key id does not exist");
    let id = AccessKeyId::new(&claim.access_key_id).ok_or_else(unknown)?;
    let key = credentials.key(id).await.map_err(Refusal::internal)?.ok_or_else(unknown)?;
    if !key.is_usable(now) {
        return Err(Refusal::new("InvalidAccessKeyId.Inactive", "the access key is disabled or expired"));
    }
    Ok(Signed { claim, key })
}

impl Signed {
    /// The key and the secret that signed, if the holder of one of its secrets signed this head and this body for the first time (checks 6 to 9).
    pub(super) async fn verify(
        self,
        head: &Parts,
        body: &[u8],
        nonces: &dyn NonceStore,
        now: TimestampMs,
        settings: &Settings,
    ) -> Result<(AccessKey, Secret), Refusal> {
        let has = |name| head.headers.get(name).is_some_and(|value: &HeaderValue| !value.is_empty());
        if settings.require_content_md5 && self.claim.scheme == Scheme::One && !body.is_empty() && !has("content-md5") {
            return Err(Refusal::new("MissingContentMD5", "the header `Content-MD5` is missing"));
        }
        if settings.require_nonce && !has("x-acs-signature-nonce") {
            return Err(Refusal::new("MissingSignatureNonce", "the header `x-acs-signature-nonce` is missing"));
        }
        let secret = self.proved_secret(head, body, now)?;
        if let Some(nonce) = head.headers.get("x-acs-signature-nonce").filter(|nonce| !nonce.is_empty()) {
            // After the signature: else anybody could use up other people's nonces.
            let token = Sha256::new().chain_update(&self.claim.access_key_id).chain_update([0]);
            let token = token.chain_update(nonce.as_bytes()).finalize();
            let expires_at = TimestampMs(now.0 + NONCE_LIFETIME_MS);
            if !nonces.consume("acs nonce", &token, now, expires_at).await.map_err(Refusal::internal)? {
                return Err(Refusal::new("SignatureNonceUsed", "the signature nonce was used before"));
            }
        }
        // This server hands out no temporary keys, so no token can belong to the key that signed.
        if head.headers.get("x-acs-security-token").is_some_and(|token| !token.is_empty()) {
            let message = "the security token is not known; sign with an access key alone";
            return Err(Refusal::new("InvalidSecurityToken.Malformed", message));
        }
        Ok((self.key, secret))
    }

    /// The secret that the signature was made with.
    fn proved_secret(&self, head: &Parts, body: &[u8], now: TimestampMs) -> Result<Secret, Refusal> {
        if !fits_md5(&head.headers, &Md5::digest(body)) {
            return Err(Refusal::new("ContentMD5NotMatched", "the header `Content-MD5` is not the body's digest"));
        }
        let (mut expected, mut to_sign) = (Vec::new(), Vec::new());
        for secret in self.key.secrets(now) {
            let bytes = secret.reveal().as_bytes();
            let (signatures, signed) = match &self.claim.scheme {
                Scheme::One => acs1::signatures(head, bytes),
                Scheme::Three { signed_headers } => acs3::signature(head, signed_headers, bytes, body)?,
            };
            expected.extend(signatures.into_iter().map(|signature| (signature, secret)));
            to_sign = signed;
        }
        let given = self.claim.signature.as_bytes();
        // Every candidate is compared, so that the time taken does not depend on which one fits.
        let fits = |(expected, secret): &(String, &Secret)| {
            if signing::same(expected.as_bytes(), given) { Some(Secret::clone(secret)) } else { None }
        };
        if let Some(secret) = expected.iter().map(fits).fold(None, |found, secret| secret.or(found)) {
            return Ok(secret);
        }
        // The oldest SDK splits this message at a colon and dies without one. What it is shown is its own request.
        let shown = String::from_utf8_lossy(&to_sign[..to_sign.len().min(SHOWN_BYTES_MAX)]).into_owned();
        let message = "Specified signature is not matched with our calculation. server string to sign is:";
        Err(Refusal::new(MISMATCH, format!("{message}{shown}")))
    }
}

/// `Date`, or `x-acs-date`, within 15 minutes of now.
fn check_time(headers: &HeaderMap, scheme: &Scheme, now: TimestampMs) -> Result<(), Refusal> {
    let (name, value) = match scheme {
        Scheme::One if headers.contains_key("date") => ("Date", text(headers, "date")),
        Scheme::One if !headers.contains_key("x-acs-date") => {
            return Err(Refusal::new("MissingDate", "the header `Date` is missing"));
        }
        Scheme::Three { .. } if !headers.contains_key("x-acs-date") => {
            return Err(Refusal::new("MissingXAcsDate", "the header `x-acs-date` is missing"));
        }
        Scheme::One | Scheme::Three { .. } => ("x-acs-date", text(headers, "x-acs-date")),
    };
    let Some(at) = value.and_then(parse_time) else {
        return Err(Refusal::new("InvalidTimeStamp.Format", format!("the header `{name}` is not a time in GMT")));
    };
    if !is_near(at, now) {
        let message = format!("the header `{name}` is more than 15 minutes from the server's time");
        return Err(Refusal::new("InvalidTimeStamp.Expired", message));
    }
    Ok(())
}

/// `Sat, 21 Nov 2026 20:36:33 GMT` or `2026-11-21T20:36:34Z`.
pub(super) fn parse_time(text: &str) -> Option<TimestampMs> {
    signing::time(text, HTTP_TIME).or_else(|| signing::time(text, ISO_TIME))
}
