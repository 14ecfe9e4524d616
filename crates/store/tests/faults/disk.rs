//! What a disk has of the files of a folder: what was flushed stands, the rest may or may not, in any order, torn anywhere.
//!
//! SQLite writes to real files through [`super::vfs`], which reports every call here. [`Disk::lose_power`] then makes of each
//! file what a machine may find that lost its power at this moment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;

/// A call of SQLite's that may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
    Delete,
    Size,
    Lock,
    /// Memory that processes share is made larger.
    ShmMap,
    ShmLock,
}

/// How many kinds of calls there are.
const N_KINDS: usize = Call::ShmLock as usize + 1;

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Works,
    /// A broken disk.
    Broken,
    /// No space left.
    Full,
    /// A write that ended after a part of it, as no space was left.
    Short,
    /// A write of which every other sector was made, on a broken disk.
    Torn,
}

/// A fault to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This one call fails, then all is well.
    BrokenOnce,
    /// From this call on every one fails.
    BrokenFrom,
    /// This one call finds no space.
    FullOnce,
    /// From this call on no call finds space.
    FullFrom,
    /// This one write ends after a part of it.
    ShortOnce,
    /// Of this one write every other sector is made.
    TornOnce,
    /// From this call on the power is off: nothing reaches the disk, and every call fails.
    PowerOff,
}

impl Fault {
    /// Whether calls of that kind are counted towards it, and fail by it.
    fn concerns(self, call: Call) -> bool {
        match self {
            Self::BrokenOnce | Self::BrokenFrom => true,
            Self::FullOnce | Self::FullFrom => matches!(call, Call::Open | Call::Write | Call::ShmMap),
            Self::ShortOnce | Self::TornOnce => call == Call::Write,
            Self::PowerOff => !matches!(call, Call::Lock | Call::ShmMap | Call::ShmLock),
        }
    }
}

/// A change that the system has accepted and not flushed.
#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { n_bytes: usize },
}

/// A file as the disk has it.
#[derive(Debug, Default)]
struct Tracked {
    /// Its flushed content; `None` until its name is in the folder for certain.
    durable: Option<Vec<u8>>,
    unsynced: Vec<Change>,
    /// With its next flush the folder is flushed, too.
    flushes_folder: bool,
    /// Deleted, but perhaps not on the disk.
    is_deleted: bool,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<PathBuf, Tracked>,
    /// Calls so far, by kind.
    n_calls: [u64; N_KINDS],
    fault: Option<(u64, Fault)>,
    has_power: bool,
    /// Says that it has flushed, and has not: to see that the tests notice.
    lies: bool,
}

impl State {
    /// Calls so far that are counted towards a fault.
    fn n_concerned(&self, fault: Fault) -> u64 {
        const KINDS: [Call; N_KINDS] = [
            Call::Open,
            Call::Read,
            Call::Write,
            Call::Truncate,
            Call::Sync,
            Call::Delete,
            Call::Size,
            Call::Lock,
            Call::ShmMap,
            Call::ShmLock,
        ];
        KINDS.iter().filter(|&&call| fault.concerns(call)).map(|&call| self.n_calls[call as usize]).sum()
    }
}

/// The disk under one folder.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    state: Mutex<State>,
}

