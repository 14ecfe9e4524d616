//! One pass over rows for one or several probes: a first bound from the coarse codes excludes nearly all rows, closer ones
//! from the fine codes nearly all of the rest, and the similarity itself decides. See [`super::quantise`] for why nothing
//! is missed.
//!
//! `sketches` has the looks that come before the coarse codes, `second_looks` those that follow, and `candidates` what is left
//! in the end.
//!
//! Vectors are on disk, so few should be read. A row's fine codes bound its similarity from below as well: once `top_k`
//! rows are known to reach some similarity, a row that cannot reach it is no hit, though no vector was read. So the rows
//! that may be hits are kept until the pass has seen all rows, and read then, the likeliest first. With one hit a person it
//! is not known which of those rows will count: there each is read when it is found. So it is of those among the best so far
//! by a search that is alone, where rows have more than 128 numbers: a cutoff that is exact excludes far more of these.
//!
//! Rows of more than 128 numbers have their fifth bits by themselves: what the coarse bound does not exclude, which with
//! hundreds of dimensions is a third of all rows, is looked at by those first, a quarter of the memory, and nearly all of
//! it is excluded.
//!
//! Rows with sketches have these looked at first, by a question that is alone: three quarters of the memory of coarse codes,
//! and a hundredth of the rows left for those. What is left waits until the end of the pass, as below, but for rows that
//! promise a hit.
//!
//! Nor should many fine codes be read, each of which is waited for. What a row must reach grows while the pass goes on, so
//! of the rows that the bounds so far do not exclude, those are looked at again at once whose codes alone promise a hit:
//! they make it grow. The others wait until the end, when most of them are excluded without a look.

mod candidates;
mod second_looks;
mod sketches;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use likeness_domain::types::Similarity;

use super::best::Best;
use super::columns::{Bits, NO_ROWS, Plan, SEGMENT_ROWS, bit, first_rows};
use super::kernel::{self, BatchProbes, BatchScratch, FoundRow, GROUP_ROWS, Kernel, NarrowedRow};
use super::quantise::ReadyProbe;
use super::segment::{Segment, SharedSegment, VectorBuffer, passing};
use super::sketch::SKETCHED_FROM;
use candidates::Candidates;
use second_looks::{Deferred, Unrefined};
use sketches::Sketches;

/// With one row in so many wanted or fewer, the wanted rows are looked at one by one instead of all. Measured with a
/// million rows of 128 dimensions: 10 % wanted take a third of the time so, 20 % as long, 30 % a quarter longer.
const SPARSE: usize = 5;

/// How many segments ahead it is fetched where a segment's planes are: the scan of one takes 2 µs, and looks at the next.
const SEGMENTS_AHEAD: usize = 4;

/// How many segments ahead the values of its columns are fetched; where they are is fetched as many ahead as above.
const VALUES_AHEAD: usize = SEGMENTS_AHEAD / 2;

/// A question made ready for the rows of one snapshot.
pub(super) struct Question {
    pub(super) probe: ReadyProbe,
    pub(super) plan: Option<Plan>,
    pub(super) top_k: usize,
    pub(super) similarity_min: Similarity,
    pub(super) one_per_person: bool,
}

/// Questions answered in the same pass.
pub(super) struct Questions {
    questions: Vec<Question>,
    /// All of them side by side, if there are enough.
    batch: Option<BatchProbes>,
}

impl Questions {
    pub(super) fn new(questions: Vec<Question>) -> Self {
        let probes: Vec<_> = questions.iter().map(|question| &question.probe.codes).collect();
        let kernel = kernel::active();
        let n_min = kernel.batch_min();
        let batch = (questions.len() >= n_min.coarse.min(n_min.finer)).then(|| kernel.batch(&probes));
        Self { questions, batch }
    }

    /// One for each question, without rows.
    pub(super) fn empty_bests(&self) -> Vec<Best> {
        let empty = |question: &Question| Best::new(question.top_k, question.similarity_min, question.one_per_person);
        self.questions.iter().map(empty).collect()
    }
}

/// The rows of a segment that a question is about.
enum Asked {
    None,
    All,
    /// So many that all rows are compared and the others left out.
    Many(Bits),
    /// So few that they are looked at one by one: these of a list.
    Few(Range<usize>),
}

