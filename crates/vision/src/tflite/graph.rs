//! What a TFLite file says: tensors, operations, constants; as far as nets of convolutions use it.
//!
//! Field numbers are those of `schema.fbs` in TensorFlow, version 3 of the format. Counts are bounded before anything is
//! allocated; numbers are given as they are in the file, and are the converter's to check.

use super::table::{Read, Table};

/// Bytes 4 to 7 of a file.
const IDENTIFIER: &[u8] = b"TFL3";

/// Most tensors, buffers, operations and kinds of operation; nets in use have some hundreds.
const TENSORS_MAX: usize = 16_384;
const OPERATIONS_MAX: usize = 8_192;
const CODES_MAX: usize = 256;

/// Most inputs or outputs of an operation or of the graph.
const ENDS_MAX: usize = 16;

/// Most dimensions of a tensor.
const DIMENSIONS_MAX: usize = 6;

/// A file's only graph.
pub(super) struct Graph<'a> {
    pub(super) tensors: Vec<Tensor<'a>>,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    pub(super) operations: Vec<Operation>,
}

/// A tensor: a constant if it has `data`, else computed.
pub(super) struct Tensor<'a> {
    pub(super) dims: Vec<i32>,
    pub(super) element: Element,
    pub(super) data: &'a [u8],
}

/// What the elements of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
    I32,
    /// Of a kind that no operation here takes, by its number in the format.
    Other(i8),
}

/// An operation with the tensors it takes and makes, by their place in [`Graph::tensors`]; -1 is an input left out.
pub(super) struct Operation {
    pub(super) kind: Kind,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
}

/// The operations known here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Add {
        activation: Activation,
    },
    Conv {
        window: Window,
        activation: Activation,
    },
    /// Channel c of the input makes channels c * multiplier up to (c + 1) * multiplier - 1 of the output.
    DepthwiseConv {
        window: Window,
        multiplier: i32,
        activation: Activation,
    },
    Dequantize,
    /// Height and width of the window, in pixels.
    MaxPool {
        window: Window,
        size: [i32; 2],
        activation: Activation,
    },
    Pad,
    PRelu,
}

/// How a window moves over planes; each pair is of height and width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub(super) padding: Padding,
    pub(super) strides: [i32; 2],
    pub(super) dilations: [i32; 2],
}

/// What lies beyond the edges of planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// Padded so that each stride gives a result, the odd pixel at the right and at the bottom.
    Same,
    /// Windows stay inside.
    Valid,
}

/// What is done to the result of an operation before it is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Relu,
    /// Clipped to 0 to 6.
    Relu6,
}

/// Reads a file; what is wrong with it in words.
pub(super) fn read(file: &[u8]) -> Read<Graph<'_>> {
    if file.get(4..8) != Some(IDENTIFIER) {
        return Err("is no TFLite model: it does not say `TFL3` after its first four bytes".into());
    }
    let model = Table::root(file)?;
    let version = model.u32(0)?;
    if version != 3 {
        return Err(format!("is of version {version} of the format, expected 3"));
    }
    let codes: Vec<i32> = model.tables(1, CODES_MAX, "kinds of operation")?.iter().map(code).collect::<Read<_>>()?;
    let graphs = model.tables(2, 16, "graphs")?;
    let [graph] = &graphs[..] else { return Err(format!("has {} graphs, expected 1", graphs.len())) };
    let buffers = model.tables(4, TENSORS_MAX, "buffers")?;
    let tensors = graph.tables(0, TENSORS_MAX, "tensors")?;
    let operations = graph.tables(3, OPERATIONS_MAX, "operations")?;
    Ok(Graph {
        tensors: tensors.iter().map(|table| tensor(table, &buffers)).collect::<Read<_>>()?,
        inputs: graph.i32s(1, ENDS_MAX, "inputs")?,
        outputs: graph.i32s(2, ENDS_MAX, "outputs")?,
        operations: operations.iter().map(|table| operation(table, &codes)).collect::<Read<_>>()?,
    })
}

