//! Cells and records of a page, from bytes that may be anything.
//!
//! Format: <https://www.sqlite.org/fileformat2.html>, sections 1.6 (cells), 2.1 (records).

use rusqlite::types::Value;

/// Largest payload that is read: a template of the largest dimension with room to spare.
const PAYLOAD_BYTES_MAX: u64 = 1 << 20;

/// Bytes of SQLite's smallest page: how much of a row stands in its page cannot be computed of less.
const PAGE_BYTES_MIN: usize = 512;

/// A page's kind as far as rows stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Leaf of a table with rowids.
    TableLeaf,
    /// Leaf of an index or of a table without rowids.
    IndexLeaf,
    /// Inner page of such a tree, which holds rows as well.
    IndexInner,
}

impl Kind {
    /// What the page says of itself; page 1 has the file's header before.
    pub(super) fn of(page: &[u8], number: u32) -> Option<Self> {
        match page.get(head_at(number))? {
            0x0d => Some(Self::TableLeaf),
            0x0a => Some(Self::IndexLeaf),
            0x02 => Some(Self::IndexInner),
            _ => None,
        }
    }
}

/// Pages below an inner page of a tree, of a table or an index; empty for any other page.
pub(super) fn children(page: &[u8], number: u32) -> Vec<u32> {
    let head = head_at(number);
    let half = |at: usize| page.get(at..at + 2).map_or(0, |half| usize::from(u16::from_be_bytes([half[0], half[1]])));
    let word = |at: usize| page.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_be_bytes);
    if !matches!(page.get(head), Some(0x02 | 0x05)) {
        return Vec::new();
    }
    let n_cells = half(head + 3).min(page.len() / 2);
    let left = (0..n_cells).map(|idx| word(half(head + 12 + 2 * idx)));
    left.chain([word(head + 8)]).filter(|&child| child > 1).collect()
}

fn head_at(number: u32) -> usize {
    if number == 1 { 100 } else { 0 }
}

/// Where the cells of a page begin.
pub(super) fn cell_offsets(page: &[u8], number: u32, kind: Kind) -> Vec<usize> {
    let head = head_at(number);
    let half = |at: usize| page.get(at..at + 2).map(|half| usize::from(u16::from_be_bytes([half[0], half[1]])));
    let n_cells = half(head + 3).unwrap_or(0);
    let pointers = head + if kind == Kind::IndexInner { 12 } else { 8 };
    (0..n_cells.min(page.len() / 2)).filter_map(|idx| half(pointers + 2 * idx)).filter(|&at| at > 0).collect()
}

/// A row as it stands in a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// NULL stands where the column is the rowid.
    pub(super) rowid: Option<i64>,
    pub(super) values: Vec<Value>,
    /// Pages that its end stands in.
    pub(super) overflow: Vec<u32>,
    /// Bytes of it in its page.
    pub(super) n_bytes: usize,
}

/// Whether cells of so many bytes, with what is free, are all that stands in the page: else the number of cells in its head is
/// less than there are, as of a page in which a bit of it fell over.
pub(super) fn is_accounted_for(page: &[u8], number: u32, n_cell_bytes: usize) -> bool {
    let head = head_at(number);
    let half = |at: usize| page.get(at..at + 2).map_or(0, |half| usize::from(u16::from_be_bytes([half[0], half[1]])));
    // 0 stands for 65536.
    let content_at = Some(half(head + 5)).filter(|&at| at > 0).unwrap_or(1 << 16);
    let mut n_free = usize::from(page.get(head + 7).copied().unwrap_or(0));
    let mut block = half(head + 1);
    // A block of free bytes is at least 4 bytes long.
    for _ in 0..page.len() / 4 {
        if block == 0 {
            break;
        }
        n_free += half(block + 2);
        block = half(block);
    }
    page.len().checked_sub(content_at) == Some(n_cell_bytes + n_free)
}

/// Reads the cell at an offset. `page_of` gives the pages that a long row goes on in. `None` if that cannot be a row.
pub(super) fn cell(
    page: &[u8],
    at: usize,
    kind: Kind,
    page_of: &mut dyn FnMut(u32) -> Option<Vec<u8>>,
) -> Option<Record> {
    if page.len() < PAGE_BYTES_MIN {
        return None;
    }
    let mut rest = page.get(at..)?;
    if kind == Kind::IndexInner {
        rest = rest.get(4..)?;
    }
    let payload_bytes = varint(&mut rest)?;
    if !(2..=PAYLOAD_BYTES_MAX).contains(&payload_bytes) {
        return None;
    }
    let rowid = match kind {
        Kind::TableLeaf => Some(varint(&mut rest)?.cast_signed()),
        Kind::IndexLeaf | Kind::IndexInner => None,
    };
    let payload_bytes = payload_bytes as usize;
    let usable = page.len();
    let local_max = match kind {
        Kind::TableLeaf => usable - 35,
        Kind::IndexLeaf | Kind::IndexInner => (usable - 12) * 64 / 255 - 23,
    };
    if payload_bytes <= local_max {
        let values = values(rest.get(..payload_bytes)?)?;
        // SQLite gives a cell 4 bytes at least.
        let n_bytes = (page.len() - at - rest.len() + payload_bytes).max(4);
        return Some(Record { rowid, values, overflow: Vec::new(), n_bytes });
    }
    let local_min = (usable - 12) * 32 / 255 - 23;
    let surplus = local_min + (payload_bytes - local_min) % (usable - 4);
    let n_local = if surplus <= local_max { surplus } else { local_min };
    let mut payload = rest.get(..n_local)?.to_vec();
    let mut next = u32::from_be_bytes(rest.get(n_local..n_local + 4)?.try_into().ok()?);
    let n_bytes = page.len() - at - rest.len() + n_local + 4;
    let mut overflow = Vec::new();
    while payload.len() < payload_bytes {
        if next == 0 || overflow.contains(&next) {
            return None;
        }
        let more = page_of(next)?;
        overflow.push(next);
        next = u32::from_be_bytes(more.get(..4)?.try_into().ok()?);
        let n_more = (payload_bytes - payload.len()).min(usable - 4);
        payload.extend_from_slice(more.get(4..4 + n_more)?);
    }
    Some(Record { rowid, values: values(&payload)?, overflow, n_bytes })
}

/// Values of a record.
pub(super) fn values(payload: &[u8]) -> Option<Vec<Value>> {
    let mut rest = payload;
    let header_bytes = usize::try_from(varint(&mut rest)?).ok()?;
    let taken = payload.len() - rest.len();
    let mut types = payload.get(taken..header_bytes)?;
    let mut body = payload.get(header_bytes..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let serial = varint(&mut types)?;
        let n_bytes = match serial {
            0 | 8 | 9 => 0,
            1..=4 => serial,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (serial - 12) / 2,
        };
        let bytes = body.split_off(..usize::try_from(n_bytes).ok()?)?;
        values.push(match serial {
            0 => Value::Null,
            1..=6 => Value::Integer(signed(bytes)),
            7 => Value::Real(f64::from_bits(signed(bytes).cast_unsigned())),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            _ if serial % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        });
    }
    body.is_empty().then_some(values)
}

/// A big-endian two's complement number of 1 to 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    let start = if bytes.first().is_some_and(|&byte| byte >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(start, |number, &byte| number << 8 | i64::from(byte))
}

/// Up to 9 bytes: seven bits each, of the ninth eight.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for idx in 0..9 {
        let byte = *rest.split_off_first()?;
        if idx == 8 {
            return Some(number << 8 | u64::from(byte));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
