//! The rows of all galleries on disk: their vectors, so that memory holds codes only, and whatever else an index needs to be
//! there again after a restart without reading the store.
//!
//! For each number of dimensions there is a file `likeness.rows-N` (mode 0600) of slots of equal size, one for each row
//! ([`super::row_record`] says what is in one). Galleries share them; a free slot is zeros.
//!
//! # When it may be trusted
//! Rows are written as commits come and are not flushed. When a process is killed the system still has what was written;
//! when power is lost any part of it may be missing. So the head says under which run of the system it was written
//! (`boot`), and in which file; it may be trusted in the same run, or if it was closed in order, after a flush. An index
//! that may not trust it is filled from the store and overwrites it.
//!
//! A file may be behind the store by the commits that a killed process did not come to: the head has the revision. It may
//! also have parts of one commit more; taking that over again leads to the same.
//!
//! # When a removed row is gone
//! Before the removal is acknowledged its checksum is overwritten, so that no later process shows it, and its bytes as
//! soon as no running search may need them: at once, or milliseconds later. A quarter of a second after that they are
//! flushed.
//!
//! # Head: 4096 bytes, numbers little-endian
//!
//! | Bytes | What |
//! |---|---|
//! | 0..16 | `LikenessRows v3`, filled with zeros |
//! | 16..32 | id of the library |
//! | 32..40 | key of the file, random: seed of the rows' checksums and, with the set, of its rotation |
//! | 40..44, 44..48 | dimensions; bytes of a slot |
//! | 48..56 | device and number of the file, hashed: a copy is another file |
//! | 56..64 | XXH3 of the 56 bytes before |
//! | 64..104, 104..144 | two states, written in turn: how often one was written; revision; boot; 0 not to be trusted, 1 in use, 2 closed in order; XXH3 of key and these |

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::{DIMENSIONS_MAX, FaceSetId, Revision};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::kernel::FloatLine;
use super::quantise::RowCodes;
use super::rotation::split_mix;
use super::row_record::{self, HEAD_BYTES as ROW_HEAD_BYTES, slot_bytes};
use crate::folder::own_file;

/// What the names of the files begin with; the number of dimensions follows.
pub const ROWS_FILE: &str = "likeness.rows-";

const MAGIC: &[u8; 16] = b"LikenessRows v3\0";

/// Bytes before the first slot.
pub(super) const FILE_HEAD_BYTES: u64 = 4096;
const HEAD_BYTES: usize = 64;
const STATE_BYTES: usize = 40;

/// Bytes read or overwritten at a time; what a start needs besides is some three times as much a thread.
const STRETCH_BYTES: usize = 1 << 20;

/// A library's id.
pub(super) type LibraryId = [u8; 16];

/// Whether the rows may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    None = 0,
    InUse = 1,
    Closed = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    n_written: u64,
    revision: Revision,
    boot: u64,
    trust: Trust,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    library: LibraryId,
    key: u64,
    dimensions: usize,
    file: u64,
}

impl Head {
    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..32].copy_from_slice(&self.library);
        bytes[32..40].copy_from_slice(&self.key.to_le_bytes());
        bytes[40..44].copy_from_slice(&(self.dimensions as u32).to_le_bytes());
        bytes[44..48].copy_from_slice(&(slot_bytes(self.dimensions) as u32).to_le_bytes());
        bytes[48..56].copy_from_slice(&self.file.to_le_bytes());
        let checksum = xxh3_64(&bytes[..56]);
        bytes[56..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEAD_BYTES)?;
        if bytes[..16] != *MAGIC || number(bytes, 56) != xxh3_64(&bytes[..56]) {
            return None;
        }
        let dimensions = (number(bytes, 40) & 0xffff_ffff) as usize;
        let is_known =
            (1..=DIMENSIONS_MAX).contains(&dimensions) && number(bytes, 40) >> 32 == slot_bytes(dimensions) as u64;
        is_known.then_some(Self {
            library: bytes[16..32].try_into().ok()?,
            key: number(bytes, 32),
            dimensions,
            file: number(bytes, 48),
        })
    }
}