impl Asked {
    /// Few rows are put on the list.
    fn of(question: &Question, segment: &SharedSegment, list: &mut Vec<u16>) -> Self {
        match &question.plan {
            _ if question.top_k == 0 => Asked::None,
            None => Asked::All,
            plan => {
                let rows = passing(segment, plan.as_ref());
                let (first, n_few) = (list.len(), segment.n_rows() / SPARSE);
                match kernel::active().list(&rows, n_few, list) {
                    0 => Asked::None,
                    n_rows if n_rows > n_few => Asked::Many(rows),
                    _ => Asked::Few(first..list.len()),
                }
            }
        }
    }

    fn is_dense(&self) -> bool {
        matches!(self, Asked::All | Asked::Many(_))
    }
}

/// What each question is about of one segment.
#[derive(Default)]
struct Wanted {
    asked: Vec<Asked>,
    /// Of the questions that are about few rows, one after the other.
    list: Vec<u16>,
}

impl Wanted {
    fn find(&mut self, questions: &[Question], segment: &SharedSegment) {
        self.asked.clear();
        self.list.clear();
        self.asked.extend(questions.iter().map(|question| Asked::of(question, segment, &mut self.list)));
    }
}

/// Sketches are looked at where at least so many segments have them: less is not worth making the tables for a probe, which
/// takes as long as the scan of some seven segments (`perf`).
const SKETCHED_MIN: usize = if cfg!(test) { 1 } else { 16 };

/// Whether the segment has sketches that are worth looking at.
fn is_sketched(segments: &[SharedSegment], segment_idx: usize) -> bool {
    segments.len() >= SKETCHED_FROM + SKETCHED_MIN && !segments[segment_idx].sketches().is_empty()
}

/// All rows of a full segment.
const ALL_ROWS: Bits = [u64::MAX; SEGMENT_ROWS / 64];

