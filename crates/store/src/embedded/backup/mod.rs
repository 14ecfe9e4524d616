//! Backups: one file with the library as it is at one moment, made while a server goes on writing.
//!
//! [`backup`] holds one reading transaction on the database and copies the pages of that state (SQLite's online backup), so
//! nobody waits for it; only the log is not shortened meanwhile. Then it adds checksums ([`format`]), flushes, gives the file
//! its name, and reads every row of it once. Pages are copied as they are: a library with a damaged row can be backed up, and
//! that is reported. [`restore`](restore::restore) is the way back.

mod format;
mod restore;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use likeness_domain::ports::Clock;
use likeness_domain::types::{Revision, TimestampMs};
use likeness_domain::{Error, Kind, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use xxhash_rust::xxh3::Xxh3;

use self::format::{FOOTER_BYTES, Footer, block_checksum, read_blocks};
use super::damage::DamageLog;
use super::errors::{Answer, Failure};
use super::health::Health;
use super::losses::Losses;
use super::schema::{self, DATABASE_FILE, FileUse, Purpose, SCHEMA_VERSION};
use super::{damage, presence, report, rows};
use crate::clock::WallClock;
use crate::folder::{create_private, own_file};

pub use self::format::fuzz_backup_footer;
pub use self::restore::restore;

/// Pages copied by one step.
const STEP_PAGES: i32 = 256;

/// A step of making, checking or restoring a backup, for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupStage {
    /// Bytes are copied.
    Copying,
    /// Checksums of blocks are computed or compared.
    Comparing,
    /// Every row is read; how far that is, is not known.
    ReadingRows,
}

/// Whoever watches a backup: the stage, bytes done and bytes in all. An error ends it, and nothing is left.
pub type Watch<'a> = &'a mut dyn FnMut(BackupStage, u64, u64) -> Result<()>;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Id of the library in hexadecimal digits; zeros before layout 7.
    pub library: String,
    /// Number of the last write in it.
    pub revision: Revision,
    /// Version of the layout.
    pub schema_version: u32,
    /// When it was made.
    pub created_at: TimestampMs,
    /// Bytes of the backup's file.
    pub n_bytes: u64,
    /// What of the library is damaged, with what to do; empty when all is well.
    pub problems: Vec<String>,
}

impl BackedUp {
    fn of(footer: &Footer) -> Self {
        Self {
            library: footer.library.iter().map(|byte| format!("{byte:02x}")).collect(),
            revision: Revision(footer.revision),
            schema_version: footer.schema_version,
            created_at: footer.created_at,
            n_bytes: footer.n_file_bytes(),
            problems: Vec::new(),
        }
    }
}

/// Writes a backup of the library in `dir` to the new file `to`, readable by its owner only, and reads it once to see that it
/// is whole. A server may have the library. [`Kind::InvalidArgument`] if there is no library or `to` exists,
/// [`Kind::StorageFull`] if the disk is full.
pub fn backup(dir: impl AsRef<Path>, to: impl AsRef<Path>, watch: Watch<'_>) -> Result<BackedUp> {
    let (dir, to) = (dir.as_ref(), to.as_ref());
    if to.symlink_metadata().is_ok() {
        return Err(Error::invalid("to", format!("`{}` exists already", to.display()))
            .with_hint("name a file that does not exist yet"));
    }
    let is_in_folder =
        matches!((parent(to).canonicalize(), dir.canonicalize()), (Ok(parent), Ok(dir)) if parent == dir);
    if is_in_folder && to.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"likeness.")) {
        return Err(Error::invalid("to", format!("`{}` is a name of the library's own files", to.display()))
            .with_hint("keep backups in another folder, best on another disk"));
    }
    let nothing = || {
        Error::invalid("data", format!("there is no library in `{}`", dir.display()))
            .with_hint("name its data folder with `--data DIR` or LIKENESS_DATA")
    };
    schema::opened(presence::check_present(dir), dir)?;
    if !dir.join(DATABASE_FILE).is_file() {
        return Err(nothing());
    }
    // On a file system that cannot be written a library at rest is read as it is.
    let file_use = FileUse::of(dir);
    let source = schema::connect(dir, Purpose::Read, file_use, &Arc::default()).or_else(|failure| match failure {
        Failure::Sqlite(error) if schema::is_in_need_of_log(&error) => schema::open_to_read(dir),
        other => Err(other),
    });
    let source = schema::opened(source, dir)?;
    if schema::opened(schema::version(&source, SCHEMA_VERSION), dir)? == 0 {
        return Err(nothing());
    }
    write(&source, dir, to, watch)?;
    verify(to, watch)
}

