//! Who asks: the `sign` that carries key, times and signature.
//!
//! `sign` is Base64 of an HMAC followed by the text it was made over, `a=KEY&b=END&c=NOW&d=RANDOM`. Neither path nor
//! fields are signed, so one sign is good for any call until it ends. The signature is checked over the text as it was
//! received: a text made anew from the numbers would lose leading zeros, and with them its signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use likeness_domain::types::{AccessKey, AccessKeyId, TimestampMs};

use super::errors::{self, Failure};
use crate::http::signing::{hmac_sha1, hmac_sha256, same};
use crate::megvii::fields::Fields;
use crate::services::Services;

/// Bytes of a `sign`. The longest honest one has some 200.
const SIGN_LEN_MAX: usize = 4096;
/// Digits of a number in it.
const DIGITS_MAX: usize = 20;
/// Seconds between the making and the use of a sign that is good once.
const ONCE_WINDOW_S: u64 = 300;
/// Scope of the used signs in the nonce store.
const ONCE_SCOPE: &str = "yuanli sign";

/// The digests a sign may be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha1,
    Sha256,
}

/// A `sign`, taken apart and not yet believed.
#[derive(Debug, PartialEq, Eq)]
struct Sign {
    mac: Vec<u8>,
    /// What the signature is over, as received.
    raw: Vec<u8>,
    api_key: String,
    /// Unix seconds; 0 means good once.
    ends_at: u64,
    /// Unix seconds.
    made_at: u64,
}

/// Establishes who asks, in the vendor's order of checks.
pub(super) async fn authenticate(fields: &Fields, wire: &Services) -> Result<AccessKey, Failure> {
    let (settings, now) = (&wire.settings.yuanli, wire.clock.now());
    fields.require(&["sign", "sign_version"])?;
    let digest = match fields.needed("sign_version")? {
        "hmac_sha1" => Digest::Sha1,
        "hmac_sha256" => Digest::Sha256,
        _ => return Err(Failure::malformed("sign_version")),
    };
    let invalid = || Failure::refused("INVALID_SIGN");
    let expired = || Failure::refused("EXPIRED_SIGN");
    let sign = fields.get("sign").and_then(|field| Sign::read(&field.bytes, digest)).ok_or_else(invalid)?;
    let of_ours = |error| errors::library(error, "", settings);
    let key = wire.key(&sign.api_key).await.map_err(of_ours)?.ok_or_else(errors::unknown_key)?;
    if !key.secrets(now).any(|secret| sign.is_of(secret.reveal().as_bytes(), digest)) {
        return Err(errors::wrong_mac(settings));
    }
    let now_s = u64::try_from(now.0 / 1000).unwrap_or(0);
    if sign.ends_at != 0 {
        if sign.made_at > sign.ends_at {
            return Err(invalid());
        }
        if now_s > sign.ends_at.saturating_add(settings.sign_skew_s) {
            return Err(expired());
        }
        if settings.sign_life_max_s.is_some_and(|life_max_s| sign.ends_at > now_s.saturating_add(life_max_s)) {
            return Err(invalid());
        }
    } else {
        // Remembered for as long as any sign that is good now could be shown again.
        let forgotten_at = TimestampMs(now.0 + (2 * ONCE_WINDOW_S as i64 + 1) * 1000);
        let in_time = now_s.abs_diff(sign.made_at) <= ONCE_WINDOW_S;
        if !in_time || !wire.nonces.consume(ONCE_SCOPE, &sign.mac, now, forgotten_at).await.map_err(of_ours)? {
            return Err(expired());
        }
    }
    if !key.is_usable(now) {
        return Err(Failure::refused("API_KEY_BE_DISCONTINUED"));
    }
    Ok(key)
}

/// The key that a sign names, whichever digest it was made with; nothing of it is proved.
pub(super) fn named_key(sign: &[u8]) -> Option<AccessKeyId> {
    let of = |digest| Sign::read(sign, digest).and_then(|sign| AccessKeyId::new(&sign.api_key));
    of(Digest::Sha1).or_else(|| of(Digest::Sha256))
}

impl Sign {
    /// Takes a `sign` apart; `None` if it is malformed.
    fn read(text: &[u8], digest: Digest) -> Option<Sign> {
        if text.len() > SIGN_LEN_MAX {
            return None;
        }
        // Line breaks come from encoders that wrap, blanks from clients that did not escape `+`.
        let kept = text.iter().filter(|byte| !b"\r\n\t".contains(byte));
        let compact: Vec<u8> = kept.map(|&byte| if byte == b' ' { b'+' } else { byte }).collect();
        let mut mac = STANDARD.decode(compact).ok()?;
        let mac_len = digest.mac_len();
        if mac.len() <= mac_len || !mac[mac_len..].is_ascii() {
            return None;
        }
        let raw = mac.split_off(mac_len);
        let parts: Vec<&str> = std::str::from_utf8(&raw).ok()?.split('&').collect();
        let [a, b, c, d] = parts[..] else { return None };
        let api_key = a.strip_prefix("a=")?.to_owned();
        let (ends_at, made_at) = (seconds(number(b.strip_prefix("b=")?)?), number(c.strip_prefix("c=")?)?);
        // Only a salt, so its value does not matter: 20 digits need not fit into a number.
        if !is_number(d.strip_prefix("d=")?) {
            return None;
        }
        Some(Sign { mac, raw, api_key, ends_at, made_at })
    }

    /// Whether the signature was made with this secret; compared in constant time.
    fn is_of(&self, secret: &[u8], digest: Digest) -> bool {
        match digest {
            Digest::Sha1 => same(&hmac_sha1(secret, &self.raw), &self.mac),
            Digest::Sha256 => same(&hmac_sha256(secret, &self.raw), &self.mac),
        }
    }
}

impl Digest {
    fn mac_len(self) -> usize {
        match self {
            Digest::Sha1 => 20,
            Digest::Sha256 => 32,
        }
    }
}

/// The end of a sign in seconds. One public client gives it in milliseconds, which have 12 or 13 digits for ever.
fn seconds(end: u64) -> u64 {
    if (100_000_000_000..10_000_000_000_000).contains(&end) { end / 1000 } else { end }
}

fn number(text: &str) -> Option<u64> {
    if is_number(text) { text.parse().ok() } else { None }
}

fn is_number(text: &str) -> bool {
    (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Entry for fuzzing: whatever the bytes, both readings return, and what they read is what was sent.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_sign(bytes: &[u8]) {
    for digest in [Digest::Sha1, Digest::Sha256] {
        if let Some(sign) = Sign::read(bytes, digest) {
            assert_eq!(sign.mac.len(), digest.mac_len());
            assert!(sign.raw.starts_with(format!("a={}&b=", sign.api_key).as_bytes()));
            let _ = sign.is_of(b"secret", digest);
        }
    }
}

#[cfg(test)]
mod tests;
