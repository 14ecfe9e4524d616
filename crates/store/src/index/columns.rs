//! What filters look at, by columns, and filters evaluated over whole segments.
//!
//! A filter is first turned into a [`Plan`]: field positions become columns, texts become codes of the gallery's
//! [`Dictionary`]. A plan then gives one [`Bits`] per segment, a word for 64 rows at a time, in loops without branches.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use likeness_domain::filter::Filter;
use likeness_domain::types::{FaceId, FieldSchema, FieldType, FieldValue};

use super::kernel;
use super::kernel::pages::{Arena, Slot, fetch_ahead, fetch_value_ahead};

/// Rows of a segment.
pub(super) const SEGMENT_ROWS: usize = 1024;

/// One bit for each row of a segment.
pub(super) type Bits = [u64; SEGMENT_ROWS / 64];

pub(super) const NO_ROWS: Bits = [0; SEGMENT_ROWS / 64];

/// The first `n_rows` rows.
pub(super) fn first_rows(n_rows: usize) -> Bits {
    std::array::from_fn(|word_idx| match n_rows.saturating_sub(word_idx * 64) {
        0 => 0,
        n @ 1..64 => (1 << n) - 1,
        _ => u64::MAX,
    })
}

fn set_bit(bits: &mut Bits, row: usize, on: bool) {
    let mask = 1 << (row % 64);
    if on { bits[row / 64] |= mask } else { bits[row / 64] &= !mask }
}

pub(super) fn bit(bits: &Bits, row: usize) -> bool {
    bits[row / 64] >> (row % 64) & 1 == 1
}

/// Stands for "no text".
const NO_TEXT: u32 = 0;

/// The texts of a gallery's subjects and text fields, each once, as codes from 1.
///
/// A code is free for another text when no row uses it any more: plans are made under the same lock that guards the
/// rows they are for, so a plan never meets a row with a younger meaning of a code.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    codes: HashMap<Arc<str>, u32>,
    /// Text and number of uses of code `idx + 1`.
    slots: Vec<(Option<Arc<str>>, u32)>,
    free: Vec<u32>,
}

impl Dictionary {
    /// The code of a text, with one more use.
    fn acquire(&mut self, text: &Arc<str>) -> u32 {
        if let Some(&code) = self.codes.get(text) {
            self.slots[code as usize - 1].1 += 1;
            return code;
        }
        let code = self.free.pop().unwrap_or_else(|| {
            self.slots.push((None, 0));
            u32::try_from(self.slots.len()).expect("a gallery has fewer than 2^32 texts")
        });
        self.slots[code as usize - 1] = (Some(text.clone()), 1);
        self.codes.insert(text.clone(), code);
        code
    }

    /// One use less; a text without uses is forgotten.
    fn release(&mut self, code: u32) {
        let Some(slot_idx) = (code as usize).checked_sub(1) else { return };
        let (text, n_uses) = &mut self.slots[slot_idx];
        *n_uses -= 1;
        if *n_uses == 0 {
            if let Some(text) = text.take() {
                self.codes.remove(&text);
            }
            self.free.push(code);
        }
    }

    fn find(&self, text: &str) -> Option<u32> {
        self.codes.get(text).copied()
    }

    /// Texts in use.
    #[cfg(test)]
    pub(super) fn n_texts(&self) -> usize {
        self.codes.len()
    }
}

/// A value as it is kept in a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Absent,
    Code(u32),
    Whole(i64),
    Real(f64),
    Boolean(bool),
}

/// The cells of one row: the subject, then one for each field of the schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cells(pub(super) Vec<Cell>);

