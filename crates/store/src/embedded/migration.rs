//! A data folder as the source or the target of a migration ([`crate::migration`]).
//!
//! A source may be in use by a server: it is read by a connection of its own, a pass in one reading transaction. For the last pass
//! the lock of SQLite's writers is held, so that neither the server nor a command writes; they wait, and are refused with "try
//! again". It is held until the server is gone and the library is marked, by the number of its layout, which no program opens.
//!
//! A target is made in the folder [`UNFINISHED`] inside the data folder, which no server opens, beside a file that says whose
//! migration it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::access::Grants;
use likeness_domain::types::Revision;
use likeness_domain::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use xxhash_rust::xxh3::xxh3_64;

use super::checksums::{CheckedTable, TABLES, row_checksum};
use super::database_lock::DatabaseLock;
use super::errors::{Answer, Failure};
use super::identity;
use super::numbers::Counters;
use super::presence::{self, UNFINISHED};
use super::schema::{self, DATABASE_FILE, FileUse, MIGRATIONS, MOVED_FILE, MOVED_LAYOUTS, Purpose, SCHEMA_VERSION};
use super::turn::Turn;
use super::{numbers, upgrade, uploads};
use crate::folder::{DataFolder, LOCK_FILE, create_private, is_in_use};
use crate::migration::kinds::{Cell, Kind, Owner, Row, digest, digest_of_checksum};
use crate::migration::sides::{Numbers, Rows, Source, Stop, Target};

/// Beside the unfinished database: which library is being moved there, and from where.
const MIGRATION_FILE: &str = "migration";

/// How long the lock of SQLite's writers is tried for.
const LOCK_MAX: Duration = Duration::from_secs(30);

/// How long a server is waited for that was told to stop, and how often it is looked whether it has.
const STOP_MAX: Duration = Duration::from_secs(120);
const STOP_LOOK: Duration = Duration::from_millis(50);

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(value_of(self)))
    }
}

fn value_of(cell: &Cell) -> ValueRef<'_> {
    match cell {
        Cell::Null => ValueRef::Null,
        Cell::Whole(number) => ValueRef::Integer(*number),
        Cell::Text(text) => ValueRef::Text(text.as_bytes()),
        Cell::Bytes(bytes) => ValueRef::Blob(bytes),
    }
}

fn cell_of(value: ValueRef<'_>, what: &Kind) -> Answer<Cell> {
    let damaged = || Failure::Damaged(format!("a value in `{}` is not what the column holds", what.table));
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Whole(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8(text.to_vec()).map_err(|_| damaged())?),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(damaged()),
    })
}

fn checked(kind: &Kind) -> Option<&'static CheckedTable> {
    TABLES.iter().copied().find(|table| table.name == kind.table)
}

/// Where the checked columns are among the kind's; `None` for those that this store adds itself.
fn places(kind: &Kind, table: &CheckedTable) -> Vec<Option<usize>> {
    table.columns.iter().map(|name| kind.idx_of(name)).collect()
}

/// Columns of the kind that no checksum covers.
fn others(kind: &Kind) -> Vec<usize> {
    let covered = checked(kind).map_or(&[][..], |table| table.columns);
    (0..kind.columns.len()).filter(|&idx| !covered.contains(&kind.columns[idx].name)).collect()
}

fn names(columns: impl IntoIterator<Item = &'static str>) -> String {
    columns.into_iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

fn column_names(kind: &Kind) -> String {
    names(kind.columns.iter().map(|column| column.name))
}

fn key_names(kind: &Kind) -> String {
    names(kind.key().iter().map(|column| column.name))
}

fn marks(first: usize, n: usize) -> String {
    (first..first + n).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
}

/// The rows of a database, whoever else has it open.
struct Database {
    dir: PathBuf,
    conn: Connection,
}

impl Database {
    fn error(&self, doing: &str) -> impl Fn(Failure) -> Error + use<> {
        let (doing, dir) = (doing.to_owned(), self.dir.clone());
        move |failure| match schema::damage_of(&failure) {
            Some(damage) => {
                let message = format!("cannot {doing}: the library in `{}` is damaged: {damage}", dir.display());
                Error::internal(message, damage).with_hint(
                    "`likeness check` names all that is damaged: delete such faces by their ids (`likeness face delete`) and \
                     enrol them again, or restore a backup, or `likeness recover` it",
                )
            }
            None => failure.into_error(&doing, &dir),
        }
    }

    fn run<T>(&self, doing: &str, act: impl FnOnce(&Connection) -> Answer<T>) -> Result<T> {
        act(&self.conn).map_err(self.error(doing))
    }
}

/// Columns of a kind and whether the row is intact.
fn selected(kind: &Kind) -> String {
    let intact = checked(kind).map_or("1".to_owned(), |table| table.intact("t"));
    format!("SELECT {}, {intact} FROM {} AS t", column_names(kind), kind.table)
}

/// Whose a row is, as far as that can be read.
fn owner_of(conn: &Connection, kind: &Kind, key: &[Cell]) -> Option<Owner> {
    let owner = |row: &rusqlite::Row<'_>| {
        Ok(Owner { tenant: row.get(0)?, face_set: row.get(1)?, person: row.get(2)?, face: row.get(3)? })
    };
    conn.query_row(kind.owner_sql()?, [key.first()?], owner).ok()
}

