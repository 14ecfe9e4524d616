//! A whole library from one store to another, while the source serves.
//!
//! A pass takes one state of the source and makes the rows of the target equal to it, table by table: what the target has and
//! that state lacks is erased, what differs is replaced, what is missing is copied ([`pass`]). So a pass begins wherever the one
//! before it was cut short, nothing that was deleted comes back, and nothing but the target has to be remembered. Passes are
//! made until little has changed meanwhile. The last one, when the migration is to be finished, is made of a source in which
//! nobody can write; then every row of both is compared by count and digest, the source is marked as moved, and only after that
//! the target may be served. So there is never a moment in which both may be.
//!
//! What rows there are stands in [`kinds`]; each store reads and writes them as they are ([`sides`]).

mod accounts;
pub(crate) mod kinds;
mod pass;
pub(crate) mod sides;

use std::path::PathBuf;
use std::time::Instant;

use likeness_domain::{Error, Result};

use self::accounts::{Accounted, Sums};
use self::kinds::KINDS;
use self::pass::Pass;
use self::sides::{Progress, Source, Target};
pub use self::sides::{Stage, Stop, Watch};
use crate::embedded::migration as embedded;
#[cfg(feature = "postgres")]
use crate::postgres::{Address, migration as postgres};

/// Where a library is, or is to be.
#[derive(Debug, Clone)]
#[cfg_attr(
    feature = "postgres",
    expect(clippy::large_enum_variant, reason = "there are two of them, source and target")
)]
pub enum Place {
    /// A data folder.
    Folder(PathBuf),
    /// A PostgreSQL database.
    #[cfg(feature = "postgres")]
    Database(Address),
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(dir) => dir.display().fmt(formatter),
            #[cfg(feature = "postgres")]
            Self::Database(address) => address.fmt(formatter),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Look at both, write nothing.
    Look,
    /// Make the target equal to what the source has by now; the source goes on.
    Copy,
    /// The same, and the source is left: nobody writes to it any more, and the target may be served.
    Finish,
}

/// A table on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// Its name.
    pub table: &'static str,
    /// Rows of the source.
    pub n_rows: u64,
    /// The sum of the digests of its rows; `None` where only rows were counted.
    pub digest: Option<u64>,
    /// The same of the target.
    pub n_rows_target: u64,
    /// The same of the target.
    pub digest_target: Option<u64>,
}

impl TableReport {
    /// Whether both sides are equal.
    pub fn is_equal(&self) -> bool {
        (self.n_rows, self.digest) == (self.n_rows_target, self.digest_target)
    }
}

/// How a migration went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The number of the last write of the source that the target has.
    pub revision: u64,
    /// Every table.
    pub tables: Vec<TableReport>,
    /// Rows written to the target.
    pub n_written: u64,
    /// Rows erased from it.
    pub n_erased: u64,
    /// Passes that were made.
    pub n_passes: u32,
    /// For how long nobody could write to the source.
    pub held_ms: u64,
    /// Whether the target may be served, and the source may not.
    pub is_finished: bool,
}

impl Report {
    fn count(&mut self, pass: &Pass) {
        self.n_passes += 1;
        self.n_written += pass.n_written + pass.n_copied;
        self.n_erased += pass.n_erased;
    }
}

/// Changed rows of a pass after which another one is not worth it.
const FEW: u64 = 2000;

/// Most passes before the last one: a source that changes faster than it is copied has no end.
const PASSES_MAX: u32 = 6;

/// Moves a library. See the module's page.
///
/// [`likeness_domain::Kind::InvalidArgument`] if either place cannot be used for it: no library, one of another layout, a target
/// that has something else in it; [`likeness_domain::Kind::Internal`] if a row of the source is damaged or the sides are not
/// equal in the end. The source is as it was then, and the migration can be run again.
pub fn migrate(from: &Place, to: &Place, task: Task, stop: Stop<'_>, watch: Watch<'_>) -> Result<Report> {
    if from.to_string() == to.to_string() {
        return Err(Error::invalid("to", format!("`{to}` is both source and target"))
            .with_hint("name another folder or database with `--to`"));
    }
    let mut source = open_source(from)?;
    let fingerprint = source.fingerprint()?;
    if let Some(moved_to) = source.moved_to()? {
        return go_on_after_leaving(from, to, &moved_to, task, fingerprint);
    }
    if task == Task::Look {
        return look(source.as_mut(), from, to, fingerprint);
    }
    let mut target = open_target(to, from, fingerprint)?;
    let mut progress = Progress::new(watch);
    let mut report = empty_report();
    if task == Task::Copy {
        source.begin(false)?;
        let pass = pass::make(source.as_mut(), target.as_mut(), &mut progress)?;
        report.revision = source.numbers()?.revision.cast_unsigned();
        source.end()?;
        report.count(&pass);
        report.tables = compared(&pass.sums, &accounts::sums_of(target.as_mut(), &mut progress)?)?;
        return Ok(report);
    }
    while !source.is_at_rest() && report.n_passes < PASSES_MAX {
        source.begin(false)?;
        let pass = pass::make(source.as_mut(), target.as_mut(), &mut progress)?;
        source.end()?;
        report.count(&pass);
        // What was copied may have taken long, and much may have changed meanwhile.
        if pass.n_written + pass.n_erased + pass.n_copied <= FEW {
            break;
        }
    }
    // Read before, of a source that others write to: they are to wait for as short as can be.
    let sums = match source.is_at_rest() {
        true => None,
        false => Some(accounts::sums_of(target.as_mut(), &mut progress)?),
    };
    let began = Instant::now();
    progress.show(Stage::Stopping, 0, 0);
    source.begin(true)?;
    let (pass, sums) = match sums {
        Some(sums) => {
            let mut accounted = Accounted::new(target.as_mut(), sums);
            let pass = pass::make(source.as_mut(), &mut accounted, &mut progress)?;
            (pass, accounted.sums)
        }
        None => {
            let pass = pass::make(source.as_mut(), target.as_mut(), &mut progress)?;
            (pass, accounts::sums_of(target.as_mut(), &mut progress)?)
        }
    };
    report.count(&pass);
    report.tables = compared(&pass.sums, &sums)?;
    let numbers = source.numbers()?;
    report.revision = numbers.revision.cast_unsigned();
    progress.show(Stage::Completing, 0, 0);
    target.complete(numbers)?;
    progress.show(Stage::Stopping, 0, 0);
    source.leave(&to.to_string(), stop)?;
    report.held_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    progress.show(Stage::Opening, 0, 0);
    target.open_up()?;
    report.is_finished = true;
    Ok(report)
}