/// Keeps a copy of a library whose layout is about to be upgraded, in its data folder; one of an earlier upgrade from the
/// same layout is replaced. Returns the file.
pub(super) fn keep_copy(conn: &Connection, dir: &Path, version: u32) -> Answer<PathBuf> {
    let to = dir.join(format!("likeness-layout-{version}.backup"));
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, u64>(0));
    let n_bytes = number("PRAGMA page_count")? * number("PRAGMA page_size")?;
    if let Ok((_, before)) = open(&to) {
        tracing::warn!(
            revision = before.revision,
            created_at_ms = before.created_at.0,
            "the copy that an earlier upgrade kept is replaced"
        );
    }
    tracing::warn!(
        "the library's layout is upgraded from version {version} to {SCHEMA_VERSION}: a copy of {n_bytes} bytes is kept in \
         `{}` first, and the upgrade itself needs up to {} bytes while it runs; remove the copy when you no longer want \
         to go back",
        to.display(),
        3 * n_bytes
    );
    write(conn, dir, &to, &mut |_, _, _| Ok(())).map_err(|error| {
        let message =
            format!("cannot keep a copy of {n_bytes} bytes before the layout is upgraded: {}", error.message());
        const ELSEWHERE: &str = "make a backup elsewhere and set `upgrade_copy = false` (LIKENESS_UPGRADE_COPY=false)";
        let hint = match (error.hint(), error.kind()) {
            (Some(hint), _) => hint.to_owned(),
            (None, Kind::StorageFull) => format!("make room, or {ELSEWHERE}"),
            (None, _) => format!("remove what keeps the copy from being written, or {ELSEWHERE}"),
        };
        Failure::Said(Error::new(error.kind(), message).with_hint(hint))
    })?;
    Ok(to)
}

/// Writes the file under another name first, and gives it its name when it is whole and flushed.
fn write(source: &Connection, dir: &Path, to: &Path, watch: Watch<'_>) -> Result<Footer> {
    let mut unfinished = Unfinished::create(to)?;
    let footer = copy(source, &unfinished.path, watch).map_err(|failure| copy_error(failure, dir, to))?;
    let footer = unfinished.seal(footer, watch).map_err(|error| file_error("write", to, error))?;
    unfinished.finish(to).map_err(|error| file_error("write", to, error))?;
    Ok(footer)
}

/// A file under a name that says that it is not whole; removed when it is dropped before it got its own.
struct Unfinished {
    path: PathBuf,
    file: File,
    is_finished: bool,
}

impl Unfinished {
    fn create(to: &Path) -> Result<Self> {
        let mut path = to.as_os_str().to_owned();
        path.push(".unfinished");
        let path = PathBuf::from(path);
        let under_way = || {
            Error::invalid("to", format!("another backup to `{}` is under way", to.display()))
                .with_hint("name another file, or wait for it")
        };
        // One that was cut short is replaced, and whatever else has the name; one that is being written is not.
        if let Ok(before) = own_file().open(&path)
            && let Err(std::fs::TryLockError::WouldBlock) = before.try_lock()
        {
            return Err(under_way());
        }
        let file = create_private(&path).map_err(|error| file_error("write", &path, error))?;
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            return Err(under_way());
        }
        Ok(Self { path, file, is_finished: false })
    }

    /// Adds the blocks' checksums and the footer behind the database.
    fn seal(&mut self, mut footer: Footer, watch: Watch<'_>) -> std::io::Result<Footer> {
        let n_bytes = footer.n_database_bytes();
        if self.file.metadata()?.len() != n_bytes {
            return Err(std::io::Error::other("the copy has another size than the database"));
        }
        let mut blocks = Vec::with_capacity(8 * footer.n_blocks() as usize);
        self.file.rewind()?;
        read_blocks(&mut self.file, n_bytes, |block_idx, block| {
            blocks.extend_from_slice(&block_checksum(block_idx, block).to_le_bytes());
            watch(BackupStage::Comparing, (blocks.len() / 8 * format::BLOCK_BYTES) as u64, n_bytes)
                .map_err(|error| std::io::Error::other(error.message().to_owned()))
        })?;
        let mut hash = Xxh3::new();
        hash.update(&blocks);
        footer.blocks = hash.digest();
        self.file.write_all(&blocks)?;
        self.file.write_all(&footer.bytes())?;
        self.file.sync_all()?;
        Ok(footer)
    }

    fn finish(mut self, to: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, to)?;
        self.is_finished = true;
        File::open(parent(to))?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Copies the pages of one state of the database; the footer lacks the blocks' checksum.
