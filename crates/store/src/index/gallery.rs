//! The rows of one face set, changed by one writer while any number of searches read.
//!
//! A search takes a [`Snapshot`] and reads it without a lock; the writer copies a segment only if a running search still
//! holds it. So neither waits for the other for longer than one commit's changes take, and a search sees whole commits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use likeness_domain::filter::Filter;
use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::{FaceId, FaceSetId, FieldSchema, PackId};

use super::columns::{Cells, Dictionary, Plan, SEGMENT_ROWS};
use super::kernel::{self, pages::Arena};
use super::labels::RowLabel;
use super::places::Places;
use super::quantise::RowCodes;
use super::rotation::Rotation;
use super::row_file::{Epoch, RowFile, RowFiles};
use super::segment::{NO_SLOT, NewRow, Segment, SharedSegment, passing};
use super::sketch::SKETCHED_FROM;

/// A change of one gallery.
pub(super) enum RowChange {
    Put(GalleryEntry),
    Remove(FaceId),
}

/// What all galleries of an index share.
#[derive(Debug, Clone, Default)]
pub(super) struct Backing {
    pub(super) arena: Arena,
    /// Where rows are on disk; without it everything is in memory.
    pub(super) files: Option<Arc<RowFiles>>,
}

pub(super) struct Gallery {
    face_set: FaceSetId,
    pack: PackId,
    schema: Arc<FieldSchema>,
    /// What its rotation is made of if its rows are in memory only; a secret of the set.
    seed: u64,
    backing: Backing,
    /// What only the writer looks at, so that growing a table holds no search up.
    writer: Mutex<Writer>,
    rows: RwLock<Rows>,
}

#[derive(Default)]
struct Writer {
    /// Where each face is.
    places: Places,
    /// Of the templates seen last.
    rotation: Option<Arc<Rotation>>,
    /// Memory to write a row in.
    bytes: Vec<u8>,
}

/// A change whose slow part is done: codes are made and the row is on disk, both before any search has to wait.
enum Prepared {
    Put { entry: GalleryEntry, codes: RowCodes, rotation: Arc<Rotation>, slot: u32 },
    Remove(FaceId),
}

/// A row that was read back from a file.
pub(super) struct KeptRow {
    pub(super) entry: GalleryEntry,
    pub(super) codes: RowCodes,
    pub(super) slot: u32,
}

/// # Invariants
/// Every segment but the last is full; no segment is empty.
struct Rows {
    segments: Arc<Vec<SharedSegment>>,
    dictionary: Dictionary,
    /// Of the templates; set by the first one.
    rotation: Option<Arc<Rotation>>,
    /// Where they are on disk; set by the first one.
    file: Option<Arc<RowFile>>,
    n_rows: usize,
    epoch: Arc<Epoch>,
}

/// A gallery as it was at one moment.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) segments: Arc<Vec<SharedSegment>>,
    pub(super) rotation: Option<Arc<Rotation>>,
    /// Keeps what the file has of the rows as it is.
    _epoch: Arc<Epoch>,
}

const POISONED: &str = "a change of the gallery was cut short by a panic";

impl Gallery {
    pub(super) fn new(
        face_set: FaceSetId,
        pack: PackId,
        schema: Arc<FieldSchema>,
        seed: u64,
        backing: Backing,
    ) -> Self {
        let rows = Rows {
            segments: Arc::default(),
            dictionary: Dictionary::default(),
            rotation: None,
            file: None,
            n_rows: 0,
            epoch: Arc::default(),
        };
        Self { face_set, pack, schema, seed, backing, writer: Mutex::default(), rows: RwLock::new(rows) }
    }

    pub(super) fn schema(&self) -> &FieldSchema {
        &self.schema
    }

    pub(super) fn pack(&self) -> &PackId {
        &self.pack
    }

    pub(super) fn n_rows(&self) -> usize {
        self.read().n_rows
    }

    /// Numbers of all rows together: what a scan costs.
    pub(super) fn n_numbers(&self) -> usize {
        let rows = self.read();
        rows.n_rows * rows.rotation.as_ref().map_or(0, |rotation| rotation.dimensions())
    }

