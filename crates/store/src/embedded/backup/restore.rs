//! From a backup to a library again.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use likeness_domain::types::Revision;
use likeness_domain::{Error, Result};

use super::super::checksums::FIRST_LAYOUT;
use super::super::errors::Answer;
use super::super::identity::{self, LibraryId};
use super::super::numbers;
use super::super::numbers::Counters;
use super::super::presence::UNFINISHED;
use super::super::schema::{self, DATABASE_FILE, FileUse, Purpose};
use super::{BackedUp, BackupStage, Watch, compare, file_error, open, problems_of};
use crate::folder::{DataFolder, LOCK_FILE};

/// How far the number of the last write jumps. The library that was backed up may have gone on: whoever followed it, to
/// whatever number, is sent to the tables of the restored one instead of going on with commits that have the same numbers.
const REVISIONS_SKIPPED: u64 = 1 << 32;

/// Makes a library in `dir`, which must be empty or not exist, from a backup, and reads every row before it says that it is
/// done. The library keeps its id. [`likeness_domain::Kind::InvalidArgument`] if the backup is not whole or `dir` holds
/// something; then and when it is cut short, `dir` has no library, and the restore can be done again.
pub fn restore(from: impl AsRef<Path>, dir: impl AsRef<Path>, watch: Watch<'_>) -> Result<BackedUp> {
    let (from, dir) = (from.as_ref(), dir.as_ref());
    let (mut file, footer) = open(from)?;
    refuse_used(dir)?;
    let is_new = !dir.exists();
    let folder = DataFolder::lock(dir)?;
    // Somebody may have been quicker.
    refuse_used(dir)?;
    let unfinished = dir.join(UNFINISHED);
    let _ = std::fs::remove_dir_all(&unfinished);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&unfinished)
        .map_err(|error| file_error("make", &unfinished, error))?;
    let outcome = fill(&mut file, &footer, (from, &unfinished), watch).and_then(|(library, counters, problems)| {
        // The database first: an identity file without one would mean that a library was lost.
        std::fs::rename(unfinished.join(DATABASE_FILE), dir.join(DATABASE_FILE))
            .and_then(|()| std::fs::File::open(dir)?.sync_all())
            .and_then(|()| counters.map_or(Ok(()), |counters| identity::create(dir, library, counters).map(drop)))
            .map_err(|error| file_error("finish", dir, error))?;
        Ok(problems)
    });
    let _ = std::fs::remove_dir_all(&unfinished);
    drop(folder);
    if outcome.is_err() && is_new {
        // Nothing was made in it but the lock.
        let _ = std::fs::remove_file(dir.join(LOCK_FILE)).and_then(|()| std::fs::remove_dir(dir));
    }
    Ok(BackedUp { problems: outcome?, ..BackedUp::of(&footer) })
}

/// Refuses a folder that holds anything but what a restore that was cut short leaves.
fn refuse_used(dir: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    let is_ours = |name: &std::ffi::OsStr| name == UNFINISHED || name == LOCK_FILE;
    match entries.flatten().find(|entry| !is_ours(&entry.file_name())) {
        None => Ok(()),
        Some(entry) => {
            let message = format!("`{}` is not empty: it has `{}`", dir.display(), entry.file_name().display());
            Err(Error::invalid("data", message)
                .with_hint("name a folder that does not exist yet with `--data DIR`; nothing is written over"))
        }
    }
}

/// Copies the database, moves its numbers on, and reads every row. Without counters for a layout that has no identity file.
fn fill(
    file: &mut std::fs::File,
    footer: &super::Footer,
    (from, dir): (&Path, &Path),
    watch: Watch<'_>,
) -> Result<(LibraryId, Option<Counters>, Vec<String>)> {
    let path = dir.join(DATABASE_FILE);
    let failed = |error| file_error("write", &path, error);
    let mut database = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    compare(file, footer, from, watch, |block| database.write_all(block).map_err(failed))?;
    database.sync_all().map_err(failed)?;
    drop(database);
    watch(BackupStage::ReadingRows, 0, 0)?;
    let finish = || -> Answer<_> {
        let conn = schema::connect(dir, Purpose::Write, FileUse::Shared, &Arc::default())?;
        let mut counters = None;
        if footer.schema_version >= FIRST_LAYOUT {
            let found = numbers::counters(&conn)?;
            let revision = Revision(found.revision.0 + REVISIONS_SKIPPED);
            conn.execute("UPDATE store SET revision = ?1, last_commit = ?1, compacted = ?1", [revision.0])?;
            conn.execute("DELETE FROM commits", [])?;
            counters = Some(Counters { revision, last_commit: revision, ..found });
        }
        let problems = problems_of(&conn, footer.schema_version)?;
        // Everything into the one file, flushed.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        conn.close().map_err(|(_, error)| error)?;
        Ok((footer.library, counters, problems))
    };
    finish().map_err(|failure| failure.into_error("restore the library", dir))
}
