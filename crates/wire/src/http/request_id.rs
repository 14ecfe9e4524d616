//! The id that joins an answer to its lines in the log.

use http::Extensions;
use likeness_domain::ports::IdSource;

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
