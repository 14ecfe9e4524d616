//! Archives as files: face sets that were exported, and ones that are to be imported.

use std::collections::HashSet;
use std::io::Read;

use crate::Result;
use crate::types::{TenantId, TimestampMs};

/// Names an archive: whose it is, and a random number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArchiveId {
    /// The tenant.
    pub tenant: TenantId,
    /// Unique within the tenant.
    pub number: u64,
}

/// How much may lie there, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveBounds {
    /// Most bytes of all archives together.
    pub bytes_max: u64,
    /// Most bytes of one tenant's archives together.
    pub tenant_bytes_max: u64,
    /// Most archives of one tenant.
    pub tenant_archives_max: u64,
    /// How long an archive is kept after it was last written or [touched](ArchiveStore::touch), in milliseconds.
    pub lifetime_ms: u64,
}

/// An archive that is read from its beginning.
pub struct OpenArchive {
    /// Its bytes, wherever the reader begins.
    pub n_bytes: u64,
    /// When it was last written or touched.
    pub written_at: TimestampMs,
    /// What reads them; goes on to the end also when the archive is erased meanwhile.
    pub reader: Box<dyn Read + Send>,
}

/// A place for archives: private, bounded and short-lived, since they hold templates in the clear. Nothing in it is the only copy
/// of anything. An archive of another tenant behaves like one that was never there.
///
/// The calls block: make them on a thread that may.
pub trait ArchiveStore: Send + Sync {
    /// Within what it keeps archives.
    fn bounds(&self) -> ArchiveBounds;

    /// Writes `bytes` at the place `at` of an archive, of which nothing is left behind them; at 0 the archive is begun. So a
    /// write that is repeated after a crash does no harm. `CapacityExceeded` beyond the tenant's
    /// [bounds](ArchiveStore::bounds), `Overloaded` beyond those of all archives, `StorageFull` if the disk is,
    /// `UploadNotFound` if the archive has no `at` bytes.
    fn write(&self, archive: ArchiveId, at: u64, bytes: &[u8], now: TimestampMs) -> Result<()>;

    /// Opens an archive to be read from the place `from`; `None` if there is none, or its time is over.
    fn open(&self, archive: ArchiveId, from: u64, now: TimestampMs) -> Result<Option<OpenArchive>>;

    /// Lets the lifetime of an archive begin anew, unless it is over; one that is not there is fine.
    fn touch(&self, archive: ArchiveId, now: TimestampMs) -> Result<()>;

    /// Erases an archive; one that is not there is fine.
    fn erase(&self, archive: ArchiveId) -> Result<()>;

    /// Tenants that have archives.
    fn owners(&self) -> Result<HashSet<TenantId>>;

    /// Erases all archives of a tenant.
    fn erase_all_of(&self, tenant: TenantId) -> Result<()>;

    /// Erases the archives whose time is over; returns how many.
    fn purge_expired_archives(&self, now: TimestampMs) -> Result<u64>;
}
