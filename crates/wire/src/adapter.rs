//! What each dialect offers, as data.

use likeness_domain::access::{Grant, Grants};
use likeness_domain::score::{Calibration, Scale};

/// What operations need, for the dialects' tables.
pub(crate) mod needs {
    use super::{Grant, Grants};

    /// No grant: the answer has nothing but the identity of the caller.
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
    /// The numbers it prints for the similarities of a pack with this calibration.
    pub scale: fn(&Calibration) -> Scale,
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

/// A row of a dialect's table: what a handler is chosen by, what is offered, and what else the dialect has to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<O, E = ()> {
    pub(crate) operation: O,
    pub(crate) info: Operation,
    pub(crate) extra: E,
}

/// What a table of rows offers, then what is not offered; there are `N` in all.
pub(crate) const fn infos<O: Copy, E: Copy, const N: usize>(
    table: &[Row<O, E>],
    refused: &[Operation],
) -> [Operation; N] {
    let mut infos = [table[0].info; N];
    let mut row_idx = 0;
    while row_idx < N {
        infos[row_idx] = if row_idx < table.len() { table[row_idx].info } else { refused[row_idx - table.len()] };
        row_idx += 1;
    }
    infos
}

/// The row of a raw path, in a table whose paths have no arguments; a slash at the end changes nothing.
pub(crate) fn find<O, E>(table: &'static [Row<O, E>], raw_path: &str) -> Option<&'static Row<O, E>> {
    let path = raw_path.strip_suffix('/').unwrap_or(raw_path);
    table.iter().find(|row| row.info.path == path)
}

/// Every dialect with vendor clients, in the order of their mounting.
pub const ADAPTERS: &[Adapter] =
    &[crate::huawei::ADAPTER, crate::aliyun::ADAPTER, crate::yuanli::ADAPTER, crate::facepp::ADAPTER];