impl Cells {
    /// Codes the texts, each use counted; give them back with [`Cells::release`]. A value that does not fit its field's
    /// type is never enrolled; such a cell is absent.
    pub(super) fn acquire(
        schema: &FieldSchema,
        subject: Option<&Arc<str>>,
        values: &[Option<FieldValue>],
        dictionary: &mut Dictionary,
    ) -> Self {
        let mut cells = Vec::with_capacity(1 + schema.fields().len());
        cells.push(subject.map_or(Cell::Absent, |subject| Cell::Code(dictionary.acquire(subject))));
        for (field_idx, (_, field_type)) in schema.fields().iter().enumerate() {
            let value = values.get(field_idx).and_then(Option::as_ref);
            let cell = match (value, field_type) {
                (Some(FieldValue::Text(text)), FieldType::String) => Cell::Code(dictionary.acquire(text)),
                (Some(&FieldValue::Whole(number)), FieldType::Integer | FieldType::Long) => Cell::Whole(number),
                (Some(&FieldValue::Real(number)), FieldType::Float | FieldType::Double) => Cell::Real(number),
                (Some(&FieldValue::Boolean(flag)), FieldType::Boolean) => Cell::Boolean(flag),
                (value, _) => {
                    debug_assert!(value.is_none(), "enrolment checks values against the schema");
                    Cell::Absent
                }
            };
            cells.push(cell);
        }
        Self(cells)
    }

    /// Gives back the uses of its texts.
    pub(super) fn release(&self, dictionary: &mut Dictionary) {
        for cell in &self.0 {
            if let Cell::Code(code) = cell {
                dictionary.release(*code);
            }
        }
    }
}

/// One column of a segment. Cells without a value hold zero and are told apart by `present`, except that code 0 and
/// "no text" are the same thing.
#[derive(Debug)]
pub(super) enum Column {
    Text(Vec<u32>),
    Whole { values: Wholes, present: Bits },
    Real { values: Vec<f64>, present: Bits },
    Boolean { values: Bits, present: Bits },
}

/// Whole numbers, in a byte each while all of them lie close together, as ages, years and levels do: a filter then reads an
/// eighth of the memory and compares 64 of them at a time.
#[derive(Debug)]
pub(super) enum Wholes {
    /// Offsets from `base`, which is 128 below the first number as far as there are such numbers.
    Near {
        base: i64,
        offsets: Offsets,
    },
    Far(Vec<i64>),
}

/// A byte of each row. Those of full segments lie next to each other, so that a filter finds them on few pages.
#[derive(Debug)]
pub(super) enum Offsets {
    Growing(Vec<u8>),
    Full(Slot<u8>),
}

impl Offsets {
    fn get(&self) -> &[u8] {
        match self {
            Offsets::Growing(offsets) => offsets,
            Offsets::Full(offsets) => offsets,
        }
    }

    fn put(&mut self, row: usize, offset: u8, arena: &Arena) {
        match self {
            Offsets::Growing(offsets) => {
                put(offsets, row, offset);
                if offsets.len() == SEGMENT_ROWS {
                    *self = self.copied(arena);
                }
            }
            Offsets::Full(offsets) => offsets[row] = offset,
        }
    }

    fn copied(&self, arena: &Arena) -> Self {
        let offsets = self.get();
        if offsets.len() < SEGMENT_ROWS {
            return Offsets::Growing(offsets.to_vec());
        }
        let mut slot = arena.take(SEGMENT_ROWS);
        slot.copy_from_slice(offsets);
        Offsets::Full(slot)
    }
}

impl Wholes {
    const NONE: Self = Self::Near { base: 0, offsets: Offsets::Growing(Vec::new()) };

    /// `None` stands for no number; what the place holds then does not matter.
    fn set(&mut self, row: usize, number: Option<i64>, is_first: bool, arena: &Arena) {
        if let Wholes::Near { base, offsets } = self {
            if let Some(number) = number.filter(|_| is_first) {
                *base = number.saturating_sub(128);
            }
            let offset = number.map_or(Some(0), |number| number.checked_sub(*base).and_then(|n| u8::try_from(n).ok()));
            match offset {
                Some(offset) => return offsets.put(row, offset, arena),
                None => *self = Wholes::Far(offsets.get().iter().map(|&offset| near_number(*base, offset)).collect()),
            }
        }
        if let Wholes::Far(values) = self {
            put(values, row, number.unwrap_or(0));
        }
    }

    /// There must be a number at that row.
    fn get(&self, row: usize) -> i64 {
        match self {
            Wholes::Near { base, offsets } => near_number(*base, offsets.get()[row]),
            Wholes::Far(values) => values[row],
        }
    }

