//! Constant tensors in one form: a shape, an element type, little-endian bytes.

use bytes::Bytes;

use super::message::Tensor;

/// Element types by their number in the format.
pub(crate) const F32: i32 = 1;
const U8: i32 = 2;
const I8: i32 = 3;
const I32: i32 = 6;
pub(crate) const I64: i32 = 7;
const F64: i32 = 11;

/// A constant tensor.
///
/// # Invariants
/// `raw` holds exactly as many elements as `dims` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<usize>,
    pub(crate) data_type: i32,
    raw: Bytes,
}

impl Constant {
    pub(crate) fn f32s(dims: Vec<usize>, numbers: &[f32]) -> Self {
        let raw = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { dims, data_type: F32, raw }
    }

    pub(crate) fn i64s(numbers: &[i64]) -> Self {
        let raw = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { dims: vec![numbers.len()], data_type: I64, raw }
    }

    /// Reads a tensor; the problem in words if it is damaged or of a kind not needed for inference models.
    pub(crate) fn read(tensor: &Tensor) -> Result<Self, String> {
        let name = tensor.name.as_deref().unwrap_or_default();
        let problem = |what: &str| format!("constant {name:?} {what}");
        if tensor.data_location.unwrap_or(0) != 0 || !tensor.external_data.is_empty() {
            return Err(problem("lies in another file"));
        }
        let data_type = tensor.data_type.unwrap_or(0);
        let element_bytes =
            element_bytes(data_type).ok_or_else(|| problem("has an element type not supported here"))?;
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let dims = dims.ok_or_else(|| problem("has a negative dimension"))?;
        let raw = match &tensor.raw_data {
            Some(raw) if !raw.is_empty() => raw.clone(),
            _ => listed(tensor, data_type),
        };
        let n_bytes = n_elements(&dims).and_then(|n_elements| n_elements.checked_mul(element_bytes));
        if n_bytes != Some(raw.len()) {
            return Err(problem("has another number of elements than its shape says"));
        }
        Ok(Self { dims, data_type, raw })
    }

    pub(crate) fn write(&self, name: &str) -> Tensor {
        Tensor {
            // A shape came from the file, or from one with as many elements: it fits.
            dims: self.dims.iter().map(|&dim| dim as i64).collect(),
            data_type: Some(self.data_type),
            name: Some(name.to_owned()),
            raw_data: Some(self.raw.clone()),
            ..Tensor::default()
        }
    }

    /// The same elements in another shape; `None` if it has another number of them. 0 keeps a dimension, one -1 is
    /// whatever is left, as in the operator.
    pub(crate) fn reshape(&self, wanted: &[i64]) -> Option<Self> {
        let n_elements_all = n_elements(&self.dims)?;
        let mut dims = Vec::with_capacity(wanted.len());
        let mut free = None;
        for (idx, &dim) in wanted.iter().enumerate() {
            dims.push(match dim {
                0 => *self.dims.get(idx)?,
                -1 if free.is_none() => {
                    free = Some(idx);
                    1
                }
                _ => usize::try_from(dim).ok()?,
            });
        }
        let n_known = n_elements(&dims)?;
        if let Some(idx) = free {
            dims[idx] = n_elements_all.checked_div(n_known)?;
        }
        (n_elements(&dims)? == n_elements_all).then(|| Self { dims, data_type: self.data_type, raw: self.raw.clone() })
    }

    /// The elements as f32: of the types weights and their scales have.
    pub(crate) fn to_f32s(&self) -> Option<Vec<f32>> {
        Some(match self.data_type {
            F32 => self.raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            I8 => self.raw.iter().map(|&byte| f32::from(byte.cast_signed())).collect(),
            U8 => self.raw.iter().map(|&byte| f32::from(byte)).collect(),
            I32 => self.raw.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes) as f32).collect(),
            _ => return None,
        })
    }

    /// The elements of an i64 tensor.
    pub(crate) fn to_i64s(&self) -> Option<Vec<i64>> {
        (self.data_type == I64).then(|| self.raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect())
    }
}

/// How many elements a shape has; `None` if more than memory could address.
pub(crate) fn n_elements(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))
}

fn element_bytes(data_type: i32) -> Option<usize> {
    match data_type {
        U8 | I8 => Some(1),
        F32 | I32 => Some(4),
        I64 | F64 => Some(8),
        _ => None,
    }
}

/// Elements that are listed by type instead of given as bytes.
fn listed(tensor: &Tensor, data_type: i32) -> Bytes {
    match data_type {
        F32 => tensor.float_data.iter().flat_map(|number| number.to_le_bytes()).collect(),
        F64 => tensor.double_data.iter().flat_map(|number| number.to_le_bytes()).collect(),
        I64 => tensor.int64_data.iter().flat_map(|number| number.to_le_bytes()).collect(),
        I32 => tensor.int32_data.iter().flat_map(|number| number.to_le_bytes()).collect(),
        // Narrow types are listed as i32; only their low byte is meant.
        _ => tensor.int32_data.iter().map(|&number| number as u8).collect(),
    }
}
