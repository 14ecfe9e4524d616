//! One pass over rows for one or several probes: a cheap upper bound for each row, the similarity where the bound can
//! still win. See [`super::quantise`] for why nothing is missed.

use std::sync::Arc;

use likeness_domain::types::Similarity;

use super::best::{Best, Ranked};
use super::columns::{Bits, Plan};
use super::kernel::{self, BLOCK_ROWS, Kernel, PROBES_MAX, Quad, Sums};
use super::quantise::ReadyProbe;
use super::segment::Segment;

/// With so few rows of a block to look at, their similarities are computed at once: four rows of f32 are as many bytes
/// as the codes of the whole block.
const DIRECT_ROWS_MAX: u32 = 3;

/// A question made ready for the rows of one snapshot.
pub(super) struct Question {
    pub(super) probe: ReadyProbe,
    pub(super) plan: Option<Plan>,
    pub(super) top_k: usize,
    pub(super) similarity_min: Similarity,
    pub(super) one_per_person: bool,
}

impl Question {
    pub(super) fn empty_best(&self) -> Best {
        Best::new(self.top_k, self.similarity_min, self.one_per_person)
    }
}

/// Scans the segments for every question; `bests[i]` collects for `questions[i]`.
pub(super) fn scan(segments: &[Arc<Segment>], questions: &[Question], bests: &mut [Best]) {
    debug_assert_eq!(questions.len(), bests.len());
    let kernel = kernel::active();
    for (questions, bests) in questions.chunks(PROBES_MAX).zip(bests.chunks_mut(PROBES_MAX)) {
        for segment in segments {
            scan_segment(kernel, segment, questions, bests);
        }
    }
}

fn scan_segment(kernel: &Kernel, segment: &Segment, questions: &[Question], bests: &mut [Best]) {
    let mut rows: [Bits; PROBES_MAX] = [[0; _]; PROBES_MAX];
    let mut any: Bits = [0; _];
    for (rows, question) in rows.iter_mut().zip(questions) {
        *rows = segment.rows(question.plan.as_ref());
        any.iter_mut().zip(rows).for_each(|(any, word)| *any |= *word);
    }
    for block_idx in 0..segment.n_rows().div_ceil(BLOCK_ROWS) {
        if block_rows(&any, block_idx) == 0 {
            continue;
        }
        // Questions that want enough rows of this block share a pass over its codes.
        let mut n_sharing = 0;
        let mut sharing = [0; PROBES_MAX];
        let mut quads: [&[Quad]; PROBES_MAX] = [&[]; PROBES_MAX];
        for (question_idx, (question, best)) in questions.iter().zip(bests.iter_mut()).enumerate() {
            let wanted = block_rows(&rows[question_idx], block_idx);
            if wanted.count_ones() > DIRECT_ROWS_MAX {
                (sharing[n_sharing], quads[n_sharing]) = (question_idx, &question.probe.quads);
                n_sharing += 1;
            } else {
                for row in set_rows(wanted) {
                    offer(kernel, segment, block_idx * BLOCK_ROWS + row, question, best);
                }
            }
        }
        if n_sharing == 0 {
            continue;
        }
        let (codes, scales) = segment.block(block_idx);
        let mut sums: [Sums; PROBES_MAX] = [[0; BLOCK_ROWS]; PROBES_MAX];
        kernel.block_sums(codes, &quads[..n_sharing], &mut sums[..n_sharing]);
        for (&question_idx, sums) in sharing[..n_sharing].iter().zip(&sums) {
            let (question, best) = (&questions[question_idx], &mut bests[question_idx]);
            let reaching = kernel.reaching(sums, scales, &question.probe.terms, best.cutoff());
            for row in set_rows(reaching & block_rows(&rows[question_idx], block_idx)) {
                // Each offer may have raised the cutoff.
                if question.probe.terms.bound(sums[row], scales.scales[row], scales.residuals[row]) >= best.cutoff() {
                    offer(kernel, segment, block_idx * BLOCK_ROWS + row, question, best);
                }
            }
        }
    }
}

/// The bits of one block.
#[inline]
fn block_rows(rows: &Bits, block_idx: usize) -> u16 {
    let first = block_idx * BLOCK_ROWS;
    (rows[first / 64] >> (first % 64)) as u16
}

fn set_rows(mut rows: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let row = rows.trailing_zeros() as usize;
        rows &= rows.wrapping_sub(1);
        (row < BLOCK_ROWS).then_some(row)
    })
}

fn offer(kernel: &Kernel, segment: &Segment, row: usize, question: &Question, best: &mut Best) {
    let similarity = kernel.similarity(segment.floats(row), &question.probe.lines);
    let label = segment.label(row);
    best.offer(Ranked { similarity, sequence: label.sequence, face: label.face, person: label.person });
}
