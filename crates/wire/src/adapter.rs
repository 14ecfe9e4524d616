//! What each dialect offers, as data.

use likeness_domain::access::{Grant, Grants};

/// What operations need, for the dialects' tables.
pub(crate) mod needs {
    use super::{Grant, Grants};

    /// No grant: the answer tells nothing but who asks.
    pub(crate) const NOTHING: Grants = Grants::NONE;
    pub(crate) const READ: Grants = Grants::of(&[Grant::Read]);
    pub(crate) const SEARCH: Grants = Grants::of(&[Grant::Search]);
    pub(crate) const ENROL: Grants = Grants::of(&[Grant::Enrol]);
    pub(crate) const DELETE: Grants = Grants::of(&[Grant::Delete]);
    pub(crate) const MANAGE: Grants = Grants::of(&[Grant::Manage]);
    /// Deleting a face set deletes its faces.
    pub(crate) const DELETE_SET: Grants = Grants::of(&[Grant::Delete, Grant::Manage]);
}

/// A dialect: where it is mounted and what it can do.
#[derive(Debug, Clone, Copy)]
pub struct Adapter {
    /// Its name, also in the log.
    pub name: &'static str,
    /// First path segments that belong to it.
    pub mounts: &'static [&'static str],
    /// Everything in the vendor's reference, done or not.
    pub operations: &'static [Operation],
}

/// An operation of a vendor's reference.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// The vendor's name for it.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{arguments}`.
    pub path: &'static str,
    /// How far it is done.
    pub state: State,
    /// What an access key must be allowed to do.
    pub needs: Grants,
}

/// How far an operation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Answers as the vendor does.
    Done,
    /// Answers, with the named difference.
    Partly(&'static str),
    /// Answers the vendor's own error with this code.
    Refused(&'static str),
}

/// The rows of a table of calls, then those of what is not offered; there are `N` in all.
pub(crate) const fn rows<O: Copy, const N: usize>(table: &[(O, Operation)], refused: &[Operation]) -> [Operation; N] {
    let mut rows = [table[0].1; N];
    let mut row_idx = 0;
    while row_idx < N {
        rows[row_idx] = if row_idx < table.len() { table[row_idx].1 } else { refused[row_idx - table.len()] };
        row_idx += 1;
    }
    rows
}

/// The call of a method and raw path, in a table whose paths have no arguments; a slash at the end changes nothing.
pub(crate) fn find<O: Copy>(table: &[(O, Operation)], method: &http::Method, raw_path: &str) -> Option<O> {
    let path = raw_path.strip_suffix('/').unwrap_or(raw_path);
    let fits = |(_, row): &&(O, Operation)| row.path == path && row.method == method.as_str();
    table.iter().find(fits).map(|(call, _)| *call)
}

/// The row of a call.
pub(crate) fn info<O: PartialEq>(table: &'static [(O, Operation)], call: O) -> &'static Operation {
    let row = table.iter().find(|(other, _)| *other == call);
    &row.expect("every call has a row").1
}

/// Every dialect with vendor clients, in the order of their mounting.
pub const ADAPTERS: &[Adapter] =
    &[crate::huawei::ADAPTER, crate::aliyun::ADAPTER, crate::yuanli::ADAPTER, crate::facepp::ADAPTER];
