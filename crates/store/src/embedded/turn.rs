//! The turn of those who write beside the owner of the folder: `likeness key` while a server runs.
//!
//! SQLite has one lock for all writers, which a process can only try again and again. The owner of a busy store takes it again
//! as soon as it has given it back, so somebody else might try for seconds: too long for a key that is misused. Therefore who
//! writes beside the owner holds a lock of another kind meanwhile, and the owner looks for it before each of its transactions
//! and stays away as long as it is held. The lock is on the identity file, as that is always there and nobody else locks it.
//! Where there is no such file, or no locks, it is as it would be without.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::identity::IDENTITY_FILE;

/// How long the owner stays away at a time: somebody may have been stopped in the midst of a turn.
const STAY_MAX: Duration = Duration::from_millis(20);

/// How long the owner then writes before it stays away again, so that nobody takes more than a quarter of its time.
const WORK_MIN: Duration = Duration::from_millis(60);

/// How often the owner looks whether the turn is over.
const LOOK: Duration = Duration::from_micros(200);

/// How often somebody tries who waits for others beside the owner.
const TRY: Duration = Duration::from_millis(1);

/// How long: they may have been stopped, and without a turn it works as well, only later.
const TRY_MAX: Duration = Duration::from_secs(1);

fn identity_file(dir: &Path) -> Option<File> {
    File::open(dir.join(IDENTITY_FILE)).ok()
}

/// The owner's side.
#[derive(Debug)]
pub(super) struct Turns {
    file: Option<File>,
    not_before: Option<Instant>,
}

impl Turns {
    /// Those of a folder whose identity file is there already.
    pub(super) fn of(dir: &Path) -> Self {
        Self { file: identity_file(dir), not_before: None }
    }

    /// Returns when nobody beside the owner has a turn, or the time for one is over. To be called outside of transactions.
    pub(super) fn give(&mut self) {
        let Some(file) = &self.file else { return };
        if self.not_before.is_some_and(|not_before| Instant::now() < not_before) {
            return;
        }
        self.not_before = None;
        let mut over_at = None;
        while matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            let now = Instant::now();
            if now >= *over_at.get_or_insert(now + STAY_MAX) {
                self.not_before = Some(now + WORK_MIN);
                return;
            }
            sleep(LOOK);
        }
        let _ = file.unlock();
    }
}

/// The turn of somebody else, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    /// Closing it gives the turn back. `None` where there are no turns.
    _file: Option<File>,
}

impl Turn {
    /// Takes it, after others who write beside the owner.
    pub(super) fn take(dir: &Path) -> Self {
        let Some(file) = identity_file(dir) else { return Self { _file: None } };
        let deadline = Instant::now() + TRY_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Self { _file: Some(file) },
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(TRY),
                Err(_) => return Self { _file: None },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join(IDENTITY_FILE), "").unwrap();
        scratch
    }

    #[test]
    fn the_owner_stays_away_only_while_somebody_has_a_turn() {
        let scratch = folder();
        let turn = Turn::take(scratch.path());
        let mut turns = Turns::of(scratch.path());
        turns.give();
        assert!(turns.not_before.is_some(), "somebody has the turn");
        drop(turn);
        let mut turns = Turns::of(scratch.path());
        turns.give();
        assert_eq!(turns.not_before, None);
        assert!(Turn::take(scratch.path())._file.is_some(), "the owner has only looked");
    }

    #[test]
    fn a_turn_without_an_end_takes_a_part_of_the_owners_time_only() {
        let scratch = folder();
        let mut turns = Turns::of(scratch.path());
        let _turn = Turn::take(scratch.path());
        let began = Instant::now();
        turns.give();
        let (stayed, not_before) = (began.elapsed(), turns.not_before.unwrap());
        assert!(stayed >= STAY_MAX && not_before >= began + STAY_MAX + WORK_MIN, "{stayed:?}");
        turns.give();
        assert_eq!(turns.not_before, Some(not_before), "it has not stayed away again");
    }

    #[test]
    fn without_an_identity_file_there_are_no_turns() {
        let scratch = tempfile::tempdir().unwrap();
        drop(Turn::take(scratch.path()));
        Turns::of(scratch.path()).give();
        assert!(std::fs::read_dir(scratch.path()).unwrap().next().is_none());
    }
}