    /// The rows from `min` to `max`, both included, among others without a number.
    fn rows(&self, min: i64, max: i64) -> Bits {
        match self {
            Wholes::Near { base, offsets } => {
                let (first, last) = (min.saturating_sub(*base).max(0), max.saturating_sub(*base).min(255));
                match (u8::try_from(first), u8::try_from(last)) {
                    (Ok(first), Ok(last)) => {
                        selected(|rows| kernel::active().select_byte(offsets.get(), (first, last), rows))
                    }
                    _ => NO_ROWS,
                }
            }
            Wholes::Far(values) => selected(|rows| kernel::active().select_whole(values, (min, max), rows)),
        }
    }
}

/// Beyond the largest number only where there is none.
fn near_number(base: i64, offset: u8) -> i64 {
    base.saturating_add(i64::from(offset))
}

impl Column {
    fn of(field_type: FieldType) -> Self {
        match field_type {
            FieldType::String => Column::Text(Vec::new()),
            FieldType::Integer | FieldType::Long => Column::Whole { values: Wholes::NONE, present: NO_ROWS },
            FieldType::Float | FieldType::Double => Column::Real { values: Vec::new(), present: NO_ROWS },
            FieldType::Boolean => Column::Boolean { values: NO_ROWS, present: NO_ROWS },
        }
    }

    fn set(&mut self, row: usize, cell: Cell, arena: &Arena) {
        match self {
            Column::Text(codes) => match cell {
                Cell::Code(code) => put(codes, row, code),
                // A column without texts takes no memory; what is missing at its end is no text.
                _ => codes.get_mut(row).into_iter().for_each(|code| *code = NO_TEXT),
            },
            Column::Whole { values, present } => {
                let number = if let Cell::Whole(number) = cell { Some(number) } else { None };
                values.set(row, number, *present == NO_ROWS, arena);
                set_bit(present, row, matches!(cell, Cell::Whole(_)));
            }
            Column::Real { values, present } => {
                put(values, row, if let Cell::Real(number) = cell { number } else { 0.0 });
                set_bit(present, row, matches!(cell, Cell::Real(_)));
            }
            Column::Boolean { values, present } => {
                set_bit(values, row, cell == Cell::Boolean(true));
                set_bit(present, row, matches!(cell, Cell::Boolean(_)));
            }
        }
    }

    fn get(&self, row: usize) -> Cell {
        match self {
            Column::Text(codes) => match codes.get(row) {
                Some(&code) if code != NO_TEXT => Cell::Code(code),
                _ => Cell::Absent,
            },
            Column::Whole { values, present } if bit(present, row) => Cell::Whole(values.get(row)),
            Column::Real { values, present } if bit(present, row) => Cell::Real(values[row]),
            Column::Boolean { values, present } if bit(present, row) => Cell::Boolean(bit(values, row)),
            _ => Cell::Absent,
        }
    }
}

impl Column {
    fn copied(&self, arena: &Arena) -> Self {
        match self {
            Column::Text(codes) => Column::Text(codes.clone()),
            Column::Whole { values: Wholes::Near { base, offsets }, present } => Column::Whole {
                values: Wholes::Near { base: *base, offsets: offsets.copied(arena) },
                present: *present,
            },
            Column::Whole { values: Wholes::Far(values), present } => {
                Column::Whole { values: Wholes::Far(values.clone()), present: *present }
            }
            Column::Real { values, present } => Column::Real { values: values.clone(), present: *present },
            Column::Boolean { values, present } => Column::Boolean { values: *values, present: *present },
        }
    }

    /// Has fetched into the cache which cells have a value, and where the values are.
    pub(super) fn fetch_ahead(&self) {
        fetch_value_ahead(self);
    }

    /// Has the values themselves fetched; what [`Column::fetch_ahead`] fetches should be there.
    pub(super) fn fetch_values_ahead(&self) {
        match self {
            Column::Text(codes) => fetch_ahead(codes),
            Column::Whole { values: Wholes::Near { offsets, .. }, .. } => fetch_ahead(offsets.get()),
            Column::Whole { values: Wholes::Far(values), .. } => fetch_ahead(values),
            Column::Real { values, .. } => fetch_ahead(values),
            Column::Boolean { .. } => {}
        }
    }
}

fn put<T: Copy + Default>(values: &mut Vec<T>, row: usize, value: T) {
    if row >= values.len() {
        values.resize(row + 1, T::default());
    }
    values[row] = value;
}

/// The columns of a segment: the subject, then one for each field of the schema.
#[derive(Debug)]
pub(super) struct Columns(Vec<Column>);