/// The number of a kind of operation: in a byte in old files, in a wider field since the byte was used up.
fn code(table: &Table<'_>) -> Read<i32> {
    Ok(i32::from(table.i8(0)?).max(table.i32_or(3, 0)?))
}

fn tensor<'a>(table: &Table<'a>, buffers: &[Table<'a>]) -> Read<Tensor<'a>> {
    let element = match table.i8(1)? {
        0 => Element::F32,
        1 => Element::F16,
        2 => Element::I32,
        other => Element::Other(other),
    };
    let buffer = table.u32(2)?;
    let buffer = usize::try_from(buffer).ok().and_then(|idx| buffers.get(idx));
    let buffer = buffer.ok_or("has a tensor in a buffer that does not exist")?;
    // Large files keep their constants behind the tables; what we read is smaller.
    if buffer.u64(1)? > 1 || buffer.u64(2)? > 1 {
        return Err("keeps constants outside of its tables, which is not supported here".into());
    }
    Ok(Tensor {
        dims: table.i32s(0, DIMENSIONS_MAX, "dimensions of a tensor")?,
        element,
        data: buffer.vector(0, 1)?.bytes(1),
    })
}

fn operation(table: &Table<'_>, codes: &[i32]) -> Read<Operation> {
    let code = table.u32(0)?;
    let code = usize::try_from(code).ok().and_then(|idx| codes.get(idx));
    let code = *code.ok_or("has an operation of a kind that does not exist")?;
    Ok(Operation {
        kind: kind(code, table)?,
        inputs: table.i32s(1, ENDS_MAX, "inputs of an operation")?,
        outputs: table.i32s(2, ENDS_MAX, "outputs of an operation")?,
    })
}

fn kind(code: i32, operation: &Table<'_>) -> Read<Kind> {
    let options = operation.table(4)?;
    let needed = || options.ok_or_else(|| format!("has an operation {code} without its options"));
    Ok(match code {
        0 => {
            let activation = options.map_or(Ok(Activation::None), |options| activation(options.i8(0)?))?;
            Kind::Add { activation }
        }
        3 => {
            let options = needed()?;
            Kind::Conv { window: window(&options, [4, 5])?, activation: activation(options.i8(3)?)? }
        }
        4 => {
            let options = needed()?;
            Kind::DepthwiseConv {
                window: window(&options, [5, 6])?,
                multiplier: options.i32_or(3, 0)?,
                activation: activation(options.i8(4)?)?,
            }
        }
        6 => Kind::Dequantize,
        17 => {
            let options = needed()?;
            let window = Window { dilations: [1; 2], ..window(&options, [usize::MAX; 2])? };
            let size = [options.i32_or(4, 0)?, options.i32_or(3, 0)?];
            Kind::MaxPool { window, size, activation: activation(options.i8(5)?)? }
        }
        34 => Kind::Pad,
        54 => Kind::PRelu,
        _ => {
            return Err(format!(
                "has an operation of kind {code}, expected ADD (0), CONV_2D (3), DEPTHWISE_CONV_2D (4), DEQUANTIZE (6), \
                 MAX_POOL_2D (17), PAD (34) or PRELU (54)"
            ));
        }
    })
}

/// Padding and strides lie in the same fields for each operation that has them; the fields of the dilations (width first)
/// differ.
fn window(options: &Table<'_>, dilations: [usize; 2]) -> Read<Window> {
    let padding = match options.i8(0)? {
        0 => Padding::Same,
        1 => Padding::Valid,
        other => return Err(format!("has padding of kind {other}, expected 0 or 1")),
    };
    Ok(Window {
        padding,
        strides: [options.i32_or(2, 0)?, options.i32_or(1, 0)?],
        dilations: [options.i32_or(dilations[1], 1)?, options.i32_or(dilations[0], 1)?],
    })
}

fn activation(number: i8) -> Read<Activation> {
    Ok(match number {
        0 => Activation::None,
        1 => Activation::Relu,
        3 => Activation::Relu6,
        other => return Err(format!("has an activation of kind {other}, expected 0 (none), 1 (ReLU) or 3 (ReLU 6)")),
    })
}
