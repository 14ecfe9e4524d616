//! TFLite files written by hand, for tests: as few FlatBuffers as the reader needs.

/// What a field of a table holds.
pub(super) enum Field {
    /// Left out.
    Absent,
    /// One byte.
    Byte(i8),
    /// Four bytes.
    Word(i32),
    /// A table.
    Table(Vec<Field>),
    /// A vector of tables.
    Tables(Vec<Vec<Field>>),
    /// A vector of 32-bit integers.
    Words(Vec<i32>),
    /// A vector of bytes.
    Bytes(Vec<u8>),
}

use Field::{Absent, Byte, Bytes, Table, Tables, Word, Words};

/// A tensor, its number of bytes being that of a constant.
pub(super) struct Tensor {
    pub(super) dims: Vec<i32>,
    /// 0 for 32-bit floats, 1 for 16-bit ones, 2 for integers.
    pub(super) element: i8,
    pub(super) data: Vec<u8>,
}

/// An operation: its kind, the tensors it takes and makes, its options.
pub(super) struct Operation {
    pub(super) code: i8,
    pub(super) inputs: Vec<i32>,
    pub(super) output: i32,
    pub(super) options: Vec<Field>,
}

/// A file with one graph from tensor 0 to `outputs`.
pub(super) fn file(tensors: Vec<Tensor>, operations: Vec<Operation>, outputs: &[i32]) -> Vec<u8> {
    let mut codes: Vec<i8> = operations.iter().map(|operation| operation.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut buffers = Vec::new();
    let mut tables = Vec::new();
    for (idx, Tensor { dims, element, data }) in tensors.into_iter().enumerate() {
        buffers.push(vec![if data.is_empty() { Absent } else { Bytes(data) }]);
        tables.push(vec![Words(dims), Byte(element), Word(idx as i32)]);
    }
    let operations = operations.into_iter().map(|Operation { code, inputs, output, options }| {
        let code = codes.iter().position(|&known| known == code).unwrap();
        vec![Word(code as i32), Words(inputs), Words(vec![output]), Byte(1), Table(options)]
    });
    let graph = vec![Tables(tables), Words(vec![0]), Words(outputs.to_vec()), Tables(operations.collect())];
    let codes = codes.iter().map(|&code| vec![Byte(code)]).collect();
    root(vec![Word(3), Tables(codes), Tables(vec![graph]), Absent, Tables(buffers)])
}

/// A file whose root table has these fields.
pub(super) fn root(fields: Vec<Field>) -> Vec<u8> {
    let mut file = vec![0; 4];
    file.extend(b"TFL3");
    let table = put_table(&mut file, fields);
    link(&mut file, 0, table);
    file
}

/// Writes what is at `target` into the offset at `at`.
fn link(file: &mut [u8], at: usize, target: usize) {
    file[at..at + 4].copy_from_slice(&u32::try_from(target - at).unwrap().to_le_bytes());
}

/// A vtable, the table, then what its fields lead to. Every field takes four bytes.
fn put_table(file: &mut Vec<u8>, fields: Vec<Field>) -> usize {
    let n_fields = fields.len();
    let vtable = file.len();
    let words = |word: usize| u16::try_from(word).unwrap().to_le_bytes();
    file.extend(words(4 + 2 * n_fields));
    file.extend(words(4 + 4 * n_fields));
    for (idx, field) in fields.iter().enumerate() {
        file.extend(words(if matches!(field, Absent) { 0 } else { 4 + 4 * idx }));
    }
    let table = file.len();
    file.extend(i32::try_from(table - vtable).unwrap().to_le_bytes());
    file.resize(table + 4 + 4 * n_fields, 0);
    for (idx, field) in fields.into_iter().enumerate() {
        let at = table + 4 + 4 * idx;
        match field {
            Absent => {}
            Byte(byte) => file[at] = byte as u8,
            Word(word) => file[at..at + 4].copy_from_slice(&word.to_le_bytes()),
            Table(fields) => {
                let table = put_table(file, fields);
                link(file, at, table);
            }
            Tables(tables) => {
                let vector = put_length(file, at, tables.len());
                file.resize(vector + 4 * tables.len(), 0);
                for (idx, fields) in tables.into_iter().enumerate() {
                    let table = put_table(file, fields);
                    link(file, vector + 4 * idx, table);
                }
            }
            Words(words) => {
                put_length(file, at, words.len());
                file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            }
            Bytes(bytes) => {
                put_length(file, at, bytes.len());
                file.extend(bytes);
            }
        }
    }
    table
}

/// Begins a vector that the offset at `at` leads to; gives the place of its first element.
fn put_length(file: &mut Vec<u8>, at: usize, length: usize) -> usize {
    let vector = file.len();
    link(file, at, vector);
    file.extend(u32::try_from(length).unwrap().to_le_bytes());
    vector + 4
}
