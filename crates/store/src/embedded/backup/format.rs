//! The file of a backup: the database as it is, then the checksums of its blocks, then a footer.
//!
//! Because the database stands first, any SQLite from 3.37 on reads a backup as it is. Because the footer stands last and the
//! file gets its name only when it is flushed, half a backup is never taken for a whole one. The checksums notice damage, not
//! forgery.
//!
//! Layout, numbers little-endian:
//!
//! | Bytes | What |
//! |---|---|
//! | `n_pages * page_bytes` | the database |
//! | 8 for each block | XXH3 of the block's number (u64) and its bytes; a block is 1 MiB of the database, the last may be shorter |
//! | 128 | the footer, see [`Footer`] |

use std::io::Read;

use likeness_domain::types::TimestampMs;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::super::identity::LibraryId;

/// Bytes of the database that one checksum covers.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// Bytes of the footer.
pub(super) const FOOTER_BYTES: usize = 128;

const MAGIC: &[u8; 16] = b"LikenessBackup 1";

/// The last 128 bytes of a backup.
///
/// | Bytes | What |
/// |---|---|
/// | 0..16 | `LikenessBackup 1` |
/// | 16..32 | id of the library, zeros before layout 7 |
/// | 32..40 | revision of the last write in it |
/// | 40..48 | when it was made, milliseconds since 1970 (i64) |
/// | 48..52 | version of the layout (u32) |
/// | 52..56 | bytes of a page (u32) |
/// | 56..64 | number of pages (u64) |
/// | 64..72 | XXH3 of the blocks' checksums |
/// | 72..120 | zeros |
/// | 120..128 | XXH3 of the 120 bytes before |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) library: LibraryId,
    pub(super) revision: u64,
    pub(super) created_at: TimestampMs,
    pub(super) schema_version: u32,
    pub(super) page_bytes: u32,
    pub(super) n_pages: u64,
    /// XXH3 of the blocks' checksums.
    pub(super) blocks: u64,
}

impl Footer {
    /// The footer's bytes.
    pub(super) fn bytes(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..32].copy_from_slice(&self.library);
        bytes[32..40].copy_from_slice(&self.revision.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created_at.0.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.schema_version.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.page_bytes.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.n_pages.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.blocks.to_le_bytes());
        let checksum = xxh3_64(&bytes[..120]);
        bytes[120..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the footer of a file of `n_file_bytes`, which `end` are the last bytes of. `None` unless it is a footer as it was
    /// written, of a file of just that size.
    pub(super) fn parse(end: &[u8], n_file_bytes: u64) -> Option<Self> {
        let bytes: &[u8; FOOTER_BYTES] = end.last_chunk()?;
        if bytes[..16] != *MAGIC || u64_at(bytes, 120) != xxh3_64(&bytes[..120]) {
            return None;
        }
        let u32_at = |at: usize| u64_at(bytes, at) as u32;
        let footer = Self {
            library: bytes[16..32].try_into().ok()?,
            revision: u64_at(bytes, 32),
            created_at: TimestampMs(u64_at(bytes, 40).cast_signed()),
            schema_version: u32_at(48),
            page_bytes: u32_at(52),
            n_pages: u64_at(bytes, 56),
            blocks: u64_at(bytes, 64),
        };
        // SQLite's page sizes; both bounds together keep the product below 2^48.
        let has_pages = footer.page_bytes.is_power_of_two()
            && (512..=65_536).contains(&footer.page_bytes)
            && (1..=u64::from(u32::MAX)).contains(&footer.n_pages);
        (has_pages && footer.n_file_bytes() == n_file_bytes).then_some(footer)
    }

    /// Bytes of the database.
    pub(super) fn n_database_bytes(&self) -> u64 {
        self.n_pages * u64::from(self.page_bytes)
    }

    /// How many blocks the database has.
    pub(super) fn n_blocks(&self) -> u64 {
        self.n_database_bytes().div_ceil(BLOCK_BYTES as u64)
    }

    /// Bytes of the whole file.
    pub(super) fn n_file_bytes(&self) -> u64 {
        self.n_database_bytes() + 8 * self.n_blocks() + FOOTER_BYTES as u64
    }
}

fn u64_at(bytes: &[u8; FOOTER_BYTES], at: usize) -> u64 {
    // Four bytes of a smaller number are read with those behind them and cut off by the caller.
    u64::from_le_bytes(std::array::from_fn(|idx| bytes[at + idx]))
}

/// The checksum of a block: its number is part of it, so that blocks that changed places are noticed.
pub(super) fn block_checksum(block_idx: u64, bytes: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&block_idx.to_le_bytes());
    hash.update(bytes);
    hash.digest()
}

/// Reads `n_bytes` block by block; `each` gets the block's number and its bytes.
pub(super) fn read_blocks(
    file: &mut impl Read,
    n_bytes: u64,
    mut each: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BLOCK_BYTES];
    for block_idx in 0..n_bytes.div_ceil(BLOCK_BYTES as u64) {
        let n_left = n_bytes - block_idx * BLOCK_BYTES as u64;
        let block = &mut buffer[..n_left.min(BLOCK_BYTES as u64) as usize];
        file.read_exact(block)?;
        each(block_idx, block)?;
    }
    Ok(())
}

/// For fuzzing: whatever bytes a file ends with, its footer is read or refused.
pub fn fuzz_backup_footer(end: &[u8], n_file_bytes: u64) {
    if let Some(footer) = Footer::parse(end, n_file_bytes) {
        assert_eq!(
            Footer::parse(&footer.bytes(), n_file_bytes),
            Some(footer),
            "a footer that was read is written the same"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        Footer {
            library: [7; 16],
            revision: 90,
            created_at: TimestampMs(-5),
            schema_version: 7,
            page_bytes: 4096,
            n_pages: 700,
            blocks: u64::MAX - 3,
        }
    }

    #[test]
    fn a_footer_is_read_as_it_was_written() {
        let n_bytes = 700 * 4096 + 3 * 8 + 128;
        assert_eq!(footer().n_file_bytes(), n_bytes);
        assert_eq!(Footer::parse(&footer().bytes(), n_bytes), Some(footer()));
        let mut longer = vec![1, 2, 3];
        longer.extend(footer().bytes());
        assert_eq!(Footer::parse(&longer, n_bytes), Some(footer()));
    }

    #[test]
    fn another_bit_another_size_or_a_missing_end_is_no_footer() {
        let whole = footer().bytes();
        for bit in 0..8 * FOOTER_BYTES {
            let mut other = whole;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Footer::parse(&other, footer().n_file_bytes()), None, "bit {bit}");
        }
        for n_bytes in 0..FOOTER_BYTES {
            assert_eq!(Footer::parse(&whole[..n_bytes], footer().n_file_bytes()), None);
        }
        for n_file_bytes in [0, footer().n_file_bytes() - 1, footer().n_file_bytes() + 1, u64::MAX] {
            assert_eq!(Footer::parse(&whole, n_file_bytes), None);
        }
        for (page_bytes, n_pages) in [(0, 1), (4095, 1), (131_072, 1), (4096, 0), (65_536, u64::MAX), (512, 1 << 32)] {
            let odd = Footer { page_bytes, n_pages, ..footer() };
            assert_eq!(Footer::parse(&odd.bytes(), 128), None, "{page_bytes} {n_pages}");
        }
    }

    #[test]
    fn blocks_that_changed_places_have_other_checksums() {
        assert_ne!(block_checksum(0, b"block"), block_checksum(1, b"block"));
    }
}
