//! The pages of a database file and its log, read without SQLite, so that a damaged page costs nothing but itself.
//!
//! Formats: <https://www.sqlite.org/fileformat2.html>, sections 1.3 (header) and 1.6 (pages). Numbers are big-endian.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::wal::{FRAME_HEADER_BYTES, HEADER_BYTES, Head, checksum, word};

/// Pages of our files; what a damaged header is taken to say.
const PAGE_BYTES: usize = 4096;

/// A database with the log folded in.
pub(super) struct Pages {
    database: File,
    wal: Option<File>,
    /// Where in the log the newest version of a page is.
    in_wal: HashMap<u32, u64>,
    page_bytes: usize,
    n_pages: u32,
    /// What is wrong with the log or the file's length, for people.
    pub(super) damage: Vec<String>,
}

impl Pages {
    /// Opens both files for reading.
    pub(super) fn open(database: &Path, wal: &Path) -> io::Result<Self> {
        let database = File::open(database)?;
        let wal = match File::open(wal) {
            Ok(wal) => Some(wal),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut head = [0; 100];
        let n_read = database.read_at(&mut head, 0)?;
        let page_bytes = page_bytes_of(&head[..n_read]).unwrap_or(PAGE_BYTES);
        let n_pages = u32::try_from(database.metadata()?.len().div_ceil(page_bytes as u64)).unwrap_or(u32::MAX);
        let mut pages = Self { database, wal, in_wal: HashMap::new(), page_bytes, n_pages, damage: Vec::new() };
        pages.read_wal()?;
        let len = pages.database.metadata()?.len();
        if len == 0 {
            pages.damage.push("the database is empty".into());
        } else if !len.is_multiple_of(page_bytes as u64) {
            pages.damage.push("the database is cut short: it ends within a page".into());
        }
        // Byte 28: how many pages the database has by its header.
        let n_named = word(&head, 28);
        if pages.in_wal.is_empty() && n_named > n_pages {
            pages.damage.push(format!("the database is cut short: {n_pages} of {n_named} pages are there"));
        }
        Ok(pages)
    }

    pub(super) fn n_pages(&self) -> u32 {
        self.n_pages
    }

    /// Bytes of a page that hold content: nothing is reserved at the end of ours.
    pub(super) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// The newest version of a page, counted from 1. A page that the file ends within is filled with zeros.
    pub(super) fn read(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.page_bytes];
        let (file, at) = match (self.in_wal.get(&number), &self.wal) {
            (Some(&at), Some(wal)) => (wal, at),
            _ => (&self.database, u64::from(number.saturating_sub(1)) * self.page_bytes as u64),
        };
        let mut n_read = 0;
        while n_read < page.len() {
            match file.read_at(&mut page[n_read..], at + n_read as u64) {
                Ok(0) => break,
                Ok(n_more) => n_read += n_more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    /// Finds the newest version of each page in the log. SQLite stops at the first frame that does not match the running
    /// checksum; what follows is taken here nevertheless, frame by frame and up to the last commit, since each row proves
    /// itself by its own checksum.
    fn read_wal(&mut self) -> io::Result<()> {
        let Some(wal) = &self.wal else { return Ok(()) };
        let len = wal.metadata()?.len();
        if len < HEADER_BYTES {
            return Ok(());
        }
        let Some(head) = Head::read(wal)? else {
            self.damage.push("the log's header is damaged: its commits are not read".into());
            return Ok(());
        };
        let Head { mut salts, mut sum, is_big_endian, is_whole: mut is_chain, .. } = head;
        let frame_bytes = FRAME_HEADER_BYTES + self.page_bytes;
        let mut frame = vec![0; frame_bytes];
        if !is_chain && wal.read_exact_at(&mut frame, HEADER_BYTES).is_ok() {
            self.damage.push("the log's header is damaged: the log is read frame by frame".into());
            // The first frame has those that the header had.
            salts = [word(&frame, 8), word(&frame, 12)];
        }
        let mut pending = Vec::new();
        let mut at = HEADER_BYTES;
        let mut frame_idx = 0_u64;
        while at + frame_bytes as u64 <= len {
            frame_idx += 1;
            let page_at = at + FRAME_HEADER_BYTES as u64;
            let found = wal.read_exact_at(&mut frame, at);
            at += frame_bytes as u64;
            let (number, n_pages_after) = (word(&frame, 0), word(&frame, 4));
            let has_salts = [word(&frame, 8), word(&frame, 12)] == salts;
            if is_chain && !has_salts {
                // Frames of before the last checkpoint begin: the log ends here.
                break;
            }
            if found.is_err() || !has_salts {
                continue;
            }
            if is_chain {
                sum = checksum(sum, &frame[..8], is_big_endian);
                sum = checksum(sum, &frame[FRAME_HEADER_BYTES..], is_big_endian);
                if sum != [word(&frame, 16), word(&frame, 20)] {
                    is_chain = false;
                    self.damage
                        .push(format!("the log is damaged at frame {frame_idx}: what follows is read frame by frame"));
                }
            }
            if number == 0 || number > self.n_pages.saturating_add(1 << 20) {
                continue;
            }
            pending.push((number, page_at));
            if n_pages_after > 0 {
                self.in_wal.extend(pending.drain(..));
                if is_chain {
                    self.n_pages = n_pages_after;
                }
            }
        }
        let last = self.in_wal.keys().copied().max().unwrap_or(0);
        if !is_chain {
            self.n_pages = self.n_pages.max(last);
        }
        Ok(())
    }
}

/// The page size in a database's header; `None` if it cannot be one.
fn page_bytes_of(head: &[u8]) -> Option<usize> {
    if head.get(..16)? != b"SQLite format 3\0" {
        return None;
    }
    match usize::from(u16::from_be_bytes([*head.get(16)?, *head.get(17)?])) {
        1 => Some(65536),
        bytes if bytes.is_power_of_two() && bytes >= 512 => Some(bytes),
        _ => None,
    }
}
