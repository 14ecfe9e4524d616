//! One pass over rows for one or several probes: a first bound from the coarse codes excludes nearly all rows, closer ones
//! from the fine codes nearly all of the rest, and the similarity itself decides. See [`super::quantise`] for why nothing
//! is missed.
//!
//! Vectors are on disk, so few should be read. A row's fine codes bound its similarity from below as well: once `top_k`
//! rows are known to reach some similarity, a row that cannot reach it is no hit, though no vector was read. So the rows
//! that may be hits are kept until the pass has seen all rows, and read then, the likeliest first. With one hit a person it
//! is not known which of those rows will count: there each is read when it is found.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use likeness_domain::types::Similarity;

use super::best::{Best, Ranked};
use super::columns::{Bits, NO_ROWS, Plan, SEGMENT_ROWS};
use super::kernel::pages::fetch_value_ahead;
use super::kernel::{
    self, CodeLine, FoundRow, GROUP_ROWS, Kernel, RowSizes, TILE_LINES, TILE_PROBES, TileProbes, Tiles,
};
use super::quantise::ReadyProbe;
use super::segment::{Segment, VectorBuffer};

/// With at least so many probes to compare with the rows of a segment, unpacking its codes pays.
const TILE_PROBES_MIN: usize = 4;

/// With one row in so many wanted or fewer, the wanted rows are looked at one by one instead of all.
const SPARSE: u32 = 16;

/// So many candidates for each wanted hit are kept before those are thrown away that cannot be hits any more, and as many
/// at least as `CANDIDATES_MIN`.
const CANDIDATES_PER_HIT: usize = 4;

/// See [`CANDIDATES_PER_HIT`].
const CANDIDATES_MIN: usize = 256;

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
    /// Eight at a time side by side; empty if there are too few.
    tile_probes: Vec<TileProbes>,
}

impl Questions {
    pub(super) fn new(questions: Vec<Question>) -> Self {
        let side_by_side = |questions: &[Question]| {
            let probes: Vec<_> = questions.iter().map(|question| &question.probe.codes).collect();
            TileProbes::new(&probes, kernel::active())
        };
        let is_enough = questions.len() >= TILE_PROBES_MIN;
        let tile_probes = questions.chunks(TILE_PROBES).filter(|_| is_enough).map(side_by_side).collect();
        Self { questions, tile_probes }
    }

    /// One for each question, without rows.
    pub(super) fn empty_bests(&self) -> Vec<Best> {
        let empty = |question: &Question| Best::new(question.top_k, question.similarity_min, question.one_per_person);
        self.questions.iter().map(empty).collect()
    }
}

