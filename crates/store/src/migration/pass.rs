//! One pass: the target becomes equal to one state of the source.
//!
//! Rows that refer to others come after them in [`KINDS`]. So what is to go is erased from the last table to the first, and what
//! is missing is written from the first to the last.

use likeness_domain::Result;

use super::accounts::{Sum, Sums};
use super::kinds::{Cell, KINDS, Kind, Row};
use super::sides::{Progress, Rows, Source, Stage, Target};

/// Keys of a table that are remembered between comparing and copying; of more the table is compared twice.
const REMEMBERED_MAX: usize = 200_000;

/// Keys that are erased or written together.
const CHUNK: usize = 1024;

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pass {
    /// Rows written in place of others, or between them.
    pub(super) n_written: u64,
    pub(super) n_erased: u64,
    /// Rows written behind all that the target had.
    pub(super) n_copied: u64,
    /// Every row of the source.
    pub(super) sums: Sums,
}

/// What is missing of a table in the target, up to the last key that it had.
struct Gaps {
    kind: &'static Kind,
    /// Rows from here on are missing all.
    end: Option<Row>,
    missing: Vec<Row>,
    /// Of rows that others refer to.
    changed: Vec<Row>,
    /// There are more than are remembered.
    is_more: bool,
}

/// Makes the target equal to the state that the source has begun.
pub(super) fn make(source: &mut dyn Source, target: &mut dyn Target, progress: &mut Progress<'_>) -> Result<Pass> {
    let mut pass = Pass::default();
    let mut gaps = Vec::with_capacity(KINDS.len());
    for kind in KINDS.iter().rev() {
        gaps.push(compare(kind, source, target, &mut pass, progress)?);
    }
    for found in gaps.into_iter().rev() {
        fill(found, source, target, &mut pass, progress)?;
    }
    Ok(pass)
}

/// Erases what the source lacks or has otherwise, and finds what is missing.
fn compare(
    kind: &'static Kind,
    source: &mut dyn Source,
    target: &mut dyn Target,
    pass: &mut Pass,
    progress: &mut Progress<'_>,
) -> Result<Gaps> {
    let end = target.last_key(kind)?;
    let mut gaps = Gaps { kind, end: None, missing: Vec::new(), changed: Vec::new(), is_more: false };
    let Some(end) = end else { return Ok(gaps) };
    let n_all = target.count(kind)?;
    let (mut surplus, mut differing) = (Vec::new(), Vec::new());
    let mut n_done = 0;
    let mut pages = Pages::new(kind, &end);
    while let Some((key, difference)) = pages.next(source, target)? {
        if pages.n_compared >= n_done + kind.n_page as u64 {
            n_done = pages.n_compared;
            progress.show(Stage::Comparing(kind.table), n_done, n_all);
        }
        match difference {
            Difference::None => continue,
            Difference::Surplus => surplus.push(key),
            Difference::Missing => gaps.remember(key, false),
            Difference::Changed => {
                differing.push(key.clone());
                gaps.remember(key, kind.is_referred_to);
            }
        }
        if surplus.len() + differing.len() >= CHUNK {
            take_away(kind, target, &mut surplus, &mut differing, pass)?;
        }
    }
    take_away(kind, target, &mut surplus, &mut differing, pass)?;
    pass.sums.insert(kind.table, pages.sum);
    gaps.end = Some(end);
    Ok(gaps)
}

impl Gaps {
    fn remember(&mut self, key: Row, is_change: bool) {
        if self.missing.len() + self.changed.len() >= REMEMBERED_MAX {
            self.is_more = true;
        } else if is_change {
            self.changed.push(key);
        } else {
            self.missing.push(key);
        }
    }
}

fn take_away(
    kind: &Kind,
    target: &mut dyn Target,
    surplus: &mut Vec<Row>,
    differing: &mut Vec<Row>,
    pass: &mut Pass,
) -> Result<()> {
    pass.n_erased += surplus.len() as u64;
    if kind.is_referred_to {
        if !differing.is_empty() && kind.emptied.is_some() {
            target.empty(kind, differing)?;
        }
    } else {
        surplus.append(differing);
    }
    if !surplus.is_empty() {
        target.erase(kind, surplus)?;
    }
    surplus.clear();
    differing.clear();
    Ok(())
}

