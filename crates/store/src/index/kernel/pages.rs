//! Memory for full segments, in large pages where the system gives them.
//!
//! A scan reads tens of megabytes in a row; with pages of 4 KiB the processor would look up an address every 64 lines and
//! its prefetching would stop there. So full segments get their lines from slabs of at least 2 MiB, aligned to 2 MiB, for
//! which large pages are asked for. Slots of a slab are given out lowest address first, so that the segments of a gallery
//! lie next to each other, and are overwritten with zeros when they come back.
//!
//! Each plane of the segments has slabs of its own. A scan reads one plane: were another one in every second slot, all its
//! addresses would agree in a bit by which caches choose the place of a line, and half of the last cache would go unused
//! (on an EPYC 9005, 64 MB read again and again so: 1.8 ms instead of 1.1 to 1.4). As long as there are only a few slabs,
//! which the last cache holds as they are, planes share them, so that small libraries do not pay for half-empty ones.
#![expect(unsafe_code, reason = "slots of memory, and fetching it")]

use std::alloc::Layout;
use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mapped::{Line, Mapping};

/// Size and alignment of a large page.
const LARGE_PAGE: usize = 2 << 20;

/// Slabs of one size that planes share before each has its own.
const SHARED_SLABS: usize = 8;

/// Planes that have slabs of their own.
const PLANES: usize = 2;

/// Slots of at most so many bytes are not worth a large page: a slab has 64 of them.
const SMALL_SLOT: usize = 4096;

/// Where slots come from; clones share it.
#[derive(Debug, Default, Clone)]
pub struct Arena {
    slots: Arc<Mutex<HashMap<usize, Arc<SlotsOfOneSize>>>>,
    plane: usize,
}

impl Arena {
    /// The same for the second plane of segments; the first is the default.
    pub fn second_plane(&self) -> Self {
        Self { slots: Arc::clone(&self.slots), plane: 1 }
    }

    /// A slot of `n_lines` zeros.
    pub fn take<T: Line>(&self, n_lines: usize) -> Slot<T> {
        let n_bytes = n_lines * size_of::<T>();
        let of_size = |all: &mut HashMap<_, _>| {
            Arc::clone(all.entry(n_bytes).or_insert_with(|| Arc::new(SlotsOfOneSize::new(n_bytes))))
        };
        let slots = of_size(&mut lock(&self.slots));
        let (place, start) = slots.take(self.plane);
        Slot { slots, place, start: start.cast(), n_lines }
    }

