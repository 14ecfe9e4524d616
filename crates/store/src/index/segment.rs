//! Up to [`SEGMENT_ROWS`] rows of a gallery in contiguous memory.
//!
//! Segments are shared with running searches and copied when changed meanwhile, so they are small enough to copy in a
//! fraction of a millisecond and large enough to be scanned at full speed.
//!
//! Bytes per row at `d` dimensions: codes `d`, numbers `4d`, scale and residual 8, face, sequence and person 24, subject
//! 4, and per custom field 4 (text), 8 (number) or nearly nothing (boolean); 676 without custom fields at 128
//! dimensions. The gallery's table of rows by face adds 18 to 36.

use likeness_domain::types::{FaceId, FieldSchema, PersonId};

use super::columns::{Bits, Cells, Columns, Plan, SEGMENT_ROWS, first_rows};
use super::kernel::{BLOCK_ROWS, BlockScales, CodeLine, FloatLine, float_lines};
use super::quantise::{f32_above, n_code_lines, n_float_lines, quantise, write_codes};
use super::wiped::Wiped;

/// What a row says besides its vector and its cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLabel {
    pub(super) face: FaceId,
    pub(super) sequence: u64,
    pub(super) person: Option<PersonId>,
}

/// # Invariants
/// Every place at or beyond `n_rows` has zero codes and zero numbers: what was removed is overwritten.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    dimensions: usize,
    codes: Wiped<CodeLine>,
    floats: Wiped<FloatLine>,
    scales: Vec<BlockScales>,
    /// One for each row; their number is the number of rows.
    labels: Vec<RowLabel>,
    /// The ids of `labels` again, dense for filters.
    faces: Vec<u64>,
    columns: Columns,
}

