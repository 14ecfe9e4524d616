//! Up to [`SEGMENT_ROWS`] rows of a gallery in contiguous memory.
//!
//! Segments are shared with running searches and copied when changed meanwhile, so they are small enough to copy in a
//! fraction of a millisecond and large enough to be scanned at full speed.
//!
//! The vectors themselves stay in memory while the segment grows; when it is full only the [`RowFile`] has them, if the
//! index has one.
//!
//! Bytes per row of a full segment at `d` dimensions: coarse and fine codes `d/2` each (in lines of 64 bytes), sizes 6,
//! face and sequence 12, person 8 once a row has one, place in the file 4, subject 4 once a row has one, and per custom
//! field 4 (text), 8 (number; 1 for whole numbers close together) or nearly nothing (boolean); 150 or 158 at 128
//! dimensions. Sketches (see there which rows have one) add 50, and without a file the numbers add `4d`. Rows of more than
//! 128 numbers take `d/8 + 2` more for their fifth bits, which are in the fine codes as well: reading a row's costs one line
//! of memory where its fine codes are several. The gallery's table of places by face adds 6 to 8.

use std::io;
use std::mem::offset_of;
use std::sync::Arc;

use likeness_domain::types::FieldSchema;

use super::columns::{Bits, Cells, Column, Columns, Plan, SEGMENT_ROWS, first_rows};
use super::kernel::at_hand::{AtHand, Planes};
use super::kernel::mapped::Line;
use super::kernel::pages::{Arena, Slot, fetch_ahead, fetch_start_ahead, fetch_value_ahead};
use super::kernel::sketch::{self as sketches, BLOCK_LINES, BLOCK_ROWS};
use super::kernel::{
    BatchRows, CodeLine, FIFTH_WORDS, FifthRows, FineRows, FloatLine, GROUP_ROWS, RowSizes, Rows, float_lines,
};
use super::labels::{Labels, RowLabel};
use super::quantise::{RowCodes, n_code_lines, n_float_lines};
use super::row_file::RowFile;
use super::sketch;
use super::wiped::Wiped;

/// Stands for "not in the file".
pub(super) const NO_SLOT: u32 = u32::MAX;

/// A row to be put into a segment.
pub(super) struct NewRow<'a> {
    pub(super) label: RowLabel,
    pub(super) vector: &'a [f32],
    pub(super) codes: &'a RowCodes,
    /// Its place in the file, or [`NO_SLOT`].
    pub(super) slot: u32,
    pub(super) cells: &'a Cells,
}

/// Memory for reading a vector.
#[derive(Debug, Default)]
pub(super) struct VectorBuffer {
    bytes: Vec<u8>,
    lines: Vec<FloatLine>,
}

/// Lines of a segment: in memory of their own while it grows, in a slot of the arena once it has room for all its rows.
#[derive(Debug)]
enum Lines<T: Line> {
    /// In a box, so that a full segment's lines are few bytes: see [`Segment`].
    Growing(Box<Wiped<T>>),
    Full(Slot<T>),
}

impl<T: Line> Lines<T> {
    fn none(zero: T) -> Self {
        Lines::Growing(Box::new(Wiped::new(zero)))
    }

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

/// The fifth bits of the rows.
#[derive(Debug)]
struct Fifth {
    bits: Lines<u64>,
    residuals: Lines<u16>,
}

/// The sketches of the rows.
#[derive(Debug)]
struct Sketched {
    /// One for each row.
    residuals: Lines<u8>,
    /// Whole blocks; `None` until there are all rows.
    plane: Option<Slot<CodeLine>>,
}

impl Sketched {
    fn copied(&self, arena: &Arena) -> Self {
        let plane = self.plane.as_ref().map(|plane| {
            let mut copy = arena.take(plane.len());
            copy.copy_from_slice(plane);
            copy
        });
        Self { residuals: self.residuals.copied(arena), plane }
    }
}

/// Words of a row's fifth bits; 0 for rows whose fine codes are one line, which says more and is as quickly read.
fn n_fifth_words(dimensions: usize) -> usize {
    match n_code_lines(dimensions) {
        0 | 1 => 0,
        n_lines => n_lines * FIFTH_WORDS,
    }
}

/// What looks at rows need of a segment comes first and is few lines of memory, each of which is waited for.
///
/// # Invariants
/// Every place at or beyond `n_rows` has zero codes and zero numbers: what was removed is overwritten. Without `floats`
/// every row has a slot.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Segment {
    coarse: Lines<CodeLine>,
    sizes: Lines<RowSizes>,
    dimensions: usize,
    fine: Lines<CodeLine>,
    fine_residuals: Lines<u16>,
    /// `None` for rows without fifth bits by themselves.
    fifth: Option<Fifth>,
    /// `None` if it gets no sketches.
    sketched: Option<Sketched>,
    /// The vectors; `None` once the file alone has them.
    floats: Option<Lines<FloatLine>>,
    /// One for each row; their number is the number of rows.
    labels: Labels,
    /// Places of the rows in the file; empty without one.
    slots: Vec<u32>,
    columns: Columns,
    arena: Arena,
    file: Option<Arc<RowFile>>,
}

