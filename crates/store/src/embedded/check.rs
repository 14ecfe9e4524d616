//! Looking at a library that no server has, without changing anything of it.

use std::path::Path;
use std::sync::Arc;

use likeness_domain::ports::{ReportProgress, StoreReport};
use likeness_domain::{Error, Result};
use rusqlite::Connection;

use super::database_lock::DatabaseLock;
use super::errors::{Answer, Failure};
use super::health::Health;
use super::identity::{Found, Identity};
use super::losses::Losses;
use super::report::{self, Findings};
use super::schema::{self, DATABASE_FILE, SCHEMA_VERSION};
use super::{damage, identity, log_check, open_files, presence, rows, scrub};

/// Reports on the library in `dir` as it is on the disk, whoever has it open: its database is opened for reading only, its layout
/// is not upgraded, nothing is mended. Compares the checksum of every row; `thorough` also asks SQLite, compares counters,
/// galleries and links, and decodes every row. `watch` learns how far that is.
///
/// A library that is damaged so that it cannot be opened is a report with that problem. Errors:
/// [`likeness_domain::Kind::InvalidArgument`] if there is no library, or it is a newer program's.
pub fn check(dir: impl AsRef<Path>, thorough: bool, watch: &mut dyn FnMut(ReportProgress)) -> Result<StoreReport> {
    let dir = dir.as_ref();
    DatabaseLock::refuse_other_owner(dir)?;
    let n_bytes = std::fs::metadata(dir.join(DATABASE_FILE)).map_or(0, |metadata| metadata.len());
    let identity = schema::opened(identity::identity_of(dir), dir)?;
    if n_bytes == 0 {
        return match (presence::check_present(dir), &identity) {
            (Err(Failure::Said(error)), Found::Identity(_)) => Ok(unreadable(dir, in_words(&error))),
            (found, _) => Err(schema::opened(found, dir).err().unwrap_or_else(|| {
                Error::invalid("data", format!("there is no library in {}", dir.display()))
                    .with_hint("name its data folder with `--data DIR` or LIKENESS_DATA")
            })),
        };
    }
    match look(dir, &identity, thorough, watch) {
        Err(failure) if schema::damage_of(&failure).is_some() => {
            let error = failure_of(failure, dir);
            Ok(unreadable(dir, in_words(&error)))
        }
        other => schema::opened(other, dir),
    }
}

fn failure_of(failure: Failure, dir: &Path) -> Error {
    match schema::opened::<()>(Err(failure), dir) {
        Err(error) => error,
        Ok(()) => Error::invalid("data", "it is damaged"),
    }
}

/// An error with its hint as one problem.
fn in_words(error: &Error) -> String {
    match error.hint() {
        Some(hint) => format!("{}: {hint}", error.message()),
        None => error.message().to_owned(),
    }
}

/// The report on a library that cannot be opened.
fn unreadable(dir: &Path, problem: String) -> StoreReport {
    StoreReport {
        backend: report::backend(dir),
        bytes_on_disk: report::bytes_on_disk(dir),
        problems: vec![problem],
        checked: vec!["whether the database can be opened".into()],
        not_checked: vec!["everything else, since it cannot".into()],
        ..StoreReport::default()
    }
}

fn look(dir: &Path, identity: &Found, thorough: bool, watch: &mut dyn FnMut(ReportProgress)) -> Answer<StoreReport> {
    if let Err(Failure::Said(error)) = open_files::check_log(dir).and_then(|()| log_check::check(dir)) {
        return Ok(unreadable(dir, in_words(&error)));
    }
    let conn = schema::open_to_read(dir)?;
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    let application_id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if matches!(identity, Found::Identity(_)) && application_id != schema::APPLICATION_ID {
        return Err(Failure::Damaged("its header is not ours, although its library is".into()));
    }
    let version = schema::version(&conn, SCHEMA_VERSION)?;
    // One state for everything that is compared.
    let state = conn.unchecked_transaction()?;
    if version < SCHEMA_VERSION {
        return older(&state, dir, version);
    }
    if let Err(Failure::Said(error)) = presence::check_same(&state, dir) {
        return Ok(unreadable(dir, in_words(&error)));
    }
    let library = presence::library_of(&state)?;
    let health = Health::new(Arc::default(), Losses::read(dir, library));
    damage::register(&state, &health.damage)?;
    let mut findings = Findings::of(&health);
    let mut report = report::counts(&state, dir, &mut findings.problems)?;
    findings.checked.push(match identity {
        Found::Identity(_) => "that the database is the library's own, and reaches the last acknowledged commit".into(),
        _ => "that the database is a library".into(),
    });
    match identity {
        Found::Identity(Identity { acknowledged: Some((acknowledged, _)), .. }) => {
            findings
                .problems
                .extend(presence::loss_between(report.revision.0, *acknowledged).map(|loss| loss.to_string()));
        }
        Found::Identity(_) => findings.not_checked.push(format!("lost commits: {NO_IDENTITY}")),
        Found::Nothing | Found::Damaged => {
            findings.not_checked.push(format!("that it is the library's own: {NO_IDENTITY}"))
        }
    }
    if thorough {
        findings.look_at_everything(&state, &health, watch)?;
    } else {
        findings.look_at_rows(&state, &health, watch)?;
        findings.not_checked.push(
            "SQLite's own structures, counters, links between tables, gaps in the commits: `likeness check --thorough`"
                .into(),
        );
    }
    findings
        .not_checked
        .push("the index, which is filled when a server starts: `likeness check --thorough` while one runs".into());
    findings.give_to(&mut report);
    report.scrub = scrub::report_of(dir);
    Ok(report)
}

const NO_IDENTITY: &str = "the identity file is missing or damaged; the next start writes it anew";

/// What can be said of an older layout: it is not upgraded by looking at it.
fn older(conn: &Connection, dir: &Path, version: u32) -> Answer<StoreReport> {
    if version == 0 {
        return Err(Failure::Said(
            Error::invalid("data", format!("there is no library in {}", dir.display()))
                .with_hint("name its data folder with `--data DIR` or LIKENESS_DATA"),
        ));
    }
    let found = rows::all(conn, "PRAGMA integrity_check(100)", (), |row| Ok(row.get::<_, String>(0)?))?;
    let problems = found.into_iter().filter(|line| line != "ok");
    Ok(StoreReport {
        backend: report::backend(dir),
        schema_version: version,
        bytes_on_disk: report::bytes_on_disk(dir),
        problems: problems
            .map(|line| format!("the database is damaged ({}): restore a backup", line.escape_debug()))
            .collect(),
        checked: vec!["pages, trees and indexes of SQLite (integrity_check)".into()],
        not_checked: vec![format!(
            "everything else, numbers of faces among it: layout {version} is older than this program's; `likeness serve` \
             upgrades it to layout {SCHEMA_VERSION}"
        )],
        ..StoreReport::default()
    })
}
