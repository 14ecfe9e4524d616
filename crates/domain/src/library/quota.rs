//! How much a face set may hold. That tenants keep within their limits is for the store to see to, which compares them in
//! the transaction that writes ([`Caller::write_limits`]).

use crate::access::Caller;

/// The capacity of a set that is made: what was asked for, else the vendor's number. The tenant's bound holds beside it, also for
/// sets that are there, and ends when it is taken away.
pub(super) fn capacity(caller: &Caller, wanted: Option<u64>) -> Option<u64> {
    wanted.or(caller.vendor_limits.face_set_faces_max)
}