fn rows_of(conn: &Connection, kind: &Kind, rows: &mut rusqlite::Rows<'_>) -> Answer<Vec<Row>> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let cells: Answer<Row> = (0..kind.columns.len()).map(|idx| cell_of(row.get_ref(idx)?, kind)).collect();
        let mut cells = cells?;
        if !row.get::<_, bool>(kind.columns.len())? {
            let key = &cells[..kind.n_key];
            return Err(Failure::Damaged(kind.damaged_row(key, owner_of(conn, kind, key))));
        }
        if kind.table == "pictures"
            && let [Cell::Bytes(tenant), Cell::Text(name), _, Cell::Bytes(bytes)] = &mut cells[..]
        {
            *bytes = uploads::unsealed(tenant, name, std::mem::take(bytes))?.to_vec();
        }
        if kind.table == "access_keys"
            && let Some(Cell::Text(grants)) = kind.idx_of("grants").and_then(|idx| cells.get_mut(idx))
            && let Ok(parsed) = Grants::parse(grants)
        {
            // Keys of before grants have a text that was written by hand.
            *grants = parsed.to_string();
        }
        found.push(cells);
    }
    Ok(found)
}

impl Rows for Database {
    fn count(&mut self, kind: &Kind) -> Result<u64> {
        self.run("count rows", |conn| {
            Ok(conn.query_row(&format!("SELECT count(*) FROM {}", kind.table), [], |row| row.get(0))?)
        })
    }

    fn page(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<Row>> {
        self.run("read the library", |conn| {
            let key = key_names(kind);
            let condition = after.map_or(String::new(), |_| format!("WHERE ({key}) > ({})", marks(1, kind.n_key)));
            let sql = format!("{} {condition} ORDER BY {key} LIMIT {n_rows}", selected(kind));
            let mut statement = conn.prepare_cached(&sql)?;
            rows_of(conn, kind, &mut statement.query(params_from_iter(after.unwrap_or_default()))?)
        })
    }

    fn of_keys(&mut self, kind: &Kind, keys: &[Row]) -> Result<Vec<Row>> {
        self.run("read the library", |conn| {
            let sql = format!("{} WHERE ({}) = ({})", selected(kind), key_names(kind), marks(1, kind.n_key));
            let mut statement = conn.prepare_cached(&sql)?;
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.append(&mut rows_of(conn, kind, &mut statement.query(params_from_iter(key))?)?);
            }
            Ok(found)
        })
    }
}

/// A library in a folder that is to be moved.
pub(crate) struct FolderSource {
    database: Database,
    /// `None` while a server has it.
    _folder: Option<DataFolder>,
    _lock: Option<DatabaseLock>,
    /// Of the last pass: the owner lets the writer's lock go sooner.
    turn: Option<Turn>,
}

