//! One pass over rows for one or several probes: a first bound from the coarse codes excludes nearly all rows, closer ones
//! from the fine codes nearly all of the rest, and the similarity itself decides. See [`super::quantise`] for why nothing
//! is missed.
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

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::ops::Range;

use likeness_domain::types::Similarity;

use super::best::{Best, Ranked};
use super::columns::{Bits, Plan, SEGMENT_ROWS, bit, first_rows};
use super::kernel::pages::fetch_ahead;
use super::kernel::sketch::{SketchKernel, SketchedRow};
use super::kernel::{self, BatchProbes, BatchScratch, FoundRow, GROUP_ROWS, Kernel, NarrowedRow, RowSizes};
use super::quantise::ReadyProbe;
use super::segment::{Segment, SharedSegment, VectorBuffer};
use super::sketch::SketchedProbe;

/// With at least so many probes to compare with the rows of a segment, unpacking its codes pays.
const BATCH_MIN: usize = 4;

/// With one row in so many wanted or fewer, the wanted rows are looked at one by one instead of all. Measured with a
/// million rows of 128 dimensions: 10 % wanted take a third of the time so, 20 % as long, 30 % a quarter longer.
const SPARSE: u32 = 5;

/// How many segments ahead it is fetched where a segment's planes are: the scan of one takes 2 µs, and looks at the next.
const SEGMENTS_AHEAD: usize = 4;

/// So many candidates for each wanted hit are kept before those are thrown away that cannot be hits any more, and as many
/// at least as `CANDIDATES_MIN`.
const CANDIDATES_PER_HIT: usize = 4;

/// See [`CANDIDATES_PER_HIT`].
const CANDIDATES_MIN: usize = 256;

/// From the segment with this number on, a lone search reads a row of more than 128 numbers at once if its codes put it among
/// the best so far: some sixty rows in a million. With 512 numbers a deviation of strangers' similarities is 0.044, and the
/// lower bounds that raise the cutoff otherwise are 0.014 below the similarity, which leaves half as many rows again to be
/// looked at a second time. The first rows are often among the best so far, and reading them all costs more than it saves.
const READ_AT_ONCE_FROM: usize = if cfg!(test) { 1 } else { 32 };

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
        let batch = (questions.len() >= BATCH_MIN).then(|| kernel::active().batch(&probes));
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
    /// So few that they are looked at one by one.
    Few(Bits),
}

impl Asked {
    fn of(question: &Question, segment: &SharedSegment) -> Self {
        match &question.plan {
            _ if question.top_k == 0 => Asked::None,
            None => Asked::All,
            plan => {
                let rows = segment.rows(plan.as_ref());
                match rows.iter().map(|word| word.count_ones()).sum::<u32>() {
                    0 => Asked::None,
                    n_rows if n_rows > segment.n_rows() as u32 / SPARSE => Asked::Many(rows),
                    _ => Asked::Few(rows),
                }
            }
        }
    }

    fn is_dense(&self) -> bool {
        matches!(self, Asked::All | Asked::Many(_))
    }
}

/// Most rows that wait for a second look until the end of a pass, of each question: 128 KB.
const DEFERRED_MAX: usize = 8192;

/// Waiting rows whose fine codes are fetched ahead of the row that is looked at: some hundred nanoseconds.
const DEFERRED_AHEAD: usize = 48;

/// A row whose bound reached the cutoff, but whose codes of four or five bits promise no hit.
#[derive(Debug, Clone, Copy)]
struct Deferred {
    segment_idx: u32,
    found: FoundRow,
    /// Upper bound of its similarity.
    bound: f32,
}

/// Most rows that wait for a look at their coarse codes until the end of a pass, of each question: 256 KB.
const SKETCHED_MAX: usize = 65_536;

/// Waiting rows whose coarse codes are fetched ahead of the row that is looked at.
const SKETCHED_AHEAD: usize = 64;

/// With more than one row in so many left by the sketches of a segment, looking at all its coarse codes is as quick, and
/// sketches are passed over for the next `PASSED_OVER` segments.
const SKETCHES_LEAVE: usize = 5;

/// See [`SKETCHES_LEAVE`].
const PASSED_OVER: usize = 15;