impl Segment {
    pub(super) fn new(dimensions: usize, schema: &FieldSchema) -> Self {
        Self {
            dimensions,
            codes: Wiped::new(CodeLine::ZERO),
            floats: Wiped::new(FloatLine::ZERO),
            scales: Vec::new(),
            labels: Vec::new(),
            faces: Vec::new(),
            columns: Columns::new(schema),
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// Sets row `row`, which is an existing one or the next.
    pub(super) fn set(&mut self, row: usize, label: RowLabel, vector: &[f32], cells: &Cells) {
        assert!(row <= self.n_rows() && row < SEGMENT_ROWS, "row {row} of a segment of {}", self.n_rows());
        assert_eq!(vector.len(), self.dimensions, "vectors of one gallery have one length");
        self.set_label(row, label);
        self.columns.set(row, cells);
        let quantised = quantise(vector);
        let block_scales = &mut self.scales[row / BLOCK_ROWS];
        block_scales.scales[row % BLOCK_ROWS] = quantised.scale;
        block_scales.residuals[row % BLOCK_ROWS] = f32_above(quantised.residual);
        let n_lines = n_code_lines(self.dimensions);
        let block = &mut self.codes[row / BLOCK_ROWS * n_lines..][..n_lines];
        write_codes(block, row % BLOCK_ROWS, &quantised.codes);
        let n_lines = n_float_lines(self.dimensions);
        for (slot, line) in self.floats[row * n_lines..][..n_lines].iter_mut().zip(float_lines(vector)) {
            *slot = line;
        }
    }

    /// Puts the last row of `from` in the place of row `row`; `from` keeps it.
    pub(super) fn copy_last_of(&mut self, row: usize, from: &Segment) {
        let last = from.n_rows() - 1;
        self.set_label(row, from.labels[last]);
        self.columns.set(row, &from.columns.get(last));
        self.copy_numbers(row, from, last);
    }

    /// Removes row `row`: the last row takes its place, and the last row's place is overwritten.
    pub(super) fn swap_remove(&mut self, row: usize) {
        let last = self.n_rows() - 1;
        if row != last {
            self.set_label(row, self.labels[last]);
            let cells = self.columns.get(last);
            self.columns.set(row, &cells);
            self.copy_numbers_within(row, last);
        }
        self.labels.pop();
        self.faces.pop();
        self.columns.clear(last);
        self.scales[last / BLOCK_ROWS].scales[last % BLOCK_ROWS] = 0.0;
        self.scales[last / BLOCK_ROWS].residuals[last % BLOCK_ROWS] = 0.0;
        let n_lines = n_code_lines(self.dimensions);
        let zeros = vec![0; self.dimensions];
        write_codes(&mut self.codes[last / BLOCK_ROWS * n_lines..][..n_lines], last % BLOCK_ROWS, &zeros);
        let n_lines = n_float_lines(self.dimensions);
        self.floats[last * n_lines..][..n_lines].fill(FloatLine::ZERO);
    }

    fn set_label(&mut self, row: usize, label: RowLabel) {
        if row == self.n_rows() {
            self.reserve(row + 1);
            self.labels.push(label);
            self.faces.push(label.face.get());
        } else {
            self.labels[row] = label;
            self.faces[row] = label.face.get();
        }
    }

    /// Makes place for `n_rows`, in whole blocks, doubling: most face sets are small, and must not take the memory of a
    /// full segment.
    fn reserve(&mut self, n_rows: usize) {
        if n_rows <= self.scales.len() * BLOCK_ROWS {
            return;
        }
        let n_blocks = (self.scales.len() * 2).clamp(n_rows.div_ceil(BLOCK_ROWS), SEGMENT_ROWS / BLOCK_ROWS);
        self.codes.grow_to(n_blocks * n_code_lines(self.dimensions));
        self.floats.grow_to(n_blocks * BLOCK_ROWS * n_float_lines(self.dimensions));
        self.scales.resize(n_blocks, BlockScales::ZERO);
    }

    fn copy_numbers(&mut self, row: usize, from: &Segment, other: usize) {
        let (to_scales, from_scales) = (&mut self.scales[row / BLOCK_ROWS], &from.scales[other / BLOCK_ROWS]);
        to_scales.scales[row % BLOCK_ROWS] = from_scales.scales[other % BLOCK_ROWS];
        to_scales.residuals[row % BLOCK_ROWS] = from_scales.residuals[other % BLOCK_ROWS];
        let n_lines = n_code_lines(self.dimensions);
        let to_block = &mut self.codes[row / BLOCK_ROWS * n_lines..][..n_lines];
        let from_block = &from.codes[other / BLOCK_ROWS * n_lines..][..n_lines];
        for (to, from) in to_block.iter_mut().zip(from_block) {
            copy_quad(&mut to.0, row % BLOCK_ROWS, &from.0, other % BLOCK_ROWS);
        }
        let n_lines = n_float_lines(self.dimensions);
        self.floats[row * n_lines..][..n_lines].copy_from_slice(&from.floats[other * n_lines..][..n_lines]);
    }

    fn copy_numbers_within(&mut self, row: usize, other: usize) {
        let from_scales = self.scales[other / BLOCK_ROWS];
        let to_scales = &mut self.scales[row / BLOCK_ROWS];
        to_scales.scales[row % BLOCK_ROWS] = from_scales.scales[other % BLOCK_ROWS];
        to_scales.residuals[row % BLOCK_ROWS] = from_scales.residuals[other % BLOCK_ROWS];
        let n_lines = n_code_lines(self.dimensions);
        for line_idx in 0..n_lines {
            let from = self.codes[other / BLOCK_ROWS * n_lines + line_idx];
            let to = &mut self.codes[row / BLOCK_ROWS * n_lines + line_idx];
            copy_quad(&mut to.0, row % BLOCK_ROWS, &from.0, other % BLOCK_ROWS);
        }
        let n_lines = n_float_lines(self.dimensions);
        self.floats.copy_within(other * n_lines..(other + 1) * n_lines, row * n_lines);
    }

    pub(super) fn label(&self, row: usize) -> RowLabel {
        self.labels[row]
    }

    pub(super) fn cells(&self, row: usize) -> Cells {
        self.columns.get(row)
    }

    /// The row's vector, filled up with zeros.
    pub(super) fn floats(&self, row: usize) -> &[FloatLine] {
        let n_lines = n_float_lines(self.dimensions);
        &self.floats[row * n_lines..][..n_lines]
    }

    /// Codes, scales and residuals of sixteen rows.
    pub(super) fn block(&self, block_idx: usize) -> (&[CodeLine], &BlockScales) {
        let n_lines = n_code_lines(self.dimensions);
        (&self.codes[block_idx * n_lines..][..n_lines], &self.scales[block_idx])
    }

    /// The rows that pass; all without a plan.
    pub(super) fn rows(&self, plan: Option<&Plan>) -> Bits {
        plan.map_or_else(|| first_rows(self.n_rows()), |plan| plan.rows(&self.faces, &self.columns, self.n_rows()))
    }
}

fn copy_quad(to: &mut [u8; 64], to_row: usize, from: &[u8; 64], from_row: usize) {
    to[to_row * 4..to_row * 4 + 4].copy_from_slice(&from[from_row * 4..from_row * 4 + 4]);
}