impl State {
    fn bytes(&self, key: u64) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        for (at, number) in [self.n_written, self.revision.0, self.boot, self.trust as u64].into_iter().enumerate() {
            bytes[at * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        let checksum = xxh3_64_with_seed(&bytes[..32], key);
        bytes[32..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8], key: u64) -> Option<Self> {
        if number(bytes, 32) != xxh3_64_with_seed(&bytes[..32], key) {
            return None;
        }
        let trust = match number(bytes, 24) {
            0 => Trust::None,
            1 => Trust::InUse,
            2 => Trust::Closed,
            _ => return None,
        };
        Some(Self { n_written: number(bytes, 0), revision: Revision(number(bytes, 8)), boot: number(bytes, 16), trust })
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Head and last state of a file, if they are what was written.
fn parse(bytes: &[u8]) -> Option<(Head, State)> {
    let head = Head::parse(bytes)?;
    let states = bytes.get(HEAD_BYTES..HEAD_BYTES + 2 * STATE_BYTES)?.chunks_exact(STATE_BYTES);
    let last = states.filter_map(|bytes| State::parse(bytes, head.key)).max_by_key(|state| state.n_written)?;
    Some((head, last))
}

/// Head of a file and the slots behind it, from any bytes.
pub fn fuzz_rows_file(bytes: &[u8]) {
    let pack = likeness_domain::types::PackId::new("pack-1").expect("a pack id");
    let (key, dimensions) = match parse(bytes) {
        Some((head, state)) => {
            assert_eq!(Head::parse(&head.bytes()), Some(head));
            assert_eq!(State::parse(&state.bytes(head.key), head.key), Some(state));
            (head.key, head.dimensions)
        }
        None => (1, 1 + bytes.len() % 40),
    };
    // With the right checksum in its place, so that what follows it is reached.
    let n_bytes = slot_bytes(dimensions);
    for (idx, chunk) in bytes.chunks(n_bytes).enumerate() {
        let mut slot = chunk.to_vec();
        slot.resize(n_bytes, 0);
        row_record::seal(&mut slot, key);
        let n_fields = idx % 4;
        let read =
            row_record::read(&slot, (key, dimensions), |set| (set.get() % 7 != 0).then(|| (pack.clone(), n_fields)));
        if let Some(row_record::Record::Row { face_set, entry, codes, lacks_attributes: false }) = read {
            let mut again = vec![0; n_bytes];
            row_record::write(&mut again, key, face_set, &entry, &codes);
            let again = row_record::read(&again, (key, dimensions), |_| Some((pack.clone(), n_fields)));
            assert_eq!(
                format!("{again:?}"),
                format!("{:?}", Some(row_record::Record::Row { face_set, entry, codes, lacks_attributes: false }))
            );
        }
    }
}

/// Which run of the system this is; 0 if that cannot be told.
fn boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if id.is_empty() { 0 } else { xxh3_64(&id).max(1) }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is whole between any two operations.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files of a folder, which belongs to this process.
#[derive(Debug)]
pub(super) struct RowFiles {
    folder: PathBuf,
    seed: AtomicU64,
    state: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    library: Option<LibraryId>,
    /// By dimensions; `None` where none could be made, so that vectors stay in memory.
    open: BTreeMap<usize, Option<Arc<RowFile>>>,
}

impl RowFiles {
    /// Opens nothing yet. `seed` makes the keys.
    pub(super) fn new(folder: &Path, seed: u64) -> Self {
        Self { folder: folder.to_owned(), seed: AtomicU64::new(seed), state: Mutex::default() }
    }

    /// The file for vectors of so many numbers, made if need be; one that is there is overwritten. `None` if there cannot
    /// be one, on a full disk mostly.
    pub(super) fn of(&self, dimensions: usize) -> Option<Arc<RowFile>> {
        let mut state = lock(&self.state);
        if let Some(known) = state.open.get(&dimensions) {
            return known.clone();
        }
        let made = RowFile::make(&self.path(dimensions), state.library, self.next_key(), dimensions);
        let made = made.inspect_err(|error| {
            let path = self.path(dimensions);
            tracing::warn!(%error, "cannot make `{}`: vectors of {dimensions} numbers stay in memory", path.display());
        });
        let made = made.ok().map(Arc::new);
        state.open.insert(dimensions, made.clone());
        made
    }

    fn path(&self, dimensions: usize) -> PathBuf {
        self.folder.join(format!("{ROWS_FILE}{dimensions}"))
    }

    fn next_key(&self) -> u64 {
        let mut seed = self.seed.load(Ordering::Relaxed);
        let key = split_mix(&mut seed);
        self.seed.store(seed, Ordering::Relaxed);
        key
    }

    /// Names of the files that are there, and for how many dimensions they are. What is no regular file is none: opening a
    /// pipe waits for whoever is at its other end.
    fn found(&self) -> io::Result<Vec<(PathBuf, usize)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let dimensions = name.to_str().and_then(|name| name.strip_prefix(ROWS_FILE)).and_then(|n| n.parse().ok());
            let dimensions = dimensions.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file()));
            found.extend(dimensions.map(|dimensions| (entry.path(), dimensions)));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Opens what an earlier process left of this library, if it may be trusted, and says of which revision it is.
    pub(super) fn reopen(&self, library: LibraryId) -> io::Result<Option<Revision>> {
        lock(&self.state).library = Some(library);
        let mut opened = BTreeMap::new();
        let mut reached = None;
        for (path, dimensions) in self.found()? {
            let Some((file, revision)) = RowFile::reopen(&path, library, dimensions)? else { return Ok(None) };
            if reached.is_some_and(|reached| reached != revision) {
                not_used(&path, "it is of another revision than the one of other dimensions");
                return Ok(None);
            }
            reached = Some(revision);
            opened.insert(dimensions, Some(Arc::new(file)));
        }
        let Some(reached) = reached else { return Ok(None) };
        for file in opened.values().flatten() {
            // Before anything is changed: after a loss of power it must not look as if it had been closed in order.
            file.set_state(reached, Trust::InUse)?;
            file.file.sync_data()?;
        }
        lock(&self.state).open = opened;
        Ok(Some(reached))
    }

    /// The files that are open.
    pub(super) fn open(&self) -> Vec<Arc<RowFile>> {
        lock(&self.state).open.values().flatten().cloned().collect()
    }

    /// Lets go of the files as they are: they are overwritten by what comes.
    pub(super) fn forget(&self) {
        for file in std::mem::take(&mut lock(&self.state).open).into_values().flatten() {
            file.is_closed.store(true, Ordering::Relaxed);
        }
    }

    /// Removes the files that are in use; their bytes are overwritten when the last search over them has ended.
    pub(super) fn abandon(&self) {
        for (dimensions, file) in std::mem::take(&mut lock(&self.state).open) {
            let Some(file) = file else { continue };
            file.is_closed.store(true, Ordering::Relaxed);
            file.is_abandoned.store(true, Ordering::Relaxed);
            if let Err(error) = std::fs::remove_file(self.path(dimensions)) {
                tracing::warn!(%error, "cannot remove `{}`", self.path(dimensions).display());
            }
        }
    }

    /// They hold everything up to this revision.
    pub(super) fn reached(&self, revision: Revision) {
        for file in lock(&self.state).open.values().flatten() {
            if let Err(error) = file.set_state(revision, Trust::InUse) {
                tracing::debug!(%error, "the revision was not written to the rows on disk");
            }
        }
    }

    /// The same after they were filled: what earlier rows are left is overwritten.
    pub(super) fn filled(&self, revision: Revision) {
        let open = lock(&self.state).open.clone();
        for (path, dimensions) in self.found().unwrap_or_default() {
            if open.get(&dimensions).is_some_and(Option::is_some) {
                continue;
            }
            let gone = OpenOptions::new().write(true).open(&path).and_then(|file| wiped(&file, FILE_HEAD_BYTES));
            if let Err(error) = gone.and_then(|()| std::fs::remove_file(&path)) {
                tracing::warn!(%error, "cannot remove `{}`, which nothing needs any more", path.display());
            }
        }
        for file in open.values().flatten() {
            if let Err(error) = file.wipe_rest().and_then(|()| file.set_state(revision, Trust::InUse)) {
                tracing::warn!(%error, "the next start will fill the index from the store");
            }
        }
    }

    /// Flushes what was overwritten since the last time.
    pub(super) fn flush_erased(&self) {
        for file in self.open() {
            if file.has_erased.swap(false, Ordering::Relaxed)
                && let Err(error) = file.file.sync_data()
            {
                tracing::warn!(%error, "overwritten rows of the index could not be flushed, it is tried again");
                file.has_erased.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Closes the files in order if they hold everything up to `revision`; slots are not given back any more.
    pub(super) fn close(&self, revision: Option<Revision>) {
        for file in self.open() {
            file.is_closed.store(true, Ordering::Relaxed);
            let Some(revision) = revision.filter(|_| !file.is_incomplete.load(Ordering::Relaxed)) else { continue };
            let close = || {
                file.file.sync_data()?;
                file.set_state(revision, Trust::Closed)?;
                file.file.sync_data()
            };
            if let Err(error) = close() {
                tracing::debug!(%error, "the rows on disk were not closed in order");
            }
        }
    }
}

/// One file.
#[derive(Debug)]
pub(super) struct RowFile {
    file: File,
    key: u64,
    dimensions: usize,
    slots: Mutex<Slots>,
    /// Overwritten and not flushed.
    has_erased: AtomicBool,
    /// A row of a gallery is not in it.
    is_incomplete: AtomicBool,
    /// Nothing is written any more.
    is_closed: AtomicBool,
    /// To be overwritten when nobody reads it any more.
    is_abandoned: AtomicBool,
}

#[derive(Debug, Default)]
struct Slots {
    /// Those before it are in use or free.
    n_slots: u32,
    free: BinaryHeap<Reverse<u32>>,
    n_states: u64,
}

/// Says why the index is filled from the store though there is a file.
fn not_used(path: &Path, why: &str) {
    tracing::warn!("the rows of the index in `{}` are not used: {why}", path.display());
}

impl RowFile {
    fn new(file: File, key: u64, dimensions: usize) -> Self {
        Self {
            file,
            key,
            dimensions,
            slots: Mutex::default(),
            has_erased: AtomicBool::new(false),
            is_incomplete: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
        }
    }

    /// A file without rows. Rows of an earlier file stay until they are overwritten.
    fn make(path: &Path, library: Option<LibraryId>, key: u64, dimensions: usize) -> io::Result<Self> {
        let file = own_file().create(true).truncate(false).open(path)?;
        let made = Self::new(file, key, dimensions);
        let head = Head { library: library.unwrap_or_default(), key, dimensions, file: number_of(&made.file)? };
        let mut bytes = [0; FILE_HEAD_BYTES as usize];
        bytes[..HEAD_BYTES].copy_from_slice(&head.bytes());
        made.file.write_all_at(&bytes, 0)?;
        made.set_state(Revision(0), Trust::None)?;
        match library {
            // Nothing in it may be taken for rows of before.
            Some(_) => made.file.sync_data()?,
            // Nobody will find the rows again.
            None => made.is_incomplete.store(true, Ordering::Relaxed),
        }
        Ok(made)
    }

    /// The file as it was left, if it is of this library and may be trusted, and its revision.
    fn reopen(path: &Path, library: LibraryId, dimensions: usize) -> io::Result<Option<(Self, Revision)>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut bytes = [0; HEAD_BYTES + 2 * STATE_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                not_used(path, "it is cut short");
                return Ok(None);
            }
            read => read?,
        }
        let Some((head, state)) = parse(&bytes) else {
            not_used(path, "its head is not what was written");
            return Ok(None);
        };
        let is_same = head.library == library && head.dimensions == dimensions;
        let may_be_trusted = match state.trust {
            Trust::None => false,
            Trust::InUse => state.boot == boot() && boot() != 0 && head.file == number_of(&file)?,
            Trust::Closed => true,
        };
        if !is_same || !may_be_trusted {
            not_used(
                path,
                match is_same {
                    true => "it was not closed in order before the system went down, or was not complete",
                    false => "it is another library's",
                },
            );
            return Ok(None);
        }
        let file = Self::new(file, head.key, dimensions);
        if head.file != number_of(&file.file)? {
            // A copy: from now on it is the original.
            file.file.write_all_at(&Head { file: number_of(&file.file)?, ..head }.bytes(), 0)?;
        }
        lock(&file.slots).n_states = state.n_written;
        Ok(Some((file, state.revision)))
    }

    fn set_state(&self, revision: Revision, trust: Trust) -> io::Result<()> {
        let trust = if self.is_incomplete.load(Ordering::Relaxed) { Trust::None } else { trust };
        let mut slots = lock(&self.slots);
        slots.n_states += 1;
        let state = State { n_written: slots.n_states, revision, boot: boot(), trust };
        let at = HEAD_BYTES + (slots.n_states % 2) as usize * STATE_BYTES;
        self.file.write_all_at(&state.bytes(self.key), at as u64)
    }

    fn slot_bytes(&self) -> usize {
        slot_bytes(self.dimensions)
    }

    fn offset(&self, slot: u32) -> u64 {
        FILE_HEAD_BYTES + u64::from(slot) * self.slot_bytes() as u64
    }

    /// Writes a row into a free slot; `None` if that does not work, on a full disk mostly: then the file does not hold
    /// all rows any more, which its head says from now on.
    pub(super) fn put(
        &self,
        face_set: FaceSetId,
        (entry, codes): (&GalleryEntry, &RowCodes),
        bytes: &mut Vec<u8>,
    ) -> Option<u32> {
        let slot = {
            let mut slots = lock(&self.slots);
            slots.free.pop().map(|Reverse(slot)| slot).unwrap_or_else(|| {
                slots.n_slots += 1;
                slots.n_slots - 1
            })
        };
        bytes.resize(self.slot_bytes(), 0);
        row_record::write(bytes, self.key, face_set, entry, codes);
        match self.file.write_all_at(bytes, self.offset(slot)) {
            Ok(()) => Some(slot),
            Err(error) => {
                self.give_back(&[slot]);
                if !self.is_incomplete.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "rows of the index cannot be written to disk, their vectors stay in memory");
                    // Nothing is lost: the next start fills the index from the store.
                    let _ = self.set_state(Revision(0), Trust::None);
                }
                None
            }
        }
    }

