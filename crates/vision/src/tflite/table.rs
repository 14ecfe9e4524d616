//! FlatBuffers tables, read with every offset checked.
//!
//! A FlatBuffers file is a web of offsets: a table begins with the distance back to its vtable, which lists at which of the
//! table's bytes each field lies, 0 for a field that is left out. See <https://flatbuffers.dev/internals/>. Nothing here
//! recurses and nothing is allocated, so a damaged file can only yield wrong numbers or an error.

/// What is wrong, in words.
pub(super) type Read<T> = Result<T, String>;

/// A table within a file.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    file: &'a [u8],
    /// Where the table begins.
    start: usize,
    /// Where its list of fields begins, and how many it has.
    fields: usize,
    n_fields: usize,
}

/// A vector within a file: the place of its first element, and how many there are. All bytes of it lie within the file.
#[derive(Clone, Copy)]
pub(super) struct Vector<'a> {
    file: &'a [u8],
    start: usize,
    length: usize,
}

impl<'a> Table<'a> {
    /// The table that the whole file stands for.
    pub(super) fn root(file: &'a [u8]) -> Read<Self> {
        Self::follow(file, 0)
    }

    /// The table that the offset at `at` leads to.
    fn follow(file: &'a [u8], at: usize) -> Read<Self> {
        let start = follow(file, at)?;
        let back = i32::from_le_bytes(bytes(file, start)?);
        let vtable = i64::try_from(start).ok().and_then(|start| start.checked_sub(i64::from(back)));
        let vtable = vtable.and_then(|vtable| usize::try_from(vtable).ok()).ok_or_else(outside)?;
        let n_bytes = usize::from(u16::from_le_bytes(bytes(file, vtable)?));
        // Two words come before the fields: the sizes of the vtable and of the table.
        let n_fields = (n_bytes / 2).saturating_sub(2);
        Ok(Self { file, start, fields: vtable.checked_add(4).ok_or_else(outside)?, n_fields })
    }

    /// Where a field lies; `None` if it is left out.
    fn place(&self, field: usize) -> Read<Option<usize>> {
        if field >= self.n_fields {
            return Ok(None);
        }
        match u16::from_le_bytes(bytes(self.file, self.fields.checked_add(2 * field).ok_or_else(outside)?)?) {
            0 => Ok(None),
            distance => self.start.checked_add(distance.into()).map(Some).ok_or_else(outside),
        }
    }

    fn scalar<const N: usize>(&self, field: usize) -> Read<Option<[u8; N]>> {
        self.place(field)?.map(|at| bytes(self.file, at)).transpose()
    }

    pub(super) fn i8(&self, field: usize) -> Read<i8> {
        Ok(self.scalar(field)?.map_or(0, i8::from_le_bytes))
    }

    pub(super) fn i32_or(&self, field: usize, default: i32) -> Read<i32> {
        Ok(self.scalar(field)?.map_or(default, i32::from_le_bytes))
    }

    pub(super) fn u32(&self, field: usize) -> Read<u32> {
        Ok(self.scalar(field)?.map_or(0, u32::from_le_bytes))
    }

    pub(super) fn u64(&self, field: usize) -> Read<u64> {
        Ok(self.scalar(field)?.map_or(0, u64::from_le_bytes))
    }

    /// A table that a field leads to.
    pub(super) fn table(&self, field: usize) -> Read<Option<Table<'a>>> {
        self.place(field)?.map(|at| Table::follow(self.file, at)).transpose()
    }

    /// A vector of elements of so many bytes; empty if the field is left out.
    pub(super) fn vector(&self, field: usize, element_bytes: usize) -> Read<Vector<'a>> {
        let Some(at) = self.place(field)? else { return Ok(Vector { file: self.file, start: 0, length: 0 }) };
        let at = follow(self.file, at)?;
        let length = usize::try_from(u32::from_le_bytes(bytes(self.file, at)?)).map_err(|_| outside())?;
        let start = at.checked_add(4).ok_or_else(outside)?;
        let end = length.checked_mul(element_bytes).and_then(|n_bytes| start.checked_add(n_bytes));
        match end {
            Some(end) if end <= self.file.len() => Ok(Vector { file: self.file, start, length }),
            _ => Err(outside()),
        }
    }

    /// A vector of tables of at most `most` elements; `what` names them.
    pub(super) fn tables(&self, field: usize, most: usize, what: &str) -> Read<Vec<Table<'a>>> {
        let vector = self.vector(field, 4)?.at_most(most, what)?;
        (0..vector.length).map(|idx| Table::follow(self.file, vector.start + 4 * idx)).collect()
    }

    /// A vector of at most `most` integers; `what` names them.
    pub(super) fn i32s(&self, field: usize, most: usize, what: &str) -> Read<Vec<i32>> {
        let vector = self.vector(field, 4)?.at_most(most, what)?;
        Ok(vector.bytes(4).as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect())
    }
}

impl<'a> Vector<'a> {
    fn at_most(self, most: usize, what: &str) -> Read<Self> {
        if self.length <= most {
            return Ok(self);
        }
        Err(format!("has {} {what}, expected at most {most}", self.length))
    }

    /// The bytes of elements of so many bytes, as the vector was read.
    pub(super) fn bytes(&self, element_bytes: usize) -> &'a [u8] {
        &self.file[self.start..self.start + self.length * element_bytes]
    }
}

/// Where the offset at `at` leads: it counts from itself.
fn follow(file: &[u8], at: usize) -> Read<usize> {
    let distance = usize::try_from(u32::from_le_bytes(bytes(file, at)?)).map_err(|_| outside())?;
    at.checked_add(distance).ok_or_else(outside)
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Read<[u8; N]> {
    file.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(outside)
}

fn outside() -> String {
    "has an offset that leads outside of the file".into()
}
