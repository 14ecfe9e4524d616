//! The exact index: every row, in memory, scanned.

use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use likeness_domain::filter::Filter;
use likeness_domain::ports::{GalleryChange, GallerySearch, Hit, Pending, VectorIndex};
use likeness_domain::types::{FaceSetId, Revision};
use likeness_domain::{Error, Result};

use super::gallery::{Gallery, RowChange};
use super::kernel::pages::Arena;
use super::pool::{Pool, answer_here};
use super::rotation::split_mix;
use super::state::Reached;

/// How much a [`FlatIndex`] may do at a time.
#[derive(Debug, Clone, Copy)]
pub struct FlatOptions {
    /// Threads that scan, at least 1. More than the processor has cores gain nothing.
    pub n_threads: usize,
    /// Most searches waiting for a thread; one more is [`likeness_domain::Kind::Overloaded`].
    pub queue_len_max: usize,
    /// A gallery of at most this many numbers (rows × dimensions) is scanned where the question is asked, because
    /// handing it over would take longer. [`INLINE_NUMBERS_MAX`] is a fifth of a millisecond at worst.
    pub inline_numbers_max: usize,
    /// What the rotations of galleries are made of, together with their face sets. Should be random and unknown to
    /// others; no answer depends on it.
    pub seed: u64,
}

/// A good [`FlatOptions::inline_numbers_max`]: 1024 rows of 128 dimensions. Scanning takes some 15 µs, and 200 µs if
/// every row has to be ranked.
pub const INLINE_NUMBERS_MAX: usize = 1024 * 128;

/// Scans every row of a face set's gallery in int8 and computes the similarity of those rows that can be hits, which
/// gives the same answer as computing all of them. See the module's page.
pub struct FlatIndex {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    reached: Reached,
    inline_numbers_max: usize,
    seed: u64,
    arena: Arena,
}

struct Shared {
    galleries: Galleries,
    pool: Pool,
}

/// The galleries by face set.
#[derive(Default)]
pub(super) struct Galleries(RwLock<HashMap<FaceSetId, Arc<Gallery>>>);

const POISONED: &str = "a change of the index was cut short by a panic";

impl Galleries {
    pub(super) fn get(&self, face_set: FaceSetId) -> Option<Arc<Gallery>> {
        self.0.read().expect(POISONED).get(&face_set).cloned()
    }

    /// Takes every gallery out, also after a panic cut a change short.
    fn take_all(&self) -> Vec<Arc<Gallery>> {
        let mut galleries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        self.0.clear_poison();
        galleries.drain().map(|(_, gallery)| gallery).collect()
    }
}

impl FlatIndex {
    /// An index without face sets; starts its threads.
    pub fn new(options: FlatOptions) -> Result<Self> {
        let shared = Arc::new(Shared { galleries: Galleries::default(), pool: Pool::new(options.queue_len_max) });
        let mut index = Self {
            shared,
            threads: Vec::new(),
            reached: Reached::default(),
            inline_numbers_max: options.inline_numbers_max,
            seed: options.seed,
            arena: Arena::default(),
        };
        for thread_idx in 0..options.n_threads.max(1) {
            let shared = index.shared.clone();
            let thread = thread::Builder::new()
                .name(format!("index-{thread_idx}"))
                .spawn(move || shared.pool.work_off(&shared.galleries))
                .map_err(|error| Error::internal("cannot start a thread of the index", error))?;
            index.threads.push(thread);
        }
        Ok(index)
    }

    fn apply_all(&self, changes: Vec<GalleryChange>) {
        // A search asks one face set, so the order of changes matters only within each.
        let mut by_set: BTreeMap<FaceSetId, Vec<GalleryChange>> = BTreeMap::new();
        for change in changes {
            by_set.entry(face_set_of(&change)).or_default().push(change);
        }
        for (face_set, changes) in by_set {
            self.apply_to(face_set, changes);
        }
    }

