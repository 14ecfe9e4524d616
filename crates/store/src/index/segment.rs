//! Up to [`SEGMENT_ROWS`] rows of a gallery in contiguous memory.
//!
//! Segments are shared with running searches and copied when changed meanwhile, so they are small enough to copy in a
//! fraction of a millisecond and large enough to be scanned at full speed.
//!
//! Bytes per row at `d` dimensions: coarse and fine codes `d/2` each (in lines of 64 bytes), numbers `4d`, sizes 6, face,
//! sequence and person 24, subject 4 once a row has one, and per custom field 4 (text), 8 (number) or nearly nothing
//! (boolean); 670 at 128 dimensions. The gallery's table of rows by face adds 18 to 36.

use likeness_domain::types::{FaceId, FieldSchema, PersonId};

use super::columns::{Bits, Cells, Columns, Plan, SEGMENT_ROWS, first_rows};
use super::kernel::pages::{Arena, Line, Slot};
use super::kernel::{CodeLine, FloatLine, GROUP_ROWS, RowSizes, Rows, bf16, float_lines};
use super::quantise::{RowCodes, n_code_lines, n_float_lines};
use super::rotation::Rotation;
use super::wiped::Wiped;

/// What a row says besides its vector and its cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLabel {
    pub(super) face: FaceId,
    pub(super) sequence: u64,
    pub(super) person: Option<PersonId>,
}

/// Lines of a segment: in memory of their own while it grows, in a slot of the arena once it has room for all its rows.
#[derive(Debug)]
enum Lines<T: Line> {
    Growing(Wiped<T>),
    Full(Slot<T>),
}

impl<T: Line> Lines<T> {
    fn get(&self) -> &[T] {
        match self {
            Lines::Growing(lines) => lines,
            Lines::Full(lines) => lines,
        }
    }

    fn get_mut(&mut self) -> &mut [T] {
        match self {
            Lines::Growing(lines) => lines,
            Lines::Full(lines) => lines,
        }
    }

    fn grow_to(&mut self, n_rows: usize, n_lines: usize, arena: &Arena) {
        match self {
            Lines::Growing(lines) if n_rows < SEGMENT_ROWS => lines.grow_to(n_rows * n_lines),
            Lines::Growing(lines) => {
                let mut slot = arena.take(n_rows * n_lines);
                slot[..lines.len()].copy_from_slice(lines);
                *self = Lines::Full(slot);
            }
            Lines::Full(_) => {}
        }
    }

    fn copied(&self, arena: &Arena) -> Self {
        match self {
            Lines::Growing(lines) => Lines::Growing(lines.clone()),
            Lines::Full(lines) => {
                let mut slot = arena.take(lines.len());
                slot.copy_from_slice(lines);
                Lines::Full(slot)
            }
        }
    }
}

/// # Invariants
/// Every place at or beyond `n_rows` has zero codes and zero numbers: what was removed is overwritten.
#[derive(Debug)]
pub(super) struct Segment {
    arena: Arena,
    dimensions: usize,
    coarse: Lines<CodeLine>,
    fine: Lines<CodeLine>,
    floats: Lines<FloatLine>,
    sizes: Vec<RowSizes>,
    fine_residuals: Vec<u16>,
    /// One for each row; their number is the number of rows.
    labels: Vec<RowLabel>,
    columns: Columns,
}

impl Clone for Segment {
    fn clone(&self) -> Self {
        Self {
            arena: self.arena.clone(),
            dimensions: self.dimensions,
            coarse: self.coarse.copied(&self.arena),
            fine: self.fine.copied(&self.arena),
            floats: self.floats.copied(&self.arena),
            sizes: self.sizes.clone(),
            fine_residuals: self.fine_residuals.clone(),
            labels: self.labels.clone(),
            columns: self.columns.clone(),
        }
    }
}

