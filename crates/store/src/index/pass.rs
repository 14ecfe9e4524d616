//! One pass over rows for one or several probes: a first bound from the coarse codes excludes nearly all rows, a second
//! one from the fine codes nearly all of the rest, and the similarity itself decides. See [`super::quantise`] for why
//! nothing is missed.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use likeness_domain::types::Similarity;

use super::best::{Best, Ranked};
use super::columns::{Bits, NO_ROWS, Plan, SEGMENT_ROWS};
use super::kernel::pages::{fetch_ahead, fetch_value_ahead};
use super::kernel::{
    self, CodeLine, FoundRow, GROUP_ROWS, Kernel, RowSizes, TILE_LINES, TILE_PROBES, TileProbes, Tiles,
};
use super::quantise::ReadyProbe;
use super::segment::{Segment, VectorBuffer};

/// With at least so many probes to compare with the rows of a segment, unpacking its codes pays.
const TILE_PROBES_MIN: usize = 4;

/// With one row in so many wanted or fewer, the wanted rows are looked at one by one instead of all.
const SPARSE: u32 = 16;

/// Rows are left to be settled until there are so many, so that what they need is fetched from memory meanwhile.
const UNSETTLED_MAX: usize = 32;

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

/// A row whose bound reached the cutoff.
#[derive(Debug, Clone, Copy)]
struct Unsettled {
    segment_idx: usize,
    row: FoundRow,
    /// Whether the bound, and the sum, were those of whole codes instead of coarse ones.
    is_whole: bool,
}

/// One pass of one thread.
pub(super) struct Pass<'a> {
    kernel: &'static Kernel,
    questions: &'a Questions,
    /// `bests[i]` collects for question `i`.
    bests: Vec<Best>,
    unsettled: Vec<Vec<Unsettled>>,
    found: [Vec<FoundRow>; TILE_PROBES],
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
        Self {
            kernel: kernel::active(),
            questions,
            bests: questions.empty_bests(),
            unsettled: questions.questions.iter().map(|_| Vec::new()).collect(),
            found: Default::default(),
            tiles: Vec::new(),
            tile_sizes: Vec::new(),
            list: Vec::new(),
            is_begun: false,
            buffer: VectorBuffer::default(),
            failure: None,
        }
    }

    /// Looks at every row of the segments.
    pub(super) fn scan(&mut self, segments: &[Arc<Segment>]) {
        for segment_idx in 0..segments.len() {
            if let Some(next) = segments.get(segment_idx + 1) {
                fetch_value_ahead::<Segment>(next);
            }
            self.scan_segment(segments, segment_idx);
        }
        for question_idx in 0..self.bests.len() {
            self.settle(segments, question_idx);
        }
    }

    /// The best rows of all segments so far, for each question. An error if a row could not be read from disk.
    pub(super) fn into_bests(self) -> io::Result<Vec<Best>> {
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
                self.kernel.unpack(&rows, segment.fine_plane(), &mut self.tiles);
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
                    self.take_found(segment, segment_idx, question_idx, (idx, is_whole));
                    if end < n_groups || self.unsettled[question_idx].len() >= UNSETTLED_MAX {
                        self.settle(segments, question_idx);
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
        let cutoff = |idx: usize| self.bests.get(first + idx).filter(|_| is_dense[idx]).map(Best::cutoff);
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
        let cutoff = self.bests[question_idx].cutoff();
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
        let cutoff = self.bests[question_idx].cutoff();
        self.kernel.scan_listed(&segment.coarse_rows(), &self.list, probe, cutoff, &mut self.found[idx]);
    }

    /// Leaves what was found to be settled, and has it fetched.
    fn take_found(
        &mut self,
        segment: &Segment,
        segment_idx: usize,
        question_idx: usize,
        (idx, is_whole): (usize, bool),
    ) {
        for row in self.found[idx].drain(..) {
            if !is_whole {
                fetch_ahead(segment.fine(row.row as usize));
            }
            self.unsettled[question_idx].push(Unsettled { segment_idx, row, is_whole });
        }
    }

    /// Offers those rows whose fine bound reaches the cutoff.
    fn settle(&mut self, segments: &[Arc<Segment>], question_idx: usize) {
        let probe = &self.questions.questions[question_idx].probe;
        let terms = &probe.codes.terms;
        let best = &mut self.bests[question_idx];
        let unsettled = &mut self.unsettled[question_idx];
        if unsettled.is_empty() {
            return;
        }
        let mut bounds = [0.0; UNSETTLED_MAX];
        for unsettled in unsettled.chunks(UNSETTLED_MAX) {
            for (bound, Unsettled { segment_idx, row, is_whole }) in bounds.iter_mut().zip(unsettled) {
                let (segment, row_idx) = (&segments[*segment_idx], row.row as usize);
                let sizes = segment.coarse_rows().sizes[row_idx];
                *bound = f32::NEG_INFINITY;
                // The cutoff may have risen since.
                if *is_whole {
                    *bound = terms.fine_bound(0, row.sum, sizes.scale(), segment.fine_residual(row_idx));
                    if *bound >= best.cutoff() {
                        segment.fetch_vector_ahead(row_idx);
                    }
                } else if terms.coarse_bound(row.sum, sizes) >= best.cutoff() {
                    let fine_sum = self.kernel.code_sum(segment.fine(row_idx), &probe.codes.lines);
                    *bound = terms.fine_bound(row.sum, fine_sum, sizes.scale(), segment.fine_residual(row_idx));
                    if *bound >= best.cutoff() {
                        segment.fetch_vector_ahead(row_idx);
                    }
                }
            }
            for (bound, Unsettled { segment_idx, row, .. }) in bounds.iter().zip(unsettled) {
                // Each offer may raise the cutoff.
                if *bound >= best.cutoff() {
                    let (segment, row_idx) = (&segments[*segment_idx], row.row as usize);
                    let similarity = match segment.vector(row_idx, &mut self.buffer) {
                        Ok(vector) => self.kernel.similarity(vector, &probe.floats),
                        Err(error) => {
                            self.failure.get_or_insert(error);
                            continue;
                        }
                    };
                    let label = segment.label(row_idx);
                    best.offer(Ranked { similarity, sequence: label.sequence, face: label.face, person: label.person });
                }
            }
        }
        unsettled.clear();
    }
}

const _: () = assert!(SEGMENT_ROWS.is_multiple_of(64) && SEGMENT_ROWS <= u16::MAX as usize);