/// What looks at rows need of a segment.
const LOOKED_AT_BYTES: usize = offset_of!(Segment, floats);

impl Clone for Segment {
    fn clone(&self) -> Self {
        Self {
            arena: self.arena.clone(),
            file: self.file.clone(),
            dimensions: self.dimensions,
            coarse: self.coarse.copied(&self.arena),
            fine: self.fine.copied(&self.arena.second_plane()),
            fifth: self.fifth.as_ref().map(|fifth| Fifth {
                bits: fifth.bits.copied(&self.arena),
                residuals: fifth.residuals.copied(&self.arena),
            }),
            sketched: self.sketched.as_ref().map(|sketched| sketched.copied(&self.arena)),
            floats: self.floats.as_ref().map(|floats| floats.copied(&self.arena)),
            slots: self.slots.clone(),
            sizes: self.sizes.copied(&self.arena),
            fine_residuals: self.fine_residuals.copied(&self.arena),
            labels: self.labels.clone(),
            columns: self.columns.copied(&self.arena),
        }
    }
}

/// A segment as a gallery and its searches have it.
pub(super) type SharedSegment = AtHand<Segment>;

impl Planes for Segment {
    type Column = Column;

    fn coarse_plane(&self) -> Rows<'_> {
        let n_lines = n_code_lines(self.dimensions);
        Rows { coarse: self.coarse.get(), n_lines, sizes: self.sizes.get(), next_coarse: &[], next_sizes: &[] }
    }

    fn fine_plane(&self) -> FineRows<'_> {
        let n_lines = n_code_lines(self.dimensions);
        FineRows { fine: self.fine.get(), n_lines, sizes: self.sizes.get(), residuals: self.fine_residuals.get() }
    }

    fn n_rows(&self) -> usize {
        self.labels.len()
    }

    fn sketch_plane(&self) -> &[CodeLine] {
        self.sketched.as_ref().and_then(|sketched| sketched.plane.as_deref()).unwrap_or_default()
    }

    fn columns(&self) -> &[Column] {
        self.columns.all()
    }
}

/// The rows of a segment that pass; all without a plan.
pub(super) fn passing(segment: &SharedSegment, plan: Option<&Plan>) -> Bits {
    let n_rows = segment.n_rows();
    // Only a plan that names a face looks at the segment itself.
    let faces = || segment.labels.faces();
    plan.map_or_else(|| first_rows(n_rows), |plan| plan.rows(&faces, segment.columns(), n_rows))
}

