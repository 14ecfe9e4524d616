//! The database file: how it is opened, which layout it has, how an older layout becomes the present one.

mod templates_7;

use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use likeness_domain::{Error, Kind, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::damage::{self, DamageLog};
use super::errors::{Answer, Failure};

/// Name of the database inside the data folder.
pub const DATABASE_FILE: &str = "likeness.db";

/// Marks the file as ours (`file` and SQLite's shell show it): "Lkns".
pub(super) const APPLICATION_ID: i32 = 0x4c6b_6e73;

/// One step from a layout to the next. It runs in one transaction with all that follow it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Migration {
    /// A script, which may hold several statements.
    Script(&'static str),
    /// What takes so long that the user is shown how far it is, or needs more than SQL.
    Code(fn(&Connection) -> Answer<()>),
}

/// The steps that lead from an empty file to the present layout; number `n` makes version `n + 1`. Append only.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration::Script(include_str!("schema.sql")),
    Migration::Script(include_str!("schema-2.sql")),
    Migration::Script(include_str!("schema-3.sql")),
    Migration::Script(include_str!("schema-4.sql")),
    Migration::Script(include_str!("schema-5.sql")),
    Migration::Script(include_str!("schema-6.sql")),
    Migration::Code(templates_7::upgrade),
    Migration::Script(include_str!("schema-8.sql")),
    Migration::Script(include_str!("schema-9.sql")),
    Migration::Script(include_str!("schema-10.sql")),
];

/// Version of the present layout.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// How long a statement waits for another process (`likeness key`) that writes.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    Read,
}

/// How the connections of a process use the files of the database; all of one process in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileUse {
    /// Other processes may read and write beside this one.
    Shared,
    /// Other processes are kept out. The index of the log is in memory, so that not a byte of disk is needed.
    Alone,
    /// Of a file system that cannot be written.
    ReadOnly,
}

impl FileUse {
    /// What the file system of a folder allows, as far as that does not depend on its room.
    pub(super) fn of(dir: &Path) -> Self {
        let is_read_only = statvfs(dir).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY));
        if is_read_only { Self::ReadOnly } else { Self::Shared }
    }
}

/// SQLite's name of the file system with which a process has a database for itself.
const ALONE: &std::ffi::CStr = c"unix-excl";

/// Where the database of a data folder is.
pub(super) fn database_path(dir: &Path) -> PathBuf {
    dir.join(DATABASE_FILE)
}

/// Opens the file, making an empty one readable by its owner only if there is none, unless files are read only. No layout is
/// made. Damaged rows that are read go into `damage`.
pub(super) fn connect(dir: &Path, purpose: Purpose, file_use: FileUse, damage: &Arc<DamageLog>) -> Answer<Connection> {
    let path = database_path(dir);
    let conn = match file_use {
        FileUse::Shared | FileUse::Alone => {
            make_private_file(&path)?;
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            match file_use {
                FileUse::Alone => Connection::open_with_flags_and_vfs(&path, flags, ALONE)?,
                _ => Connection::open_with_flags(&path, flags)?,
            }
        }
        FileUse::ReadOnly => open_to_read(dir)?,
    };
    conn.set_prepared_statement_cache_capacity(96);
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // Without it a statement that is used again with other values is prepared anew where a partial index might depend on
    // them, which took more time than running it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    damage::register(&conn, damage)?;
    // It is settled by the first page that is written, and WAL writes it. Later on it would write a page, for which a full disk
    // has no room.
    if std::fs::metadata(&path).map_or(0, |metadata| metadata.len()) == 0 {
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;")?;
    }
    // `temp_store`: no template ever reaches a temporary file.
    conn.execute_batch(
        "PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA synchronous = FULL;
         PRAGMA cache_size = -16384;",
    )?;
    // A database without a log on a file system that cannot be written needs none.
    let mode: String = match file_use {
        FileUse::ReadOnly => "wal".to_owned(),
        _ => conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?,
    };
    if mode != "wal" {
        return Err(Failure::said(
            Kind::Unsupported,
            format!("the file system under `{}` cannot hold a write-ahead log; use a local disk", path.display()),
        ));
    }
    match purpose {
        Purpose::Write => {
            // A checkpoint costs two flushes: let 16 MiB of log gather before one is due.
            conn.execute_batch("PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 67108864;")?;
        }
        Purpose::Read => conn.execute_batch("PRAGMA query_only = ON;")?,
    }
    Ok(conn)
}

