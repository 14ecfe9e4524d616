//! How much a face set may hold. That tenants keep within their limits is for the store to see to, which compares them in
//! the transaction that writes ([`Caller::write_limits`]).

use crate::access::{Caller, least};

/// The capacity of a set that is made: what was asked for, else the vendor's number, and the tenant's bound if that is
/// less.
pub(super) fn capacity(caller: &Caller, wanted: Option<u64>) -> Option<u64> {
    least(wanted.or(caller.vendor_limits.face_set_faces_max), caller.tenant_limits.face_set_faces_max)
}