    /// Reads a row's vector, filled up with zeros. `bytes` is memory to use.
    pub(super) fn vector(&self, slot: u32, bytes: &mut Vec<u8>, vector: &mut [FloatLine]) -> io::Result<()> {
        bytes.resize(self.dimensions * size_of::<f32>(), 0);
        self.file.read_exact_at(bytes, self.offset(slot) + ROW_HEAD_BYTES as u64)?;
        vector.fill(FloatLine::ZERO);
        let room = vector.iter_mut().flat_map(|line| &mut line.0);
        room.zip(row_record::numbers(bytes)).take(self.dimensions).for_each(|(room, number)| *room = number);
        Ok(())
    }

    /// From now on no process takes these slots for rows.
    pub(super) fn invalidate(&self, slots: &[u32]) {
        for &slot in slots {
            self.overwrite(self.offset(slot), 8);
        }
    }

    /// Overwrites slots that nobody reads any more, and gives them to others.
    pub(super) fn free(&self, mut slots: Vec<u32>) {
        slots.sort_unstable();
        for run in slots.chunk_by(|a, b| a + 1 == *b) {
            if let Some(&first) = run.first() {
                self.overwrite(self.offset(first), run.len() * self.slot_bytes());
            }
        }
        self.give_back(&slots);
    }