impl FolderSource {
    /// Opens it, beside a server or, if there is none, so that none can start meanwhile.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let nothing = || {
            Error::invalid("from", format!("there is no library in `{}`", dir.display()))
                .with_hint("name its data folder, or the address of its database, with `--from`")
        };
        if !dir.join(DATABASE_FILE).is_file() {
            schema::opened(presence::check_present(dir), dir)?;
            return Err(nothing());
        }
        let folder = match DataFolder::lock(dir) {
            Ok(folder) => Some(folder),
            Err(error) if is_in_use(&error) => None,
            Err(error) => return Err(error),
        };
        schema::opened(presence::check_present(dir), dir)?;
        let lock = folder.as_ref().map(|_| DatabaseLock::take(dir)).transpose()?;
        let conn = schema::opened(schema::connect(dir, Purpose::Write, FileUse::of(dir), &Arc::default()), dir)?;
        let version = schema::opened(schema::version_or_moved(&conn), dir)?;
        let version = version.checked_sub(MOVED_LAYOUTS).unwrap_or(version);
        match version {
            0 => return Err(nothing()),
            SCHEMA_VERSION => {}
            older => {
                let message =
                    format!("the library in `{}` has layout {older}, expected {SCHEMA_VERSION}", dir.display());
                let hint = "start `likeness serve` on it once with this program, which upgrades it";
                return Err(Error::invalid("from", message).with_hint(hint));
            }
        }
        schema::opened(presence::check_same(&conn, dir), dir)?;
        Ok(Self { database: Database { dir: dir.to_owned(), conn }, _folder: folder, _lock: lock, turn: None })
    }
}

impl Rows for FolderSource {
    fn count(&mut self, kind: &Kind) -> Result<u64> {
        self.database.count(kind)
    }

    fn page(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<Row>> {
        self.database.page(kind, after, n_rows)
    }

    fn of_keys(&mut self, kind: &Kind, keys: &[Row]) -> Result<Vec<Row>> {
        self.database.of_keys(kind, keys)
    }
}

impl Source for FolderSource {
    fn fingerprint(&mut self) -> Result<i64> {
        self.database.run("read the library", |conn| {
            let secret =
                conn.query_row("SELECT max(secret) FROM installation", [], |row| row.get::<_, Option<Vec<u8>>>(0))?;
            Ok(secret.map_or(0, |secret| xxh3_64(&secret).cast_signed()))
        })
    }

    fn moved_to(&mut self) -> Result<Option<String>> {
        let version = self.database.run("read the library", schema::version_or_moved)?;
        Ok((version >= MOVED_LAYOUTS).then(|| schema::moved_to(&self.database.dir)))
    }

    fn is_at_rest(&self) -> bool {
        self._folder.is_some()
    }

    fn begin(&mut self, is_last: bool) -> Result<()> {
        if !is_last {
            return self.database.run("read the library", |conn| {
                // The first question fixes the state.
                conn.execute_batch("BEGIN; SELECT revision FROM store")?;
                Ok(())
            });
        }
        self.turn = Some(Turn::take(&self.database.dir));
        let deadline = Instant::now() + LOCK_MAX;
        self.database.run("hold the writes of the library", |conn| {
            loop {
                match conn.execute_batch("BEGIN IMMEDIATE") {
                    Err(error)
                        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                            && Instant::now() < deadline => {}
                    begun => return Ok(begun?),
                }
            }
        })
    }

    fn end(&mut self) -> Result<()> {
        self.turn = None;
        self.database.run("read the library", |conn| Ok(conn.execute_batch("ROLLBACK")?))
    }

    fn numbers(&mut self) -> Result<Numbers> {
        self.database.run("read the library", |conn| {
            let counters = numbers::counters(conn)?;
            let next = conn.query_row(
                "SELECT max(coalesce((SELECT max(rank) FROM tenants), 0), coalesce((SELECT max(rank) FROM access_keys), 0),
                     coalesce((SELECT max(number) FROM records), 0), coalesce((SELECT max(id) FROM respelled), 0),
                     coalesce((SELECT max(id) FROM pending_deletes), 0))",
                [],
                |row| row.get::<_, i64>(0),
            )?;
            Ok(Numbers {
                revision: counters.revision.0.cast_signed(),
                next: (next + 1).max(counters.next_sequence.cast_signed()),
            })
        })
    }

