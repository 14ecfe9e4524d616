//! How much memory the index takes for a face, counted by the allocator: a test binary of its own, as every allocation of
//! the process is counted.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use likeness_domain::ports::{GalleryChange, GalleryEntry, VectorIndex};
use likeness_domain::types::{FaceId, FaceSetId, FieldSchema, PackId, Revision, Template};
use likeness_store::index::conformance::ApplyNow;
use likeness_store::index::{FlatIndex, FlatOptions};

static IN_USE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is handed on to the system's allocator; only sizes are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as of this function.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// At most 220 bytes a face of 128 numbers in a set without custom fields, besides what the last rows of a set cost: up to
/// 1024 of them keep their vectors in memory, which is too much for 220 in sets of fewer than a hundred thousand faces.
#[test]
fn a_face_takes_at_most_220_bytes_of_memory() {
    const BYTES_MAX: usize = 220;
    const LAST_ROWS_BYTES: usize = 1024 * 128 * size_of::<f32>();
    // Soon after the table of faces has doubled: nearly its worst sizes.
    for (n_faces, besides) in [(61_000, LAST_ROWS_BYTES), (115_000, 0)] {
        let n_bytes = bytes_of(n_faces) - besides;
        let bytes_per_face = n_bytes / n_faces as usize;
        assert!(
            bytes_per_face <= BYTES_MAX,
            "{n_faces} faces: {bytes_per_face} bytes each, expected at most {BYTES_MAX}"
        );
    }
}

/// Bytes that so many faces take.
fn bytes_of(n_faces: u64) -> usize {
    let scratch = tempfile::tempdir().expect("a folder");
    let before = IN_USE.load(Ordering::Relaxed);
    let options = FlatOptions { n_threads: 1, queue_len_max: 1, inline_numbers_max: 0, seed: 1 };
    let index = FlatIndex::new_in(options, scratch.path()).expect("an index");
    let face_set = FaceSetId::new(1).expect("an id");
    let pack = PackId::new("pack-1").expect("a pack id");
    let schema = Arc::new(FieldSchema::default());
    index.apply_now(Revision(1), vec![GalleryChange::Open { face_set, pack: pack.clone(), schema }]);
    for first in (1..=n_faces).step_by(1000) {
        let put = |number: u64| {
            let raw: Vec<f32> = (0..128).map(|idx| ((number * 128 + idx) as f32 * 0.37).sin()).collect();
            let template = Template::new(pack.clone(), &raw).expect("a direction");
            let face = FaceId::new(number).expect("an id");
            let entry =
                GalleryEntry { face, sequence: number, person: None, template, subject: None, values: Box::default() };
            GalleryChange::Put { face_set, entry }
        };
        index.apply_now(Revision(2), (first..(first + 1000).min(n_faces + 1)).map(put).collect());
    }
    assert_eq!(index.n_rows(face_set) as u64, n_faces);
    IN_USE.load(Ordering::Relaxed) - before
}
