//! Looks at the sketches of rows, before anything else of them.

use super::super::columns::{Bits, SEGMENT_ROWS};
use super::super::kernel;
use super::super::kernel::sketch::{SketchKernel, SketchedRow};
use super::super::segment::{Segment, SharedSegment};
use super::super::sketch::SketchedProbe;
use super::{Pass, Question};

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
pub(super) struct Sketches {
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

impl Pass<'_> {
    /// Leaves those rows for the end whose sketches do not exclude them. False if they are so many that all rows are better
    /// looked at without.
    pub(super) fn scan_sketches(
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
    pub(super) fn look_at_promising(&mut self, segments: &[SharedSegment], question_idx: usize) {
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
    pub(super) fn look_at_sketched(&mut self, segments: &[SharedSegment], question_idx: usize) {
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
}
