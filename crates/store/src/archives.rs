//! Archives as files in a folder of their own, beside the library or where several servers see it.
//!
//! Each archive is one file, readable by its owner only, whose name holds tenant and number; its time of change says when it was
//! last written. There is no other record of it, so nothing has to be brought in line after a crash: what is too old is
//! erased, whoever wrote it.
//!
//! # Invariants
//! The bounds are checked against what lies in the folder, at each write and under a lock. Servers that share a folder can
//! exceed them by a write each at most.

mod memory;

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{Error as IoError, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use likeness_domain::ports::{ArchiveBounds, ArchiveId, ArchiveStore, OpenArchive};
use likeness_domain::types::{TenantId, TimestampMs};
use likeness_domain::{Error, Kind, Result};

pub use memory::MemoryArchives;

use crate::folder::own_file;

/// Ending of the files.
const ENDING: &str = ".archive";

/// A folder of archives.
#[derive(Debug)]
pub struct ArchiveFolder {
    folder: PathBuf,
    bounds: ArchiveBounds,
    /// Bytes of the disk that archives leave free.
    free_bytes_min: u64,
    /// Held while it is looked what there is, and written.
    writing: Mutex<()>,
}

impl ArchiveFolder {
    /// Archives in this folder, which is made when the first is written. They leave `free_bytes_min` bytes of the disk free.
    pub fn new(folder: impl Into<PathBuf>, bounds: ArchiveBounds, free_bytes_min: u64) -> Self {
        Self { folder: folder.into(), bounds, free_bytes_min, writing: Mutex::default() }
    }

    fn path(&self, archive: ArchiveId) -> PathBuf {
        self.folder.join(format!("{:032x}-{:016x}{ENDING}", archive.tenant.to_bits(), archive.number))
    }

    /// The files that are archives: whose, where, bytes, time of change.
    fn files(&self) -> Result<Vec<(TenantId, PathBuf, u64, TimestampMs)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| failure("list the archives", error))?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| failure("list the archives", error))?.path();
            let Some(tenant) = tenant_of(&path) else { continue };
            // One that is erased at this moment is no archive any more.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            files.push((tenant, path, metadata.len(), changed_at(&metadata)));
        }
        Ok(files)
    }

    fn is_over(&self, changed_at: TimestampMs, now: TimestampMs) -> bool {
        now.0.saturating_sub(changed_at.0) >= i64::try_from(self.bounds.lifetime_ms).unwrap_or(i64::MAX)
    }

    /// Refuses a write after which the archive would have `n_bytes`, if the bounds leave no room for it.
    fn check_room(&self, archive: ArchiveId, n_bytes: u64) -> Result<()> {
        let own = self.path(archive);
        let mut others = Others::default();
        for (tenant, path, n_bytes, _) in self.files()? {
            if path != own {
                others.add(tenant == archive.tenant, n_bytes);
            }
        }
        others.check(&self.bounds, n_bytes)?;
        let disk =
            rustix::fs::statvfs(&self.folder).map_err(|error| failure("look at the disk of archives", error.into()))?;
        let n_free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if n_free < self.free_bytes_min {
            return Err(Error::new(Kind::StorageFull, "the disk has no room for archives"));
        }
        Ok(())
    }
}

/// What archives besides the one that is written take.
#[derive(Debug, Default)]
struct Others {
    n_bytes: u64,
    tenant_bytes: u64,
    n_of_tenant: u64,
}

impl Others {
    fn add(&mut self, is_of_tenant: bool, n_bytes: u64) {
        self.n_bytes += n_bytes;
        if is_of_tenant {
            self.tenant_bytes += n_bytes;
            self.n_of_tenant += 1;
        }
    }

    /// Refuses an archive of `n_bytes` that has no room beside these.
    fn check(&self, bounds: &ArchiveBounds, n_bytes: u64) -> Result<()> {
        let full = |kind: Kind, message: String| {
            let hint =
                "erase those that you have and cancel those that you do not need, or try again when their time is over";
            Err(Error::new(kind, message).with_hint(hint))
        };
        if self.n_of_tenant >= bounds.tenant_archives_max {
            let n = self.n_of_tenant;
            let message = format!("the tenant has {n} archives on the server, as many as it may have");
            return full(Kind::CapacityExceeded, message);
        }
        if self.tenant_bytes.saturating_add(n_bytes) > bounds.tenant_bytes_max {
            let max = bounds.tenant_bytes_max;
            let message = format!("the tenant's archives on the server would have more than {max} bytes");
            return full(Kind::CapacityExceeded, message);
        }
        if self.n_bytes.saturating_add(n_bytes) > bounds.bytes_max {
            let message = "the server has no room for further archives at the moment".to_owned();
            return full(Kind::Overloaded, message);
        }
        Ok(())
    }
}

