//! A file of empty blocks in the data folder. It is given up when the disk is full, so that the store can be opened and faces
//! deleted without a free byte, and it is made anew when there is room again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::folder::own_file;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// Name of the file inside the data folder. While it is empty the reserve is in use.
pub const RESERVE_FILE: &str = "likeness.reserve";

/// Free bytes of the file system below which a delete takes the reserve: more than the log grows by a step of a delete.
const ROOM_MIN: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// None is wanted, or there never was room for it.
    None,
    /// Its blocks are taken.
    Kept,
    /// Its blocks are free for deletes; nothing else is written before they are taken again.
    GivenUp,
}

/// The reserve of a data folder.
#[derive(Debug)]
pub(super) struct Reserve {
    dir: PathBuf,
    n_bytes: u64,
    state: State,
}

impl Reserve {
    /// What is there of it. None is made yet. With `n_bytes` 0 one that is there is removed.
    pub(super) fn find(dir: &Path, n_bytes: u64) -> Self {
        let path = dir.join(RESERVE_FILE);
        let state = match std::fs::metadata(&path) {
            Ok(_) if n_bytes == 0 => {
                let _ = std::fs::remove_file(&path);
                State::None
            }
            Ok(metadata) if metadata.len() > 0 => State::Kept,
            Ok(_) => State::GivenUp,
            Err(_) => State::None,
        };
        Self { dir: dir.to_owned(), n_bytes, state }
    }

    /// None, of a folder that cannot be written.
    pub(super) fn none(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), n_bytes: 0, state: State::None }
    }

    /// Frees its blocks; true if there were some.
    pub(super) fn give_up(&mut self) -> bool {
        if self.state != State::Kept {
            return false;
        }
        let emptied = OpenOptions::new().write(true).open(self.dir.join(RESERVE_FILE)).and_then(|file| file.set_len(0));
        if let Err(error) = emptied {
            tracing::warn!(%error, "{RESERVE_FILE} cannot be emptied");
            return false;
        }
        tracing::warn!(
            n_bytes = self.n_bytes,
            "the disk is full: {RESERVE_FILE} is given up so that faces can be deleted; other writes are refused until \
             there is room for it again"
        );
        self.state = State::GivenUp;
        true
    }

    /// Takes its blocks unless it has them; false if it is given up and there is still no room.
    pub(super) fn take(&mut self) -> bool {
        if self.n_bytes == 0 || self.state == State::Kept {
            return true;
        }
        // With less beside it the next look at the disk would give it up again.
        if self.state == State::GivenUp && self.is_room_below(self.n_bytes.saturating_add(ROOM_MIN)) {
            return false;
        }
        match allocate(&self.dir.join(RESERVE_FILE), self.n_bytes) {
            Ok(()) => {
                if self.state == State::GivenUp {
                    tracing::info!("there is room again: {RESERVE_FILE} is kept and writes are accepted");
                }
                self.state = State::Kept;
                true
            }
            Err(error) if self.state == State::None => {
                tracing::warn!(%error, n_bytes = self.n_bytes, "there is no room for {RESERVE_FILE}: on a full disk deleting needs some first");
                let _ = std::fs::remove_file(self.dir.join(RESERVE_FILE));
                // It is asked for once: a disk that is too small for it works as well.
                self.n_bytes = 0;
                true
            }
            Err(_) => false,
        }
    }

    /// Whether only deletes are written.
    pub(super) fn is_given_up(&self) -> bool {
        self.state == State::GivenUp
    }

    /// Whether a delete could find no room. A quota is not seen here; it shows when a write fails.
    pub(super) fn is_room_short(&self) -> bool {
        self.is_room_below(ROOM_MIN)
    }

    /// Whether the file system surely has fewer free bytes than these.
    fn is_room_below(&self, n_bytes: u64) -> bool {
        statvfs(&self.dir).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < n_bytes)
    }
}

/// Makes the file with blocks of its own; an empty one is left if there is no room.
fn allocate(path: &Path, n_bytes: u64) -> std::io::Result<()> {
    let mut file = own_file().create(true).truncate(true).open(path)?;
    let taken = match fallocate(&file, FallocateFlags::empty(), 0, n_bytes) {
        // Some file systems know no such call.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&mut file, n_bytes),
        taken => taken.map_err(std::io::Error::from),
    };
    if taken.is_err() {
        file.set_len(0)?;
    }
    taken
}

fn fill(file: &mut File, n_bytes: u64) -> std::io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut n_left = n_bytes;
    while n_left > 0 {
        let n_now = n_left.min(zeros.len() as u64);
        file.write_all(&zeros[..n_now as usize])?;
        n_left -= n_now;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_reserve_is_taken_given_up_and_taken_again() {
        let scratch = tempfile::tempdir().unwrap();
        let n_taken = || std::fs::metadata(scratch.path().join(RESERVE_FILE)).map_or(0, |file| file.blocks() * 512);
        let mut reserve = Reserve::find(scratch.path(), 1 << 20);
        assert!(!reserve.give_up(), "there is none yet");
        assert!(reserve.take() && n_taken() >= 1 << 20);
        assert!(!reserve.is_given_up());
        assert!(reserve.give_up() && n_taken() == 0);
        assert!(!reserve.give_up(), "once");
        // Another process finds it given up.
        let mut reserve = Reserve::find(scratch.path(), 1 << 20);
        assert!(reserve.is_given_up());
        assert!(reserve.take() && !reserve.is_given_up());
        assert!(!Reserve::find(scratch.path(), 1 << 20).is_given_up());
        Reserve::find(scratch.path(), 0);
        assert!(!scratch.path().join(RESERVE_FILE).exists(), "none is wanted any more");
    }
}
