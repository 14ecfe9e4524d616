//! Ids as 32 hex digits that nobody can guess, without a table of who got which.
//!
//! Some vendors hand out random 128-bit tokens, and their clients keep those. Ours are made from the id and a key of
//! the installation, so the same face has the same token after a restart and from every server over one store, while
//! a token that was not handed out is, but for one in 2^80, no token at all.
//!
//! It is the SIV construction (Rogaway and Shrimpton, "A Provable-Security Treatment of the Key-Wrap Problem", 2006)
//! with HMAC-SHA256 for both functions: a tag of 80 bits over the id, then the id under a mask made from the tag.

use likeness_domain::types::InstallationSecret;

use super::signing::{hex, hmac_sha256, same, unhex};

const TAG_LEN: usize = 10;
const ID_LEN: usize = 6;

/// Spells ids and reads them back; one value for each kind of id and dialect.
pub struct KeyedIds {
    tag_key: [u8; 32],
    mask_key: [u8; 32],
}

impl KeyedIds {
    /// The spelling of this installation under `label`; ids of two labels read as nothing under each other's.
    pub fn new(secret: &InstallationSecret, label: &str) -> Self {
        let derived = |part: &str| hmac_sha256(secret.reveal(), format!("{label}: {part}").as_bytes());
        Self { tag_key: derived("tag"), mask_key: derived("mask") }
    }

    /// 32 lower-case hex digits.
    ///
    /// # Panics
    /// If `id` is not below 2^48; ours are below 2^45.
    pub fn spell(&self, id: u64) -> String {
        let [0, 0, id @ ..] = id.to_be_bytes() else { panic!("id {id} is not below 2^48") };
        let tag = self.tag(id);
        let masked = xor(id, self.mask(tag));
        hex(&tag) + &hex(&masked)
    }

    /// The id spelled so; `None` if this installation never spelled one like it.
    pub fn read(&self, text: &str) -> Option<u64> {
        let (tag, masked) = text.split_at_checked(2 * TAG_LEN)?;
        let tag: [u8; TAG_LEN] = unhex(tag)?;
        let id = xor(unhex(masked)?, self.mask(tag));
        let [a, b, c, d, e, f] = id;
        same(&self.tag(id), &tag).then_some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    fn tag(&self, id: [u8; ID_LEN]) -> [u8; TAG_LEN] {
        first(&hmac_sha256(&self.tag_key, &id))
    }

    fn mask(&self, tag: [u8; TAG_LEN]) -> [u8; ID_LEN] {
        first(&hmac_sha256(&self.mask_key, &tag))
    }
}

// Keys are secrets.
impl std::fmt::Debug for KeyedIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedIds(***)")
    }
}

fn first<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|idx| bytes[idx])
}

fn xor(a: [u8; ID_LEN], b: [u8; ID_LEN]) -> [u8; ID_LEN] {
    std::array::from_fn(|idx| a[idx] ^ b[idx])
}