/// Rows of a segment whose coarse bound reached the cutoff, while their fine codes are fetched from memory.
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
    /// Takes a row over whose similarity is from `lower` to `upper`.
    fn add(&mut self, candidate: Candidate, lower: f32, top_k: usize) {
        self.rows.push(candidate);
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
    /// For each question, of the segment looked at last.
    unrefined: Vec<Unrefined>,
    /// For each question.
    candidates: Vec<Candidates>,
    found: [Vec<FoundRow>; TILE_PROBES],
    near: Vec<FoundRow>,
    /// Codes of the segment at hand, unpacked.
    tiles: Vec<CodeLine>,
    tile_sizes: Vec<RowSizes>,
    list: Vec<u16>,
    is_begun: bool,
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
            unrefined: vec![Unrefined::default(); questions.questions.len()],
            found: Default::default(),
            near: Vec::new(),
            tiles: Vec::new(),
            tile_sizes: Vec::new(),
            list: Vec::new(),
            is_begun: false,
            buffer: VectorBuffer::default(),
            failure: None,
        }
    }

    /// Looks at every row of some of the segments, which are the same in every call.
    pub(super) fn scan(&mut self, segments: &[Arc<Segment>], range: Range<usize>) {
        for segment_idx in range {
            if let Some(next) = segments.get(segment_idx + 1) {
                fetch_value_ahead::<Segment>(next);
            }
            self.scan_segment(segments, segment_idx);
        }
    }

    /// The best of all rows looked at, for each question. An error if a row could not be read from disk.
    pub(super) fn into_bests(mut self, segments: &[Arc<Segment>]) -> io::Result<Vec<Best>> {
        for question_idx in 0..self.bests.len() {
            self.refine(segments, question_idx);
            self.settle(segments, question_idx);
        }
        self.failure.map_or(Ok(self.bests), Err)
    }

    fn scan_segment(&mut self, segments: &[Arc<Segment>], segment_idx: usize) {
        let segment = &*segments[segment_idx];
        let n_groups = segment.n_rows().div_ceil(GROUP_ROWS);
        // The first rows fill the lists, and each makes the cutoff higher: growing steps, so that not every row is settled.
        let ends: &[usize] = if self.is_begun { &[] } else { &[4, 8, 16, 32] };
        self.is_begun = true;
        let mut is_unpacked = false;
        let all = segment.rows(None);
        let questions = self.questions;
        for (chunk_idx, chunk) in questions.questions.chunks(TILE_PROBES).enumerate() {
            let mut wanted = [NO_ROWS; TILE_PROBES];
            let mut is_dense = [false; TILE_PROBES];
            for (idx, question) in chunk.iter().enumerate() {
                match (question.top_k, question.plan.as_ref()) {
                    (0, _) => {}
                    (_, None) => (wanted[idx], is_dense[idx]) = (all, true),
                    (_, plan) => {
                        wanted[idx] = segment.rows(plan);
                        let n_wanted: u32 = wanted[idx].iter().map(|word| word.count_ones()).sum();
                        is_dense[idx] = n_wanted > segment.n_rows() as u32 / SPARSE;
                    }
                }
            }
            let n_dense = is_dense.iter().filter(|is_dense| **is_dense).count();
            let tile_probes = questions.tile_probes.get(chunk_idx).filter(|_| n_dense >= TILE_PROBES_MIN);
            if tile_probes.is_some() && !is_unpacked {
                let rows = segment.coarse_rows();
                self.tiles.resize(n_groups * rows.n_lines * TILE_LINES, CodeLine::ZERO);
                self.kernel.unpack(&rows, segment.fine_rows().fine, &mut self.tiles);
                self.tile_sizes.clear();
                match self.kernel.has_whole_tiles() {
                    true => self.tile_sizes.extend(segment.whole_sizes()),
                    false => self.tile_sizes.extend_from_slice(rows.sizes),
                }
                is_unpacked = true;
            }
            let mut start = 0;
            for end in ends.iter().copied().filter(|end| *end < n_groups).chain([n_groups]) {
                if let Some(tile_probes) = tile_probes {
                    self.scan_chunk(segment, start..end, chunk_idx, (&wanted, &is_dense), tile_probes);
                }
                for idx in 0..chunk.len() {
                    let question_idx = chunk_idx * TILE_PROBES + idx;
                    match is_dense[idx] {
                        true if tile_probes.is_some() => {}
                        true => self.scan_all(segment, start..end, question_idx, (idx, &wanted[idx])),
                        false => self.scan_listed(segment, start..end, question_idx, (idx, &wanted[idx])),
                    }
                    let is_whole = is_dense[idx] && tile_probes.is_some() && self.kernel.has_whole_tiles();
                    self.take_found(segments, segment_idx, question_idx, (idx, is_whole));
                    if end < n_groups {
                        self.refine(segments, question_idx);
                    }
                }
                start = end;
            }
        }
    }

    /// Several questions at once.
    fn scan_chunk(
        &mut self,
        segment: &Segment,
        groups: Range<usize>,
        chunk_idx: usize,
        (wanted, is_dense): (&[Bits; TILE_PROBES], &[bool; TILE_PROBES]),
        tile_probes: &TileProbes,
    ) {
        let tiles = Tiles { lines: &self.tiles, n_lines: segment.coarse_rows().n_lines, sizes: &self.tile_sizes };
        let first = chunk_idx * TILE_PROBES;
        let cutoff = |idx: usize| self.candidates.get(first + idx).filter(|_| is_dense[idx]).map(|some| some.cutoff);
        let cutoffs = std::array::from_fn(|idx| cutoff(idx).unwrap_or(f32::INFINITY));
        let wanted = std::array::from_fn(|idx| if is_dense[idx] { &wanted[idx][..] } else { &NO_ROWS[..] });
        self.kernel.scan_tiles(&tiles, groups, &wanted, tile_probes, &cutoffs, &mut self.found);
    }

    fn scan_all(
        &mut self,
        segment: &Segment,
        groups: Range<usize>,
        question_idx: usize,
        (idx, wanted): (usize, &Bits),
    ) {
        let probe = &self.questions.questions[question_idx].probe.codes;
        let cutoff = self.candidates[question_idx].cutoff;
        self.kernel.scan(&segment.coarse_rows(), groups, wanted, probe, cutoff, &mut self.found[idx]);
    }

    /// Few rows of many.
    fn scan_listed(
        &mut self,
        segment: &Segment,
        groups: Range<usize>,
        question_idx: usize,
        (idx, wanted): (usize, &Bits),
    ) {
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
        self.kernel.scan_listed(&segment.coarse_rows(), &self.list, probe, cutoff, &mut self.found[idx]);
    }

    /// Makes candidates of what was found, or leaves it to be refined and has it fetched.
    fn take_found(
        &mut self,
        segments: &[Arc<Segment>],
        segment_idx: usize,
        question_idx: usize,
        (idx, is_whole): (usize, bool),
    ) {
        if is_whole {
            std::mem::swap(&mut self.near, &mut self.found[idx]);
            self.take_near(segments, segment_idx, question_idx);
            std::mem::swap(&mut self.near, &mut self.found[idx]);
            return;
        }
        for row in &self.found[idx] {
            segments[segment_idx].fetch_fine_ahead(row.row as usize);
        }
        // What the segment before left has arrived by now.
        self.refine(segments, question_idx);
        let unrefined = &mut self.unrefined[question_idx];
        unrefined.segment_idx = segment_idx;
        std::mem::swap(&mut unrefined.rows, &mut self.found[idx]);
    }

    /// Makes candidates of those rows whose fine bound reaches the cutoff.
    fn refine(&mut self, segments: &[Arc<Segment>], question_idx: usize) {
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
    fn take_near(&mut self, segments: &[Arc<Segment>], segment_idx: usize, question_idx: usize) {
        if self.near.is_empty() {
            return;
        }
        let questions = self.questions;
        let question = &questions.questions[question_idx];
        let rows = segments[segment_idx].fine_rows();
        let n_max = CANDIDATES_PER_HIT.saturating_mul(question.top_k).max(CANDIDATES_MIN);
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
            candidates.add(Candidate { segment_idx, row, bound }, lower, question.top_k);
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
    fn settle(&mut self, segments: &[Arc<Segment>], question_idx: usize) {
        let probe = &self.questions.questions[question_idx].probe;
        let (best, candidates) = (&mut self.bests[question_idx], &mut self.candidates[question_idx]);
        candidates.rows.sort_unstable_by(|a, b| b.bound.total_cmp(&a.bound));
        for Candidate { segment_idx, row, bound } in candidates.rows.drain(..) {
            // Each offer may raise the cutoff.
            candidates.cutoff = candidates.cutoff.max(best.cutoff());
            if bound < candidates.cutoff {
                break;
            }
            let (segment, row) = (&segments[segment_idx], row as usize);
            let similarity = match segment.vector(row, &mut self.buffer) {
                Ok(vector) => self.kernel.similarity(vector, &probe.floats),
                Err(error) => {
                    self.failure.get_or_insert(error);
                    continue;
                }
            };
            let label = segment.label(row);
            best.offer(Ranked { similarity, sequence: label.sequence, face: label.face, person: label.person });
        }
        candidates.cutoff = candidates.cutoff.max(best.cutoff());
    }
}

const _: () = assert!(SEGMENT_ROWS.is_multiple_of(64) && SEGMENT_ROWS <= u16::MAX as usize);
