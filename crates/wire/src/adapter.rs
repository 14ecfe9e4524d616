//! What each dialect offers, as data.

use likeness_domain::access::{Admission, Grant, Grants, Limits, Rate};
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
    /// What only an operator may do.
    pub(crate) const OPERATE: Grants = Grants::OPERATOR;
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

impl Operation {
    /// What a call of this operation asks the gate for, under the vendor's numbers.
    pub(crate) fn admission<'a>(
        &self,
        dialect: &'static str,
        limits: Limits,
        rate: Option<Rate>,
        request_id: &'a str,
    ) -> Admission<'a> {
        let Self { name: operation, needs, .. } = *self;
        Admission { dialect, operation, needs, admits_operators: false, limits, rate, n_units: 1, request_id }
    }
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

/// Declares what a dialect offers, a line for each operation: its name in the code and the vendor's, method and path,
/// how far it is done, what it needs, whatever else the dialect has to know of it, and the function that does it, unless it
/// is answered before one is chosen. Behind `[refused]` stands what is not offered. This makes the enum `Operation`, the rows by
/// which requests are routed (`TABLE`), what [`crate::ADAPTERS`] lists (`INFOS`), and `run!(operation, call)`, which calls the
/// function where it is in scope. The `$` before it all is for the macro within the macro.
macro_rules! operations {
    (@run $call:ident) => { unreachable!("answered before a function is chosen") };
    (@run $call:ident $($handler:ident)::+) => { $($handler)::+($call).await };
    (@run $call:ident $($handler:ident)::+ ($argument:expr)) => { $($handler)::+($call, $argument).await };
    (@extra) => { () };
    (@extra $extra:expr) => { $extra };
    (@info $name:literal, $method:literal $path:expr, $state:expr, $needs:expr) => {
        $crate::adapter::Operation { name: $name, method: $method, path: $path, state: $state, needs: $needs }
    };
    (
        $dollar:tt Row = $Row:ty;
        $($Operation:ident: $name:literal, $method:literal $path:expr, $state:expr, $needs:expr $(, $extra:expr)?
            $(=> $($handler:ident)::+ $(($argument:expr))?)?;)*
        $([refused] $refused:literal, $refused_method:literal $refused_path:expr, $code:expr, $refused_needs:expr;)*
    ) => {
        /// An operation that is offered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum Operation { $($Operation),* }

        /// Every operation that is offered.
        pub(super) const TABLE: [$Row; [$($name),*].len()] = [$($crate::adapter::Row {
            operation: Operation::$Operation,
            info: $crate::adapter::operations!(@info $name, $method $path, $state, $needs),
            extra: $crate::adapter::operations!(@extra $($extra)?),
        }),*];

        const INFOS: &[$crate::adapter::Operation] = &[
            $($crate::adapter::operations!(@info $name, $method $path, $state, $needs),)*
            $($crate::adapter::operations!(
                @info $refused, $refused_method $refused_path, $crate::adapter::State::Refused($code), $refused_needs
            ),)*
        ];

        /// Calls the function of an operation.
        macro_rules! run {
            ($dollar operation:expr, $dollar call:ident) => {
                match $dollar operation {
                    $(Operation::$Operation => {
                        $crate::adapter::operations!(@run $dollar call $($($handler)::+ $(($argument))?)?)
                    })*
                }
            };
        }
        pub(super) use run;
    };
}
pub(crate) use operations;

/// The row of a raw path, in a table whose paths have no arguments; a slash at the end changes nothing.
pub(crate) fn find<O, E>(table: &'static [Row<O, E>], raw_path: &str) -> Option<&'static Row<O, E>> {
    let path = raw_path.strip_suffix('/').unwrap_or(raw_path);
    table.iter().find(|row| row.info.path == path)
}