    fn give_back(&self, slots: &[u32]) {
        lock(&self.slots).free.extend(slots.iter().map(|&slot| Reverse(slot)));
    }

    fn overwrite(&self, offset: u64, n_bytes: usize) {
        if self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        self.has_erased.store(true, Ordering::Relaxed);
        if let Err(error) = overwrite(&self.file, offset, n_bytes as u64) {
            tracing::error!(%error, "removed rows of the index could not be overwritten; the next start overwrites them");
            self.is_incomplete.store(true, Ordering::Relaxed);
            let _ = self.set_state(Revision(0), Trust::None);
        }
    }

    /// Overwrites what is left behind the last slot of rows of before.
    fn wipe_rest(&self) -> io::Result<()> {
        let end = self.offset(lock(&self.slots).n_slots);
        if self.file.metadata()?.len() > end {
            wiped(&self.file, end)?;
        }
        Ok(())
    }

    /// What the rotation of a set's rows in this file is made of: their codes are in it, too.
    pub(super) fn rotation_seed(&self, face_set: FaceSetId) -> u64 {
        split_mix(&mut (self.key ^ face_set.get()))
    }

    /// Key of its rows' checksums, and their dimensions.
    pub(super) fn format(&self) -> (u64, usize) {
        (self.key, self.dimensions)
    }

