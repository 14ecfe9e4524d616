//! Archives in memory, for commands without a data folder and for tests.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::sync::{Mutex, MutexGuard, PoisonError};

use likeness_domain::Result;
use likeness_domain::ports::{ArchiveBounds, ArchiveId, ArchiveStore, OpenArchive};
use likeness_domain::types::{TenantId, TimestampMs};

use super::{Others, gone};

/// Archives that end with the process.
#[derive(Debug)]
pub struct MemoryArchives {
    bounds: ArchiveBounds,
    archives: Mutex<HashMap<ArchiveId, (Vec<u8>, TimestampMs)>>,
}

impl MemoryArchives {
    /// None yet.
    pub fn new(bounds: ArchiveBounds) -> Self {
        Self { bounds, archives: Mutex::default() }
    }

    /// How many there are.
    pub fn n_archives(&self) -> usize {
        self.archives().len()
    }

    fn archives(&self) -> MutexGuard<'_, HashMap<ArchiveId, (Vec<u8>, TimestampMs)>> {
        self.archives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, written_at: TimestampMs, now: TimestampMs) -> bool {
        now.0.saturating_sub(written_at.0) >= i64::try_from(self.bounds.lifetime_ms).unwrap_or(i64::MAX)
    }
}

impl ArchiveStore for MemoryArchives {
    fn bounds(&self) -> ArchiveBounds {
        self.bounds
    }

    fn write(&self, archive: ArchiveId, at: u64, bytes: &[u8], now: TimestampMs) -> Result<()> {
        let mut archives = self.archives();
        let mut others = Others::default();
        for (id, (known, _)) in archives.iter().filter(|(id, _)| **id != archive) {
            others.add(id.tenant == archive.tenant, known.len() as u64);
        }
        others.check(&self.bounds, at.saturating_add(bytes.len() as u64))?;
        let known = match at {
            0 => archives.entry(archive).or_insert_with(|| (Vec::new(), now)),
            _ => archives.get_mut(&archive).ok_or_else(gone)?,
        };
        let kept = usize::try_from(at).ok().filter(|&at| at <= known.0.len()).ok_or_else(gone)?;
        known.0.truncate(kept);
        known.0.extend_from_slice(bytes);
        known.1 = now;
        Ok(())
    }

    fn open(&self, archive: ArchiveId, from: u64, now: TimestampMs) -> Result<Option<OpenArchive>> {
        let archives = self.archives();
        let found = archives.get(&archive).filter(|(_, written_at)| !self.is_over(*written_at, now));
        Ok(found.map(|(bytes, written_at)| {
            let mut reader = Cursor::new(bytes.clone());
            reader.set_position(from);
            OpenArchive { n_bytes: bytes.len() as u64, written_at: *written_at, reader: Box::new(reader) }
        }))
    }

    fn touch(&self, archive: ArchiveId, now: TimestampMs) -> Result<()> {
        if let Some((_, written_at)) = self.archives().get_mut(&archive)
            && !self.is_over(*written_at, now)
        {
            *written_at = now;
        }
        Ok(())
    }

    fn erase(&self, archive: ArchiveId) -> Result<()> {
        self.archives().remove(&archive);
        Ok(())
    }

    fn owners(&self) -> Result<HashSet<TenantId>> {
        Ok(self.archives().keys().map(|archive| archive.tenant).collect())
    }

    fn erase_all_of(&self, tenant: TenantId) -> Result<()> {
        self.archives().retain(|id, _| id.tenant != tenant);
        Ok(())
    }

    fn purge_expired_archives(&self, now: TimestampMs) -> Result<u64> {
        let mut archives = self.archives();
        let n_before = archives.len();
        archives.retain(|_, (_, written_at)| !self.is_over(*written_at, now));
        Ok((n_before - archives.len()) as u64)
    }
}
