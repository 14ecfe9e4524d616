//! The exact index: every row, in memory, scanned.

use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use likeness_domain::filter::Filter;
use likeness_domain::ports::{GalleryChange, GallerySearch, Hit, KeptRows, Pending, STEPS, VectorIndex};
use likeness_domain::types::{FaceSetId, Revision};
use likeness_domain::{Error, Result};
use tracing::Instrument;

use super::galleries::Galleries;
use super::gallery::{Backing, Gallery, KeptRow, RowChange};
use super::kernel::mapped::give_memory_back;
use super::pool::{Pool, answer_here};
use super::rotation::split_mix;
use super::row_file::{RowFile, RowFiles};
use super::row_record::{self, Record};
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

/// From the removal of a row to the moment its overwritten bytes are flushed: several removals share one flush.
const FLUSH_DELAY: Duration = Duration::from_millis(250);

/// How often it is looked whether something is to be flushed that no signal came for.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Scans every row of a face set's gallery in int8 and computes the similarity of those rows that can be hits, which
/// gives the same answer as computing all of them. See the module's page.
pub struct FlatIndex {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    reached: Reached,
    options: FlatOptions,
    backing: Backing,
    flusher: Option<Flusher>,
}

struct Shared {
    galleries: Galleries,
    pool: Pool,
}

/// A thread that flushes what was overwritten on disk, a while after it is signalled that something was.
struct Flusher {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Flusher {
    fn start(files: Arc<RowFiles>) -> Result<Self> {
        let (wake, woken) = sync_channel(1);
        let flush = move || {
            // A search or a closed gallery may overwrite later than whoever woke this thread: it looks every second.
            while woken.recv_timeout(FLUSH_PATIENCE) != Err(RecvTimeoutError::Disconnected) {
                let due_at = Instant::now() + FLUSH_DELAY;
                loop {
                    match woken.recv_timeout(due_at.saturating_duration_since(Instant::now())) {
                        Ok(()) => {}
                        Err(RecvTimeoutError::Timeout) => break,
                        // Whoever closes the index flushes everything.
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
                files.flush_erased();
            }
        };
        let thread = thread::Builder::new().name("index-flush".into()).spawn(flush);
        let thread = thread.map_err(|error| Error::internal("cannot start a thread of the index", error))?;
        Ok(Self { wake, thread })
    }

    fn wake(&self) {
        // A full channel has woken it already.
        let _ = self.wake.try_send(());
    }

    fn stop(self) {
        drop(self.wake);
        let _ = self.thread.join();
    }
}

impl FlatIndex {
    /// An index without face sets that keeps everything in memory; starts its threads.
    pub fn new(options: FlatOptions) -> Result<Self> {
        Self::with_files(options, None)
    }

    /// The same with its rows in files of this folder, which must belong to this process: memory holds codes only, and
    /// [`VectorIndex::reopen`] finds the rows again.
    pub fn new_in(options: FlatOptions, folder: &Path) -> Result<Self> {
        Self::with_files(options, Some(Arc::new(RowFiles::new(folder, options.seed))))
    }

    fn with_files(options: FlatOptions, files: Option<Arc<RowFiles>>) -> Result<Self> {
        let shared = Arc::new(Shared { galleries: Galleries::default(), pool: Pool::new(options.queue_len_max) });
        let mut index = Self {
            shared,
            threads: Vec::new(),
            reached: Reached::default(),
            options,
            flusher: files.clone().map(Flusher::start).transpose()?,
            backing: Backing { files, ..Backing::default() },
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
                        let seed = split_mix(&mut (self.options.seed ^ face_set.get()));
                        let opened = Arc::new(Gallery::new(face_set, pack, schema, seed, self.backing.clone()));
                        self.shared.galleries.insert(face_set, opened.clone());
                        opened
                    });
                }
                GalleryChange::Close { .. } => {
                    row_changes.clear();
                    gallery = None;
                    let closed = self.shared.galleries.remove(face_set);
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

/// Rows of a file, read back by several threads.
struct ReadBack<'a> {
    file: &'a RowFile,
    galleries: &'a HashMap<FaceSetId, Arc<Gallery>>,
    next_stretch: AtomicU64,
    found: Mutex<FoundRows>,
}

#[derive(Default)]
struct FoundRows {
    free: Vec<u32>,
    stale: Vec<u32>,
    lacking: Vec<(FaceSetId, u64)>,
}

impl ReadBack<'_> {
    /// Takes stretches until none is left. False if something in the file is not what was written.
    fn run(&self) -> io::Result<bool> {
        let (n_stretches, (key, dimensions)) = (self.file.n_stretches()?, self.file.format());
        let pack_of = |face_set| {
            let gallery = self.galleries.get(&face_set)?;
            Some((gallery.pack().clone(), gallery.schema().fields().len()))
        };
        let (mut bytes, mut found) = (Vec::new(), FoundRows::default());
        loop {
            let stretch = self.next_stretch.fetch_add(1, Ordering::Relaxed);
            if stretch >= n_stretches {
                break;
            }
            let first = self.file.stretch(stretch, &mut bytes)?;
            let mut by_set: BTreeMap<FaceSetId, Vec<KeptRow>> = BTreeMap::new();
            for (slot, bytes) in (first..).zip(bytes.chunks_exact(row_record::slot_bytes(dimensions))) {
                match row_record::read(bytes, (key, dimensions), pack_of) {
                    None => return Ok(false),
                    Some(Record::Free) => found.free.push(slot),
                    Some(Record::Stale) => found.stale.push(slot),
                    Some(Record::Row { face_set, entry, codes, lacks_attributes }) => {
                        if lacks_attributes {
                            found.lacking.push((face_set, entry.sequence));
                        }
                        by_set.entry(face_set).or_default().push(KeptRow { entry, codes, slot });
                    }
                }
            }
            for (face_set, rows) in by_set {
                if !self.galleries.get(&face_set).is_some_and(|gallery| gallery.take_over(self.file, rows)) {
                    return Ok(false);
                }
            }
        }
        let mut total = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        total.free.append(&mut found.free);
        total.stale.append(&mut found.stale);
        total.lacking.append(&mut found.lacking);
        Ok(true)
    }
}

impl FlatIndex {
    /// See [`VectorIndex::reopen`]; an error or `None` leaves galleries that have to be dropped.
    fn read_back(&self, library: [u8; 16], opened: Vec<GalleryChange>) -> io::Result<Option<KeptRows>> {
        let Some(files) = &self.backing.files else { return Ok(None) };
        let Some(revision) = files.reopen(library)? else { return Ok(None) };
        self.apply_all(opened);
        let galleries = self.shared.galleries.all();
        let mut lacking = Vec::new();
        for file in files.open() {
            let read_back = ReadBack {
                file: &file,
                galleries: &galleries,
                next_stretch: AtomicU64::new(0),
                found: Mutex::default(),
            };
            let is_whole = thread::scope(|scope| {
                let run = || scope.spawn(|| read_back.run());
                let threads: Vec<_> = (0..self.options.n_threads.max(1)).map(|_| run()).collect();
                let panicked = || Err(io::Error::other("a thread panicked"));
                threads.into_iter().try_fold(true, |is_whole, thread| {
                    thread.join().unwrap_or_else(|_| panicked()).map(|is_whole_too| is_whole && is_whole_too)
                })
            })?;
            if !is_whole {
                tracing::warn!(
                    dimensions = file.format().1,
                    "the rows of the index on disk are not used: one of them is not what was written"
                );
                return Ok(None);
            }
            let found = read_back.found.into_inner().unwrap_or_else(PoisonError::into_inner);
            file.take_over(found.free, found.stale)?;
            lacking.extend(found.lacking);
        }
        Ok(Some(KeptRows { revision, lacking }))
    }

