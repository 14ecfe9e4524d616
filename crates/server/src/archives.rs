//! Where archives lie that jobs make and read, for how long and how many.

use std::path::{Path, PathBuf};
use std::time::Duration;

use likeness_domain::ports::ArchiveBounds;
use likeness_domain::settings::{Parsed, Seconds, Unset};
use likeness_store::archives::ArchiveFolder;

likeness_domain::settings! {
    /// Bounds of archives that are exported and imported over HTTP.
    pub(crate) struct Settings in "archives." {
        folder: Option<PathBuf> = "", Unset(Parsed("a folder")),
            "folder of the archives that jobs make and read; servers that share a database need one that all of them see. \
             By default `archives` in the data folder";
        lifetime as lifetime_s: Duration = "3600", Seconds(60..=604_800),
            "seconds that an archive is kept after it was made, or after its import last went on; templates in the clear \
             should not lie about";
        total_mib: u64 = "8192", 1..=16_777_216,
            "MiB for all archives together; a million faces take about 1,000";
        tenant_mib: u64 = "2048", 1..=16_777_216,
            "MiB for the archives of one tenant, which is also the longest upload";
        tenant_max: u64 = "8", 1..=1000,
            "most archives of one tenant at a time, in work and waiting to be fetched";
    }
}

/// Name of the folder in the data folder, unless another one is set.
const FOLDER: &str = "archives";

/// Bytes of the disk that archives leave free for what matters more.
const FREE_BYTES_MIN: u64 = 64 << 20;

impl Settings {
    /// The place for archives of a library with that data folder, which keeps `reserve_bytes` of its disk.
    pub(crate) fn open(&self, data: &Path, reserve_bytes: u64) -> ArchiveFolder {
        let folder = self.folder.clone().unwrap_or_else(|| data.join(FOLDER));
        let bounds = ArchiveBounds {
            bytes_max: self.total_mib << 20,
            tenant_bytes_max: self.tenant_mib.min(self.total_mib) << 20,
            tenant_archives_max: self.tenant_max,
            lifetime_ms: u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX),
        };
        ArchiveFolder::new(folder, bounds, reserve_bytes.max(FREE_BYTES_MIN))
    }
}
