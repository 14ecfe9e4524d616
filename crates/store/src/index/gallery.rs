//! The rows of one face set, changed by one writer while any number of searches read.
//!
//! A search takes a [`Snapshot`] and reads it without a lock; the writer copies a segment only if a running search still
//! holds it. So neither waits for the other for longer than one commit's changes take, and a search sees whole commits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use likeness_domain::filter::Filter;
use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::{FaceId, FieldSchema, PackId};

use super::columns::{Cells, Dictionary, Plan, SEGMENT_ROWS};
use super::kernel::pages::Arena;
use super::rotation::Rotation;
use super::segment::{RowLabel, Segment};

/// A change of one gallery.
pub(super) enum RowChange {
    Put(GalleryEntry),
    Remove(FaceId),
}

pub(super) struct Gallery {
    pack: PackId,
    schema: Arc<FieldSchema>,
    /// What its rotation is made of; a secret of the set.
    seed: u64,
    arena: Arena,
    /// Where each face is. Only the writer looks here, so that growing the table holds no search up.
    places: Mutex<HashMap<FaceId, u32>>,
    rows: RwLock<Rows>,
}

/// # Invariants
/// Every segment but the last is full; no segment is empty.
struct Rows {
    segments: Arc<Vec<Arc<Segment>>>,
    dictionary: Dictionary,
    /// Of the templates; set by the first one.
    rotation: Option<Arc<Rotation>>,
    n_rows: usize,
}

/// A gallery as it was at one moment.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) segments: Arc<Vec<Arc<Segment>>>,
    pub(super) rotation: Option<Arc<Rotation>>,
}

const POISONED: &str = "a change of the gallery was cut short by a panic";

impl Gallery {
    pub(super) fn new(pack: PackId, schema: Arc<FieldSchema>, seed: u64, arena: Arena) -> Self {
        let rows = Rows { segments: Arc::default(), dictionary: Dictionary::default(), rotation: None, n_rows: 0 };
        Self { pack, schema, seed, arena, places: Mutex::default(), rows: RwLock::new(rows) }
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
        (Snapshot { segments: rows.segments.clone(), rotation: rows.rotation.clone() }, plans)
    }

    /// Sequences of the rows that pass, ascending.
    pub(super) fn matching(&self, filter: &Filter) -> Vec<u64> {
        let (snapshot, plans) = self.snapshot([Some(filter)]);
        let mut sequences = Vec::new();
        for segment in snapshot.segments.iter() {
            let rows = segment.rows(plans[0].as_ref());
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
        let mut places = self.places();
        places.reserve(changes.iter().filter(|change| matches!(change, RowChange::Put(_))).count());
        let mut rows = self.rows.write().expect(POISONED);
        for change in changes {
            match change {
                RowChange::Put(entry) => self.put(&mut places, &mut rows, entry),
                RowChange::Remove(face) => remove(&mut places, &mut rows, face),
            }
        }
    }

    fn put(&self, places: &mut HashMap<FaceId, u32>, rows: &mut RwLockWriteGuard<'_, Rows>, entry: GalleryEntry) {
        let rows = &mut **rows;
        let vector = entry.template.unit();
        let dimensions = rows.rotation.as_ref().map_or(vector.len(), |rotation| rotation.dimensions());
        if *entry.template.pack() != self.pack || vector.len() != dimensions {
            tracing::error!(
                face = %entry.face, pack = %entry.template.pack(), dimensions = vector.len(),
                "a face is left out of search: its template is not of the face set's pack {} ({dimensions} dimensions)",
                self.pack,
            );
            return;
        }
        let rotation = rows.rotation.get_or_insert_with(|| Arc::new(Rotation::new(self.seed, dimensions)));
        let rotation = Arc::clone(rotation);
        let cells = Cells::acquire(&self.schema, entry.subject.as_ref(), &entry.values, &mut rows.dictionary);
        let label = RowLabel { face: entry.face, sequence: entry.sequence, person: entry.person };
        let segments = Arc::make_mut(&mut rows.segments);
        if let Some(&place) = places.get(&entry.face) {
            let segment = Arc::make_mut(&mut segments[place as usize / SEGMENT_ROWS]);
            segment.cells(place as usize % SEGMENT_ROWS).release(&mut rows.dictionary);
            segment.set(place as usize % SEGMENT_ROWS, label, vector, &rotation, &cells);
            return;
        }
        let place = rows.n_rows;
        if place.is_multiple_of(SEGMENT_ROWS) {
            segments.push(Arc::new(Segment::new(dimensions, &self.schema, &self.arena)));
        }
        Arc::make_mut(&mut segments[place / SEGMENT_ROWS]).set(place % SEGMENT_ROWS, label, vector, &rotation, &cells);
        places.insert(entry.face, u32::try_from(place).expect("a gallery has fewer than 2^32 rows"));
        rows.n_rows += 1;
    }

    fn places(&self) -> MutexGuard<'_, HashMap<FaceId, u32>> {
        self.places.lock().expect(POISONED)
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().expect(POISONED)
    }

    #[cfg(test)]
    pub(super) fn n_texts(&self) -> usize {
        self.read().dictionary.n_texts()
    }
}

/// The last row of the gallery takes the place of the removed one, and its own place is overwritten. A search that runs
/// at this moment may hold the old rows until it ends; then they are overwritten as well.
fn remove(places: &mut HashMap<FaceId, u32>, rows: &mut RwLockWriteGuard<'_, Rows>, face: FaceId) {
    let rows = &mut **rows;
    let Some(place) = places.remove(&face).map(|place| place as usize) else { return };
    let segments = Arc::make_mut(&mut rows.segments);
    let last_place = rows.n_rows - 1;
    let (last, full) = segments.split_last_mut().expect("a gallery with a row has a segment");
    let last = Arc::make_mut(last);
    let moved = last.label(last_place % SEGMENT_ROWS).face;
    match full.get_mut(place / SEGMENT_ROWS) {
        Some(segment) => {
            let segment = Arc::make_mut(segment);
            segment.cells(place % SEGMENT_ROWS).release(&mut rows.dictionary);
            segment.copy_last_of(place % SEGMENT_ROWS, last);
            last.swap_remove(last_place % SEGMENT_ROWS);
        }
        None => {
            last.cells(place % SEGMENT_ROWS).release(&mut rows.dictionary);
            last.swap_remove(place % SEGMENT_ROWS);
        }
    }
    if place != last_place {
        places.insert(moved, u32::try_from(place).expect("a gallery has fewer than 2^32 rows"));
    }
    if last.n_rows() == 0 {
        segments.pop();
    }
    rows.n_rows -= 1;
    if rows.n_rows == 0 {
        rows.rotation = None;
    }
}

#[cfg(test)]
mod tests;
