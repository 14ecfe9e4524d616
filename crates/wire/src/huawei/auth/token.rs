//! Tokens: what they say and how they are proved.
//!
//! A token is a sealed claim ([`sealed`]): stateless, valid on every node, dead with its key.

use likeness_domain::ports::IdSource;
use likeness_domain::types::{AccessKeyId, Secret, TimestampMs};

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
    /// When it was issued, or the token that it was exchanged for.
    pub(in super::super) fn issued_at(&self) -> TimestampMs {
        TimestampMs(self.expires_at.0.saturating_sub(TOKEN_LIFETIME_MS))
    }

    /// The token as text: visible ASCII, fit for a header.
    pub(in super::super) fn seal(&self, secret: &Secret, ids: &dyn IdSource) -> String {
        KIND.seal(&[u8::from(self.has_project)], self.expires_at, (&self.access_key_id, secret), ids).1
    }
}

/// A token as sent: believed only after [`Claim::verify`].
pub(super) struct Claim(sealed::Claim);

impl Claim {
    /// Takes a token's text apart; `None` if it is none of ours.
    pub(super) fn read(text: &[u8]) -> Option<Claim> {
        KIND.read(text).map(Claim)
    }

    pub(super) fn access_key_id(&self) -> &AccessKeyId {
        &self.0.access_key_id
    }

    /// What the token says, if the holder of `secret` made it.
    pub(super) fn verify(&self, secret: &Secret) -> Option<Token> {
        let Claim(claim) = self;
        let has_project = match claim.extra[..] {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let sealed::Claim { access_key_id, expires_at, .. } = claim;
        let token = Token { access_key_id: access_key_id.clone(), has_project, expires_at: *expires_at };
        KIND.is_sealed(claim, secret).then_some(token)
    }
}

#[cfg(test)]
mod tests;