fn copy(source: &Connection, to: &Path, watch: Watch<'_>) -> Answer<Footer> {
    // It is open until the last page is copied: the state stays the same, whoever writes meanwhile.
    let state = source.unchecked_transaction()?;
    let number = |sql: &str| state.query_row(sql, [], |row| row.get::<_, u64>(0));
    let schema_version = number("PRAGMA user_version")? as u32;
    let library = match schema_version {
        0..7 => [0; 16],
        _ => presence::library_of(&state)?,
    };
    // Read as signed, since a damaged number may be anything.
    let revision: i64 = state.query_row("SELECT revision FROM store", [], |row| row.get(0))?;
    let footer = Footer {
        library,
        revision: u64::try_from(revision).unwrap_or(0),
        created_at: WallClock.now(),
        schema_version,
        page_bytes: number("PRAGMA page_size")? as u32,
        n_pages: number("PRAGMA page_count")?,
        blocks: 0,
    };
    // Not through a link that took the file's place since it was made.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let folder = parent(to).canonicalize().map_err(|error| Failure::said(Kind::InvalidArgument, error.to_string()))?;
    let mut copy = Connection::open_with_flags(folder.join(to.file_name().unwrap_or_default()), flags)?;
    // It is flushed once at the end, and a copy that is cut short is thrown away.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;")?;
    let backup = Backup::new(source, &mut copy)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let progress = backup.progress();
        let n_done = u64::from((progress.pagecount - progress.remaining).unsigned_abs());
        let page_bytes = u64::from(footer.page_bytes);
        watch(BackupStage::Copying, n_done * page_bytes, footer.n_database_bytes()).map_err(Failure::Said)?;
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            // Another process holds a lock for a moment; SQLite has waited for it already.
            other => return Err(Failure::said(Kind::Overloaded, format!("the database is locked ({other:?})"))),
        }
    }
    drop(backup);
    copy.close().map_err(|(_, error)| error)?;
    Ok(footer)
}

/// Compares every checksum of a backup and reads every row in it. [`Kind::InvalidArgument`] if it is no whole backup or not
/// what was written; damage that the library had when it was backed up is among the problems of the answer.
pub fn verify(file: impl AsRef<Path>, watch: Watch<'_>) -> Result<BackedUp> {
    let path = file.as_ref();
    let (mut file, footer) = open(path)?;
    compare(&mut file, &footer, path, watch, |_| Ok(()))?;
    let mut backed_up = BackedUp::of(&footer);
    watch(BackupStage::ReadingRows, 0, 0)?;
    let parent = parent(path);
    let conn = schema::open_immutable(path).map_err(|failure| failure.into_error("read the backup", parent))?;
    backed_up.problems =
        problems_of(&conn, footer.schema_version).map_err(|failure| failure.into_error("read the backup", parent))?;
    Ok(backed_up)
}

