//! The rows that may be hits, what a row must reach to be one, and reading the vectors of those that are left.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::super::best::Ranked;
use super::super::kernel::FoundRow;
use super::super::segment::SharedSegment;
use super::Pass;

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

/// A row that may be a hit.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    segment_idx: usize,
    row: u32,
    /// Upper bound of its similarity.
    bound: f32,
}

/// The rows that may be hits of one question, and what a row must reach to be one.
#[derive(Debug)]
pub(super) struct Candidates {
    rows: Vec<Candidate>,
    /// The best `top_k` lower bounds of rows seen; the least first.
    lower_bounds: BinaryHeap<Reverse<Bound>>,
    pub(super) cutoff: f32,
}

impl Candidates {
    /// None, with a cutoff that does not depend on them.
    pub(super) fn none(cutoff: f32) -> Self {
        Self { rows: Vec::new(), lower_bounds: BinaryHeap::new(), cutoff }
    }

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

impl Pass<'_> {
    /// Makes candidates of the rows near enough by the bound of their whole codes.
    pub(super) fn take_near(&mut self, segments: &[SharedSegment], segment_idx: usize, question_idx: usize) {
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
    pub(super) fn settle(&mut self, segments: &[SharedSegment], question_idx: usize) {
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