/// Writes what is missing.
fn fill(
    gaps: Gaps,
    source: &mut dyn Source,
    target: &mut dyn Target,
    pass: &mut Pass,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let Gaps { kind, end, missing, changed, is_more } = gaps;
    write(kind, &missing, &changed, source, target, pass)?;
    if let (true, Some(end)) = (is_more, &end) {
        let mut pages = Pages::new(kind, end);
        let (mut missing, mut changed) = (Vec::new(), Vec::new());
        while let Some((key, difference)) = pages.next(source, target)? {
            match difference {
                Difference::Missing => missing.push(key),
                Difference::Changed => changed.push(key),
                Difference::None | Difference::Surplus => {}
            }
            if missing.len() + changed.len() >= CHUNK {
                write(kind, &missing, &changed, source, target, pass)?;
                (missing, changed) = (Vec::new(), Vec::new());
            }
        }
        write(kind, &missing, &changed, source, target, pass)?;
    }
    let n_all = source.count(kind)?;
    let mut n_done = if end.is_some() { target.count(kind)? } else { 0 };
    let mut after = end;
    loop {
        let rows = source.page(kind, after.as_deref(), kind.n_page)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last[..kind.n_key].to_vec());
        target.insert(kind, &rows)?;
        let sum = pass.sums.entry(kind.table).or_default();
        rows.iter().for_each(|row| sum.add(kind, row));
        n_done += rows.len() as u64;
        pass.n_copied += rows.len() as u64;
        progress.show(Stage::Copying(kind.table), n_done, n_all);
        if rows.len() < kind.n_page {
            return Ok(());
        }
    }
}

fn write(
    kind: &Kind,
    missing: &[Row],
    changed: &[Row],
    source: &mut dyn Source,
    target: &mut dyn Target,
    pass: &mut Pass,
) -> Result<()> {
    let n_chunk = CHUNK.min(kind.n_page);
    for keys in missing.chunks(n_chunk) {
        target.insert(kind, &source.of_keys(kind, keys)?)?;
    }
    for keys in changed.chunks(n_chunk) {
        target.replace(kind, &source.of_keys(kind, keys)?)?;
    }
    pass.n_written += (missing.len() + changed.len()) as u64;
    Ok(())
}

/// What a key is on both sides.
enum Difference {
    None,
    Surplus,
    Missing,
    Changed,
}

/// Both sides of a table side by side, up to a key.
struct Pages {
    kind: &'static Kind,
    end: Row,
    of_source: Ahead<Row>,
    of_target: Ahead<(Row, u64)>,
    n_compared: u64,
    /// Of the source's rows.
    sum: Sum,
}

/// A page that is read ahead of.
struct Ahead<T> {
    rows: std::iter::Peekable<std::vec::IntoIter<T>>,
    after: Option<Row>,
    is_over: bool,
}

impl<T> Ahead<T> {
    fn new() -> Self {
        Self { rows: Vec::new().into_iter().peekable(), after: None, is_over: false }
    }

    fn read(
        &mut self,
        kind: &Kind,
        key_of: impl Fn(&T) -> &[Cell],
        read: impl FnOnce(Option<&[Cell]>) -> Result<Vec<T>>,
    ) -> Result<Option<&T>> {
        if self.rows.peek().is_none() && !self.is_over {
            let rows = read(self.after.as_deref())?;
            self.is_over = rows.len() < kind.n_page;
            self.after = rows.last().map(|last| key_of(last)[..kind.n_key].to_vec());
            self.rows = rows.into_iter().peekable();
        }
        Ok(self.rows.peek())
    }
}

impl Pages {
    fn new(kind: &'static Kind, end: &Row) -> Self {
        Self {
            kind,
            end: end.clone(),
            of_source: Ahead::new(),
            of_target: Ahead::new(),
            n_compared: 0,
            sum: Sum::default(),
        }
    }

    fn next(&mut self, source: &mut dyn Source, target: &mut dyn Target) -> Result<Option<(Row, Difference)>> {
        let kind = self.kind;
        let theirs = self
            .of_target
            .read(kind, |(key, _)| key, |after| target.digests(kind, after, kind.n_page))?
            .filter(|(key, _)| *key <= self.end);
        let ours = self
            .of_source
            .read(kind, |row| row, |after| Rows::page(source, kind, after, kind.n_page))?
            .filter(|row| row[..kind.n_key] <= self.end[..]);
        let order = match (ours, theirs) {
            (None, None) => return Ok(None),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(ours), Some((theirs, _))) => ours[..kind.n_key].cmp(&theirs[..]),
        };
        self.n_compared += 1;
        if let (Some(ours), std::cmp::Ordering::Less | std::cmp::Ordering::Equal) = (ours, order) {
            self.sum.add(kind, ours);
        }
        let key = |row: Option<Row>| row.map(|row| row[..kind.n_key].to_vec()).unwrap_or_default();
        Ok(Some(match order {
            std::cmp::Ordering::Less => (key(self.of_source.rows.next()), Difference::Missing),
            std::cmp::Ordering::Greater => {
                (self.of_target.rows.next().map(|(key, _)| key).unwrap_or_default(), Difference::Surplus)
            }
            std::cmp::Ordering::Equal => {
                let ours = self.of_source.rows.next().unwrap_or_default();
                let theirs = self.of_target.rows.next().map_or(0, |(_, digest)| digest);
                let is_same = target.digest_of(kind, &ours) == theirs;
                (key(Some(ours)), if is_same { Difference::None } else { Difference::Changed })
            }
        }))
    }
}
