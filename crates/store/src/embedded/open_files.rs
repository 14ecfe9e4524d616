//! The database and its log as the owner of the folder has them open, told from others of the same names.
//!
//! SQLite finds the log of a database by its name. A database that was put in the place of another one would be written over
//! with pages of the log of that one, and its own faces would be gone without a word. And what is written to a database that was
//! moved or removed while it is open is in no file that anybody opens again.
//!
//! Therefore the owner notes both files in `likeness.lock`, whoever opens a database looks there whether the log is that of
//! another one, and the owner looks before each commit whether its files are still in their places. A file that was written over
//! is the same file: of that what stands in both tells ([`super::log_check`]).

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use likeness_domain::types::Revision;
use likeness_domain::{Error, Kind};

use super::errors::{Answer, Failure};
use super::schema::{DATABASE_FILE, database_path};
use super::wal::{self, Head, Salts};
use crate::folder::{DataFolder, LOCK_FILE, LockFile};

/// A file, whatever its name: device, inode and when it was made in nanoseconds since 1970 (0 where the file system does not
/// know), as numbers of inodes are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    made_ns: u128,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        let made = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Self { device: metadata.dev(), inode: metadata.ino(), made_ns: made.map_or(0, |since| since.as_nanos()) }
    }

    /// The file of that name; `None` if there is none.
    pub(super) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ');
        let id = Self {
            device: numbers.next()?.parse().ok()?,
            inode: numbers.next()?.parse().ok()?,
            made_ns: numbers.next()?.parse().ok()?,
        };
        numbers.next().is_none().then_some(id)
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {} {}", self.device, self.inode, self.made_ns)
    }
}

/// A database and its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    database: FileId,
    log: FileId,
}

impl Pair {
    /// Those in a folder; `None` if one of them is not there.
    fn in_folder(dir: &Path) -> Option<Self> {
        Some(Self { database: FileId::at(&database_path(dir))?, log: FileId::at(&wal::path(dir))? })
    }

    /// Lines of the lock file behind the number of the owner's process.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let database = FileId::parse(lines.next()?.strip_prefix("database ")?)?;
        let log = FileId::parse(lines.next()?.strip_prefix("log ")?)?;
        Some(Self { database, log })
    }
}

/// At which revision a log was begun, so that a database that was put beside it is told from its own ([`super::log_check`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogStart {
    pub(super) salts: Salts,
    /// The least revision that its database had.
    pub(super) revision: u64,
}

impl LogStart {
    /// What the lock file of a folder says.
    pub(super) fn noted(dir: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(dir.join(LOCK_FILE)).ok()?)
    }

    /// The line of the lock file behind those of the files.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.lines().nth(3)?.strip_prefix("begun ")?.split(' ');
        let salts = [numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?];
        let revision = numbers.next()?.parse().ok()?;
        numbers.next().is_none().then_some(Self { salts, revision })
    }
}

/// The files of a store that is open.
#[derive(Debug)]
pub(super) struct OpenFiles {
    dir: PathBuf,
    /// `None` where they cannot be told from others: then nothing is noticed.
    pair: Option<Pair>,
    /// `None` of who does not own the folder.
    watch: Option<Mutex<LogWatch>>,
}

/// What the owner knows of the log.
#[derive(Debug)]
struct LogWatch {
    log: File,
    lock: LockFile,
    salts: Option<Salts>,
    /// The revision of the last commit while it had these salts. Before the first commit: of the database without its log.
    revision: Option<u64>,
}

impl OpenFiles {
    /// Those of a folder whose database was just opened, noted in its lock file. `revision_alone` is that of the database
    /// without its log before it was opened.
    pub(super) fn note(folder: &DataFolder, revision_alone: Option<u64>) -> Self {
        let files = Self::of(folder.path());
        let (Some(pair), Some(lock)) = (files.pair, folder.lock_file()) else { return files };
        let Ok(log) = File::open(wal::path(folder.path())) else { return files };
        let salts = salts_of(&log);
        // One that an earlier process has begun.
        let known = LogStart::noted(folder.path()).filter(|start| Some(start.salts) == salts);
        let start = known.or_else(|| Some(LogStart { salts: salts?, revision: revision_alone? }));
        lock.write(&lines(pair, start));
        let watch = LogWatch { log, lock, salts, revision: revision_alone };
        Self { watch: Some(Mutex::new(watch)), ..files }
    }