/// Opens the database for reading. On a file system that cannot be written SQLite has no place for the index of the log; without
/// a log it needs none.
pub(super) fn open_to_read(dir: &Path) -> Answer<Connection> {
    let path = dir.join(DATABASE_FILE);
    let opened = open_read_only(&path, "mode=ro").and_then(|conn| {
        conn.busy_timeout(BUSY_TIMEOUT)?;
        // The first question opens the log.
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(conn)
    });
    match opened {
        Err(Failure::Sqlite(error)) if is_in_need_of_log(&error) && has_no_log(dir) => open_immutable(&path),
        Err(Failure::Sqlite(error)) if is_in_need_of_log(&error) && FileUse::of(dir) == FileUse::ReadOnly => {
            Err(log_without_index(dir, &error))
        }
        opened => opened,
    }
}

/// Whether a database could not be opened for want of a place to write.
pub(super) fn is_in_need_of_log(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::DiskFull)
    )
}

/// A log on a file system that cannot be written is read by its index, which a process that was killed leaves.
fn log_without_index(dir: &Path, error: &rusqlite::Error) -> Failure {
    let message = format!(
        "the last commits of the library in `{}` are in `{DATABASE_FILE}-wal`, which cannot be read on a read-only file system \
         ({error})",
        dir.display()
    );
    Failure::Said(
        Error::new(Kind::InvalidArgument, message)
            .with_hint("make the file system writable, or copy the folder to one that is"),
    )
}

fn has_no_log(dir: &Path) -> bool {
    std::fs::metadata(dir.join(format!("{DATABASE_FILE}-wal"))).map_or(0, |metadata| metadata.len()) == 0
}

/// A database of which nothing is ever written or locked, and that nobody writes: one at the start of a backup.
pub(super) fn open_immutable(path: &Path) -> Answer<Connection> {
    open_read_only(path, "immutable=1")
}

/// A database of which nothing is written.
pub(super) fn open_read_only(path: &Path, parameter: &str) -> Answer<Connection> {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str(&format!("?{parameter}"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(uri, flags)?)
}

/// SQLite would make the file with the umask's rights; its `-wal` and `-shm` take theirs from it.
fn make_private_file(path: &Path) -> Answer<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(err) if err.kind() != std::io::ErrorKind::AlreadyExists => Err(Failure::Said(open_error(path, err))),
        _ => Ok(()),
    }
}

/// Keeps the file below `bytes_max`: a write that would pass it finds the disk full.
pub(super) fn limit_size(conn: &Connection, bytes_max: Option<u64>) -> Answer<()> {
    if let Some(bytes_max) = bytes_max {
        let page_bytes: u64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let n_pages = (bytes_max / page_bytes).clamp(1, 0xffff_fffe);
        conn.query_row(&format!("PRAGMA max_page_count = {n_pages}"), [], |_| Ok(()))?;
    }
    Ok(())
}

/// What is added to the layout's version when the library was moved away, so that no program serves it any more.
pub(super) const MOVED_LAYOUTS: u32 = 1_000_000;

/// The file in a data folder that says where its library was moved to.
pub const MOVED_FILE: &str = "likeness.moved";

/// Where the library of a folder was moved to, as far as that is known.
pub(super) fn moved_to(dir: &Path) -> String {
    std::fs::read_to_string(dir.join(MOVED_FILE)).unwrap_or_else(|_| "another place".into())
}