    fn leave(&mut self, to: &str, stop: Stop<'_>) -> Result<()> {
        let dir = self.database.dir.clone();
        let failed = |error: std::io::Error| {
            Error::internal(format!("cannot write `{}`", dir.join(MOVED_FILE).display()), error)
        };
        let mut file = create_private(&dir.join(MOVED_FILE)).map_err(failed)?;
        std::io::Write::write_all(&mut file, to.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        if self._folder.is_none() {
            // Nobody writes while the lock is held: what the server has not acknowledged it refuses.
            let stopped = stop(&dir).and_then(|()| locked_after_stop(&dir));
            match stopped {
                Ok(folder) => self._folder = Some(folder),
                Err(error) => {
                    let _ = fs::remove_file(dir.join(MOVED_FILE));
                    return Err(error);
                }
            }
        }
        self.turn = None;
        self.database.run("mark the library as moved", |conn| {
            conn.pragma_update(None, "user_version", SCHEMA_VERSION + MOVED_LAYOUTS)?;
            Ok(conn.execute_batch("COMMIT")?)
        })
    }
}

/// The folder, once the server that was told to stop has given it up.
fn locked_after_stop(dir: &Path) -> Result<DataFolder> {
    let deadline = Instant::now() + STOP_MAX;
    loop {
        match DataFolder::lock(dir) {
            Err(error) if is_in_use(&error) => {
                if Instant::now() >= deadline {
                    return Err(error.with_hint("the server was told to stop and has not; stop it and run this again"));
                }
                std::thread::sleep(STOP_LOOK);
            }
            locked => return locked,
        }
    }
}

/// Undoes the mark of [`FolderSource::leave`].
pub(crate) fn take_back(dir: &Path) -> Result<()> {
    let not_moved = || {
        Error::invalid("take-back", format!("the library in `{}` was not moved away", dir.display()))
            .with_hint("name the folder or database that was the source of `likeness migrate --finish`")
    };
    if !dir.join(DATABASE_FILE).is_file() {
        return Err(not_moved());
    }
    let _folder = DataFolder::lock(dir)?;
    let _lock = DatabaseLock::take(dir)?;
    let conn = schema::opened(schema::connect(dir, Purpose::Write, FileUse::of(dir), &Arc::default()), dir)?;
    let version = schema::opened(schema::version_or_moved(&conn), dir)?;
    let Some(version) = version.checked_sub(MOVED_LAYOUTS) else { return Err(not_moved()) };
    let set = conn.pragma_update(None, "user_version", version).map_err(Failure::from);
    schema::opened(set, dir)?;
    let _ = fs::remove_file(dir.join(MOVED_FILE));
    Ok(())
}

/// A library in a folder that is being made.
pub(crate) struct FolderTarget {
    /// `None` once it is closed.
    database: Option<Database>,
    dir: PathBuf,
    _folder: DataFolder,
}

impl FolderTarget {
    /// Opens the one that this migration has begun, or begins it.
    pub(crate) fn open(dir: &Path, from: &str, fingerprint: i64) -> Result<Self> {
        refuse_used(dir)?;
        let folder = DataFolder::lock(dir)?;
        // Somebody may have been quicker.
        refuse_used(dir)?;
        if !is_of(dir, from, fingerprint)? {
            let unfinished = dir.join(UNFINISHED);
            let failed =
                |error: std::io::Error| Error::internal(format!("cannot make `{}`", unfinished.display()), error);
            use std::os::unix::fs::DirBuilderExt;
            fs::DirBuilder::new().mode(0o700).recursive(true).create(&unfinished).map_err(failed)?;
            let mut file = create_private(&unfinished.join(MIGRATION_FILE)).map_err(failed)?;
            std::io::Write::write_all(&mut file, format!("{fingerprint}\n{from}").as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(failed)?;
        }
        Self::connect(dir, folder)
    }

    /// The one that this migration has begun; `None` if there is nothing yet.
    pub(crate) fn look(dir: &Path, from: &str, fingerprint: i64) -> Result<Option<Self>> {
        refuse_used(dir)?;
        if !is_of(dir, from, fingerprint)? {
            return Ok(None);
        }
        Ok(Some(Self::connect(dir, DataFolder::lock(dir)?)?))
    }

    fn connect(dir: &Path, folder: DataFolder) -> Result<Self> {
        let unfinished = dir.join(UNFINISHED);
        let connect = || -> Answer<Connection> {
            let mut conn = schema::connect(&unfinished, Purpose::Write, FileUse::Shared, &Arc::default())?;
            upgrade::migrate(&mut conn, MIGRATIONS)?;
            // What was not flushed is copied again; the log keeps the database whole. Counters are made at the end.
            conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;")?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            Ok(conn)
        };
        let conn = schema::opened(connect(), &unfinished)?;
        Ok(Self { database: Some(Database { dir: unfinished, conn }), dir: dir.to_owned(), _folder: folder })
    }

    fn database(&mut self) -> Result<&mut Database> {
        self.database.as_mut().ok_or_else(|| Error::internal("the target is closed", "it was opened up"))
    }

    /// Everything or nothing.
    fn write(&mut self, act: impl FnOnce(&Connection) -> Answer<()>) -> Result<()> {
        self.database()?.run("write the library", |conn| {
            let tx = conn.unchecked_transaction()?;
            act(&tx)?;
            Ok(tx.commit()?)
        })
    }

    fn put(&mut self, kind: &Kind, rows: &[Row], on_conflict: &str) -> Result<()> {
        let sql = format!("{} {on_conflict}", insert_sql(kind));
        self.write(|conn| {
            let mut statement = conn.prepare_cached(&sql)?;
            for row in rows {
                if kind.table == "pictures"
                    && let [Cell::Bytes(tenant), Cell::Text(name), expires_at, Cell::Bytes(bytes)] = &row[..]
                {
                    statement.execute((tenant, name, expires_at, uploads::sealed(tenant, name, bytes)))?;
                    continue;
                }
                statement.execute(params_from_iter(row))?;
            }
            Ok(())
        })
    }
}

/// `INSERT` of a row, with its checksum and what this store adds.
fn insert_sql(kind: &Kind) -> String {
    let (mut columns, mut values) = (column_names(kind), marks(1, kind.columns.len()));
    if let Some(table) = checked(kind) {
        let mut parts = vec![format!("'{}'", table.name)];
        for (name, place) in table.columns.iter().zip(places(kind, table)) {
            parts.push(place.map_or("0".to_owned(), |idx| format!("?{}", idx + 1)));
            if place.is_none() {
                // `commits.previous`: what is carried over is kept for the record alone.
                columns.push_str(&format!(", \"{name}\""));
                values.push_str(", 0");
            }
        }
        columns.push_str(", checksum");
        values.push_str(&format!(", row_checksum({})", parts.join(", ")));
    }
    format!("INSERT INTO {} ({columns}) VALUES ({values})", kind.table)
}

/// Refuses a folder that holds anything but what a migration that was cut short leaves.
fn refuse_used(dir: &Path) -> Result<()> {
    // What was begun is private; a link in its place would lead what is copied, secrets too, to wherever somebody chose.
    let begun = dir.join(UNFINISHED);
    for path in [begun.join(DATABASE_FILE), begun.join(MIGRATION_FILE), begun] {
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_symlink()) {
            let message = format!("`{}` is a symbolic link, expected what this migration has made", path.display());
            return Err(Error::invalid("to", message).with_hint("name another folder with `--to`"));
        }
    }
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    let is_ours = |name: &std::ffi::OsStr| name == UNFINISHED || name == LOCK_FILE;
    match entries.flatten().find(|entry| !is_ours(&entry.file_name())) {
        None => Ok(()),
        Some(entry) => {
            let message = format!("`{}` is not empty: it has `{}`", dir.display(), entry.file_name().display());
            Err(Error::invalid("to", message)
                .with_hint("name a folder that does not exist yet with `--to`; nothing is written over"))
        }
    }
}

/// Whether the folder holds what this migration has made so far; false if it holds nothing.
fn is_of(dir: &Path, from: &str, fingerprint: i64) -> Result<bool> {
    let unfinished = dir.join(UNFINISHED);
    let Ok(text) = fs::read_to_string(unfinished.join(MIGRATION_FILE)) else {
        if !unfinished.join(DATABASE_FILE).exists() {
            return Ok(false);
        }
        let message =
            format!("`{}` holds what a restore or recovery has left that was cut short", unfinished.display());
        return Err(
            Error::invalid("to", message).with_hint("do that again, remove it, or name another folder with `--to`")
        );
    };
    let (known, known_from) = text.split_once('\n').unwrap_or((&text, ""));
    let known: i64 = known.trim().parse().unwrap_or(0);
    if known == fingerprint || (known == 0 && known_from == from) {
        return Ok(true);
    }
    let message = format!("`{}` holds an unfinished migration of another library, from `{known_from}`", dir.display());
    Err(Error::invalid("to", message).with_hint(format!(
        "finish that one, or remove the folder `{}` if it is not wanted any more",
        unfinished.display()
    )))
}

impl Rows for FolderTarget {
    fn count(&mut self, kind: &Kind) -> Result<u64> {
        self.database()?.count(kind)
    }

