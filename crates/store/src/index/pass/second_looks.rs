//! Second looks at rows that their coarse codes do not exclude: at their fifth bits, where they have some by themselves, and
//! at their fine codes; at once or at the end of the pass.

use super::super::kernel::pages::fetch_ahead;
use super::super::kernel::{FoundRow, NarrowedRow, RowSizes};
use super::super::segment::{Segment, SharedSegment};
use super::Pass;

/// Most rows that wait for a second look until the end of a pass, of each question: 128 KB.
const DEFERRED_MAX: usize = 8192;

/// Waiting rows whose fine codes are fetched ahead of the row that is looked at: some hundred nanoseconds.
const DEFERRED_AHEAD: usize = 48;

/// A row whose bound reached the cutoff, but whose codes of four or five bits promise no hit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deferred {
    segment_idx: u32,
    found: FoundRow,
    /// Upper bound of its similarity.
    bound: f32,
}

/// Rows of a segment whose bound reached the cutoff, while what closer ones need is fetched from memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Unrefined {
    segment_idx: usize,
    rows: Vec<FoundRow>,
}

impl Pass<'_> {
    /// Makes candidates of what was found, or leaves it to be refined and has it fetched.
    pub(super) fn take_found(
        &mut self,
        segments: &[SharedSegment],
        segment_idx: usize,
        question_idx: usize,
        is_whole: bool,
    ) {
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
    pub(super) fn narrow(&mut self, segments: &[SharedSegment], question_idx: usize) {
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
    pub(super) fn refine_deferred(&mut self, segments: &[SharedSegment], question_idx: usize) {
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
    pub(super) fn refine(&mut self, segments: &[SharedSegment], question_idx: usize) {
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
}