impl Columns {
    pub(super) fn new(schema: &FieldSchema) -> Self {
        let fields = schema.fields().iter().map(|(_, field_type)| Column::of(*field_type));
        Self(std::iter::once(Column::Text(Vec::new())).chain(fields).collect())
    }

    pub(super) fn set(&mut self, row: usize, cells: &Cells, arena: &Arena) {
        for (column, &cell) in self.0.iter_mut().zip(&cells.0) {
            column.set(row, cell, arena);
        }
    }

    pub(super) fn get(&self, row: usize) -> Cells {
        Cells(self.0.iter().map(|column| column.get(row)).collect())
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Column] {
        &self.0
    }

    pub(super) fn copied(&self, arena: &Arena) -> Self {
        Self(self.0.iter().map(|column| column.copied(arena)).collect())
    }

    pub(super) fn clear(&mut self, row: usize, arena: &Arena) {
        for column in &mut self.0 {
            column.set(row, Cell::Absent, arena);
        }
    }
}

/// A filter ready to run over the rows of one gallery. Agrees with [`Filter::matches`] on every row whose values fit
/// the schema.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    Every(Vec<Plan>),
    AnyOf(Vec<Plan>),
    Not(Box<Plan>),
    Nothing,
    Face(u64),
    Present { column_idx: usize },
    Code { column_idx: usize, code: u32 },
    Boolean { column_idx: usize, value: bool },
    Whole { column_idx: usize, min: i64, max: i64 },
    Real { column_idx: usize, min: f64, max: f64 },
}

const SUBJECT: usize = 0;

impl Plan {
    pub(super) fn new(filter: &Filter, schema: &FieldSchema, dictionary: &Dictionary) -> Self {
        let plans = |parts: &[Filter]| parts.iter().map(|part| Plan::new(part, schema, dictionary)).collect();
        // A field that is not there, or of another type, has no such value in any row.
        let column = |field_idx: usize, wanted: fn(FieldType) -> bool| {
            let found = schema.fields().get(field_idx).filter(|(_, field_type)| wanted(*field_type));
            found.map(|_| 1 + field_idx)
        };
        let code = |column_idx: usize, text: &str| match dictionary.find(text) {
            Some(code) => Plan::Code { column_idx, code },
            None => Plan::Nothing,
        };
        match filter {
            Filter::Every(parts) => Plan::Every(plans(parts)),
            Filter::AnyOf(parts) => Plan::AnyOf(plans(parts)),
            Filter::Not(part) => Plan::Not(Box::new(Plan::new(part, schema, dictionary))),
            Filter::Face(face) => Plan::Face(face.get()),
            Filter::Subject(subject) => code(SUBJECT, subject),
            Filter::HasSubject => Plan::Present { column_idx: SUBJECT },
            Filter::Has { field_idx } => {
                column(*field_idx, |_| true).map_or(Plan::Nothing, |column_idx| Plan::Present { column_idx })
            }
            Filter::Text { field_idx, value } => column(*field_idx, |field_type| field_type == FieldType::String)
                .map_or(Plan::Nothing, |column_idx| code(column_idx, value)),
            Filter::Boolean { field_idx, value } => column(*field_idx, |field_type| field_type == FieldType::Boolean)
                .map_or(Plan::Nothing, |column_idx| Plan::Boolean { column_idx, value: *value }),
            Filter::Whole { field_idx, min, max } => {
                column(*field_idx, |field_type| matches!(field_type, FieldType::Integer | FieldType::Long))
                    .map_or(Plan::Nothing, |column_idx| Plan::Whole { column_idx, min: *min, max: *max })
            }
            Filter::Real { field_idx, lower, upper } => {
                column(*field_idx, |field_type| matches!(field_type, FieldType::Float | FieldType::Double)).map_or(
                    Plan::Nothing,
                    |column_idx| Plan::Real { column_idx, min: least(*lower), max: greatest(*upper) },
                )
            }
        }
    }

    /// The columns that it looks at, some more than once.
    pub(super) fn columns(&self) -> Vec<usize> {
        match self {
            Plan::Every(parts) | Plan::AnyOf(parts) => parts.iter().flat_map(Plan::columns).collect(),
            Plan::Not(part) => part.columns(),
            Plan::Nothing | Plan::Face(_) => Vec::new(),
            Plan::Present { column_idx }
            | Plan::Code { column_idx, .. }
            | Plan::Boolean { column_idx, .. }
            | Plan::Whole { column_idx, .. }
            | Plan::Real { column_idx, .. } => vec![*column_idx],
        }
    }