/// What looks at sketches need, and what they have left.
struct Sketches {
    kernel: &'static SketchKernel,
    probe: SketchedProbe,
    /// Of this cutoff the least value of rows that may reach it, and of those that promise to.
    cutoff: f32,
    least: u16,
    promising_least: u16,
    /// Rows that their sketches do not exclude, of all segments so far, in the order of these.
    found: Vec<SketchedRow>,
    /// Segments with rows that were found, and how many were up to its end.
    ends: Vec<(u32, u32)>,
    /// Of the segment looked at last, those that promise a hit, while their coarse codes are fetched from memory.
    promising: Vec<u16>,
    promising_segment_idx: usize,
    /// Segments to be looked at without.
    n_passed_over: usize,
}

impl Sketches {
    fn of(question: &Question) -> Option<Self> {
        Some(Self {
            kernel: kernel::sketch::active()?,
            probe: question.probe.sketched(),
            cutoff: f32::NEG_INFINITY,
            least: 0,
            promising_least: 0,
            found: Vec::new(),
            ends: Vec::new(),
            promising: Vec::new(),
            promising_segment_idx: 0,
            n_passed_over: 0,
        })
    }
}

/// All rows of a full segment.
const ALL_ROWS: Bits = [u64::MAX; SEGMENT_ROWS / 64];

/// Rows of a segment whose bound reached the cutoff, while what closer ones need is fetched from memory.
#[derive(Debug, Clone, Default)]
struct Unrefined {
    segment_idx: usize,
    rows: Vec<FoundRow>,
}

/// A row that may be a hit.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    segment_idx: usize,
    row: u32,
    /// Upper bound of its similarity.
    bound: f32,
}

/// A number that can be compared: bounds are finite.
#[derive(Debug, Clone, Copy)]
struct Bound(f32);

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bound {}

/// The rows that may be hits of one question, and what a row must reach to be one.
#[derive(Debug)]
struct Candidates {
    rows: Vec<Candidate>,
    /// The best `top_k` lower bounds of rows seen; the least first.
    lower_bounds: BinaryHeap<Reverse<Bound>>,
    cutoff: f32,
}