    /// The rows of this moment, and each filter made ready for just these rows.
    pub(super) fn snapshot<'a>(
        &self,
        filters: impl IntoIterator<Item = Option<&'a Filter>>,
    ) -> (Snapshot, Vec<Option<Plan>>) {
        let rows = self.read();
        let plan = |filter: &Filter| Plan::new(filter, &self.schema, &rows.dictionary);
        let plans = filters.into_iter().map(|filter| filter.map(plan)).collect();
        let (segments, rotation, epoch) = (rows.segments.clone(), rows.rotation.clone(), rows.epoch.clone());
        (Snapshot { segments, rotation, _epoch: epoch }, plans)
    }

    /// Sequences of the rows that pass, ascending.
    pub(super) fn matching(&self, filter: &Filter) -> Vec<u64> {
        let (snapshot, plans) = self.snapshot([Some(filter)]);
        let mut sequences = Vec::new();
        for segment in snapshot.segments.iter() {
            let rows = passing(segment, plans[0].as_ref());
            for (word_idx, mut word) in rows.into_iter().enumerate() {
                while word != 0 {
                    let row = word_idx * 64 + word.trailing_zeros() as usize;
                    sequences.push(segment.label(row).sequence);
                    word &= word - 1;
                }
            }
        }
        sequences.sort_unstable();
        sequences
    }

    /// Takes over the changes of one commit, in order; a search sees all of them or none.
    pub(super) fn apply(&self, changes: Vec<RowChange>) {
        let mut writer = self.writer();
        let writer = &mut *writer;
        let n_puts = changes.iter().filter(|change| matches!(change, RowChange::Put(_))).count();
        if !writer.places.has_room(n_puts) {
            // Not while the rows are locked: only the writer changes them, and searches go on.
            let segments = Arc::clone(&self.read().segments);
            writer.places.reserve(n_puts, faces(&segments));
        }
        let changes: Vec<Prepared> = changes.into_iter().filter_map(|change| self.prepare(writer, change)).collect();
        let mut retired = Retired::default();
        let mut rows = self.rows.write().expect(POISONED);
        for change in changes {
            match change {
                Prepared::Put { entry, codes, rotation, slot } => {
                    self.put(&mut writer.places, &mut rows, &entry, (&codes, &rotation, slot), &mut retired);
                }
                Prepared::Remove(face) => remove(&mut writer.places, &mut rows, face, &mut retired),
            }
        }
        if retired.is_empty() {
            return;
        }
        // From now on searches begin in the next epoch.
        let ended = Arc::clone(&rows.epoch);
        rows.epoch = ended.end();
        drop(rows);
        for (file, slots) in retired.slots {
            file.invalidate(&slots);
            ended.retire(file, slots);
        }
    }

    /// Does what needs no lock on the rows; `None` for a row that cannot be searched.
    fn prepare(&self, writer: &mut Writer, change: RowChange) -> Option<Prepared> {
        let entry = match change {
            RowChange::Remove(face) => return Some(Prepared::Remove(face)),
            RowChange::Put(entry) => entry,
        };
        let vector = entry.template.unit();
        if *entry.template.pack() != self.pack {
            self.refuse(&entry, "another pack");
            return None;
        }
        let known = writer.rotation.take().filter(|rotation| rotation.dimensions() == vector.len());
        let file = self.backing.files.as_ref().and_then(|files| files.of(vector.len()));
        let rotation = known.unwrap_or_else(|| Arc::new(self.rotation(vector.len(), file.as_deref())));
        writer.rotation = Some(Arc::clone(&rotation));
        let codes = RowCodes::new(vector, &rotation);
        let put = |file: Arc<RowFile>| file.put(self.face_set, (&entry, &codes), &mut writer.bytes);
        let slot = file.and_then(put).unwrap_or(NO_SLOT);
        Some(Prepared::Put { entry, codes, rotation, slot })
    }

    fn rotation(&self, dimensions: usize, file: Option<&RowFile>) -> Rotation {
        Rotation::new(file.map_or(self.seed, |file| file.rotation_seed(self.face_set)), dimensions)
    }

    fn refuse(&self, entry: &GalleryEntry, why: &str) {
        tracing::error!(
            face = %entry.face, pack = %entry.template.pack(), dimensions = entry.template.unit().len(),
            "a face is left out of search: its template is of {why} than the face set's, whose pack is {}",
            self.pack,
        );
    }

    fn put(
        &self,
        places: &mut Places,
        rows: &mut RwLockWriteGuard<'_, Rows>,
        entry: &GalleryEntry,
        (codes, rotation, slot): (&RowCodes, &Arc<Rotation>, u32),
        retired: &mut Retired,
    ) {
        let rows = &mut **rows;
        let dimensions = rotation.dimensions();
        let file_of = || self.backing.files.as_ref().and_then(|files| files.of(dimensions));
        if rows.rotation.as_ref().is_some_and(|rotation| rotation.dimensions() != dimensions) {
            self.refuse(entry, "another length");
            retired.add(file_of().as_ref(), slot);
            return;
        }
        if rows.rotation.is_none() {
            rows.rotation = Some(Arc::clone(rotation));
            rows.file = file_of();
        }
        let cells = Cells::acquire(&self.schema, entry.subject.as_ref(), &entry.values, &mut rows.dictionary);
        let label = RowLabel { face: entry.face, sequence: entry.sequence, person: entry.person };
        let new = NewRow { label, vector: entry.template.unit(), codes, slot, cells: &cells };
        let known = places.get(entry.face, |place| face_at(&rows.segments, place));
        let segments = Arc::make_mut(&mut rows.segments);
        if let Some(place) = known {
            let mut segment = segments[place as usize / SEGMENT_ROWS].change();
            segment.cells(place as usize % SEGMENT_ROWS).release(&mut rows.dictionary);
            let earlier = segment.slot(place as usize % SEGMENT_ROWS);
            segment.set(place as usize % SEGMENT_ROWS, &new).expect(UNREADABLE);
            retired.add(rows.file.as_ref(), earlier);
            return;
        }
        let place = rows.n_rows;
        if place.is_multiple_of(SEGMENT_ROWS) {
            segments.push(SharedSegment::new(Segment::new(
                dimensions,
                &self.schema,
                &self.backing.arena,
                rows.file.clone(),
                place / SEGMENT_ROWS >= SKETCHED_FROM && kernel::sketch::active().is_some(),
            )));
        }
        let mut segment = segments[place / SEGMENT_ROWS].change();
        segment.set(place % SEGMENT_ROWS, &new).expect(UNREADABLE);
        places.insert(entry.face, place_of(place));
        rows.n_rows += 1;
    }

    /// Takes over rows that are in this file already. False if a face is there twice or of another length, so that not all
    /// of them can be right.
    pub(super) fn take_over(&self, file: &RowFile, kept: Vec<KeptRow>) -> bool {
        let mut writer = self.writer();
        let mut rows = self.rows.write().expect(POISONED);
        let mut retired = Retired::default();
        writer.places.reserve(kept.len(), faces(&rows.segments));
        for KeptRow { entry, codes, slot } in kept {
            let n = entry.template.unit().len();
            let rotation = rows.rotation.clone().unwrap_or_else(|| Arc::new(self.rotation(n, Some(file))));
            let is_there = writer.places.get(entry.face, |place| face_at(&rows.segments, place)).is_some();
            if is_there || rotation.dimensions() != n {
                return false;
            }
            self.put(&mut writer.places, &mut rows, &entry, (&codes, &rotation, slot), &mut retired);
        }
        true
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect(POISONED)
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().expect(POISONED)
    }

    #[cfg(test)]
    pub(super) fn n_texts(&self) -> usize {
        self.read().dictionary.n_texts()
    }
}