    /// The rows of a segment of `n_rows` rows that pass.
    pub(super) fn rows<'a>(&self, faces: &impl Fn() -> &'a [FaceId], columns: &[Column], n_rows: usize) -> Bits {
        let mut rows = self.raw_rows(faces, columns);
        if n_rows < SEGMENT_ROWS {
            and(&mut rows, &first_rows(n_rows));
        }
        rows
    }

    /// Rows beyond the last one have any bit.
    fn raw_rows<'a>(&self, faces: &impl Fn() -> &'a [FaceId], columns: &[Column]) -> Bits {
        match self {
            Plan::Every(parts) => {
                let mut rows = NO_ROWS.map(|word| !word);
                for part in parts {
                    and(&mut rows, &part.raw_rows(faces, columns));
                    if rows == NO_ROWS {
                        break;
                    }
                }
                rows
            }
            Plan::AnyOf(parts) => parts.iter().fold(NO_ROWS, |mut rows, part| {
                let more = part.raw_rows(faces, columns);
                rows.iter_mut().zip(&more).for_each(|(word, more)| *word |= more);
                rows
            }),
            Plan::Not(part) => part.raw_rows(faces, columns).map(|word| !word),
            Plan::Nothing => NO_ROWS,
            Plan::Face(wanted) => select(faces(), |face| face.get() == *wanted),
            Plan::Present { column_idx } => match &columns[*column_idx] {
                Column::Text(codes) => select(codes, |code| code != NO_TEXT),
                Column::Whole { present, .. } | Column::Real { present, .. } | Column::Boolean { present, .. } => {
                    *present
                }
            },
            Plan::Code { column_idx, code } => match &columns[*column_idx] {
                Column::Text(codes) => selected(|rows| kernel::active().select_code(codes, *code, rows)),
                _ => NO_ROWS,
            },
            Plan::Boolean { column_idx, value } => match &columns[*column_idx] {
                Column::Boolean { values, present } => {
                    let mut rows = if *value { *values } else { values.map(|word| !word) };
                    and(&mut rows, present);
                    rows
                }
                _ => NO_ROWS,
            },
            Plan::Whole { column_idx, min, max } => match &columns[*column_idx] {
                Column::Whole { values, present } => {
                    let mut rows = values.rows(*min, *max);
                    and(&mut rows, present);
                    rows
                }
                _ => NO_ROWS,
            },
            Plan::Real { column_idx, min, max } => match &columns[*column_idx] {
                Column::Real { values, present } => {
                    let mut rows = selected(|rows| kernel::active().select_real(values, (*min, *max), rows));
                    and(&mut rows, present);
                    rows
                }
                _ => NO_ROWS,
            },
        }
    }
}

/// The least finite number within a lower bound; values are finite, so "from infinity" is `f64::INFINITY`.
fn least(lower: Bound<f64>) -> f64 {
    match lower {
        Bound::Included(number) => number,
        Bound::Excluded(number) => number.next_up(),
        Bound::Unbounded => f64::NEG_INFINITY,
    }
}

fn greatest(upper: Bound<f64>) -> f64 {
    match upper {
        Bound::Included(number) => number,
        Bound::Excluded(number) => number.next_down(),
        Bound::Unbounded => f64::INFINITY,
    }
}

fn and(rows: &mut Bits, other: &Bits) {
    rows.iter_mut().zip(other).for_each(|(word, other)| *word &= other);
}

/// The bits that `select` sets.
fn selected(select: impl FnOnce(&mut [u64])) -> Bits {
    let mut rows = NO_ROWS;
    select(&mut rows);
    rows
}

fn select<T: Copy>(values: &[T], pass: impl Fn(T) -> bool) -> Bits {
    let mut rows = NO_ROWS;
    for (word, chunk) in rows.iter_mut().zip(values.chunks(64)) {
        *word = chunk.iter().enumerate().fold(0, |word, (idx, &value)| word | u64::from(pass(value)) << idx);
    }
    rows
}

#[cfg(test)]
mod tests;