impl ArchiveStore for ArchiveFolder {
    fn bounds(&self) -> ArchiveBounds {
        self.bounds
    }

    fn write(&self, archive: ArchiveId, at: u64, bytes: &[u8], now: TimestampMs) -> Result<()> {
        let writing = |error| failure("write an archive", error);
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(writing)?;
        self.check_room(archive, at.saturating_add(bytes.len() as u64))?;
        let path = self.path(archive);
        // One that was erased meanwhile, as by a cancel, must not come back in part.
        let opened = own_file().create(at == 0).truncate(false).open(path);
        let file = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(gone()),
            opened => opened.map_err(writing)?,
        };
        if file.metadata().map_err(writing)?.len() < at {
            return Err(gone());
        }
        file.set_len(at).map_err(writing)?;
        file.write_all_at(bytes, at).map_err(writing)?;
        file.sync_data().map_err(writing)?;
        file.set_modified(system_time(now)).map_err(writing)
    }

    fn open(&self, archive: ArchiveId, from: u64, now: TimestampMs) -> Result<Option<OpenArchive>> {
        let reading = |error| failure("open an archive", error);
        let mut file = match File::open(self.path(archive)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(reading)?,
        };
        let metadata = file.metadata().map_err(reading)?;
        let written_at = changed_at(&metadata);
        if self.is_over(written_at, now) {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(from)).map_err(reading)?;
        Ok(Some(OpenArchive { n_bytes: metadata.len(), written_at, reader: Box::new(file) }))
    }

    fn touch(&self, archive: ArchiveId, now: TimestampMs) -> Result<()> {
        let touching = |error| failure("touch an archive", error);
        let file = match own_file().open(self.path(archive)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file.map_err(touching)?,
        };
        if self.is_over(changed_at(&file.metadata().map_err(touching)?), now) {
            return Ok(());
        }
        file.set_modified(system_time(now)).map_err(touching)
    }

    fn erase(&self, archive: ArchiveId) -> Result<()> {
        erase(&self.path(archive))
    }

    fn owners(&self) -> Result<HashSet<TenantId>> {
        Ok(self.files()?.into_iter().map(|(tenant, ..)| tenant).collect())
    }

    fn erase_all_of(&self, tenant: TenantId) -> Result<()> {
        self.files()?.into_iter().filter(|(of, ..)| *of == tenant).try_for_each(|(_, path, ..)| erase(&path))
    }

    fn purge_expired_archives(&self, now: TimestampMs) -> Result<u64> {
        let mut n_erased = 0;
        for (_, path, _, changed_at) in self.files()? {
            if self.is_over(changed_at, now) {
                erase(&path)?;
                n_erased += 1;
            }
        }
        Ok(n_erased)
    }
}

fn gone() -> Error {
    Error::new(Kind::UploadNotFound, "the archive is not there any more")
}

fn erase(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failure("erase an archive", error)),
        _ => Ok(()),
    }
}

/// Whose archive the file is; `None` if it is none.
fn tenant_of(path: &Path) -> Option<TenantId> {
    let (tenant, number) = path.file_name()?.to_str()?.strip_suffix(ENDING)?.split_once('-')?;
    let is_ours = tenant.len() == 32 && number.len() == 16 && u64::from_str_radix(number, 16).is_ok();
    is_ours.then(|| u128::from_str_radix(tenant, 16).ok().map(TenantId::from_bits)).flatten()
}

fn changed_at(metadata: &fs::Metadata) -> TimestampMs {
    let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn system_time(at: TimestampMs) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}

fn failure(doing: &str, error: IoError) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::new(Kind::StorageFull, "the disk of the archives is full").with_source(error)
        }
        _ => Error::internal(format!("cannot {doing}"), error),
    }
}
