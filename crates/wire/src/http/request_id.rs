//! The id that joins an answer to its lines in the log.

use http::Extensions;
use likeness_domain::ports::IdSource;
use likeness_domain::types::TimestampMs;

/// A request's id, put into the request's extensions by the listener so that its log lines and ours agree.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The id the listener gave, or a fresh one: 32 hex digits.
pub fn of(extensions: &Extensions, ids: &dyn IdSource) -> String {
    extensions.get::<RequestId>().map_or_else(|| fresh(ids), |id| id.0.clone())
}

/// A fresh request id: 128 random bits as hex.
pub fn fresh(ids: &dyn IdSource) -> String {
    let mut bits = [0; 16];
    ids.fill(&mut bits);
    format!("{:032x}", u128::from_be_bytes(bits))
}

/// A fresh id with its time in it: Unix seconds, a comma and a random UUID (RFC 4122, version 4).
pub fn dated(now: TimestampMs, ids: &dyn IdSource) -> String {
    let mut bits = [0; 16];
    ids.fill(&mut bits);
    bits[6] = bits[6] & 0x0f | 0x40;
    bits[8] = bits[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bits));
    format!("{},{}", now.0.div_euclid(1000), as_uuid(&hex))
}

/// 32 hex digits in the groups of a UUID.
pub(crate) fn as_uuid(digits: &str) -> String {
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