    fn page(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<Row>> {
        self.database()?.page(kind, after, n_rows)
    }

    fn of_keys(&mut self, kind: &Kind, keys: &[Row]) -> Result<Vec<Row>> {
        self.database()?.of_keys(kind, keys)
    }
}

impl Target for FolderTarget {
    fn digests(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<(Row, u64)>> {
        if checked(kind).is_none() {
            let rows = self.page(kind, after, n_rows)?;
            return Ok(rows.into_iter().map(|row| (row[..kind.n_key].to_vec(), digest(kind, &row))).collect());
        }
        self.database()?.run("read the library", |conn| {
            let (key, others) = (key_names(kind), others(kind));
            let mut columns = format!("{key}, checksum");
            for &idx in &others {
                columns.push_str(&format!(", \"{}\"", kind.columns[idx].name));
            }
            let condition = after.map_or(String::new(), |_| format!("WHERE ({key}) > ({})", marks(1, kind.n_key)));
            let sql = format!("SELECT {columns} FROM {} {condition} ORDER BY {key} LIMIT {n_rows}", kind.table);
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(after.unwrap_or_default()))?;
            let mut found = Vec::with_capacity(n_rows);
            while let Some(row) = rows.next()? {
                let cells = |range: std::ops::Range<usize>| -> Answer<Row> {
                    range.map(|idx| cell_of(row.get_ref(idx)?, kind)).collect()
                };
                let n_others = kind.n_key + 1;
                let digest = digest_of_checksum(row.get(kind.n_key)?, &cells(n_others..n_others + others.len())?);
                found.push((cells(0..kind.n_key)?, digest));
            }
            Ok(found)
        })
    }