    /// Stretches of slots, for [`RowFile::stretch`].
    pub(super) fn n_stretches(&self) -> io::Result<u64> {
        Ok(self.n_slots_on_disk()?.div_ceil(self.slots_of_stretch()))
    }

    fn slots_of_stretch(&self) -> u64 {
        (STRETCH_BYTES / self.slot_bytes()).max(1) as u64
    }

    fn n_slots_on_disk(&self) -> io::Result<u64> {
        let n_bytes = self.file.metadata()?.len().saturating_sub(FILE_HEAD_BYTES);
        Ok((n_bytes / self.slot_bytes() as u64).min(u64::from(u32::MAX)))
    }

    /// Reads a stretch; the number of its first slot.
    pub(super) fn stretch(&self, stretch: u64, bytes: &mut Vec<u8>) -> io::Result<u32> {
        let first = stretch * self.slots_of_stretch();
        let n_slots = (self.n_slots_on_disk()? - first).min(self.slots_of_stretch());
        bytes.resize(n_slots as usize * self.slot_bytes(), 0);
        self.file.read_exact_at(bytes, self.offset(first as u32))?;
        Ok(first as u32)
    }

    /// All slots were looked at: these are free, these are rows of before that are still to be overwritten.
    pub(super) fn take_over(&self, free: Vec<u32>, stale: Vec<u32>) -> io::Result<()> {
        {
            let mut slots = lock(&self.slots);
            slots.n_slots = self.n_slots_on_disk()? as u32;
            slots.free.extend(free.into_iter().map(Reverse));
        }
        self.free(stale);
        Ok(())
    }
}

