//! The threads that scan, their bounded queue, and questions answered together.
//!
//! A thread takes the oldest waiting question and with it every other one for the same face set, up to
//! [`BATCH_MAX`]: they share each load of the gallery from memory. While nothing waits, idle threads help with a running
//! scan, so a single question over a large gallery has all of them.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use likeness_domain::ports::{GallerySearch, Hit};
use likeness_domain::{Error, Kind, Result};
use tokio::sync::oneshot;

use super::best::Best;
use super::galleries::Galleries;
use super::gallery::{Gallery, Snapshot};
use super::pass::{Pass, Question, Questions};
use super::quantise::ReadyProbe;
use super::rotation::Rotation;

/// Most questions answered in one pass.
const BATCH_MAX: usize = 256;

/// Segments that a thread takes of a scan at a time: some 1 MB of coarse codes at 128 dimensions.
const STRETCH_SEGMENTS: usize = 16;

struct Waiting {
    question: GallerySearch,
    answer: oneshot::Sender<Answer>,
}

/// The hits, or why there are none.
type Answer = Result<Vec<Hit>>;

struct Work {
    waiting: VecDeque<Waiting>,
    running: Vec<Arc<Scan>>,
    /// Closed galleries, whose memory is overwritten here and not by the thread that closed them.
    retired: Vec<Arc<Gallery>>,
    is_closing: bool,
}

pub(super) struct Pool {
    work: Mutex<Work>,
    ready: Condvar,
    queue_len_max: usize,
}

enum Task {
    Answer(Vec<Waiting>),
    Help(Arc<Scan>),
    Drop(Vec<Arc<Gallery>>),
}

impl Pool {
    pub(super) fn new(queue_len_max: usize) -> Self {
        let work = Work { waiting: VecDeque::new(), running: Vec::new(), retired: Vec::new(), is_closing: false };
        Self { work: Mutex::new(work), ready: Condvar::new(), queue_len_max }
    }

    /// Puts a question into the queue; [`Kind::Overloaded`] if that is full. The answer never comes if the pool closes
    /// or the scan panics.
    pub(super) fn submit(&self, question: GallerySearch) -> Result<oneshot::Receiver<Answer>> {
        let (answer, receiver) = oneshot::channel();
        let mut work = self.work();
        if work.waiting.len() >= self.queue_len_max {
            // Whoever hung up needs no place.
            work.waiting.retain(|waiting| !waiting.answer.is_closed());
            if work.waiting.len() >= self.queue_len_max {
                let message = format!("{} searches are waiting already, try again later", work.waiting.len());
                return Err(Error::new(Kind::Overloaded, message));
            }
        }
        work.waiting.push_back(Waiting { question, answer });
        self.ready.notify_one();
        Ok(receiver)
    }

    /// Takes a gallery that nobody will search again.
    pub(super) fn discard(&self, gallery: Arc<Gallery>) {
        self.work().retired.push(gallery);
        self.ready.notify_one();
    }

    /// Makes every thread leave after the task it is at.
    pub(super) fn close(&self) {
        let mut work = self.work();
        work.is_closing = true;
        work.waiting.clear();
        self.ready.notify_all();
    }

    /// What each thread does until the pool closes.
    pub(super) fn work_off(&self, galleries: &Galleries) {
        while let Some(task) = self.next_task() {
            let outcome = catch_unwind(AssertUnwindSafe(|| match task {
                Task::Answer(batch) => self.answer(batch, galleries),
                Task::Help(scan) => scan.run(),
                Task::Drop(retired) => drop(retired),
            }));
            if outcome.is_err() {
                // The askers see their answer's sender dropped.
                tracing::error!("a search panicked");
            }
        }
    }