    fn digest_of(&self, kind: &Kind, row: &[Cell]) -> u64 {
        let Some(table) = checked(kind) else { return digest(kind, row) };
        let values =
            places(kind, table).into_iter().map(|place| place.map_or(ValueRef::Integer(0), |idx| value_of(&row[idx])));
        let others: Row = others(kind).into_iter().map(|idx| row[idx].clone()).collect();
        digest_of_checksum(row_checksum(table.name, values), &others)
    }

    fn last_key(&mut self, kind: &Kind) -> Result<Option<Row>> {
        self.database()?.run("read the library", |conn| {
            let descending: Vec<_> = kind.key().iter().map(|column| format!("\"{}\" DESC", column.name)).collect();
            let sql =
                format!("SELECT {} FROM {} ORDER BY {} LIMIT 1", key_names(kind), kind.table, descending.join(", "));
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some((0..kind.n_key).map(|idx| cell_of(row.get_ref(idx)?, kind)).collect::<Answer<Row>>()?))
        })
    }

    fn insert(&mut self, kind: &Kind, rows: &[Row]) -> Result<()> {
        self.put(kind, rows, "")
    }

    fn replace(&mut self, kind: &Kind, rows: &[Row]) -> Result<()> {
        let mut set: Vec<_> = kind.columns[kind.n_key..]
            .iter()
            .map(|column| format!("\"{0}\" = excluded.\"{0}\"", column.name))
            .collect();
        set.extend(checked(kind).map(|_| "checksum = excluded.checksum".to_owned()));
        self.put(kind, rows, &format!("ON CONFLICT ({}) DO UPDATE SET {}", key_names(kind), set.join(", ")))
    }

    fn erase(&mut self, kind: &Kind, keys: &[Row]) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE ({}) = ({})", kind.table, key_names(kind), marks(1, kind.n_key));
        self.write(|conn| {
            let mut statement = conn.prepare_cached(&sql)?;
            for key in keys {
                statement.execute(params_from_iter(key))?;
            }
            Ok(())
        })
    }

    fn empty(&mut self, kind: &Kind, keys: &[Row]) -> Result<()> {
        let Some(column) = kind.emptied else { return Ok(()) };
        let (key, marks) = (key_names(kind), marks(1, kind.n_key));
        // The checksum becomes wrong, so that the row is known to differ if this is cut short.
        let sql =
            format!("UPDATE {} SET \"{column}\" = NULL, checksum = checksum + 1 WHERE ({key}) = ({marks})", kind.table);
        self.write(|conn| {
            let mut statement = conn.prepare_cached(&sql)?;
            for key in keys {
                statement.execute(params_from_iter(key))?;
            }
            Ok(())
        })
    }