    /// Those of a folder whose database was just opened.
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), pair: Pair::in_folder(dir), watch: None }
    }

    /// A commit of this revision was added to the log. Notes at which revision it was begun, if it was begun anew since the last
    /// one: the database had reached that one then.
    pub(super) fn log_has_grown(&self, revision: Revision) {
        let (Some(watch), Some(pair)) = (&self.watch, self.pair) else { return };
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        let salts = salts_of(&watch.log);
        if salts != watch.salts {
            watch.salts = salts;
            let start = salts.zip(watch.revision).map(|(salts, revision)| LogStart { salts, revision });
            watch.lock.write(&lines(pair, start));
        }
        watch.revision = Some(revision.0);
    }

    /// Why what is written now would be lost, for people; `None` while the files are in their places.
    pub(super) fn trouble(&self) -> Option<String> {
        let pair = self.pair?;
        let is_there = |path: &Path, id: FileId| FileId::at(path) == Some(id);
        let gone = match (is_there(&database_path(&self.dir), pair.database), is_there(&wal::path(&self.dir), pair.log))
        {
            (true, true) => return None,
            (false, _) => DATABASE_FILE.to_owned(),
            (true, false) => format!("{DATABASE_FILE}-wal"),
        };
        // No path: this is also told to those who ask whether the server is ready.
        Some(format!(
            "`{gone}` was moved, removed or replaced while it is open: put it back, or stop the server and restore a backup"
        ))
    }
}

fn salts_of(log: &File) -> Option<Salts> {
    Head::read(log).ok().flatten().map(|head| head.salts)
}

/// What stands in the lock file behind the number of the owner's process.
fn lines(Pair { database, log }: Pair, start: Option<LogStart>) -> String {
    let start = start.map(|LogStart { salts, revision }| format!("begun {} {} {revision}\n", salts[0], salts[1]));
    format!("database {database}\nlog {log}\n{}", start.unwrap_or_default())
}

/// Refuses a database whose log is that of another one, which was in its place before. Called before SQLite opens either.
pub(super) fn check_log(dir: &Path) -> Answer<()> {
    let noted = fs::read_to_string(dir.join(LOCK_FILE)).ok().as_deref().and_then(Pair::parse);
    let (Some(noted), Some(found)) = (noted, Pair::in_folder(dir)) else { return Ok(()) };
    if noted.log != found.log || noted.database == found.database {
        return Ok(());
    }
    let message = format!(
        "`{DATABASE_FILE}` in `{}` was replaced, but `{DATABASE_FILE}-wal` beside it is the log of the one before, whose last \
         commits may be in it",
        dir.display()
    );
    Err(Failure::Said(Error::new(Kind::InvalidArgument, message).with_hint(format!(
        "put the database back that was here; if this one is right, stop every process that has the other one open and move \
         `{DATABASE_FILE}-wal` and `{DATABASE_FILE}-shm` away"
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_read_back_and_a_damaged_one_says_nothing() {
        let id = |inode| FileId { device: 5, inode, made_ns: 1 << 70 };
        let pair = Pair { database: id(6), log: id(7) };
        let start = LogStart { salts: [8, u32::MAX], revision: 9 };
        let text = format!("4711\n{}", lines(pair, Some(start)));
        assert_eq!((Pair::parse(&text), LogStart::parse(&text)), (Some(pair), Some(start)));
        let text = format!("4711\n{}", lines(pair, None));
        assert_eq!((Pair::parse(&text), LogStart::parse(&text)), (Some(pair), None));
        for damaged in ["begun 1 2", "begun 1 2 3 4", "begun 1 4294967296 3", "begun 1 2 -3", "1 2 3"] {
            assert_eq!(LogStart::parse(&format!("{text}{damaged}\n")), None, "{damaged}");
        }
        for damaged in
            ["", "4711", "4711\n", "4711\ndatabase 1 2 3\n", "4711\ndatabase 1 2\nlog 1 2 3\n", "a\nlog 1 2 3\n"]
        {
            assert_eq!(Pair::parse(damaged), None, "{damaged}");
        }
        assert_eq!(Pair::parse(&text.replace("1180591620717411303424", "1 2")), None);
    }
}