    fn next_task(&self) -> Option<Task> {
        let mut work = self.work();
        loop {
            if work.is_closing {
                return None;
            }
            if !work.retired.is_empty() {
                return Some(Task::Drop(std::mem::take(&mut work.retired)));
            }
            if let Some(batch) = next_batch(&mut work.waiting) {
                return Some(Task::Answer(batch));
            }
            work.running.retain(|scan| scan.has_more());
            if let Some(scan) = work.running.first() {
                return Some(Task::Help(scan.clone()));
            }
            work = self.ready.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn answer(&self, batch: Vec<Waiting>, galleries: &Galleries) {
        let Some(first) = batch.first() else { return };
        let Some(gallery) = galleries.get(first.question.face_set) else {
            for waiting in batch {
                // The asker may have left.
                let _ = waiting.answer.send(Ok(Vec::new()));
            }
            return;
        };
        let (questions, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.question, waiting.answer)).unzip();
        let scan = Arc::new(Scan::new(&gallery, questions, answers));
        if scan.n_stretches > 1 {
            self.work().running.push(scan.clone());
            self.ready.notify_all();
        }
        scan.run();
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        // The queue is whole between any two of its operations, so a panic elsewhere leaves it usable.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The oldest question that is still wanted, and others for the same face set.
fn next_batch(waiting: &mut VecDeque<Waiting>) -> Option<Vec<Waiting>> {
    let mut batch: Vec<Waiting> = Vec::new();
    let mut passed_over = VecDeque::new();
    while let Some(next) = waiting.pop_front() {
        if next.answer.is_closed() {
            continue;
        }
        let joins = batch.first().is_none_or(|first| first.question.face_set == next.question.face_set);
        if joins && batch.len() < BATCH_MAX {
            batch.push(next);
        } else {
            passed_over.push_back(next);
        }
    }
    *waiting = passed_over;
    (!batch.is_empty()).then_some(batch)
}

/// Questions over one snapshot of a gallery, answered by one or more threads.
struct Scan {
    snapshot: Snapshot,
    questions: Questions,
    n_stretches: usize,
    /// The first stretch that nobody has taken.
    next_stretch: AtomicUsize,
    outcome: Mutex<Outcome>,
}

struct Outcome {
    n_stretches_done: usize,
    bests: Vec<Best>,
    answers: Vec<oneshot::Sender<Answer>>,
    failure: Option<Arc<io::Error>>,
}

impl Scan {
    fn new(gallery: &Gallery, searches: Vec<GallerySearch>, answers: Vec<oneshot::Sender<Answer>>) -> Self {
        let (snapshot, questions) = ready_questions(gallery, &searches);
        let bests = questions.empty_bests();
        Self {
            n_stretches: snapshot.segments.len().div_ceil(STRETCH_SEGMENTS).max(1),
            next_stretch: AtomicUsize::new(0),
            outcome: Mutex::new(Outcome { n_stretches_done: 0, bests, answers, failure: None }),
            snapshot,
            questions,
        }
    }

    fn has_more(&self) -> bool {
        self.next_stretch.load(Ordering::Relaxed) < self.n_stretches
    }

    /// Takes stretches until none is left; whoever finishes the last one answers.
    fn run(&self) {
        let mut pass = Pass::new(&self.questions);
        let mut n_done = 0;
        loop {
            // The stretch itself is read-only; results are handed over under the lock below.
            let stretch = self.next_stretch.fetch_add(1, Ordering::Relaxed);
            if stretch >= self.n_stretches {
                break;
            }
            let first = stretch * STRETCH_SEGMENTS;
            let end = (first + STRETCH_SEGMENTS).min(self.snapshot.segments.len());
            pass.scan(&self.snapshot.segments, first..end);
            n_done += 1;
        }
        if n_done == 0 {
            return;
        }
        let bests = pass.into_bests(&self.snapshot.segments);
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        match bests {
            Ok(parts) => outcome.bests.iter_mut().zip(parts).for_each(|(total, part)| total.merge(part)),
            Err(error) => outcome.failure = Some(Arc::new(error)),
        }
        outcome.n_stretches_done += n_done;
        if outcome.n_stretches_done == self.n_stretches {
            let (bests, answers) = (std::mem::take(&mut outcome.bests), std::mem::take(&mut outcome.answers));
            for (best, answer) in bests.into_iter().zip(answers) {
                let hits = match &outcome.failure {
                    None => Ok(best.into_hits()),
                    Some(error) => Err(unreadable(Arc::clone(error))),
                };
                // The asker may have left.
                let _ = answer.send(hits);
            }
        }
    }
}

/// A snapshot, and the questions made ready for it. A probe that cannot be compared with the rows wants none of them.
fn ready_questions(gallery: &Gallery, searches: &[GallerySearch]) -> (Snapshot, Questions) {
    let (snapshot, plans) = gallery.snapshot(searches.iter().map(|search| search.filter.as_deref()));
    let rotation = snapshot.rotation.as_deref();
    let questions = searches.iter().zip(plans).map(|(search, plan)| {
        let unit = search.probe.unit();
        let comparable = rotation.filter(|rotation| {
            search.probe.pack() == gallery.pack() && unit.len() == rotation.dimensions() && search.top_k > 0
        });
        let probe = match (comparable, rotation) {
            (Some(rotation), _) => ReadyProbe::new(unit, rotation),
            // In its place one that is of the rows' length and finds none.
            (None, Some(rotation)) => ReadyProbe::new(&vec![0.0; rotation.dimensions()], rotation),
            (None, None) => ReadyProbe::new(&[0.0], &Rotation::new(0, 1)),
        };
        Question {
            probe,
            plan,
            top_k: if comparable.is_some() { search.top_k } else { 0 },
            similarity_min: search.similarity_min,
            one_per_person: search.one_per_person,
        }
    });
    let questions = Questions::new(questions.collect());
    (snapshot, questions)
}

fn unreadable(error: Arc<io::Error>) -> Error {
    tracing::error!(%error, "rows of the index cannot be read from disk");
    Error::internal("cannot read the rows of the index", error)
}

/// Answers on the calling thread.
pub(super) fn answer_here(gallery: &Gallery, search: GallerySearch) -> Answer {
    let hits = answer_together(gallery, &[search])?;
    Ok(hits.into_iter().next().unwrap_or_default())
}

/// Answers searches on the calling thread in one pass, each with its own hits.
pub(super) fn answer_together(gallery: &Gallery, searches: &[GallerySearch]) -> Result<Vec<Vec<Hit>>> {
    let (snapshot, questions) = ready_questions(gallery, searches);
    let mut pass = Pass::new(&questions);
    pass.scan(&snapshot.segments, 0..snapshot.segments.len());
    let bests = pass.into_bests(&snapshot.segments).map_err(|error| unreadable(Arc::new(error)))?;
    Ok(bests.into_iter().map(Best::into_hits).collect())
}