impl Candidates {
    /// Takes over that a row's similarity is at least `lower`.
    fn add_lower_bound(&mut self, lower: f32, top_k: usize) {
        if self.lower_bounds.len() >= top_k {
            match self.lower_bounds.peek() {
                Some(Reverse(least)) if least.0 < lower => self.lower_bounds.pop(),
                _ => return,
            };
        }
        self.lower_bounds.push(Reverse(Bound(lower)));
        if let Some(Reverse(least)) = self.lower_bounds.peek()
            && self.lower_bounds.len() >= top_k
        {
            self.cutoff = self.cutoff.max(least.0);
        }
    }
}

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
    /// For each question, of the segment at hand.
    asked: Vec<Asked>,
    /// The same of the segment that comes next, if its number is this.
    coming: (usize, Vec<Asked>),
    narrowed: Vec<NarrowedRow>,
    near: Vec<FoundRow>,
    cutoffs: Vec<f32>,
    scratch: BatchScratch,
    list: Vec<u16>,
    is_begun: bool,
    /// Whether there is one question, about all rows.
    is_lone: bool,
    /// Whether more of each segment is read than its coarse plane.
    looks_at_segments: bool,
    buffer: VectorBuffer,
    /// Why a row on disk could not be read.
    failure: Option<io::Error>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(questions: &'a Questions) -> Self {
        let bests = questions.empty_bests();
        let none =
            |best: &Best| Candidates { rows: Vec::new(), lower_bounds: BinaryHeap::new(), cutoff: best.cutoff() };
        Self {
            kernel: kernel::active(),
            questions,
            candidates: bests.iter().map(none).collect(),
            bests,
            sketches: questions.questions.iter().map(|_| None).collect(),
            unnarrowed: vec![Unrefined::default(); questions.questions.len()],
            unrefined: vec![Unrefined::default(); questions.questions.len()],
            deferred: vec![Vec::new(); questions.questions.len()],
            found: vec![Vec::new(); questions.questions.len()],
            asked: Vec::new(),
            coming: (usize::MAX, Vec::new()),
            narrowed: Vec::new(),
            near: Vec::new(),
            cutoffs: Vec::new(),
            scratch: BatchScratch::default(),
            list: Vec::new(),
            is_begun: false,
            is_lone: matches!(&questions.questions[..], [only] if only.plan.is_none() && only.top_k > 0),
            looks_at_segments: questions.batch.is_some()
                || questions.questions.iter().any(|asked| asked.plan.is_some()),
            buffer: VectorBuffer::default(),
            failure: None,
        }
    }

    /// Looks at every row of some of the segments, which are the same in every call.
    pub(super) fn scan(&mut self, segments: &[SharedSegment], range: Range<usize>) {
        for segment_idx in range {
            // Most of the time of a search is spent here: nothing else is done for such a segment.
            let is_sketched = self.is_lone && self.is_begun && !segments[segment_idx].sketches().is_empty();
            if is_sketched && self.scan_sketches(segments, segment_idx, 0, &ALL_ROWS) {
                continue;
            }
            // Else what is at hand is enough, but for the few segments with rows that promise a hit.
            let looks_at_it = |coming: &&SharedSegment| self.looks_at_segments || coming.n_lines() > 1;
            if let Some(coming) = segments.get(segment_idx + SEGMENTS_AHEAD).filter(looks_at_it) {
                coming.fetch_ahead();
            }
            self.scan_segment(segments, segment_idx);
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
        let mut asked = std::mem::take(&mut self.asked);
        asked.clear();
        match self.coming.0 == segment_idx {
            true => std::mem::swap(&mut asked, &mut self.coming.1),
            false => asked.extend(questions.questions.iter().map(|question| Asked::of(question, segment))),
        }
        self.look_at_coming(segments, segment_idx + 1);
        let n_dense = asked.iter().filter(|asked| asked.is_dense()).count();
        let batch = questions.batch.as_ref().filter(|_| n_dense >= BATCH_MIN);
        let all = first_rows(segment.n_rows());
        let mut start = 0;
        for end in ends.iter().copied().filter(|end| *end < n_groups).chain([n_groups]) {
            if let Some(batch) = batch {
                self.scan_batch((segment, next), start..end, (batch, &asked));
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
                    Asked::Few(rows) => self.scan_listed(segment, start..end, question_idx, rows),
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
        self.asked = asked;
    }

    /// Has few rows of the next segment fetched that are looked at one by one: all of them are waited for otherwise.
    fn look_at_coming(&mut self, segments: &[SharedSegment], segment_idx: usize) {
        let (questions, coming) = (&self.questions.questions, &mut self.coming.1);
        coming.clear();
        self.coming.0 = usize::MAX;
        let is_worth_it = self.questions.batch.is_none() && questions.iter().any(|question| question.plan.is_some());
        let Some(segment) = segments.get(segment_idx).filter(|_| is_worth_it) else { return };
        coming.extend(questions.iter().map(|question| Asked::of(question, segment)));
        self.coming.0 = segment_idx;
        let rows = segment.coarse_rows(None);
        for asked in coming {
            let Asked::Few(wanted) = asked else { continue };
            for (word_idx, mut word) in wanted.iter().copied().enumerate() {
                while word != 0 {
                    Segment::fetch_coarse_ahead(&rows, word_idx * 64 + word.trailing_zeros() as usize);
                    word &= word - 1;
                }
            }
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
            && !segment.sketches().is_empty()
            && self.scan_sketches(segments, segment_idx, question_idx, wanted)
        {
            return;
        }
        let probe = &self.questions.questions[question_idx].probe.codes;
        let cutoff = self.candidates[question_idx].cutoff;
        self.kernel.scan(&segment.coarse_rows(next), groups, wanted, probe, cutoff, &mut self.found[question_idx]);
    }

    /// Leaves those rows for the end whose sketches do not exclude them. False if they are so many that all rows are better
    /// looked at without.
    fn scan_sketches(
        &mut self,
        segments: &[SharedSegment],
        segment_idx: usize,
        question_idx: usize,
        wanted: &Bits,
    ) -> bool {
        // What the segments before left has arrived by now.
        self.refine(segments, question_idx);
        self.look_at_promising(segments, question_idx);
        let (slot, question) = (&mut self.sketches[question_idx], &self.questions.questions[question_idx]);
        if slot.is_none() {
            *slot = Sketches::of(question);
        }
        let Some(sketches) = slot else { return false };
        if sketches.n_passed_over > 0 {
            sketches.n_passed_over -= 1;
            return false;
        }
        let cutoff = self.candidates[question_idx].cutoff;
        if cutoff != sketches.cutoff {
            sketches.cutoff = cutoff;
            (sketches.least, sketches.promising_least) =
                (sketches.probe.least(cutoff), sketches.probe.promising(cutoff));
        }
        let n_before = sketches.found.len();
        let (segment, tables) = (&segments[segment_idx], &sketches.probe.tables);
        sketches.kernel.scan(segment.sketches(), wanted, tables, sketches.least, &mut sketches.found);
        if sketches.found.len() - n_before > SEGMENT_ROWS / SKETCHES_LEAVE {
            sketches.found.truncate(n_before);
            sketches.n_passed_over = PASSED_OVER;
            return false;
        }
        let rows = segment.coarse_rows(None);
        let mut at = n_before;
        while let Some(found) = sketches.found.get(at) {
            if found.value() < sketches.promising_least {
                at += 1;
                continue;
            }
            Segment::fetch_coarse_ahead(&rows, found.row());
            sketches.promising.push(found.row() as u16);
            sketches.found.swap_remove(at);
        }
        sketches.promising_segment_idx = segment_idx;
        if at > n_before {
            sketches.ends.push((segment_idx as u32, at as u32));
        }
        if at >= SKETCHED_MAX {
            self.look_at_sketched(segments, question_idx);
        }
        true
    }

    /// Looks at the coarse codes of rows whose sketches promise a hit.
    fn look_at_promising(&mut self, segments: &[SharedSegment], question_idx: usize) {
        let Some(sketches) = &mut self.sketches[question_idx] else { return };
        if sketches.promising.is_empty() {
            return;
        }
        let (segment_idx, mut list) = (sketches.promising_segment_idx, std::mem::take(&mut sketches.promising));
        self.look_at_coarse(segments, segment_idx, question_idx, &list);
        list.clear();
        if let Some(sketches) = &mut self.sketches[question_idx] {
            sketches.promising = list;
        }
    }

    /// Looks at the coarse codes of the waiting rows that are not excluded by now.
    fn look_at_sketched(&mut self, segments: &[SharedSegment], question_idx: usize) {
        let Some(sketches) = &mut self.sketches[question_idx] else { return };
        let least = sketches.probe.least(self.candidates[question_idx].cutoff);
        let (mut found, mut ends) = (std::mem::take(&mut sketches.found), std::mem::take(&mut sketches.ends));
        // Half of them are excluded, which half cannot be foreseen: so without branches.
        let (mut first, mut n_left) = (0, 0);
        for (_, end) in &mut ends {
            for at in first..*end as usize {
                let row = found[at];
                found[n_left] = row;
                n_left += usize::from(row.value() >= least);
            }
            first = *end as usize;
            *end = n_left as u32;
        }
        found.truncate(n_left);
        let mut ahead = ends
            .iter()
            .scan(0, |first, &(segment_idx, end)| {
                Some((segment_idx as usize, std::mem::replace(first, end as usize)..end as usize))
            })
            .flat_map(|(segment_idx, range)| range.map(move |at| (segment_idx, at)));
        let mut fetch_ahead = |n_rows: usize| {
            for (segment_idx, at) in ahead.by_ref().take(n_rows) {
                Segment::fetch_coarse_ahead(&segments[segment_idx].coarse_rows(None), found[at].row());
            }
        };
        fetch_ahead(SKETCHED_AHEAD);
        let mut list = Vec::new();
        let mut first = 0;
        for &(segment_idx, end) in &ends {
            let of_segment = &found[first..end as usize];
            first = end as usize;
            fetch_ahead(of_segment.len());
            if !of_segment.is_empty() {
                list.clear();
                list.extend(of_segment.iter().map(|found| found.row() as u16));
                self.look_at_coarse(segments, segment_idx as usize, question_idx, &list);
            }
        }
        found.clear();
        ends.clear();
        if let Some(sketches) = &mut self.sketches[question_idx] {
            (sketches.found, sketches.ends) = (found, ends);
        }
    }

    /// Looks at the coarse codes of the rows of a list.
    fn look_at_coarse(&mut self, segments: &[SharedSegment], segment_idx: usize, question_idx: usize, list: &[u16]) {
        let probe = &self.questions.questions[question_idx].probe.codes;
        let cutoff = self.candidates[question_idx].cutoff;
        let rows = segments[segment_idx].coarse_rows(None);
        self.kernel.scan_listed(&rows, list, probe, cutoff, &mut self.found[question_idx]);
        self.take_found(segments, segment_idx, question_idx, false);
    }

    /// Few rows of many.
    fn scan_listed(&mut self, segment: &SharedSegment, groups: Range<usize>, question_idx: usize, wanted: &Bits) {
        self.list.clear();
        for word_idx in groups.start / 4..groups.end.div_ceil(4) {
            let mut word = wanted[word_idx];
            while word != 0 {
                self.list.push((word_idx * 64) as u16 + word.trailing_zeros() as u16);
                word &= word - 1;
            }
        }
        if self.list.is_empty() {
            return;
        }
        let probe = &self.questions.questions[question_idx].probe.codes;
        let cutoff = self.candidates[question_idx].cutoff;
        let found = &mut self.found[question_idx];
        self.kernel.scan_listed(&segment.coarse_rows(None), &self.list, probe, cutoff, found);
    }

    /// Makes candidates of what was found, or leaves it to be refined and has it fetched.
    fn take_found(&mut self, segments: &[SharedSegment], segment_idx: usize, question_idx: usize, is_whole: bool) {
        let found = &mut self.found[question_idx];
        if is_whole {
            if !found.is_empty() {
                std::mem::swap(&mut self.near, found);
                self.take_near(segments, segment_idx, question_idx);
                std::mem::swap(&mut self.near, &mut self.found[question_idx]);
            }
            return;
        }
        if found.is_empty() {
            // What the segments before left has arrived by now.
            match self.unnarrowed[question_idx].rows.is_empty() {
                true => self.refine(segments, question_idx),
                false => self.narrow(segments, question_idx),
            }
            return;
        }
        let has_fifth = segments[segment_idx].n_lines() > 1;
        if let Some(rows) = has_fifth.then(|| segments[segment_idx].fifth_rows()).flatten() {
            found.iter().for_each(|found| fetch_ahead(rows.words(found.row as usize)));
            // These are so close together that most are on a line with another.
            if let (Some(first), Some(last)) = (found.first(), found.last()) {
                fetch_ahead(rows.residuals.get(first.row as usize..=last.row as usize).unwrap_or_default());
            }
            self.narrow(segments, question_idx);
            let unnarrowed = &mut self.unnarrowed[question_idx];
            unnarrowed.segment_idx = segment_idx;
            std::mem::swap(&mut unnarrowed.rows, &mut self.found[question_idx]);
            return;
        }
        self.defer(segments[segment_idx].coarse_rows(None).sizes, segment_idx, question_idx);
        let fine = segments[segment_idx].fine_rows();
        for row in &self.found[question_idx] {
            Segment::fetch_fine_ahead(&fine, row.row as usize);
        }
        // What the segment before left has arrived by now.
        self.refine(segments, question_idx);
        let unrefined = &mut self.unrefined[question_idx];
        unrefined.segment_idx = segment_idx;
        std::mem::swap(&mut unrefined.rows, &mut self.found[question_idx]);
        if self.deferred[question_idx].len() >= DEFERRED_MAX {
            self.shorten_deferred(segments, question_idx);
        }
    }

    /// Leaves those of the rows found to be refined that codes of five bits do not exclude either, and has them fetched.
    fn narrow(&mut self, segments: &[SharedSegment], question_idx: usize) {
        let Unrefined { segment_idx, rows } = &self.unnarrowed[question_idx];
        if rows.is_empty() {
            return;
        }
        let segment_idx = *segment_idx;
        let fine = segments[segment_idx].fine_rows();
        let Some(rows) = segments[segment_idx].fifth_rows() else { return };
        let probe = &self.questions.questions[question_idx].probe.codes;
        let cutoff = self.candidates[question_idx].cutoff;
        let found = &mut self.unnarrowed[question_idx].rows;
        self.kernel.narrow(&rows, found, probe, cutoff, &mut self.narrowed);
        found.clear();
        // What the segment before left has arrived by now.
        self.refine(segments, question_idx);
        let (unrefined, deferred) = (&mut self.unrefined[question_idx], &mut self.deferred[question_idx]);
        unrefined.segment_idx = segment_idx;
        for NarrowedRow { found, bound } in self.narrowed.drain(..) {
            // The middle between the bounds is the similarity of the codes.
            let promises = bound - probe.terms.margin(rows.fifth_sizes(found.row as usize)) >= cutoff;
            if promises {
                Segment::fetch_fine_ahead(&fine, found.row as usize);
                unrefined.rows.push(found);
            } else {
                deferred.push(Deferred { segment_idx: segment_idx as u32, found, bound });
            }
        }
        if deferred.len() >= DEFERRED_MAX {
            self.shorten_deferred(segments, question_idx);
        }
    }

    /// Leaves those of the rows found that promise no hit for the end of the pass.
    fn defer(&mut self, sizes: &[RowSizes], segment_idx: usize, question_idx: usize) {
        let terms = &self.questions.questions[question_idx].probe.codes.terms;
        let cutoff = self.candidates[question_idx].cutoff;
        let deferred = &mut self.deferred[question_idx];
        self.found[question_idx].retain(|found| {
            let sizes = sizes[found.row as usize];
            let bound = terms.coarse_bound(found.sum, sizes);
            // The middle between the bounds is the similarity of the coarse codes.
            let promises = bound - terms.margin(sizes) >= cutoff;
            if !promises {
                deferred.push(Deferred { segment_idx: segment_idx as u32, found: *found, bound });
            }
            promises
        });
    }

    /// Forgets waiting rows that are excluded by now, and looks at the others if they are still many.
    fn shorten_deferred(&mut self, segments: &[SharedSegment], question_idx: usize) {
        let cutoff = self.candidates[question_idx].cutoff;
        let deferred = &mut self.deferred[question_idx];
        deferred.retain(|row| row.bound >= cutoff);
        if deferred.len() >= DEFERRED_MAX / 2 {
            self.refine_deferred(segments, question_idx);
        }
    }

    /// Looks at the waiting rows that are not excluded by now.
    fn refine_deferred(&mut self, segments: &[SharedSegment], question_idx: usize) {
        self.refine(segments, question_idx);
        let mut deferred = std::mem::take(&mut self.deferred[question_idx]);
        let cutoff = self.candidates[question_idx].cutoff;
        deferred.retain(|row| row.bound >= cutoff);
        let fetch_row_ahead = |row: &Deferred| {
            Segment::fetch_fine_ahead(&segments[row.segment_idx as usize].fine_rows(), row.found.row as usize);
        };
        deferred.iter().take(DEFERRED_AHEAD).for_each(fetch_row_ahead);
        let mut n_done = 0;
        for of_segment in deferred.chunk_by(|a, b| a.segment_idx == b.segment_idx) {
            deferred.iter().skip(n_done + DEFERRED_AHEAD).take(of_segment.len()).for_each(fetch_row_ahead);
            n_done += of_segment.len();
            let cutoff = self.candidates[question_idx].cutoff;
            let unrefined = &mut self.unrefined[question_idx];
            unrefined.segment_idx = of_segment[0].segment_idx as usize;
            unrefined.rows.extend(of_segment.iter().filter(|row| row.bound >= cutoff).map(|row| row.found));
            self.refine(segments, question_idx);
        }
    }

    /// Makes candidates of those rows whose fine bound reaches the cutoff.
    fn refine(&mut self, segments: &[SharedSegment], question_idx: usize) {
        let Unrefined { segment_idx, rows } = &mut self.unrefined[question_idx];
        if rows.is_empty() {
            return;
        }
        let segment_idx = *segment_idx;
        let probe = &self.questions.questions[question_idx].probe.codes;
        // The cutoff may have risen since the rows were found.
        let cutoff = self.candidates[question_idx].cutoff;
        self.kernel.refine(&segments[segment_idx].fine_rows(), rows, probe, cutoff, &mut self.near);
        rows.clear();
        self.take_near(segments, segment_idx, question_idx);
    }

    /// Makes candidates of the rows near enough by the bound of their whole codes.
    fn take_near(&mut self, segments: &[SharedSegment], segment_idx: usize, question_idx: usize) {
        if self.near.is_empty() {
            return;
        }
        let questions = self.questions;
        let question = &questions.questions[question_idx];
        let rows = segments[segment_idx].fine_rows();
        let n_max = CANDIDATES_PER_HIT.saturating_mul(question.top_k).max(CANDIDATES_MIN);
        let reads_at_once =
            self.is_lone && rows.n_lines > 1 && !question.one_per_person && segment_idx >= READ_AT_ONCE_FROM;
        let mut near = std::mem::take(&mut self.near);
        for FoundRow { row, sum } in near.drain(..) {
            let (lower, bound) = question.probe.codes.terms.whole_bounds(sum, rows.whole_sizes(row as usize));
            let candidates = &mut self.candidates[question_idx];
            // Each candidate may raise the cutoff.
            if bound < candidates.cutoff {
                continue;
            }
            if question.one_per_person {
                candidates.rows.push(Candidate { segment_idx, row, bound });
                self.settle(segments, question_idx);
                continue;
            }
            // Its codes alone say that it is one of the best so far.
            if reads_at_once && (lower + bound) / 2.0 >= candidates.cutoff {
                if let Some(similarity) = self.offer(segments, segment_idx, row as usize, question_idx) {
                    // Similarities are cut off at -1, bounds are not.
                    let exact = if similarity > -1.0 { similarity } else { lower };
                    self.candidates[question_idx].add_lower_bound(exact, question.top_k);
                }
                continue;
            }
            candidates.rows.push(Candidate { segment_idx, row, bound });
            candidates.add_lower_bound(lower, question.top_k);
            if candidates.rows.len() >= n_max {
                let cutoff = candidates.cutoff;
                candidates.rows.retain(|candidate| candidate.bound >= cutoff);
                if candidates.rows.len() >= n_max / 2 {
                    self.settle(segments, question_idx);
                }
            }
        }
        self.near = near;
    }

    /// Offers the candidates, the likeliest first, and forgets them.
    fn settle(&mut self, segments: &[SharedSegment], question_idx: usize) {
        let mut rows = std::mem::take(&mut self.candidates[question_idx].rows);
        rows.sort_unstable_by(|a, b| b.bound.total_cmp(&a.bound));
        for Candidate { segment_idx, row, bound } in rows.drain(..) {
            // Each offer may raise the cutoff.
            if bound < self.raised_cutoff(question_idx) {
                break;
            }
            self.offer(segments, segment_idx, row as usize, question_idx);
        }
        self.candidates[question_idx].rows = rows;
        self.raised_cutoff(question_idx);
    }

    /// The cutoff, once it is at least that of the best rows.
    fn raised_cutoff(&mut self, question_idx: usize) -> f32 {
        let cutoff = &mut self.candidates[question_idx].cutoff;
        *cutoff = cutoff.max(self.bests[question_idx].cutoff());
        *cutoff
    }

    /// Offers a row with its similarity, which it gives; none if its vector cannot be read.
    fn offer(
        &mut self,
        segments: &[SharedSegment],
        segment_idx: usize,
        row: usize,
        question_idx: usize,
    ) -> Option<f32> {
        let probe = &self.questions.questions[question_idx].probe;
        let segment = &segments[segment_idx];
        let similarity = match segment.vector(row, &mut self.buffer) {
            Ok(vector) => self.kernel.similarity(vector, &probe.floats),
            Err(error) => {
                self.failure.get_or_insert(error);
                return None;
            }
        };
        let label = segment.label(row);
        let ranked = Ranked { similarity, sequence: label.sequence, face: label.face, person: label.person };
        self.bests[question_idx].offer(ranked);
        Some(similarity.get())
    }
}

const _: () = assert!(SEGMENT_ROWS.is_multiple_of(64) && SEGMENT_ROWS <= u16::MAX as usize);
