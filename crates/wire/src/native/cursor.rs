//! Places in listings, as clients see them: opaque texts that only this installation makes.
//!
//! A cursor is the place and a HMAC over it, the tenant and the listing. So one of another tenant, of another listing or
//! made up is refused, and what it consists of can change without a client that notices.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use likeness_domain::Error;
use likeness_domain::library::RecordPosition;
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

    /// The same for a position in the record of changes: its revision, up to where the reader knows that commits are gone, and
    /// the mark, if there is one. A byte between them sets its length apart from those of earlier programs.
    pub(super) fn seal_position(&self, tenant: TenantId, list: &str, position: RecordPosition) -> String {
        let RecordPosition { place, told } = position;
        let told = told.map_or(0, |told| told.0);
        let mark = place.mark.map(u64::to_be_bytes);
        let mark = mark.as_ref().map_or(&[][..], |mark| mark);
        self.seal(tenant, list, &[&place.revision.0.to_be_bytes()[..], &told.to_be_bytes(), &[0], mark].concat())
    }

    /// The position of a cursor, if there is one. One of an earlier program is a revision with a mark or without, whose reader
    /// was perhaps not told that anything is gone.
    pub(super) fn open_position(
        &self,
        tenant: TenantId,
        list: &str,
        text: Option<&str>,
    ) -> Result<Option<RecordPosition>, Error> {
        let Some(text) = text else { return Ok(None) };
        let bytes = self.open(tenant, list, text)?;
        let number = |at: usize| {
            let number = bytes.get(at..)?.first_chunk()?;
            Some(u64::from_be_bytes(*number))
        };
        let read = || {
            let (told, mark) = match bytes.len() {
                8 => (0, None),
                16 => (0, Some(number(8)?)),
                17 => (number(8)?, None),
                25 => (number(8)?, Some(number(17)?)),
                _ => return None,
            };
            let place = RecordPlace { revision: Revision(number(0)?), mark };
            Some(RecordPosition { place, told: Some(Revision(told)) })
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

    #[test]
    fn a_position_is_read_as_it_was_given_and_those_of_earlier_programs_know_of_nothing_gone() {
        let cursors = Cursors::new(&InstallationSecret::from_bytes([1; 32]));
        let ours = TenantId::from_bits(1);
        let position = |revision: u64, told: u64, mark| RecordPosition {
            place: RecordPlace { revision: Revision(revision), mark },
            told: Some(Revision(told)),
        };
        let read = |text: &str| cursors.open_position(ours, "changes ", Some(text)).map(Option::unwrap);
        for given in [position(0, 0, None), position(7, 3, Some(0)), position(u64::MAX, u64::MAX, Some(u64::MAX))] {
            assert_eq!(read(&cursors.seal_position(ours, "changes ", given)).unwrap(), given);
        }
        let begun = RecordPosition { told: None, ..position(7, 0, Some(9)) };
        assert_eq!(read(&cursors.seal_position(ours, "changes ", begun)).unwrap(), position(7, 0, Some(9)));
        let (revision, mark) = (7_u64.to_be_bytes(), 9_u64.to_be_bytes());
        assert_eq!(read(&cursors.seal(ours, "changes ", &revision)).unwrap(), position(7, 0, None));
        let with_mark = [revision, mark].concat();
        assert_eq!(read(&cursors.seal(ours, "changes ", &with_mark)).unwrap(), position(7, 0, Some(9)));
        for n_bytes in (0..40).filter(|n_bytes| ![8, 16, 17, 25].contains(n_bytes)) {
            assert_eq!(read(&cursors.seal(ours, "changes ", &vec![1; n_bytes])).unwrap_err().field(), Some("cursor"));
        }
    }
}