impl Segment {
    pub(super) fn new(dimensions: usize, schema: &FieldSchema, arena: &Arena) -> Self {
        Self {
            arena: arena.clone(),
            dimensions,
            coarse: Lines::Growing(Wiped::new(CodeLine::ZERO)),
            fine: Lines::Growing(Wiped::new(CodeLine::ZERO)),
            floats: Lines::Growing(Wiped::new(FloatLine::ZERO)),
            sizes: Vec::new(),
            fine_residuals: Vec::new(),
            labels: Vec::new(),
            columns: Columns::new(schema),
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// Sets row `row`, which is an existing one or the next.
    pub(super) fn set(&mut self, row: usize, label: RowLabel, vector: &[f32], rotation: &Rotation, cells: &Cells) {
        assert!(row <= self.n_rows() && row < SEGMENT_ROWS, "row {row} of a segment of {}", self.n_rows());
        assert_eq!(vector.len(), self.dimensions, "vectors of one gallery have one length");
        self.set_label(row, label);
        self.columns.set(row, cells);
        let codes = RowCodes::new(vector, rotation);
        self.sizes[row] = codes.sizes;
        self.fine_residuals[row] = codes.fine_residual;
        let n_lines = n_code_lines(self.dimensions);
        self.coarse.get_mut()[row * n_lines..][..n_lines].copy_from_slice(&codes.coarse);
        self.fine.get_mut()[row * n_lines..][..n_lines].copy_from_slice(&codes.fine);
        let n_lines = n_float_lines(self.dimensions);
        for (slot, line) in self.floats.get_mut()[row * n_lines..][..n_lines].iter_mut().zip(float_lines(vector)) {
            *slot = line;
        }
    }

    /// Puts the last row of `from` in the place of row `row`; `from` keeps it.
    pub(super) fn copy_last_of(&mut self, row: usize, from: &Segment) {
        let last = from.n_rows() - 1;
        self.set_label(row, from.labels[last]);
        self.columns.set(row, &from.columns.get(last));
        self.sizes[row] = from.sizes[last];
        self.fine_residuals[row] = from.fine_residuals[last];
        let n_lines = n_code_lines(self.dimensions);
        for (to, from) in [(&mut self.coarse, &from.coarse), (&mut self.fine, &from.fine)] {
            to.get_mut()[row * n_lines..][..n_lines].copy_from_slice(&from.get()[last * n_lines..][..n_lines]);
        }
        let n_lines = n_float_lines(self.dimensions);
        let from = &from.floats.get()[last * n_lines..][..n_lines];
        self.floats.get_mut()[row * n_lines..][..n_lines].copy_from_slice(from);
    }

    /// Removes row `row`: the last row takes its place, and the last row's place is overwritten.
    pub(super) fn swap_remove(&mut self, row: usize) {
        let last = self.n_rows() - 1;
        let (n_code_lines, n_float_lines) = (n_code_lines(self.dimensions), n_float_lines(self.dimensions));
        if row != last {
            self.set_label(row, self.labels[last]);
            let cells = self.columns.get(last);
            self.columns.set(row, &cells);
            self.sizes[row] = self.sizes[last];
            self.fine_residuals[row] = self.fine_residuals[last];
            for plane in [&mut self.coarse, &mut self.fine] {
                plane.get_mut().copy_within(last * n_code_lines..(last + 1) * n_code_lines, row * n_code_lines);
            }
            let floats = self.floats.get_mut();
            floats.copy_within(last * n_float_lines..(last + 1) * n_float_lines, row * n_float_lines);
        }
        self.labels.pop();
        self.columns.clear(last);
        self.sizes[last] = RowSizes::default();
        self.fine_residuals[last] = 0;
        for plane in [&mut self.coarse, &mut self.fine] {
            plane.get_mut()[last * n_code_lines..][..n_code_lines].fill(CodeLine::ZERO);
        }
        self.floats.get_mut()[last * n_float_lines..][..n_float_lines].fill(FloatLine::ZERO);
    }

    fn set_label(&mut self, row: usize, label: RowLabel) {
        if row == self.n_rows() {
            self.reserve(row + 1);
            self.labels.push(label);
        } else {
            self.labels[row] = label;
        }
    }

    /// Makes place for `n_rows`, in whole groups, doubling: most face sets are small, and must not take the memory of a
    /// full segment.
    fn reserve(&mut self, n_rows: usize) {
        if n_rows <= self.sizes.len() {
            return;
        }
        let n_rows = (self.sizes.len() * 2).clamp(n_rows.next_multiple_of(GROUP_ROWS), SEGMENT_ROWS);
        let n_lines = n_code_lines(self.dimensions);
        self.coarse.grow_to(n_rows, n_lines, &self.arena);
        self.fine.grow_to(n_rows, n_lines, &self.arena);
        self.floats.grow_to(n_rows, n_float_lines(self.dimensions), &self.arena);
        self.sizes.resize(n_rows, RowSizes::default());
        self.fine_residuals.resize(n_rows, 0);
        self.labels.reserve_exact(n_rows - self.labels.len());
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
        &self.floats.get()[row * n_lines..][..n_lines]
    }

    /// The coarse plane of all rows, filled up to whole groups.
    pub(super) fn coarse_rows(&self) -> Rows<'_> {
        Rows { coarse: self.coarse.get(), n_lines: n_code_lines(self.dimensions), sizes: &self.sizes }
    }

    /// The row's codes in the fine plane.
    pub(super) fn fine(&self, row: usize) -> &[CodeLine] {
        let n_lines = n_code_lines(self.dimensions);
        &self.fine.get()[row * n_lines..][..n_lines]
    }

    /// Length of what both planes together leave out of a row.
    pub(super) fn fine_residual(&self, row: usize) -> f32 {
        bf16(self.fine_residuals[row])
    }

    /// The rows that pass; all without a plan.
    pub(super) fn rows(&self, plan: Option<&Plan>) -> Bits {
        plan.map_or_else(|| first_rows(self.n_rows()), |plan| plan.rows(&self.labels, &self.columns, self.n_rows()))
    }
}