impl Drop for RowFile {
    fn drop(&mut self) {
        if *self.is_abandoned.get_mut()
            && let Err(error) = wiped(&self.file, FILE_HEAD_BYTES)
        {
            tracing::warn!(%error, "rows of an index that was filled anew could not be overwritten");
        }
    }
}

/// Overwrites everything from `start` on with zeros, flushes, and makes the file end there.
fn wiped(file: &File, start: u64) -> io::Result<()> {
    let end = file.metadata()?.len();
    overwrite(file, start, end.saturating_sub(start))?;
    file.sync_data()?;
    file.set_len(start.min(end))
}

fn overwrite(file: &File, mut offset: u64, mut n_bytes: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    while n_bytes > 0 {
        let n = n_bytes.min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..n as usize], offset)?;
        (offset, n_bytes) = (offset + n, n_bytes - n);
    }
    Ok(())
}

/// Which file of the system it is.
fn number_of(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&metadata.dev().to_le_bytes());
    bytes[8..].copy_from_slice(&metadata.ino().to_le_bytes());
    Ok(xxh3_64(&bytes))
}

/// Slots of removed rows that running searches may still read.
///
/// A search holds the epoch that was current when it began. Slots retired in an epoch may be read by whoever holds it or an
/// earlier one; each epoch holds the next one, so it is dropped, and its slots are overwritten, when the last of those
/// searches has ended.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    retired: Mutex<Vec<(Arc<RowFile>, Vec<u32>)>>,
    next: OnceLock<Arc<Epoch>>,
}

impl Epoch {
    /// Ends this epoch, in which slots will be [retired](Epoch::retire), and begins the next one.
    pub(super) fn end(&self) -> Arc<Epoch> {
        Arc::clone(self.next.get_or_init(Arc::default))
    }

    /// Has slots overwritten when nobody can read them any more.
    pub(super) fn retire(&self, file: Arc<RowFile>, slots: Vec<u32>) {
        lock(&self.retired).push((file, slots));
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        // One after the other and not within each other: a long search may be followed by thousands.
        let mut retired = std::mem::take(self.retired.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut next = self.next.take();
        loop {
            for (file, slots) in retired.drain(..) {
                file.free(slots);
            }
            let Some(mut epoch) = next.and_then(Arc::into_inner) else { return };
            retired = std::mem::take(epoch.retired.get_mut().unwrap_or_else(PoisonError::into_inner));
            next = epoch.next.take();
        }
    }
}

#[cfg(test)]
mod tests;