    fn complete(&mut self, numbers: Numbers) -> Result<()> {
        self.write(|conn| {
            conn.execute_batch(
                "DELETE FROM held_tenants; DELETE FROM job_kinds; DELETE FROM record_buckets; DELETE FROM tenant_usage;
                 INSERT INTO held_tenants (tenant, n_held) SELECT tenant, count(*) FROM held_faces GROUP BY tenant;
                 INSERT INTO job_kinds (kind, n_undone)
                     SELECT kind, count(*) FROM jobs WHERE expires_at IS NULL GROUP BY kind;
                 INSERT INTO record_buckets (tenant, scope, bucket, n_records, n_bytes)
                     SELECT tenant, scope, bucket, count(*), sum(length(value)) FROM records GROUP BY tenant, scope, bucket;
                 INSERT INTO tenant_usage (tenant, n_face_sets, n_faces, n_persons)
                     SELECT tenant, sum(n_face_sets), sum(n_faces), sum(n_persons) FROM (
                         SELECT tenant, count(*) AS n_face_sets, sum(n_owned) AS n_faces, 0 AS n_persons
                             FROM face_sets WHERE name IS NOT NULL GROUP BY tenant
                         UNION ALL
                         SELECT tenant, 0, sum(n_faces), count(*) FROM persons WHERE key IS NOT NULL GROUP BY tenant
                     ) GROUP BY tenant;",
            )?;
            // All commits are kept for the record; followers begin with the tables.
            let sql = "UPDATE store SET revision = ?1, last_commit = ?1, compacted = ?1, next_sequence = max(next_sequence, ?2)";
            conn.execute(sql, (numbers.revision, numbers.next))?;
            Ok(())
        })
    }

    fn open_up(&mut self) -> Result<()> {
        let Some(Database { dir: unfinished, conn }) = self.database.take() else { return Ok(()) };
        let finish = || -> Answer<_> {
            let found = numbers::counters(&conn)?;
            let library = presence::library_of(&conn)?;
            // Everything into the one file, flushed.
            conn.execute_batch("PRAGMA synchronous = FULL;")?;
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            conn.close().map_err(|(_, error)| error)?;
            Ok((library, found))
        };
        let (library, counters): (_, Counters) =
            finish().map_err(|failure| failure.into_error("finish the library", &unfinished))?;
        let dir = &self.dir;
        fs::rename(unfinished.join(DATABASE_FILE), dir.join(DATABASE_FILE))
            .and_then(|()| fs::File::open(dir)?.sync_all())
            .and_then(|()| {
                identity::create(dir, library, Counters { last_commit: Revision(counters.last_commit.0), ..counters })
            })
            .and_then(|_| fs::remove_dir_all(&unfinished))
            .map_err(|error| Error::internal(format!("cannot finish `{}`", dir.display()), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::kinds::KINDS;

    /// Tables that are made anew from others, or have a row of the store's own.
    const MADE_ANEW: [&str; 5] = ["store", "held_tenants", "job_kinds", "record_buckets", "tenant_usage"];

    /// Columns that a store adds.
    const ADDED: [&str; 4] = ["commits.previous", "pictures.id", "templates.id", ".checksum"];

    /// Whoever adds a table or a column has it carried, or says here that it need not be.
    #[test]
    fn every_table_and_column_is_carried_over() {
        let scratch = tempfile::tempdir().unwrap();
        let mut conn =
            schema::connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()).expect("a new library");
        upgrade::migrate(&mut conn, MIGRATIONS).expect("its layout");
        let sql = "SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
                   WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
        let mut statement = conn.prepare(sql).unwrap();
        let columns = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        let mut n_carried = 0;
        for row in columns {
            let (table, column) = row.unwrap();
            let named = format!("{table}.{column}");
            let is_added = ADDED.iter().any(|added| named.ends_with(added));
            let kind = KINDS.iter().find(|kind| kind.table == table);
            let is_carried = kind.is_some_and(|kind| kind.idx_of(&column).is_some());
            assert!(is_carried || is_added || MADE_ANEW.contains(&&*table), "`{named}` is not carried over");
            n_carried += usize::from(is_carried);
        }
        assert_eq!(n_carried, KINDS.iter().map(|kind| kind.columns.len()).sum::<usize>());
    }
}
