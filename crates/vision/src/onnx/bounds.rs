//! Bounds of what [`super::parse`] decodes, checked on the bytes before anything is allocated.
//!
//! A record of two bytes can decode to a structure of two hundred, so the size of a file does not bound the memory it
//! takes. This walk counts records, knowing of the format only which fields hold messages and which hold lists.

/// Bytes of a model file: three times the largest recogniser in use.
pub const MODEL_BYTES_MAX: usize = 768 * 1024 * 1024;

/// Fields in a model file, each element of an integer list counted as one. A net of a thousand operations has 30,000;
/// decoded this many take at most 100 MB beside the weights.
pub const RECORDS_MAX: usize = 400_000;

/// Which message a piece of the file is. Nothing here contains itself, so the walk's depth is bounded.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// Has no messages within: entries, dimensions.
    Leaf,
}

enum Field {
    Message(Message),
    PackedIntegers,
    /// Text or bytes: taken as it is.
    Opaque,
}

impl Message {
    fn field(self, tag: u64) -> Field {
        match (self, tag) {
            (Message::Model, 7) => Field::Message(Message::Graph),
            (Message::Model, 8) => Field::Message(Message::Leaf),
            (Message::Graph, 1) => Field::Message(Message::Node),
            (Message::Graph, 5) => Field::Message(Message::Tensor),
            (Message::Graph, 11..=13) => Field::Message(Message::ValueInfo),
            (Message::Node, 5) => Field::Message(Message::Attribute),
            (Message::Attribute, 5 | 10) => Field::Message(Message::Tensor),
            (Message::Attribute, 8) | (Message::Tensor, 1 | 5 | 7 | 11) => Field::PackedIntegers,
            (Message::ValueInfo, 2) => Field::Message(Message::Type),
            (Message::Type, 1) => Field::Message(Message::TensorType),
            (Message::TensorType, 2) => Field::Message(Message::Shape),
            (Message::Shape, 1) => Field::Message(Message::Leaf),
            _ => Field::Opaque,
        }
    }
}

/// Refuses, in words, what is too large or not a sequence of fields.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > MODEL_BYTES_MAX {
        return Err(format!("has {} bytes, expected at most {MODEL_BYTES_MAX}", bytes.len()));
    }
    let mut n_left = RECORDS_MAX;
    walk(bytes, Message::Model, &mut n_left)
}

fn walk(mut bytes: &[u8], message: Message, n_left: &mut usize) -> Result<(), String> {
    while !bytes.is_empty() {
        count(n_left, 1)?;
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => drop(take(&mut bytes, 8)?),
            2 => {
                let length = varint(&mut bytes)?;
                let content = take(&mut bytes, length)?;
                match message.field(key >> 3) {
                    Field::Message(inner) => walk(content, inner, n_left)?,
                    // The last byte of each varint is below 128.
                    Field::PackedIntegers => count(n_left, content.iter().filter(|&&byte| byte < 0x80).count())?,
                    Field::Opaque => {}
                }
            }
            5 => drop(take(&mut bytes, 4)?),
            _ => return Err("not an ONNX model".into()),
        }
    }
    Ok(())
}

fn count(n_left: &mut usize, n_records: usize) -> Result<(), String> {
    match n_left.checked_sub(n_records) {
        Some(rest) => {
            *n_left = rest;
            Ok(())
        }
        None => Err(format!("has more than {RECORDS_MAX} fields")),
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], String> {
    let length = usize::try_from(length).ok().filter(|&length| length <= bytes.len()).ok_or("cut off")?;
    let (content, rest) = bytes.split_at(length);
    *bytes = rest;
    Ok(content)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("not an ONNX model".into())
}