    fn apply_to(&self, face_set: FaceSetId, changes: Vec<GalleryChange>) {
        let mut gallery = self.shared.galleries.get(face_set);
        let mut row_changes = Vec::new();
        let flush = |gallery: &Option<Arc<Gallery>>, row_changes: &mut Vec<RowChange>| match gallery {
            _ if row_changes.is_empty() => {}
            Some(gallery) => gallery.apply(std::mem::take(row_changes)),
            None => {
                tracing::error!(%face_set, "{} changes of a face set that is not open are passed over", row_changes.len());
                row_changes.clear();
            }
        };
        for change in changes {
            match change {
                GalleryChange::Put { entry, .. } => row_changes.push(RowChange::Put(entry)),
                GalleryChange::Remove { face, .. } => row_changes.push(RowChange::Remove(face)),
                GalleryChange::Open { pack, schema, .. } => {
                    flush(&gallery, &mut row_changes);
                    gallery.get_or_insert_with(|| {
                        let opened = Arc::new(Gallery::new(
                            pack,
                            schema,
                            split_mix(&mut (self.seed ^ face_set.get())),
                            self.arena.clone(),
                        ));
                        self.shared.galleries.0.write().expect(POISONED).insert(face_set, opened.clone());
                        opened
                    });
                }
                GalleryChange::Close { .. } => {
                    row_changes.clear();
                    gallery = None;
                    let closed = self.shared.galleries.0.write().expect(POISONED).remove(&face_set);
                    if let Some(closed) = closed {
                        self.shared.pool.discard(closed);
                    }
                }
            }
        }
        flush(&gallery, &mut row_changes);
    }
}

fn face_set_of(change: &GalleryChange) -> FaceSetId {
    match change {
        GalleryChange::Open { face_set, .. }
        | GalleryChange::Close { face_set }
        | GalleryChange::Put { face_set, .. }
        | GalleryChange::Remove { face_set, .. } => *face_set,
    }
}

impl VectorIndex for FlatIndex {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        // A bug must not leave half a commit to be searched: who panics here is filled anew.
        let applied = catch_unwind(AssertUnwindSafe(|| self.apply_all(changes)));
        Box::pin(ready(match applied {
            Ok(()) => {
                self.reached.advance(revision);
                Ok(())
            }
            Err(_) => {
                self.reached.stop();
                Err(Error::internal("cannot change the index", "a change panicked"))
            }
        }))
    }

    fn revision(&self) -> Option<Revision> {
        self.reached.get()
    }

    fn restart(&self) -> Pending<'_, ()> {
        self.reached.stop();
        for gallery in self.shared.galleries.take_all() {
            self.shared.pool.discard(gallery);
        }
        Box::pin(ready(Ok(())))
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        self.reached.resume(revision);
        Box::pin(ready(Ok(())))
    }

    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        Box::pin(async move {
            self.reached.check()?;
            let Some(gallery) = self.shared.galleries.get(question.face_set) else { return Ok(Vec::new()) };
            if gallery.n_numbers() <= self.inline_numbers_max {
                return Ok(answer_here(&gallery, question));
            }
            drop(gallery);
            let answer = self.shared.pool.submit(question)?;
            answer.await.map_err(|error| Error::internal("search was cut short", error))
        })
    }

    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        // No vector is read: a million rows take milliseconds.
        let matching =
            || Ok(self.shared.galleries.get(face_set).map_or_else(Vec::new, |gallery| gallery.matching(&filter)));
        Box::pin(ready(self.reached.check().and_then(|()| matching())))
    }

    fn n_rows(&self, face_set: FaceSetId) -> usize {
        self.shared.galleries.get(face_set).map_or(0, |gallery| gallery.n_rows())
    }
}

impl Drop for FlatIndex {
    fn drop(&mut self) {
        self.shared.pool.close();
        for thread in self.threads.drain(..) {
            // A panic in a scan was caught and reported where it happened.
            let _ = thread.join();
        }
    }
}
