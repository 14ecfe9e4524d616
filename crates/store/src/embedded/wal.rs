//! SQLite's write-ahead log, read without SQLite.
//!
//! Format: <https://www.sqlite.org/fileformat2.html>, section 4. Numbers are big-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::schema::DATABASE_FILE;

pub(super) const HEADER_BYTES: u64 = 32;
pub(super) const FRAME_HEADER_BYTES: usize = 24;

/// Largest page of SQLite's.
const PAGE_BYTES_MAX: u32 = 65536;

/// Where the log of the database in a data folder is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(format!("{DATABASE_FILE}-wal"))
}

/// What tells one filling of a log from the next: other numbers stand in it whenever it begins anew.
pub(super) type Salts = [u32; 2];

/// The head of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) page_bytes: usize,
    pub(super) salts: Salts,
    /// Byte order of the checksums.
    pub(super) is_big_endian: bool,
    /// Checksum of the bytes before it.
    pub(super) sum: [u32; 2],
    /// Whether that is the one that was written.
    pub(super) is_whole: bool,
}

impl Head {
    /// `None` if the file is no log, or shorter than a head.
    pub(super) fn read(log: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_BYTES as usize];
        match log.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let is_big_endian = match word(&bytes, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return Ok(None),
        };
        let sum = checksum([0, 0], &bytes[..24], is_big_endian);
        Ok(Some(Self {
            page_bytes: word(&bytes, 8) as usize,
            salts: [word(&bytes, 16), word(&bytes, 20)],
            is_big_endian,
            sum,
            is_whole: sum == [word(&bytes, 24), word(&bytes, 28)],
        }))
    }
}

/// Calls `each` with the number of every page and its bytes as the log has them, in order, and whether a transaction ends with
/// it; up to the first frame that is not what was written, where SQLite stops, too.
pub(super) fn each_frame(log: &File, head: &Head, mut each: impl FnMut(u32, &[u8], bool)) -> io::Result<()> {
    let is_size = head.page_bytes.is_power_of_two() && (512..=PAGE_BYTES_MAX as usize).contains(&head.page_bytes);
    if !head.is_whole || !is_size {
        return Ok(());
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + head.page_bytes];
    let mut sum = head.sum;
    let mut at = HEADER_BYTES;
    loop {
        match log.read_exact_at(&mut frame, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        at += frame.len() as u64;
        sum = checksum(sum, &frame[..8], head.is_big_endian);
        sum = checksum(sum, &frame[FRAME_HEADER_BYTES..], head.is_big_endian);
        let has_salts = [word(&frame, 8), word(&frame, 12)] == head.salts;
        if !has_salts || sum != [word(&frame, 16), word(&frame, 20)] {
            return Ok(());
        }
        each(word(&frame, 0), &frame[FRAME_HEADER_BYTES..], word(&frame, 4) > 0);
    }
}

/// The number at a place; 0 behind the end.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

/// The running checksum over a multiple of 8 bytes, in the byte order of its writer.
pub(super) fn checksum(mut sum: [u32; 2], bytes: &[u8], is_big_endian: bool) -> [u32; 2] {
    let read = |word: &[u8; 4]| if is_big_endian { u32::from_be_bytes(*word) } else { u32::from_le_bytes(*word) };
    for pair in bytes.as_chunks::<4>().0.as_chunks::<2>().0 {
        sum[0] = sum[0].wrapping_add(read(&pair[0])).wrapping_add(sum[1]);
        sum[1] = sum[1].wrapping_add(read(&pair[1])).wrapping_add(sum[0]);
    }
    sum
}
