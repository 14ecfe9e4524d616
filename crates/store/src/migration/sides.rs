//! The two sides of a migration, as each store shows them, and what is told of it while it is made.

use std::path::Path;

use likeness_domain::Result;

use super::kinds::{Cell, Kind, Row};

/// What is being done, for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Rows of the target are compared with the source.
    Comparing(&'static str),
    /// Rows are copied.
    Copying(&'static str),
    /// Rows of the target are read, for their digest.
    Verifying(&'static str),
    /// Counters and the like are made anew.
    Completing,
    /// Writing to the source is to end.
    Stopping,
    /// The source was left, the target is finished.
    Opening,
}

/// Whoever watches: the stage, rows done and rows in all.
pub type Watch<'a> = &'a mut dyn FnMut(Stage, u64, u64);

/// Stops the server that has the source's folder. `None` if there is nobody who could.
pub type Stop<'a> = &'a mut dyn FnMut(&Path) -> Result<()>;

/// Tells those who watch how far it is.
pub(super) struct Progress<'a> {
    watch: Watch<'a>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(watch: Watch<'a>) -> Self {
        Self { watch }
    }

    pub(super) fn show(&mut self, stage: Stage, n_done: u64, n_all: u64) {
        (self.watch)(stage, n_done, n_all);
    }
}

/// Rows as a store has them. Keys are in the order of [`Cell`]s.
pub(crate) trait Rows {
    /// Rows of the table.
    fn count(&mut self, kind: &Kind) -> Result<u64>;

    /// At most so many rows after a key, in order of keys. A damaged one is an error.
    fn page(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<Row>>;

    /// The rows of these keys that are there, in any order.
    fn of_keys(&mut self, kind: &Kind, keys: &[Row]) -> Result<Vec<Row>>;
}

/// The library that is moved.
pub(crate) trait Source: Rows {
    /// Which library it is, as far as that can be told: the same for copies of one.
    fn fingerprint(&mut self) -> Result<i64>;

    /// Where it was moved to, if it was.
    fn moved_to(&mut self) -> Result<Option<String>>;

    /// Whether nobody but this program writes to it in any case.
    fn is_at_rest(&self) -> bool;

    /// From here on all that is read is of one state. With `is_last` nobody can write until [`Self::end`].
    fn begin(&mut self, is_last: bool) -> Result<()>;

    /// The end of that state.
    fn end(&mut self) -> Result<()>;

    /// Revision of the last write, and a number from which on everything that has an order may be numbered.
    fn numbers(&mut self) -> Result<Numbers>;

    /// Marks it as moved to there and ends the last state, so that nobody writes in between. Servers of it are stopped or fail.
    fn leave(&mut self, to: &str, stop: Stop<'_>) -> Result<()>;
}

/// The library to be.
pub(crate) trait Target: Rows {
    /// Keys and digests after a key, in order of keys; cheaper than the rows.
    fn digests(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<(Row, u64)>>;

    /// The digest that [`Self::digests`] would give of a row.
    fn digest_of(&self, kind: &Kind, row: &[Cell]) -> u64;

    /// The last key; `None` if there is no row.
    fn last_key(&mut self, kind: &Kind) -> Result<Option<Row>>;

    /// Writes rows whose keys are not there.
    fn insert(&mut self, kind: &Kind, rows: &[Row]) -> Result<()>;

    /// Writes rows over those of the same keys.
    fn replace(&mut self, kind: &Kind, rows: &[Row]) -> Result<()>;

    /// Erases rows.
    fn erase(&mut self, kind: &Kind, keys: &[Row]) -> Result<()>;

    /// Empties [`Kind::emptied`] of rows that will be replaced.
    fn empty(&mut self, kind: &Kind, keys: &[Row]) -> Result<()>;

    /// Makes what follows from the rows: counters, and numbers to go on with.
    fn complete(&mut self, numbers: Numbers) -> Result<()>;

    /// From here on it may be served.
    fn open_up(&mut self) -> Result<()>;
}

/// Where counting goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Of the last write.
    pub(crate) revision: i64,
    /// Larger than all places so far.
    pub(crate) next: i64,
}