/// Undoes that a library was marked as moved, so that it may be served again as it was then.
pub fn take_back(from: &Place) -> Result<()> {
    match from {
        Place::Folder(dir) => embedded::take_back(dir),
        #[cfg(feature = "postgres")]
        Place::Database(address) => postgres::take_back(address),
    }
}

fn empty_report() -> Report {
    Report { revision: 0, tables: Vec::new(), n_written: 0, n_erased: 0, n_passes: 0, held_ms: 0, is_finished: false }
}

fn open_source(from: &Place) -> Result<Box<dyn Source>> {
    Ok(match from {
        Place::Folder(dir) => Box::new(embedded::FolderSource::open(dir)?),
        #[cfg(feature = "postgres")]
        Place::Database(address) => Box::new(postgres::DatabaseSource::open(address)?),
    })
}

fn open_target(to: &Place, from: &Place, fingerprint: i64) -> Result<Box<dyn Target>> {
    let from = from.to_string();
    Ok(match to {
        Place::Folder(dir) => Box::new(embedded::FolderTarget::open(dir, &from, fingerprint)?),
        #[cfg(feature = "postgres")]
        Place::Database(address) => Box::new(postgres::DatabaseTarget::open(address, &from, fingerprint)?),
    })
}

/// Whether the target could be used; `None` if nothing is there yet.
fn look_at_target(to: &Place, from: &Place, fingerprint: i64) -> Result<Option<Box<dyn Target>>> {
    let from = from.to_string();
    Ok(match to {
        Place::Folder(dir) => {
            embedded::FolderTarget::look(dir, &from, fingerprint)?.map(|target| Box::new(target) as Box<dyn Target>)
        }
        #[cfg(feature = "postgres")]
        Place::Database(address) => {
            postgres::DatabaseTarget::look(address, &from, fingerprint)?.map(|target| Box::new(target) as _)
        }
    })
}

/// Counts the rows of both.
fn look(source: &mut dyn Source, from: &Place, to: &Place, fingerprint: i64) -> Result<Report> {
    let mut target = look_at_target(to, from, fingerprint)?;
    source.begin(false)?;
    let mut report = empty_report();
    report.revision = source.numbers()?.revision.cast_unsigned();
    for kind in KINDS {
        let n_rows = source.count(kind)?;
        let n_rows_target = target.as_mut().map_or(Ok(0), |target| target.count(kind))?;
        report.tables.push(TableReport { table: kind.table, n_rows, digest: None, n_rows_target, digest_target: None });
    }
    source.end()?;
    Ok(report)
}

/// The source was left and the target not yet opened up: nothing else is missing.
fn go_on_after_leaving(from: &Place, to: &Place, moved_to: &str, task: Task, fingerprint: i64) -> Result<Report> {
    let moved = || {
        Error::invalid("from", format!("the library of `{from}` was moved to `{moved_to}`")).with_hint(format!(
            "use it there; `likeness migrate --take-back {from}` lets this one be served again, as it was then"
        ))
    };
    if task != Task::Finish || moved_to != to.to_string() {
        return Err(moved());
    }
    let Some(mut target) = look_at_target(to, from, fingerprint).map_err(|_| moved())? else { return Err(moved()) };
    target.open_up()?;
    Ok(Report { is_finished: true, ..empty_report() })
}

/// Compares every table of both sides, by number of rows and by the sum of their digests.
fn compared(source: &Sums, target: &Sums) -> Result<Vec<TableReport>> {
    let mut tables = Vec::with_capacity(KINDS.len());
    for kind in KINDS {
        let of = |sums: &Sums| sums.get(kind.table).copied().unwrap_or_default();
        let (ours, theirs) = (of(source), of(target));
        if ours != theirs {
            let message = format!(
                "source and target differ in {}: {} rows with digest {:016x}, and {} with {:016x}",
                kind.words(),
                ours.n_rows,
                ours.digest,
                theirs.n_rows,
                theirs.digest
            );
            return Err(Error::internal(message, "the target is not what was written to it").with_hint(
                "nothing was left; give the migration an empty target, and look at the disk under this one",
            ));
        }
        tables.push(TableReport {
            table: kind.table,
            n_rows: ours.n_rows,
            digest: Some(ours.digest),
            n_rows_target: theirs.n_rows,
            digest_target: Some(theirs.digest),
        });
    }
    Ok(tables)
}
