//! A row of a gallery as bytes: what a slot of a [`super::row_file`] holds.
//!
//! All numbers are little-endian. A slot is a multiple of 64 bytes: the head, the vector (f32 each), zeros up to the next
//! multiple of 64, the coarse codes, the fine codes (`quantise` and `kernel` say what they are).
//!
//! | Bytes | What |
//! |---|---|
//! | 0..8 | XXH3 of all that follows, with the file's key as its seed and 1 in place of 0; 0 if the slot is free |
//! | 8..16 | face set |
//! | 16..24 | face |
//! | 24..32 | sequence |
//! | 32..40 | person, or 0 |
//! | 40 | bytes of the attributes, or 255 if they have no room here and are in the store alone |
//! | 41 | residual of the sketch |
//! | 42..46, 46..48 | sizes of the codes; residual of both planes together |
//! | 48..128 | attributes: the subject, then a value for each field of the set |
//!
//! An attribute is a tag and its value: `-` absent, `t` text with its length (u8), `w` i64, `r` f64, `b` a byte 0 or 1.

use std::sync::Arc;

use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::{FaceId, FaceSetId, FieldValue, PackId, PersonId, Template};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::kernel::{CodeLine, RowSizes};
use super::quantise::{RowCodes, n_code_lines};

/// Bytes before the vector.
pub(super) const HEAD_BYTES: usize = 128;

/// Where the attributes begin.
const ATTRIBUTES: usize = 48;

/// Stands for the length of attributes that have no room.
const IN_STORE: u8 = u8::MAX;

/// Bytes of a slot for vectors of so many numbers.
pub(super) fn slot_bytes(dimensions: usize) -> usize {
    codes_at(dimensions) + 2 * n_code_lines(dimensions) * size_of::<CodeLine>()
}

/// Where the codes begin.
fn codes_at(dimensions: usize) -> usize {
    (HEAD_BYTES + dimensions * size_of::<f32>()).next_multiple_of(64)
}

/// What a slot holds.
#[derive(Debug, Clone)]
pub(super) enum Record {
    /// Nothing; all its bytes are zeros.
    Free,
    /// A row that was removed and whose bytes were not overwritten before the process ended.
    Stale,
    /// A row.
    Row {
        face_set: FaceSetId,
        /// Without subject and values if those are in the store alone.
        entry: GalleryEntry,
        codes: RowCodes,
        /// Whether subject and values have to be read from the store.
        lacks_attributes: bool,
    },
}

/// Writes a row into a slot's bytes, all of which are overwritten.
pub(super) fn write(slot: &mut [u8], key: u64, face_set: FaceSetId, entry: &GalleryEntry, codes: &RowCodes) {
    slot.fill(0);
    slot[8..16].copy_from_slice(&face_set.get().to_le_bytes());
    slot[16..24].copy_from_slice(&entry.face.get().to_le_bytes());
    slot[24..32].copy_from_slice(&entry.sequence.to_le_bytes());
    slot[32..40].copy_from_slice(&entry.person.map_or(0, PersonId::get).to_le_bytes());
    let n_bytes = match write_attributes(&mut slot[ATTRIBUTES..HEAD_BYTES], entry) {
        Some(n_bytes) => n_bytes as u8,
        None => {
            slot[ATTRIBUTES..HEAD_BYTES].fill(0);
            IN_STORE
        }
    };
    (slot[40], slot[41]) = (n_bytes, codes.sketch_residual);
    for (slot, number) in slot[HEAD_BYTES..].as_chunks_mut::<4>().0.iter_mut().zip(entry.template.unit()) {
        *slot = number.to_le_bytes();
    }
    slot[42..46].copy_from_slice(&codes.sizes.to_bits().to_le_bytes());
    slot[46..48].copy_from_slice(&codes.fine_residual.to_le_bytes());
    let room = slot[codes_at(entry.template.unit().len())..].as_chunks_mut::<64>().0;
    room.iter_mut().zip(codes.coarse.iter().chain(&codes.fine)).for_each(|(room, line)| *room = line.0);
    seal(slot, key);
}

/// Writes the checksum.
pub(super) fn seal(slot: &mut [u8], key: u64) {
    let checksum = checksum(slot, key);
    slot[..8].copy_from_slice(&checksum.to_le_bytes());
}

/// The numbers of a slot that holds a row, as they lie in its bytes after the head.
pub(super) fn numbers(slot_after_head: &[u8]) -> impl Iterator<Item = f32> + '_ {
    slot_after_head.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