impl Segment {
    /// Without rows. Its vectors are in memory until it is full, or always without a file. It gets sketches when it is full
    /// if that is wanted, for rows of one line.
    pub(super) fn new(
        dimensions: usize,
        schema: &FieldSchema,
        arena: &Arena,
        file: Option<Arc<RowFile>>,
        is_sketched: bool,
    ) -> Self {
        let is_sketched = is_sketched && n_code_lines(dimensions) == 1;
        Self {
            sketched: is_sketched.then(|| Sketched { residuals: Lines::none(0), plane: None }),
            arena: arena.clone(),
            file,
            dimensions,
            coarse: Lines::none(CodeLine::ZERO),
            fine: Lines::none(CodeLine::ZERO),
            fifth: (n_fifth_words(dimensions) > 0).then(|| Fifth { bits: Lines::none(0), residuals: Lines::none(0) }),
            floats: Some(Lines::none(FloatLine::ZERO)),
            slots: Vec::new(),
            sizes: Lines::none(RowSizes::default()),
            fine_residuals: Lines::none(0),
            labels: Labels::NONE,
            columns: Columns::new(schema),
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// Sets row `row`, which is an existing one or the next. An error is one of reading the file.
    pub(super) fn set(&mut self, row: usize, new: &NewRow<'_>) -> io::Result<()> {
        assert!(row <= self.n_rows() && row < SEGMENT_ROWS, "row {row} of a segment of {}", self.n_rows());
        assert_eq!(new.vector.len(), self.dimensions, "vectors of one gallery have one length");
        if new.slot == NO_SLOT {
            self.load_vectors()?;
        }
        self.set_label(row, new.label);
        self.columns.set(row, new.cells, &self.arena);
        self.sizes.get_mut()[row] = new.codes.sizes;
        self.fine_residuals.get_mut()[row] = new.codes.fine_residual;
        if let Some(slot) = self.slots.get_mut(row) {
            *slot = new.slot;
        }
        let n_lines = n_code_lines(self.dimensions);
        self.coarse.get_mut()[row * n_lines..][..n_lines].copy_from_slice(&new.codes.coarse);
        self.fine.get_mut()[row * n_lines..][..n_lines].copy_from_slice(&new.codes.fine);
        if let Some(fifth) = &mut self.fifth {
            let n_words = n_fifth_words(self.dimensions);
            let bits = &mut fifth.bits.get_mut()[row * n_words..][..n_words];
            fifth.residuals.get_mut()[row] = new.codes.fifth_bits(self.dimensions, bits);
        }
        self.sketch(row, new.codes.sketch_residual);
        let n_lines = n_float_lines(self.dimensions);
        if let Some(floats) = &mut self.floats {
            let room = &mut floats.get_mut()[row * n_lines..][..n_lines];
            room.iter_mut().zip(float_lines(new.vector)).for_each(|(room, line)| *room = line);
        }
        self.let_go_of_vectors();
        Ok(())
    }

    /// Makes the sketch of a row whose codes are there, and once all rows are there those of all.
    fn sketch(&mut self, row: usize, residual: u8) {
        let is_full = self.n_rows() == SEGMENT_ROWS;
        let Some(sketched) = &mut self.sketched else { return };
        sketched.residuals.get_mut()[row] = residual;
        if !is_full {
            return;
        }
        let rows = if sketched.plane.is_some() { row..row + 1 } else { 0..SEGMENT_ROWS };
        let plane = sketched.plane.get_or_insert_with(|| self.arena.take(SEGMENT_ROWS / BLOCK_ROWS * BLOCK_LINES));
        let (coarse, fine) = (self.coarse.get(), self.fine.get());
        for row in rows {
            let codes = sketch::codes(&coarse[row], &fine[row], self.sizes.get()[row].scale(), self.dimensions);
            sketches::set_row(plane, row, &codes, sketched.residuals.get()[row]);
        }
    }

    /// Leaves the vectors of a full segment to the file.
    fn let_go_of_vectors(&mut self) {
        let is_full = self.n_rows() == SEGMENT_ROWS && self.slots.len() == SEGMENT_ROWS;
        if is_full && self.slots.iter().all(|slot| *slot != NO_SLOT) {
            self.floats = None;
        }
    }

    /// Reads all vectors from the file again, as one comes that is not in it.
    fn load_vectors(&mut self) -> io::Result<()> {
        if self.floats.is_some() {
            return Ok(());
        }
        let n_lines = n_float_lines(self.dimensions);
        let mut floats = self.arena.take(SEGMENT_ROWS * n_lines);
        let mut buffer = VectorBuffer::default();
        for row in 0..self.n_rows() {
            floats[row * n_lines..][..n_lines].copy_from_slice(self.vector(row, &mut buffer)?);
        }
        self.floats = Some(Lines::Full(floats));
        Ok(())
    }

    /// Puts the last row of `from` in the place of row `row`; `from` keeps it.
    pub(super) fn copy_last_of(&mut self, row: usize, from: &Segment) -> io::Result<()> {
        let last = from.n_rows() - 1;
        if from.slot(last) == NO_SLOT {
            self.load_vectors()?;
        }
        self.set_label(row, from.labels.get(last));
        self.columns.set(row, &from.columns.get(last), &self.arena);
        self.sizes.get_mut()[row] = from.sizes.get()[last];
        self.fine_residuals.get_mut()[row] = from.fine_residuals.get()[last];
        if let Some(slot) = self.slots.get_mut(row) {
            *slot = from.slot(last);
        }
        let n_lines = n_code_lines(self.dimensions);
        for (to, from) in [(&mut self.coarse, &from.coarse), (&mut self.fine, &from.fine)] {
            to.get_mut()[row * n_lines..][..n_lines].copy_from_slice(&from.get()[last * n_lines..][..n_lines]);
        }
        if let (Some(fifth), Some(from)) = (&mut self.fifth, &from.fifth) {
            let n_words = n_fifth_words(self.dimensions);
            let from_bits = &from.bits.get()[last * n_words..][..n_words];
            fifth.bits.get_mut()[row * n_words..][..n_words].copy_from_slice(from_bits);
            fifth.residuals.get_mut()[row] = from.residuals.get()[last];
        }
        if let Some(from) = &from.sketched {
            self.sketch(row, from.residuals.get()[last]);
        }
        if let Some(floats) = &mut self.floats {
            let n_lines = n_float_lines(self.dimensions);
            let mut buffer = VectorBuffer::default();
            floats.get_mut()[row * n_lines..][..n_lines].copy_from_slice(from.vector(last, &mut buffer)?);
        }
        Ok(())
    }

    /// Removes row `row`: the last row takes its place, and the last row's place is overwritten.
    pub(super) fn swap_remove(&mut self, row: usize) {
        let last = self.n_rows() - 1;
        let (n_code_lines, n_float_lines) = (n_code_lines(self.dimensions), n_float_lines(self.dimensions));
        let n_fifth_words = n_fifth_words(self.dimensions);
        if row != last {
            self.set_label(row, self.labels.get(last));
            let cells = self.columns.get(last);
            self.columns.set(row, &cells, &self.arena);
            self.sizes.get_mut().copy_within(last..=last, row);
            self.fine_residuals.get_mut().copy_within(last..=last, row);
            if !self.slots.is_empty() {
                self.slots[row] = self.slots[last];
            }
            for plane in [&mut self.coarse, &mut self.fine] {
                plane.get_mut().copy_within(last * n_code_lines..(last + 1) * n_code_lines, row * n_code_lines);
            }
            if let Some(fifth) = &mut self.fifth {
                let bits = fifth.bits.get_mut();
                bits.copy_within(last * n_fifth_words..(last + 1) * n_fifth_words, row * n_fifth_words);
                fifth.residuals.get_mut().copy_within(last..=last, row);
            }
            if let Some(sketched) = &mut self.sketched {
                sketched.residuals.get_mut().copy_within(last..=last, row);
            }
            if let Some(floats) = &mut self.floats {
                let floats = floats.get_mut();
                floats.copy_within(last * n_float_lines..(last + 1) * n_float_lines, row * n_float_lines);
            }
        }
        self.labels.pop();
        self.columns.clear(last, &self.arena);
        self.sizes.get_mut()[last] = RowSizes::default();
        self.fine_residuals.get_mut()[last] = 0;
        if let Some(slot) = self.slots.get_mut(last) {
            *slot = NO_SLOT;
        }
        for plane in [&mut self.coarse, &mut self.fine] {
            plane.get_mut()[last * n_code_lines..][..n_code_lines].fill(CodeLine::ZERO);
        }
        if let Some(fifth) = &mut self.fifth {
            fifth.bits.get_mut()[last * n_fifth_words..][..n_fifth_words].fill(0);
            fifth.residuals.get_mut()[last] = 0;
        }
        if let Some(sketched) = &mut self.sketched {
            // It is full no more.
            sketched.plane = None;
            sketched.residuals.get_mut()[last] = 0;
        }
        if let Some(floats) = &mut self.floats {
            floats.get_mut()[last * n_float_lines..][..n_float_lines].fill(FloatLine::ZERO);
        }
    }

    fn set_label(&mut self, row: usize, label: RowLabel) {
        if row == self.n_rows() {
            self.reserve(row + 1);
        }
        self.labels.set(row, label);
    }

    /// Makes place for `n_rows`, in whole groups, doubling: most face sets are small, and must not take the memory of a
    /// full segment.
    fn reserve(&mut self, n_rows: usize) {
        if n_rows <= self.sizes.get().len() {
            return;
        }
        let n_rows = (self.sizes.get().len() * 2).clamp(n_rows.next_multiple_of(GROUP_ROWS), SEGMENT_ROWS);
        let n_lines = n_code_lines(self.dimensions);
        self.coarse.grow_to(n_rows, n_lines, &self.arena);
        self.fine.grow_to(n_rows, n_lines, &self.arena.second_plane());
        if let Some(fifth) = &mut self.fifth {
            fifth.bits.grow_to(n_rows, n_fifth_words(self.dimensions), &self.arena);
            fifth.residuals.grow_to(n_rows, 1, &self.arena);
        }
        if let Some(sketched) = &mut self.sketched {
            sketched.residuals.grow_to(n_rows, 1, &self.arena);
        }
        match &mut self.floats {
            // They are let go of when the segment is full: no memory of the arena for so short a time.
            Some(Lines::Growing(floats)) if self.file.is_some() => {
                floats.grow_to(n_rows * n_float_lines(self.dimensions));
            }
            Some(floats) => floats.grow_to(n_rows, n_float_lines(self.dimensions), &self.arena),
            None => {}
        }
        if self.file.is_some() {
            self.slots.reserve_exact(n_rows - self.slots.len());
            self.slots.resize(n_rows, NO_SLOT);
        }
        self.sizes.grow_to(n_rows, 1, &self.arena);
        self.fine_residuals.grow_to(n_rows, 1, &self.arena);
        self.labels.reserve_for(n_rows);
    }

    pub(super) fn label(&self, row: usize) -> RowLabel {
        self.labels.get(row)
    }

    pub(super) fn cells(&self, row: usize) -> Cells {
        self.columns.get(row)
    }

    /// The row's place in the file, or [`NO_SLOT`].
    pub(super) fn slot(&self, row: usize) -> u32 {
        self.slots.get(row).copied().unwrap_or(NO_SLOT)
    }

    /// Places of all rows in the file.
    pub(super) fn slots_in_use(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().copied().filter(|slot| *slot != NO_SLOT)
    }

    /// The row's vector, filled up with zeros: in memory, or read from the file into `buffer`.
    pub(super) fn vector<'a>(&'a self, row: usize, buffer: &'a mut VectorBuffer) -> io::Result<&'a [FloatLine]> {
        let n_lines = n_float_lines(self.dimensions);
        if let Some(floats) = &self.floats {
            return Ok(&floats.get()[row * n_lines..][..n_lines]);
        }
        let file = self.file.as_ref().ok_or_else(|| io::Error::other("a segment without vectors has no file"))?;
        buffer.lines.resize(n_lines, FloatLine::ZERO);
        file.vector(self.slots[row], &mut buffer.bytes, &mut buffer.lines)?;
        Ok(&buffer.lines)
    }

    /// The fifth bits of the same rows, if they are kept by themselves.
    pub(super) fn fifth_rows(&self) -> Option<FifthRows<'_>> {
        let fifth = self.fifth.as_ref()?;
        let n_lines = n_code_lines(self.dimensions);
        Some(FifthRows { bits: fifth.bits.get(), n_lines, sizes: self.sizes.get(), residuals: fifth.residuals.get() })
    }

    /// Both planes of all rows, filled up to whole groups; `next` is what is probably scanned next.
    /// `rows` is their coarse plane.
    pub(super) fn batch_rows<'a>(&'a self, rows: Rows<'a>, next: Option<&'a Segment>) -> BatchRows<'a> {
        let next_fine = next.map_or(&[][..], |next| next.fine.get());
        BatchRows { rows, fine: self.fine.get(), residuals: self.fine_residuals.get(), next_fine }
    }

    /// Has the row's fine codes and what goes with them fetched into the cache.
    pub(super) fn fetch_fine_ahead(rows: &FineRows<'_>, row: usize) {
        fetch_ahead(rows.line(row));
        fetch_value_ahead(&rows.sizes[row]);
        fetch_value_ahead(&rows.residuals[row]);
    }

    /// Has the row's coarse codes and sizes fetched into the cache.
    pub(super) fn fetch_coarse_ahead(rows: &Rows<'_>, row: usize) {
        fetch_ahead(&rows.coarse[row * rows.n_lines..][..rows.n_lines]);
        fetch_value_ahead(&rows.sizes[row]);
    }

    /// Has what looks at rows need to know of the segment fetched into the cache: where its planes are.
    pub(super) fn fetch_ahead(&self) {
        fetch_start_ahead(self, LOOKED_AT_BYTES);
    }
}
