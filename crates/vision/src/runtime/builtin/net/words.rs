//! Convolutions of one pixel in 16-bit integers, where they have many inputs.

use super::{Convolution, Operation, Step};
use crate::runtime::builtin::kernel::{self, Finish, Kernel, LANES, Line, PairLine};
use crate::runtime::builtin::layers::{BoundedWeights, line_of};

/// Fewer inputs are not worth the making of integers: that takes as long as ten of them.
const INPUTS_MIN: usize = 32;

/// What the largest number of a run of pixels becomes. Larger, weights would have to be smaller.
pub(super) const LIMIT: i32 = 16_383;

/// A convolution of one pixel in 16-bit integers.
pub(super) struct WordConvolution {
    pub(super) weights: Vec<PairLine>,
    pub(super) finish: Vec<Finish>,
    /// As in [`Convolution`].
    pub(super) addend: Option<usize>,
}

/// Puts the weights of all such convolutions into integers. `values` are the channels of each value.
pub(super) fn convert(steps: &mut [Step], values: &[usize]) {
    for Step { operation, input, .. } in steps {
        let n_inputs = values[*input];
        let Operation::Convolution(convolution) = operation else { continue };
        let is_pointwise = convolution.kernel == [1, 1] && convolution.stride == 1 && convolution.pads == [0; 4];
        // The picture lies in no planes, and the lanes beside the last channels of a value hold anything.
        if !is_pointwise || *input == 0 || n_inputs < INPUTS_MIN || !n_inputs.is_multiple_of(LANES) {
            continue;
        }
        if let Some(converted) = converted(convolution, n_inputs) {
            *operation = Operation::WordConvolution(converted);
        }
    }
}

/// `None` if the sums could be too large for integers.
fn converted(convolution: &Convolution, n_inputs: usize) -> Option<WordConvolution> {
    let Convolution { weights, finish, addend, .. } = convolution;
    let n_outputs = finish.len() * LANES;
    let weight = |output: usize, input: usize| weights[output / LANES * n_inputs + input].0[output % LANES];
    let rows = (0..n_outputs).map(|output| (0..n_inputs).map(|input| weight(output, input)).collect::<Vec<_>>());
    let rows = rows.map(|row| BoundedWeights::new(&row, LIMIT)).collect::<Result<Vec<_>, _>>().ok()?;
    let weights = Kernel::packed_pairs(finish.len(), n_inputs, &|output, input| rows[output].weights()[input]);
    let scale = |line: usize| -> Line { line_of(line * LANES, n_outputs, |output| rows[output].scale) };
    let finish = finish.iter().enumerate().map(|(line, finish)| kernel::Finish { scale: scale(line), ..*finish });
    Some(WordConvolution { weights, finish: finish.collect(), addend: *addend })
}