/// What a slot holds; `None` if its bytes are not what was written. `pack_of` gives pack and number of fields of a set,
/// or `None` for one that is not there any more, whose rows are stale.
pub(super) fn read(
    slot: &[u8],
    (key, dimensions): (u64, usize),
    pack_of: impl Fn(FaceSetId) -> Option<(PackId, usize)>,
) -> Option<Record> {
    if slot.len() != slot_bytes(dimensions) {
        return None;
    }
    let checksum_read = number(slot, 0);
    if checksum_read == 0 {
        return Some(if slot.iter().all(|&byte| byte == 0) { Record::Free } else { Record::Stale });
    }
    if checksum_read != checksum(slot, key) {
        return None;
    }
    let face_set = FaceSetId::new(number(slot, 8))?;
    let Some((pack, n_fields)) = pack_of(face_set) else { return Some(Record::Stale) };
    let n_bytes = slot[40];
    let (subject, values) = match n_bytes {
        IN_STORE => (None, Box::default()),
        _ => read_attributes(slot.get(ATTRIBUTES..ATTRIBUTES + usize::from(n_bytes))?, n_fields)?,
    };
    let vector: Arc<[f32]> = numbers(&slot[HEAD_BYTES..]).take(dimensions).collect();
    let entry = GalleryEntry {
        face: FaceId::new(number(slot, 16))?,
        sequence: number(slot, 24),
        person: PersonId::new(number(slot, 32)),
        template: Template::from_unit(pack, vector).ok()?,
        subject,
        values,
    };
    let mut lines = slot[codes_at(dimensions)..].as_chunks::<64>().0.iter().map(|bytes| CodeLine(*bytes));
    let n_lines = n_code_lines(dimensions);
    let codes = RowCodes {
        coarse: lines.by_ref().take(n_lines).collect(),
        fine: lines.collect(),
        sizes: RowSizes::from_bits((number(slot, 42) & 0xffff_ffff) as u32),
        fine_residual: u16::from_le_bytes([slot[46], slot[47]]),
        sketch_residual: slot[41],
    };
    Some(Record::Row { face_set, entry, codes, lacks_attributes: n_bytes == IN_STORE })
}

