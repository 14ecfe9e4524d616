//! Tokens without a table of them: a claim and an HMAC over it, keyed by the secret of an access key.
//!
//! Such a token is good after a restart and on every server over one store, it dies with its key, and nobody without
//! the secret can make one. To clients it is opaque: base64 of the version, what the dialect adds, when it ends, a
//! nonce, the key's id and the HMAC.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use likeness_domain::Error;
use likeness_domain::ports::{CredentialStore, IdSource};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, TimestampMs};

use super::signing::{hmac_sha256, same};

/// First byte of a claim; another layout gets another number.
const VERSION: u8 = 1;
const TIME_BYTES: usize = 8;
const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
/// Characters of the longest token.
const CHARS_MAX: usize = 512;

/// One kind of token: what keeps it apart from everything else that is ever keyed with a secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Names the kind; the key of its HMAC is made from it.
    pub(crate) label: &'static [u8],
    /// Stands before the claim under the HMAC.
    pub(crate) prefix: &'static [u8],
    /// Bytes that the dialect adds to a claim.
    pub(crate) n_extra: usize,
}

/// A claim, not believed before [`Claim::is_sealed_by`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// All of it as bytes.
    pub(crate) bytes: Vec<u8>,
    /// What the dialect added.
    pub(crate) extra: Vec<u8>,
    /// When it ends.
    pub(crate) expires_at: TimestampMs,
    /// On whose behalf.
    pub(crate) access_key_id: AccessKeyId,
    mac: Vec<u8>,
}

impl Kind {
    /// A new claim and its token as text: visible ASCII, fit for a header.
    pub(crate) fn seal(
        self,
        extra: &[u8],
        expires_at: TimestampMs,
        key: (&AccessKeyId, &Secret),
        ids: &dyn IdSource,
    ) -> (Vec<u8>, String) {
        let mut nonce = [0; NONCE_BYTES];
        ids.fill(&mut nonce);
        let ends = expires_at.0.to_be_bytes();
        let claim = [&[VERSION], extra, &ends, &nonce, key.0.as_str().as_bytes()].concat();
        let token = URL_SAFE_NO_PAD.encode([&*claim, &self.keyed(key.1, self.prefix, &claim)].concat());
        (claim, token)
    }

    /// Takes a token's text apart; `None` if it is none of this kind.
    pub(crate) fn read(self, text: &[u8]) -> Option<Claim> {
        let mut bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= CHARS_MAX)?).ok()?;
        let mac = bytes.split_off(bytes.len().checked_sub(MAC_BYTES)?);
        let (version, rest) = bytes.split_first()?;
        let (extra, rest) = rest.split_at_checked(self.n_extra)?;
        let (ends, rest) = rest.split_at_checked(TIME_BYTES)?;
        let access_key_id = AccessKeyId::new(std::str::from_utf8(rest.get(NONCE_BYTES..)?).ok()?)?;
        let expires_at = TimestampMs(i64::from_be_bytes(ends.try_into().ok()?));
        let extra = extra.to_vec();
        (*version == VERSION).then_some(Claim { extra, expires_at, access_key_id, mac, bytes })
    }

    /// The claim of a token, the key that it names and the secret of that key's holder who made it; `None` if nobody did. The
    /// claim may be over and the key disabled.
    pub(crate) async fn open(
        self,
        token: &[u8],
        credentials: &dyn CredentialStore,
        now: TimestampMs,
    ) -> Result<Option<(Claim, AccessKey, Secret)>, Error> {
        let Some(claim) = self.read(token) else { return Ok(None) };
        let Some(key) = credentials.key(claim.access_key_id.clone()).await? else { return Ok(None) };
        let secret = key.secrets(now).find(|secret| self.is_sealed(&claim, secret)).cloned();
        Ok(secret.map(|secret| (claim, key, secret)))
    }

    /// Whether the holder of this secret made the claim.
    pub(crate) fn is_sealed(self, claim: &Claim, secret: &Secret) -> bool {
        same(&self.keyed(secret, self.prefix, &claim.bytes), &claim.mac)
    }

    /// What belongs to a claim and only the holder of the secret can know.
    pub(crate) fn keyed(self, secret: &Secret, prefix: &[u8], claim: &[u8]) -> [u8; MAC_BYTES] {
        hmac_sha256(&hmac_sha256(secret.reveal().as_bytes(), self.label), &[prefix, claim].concat())
    }
}

/// Entry for fuzzing: whatever the bytes, no token is believed that was not sealed, whatever its kind.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_token(data: &[u8]) {
    let secret = Secret::new("fuzz").expect("visible ASCII");
    for n_extra in 0..=1 {
        let kind = Kind { label: b"fuzz", prefix: b"", n_extra };
        if let Some(claim) = kind.read(data) {
            assert_eq!(claim.bytes.len(), 1 + n_extra + TIME_BYTES + NONCE_BYTES + claim.access_key_id.as_str().len());
            assert!(!kind.is_sealed(&claim, &secret), "nobody guesses 256 bits");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_one_of_tokens_that_clients_hold() {
        let kind = Kind { label: b"label", prefix: b"token\0", n_extra: 1 };
        let (id, secret) = (AccessKeyId::new("AK-1").unwrap(), Secret::new("a-secret").unwrap());
        let (claim, token) = kind.seal(&[7], TimestampMs(258), (&id, &secret), &likeness_testkit::SeededIds::new(1));
        let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
        assert_eq!(bytes[..10], [1, 7, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(bytes[26..30], *b"AK-1");
        let mac = hmac_sha256(&hmac_sha256(b"a-secret", b"label"), &[b"token\0", &*claim].concat());
        assert_eq!(bytes, [&*claim, &mac].concat());
    }
}