impl Drop for Gallery {
    /// Gives the places on disk back, when no search reads them any more.
    fn drop(&mut self) {
        let rows = self.rows.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = rows.file.take() {
            let slots = rows.segments.iter().flat_map(|segment| segment.slots_in_use()).collect();
            rows.epoch.retire(file, slots);
        }
    }
}

/// The face of a row.
fn face_at(segments: &[SharedSegment], place: u32) -> FaceId {
    segments[place as usize / SEGMENT_ROWS].label(place as usize % SEGMENT_ROWS).face
}

/// The faces of all rows, in the order of their places.
fn faces(segments: &[SharedSegment]) -> impl Iterator<Item = FaceId> + '_ {
    segments.iter().flat_map(|segment| (0..segment.n_rows()).map(|row| segment.label(row).face))
}

fn place_of(row: usize) -> u32 {
    u32::try_from(row).expect("a gallery has fewer than 2^32 rows")
}

/// Slots of rows that a commit removes or replaces.
#[derive(Default)]
struct Retired {
    slots: Vec<(Arc<RowFile>, Vec<u32>)>,
}

impl Retired {
    fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn add(&mut self, file: Option<&Arc<RowFile>>, slot: u32) {
        let Some(file) = file.filter(|_| slot != NO_SLOT) else { return };
        match self.slots.last_mut() {
            Some((known, slots)) if Arc::ptr_eq(known, file) => slots.push(slot),
            _ => self.slots.push((Arc::clone(file), vec![slot])),
        }
    }
}

/// The last row of the gallery takes the place of the removed one, and its own place is overwritten. A search that runs
/// at this moment may hold the old rows until it ends; then they are overwritten as well.
fn remove(places: &mut Places, rows: &mut RwLockWriteGuard<'_, Rows>, face: FaceId, retired: &mut Retired) {
    let rows = &mut **rows;
    let at = |place| face_at(&rows.segments, place);
    let Some(place) = places.remove(face, at) else { return };
    let last_place = rows.n_rows - 1;
    let moved = at(place_of(last_place));
    if moved != face {
        places.move_to(moved, place, at);
    }
    let place = place as usize;
    let segments = Arc::make_mut(&mut rows.segments);
    let (last, full) = segments.split_last_mut().expect("a gallery with a row has a segment");
    let mut last = last.change();
    match full.get_mut(place / SEGMENT_ROWS) {
        Some(segment) => {
            let mut segment = segment.change();
            segment.cells(place % SEGMENT_ROWS).release(&mut rows.dictionary);
            retired.add(rows.file.as_ref(), segment.slot(place % SEGMENT_ROWS));
            segment.copy_last_of(place % SEGMENT_ROWS, &last).expect(UNREADABLE);
            last.swap_remove(last_place % SEGMENT_ROWS);
        }
        None => {
            last.cells(place % SEGMENT_ROWS).release(&mut rows.dictionary);
            retired.add(rows.file.as_ref(), last.slot(place % SEGMENT_ROWS));
            last.swap_remove(place % SEGMENT_ROWS);
        }
    }
    let is_empty = last.n_rows() == 0;
    drop(last);
    if is_empty {
        segments.pop();
    }
    rows.n_rows -= 1;
    if rows.n_rows == 0 {
        rows.rotation = None;
        rows.file = None;
    }
}

/// The index is filled anew after such a panic.
const UNREADABLE: &str = "the rows on disk can be read";

#[cfg(test)]
mod tests;