/// Opens a backup and reads its footer.
fn open(path: &Path) -> Result<(File, Footer)> {
    let mut file = File::open(path).map_err(|error| file_error("read", path, error))?;
    let end = file.metadata().and_then(|metadata| {
        let n_bytes = metadata.len();
        let mut end = Vec::with_capacity(FOOTER_BYTES);
        file.seek(SeekFrom::Start(n_bytes.saturating_sub(FOOTER_BYTES as u64)))?;
        Read::by_ref(&mut file).take(FOOTER_BYTES as u64).read_to_end(&mut end)?;
        file.rewind()?;
        Ok((end, n_bytes))
    });
    let (end, n_bytes) = end.map_err(|error| file_error("read", path, error))?;
    let footer = Footer::parse(&end, n_bytes).ok_or_else(|| {
        let message = format!("`{}` is no whole backup of a library: its end is missing or damaged", path.display());
        Error::invalid("backup", message).with_hint(CURE)
    })?;
    if footer.schema_version > SCHEMA_VERSION {
        let message = format!(
            "the backup `{}` has layout version {}, this program knows versions up to {SCHEMA_VERSION}",
            path.display(),
            footer.schema_version
        );
        return Err(Error::invalid("backup", message).with_hint("use the newer program that wrote it"));
    }
    Ok((file, footer))
}

/// What to do with a backup that is damaged.
const CURE: &str = "use another backup; what can still be read of this one, `likeness recover` gets out of a copy named \
                    `likeness.db` in a folder of its own";

/// Reads the database block by block and compares each with its checksum; `each` gets the blocks that match.
fn compare(
    file: &mut File,
    footer: &Footer,
    path: &Path,
    watch: Watch<'_>,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let failed = |error| file_error("read", path, error);
    let n_bytes = footer.n_database_bytes();
    let mut blocks = vec![0; 8 * footer.n_blocks() as usize];
    file.seek(SeekFrom::Start(n_bytes)).and_then(|_| file.read_exact(&mut blocks)).map_err(failed)?;
    let damaged = |what: String| {
        Error::invalid("backup", format!("the backup `{}` is damaged: {what}", path.display())).with_hint(CURE)
    };
    let mut hash = Xxh3::new();
    hash.update(&blocks);
    if hash.digest() != footer.blocks {
        return Err(damaged("its checksums are not those that were written".into()));
    }
    file.rewind().map_err(failed)?;
    let mut outcome = Ok(());
    let read = read_blocks(file, n_bytes, |block_idx, block| {
        let at = 8 * block_idx as usize;
        if blocks[at..at + 8] != block_checksum(block_idx, block).to_le_bytes() {
            let start = block_idx * format::BLOCK_BYTES as u64;
            let what = format!("bytes {start} to {} are not those that were written", start + block.len() as u64 - 1);
            outcome = Err(damaged(what));
        } else {
            let n_done = block_idx * format::BLOCK_BYTES as u64 + block.len() as u64;
            outcome = each(block).and_then(|()| watch(BackupStage::Comparing, n_done, n_bytes));
        }
        // Any error ends the reading; the outcome says which.
        if outcome.is_ok() { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
    });
    outcome.and(read.map_err(failed))
}

/// Reads every row; what is damaged, in words. Of layouts before 7, whose rows have no checksums, what SQLite can tell.
fn problems_of(conn: &Connection, schema_version: u32) -> Answer<Vec<String>> {
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    if schema_version < SCHEMA_VERSION {
        let found = rows::all(conn, "PRAGMA integrity_check(100)", (), |row| Ok(row.get::<_, String>(0)?))?;
        return Ok(found.into_iter().filter(|line| line != "ok").collect());
    }
    let health = Health::new(Arc::new(DamageLog::default()), Losses::default());
    damage::register(conn, &health.damage)?;
    report::problems(conn, &health)
}

/// The folder that a file is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The error of a copy that did not work: the library's, or that of the disk it goes to.
fn copy_error(failure: Failure, dir: &Path, to: &Path) -> Error {
    let error = schema::opened::<()>(Err(failure), dir).err().unwrap_or_else(|| Error::new(Kind::Internal, "copied"));
    match error.kind() {
        Kind::StorageFull => Error::new(
            Kind::StorageFull,
            format!("cannot write `{}`: the disk or quota under it is full", to.display()),
        ),
        _ => error,
    }
}

fn file_error(doing: &str, path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let kind = match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => Kind::StorageFull,
        _ => Kind::InvalidArgument,
    };
    Error::new(kind, format!("cannot {doing} `{}`: {error}", path.display())).with_source(error)
}
