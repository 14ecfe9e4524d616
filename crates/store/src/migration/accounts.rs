//! A target whose rows are counted while they change, so that nobody has to read all of them in the end.
//!
//! It is read once before writing to the source ends. What is written to it afterwards is read back, and what is erased is read
//! before.

use std::collections::{BTreeMap, BTreeSet};

use likeness_domain::Result;

use super::kinds::{Cell, KINDS, Kind, Row, digest};
use super::sides::{Numbers, Progress, Rows, Stage, Target};

/// Rows of a table and the sum of their digests, which does not depend on their order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) n_rows: u64,
    pub(super) digest: u64,
}

impl Sum {
    pub(super) fn add(&mut self, kind: &Kind, row: &[Cell]) {
        self.n_rows += 1;
        self.digest = self.digest.wrapping_add(digest(kind, row));
    }

    fn take(&mut self, kind: &Kind, row: &[Cell]) {
        self.n_rows = self.n_rows.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(digest(kind, row));
    }
}

/// By table.
pub(super) type Sums = BTreeMap<&'static str, Sum>;

/// Reads every row of a target.
pub(super) fn sums_of(target: &mut dyn Target, progress: &mut Progress<'_>) -> Result<Sums> {
    let mut sums = Sums::new();
    for kind in KINDS {
        let n_all = target.count(kind)?;
        let sum = sums.entry(kind.table).or_default();
        let mut after: Option<Row> = None;
        loop {
            let rows = target.page(kind, after.as_deref(), kind.n_page)?;
            for row in &rows {
                sum.add(kind, row);
            }
            progress.show(Stage::Verifying(kind.table), sum.n_rows, n_all);
            match rows.last() {
                Some(last) if rows.len() == kind.n_page => after = Some(last[..kind.n_key].to_vec()),
                _ => break,
            }
        }
    }
    Ok(sums)
}

/// See the module's page.
pub(super) struct Accounted<'a> {
    target: &'a mut dyn Target,
    pub(super) sums: Sums,
    /// Rows that were emptied, which no longer count.
    emptied: BTreeSet<(&'static str, Row)>,
}

impl<'a> Accounted<'a> {
    /// `sums` are those of all of its rows.
    pub(super) fn new(target: &'a mut dyn Target, sums: Sums) -> Self {
        Self { target, sums, emptied: BTreeSet::new() }
    }

    fn count_in(&mut self, kind: &Kind, keys: &[Row]) -> Result<()> {
        let rows = self.target.of_keys(kind, keys)?;
        let sum = self.sums.entry(kind.table).or_default();
        rows.iter().for_each(|row| sum.add(kind, row));
        Ok(())
    }

    fn count_out(&mut self, kind: &Kind, keys: &[Row]) -> Result<()> {
        let rows = self.target.of_keys(kind, keys)?;
        let sum = self.sums.entry(kind.table).or_default();
        rows.iter().for_each(|row| sum.take(kind, row));
        Ok(())
    }
}

fn keys_of(kind: &Kind, rows: &[Row]) -> Vec<Row> {
    rows.iter().map(|row| row[..kind.n_key].to_vec()).collect()
}

impl Rows for Accounted<'_> {
    fn count(&mut self, kind: &Kind) -> Result<u64> {
        self.target.count(kind)
    }

    fn page(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<Row>> {
        self.target.page(kind, after, n_rows)
    }

    fn of_keys(&mut self, kind: &Kind, keys: &[Row]) -> Result<Vec<Row>> {
        self.target.of_keys(kind, keys)
    }
}

impl Target for Accounted<'_> {
    fn digests(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<(Row, u64)>> {
        self.target.digests(kind, after, n_rows)
    }

    fn digest_of(&self, kind: &Kind, row: &[Cell]) -> u64 {
        self.target.digest_of(kind, row)
    }

    fn last_key(&mut self, kind: &Kind) -> Result<Option<Row>> {
        self.target.last_key(kind)
    }

    fn insert(&mut self, kind: &Kind, rows: &[Row]) -> Result<()> {
        self.target.insert(kind, rows)?;
        self.count_in(kind, &keys_of(kind, rows))
    }

    fn replace(&mut self, kind: &Kind, rows: &[Row]) -> Result<()> {
        let keys = keys_of(kind, rows);
        let still_counted: Vec<Row> =
            keys.iter().filter(|key| !self.emptied.remove(&(kind.table, (*key).clone()))).cloned().collect();
        self.count_out(kind, &still_counted)?;
        self.target.replace(kind, rows)?;
        self.count_in(kind, &keys)
    }

    fn erase(&mut self, kind: &Kind, keys: &[Row]) -> Result<()> {
        self.count_out(kind, keys)?;
        self.target.erase(kind, keys)
    }

    fn empty(&mut self, kind: &Kind, keys: &[Row]) -> Result<()> {
        self.count_out(kind, keys)?;
        self.emptied.extend(keys.iter().map(|key| (kind.table, key.clone())));
        self.target.empty(kind, keys)
    }

    fn complete(&mut self, numbers: Numbers) -> Result<()> {
        self.target.complete(numbers)
    }

    fn open_up(&mut self) -> Result<()> {
        self.target.open_up()
    }
}