    /// Bytes of all slabs.
    pub fn n_bytes(&self) -> usize {
        let of_size = |slots: &Arc<SlotsOfOneSize>| {
            lock(&slots.state).slabs.values().map(|slab| slab.memory.n_bytes()).sum::<usize>()
        };
        lock(&self.slots).values().map(of_size).sum()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is whole between any two operations.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct SlotsOfOneSize {
    slot_bytes: usize,
    /// Of a slab.
    layout: Layout,
    state: Mutex<Slabs>,
}

#[derive(Debug, Default)]
struct Slabs {
    /// By address.
    slabs: HashMap<usize, Slab>,
    /// Places that are free, of slabs that planes share and then of each plane: address of the slab, number of the slot.
    free: [BTreeSet<(usize, usize)>; 1 + PLANES],
}

impl Slabs {
    /// Which list of free places the slab of a plane's next slot belongs to.
    fn list_of(&self, plane: usize) -> usize {
        let is_shared = !self.free[0].is_empty() || self.slabs.len() < SHARED_SLABS && self.free[1 + plane].is_empty();
        if is_shared { 0 } else { 1 + plane }
    }
}

#[derive(Debug)]
struct Slab {
    memory: Mapping,
    n_taken: usize,
    /// Which list of free places its slots are on.
    list: usize,
}

impl SlotsOfOneSize {
    fn new(slot_bytes: usize) -> Self {
        let slot_bytes = slot_bytes.max(1);
        let (slab_bytes, align) = match slot_bytes {
            ..=SMALL_SLOT => (64 * slot_bytes, SMALL_SLOT),
            _ => (slot_bytes.next_multiple_of(LARGE_PAGE), LARGE_PAGE),
        };
        let layout = Layout::from_size_align(slab_bytes, align).expect("a slab is far smaller than memory");
        Self { slot_bytes, layout, state: Mutex::default() }
    }

    fn n_slots(&self) -> usize {
        self.layout.size() / self.slot_bytes
    }

    /// A free place and its memory, which is zeros.
    fn take(&self, plane: usize) -> ((usize, usize), NonNull<u8>) {
        let mut state = lock(&self.state);
        let list = state.list_of(plane);
        if state.free[list].is_empty() {
            let memory = self.new_slab();
            let address = memory.start().as_ptr() as usize;
            state.slabs.insert(address, Slab { memory, n_taken: 0, list });
            state.free[list].extend((0..self.n_slots()).map(|slot| (address, slot)));
        }
        let place = state.free[list].pop_first().expect("a new slab has a slot");
        let slab = state.slabs.get_mut(&place.0).expect("a free slot is of a slab");
        slab.n_taken += 1;
        // SAFETY: the slot is within its slab.
        (place, unsafe { slab.memory.start().add(place.1 * self.slot_bytes) })
    }

    fn give_back(&self, place: (usize, usize)) {
        let mut state = lock(&self.state);
        let Some(slab) = state.slabs.get_mut(&place.0) else { return };
        slab.n_taken -= 1;
        let list = slab.list;
        if slab.n_taken > 0 {
            state.free[list].insert(place);
            return;
        }
        state.slabs.remove(&place.0);
        for slot in 0..self.n_slots() {
            state.free[list].remove(&(place.0, slot));
        }
    }

    fn new_slab(&self) -> Mapping {
        let memory = Mapping::new(self.layout);
        if self.layout.align() >= LARGE_PAGE {
            memory.ask_for_large_pages();
        }
        memory
    }
}

/// Has lines fetched that will soon be read, into the second cache: of a segment's rows hundreds may be looked at again,
/// after the next segment went through the first cache. On a Zen 4 with 86,000 of 300,000 rows of 512 dimensions that takes
/// half as long as fetching them into the first cache (1.3 ms more than the scan alone, instead of 2.2).
#[inline]
pub fn fetch_ahead<T>(lines: &[T]) {
    fetch_bytes_ahead(lines.as_ptr().cast(), size_of_val(lines));
}

/// Has a value fetched into the cache that will soon be looked at, not what it points to.
#[inline]
pub fn fetch_value_ahead<T>(value: &T) {
    fetch_bytes_ahead(std::ptr::from_ref(value).cast(), size_of::<T>());
}

/// The same for its first bytes.
#[inline]
pub fn fetch_start_ahead<T>(value: &T, n_bytes: usize) {
    fetch_bytes_ahead(std::ptr::from_ref(value).cast(), n_bytes.min(size_of::<T>()));
}

#[inline]
fn fetch_bytes_ahead(start: *const u8, n_bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..n_bytes).step_by(64) {
        use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: fetching has no effect but on time.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, n_bytes);
}

/// A run of lines in an arena. Overwritten with zeros when it is dropped.
#[derive(Debug)]
pub struct Slot<T: Line> {
    slots: Arc<SlotsOfOneSize>,
    place: (usize, usize),
    start: NonNull<T>,
    n_lines: usize,
}

// SAFETY: a slot is the only owner of its memory, and lines are plain numbers.
unsafe impl<T: Line + Send> Send for Slot<T> {}
// SAFETY: as above.
unsafe impl<T: Line + Sync> Sync for Slot<T> {}

impl<T: Line> Deref for Slot<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the slot owns that many lines, aligned to the slab's start plus whole lines, and all are initialised:
        // zeros first, lines afterwards.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.n_lines) }
    }
}