/// One pass of one thread.
pub(super) struct Pass<'a> {
    kernel: &'static Kernel,
    questions: &'a Questions,
    /// `bests[i]` collects for question `i`.
    bests: Vec<Best>,
    /// For each question, once a segment with sketches was looked at.
    sketches: Vec<Option<Sketches>>,
    /// For each question, of the segment looked at last, where rows have fifth bits.
    unnarrowed: Vec<Unrefined>,
    /// For each question, of the segment looked at last, or of the one before where rows have fifth bits.
    unrefined: Vec<Unrefined>,
    /// For each question, rows that wait for a second look: of all segments so far, in their order.
    deferred: Vec<Vec<Deferred>>,
    /// For each question.
    candidates: Vec<Candidates>,
    /// For each question, of the rows looked at last.
    found: Vec<Vec<FoundRow>>,
    /// Of the segment at hand.
    wanted: Wanted,
    /// The same of the segment that comes next, if its number is this.
    coming: (usize, Wanted),
    narrowed: Vec<NarrowedRow>,
    near: Vec<FoundRow>,
    cutoffs: Vec<f32>,
    scratch: BatchScratch,
    is_begun: bool,
    /// Whether there is one question, about all rows.
    is_lone: bool,
    /// Whether a question has a filter.
    is_filtered: bool,
    /// The columns that filters look at.
    columns: Vec<usize>,
    /// Whether more of each segment is read than its coarse plane.
    looks_at_segments: bool,
    buffer: VectorBuffer,
    /// Why a row on disk could not be read.
    failure: Option<io::Error>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(questions: &'a Questions) -> Self {
        let bests = questions.empty_bests();
        Self {
            kernel: kernel::active(),
            questions,
            candidates: bests.iter().map(|best| Candidates::none(best.cutoff())).collect(),
            bests,
            sketches: questions.questions.iter().map(|_| None).collect(),
            unnarrowed: vec![Unrefined::default(); questions.questions.len()],
            unrefined: vec![Unrefined::default(); questions.questions.len()],
            deferred: vec![Vec::new(); questions.questions.len()],
            found: vec![Vec::new(); questions.questions.len()],
            wanted: Wanted::default(),
            coming: (usize::MAX, Wanted::default()),
            narrowed: Vec::new(),
            near: Vec::new(),
            cutoffs: Vec::new(),
            scratch: BatchScratch::default(),
            is_begun: false,
            is_lone: matches!(&questions.questions[..], [only] if only.plan.is_none() && only.top_k > 0),
            is_filtered: questions.questions.iter().any(|asked| asked.plan.is_some()),
            columns: {
                let plans = questions.questions.iter().filter_map(|question| question.plan.as_ref());
                BTreeSet::from_iter(plans.flat_map(Plan::columns)).into_iter().collect()
            },
            looks_at_segments: questions.batch.is_some(),
            buffer: VectorBuffer::default(),
            failure: None,
        }
    }

    /// Looks at every row of some of the segments, which are the same in every call.
    pub(super) fn scan(&mut self, segments: &[SharedSegment], range: Range<usize>) {
        for segment_idx in range {
            // Most of the time of a search is spent here: nothing else is done for such a segment.
            let is_sketched = self.is_lone && self.is_begun && is_sketched(segments, segment_idx);
            if is_sketched && self.scan_sketches(segments, segment_idx, 0, &ALL_ROWS) {
                continue;
            }
            // Else what is at hand is enough, but for the few segments with rows that promise a hit.
            let looks_at_it = |coming: &&SharedSegment| self.looks_at_segments || coming.n_lines() > 1;
            if let Some(coming) = segments.get(segment_idx + SEGMENTS_AHEAD).filter(looks_at_it) {
                coming.fetch_ahead();
            }
            self.fetch_columns_ahead(segments, segment_idx);
            self.scan_segment(segments, segment_idx);
        }
    }

    /// Has what filters look at fetched: first where it is, some segments later the values.
    fn fetch_columns_ahead(&self, segments: &[SharedSegment], segment_idx: usize) {
        for &column_idx in &self.columns {
            if let Some(coming) = segments.get(segment_idx + SEGMENTS_AHEAD) {
                coming.columns()[column_idx].fetch_ahead();
            }
            if let Some(coming) = segments.get(segment_idx + VALUES_AHEAD) {
                coming.columns()[column_idx].fetch_values_ahead();
            }
        }
    }

    /// The best of all rows looked at, for each question. An error if a row could not be read from disk.
    pub(super) fn into_bests(mut self, segments: &[SharedSegment]) -> io::Result<Vec<Best>> {
        for question_idx in 0..self.bests.len() {
            self.look_at_promising(segments, question_idx);
            self.narrow(segments, question_idx);
            self.refine(segments, question_idx);
            if self.sketches[question_idx].is_some() {
                // As below.
                self.settle(segments, question_idx);
                self.look_at_sketched(segments, question_idx);
                self.refine(segments, question_idx);
            }
            // These would nearly all be read in the end: known exactly, they exclude more of the rows that wait.
            self.settle(segments, question_idx);
            self.refine_deferred(segments, question_idx);
            self.settle(segments, question_idx);
        }
        self.failure.map_or(Ok(self.bests), Err)
    }

    fn scan_segment(&mut self, segments: &[SharedSegment], segment_idx: usize) {
        let segment = &segments[segment_idx];
        let next = segments.get(segment_idx + 1);
        let questions = self.questions;
        let n_groups = segment.n_rows().div_ceil(GROUP_ROWS);
        // The first rows fill the lists, and each makes the cutoff higher: growing steps, so that not every row is settled.
        let ends: &[usize] = if self.is_begun { &[] } else { &[4, 8, 16, 32] };
        self.is_begun = true;
        let mut wanted = std::mem::take(&mut self.wanted);
        match self.coming.0 == segment_idx {
            true => std::mem::swap(&mut wanted, &mut self.coming.1),
            false => wanted.find(&questions.questions, segment),
        }
        self.look_at_coming(segments, segment_idx + 1);
        let Wanted { asked, list } = &wanted;
        let n_dense = asked.iter().filter(|asked| asked.is_dense()).count();
        let n_min = match segment.n_lines() > 1 || is_sketched(segments, segment_idx) {
            true => self.kernel.batch_min().finer,
            false => self.kernel.batch_min().coarse,
        };
        let batch = questions.batch.as_ref().filter(|_| n_dense >= n_min);
        let all = if n_dense > 0 { first_rows(segment.n_rows()) } else { NO_ROWS };
        let mut start = 0;
        for end in ends.iter().copied().filter(|end| *end < n_groups).chain([n_groups]) {
            if let Some(batch) = batch {
                self.scan_batch((segment, next), start..end, (batch, asked));
            }
            for (question_idx, asked) in asked.iter().enumerate() {
                match asked {
                    Asked::None => continue,
                    Asked::All | Asked::Many(_) => {
                        let wanted = if let Asked::Many(rows) = asked { rows } else { &all };
                        if batch.is_none() {
                            self.scan_all(segments, (segment_idx, start..end), question_idx, wanted);
                        } else if !self.found[question_idx].is_empty() {
                            self.found[question_idx].retain(|found| bit(wanted, found.row as usize));
                        }
                    }
                    Asked::Few(of_list) => {
                        self.scan_listed(segment, start..end, question_idx, &list[of_list.clone()]);
                    }
                }
                let is_whole = batch.is_some() && asked.is_dense() && self.kernel.has_whole_tiles();
                self.take_found(segments, segment_idx, question_idx, is_whole);
                if end < n_groups {
                    self.narrow(segments, question_idx);
                    self.refine(segments, question_idx);
                }
            }
            start = end;
        }
        self.wanted = wanted;
    }

    /// Has few rows of the next segment fetched that are looked at one by one: all of them are waited for otherwise.
    fn look_at_coming(&mut self, segments: &[SharedSegment], segment_idx: usize) {
        let questions = &self.questions.questions;
        self.coming.0 = usize::MAX;
        let is_worth_it = self.questions.batch.is_none() && self.is_filtered;
        let Some(segment) = segments.get(segment_idx).filter(|_| is_worth_it) else { return };
        self.coming.1.find(questions, segment);
        self.coming.0 = segment_idx;
        let rows = segment.coarse_rows(None);
        for row in &self.coming.1.list {
            Segment::fetch_coarse_ahead(&rows, usize::from(*row));
        }
    }

    /// Several questions at once; finds rows that are not asked for as well.
    fn scan_batch(
        &mut self,
        (segment, next): (&SharedSegment, Option<&SharedSegment>),
        groups: Range<usize>,
        (batch, asked): (&BatchProbes, &[Asked]),
    ) {
        let cutoff = |(candidates, asked): (&Candidates, &Asked)| match asked.is_dense() {
            true => candidates.cutoff,
            false => f32::INFINITY,
        };
        self.cutoffs.clear();
        self.cutoffs.extend(self.candidates.iter().zip(asked).map(cutoff));
        let rows = segment.batch_rows(segment.coarse_rows(next), next.map(|next| &**next));
        self.kernel.scan_batch(&rows, groups, batch, &self.cutoffs, &mut self.scratch, &mut self.found);
    }

    fn scan_all(
        &mut self,
        segments: &[SharedSegment],
        (segment_idx, groups): (usize, Range<usize>),
        question_idx: usize,
        wanted: &Bits,
    ) {
        let (segment, next) = (&segments[segment_idx], segments.get(segment_idx + 1));
        let is_whole = groups == (0..SEGMENT_ROWS / GROUP_ROWS);
        // A lone question has tried already.
        if is_whole
            && !self.is_lone
            && is_sketched(segments, segment_idx)
            && self.scan_sketches(segments, segment_idx, question_idx, wanted)
        {
            return;
        }
        let probe = &self.questions.questions[question_idx].probe.codes;
        let cutoff = self.candidates[question_idx].cutoff;
        self.kernel.scan(&segment.coarse_rows(next), groups, wanted, probe, cutoff, &mut self.found[question_idx]);
    }

    /// Looks at the coarse codes of the rows of a list.
    fn look_at_coarse(&mut self, segments: &[SharedSegment], segment_idx: usize, question_idx: usize, list: &[u16]) {
        let probe = &self.questions.questions[question_idx].probe.codes;
        let cutoff = self.candidates[question_idx].cutoff;
        let rows = segments[segment_idx].coarse_rows(None);
        self.kernel.scan_listed(&rows, list, probe, cutoff, &mut self.found[question_idx]);
        self.take_found(segments, segment_idx, question_idx, false);
    }

    /// Those few rows of a list that are in the groups.
    fn scan_listed(&mut self, segment: &SharedSegment, groups: Range<usize>, question_idx: usize, list: &[u16]) {
        let end_of = |group: usize| list.partition_point(|&row| usize::from(row) < group * GROUP_ROWS);
        let list = &list[end_of(groups.start)..end_of(groups.end)];
        if list.is_empty() {
            return;
        }
        let probe = &self.questions.questions[question_idx].probe.codes;
        let cutoff = self.candidates[question_idx].cutoff;
        let found = &mut self.found[question_idx];
        self.kernel.scan_listed(&segment.coarse_rows(None), list, probe, cutoff, found);
    }
}

const _: () = assert!(SEGMENT_ROWS.is_multiple_of(64) && SEGMENT_ROWS <= u16::MAX as usize);