fn number(slot: &[u8], at: usize) -> u64 {
    slot[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn checksum(slot: &[u8], key: u64) -> u64 {
    xxh3_64_with_seed(&slot[8..], key).max(1)
}

/// How many bytes were written; `None` if there is no room.
fn write_attributes(room: &mut [u8], entry: &GalleryEntry) -> Option<usize> {
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        room.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
        at += bytes.len();
        Some(())
    };
    let put_text = |put: &mut dyn FnMut(&[u8]) -> Option<()>, text: &str| {
        put(&[b't', u8::try_from(text.len()).ok()?])?;
        put(text.as_bytes())
    };
    match &entry.subject {
        Some(subject) => put_text(&mut put, subject)?,
        None => put(b"-")?,
    }
    for value in &entry.values {
        match value {
            None => put(b"-")?,
            Some(FieldValue::Text(text)) => put_text(&mut put, text)?,
            Some(FieldValue::Whole(number)) => {
                put(b"w")?;
                put(&number.to_le_bytes())?;
            }
            Some(FieldValue::Real(number)) => {
                put(b"r")?;
                put(&number.to_le_bytes())?;
            }
            Some(FieldValue::Boolean(flag)) => put(&[b'b', u8::from(*flag)])?,
        }
    }
    Some(at)
}

type Attributes = (Option<Arc<str>>, Box<[Option<FieldValue>]>);

/// `None` if the bytes are not attributes of a set with so many fields.
fn read_attributes(mut bytes: &[u8], n_fields: usize) -> Option<Attributes> {
    let subject = match read_attribute(&mut bytes)? {
        None => None,
        Some(FieldValue::Text(subject)) => Some(subject),
        Some(_) => return None,
    };
    let mut values = Vec::with_capacity(n_fields.min(ATTRIBUTES));
    while !bytes.is_empty() {
        values.push(read_attribute(&mut bytes)?);
    }
    (values.len() == n_fields).then(|| (subject, values.into()))
}

fn read_attribute(bytes: &mut &[u8]) -> Option<Option<FieldValue>> {
    Some(match take(bytes, 1)?[0] {
        b'-' => None,
        b't' => {
            let len = usize::from(take(bytes, 1)?[0]);
            Some(FieldValue::Text(std::str::from_utf8(take(bytes, len)?).ok()?.into()))
        }
        b'w' => Some(FieldValue::Whole(i64::from_le_bytes(take(bytes, 8)?.try_into().ok()?))),
        b'r' => {
            let number = f64::from_le_bytes(take(bytes, 8)?.try_into().ok()?);
            // Filters rely on it.
            Some(FieldValue::Real(Some(number).filter(|number| number.is_finite())?))
        }
        b'b' => Some(FieldValue::Boolean(match take(bytes, 1)?[0] {
            0 => false,
            1 => true,
            _ => return None,
        })),
        _ => return None,
    })
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index::rotation::Rotation;

    const KEY: u64 = 77;

    fn set() -> FaceSetId {
        FaceSetId::new(9).unwrap()
    }

    fn pack() -> PackId {
        PackId::new("pack-1").unwrap()
    }

    fn codes_of(row: &GalleryEntry) -> RowCodes {
        let vector = row.template.unit();
        RowCodes::new(vector, &Rotation::new(3, vector.len()))
    }

    fn value() -> impl Strategy<Value = Option<FieldValue>> {
        prop_oneof![
            Just(None),
            "[a-zé]{0,20}".prop_map(|text| Some(FieldValue::Text(text.into()))),
            any::<i64>().prop_map(|number| Some(FieldValue::Whole(number))),
            prop::num::f64::NORMAL.prop_map(|number| Some(FieldValue::Real(number))),
            any::<bool>().prop_map(|flag| Some(FieldValue::Boolean(flag))),
        ]
    }

    fn row() -> impl Strategy<Value = GalleryEntry> {
        let vector = prop::collection::vec(-1.0_f32..1.0, 1..150);
        let ids = (1_u64..1 << 50, any::<u64>(), 0_u64..1 << 50);
        (vector, ids, prop::option::of("[a-z]{0,40}"), prop::collection::vec(value(), 0..6)).prop_filter_map(
            "a direction",
            |(vector, (face, sequence, person), subject, values)| {
                Some(GalleryEntry {
                    face: FaceId::new(face)?,
                    sequence,
                    person: PersonId::new(person),
                    template: Template::new(pack(), &vector).ok()?,
                    subject: subject.map(Into::into),
                    values: values.into(),
                })
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn a_row_is_read_as_it_was_written(row in row(), flipped in any::<prop::sample::Index>()) {
            let dimensions = row.template.unit().len();
            let mut slot = vec![0xff; slot_bytes(dimensions)];
            let codes = codes_of(&row);
            write(&mut slot, KEY, set(), &row, &codes);
            let pack_of = |face_set| (face_set == set()).then(|| (pack(), row.values.len()));
            let Some(Record::Row { face_set, entry, codes: codes_read, lacks_attributes }) = read(&slot, (KEY, dimensions), pack_of) else {
                panic!("no row");
            };
            prop_assert_eq!(face_set, set());
            prop_assert_eq!((entry.face, entry.sequence, entry.person), (row.face, row.sequence, row.person));
            prop_assert_eq!(&entry.template, &row.template);
            prop_assert_eq!(codes_read, codes);
            if lacks_attributes {
                prop_assert!(entry.subject.is_none() && entry.values.is_empty());
            } else {
                prop_assert_eq!((&entry.subject, &entry.values), (&row.subject, &row.values));
            }
            // Of a set that is not there, of another file, and damaged.
            prop_assert!(matches!(read(&slot, (KEY, dimensions), |_| None), Some(Record::Stale)));
            prop_assert!(read(&slot, (KEY + 1, dimensions), pack_of).is_none());
            let bit = flipped.index(slot.len() * 8);
            slot[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read(&slot, (KEY, dimensions), pack_of).is_none());
            slot[..8].fill(0);
            prop_assert!(matches!(read(&slot, (KEY, dimensions), pack_of), Some(Record::Stale)));
        }
    }

    #[test]
    fn attributes_without_room_are_said_to_be_in_the_store() {
        let long: Arc<str> = "x".repeat(90).into();
        let row = GalleryEntry {
            face: FaceId::new(1).unwrap(),
            sequence: 1,
            person: None,
            template: Template::new(pack(), &[1.0, 2.0]).unwrap(),
            subject: Some(long),
            values: Box::new([Some(FieldValue::Boolean(true))]),
        };
        let mut slot = vec![0; slot_bytes(2)];
        write(&mut slot, KEY, set(), &row, &codes_of(&row));
        let read = read(&slot, (KEY, 2), |_| Some((pack(), 1)));
        assert!(matches!(read, Some(Record::Row { lacks_attributes: true, .. })), "{read:?}");
    }

    #[test]
    fn zeros_are_a_free_slot() {
        assert!(matches!(read(&vec![0; slot_bytes(3)], (KEY, 3), |_| None), Some(Record::Free)));
        assert!(read(&vec![0; slot_bytes(3)], (KEY, 300), |_| None).is_none());
    }
}
