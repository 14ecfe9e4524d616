//! Ids are proposed by the library; a store only sees to it that none is used twice.

use likeness_domain::types::ID_END;

/// The proposed id, or the next one that is free: counting up, from the largest to 1.
///
/// Ends, as there are 2^45 ids and no machine holds that many faces.
pub(crate) fn free_id(proposed: u64, mut used: impl FnMut(u64) -> bool) -> u64 {
    let mut id = proposed;
    while used(id) {
        id = next_id(id);
    }
    id
}

/// The id after this one.
pub(crate) fn next_id(id: u64) -> u64 {
    if id + 1 < ID_END { id + 1 } else { 1 }
}