    fn drop_galleries(&self) {
        for gallery in self.shared.galleries.take_all() {
            self.shared.pool.discard(gallery);
        }
    }

    fn wake_flusher(&self) {
        if let Some(flusher) = &self.flusher {
            flusher.wake();
        }
    }
}

impl VectorIndex for FlatIndex {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        let removes = changes.iter().any(|change| !matches!(change, GalleryChange::Open { .. }));
        // A bug must not leave half a commit to be searched: who panics here is filled anew.
        let applied = catch_unwind(AssertUnwindSafe(|| self.apply_all(changes)));
        Box::pin(ready(match applied {
            Ok(()) => {
                if let Some(files) = self.backing.files.as_ref().filter(|_| self.reached.get().is_some()) {
                    files.reached(revision);
                }
                self.reached.advance(revision);
                if removes {
                    self.wake_flusher();
                }
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

    fn reopen(&self, library: [u8; 16], opened: Vec<GalleryChange>) -> Pending<'_, Option<KeptRows>> {
        self.reached.stop();
        let read = catch_unwind(AssertUnwindSafe(|| self.read_back(library, opened)));
        let kept = match read {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the rows of the index on disk cannot be read");
                None
            }
            Err(_) => None,
        };
        if kept.is_none() {
            if let Some(files) = &self.backing.files {
                files.forget();
            }
            self.drop_galleries();
        }
        Box::pin(ready(Ok(kept)))
    }

    fn restart(&self) -> Pending<'_, ()> {
        self.reached.stop();
        if let Some(files) = &self.backing.files {
            files.abandon();
        }
        self.drop_galleries();
        Box::pin(ready(Ok(())))
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        if let Some(files) = &self.backing.files {
            files.filled(revision);
        }
        self.reached.resume(revision);
        give_memory_back();
        Box::pin(ready(Ok(())))
    }

    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        let searched = async move {
            self.reached.check()?;
            let Some(gallery) = self.shared.galleries.get(question.face_set) else { return Ok(Vec::new()) };
            if gallery.n_numbers() <= self.options.inline_numbers_max {
                return answer_here(&gallery, question);
            }
            drop(gallery);
            let answer = self.shared.pool.submit(question)?;
            answer.await.unwrap_or_else(|error| Err(Error::internal("search was cut short", error)))
        };
        Box::pin(searched.instrument(tracing::info_span!(target: STEPS, "search")))
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
        if let Some(flusher) = self.flusher.take() {
            flusher.stop();
        }
        if let Some(files) = &self.backing.files {
            files.close(self.reached.get());
        }
    }
}