impl<T: Line> DerefMut for Slot<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.n_lines) }
    }
}

impl<T: Line> Drop for Slot<T> {
    fn drop(&mut self) {
        // SAFETY: the slot owns that many bytes, and zeros are a value of every line.
        unsafe { self.start.cast::<u8>().write_bytes(0, self.n_lines * size_of::<T>()) };
        // The memory may be freed next and never read again, so the compiler could drop the writes; it must assume that
        // `black_box` reads them.
        black_box(self.start);
        self.slots.give_back(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CodeLine, FloatLine, RowSizes};
    use super::*;

    #[test]
    fn slots_are_zeros_apart_from_each_other_and_overwritten_when_they_come_back() {
        let arena = Arena::default();
        let n_lines = 1024;
        let mut slots: Vec<Slot<CodeLine>> = (0..64).map(|_| arena.take(n_lines)).collect();
        for (idx, slot) in slots.iter_mut().enumerate() {
            assert!(slot.iter().all(|line| *line == CodeLine::ZERO));
            slot.fill(CodeLine([idx as u8 + 1; 64]));
        }
        for (idx, slot) in slots.iter().enumerate() {
            assert!(slot.iter().all(|line| *line == CodeLine([idx as u8 + 1; 64])), "slot {idx} is shared");
        }
        assert_eq!(arena.n_bytes(), 2 * LARGE_PAGE);
        let address = slots[3].as_ptr();
        slots.remove(3);
        let again: Slot<CodeLine> = arena.take(n_lines);
        assert_eq!(again.as_ptr(), address, "a free place is taken before memory is");
        assert!(again.iter().all(|line| *line == CodeLine::ZERO), "what was there before is left");
    }

    #[test]
    fn neighbours_follow_each_other_and_empty_slabs_are_given_back() {
        let arena = Arena::default();
        let slots: Vec<Slot<FloatLine>> = (0..4).map(|_| arena.take(8192)).collect();
        for pair in slots.windows(2) {
            assert_eq!(pair[0].as_ptr_range().end, pair[1].as_ptr());
        }
        assert_eq!(slots[0].as_ptr() as usize % LARGE_PAGE, 0);
        drop(slots);
        assert_eq!(arena.n_bytes(), 0);
    }

    #[test]
    fn beyond_a_few_slabs_each_plane_has_its_own() {
        let first = Arena::default();
        let second = first.second_plane();
        let n_lines = 1024;
        let mut slots: Vec<(Slot<CodeLine>, Slot<CodeLine>)> =
            (0..SHARED_SLABS * 16).map(|_| (first.take(n_lines), second.take(n_lines))).collect();
        assert_eq!(first.n_bytes(), SHARED_SLABS * LARGE_PAGE, "a few slabs are shared, and full");
        let n_shared = slots.len();
        slots.extend((0..32).map(|_| (first.take(n_lines), second.take(n_lines))));
        assert_eq!(first.n_bytes(), (SHARED_SLABS + 2) * LARGE_PAGE);
        for pair in slots[n_shared..].windows(2) {
            assert_eq!(pair[0].0.as_ptr_range().end, pair[1].0.as_ptr(), "the first plane is not one run");
            assert_eq!(pair[0].1.as_ptr_range().end, pair[1].1.as_ptr(), "the second plane is not one run");
        }
        // A place that comes back to a shared slab serves either plane.
        drop(slots.remove(0));
        let again: Slot<CodeLine> = second.take(n_lines);
        assert_eq!(first.n_bytes(), (SHARED_SLABS + 2) * LARGE_PAGE);
        drop((again, slots));
        assert_eq!(first.n_bytes(), 0);
    }

    #[test]
    fn small_slots_take_no_large_page() {
        let arena = Arena::default();
        let slots: Vec<Slot<RowSizes>> = (0..3).map(|_| arena.take(1024)).collect();
        assert_eq!((arena.n_bytes(), slots[2].as_ptr() as usize % 64), (64 * 4096, 0));
    }
}
