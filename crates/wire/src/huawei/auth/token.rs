//! Tokens: what they say and how they are proved.
//!
//! A token is a sealed claim ([`sealed`]): stateless, valid on every node, dead with its key.

use http::HeaderValue;
use likeness_domain::Error;
use likeness_domain::ports::{CredentialStore, IdSource};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, TimestampMs};

use crate::http::sealed;

/// How long a token is valid: 24 hours.
pub(in super::super) const TOKEN_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;
/// What the dialect adds to a claim is one byte: whether the token is for a project.
const KIND: sealed::Kind = sealed::Kind { label: b"likeness huawei token 1", prefix: b"", n_extra: 1 };

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
    /// What a claim says, which is not believed before it is proved.
    fn said_by(claim: sealed::Claim) -> Option<Self> {
        let has_project = match claim.extra[..] {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        Some(Self { access_key_id: claim.access_key_id, has_project, expires_at: claim.expires_at })
    }

    /// When it was issued, or the token that it was exchanged for.
    pub(in super::super) fn issued_at(&self) -> TimestampMs {
        TimestampMs(self.expires_at.0.saturating_sub(TOKEN_LIFETIME_MS))
    }

    /// The token as text: visible ASCII, fit for a header.
    pub(in super::super) fn seal(&self, secret: &Secret, ids: &dyn IdSource) -> String {
        KIND.seal(&[u8::from(self.has_project)], self.expires_at, (&self.access_key_id, secret), ids).1
    }
}

/// What a token says, and the key and secret it was made with; the key may be disabled meanwhile. `None` if nobody made it or
/// its time is over.
pub(in super::super) async fn read(
    text: &HeaderValue,
    credentials: &dyn CredentialStore,
    now: TimestampMs,
) -> Result<Option<(AccessKey, Secret, Token)>, Error> {
    let opened = KIND.open(text.as_bytes(), credentials, now).await?;
    let found = opened.and_then(|(claim, key, secret)| Some((key, secret, Token::said_by(claim)?)));
    Ok(found.filter(|(.., token)| token.expires_at > now))
}

#[cfg(test)]
mod tests;