/// Version of the layout in the file; 0 for an empty one. Refuses a file that is not ours, newer than this program, or moved away.
pub(super) fn version(conn: &Connection, n_known: u32) -> Answer<u32> {
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > MOVED_LAYOUTS {
        let dir = conn.path().and_then(|path| Path::new(path).parent()).unwrap_or(Path::new("."));
        let message = format!("the library in `{}` was moved to `{}`", dir.display(), moved_to(dir));
        return Err(Error::new(Kind::InvalidArgument, message)
            .with_hint(format!(
                "use it there; `likeness migrate --take-back {}` lets this one be served again, as it was then",
                dir.display()
            ))
            .into());
    }
    known_version(conn, n_known)
}

/// The same of a library that may have been moved away: then [`MOVED_LAYOUTS`] more.
pub(super) fn version_or_moved(conn: &Connection) -> Answer<u32> {
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > MOVED_LAYOUTS { Ok(found) } else { known_version(conn, SCHEMA_VERSION) }
}

fn known_version(conn: &Connection, n_known: u32) -> Answer<u32> {
    let application_id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let n_tables: u32 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id != APPLICATION_ID && (application_id, found, n_tables) != (0, 0, 0) {
        let message = format!("`{DATABASE_FILE}` in the data folder is not a Likeness store");
        return Err(Error::new(Kind::InvalidArgument, message).with_hint("choose another data folder").into());
    }
    if found > n_known {
        let message = format!("the store has layout version {found}, this program knows versions up to {n_known}");
        return Err(Error::new(Kind::InvalidArgument, message).with_hint("use the newer program that wrote it").into());
    }
    let shape = shape(conn)?;
    if found < shape {
        // It is a number in the file's header, without a checksum of its own; an upgrade would run scripts a second time.
        return Err(Failure::Damaged(format!(
            "its layout is said to be {found}, but its tables are of layout {shape} at least"
        )));
    }
    Ok(found)
}

/// The least layout that has all of these tables.
fn shape(conn: &Connection) -> Answer<u32> {
    let sql = "SELECT coalesce(max(CASE name WHEN 'thumbnails' THEN 10 WHEN 'respelled' THEN 9 WHEN 'records' THEN 8 WHEN 'commits' THEN 7 WHEN 'pictures' THEN 5
                   WHEN 'held_faces' THEN 4 WHEN 'jobs' THEN 2 WHEN 'faces' THEN 1 ELSE 0 END), 0)
               FROM sqlite_schema WHERE type = 'table'";
    Ok(conn.query_row(sql, [], |row| row.get(0))?)
}

fn open_error(path: &Path, err: std::io::Error) -> Error {
    let kind = if err.kind() == std::io::ErrorKind::StorageFull { Kind::StorageFull } else { Kind::InvalidArgument };
    Error::new(kind, format!("cannot make `{}`: {err}", path.display())).with_source(err)
}

/// The error of opening, for callers outside this room.
pub(super) fn opened<T>(answer: Answer<T>, dir: &Path) -> Result<T> {
    answer.map_err(|failure| {
        let doing = format!("open the store in `{}`", dir.display());
        let is_busy = matches!(&failure, Failure::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy));
        let Some(damage) = damage_of(&failure) else {
            let error = failure.into_error(&doing, dir);
            return match is_busy {
                true => error.with_hint(
                    "a server that was started on a disk without a free byte has the library for itself: make room and start \
                     it again",
                ),
                false => error,
            };
        };
        Error::new(Kind::Internal, format!("cannot {doing}: the database is damaged ({damage})")).with_hint(format!(
            "`likeness recover --data {} --to NEW` writes what can still be read to a new library",
            dir.display()
        ))
    })
}

/// What is damaged, if a failure of opening means that the file is not what was written.
pub(super) fn damage_of(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Damaged(what) => Some(what.clone()),
        Failure::Sqlite(error) if is_damage(error) => Some(error.to_string()),
        _ => None,
    }
}

/// Whether an error of opening means that the file is not what was written, rather than that the disk or another process is
/// in the way.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match error.sqlite_error_code() {
        // `Unknown` is SQLite's word for a statement that does not fit the tables: those of our layout are missing.
        Some(code) => matches!(code, DatabaseCorrupt | NotADatabase | Unknown),
        // A value of another type than the column's.
        None => true,
    }
}

#[cfg(test)]
mod tests;