static DISKS: LazyLock<Mutex<HashMap<PathBuf, Arc<Disk>>>> = LazyLock::new(Mutex::default);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Watches the files of a folder from now on.
    pub(crate) fn under(dir: &Path) -> Arc<Disk> {
        super::vfs::install();
        let dir = dir.canonicalize().unwrap();
        let state = Mutex::new(State { has_power: true, ..State::default() });
        let disk = Arc::new(Disk { dir: dir.clone(), state });
        locked(&DISKS).insert(dir, Arc::clone(&disk));
        disk
    }

    /// The disk that a file is on; `None` for files that nobody watches.
    pub(crate) fn of(path: &Path) -> Option<Arc<Disk>> {
        locked(&DISKS).get(path.parent()?).cloned()
    }

    /// It says that it flushes, and does not.
    pub(crate) fn lie(&self) {
        locked(&self.state).lies = true;
    }

    /// Lets the call that is the `n_calls`th from now on fail, of those that the fault concerns.
    pub(crate) fn fail_at(&self, n_calls: u64, fault: Fault) {
        let mut state = locked(&self.state);
        state.fault = Some((state.n_concerned(fault) + n_calls, fault));
    }

    /// All is well from now on.
    pub(crate) fn heal(&self) {
        locked(&self.state).fault = None;
    }

    /// From now on nothing reaches the disk.
    pub(crate) fn power_off(&self) {
        locked(&self.state).has_power = false;
    }

    /// Calls so far that the fault concerns.
    pub(crate) fn n_calls(&self, fault: Fault) -> u64 {
        locked(&self.state).n_concerned(fault)
    }

    /// Counts a call and says how it ends.
    pub(crate) fn call(&self, call: Call) -> Outcome {
        let mut state = locked(&self.state);
        state.n_calls[call as usize] += 1;
        let outcome = match state.fault {
            Some((at, fault)) if fault.concerns(call) => {
                let n_calls = state.n_concerned(fault);
                match fault {
                    Fault::PowerOff if n_calls >= at => {
                        state.has_power = false;
                        Outcome::Broken
                    }
                    Fault::BrokenOnce if n_calls == at => Outcome::Broken,
                    Fault::BrokenFrom if n_calls >= at => Outcome::Broken,
                    Fault::FullOnce if n_calls == at => Outcome::Full,
                    Fault::FullFrom if n_calls >= at => Outcome::Full,
                    Fault::ShortOnce if n_calls == at => Outcome::Short,
                    Fault::TornOnce if n_calls == at => Outcome::Torn,
                    _ => Outcome::Works,
                }
            }
            _ => Outcome::Works,
        };
        if state.has_power { outcome } else { Outcome::Broken }
    }

    fn with_file(&self, path: &Path, change: impl FnOnce(&mut Tracked)) {
        change(locked(&self.state).files.entry(path.to_owned()).or_default());
    }

    /// A file was opened; `before` is what stood in it, `None` if it was made just now.
    pub(crate) fn opened(&self, path: &Path, before: Option<Vec<u8>>) {
        let mut state = locked(&self.state);
        let known = state.files.get(path).is_some_and(|file| !file.is_deleted);
        if !known {
            // One that was deleted and is made anew may still turn out to be the old one.
            let durable = state.files.remove(path).and_then(|file| file.durable).or(before.clone());
            let unsynced = match (&durable, &before) {
                (Some(_), None) => vec![Change::Truncate { n_bytes: 0 }],
                _ => Vec::new(),
            };
            state.files.insert(path.to_owned(), Tracked { durable, unsynced, ..Tracked::default() });
        }
        // SQLite flushes the folder with the first flush of each log or journal that it opens.
        let flushes_folder = [".db-wal", ".db-journal"].iter().any(|end| path.to_string_lossy().ends_with(end));
        if let Some(file) = state.files.get_mut(path) {
            file.flushes_folder |= flushes_folder;
        }
    }

    pub(crate) fn written(&self, path: &Path, at: u64, bytes: &[u8]) {
        self.with_file(path, |file| {
            file.unsynced.push(Change::Write { at: at as usize, bytes: bytes.to_vec() });
        });
    }

    pub(crate) fn truncated(&self, path: &Path, n_bytes: u64) {
        self.with_file(path, |file| file.unsynced.push(Change::Truncate { n_bytes: n_bytes as usize }));
    }

    pub(crate) fn synced(&self, path: &Path) {
        let mut state = locked(&self.state);
        if state.lies {
            return;
        }
        let file = state.files.entry(path.to_owned()).or_default();
        let mut content = file.durable.take().unwrap_or_default();
        for change in file.unsynced.drain(..) {
            apply(&mut content, &change);
        }
        file.durable = Some(content);
        if std::mem::take(&mut file.flushes_folder) {
            // The names of all files of the folder, and that others are gone.
            state.files.retain(|_, file| !file.is_deleted);
            state.files.values_mut().for_each(|file| _ = file.durable.get_or_insert_default());
        }
    }

    pub(crate) fn deleted(&self, path: &Path, is_synced: bool) {
        let mut state = locked(&self.state);
        if is_synced && !state.lies {
            state.files.remove(path);
        } else if let Some(file) = state.files.get_mut(path) {
            file.is_deleted = true;
        }
    }

    /// The power goes and comes back: each file becomes what was flushed of it and any part of the rest. Whoever had the files
    /// open must have closed them.
    pub(crate) fn lose_power(&self, random: &mut Random) {
        let mut state = locked(&self.state);
        // In a fixed order, so that a seed gives the same disk again.
        let mut files: Vec<_> = std::mem::take(&mut state.files).into_iter().collect();
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (path, mut file) in files {
            let is_gone = match (&file.durable, file.is_deleted) {
                (None, _) => random.one_in(2),
                (Some(_), true) => random.one_in(2),
                (Some(_), false) => false,
            };
            if is_gone {
                let _ = std::fs::remove_file(&path);
                continue;
            }
            let mut content = file.durable.take().unwrap_or_default();
            match random.below(4) {
                // Nothing of the rest, or all of it in order.
                0 => {}
                1 => file.unsynced.iter().for_each(|change| apply(&mut content, change)),
                _ => {
                    shuffle(&mut file.unsynced, random);
                    for change in &file.unsynced {
                        tear(&mut content, change, random);
                    }
                }
            }
            std::fs::write(&path, content).unwrap();
        }
        // Memory that processes share is gone with the power.
        for entry in std::fs::read_dir(&self.dir).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with("-shm") {
                std::fs::remove_file(path).unwrap();
            }
        }
        let lies = state.lies;
        *state = State { has_power: true, lies, ..State::default() };
    }
}

/// Stops watching the folder when a test is over.
pub(crate) fn unwatch(disk: &Disk) {
    locked(&DISKS).remove(&disk.dir);
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes } => {
            if content.len() < at + bytes.len() {
                content.resize(at + bytes.len(), 0);
            }
            content[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        // `sqlite3_io_methods.xTruncate` only ever makes a file shorter.
        Change::Truncate { n_bytes } => content.truncate(*n_bytes),
    }
}

/// Applies the change or not; of a write, any of its sectors.
fn tear(content: &mut Vec<u8>, change: &Change, random: &mut Random) {
    match change {
        Change::Truncate { .. } if random.one_in(2) => apply(content, change),
        Change::Truncate { .. } => {}
        Change::Write { at, bytes } => {
            let how = random.below(3);
            let mut start = 0;
            while start < bytes.len() {
                // Up to the next boundary of a sector of the file.
                let end = bytes.len().min(start + SECTOR_BYTES - (at + start) % SECTOR_BYTES);
                let is_written = match how {
                    0 => true,
                    1 => false,
                    _ => random.one_in(2),
                };
                if is_written {
                    apply(content, &Change::Write { at: at + start, bytes: bytes[start..end].to_vec() });
                }
                start = end;
            }
        }
    }
}

fn shuffle(changes: &mut [Change], random: &mut Random) {
    for idx in (1..changes.len()).rev() {
        changes.swap(idx, random.below(idx as u64 + 1) as usize);
    }
}

/// Numbers that repeat from run to run.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
