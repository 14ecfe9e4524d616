//! Places in listings, as clients see them: opaque texts that only this installation makes.
//!
//! A cursor is the place and a HMAC over it, the tenant and the listing. So one of another tenant, of another listing or
//! made up is refused, and what it consists of can change without a client that notices.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use likeness_domain::Error;
use likeness_domain::ports::RecordPlace;
use likeness_domain::types::{InstallationSecret, Revision, TenantId};

use crate::http::signing::{hmac_sha256, same};

/// First byte of a cursor; another layout gets another number.
const VERSION: u8 = 1;
/// Bytes of the HMAC that are kept: nobody guesses 128 bits.
const MAC_BYTES: usize = 16;
/// Characters of the longest cursor: a person's key of 64 characters takes 256 bytes at most.
const CHARS_MAX: usize = 512;

/// Makes and reads cursors.
pub(super) struct Cursors {
    key: [u8; 32],
}

impl Cursors {
    /// Those of an installation.
    pub(super) fn new(secret: &InstallationSecret) -> Self {
        Self { key: hmac_sha256(secret.reveal(), b"native cursors") }
    }

    /// A place in a listing of a tenant; `list` names the listing with all that it depends on.
    pub(super) fn seal(&self, tenant: TenantId, list: &str, place: &[u8]) -> String {
        let claim = [&[VERSION], place].concat();
        let mac = self.mac(tenant, list, &claim);
        URL_SAFE_NO_PAD.encode([&claim[..], &mac[..]].concat())
    }

    /// The place of a cursor of that listing; `InvalidArgument` for any other text.
    pub(super) fn open(&self, tenant: TenantId, list: &str, text: &str) -> Result<Vec<u8>, Error> {
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= CHARS_MAX)?).ok()?;
            let (claim, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
            let (version, place) = claim.split_first()?;
            let is_ours = *version == VERSION && same(&self.mac(tenant, list, claim), mac);
            is_ours.then(|| place.to_vec())
        };
        let message =
            "`cursor` is not one of this listing, expected `next_cursor` of an earlier answer to the same request";
        read().ok_or_else(|| Error::invalid("cursor", message))
    }

    /// The same for places that are numbers.
    pub(super) fn seal_number(&self, tenant: TenantId, list: &str, place: u64) -> String {
        self.seal(tenant, list, &place.to_be_bytes())
    }

    /// The number of a cursor, if there is one.
    pub(super) fn open_number(&self, tenant: TenantId, list: &str, text: Option<&str>) -> Result<Option<u64>, Error> {
        let Some(text) = text else { return Ok(None) };
        let place = self.open(tenant, list, text)?;
        let number = place.try_into().map(u64::from_be_bytes);
        number.map(Some).map_err(|_| Error::invalid("cursor", "`cursor` is of another kind of listing"))
    }

    /// The same for a place in the record of changes.
    pub(super) fn seal_place(&self, tenant: TenantId, list: &str, place: RecordPlace) -> String {
        let number = place.revision.0.to_be_bytes();
        let mark = place.mark.map(u64::to_be_bytes);
        self.seal(tenant, list, &[&number[..], mark.as_ref().map_or(&[], |mark| &mark[..])].concat())
    }

    /// The place of a cursor, if there is one. Without a mark it may be one of an earlier program.
    pub(super) fn open_place(
        &self,
        tenant: TenantId,
        list: &str,
        text: Option<&str>,
    ) -> Result<Option<RecordPlace>, Error> {
        let Some(text) = text else { return Ok(None) };
        let place = self.open(tenant, list, text)?;
        let read = || {
            let (number, mark) = place.split_first_chunk()?;
            let mark = (!mark.is_empty()).then(|| mark.try_into().map(u64::from_be_bytes)).transpose().ok()?;
            Some(RecordPlace { revision: Revision(u64::from_be_bytes(*number)), mark })
        };
        read().map(Some).ok_or_else(|| Error::invalid("cursor", "`cursor` is of another kind of listing"))
    }

    fn mac(&self, tenant: TenantId, list: &str, claim: &[u8]) -> [u8; MAC_BYTES] {
        let length = (list.len() as u64).to_be_bytes();
        let message = [&tenant.to_bits().to_be_bytes()[..], &length, list.as_bytes(), claim].concat();
        let whole = hmac_sha256(&self.key, &message);
        std::array::from_fn(|idx| whole[idx])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cursor_of_the_same_listing_is_read() {
        let cursors = Cursors::new(&InstallationSecret::from_bytes([1; 32]));
        let (ours, theirs) = (TenantId::from_bits(1), TenantId::from_bits(2));
        let cursor = cursors.seal(ours, "persons", b"anna");
        assert_eq!(cursors.open(ours, "persons", &cursor).unwrap(), b"anna");
        for (tenant, list) in [(theirs, "persons"), (ours, "person"), (ours, "personss"), (ours, "faces:7")] {
            assert_eq!(cursors.open(tenant, list, &cursor).unwrap_err().field(), Some("cursor"));
        }
        let other = Cursors::new(&InstallationSecret::from_bytes([2; 32]));
        other.open(ours, "persons", &cursor).unwrap_err();
        for bit in 0..8 * cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                // The last character of base64 has spare bits, which a strict reader refuses too.
                cursors.open(ours, "persons", &text).unwrap_err();
            }
        }
        for text in ["", "AQ", &"A".repeat(600), "not base64!"] {
            cursors.open(ours, "persons", text).unwrap_err();
        }
        assert_eq!(cursors.open_number(ours, "x", Some(&cursors.seal_number(ours, "x", 7))).unwrap(), Some(7));
        assert!(cursors.open_number(ours, "persons", Some(&cursor)).is_err(), "no number");
    }
}
